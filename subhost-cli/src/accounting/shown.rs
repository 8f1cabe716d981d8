//! Samples as text: for people, for spreadsheets, for Prometheus. Names come from guests and command lines, and mean nothing but
//! themselves anywhere.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::sample::{Kind, Row, Sample};
use crate::report::{Colour, is_unsafe, printable, table};

/// A column of numbers.
pub struct Column {
    /// Its name in files.
    pub name: &'static str,
    /// The name of the metric; a counter's ends in `_total`.
    metric: &'static str,
    help: &'static str,
    value: fn(&Row) -> Option<Number>,
}

/// A number of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Bytes, or a count.
    Whole(u64),
    /// Seconds, or a share.
    Real(f64),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Whole(number) => write!(f, "{number}"),
            Number::Real(number) => write!(f, "{number}"),
        }
    }
}

const fn column(
    name: &'static str,
    metric: &'static str,
    help: &'static str,
    value: fn(&Row) -> Option<Number>,
) -> Column {
    Column { name, metric, help, value }
}

/// All columns of numbers.
pub const COLUMNS: [Column; 17] = [
    column("age_seconds", "subhost_age_seconds", "How long it runs.", |row| real(row.age_seconds)),
    column("cpu_seconds", "subhost_cpu_seconds_total", "Processor time.", |row| real(row.cpu_seconds)),
    column("cpu_share", "subhost_cpu_share_ratio", "Its share of all that the processors could do.", |row| {
        real(row.cpu_share)
    }),
    column("memory_bytes", "subhost_memory_bytes", "Memory in use.", |row| whole(row.memory_bytes)),
    column("memory_peak_bytes", "subhost_memory_peak_bytes", "The most that it ever was.", |row| {
        whole(row.memory_peak_bytes)
    }),
    column("read_bytes", "subhost_read_bytes_total", "Read from disks.", |row| whole(row.read_bytes)),
    column("written_bytes", "subhost_written_bytes_total", "Written to disks.", |row| {
        whole(row.written_bytes)
    }),
    column("received_bytes", "subhost_received_bytes_total", "Come in over its cables.", |row| {
        whole(row.received_bytes)
    }),
    column("sent_bytes", "subhost_sent_bytes_total", "Gone out over its cables.", |row| {
        whole(row.sent_bytes)
    }),
    column("processes", "subhost_processes", "Processes.", |row| whole(row.processes)),
    column(
        "cpu_pressure_percent",
        "subhost_cpu_pressure_percent",
        "Percent of the last ten seconds in which something waited for a processor.",
        |row| real(row.cpu_pressure_percent),
    ),
    column(
        "cpu_pressure_seconds",
        "subhost_cpu_pressure_seconds_total",
        "Time in which something waited for a processor.",
        |row| real(row.cpu_pressure_seconds),
    ),
    column(
        "memory_pressure_percent",
        "subhost_memory_pressure_percent",
        "Percent of the last ten seconds in which something waited for memory.",
        |row| real(row.memory_pressure_percent),
    ),
    column(
        "memory_pressure_seconds",
        "subhost_memory_pressure_seconds_total",
        "Time in which something waited for memory.",
        |row| real(row.memory_pressure_seconds),
    ),
    column(
        "io_pressure_percent",
        "subhost_io_pressure_percent",
        "Percent of the last ten seconds in which something waited for I/O.",
        |row| real(row.io_pressure_percent),
    ),
    column(
        "io_pressure_seconds",
        "subhost_io_pressure_seconds_total",
        "Time in which something waited for I/O.",
        |row| real(row.io_pressure_seconds),
    ),
    column("processors", "subhost_processors", "Processors of the host.", |_| None),
];

fn whole(number: Option<u64>) -> Option<Number> {
    number.map(Number::Whole)
}

fn real(number: Option<f64>) -> Option<Number> {
    number.filter(|number| number.is_finite()).map(Number::Real)
}

/// The header of a table, for rows of [`cells`].
const HEADER: [&str; 13] = [
    "KIND",
    "NAME",
    "CPU-S",
    "CPU%",
    "MEMORY",
    "PEAK",
    "READ",
    "WRITTEN",
    "RECEIVED",
    "SENT",
    "PROCS",
    "PRESSURE%",
    "ENDED",
];

/// A table for people.
pub fn table_of(colour: Colour, rows: &[Row]) -> String {
    let has_ended = rows.iter().any(|row| row.ended.is_some());
    let columns = if has_ended { HEADER.len() } else { HEADER.len() - 1 };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| cells(row)[..columns].to_vec()).collect();
    table(colour, &HEADER[..columns], &rows)
}

fn cells(row: &Row) -> Vec<String> {
    let none = || "-".to_owned();
    let size = |bytes: Option<u64>| bytes.map_or_else(none, in_units);
    let pressure = [row.cpu_pressure_percent, row.memory_pressure_percent, row.io_pressure_percent];
    let pressure = pressure.iter().any(Option::is_some).then(|| {
        pressure.map(|percent| percent.map_or_else(none, |percent| format!("{percent:.1}"))).join("/")
    });
    vec![
        row.kind.word().to_owned(),
        row.name.clone(),
        row.cpu_seconds.map_or_else(none, |seconds| format!("{seconds:.2}")),
        row.cpu_share.map_or_else(none, |share| format!("{:.1}", share * 100.0)),
        size(row.memory_bytes),
        size(row.memory_peak_bytes),
        size(row.read_bytes),
        size(row.written_bytes),
        size(row.received_bytes),
        size(row.sent_bytes),
        row.processes.map_or_else(none, |count| count.to_string()),
        pressure.unwrap_or_else(none),
        row.ended.clone().unwrap_or_else(none),
    ]
}

/// Bytes with a unit of 1024.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn in_units(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        // 1023.95 would be shown as 1024.0.
        if value < 1023.95 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} PiB")
}

/// The line that tells what the columns of [`tsv`] are.
pub fn tsv_header() -> String {
    let names = COLUMNS.iter().map(|column| column.name);
    let words: Vec<&str> = ["time", "host", "kind", "name", "id", "ended"].into_iter().chain(names).collect();
    format!("{}\n", words.join("\t"))
}

/// Columns between tabs, a line for each row.
pub fn tsv(sample: &Sample) -> String {
    let mut text = String::new();
    for row in &sample.rows {
        let ended = row.ended.as_deref().unwrap_or_default();
        let words = [&sample.time, &sample.host, row.kind.word(), &row.name, &row.id, ended].map(tsv_text);
        text += &words.join("\t");
        for column in &COLUMNS {
            let value = match column.name {
                "processors" => Some(Number::Whole(sample.processors)),
                _ => (column.value)(row),
            };
            let _ = write!(text, "\t{}", value.map_or_else(String::new, |value| value.to_string()));
        }
        text.push('\n');
    }
    text
}

/// A text between tabs: what would end it, and what a terminal acts on, is escaped with a backslash.
fn tsv_text(text: &str) -> String {
    let mut escaped = String::new();
    for c in harmless(text).chars() {
        match c {
            '\t' => escaped += "\\t",
            '\n' => escaped += "\\n",
            '\r' => escaped += "\\r",
            '\\' => escaped += "\\\\",
            c if is_unsafe(c) => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// A text between commas, as RFC 4180 has it; what a terminal acts on is U+FFFD.
pub fn csv_text(text: &str) -> String {
    let text = printable(&harmless(text));
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// What a spreadsheet would take for a formula gets an apostrophe in front.
fn harmless(text: &str) -> String {
    // Some look behind blanks and control characters, too.
    let first = text.chars().find(|c| !c.is_whitespace() && !is_unsafe(*c));
    if first.is_some_and(|c| "=+-@|%\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(c)) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// The text format of Prometheus. The counters of the rest are not shown, as they fall when a subhost begins.
pub fn prometheus(sample: &Sample) -> String {
    let mut text = String::new();
    let mut seen = HashSet::new();
    // Two of one name would be refused, and all else with them.
    let rows: Vec<&Row> = sample
        .rows
        .iter()
        .filter(|row| row.ended.is_none() && seen.insert((row.kind, printable(&row.name))))
        .collect();
    let host = label(&sample.host);
    for Column { name, metric, help, value } in &COLUMNS {
        let is_counter = metric.ends_with("_total");
        let mut lines = String::new();
        for row in rows.iter().filter(|row| row.kind != Kind::Rest || !is_counter) {
            if let Some(value) = value(row) {
                let (kind, name) = (row.kind.word(), label(&row.name));
                let _ =
                    writeln!(lines, "{metric}{{host=\"{host}\",kind=\"{kind}\",name=\"{name}\"}} {value}");
            }
        }
        if *name == "processors" {
            let _ = writeln!(lines, "{metric}{{host=\"{host}\"}} {}", sample.processors);
        }
        if !lines.is_empty() {
            let kind = if is_counter { "counter" } else { "gauge" };
            let _ = write!(text, "# HELP {metric} {help}\n# TYPE {metric} {kind}\n{lines}");
        }
    }
    text
}

fn label(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "=a\"b\\c,d\te\nf\x1b[2J\u{202e}";

    fn sample() -> Sample {
        let vm =
            Row { cpu_seconds: Some(1.5), memory_bytes: Some(2048), ..Row::new(Kind::Vm, EVIL, "b/1/2") };
        Sample {
            time: "2026-11-26T00:00:00.000Z".to_owned(),
            host: "alpha".to_owned(),
            boot_id: "b".to_owned(),
            processors: 2,
            interval_seconds: None,
            rows: vec![vm.clone(), vm, Row { cpu_seconds: Some(3.0), ..Row::new(Kind::Rest, "rest", "b") }],
        }
    }

    #[test]
    fn a_name_stays_one_field_between_tabs() {
        let text = tsv_header() + &tsv(&sample());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert!(lines.len() == 4 && lines.iter().all(|line| line.len() == 6 + COLUMNS.len()), "{text}");
        assert_eq!(lines[1][3], r#"'=a"b\\c,d\te\nf\u001b[2J\u202e"#);
        assert_eq!((lines[0][7], lines[1][7], lines[1][8]), ("cpu_seconds", "1.5", ""));
    }

    #[test]
    fn no_spreadsheet_calculates_with_a_name() {
        for (name, cell) in [
            ("web", "web"),
            ("=1+1", "'=1+1"),
            (" \t@x", "' \u{fffd}@x"),
            ("-1,2", "\"'-1,2\""),
            ("a\"b", "\"a\"\"b\""),
            ("a=b", "a=b"),
        ] {
            assert_eq!(csv_text(name), cell, "{name:?}");
        }
    }

    #[test]
    fn prometheus_is_given_each_row_once_and_counters_that_only_rise() {
        let name = "=a\\\"b\\\\c,d\u{fffd}e\u{fffd}f\u{fffd}[2J\u{fffd}";
        let expected = format!(
            "# HELP subhost_cpu_seconds_total Processor time.\n# TYPE subhost_cpu_seconds_total counter\n\
             subhost_cpu_seconds_total{{host=\"alpha\",kind=\"vm\",name=\"{name}\"}} 1.5\n\
             # HELP subhost_memory_bytes Memory in use.\n# TYPE subhost_memory_bytes gauge\n\
             subhost_memory_bytes{{host=\"alpha\",kind=\"vm\",name=\"{name}\"}} 2048\n\
             # HELP subhost_processors Processors of the host.\n# TYPE subhost_processors gauge\n\
             subhost_processors{{host=\"alpha\"}} 2\n"
        );
        assert_eq!(prometheus(&sample()), expected);
    }

    #[test]
    fn sizes_have_three_digits_or_so() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(in_units(bytes), text);
        }
    }

    #[test]
    fn a_table_is_safe_on_a_terminal() {
        let text = table_of(Colour::default(), &sample().rows);
        assert!(text.lines().count() == 4 && !text.replace('\n', "").contains(is_unsafe), "{text}");
    }
}
