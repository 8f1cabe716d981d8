//! `reset`: a subhost that `start` starts goes back to its base, or to a snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use subhost_mount::rootdir::RootDir;

use super::delete::confirmed;
use super::snapshot::parts;
use super::{Context, need_root};
use crate::error::{Complaint, Context as _, Error};
use crate::images::args;
use crate::images::layers::{FRESH, exchange, make_fresh, open_base, remove, remove_fresh};
use crate::images::progress::Progress;
use crate::images::snapshots::{find, own};
use crate::images::tool::Copying;
use crate::observe::Purpose;
use crate::report;
use crate::supervise::Signals;

/// Takes its own layer away, or exchanges it for that of a snapshot.
pub(super) fn reset(context: &Context, args: &args::Reset) -> Result<u8, Error> {
    need_root(&format!("reset {}", args.name))?;
    let purpose = if args.snapshot.is_some() { Purpose::Read } else { Purpose::Use };
    let (mut parts, tree) = parts(context, &args.name, purpose)?;
    let (path, name) = own(&tree);
    if args.snapshot.is_none() && tree.base.is_empty() {
        return Err(Error::refused(
            Complaint::new(format!("subhost {}: has no base that it could go back to", args.name))
                .hint("reset NAME SNAPSHOT goes back to a snapshot"),
        ));
    }
    let from = args.snapshot.as_ref().map(|it| find(&tree, &args.name, it)).transpose()?;
    let from = from.map(|place| place.join(&name));
    let what = format!("discard all that {} has changed", args.name);
    if !args.yes && !confirmed(&what)? {
        report::note(context.quiet, "nothing is changed");
        return Ok(1);
    }
    let (signals, progress) = (Signals::block()?, Progress::new(context.quiet));
    let copying = Copying { signals: &signals, progress: &progress };
    match (from, tree.image.is_some()) {
        (Some(from), true) => {
            let fresh = tree.directory.join(FRESH);
            remove(&fresh)?;
            copying.copy(&from, &fresh).inspect_err(|_| drop(remove(&fresh)))?;
            fs::rename(&fresh, &path).step(format!("replace {}", path.display()))?;
        }
        (from, is_image) => {
            let (above, name) = match parts.mount.take().filter(|_| is_image) {
                Some(mount) => (mount.root().step("open the image")?, PathBuf::from("root")),
                None => split(&path)?,
            };
            remove_fresh(&above)?;
            match from {
                Some(from) => {
                    let fresh = path.with_file_name(FRESH);
                    copying.copy(&from, &fresh).inspect_err(|_| drop(remove(&fresh)))?;
                }
                None => {
                    let (base, _kept) = open_base(&tree.base)?;
                    let like = base.metadata(Path::new(".")).step("look at the base")?;
                    make_fresh(&above, &like)?;
                }
            }
            exchange(&above, &name)?;
            remove_fresh(&above)?;
        }
    }
    drop(progress);
    report::note(context.quiet, &format!("{}: is as it was", args.name));
    Ok(0)
}

fn split(path: &Path) -> Result<(RootDir, PathBuf), Error> {
    let step = || format!("open {}", path.display());
    let (above, name) = path.parent().zip(path.file_name()).ok_or("it has no name").step(step())?;
    Ok((RootDir::open(above).step(step())?, PathBuf::from(name)))
}
