//! What a script may see of files, which is nothing unless a policy says so.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::{Run, Shell};
use crate::ast::Part;
use crate::code;
use crate::load::{MAX_FILE_BYTES, Trust, load_owned_by};
use crate::marked::Marked;
use crate::span::Span;

/// Which files a script may include.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncludePolicy {
    directories: Vec<PathBuf>,
    owner: u32,
    anybody: bool,
}

impl IncludePolicy {
    /// No file at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Files under these directories (absolute paths) that only root could have written, as
    /// [`load`](fn@crate::load) judges it.
    pub fn directories<P: Into<PathBuf>>(directories: impl IntoIterator<Item = P>) -> Self {
        Self { directories: directories.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The same where another user is trusted like root.
    #[must_use]
    pub fn owned_by(self, owner: u32) -> Self {
        Self { owner, ..self }
    }

    /// The same whoever could have written them: for texts that are looked at, never applied.
    #[must_use]
    pub fn by_anybody(self) -> Self {
        Self { anybody: true, ..self }
    }
}

/// Which files a script may look at, by `[ -e … ]`, by patterns and by `$(<FILE)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePolicy {
    directories: Vec<PathBuf>,
}

impl FilePolicy {
    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// What lies under these directories (absolute paths). A symbolic link that leads out of its directory is not
    /// followed.
    pub fn directories<P: Into<PathBuf>>(directories: impl IntoIterator<Item = P>) -> Self {
        Self { directories: directories.into_iter().map(Into::into).collect() }
    }
}

/// More names than any pattern of a configuration matches.
const MAX_NAMES: usize = 100_000;

impl Shell<'_> {
    /// The text of a file to include.
    pub(super) fn load_include(&mut self, path: &Path, span: Span) -> Run<Vec<u8>> {
        let policy = &self.settings.includes;
        if policy.directories.is_empty() {
            let hint = "copy the assignments over, or allow the directory";
            return self.refuse(code::INCLUDE, span, "includes are not allowed here", hint);
        }
        if below(&policy.directories, path).is_none() {
            let directories: Vec<String> =
                policy.directories.iter().map(|directory| directory.display().to_string()).collect();
            let message = format!("{} is not below {}", path.display(), directories.join(" or "));
            return self.refuse(code::INCLUDE, span, message, "name the file by its full path");
        }
        match load_owned_by(path, policy.owner) {
            Ok(loaded) => match loaded.trust {
                Trust::Untrusted(reason) if !policy.anybody => {
                    let message = format!("{} is not trusted: {reason}", path.display());
                    self.refuse(code::INCLUDE, span, message, "")
                }
                _ => Ok(loaded.source.text().to_vec()),
            },
            Err(error) => self.refuse(code::INCLUDE, span, error.to_string(), ""),
        }
    }

    /// `[ -e … ]` and the like.
    pub(super) fn file_test(&mut self, operator: &[u8], path: &[u8], span: Span) -> Run<bool> {
        if path.is_empty() {
            return Ok(false);
        }
        let follow = !matches!(operator, b"-h" | b"-L");
        let Some((file, status)) = self.look(path, follow, span)? else { return Ok(false) };
        let kind = FileType::from_raw_mode(status.st_mode);
        // Of the file that was looked at, whatever has its name by now.
        let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
        let access = |access| rustix::fs::accessat(CWD, &opened, access, AtFlags::EACCESS).is_ok();
        Ok(match operator {
            b"-e" | b"-a" => true,
            b"-f" => kind == FileType::RegularFile,
            b"-d" => kind == FileType::Directory,
            b"-h" | b"-L" => kind == FileType::Symlink,
            b"-b" => kind == FileType::BlockDevice,
            b"-c" => kind == FileType::CharacterDevice,
            b"-p" => kind == FileType::Fifo,
            b"-S" => kind == FileType::Socket,
            b"-s" => status.st_size > 0,
            b"-r" => access(Access::READ_OK),
            b"-w" => access(Access::WRITE_OK),
            b"-x" => access(Access::EXEC_OK),
            _ => {
                let message = format!("the test `{}` is refused", String::from_utf8_lossy(operator));
                return self.refuse(code::FILE_ACCESS, span, message, "");
            }
        })
    }

    /// A file and what it is; none if it is not there.
    fn look(&mut self, path: &[u8], follow: bool, span: Span) -> Run<Option<(OwnedFd, Stat)>> {
        let flags = if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
        let Some(file) = self.open(path, flags, span)? else { return Ok(None) };
        match rustix::fs::fstat(&file) {
            Ok(status) => Ok(Some((file, status))),
            Err(error) => self.refuse_file("look at", path, error, span),
        }
    }

    /// Opens a file if the policy allows it.
    fn open(&mut self, path: &[u8], flags: OFlags, span: Span) -> Run<Option<OwnedFd>> {
        // `Path` forgets a slash at the end, which asks for a directory, and follows links.
        let flags = match path.ends_with(b"/") {
            true => (flags - OFlags::NOFOLLOW) | OFlags::DIRECTORY,
            false => flags,
        };
        let absolute = Path::new(OsStr::from_bytes(path));
        let directories = &self.settings.files.directories;
        let Some((directory, rest)) = below(directories, absolute) else {
            let path = absolute.display();
            let message = match directories.is_empty() {
                true => format!("files are not looked at here, so nobody knows of {path}"),
                false => format!("{path} is not below a directory that may be looked at"),
            };
            return self.refuse(code::FILE_ACCESS, span, message, "write down what is so");
        };
        let opened = rustix::fs::openat(
            CWD,
            directory,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(|directory| {
            let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            rustix::fs::openat2(directory, rest, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
        });
        match opened {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => Ok(None),
            Err(error) => self.refuse_file("open", path, error, span),
        }
    }

    /// Complains that something cannot be done with a file.
    fn refuse_file<T>(&mut self, what: &str, path: &[u8], error: Errno, span: Span) -> Run<T> {
        let path = String::from_utf8_lossy(path).into_owned();
        let reason = match error {
            Errno::XDEV => "a link leads out of the directory".to_owned(),
            error => std::io::Error::from(error).to_string(),
        };
        self.refuse(code::FILE_ACCESS, span, format!("{what} {path}: {reason}"), "")
    }

    /// The text of a file, for `$(<FILE)`.
    pub(super) fn file_text(&mut self, path: &[u8], span: Span) -> Run<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = match self.look(path, true, span)? {
            Some((_, status)) if FileType::from_raw_mode(status.st_mode) == FileType::RegularFile => {
                self.open(path, flags, span)?
            }
            Some(_) => {
                let message = format!("{} is not a regular file", String::from_utf8_lossy(path));
                return self.refuse(code::FILE_ACCESS, span, message, "");
            }
            None => None,
        };
        let Some(file) = opened else { return self.refuse_file("read", path, Errno::NOENT, span) };
        let mut text = Vec::new();
        let read = std::fs::File::from(file).take(MAX_FILE_BYTES + 1).read_to_end(&mut text);
        let too_large = text.len() as u64 > MAX_FILE_BYTES;
        if read.is_err() || too_large || text.contains(&0) {
            let message = format!("{} cannot be read as a text", String::from_utf8_lossy(path));
            return self.refuse(code::FILE_ACCESS, span, message, "");
        }
        Ok(text)
    }

    /// Puts in the names of the files that a field matches; the field itself if it is no pattern.
    pub(super) fn file_names(
        &mut self,
        field: Marked,
        parts: &[Part],
        span: Span,
        values: &mut Vec<Vec<u8>>,
    ) -> Run {
        let special = |(byte, quoted): (&u8, &bool)| !quoted && b"*?[\\".contains(byte);
        let extended = self.options.extglob
            && field
                .bytes()
                .windows(2)
                .zip(field.quoted())
                .any(|(pair, quoted)| !quoted && b"+@!".contains(&pair[0]) && pair[1] == b'(');
        if !extended && !field.bytes().iter().zip(field.quoted()).any(special) {
            values.push(field.into_bytes());
            return Ok(());
        }
        let written = |part: &Part| match part {
            Part::Literal(bytes) => bytes.iter().any(|byte| b"*?[(".contains(byte)),
            _ => false,
        };
        let is_written = parts.iter().any(written);
        if self.settings.files.directories.is_empty() || !is_written {
            return if is_written {
                let message = "bash would look for files that match this pattern";
                self.refuse(code::FILE_PATTERN, span, message, "quote the word")
            } else {
                let message = "the value put in here would be taken for a file name pattern";
                self.refuse(code::PATTERN_IN_VALUE, span, message, "write it in double quotes")
            };
        }
        let names = self.matching(&field, span)?;
        if names.is_empty() {
            if !self.options.nullglob {
                values.push(field.into_bytes());
            }
            return Ok(());
        }
        values.extend(names);
        Ok(())
    }

    /// The files that match a pattern, in bash's order.
    fn matching(&mut self, field: &Marked, span: Span) -> Run<Vec<Vec<u8>>> {
        if field.bytes().first() != Some(&b'/') || field.bytes().contains(&b'\\') {
            let message = "a pattern that does not begin with `/` depends on where the file is read";
            return self.refuse(code::FILE_PATTERN, span, message, "write the full path, or quote the word");
        }
        let mut found: Vec<Vec<u8>> = vec![b"/".to_vec()];
        let components = components(field);
        let last = components.len() - 1;
        for (position, component) in components.iter().enumerate() {
            let pattern = self.pattern_of(component, span)?;
            let mut next = Vec::new();
            for directory in found {
                let literal = pattern.is_literal();
                if literal {
                    let path = [&directory, component.bytes()].concat();
                    // The directories above those that may be looked at are taken for there.
                    let above = self
                        .settings
                        .files
                        .directories
                        .iter()
                        .any(|allowed| allowed.as_os_str().as_bytes().starts_with(&path));
                    if above || self.look(&path, position < last, span)?.is_some() {
                        next.push(path);
                    }
                } else {
                    for name in self.names_in(&directory, span)? {
                        let hidden = name.starts_with(b".") && component.bytes().first() != Some(&b'.');
                        if !hidden && self.with_steps(span, |steps| pattern.matches(&name, steps))? {
                            next.push([&directory[..], &name].concat());
                        }
                    }
                }
            }
            if position < last {
                next.iter_mut().for_each(|path| path.push(b'/'));
            }
            found = next;
        }
        found.sort();
        Ok(found)
    }

    /// The names in a directory; none if it is not there.
    fn names_in(&mut self, directory: &[u8], span: Span) -> Run<Vec<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let Some(opened) = self.open(directory, flags, span)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        let entries = match rustix::fs::Dir::read_from(&opened) {
            Ok(entries) => entries,
            Err(error) => return self.refuse_file("read", directory, error, span),
        };
        for entry in entries {
            self.step(1, span)?;
            match entry {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Ok(entry) => names.push(entry.file_name().to_bytes().to_vec()),
                Err(error) => return self.refuse_file("read", directory, error, span),
            }
            if names.len() > MAX_NAMES {
                return self.refuse(code::FILE_ACCESS, span, "this directory holds too many files", "");
            }
        }
        Ok(names)
    }
}

/// The directory of the list that a path lies in, and the rest of the path. No `..` is allowed in it.
fn below<'f, 'p>(directories: &'f [PathBuf], path: &'p Path) -> Option<(&'f Path, &'p Path)> {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain {
        return None;
    }
    directories.iter().find_map(|directory| Some((directory.as_path(), path.strip_prefix(directory).ok()?)))
}

/// The parts of a pattern between the slashes.
fn components(field: &Marked) -> Vec<Marked> {
    let mut components = vec![Marked::default()];
    for (byte, quoted) in field.bytes()[1..].iter().zip(&field.quoted()[1..]) {
        match byte {
            b'/' => components.push(Marked::default()),
            _ => components.last_mut().expect("one at least").push(&[*byte], *quoted),
        }
    }
    components
}
