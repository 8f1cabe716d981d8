//! What happened to subhosts: lines of JSON in one file, which is only ever appended to.

use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FlockOperation, flock, renameat, statat};
use serde::{Deserialize, Serialize};

use crate::console_log::{self, open_directory, open_to_append};
use crate::layout::{Layout, Name};
use crate::state::Record;

/// The newer events.
pub const FILE: &str = "events";
/// The older ones.
pub const OLDER_FILE: &str = "events.1";
/// How large the file becomes before it is the older one.
const MAX_BYTES: u64 = 1 << 20;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in UTC, as RFC 3339 writes it.
    pub time: String,
    /// The subhost's name.
    pub name: String,
    /// What: `boot`, `ready`, `late`, `stop`, `reboot`, `ended`, `adopted`, `restart`, `failed`.
    pub event: String,
    /// The same in words.
    pub text: String,
    /// PID 1, as the host numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_pid: Option<u32>,
    /// Of `ended`: `power-off`, `reboot`, `exit`, `signal` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Of `ended`: the exit status or the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Of `ended`: what it has used, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Used>,
}

/// What a subhost has used from its beginning to its end. What nobody has counted is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// The run: no other one has that.
    pub id: String,
    /// Whether its processor time is that of its cgroup, and not of its processes.
    pub by_cgroup: bool,
    /// How long it has run.
    pub age_seconds: f64,
    /// Processor time.
    pub cpu_seconds: Option<f64>,
    /// The most memory that it had.
    pub memory_peak_bytes: Option<u64>,
    /// Read from disks.
    pub read_bytes: Option<u64>,
    /// Written to disks.
    pub written_bytes: Option<u64>,
    /// Come in over its cables.
    pub received_bytes: Option<u64>,
    /// Gone out over them.
    pub sent_bytes: Option<u64>,
}

impl Used {
    /// What a subhost has used whose PID 1 has ended; before its cgroup and its cables are gone, and best before PID 1 is reaped.
    #[cfg(feature = "accounting")]
    pub fn of(record: &Record) -> Option<Used> {
        Some(crate::accounting::ended::figures(record))
    }

    /// Nobody looks.
    #[cfg(not(feature = "accounting"))]
    pub fn of(_: &Record) -> Option<Used> {
        None
    }
}

impl Event {
    /// Something that happens now.
    pub fn now(name: &Name, event: &str, text: impl Into<String>) -> Event {
        Event {
            time: rfc3339(SystemTime::now()),
            name: name.to_string(),
            event: event.to_owned(),
            text: text.into(),
            init_pid: None,
            cause: None,
            status: None,
            usage: None,
        }
    }

    /// Adds the number of PID 1.
    #[must_use]
    pub fn of_init(mut self, pid: u32) -> Event {
        self.init_pid = Some(pid);
        self
    }

    /// The beginning of one.
    pub fn beginning(name: &Name, record: &Record) -> Event {
        let text = format!("boots, with init {}", record.init_program);
        Event::now(name, "boot", text).of_init(record.init.pid)
    }

    /// The end of one that nobody was there to see.
    pub fn unseen_end(name: &Name, record: &Record) -> Event {
        let text = "had ended without a supervisor, and nobody has told why";
        let event = Event::now(name, "ended", text).of_init(record.init.pid);
        Event { cause: Some("unknown".to_owned()), usage: Used::of(record), ..event }
    }

    /// Writes it down. Nothing waits for that or fails because of it: events are there to be read, and decide nothing.
    pub fn note(&self, layout: &Layout) {
        let _ = self.append(layout);
    }

    fn append(&self, layout: &Layout) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        let directory = open_directory(layout)?;
        let mut file = open_to_append(&directory, FILE)?;
        let meta = file.metadata()?;
        // One of all writers makes room; what another one still writes into the file is then in the older one.
        if meta.len() >= MAX_BYTES && flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
            if statat(&directory, FILE, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|now| now.st_ino == meta.ino()) {
                renameat(&directory, FILE, &directory, OLDER_FILE)?;
            }
            file = open_to_append(&directory, FILE)?;
        }
        // A full disk or a crash of the host may have torn the last one.
        let mut last = [b'\n'];
        if let Some(end) = file.metadata()?.len().checked_sub(1) {
            file.read_exact_at(&mut last, end)?;
        }
        if last != *b"\n" {
            line.insert(0, b'\n');
        }
        // One write, so that lines of several writers never mix.
        file.write_all(&line)
    }
}

/// All events that are kept, the oldest first. A line that is none is left out.
///
/// # Errors
/// A file cannot be read; that there is none is an empty list.
pub fn read(layout: &Layout) -> io::Result<Vec<Event>> {
    let mut text = read_older(layout)?;
    text.extend(read_newer(layout)?);
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// The older events, as lines.
///
/// # Errors
/// As [`read`].
pub fn read_older(layout: &Layout) -> io::Result<Vec<u8>> {
    let mut text = console_log::read(&layout.log_dir.join(OLDER_FILE))?;
    // One that was torn just before the newer file was begun is not to take the first one there with it.
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    Ok(text)
}

/// The newer events, as lines.
///
/// # Errors
/// As [`read`].
pub fn read_newer(layout: &Layout) -> io::Result<Vec<u8>> {
    console_log::read(&layout.log_dir.join(FILE))
}

/// The event in a line.
pub fn parse(line: &[u8]) -> Option<Event> {
    serde_json::from_slice(line).ok()
}

/// A time in UTC, to the millisecond.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years that begin in March have their leap day last; eras of 400 of them have the same number of days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z",
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_as_date_1_writes_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_795_635_185, "2026-11-25T19:33:05.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn lines_of_many_writers_are_all_there_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { log_dir: dir.path().join("log"), ..Layout::new("/nowhere") };
        let name: Name = "web".parse().unwrap();
        if std::fs::metadata(dir.path()).unwrap().uid() != 0 {
            assert!(Event::now(&name, "boot", "").append(&layout).is_err());
            return;
        }
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (layout, name) = (&layout, &name);
                scope.spawn(move || {
                    for line in 0..100 {
                        Event::now(name, "ended", format!("{writer} {line}\u{1b}\n")).append(layout).unwrap();
                    }
                });
            }
        });
        let mut texts: Vec<String> = read(&layout).unwrap().into_iter().map(|event| event.text).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 400);
    }

    #[test]
    fn a_torn_event_at_the_end_of_the_older_file_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { log_dir: dir.path().to_owned(), ..Layout::new("/nowhere") };
        let name: Name = "web".parse().unwrap();
        let lines =
            ["1", "2", "3"].map(|text| serde_json::to_string(&Event::now(&name, "boot", text)).unwrap());
        std::fs::write(dir.path().join(OLDER_FILE), format!("{}\n{}", lines[0], &lines[1][..20])).unwrap();
        std::fs::write(dir.path().join(FILE), format!("{}\n", lines[2])).unwrap();
        let texts: Vec<String> = read(&layout).unwrap().into_iter().map(|event| event.text).collect();
        assert_eq!(texts, ["1", "3"]);
    }

    #[test]
    fn the_file_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { log_dir: dir.path().join("log"), ..Layout::new("/nowhere") };
        let name: Name = "web".parse().unwrap();
        if std::fs::metadata(dir.path()).unwrap().uid() != 0 {
            assert!(Event::now(&name, "boot", "").append(&layout).is_err());
            return;
        }
        let text = "x".repeat(100_000);
        for _ in 0..40 {
            Event::now(&name, "boot", &*text).append(&layout).unwrap();
        }
        let size = |file| std::fs::metadata(layout.log_dir.join(file)).unwrap().len();
        assert!(size(FILE) < MAX_BYTES + 101_000 && size(OLDER_FILE) < MAX_BYTES + 101_000);
        assert!(read(&layout).unwrap().len() > 10);
    }
}
