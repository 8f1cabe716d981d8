//! The guest's fstab: which of its lines means which disk, and where that goes. Read as data, always inside.

use std::path::{Component, Path, PathBuf};

use subhost_mount::rootdir::RootDir;

use crate::plan::PlannedDisk;

/// Longest fstab that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Directories that every guest gets made for it, and that no disk may cover.
const MADE: [&str; 3] = ["/dev", "/proc", "/sys"];

/// A line of an fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FstabEntry {
    /// Device path, `UUID=…` or `LABEL=…`.
    pub source: String,
    /// Mount point.
    pub target: String,
    /// Options, split at commas.
    pub options: Vec<String>,
}

/// How a line names a disk, the most certain first: copies of one image share the others.
#[derive(Debug, Clone, Copy)]
enum By {
    Device,
    Uuid,
    Label,
}

impl FstabEntry {
    /// True if the option is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|found| found == option)
    }

    /// The mount point without `.` and `..`.
    ///
    /// # Errors
    /// Why no disk may be mounted there.
    pub fn place(&self) -> Result<PathBuf, &'static str> {
        let mut place = PathBuf::from("/");
        // As words: a mount point that is reached by a link is refused anyway.
        for part in Path::new(&self.target).components() {
            match part {
                Component::Normal(name) => place.push(name),
                Component::ParentDir => drop(place.pop()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        if MADE.iter().any(|directory| place.starts_with(directory)) {
            return Err("/dev, /proc and /sys are made for the guest");
        }
        Ok(place)
    }

    fn is_root(&self) -> bool {
        self.place().is_ok_and(|place| place == Path::new("/"))
    }

    fn names(&self, disk: &PlannedDisk, by: By) -> bool {
        let value = |keys: [&str; 2]| {
            let value = keys.iter().find_map(|key| self.source.strip_prefix(key));
            value.map(|value| value.trim_matches('"'))
        };
        match by {
            By::Device => self.source.strip_prefix("/dev/") == Some(&disk.node),
            By::Uuid => value(["UUID=", "/dev/disk/by-uuid/"])
                .is_some_and(|found| disk.uuid.as_ref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(found))),
            By::Label => value(["LABEL=", "/dev/disk/by-label/"])
                .is_some_and(|found| disk.label.as_deref() == Some(found)),
        }
    }
}

/// The line of each of these disks, which do not hold the root file system. No line is for two of them.
pub fn assign<'table>(table: &'table [FstabEntry], disks: &[PlannedDisk]) -> Vec<Option<&'table FstabEntry>> {
    let mut lines: Vec<&FstabEntry> = table.iter().filter(|entry| !entry.is_root()).collect();
    let mut assigned = vec![None; disks.len()];
    for by in [By::Device, By::Uuid, By::Label] {
        for (disk, line) in disks.iter().zip(&mut assigned).filter(|(_, line)| line.is_none()) {
            let found = lines.iter().position(|entry| entry.names(disk, by));
            *line = found.map(|found| lines.remove(found));
        }
    }
    assigned
}

/// Reads the guest's fstab; a guest without one has no lines.
pub fn read(root: &RootDir) -> Vec<FstabEntry> {
    root.read_small(Path::new("/etc/fstab"), MAX_BYTES).map_or_else(|_| Vec::new(), |bytes| parse(&bytes))
}

/// Parses an fstab; lines that are not entries are left out.
pub fn parse(bytes: &[u8]) -> Vec<FstabEntry> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().map(unescape);
            let (source, target) = (fields.next()?, fields.next()?);
            let options = fields.nth(1).unwrap_or_default().split(',').map(str::to_owned).collect();
            target.starts_with('/').then_some(FstabEntry { source, target, options })
        })
        .collect()
}

/// Undoes the octal escapes of blanks (fstab(5)).
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(node: &str, uuid: Option<&str>, label: Option<&str>) -> PlannedDisk {
        PlannedDisk {
            node: node.to_owned(),
            image: 0,
            loop_device: true,
            direct_io: false,
            partition: 1,
            start_bytes: 0,
            len_bytes: 0,
            filesystem: Some("ext4".to_owned()),
            label: label.map(str::to_owned),
            uuid: uuid.map(str::to_owned),
            attached: true,
            superblock: None,
        }
    }

    fn targets(table: &str, disks: &[PlannedDisk]) -> Vec<String> {
        let table = parse(table.as_bytes());
        let target = |entry: Option<&FstabEntry>| entry.map_or("-", |entry| &entry.target).to_owned();
        assign(&table, disks).into_iter().map(target).collect()
    }

    #[test]
    fn entries_are_found_by_device_uuid_and_label() {
        let table = parse(
            b"# comment\n/dev/vda1 / ext4 errors=remount-ro 0 1\n\nUUID=AB-cd /srv/my\\040data ext4 ro,noauto 0 2\n\
              LABEL=\"data\" /data ext4\nnone swap swap sw 0 0\n",
        );
        assert_eq!(table.len(), 3);
        assert_eq!(table[1].target, "/srv/my data");
        assert!(table[1].has("noauto") && table[1].has("ro"));
        let disks =
            [disk("vdb1", None, Some("data")), disk("vdc1", Some("ab-CD"), None), disk("vd", None, None)];
        assert_eq!(assign(&table, &disks), [Some(&table[2]), Some(&table[1]), None]);
    }

    #[test]
    fn copies_of_a_disk_are_told_apart_by_device_name_and_share_no_line() {
        let copies = [disk("vdb1", Some("ab"), Some("x")), disk("vdc1", Some("ab"), Some("x"))];
        for (table, expected) in [
            // The root file system's own line, where the further disks are copies of that.
            ("UUID=ab / ext4\n/dev/vdc1 /copy ext4\n", ["-", "/copy"]),
            ("UUID=ab /one ext4\n/dev/vdb1 /two ext4\n", ["/two", "/one"]),
            ("UUID=ab /one ext4\n", ["/one", "-"]),
            ("LABEL=x /one ext4\nUUID=ab /two ext4\n", ["/two", "/one"]),
            ("/dev/vdb1 /.. ext4\n", ["-", "-"]),
        ] {
            assert_eq!(targets(table, &copies), expected, "{table}");
        }
    }

    #[test]
    fn places_are_plain_and_not_those_made_for_the_guest() {
        for (target, place) in [
            ("/srv/data", Some("/srv/data")),
            ("/srv//data/./x/", Some("/srv/data/x")),
            ("/../../srv", Some("/srv")),
            ("/..", Some("/")),
            ("/device", Some("/device")),
            ("/dev", None),
            ("/srv/../dev/shm", None),
            ("/proc/sys", None),
            ("/sys/", None),
        ] {
            let entry = FstabEntry { source: String::new(), target: target.to_owned(), options: Vec::new() };
            assert_eq!(entry.place().ok().as_deref(), place.map(Path::new), "{target}");
        }
    }
}
