//! `cp`: a file out of, or into, a subhost that is stopped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use subhost_config::SubhostConfig;
use subhost_mount::device::Device;
use subhost_mount::filesystem::{FileSystem, Mount, MountAttributes};
use subhost_mount::loopdev::LoopOptions;
use subhost_mount::rootdir::RootDir;

use super::{Context, need_root, start};
use crate::args::{self, Devices};
use crate::config::{Loaded, demand_trust, request};
use crate::error::{Complaint, Context as _, Error};
use crate::layout::Name;
use crate::lock::{Lock, lock_name};
use crate::network::Wanted;
use crate::observe::{Observed, Purpose, State, state_of};
use crate::plan::Plan;
use crate::report;
use crate::request::{Request, Root};
use crate::tree::Tree;

/// What goes with a file: no set-id bits, which would make a stranger's program one of root's, or the other way round.
const MODE: u32 = 0o777;

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// A path in the first disk of a subhost.
    Guest(Name, PathBuf),
    Host(PathBuf),
    /// Standard input or output.
    Stream,
}

impl End {
    /// `NAME:PATH`, `-`, or a path; one that begins with a name and a colon is told by a slash: `./a:b`.
    fn of(word: &OsStr) -> End {
        if word == "-" {
            return End::Stream;
        }
        let bytes = word.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':');
        let guest = colon.and_then(|at| {
            let name = std::str::from_utf8(&bytes[..at]).ok()?.parse().ok()?;
            Some(End::Guest(name, PathBuf::from(OsStr::from_bytes(&bytes[at + 1..]))))
        });
        guest.unwrap_or_else(|| End::Host(PathBuf::from(word)))
    }
}

/// Copies one file.
pub(super) fn cp(context: &Context, args: &args::Cp) -> Result<u8, Error> {
    need_root("cp")?;
    match (End::of(&args.from), End::of(&args.to)) {
        (End::Guest(name, path), to @ (End::Host(_) | End::Stream)) => copy_out(context, name, &path, &to)?,
        (from @ (End::Host(_) | End::Stream), End::Guest(name, path)) => {
            copy_in(context, &from, name, path)?;
        }
        _ => {
            return Err(Error::refused(
                Complaint::new("cp: one of the two paths has to be in a subhost, the other on the host")
                    .hint("subhostctl cp web:/etc/hosts ./hosts, or the other way round"),
            ));
        }
    }
    Ok(0)
}

fn copy_out(context: &Context, name: Name, path: &Path, to: &End) -> Result<(), Error> {
    let mounted = Mounted::of(context, name, Purpose::Read)?;
    let step = || format!("copy {}", path.display());
    let mut file = mounted.root.open_file(path).step(step())?;
    let mode = file.metadata().step(step())?.mode() & MODE;
    match to {
        End::Host(to) => {
            let directory = RootDir::open(directory_of(to)).step(step())?;
            let (directory, file_name) = match path.file_name() {
                Some(name) if to.is_dir() => (RootDir::open(to).step(step())?, name),
                _ => (directory, to.file_name().ok_or("has no name at its end").step(step())?),
            };
            directory.write_from(Path::new(file_name), mode, &mut file).step(step())
        }
        _ => {
            let mut out = std::io::stdout().lock();
            match std::io::copy(&mut file, &mut out).and_then(|_| out.flush()) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                copied => copied.step(step()),
            }
        }
    }
}

fn copy_in(context: &Context, from: &End, name: Name, mut path: PathBuf) -> Result<(), Error> {
    let (mut source, mode): (Box<dyn Read>, u32) = match from {
        End::Host(from) => {
            let step = || format!("copy {}", from.display());
            let file = File::open(from).step(step())?;
            let meta = file.metadata().step(step())?;
            let kind = meta.file_type();
            if !(kind.is_file() || kind.is_fifo() || kind.is_char_device()) {
                return Err("is not a file").step(step());
            }
            (Box::new(file), meta.mode() & MODE)
        }
        _ => (Box::new(std::io::stdin()), 0o644),
    };
    let mounted = Mounted::of(context, name, Purpose::Use)?;
    let step = |path: &Path| format!("copy to {}", path.display());
    if let End::Host(from) = from
        && mounted.root.list_dir(&path).is_ok()
    {
        path.push(from.file_name().ok_or("has no name at its end").step(step(&path))?);
    }
    mounted.root.write_from(&path, mode, &mut source).step(step(&path))
}

/// The directory that holds a path of the host.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// The root of a stopped subhost, mounted nowhere. Its parts go in this order.
pub(super) struct Mounted {
    pub(super) root: RootDir,
    _mount: Option<Mount>,
    _parts: Parts,
}

/// What the root of a stopped subhost is made of.
pub(super) struct Parts {
    /// Of one that `start` starts.
    pub(super) tree: Option<Tree>,
    /// Its image, or its first disk.
    pub(super) mount: Option<Mount>,
    /// What its configuration says.
    #[cfg_attr(not(feature = "images"), expect(dead_code, reason = "only images are made from it"))]
    pub(super) config: SubhostConfig,
    _device: Option<Device>,
    _observed: Observed,
    /// Of a directory, which tells nobody that it is in use.
    _lock: Option<Lock>,
}

impl Parts {
    pub(super) fn of(context: &Context, name: Name, purpose: Purpose) -> Result<Parts, Error> {
        let layout = &context.layout;
        let config = context.config.as_deref();
        let none = Devices::default();
        let (loaded, mut request, lock) = if layout.is_tree_alone(&name) {
            let lock = lock_stopped(context, &name)?;
            let loaded = Loaded::of_tree(layout, config, &name, context.how)?;
            let request = start::request(context, name, &loaded)?;
            (loaded, request, Some(lock))
        } else {
            let loaded = Loaded::of(layout, config, &name, &none, context.how)?;
            let request = request(&loaded, name, none, None)?;
            (loaded, request, None)
        };
        // Nothing else of it has to be in order for this.
        request.disks.truncate(1);
        request.cables.clear();
        request.network = Wanted::default();
        request.named = false;
        demand_trust(&loaded)?;
        for note in loaded.diagnostics.iter().filter(|found| !found.is_error()) {
            report::note(context.quiet, &note.message);
        }
        let observed = Observed::of(&request, layout, purpose).step("look at the images")?;
        let plan = Plan::make(&request, &observed, layout).map_err(Error::Refused)?;
        let (mount, device) = mount_disk(&request, &observed, &plan, purpose)?.unzip();
        let tree = match request.root {
            Root::Lingering(tree) => Some(tree),
            _ => None,
        };
        if purpose == Purpose::Use
            && let Some(tree) = &tree
        {
            tree.prepare()?.iter().for_each(|note| report::note(context.quiet, note));
        }
        let config = loaded.config.unwrap_or_default();
        Ok(Parts { tree, mount, config, _device: device, _observed: observed, _lock: lock })
    }
}

impl Mounted {
    pub(super) fn of(context: &Context, name: Name, purpose: Purpose) -> Result<Mounted, Error> {
        let mut parts = Parts::of(context, name, purpose)?;
        let (root, mount) = match (&parts.tree, parts.mount.take()) {
            (Some(tree), mount) => tree.open(mount, purpose == Purpose::Use)?,
            (None, Some(mount)) => (mount.root().step("open the root")?, Some(mount)),
            (None, None) => return Err(Error::refused(Complaint::new("cp: the subhost has no disk"))),
        };
        Ok(Mounted { root, _mount: mount, _parts: parts })
    }
}

/// Keeps one that is stopped from being started.
fn lock_stopped(context: &Context, name: &Name) -> Result<Lock, Error> {
    let refused = |what: &str| Complaint::new(format!("subhost {name}: {what}"));
    let lock = lock_name(&context.layout, name).step(format!("lock the name {name}"))?;
    let lock = lock.ok_or_else(|| Error::refused(refused("another command is at work on it")))?;
    let what = match state_of(&context.layout, name).step(format!("read the record of {name}"))? {
        State::Stopped | State::Stale(_) => return Ok(lock),
        State::Running(_) => "runs, and this is for one that is stopped",
        State::Lingering(_) => "lingers, and this is for one that is stopped",
    };
    Err(Error::refused(refused(what).hint(format!("subhostctl stop {name}"))))
}

/// Mounts the first disk, if there is one.
fn mount_disk(
    request: &Request,
    observed: &Observed,
    plan: &Plan,
    purpose: Purpose,
) -> Result<Option<(Mount, Device)>, Error> {
    let found = observed.disks.first().and_then(Option::as_ref).zip(plan.disks.first());
    let Some((found, disk)) = found else { return Ok(None) };
    let step = || format!("mount {}", disk.node);
    let read_only = purpose == Purpose::Read;
    let image = &observed.images[found.image].image;
    let options = LoopOptions { read_only, ..LoopOptions::default() };
    let device = Device::attach(image, found.range, &options).step(step())?;
    let superblock = found.superblock.as_ref().ok_or("no file system is known in it").step(step())?;
    let attributes = MountAttributes::NOSUID | MountAttributes::NOEXEC;
    let mut system = FileSystem::of_image(superblock, device.path(), &request.allowed_types())
        .step(step())?
        .attributes(attributes);
    if read_only {
        system = system.attributes(attributes | MountAttributes::RDONLY).flag("ro");
    }
    let mount = device.mount(system).step(step())?;
    Ok(Some((mount, device)))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn a_name_and_a_colon_are_a_subhost() {
        let guest = |name: &str, path: &str| End::Guest(name.parse().unwrap(), path.into());
        for (word, end) in [
            ("web:/etc/hosts", guest("web", "/etc/hosts")),
            ("web:", guest("web", "")),
            ("web:a:b", guest("web", "a:b")),
            ("./web:x", End::Host("./web:x".into())),
            ("/srv/a:b", End::Host("/srv/a:b".into())),
            ("hosts", End::Host("hosts".into())),
            (":x", End::Host(":x".into())),
            ("-", End::Stream),
        ] {
            assert_eq!(End::of(&OsString::from(word)), end, "{word}");
        }
    }
}
