//! The users of a guest, from its own `passwd` and `group` as data.
//!
//! Nothing of the guest is loaded or asked for this: its name service belongs to it, and would run with the caller's rights.

use std::collections::BTreeSet;
use std::ffi::CString;

use crate::{Error, Result};

/// Longest name of a user or group, in bytes.
const NAME_MAX: usize = 255;

/// A user of a guest, in numbers of the guest.
///
/// ```
/// use subhost_init::account::Account;
///
/// let passwd = b"root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n";
/// let group = b"root:x:0:\nann:x:1000:\naudio:x:29:bob,ann\n";
/// let ann = Account::find("ann", passwd, group)?;
/// assert_eq!((ann.uid, ann.gid, ann.groups.as_slice()), (1000, 1000, [1000, 29].as_slice()));
/// assert_eq!(ann.home.as_c_str(), c"/home/ann");
/// assert!(Account::find("+0", passwd, group).is_err());
/// # Ok::<(), subhost_init::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, where there is one.
    pub name: Option<CString>,
    /// Its id.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// All its groups, that one first.
    pub groups: Vec<u32>,
    /// Its home, an absolute path.
    pub home: CString,
    /// Its shell, an absolute path.
    pub shell: CString,
}

impl Account {
    /// Finds `USER` or `USER:GROUP`, each a name or a number, in the contents of a guest's `/etc/passwd` and `/etc/group`.
    ///
    /// A number need not be there; its group is then that of the same number. With a group given, it is the only one. What
    /// is not a well-formed line is passed over, as the C library does.
    ///
    /// # Errors
    /// [`Error::Refused`] for a word that is neither a name nor a number, or a name that is not there.
    pub fn find(user: &str, passwd: &[u8], group: &[u8]) -> Result<Account> {
        let (user, given) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
        let given = given.map(|word| find_group(word, group)).transpose()?;
        let entries = || passwd.split(|byte| *byte == b'\n').filter_map(Entry::parse);
        let (found, uid) = match Word::parse("user", user)? {
            Word::Number(uid) => (entries().find(|entry| entry.uid == uid), uid),
            Word::Name(name) => {
                let found = entries().find(|entry| entry.name == name.as_bytes());
                let found = found.ok_or_else(|| refused("user", user, "is not in the guest's passwd"))?;
                let uid = found.uid;
                (Some(found), uid)
            }
        };
        let gid = given.unwrap_or_else(|| found.as_ref().map_or(uid, |entry| entry.gid));
        let mut groups = vec![gid];
        if let (None, Some(entry)) = (given, &found) {
            let mut seen = BTreeSet::from([gid]);
            groups.extend(memberships(entry.name, group).filter(|gid| seen.insert(*gid)));
        }
        let path = |bytes: Option<&[u8]>, default: &[u8]| {
            let bytes = bytes.filter(|bytes| bytes.starts_with(b"/")).unwrap_or(default);
            CString::new(bytes).unwrap_or_default()
        };
        let (name, home) = match &found {
            Some(entry) => (CString::new(entry.name).ok(), path(entry.home, b"/")),
            None if uid == 0 => (Some(c"root".to_owned()), c"/root".to_owned()),
            None => (None, c"/".to_owned()),
        };
        let shell = path(found.as_ref().and_then(|entry| entry.shell), b"/bin/sh");
        Ok(Account { name, uid, gid, groups, home, shell })
    }
}

/// A user or group as a person writes it.
enum Word<'a> {
    Number(u32),
    Name(&'a str),
}

impl Word<'_> {
    fn parse<'a>(what: &str, word: &'a str) -> Result<Word<'a>> {
        if let Some(number) = number(word.as_bytes()) {
            return Ok(Word::Number(number));
        }
        let plain = word.strip_suffix('$').unwrap_or(word);
        let is_name = plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            && word.len() <= NAME_MAX;
        if is_name {
            Ok(Word::Name(word))
        } else {
            Err(refused(what, word, "is neither a name nor a number"))
        }
    }
}

/// An id: digits and nothing else, without zeros that might mean octal. The highest one stands for none.
fn number(word: &[u8]) -> Option<u32> {
    let is_number = word.iter().all(u8::is_ascii_digit) && (word == b"0" || !word.starts_with(b"0"));
    let number = std::str::from_utf8(word).ok().filter(|_| is_number)?.parse().ok()?;
    (number != u32::MAX).then_some(number)
}

/// A line of `passwd`.
struct Entry<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: Option<&'a [u8]>,
    shell: Option<&'a [u8]>,
}

impl Entry<'_> {
    fn parse(line: &[u8]) -> Option<Entry<'_>> {
        let mut fields = fields(line)?;
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (number(fields.next()?)?, number(fields.next()?)?);
        let _gecos = fields.next();
        Some(Entry { name, uid, gid, home: fields.next(), shell: fields.next() })
    }
}

/// The fields of a line, none for a comment or what a name service would have added.
fn fields(line: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let begins_with_name = line.first().is_some_and(|byte| !b"#+-: ".contains(byte));
    (begins_with_name && !line.contains(&0)).then(|| line.split(|byte| *byte == b':'))
}

/// The groups in a `group`: name, id and members.
fn groups(group: &[u8]) -> impl Iterator<Item = (&[u8], u32, &[u8])> {
    group.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = fields(line)?;
        let (name, _password) = (fields.next()?, fields.next()?);
        Some((name, number(fields.next()?)?, fields.next().unwrap_or_default()))
    })
}

fn find_group(word: &str, group: &[u8]) -> Result<u32> {
    match Word::parse("group", word)? {
        Word::Number(gid) => Ok(gid),
        Word::Name(name) => {
            let found = groups(group).find(|(found, ..)| *found == name.as_bytes());
            found.map(|(_, gid, _)| gid).ok_or_else(|| refused("group", word, "is not in the guest's group"))
        }
    }
}

fn memberships(user: &[u8], group: &[u8]) -> impl Iterator<Item = u32> {
    groups(group)
        .filter(move |(.., members)| members.split(|byte| *byte == b',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
}

fn refused(what: &str, word: &str, reason: &'static str) -> Error {
    Error::Refused { object: format!("{what} {word:?}"), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/bash\n# ann:x:1:1\n+ann::::::\nann:x:+1:1::/:/bin/sh\n\
        ann:x:4294967295:1::/:/bin/sh\nann:x:1000:100:Ann:/home/ann:\nann:x:0:0::/:/bin/sh\n\
        1000:x:0:0::/:/bin/sh\nshort:x:7:8\nbare:x:9:9::home:sh\nda\0e:x:5:5::/:/\n";
    const GROUP: &[u8] =
        b"root:x:0:\nann:x:1000:\nusers:x:100:ann\naudio:x:29:bob,ann\nmany:x:30:annabel,xann\n\
        wheel:x:-1:ann\nbad\n";

    fn find(user: &str) -> Result<Account> {
        Account::find(user, PASSWD, GROUP)
    }

    #[test]
    fn users_are_names_or_numbers_and_nothing_else() {
        for (user, ids) in [
            ("root", (0, 0)),
            ("0", (0, 0)),
            ("ann", (1000, 100)),
            // The number, not the user of that name.
            ("1000", (1000, 100)),
            ("4294967294", (4_294_967_294, 4_294_967_294)),
            ("2000", (2000, 2000)),
            ("2000:5", (2000, 5)),
            ("ann:5", (1000, 5)),
            ("ann:audio", (1000, 29)),
            ("0:ann", (0, 1000)),
            ("short", (7, 8)),
        ] {
            let account = find(user).unwrap();
            assert_eq!((account.uid, account.gid), ids, "{user}");
        }
        for user in [
            "",
            "1000:",
            ":5",
            ":",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x0",
            "00",
            "010",
            "4294967295",
            "4294967296",
            "1a",
            "1.0",
            "ann:",
            "ann:5:6",
            "ann:-1",
            "ann:none",
            "nobody",
            "an n",
            "ann\n",
            "#",
            "+ann",
            "-ann",
            "../ann",
            "99999999999999999999",
            "\u{661}",
            "0\0",
        ] {
            let error = find(user).unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{user}: {error}");
        }
        assert!(find(&"a".repeat(256)).is_err());
    }

    #[test]
    fn groups_are_those_of_the_guests_group() {
        assert_eq!(find("ann").unwrap().groups, [100, 29]);
        assert_eq!(find("1000").unwrap().groups, [100, 29]);
        assert_eq!(find("root").unwrap().groups, [0]);
        assert_eq!(find("ann:5").unwrap().groups, [5]);
        assert_eq!(find("2000").unwrap().groups, [2000]);
    }

    #[test]
    fn home_and_shell_are_absolute_paths() {
        let places = |user| find(user).map(|account| (account.home, account.shell)).unwrap();
        assert_eq!(places("root"), (c"/root".into(), c"/bin/bash".into()));
        assert_eq!(places("ann"), (c"/home/ann".into(), c"/bin/sh".into()));
        assert_eq!(places("bare"), (c"/".into(), c"/bin/sh".into()));
        assert_eq!(places("2000"), (c"/".into(), c"/bin/sh".into()));
    }

    #[test]
    fn root_is_there_without_a_passwd() {
        let root = Account::find("0", b"", b"").unwrap();
        assert_eq!((root.uid, root.gid, root.groups.as_slice()), (0, 0, [0].as_slice()));
        assert_eq!((root.name, root.home), (Some(c"root".into()), c"/root".into()));
    }
}
