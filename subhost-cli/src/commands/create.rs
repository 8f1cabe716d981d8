//! `create`: a new subhost.

use std::os::fd::AsFd;

use subhost_mount::rootdir::RootDir;

use super::cp::Mounted;
use super::{Context, clone, need_root};
use crate::error::{Complaint, Context as _, Error};
use crate::images::args;
use crate::images::create::{From, create as make};
use crate::images::progress::Progress;
use crate::observe::Purpose;
use crate::report;
use crate::supervise::Signals;

/// Makes it, or leaves nothing.
pub(super) fn create(context: &Context, args: &args::Create) -> Result<u8, Error> {
    need_root(&format!("create {}", args.name))?;
    if args.image.is_some() && args.size.is_none() {
        return Err(Error::refused(
            Complaint::new("--image: needs to know how large it is to be").hint("--size 2G"),
        ));
    }
    let copied;
    let from = match args {
        args::Create { suite: Some(suite), mirror, include, .. } => {
            let (suite, mirror, include) = (suite.clone(), mirror.clone(), include.clone());
            From::Suite { suite, mirror, include }
        }
        args::Create { tar: Some(path), .. } => From::Tar(path.clone()),
        args::Create { oci: Some(path), .. } => From::Oci(path.clone()),
        args::Create { clone: Some(other), image: None, ssh_key: None, .. } => {
            let args = args::Clone { name: other.clone(), new: args.name.clone() };
            return clone::clone(context, &args);
        }
        args::Create { clone: Some(other), .. } => {
            copied = Mounted::of(context, other.clone(), Purpose::Read)?;
            From::Tree(RootDir::from_fd(copied.root.as_fd().try_clone_to_owned().step("hold the root")?))
        }
        _ => return Err(Error::refused(Complaint::new("create: there is nothing to make it from"))),
    };
    let signals = Signals::block()?;
    let progress = Progress::new(context.quiet);
    let made = make(args, &from, &context.layout, &signals, &progress)?;
    drop(progress);
    report::note(context.quiet, &format!("{}: is made: {made}", args.name));
    Ok(0)
}
