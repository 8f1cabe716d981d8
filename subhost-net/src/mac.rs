//! Hardware addresses: text in and out, and the two kinds that this crate derives.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// An Ethernet address of six bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address with these bytes, first the one that is written first.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// Its six bytes.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether it names a group (the lowest bit of the first byte); no interface can have such an address.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether all bytes are zero; no interface can have such an address.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        matches!(self.0, [0, 0, 0, 0, 0, 0])
    }

    /// That an interface can have it.
    pub(crate) fn check_of_interface(self) -> Result<(), Error> {
        let why = match self {
            mac if mac.is_multicast() => "is a multicast address, which no interface can have",
            mac if mac.is_zero() => "is all zero, which no interface can have",
            _ => return Ok(()),
        };
        Err(Error::InvalidMac { text: self.to_string(), why })
    }

    /// The address for the host end of the cable whose guest end has the address `guest`.
    ///
    /// It is `guest` with its first byte made `fe`, as libvirt does for its taps. A bridge without an address of
    /// its own takes the lowest one of its ports; from `fe` on nothing is lower, so that a bridge
    /// with a real interface keeps that one's address while cables come and go.
    /// Guest addresses that differ in the first byte alone share a host end address, which the bridge allows:
    /// no frame is sent to it.
    #[must_use]
    pub const fn host_end(guest: Self) -> Self {
        let [_, b, c, d, e, f] = guest.0;
        Self([0xfe, b, c, d, e, f])
    }

    /// A locally administered unicast address that stays the same for the same machine, name and index.
    ///
    /// It is the 64-bit FNV-1a hash of the length of `machine_id` (8 bytes, little endian), `machine_id`, the length of
    /// `name` likewise, `name` and `index` (4 bytes, little endian), finished by the MurmurHash3 mixer; its six
    /// highest bytes in order, the first one with its two lowest bits made `10`.
    /// This rule is part of the interface: it will not change.
    #[must_use]
    pub fn stable(machine_id: &[u8], name: &str, index: u32) -> Self {
        let mut hash = crate::name::Hash::new();
        hash.write_with_length(machine_id);
        hash.write_with_length(name.as_bytes());
        hash.write(&index.to_le_bytes());
        let [a, b, c, d, e, f, _, _] = hash.finish().to_be_bytes();
        Self([a & 0xfc | 0x02, b, c, d, e, f])
    }
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Six groups of one or two hexadecimal digits with colons between, as `ip link` takes them. Any value is taken,
/// multicast and zero too: whether it suits is for the user of the address to say.
impl FromStr for Mac {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why| Error::InvalidMac { text: text.to_owned(), why };
        let mut octets = [0; 6];
        let mut groups = text.split(':');
        for octet in &mut octets {
            let group = groups.next().ok_or_else(|| refuse("has fewer than six groups"))?;
            if !(1..=2).contains(&group.len()) || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(refuse("is not six groups of hexadecimal digits with colons between"));
            }
            *octet = u8::from_str_radix(group, 16).map_err(|_| refuse("is not hexadecimal"))?;
        }
        if groups.next().is_some() {
            return Err(refuse("has more than six groups"));
        }
        Ok(Self(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ip_link_reads_and_writes_the_long_form() {
        for (text, long) in [
            ("06:a7:dd:b4:02:f2", "06:a7:dd:b4:02:f2"),
            ("6:a7:DD:b4:2:f2", "06:a7:dd:b4:02:f2"),
            ("ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff"),
        ] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), long);
        }
    }

    #[test]
    fn refuses_what_is_not_a_mac_and_says_why() {
        for (text, message) in [
            ("", "hardware address ``: is not six groups of hexadecimal digits with colons between"),
            ("06:a7:dd:b4:02", "hardware address `06:a7:dd:b4:02`: has fewer than six groups"),
            ("06:a7:dd:b4:02:f2:00", "hardware address `06:a7:dd:b4:02:f2:00`: has more than six groups"),
            (
                "06-a7-dd-b4-02-f2",
                "hardware address `06-a7-dd-b4-02-f2`: is not six groups of hexadecimal digits with colons between",
            ),
            (
                "+6:a7:dd:b4:02:f2",
                "hardware address `+6:a7:dd:b4:02:f2`: is not six groups of hexadecimal digits with colons between",
            ),
            (
                "06:a7:dd:b4:02:f2\n",
                "hardware address `06:a7:dd:b4:02:f2\\n`: is not six groups of hexadecimal digits with colons between",
            ),
        ] {
            assert_eq!(text.parse::<Mac>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn knows_groups_by_the_lowest_bit() {
        assert!(Mac::new([0x01, 0, 0x5e, 0, 0, 1]).is_multicast());
        assert!(!Mac::new([0x06, 1, 1, 1, 1, 1]).is_multicast());
        assert!(Mac::new([0; 6]).is_zero());
    }

    #[test]
    fn host_end_keeps_the_tail_under_fe() {
        let guest = Mac::new([0x06, 0xa7, 0xdd, 0xb4, 0x02, 0xf2]);
        assert_eq!(Mac::host_end(guest).to_string(), "fe:a7:dd:b4:02:f2");
    }

    #[test]
    fn stable_address_never_changes_for_the_same_input() {
        assert_eq!(Mac::stable(b"0123456789abcdef", "web", 0).to_string(), "2e:c2:fd:45:92:40");
        assert_eq!(Mac::stable(b"0123456789abcdef", "web", 1).to_string(), "76:74:53:fd:e1:26");
        assert_eq!(Mac::stable(b"", "", 0).to_string(), "aa:62:50:e4:79:c2");
    }

    #[test]
    fn stable_addresses_are_local_unicast_and_differ() {
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..1000 {
            let mac = Mac::stable(b"machine", "web", index);
            assert_eq!(mac.octets()[0] & 3, 2);
            assert!(seen.insert(mac));
        }
        assert_ne!(Mac::stable(b"ab", "c", 0), Mac::stable(b"a", "bc", 0));
    }
}
