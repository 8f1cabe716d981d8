//! Settings that are one word.

use std::fmt;
use std::time::Duration;

use super::reader::Read;
use super::spec_error::SpecError;
use crate::code;

/// What runs as PID 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitChoice {
    /// Our own PID 1, which runs the guest's `rcS` and `rc`.
    Subhost,
    /// The init that is found in the guest.
    Auto,
    /// This program of the guest: an absolute path without `..`.
    Path(String),
}

impl InitChoice {
    /// Reads `auto` or an absolute path of the guest, as in `INIT`. Nothing at all is [`InitChoice::Subhost`].
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        init(text)
    }
}

impl fmt::Display for InitChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Subhost => "subhost",
            Self::Auto => "auto",
            Self::Path(path) => path,
        })
    }
}

/// How a subhost is powered off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PowerOff {
    /// The guest's `rc 0`, then signals.
    Graceful,
    /// At once, by any byte that is written to `/run/initctl`.
    Immediate,
}

impl fmt::Display for PowerOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Graceful => "graceful",
            Self::Immediate => "immediate",
        })
    }
}

/// Which ids of the host the guest's ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserNs {
    /// A range from the pool.
    Auto,
    /// This range: the guest's root is `first`.
    Range {
        /// The first id on the host.
        first: u32,
        /// How many.
        count: u32,
    },
}

impl fmt::Display for UserNs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Range { first, count } => write!(formatter, "{first}:{count}"),
        }
    }
}

/// Ids below belong to the host's own users.
const FIRST_GUEST_ID: u32 = 65536;
/// With fewer, ids such as nobody's (65534) do not exist in the guest.
const USUAL_COUNT: u32 = 65536;
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// What `sethostname` takes.
const MAX_HOSTNAME_BYTES: usize = 64;

fn wrong(text: &[u8], message: &str) -> SpecError {
    SpecError::about(code::SETTING_VALUE, text, message)
}

pub(super) fn hostname(text: &[u8]) -> Result<String, SpecError> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends_well = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    match std::str::from_utf8(text) {
        Ok(name) if text.iter().all(is_part) && ends_well(text.first()) && ends_well(text.last()) => {
            if text.len() > MAX_HOSTNAME_BYTES {
                return Err(wrong(text, &format!("is longer than {MAX_HOSTNAME_BYTES} bytes")));
            }
            Ok(name.to_owned())
        }
        _ => {
            Err(wrong(text, "is not a host name")
                .with_hint("a host name is letters, digits, `-`, `_` and `.`"))
        }
    }
}

pub(super) fn init(text: &[u8]) -> Result<InitChoice, SpecError> {
    match std::str::from_utf8(text) {
        Ok("") => Ok(InitChoice::Subhost),
        Ok("auto") => Ok(InitChoice::Auto),
        Ok(path) if is_guest_program(path) => Ok(InitChoice::Path(path.to_owned())),
        _ => {
            let hint = "write `auto` or a full path inside the guest without `..`, as in `/sbin/init`";
            Err(wrong(text, "is not an init").with_hint(hint))
        }
    }
}

pub(super) fn written_init(init: &InitChoice) -> Vec<u8> {
    match init {
        InitChoice::Subhost => Vec::new(),
        init => init.to_string().into_bytes(),
    }
}

fn is_guest_program(path: &str) -> bool {
    path.starts_with('/')
        && !path.ends_with('/')
        && path.len() < 4096
        && !path.split('/').any(|part| matches!(part, "." | ".."))
        && !path.contains(char::is_control)
}

pub(super) fn runlevel(text: &[u8]) -> Result<char, SpecError> {
    match text {
        [level @ (b'1'..=b'5' | b'7'..=b'9')] => Ok(char::from(*level)),
        b"0" | b"6" => {
            Err(wrong(text, "would end the subhost at once").with_hint("write 2 for the usual one"))
        }
        _ => Err(wrong(text, "is not a runlevel").with_hint("write one of 1 2 3 4 5 7 8 9")),
    }
}

/// Reads a time as in `STOP_TIMEOUT`: `30`, `30s`, `2m`, `1h`, `500ms`; a day at most.
pub fn parse_duration(text: &[u8]) -> Result<Duration, SpecError> {
    duration(text)
}

pub(super) fn duration(text: &[u8]) -> Result<Duration, SpecError> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds: Option<u64> = match unit {
        b"ms" => Some(1),
        b"" | b"s" => Some(1000),
        b"m" => Some(60_000),
        b"h" => Some(3_600_000),
        _ => None,
    };
    let number: Option<u64> = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    let (Some(number), Some(unit)) = (number, milliseconds) else {
        return Err(wrong(text, "is not a time")
            .with_hint("write seconds, or a unit behind the number: 30, 2m, 500ms"));
    };
    match number.checked_mul(unit).map(Duration::from_millis) {
        Some(time) if time <= LONGEST_WAIT => Ok(time),
        _ => Err(wrong(text, "is too long").with_hint("24h is the most")),
    }
}

pub(super) fn written_duration(time: &Duration) -> Vec<u8> {
    let milliseconds = time.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let exact = units.iter().find(|(unit, _)| milliseconds > 0 && milliseconds.is_multiple_of(*unit));
    exact
        .map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", milliseconds / unit))
        .into_bytes()
}

pub(super) fn poweroff(text: &[u8]) -> Result<PowerOff, SpecError> {
    match text {
        b"" | b"graceful" => Ok(PowerOff::Graceful),
        b"immediate" => Ok(PowerOff::Immediate),
        _ => Err(wrong(text, "is not a way to power off").with_hint("write `graceful` or `immediate`")),
    }
}

pub(super) fn script_name(text: &[u8]) -> Result<String, SpecError> {
    let is_odd = |character: char| character == '/' || character.is_whitespace() || character.is_control();
    match std::str::from_utf8(text) {
        Ok(name) if !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains(is_odd) => {
            Ok(name.to_owned())
        }
        _ => {
            let hint = "write the file's name in /etc/init.d, without the directory";
            Err(wrong(text, "is not a start script").with_hint(hint))
        }
    }
}

pub(super) fn userns(text: &[u8]) -> Result<Read<UserNs>, SpecError> {
    match text {
        b"" | b"auto" => return Ok(UserNs::Auto.into()),
        b"no" => {
            let message = "a subhost without a user namespace is not supported yet";
            let hint = "leave USERNS out, or write `auto` or FIRST:COUNT";
            return Err(SpecError::new(code::NOT_SUPPORTED_YET, message).with_hint(hint));
        }
        _ => {}
    }
    let form = "write `auto` or FIRST:COUNT, as in `524288:65536`";
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten()
    };
    let range = std::str::from_utf8(text).ok().and_then(|text| text.split_once(':'));
    let Some((first, count)) = range.and_then(|(first, count)| Some((number(first)?, number(count)?))) else {
        return Err(wrong(text, "is not a range of ids").with_hint(form));
    };
    if count == 0 {
        return Err(wrong(text, "is an empty range").with_hint(form));
    }
    if first < FIRST_GUEST_ID {
        let message = "reaches into the ids of the host's own users";
        return Err(wrong(text, message).with_hint(format!("begin at {FIRST_GUEST_ID} or above")));
    }
    // The last id of all, 4294967295, means "none".
    if first.checked_add(count).is_none() {
        return Err(wrong(text, "reaches beyond the last id"));
    }
    let read = Read::from(UserNs::Range { first, count });
    Ok(match count < USUAL_COUNT {
        true => read
            .but(format!("with {count} ids the guest lacks some that systems use, such as nobody's, 65534")),
        false => read,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        let time = |text: &str| duration(text.as_bytes()).ok();
        assert_eq!(time("30"), Some(Duration::from_secs(30)));
        assert_eq!(time("30s"), Some(Duration::from_secs(30)));
        assert_eq!(time("2m"), Some(Duration::from_secs(120)));
        assert_eq!(time("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(time("0"), Some(Duration::ZERO));
        assert_eq!(time("24h"), Some(Duration::from_secs(86_400)));
        for text in
            ["", "s", "-1", "1.5", "30 s", "25h", "99999999999999999999", "18446744073709551615h", "1d"]
        {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn writes_times_that_read_the_same() {
        for (milliseconds, text) in
            [(0, "0s"), (1, "1ms"), (30_000, "30s"), (90_000, "90s"), (120_000, "2m"), (86_400_000, "24h")]
        {
            let time = Duration::from_millis(milliseconds);
            assert_eq!(String::from_utf8(written_duration(&time)).unwrap(), text);
            assert_eq!(duration(text.as_bytes()), Ok(time));
        }
    }

    #[test]
    fn reads_id_ranges() {
        let range = |text: &str| userns(text.as_bytes()).map(|read| read.value);
        assert_eq!(range("auto"), Ok(UserNs::Auto));
        assert_eq!(range("524288:65536"), Ok(UserNs::Range { first: 524_288, count: 65_536 }));
        assert_eq!(range("4294901760:65535"), Ok(UserNs::Range { first: 4_294_901_760, count: 65_535 }));
        assert_eq!(range("no").unwrap_err().code(), code::NOT_SUPPORTED_YET);
        for text in [
            "yes",
            "1",
            "1:",
            ":1",
            "0:65536",
            "1000:65536",
            "65536:0",
            "4294901760:65536",
            "65536:+1",
            "1:2:3",
        ] {
            assert_eq!(range(text).unwrap_err().code(), code::SETTING_VALUE, "{text}");
        }
        assert!(userns(b"524288:65536").unwrap().warning.is_none());
        assert!(userns(b"524288:1000").unwrap().warning.is_some());
    }

    #[test]
    fn reads_the_init() {
        let choice = |text: &str| init(text.as_bytes()).ok();
        assert_eq!(choice("auto"), Some(InitChoice::Auto));
        assert_eq!(choice("/sbin/init"), Some(InitChoice::Path("/sbin/init".to_owned())));
        assert_eq!(choice(""), Some(InitChoice::Subhost));
        for text in ["init", "/sbin/../init", "/sbin/", "/", "/a\nb", "/sbin/./init", "~/init"] {
            assert_eq!(choice(text), None, "{text}");
        }
    }

    #[test]
    fn reads_host_names_runlevels_and_scripts() {
        let name = |text: &str| hostname(text.as_bytes()).ok();
        assert_eq!(name("web1.lan"), Some("web1.lan".to_owned()));
        for text in ["", "-a", "a-", ".a", "a b", "a/b", "é", "a\n", &"a".repeat(65)] {
            assert_eq!(name(text), None, "{text}");
        }
        let level = |text: &str| runlevel(text.as_bytes()).ok();
        assert_eq!([level("2"), level("9")], [Some('2'), Some('9')]);
        assert_eq!([level("0"), level("6"), level(""), level("22"), level("S")], [None; 5]);
        assert!(script_name(b"hwclock.sh").is_ok());
        for text in ["", "..", "/etc/init.d/udev", "a b", "a\n"] {
            assert!(script_name(text.as_bytes()).is_err(), "{text}");
        }
    }
}
