//! `DISKS`: `node:partition:image`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::spec_error::SpecError;
use crate::code;
use crate::visible::visible;

const FORM: &str =
    "write `node:partition:image`, as in `vda:1:/disks/disk1.raw` or `vda:LABEL=root:/disks/disk1.raw`";
/// What a partition is chosen by, other than its number.
const KEYS: [&str; 5] = ["LABEL", "UUID", "PARTLABEL", "PARTUUID", "PARTTYPE"];
/// Device names in the kernel are no longer (`DISK_NAME_LEN`).
const MAX_NODE_BYTES: usize = 32;
/// The kernel numbers no further (`DISK_MAX_PARTS` is 256).
const MAX_PARTITION: u32 = 255;
/// `PATH_MAX` without the NUL.
const MAX_PATH_BYTES: usize = 4095;

/// Nodes that every guest has in `/dev`, and that a disk must not take.
const RESERVED: &[&str] = &[
    "console", "core", "disk", "fd", "full", "initctl", "kmsg", "log", "mapper", "mem", "mqueue", "net",
    "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero",
];

/// Which part of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartitionChoice {
    /// The partition index that the kernel would give, from one; 0 for the whole image.
    Number(u32),
    /// `LABEL=…` or `UUID=…` of the file system in it, or `PARTLABEL=…`, `PARTUUID=…` or `PARTTYPE=…` of the partition,
    /// as it is written.
    By(String),
}

/// A partition of a disk image, and the device node that it gets in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// The disk's device name without `/dev/`: `vda`, `nvme0n1`.
    pub node: String,
    /// Which part of the image.
    pub partition: PartitionChoice,
    /// The host's image, an absolute path.
    pub image: PathBuf,
}

impl DiskSpec {
    /// Reads `node:partition:image`, split at the first two colons, so that the path may hold more. An empty
    /// partition is 0.
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        let wrong = |message: &str| SpecError::about(code::DISK, text, message);
        let mut parts = text.splitn(3, |&byte| byte == b':');
        let (Some(node), Some(partition), Some(image)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("is not a disk").with_hint(FORM));
        };
        let (node, partition) = (read_node(node)?, read_partition(partition)?);
        let image = read_image(image).map_err(|error| match partition {
            PartitionChoice::By(_) if !image.starts_with(b"/") => error.with_hint(format!(
                "a value behind {} cannot hold a colon; what is behind it is the image's full path",
                KEYS.map(|key| format!("{key}=")).join(", ")
            )),
            _ => error,
        })?;
        let spec = Self { node, partition, image };
        // Whichever number it will have.
        let name = match spec.partition {
            PartitionChoice::Number(_) => spec.node_name(),
            PartitionChoice::By(_) => spec.node_name_of(1),
        };
        if RESERVED.contains(&name.as_str()) || is_terminal(&name) {
            let message = format!("/dev/{name} is not a disk's name, the guest needs it");
            return Err(
                SpecError::new(code::DISK, message).with_hint("name the disk as in the VM: vda, sda…")
            );
        }
        Ok(spec)
    }

    /// The node's name as the kernel makes it: `vda1`, `nvme0n1p1` where the disk's name ends in a digit, and
    /// just the disk's name for the whole image, or where the partition's number is not known.
    pub fn node_name(&self) -> String {
        match self.partition {
            PartitionChoice::Number(number) => self.node_name_of(number),
            PartitionChoice::By(_) => self.node.clone(),
        }
    }

    /// The node's name if the partition has this number.
    pub fn node_name_of(&self, number: u32) -> String {
        let separator = if self.node.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
        match number {
            0 => self.node.clone(),
            number => format!("{}{separator}{number}", self.node),
        }
    }

    /// What [`DiskSpec::parse`] reads as the same, byte for byte.
    pub fn to_os_string(&self) -> OsString {
        OsString::from_vec(self.written())
    }

    pub(super) fn written(&self) -> Vec<u8> {
        let mut text = format!("{}:{}:", self.node, self.partition).into_bytes();
        text.extend_from_slice(self.image.as_os_str().as_bytes());
        text
    }
}

impl fmt::Display for DiskSpec {
    /// What [`DiskSpec::parse`] reads as the same, if the image's path is printable. Control characters and invalid
    /// UTF-8 in it are escaped, which is for people only; [`DiskSpec::to_os_string`] is exact for every path.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let image = visible(self.image.as_os_str().as_bytes());
        write!(formatter, "{}:{}:{image}", self.node, self.partition)
    }
}

impl fmt::Display for PartitionChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::By(text) => formatter.write_str(text),
        }
    }
}

fn read_node(text: &[u8]) -> Result<String, SpecError> {
    let wrong = |message: &str| SpecError::about(code::DISK, text, message);
    if text.is_empty() {
        return Err(SpecError::new(code::DISK, "the disk has no device name").with_hint(FORM));
    }
    if text.len() > MAX_NODE_BYTES {
        return Err(wrong(&format!("is longer than {MAX_NODE_BYTES} bytes, too long for a device name")));
    }
    let is_name = text[0].is_ascii_lowercase()
        && text.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match std::str::from_utf8(text) {
        Ok(name) if is_name => Ok(name.to_owned()),
        _ => {
            let hint = "a device name is small letters and digits, without `/dev/`: vda, sdb, nvme0n1";
            Err(wrong("is not a device name").with_hint(hint))
        }
    }
}

fn read_partition(text: &[u8]) -> Result<PartitionChoice, SpecError> {
    let number = match text {
        b"" => Some(0),
        _ if text.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(text).ok().and_then(|it| it.parse().ok())
        }
        _ => None,
    };
    let is_choice = |text: &&str| {
        let value = text.split_once('=').filter(|(key, _)| KEYS.contains(key)).map(|(_, value)| value);
        value.is_some_and(|value| !value.is_empty() && !value.contains(char::is_control))
    };
    let by = || std::str::from_utf8(text).ok().filter(is_choice).map(str::to_owned);
    number
        .filter(|&number| number <= MAX_PARTITION)
        .map(PartitionChoice::Number)
        .or_else(|| by().map(PartitionChoice::By))
        .ok_or_else(|| {
            let hint = format!(
                "a partition is a number from 1 to {MAX_PARTITION}, or {} and a value; 0 or nothing is the whole image",
                KEYS.map(|key| format!("{key}=")).join(", ")
            );
            SpecError::about(code::DISK, text, "is not a partition").with_hint(hint)
        })
}

fn read_image(text: &[u8]) -> Result<PathBuf, SpecError> {
    let wrong = |message: &str| SpecError::about(code::DISK, text, message);
    match text {
        b"" => Err(SpecError::new(code::DISK, "the disk has no image").with_hint(FORM)),
        _ if text.len() > MAX_PATH_BYTES => Err(wrong("is too long for a path")),
        _ if text.contains(&0) => Err(wrong("holds a NUL byte and is not a path")),
        [b'/', .., b'/'] | [b'/'] => Err(wrong("is a directory, not an image")),
        [b'/', ..] => Ok(PathBuf::from(OsString::from_vec(text.to_vec()))),
        _ => Err(wrong("is a relative path").with_hint("write the image's full path, from `/` on")),
    }
}

/// `tty1`, `ttyS0`, `vcs1`, `ptyp0`, `loop0`.
fn is_terminal(node: &str) -> bool {
    ["tty", "pty", "vcs", "loop"].iter().any(|prefix| {
        node.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    })
}

/// What is wrong with disks beside each other (one device name, one part of an image), with the position of the
/// later one. Images are told apart by their paths alone, and what is chosen otherwise than by number by its text.
/// [`SubhostConfig::from_variables`](super::SubhostConfig::from_variables) has done this; it is for disks that come
/// from elsewhere.
pub fn check_disks(disks: &[DiskSpec]) -> Vec<(usize, SpecError)> {
    let mut nodes = BTreeMap::new();
    let mut images: BTreeMap<_, Vec<&PartitionChoice>> = BTreeMap::new();
    let mut errors = Vec::new();
    for (position, disk) in disks.iter().enumerate() {
        let name = disk.node_name();
        // Which number it will have, and so which name, the image tells.
        let known = matches!(disk.partition, PartitionChoice::Number(_));
        if known && let Some(before) = nodes.insert(name.clone(), position) {
            let message = format!("/dev/{name} is the device of disk {before} and of disk {position}");
            let hint = "disks are counted from 0; give each a device name of its own";
            errors.push((position, SpecError::new(code::DISK_CONFLICT, message).with_hint(hint)));
        }
        let used = images.entry(&disk.image).or_default();
        let whole = PartitionChoice::Number(0);
        let overlaps = |other: &&PartitionChoice| {
            **other == disk.partition || **other == whole || disk.partition == whole
        };
        if used.iter().any(overlaps) {
            let image = visible(disk.image.as_os_str().as_bytes());
            let message =
                format!("{image} is used twice: mounting the same blocks twice destroys the file system");
            errors.push((position, SpecError::new(code::DISK_CONFLICT, message)));
        }
        used.push(&disk.partition);
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn splits_at_the_first_two_colons() {
        let disk = DiskSpec::parse(b"vda:1:/disks/a:b.raw").unwrap();
        assert_eq!((disk.node.as_str(), &disk.partition), ("vda", &PartitionChoice::Number(1)));
        assert_eq!(disk.image, Path::new("/disks/a:b.raw"));
        assert_eq!(disk.to_string(), "vda:1:/disks/a:b.raw");
    }

    #[test]
    fn a_partition_is_chosen_by_what_it_is_called_too() {
        for choice in ["LABEL=my root", "UUID=0-1", "PARTLABEL=a=b", "PARTUUID=0a0b0c0d-01", "PARTTYPE=root"]
        {
            let text = format!("nvme0n1:{choice}:/disks/a:b.raw");
            let disk = DiskSpec::parse(text.as_bytes()).unwrap();
            assert_eq!(disk.partition, PartitionChoice::By(choice.to_owned()));
            assert_eq!(disk.image, Path::new("/disks/a:b.raw"));
            assert_eq!((disk.node_name(), disk.node_name_of(3)), ("nvme0n1".into(), "nvme0n1p3".into()));
            assert_eq!(disk.to_string(), text);
        }
        let colon = DiskSpec::parse(b"vda:LABEL=a:b:/disks/a.raw").unwrap_err();
        assert_eq!(colon.to_string(), "`b:/disks/a.raw` is a relative path");
        assert!(colon.hint().unwrap().contains("cannot hold a colon"), "{colon:?}");
    }

    #[test]
    fn names_nodes_as_the_kernel_does() {
        for (spec, name) in [
            ("vda:1:/a", "vda1"),
            ("vda:0:/a", "vda"),
            ("vda::/a", "vda"),
            ("xvdb:15:/a", "xvdb15"),
            ("nvme0n1:1:/a", "nvme0n1p1"),
            ("nvme0n1::/a", "nvme0n1"),
            ("mmcblk0:2:/a", "mmcblk0p2"),
        ] {
            assert_eq!(DiskSpec::parse(spec.as_bytes()).unwrap().node_name(), name, "{spec}");
        }
    }

    #[test]
    fn refuses_what_is_no_disk() {
        for (spec, message) in [
            ("", "`` is not a disk"),
            ("vda", "`vda` is not a disk"),
            ("vda:1", "`vda:1` is not a disk"),
            (":1:/a", "the disk has no device name"),
            ("/dev/vda:1:/a", "`/dev/vda` is not a device name"),
            ("Vda:1:/a", "`Vda` is not a device name"),
            ("1a:1:/a", "`1a` is not a device name"),
            ("vda\x1b[0m:1:/a", "`vda\\x1b[0m` is not a device name"),
            ("vda:x:/a", "`x` is not a partition"),
            ("vda:+1:/a", "`+1` is not a partition"),
            ("vda:256:/a", "`256` is not a partition"),
            ("vda:99999999999999999999:/a", "`99999999999999999999` is not a partition"),
            ("vda:LABEL=:/a", "`LABEL=` is not a partition"),
            ("vda:label=a:/a", "`label=a` is not a partition"),
            ("vda:LABEL=\x1b:/a", "`LABEL=\\x1b` is not a partition"),
            ("vda:1:", "the disk has no image"),
            ("vda:1:a.raw", "`a.raw` is a relative path"),
            ("vda:1:/disks/", "`/disks/` is a directory, not an image"),
            ("vda:1:/", "`/` is a directory, not an image"),
            ("null::/a", "/dev/null is not a disk's name, the guest needs it"),
            ("tty:1:/a", "/dev/tty1 is not a disk's name, the guest needs it"),
            ("tty:LABEL=a:/a", "/dev/tty1 is not a disk's name, the guest needs it"),
        ] {
            assert_eq!(DiskSpec::parse(spec.as_bytes()).unwrap_err().to_string(), message, "{spec}");
        }
        let long = format!("v{}:1:/a", "d".repeat(32));
        assert!(DiskSpec::parse(long.as_bytes()).is_err());
    }

    #[test]
    fn refuses_disks_that_share_a_node_or_an_image() {
        let check = |specs: &[&str]| {
            let disks: Vec<_> = specs.iter().map(|spec| DiskSpec::parse(spec.as_bytes()).unwrap()).collect();
            check_disks(&disks).into_iter().map(|(position, _)| position).collect::<Vec<_>>()
        };
        assert!(check(&["vda:1:/a", "vda:2:/a", "vdb:1:/b"]).is_empty());
        assert_eq!(check(&["vda:1:/a", "vda:1:/b"]), [1]);
        assert_eq!(check(&["vda:1:/a", "vdb:1:/a"]), [1]);
        assert_eq!(check(&["vda:1:/a", "vdb::/b", "vdc::/a"]), [2]);
        assert!(check(&["vda:LABEL=a:/a", "vda:LABEL=b:/a", "vda:1:/b"]).is_empty());
        assert_eq!(check(&["vda:LABEL=a:/a", "vdb:LABEL=a:/a"]), [1]);
        assert_eq!(check(&["vda:LABEL=a:/a", "vdb::/a"]), [1]);
    }
}
