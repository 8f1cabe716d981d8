//! `rescue`: a shell in a disk that does not boot.

use subhost_config::schema::DiskSpec;
use subhost_mount::fstype::AllowedTypes;

use super::{Context, need_root, run};
use crate::args::Devices;
use crate::config::{Loaded, demand_trust, request as configured};
use crate::error::{Complaint, Error};
use crate::images::args;
use crate::images::repair;
use crate::images::rescue::disks_of_image;
use crate::layout::{Name, NameError};
use crate::report;
use crate::request::{Changes, Request, Root};

/// Opens it, and returns the command's status.
pub(super) fn rescue(context: &Context, args: args::Rescue) -> Result<u8, Error> {
    need_root("rescue")?;
    let (disks, filesystems) = disks(context, &args)?;
    let command = run::words(args.command)?;
    if args.fsck {
        let allowed = AllowedTypes::default().and(filesystems.iter().cloned());
        repair::all(&disks, &allowed, &context.layout, context.quiet)?;
    }
    let name = format!("rescue-{}", std::process::id());
    let name = name.parse().map_err(|error: NameError| Error::refused(Complaint::new(error.to_string())))?;
    let root = if args.host_tools { Root::Overlay("/".into()) } else { Root::Disk };
    let request = Request {
        disks,
        filesystems,
        changes: if args.read_only { Changes::Refused } else { Changes::Kept },
        rescues: true,
        ..Request::from_command(name, root, command, &context.layout)
    };
    run::payload(context, &request, "rescue").map_err(|error| hinted(error, args.host_tools))
}

/// Where the disk itself stands in the way.
fn hinted(error: Error, host_tools: bool) -> Error {
    match error {
        Error::Step { step, source, hint: None } if !host_tools => {
            let hint = "--host-tools opens it beside the host's own programs".to_owned();
            Error::Step { step, source, hint: Some(hint) }
        }
        other => other,
    }
}

/// What is opened, the root first, and the types of file system that it may hold.
fn disks(context: &Context, args: &args::Rescue) -> Result<(Vec<DiskSpec>, Vec<String>), Error> {
    let word = args.target.to_string_lossy();
    if word.contains('/') {
        return Ok((disks_of_image(&args.target)?, Vec::new()));
    }
    let name: Name = word.parse().map_err(|error: NameError| {
        Error::refused(Complaint::new(error.to_string()).hint("an image is named by a path with a slash"))
    })?;
    if context.layout.is_tree_alone(&name) {
        return Err(Error::refused(
            Complaint::new(format!("subhost {name}: has no disk, and no init that could fail"))
                .hint(format!("subhostctl start {name}")),
        ));
    }
    let loaded =
        Loaded::of(&context.layout, context.config.as_deref(), &name, &Devices::default(), context.how)?;
    let request = configured(&loaded, name, Devices::default(), None)?;
    demand_trust(&loaded)?;
    for note in loaded.diagnostics.iter().filter(|found| !found.is_error()) {
        report::note(context.quiet, &note.message);
    }
    Ok((request.disks, request.filesystems))
}
