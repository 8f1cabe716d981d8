//! The mounts of a process, as `/proc/PID/mountinfo` tells them (`proc_pid_mountinfo(5)`).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Its id.
    pub id: u32,
    /// The id of the mount that it is on.
    pub parent: u32,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// What of the file system is mounted.
    pub root: PathBuf,
    /// Where, seen from the process's root.
    pub mount_point: PathBuf,
    /// The mount's options: `rw,nodev,relatime`.
    pub options: String,
    /// The optional fields, as `shared:1`.
    pub tags: Vec<String>,
    /// The file system type.
    pub kind: String,
    /// The source.
    pub source: OsString,
    /// The file system's options.
    pub super_options: OsString,
}

impl MountEntry {
    /// Whether the mount has this option: `nodev`.
    #[must_use]
    pub fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|one| one == option)
    }
}

/// The mounts of one mount namespace, in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountTable {
    /// The mounts.
    pub entries: Vec<MountEntry>,
}

impl MountTable {
    /// Reads the mounts of process `pid`, or of the calling thread.
    ///
    /// # Errors
    /// [`Error::System`] when there is no such process, or it is not ours to look at.
    pub fn read(pid: Option<u32>) -> Result<MountTable> {
        let path = match pid {
            Some(pid) => format!("/proc/{pid}/mountinfo"),
            // Not /proc/self: that is the first thread, which may be in another namespace.
            None => "/proc/thread-self/mountinfo".to_owned(),
        };
        let text = fs::read(&path).map_err(|source| Error::system("read", &path, source))?;
        Ok(MountTable { entries: parse(&text) })
    }

    /// The mounts at `path`, the topmost last.
    pub fn at<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a MountEntry> {
        self.entries.iter().filter(move |entry| entry.mount_point == path)
    }

    /// The mounts at and below `path`, in the order in which they can be unmounted.
    pub fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a MountEntry> {
        // The kernel lists parents before their children.
        self.entries.iter().rev().filter(move |entry| entry.mount_point.starts_with(path))
    }

    /// The mounts of the file system on the device of number `device`, as `st_dev` has it.
    pub fn of_device(&self, device: u64) -> impl Iterator<Item = &MountEntry> {
        let parts = (rustix::fs::major(device), rustix::fs::minor(device));
        self.entries.iter().filter(move |entry| entry.device == parts)
    }
}

/// Reads the text of a mountinfo file; a line that is not as it should be is left out.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<MountEntry> {
    text.split(|&byte| byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = fields.next()?;
    let colon = device.iter().position(|&byte| byte == b':')?;
    let device = (number(&device[..colon])?, number(&device[colon + 1..])?);
    let root = unescape(fields.next()?).into();
    let mount_point = unescape(fields.next()?).into();
    let options = text_of(fields.next()?);
    let tags = fields.by_ref().take_while(|field| *field != b"-").map(text_of).collect();
    Some(MountEntry {
        id,
        parent,
        device,
        root,
        mount_point,
        options,
        tags,
        kind: unescape(fields.next()?).to_string_lossy().into_owned(),
        source: unescape(fields.next()?),
        super_options: unescape(fields.next()?),
    })
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn text_of(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

/// Undoes the kernel's escapes: a backslash and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if byte == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line =
            b"36 35 98:0 /mnt1 /mnt2 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue\n";
        let entries = parse(line);
        assert_eq!(entries.len(), 1);
        let entry = &entries[0];
        assert_eq!((entry.id, entry.parent, entry.device), (36, 35, (98, 0)));
        assert_eq!(entry.root, Path::new("/mnt1"));
        assert_eq!(entry.mount_point, Path::new("/mnt2"));
        assert!(entry.has_option("noatime") && !entry.has_option("no"));
        assert_eq!(entry.tags, ["shared:1", "master:2"]);
        assert_eq!(entry.kind, "ext3");
        assert_eq!(entry.source, "/dev/root");
        assert_eq!(entry.super_options, "rw,errors=continue");
    }

    #[test]
    fn names_are_unescaped_once() {
        let line = br"1 0 0:1 / /a\040b\134040c\012 rw - tmpfs x\011y rw";
        assert_eq!(parse(line)[0].mount_point, Path::new("/a b\\040c\n"));
        assert_eq!(parse(line)[0].source, "x\ty");
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        for line in ["", "1 2", "x 0 0:1 / / rw - a b c", "1 0 01 / / rw - a b c", "1 0 0:1 / / rw a b c"] {
            assert_eq!(parse(line.as_bytes()), [], "{line}");
        }
    }

    #[test]
    fn mounts_are_listed_in_the_order_of_unmounting() {
        let text = b"1 0 0:1 / / rw - a a rw\n2 1 0:2 / /m rw - a a rw\n3 2 0:3 / /m/n rw - a a rw\n\
                     4 1 0:4 / /mm rw - a a rw\n";
        let table = MountTable { entries: parse(text) };
        let ids: Vec<u32> = table.below(Path::new("/m")).map(|entry| entry.id).collect();
        assert_eq!(ids, [3, 2]);
    }

    #[test]
    fn the_calling_thread_has_a_root_mount() {
        let table = MountTable::read(None).unwrap();
        assert!(table.at(Path::new("/")).next().is_some());
    }
}
