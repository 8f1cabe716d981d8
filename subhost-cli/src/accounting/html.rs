//! A report as one page that needs nothing else: tables, and plots in SVG. It has no script, and loads nothing.

use std::fmt::Write as _;

use super::columns::COLUMNS;
use super::ledger::{Account, HostSeen, Point};
use super::sample::Kind;
use super::shown::in_units;
use super::time::Time;
use crate::report::printable;

/// How many lines a plot has; those that matter least are left out.
const LINES: usize = 8;
/// How many points a line has at most.
const POINTS: i64 = 400;
/// Of the plot, in pixels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 12.0;
/// Seen apart also by those who see few colours (Okabe and Ito), black for what has none left.
const COLOURS: [&str; LINES] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6d00", "#000000"];

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Usage</title>
<style>
body { font: 14px/1.5 sans-serif; margin: 2em auto; max-width: 64em; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { padding: .2em .6em; border-bottom: 1px solid #ddd; text-align: right }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left }
svg { width: 100%; height: auto } svg text { font: 11px sans-serif; fill: #555 }
.key { display: inline-block; margin-right: 1em } .key i { display: inline-block; width: 1em; height: .6em }
</style>
</head>
<body>
";

/// The page.
pub fn page(from: &str, to: &str, accounts: &[Account], hosts: &[HostSeen]) -> String {
    let mut text = HEAD.to_owned();
    let _ = writeln!(text, "<h1>Usage</h1>\n<p>After {}, until {}.</p>", escape(from), escape(to));
    if hosts.is_empty() {
        text += "<p>There are no samples of that time.</p>\n";
    }
    for host in hosts {
        let own: Vec<&Account> = accounts.iter().filter(|account| account.host == host.host).collect();
        let _ = writeln!(
            text,
            "<h2>{}</h2>\n<p>{} samples from {} to {}; reboots: {}.</p>",
            escape(&host.host),
            host.samples,
            escape(&host.first),
            escape(&host.last),
            host.reboots
        );
        table(&mut text, &own);
        plot(
            &mut text,
            "Processors that are busy",
            &own,
            |point| Some(point.processors),
            |value| format!("{value:.2}"),
        );
        plot(
            &mut text,
            "Memory",
            &own,
            |point| point.memory_bytes.map(number),
            |value| in_units(whole(value)),
        );
    }
    text + "</body>\n</html>\n"
}

fn table(text: &mut String, accounts: &[&Account]) {
    let row = |cell: &str, cells: &mut dyn Iterator<Item = String>| {
        cells.map(|text| format!("<{cell}>{}", escape(&text))).collect::<String>() + "\n"
    };
    let titles = ["Kind", "Name"].into_iter().chain(COLUMNS.iter().map(|column| column.title));
    *text += &format!("<table>\n<tr>{}", row("th", &mut titles.map(str::to_owned)));
    for account in accounts {
        let own = [account.kind.word().to_owned(), account.name.clone()];
        let cells = own.into_iter().chain(COLUMNS.iter().map(|column| column.shown(account)));
        *text += &format!("<tr>{}", row("td", &mut { cells }));
    }
    *text += "</table>\n";
}

/// A line for each but the host, those with the highest first.
fn plot(
    text: &mut String,
    title: &str,
    accounts: &[&Account],
    value: impl Fn(&Point) -> Option<f64>,
    shown: impl Fn(f64) -> String,
) {
    let times = || accounts.iter().flat_map(|account| &account.points).map(|point| point.time);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return };
    let parts = accounts.iter().filter(|account| account.kind != Kind::Host);
    let mut lines: Vec<(&Account, Vec<(f64, f64)>)> =
        parts.map(|account| (*account, reduced(&account.points, first, last, &value))).collect();
    let area = |line: &[(f64, f64)]| line.iter().map(|(_, value)| value).sum::<f64>();
    lines.retain(|(_, line)| !line.is_empty());
    lines.sort_by(|(_, one), (_, other)| area(other).total_cmp(&area(one)));
    lines.truncate(LINES);
    let most = lines.iter().flat_map(|(_, line)| line).map(|(_, value)| *value).fold(0.0, f64::max);
    if most <= 0.0 {
        return;
    }
    let _ = writeln!(
        text,
        "<h3>{title}</h3>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\">",
        LEFT + WIDTH + 10.0,
        TOP + HEIGHT + 24.0
    );
    for part in 0..=4 {
        let part = f64::from(part) / 4.0;
        let y = TOP + HEIGHT * (1.0 - part);
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {y}h{WIDTH}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            shown(most * part)
        );
    }
    for (x, anchor, time) in [(LEFT, "start", first), (LEFT + WIDTH, "end", last)] {
        let y = TOP + HEIGHT + 18.0;
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", time.text());
    }
    for ((account, line), colour) in lines.iter().zip(COLOURS) {
        let points: Vec<String> = line
            .iter()
            .map(|(at, value)| format!("{:.1},{:.1}", LEFT + WIDTH * at, TOP + HEIGHT * (1.0 - value / most)))
            .collect();
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"><title>{}</title></polyline>",
            points.join(" "),
            escape(&account.name)
        );
        if let [(at, value)] = line[..] {
            let (x, y) = (LEFT + WIDTH * at, TOP + HEIGHT * (1.0 - value / most));
            let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>");
        }
    }
    *text += "</svg>\n<p>";
    for ((account, _), colour) in lines.iter().zip(COLOURS) {
        let _ = write!(
            text,
            "<span class=\"key\"><i style=\"background:{colour}\"></i> {}</span>",
            escape(&account.name)
        );
    }
    *text += "</p>\n";
}

/// Points of a line, their time between 0 and 1: where there are more than can be seen, the mean of several.
fn reduced(
    points: &[Point],
    first: Time,
    last: Time,
    value: impl Fn(&Point) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let length = (last.0 - first.0).max(1);
    let mut line: Vec<(f64, f64)> = Vec::new();
    let mut of = (-1, 0.0, 0.0);
    for (point, value) in points.iter().filter_map(|point| Some((point, value(point)?))) {
        let place = (point.time.0 - first.0).saturating_mul(POINTS) / length;
        if of.0 != place {
            of = (place, 0.0, 0.0);
            line.push((point.time.seconds_since(first) * 1_000.0 / real(length), value));
        }
        of = (place, of.1 + value, of.2 + 1.0);
        if let Some(last) = line.last_mut() {
            last.1 = of.1 / of.2;
        }
    }
    line
}

#[expect(clippy::cast_precision_loss, reason = "a pixel has no such digits")]
fn number(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_precision_loss, reason = "a pixel has no such digits")]
fn real(length: i64) -> f64 {
    length as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a number of bytes")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// A text that is nothing but text.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Ledger;
    use super::super::sample::{Line, Row};
    use super::*;

    const EVIL: &str = "</title><script>alert(1)</script>\"'&\u{202e}";

    #[test]
    fn a_name_is_text_and_the_page_loads_nothing() {
        let mut ledger = Ledger::new(Time(-1), Time(i64::MAX));
        for at in 0..3 {
            let cpu = Some(f64::from(at));
            let row = Row {
                cpu_seconds: cpu,
                age_seconds: Some(900.0),
                memory_bytes: Some(5),
                ..Row::new(Kind::Vm, EVIL, "b/1")
            };
            ledger.take(&Line {
                time: Time(i64::from(at) * 60_000).text(),
                host: format!("h{EVIL}"),
                boot_id: "b".to_owned(),
                processors: 1,
                row,
            });
        }
        let (accounts, hosts) = ledger.finish();
        let page = page("<from>", "<to>", &accounts, &hosts);
        assert_eq!(page.matches("<svg").count(), 2, "{page}");
        for wrong in
            ["<script", "alert(1)</script>", "\u{202e}", "http:", "https:", "src=", "href=", "<from>", "NaN"]
        {
            assert!(!page.contains(wrong), "{wrong}: {page}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\u{fffd}"), "{page}");
    }

    #[test]
    fn a_long_line_has_the_mean_of_its_points() {
        let point = |at: i64| Point { time: Time(at), processors: real(at % 2), memory_bytes: None };
        let points: Vec<Point> = (0..=10_000).map(point).collect();
        let line = reduced(&points, Time(0), Time(10_000), |point| Some(point.processors));
        assert_eq!(line.len(), 401);
        assert!(line[..400].iter().all(|(_, value)| (value - 0.5).abs() < 0.03), "{line:?}");
        assert_eq!(reduced(&points[..1], Time(0), Time(0), |point| point.memory_bytes.map(number)), []);
    }

    #[test]
    fn a_page_without_samples_says_so() {
        assert!(page("a", "b", &[], &[]).contains("no samples"));
    }
}
