//! Makes sums of samples: who has used how much between two times.
//!
//! Counters are of one run each, whose id no other boot has either: what is more than in the sample before was used since. A run that was not there
//! in the sample before is counted from its beginning, if it has begun since, and otherwise from now on. So a reboot of the host costs
//! what was used between the last sample and the end, and nothing else; and what was used between two samples stands at the later
//! one, so that the sums of two months are the sum of both together.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::sample::{Kind, Line, Source};
use super::time::Time;

/// How much older than the time between two samples one may seem that has begun between them, in seconds: a sample takes a moment.
const SLACK: f64 = 5.0;
/// After how many seconds without a sample nothing is assumed of the memory in between.
const GAP: f64 = 3_600.0;
/// More than all processors of the world have worked.
const MOST_SECONDS: f64 = 1e15;
/// How many points are kept of each; of more, each two become one.
const POINTS: usize = 4_096;

/// What is added up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    cpu_seconds: f64,
    bytes: [u64; 4],
}

/// What one has used between the two times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// The host.
    pub host: String,
    /// Who.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// How long it was seen.
    pub seconds: f64,
    /// Processor time.
    pub cpu_seconds: f64,
    /// Memory, in the mean of the time that it was seen.
    pub memory_mean_bytes: Option<u64>,
    /// The most of it that was seen.
    pub memory_peak_bytes: Option<u64>,
    /// Read from disks.
    pub read_bytes: u64,
    /// Written to disks.
    pub written_bytes: u64,
    /// Come in over its cables.
    pub received_bytes: u64,
    /// Gone out over them.
    pub sent_bytes: u64,
    /// How many runs of it were seen.
    pub runs: usize,
    /// Each sample of it.
    #[serde(skip)]
    pub points: Vec<Point>,
    #[serde(skip)]
    memory_seconds: f64,
    #[serde(skip)]
    memory_covers: f64,
}

/// One sample of one, to be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When.
    pub time: Time,
    /// How many processors it kept busy since the sample before.
    pub processors: f64,
    /// Memory in use.
    pub memory_bytes: Option<u64>,
}

impl Point {
    /// One in the place of two; of one, itself.
    fn mean(points: &[Point]) -> Point {
        let [one, other] = *points else { return points[0] };
        let memory_bytes = match (one.memory_bytes, other.memory_bytes) {
            (Some(one), Some(other)) => Some(one.midpoint(other)),
            (one, other) => one.or(other),
        };
        Point { time: one.time, processors: f64::midpoint(one.processors, other.processors), memory_bytes }
    }
}

/// A host between the two times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostSeen {
    /// Its name.
    pub host: String,
    /// The first sample.
    pub first: String,
    /// The last one.
    pub last: String,
    /// How many.
    pub samples: u64,
    /// How often it was booted meanwhile.
    pub reboots: u64,
}

/// Takes lines in the order of the store.
#[derive(Debug)]
pub struct Ledger {
    from: Time,
    to: Time,
    accounts: BTreeMap<(String, Kind, String), Account>,
    hosts: BTreeMap<String, Host>,
}

#[derive(Debug, Default)]
struct Host {
    seen: Option<HostSeen>,
    boot_id: String,
    time: Option<Time>,
    /// Since the sample before.
    elapsed: Option<f64>,
    /// What of the host nobody has used that has a row, in this sample.
    rest: Sums,
    runs: HashMap<String, Run>,
}

/// What is known of a run: the most that its counters have shown.
#[derive(Debug, Clone, Copy)]
struct Run {
    source: Source,
    high: Sums,
    /// It was counted from its beginning, and has begun between the two times.
    is_whole: bool,
    is_seen: bool,
    has_ended: bool,
}

impl Ledger {
    /// One of what was used after a time, and not after another one.
    pub fn new(from: Time, to: Time) -> Ledger {
        Ledger { from, to, accounts: BTreeMap::new(), hosts: BTreeMap::new() }
    }

    /// Takes a line. One that has no time is left out.
    pub fn take(&mut self, line: &Line) {
        let Some(time) = Time::parse(&line.time).filter(|time| *time <= self.to) else { return };
        let counts = time > self.from;
        let host = self.hosts.entry(line.host.clone()).or_default();
        if host.time != Some(time) {
            host.elapsed = host.time.map(|before| time.seconds_since(before));
            host.time = Some(time);
            host.rest = Sums::default();
            if counts {
                host.see(line);
            }
            host.boot_id.clone_from(&line.boot_id);
        }
        let is_rest = line.row.kind == Kind::Rest;
        let used = if is_rest { Some((host.rest, false)) } else { host.used(line, counts) };
        let Some((used, is_whole)) = used else { return };
        if !counts {
            return;
        }
        let key = (line.host.clone(), line.row.kind, line.row.name.clone());
        let account = self.accounts.entry(key).or_insert_with(|| Account::of(line));
        if !is_rest
            && host.runs.get_mut(&line.row.id).is_some_and(|run| !std::mem::replace(&mut run.is_seen, true))
        {
            account.runs += 1;
        }
        account.add(line, time, host.elapsed, used, is_whole);
    }

    /// The accounts, in order, and the hosts.
    pub fn finish(mut self) -> (Vec<Account>, Vec<HostSeen>) {
        for account in self.accounts.values_mut() {
            account.memory_mean_bytes = account.mean();
        }
        let hosts = self.hosts.into_values().filter_map(|host| host.seen).collect();
        (self.accounts.into_values().collect(), hosts)
    }
}

impl Host {
    fn see(&mut self, line: &Line) {
        let is_other = !self.boot_id.is_empty() && self.boot_id != line.boot_id;
        let seen = self.seen.get_or_insert_with(|| HostSeen {
            host: line.host.clone(),
            first: line.time.clone(),
            last: String::new(),
            samples: 0,
            reboots: 0,
        });
        seen.last.clone_from(&line.time);
        seen.samples += 1;
        seen.reboots += u64::from(is_other);
    }

    /// What was used since the sample before, and whether that is all that this run has; `None` of one that has ended and is counted
    /// already.
    fn used(&mut self, line: &Line, counts: bool) -> Option<(Sums, bool)> {
        let row = &line.row;
        let now = Sums {
            cpu_seconds: sane(row.cpu_seconds),
            bytes: [row.read_bytes, row.written_bytes, row.received_bytes, row.sent_bytes]
                .map(Option::unwrap_or_default),
        };
        let (used, run) = match self.runs.get(&row.id) {
            Some(run) if run.has_ended => return None,
            Some(run) if run.source == row.source => {
                let (used, high) = run.high.raised_to(now);
                (used, Run { high, ..*run })
            }
            // Counted by somebody else now, from another beginning.
            Some(run) => (Sums::default(), Run { high: now, source: row.source, ..*run }),
            None => {
                // Who has ended since the sample before and is not in it has begun since, too.
                let is_new = self.elapsed.is_some_and(|elapsed| {
                    row.ended.is_some() || row.age_seconds.is_some_and(|age| age <= elapsed + SLACK)
                });
                let used = if is_new { now } else { Sums::default() };
                let source = row.source;
                (
                    used,
                    Run { source, high: now, is_whole: is_new && counts, is_seen: false, has_ended: false },
                )
            }
        };
        self.runs.insert(row.id.clone(), Run { has_ended: row.ended.is_some(), ..run });
        match row.kind {
            Kind::Host => self.rest = used,
            Kind::Subhost | Kind::Vm => self.rest = self.rest.less(used),
            Kind::Rest => {}
        }
        Some((used, run.is_whole))
    }
}

impl Sums {
    /// What is more now, and the most there was. A sum over processes may fall a little when one ends that nobody waits for.
    fn raised_to(self, now: Sums) -> (Sums, Sums) {
        let high = Sums {
            cpu_seconds: self.cpu_seconds.max(now.cpu_seconds),
            bytes: std::array::from_fn(|at| self.bytes[at].max(now.bytes[at])),
        };
        (high.less(self), high)
    }

    fn less(self, other: Sums) -> Sums {
        Sums {
            cpu_seconds: (self.cpu_seconds - other.cpu_seconds).max(0.0),
            bytes: std::array::from_fn(|at| self.bytes[at].saturating_sub(other.bytes[at])),
        }
    }
}

/// Counters from other hosts may be anything.
fn sane(seconds: Option<f64>) -> f64 {
    seconds.filter(|seconds| (0.0..MOST_SECONDS).contains(seconds)).unwrap_or(0.0)
}

impl Account {
    fn of(line: &Line) -> Account {
        Account {
            host: line.host.clone(),
            kind: line.row.kind,
            name: line.row.name.clone(),
            seconds: 0.0,
            cpu_seconds: 0.0,
            memory_mean_bytes: None,
            memory_peak_bytes: None,
            read_bytes: 0,
            written_bytes: 0,
            received_bytes: 0,
            sent_bytes: 0,
            runs: 0,
            points: Vec::new(),
            memory_seconds: 0.0,
            memory_covers: 0.0,
        }
    }

    fn add(&mut self, line: &Line, time: Time, elapsed: Option<f64>, used: Sums, is_whole: bool) {
        let row = &line.row;
        self.cpu_seconds += used.cpu_seconds;
        let sums =
            [&mut self.read_bytes, &mut self.written_bytes, &mut self.received_bytes, &mut self.sent_bytes];
        for (sum, bytes) in sums.into_iter().zip(used.bytes) {
            *sum = sum.saturating_add(bytes);
        }
        let peak = row.memory_peak_bytes.filter(|_| is_whole);
        self.memory_peak_bytes = self.memory_peak_bytes.max(row.memory_bytes).max(peak);
        // Of one that has ended in between it is not known when.
        let covers = match (elapsed, row.ended.is_some()) {
            (Some(elapsed), false) => elapsed.min(sane(row.age_seconds)).min(GAP),
            (Some(elapsed), true) => elapsed.min(sane(row.age_seconds)).min(GAP) / 2.0,
            (None, _) => 0.0,
        };
        self.seconds += covers;
        if let Some(memory) = row.memory_bytes {
            #[expect(clippy::cast_precision_loss, reason = "a mean has no such digits")]
            let memory = memory as f64;
            // A single sample counts as well.
            let weight = covers.max(f64::MIN_POSITIVE);
            self.memory_seconds += memory * weight;
            self.memory_covers += weight;
        }
        let processors = elapsed.filter(|elapsed| *elapsed > 0.0).map(|elapsed| used.cpu_seconds / elapsed);
        if let Some(processors) = processors {
            self.points.push(Point { time, processors, memory_bytes: row.memory_bytes });
        }
        if self.points.len() >= POINTS {
            self.points = self.points.chunks(2).map(Point::mean).collect();
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the mean of such numbers is one"
    )]
    fn mean(&self) -> Option<u64> {
        (self.memory_covers > 0.0).then(|| (self.memory_seconds / self.memory_covers).round() as u64)
    }
}

#[cfg(test)]
mod tests;
