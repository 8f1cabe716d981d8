//! Settings that are a number with a unit: `MEMORY`, `CPUS`, `RATE` and the like.

use super::reader::Read;
use super::spec_error::SpecError;
use crate::code;

const SIZE_FORM: &str = "write a number with a unit: 512M, 2G; without one it is bytes";

fn wrong(text: &[u8], message: &str) -> SpecError {
    SpecError::about(code::SETTING_VALUE, text, message)
}

/// The number that the text begins with, and what is behind it.
fn split_number(text: &[u8]) -> (Option<u64>, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    (std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()), rest)
}

/// Bytes: `65536`, `64K`, `512M`, `2G`, `1T`, in powers of 1024.
pub(super) fn size(text: &[u8]) -> Result<u64, SpecError> {
    let (number, unit) = split_number(text);
    let shift = match unit {
        b"" => Some(0),
        b"K" | b"k" => Some(10),
        b"M" | b"m" => Some(20),
        b"G" | b"g" => Some(30),
        b"T" | b"t" => Some(40),
        _ => None,
    };
    match (number, shift) {
        (Some(number), Some(shift)) => {
            number.checked_mul(1 << shift).ok_or_else(|| wrong(text, "is more bytes than can be counted"))
        }
        _ => Err(wrong(text, "is not a size").with_hint(SIZE_FORM)),
    }
}

/// The guest's memory. Whoever comes from virtual machines writes megabytes without a unit.
pub(super) fn memory(text: &[u8]) -> Result<u64, SpecError> {
    size_of_at_least(text, 1 << 20)
}

/// A size of a page or more.
pub(super) fn size_of_a_page(text: &[u8]) -> Result<u64, SpecError> {
    size_of_at_least(text, 1 << 12)
}

fn size_of_at_least(text: &[u8], least: u64) -> Result<u64, SpecError> {
    match size(text)? {
        bytes if bytes < least => {
            let message = format!("is less than {}", String::from_utf8_lossy(&written_size(&least)));
            Err(wrong(text, &message).with_hint(SIZE_FORM))
        }
        bytes => Ok(bytes),
    }
}

pub(super) fn written_size(bytes: &u64) -> Vec<u8> {
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let exact = units.iter().find(|(shift, _)| *bytes > 0 && bytes.is_multiple_of(1 << shift));
    match exact {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
    .into_bytes()
}

/// Processors in thousandths: `2`, `1.5`, `0.25`.
pub(super) fn cpus(text: &[u8]) -> Result<u32, SpecError> {
    let form = "write how many processors: 2, 1.5, 0.25";
    let (whole, rest) = split_number(text);
    let thousandths = match rest {
        b"" => Some(0),
        [b'.', digits @ ..] if matches!(digits.len(), 1..=3) && digits.iter().all(u8::is_ascii_digit) => {
            split_number(digits).0.map(|number| number * [100, 10, 1][digits.len() - 1])
        }
        _ => None,
    };
    let (Some(whole), Some(thousandths)) = (whole, thousandths) else {
        return Err(wrong(text, "is not a number of processors").with_hint(form));
    };
    let all = whole.checked_mul(1000).and_then(|all| all.checked_add(thousandths));
    match all.and_then(|all| u32::try_from(all).ok()) {
        // The kernel gives out no less than a millisecond of each tenth of a second.
        Some(0..10) => Err(wrong(text, "is less than 0.01 processors").with_hint(form)),
        Some(all) => Ok(all),
        None => Err(wrong(text, "is more processors than any machine has").with_hint(form)),
    }
}

pub(super) fn written_cpus(thousandths: &u32) -> Vec<u8> {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').as_bytes().to_vec()
}

/// Bits a second, with the units of `tc`: `512kbit`, `100mbit`, `1gbit`.
pub(super) fn rate(text: &[u8]) -> Result<u64, SpecError> {
    let form = "write a number with a unit, bits a second: 512kbit, 100mbit, 1gbit";
    let (number, unit) = split_number(text);
    let factor: Option<u64> = match unit {
        b"bit" => Some(1),
        b"kbit" => Some(1_000),
        b"mbit" => Some(1_000_000),
        b"gbit" => Some(1_000_000_000),
        _ => None,
    };
    match (number, factor) {
        (Some(number), Some(factor)) => match number.checked_mul(factor) {
            Some(0) => Err(wrong(text, "lets nothing through").with_hint(form)),
            Some(rate) => Ok(rate),
            None => Err(wrong(text, "is faster than can be counted").with_hint(form)),
        },
        _ => Err(wrong(text, "is not a rate").with_hint(form)),
    }
}

pub(super) fn written_rate(rate: &u64) -> Vec<u8> {
    let units = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1_000, "kbit"), (1, "bit")];
    let exact = units.iter().find(|(factor, _)| rate.is_multiple_of(*factor));
    exact.map_or_else(String::new, |(factor, unit)| format!("{}{unit}", rate / factor)).into_bytes()
}

/// How many processes.
pub(super) fn tasks(text: &[u8]) -> Result<u32, SpecError> {
    within(text, 1, u64::from(u32::MAX), "is not a number of processes")
}

/// A share, as cgroups count it.
pub(super) fn weight(text: &[u8]) -> Result<u32, SpecError> {
    within(text, 1, 10_000, "is not a weight")
}

/// Bytes of a packet.
pub(super) fn mtu(text: &[u8]) -> Result<Read<u32>, SpecError> {
    let mtu = within(text, 68, 65_535, "is no MTU")?;
    let read = Read::from(mtu);
    Ok(if mtu < 1280 {
        read.but(format!("with an MTU of {mtu} there is no IPv6, which needs 1280"))
    } else {
        read
    })
}

fn within(text: &[u8], least: u64, most: u64, message: &str) -> Result<u32, SpecError> {
    let number = match split_number(text) {
        (Some(number), b"") if (least..=most).contains(&number) => u32::try_from(number).ok(),
        _ => None,
    };
    number.ok_or_else(|| wrong(text, message).with_hint(format!("write a number from {least} to {most}")))
}

pub(super) fn written_number(number: &u32) -> Vec<u8> {
    number.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn reads_sizes_and_writes_the_same() {
        for (text, bytes, shown) in [
            ("0", 0, "0"),
            ("65536", 65_536, "64K"),
            ("512M", 512 << 20, "512M"),
            ("2g", 2 << 30, "2G"),
            ("1T", 1 << 40, "1T"),
            ("1500K", 1500 << 10, "1500K"),
            ("1025", 1025, "1025"),
        ] {
            assert_eq!(size(text.as_bytes()), Ok(bytes), "{text}");
            assert_eq!(written(written_size(&bytes)), shown);
        }
        for text in ["", "M", "-1", "1.5G", "1 G", "1GB", "99999999999999999999", "18446744073709551615K"] {
            assert!(size(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_without_a_unit_is_seldom_meant() {
        let error = memory(b"512").unwrap_err();
        assert_eq!(error.to_string(), "`512` is less than 1M");
        assert_eq!(error.hint(), Some("write a number with a unit: 512M, 2G; without one it is bytes"));
        assert_eq!(memory(b"512M"), Ok(512 << 20));
    }

    #[test]
    fn reads_processors_and_writes_the_same() {
        for (text, thousandths, shown) in [
            ("2", 2000, "2"),
            ("1.5", 1500, "1.5"),
            ("0.25", 250, "0.25"),
            ("0.010", 10, "0.01"),
            ("10", 10_000, "10"),
        ] {
            assert_eq!(cpus(text.as_bytes()), Ok(thousandths), "{text}");
            assert_eq!(written(written_cpus(&thousandths)), shown);
        }
        for text in
            ["", ".", "0", "0.001", "1.", ".5", "1.2345", "-1", "50%", "4294968", "99999999999999999999"]
        {
            assert!(cpus(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_rates_and_writes_the_same() {
        for (text, bits) in
            [("100mbit", 100_000_000), ("1gbit", 1_000_000_000), ("512kbit", 512_000), ("7bit", 7)]
        {
            assert_eq!(rate(text.as_bytes()), Ok(bits), "{text}");
            assert_eq!(written(written_rate(&bits)), text);
        }
        for text in ["", "100", "0mbit", "100MB", "1.5gbit", "99999999999999999gbit"] {
            assert!(rate(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_plain_numbers_in_their_range() {
        assert_eq!(
            [tasks(b"1").ok(), tasks(b"4294967295").ok(), weight(b"10000").ok()],
            [Some(1), Some(u32::MAX), Some(10_000)]
        );
        for text in ["0", "", "4294967296", "+1", "1 ", "0x10"] {
            assert!(tasks(text.as_bytes()).is_err(), "{text}");
        }
        assert!(weight(b"10001").is_err() && mtu(b"67").is_err() && mtu(b"65536").is_err());
        assert!(mtu(b"1500").unwrap().warning.is_none() && mtu(b"1279").unwrap().warning.is_some());
    }
}
