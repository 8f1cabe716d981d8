//! Names of links: the kernel's rules, and how a cable's host end gets its name from its subhost's.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The longest name of a link, in bytes (IFNAMSIZ without the final zero).
pub const LINK_NAME_MAX: usize = 15;

/// The longest altname of a link, in bytes (ALTIFNAMSIZ without the final zero).
pub const ALTNAME_MAX: usize = 127;

/// The highest number of a cable: with more digits nothing readable would be left of a shortened name.
const INDEX_MAX: u32 = 999_999;

/// How many letters of hash stand in a shortened name: 28 bits. No digits, so that the index stays readable.
const HASH_LETTERS: usize = 6;

/// A name that a link can have: 1 to 15 bytes, and nothing that the kernel refuses or reads as a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkName(String);

impl LinkName {
    /// Takes `name` if a link can have it.
    ///
    /// # Errors
    /// [`Error::InvalidName`] says which rule it breaks.
    pub fn new(name: &str) -> Result<Self> {
        check_length(name, LINK_NAME_MAX, "is longer than 15 bytes")?;
        check_bytes(name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LinkName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for LinkName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// What the host end of a cable is called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HostName {
    /// The link's name.
    pub name: LinkName,
    /// The full name, for a link whose name had to be shortened.
    pub altname: Option<String>,
}

/// Names the host end of cable number `index` of `subhost`: `web0`, `web1`…
///
/// A name longer than 15 bytes is shortened to as much of the subhost's name as fits (usually seven bytes),
/// a hyphen, six letters, and the index: `accounting-production` becomes `account-wriidc0`. The letters are
/// 28 bits of the hash of the subhost's whole name, so that all its cables share them: 64-bit FNV-1a, finished by
/// the MurmurHash3 mixer, written in base 26, lowest digit first, `a` for 0. The full name
/// is then the altname, by which `ip` finds the link as well.
/// The rule is part of the interface: it will not change. Two names can still come out alike (`web` and 10,
/// `web1` and 0; or by the hash), so a plan has to compare them.
///
/// # Errors
/// [`Error::InvalidName`] if the full name has more than 127 bytes, or bytes that no link's name can have,
/// or if `index` has more than six digits.
pub fn host_end(subhost: &str, index: u32) -> Result<HostName> {
    let full = format!("{subhost}{index}");
    if subhost.is_empty() {
        return Err(Error::InvalidName { name: full, why: "has no letters before the number" });
    }
    if index > INDEX_MAX {
        return Err(Error::InvalidName { name: full, why: "the cable's number has more than six digits" });
    }
    check_any(&full)?;
    if full.len() <= LINK_NAME_MAX {
        return Ok(HostName { name: LinkName(full), altname: None });
    }

    let mut hash = Hash::new();
    hash.write(subhost.as_bytes());
    let tail = format!("-{}{index}", letters(hash.finish()));
    let mut room = LINK_NAME_MAX.saturating_sub(tail.len()).min(subhost.len());
    while !subhost.is_char_boundary(room) {
        room -= 1;
    }
    Ok(HostName { name: LinkName(format!("{}{tail}", &subhost[..room])), altname: Some(full) })
}

/// What the device is called that limits what comes from the guest of a cable.
pub(crate) struct ShaperName {
    pub(crate) name: LinkName,
    pub(crate) altname: String,
}

/// `ifb-` and six letters of the hash of the host end's name, and that name with `-from-guest` as altname.
pub(crate) fn shaper(host_end: &LinkName) -> Result<ShaperName> {
    let mut hash = Hash::new();
    hash.write(host_end.as_str().as_bytes());
    let name = LinkName::new(&format!("ifb-{}", letters(hash.finish())))?;
    Ok(ShaperName { name, altname: format!("{host_end}-from-guest") })
}

fn letters(mut hash: u64) -> String {
    let mut letters = String::new();
    for _ in 0..HASH_LETTERS {
        letters.push(char::from(b"abcdefghijklmnopqrstuvwxyz"[usize::try_from(hash % 26).unwrap_or(0)]));
        hash /= 26;
    }
    letters
}

/// Refuses what can be neither the name nor an altname of a link.
pub(crate) fn check_any(name: &str) -> Result<()> {
    check_length(name, ALTNAME_MAX, "is longer than 127 bytes")?;
    check_bytes(name)
}

fn check_length(name: &str, most: usize, why: &'static str) -> Result<()> {
    if name.len() > most { Err(Error::InvalidName { name: name.to_owned(), why }) } else { Ok(()) }
}

/// The rules of `dev_valid_name` in the kernel, and three more: a per cent sign makes the kernel number the
/// name by itself, `all` and `default` are taken in `/proc/sys/net`, and control characters would reach terminals.
fn check_bytes(name: &str) -> Result<()> {
    let refuse = |why| Err(Error::InvalidName { name: name.to_owned(), why });
    match name {
        "" => return refuse("is empty"),
        "." | ".." => return refuse("is a directory"),
        "all" | "default" => return refuse("is reserved by the kernel's network settings"),
        _ => {}
    }
    for byte in name.bytes() {
        match byte {
            b'/' | b':' => return refuse("has a slash or a colon"),
            b'%' => return refuse("has a per cent sign, which the kernel would replace"),
            // 0xa0 too is a space for the kernel, which classifies bytes as Latin-1.
            b' ' | 0xa0 => return refuse("has a space"),
            _ if byte.is_ascii_control() => return refuse("has a control character"),
            _ => {}
        }
    }
    Ok(())
}

/// 64-bit FNV-1a, finished by the MurmurHash3 mixer: short, documented, the same on every machine and release,
/// which the hashes of std are not. Not for secrets: nobody gains by a collision, which is refused as a taken name.
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The length first, so that `ab`, `c` and `a`, `bc` differ.
    pub(crate) fn write_with_length(&mut self, bytes: &[u8]) {
        self.write(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.write(bytes);
    }

    /// FNV alone mixes the last bytes badly into the highest bits, which are the ones taken.
    pub(crate) fn finish(self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_the_kernel_takes() {
        for name in ["a", "eth0", "web.10", "fifteen-bytes-x", "-rf", "...", "br_0@x", "\u{fc}"] {
            assert_eq!(LinkName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_what_the_kernel_refuses_and_says_why() {
        for (name, message) in [
            ("", "name ``: is empty"),
            (".", "name `.`: is a directory"),
            ("..", "name `..`: is a directory"),
            ("all", "name `all`: is reserved by the kernel's network settings"),
            ("default", "name `default`: is reserved by the kernel's network settings"),
            ("sixteen-bytes-xx", "name `sixteen-bytes-xx`: is longer than 15 bytes"),
            ("a/b", "name `a/b`: has a slash or a colon"),
            ("eth0:1", "name `eth0:1`: has a slash or a colon"),
            ("a b", "name `a b`: has a space"),
            ("\u{e0}", "name `\u{e0}`: has a space"),
            ("eth%d", "name `eth%d`: has a per cent sign, which the kernel would replace"),
            ("a\n", "name `a\\n`: has a control character"),
            ("a\u{0}", "name `a\\0`: has a control character"),
        ] {
            assert_eq!(LinkName::new(name).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn host_end_is_name_and_number_where_that_fits() {
        let host_end = host_end("web", 10).unwrap();
        assert_eq!(host_end.name.as_str(), "web10");
        assert_eq!(host_end.altname, None);
        assert_eq!(super::host_end("fourteen-bytes", 9).unwrap().name.as_str(), "fourteen-bytes9");
    }

    #[test]
    fn long_host_end_is_shortened_by_the_rule_and_keeps_its_name_as_altname() {
        for (subhost, index, short) in LONG {
            let host_end = host_end(subhost, *index).unwrap();
            assert_eq!(host_end.name.as_str(), *short);
            assert_eq!(host_end.altname, Some(format!("{subhost}{index}")));
        }
    }

    const LONG: &[(&str, u32, &str)] = &[
        ("accounting-production", 0, "account-wriidc0"),
        ("accounting-production", 15, "accoun-wriidc15"),
        ("accounting-staging", 0, "account-fosfrj0"),
        ("sixteen-letters-", 999999, "si-oavzrx999999"),
        ("m\u{fc}nchen-m\u{fc}nchen", 3, "m\u{fc}nche-whwtra3"),
        (
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            0,
            "xxxxxxx-thynyt0",
        ),
    ];

    #[test]
    fn host_end_refuses_names_that_no_link_can_have() {
        for (subhost, index, message) in [
            ("", 0, "name `0`: has no letters before the number"),
            ("../x", 0, "name `../x0`: has a slash or a colon"),
            ("web", 1_000_000, "name `web1000000`: the cable's number has more than six digits"),
        ] {
            assert_eq!(host_end(subhost, index).unwrap_err().to_string(), message);
        }
        assert!(host_end(&"x".repeat(126), 0).is_ok());
        assert!(host_end(&"x".repeat(127), 0).unwrap_err().to_string().ends_with("is longer than 127 bytes"));
    }

    proptest! {
        #[test]
        fn every_host_end_is_a_name_that_a_link_can_have(subhost in "\\PC{1,130}", index in 0..=INDEX_MAX) {
            if let Ok(host_end) = host_end(&subhost, index) {
                prop_assert!(LinkName::new(host_end.name.as_str()).is_ok());
                prop_assert!(host_end.name.as_str().ends_with(&index.to_string()));
                prop_assert_eq!(host_end.altname.is_some(), format!("{subhost}{index}").len() > 15);
            }
        }
    }
}
