//! `import`: a configuration from what somebody else's program has of a system.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Context;
use crate::args::{self, ImportFrom};
use crate::config::{Evaluated, How, Loaded};
use crate::error::{Complaint, Context as _, Error};
use crate::import::draft::Draft;
use crate::import::{ganeti, libvirt, lxc, nspawn, oci, overlay_boot, qemu, read};
use crate::layout::Name;
use crate::report;

/// Prints the configuration, or writes it where a subhost has it.
pub(super) fn import(context: &Context, args: &args::Import) -> Result<u8, Error> {
    let draft = draft(args)?.settled();
    for line in draft.left() {
        report::note(context.quiet, &format!("not carried over: {line}"));
    }
    let text = draft.text();
    let Some(name) = &args.into else {
        report::print(&text)?;
        return Ok(0);
    };
    let path = match draft.is_tree() {
        true => context.layout.tree(name).join("config"),
        false => context.layout.config(name),
    };
    write(&path, &text, args.force)?;
    report::note(
        context.quiet,
        &format!("{} is written; subhostctl check {name} looks at it", path.display()),
    );
    Ok(0)
}

/// What `boot` takes for an instance of Ganeti: its configuration as if it had been imported before.
pub(super) fn of_ganeti(context: &Context, name: &Name) -> Result<Loaded, Error> {
    if context.config.is_some() || context.how == How::Execute {
        let message =
            "--ganeti takes the place of a configuration: it goes without --config and --config-exec";
        return Err(Error::refused(Complaint::new(message)));
    }
    let draft = ganeti::of_name(name.as_str())?.settled();
    for line in draft.left() {
        report::note(context.quiet, &format!("{name}: not carried over: {line}"));
    }
    Ok(draft.loaded(Path::new(&format!("ganeti:{name}"))))
}

fn draft(args: &args::Import) -> Result<Draft, Error> {
    let source = &*args.source;
    let path = Path::new(source);
    let shown = path.display();
    let refused = |reason: String| Error::refused(Complaint::new(format!("{shown}: {reason}")));
    if args.instance.is_some() && args.from != ImportFrom::Ganeti {
        return Err(refused("--instance is for what Ganeti says of several".to_owned()));
    }
    let draft = match args.from {
        ImportFrom::Ganeti if is_instance(source) => return ganeti::of_name(&source.to_string_lossy()),
        ImportFrom::Ganeti => {
            ganeti::read(&read(path)?, args.instance.as_deref(), &format!("Ganeti's instance in {shown}"))
        }
        ImportFrom::Libvirt => libvirt::read(&read(path)?, &format!("the domain of libvirt in {shown}")),
        ImportFrom::Qemu => return machine(source),
        ImportFrom::OverlayBoot => return of_overlay_boot(path),
        ImportFrom::Nspawn => {
            nspawn::read(&read(path)?, path, &format!("the settings of systemd-nspawn in {shown}"))
        }
        ImportFrom::Lxc => lxc::read(&read(path)?, &format!("the configuration of LXC in {shown}")),
        ImportFrom::Oci => {
            let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
            let bundle = std::path::absolute(&file).step(format!("find {shown}"))?;
            let bundle = bundle.parent().unwrap_or(Path::new("/"));
            oci::read(&read(&file)?, bundle, &format!("the bundle {shown}"))
        }
    };
    draft.map_err(refused)
}

/// A name of an instance is no path, and no file of this directory.
fn is_instance(source: &OsStr) -> bool {
    let text = source.to_string_lossy();
    !text.contains('/') && text != "-" && !Path::new(source).exists()
}

/// The command line of a process, a command line itself, or a file with one.
fn machine(source: &OsStr) -> Result<Draft, Error> {
    let shown = source.to_string_lossy();
    let refused = |reason: String| Error::refused(Complaint::new(format!("{shown}: {reason}")));
    let here = || std::env::current_dir().step("find the working directory");
    let (bytes, directory, from) = if !shown.is_empty() && shown.bytes().all(|byte| byte.is_ascii_digit()) {
        let process = PathBuf::from(format!("/proc/{shown}"));
        let directory =
            fs::read_link(process.join("cwd")).step(format!("find the directory of process {shown}"))?;
        (read(&process.join("cmdline"))?, directory, format!("the command line of process {shown}"))
    } else if shown.contains(char::is_whitespace) {
        (shown.as_bytes().to_vec(), here()?, "the command line of a qemu".to_owned())
    } else {
        (read(Path::new(source))?, here()?, format!("the command line of a qemu in {shown}"))
    };
    qemu::words_of(&bytes).and_then(|words| qemu::read(&words, &directory, &from)).map_err(refused)
}

fn of_overlay_boot(path: &Path) -> Result<Draft, Error> {
    let evaluated = Evaluated::overlay_boot(path)?;
    let absolute = std::path::absolute(path).step(format!("find {}", path.display()))?;
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    let source = format!("the configuration of overlay-boot in {}", path.display());
    let mut draft = overlay_boot::draft_of(&evaluated.variables, directory, &source);
    for diagnostic in evaluated.diagnostics.iter().filter(|it| it.is_error()) {
        draft.leave("a definition", &diagnostic.message);
    }
    Ok(draft)
}

/// Writes a file beside the path, and gives it that name then; what is there already stays, unless it is to go.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Error> {
    let step = || format!("write {}", path.display());
    let there = || {
        let complaint = Complaint::new(format!("{} exists already", path.display()));
        Error::refused(complaint.hint("--force replaces it"))
    };
    if !force && path.symlink_metadata().is_ok() {
        return Err(there());
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).step(step())?;
    let beside = directory.join(format!(".config.{}", std::process::id()));
    // What a process of the same number has left is of no use.
    let _ = fs::remove_file(&beside);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // A link takes no name that is there.
        if force { fs::rename(&beside, path) } else { fs::hard_link(&beside, path) }
    })();
    if written.is_err() || !force {
        let _ = fs::remove_file(&beside);
    }
    match written {
        Err(error) if !force && error.kind() == std::io::ErrorKind::AlreadyExists => Err(there()),
        written => written.step(step()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_replaced_only_by_force() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web").join("config");
        write(&path, "one", false).unwrap();
        assert!(write(&path, "two", false).unwrap_err().to_string().contains("exists already"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let names: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["config"]);
    }

    #[test]
    fn a_link_to_nowhere_is_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("config"), directory.path().join("victim"));
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(write(&path, "one", false).is_err());
        write(&path, "one", true).unwrap();
        assert!(!victim.exists() && fs::read_to_string(&path).unwrap() == "one");
    }
}
