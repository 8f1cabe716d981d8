//! Overlay mounts, safe against layers that others wrote.
//!
//! A base that only the host's ids own, shown to a guest whose ids are those of a user namespace, with a layer above it
//! that is thrown away:
//!
//! ```no_run
//! use std::fs::File;
//! use std::os::fd::AsFd;
//! use std::path::Path;
//! use subhost_mount::MountAttributes;
//! use subhost_mount::overlay::{Layer, Upper, merge};
//!
//! let users = File::open("/proc/4711/ns/user").expect("a process of the guest");
//! let base = Layer::open(Path::new("/srv/base"))?.idmapped(users.as_fd())?;
//! let upper = Upper::Ephemeral { size_bytes: 64 << 20 };
//! merge(vec![base], upper, "guest", MountAttributes::NODEV)?.attach_at(Path::new("/mnt"))?;
//! # Ok::<(), subhost_mount::Error>(())
//! ```

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, StatVfsMountFlags, StatxFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{self, MountFlags};

use crate::bind::{bind, open_tree};
use crate::error::shown;
use crate::filesystem::{FileSystem, Mount, MountAttributes, OptionValue};
use crate::staging::Staging;
use crate::{Error, Result, sys};

/// The longest value that `fsconfig(2)` takes.
const MAX_VALUE: usize = 255;

/// The most lower layers that Linux takes.
const MAX_LAYERS: usize = 500;

/// Given whatever the layers hold. Nothing in a layer that points elsewhere is followed: a redirect, a file that is
/// only metadata. Nothing is kept about lower layers in the upper one, which would tie it to them.
const SAFE_OPTIONS: [(&str, &str); 4] =
    [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"), ("xino", "off")];

/// An overlay of folders that have names, as most are; [`merge`] does the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The layers that are only read, the topmost first.
    pub lower: Vec<PathBuf>,
    /// The layer that is written.
    pub upper: PathBuf,
    /// An empty directory on the file system of `upper`.
    pub work: PathBuf,
}

impl Overlay {
    /// Opens the layers and merges them.
    ///
    /// # Errors
    /// As [`Layer::open`] and [`merge`].
    pub fn mount(&self, source_name: &str, attributes: MountAttributes) -> Result<Mount> {
        let lower = self.lower.iter().map(|path| Layer::open(path)).collect::<Result<_>>()?;
        let upper = Upper::Kept { upper: Layer::open(&self.upper)?, work: Layer::open(&self.work)? };
        merge(lower, upper, source_name, attributes)
    }
}

/// A directory that takes part in an overlay.
#[derive(Debug, Clone)]
pub struct Layer {
    folder: Arc<OwnedFd>,
    name: PathBuf,
    /// The detached mount that the folder is in, which goes when it is dropped.
    detached: Option<Arc<Mount>>,
    is_mapped: bool,
}

impl Layer {
    /// The directory at `path`, in the calling thread's mount namespace. Any name will do.
    ///
    /// # Errors
    /// [`Error::System`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Layer> {
        let folder = Arc::new(open_folder(CWD, path, path)?);
        Ok(Layer { folder, name: path.to_owned(), detached: None, is_mapped: false })
    }

    /// What is in a mount that was never attached.
    ///
    /// # Errors
    /// [`Error::System`] when it is not a directory.
    pub fn detached(mount: Mount) -> Result<Layer> {
        let name = PathBuf::from(mount.name());
        let folder = Arc::new(open_folder(mount.as_fd(), Path::new("."), &name)?);
        Ok(Layer { folder, name, detached: Some(Arc::new(mount)), is_mapped: false })
    }

    /// The same with its ids mapped through the user namespace `userns`, as [`Mount::idmap`] does it. The mount that
    /// [`Layer::open`] found stays as it is.
    ///
    /// An upper layer and its work directory must be in one mount: map the folder that they are in, and take both
    /// from there with [`Layer::below`].
    ///
    /// # Errors
    /// As [`Mount::idmap`].
    pub fn idmapped(self, userns: BorrowedFd<'_>) -> Result<Layer> {
        let layer = match self.detached {
            Some(_) => self,
            None => {
                let mount = open_tree(self.folder.as_fd(), Path::new(""), &shown(&self.name), false)?;
                Layer { name: self.name, ..Layer::detached(mount)? }
            }
        };
        if let Some(mount) = &layer.detached {
            mount.idmap(userns)?;
        }
        Ok(Layer { is_mapped: true, ..layer })
    }

    /// A directory in this one: not for names that another chooses, as links are followed.
    ///
    /// # Errors
    /// [`Error::System`] when it cannot be opened.
    pub fn below(&self, path: &Path) -> Result<Layer> {
        let name = self.name.join(path);
        let folder = Arc::new(open_folder(self.folder.as_fd(), path, &name)?);
        Ok(Layer { folder, name, ..self.clone() })
    }
}

/// What is written to in an overlay.
#[derive(Debug)]
pub enum Upper {
    /// Nothing: the overlay is read-only.
    Nothing,
    /// A directory that keeps what is written.
    Kept {
        /// The directory. If it is idmapped, its owner makes the overlay, and must be in the map.
        upper: Layer,
        /// An empty directory in the same mount, not inside of `upper` nor around it.
        work: Layer,
    },
    /// A tmpfs that goes with the overlay. Its root has the owner and mode of the topmost lower layer.
    Ephemeral {
        /// The most that it takes. A file counts as one page at least.
        size_bytes: u64,
    },
}

/// Mounts an overlay of the layers `lower`, the topmost first, under the source name `source_name`, which `df` and
/// fstab see. It is detached.
///
/// From Linux 6.13 the kernel gets the layers by fd. Before it they get names in a mount namespace that is made for it
/// and gone afterwards; so they do too where they are in detached mounts, before 6.15.
///
/// For a kept upper layer the kernel is asked first whether another overlay uses it, by two mounts that it refuses:
/// its log says for both that they must be separate subtrees.
///
/// # Errors
/// [`Error::ReadOnlyOverlay`] when the kernel made it read-only without a word, as it does when the caller's
/// ids are not in the map of an idmapped upper layer; [`Error::System`] and [`Error::Mount`] else.
pub fn merge(
    lower: Vec<Layer>,
    upper: Upper,
    source_name: &str,
    attributes: MountAttributes,
) -> Result<Mount> {
    let refused = |problem: &str| refusal(source_name, problem.to_owned());
    match (lower.len(), &upper) {
        (0, _) => return Err(refused("there is no lower layer")),
        (1, Upper::Nothing) => {
            return Err(refused("a single layer that is only read needs no overlay: bind it"));
        }
        (count, _) if count > MAX_LAYERS => {
            return Err(refused("Linux takes no more than 500 lower layers"));
        }
        _ => {}
    }
    let mut locks = Vec::new();
    let (written, is_fresh) = match upper {
        Upper::Nothing => (None, true),
        Upper::Kept { upper, work } => {
            check_written(&upper, &work, source_name)?;
            // Of two that come at once, the kernel would answer both that nobody uses it.
            locks = vec![lock(&upper, source_name)?, lock(&work, source_name)?];
            (Some((upper, work)), false)
        }
        Upper::Ephemeral { size_bytes } => (Some(scratch(&lower[0], size_bytes, source_name)?), true),
    };
    let is_written = written.is_some();
    let merge = Merge { lower, written, is_fresh, source_name: source_name.to_owned(), attributes };
    let mount = match merge.by_fd() {
        Err(error) if may_be_the_fds(&error) => merge.by_name()?,
        other => other?,
    };
    drop(locks);
    if is_written && mount.is_read_only()? && !attributes.contains(MountAttributes::RDONLY) {
        return Err(Error::ReadOnlyOverlay { object: source_name.to_owned() });
    }
    Ok(mount)
}

/// An overlay that can be mounted.
#[derive(Clone)]
struct Merge {
    lower: Vec<Layer>,
    /// The upper layer and its work directory.
    written: Option<(Layer, Layer)>,
    /// Whether nobody else can have what is written.
    is_fresh: bool,
    source_name: String,
    attributes: MountAttributes,
}

impl Merge {
    fn by_fd(&self) -> Result<Mount> {
        let mount = || {
            self.refuse_used(|layer| OptionValue::Fd(Arc::clone(&layer.folder)))?;
            let system = self.lower.iter().fold(self.system(), |system, layer| {
                system.value("lowerdir+", OptionValue::Fd(Arc::clone(&layer.folder)))
            });
            let system = match &self.written {
                Some((upper, work)) => system
                    .value("upperdir", OptionValue::Fd(Arc::clone(&upper.folder)))
                    .value("workdir", OptionValue::Fd(Arc::clone(&work.folder))),
                None => system,
            };
            system.mount().map_err(explained)
        };
        if self.creator()?.is_none() {
            return mount();
        }
        // Who a thread is to the file system is the thread's own.
        thread::scope(|scope| {
            let made = scope.spawn(|| {
                self.become_creator()?;
                mount()
            });
            made.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        })
    }

    /// Mounts from a mount namespace in which all layers are attached and have names.
    fn by_name(&self) -> Result<Mount> {
        let mut merge = self.clone();
        Staging::new()?.run(move || {
            // Names are the numbers of the fds: plain, and short enough for 500 layers in a page.
            rustix::process::chdir("/proc/thread-self/fd")
                .map_err(|errno| Error::system("change to", "/proc/thread-self/fd", errno))?;
            let written = merge.written.iter_mut().flat_map(|(upper, work)| [upper, work]);
            let mut attached: Vec<Arc<Mount>> = Vec::new();
            for layer in merge.lower.iter_mut().chain(written) {
                match &layer.detached {
                    // They are all of this namespace then, whatever they cover.
                    Some(mount) if attached.iter().all(|other| !Arc::ptr_eq(other, mount)) => {
                        attached.push(Arc::clone(mount));
                    }
                    Some(_) => {}
                    None => layer.folder = Arc::new(reopen(layer)?),
                }
            }
            for mount in &attached {
                mount.attach_at(Path::new("/proc"))?;
            }
            merge.become_creator()?;
            merge.refuse_used(|layer| OptionValue::Text(number(layer)))?;
            merge.in_staging()
        })
    }

    fn in_staging(&self) -> Result<Mount> {
        let lower: Vec<OsString> = self.lower.iter().map(number).collect();
        let joined = lower.join(OsStr::new(":"));
        let is_long = joined.len() > MAX_VALUE;
        let mut system = self.system();
        if let Some((upper, work)) = &self.written {
            system = system.option("upperdir", number(upper)).option("workdir", number(work));
        }
        if is_long {
            system = lower.iter().fold(system, |system, layer| system.option("lowerdir+", layer));
        } else {
            system = system.option("lowerdir", &joined);
        }
        match system.mount() {
            // Before Linux 6.7 there is no `lowerdir+`.
            Err(error) if is_long && error.raw_os_error() == Some(libc::EINVAL) => self.by_page(&joined),
            other => other.map_err(explained),
        }
    }

    /// Mounts by `mount(2)`, which takes a page of options.
    fn by_page(&self, lower: &OsStr) -> Result<Mount> {
        let failed = |errno| Error::system("mount overlay", &self.source_name, errno);
        let mut options = OsString::from("lowerdir=");
        options.push(lower);
        for (key, value) in SAFE_OPTIONS {
            options.push(format!(",{key}={value}"));
        }
        if let Some((upper, work)) = &self.written {
            let (upper, work) = (upper.folder.as_raw_fd(), work.folder.as_raw_fd());
            options.push(format!(",upperdir={upper},workdir={work}"));
        }
        let options = CString::new(options.into_vec()).map_err(|_| failed(Errno::INVAL))?;
        // The namespace is gone soon, and with it this mount; what is given away is a copy.
        let place = Path::new("/proc");
        mount::mount(&self.source_name, place, "overlay", MountFlags::empty(), options.as_c_str())
            .map_err(failed)?;
        let detached = bind(place, false)?;
        detached.set_attributes(self.attributes, MountAttributes::empty(), false)?;
        Ok(detached)
    }

    fn system(&self) -> FileSystem {
        let system = FileSystem::new("overlay").source(&self.source_name).attributes(self.attributes);
        SAFE_OPTIONS.iter().fold(system, |system, (key, value)| system.option(*key, value))
    }

    /// Refuses what another overlay writes to. The kernel would only warn in its log, unless it keeps an index. So it
    /// is asked for an overlay with an index that it refuses in any case, before it touches anything: the upper layer
    /// cannot be its own work directory.
    fn refuse_used(&self, value: impl Fn(&Layer) -> OptionValue) -> Result<()> {
        let Some((upper, work)) = self.written.as_ref().filter(|_| !self.is_fresh) else { return Ok(()) };
        for layer in [upper, work] {
            let mut system = FileSystem::new("overlay").source(&self.source_name).option("index", "on");
            // Where fds are not taken, this key is missing too, and this way ends here.
            let key = if matches!(value(layer), OptionValue::Fd(_)) { "lowerdir+" } else { "lowerdir" };
            for key in [key, "upperdir", "workdir"] {
                system = system.value(key, value(layer));
            }
            match system.mount() {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    return Err(in_use(layer, &self.source_name));
                }
                // What else may be wrong, the mounting itself tells.
                _ => {}
            }
        }
        Ok(())
    }

    /// Who must make the overlay so that the ids it writes with are in the map of its upper layer.
    fn creator(&self) -> Result<Option<(Uid, Gid)>> {
        let Some((upper, _)) = self.written.as_ref().filter(|(upper, _)| upper.is_mapped) else {
            return Ok(None);
        };
        let stat = stat_of(upper)?;
        Ok(Some((Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))))
    }

    /// Makes the calling thread the creator, for good.
    fn become_creator(&self) -> Result<()> {
        let Some((uid, gid)) = self.creator()? else { return Ok(()) };
        sys::set_fs_ids(uid.as_raw(), gid.as_raw())
            .map_err(|source| Error::system("take the ids of the upper layer of", &self.source_name, source))
    }
}

/// Opens a layer of the caller's mount namespace once more in that of the calling thread, which is a copy of it.
fn reopen(layer: &Layer) -> Result<OwnedFd> {
    let failed = |source| Error::system("open overlay layer", &layer.name, source);
    let link = rustix::fs::readlink(Path::new(&number(layer)), Vec::new());
    let path = PathBuf::from(OsString::from_vec(link.map_err(|errno| failed(errno.into()))?.into_bytes()));
    let again = open_folder(CWD, &path, &layer.name)?;
    let id = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let ids = (id(&layer.folder), id(&again));
    if matches!(ids, (Ok(first), Ok(second)) if first == second) {
        return Ok(again);
    }
    Err(failed(io::Error::other("it is no longer where it was")))
}

/// The name of a layer in `/proc/thread-self/fd`.
fn number(layer: &Layer) -> OsString {
    layer.folder.as_raw_fd().to_string().into()
}

/// An upper layer and a work directory on a tmpfs of their own.
fn scratch(top: &Layer, size_bytes: u64, source_name: &str) -> Result<(Layer, Layer)> {
    if size_bytes == 0 {
        return Err(refusal(source_name, "an ephemeral layer of no size".to_owned()));
    }
    // Empty files take memory as well, which the size does not limit.
    let inodes = (size_bytes / 4096).max(1024);
    let tmpfs = FileSystem::new("tmpfs")
        .source(source_name)
        .option("mode", "0700")
        .option("size", size_bytes.to_string())
        .option("nr_inodes", inodes.to_string())
        .mount()?;
    let stat = stat_of(top)?;
    let make = || -> rustix::io::Result<()> {
        for name in ["upper", "work"] {
            rustix::fs::mkdirat(&tmpfs, name, Mode::RWXU)?;
        }
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(&tmpfs, "upper", Some(owner), Some(group), AtFlags::empty())?;
        rustix::fs::chmodat(&tmpfs, "upper", Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())
    };
    make().map_err(|errno| Error::system("make ephemeral layer of", source_name, errno))?;
    let tmpfs = Layer::detached(tmpfs)?;
    Ok((tmpfs.below(Path::new("upper"))?, tmpfs.below(Path::new("work"))?))
}

/// Refuses what the kernel would refuse as an invalid argument, whatever it is.
fn check_written(upper: &Layer, work: &Layer, source_name: &str) -> Result<()> {
    let pair = format!("upper layer {} and work directory {}", shown(&upper.name), shown(&work.name));
    let refused = |problem: &str| Err(refusal(source_name, format!("{pair} {problem}")));
    let (above, beside) = (place_of(upper)?, place_of(work)?);
    if above.device != beside.device {
        return refused("are on different file systems");
    }
    if above.mount != beside.mount {
        return refused("are in different mounts of one file system");
    }
    if is_inside(upper, beside)? || is_inside(work, above)? {
        return refused("must not be the same, nor one inside the other");
    }
    let flags = rustix::fs::fstatvfs(&upper.folder)
        .map_err(|errno| Error::system("statfs", &upper.name, errno))?
        .f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return refused("are on a read-only file system");
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    device: (u32, u32),
    inode: u64,
    mount: u64,
}

fn place_of(layer: &Layer) -> Result<Place> {
    place(layer.folder.as_fd()).map_err(|errno| Error::system("stat", &layer.name, errno))
}

fn place(fd: BorrowedFd<'_>) -> rustix::io::Result<Place> {
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID)?;
    Ok(Place {
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        mount: stat.stx_mnt_id,
    })
}

/// Whether `layer` is the directory at `outer`, or below it in the same mount.
fn is_inside(layer: &Layer, outer: Place) -> Result<bool> {
    let walk = || -> rustix::io::Result<bool> {
        let mut at = place(layer.folder.as_fd())?;
        let mut folder = rustix::io::dup(&layer.folder)?;
        loop {
            if at == outer {
                return Ok(true);
            }
            folder = rustix::fs::openat(
                &folder,
                "..",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let parent = place(folder.as_fd())?;
            if parent == at || parent.mount != outer.mount {
                return Ok(false);
            }
            at = parent;
        }
    };
    walk().map_err(|errno| Error::system("go up from", &layer.name, errno))
}

/// A lock on a directory, for the moment in which it becomes part of an overlay.
struct Lock(OwnedFd);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would leave it to a process that is just being started, and has a copy of the fd.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock(layer: &Layer, source_name: &str) -> Result<Lock> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let locked = rustix::fs::openat(&layer.folder, ".", flags, Mode::empty()).and_then(|fd| {
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Lock(fd))
    });
    locked.map_err(|errno| match errno {
        Errno::WOULDBLOCK => in_use(layer, source_name),
        _ => Error::system("lock overlay layer", &layer.name, errno),
    })
}

fn in_use(layer: &Layer, source_name: &str) -> Error {
    let problem = format!("{} is in use by another overlay", shown(&layer.name));
    refusal_as(io::ErrorKind::ResourceBusy, source_name, problem)
}

fn refusal(source_name: &str, problem: String) -> Error {
    refusal_as(io::ErrorKind::InvalidInput, source_name, problem)
}

fn refusal_as(kind: io::ErrorKind, source_name: &str, problem: String) -> Error {
    Error::system("mount overlay", source_name, io::Error::new(kind, problem))
}

/// Whether the kernel may just not take layers by fd, or not these. 6.1 says that it does not support it, 6.12 that the
/// fd is bad, as it is one by `O_PATH`, and 6.13 that a detached mount is invalid.
fn may_be_the_fds(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EBADF))
}

/// Adds what the kernel leaves to its log.
fn explained(error: Error) -> Error {
    let Error::Mount { kind, object, source, mut log } = error else { return error };
    if log.is_empty() {
        match source.raw_os_error() {
            Some(libc::ELOOP) => log.push("one layer is inside another, or the same".to_owned()),
            Some(libc::EINVAL) => log.push("the log of the kernel may say more".to_owned()),
            _ => {}
        }
    }
    Error::Mount { kind, object, source, log }
}

fn stat_of(layer: &Layer) -> Result<rustix::fs::Stat> {
    rustix::fs::fstat(&layer.folder).map_err(|errno| Error::system("stat", &layer.name, errno))
}

fn open_folder(base: BorrowedFd<'_>, path: &Path, name: &Path) -> Result<OwnedFd> {
    // The kernel would not say which one is missing.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(base, path, flags, Mode::empty())
        .map_err(|errno| Error::system("open overlay layer", name, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(folder: &Path, upper: &str, work: &str) -> (Layer, Layer) {
        for name in [upper, work] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        (Layer::open(&folder.join(upper)).unwrap(), Layer::open(&folder.join(work)).unwrap())
    }

    #[test]
    fn what_is_written_is_two_folders_that_are_apart() {
        let folder = tempfile::tempdir().unwrap();
        for (upper, work, is_good) in [
            ("up", "work", true),
            ("a/up", "b/c/work", true),
            ("same", "same", false),
            ("outer", "outer/deep/work", false),
            ("around/deep/up", "around", false),
        ] {
            let (upper, work) = layers(folder.path(), upper, work);
            let checked = check_written(&upper, &work, "it");
            assert_eq!(checked.is_ok(), is_good, "{upper:?} {work:?}");
            if let Err(error) = checked {
                assert_eq!(
                    error.to_string(),
                    format!(
                        "mount overlay it: upper layer {} and work directory {} must not be the same, nor one \
                         inside the other",
                        upper.name.display(),
                        work.name.display()
                    )
                );
            }
        }
    }

    #[test]
    fn what_is_written_is_on_one_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let (upper, _) = layers(folder.path(), "up", "work");
        let error = check_written(&upper, &Layer::open(Path::new("/proc")).unwrap(), "it").unwrap_err();
        assert!(error.to_string().ends_with("/proc are on different file systems"), "{error}");
    }

    #[test]
    fn layers_that_make_no_overlay_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (layer, _) = layers(folder.path(), "one", "two");
        let refused = |lower: usize, upper| {
            let lower = vec![layer.clone(); lower];
            merge(lower, upper, "it", MountAttributes::empty()).unwrap_err().to_string()
        };
        assert_eq!(refused(0, Upper::Nothing), "mount overlay it: there is no lower layer");
        assert_eq!(
            refused(1, Upper::Nothing),
            "mount overlay it: a single layer that is only read needs no overlay: bind it"
        );
        assert_eq!(
            refused(501, Upper::Nothing),
            "mount overlay it: Linux takes no more than 500 lower layers"
        );
        assert_eq!(
            refused(1, Upper::Ephemeral { size_bytes: 0 }),
            "mount overlay it: an ephemeral layer of no size"
        );
    }

    #[test]
    fn a_layer_that_is_missing_is_named() {
        let error = Layer::open(Path::new("/no:such")).unwrap_err();
        assert_eq!(error.to_string(), "open overlay layer /no:such: No such file or directory (os error 2)");
    }
}
