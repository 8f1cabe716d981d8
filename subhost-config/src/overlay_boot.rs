//! The configuration format of overlay-boot(8), which is no bash.
//!
//! A definition is a line `KEY=value` with the key flush left and the `=` right behind it. The rest of the line without
//! the blanks around it is the value: there are no quotes, no escapes, no references and no comments behind it. Of
//! several definitions of a key the first one holds, and an empty one leaves the key unset. Only `SHARE` may be there
//! several times, and may have blanks before the `=`. All other lines are passed over.
//!
//! A value that begins with `!` is a command there, whose output is the value. Here nothing is executed, so it is
//! refused, and so is what overlay-boot's own reading (a shell's `read` and `eval`) would change or break. Whatever is
//! accepted is exactly the value that overlay-boot would have. This is the format of overlay-boot 1.6.4.
//!
//! Nothing guesses a format: who calls this knows that the file is overlay-boot's.
//!
//! ```
//! use subhost_config::{Source, overlay_boot};
//!
//! let source = Source::new("mta.conf", "# a mail server\nBASE= .\nCABLES= lan0= =.302\nLOWER=!mount-base\n");
//! let (variables, diagnostics) = overlay_boot::read(&source);
//! assert_eq!(variables.get("CABLES").unwrap().value.first(), Some(&b"lan0= =.302"[..]));
//! assert!(variables.get("LOWER").is_none());
//! assert_eq!(diagnostics[0].message, "LOWER is a command, which is not executed");
//! assert_eq!(overlay_boot::check(&variables), []);
//! ```

use std::collections::BTreeMap;

use crate::code;
use crate::diagnostic::Diagnostic;
use crate::schema::{CableSpec, nearest};
use crate::span::{Source, Span};
use crate::value::Value;
use crate::vars::{Variable, Variables};
use crate::visible::visible;

/// The variables that overlay-boot reads.
pub const NAMES: &[&str] = &[
    "BASE",
    "CABLES",
    "INIT",
    "LIVE",
    "LOG",
    "LOWER",
    "NAME",
    "POSTMOUNT",
    "PREMOUNT",
    "RAM_SIZE",
    "SHARE",
    "START",
    "UPPER",
    "WORK",
];

/// The definitions of a text: scalars, and `SHARE` as an array. Keys that overlay-boot does not know are kept too.
///
/// An error in the list means that a definition was left out.
pub fn read(source: &Source) -> (Variables, Vec<Diagnostic>) {
    let mut reader = Reader {
        variables: Variables::new(source.into()),
        defined: BTreeMap::new(),
        diagnostics: Vec::new(),
    };
    if let Some(at) = source.text().iter().position(|&byte| byte == 0) {
        let message = "the text holds a NUL byte: it is not a configuration";
        let at = source.base() + at;
        reader.diagnostics.push(Diagnostic::error(code::NUL_BYTE, message).at(Span::new(at, at + 1)));
        return (reader.variables, reader.diagnostics);
    }
    let mut start = source.base();
    for (index, line) in source.text().split(|&byte| byte == b'\n').enumerate() {
        reader.line(line, start, index + 1);
        start += line.len() + 1;
    }
    (reader.variables, reader.diagnostics)
}

/// What overlay-boot would stumble over in these variables: `BASE` is missing, or a name, cable, size or shared path is
/// not of its form.
pub fn check(variables: &Variables) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if variables.get("BASE").is_none() {
        let message = "BASE is not set, the one variable that overlay-boot needs";
        found.push(
            Diagnostic::error(code::OVERLAY_BOOT_MISSING, message)
                .hint("write `BASE= .` for the file's directory"),
        );
    }
    let mut refuse = |name: &str, word: &[u8], span: Span, message: &str, hint: &str| {
        let message = format!("{name}: `{}` {message}", visible(word));
        found.push(Diagnostic::error(code::OVERLAY_BOOT_VALUE, message).at(span).hint(hint));
    };
    for (word, span) in words(variables, "NAME", false) {
        if word.len() > 12 || !word.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'/') {
            refuse(
                "NAME",
                word,
                span,
                "is not a name",
                "a name is at most 12 printable ASCII characters without `/`",
            );
        }
    }
    for (word, span) in words(variables, "RAM_SIZE", false) {
        let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_unit =
            matches!(word[digits..].to_ascii_lowercase().as_slice(), b"" | b"k" | b"m" | b"g" | b"%");
        if word != b"none" && (digits == 0 || !is_unit) {
            refuse(
                "RAM_SIZE",
                word,
                span,
                "is not a size",
                "write `none` or a size as for a tmpfs: 50M, 1G, 10%",
            );
        }
    }
    for (position, (word, span)) in words(variables, "CABLES", true).into_iter().enumerate() {
        if let Err((message, hint)) = check_cable(word, position == 0) {
            refuse("CABLES", word, span, &message, &hint);
        }
    }
    for (word, span) in words(variables, "SHARE", false) {
        let guest = word.iter().position(|&byte| byte == b':').map_or(word, |colon| &word[colon + 1..]);
        if !guest.starts_with(b"/") {
            let message = "has no full path in the subhost";
            refuse("SHARE", word, span, message, "write `SHARE= /dir` or `SHARE= hostdir:/dir`");
        }
    }
    found
}

/// `bridge=mac`, either half empty, or `bridge=.vlan` behind another cable.
fn check_cable(word: &[u8], is_first: bool) -> Result<(), (String, String)> {
    let form = || "write `bridge=mac`, `bridge=`, `=mac`, `=` or `=.vlan`".to_owned();
    let mut halves = word.split(|&byte| byte == b'=');
    let (Some(bridge), Some(end), None) = (halves.next(), halves.next(), halves.next()) else {
        return Err(("has not exactly one `=`".to_owned(), form()));
    };
    let Some(tag) = end.strip_prefix(b".") else {
        return CableSpec::parse(word, b'=').map(drop).map_err(|error| {
            (format!("is not a cable: {error}"), error.hint().map_or_else(form, str::to_owned))
        });
    };
    let is_tag = tag.first().is_some_and(|first| *first != b'0') && tag.iter().all(u8::is_ascii_digit);
    let number: Option<u32> = std::str::from_utf8(tag).ok().and_then(|tag| tag.parse().ok());
    if !is_tag || !number.is_some_and(|number| (1..=4095).contains(&number)) {
        return Err((
            "has no VLAN tag behind the dot".to_owned(),
            "a tag is a number from 1 to 4095".to_owned(),
        ));
    }
    if is_first {
        return Err((
            "is a VLAN without a cable before it".to_owned(),
            "put a cable before it: `= =.302`".to_owned(),
        ));
    }
    match bridge {
        b"" => Ok(()),
        bridge => CableSpec::parse(&[bridge, b"="].concat(), b'=')
            .map(drop)
            .map_err(|error| (format!("is not a cable: {error}"), form())),
    }
}

/// The words of a variable with their places; a scalar is one, or split on blanks.
fn words<'a>(variables: &'a Variables, name: &str, split: bool) -> Vec<(&'a [u8], Span)> {
    let Some(variable) = variables.get(name) else { return Vec::new() };
    if let Value::Indexed(elements) = &variable.value {
        return elements
            .iter()
            .map(|(&index, word)| (word.as_slice(), variable.element_set_at(index)))
            .collect();
    }
    let Some(value) = variable.value.first() else { return Vec::new() };
    // A definition's place ends where its value ends.
    let start = variable.set_at.end().saturating_sub(value.len());
    if !split {
        return vec![(value, Span::new(start, variable.set_at.end()))];
    }
    let mut words = Vec::new();
    let mut at = start;
    for word in value.split(|byte| matches!(byte, b' ' | b'\t')) {
        if !word.is_empty() {
            words.push((word, Span::new(at, at + word.len())));
        }
        at += word.len() + 1;
    }
    words
}

struct Reader {
    variables: Variables,
    /// The line of each key's first definition.
    defined: BTreeMap<String, usize>,
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn line(&mut self, line: &[u8], start: usize, number: usize) {
        let key = &line[..name_len(line)];
        let Ok(key) = std::str::from_utf8(key) else { return };
        let behind = &line[key.len()..];
        let blanks = behind.iter().take_while(|byte| is_blank(byte)).count();
        match behind.get(blanks) {
            Some(b'=') if !key.is_empty() && (blanks == 0 || key == "SHARE") => {
                let from = key.len() + blanks + 1;
                if key == "SHARE" {
                    self.share(&line[from..], start, start + from);
                } else {
                    self.define(key, &line[from..], start, start + from, number);
                }
            }
            _ => self.pass_over(line, start),
        }
    }

    fn define(&mut self, key: &str, rest: &[u8], start: usize, at: usize, number: usize) {
        let value = trim_start(rest, is_blank);
        let from = at + rest.len() - value.len();
        let value = trim_end(value, is_blank);
        let span = Span::new(start, from + value.len());
        if let Some(first) = self.defined.get(key) {
            let message = format!("{key} is defined on line {first} already, and the first definition holds");
            self.warn(code::OVERLAY_BOOT_SECOND_DEFINITION, span, message, "leave one of the two out");
            return;
        }
        self.defined.insert(key.to_owned(), number);
        if let Some(known) = nearest(key, NAMES.iter().copied()).filter(|_| !NAMES.contains(&key)) {
            let message = format!("overlay-boot has no variable {key}; did you mean {known}?");
            self.diagnostics.push(Diagnostic::warning(code::DID_YOU_MEAN, message).at(span));
        }
        if value.is_empty() {
            return;
        }
        if self.check_value(key, value, from) {
            self.variables.get_or_insert_with(key, || Variable::new(Value::Scalar(value.to_vec()), span));
        }
    }

    /// Whether the value is just these bytes to overlay-boot.
    fn check_value(&mut self, key: &str, value: &[u8], from: usize) -> bool {
        let span = Span::new(from, from + value.len());
        let errors = self.diagnostics.iter().filter(|it| it.is_error()).count();
        if value.starts_with(b"!") {
            let message = format!("{key} is a command, which is not executed");
            self.refuse(code::OVERLAY_BOOT_COMMAND, span, message, "write what the command prints instead");
            return false;
        }
        if value.contains(&b'\\') {
            let message = format!("{key}: overlay-boot drops a backslash, or joins lines there");
            self.refuse(code::OVERLAY_BOOT_GARBLED, span, message, "leave the backslash out");
        }
        if value.contains(&b'\'') {
            let message = format!("{key}: at a single quote overlay-boot executes the rest of the line");
            self.refuse(code::OVERLAY_BOOT_GARBLED, span, message, "values have no quotes: leave it out");
        }
        let is_broken = value.iter().any(|byte| b"`;&|<>()".contains(byte))
            || value.windows(2).any(|pair| pair == b"${")
            || value.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
        if is_broken {
            let message =
                format!("{key}: overlay-boot has a shell evaluate this line, which would obey it or stop");
            let hint = "leave out ` ; & | < > ( ) ${ and a single \"";
            self.refuse(code::OVERLAY_BOOT_GARBLED, span, message, hint);
        }
        self.check_edges(key, value, span);
        if self.diagnostics.iter().filter(|it| it.is_error()).count() > errors {
            return false;
        }
        for (is_odd, message, hint) in [
            (
                value.contains(&b'"'),
                "quotes are a part of the value here",
                "leave them out: blanks need no quotes",
            ),
            (value.contains(&b'$'), "`$` is a plain character here, no reference", "write the value itself"),
            (
                value.windows(2).any(|pair| is_blank(&pair[0]) && pair[1] == b'#'),
                "a comment behind a value is a part of it",
                "give the comment a line of its own",
            ),
        ] {
            if is_odd {
                self.warn(code::OVERLAY_BOOT_LITERAL, span, format!("{key}: {message}"), hint);
            }
        }
        true
    }

    /// A blank beyond ASCII is trimmed or not as the locale has it.
    fn check_edges(&mut self, key: &str, value: &[u8], span: Span) {
        let text = String::from_utf8_lossy(value);
        if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            let message =
                format!("{key}: whether the blank at its edge belongs to the value depends on the locale");
            self.refuse(code::OVERLAY_BOOT_GARBLED, span, message, "leave the blank out");
        }
    }

    fn share(&mut self, rest: &[u8], start: usize, at: usize) {
        let value = trim_start(rest, |byte| *byte == b' ');
        let from = at + rest.len() - value.len();
        let value = trim_end(value, |byte| *byte == b' ');
        let span = Span::new(from, from + value.len());
        let is_odd = |byte: Option<&u8>| byte.is_some_and(|byte| *byte == b'=' || is_blank(byte));
        if value.is_empty() {
            let message = "SHARE names no directory".to_owned();
            return self.refuse(
                code::OVERLAY_BOOT_VALUE,
                span,
                message,
                "write `SHARE= /dir` or `SHARE= hostdir:/dir`",
            );
        }
        if is_odd(value.first()) || is_odd(value.last()) {
            let message =
                "SHARE: overlay-boot takes only spaces off a shared path, and an `=` at its edge".to_owned();
            return self.refuse(
                code::OVERLAY_BOOT_GARBLED,
                span,
                message,
                "leave the tab, carriage return or `=` out",
            );
        }
        if value.contains(&b'\\') {
            let message = "SHARE: overlay-boot drops a backslash, or joins lines there".to_owned();
            return self.refuse(code::OVERLAY_BOOT_GARBLED, span, message, "leave the backslash out");
        }
        let whole = Span::new(start, span.end());
        let variable = self
            .variables
            .get_or_insert_with("SHARE", || Variable::new(Value::Indexed(BTreeMap::new()), whole));
        variable.set_at = whole;
        if let Value::Indexed(elements) = &mut variable.value {
            let next = elements.last_key_value().map_or(0, |(index, _)| index + 1);
            elements.insert(next, value.to_vec());
            variable.element_spans.insert(next, span);
        }
    }

    /// A line that is no definition. Comments and empty lines are meant so.
    fn pass_over(&mut self, line: &[u8], start: usize) {
        let text = trim_start(line, is_blank);
        if text.is_empty() || text.starts_with(b"#") {
            return;
        }
        let from = start + line.len() - text.len();
        let text = trim_end(text, is_blank);
        let behind = &text[name_len(text)..];
        let is_meant = behind.len() < text.len() && trim_start(behind, is_blank).starts_with(b"=");
        let hint = match is_meant {
            true => "write the name flush left, and `=` right behind it",
            false => "a definition is `KEY=value`, and a comment begins with `#`",
        };
        let message = "overlay-boot passes over this line".to_owned();
        self.warn(code::OVERLAY_BOOT_IGNORED_LINE, Span::new(from, from + text.len()), message, hint);
    }

    fn refuse(&mut self, code: &'static str, span: Span, message: String, hint: &str) {
        self.diagnostics.push(Diagnostic::error(code, message).at(span).hint(hint));
    }

    fn warn(&mut self, code: &'static str, span: Span, message: String, hint: &str) {
        self.diagnostics.push(Diagnostic::warning(code, message).at(span).hint(hint));
    }
}

/// The length of the name that the text begins with.
fn name_len(text: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match text.first() {
        Some(first) if !first.is_ascii_digit() => text.iter().take_while(|byte| is_part(byte)).count(),
        _ => 0,
    }
}

/// What `\s` is to sed.
fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

fn trim_start(text: &[u8], is_blank: impl Fn(&u8) -> bool) -> &[u8] {
    &text[text.iter().take_while(|byte| is_blank(byte)).count()..]
}

fn trim_end(text: &[u8], is_blank: impl Fn(&u8) -> bool) -> &[u8] {
    &text[..text.len() - text.iter().rev().take_while(|byte| is_blank(byte)).count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8]) -> (String, Vec<String>) {
        let source = Source::new("x.conf", text);
        let (variables, mut diagnostics) = read(&source);
        diagnostics.extend(check(&variables));
        let shown = diagnostics.iter().map(|it| {
            let place = it.span.map_or(&b"-"[..], |span| &source.text()[span.start()..span.end()]);
            format!("{} {}: {}", it.code, visible(place), it.message)
        });
        (String::from_utf8(variables.to_declare_p()).unwrap(), shown.collect())
    }

    #[test]
    fn reads_definitions() {
        for (text, declared) in [
            (&b"BASE= ."[..], "declare -- BASE=\".\"\n"),
            (b"BASE=.\r\nWORK= \t a  b\x0b\r\n", "declare -- BASE=\".\"\ndeclare -- WORK=\"a  b\"\n"),
            (b"# BASE=/a\n\nBASE=/b#c=d", "declare -- BASE=\"/b#c=d\"\n"),
            (b"BASE=.\nmy_Key2=x !y\n", "declare -- BASE=\".\"\ndeclare -- my_Key2=\"x !y\"\n"),
            (b"BASE=/\xff\n", "declare -- BASE=$'/\\377'\n"),
            (
                b"BASE=.\nSHARE= /a\nSHARE =b c:/d:e \nSHARE\t=!/x\n",
                "declare -- BASE=\".\"\ndeclare -a SHARE=([0]=\"/a\" [1]=\"b c:/d:e\" [2]=\"!/x\")\n",
            ),
        ] {
            let (variables, _) = read(&Source::new("x.conf", text));
            assert_eq!(String::from_utf8(variables.to_declare_p()).unwrap(), declared);
        }
        assert_eq!(
            read_text(
                b"# /opt/subhost/mta/mta.conf\nBASE=.\nCABLES= = lan0=06:a7:dd:b4:02:f2 =.302 lan0=.4095\n\
                        START= ssh /startup\nRAM_SIZE=none\nNAME=mta\nLOWER= base\n"
            )
            .1,
            [""; 0]
        );
    }

    #[test]
    fn the_first_definition_holds_even_if_it_is_empty() {
        let (declared, found) = read_text(b"BASE=.\nWORK=\nWORK=/w\nBASE=!pwd\n");
        assert_eq!(declared, "declare -- BASE=\".\"\n");
        assert_eq!(
            found,
            [
                "W1302 WORK=/w: WORK is defined on line 2 already, and the first definition holds",
                "W1302 BASE=!pwd: BASE is defined on line 1 already, and the first definition holds",
            ]
        );
    }

    #[test]
    fn refuses_commands_and_what_is_garbled() {
        for (line, code, place) in [
            ("LOWER= !overlay-diskfile mnt/ disk.img", "E1201", "!overlay-diskfile mnt/ disk.img"),
            ("LOWER=!", "E1201", "!"),
            ("LOWER=/a\\b", "E1202", "/a\\b"),
            ("LOWER=it's", "E1202", "it's"),
            ("LOWER=a;b", "E1202", "a;b"),
            ("LOWER=$(id)", "E1202", "$(id)"),
            ("LOWER=${a b}", "E1202", "${a b}"),
            ("LOWER=\"a", "E1202", "\"a"),
            ("LOWER=a\u{2003}", "E1202", "a\u{2003}"),
            ("SHARE=\t/a", "E1202", "\\t/a"),
            ("SHARE=/a\r", "E1202", "/a\\r"),
            ("SHARE==/a", "E1202", "=/a"),
            ("SHARE=/a\\b", "E1202", "/a\\b"),
            ("SHARE=", "E1203", ""),
        ] {
            let (declared, found) = read_text(format!("BASE=.\n{line}\n").as_bytes());
            assert_eq!(declared, "declare -- BASE=\".\"\n", "{line}");
            assert_eq!(found.len(), 1, "{line}: {found:?}");
            assert!(found[0].starts_with(&format!("{code} {place}: ")), "{line}: {found:?}");
        }
        let (variables, found) = read(&Source::new("x.conf", "BASE=.\0\n"));
        assert!(variables.is_empty() && found[0].code == "E0104");
    }

    #[test]
    fn warns_of_what_is_probably_not_meant() {
        for (line, found) in [
            (" WORK=/w", "W1301 WORK=/w: overlay-boot passes over this line"),
            ("WORK =/w", "W1301 WORK =/w: overlay-boot passes over this line"),
            ("export WORK", "W1301 export WORK: overlay-boot passes over this line"),
            ("=x", "W1301 =x: overlay-boot passes over this line"),
            ("WORK=\"/w\"", "W1303 \"/w\": WORK: quotes are a part of the value here"),
            ("WORK=$HOME/w", "W1303 $HOME/w: WORK: `$` is a plain character here, no reference"),
            ("WORK=/w # here", "W1303 /w # here: WORK: a comment behind a value is a part of it"),
            ("CABLE= =", "W1101 CABLE= =: overlay-boot has no variable CABLE; did you mean CABLES?"),
        ] {
            assert_eq!(read_text(format!("BASE=.\n{line}\n").as_bytes()).1, [found], "{line}");
        }
    }

    #[test]
    fn checks_what_overlay_boot_would_stumble_over() {
        for (line, found) in [
            ("NAME=much-too-long-name", "E1203 much-too-long-name: NAME: `much-too-long-name` is not a name"),
            ("NAME=a/b", "E1203 a/b: NAME: `a/b` is not a name"),
            ("RAM_SIZE= 50 M", "E1203 50 M: RAM_SIZE: `50 M` is not a size"),
            ("CABLES= br0", "E1203 br0: CABLES: `br0` has not exactly one `=`"),
            ("CABLES= =  br0==", "E1203 br0==: CABLES: `br0==` has not exactly one `=`"),
            ("CABLES= =.302", "E1203 =.302: CABLES: `=.302` is a VLAN without a cable before it"),
            ("CABLES= = br0=.4096", "E1203 br0=.4096: CABLES: `br0=.4096` has no VLAN tag behind the dot"),
            (
                "CABLES= = a:b=.3",
                "E1203 a:b=.3: CABLES: `a:b=.3` is not a cable: `a:b` is not the name of a bridge",
            ),
            (
                "CABLES=\tbr0=01:00:00:00:00:00",
                "E1203 br0=01:00:00:00:00:00: CABLES: `br0=01:00:00:00:00:00` is not a cable: `01:00:00:00:00:00` is a \
                 multicast address, and no address of a card",
            ),
            ("SHARE= srv", "E1203 srv: SHARE: `srv` has no full path in the subhost"),
            ("SHARE= /srv:www", "E1203 /srv:www: SHARE: `/srv:www` has no full path in the subhost"),
        ] {
            assert_eq!(read_text(format!("BASE=.\n{line}\n").as_bytes()).1, [found], "{line}");
        }
        assert_eq!(read_text(b"").1, ["E1204 -: BASE is not set, the one variable that overlay-boot needs"]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_text_makes_it_panic_or_point_outside(lines in proptest::collection::vec((
            proptest::sample::select(vec!["BASE=", "SHARE =", "CABLES=", "NAME=", "RAM_SIZE=", " ", ""]),
            proptest::collection::vec(proptest::prelude::any::<u8>(), 0..12),
        ), 0..6)) {
            let text = lines.iter().map(|(key, rest)| [key.as_bytes(), rest].concat()).collect::<Vec<_>>().join(&b'\n');
            let source = Source::new("x.conf", text);
            let (variables, mut diagnostics) = read(&source);
            diagnostics.extend(check(&variables));
            for span in diagnostics.iter().filter_map(|it| it.span) {
                proptest::prop_assert!(span.end() <= source.text().len());
            }
            for (name, variable) in &variables {
                if let Value::Scalar(value) = &variable.value {
                    let whole = &source.text()[variable.set_at.start()..variable.set_at.end()];
                    proptest::prop_assert!(whole.starts_with(name.as_bytes()) && whole.ends_with(value));
                }
            }
        }
    }
}
