//! `partitions`: the partition table of an image.

use std::path::Path;

use serde::Serialize;
use subhost_mount::fstype::{Superblock, probe};
use subhost_mount::image::Image;
use subhost_mount::partition::{ByteRange, Partition, Scheme, discoverable_name};

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
    /// Whether the primary GPT is damaged.
    from_backup: bool,
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
    /// What the type says that it is for.
    type_name: Option<&'static str>,
    name: Option<String>,
    uuid: Option<String>,
    bootable: bool,
    filesystem: Option<String>,
    label: Option<String>,
    filesystem_uuid: Option<String>,
    /// Why it cannot be mounted.
    refusal: Option<String>,
}

impl ShownPartition {
    fn whole(range: ByteRange) -> ShownPartition {
        ShownPartition {
            index: 0,
            start_bytes: range.start,
            len_bytes: range.len,
            kind: String::new(),
            type_name: None,
            name: None,
            uuid: None,
            bootable: false,
            filesystem: None,
            label: None,
            filesystem_uuid: None,
            refusal: None,
        }
    }

    fn of(partition: &Partition) -> ShownPartition {
        ShownPartition {
            index: partition.index,
            kind: partition.type_code.clone(),
            type_name: discoverable_name(&partition.type_code),
            name: partition.name.clone(),
            uuid: partition.uuid.clone(),
            bootable: partition.bootable,
            ..ShownPartition::whole(partition.range())
        }
    }

    fn holding(self, found: Option<Superblock>) -> ShownPartition {
        let Some(found) = found else { return self };
        ShownPartition {
            refusal: found.refusal(),
            filesystem: Some(found.kind),
            label: found.label,
            filesystem_uuid: found.uuid,
            ..self
        }
    }
}

/// Shows the table, and the file system found in each partition.
pub(super) fn partitions(context: &Context, path: &Path) -> Result<u8, Error> {
    let shown = look(path)?;
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
                partition.type_name.map_or_else(|| partition.kind.clone(), str::to_owned),
                text(&partition.filesystem),
                text(&partition.label),
                text(&partition.filesystem_uuid),
                text(&partition.name),
                text(&partition.uuid),
            ]
        })
        .collect();
    report::print(&report::table(
        context.colour,
        &["INDEX", "START", "BYTES", "TYPE", "FILESYSTEM", "LABEL", "UUID", "PARTLABEL", "PARTUUID"],
        &rows,
    ))?;
    for partition in &shown.partitions {
        // That swap space is not mounted goes without saying.
        if let Some(reason) = &partition.refusal
            && partition.filesystem.as_deref() != Some("swap")
        {
            report::note(
                context.quiet,
                &format!("partition {} cannot be mounted: {reason}", partition.index),
            );
        }
    }
    for note in &shown.notes {
        report::note(context.quiet, note);
    }
    Ok(0)
}

fn look(path: &Path) -> Result<Shown, Error> {
    let refuse =
        |error: subhost_mount::Error| Error::refused(complaint_of(&path.display().to_string(), &error));
    let image = Image::open_unlocked(path).map_err(refuse)?;
    let table = image.partition_table().map_err(refuse)?;
    let found_in = |index: u32, range: ByteRange| {
        probe(image.reader(range), 0).step(format!("read {} partition {index}", path.display()))
    };
    let mut partitions = Vec::new();
    let whole = ByteRange { start: 0, len: image.len_bytes() };
    // The whole image is a choice only where it holds a file system itself.
    if let found @ Some(_) = found_in(0, whole)? {
        partitions.push(ShownPartition::whole(whole).holding(found));
    }
    for partition in &table.partitions {
        // An extended partition holds no file system, whatever lies at its beginning.
        let found =
            if table.is_extended(partition) { None } else { found_in(partition.index, partition.range())? };
        partitions.push(ShownPartition::of(partition).holding(found));
    }
    Ok(Shown {
        image: path.display().to_string(),
        scheme: match table.scheme {
            Scheme::Mbr => "mbr",
            Scheme::Gpt => "gpt",
            _ => "none",
        },
        sector_bytes: table.sector_size,
        disk_id: table.disk_id,
        from_backup: table.from_backup,
        partitions,
        notes: table.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An MBR with an extended partition and a logical one, in which is swap space.
    fn image() -> tempfile::NamedTempFile {
        let mut bytes = vec![0; 200 * 512];
        let mut record = |sector: usize, slot: usize, code: u8, start: u8, count: u8| {
            let entry = sector * 512 + 446 + 16 * slot;
            bytes[entry + 4] = code;
            (bytes[entry + 8], bytes[entry + 12]) = (start, count);
            bytes[sector * 512 + 510..sector * 512 + 512].copy_from_slice(&[0x55, 0xaa]);
        };
        record(0, 1, 5, 10, 150);
        record(10, 0, 0x82, 5, 100);
        let at = 15 * 512;
        bytes[at + 4086..at + 4096].copy_from_slice(b"SWAPSPACE2");
        bytes[at + 1036..at + 1052].fill(0x11);
        bytes[at + 1052..at + 1056].copy_from_slice(b"spac");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn all_of_a_table_is_shown() {
        let file = image();
        let shown = serde_json::to_value(look(file.path()).unwrap()).unwrap();
        let expected = json!({
            "image": file.path(),
            "scheme": "mbr",
            "sector_bytes": 512,
            "disk_id": "0x00000000",
            "from_backup": false,
            "partitions": [
                {
                    "index": 2, "start_bytes": 5120, "len_bytes": 76800, "type": "5", "type_name": null,
                    "name": null, "uuid": "00000000-02", "bootable": false, "filesystem": null, "label": null,
                    "filesystem_uuid": null, "refusal": null,
                },
                {
                    "index": 5, "start_bytes": 7680, "len_bytes": 51200, "type": "82", "type_name": null,
                    "name": null, "uuid": "00000000-05", "bootable": false, "filesystem": "swap",
                    "label": "spac", "filesystem_uuid": "11111111-1111-1111-1111-111111111111",
                    "refusal": "it is swap space",
                },
            ],
            "notes": [],
        });
        assert_eq!(shown, expected);
    }
}
