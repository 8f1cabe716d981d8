//! `delete`: the directory of a subhost that neither runs nor lingers.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use subhost_mount::image::{Access, Image};
use subhost_mount::mountinfo::MountTable;
use subhost_mount::rootdir::RootDir;

use super::{Context, need_root, unknown};
use crate::args;
use crate::error::{Complaint, Context as _, Error};
use crate::layout::{Layout, Name};
use crate::lock::{held_by_another, lock_name};
use crate::observe::{State, complaint_of, state_of};
use crate::report;

/// Asks, and deletes it.
pub(super) fn delete(context: &Context, args: &args::Delete) -> Result<u8, Error> {
    let (layout, name) = (&context.layout, &args.name);
    need_root(&format!("delete {name}"))?;
    let Some(_lock) = lock_name(layout, name).step(format!("lock the name {name}"))? else {
        let who = held_by_another(layout, name);
        return Err(Error::refused(Complaint::new(format!("subhost {name}: {who}"))));
    };
    demand_stopped(layout, name)?;
    let directory = directory_of(layout, name)?;
    let _image = demand_unused(name, &directory)?;
    if !args.yes && !confirmed(&format!("delete {} with all that is in it", directory.display()))? {
        report::note(context.quiet, "nothing is deleted");
        return Ok(1);
    }
    let step = || format!("delete {}", directory.display());
    let above = directory.parent().unwrap_or(Path::new("/"));
    let above = RootDir::open(above).step(step())?;
    above.remove_tree(Path::new(name.as_str())).step(step())?;
    report::note(context.quiet, &format!("{name}: {} is deleted", directory.display()));
    Ok(0)
}

fn demand_stopped(layout: &Layout, name: &Name) -> Result<(), Error> {
    let what = match state_of(layout, name).step(format!("read the record of {name}"))? {
        State::Stopped => return Ok(()),
        State::Running(_) => "runs",
        State::Lingering(_) => "lingers",
        State::Stale(_) => "has ended, but its names are left",
    };
    Err(Error::refused(
        Complaint::new(format!("subhost {name}: {what}"))
            .hint(format!("subhostctl stop {name} is to be done before")),
    ))
}

/// Its directory: that of a tree, or that of a configuration.
fn directory_of(layout: &Layout, name: &Name) -> Result<PathBuf, Error> {
    let directories = [layout.tree(name), layout.root_dir.join(name.as_str())];
    let mut there = directories.into_iter().filter(|directory| directory.symlink_metadata().is_ok());
    let Some(directory) = there.next() else { return Err(unknown(name)) };
    if let Some(other) = there.next().filter(|other| *other != directory) {
        return Err(Error::refused(
            Complaint::new(format!(
                "subhost {name}: has two, {} and {}",
                directory.display(),
                other.display()
            ))
            .hint("--root-dir / takes the first, --subhost-dir / the second"),
        ));
    }
    if !directory.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(Error::refused(Complaint::new(format!(
            "subhost {name}: {} is a link or a file, and no directory",
            directory.display()
        ))));
    }
    Ok(directory)
}

/// Demands that nothing is mounted in it, and that nobody has its image.
fn demand_unused(name: &Name, directory: &Path) -> Result<Option<Image>, Error> {
    let real = directory.canonicalize().step(format!("look at {}", directory.display()))?;
    let table = MountTable::read(None).step("list the mounts")?;
    let mounts: Vec<_> = table.below(&real).map(|mount| mount.mount_point.display().to_string()).collect();
    if !mounts.is_empty() {
        return Err(Error::refused(
            Complaint::new(format!(
                "subhost {name}: something is mounted in its directory: {}",
                mounts.join(", ")
            ))
            .hint(format!("umount {}", mounts.join(" "))),
        ));
    }
    let image = real.join(format!("{name}.img"));
    if !image.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    match Image::open(&image, Access::ReadWrite) {
        Err(error @ subhost_mount::Error::ImageInUse { .. }) => {
            Err(Error::refused(complaint_of(&format!("subhost {name}"), &error)))
        }
        // What is no image can be deleted too.
        other => Ok(other.ok()),
    }
}

/// Asks on the terminal; without one, it has to be said beforehand.
pub(super) fn confirmed(what: &str) -> Result<bool, Error> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Error::refused(
            Complaint::new(format!("{what}: nobody is there to be asked")).hint("--yes says it beforehand"),
        ));
    }
    report::say(&format!("{}? [y/N] ", report::printable(what)));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    input.read_line(&mut answer).step("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}
