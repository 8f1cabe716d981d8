//! Overlay mounts, safe against layers that others wrote.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{self, MountFlags, UnmountFlags};

use crate::bind::bind;
use crate::filesystem::{FileSystem, Mount, MountAttributes};
use crate::{Error, Result};

/// The longest value that `fsconfig(2)` takes.
const MAX_VALUE: usize = 255;

/// The layers of an overlay.
///
/// The paths are the host's, resolved in the calling thread's mount namespace; any name will do. A mount that
/// is to be a layer, idmapped for instance, is attached first: Linux 6.1 takes no detached ones.
///
/// Before Linux 6.7, layers whose names come to more than 255 bytes are mounted on the work directory for a moment,
/// which should then be in a namespace of one's own ([`Staging`](crate::Staging)).
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
    /// Mounts it, detached, under the source name `source_name`, which `df` and fstab see.
    ///
    /// Attributes of a layer that point elsewhere (redirects, metacopy) are never followed.
    ///
    /// # Errors
    /// [`Error::ReadOnlyOverlay`] when the kernel made it read-only without a word, as it does when the caller's
    /// ids are not in the map of an idmapped upper layer; [`Error::System`] and [`Error::Mount`] else.
    pub fn mount(&self, source_name: &str, attributes: MountAttributes) -> Result<Mount> {
        // The fds in the values must stay open until it is mounted.
        let mut held = Vec::new();
        let layers = self.lower.iter().map(|path| value(path, &mut held)).collect::<Result<Vec<_>>>()?;
        let lower = layers.join(OsStr::new(":"));
        let is_long = lower.len() > MAX_VALUE;
        let rest = [
            ("upperdir", value(&self.upper, &mut held)?),
            ("workdir", value(&self.work, &mut held)?),
            ("redirect_dir", "nofollow".into()),
            ("metacopy", "off".into()),
            ("index", "off".into()),
            ("xino", "off".into()),
        ];
        let mut system = FileSystem::new("overlay").source(source_name).attributes(attributes);
        if is_long {
            system = layers.iter().fold(system, |system, layer| system.option("lowerdir+", layer));
        } else {
            system = system.option("lowerdir", &lower);
        }
        let system = rest.iter().fold(system, |system, (key, value)| system.option(*key, value));
        let mount = match system.mount() {
            // Before Linux 6.7 there is no `lowerdir+`.
            Err(error) if is_long && error.raw_os_error() == Some(libc::EINVAL) => {
                self.mount_in_place(source_name, attributes, &lower, &rest)?
            }
            other => other?,
        };
        if mount.is_read_only()? && !attributes.contains(MountAttributes::RDONLY) {
            return Err(Error::ReadOnlyOverlay { object: source_name.to_owned() });
        }
        Ok(mount)
    }

    /// Mounts by `mount(2)`, which takes a page of options, on the work directory, and takes it off again.
    fn mount_in_place(
        &self,
        source_name: &str,
        attributes: MountAttributes,
        lower: &OsStr,
        rest: &[(&str, OsString)],
    ) -> Result<Mount> {
        let failed = |errno| Error::system("mount overlay", source_name, errno);
        // No value has a comma in it: those that had go through an fd.
        let mut options = OsString::from("lowerdir=");
        options.push(lower);
        for (key, value) in rest {
            options.push(format!(",{key}="));
            options.push(value);
        }
        let options = CString::new(options.into_vec()).map_err(|_| failed(Errno::INVAL))?;
        mount::mount(source_name, &self.work, "overlay", MountFlags::empty(), options.as_c_str())
            .map_err(failed)?;
        let detached = bind(&self.work, false);
        mount::unmount(&self.work, UnmountFlags::DETACH).map_err(failed)?;
        let detached = detached?;
        detached.set_attributes(attributes, MountAttributes::empty(), false)?;
        Ok(detached)
    }
}

/// A path as the kernel takes it in an option.
///
/// A plain path goes as it is, so that the mount table shows it. Any other goes through an fd: colons and
/// backslashes mean something in `lowerdir`, before Linux 6.5 a comma cannot be said at all, and a value is at
/// most 255 bytes long. The name of the fd is plain and short.
fn value(path: &Path, held: &mut Vec<OwnedFd>) -> Result<OsString> {
    // The kernel would not say which one is missing.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| Error::system("open overlay layer", path, errno))?;
    if is_plain(path) {
        return Ok(path.as_os_str().to_owned());
    }
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
    held.push(fd);
    Ok(name.into())
}

fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.len() < 80
        && bytes.first() == Some(&b'/')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_shown_as_it_is() {
        let mut held = Vec::new();
        assert_eq!(value(Path::new("/usr/bin/../lib"), &mut held).unwrap(), "/usr/bin/../lib");
        assert!(held.is_empty());
    }

    #[test]
    fn a_path_that_the_option_cannot_say_goes_through_an_fd() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a:b", "a,b", "a\\b", "a b", "a\nb", "é", &"x".repeat(120)] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            let mut held = Vec::new();
            let said = value(&path, &mut held).unwrap();
            assert_eq!(std::fs::canonicalize(&said).unwrap(), path, "{name:?}");
            assert_eq!(held.len(), 1);
        }
    }

    #[test]
    fn a_layer_that_is_missing_is_named() {
        let error = value(Path::new("/no:such"), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "open overlay layer /no:such: No such file or directory (os error 2)");
    }
}
