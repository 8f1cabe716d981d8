//! The figures of a report, in the order in which each form of it has them.

use super::ledger::Account;
use super::shown::in_units;

/// A figure.
pub struct Column {
    /// What it is called in CSV, as in JSON.
    pub field: &'static str,
    /// On a terminal.
    pub head: &'static str,
    /// On a page.
    pub title: &'static str,
    value: fn(&Account) -> Value,
}

enum Value {
    Seconds(f64),
    Bytes(Option<u64>),
    Count(usize),
}

impl Column {
    /// The figure as it is, for programs; empty where there is none.
    pub fn exact(&self, account: &Account) -> String {
        match (self.value)(account) {
            Value::Seconds(seconds) => seconds.to_string(),
            Value::Bytes(bytes) => bytes.map_or_else(String::new, |bytes| bytes.to_string()),
            Value::Count(count) => count.to_string(),
        }
    }

    /// The figure for people.
    pub fn shown(&self, account: &Account) -> String {
        match (self.value)(account) {
            Value::Seconds(seconds) => format!("{seconds:.2}"),
            Value::Bytes(bytes) => bytes.map_or_else(|| "-".to_owned(), in_units),
            Value::Count(count) => count.to_string(),
        }
    }
}

const fn column(
    field: &'static str,
    head: &'static str,
    title: &'static str,
    value: fn(&Account) -> Value,
) -> Column {
    Column { field, head, title, value }
}

/// All of them.
pub const COLUMNS: [Column; 8] = [
    column("cpu_seconds", "CPU-S", "CPU seconds", |it| Value::Seconds(it.cpu_seconds)),
    column("memory_mean_bytes", "MEM-MEAN", "Memory, mean", |it| Value::Bytes(it.memory_mean_bytes)),
    column("memory_peak_bytes", "MEM-PEAK", "Memory, peak", |it| Value::Bytes(it.memory_peak_bytes)),
    column("read_bytes", "READ", "Read", |it| Value::Bytes(Some(it.read_bytes))),
    column("written_bytes", "WRITTEN", "Written", |it| Value::Bytes(Some(it.written_bytes))),
    column("received_bytes", "RECEIVED", "Received", |it| Value::Bytes(Some(it.received_bytes))),
    column("sent_bytes", "SENT", "Sent", |it| Value::Bytes(Some(it.sent_bytes))),
    column("runs", "RUNS", "Runs", |it| Value::Count(it.runs)),
];
