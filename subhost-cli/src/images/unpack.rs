//! Unpacks archives of strangers: all that is in one is made inside the tree, by descriptors.
//!
//! Names are walked as the guest would walk them: a link to `/etc` is one to the tree's own. Set-user-id bits and device
//! nodes are made as they are asked for, so the tree has to lie where only root can go, or on a mount with `nodev`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, fchmod,
    fsetxattr, linkat, mkdirat, mknodat, openat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use subhost_mount::rootdir::{FileKind, RootDir};
use tar::{Archive, Entry, EntryType};

use crate::error::{Context, Error};

/// Bytes of files that an archive may come to, with their holes: nobody has to wait for more zeros.
const MAX_BYTES: u64 = 1 << 40;

/// What may describe one entry, which is kept in memory, and how long its name is.
const MAX_HEADER_BYTES: u64 = 4 << 20;
const MAX_NAME_BYTES: usize = 4095;

/// How much is read at once; so much of zeros becomes a hole.
const CHUNK: usize = 64 << 10;

/// Extended attributes that are taken over: what overlays and security modules keep there is of another system.
const ATTRIBUTES: [&str; 2] = ["user.", "security.capability"];
const NOT_ATTRIBUTES: &str = "user.overlay.";

/// What a layer hides of those below it (OCI image layer specification).
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Reads no more than is left.
struct Metered<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(left.ok_or_else(|| other("what describes an entry is longer than 4 MiB"))?);
        Ok(read)
    }
}

/// Unpacks archives into one tree.
pub struct Unpack<'a> {
    root: &'a RootDir,
    /// Times of directories, which change as long as something is made in them.
    directories: Vec<(PathBuf, i64)>,
    bytes: u64,
    /// In a layer, what it has made so far: it hides only what was there before.
    layer: Option<BTreeSet<PathBuf>>,
}

impl<'a> Unpack<'a> {
    /// Unpacks into a tree that nobody else changes.
    pub fn new(root: &'a RootDir) -> Unpack<'a> {
        Unpack { root, directories: Vec::new(), bytes: 0, layer: None }
    }

    /// Unpacks an archive.
    ///
    /// # Errors
    /// It is damaged, means something outside of the tree, or something cannot be made.
    pub fn archive(&mut self, archive: impl Read) -> Result<(), Error> {
        let step = "read the archive";
        let left = Cell::new(MAX_HEADER_BYTES);
        let mut archive = Archive::new(Metered { inner: archive, left: &left });
        let mut entries = archive.entries().step(step)?;
        loop {
            left.set(MAX_HEADER_BYTES);
            let Some(entry) = entries.next() else { return Ok(()) };
            left.set(u64::MAX);
            let mut entry = entry.step(step)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            self.entry(&mut entry).step(format!("unpack {name}"))?;
        }
    }

    /// The same of a layer, that hides what is named in it of those before.
    ///
    /// # Errors
    /// As [`Unpack::archive`].
    pub fn layer(&mut self, archive: impl Read) -> Result<(), Error> {
        self.layer = Some(BTreeSet::new());
        self.archive(archive)
    }

    /// Gives directories their times.
    ///
    /// # Errors
    /// One of them cannot be set.
    pub fn finish(self) -> Result<(), Error> {
        for (path, seconds) in self.directories.iter().rev() {
            let set = || -> io::Result<()> {
                match self.root.symlink_metadata(path) {
                    Ok(meta) if meta.kind == FileKind::Directory => {}
                    // It was there, and another entry took its place.
                    _ => return Ok(()),
                }
                let (directory, name) = self.place(path)?;
                Ok(utimensat(directory, name, &times(*seconds), AtFlags::SYMLINK_NOFOLLOW)?)
            };
            set().step(format!("set the time of {}", path.display()))?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = inside(&entry.path_bytes())?;
        if self.layer.is_some() && self.hides(&path)? {
            return Ok(());
        }
        if let Some(made) = &mut self.layer {
            made.extend(path.ancestors().map(Path::to_owned));
        }
        if path.as_os_str().is_empty() {
            // The tree itself.
            return if kind.is_dir() { self.directory(entry, &path) } else { Err(other("is the root")) };
        }
        if kind.is_dir() {
            return self.directory(entry, &path);
        }
        self.remove(&path)?;
        let (directory, name) = self.place(&path)?;
        let header = entry.header();
        let node = |kind: FileType| -> io::Result<()> {
            let number = |found: io::Result<Option<u32>>| found.map(Option::unwrap_or_default);
            let device = rustix::fs::makedev(number(header.device_major())?, number(header.device_minor())?);
            Ok(mknodat(&directory, name, kind, Mode::empty(), device)?)
        };
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                return self.file(entry, &directory, name);
            }
            EntryType::Link => {
                let target = inside(&entry.link_name_bytes().ok_or_else(|| other("leads nowhere"))?)?;
                let (from, target) = self.place(&target)?;
                // Owner and mode are those of the other name.
                return Ok(linkat(from, target, &directory, name, AtFlags::empty())?);
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| other("leads nowhere"))?;
                symlinkat(&*target, &directory, name)?;
            }
            EntryType::Char => node(FileType::CharacterDevice)?,
            EntryType::Block => node(FileType::BlockDevice)?,
            EntryType::Fifo => mknodat(&directory, name, FileType::Fifo, Mode::empty(), 0)?,
            _ => return Err(other("is of no kind that is known here")),
        }
        let (uid, gid) = owner(entry)?;
        chownat(&directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        if kind != EntryType::Symlink {
            // It was made just now, in a tree that nobody else changes.
            rustix::fs::chmodat(&directory, name, mode(entry)?, AtFlags::empty())?;
        }
        Ok(utimensat(&directory, name, &times(seconds(entry)), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn directory(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = if path.as_os_str().is_empty() {
            openat(self.root, ".", flags, Mode::empty())?
        } else {
            let is_there = self.root.symlink_metadata(path).is_ok_and(|it| it.kind == FileKind::Directory);
            if !is_there {
                self.remove(path)?;
            }
            let (directory, name) = self.place(path)?;
            if !is_there {
                mkdirat(&directory, name, Mode::RWXU)?;
            }
            openat(directory, name, flags, Mode::empty())?
        };
        attribute(&fd, entry)?;
        if !path.as_os_str().is_empty() {
            self.directories.push((path.to_owned(), seconds(entry)));
        }
        Ok(())
    }

    fn file(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        directory: &OwnedFd,
        name: &OsStr,
    ) -> io::Result<()> {
        let header = entry.header();
        let is_sparse = header.entry_type() == EntryType::GNUSparse;
        let size = match header.as_gnu().filter(|_| is_sparse) {
            Some(header) => header.real_size()?,
            None => entry.size(),
        };
        if self.bytes.saturating_add(size) > MAX_BYTES {
            return Err(other("with it there would be more than 1 TiB"));
        }
        if has_extension(entry, "GNU.sparse.") {
            return Err(other("holes are written in a way that is not known here: tar --format=gnu"));
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?);
        let mut buffer = vec![0; CHUNK];
        let mut length = 0;
        loop {
            let read = fill(entry, &mut buffer)?;
            if read == 0 {
                break;
            }
            length += read as u64;
            if buffer[..read].iter().all(|&byte| byte == 0) {
                file.seek(SeekFrom::Start(length))?;
            } else {
                file.write_all(&buffer[..read])?;
            }
        }
        if length != size {
            return Err(other("the archive ends in it"));
        }
        file.set_len(length)?;
        self.bytes += length;
        attribute(&file, entry)?;
        Ok(rustix::fs::futimens(&file, &times(seconds(entry)))?)
    }

    /// The directory that a name is in, and the name. Directories that the archive has not named are made.
    fn place<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let (above, name) = split(path)?;
        let directory = match self.root.open_path(above) {
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                self.root.create_dir_all(above, 0o755).and_then(|()| self.root.open_path(above))
            }
            other => other,
        };
        Ok((directory.map_err(io::Error::other)?, name))
    }

    /// Removes what is at a name, if there is something.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let (above, name) = split(path)?;
        let directory = match self.root.open_path(above) {
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => return Ok(()),
            other => other.map_err(io::Error::other)?,
        };
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(Errno::ISDIR) => self.root.remove_tree(path).map_err(io::Error::other),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether the name of an entry says that something of the layers below is hidden, which is then removed.
    fn hides(&self, path: &Path) -> io::Result<bool> {
        let Some(name) = path.file_name().map(OsStr::as_bytes) else { return Ok(false) };
        let Some(hidden) = name.strip_prefix(WHITEOUT) else { return Ok(false) };
        let above = path.parent().unwrap_or(Path::new(""));
        if name == OPAQUE {
            self.clear(above)?;
        } else if hidden.is_empty() || matches!(hidden, b"." | b"..") {
            return Err(other("hides nothing that has a name"));
        } else if !hidden.starts_with(WHITEOUT) {
            let hidden = above.join(OsStr::from_bytes(hidden));
            if self.is_below(&hidden) {
                self.remove(&hidden)?;
            }
        }
        Ok(true)
    }

    /// Removes what layers below have in a directory.
    fn clear(&self, directory: &Path) -> io::Result<()> {
        let mut directories = vec![directory.to_owned()];
        while let Some(directory) = directories.pop() {
            let at = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
            if self.root.symlink_metadata(at).map_or(true, |it| it.kind != FileKind::Directory) {
                continue;
            }
            for name in self.root.list_dir(at).map_err(io::Error::other)? {
                let path = directory.join(name);
                if self.is_below(&path) { self.remove(&path)? } else { directories.push(path) }
            }
        }
        Ok(())
    }

    /// Whether a path is of a layer below.
    fn is_below(&self, path: &Path) -> bool {
        self.layer.as_ref().is_some_and(|made| !made.contains(path))
    }
}

/// The directory that a name is in, and the name.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = path.file_name().ok_or_else(|| other("is the root"))?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    Ok((above.unwrap_or(Path::new(".")), name))
}

/// A path in an archive as one of the tree; one that goes up is refused, whatever it would come to.
fn inside(bytes: &[u8]) -> io::Result<PathBuf> {
    if bytes.len() > MAX_NAME_BYTES {
        return Err(other("has a name that is too long"));
    }
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(bytes)).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err(other("leads out of the tree")),
        }
    }
    if bytes.contains(&0) {
        return Err(other("has a NUL byte in its name"));
    }
    Ok(path)
}

/// Gives an open file or directory the owner, attributes and mode of its entry.
fn attribute(fd: impl AsFd, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
    let (uid, gid) = owner(entry)?;
    rustix::fs::fchown(&fd, Some(uid), Some(gid))?;
    for extension in entry.pax_extensions()?.into_iter().flatten().flatten() {
        let Ok(Some(name)) = extension.key().map(|key| key.strip_prefix("SCHILY.xattr.")) else { continue };
        if ATTRIBUTES.iter().any(|taken| name.starts_with(taken)) && !name.starts_with(NOT_ATTRIBUTES) {
            match fsetxattr(&fd, name, extension.value_bytes(), XattrFlags::empty()) {
                // Not every file system has them.
                Err(Errno::OPNOTSUPP) => {}
                other => other?,
            }
        }
    }
    Ok(fchmod(&fd, mode(entry)?)?)
}

fn has_extension(entry: &mut Entry<'_, impl Read>, start: &str) -> bool {
    let extensions = entry.pax_extensions().ok().flatten();
    extensions.into_iter().flatten().flatten().any(|it| it.key().is_ok_and(|key| key.starts_with(start)))
}

fn owner(entry: &Entry<'_, impl Read>) -> io::Result<(Uid, Gid)> {
    let id = |id: u64| u32::try_from(id).ok().filter(|&id| id != u32::MAX);
    let header = entry.header();
    let both = id(header.uid()?).zip(id(header.gid()?));
    let (uid, gid) = both.ok_or_else(|| other("has an owner that no file system can keep"))?;
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

fn mode(entry: &Entry<'_, impl Read>) -> io::Result<Mode> {
    Ok(Mode::from_raw_mode(entry.header().mode()? & 0o7777))
}

fn seconds(entry: &Entry<'_, impl Read>) -> i64 {
    entry.header().mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0)
}

fn times(seconds: i64) -> Timestamps {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps { last_access, last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 } }
}

/// Fills the buffer, but at the end.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn other(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}
