//! `snapshot`: keeps what a subhost that `start` starts has changed, tells what is kept, and removes it.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::cp::Parts;
use super::delete::confirmed;
use super::{Context, need_root, start, unknown};
use crate::config::Loaded;
use crate::error::{Complaint, Context as _, Error};
use crate::events::rfc3339;
use crate::images::args;
use crate::images::progress::Progress;
use crate::images::snapshots::{Snapshot, demand_unused, find, list, make, take_away};
use crate::images::tool::Copying;
use crate::layout::Name;
use crate::lock::{held_by_another, lock_name};
use crate::observe::Purpose;
use crate::report;
use crate::request::Root;
use crate::supervise::Signals;
use crate::tree::Tree;

/// Makes one, or does what was asked for with those that there are.
pub(super) fn snapshot(context: &Context, args: &args::Snapshot) -> Result<u8, Error> {
    need_root(&format!("snapshot {}", args.name))?;
    match &args.snapshot {
        None => tell(context, &args.name),
        Some(snapshot) if args.remove => take(context, &args.name, snapshot, args.yes),
        Some(snapshot) => keep(context, &args.name, snapshot),
    }
}

/// A subhost that is stopped, and what it is made of.
pub(super) fn parts(context: &Context, name: &Name, purpose: Purpose) -> Result<(Parts, Tree), Error> {
    let parts = Parts::of(context, name.clone(), purpose)?;
    let tree = parts.tree.clone().ok_or_else(|| no_layers(name))?;
    Ok((parts, tree))
}

/// What a subhost is made of that may run.
pub(super) fn tree_of(context: &Context, name: &Name) -> Result<Tree, Error> {
    let layout = &context.layout;
    if !layout.is_known(name) {
        return Err(unknown(name));
    }
    if !layout.is_tree_alone(name) {
        return Err(no_layers(name));
    }
    let loaded = Loaded::of_tree(layout, context.config.as_deref(), name, context.how)?;
    match start::request(context, name.clone(), &loaded)?.root {
        Root::Lingering(tree) => Ok(tree),
        _ => Err(no_layers(name)),
    }
}

fn no_layers(name: &Name) -> Error {
    let complaint = Complaint::new(format!("subhost {name}: has disks, and no layers"));
    Error::refused(complaint.hint(format!("subhostctl clone {name} NEW copies them")))
}

/// Copies what is its own.
fn keep(context: &Context, name: &Name, snapshot: &Name) -> Result<u8, Error> {
    let (_parts, tree) = parts(context, name, Purpose::Read)?;
    let (signals, progress) = (Signals::block()?, Progress::new(context.quiet));
    let place = make(&tree, name, snapshot, Copying { signals: &signals, progress: &progress })?;
    drop(progress);
    report::note(context.quiet, &format!("{name}: is kept as {}", place.display()));
    Ok(0)
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    snapshots: Vec<Snapshot>,
}

fn tell(context: &Context, name: &Name) -> Result<u8, Error> {
    let snapshots = list(&tree_of(context, name)?)?;
    if context.json {
        report::print_json(&Shown { name: name.as_str(), snapshots })?;
        return Ok(0);
    }
    let row = |Snapshot { name, made, bytes }: &Snapshot| {
        let made = UNIX_EPOCH + Duration::from_secs(u64::try_from(*made).unwrap_or(0));
        let size = bytes.map_or_else(|| "?".to_owned(), |bytes| format!("{} MiB", bytes.div_ceil(args::MIB)));
        vec![name.clone(), rfc3339(made), size]
    };
    let rows: Vec<_> = snapshots.iter().map(row).collect();
    report::print(&report::table(context.colour, &["SNAPSHOT", "MADE", "SIZE"], &rows))?;
    Ok(0)
}

/// Removes one. The subhost itself may run: it does not use it.
fn take(context: &Context, name: &Name, snapshot: &Name, yes: bool) -> Result<u8, Error> {
    let (layout, tree) = (&context.layout, tree_of(context, name)?);
    let lock = lock_name(layout, name).step(format!("lock the name {name}"))?;
    let _lock = lock.ok_or_else(|| {
        Error::refused(Complaint::new(format!("subhost {name}: {}", held_by_another(layout, name))))
    })?;
    let place = find(&tree, name, snapshot)?;
    demand_unused(&place, &bases(context)?)?;
    if !yes && !confirmed(&format!("remove {}", place.display()))? {
        report::note(context.quiet, "nothing is removed");
        return Ok(1);
    }
    take_away(&tree, &place)?;
    report::note(context.quiet, &format!("{name}: snapshot {snapshot} is removed"));
    Ok(0)
}

/// Of each subhost that `start` starts the layers that it only reads, as far as its configuration can be read.
fn bases(context: &Context) -> Result<Vec<(Name, Vec<PathBuf>)>, Error> {
    let names = context.layout.trees().step("list the subhosts")?;
    let base = |name: Name| {
        let loaded = Loaded::of_tree(&context.layout, None, &name, context.how).ok()?;
        Some((name, loaded.config?.base.value))
    };
    Ok(names.into_iter().filter_map(base).collect())
}
