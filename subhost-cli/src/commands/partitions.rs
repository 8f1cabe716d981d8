//! `partitions`: the partition table of an image.

use std::path::Path;

use serde::Serialize;
use subhost_mount::fstype::probe;
use subhost_mount::image::Image;
use subhost_mount::partition::Scheme;

use super::Context;
use crate::error::{Context as _, Error};
use crate::observe::complaint_of;
use crate::report;

#[derive(Serialize)]
struct Shown {
    image: String,
    scheme: &'static str,
    sector_bytes: u32,
    disk_id: Option<String>,
    partitions: Vec<ShownPartition>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct ShownPartition {
    index: u32,
    start_bytes: u64,
    len_bytes: u64,
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    uuid: Option<String>,
    bootable: bool,
    filesystem: Option<String>,
    label: Option<String>,
    filesystem_uuid: Option<String>,
}

/// Shows the table, and the file system found in each partition.
pub(super) fn partitions(context: &Context, path: &Path) -> Result<u8, Error> {
    let refuse =
        |error: subhost_mount::Error| Error::refused(complaint_of(&path.display().to_string(), &error));
    let image = Image::open_unlocked(path).map_err(refuse)?;
    let table = image.partition_table().map_err(refuse)?;
    let mut shown = Shown {
        image: path.display().to_string(),
        scheme: match table.scheme {
            Scheme::Mbr => "mbr",
            Scheme::Gpt => "gpt",
            _ => "none",
        },
        sector_bytes: table.sector_size,
        disk_id: table.disk_id.clone(),
        partitions: Vec::new(),
        notes: table.notes.clone(),
    };
    let whole = [(0, 0, image.len_bytes(), String::new(), None, None, false)];
    let listed = table.partitions.iter().map(|partition| {
        (
            partition.index,
            partition.start_bytes,
            partition.len_bytes,
            partition.type_code.clone(),
            partition.name.clone(),
            partition.uuid.clone(),
            partition.bootable,
        )
    });
    for (index, start_bytes, len_bytes, kind, name, uuid, bootable) in whole.into_iter().chain(listed) {
        let range = subhost_mount::ByteRange { start: start_bytes, len: len_bytes };
        let found =
            probe(image.reader(range), 0).step(format!("read {} partition {index}", path.display()))?;
        // The whole image is a choice only where it holds a file system itself.
        if index == 0 && found.is_none() {
            continue;
        }
        shown.partitions.push(ShownPartition {
            index,
            start_bytes,
            len_bytes,
            kind,
            name,
            uuid,
            bootable,
            filesystem: found.as_ref().map(|found| found.kind.clone()),
            label: found.as_ref().and_then(|found| found.label.clone()),
            filesystem_uuid: found.as_ref().and_then(|found| found.uuid.clone()),
        });
    }
    if context.json {
        report::print_json(&shown)?;
        return Ok(0);
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = shown
        .partitions
        .iter()
        .map(|partition| {
            vec![
                partition.index.to_string(),
                partition.start_bytes.to_string(),
                partition.len_bytes.to_string(),
                partition.kind.clone(),
                text(&partition.filesystem),
                text(&partition.label),
                text(&partition.name),
            ]
        })
        .collect();
    report::print(&report::table(
        &["INDEX", "START", "BYTES", "TYPE", "FILESYSTEM", "LABEL", "NAME"],
        &rows,
    ))?;
    for note in &shown.notes {
        report::note(context.quiet, note);
    }
    Ok(0)
}
