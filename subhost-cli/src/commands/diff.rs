//! `diff`: what a subhost that `start` starts has changed of its base.

use std::path::Path;

use serde::Serialize;
use subhost_mount::rootdir::RootDir;

use super::live::{Live, Still};
use super::snapshot::{parts, tree_of};
use super::{Context, need_root};
use crate::error::{Complaint, Context as _, Error};
use crate::images::args;
use crate::images::layers::{Change, Kind, diff as compare, open_base};
use crate::observe::Purpose;
use crate::report;
use crate::tree::Tree;

#[derive(Serialize)]
struct Shown {
    name: String,
    changes: Vec<Change>,
    notes: Vec<String>,
}

/// Shows what differs from the base.
pub(super) fn diff(context: &Context, args: &args::Diff) -> Result<u8, Error> {
    need_root(&format!("diff {}", args.name))?;
    let name = args.name.to_string();
    if let Some(live) = Live::of(context, &args.name, Still::No)? {
        demand_base(&live.tree, &name)?;
        let upper = RootDir::open(&live.tree.root).step("open the layer")?;
        let (changes, mut notes) = changes(&live.tree, &upper)?;
        if !live.is_still() {
            notes.push(format!("{name}: runs, and what it changes meanwhile may be missing"));
        }
        return show(context, Shown { name, changes, notes });
    }
    demand_base(&tree_of(context, &args.name)?, &name)?;
    let (parts, tree) = parts(context, &args.name, Purpose::Read)?;
    let upper = match &parts.mount {
        Some(mount) => {
            let top = mount.root().step("open the image")?;
            RootDir::from_fd(top.open_path(Path::new("root")).step("open the layer")?)
        }
        None => match RootDir::open(&tree.root) {
            // It was never started.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOENT.raw_os_error()) => {
                return show(context, Shown { name, changes: Vec::new(), notes: Vec::new() });
            }
            other => other.step("open the layer")?,
        },
    };
    let (changes, notes) = changes(&tree, &upper)?;
    show(context, Shown { name, changes, notes })
}

fn demand_base(tree: &Tree, name: &str) -> Result<(), Error> {
    match tree.base.is_empty() {
        true => Err(Error::refused(Complaint::new(format!("subhost {name}: has no base")))),
        false => Ok(()),
    }
}

fn changes(tree: &Tree, upper: &RootDir) -> Result<(Vec<Change>, Vec<String>), Error> {
    let (base, _kept) = open_base(&tree.base)?;
    compare(&base, upper)
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
