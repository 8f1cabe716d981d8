//! A second subhost that is as another one: its own files, sharing their blocks where the file system can.

use std::fs;
use std::path::{Path, PathBuf};

use subhost_config::SubhostConfig;
use subhost_config::schema::PartitionChoice;
use subhost_mount::image::{Access, Image};

use super::progress::Progress;
use super::site::Site;
use super::tool::Copying;
use crate::error::{Complaint, Context, Error};
use crate::layout::{Layout, Name};
use crate::observe::complaint_of;
use crate::shell;
use crate::supervise::Signals;
use crate::tree::Tree;

/// One that is stopped, and is kept from being started.
pub struct Source<'a> {
    /// Its name.
    pub name: &'a Name,
    /// What it is made of, if `start` starts it.
    pub tree: Option<&'a Tree>,
    /// The text of its configuration.
    pub text: String,
    /// What that means.
    pub config: &'a SubhostConfig,
}

/// Makes it; returns what is to be told.
///
/// # Errors
/// The step that failed; then nothing is left.
pub fn clone(
    source: &Source<'_>,
    new: &Name,
    layout: &Layout,
    signals: &Signals,
    progress: &Progress,
) -> Result<Vec<String>, Error> {
    let above = if source.tree.is_some() { &layout.subhost_dir } else { &layout.root_dir };
    let copying = Copying { signals, progress };
    let site = Site::begin(layout, new, above)?;
    let place = above.join(new.as_str());
    let mut more = format!("HOSTNAME={new}\n");
    match source.tree {
        Some(tree) => copy_tree(tree, new, &site.directory, copying)?,
        None => more.push_str(&copy_disks(source, &place, &site.directory, copying)?),
    }
    let mut notes = vec![format!("{new}: is made: {}", place.display())];
    if !source.config.cables.value.is_empty() {
        // Without an address each has one of its own.
        let cables = source.config.cables.value.iter();
        let words: Vec<String> = cables
            .map(|cable| shell::quote(format!("{}:", cable.bridge.as_deref().unwrap_or_default())))
            .collect();
        more.push_str(&format!("BRIDGES=( {} )\n", words.join(" ")));
        notes.push(format!("{new}: its cables have MAC addresses of their own"));
    }
    if !source.config.addresses.value.is_empty() {
        notes.push(format!("{new}: has the ADDRESSES of {}, which is to be changed", source.name));
    }
    let config = site.directory.join("config");
    let text =
        format!("{}\n# Of this one, which is a copy of {}:\n{more}", source.text.trim_end(), source.name);
    fs::write(&config, text.trim_start()).step(format!("write {}", config.display()))?;
    site.finish()?;
    Ok(notes)
}

fn copy_tree(tree: &Tree, new: &Name, directory: &Path, copying: Copying<'_>) -> Result<(), Error> {
    if let Some(image) = &tree.image {
        return copying.copy(image, &directory.join(format!("{new}.img")));
    }
    if tree.root != tree.directory.join("root") {
        return Err(Error::refused(
            Complaint::new(format!("ROOT={}: lies elsewhere, and is not copied", tree.root.display()))
                .hint("a subhost that has its root in its own directory can be"),
        ));
    }
    // With a base it may never have been started.
    if tree.root.exists() { copying.copy(&tree.root, &directory.join("root")) } else { Ok(()) }
}

/// Copies images, and returns the setting that names the copies.
fn copy_disks(
    source: &Source<'_>,
    place: &Path,
    directory: &Path,
    copying: Copying<'_>,
) -> Result<String, Error> {
    let mut copied: Vec<(&PathBuf, PathBuf)> = Vec::new();
    let mut words = Vec::new();
    for disk in &source.config.disks.value {
        let name = match copied.iter().find(|(image, _)| *image == &disk.image) {
            Some((_, name)) => name.clone(),
            None => {
                let refused = |error| Error::refused(complaint_of(&format!("disk {}", disk.node), &error));
                let image = Image::open(&disk.image, Access::ReadOnly).map_err(refused)?;
                if image.is_block_device() {
                    let what = format!(
                        "disk {}: {} is a device, and is not copied",
                        disk.node,
                        disk.image.display()
                    );
                    return Err(Error::refused(Complaint::new(what)));
                }
                let name = PathBuf::from(format!("{}.img", disk.node));
                copying.copy(&disk.image.canonicalize().step("name the image")?, &directory.join(&name))?;
                copied.push((&disk.image, name.clone()));
                name
            }
        };
        let part = match &disk.partition {
            PartitionChoice::Number(number) => number.to_string(),
            PartitionChoice::By(text) => text.clone(),
        };
        let place = std::path::absolute(place).step("name the copy")?.join(name);
        words.push(shell::quote(format!("{}:{part}:{}", disk.node, place.display())));
    }
    Ok(format!("DISKS=( {} )\n", words.join(" ")))
}
