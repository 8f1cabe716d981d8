//! The ways in which a kernel takes the layers.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustix::fs::{CWD, Gid, Uid};
use rustix::io::Errno;
use rustix::mount::{self, MountFlags};

use super::layer::{Layer, OVERLAY, open_directory};
use super::written::in_use;
use crate::bind::bind;
use crate::error::shown;
use crate::filesystem::{FileSystem, Mount, MountAttributes, OptionValue};
use crate::staging::Staging;
use crate::{Error, Result, sys};

/// The longest value that `fsconfig(2)` takes.
const MAX_VALUE: usize = 255;

/// Given whatever the layers hold. Nothing in a layer that points elsewhere is followed: a redirect, a file that is
/// only metadata. Nothing is kept about lower layers in the upper one, which would tie it to them.
const SAFE_OPTIONS: [(&str, &str); 4] =
    [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"), ("xino", "off")];

/// An overlay that can be mounted.
#[derive(Clone)]
pub(super) struct Merge {
    pub(super) lower: Vec<Layer>,
    /// The upper layer and its work directory.
    pub(super) written: Option<(Layer, Layer)>,
    /// Whether nobody else can have what is written.
    pub(super) is_fresh: bool,
    pub(super) source_name: String,
    pub(super) attributes: MountAttributes,
}

impl Merge {
    pub(super) fn by_fd(&self) -> Result<Mount> {
        let mount = || {
            self.refuse_used(|layer| OptionValue::Fd(Arc::clone(&layer.directory)))?;
            let system = self.lower.iter().fold(self.system(), |system, layer| {
                system.value("lowerdir+", OptionValue::Fd(Arc::clone(&layer.directory)))
            });
            let system = match &self.written {
                Some((upper, work)) => system
                    .value("upperdir", OptionValue::Fd(Arc::clone(&upper.directory)))
                    .value("workdir", OptionValue::Fd(Arc::clone(&work.directory))),
                None => system,
            };
            system.mount().map_err(|error| self.explained(error))
        };
        if self.creator()?.is_none() {
            return mount();
        }
        // Who a thread is to the file system is the thread's own.
        thread::scope(|scope| {
            let creator = || {
                self.become_creator()?;
                mount()
            };
            let made = thread::Builder::new()
                .spawn_scoped(scope, creator)
                .map_err(|source| Error::system("start thread", "overlay", source))?;
            made.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        })
    }

    /// Mounts from a mount namespace in which all layers are attached and have names.
    pub(super) fn by_name(&self) -> Result<Mount> {
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
                    None => layer.directory = Arc::new(reopen(layer)?),
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
            other => other.map_err(|error| self.explained(error)),
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
            let (upper, work) = (upper.directory.as_raw_fd(), work.directory.as_raw_fd());
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

    /// Adds what the kernel leaves to its log.
    fn explained(&self, error: Error) -> Error {
        let Error::Mount { kind, object, source, mut log } = error else { return error };
        if log.is_empty() {
            match source.raw_os_error() {
                Some(libc::ELOOP) => log.push("one layer is inside another, or the same".to_owned()),
                Some(libc::EINVAL) => log.push(self.doubtful()),
                _ => {}
            }
        }
        Error::Mount { kind, object, source, log }
    }

    /// What is mostly wrong with layers that are an invalid argument.
    fn doubtful(&self) -> String {
        match self.lower.iter().find(|layer| layer.is_on(&[OVERLAY])) {
            Some(layer) => {
                format!("{} is on an overlay, and a third one cannot be over two", shown(&layer.name))
            }
            None => "the log of the kernel may say more".to_owned(),
        }
    }

    /// Who must make the overlay so that the ids it writes with are in the map of its upper layer.
    fn creator(&self) -> Result<Option<(Uid, Gid)>> {
        let Some((upper, _)) = self.written.as_ref().filter(|(upper, _)| upper.is_mapped) else {
            return Ok(None);
        };
        let stat = upper.stat()?;
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
    let again = open_directory(CWD, &path, &layer.name)?;
    let id = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let ids = (id(&layer.directory), id(&again));
    if matches!(ids, (Ok(first), Ok(second)) if first == second) {
        return Ok(again);
    }
    Err(failed(io::Error::other("it is no longer where it was")))
}

/// The name of a layer in `/proc/thread-self/fd`.
fn number(layer: &Layer) -> OsString {
    layer.directory.as_raw_fd().to_string().into()
}

/// Whether the kernel may just not take layers by fd, or not these. 6.1 says that it does not support it, 6.12 that the
/// fd is bad, as it is one by `O_PATH`; and an argument that is invalid may be a mount that is detached.
pub(super) fn may_be_the_fds(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EBADF))
}
