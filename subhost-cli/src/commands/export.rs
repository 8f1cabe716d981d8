//! `export`: the root of a subhost that stands still, as an archive.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use subhost_mount::rootdir::RootDir;

use super::cp::{Mounted, directory_of};
use super::live::{Live, Still};
use super::{Context, need_root};
use crate::error::{Complaint, Context as _, Error};
use crate::images::args;
use crate::images::progress::Progress;
use crate::images::source::Stream;
use crate::observe::Purpose;
use crate::supervise::Signals;

/// What is in it is for root alone: it holds what the guest keeps from others.
const MODE: u32 = 0o600;

/// Writes it to a file, which then is there as a whole or not at all, or to standard output.
pub(super) fn export(context: &Context, args: &args::Export) -> Result<u8, Error> {
    need_root(&format!("export {}", args.name))?;
    let to_file = args.file != Path::new("-");
    if !to_file && io::stdout().is_terminal() {
        return Err(Error::refused(
            Complaint::new("export: an archive is not written to a terminal")
                .hint("name a file, or use a pipe"),
        ));
    }
    let live = Live::of(context, &args.name, Still::Yes)?;
    let (opened, mounted);
    let root: &RootDir = match &live {
        Some(live) => {
            opened = live.tree.open(None, false)?;
            &opened.0
        }
        None => {
            mounted = Mounted::of(context, args.name.clone(), Purpose::Read)?;
            &mounted.root
        }
    };
    let (signals, progress) = (Signals::block()?, Progress::new(context.quiet));
    let root = root.as_fd().try_clone_to_owned().step("hold the root")?;
    let stream = Stream::of_tree(root, &signals, &progress)?;
    progress.step(&format!("exports {}", args.name));
    let mut stream = Held { stream, live: live.as_ref() };
    let step = || format!("export {}", args.name);
    if to_file {
        let name = args.file.file_name().ok_or("has no name at its end").step(step())?;
        let directory = RootDir::open(directory_of(&args.file)).step(step())?;
        directory.write_from(Path::new(name), MODE, &mut stream).step(step())?;
    } else {
        let mut out = io::stdout().lock();
        match io::copy(&mut stream, &mut out).and_then(|_| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            copied => copied.map(drop).step(step())?,
        }
    }
    Ok(0)
}

/// The stream, whose end is one only where nothing has let the subhost go on meanwhile.
struct Held<'a> {
    stream: Stream<'a>,
    live: Option<&'a Live>,
}

impl Read for Held<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer);
        // That is also why tar may have failed: it says when a file changes under it.
        let is_over = !buffer.is_empty() && matches!(read, Ok(0) | Err(_));
        if is_over && self.live.is_some_and(|live| !live.is_still()) {
            return Err(io::Error::other("it was let go on meanwhile, and may have changed"));
        }
        read
    }
}
