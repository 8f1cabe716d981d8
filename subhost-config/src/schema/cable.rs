//! `BRIDGES`: `bridge:mac`.

use std::collections::BTreeMap;
use std::fmt;

use super::spec_error::SpecError;
use crate::code;

/// `IFNAMSIZ` without the NUL.
const MAX_LINK_NAME_BYTES: usize = 15;

/// A network cable from the guest to a bridge of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CableSpec {
    /// The host's bridge; none for a cable whose host end is only up.
    pub bridge: Option<String>,
    /// The guest end's address; none for a stable one that is made up.
    pub mac: Option<[u8; 6]>,
}

impl CableSpec {
    /// Reads `bridge` and `mac` with a separator between them, split at its first occurrence: `:` in the
    /// configuration, `=` on the command line. Either half may be empty; without separator all of it is the
    /// bridge.
    pub fn parse(text: &[u8], separator: u8) -> Result<Self, SpecError> {
        let shown = char::from(separator);
        if text.is_empty() {
            let hint = format!("a cable without bridge and address is `{shown}`");
            return Err(SpecError::new(code::CABLE, "an empty word is not a cable").with_hint(hint));
        }
        let (bridge, mac) = match text.iter().position(|&byte| byte == separator) {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, &b""[..]),
        };
        let bridge = if bridge.is_empty() { None } else { Some(read_bridge(bridge)?) };
        let mac = if mac.is_empty() { None } else { Some(read_mac(mac, text, shown)?) };
        Ok(Self { bridge, mac })
    }
}

impl fmt::Display for CableSpec {
    /// `bridge:mac`, which [`CableSpec::parse`] with a colon reads as the same.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.bridge.as_deref().unwrap_or_default())?;
        match &self.mac {
            Some(mac) => formatter.write_str(&mac_text(*mac)),
            None => Ok(()),
        }
    }
}

/// An element of `BRIDGES`.
pub(super) fn read(text: &[u8]) -> Result<CableSpec, SpecError> {
    CableSpec::parse(text, b':')
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

fn read_bridge(text: &[u8]) -> Result<String, SpecError> {
    let wrong = |message: &str| SpecError::about(code::CABLE, text, message);
    if text.len() > MAX_LINK_NAME_BYTES {
        let message = format!("is longer than {MAX_LINK_NAME_BYTES} bytes, too long for a bridge's name");
        return Err(wrong(&message));
    }
    let is_odd = |character: char| {
        character == '/' || character == ':' || character.is_whitespace() || character.is_control()
    };
    match std::str::from_utf8(text) {
        Ok(name) if name != "." && name != ".." && !name.contains(is_odd) => Ok(name.to_owned()),
        _ => Err(wrong("is not the name of a bridge")),
    }
}

fn read_mac(text: &[u8], whole: &[u8], separator: char) -> Result<[u8; 6], SpecError> {
    let wrong = |message: &str| SpecError::about(code::CABLE, text, message);
    let Some(mac) = octets(text) else {
        let hint = match octets(whole) {
            Some(_) => format!("for a cable without bridge write `{separator}` before the address"),
            None => "an address is six hexadecimal octets: 06:a7:dd:b4:02:f2".to_owned(),
        };
        return Err(wrong("is no MAC address").with_hint(hint));
    };
    if mac == [0; 6] {
        return Err(wrong("is all zero, and no address of a card"));
    }
    if mac[0] & 1 == 1 {
        let mut single = mac;
        single[0] = single[0] & !1 | 2;
        let hint = format!("the first octet must be even, as in {}", mac_text(single));
        return Err(wrong("is a multicast address, and no address of a card").with_hint(hint));
    }
    Ok(mac)
}

fn octets(text: &[u8]) -> Option<[u8; 6]> {
    let octets = text.split(|&byte| byte == b':').map(|octet| match octet {
        [high, low] => {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(*high)? << 4 | digit(*low)?)
        }
        _ => None,
    });
    octets.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// What is wrong with cables beside each other (one MAC address), with the position of the later one. For cables that
/// come from elsewhere than [`SubhostConfig::from_variables`](super::SubhostConfig::from_variables).
pub fn check_cables(cables: &[CableSpec]) -> Vec<(usize, SpecError)> {
    let mut seen = BTreeMap::new();
    let mut errors = Vec::new();
    for (position, cable) in cables.iter().enumerate() {
        let Some(mac) = cable.mac else { continue };
        if let Some(before) = seen.insert(mac, position) {
            let message = format!("{} is the address of eth{before} and of eth{position}", mac_text(mac));
            errors.push((position, SpecError::new(code::CABLE_CONFLICT, message)));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x06, 0xa7, 0xdd, 0xb4, 0x02, 0xf2];

    #[test]
    fn reads_both_forms_with_either_half_empty() {
        let cable = |bridge: Option<&str>, mac| CableSpec { bridge: bridge.map(str::to_owned), mac };
        for (text, separator, expected) in [
            ("homenet:06:a7:dd:b4:02:f2", b':', cable(Some("homenet"), Some(MAC))),
            ("homenet=06:A7:DD:B4:02:F2", b'=', cable(Some("homenet"), Some(MAC))),
            ("homenet:", b':', cable(Some("homenet"), None)),
            ("homenet", b':', cable(Some("homenet"), None)),
            (":06:a7:dd:b4:02:f2", b':', cable(None, Some(MAC))),
            ("=06:a7:dd:b4:02:f2", b'=', cable(None, Some(MAC))),
            (":", b':', cable(None, None)),
            ("=", b'=', cable(None, None)),
            ("br-lan.10", b'=', cable(Some("br-lan.10"), None)),
        ] {
            assert_eq!(CableSpec::parse(text.as_bytes(), separator), Ok(expected), "{text}");
        }
    }

    #[test]
    fn shows_as_in_the_configuration() {
        assert_eq!(
            CableSpec::parse(b"br0=06:A7:dd:b4:02:f2", b'=').unwrap().to_string(),
            "br0:06:a7:dd:b4:02:f2"
        );
        assert_eq!(CableSpec::parse(b":", b':').unwrap().to_string(), ":");
    }

    #[test]
    fn refuses_what_is_no_cable() {
        for (text, message, hint) in [
            ("", "an empty word is not a cable", Some("a cable without bridge and address is `:`")),
            ("a/b:", "`a/b` is not the name of a bridge", None),
            ("a b:", "`a b` is not the name of a bridge", None),
            ("..:", "`..` is not the name of a bridge", None),
            (
                "abcdefghijklmnop:",
                "`abcdefghijklmnop` is longer than 15 bytes, too long for a bridge's name",
                None,
            ),
            (
                "06:a7:dd:b4:02:f2",
                "`a7:dd:b4:02:f2` is no MAC address",
                Some("for a cable without bridge write `:` before the address"),
            ),
            (
                "br0:6:a7:dd:b4:2:f2",
                "`6:a7:dd:b4:2:f2` is no MAC address",
                Some("an address is six hexadecimal octets: 06:a7:dd:b4:02:f2"),
            ),
            ("br0:00:00:00:00:00:00", "`00:00:00:00:00:00` is all zero, and no address of a card", None),
            (
                "br0:01:00:5e:00:00:01",
                "`01:00:5e:00:00:01` is a multicast address, and no address of a card",
                Some("the first octet must be even, as in 02:00:5e:00:00:01"),
            ),
        ] {
            let error = CableSpec::parse(text.as_bytes(), b':').unwrap_err();
            assert_eq!((error.to_string().as_str(), error.hint()), (message, hint), "{text}");
        }
    }

    #[test]
    fn refuses_two_cables_with_one_address() {
        let cable = |text: &str| CableSpec::parse(text.as_bytes(), b':').unwrap();
        let errors = check_cables(&[
            cable("a:06:a7:dd:b4:02:f2"),
            cable("a:"),
            cable("b:06:A7:DD:B4:02:F2"),
            cable("a:"),
        ]);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].0, 2);
        assert_eq!(errors[0].1.to_string(), "06:a7:dd:b4:02:f2 is the address of eth0 and of eth2");
    }
}
