//! `export`: the root of a subhost that is stopped, as an archive.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use subhost_mount::rootdir::RootDir;

use super::cp::{Mounted, folder_of};
use super::{Context, need_root};
use crate::error::{Complaint, Context as _, Error};
use crate::images::args;
use crate::images::source::Stream;
use crate::observe::Purpose;
use crate::supervise::Signals;

/// What is in it is for root alone: it holds what the guest keeps from others.
const MODE: u32 = 0o600;

/// Writes it to a file, which then is there as a whole or not at all, or to standard output.
pub(super) fn export(context: &Context, args: &args::Export) -> Result<u8, Error> {
    need_root(&format!("export {}", args.name))?;
    let to_file = args.file != Path::new("-");
    if !to_file && std::io::stdout().is_terminal() {
        return Err(Error::refused(
            Complaint::new("export: an archive is nothing for a terminal").hint("name a file, or use a pipe"),
        ));
    }
    let mounted = Mounted::of(context, args.name.clone(), Purpose::Read)?;
    let signals = Signals::block()?;
    let root = mounted.root.as_fd().try_clone_to_owned().step("hold the root")?;
    let mut stream = Stream::of_tree(root, &signals)?;
    let step = || format!("export {}", args.name);
    if to_file {
        let name = args.file.file_name().ok_or("has no name at its end").step(step())?;
        let folder = RootDir::open(folder_of(&args.file)).step(step())?;
        folder.write_from(Path::new(name), MODE, &mut stream).step(step())?;
    } else {
        let mut out = std::io::stdout().lock();
        match std::io::copy(&mut stream, &mut out).and_then(|_| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            copied => copied.step(step())?,
        }
    }
    Ok(0)
}
