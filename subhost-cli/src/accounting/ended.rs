//! What a subhost has used in the end, as the event `ended` has it.

use super::look::subhost;
use super::network::Links;
use super::process::Processes;
use super::sample::{Kind, Row, Source};
use super::shown::in_units;
use super::time::Time;
use crate::events::{Event, Used};
use crate::state::Record;

/// The last figures of one whose PID 1 has ended. Whoever has to reap that has not done so yet, or there is only what its cgroup has
/// counted: a process whose end its parent hears of passes what it has used on to that, and in the end to PID 1.
pub fn figures(record: &Record) -> Used {
    let mut processes = Processes::of(record.init.pid);
    processes.all.retain(|_, process| process.start_ticks == record.init.start_time);
    let links = if record.cables.is_empty() { Links::default() } else { Links::observe() };
    let row = subhost(record, &processes, &links);
    let is_counted = row.source == Source::Cgroup || !processes.all.is_empty();
    let age =
        Time::now().seconds_since(Time(i64::try_from(record.started).unwrap_or(0).saturating_mul(1_000)));
    Used {
        id: row.id,
        by_cgroup: row.source == Source::Cgroup,
        age_seconds: age,
        cpu_seconds: row.cpu_seconds.filter(|_| is_counted),
        memory_peak_bytes: row.memory_peak_bytes,
        // A cgroup that counts no I/O leaves it to the processes.
        read_bytes: row.read_bytes.filter(|bytes| *bytes > 0 || !processes.all.is_empty()),
        written_bytes: row.written_bytes.filter(|bytes| *bytes > 0 || !processes.all.is_empty()),
        received_bytes: row.received_bytes,
        sent_bytes: row.sent_bytes,
    }
}

/// The same in words.
pub fn in_words(used: &Used) -> String {
    let size = |bytes: Option<u64>, what: &str| Some(format!("{} {what}", in_units(bytes?)));
    let words = [
        used.cpu_seconds.map(|seconds| format!("{seconds:.2} s of processor time")),
        size(used.memory_peak_bytes, "of memory at most"),
        size(used.read_bytes, "read"),
        size(used.written_bytes, "written"),
        size(used.received_bytes, "received"),
        size(used.sent_bytes, "sent"),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Those that have ended, as rows; only those since a time, if one is given.
pub fn rows(events: &[Event], since: Option<Time>) -> Vec<Row> {
    let is_late =
        |event: &&Event| since.is_none_or(|since| Time::parse(&event.time).is_some_and(|time| time > since));
    events.iter().filter(is_late).filter_map(row).collect()
}

fn row(event: &Event) -> Option<Row> {
    let used = event.usage.clone()?;
    Some(Row {
        source: if used.by_cgroup { Source::Cgroup } else { Source::Processes },
        age_seconds: Some(used.age_seconds),
        ended: Some(event.time.clone()),
        cpu_seconds: used.cpu_seconds,
        memory_peak_bytes: used.memory_peak_bytes,
        read_bytes: used.read_bytes,
        written_bytes: used.written_bytes,
        received_bytes: used.received_bytes,
        sent_bytes: used.sent_bytes,
        ..Row::new(Kind::Subhost, &*event.name, used.id)
    })
}
