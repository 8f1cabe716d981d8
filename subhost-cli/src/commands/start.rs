//! `start`: a command or a shell in a directory's system, whose mounts and network linger.

use super::{Context, need_root, run};
use crate::args;
use crate::config::{Loaded, demand_trust};
use crate::error::{Complaint, Error};
use crate::layout::Name;
use crate::report;
use crate::request::{Changes, Request, Root};
use crate::tree::Tree;

/// Starts it, or enters what lingers, and returns the command's status.
pub(super) fn start(context: &Context, args: args::Start) -> Result<u8, Error> {
    need_root(&format!("start {}", args.name))?;
    let loaded = Loaded::of_tree(&context.layout, context.config.as_deref(), &args.name, context.how)?;
    let command = run::words(args.command)?;
    let request = Request { payload: Some(command), ..request(context, args.name, &loaded)? };
    demand_trust(&loaded)?;
    if !loaded.diagnostics.is_empty() && !context.quiet {
        report::say(&loaded.rendered(false));
    }
    run::payload(context, &request, "start")
}

/// What its configuration asks for, with a shell.
pub(super) fn request(context: &Context, name: Name, loaded: &Loaded) -> Result<Request, Error> {
    let Some(config) = &loaded.config else {
        return Err(Error::Configuration(loaded.rendered(false)));
    };
    let tree = Tree::of(&context.layout, &name, config)?;
    let request = Request::from_config(name, config);
    let mut complaints = Vec::new();
    if !request.disks.is_empty() {
        complaints.push(
            Complaint::new("DISKS: is for boot; start takes a directory, or the image in it").hint(format!(
                "{} would be its image",
                tree.directory.join(format!("{}.img", request.name)).display()
            )),
        );
    }
    if request.changes != Changes::Kept {
        complaints.push(
            Complaint::new("EPHEMERAL, READONLY: are for boot; what start starts keeps its changes")
                .hint("subhostctl run --overlay DIR -- CMD keeps none"),
        );
    }
    if !complaints.is_empty() {
        return Err(Error::Refused(complaints));
    }
    let disks = tree.disk().into_iter().collect();
    Ok(Request { root: Root::Lingering(tree), disks, payload: Some(Vec::new()), ..request })
}
