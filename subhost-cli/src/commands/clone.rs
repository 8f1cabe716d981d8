//! `clone`: a second subhost that is as one that is stopped.

use std::fs;
use std::io;

use super::cp::Parts;
use super::{Context, need_root};
use crate::error::{Context as _, Error};
use crate::images::progress::Progress;
use crate::images::{self, args};
use crate::layout::Name;
use crate::observe::Purpose;
use crate::report;
use crate::supervise::Signals;
use crate::tree::Tree;

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
    let progress = Progress::new(context.quiet);
    let made = images::clone(&source, &args.new, &context.layout, &signals, &progress)?;
    drop(progress);
    for note in made {
        report::note(context.quiet, &note);
    }
    Ok(0)
}

/// The text of its configuration.
fn config_of(context: &Context, name: &Name, tree: Option<&Tree>) -> Result<String, Error> {
    let directory =
        tree.map_or_else(|| context.layout.root_dir.join(name.as_str()), |tree| tree.directory.clone());
    let path = context.config.clone().unwrap_or_else(|| directory.join("config"));
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other.step(format!("read {}", path.display())),
    }
}
