//! What a guest's tree says about itself: its inits, its start scripts, its fstab. Read as data, always inside.

use std::path::Path;

use subhost_mount::rootdir::{FileKind, RootDir};

use crate::error::Complaint;

/// Start scripts of sysvinit, where our PID 1 looks for them.
pub const RCS: &str = "/etc/init.d/rcS";
/// The script that changes the run level.
pub const RC: &str = "/etc/init.d/rc";
/// Where a guest's own init may be, the likeliest first.
const INITS: [&str; 6] = [
    "/sbin/init",
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
    "/sbin/openrc-init",
    "/sbin/runit-init",
    "/init",
];
/// Longest fstab that is read, in bytes.
const FSTAB_MAX_BYTES: u64 = 64 << 10;

/// True if there is a start script for our PID 1 to run.
pub fn has_start_scripts(root: &RootDir) -> bool {
    [RCS, RC].iter().any(|path| is_file(root, path))
}

/// The guest's own init, with what it links to.
pub fn own_init(root: &RootDir) -> Option<(&'static str, String)> {
    INITS.into_iter().find(|path| is_file(root, path)).map(|path| {
        let target = root
            .read_link(Path::new(path))
            .map_or_else(|_| path.to_owned(), |target| target.display().to_string());
        (path, target)
    })
}

fn is_file(root: &RootDir, path: &str) -> bool {
    matches!(root.kind(Path::new(path)), Ok(Some(FileKind::File)))
}

/// The complaint about an init that is not there; `None` if it is.
pub fn missing_init(root: &RootDir, path: &str) -> Option<Complaint> {
    if is_file(root, path) {
        return None;
    }
    let complaint = Complaint::new(format!("INIT={path}: the root file system has no such program"));
    Some(match own_init(root) {
        Some((own, _)) => complaint.hint(format!("its init is {own}")),
        None => complaint.hint("is this the right partition?"),
    })
}

/// The complaint about a guest that our PID 1 cannot start.
pub fn no_start_scripts(root: &RootDir) -> Complaint {
    let what = format!("the root file system has neither {RCS} nor {RC}");
    match own_init(root) {
        Some((path, target)) if path == target => Complaint::new(format!("{what}; its init is {path}"))
            .hint(format!("write INIT={path} to run that as PID 1, or INIT=auto")),
        Some((path, target)) => Complaint::new(format!("{what}; its init is {path}, a link to {target}"))
            .hint(format!("write INIT={path} to run that as PID 1, or INIT=auto")),
        None => Complaint::new(format!("{what}, and no init: none of {}", INITS.join(" ")))
            .hint("is this the right partition?"),
    }
}

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

impl FstabEntry {
    /// True if it means this file system.
    pub fn matches(&self, node: &str, uuid: Option<&str>, label: Option<&str>) -> bool {
        let value = |key: &str| self.source.strip_prefix(key).map(|value| value.trim_matches('"'));
        self.source.strip_prefix("/dev/") == Some(node)
            || value("UUID=")
                .or_else(|| value("/dev/disk/by-uuid/"))
                .is_some_and(|found| uuid.is_some_and(|uuid| uuid.eq_ignore_ascii_case(found)))
            || value("LABEL=")
                .or_else(|| value("/dev/disk/by-label/"))
                .is_some_and(|found| label == Some(found))
    }

    /// True if the option is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|found| found == option)
    }
}

/// Reads the guest's fstab; a guest without one has no lines.
pub fn fstab(root: &RootDir) -> Vec<FstabEntry> {
    root.read_small(Path::new("/etc/fstab"), FSTAB_MAX_BYTES)
        .map_or_else(|_| Vec::new(), |bytes| parse_fstab(&bytes))
}

/// Parses an fstab; lines that are not entries are left out.
pub fn parse_fstab(bytes: &[u8]) -> Vec<FstabEntry> {
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

    #[test]
    fn fstab_entries_are_found_by_device_uuid_and_label() {
        let table = parse_fstab(
            b"# comment\n/dev/vda1 / ext4 errors=remount-ro 0 1\n\nUUID=AB-cd /srv/my\\040data ext4 ro,noauto 0 2\n\
              LABEL=\"data\" /data ext4\nnone swap swap sw 0 0\n",
        );
        assert_eq!(table.len(), 3);
        assert!(table[0].matches("vda1", None, None));
        assert!(!table[0].matches("vda", None, None));
        assert_eq!(table[1].target, "/srv/my data");
        assert!(table[1].has("noauto") && table[1].has("ro"));
        assert!(table[1].matches("vdb1", Some("ab-CD"), None));
        assert!(table[2].matches("vdb1", None, Some("data")));
        assert!(!table[2].matches("vdb1", None, Some("other")));
    }
}
