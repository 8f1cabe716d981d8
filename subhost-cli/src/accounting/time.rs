//! Times as people write them, and as RFC 3339 has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::events::rfc3339;

/// A time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl Time {
    /// Now.
    pub fn now() -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Reads `2026-11-26`, `2026-11-26T01:02:03.4Z`, the same with a space, without seconds, or with an offset as `+01:00`; what has
    /// none is UTC.
    pub fn parse(text: &str) -> Option<Time> {
        let (date, clock) = match text.split_once(['T', 't', ' ']) {
            Some((date, clock)) => (date, clock),
            None => (text, "00:00Z"),
        };
        let mut parts = date.split('-');
        let (year, month, day) =
            (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + i64::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if parts.next().is_some() || !(1..=length).contains(&day) || year < 1970 {
            return None;
        }
        let (clock, offset) = match clock.find(['Z', 'z', '+', '-']) {
            Some(at) => (&clock[..at], offset(&clock[at..])?),
            None => (clock, 0),
        };
        let mut parts = clock.split(':');
        let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        let (second, millis) = match parts.next() {
            None => (0, 0),
            Some(second) => match second.split_once('.') {
                Some((second, fraction)) => (digits(second, 2)?, millis(fraction)?),
                None => (digits(second, 2)?, 0),
            },
        };
        if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
        (seconds >= 0).then_some(Time(seconds * 1_000 + millis))
    }

    /// The same as RFC 3339 has it, in UTC.
    pub fn text(self) -> String {
        rfc3339(UNIX_EPOCH + Duration::from_millis(u64::try_from(self.0).unwrap_or(0)))
    }

    /// Seconds from another one to this one; never less than none.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a million years are exact")]
    pub fn seconds_since(self, other: Time) -> f64 {
        (self.0.saturating_sub(other.0).max(0)) as f64 / 1_000.0
    }

    /// Some seconds earlier.
    #[must_use]
    pub fn minus(self, seconds: i64) -> Time {
        Time(self.0.saturating_sub(seconds.saturating_mul(1_000)).max(0))
    }
}

/// A word of the command line: a time, `now`, or `90m`, `24h`, `7d` ago.
///
/// # Errors
/// It is none of these.
pub fn parse_word(text: &str) -> Result<Time, String> {
    if text == "now" {
        return Ok(Time::now());
    }
    let ago = text.char_indices().next_back().and_then(|(at, unit)| {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        Some(Time::now().minus(text[..at].parse::<u32>().ok().map(i64::from)? * seconds))
    });
    ago.or_else(|| Time::parse(text)).ok_or_else(|| {
        "it has to be a time, as 2026-11-26 or 2026-11-26T13:00:00Z, or so long ago: 90m, 24h, 7d".to_owned()
    })
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn millis(fraction: &str) -> Option<i64> {
    let is_number = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("{fraction:0<3}")[..3].parse().ok())?
}

fn offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days from 1970 to a date. Years that begin in March have their leap day last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_date_1_makes_of_them() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2026-11-25 19:33:05", 1_795_635_185),
            ("2026-11-25T20:33:05+01:00", 1_795_635_185),
            ("2026-11-25t17:33:05-02:00", 1_795_635_185),
            ("2100-03-01 00:00", 4_107_542_400),
        ] {
            assert_eq!(Time::parse(text), Some(Time(seconds * 1_000)), "{text}");
        }
        assert_eq!(Time::parse("1970-01-01T00:00:01.2345Z"), Some(Time(1_234)));
        assert_eq!(Time::parse("1970-01-01T00:00:01.5Z").unwrap().text(), "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "2026",
            "2026-1-1",
            "2026-13-01",
            "2026-02-29",
            "1969-12-31",
            "2026-01-01T",
            "2026-01-01T24:00",
            "2026-01-01T00:60",
            "2026-01-01T00:00:00+1",
            "2026-01-01T00:00:00.Z",
            "2026-01-01-01",
            "-1d",
            "1w",
            "d",
            "1970-01-01T00:00:00+01:00",
            "2026-01-01T00:00\u{e9}",
            "\u{e9}",
        ] {
            assert!(parse_word(text).is_err(), "{text}");
        }
        assert!(parse_word("now").unwrap() > parse_word("90m").unwrap());
    }
}
