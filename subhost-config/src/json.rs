//! Diagnostics as JSON for programs.

use std::fmt::Write;

use crate::diagnostic::{Diagnostic, Severity};
use crate::span::Sources;

/// Diagnostics as a JSON array, one object each, in their order, on one line without a newline at the end.
///
/// Every object has all of these members:
///
/// | member | what |
/// | --- | --- |
/// | `severity` | `"error"` or `"warning"` |
/// | `code` | one of [`code`](crate::code) |
/// | `message`, `hint` | for people; the hint may be `null` |
/// | `file` | the name of the text; this and the following are `null` where it did not come from the file |
/// | `line`, `column` | the first character, both from one, columns in characters |
/// | `end_line`, `end_column` | the character after the last |
/// | `start`, `end` | the same places as offsets in bytes, from zero in that text |
///
/// JSON is Unicode: bytes of the file that are not UTF-8 are shown as U+FFFD, so a name or value quoted in a message
/// may not be the exact one. The offsets are those of the file as it is.
///
/// ```
/// use subhost_config::{Source, parse, render_json};
///
/// let source = Source::new("config", "A=1\necho hi\n");
/// let (_, diagnostics) = parse(&source);
/// let json = render_json(&diagnostics, &source.into());
/// assert!(json.starts_with(r#"[{"severity":"error","code":"E0201","message":"the command `echo` is refused"#));
/// assert!(json.contains(r#""file":"config","line":2,"column":1,"end_line":2,"end_column":5,"start":4,"end":8"#));
/// ```
pub fn render_json(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let objects: Vec<String> = diagnostics.iter().map(|diagnostic| object(diagnostic, sources)).collect();
    format!("[{}]", objects.join(","))
}

fn object(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let hint = diagnostic.hint.as_deref().map_or_else(|| "null".to_owned(), string);
    let place = match diagnostic.span {
        None => "\"file\":null,\"line\":null,\"column\":null,\"end_line\":null,\"end_column\":null,\
                 \"start\":null,\"end\":null"
            .to_owned(),
        Some(span) => {
            let source = sources.of(span);
            let (start, end) = (source.offset(span.start()), source.offset(span.end()));
            let (first, behind) = (source.location(span.start()), source.location(span.end()));
            format!(
                "\"file\":{},\"line\":{},\"column\":{},\"end_line\":{},\"end_column\":{},\"start\":{start},\"end\":{end}",
                string(source.name()),
                first.line,
                first.column,
                behind.line,
                behind.column,
            )
        }
    };
    let (code, message) = (string(diagnostic.code), string(&diagnostic.message));
    format!("{{\"severity\":\"{severity}\",\"code\":{code},\"message\":{message},\"hint\":{hint},{place}}}")
}

/// A JSON string. Besides what JSON demands, whatever a terminal acts on is escaped.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            _ if character.is_control() || crate::visible::is_format(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(quoted, "\\u{unit:04x}").expect("writing to a string does not fail");
                }
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::{Source, Span};

    #[test]
    fn escapes_what_json_and_a_terminal_need() {
        for (text, quoted) in [
            ("plain é 日", "\"plain é 日\""),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\n\t\r", r#""\n\t\r""#),
            ("\x1b[31m\0\x7f\u{9b}", r#""\u001b[31m\u0000\u007f\u009b""#),
            ("\u{202e}\u{e0001}", r#""\u202e\udb40\udc01""#),
        ] {
            assert_eq!(string(text), quoted);
        }
    }

    #[test]
    fn gives_both_ends_in_characters_and_bytes() {
        let source = Source::new("c", b"\xffA=(\n'\xc3\xa9x'\n)\n").into();
        let diagnostic = Diagnostic::warning("W0501", "m").at(Span::new(5, 10)).hint("h");
        assert_eq!(
            render_json(&[diagnostic], &source),
            r#"[{"severity":"warning","code":"W0501","message":"m","hint":"h","file":"c","line":2,"column":1,"#.to_owned()
                + r#""end_line":2,"end_column":5,"start":5,"end":10}]"#
        );
    }

    #[test]
    fn counts_in_the_text_that_the_place_lies_in() {
        let mut sources = Sources::from(Source::new("main", "A=1\n"));
        let base = sources.include("included", b"B=2\n\nC=3\n".to_vec()).base();
        let at = |start, end| {
            let json = render_json(&[Diagnostic::error("E1005", "m").at(Span::new(start, end))], &sources);
            json.split_once("\"file\":").expect("it is there").1.to_owned()
        };
        assert_eq!(
            at(base + 5, base + 8),
            r#""included","line":3,"column":1,"end_line":3,"end_column":4,"start":5,"end":8}]"#
        );
        assert_eq!(
            at(base - 1, base + 8),
            r#""main","line":2,"column":1,"end_line":2,"end_column":1,"start":4,"end":4}]"#
        );
        assert_eq!(
            at(base + 700, base + 900),
            r#""included","line":4,"column":1,"end_line":4,"end_column":1,"start":9,"end":9}]"#
        );
    }

    #[test]
    fn has_every_member_without_a_place_and_stays_in_the_file() {
        let source = Source::new("c", "A=1").into();
        assert_eq!(
            render_json(&[Diagnostic::error("E1005", "m")], &source),
            r#"[{"severity":"error","code":"E1005","message":"m","hint":null,"file":null,"line":null,"column":null,"#
                .to_owned()
                + r#""end_line":null,"end_column":null,"start":null,"end":null}]"#
        );
        let beyond = render_json(&[Diagnostic::error("E1005", "m").at(Span::new(700, 900))], &source);
        assert!(
            beyond.ends_with(r#""line":1,"column":4,"end_line":1,"end_column":4,"start":3,"end":3}]"#),
            "{beyond}"
        );
        assert_eq!(render_json(&[], &source), "[]");
    }
}
