//! `snapshot`, `reset`, `diff` and `clone`: the layers of a subhost that `start` starts.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use subhost_mount::rootdir::RootDir;

use super::cp::Parts;
use super::delete::confirmed;
use super::{Context, need_root};
use crate::error::{Complaint, Context as _, Error};
use crate::images::layers::{
    Change, FRESH, Kind, diff as compare, exchange, make_fresh, open_base, remove, remove_fresh,
};
use crate::images::tool::copy;
use crate::images::{self, args};
use crate::layout::Name;
use crate::observe::Purpose;
use crate::report;
use crate::supervise::Signals;
use crate::tree::Tree;

/// Where snapshots are, in the subhost's folder; and one that is not whole.
const SNAPSHOTS: &str = "snapshot";
const UNFINISHED: &str = ".unfinished";

/// A subhost that is stopped, and what it is made of.
fn parts(context: &Context, name: &Name, purpose: Purpose) -> Result<(Parts, Tree), Error> {
    let parts = Parts::of(context, name.clone(), purpose)?;
    let tree = parts.tree.clone();
    let tree = tree.ok_or_else(|| {
        let complaint = Complaint::new(format!("subhost {name}: has disks, and no layers"));
        Error::refused(complaint.hint(format!("subhostctl clone {name} NEW copies them")))
    })?;
    Ok((parts, tree))
}

/// The file or folder that holds all that is the subhost's own, and what it is called in a snapshot.
fn own(tree: &Tree) -> (PathBuf, PathBuf) {
    let path = tree.image.clone().unwrap_or_else(|| tree.root.clone());
    let name = if tree.image.is_some() { "image" } else { "root" };
    (path, name.into())
}

/// Copies what is its own.
pub(super) fn snapshot(context: &Context, args: &args::Snapshot) -> Result<u8, Error> {
    need_root(&format!("snapshot {}", args.name))?;
    let (_parts, tree) = parts(context, &args.name, Purpose::Read)?;
    let signals = Signals::block()?;
    let folder = tree.folder.join(SNAPSHOTS);
    let (place, unfinished) = (folder.join(args.snapshot.as_str()), folder.join(UNFINISHED));
    let step = || format!("make {}", place.display());
    if place.symlink_metadata().is_ok() {
        return Err(Error::refused(
            Complaint::new(format!("snapshot {}: is there already", args.snapshot))
                .hint(format!("rm -r {} removes it", place.display())),
        ));
    }
    // The lock of the name is ours, so that nobody is at work there.
    remove(&unfinished)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&unfinished).step(step())?;
    let (path, name) = own(&tree);
    if let Err(error) = copy(&path, &unfinished.join(name), &signals) {
        remove(&unfinished)?;
        return Err(error);
    }
    fs::rename(&unfinished, &place).step(step())?;
    report::note(context.quiet, &format!("{}: is kept as {}", args.name, place.display()));
    Ok(0)
}

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
    let from = args.snapshot.as_ref().map(|it| tree.folder.join(SNAPSHOTS).join(it.as_str()).join(&name));
    if let Some(from) = from.as_ref().filter(|from| from.symlink_metadata().is_err()) {
        return Err(Error::refused(Complaint::new(format!("snapshot {}: is not there", from.display()))));
    }
    let what = format!("discard all that {} has changed", args.name);
    if !args.yes && !confirmed(&what)? {
        report::note(context.quiet, "nothing is changed");
        return Ok(1);
    }
    let signals = Signals::block()?;
    match (from, tree.image.is_some()) {
        (Some(from), true) => {
            let fresh = tree.folder.join(FRESH);
            remove(&fresh)?;
            copy(&from, &fresh, &signals).inspect_err(|_| drop(remove(&fresh)))?;
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
                    copy(&from, &fresh, &signals).inspect_err(|_| drop(remove(&fresh)))?;
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
    report::note(context.quiet, &format!("{}: is as it was", args.name));
    Ok(0)
}

fn split(path: &Path) -> Result<(RootDir, PathBuf), Error> {
    let step = || format!("open {}", path.display());
    let (above, name) = path.parent().zip(path.file_name()).ok_or("it has no name").step(step())?;
    Ok((RootDir::open(above).step(step())?, PathBuf::from(name)))
}

#[derive(Serialize)]
struct Shown {
    name: String,
    changes: Vec<Change>,
    notes: Vec<String>,
}

/// Shows what differs from the base.
pub(super) fn diff(context: &Context, args: &args::Diff) -> Result<u8, Error> {
    need_root(&format!("diff {}", args.name))?;
    let (parts, tree) = parts(context, &args.name, Purpose::Read)?;
    if tree.base.is_empty() {
        return Err(Error::refused(Complaint::new(format!("subhost {}: has no base", args.name))));
    }
    let (base, _kept) = open_base(&tree.base)?;
    let upper = match &parts.mount {
        Some(mount) => {
            let top = mount.root().step("open the image")?;
            RootDir::from_fd(top.open_path(Path::new("root")).step("open the layer")?)
        }
        None => match RootDir::open(&tree.root) {
            // It was never started.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOENT.raw_os_error()) => {
                return show(
                    context,
                    Shown { name: args.name.to_string(), changes: Vec::new(), notes: Vec::new() },
                );
            }
            other => other.step("open the layer")?,
        },
    };
    let (changes, notes) = compare(&base, &upper)?;
    show(context, Shown { name: args.name.to_string(), changes, notes })
}

fn show(context: &Context, shown: Shown) -> Result<u8, Error> {
    if context.json {
        report::print_json(&shown)?;
        return Ok(0);
    }
    let mut text = String::new();
    for Change { path, change } in &shown.changes {
        let letter = match change {
            Kind::Added => 'A',
            Kind::Changed => 'M',
            Kind::Removed => 'D',
        };
        text.push_str(&format!("{letter} {}\n", report::printable(&path.display().to_string())));
    }
    report::print(&text)?;
    shown.notes.iter().for_each(|note| report::note(context.quiet, note));
    Ok(0)
}

/// Makes a second one.
pub(super) fn clone(context: &Context, args: &args::Clone) -> Result<u8, Error> {
    need_root(&format!("clone {}", args.name))?;
    let parts = Parts::of(context, args.name.clone(), Purpose::Read)?;
    let signals = Signals::block()?;
    let source = images::Source {
        name: &args.name,
        tree: parts.tree.as_ref(),
        text: config_of(context, &args.name, parts.tree.as_ref())?,
        config: &parts.config,
    };
    let made = images::clone(&source, &args.new, &context.layout, &signals)?;
    for note in made {
        report::note(context.quiet, &note);
    }
    Ok(0)
}

/// The text of its configuration.
fn config_of(context: &Context, name: &Name, tree: Option<&Tree>) -> Result<String, Error> {
    let folder = tree.map_or_else(|| context.layout.root_dir.join(name.as_str()), |tree| tree.folder.clone());
    let path = context.config.clone().unwrap_or_else(|| folder.join("config"));
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other.step(format!("read {}", path.display())),
    }
}
