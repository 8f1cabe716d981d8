//! Diagnostics as text for people.

use crate::diagnostic::{Diagnostic, Severity};
use crate::span::{Source, Sources, Span};
use crate::visible::{push_visible, visible};

/// Longer source lines are cut around the place.
const MAX_COLUMNS: usize = 120;

/// A diagnostic of one of these texts as several lines: `file:line:col: error[E…]: message`, the source line, a caret under
/// the place, and the hint. Ends in a newline.
///
/// Whatever the source holds, the result is safe on a terminal: control characters are escaped. `colour`
/// adds ANSI colours; ask for it only when the output is a terminal that wants them.
pub fn render(diagnostic: &Diagnostic, sources: &Sources, colour: bool) -> String {
    let style = |codes: &'static str| if colour { codes } else { "" };
    let (word, tint) = match diagnostic.severity {
        Severity::Error => ("error", style("\x1b[1;31m")),
        Severity::Warning => ("warning", style("\x1b[1;33m")),
    };
    let (bold, faint, reset) = (style("\x1b[1m"), style("\x1b[1;34m"), style("\x1b[0m"));

    let place = diagnostic.span.map(|span| {
        let source = sources.of(span);
        let location = source.location(span.start());
        format!("{}:{}:{}: ", visible(source.name().as_bytes()), location.line, location.column)
    });
    let mut text = format!(
        "{bold}{}{reset}{tint}{word}[{}]{reset}{bold}: {}{reset}\n",
        place.unwrap_or_default(),
        diagnostic.code,
        visible(diagnostic.message.as_bytes()),
    );
    let mut margin = 0;
    if let Some(span) = diagnostic.span {
        let source = sources.of(span);
        let number = source.location(span.start()).line.to_string();
        let Excerpt { line, before, width } = excerpt(source, span);
        margin = number.len();
        let blank = " ".repeat(margin);
        let carets = "^".repeat(width);
        text += &format!("{faint}{number} |{reset} {line}\n");
        text += &format!("{faint}{blank} |{reset} {}{tint}{carets}{reset}\n", " ".repeat(before));
    }
    if let Some(hint) = &diagnostic.hint {
        let blank = " ".repeat(margin);
        text += &format!("{faint}{blank} ={reset} {bold}hint{reset}: {}\n", visible(hint.as_bytes()));
    }
    text
}

/// A source line made visible, and where in it the carets go, in columns.
struct Excerpt {
    line: String,
    before: usize,
    width: usize,
}

fn excerpt(source: &Source, span: Span) -> Excerpt {
    let number = source.location(span.start()).line;
    let start = source.line_start(number);
    // Bytes far from the place are never looked at: a line may be as long as the file.
    let bytes = source.line(number);
    let from = (source.offset(span.start()) - start).min(bytes.len());
    let to = (source.offset(span.end()) - start).clamp(from, bytes.len());
    let window_start = from.saturating_sub(if bytes.len() > MAX_COLUMNS { MAX_COLUMNS / 2 } else { from });
    let window_end = bytes.len().min(window_start + MAX_COLUMNS);
    // Not in the middle of a character.
    let inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let window_start = (window_start..from).find(|&at| !inside(at)).unwrap_or(from);
    let window_end = (to.min(window_end)..=window_end).rev().find(|&at| !inside(at)).unwrap_or(window_end);
    let to = to.min(window_end);

    let mut line = String::new();
    let mut push = |bytes: &[u8]| {
        let before = line.chars().count();
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                // A tab as one blank keeps the caret in place.
                if character == '\t' { line.push(' ') } else { push_visible(&mut line, character) }
            }
            line.push_str(&visible(chunk.invalid()));
        }
        line.chars().count() - before
    };
    let mut before = if window_start > 0 { push("…".as_bytes()) } else { 0 };
    before += push(&bytes[window_start..from]);
    let width = push(&bytes[from..to]).max(1);
    push(&bytes[to..window_end]);
    if window_end < bytes.len() {
        push("…".as_bytes());
    }
    Excerpt { line, before, width }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, start: usize, end: usize) -> String {
        let diagnostic =
            Diagnostic::error("E0201", "`echo` is refused").at(Span::new(start, end)).hint("leave it out");
        render(&diagnostic, &Source::new("config", text).into(), false)
    }

    #[test]
    fn shows_place_line_caret_and_hint() {
        assert_eq!(
            rendered("A=1\necho hi\n", 4, 8),
            "config:2:1: error[E0201]: `echo` is refused\n\
             2 | echo hi\n\
             \x20 | ^^^^\n\
             \x20 = hint: leave it out\n"
        );
    }

    #[test]
    fn keeps_the_caret_under_the_place_when_bytes_are_escaped() {
        assert_eq!(
            rendered("\t\x1b[31mé echo\r\n", 9, 13),
            "config:1:9: error[E0201]: `echo` is refused\n\
             1 |  \\x1b[31mé echo\n\
             \x20 |            ^^^^\n\
             \x20 = hint: leave it out\n"
        );
    }

    #[test]
    fn cuts_long_lines() {
        let long = "x".repeat(100_000);
        let text = rendered(&long, 50_000, 99_999);
        assert!(text.len() < 700, "{} bytes", text.len());
        assert!(text.contains("…"));
    }

    #[test]
    fn points_past_the_end() {
        assert_eq!(rendered("", 0, 0).lines().nth(2), Some("  | ^"));
        assert_eq!(rendered("a\n", 700, 900).lines().nth(2), Some("  | ^"));
    }

    #[test]
    fn shows_the_text_that_the_place_lies_in() {
        let sources = sources();
        let shown = |start, end| {
            let diagnostic = Diagnostic::error("E0201", "no").at(Span::new(start, end));
            let text = render(&diagnostic, &sources, false);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(shown(4, 6), ["main:2:1: error[E0201]: no", "2 | é=x", "  | ^"]);
        assert_eq!(shown(8, 8), ["main:2:4: error[E0201]: no", "2 | é=x", "  |    ^"], "its end");
        assert_eq!(shown(9, 10), ["first:1:1: error[E0201]: no", "1 | B=2", "  | ^"]);
        assert_eq!(
            shown(13, 1000),
            ["first:2:1: error[E0201]: no", "2 | C=3", "  | ^^^"],
            "stays in its text"
        );
        assert_eq!(shown(17, 17), ["second:1:1: error[E0201]: no", "1 | ", "  | ^"], "an empty text");
        assert_eq!(shown(4000, 4001), ["second:1:1: error[E0201]: no", "1 | ", "  | ^"]);
        // One of them alone, as `Sources::iter` gives it.
        let first = Sources::from(sources.of(Span::new(9, 9)));
        let diagnostic = |at| Diagnostic::error("E0201", "no").at(Span::new(at, at + 1));
        assert!(render(&diagnostic(13), &first, false).starts_with("first:2:1: "));
        assert!(render(&diagnostic(0), &first, false).starts_with("first:1:1: "), "before it");
    }

    /// A text, and two that follow it at 9 and 17; the last is empty.
    fn sources() -> Sources {
        let mut sources = Sources::from(Source::new("main", "A=1\né=x"));
        for (name, text) in [("first", "B=2\nC=3"), ("second", "")] {
            sources.include(name, text.into());
        }
        sources
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_place_makes_it_panic(texts in proptest::collection::vec("[ab\r\n\té]{0,200}", 0..4),
                                   start in 0..500_usize, end in 0..500_usize, other in 0..500_usize) {
            let mut sources = Sources::default();
            for (number, text) in texts.iter().enumerate() {
                sources.include(&number.to_string(), text.clone().into());
            }
            let span = Span::new(start, end).to(Span::new(other, other));
            let diagnostic = Diagnostic::error("E0201", "no").at(span);
            for sources in sources.iter().map(Sources::from).chain([sources.clone()]) {
                let name = sources.of(span).name();
                let line = sources.of(span).location(span.start()).line;
                let expected = format!("{name}:{line}:");
                proptest::prop_assert!(render(&diagnostic, &sources, false).starts_with(&expected));
                let expected = format!("\"file\":\"{name}\",\"line\":{line},");
                proptest::prop_assert!(crate::render_json(std::slice::from_ref(&diagnostic), &sources).contains(&expected));
            }
        }
    }

    #[test]
    fn colours_only_when_asked() {
        let diagnostic = Diagnostic::warning("W0501", "lines end in CR LF").at(Span::new(0, 1));
        let source = Source::new("config", "A=1").into();
        assert!(!render(&diagnostic, &source, false).contains('\x1b'));
        assert!(render(&diagnostic, &source, true).contains("\x1b[1;33mwarning[W0501]\x1b[0m"));
    }
}
