//! The text of `/proc/PID/mountinfo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::MountEntry;

/// Reads the text of a mountinfo file; a line that is not as it should be is left out.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<MountEntry> {
    text.split(|&byte| byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.splitn(7, |&byte| byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = fields.next()?;
    let colon = device.iter().position(|&byte| byte == b':')?;
    let device = (number(&device[..colon])?, number(&device[colon + 1..])?);
    let root = unescape(fields.next()?).into();
    let mount_point = unescape(fields.next()?).into();
    let options = text_of(fields.next()?);
    let mut rest = fields.next()?;
    let mut tags = Vec::new();
    loop {
        let (field, after) = cut(rest)?;
        rest = after;
        if field == b"-" {
            break;
        }
        tags.push(text_of(field));
    }
    let (kind, rest) = cut(rest)?;
    // The rest of the line, as there are file systems that do not escape blanks in their options.
    let (source, super_options) = cut(rest)?;
    Some(MountEntry {
        id,
        unique_id: None,
        parent,
        device,
        root,
        mount_point,
        options,
        tags,
        kind: unescape(kind).to_string_lossy().into_owned(),
        source: unescape(source),
        super_options: unescape(super_options),
        super_option_list: split_options(super_options),
    })
}

/// The field before the next blank, and what is after it.
fn cut(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = rest.iter().position(|&byte| byte == b' ')?;
    Some((&rest[..blank], &rest[blank + 1..]))
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn text_of(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

/// Splits before it unescapes: a comma in a value is an escaped one.
pub(super) fn split_options(options: &[u8]) -> Vec<OsString> {
    options.split(|&byte| byte == b',').filter(|option| !option.is_empty()).map(unescape).collect()
}

/// Undoes the kernel's escapes: a backslash and three octal digits.
pub(super) fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if byte == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line =
            b"36 35 98:0 /mnt1 /mnt2 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue\n";
        let entries = parse(line);
        assert_eq!(entries.len(), 1);
        let entry = &entries[0];
        assert_eq!((entry.id, entry.parent, entry.device), (36, 35, (98, 0)));
        assert_eq!(entry.root, Path::new("/mnt1"));
        assert_eq!(entry.mount_point, Path::new("/mnt2"));
        assert!(entry.has_option("noatime") && !entry.has_option("no"));
        assert_eq!(entry.tags, ["shared:1", "master:2"]);
        assert_eq!(entry.kind, "ext3");
        assert_eq!(entry.source, "/dev/root");
        assert_eq!(entry.super_options, "rw,errors=continue");
        assert_eq!(entry.super_option_list, ["rw", "errors=continue"]);
    }

    #[test]
    fn names_are_unescaped_once() {
        let line = br"1 0 0:1 / /a\040b\134040c\012 rw - tmpfs x\011y rw,upperdir=/a\054b\072";
        let entry = &parse(line)[0];
        assert_eq!(entry.mount_point, Path::new("/a b\\040c\n"));
        assert_eq!(entry.source, "x\ty");
        assert_eq!(entry.super_options, "rw,upperdir=/a,b:");
        assert_eq!(entry.super_option_list, ["rw", "upperdir=/a,b:"]);
    }

    #[test]
    fn an_empty_source_and_blanks_in_options_are_taken() {
        let entry = &parse(b"1 0 0:1 / / rw - a  rw,x=a b")[0];
        assert_eq!((entry.kind.as_str(), entry.source.to_str()), ("a", Some("")));
        assert_eq!(entry.super_option_list, ["rw", "x=a b"]);
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        for line in [
            "",
            "1 2",
            "x 0 0:1 / / rw - a b c",
            "1 0 01 / / rw - a b c",
            "1 0 0:1 / / rw a b c",
            "1 0 0:1 / / rw - a b",
            "1 0 0:1 / / rw -",
        ] {
            assert_eq!(parse(line.as_bytes()), [], "{line}");
        }
    }

    /// As the kernel does it.
    fn escape(name: &[u8]) -> Vec<u8> {
        let escaped = |&byte: &u8| match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b',' => format!("\\{byte:03o}").into_bytes(),
            _ => vec![byte],
        };
        name.iter().flat_map(escaped).collect()
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![prop::sample::select(b" \t\n\\,:-0147ab".to_vec()), 1..=255_u8];
        prop::collection::vec(byte, 0..20)
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&text).len() <= text.len() / 20 + 1);
        }

        #[test]
        fn any_words_are_read(words in prop::collection::vec(
            prop::sample::select(vec!["1", "0:1", "/", "-", " ", "  ", "\n", "\\", "\\04", "rw", ",", "shared:1"]), 0..60)) {
            prop_assert!(parse(words.concat().as_bytes()).len() <= 5);
        }

        #[test]
        fn any_name_comes_back(root in name(), point in name(), source in name(), value in name()) {
            let [a, b, c, d] = [&root, &point, &source, &value].map(|name| escape(name));
            let line =
                [b"7 1 0:9 /", &*a, b" /", &b, b" rw shared:3 - tmpfs ", &c, b" rw,x=", &d, b",y\n"].concat();
            let entries = parse(&line);
            prop_assert_eq!(entries.len(), 1);
            let bytes = |name: &std::ffi::OsStr| name.as_encoded_bytes().to_vec();
            prop_assert_eq!(bytes(entries[0].root.as_os_str()), [b"/", &*root].concat());
            prop_assert_eq!(bytes(entries[0].mount_point.as_os_str()), [b"/", &*point].concat());
            prop_assert_eq!(bytes(&entries[0].source), source);
            let option = [b"x=", &*value].concat();
            prop_assert_eq!(bytes(&entries[0].super_option_list[1]), option);
            prop_assert_eq!(entries[0].super_option_list.len(), 3);
        }
    }
}
