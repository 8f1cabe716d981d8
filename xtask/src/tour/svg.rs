//! A terminal that scrolls, as a picture.

use std::fmt::Write;

use super::screen::{COLUMNS, Line, Look};

/// Lines that are seen at the same time.
const ROWS: usize = 32;
const LINE_HEIGHT: usize = 17;
const COLUMN_WIDTH: usize = 8;
const MARGIN: usize = 12;
/// How long a command is shown before its output, and that with it.
const COMMAND_SECONDS: usize = 2;
const OUTPUT_SECONDS: usize = 5;

/// Shows all lines, one command after the other.
pub(super) fn animation(lines: &[Line]) -> String {
    let rows: Vec<Vec<(char, Look)>> = lines.iter().flat_map(broken).collect();
    let (width, height) = (COLUMNS * COLUMN_WIDTH + 2 * MARGIN, ROWS * LINE_HEIGHT + 2 * MARGIN);
    let (frames, seconds) = frames(lines);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">
  <title id="title">What subhostctl tour shows on a terminal; docs/tour.md has it as text</title>
  <style>
    text {{ font: 13px/{LINE_HEIGHT}px ui-monospace, monospace; fill: #d7dde3; white-space: pre }}
    .bold {{ font-weight: bold; fill: #ffffff }}
    .c31 {{ fill: #ff8080 }} .c32 {{ fill: #80d080 }} .c33 {{ fill: #e0c060 }}
    .roll {{ animation: roll {seconds}s step-end infinite }}
    @keyframes roll {{
{frames}    }}
  </style>
  <clipPath id="screen"><rect y="{MARGIN}" width="{width}" height="{}"/></clipPath>
  <rect width="{width}" height="{height}" rx="8" fill="#16202a"/>
  <g clip-path="url(#screen)"><g class="roll">
"##,
        ROWS * LINE_HEIGHT
    );
    for (number, row) in rows.iter().enumerate() {
        if !row.is_empty() {
            let y = MARGIN + (number + 1) * LINE_HEIGHT - 4;
            // Writing to a string cannot fail.
            let _ = writeln!(svg, r#"<text x="{MARGIN}" y="{y}">{}</text>"#, spans(row));
        }
    }
    svg + "  </g></g>\n</svg>\n"
}

/// A line as the rows that it takes on the screen.
fn broken(line: &Line) -> Vec<Vec<(char, Look)>> {
    if line.0.is_empty() { vec![Vec::new()] } else { line.0.chunks(COLUMNS).map(<[_]>::to_vec).collect() }
}

/// How far the lines have rolled at each moment, and how long all takes.
fn frames(lines: &[Line]) -> (String, usize) {
    let mut row = 0;
    // Rows that are there, and for how long.
    let mut shown = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_command = |line: &Line| line.text().starts_with("$ ");
        row += broken(line).len();
        if is_command(line) {
            shown.push((row, COMMAND_SECONDS));
        } else if number + 1 == lines.len() || lines.get(number + 3).is_some_and(is_command) {
            // Two lines of words stand before the next command.
            shown.push((row, OUTPUT_SECONDS));
        }
    }
    let total: usize = shown.iter().map(|(_, seconds)| seconds).sum();
    let mut text = String::new();
    let mut at = 0;
    for (rows, seconds) in shown {
        let rolled = (ROWS.cast_signed() - rows.cast_signed()) * LINE_HEIGHT.cast_signed();
        let _ = writeln!(
            text,
            "      {:.2}% {{ transform: translateY({rolled}px) }}",
            100.0 * seconds_of(at) / seconds_of(total)
        );
        at += seconds;
    }
    (text, total)
}

fn seconds_of(seconds: usize) -> f64 {
    u32::try_from(seconds).map_or(f64::MAX, f64::from)
}

fn spans(row: &[(char, Look)]) -> String {
    let mut text = String::new();
    for run in row.chunk_by(|(_, one), (_, other)| one == other) {
        let look = run.first().map(|(_, look)| *look).unwrap_or_default();
        let mut classes: Vec<String> = look.colour.map(|colour| format!("c{colour}")).into_iter().collect();
        if look.bold {
            classes.push("bold".to_owned());
        }
        let run: String = run.iter().map(|(c, _)| escaped(*c)).collect();
        text += &match classes.is_empty() {
            true => run,
            false => format!(r#"<tspan class="{}">{run}</tspan>"#, classes.join(" ")),
        };
    }
    text
}

fn escaped(c: char) -> String {
    match c {
        '<' => "&lt;".to_owned(),
        '&' => "&amp;".to_owned(),
        // Renderers differ in whether they keep more than one space.
        ' ' => "\u{a0}".to_owned(),
        _ => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::screen::lines;
    use super::*;

    #[test]
    fn a_long_line_takes_several_rows() {
        let long = "x".repeat(COLUMNS + 1);
        assert_eq!(broken(&lines(&long)[0]).len(), 2);
        assert!(
            animation(&lines("a<b & \x1b[32mok\x1b[0m"))
                .contains("a&lt;b\u{a0}&amp;\u{a0}<tspan class=\"c32\">ok</tspan></text>")
        );
    }

    #[test]
    fn what_is_shown_last_is_at_the_foot() {
        let (frames, seconds) = frames(&lines("intro\n\n1/1  Words\n$ list\nNAME\n"));
        let moved: Vec<&str> = frames.lines().map(str::trim).collect();
        let at = |rows: usize| format!("translateY({}px)", (ROWS - rows) * LINE_HEIGHT);
        assert_eq!(moved.len(), 3, "{frames}");
        assert!(moved[0].starts_with("0.00%") && moved[0].contains(&at(1)), "{frames}");
        assert!(moved[1].contains(&at(4)) && moved[2].contains(&at(5)), "{frames}");
        assert_eq!(seconds, 2 * OUTPUT_SECONDS + COMMAND_SECONDS);
    }
}
