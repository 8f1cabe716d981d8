//! Paths in settings: `BASE`, `ROOT`, `WORK`, `BINDS`, `DEVICES`. They are bytes, as the kernel has them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::spec_error::SpecError;
use crate::code;
use crate::visible::visible;

/// `PATH_MAX` without the NUL.
const MAX_PATH_BYTES: usize = 4095;

/// A directory or file of the host inside the guest: an element of `BINDS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindSpec {
    /// The host's path, absolute and without a colon.
    pub host: PathBuf,
    /// The guest's path, absolute, without `.` and `..`, not the root itself.
    pub guest: PathBuf,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

impl BindSpec {
    /// Reads `host:guest`, `host:guest:ro` or `host:guest:rw`, split at the first colon. A guest's path that holds
    /// a colon needs one of the two endings.
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        const FORM: &str = "write `host:guest` or `host:guest:ro`, as in `/srv/www:/var/www:ro`";
        let wrong = |message: &str| SpecError::about(code::SETTING_VALUE, text, message).with_hint(FORM);
        let Some(colon) = text.iter().position(|&byte| byte == b':') else {
            return Err(wrong("is not a bind"));
        };
        let host = absolute(&text[..colon])?;
        let (guest, read_only) = split_access(&text[colon + 1..])?;
        let guest = absolute(guest)?;
        let bytes = guest.as_os_str().as_bytes();
        if bytes.split(|&byte| byte == b'/').all(<[u8]>::is_empty) {
            return Err(wrong("would cover the guest's whole tree"));
        }
        if bytes.split(|&byte| byte == b'/').any(|name| matches!(name, b"." | b"..")) {
            return Err(wrong("has `.` or `..` in the guest's path"));
        }
        Ok(Self { host, guest, read_only })
    }

    /// What [`BindSpec::parse`] reads as the same.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut text = self.host.as_os_str().as_bytes().to_vec();
        text.push(b':');
        text.extend(with_access(self.guest.as_os_str().as_bytes(), self.read_only));
        text
    }
}

impl fmt::Display for BindSpec {
    /// As in the configuration, with control characters of the paths escaped.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&visible(&self.written()))
    }
}

/// A device of the host inside the guest: an element of `DEVICES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Its path below `/dev`, on the host and in the guest.
    pub path: PathBuf,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

impl DeviceSpec {
    /// Reads `path`, `path:ro` or `path:rw`. A path that holds a colon needs one of the two endings.
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        const FORM: &str = "write a path below /dev, as in `/dev/fuse` or `/dev/net/tun:ro`";
        let wrong = |message: &str| SpecError::about(code::SETTING_VALUE, text, message).with_hint(FORM);
        let (path, read_only) = split_access(text)?;
        let path = absolute(path)?;
        let Some(name) = path.as_os_str().as_bytes().strip_prefix(b"/dev/") else {
            return Err(wrong("is not below /dev"));
        };
        if name.split(|&byte| byte == b'/').any(|name| matches!(name, b"" | b"." | b"..")) {
            return Err(wrong("is not a device"));
        }
        Ok(Self { path, read_only })
    }

    /// What [`DeviceSpec::parse`] reads as the same.
    pub(super) fn written(&self) -> Vec<u8> {
        with_access(self.path.as_os_str().as_bytes(), self.read_only)
    }
}

impl fmt::Display for DeviceSpec {
    /// As in the configuration, with control characters of the path escaped.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&visible(&self.written()))
    }
}

/// An absolute path of host or guest.
pub(super) fn absolute(text: &[u8]) -> Result<PathBuf, SpecError> {
    let wrong = |message: &str| SpecError::about(code::SETTING_VALUE, text, message);
    match text {
        b"" => Err(SpecError::new(code::SETTING_VALUE, "an empty word is not a path")),
        _ if text.len() > MAX_PATH_BYTES => Err(wrong("is too long for a path")),
        _ if text.contains(&0) => Err(wrong("holds a NUL byte and is not a path")),
        [b'/', ..] => Ok(PathBuf::from(OsStr::from_bytes(text))),
        _ => Err(wrong("is a relative path").with_hint("write the full path, from `/` on")),
    }
}

pub(super) fn written(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// A layer that is named twice.
pub(super) fn check_layers(layers: &[PathBuf]) -> Vec<(usize, SpecError)> {
    conflicts(layers.iter().map(PathBuf::as_path), "is a layer already: each layer is named once")
}

/// Two binds at one place of the guest.
pub(super) fn check_binds(binds: &[BindSpec]) -> Vec<(usize, SpecError)> {
    conflicts(binds.iter().map(|bind| bind.guest.as_path()), "is the guest's path of two binds")
}

/// One device twice.
pub(super) fn check_devices(devices: &[DeviceSpec]) -> Vec<(usize, SpecError)> {
    conflicts(devices.iter().map(|device| device.path.as_path()), "is listed twice")
}

fn conflicts<'a>(paths: impl Iterator<Item = &'a Path>, message: &str) -> Vec<(usize, SpecError)> {
    let mut seen = BTreeMap::new();
    let mut errors = Vec::new();
    for (position, path) in paths.enumerate() {
        if seen.insert(path, position).is_some() {
            let error = SpecError::about(code::SETTING_CONFLICT, path.as_os_str().as_bytes(), message);
            errors.push((position, error));
        }
    }
    errors
}

/// Takes `:ro` or `:rw` from the end. Another colon is only taken for a part of the path if one of them is there,
/// so that a slip such as `:r` is seen.
fn split_access(text: &[u8]) -> Result<(&[u8], bool), SpecError> {
    if let Some(path) = text.strip_suffix(b":ro") {
        return Ok((path, true));
    }
    if let Some(path) = text.strip_suffix(b":rw") {
        return Ok((path, false));
    }
    match text.iter().rposition(|&byte| byte == b':') {
        None => Ok((text, false)),
        Some(colon) => {
            let hint = "behind the last colon stands `ro` or `rw`; a path that holds a colon needs it";
            Err(SpecError::about(code::SETTING_VALUE, &text[colon + 1..], "is neither `ro` nor `rw`")
                .with_hint(hint))
        }
    }
}

fn with_access(path: &[u8], read_only: bool) -> Vec<u8> {
    let ending: &[u8] = match read_only {
        true => b":ro",
        false if path.contains(&b':') => b":rw",
        false => b"",
    };
    [path, ending].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_binds_and_writes_the_same() {
        let bind = |host: &str, guest: &str, read_only| BindSpec {
            host: PathBuf::from(host),
            guest: PathBuf::from(guest),
            read_only,
        };
        for (text, expected) in [
            ("/srv/www:/var/www:ro", bind("/srv/www", "/var/www", true)),
            ("/srv:/srv", bind("/srv", "/srv", false)),
            ("/srv:/a:b:rw", bind("/srv", "/a:b", false)),
            ("/srv:/a:ro:ro", bind("/srv", "/a:ro", true)),
        ] {
            let read = BindSpec::parse(text.as_bytes()).unwrap();
            assert_eq!(read, expected, "{text}");
            assert_eq!(read.to_string(), text);
        }
        assert_eq!(BindSpec::parse(b"/a:/b:rw").unwrap().to_string(), "/a:/b");
    }

    #[test]
    fn refuses_what_is_no_bind() {
        for (text, message) in [
            ("/srv", "`/srv` is not a bind"),
            ("srv:/srv", "`srv` is a relative path"),
            ("/srv:srv", "`srv` is a relative path"),
            ("/srv:", "an empty word is not a path"),
            ("/srv:/srv:r", "`r` is neither `ro` nor `rw`"),
            ("/srv:/a:b", "`b` is neither `ro` nor `rw`"),
            ("/srv:/", "`/srv:/` would cover the guest's whole tree"),
            ("/srv:/a/../b", "`/srv:/a/../b` has `.` or `..` in the guest's path"),
        ] {
            assert_eq!(BindSpec::parse(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn reads_devices_and_writes_the_same() {
        for text in ["/dev/fuse", "/dev/net/tun:ro", "/dev/disk/by-path/pci-0000:00:1f.2:rw"] {
            assert_eq!(DeviceSpec::parse(text.as_bytes()).unwrap().to_string(), text);
        }
        for text in
            ["", "fuse", "/dev", "/dev/", "/dev/../etc/shadow", "/etc/shadow", "/dev/fuse:r", "/dev//a"]
        {
            assert!(DeviceSpec::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn finds_what_is_there_twice() {
        let bind = |text: &str| BindSpec::parse(text.as_bytes()).unwrap();
        let errors = check_binds(&[bind("/a:/x"), bind("/a:/y"), bind("/b:/x:ro")]);
        assert_eq!(errors.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2]);
        assert_eq!(errors[0].1.to_string(), "`/x` is the guest's path of two binds");
    }
}
