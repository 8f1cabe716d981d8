//! What a guest's tree says about itself: its inits and its start scripts. Read as data, always inside.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use subhost_init::layout::{LAYOUTS, Layout};
use subhost_mount::rootdir::{FileKind, RootDir};

use crate::error::{Complaint, Context, Error};

/// Where a guest's commands are looked for.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of a start script is read at most, in bytes.
const LONGEST_SCRIPT: u64 = 1 << 16;
/// Where a guest's own init may be, the likeliest first.
const INITS: [&str; 6] = [
    "/sbin/init",
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
    "/sbin/openrc-init",
    "/sbin/runit-init",
    "/init",
];

/// Where the guest has its start scripts; `None` if it has none that our PID 1 could run.
pub fn layout(root: &RootDir) -> Option<&'static Layout> {
    let init = own_init(root).map(|(_, target)| target).unwrap_or_default();
    let init = init.rsplit('/').next().unwrap_or_default();
    LAYOUTS.iter().find(|layout| {
        layout.needs.iter().all(|path| is_file(root, path)) && (layout.init.is_empty() || layout.init == init)
    })
}

/// A script that says of itself what this one of the guest says, and does nothing; `None` for one that says nothing.
pub fn stand_in(root: &RootDir, path: &str) -> Option<String> {
    let script = root.read_small(Path::new(path), LONGEST_SCRIPT).ok()?;
    what_it_says(&String::from_utf8_lossy(&script))
}

/// The same of what is in a script.
pub fn what_it_says(script: &str) -> Option<String> {
    let between = |begin: &str, end: &str| {
        let mut lines = script.lines().skip_while(|line| !line.starts_with(begin));
        let mut block = String::new();
        loop {
            let line = lines.next()?;
            block += line;
            block += "\n";
            if line.starts_with(end) {
                return Some(block);
            }
        }
    };
    let first = script.lines().next()?;
    if first.starts_with("#!") && first.contains("openrc-run") {
        let depend = between("depend()", "}").unwrap_or_default();
        return Some(format!("{first}\n{depend}start() {{ :; }}\nstop() {{ :; }}\n"));
    }
    let header = between("### BEGIN INIT INFO", "### END INIT INFO")?;
    // What else stands there would be run.
    let header: String = header.split_inclusive('\n').filter(|line| line.starts_with('#')).collect();
    Some(format!("#!/bin/sh\n{header}exit 0\n"))
}

/// Where the guest has a command, as a shell there would find it; `None` where it has none.
///
/// # Errors
/// The tree at `live` cannot be opened.
pub fn find(live: &Path, command: &CStr) -> Result<Option<CString>, Error> {
    let root = RootDir::open(live).step("open the root file system")?;
    let is_program = |path: &[u8]| {
        let path = Path::new(OsStr::from_bytes(path));
        matches!(root.kind(path), Ok(Some(FileKind::File)))
            && root.metadata(path).is_ok_and(|found| found.mode & 0o111 != 0)
    };
    let command = command.to_bytes();
    let mut paths: Vec<Vec<u8>> =
        PATH.split(':').map(|directory| [directory.as_bytes(), b"/", command].concat()).collect();
    if command.contains(&b'/') {
        paths = vec![command.to_vec()];
    }
    let found = paths.into_iter().find(|path| is_program(path));
    Ok(found.and_then(|path| CString::new(path).ok()))
}

/// Where a command would be that is nowhere.
pub fn usual(command: &CStr) -> CString {
    let directory: &[u8] = if command.to_bytes().contains(&b'/') { b"" } else { b"/usr/bin/" };
    CString::new([directory, command.to_bytes()].concat())
        .expect("parts without zero bytes have none together")
}

/// The shell that somebody gets who asks for nothing else.
///
/// # Errors
/// The tree at `live` cannot be opened.
pub fn shell(live: &Path) -> Result<CString, Error> {
    let root = RootDir::open(live).step("open the root file system")?;
    let shells = [c"/bin/bash", c"/usr/bin/bash", c"/usr/local/bin/bash"];
    let bash = shells.into_iter().find(|path| path.to_str().is_ok_and(|path| is_file(&root, path)));
    Ok(bash.unwrap_or(c"/bin/sh").to_owned())
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

/// Whether an init of the guest is systemd.
pub fn is_systemd(root: &RootDir, init: &str) -> bool {
    let path = Path::new(init);
    let target = root.read_link(path).unwrap_or_else(|_| path.to_path_buf());
    target.file_name().is_some_and(|name| name == "systemd")
}

/// Spares systemd a unit that fails: flags of the root's mount cannot be lifted, which it would do as fstab has it.
///
/// # Errors
/// The guest's `/run` cannot be written to.
pub fn mask_remount(run: &RootDir, owner: u32) -> Result<(), subhost_mount::Error> {
    for directory in ["systemd", "systemd/system"].map(Path::new) {
        run.create_dir(directory, 0o755)?;
        run.chown(directory, owner, owner)?;
    }
    run.symlink(Path::new("/dev/null"), Path::new("systemd/system/systemd-remount-fs.service"))
}

/// The complaint about systemd that may not mount.
pub fn no_nesting(init: &str) -> Complaint {
    Complaint::new(format!("the guest's init {init} is systemd, which mounts file systems itself"))
        .hint("write NESTING=yes to let it")
}

/// The complaint about systemd on a host that has no cgroups for it.
pub fn no_cgroups() -> Complaint {
    Complaint::new("the guest's init is systemd, which needs a cgroup of version 2 that it can write to")
        .hint("boot it outside of any container")
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
    let scripts: Vec<&str> = LAYOUTS.iter().filter_map(|layout| layout.needs.first().copied()).collect();
    let what = format!("the root file system has no start scripts (none of {})", scripts.join(" "));
    match own_init(root) {
        Some((path, target)) if path == target => Complaint::new(format!("{what}; its init is {path}"))
            .hint(format!("write INIT={path} to run that as PID 1, or INIT=auto")),
        Some((path, target)) => Complaint::new(format!("{what}; its init is {path}, a link to {target}"))
            .hint(format!("write INIT={path} to run that as PID 1, or INIT=auto")),
        None => Complaint::new(format!("{what}, and no init: none of {}", INITS.join(" ")))
            .hint("is this the right partition?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_says_what_the_script_says_and_does_nothing() {
        let lsb = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: x\n### END INIT INFO\nrm -rf /\n";
        let said = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: x\n### END INIT INFO\nexit 0\n";
        assert_eq!(what_it_says(lsb).unwrap(), said);
        let openrc =
            "#!/sbin/openrc-run\ncommand=x\ndepend() {\n\tprovide dev\n}\nstart() {\n\trm -rf /\n}\n";
        let said = "#!/sbin/openrc-run\ndepend() {\n\tprovide dev\n}\nstart() { :; }\nstop() { :; }\n";
        assert_eq!(what_it_says(openrc).unwrap(), said);
    }

    #[test]
    fn nothing_in_a_header_is_run() {
        let odd = "### BEGIN INIT INFO\n# Provides: x\nrm -rf /\n### END INIT INFO\n";
        let said = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: x\n### END INIT INFO\nexit 0\n";
        assert_eq!(what_it_says(odd).unwrap(), said);
    }

    #[test]
    fn a_script_that_says_nothing_has_no_stand_in() {
        for script in ["", "#!/bin/sh\nexit 0\n", "### BEGIN INIT INFO\n# Provides: x\n"] {
            assert_eq!(what_it_says(script), None, "{script}");
        }
    }
}
