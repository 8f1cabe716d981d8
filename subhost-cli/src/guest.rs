//! What a guest's tree says about itself: its inits and its start scripts. Read as data, always inside.

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
