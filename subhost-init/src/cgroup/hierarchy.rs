//! Which hierarchies of cgroups this host has, and where they are mounted.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, ResolveFlags, fstatfs};

use super::directory::open_plain;

use crate::{Error, Result};

/// `f_type` of a hierarchy of version 1.
pub(super) const CGROUP_MAGIC: i64 = 0x0027_e0eb;
/// `f_type` of one of version 2.
pub(super) const CGROUP2_MAGIC: i64 = 0x6367_7270;
/// Where a hierarchy of version 2 usually is: alone, or beside those of version 1.
const USUAL: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The hierarchies that are mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// That of version 2.
    pub unified: Option<Unified>,
    /// Those of version 1, which some host still have, with or without one of version 2 beside them.
    pub legacy: Vec<Legacy>,
}

/// The hierarchy of version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Its controllers: those that no hierarchy of version 1 has.
    pub controllers: Vec<String>,
}

/// A hierarchy of version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Its controllers.
    pub controllers: Vec<String>,
}

impl Hierarchies {
    /// Looks at all that are mounted where the caller is.
    ///
    /// # Errors
    /// [`Error::System`]: `/proc/self/mountinfo` cannot be read.
    pub fn observe() -> Result<Hierarchies> {
        let text = fs::read("/proc/self/mountinfo").map_err(|source| Error::System {
            operation: "read",
            object: "/proc/self/mountinfo".to_owned(),
            source,
        })?;
        let mut found = Hierarchies::parse(&text);
        // What something else is mounted over is in the table still.
        found.legacy.retain(|it| is_hierarchy(&it.mount_point, CGROUP_MAGIC));
        found.unified = found.unified.filter(|it| is_hierarchy(&it.mount_point, CGROUP2_MAGIC));
        if let Some(unified) = &mut found.unified {
            unified.controllers = controllers(&unified.mount_point);
        }
        Ok(found)
    }

    /// Looks for the one of version 2 alone, first where it usually is: all that a guest without limits needs, and found
    /// without reading a long table of mounts.
    ///
    /// # Errors
    /// As [`Hierarchies::observe`].
    pub fn observe_unified() -> Result<Hierarchies> {
        for place in USUAL.map(Path::new) {
            if is_hierarchy(place, CGROUP2_MAGIC) {
                let unified = Unified { mount_point: place.to_owned(), controllers: controllers(place) };
                return Ok(Hierarchies { unified: Some(unified), legacy: Vec::new() });
            }
        }
        Hierarchies::observe()
    }

    /// Reads the text of `/proc/self/mountinfo` (proc(5)). The controllers of version 2 do not stand there.
    #[must_use]
    pub fn parse(mountinfo: &[u8]) -> Hierarchies {
        let mut found = Hierarchies::default();
        let mounts: Vec<Mount<'_>> =
            mountinfo.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect();
        // A part of a hierarchy, as in a container, is second best.
        let (whole, parts): (Vec<_>, Vec<_>) = mounts.iter().partition(|mount| mount.root == b"/");
        for mount in whole.into_iter().chain(parts) {
            let mount_point = PathBuf::from(OsStr::from_bytes(&mount.point));
            match mount.kind {
                b"cgroup2" if found.unified.is_none() => {
                    found.unified = Some(Unified { mount_point, controllers: Vec::new() });
                }
                b"cgroup" => {
                    let options = mount.options.split(|byte| *byte == b',').map(String::from_utf8_lossy);
                    let controllers: Vec<String> =
                        options.filter(|it| CONTROLLERS.contains(&&**it)).map(Into::into).collect();
                    if controllers.first().is_some_and(|it| found.legacy_with(it).is_none()) {
                        found.legacy.push(Legacy { mount_point, controllers });
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The hierarchy of version 1 that has a controller.
    #[must_use]
    pub fn legacy_with(&self, controller: &str) -> Option<&Legacy> {
        self.legacy.iter().find(|it| it.controllers.iter().any(|name| name == controller))
    }
}

/// The controllers of version 1 that are asked for anything here, or may be mounted together with one that is.
const CONTROLLERS: [&str; 11] = [
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "net_cls", "net_prio",
    "hugetlb",
];

struct Mount<'a> {
    root: &'a [u8],
    point: Vec<u8>,
    kind: &'a [u8],
    options: &'a [u8],
}

impl Mount<'_> {
    fn parse(line: &[u8]) -> Option<Mount<'_>> {
        let mut words = line.split(|byte| *byte == b' ');
        let root = words.nth(3)?;
        let point = unescape(words.next()?);
        words.find(|word| *word == b"-")?;
        let kind = words.next()?;
        let options = words.nth(1)?;
        Some(Mount { root, point, kind, options })
    }
}

/// Takes `\040` and the like back.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\').and_then(|digits| {
            digits.iter().try_fold(0_u8, |value, digit| {
                let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
                value.checked_mul(8)?.checked_add(digit)
            })
        });
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    bytes
}

fn is_hierarchy(place: &Path, magic: i64) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = open_plain(CWD, place, flags, ResolveFlags::NO_SYMLINKS);
    opened.and_then(fstatfs).is_ok_and(|stat| stat.f_type == magic)
}

/// None where they cannot be read: what needs one is then not enforced, which is said.
fn controllers(mount_point: &Path) -> Vec<String> {
    let text = fs::read(mount_point.join("cgroup.controllers")).unwrap_or_default();
    let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 master:2 - cgroup cgroup rw,cpu,cpuacct
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw
42 31 0:36 / /mnt/again rw - cgroup cgroup rw,pids
43 31 0:36 /docker/1 /mnt/other rw - cgroup cgroup rw,pids
43 31 0:39 /docker/1 /mnt/part rw - cgroup cgroup rw,memory
44 31 0:40 / /mnt/cgroup rw - tmpfs cgroup rw,blkio
";

    #[test]
    fn a_hybrid_host_has_both() {
        let found = Hierarchies::parse(HYBRID);
        assert_eq!(found.unified.as_ref().unwrap().mount_point, Path::new("/sys/fs/cgroup/uni fied"));
        let legacy: Vec<_> = found.legacy.iter().map(|it| it.controllers.join(",")).collect();
        assert_eq!(legacy, ["cpu,cpuacct", "pids", "memory"]);
        assert_eq!(found.legacy_with("pids").unwrap().mount_point, Path::new("/sys/fs/cgroup/pids"));
        assert_eq!(found.legacy_with("memory").unwrap().mount_point, Path::new("/mnt/part"));
        assert_eq!(found.legacy_with("blkio"), None);
    }

    #[test]
    fn a_host_of_version_2_has_that_alone() {
        let found = Hierarchies::parse(
            b"24 1 0:21 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup rw,nsdelegate",
        );
        assert_eq!(found.unified.unwrap().mount_point, Path::new("/sys/fs/cgroup"));
        assert_eq!(found.legacy, []);
    }

    #[test]
    fn no_text_and_any_text_is_a_host_without_cgroups() {
        let broken: [&[u8]; 4] = [b"", b"\n\n", b"1 2 3 / /x - cgroup2", b"\xff \xff - - - - - - cgroup2"];
        for text in broken {
            assert_eq!(Hierarchies::parse(text), Hierarchies::default());
        }
        assert_eq!(unescape(b"a\\040b\\134\\9\\77\\"), b"a b\\\\9\\77\\");
    }
}
