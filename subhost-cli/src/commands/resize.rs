//! `resize`: a larger or smaller image.

use std::path::PathBuf;

use super::{Context, need_root};
use crate::args::Devices;
use crate::config::{Loaded, demand_trust, request};
use crate::error::{Complaint, Error};
use crate::images::progress::Progress;
use crate::images::tool::Copying;
use crate::images::{self, args};
use crate::layout::{Name, NameError};
use crate::report;
use crate::supervise::Signals;

/// Resizes it.
pub(super) fn resize(context: &Context, args: &args::Resize) -> Result<u8, Error> {
    need_root("resize")?;
    let image = image(context, args)?;
    let (signals, progress) = (Signals::block()?, Progress::new(context.quiet));
    let copying = Copying { signals: &signals, progress: &progress };
    let done = images::resize::resize(&image, args.size, args.in_place, &context.layout, copying)?;
    drop(progress);
    report::note(context.quiet, &format!("{}: {done}", image.display()));
    Ok(0)
}

/// The image that is meant.
fn image(context: &Context, args: &args::Resize) -> Result<PathBuf, Error> {
    let word = args.target.to_string_lossy();
    if word.contains('/') {
        return Ok(PathBuf::from(&args.target));
    }
    let name: Name = word.parse().map_err(|error: NameError| {
        Error::refused(Complaint::new(error.to_string()).hint("an image is named by a path with a slash"))
    })?;
    if context.layout.is_tree_alone(&name) {
        let image = context.layout.tree(&name).join(format!("{name}.img"));
        if image.exists() {
            return Ok(image);
        }
        return Err(Error::refused(Complaint::new(format!(
            "subhost {name}: is a directory, which has no size"
        ))));
    }
    let devices = Devices::default;
    let loaded = Loaded::of(&context.layout, context.config.as_deref(), &name, &devices(), context.how)?;
    let request = request(&loaded, name.clone(), devices(), None)?;
    demand_trust(&loaded)?;
    let disk = request.disks.into_iter().next();
    disk.map(|disk| disk.image).ok_or_else(|| {
        Error::refused(Complaint::new(format!("subhost {name}: DISKS is empty, so there is no image")))
    })
}
