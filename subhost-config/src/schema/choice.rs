//! Settings that are one of a few words, and lists of plain words.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::spec_error::SpecError;
use crate::code;

/// When a subhost is booted again by itself: `RESTART`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restart {
    /// Never.
    No,
    /// When its PID 1 failed.
    OnFailure,
    /// Whenever it ended and nobody stopped it.
    Always,
}

/// The system call filter: `SECCOMP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seccomp {
    /// The filter that is built in.
    Default,
    /// None.
    Off,
}

/// Whether the guest may write to `/sys`: `PROC_SYS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcSys {
    /// It may not.
    ReadOnly,
    /// It may, as far as its user namespace lets it.
    Writable,
}

/// The words of each, the first of a value being the one that is written.
const RESTART: &[(&str, Restart)] =
    &[("no", Restart::No), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
const SECCOMP: &[(&str, Seccomp)] = &[("default", Seccomp::Default), ("no", Seccomp::Off)];
const PROC_SYS: &[(&str, ProcSys)] = &[("ro", ProcSys::ReadOnly), ("rw", ProcSys::Writable)];
const YES_NO: &[(&str, bool)] = &[
    ("yes", true),
    ("no", false),
    ("true", true),
    ("false", false),
    ("on", true),
    ("off", false),
    ("1", true),
    ("0", false),
];

fn choose<T: Copy>(text: &[u8], choices: &[(&str, T)], shown: usize) -> Result<T, SpecError> {
    let chosen = choices.iter().find(|(word, _)| word.as_bytes() == text);
    chosen.map(|&(_, value)| value).ok_or_else(|| {
        let words: Vec<String> = choices[..shown].iter().map(|(word, _)| format!("`{word}`")).collect();
        let hint = format!("write {}", words.join(" or "));
        SpecError::about(code::SETTING_VALUE, text, "is none of its values").with_hint(hint)
    })
}

fn word_of<T: PartialEq>(value: &T, choices: &[(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, choice)| choice == value).map_or("", |(word, _)| word)
}

pub(super) fn restart(text: &[u8]) -> Result<Restart, SpecError> {
    choose(text, RESTART, RESTART.len())
}

pub(super) fn seccomp(text: &[u8]) -> Result<Seccomp, SpecError> {
    choose(text, SECCOMP, SECCOMP.len())
}

pub(super) fn proc_sys(text: &[u8]) -> Result<ProcSys, SpecError> {
    choose(text, PROC_SYS, PROC_SYS.len())
}

pub(super) fn yes_no(text: &[u8]) -> Result<bool, SpecError> {
    choose(text, YES_NO, 2)
}

pub(super) fn written_yes_no(value: &bool) -> Vec<u8> {
    word_of(value, YES_NO).as_bytes().to_vec()
}

impl fmt::Display for Restart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(word_of(self, RESTART))
    }
}

impl fmt::Display for Seccomp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(word_of(self, SECCOMP))
    }
}

impl fmt::Display for ProcSys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(word_of(self, PROC_SYS))
    }
}

/// A subhost's name, as in `AFTER`.
pub(super) fn subhost_name(text: &[u8]) -> Result<String, SpecError> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let starts_well = text.first().is_some_and(|byte| !matches!(byte, b'-' | b'.'));
    match std::str::from_utf8(text) {
        Ok(name) if starts_well && text.len() <= 63 && text.iter().all(is_part) => Ok(name.to_owned()),
        _ => {
            let hint = "a name is letters, digits, `_`, `-` and `.`, 63 at most, and begins with none of the last two";
            Err(SpecError::about(code::SETTING_VALUE, text, "is not the name of a subhost").with_hint(hint))
        }
    }
}

/// A type of file system, as `blkid` names it.
pub(super) fn filesystem(text: &[u8]) -> Result<String, SpecError> {
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    match std::str::from_utf8(text) {
        Ok(name) if (1..=32).contains(&text.len()) && text.iter().all(is_part) => Ok(name.to_owned()),
        _ => {
            let hint = "write types as `blkid` names them, as in `( vfat f2fs )`";
            Err(SpecError::about(code::SETTING_VALUE, text, "is not a type of file system").with_hint(hint))
        }
    }
}

/// The guest's kernel command line, a line as `/proc/cmdline` shows it.
pub(super) fn command_line(text: &[u8]) -> Result<OsString, SpecError> {
    /// `COMMAND_LINE_SIZE` of x86 without the NUL.
    const MAX_BYTES: usize = 2047;
    let wrong = |message: &str| Err(SpecError::about(code::SETTING_VALUE, text, message));
    match text {
        _ if text.len() > MAX_BYTES => wrong(&format!("is longer than {MAX_BYTES} bytes")),
        _ if text.iter().any(|byte| matches!(byte, b'\n' | 0)) => wrong("is more than one line"),
        _ => Ok(OsStr::from_bytes(text).to_owned()),
    }
}

pub(super) fn written_os(text: &OsStr) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(super) fn written_text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// Whatever shows as it is written.
pub(super) fn written<T: fmt::Display>(value: &T) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_and_writes_the_same() {
        for word in ["no", "on-failure", "always"] {
            assert_eq!(restart(word.as_bytes()).unwrap().to_string(), word);
        }
        for word in ["default", "no"] {
            assert_eq!(seccomp(word.as_bytes()).unwrap().to_string(), word);
        }
        for word in ["ro", "rw"] {
            assert_eq!(proc_sys(word.as_bytes()).unwrap().to_string(), word);
        }
        assert_eq!(written_yes_no(&yes_no(b"on").unwrap()), b"yes");
        assert_eq!(written_yes_no(&yes_no(b"0").unwrap()), b"no");
        assert_eq!(yes_no(b"Yes").unwrap_err().hint(), Some("write `yes` or `no`"));
        assert_eq!(restart(b"never").unwrap_err().hint(), Some("write `no` or `on-failure` or `always`"));
    }

    #[test]
    fn reads_types_of_file_systems() {
        assert_eq!(filesystem(b"iso9660").unwrap(), "iso9660");
        for text in [&b""[..], b"VFAT", b"vfat,ntfs", b"vf at", &[b'a'; 33], b"\xff"] {
            assert!(filesystem(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_names_of_subhosts_and_command_lines() {
        assert!(subhost_name(b"web_1.lan-2").is_ok() && subhost_name(&[b'a'; 63]).is_ok());
        for text in [&b""[..], b"-a", b".a", b"a/b", b"a b", "é".as_bytes(), &[b'a'; 64]] {
            assert!(subhost_name(text).is_err(), "{text:?}");
        }
        assert_eq!(written_os(&command_line(b"quiet \xff").unwrap()), b"quiet \xff");
        assert!(command_line(b"a\nb").is_err() && command_line(&[b'a'; 2048]).is_err());
    }
}
