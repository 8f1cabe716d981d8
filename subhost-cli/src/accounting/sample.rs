//! A sample: what the host, and each of those on it, has used until now.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, in UTC.
    pub time: String,
    /// Name of the host.
    pub host: String,
    /// Its boot: counters of another one say nothing about these.
    pub boot_id: String,
    /// How many processors it has.
    pub processors: u64,
    /// Seconds since the sample before, which the shares are of; without one they are of each row's age.
    pub interval_seconds: Option<f64>,
    /// The host, its subhosts, its virtual machines, and the rest.
    pub rows: Vec<Row>,
}

/// A row of a sample by itself, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// As in [`Sample`].
    pub time: String,
    /// As in [`Sample`].
    pub host: String,
    /// As in [`Sample`].
    pub boot_id: String,
    /// As in [`Sample`].
    pub processors: u64,
    /// The row.
    #[serde(flatten)]
    pub row: Row,
}

/// Who.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// All of it.
    Host,
    /// A subhost.
    Subhost,
    /// A virtual machine.
    Vm,
    /// The host but for those.
    Rest,
}

impl Kind {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Host => "host",
            Kind::Subhost => "subhost",
            Kind::Vm => "vm",
            Kind::Rest => "rest",
        }
    }
}

/// Who has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The kernel, for the whole host.
    #[default]
    Kernel,
    /// The kernel, for a cgroup.
    Cgroup,
    /// We, from what the kernel tells of each process that is there.
    Processes,
}

/// What one has used. All but memory, processes and shares are sums since it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Who.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// This run of it: no other one has that.
    pub id: String,
    /// Who has counted its processor time.
    pub source: Source,
    /// How long it runs, or has run.
    pub age_seconds: Option<f64>,
    /// When it has ended, in UTC.
    pub ended: Option<String>,
    /// Processor time.
    pub cpu_seconds: Option<f64>,
    /// Its share of all that the host's processors could do; 1 is all.
    pub cpu_share: Option<f64>,
    /// Memory in use.
    pub memory_bytes: Option<u64>,
    /// The most that it ever was.
    pub memory_peak_bytes: Option<u64>,
    /// Read from disks.
    pub read_bytes: Option<u64>,
    /// Written to disks.
    pub written_bytes: Option<u64>,
    /// Come in over its cables.
    pub received_bytes: Option<u64>,
    /// Gone out over them.
    pub sent_bytes: Option<u64>,
    /// Processes.
    pub processes: Option<u64>,
    /// Percent of the last ten seconds in which something waited for a processor, for memory or for I/O, and the sum of
    /// such time.
    pub cpu_pressure_percent: Option<f64>,
    /// As above.
    pub cpu_pressure_seconds: Option<f64>,
    /// As above.
    pub memory_pressure_percent: Option<f64>,
    /// As above.
    pub memory_pressure_seconds: Option<f64>,
    /// As above.
    pub io_pressure_percent: Option<f64>,
    /// As above.
    pub io_pressure_seconds: Option<f64>,
}

impl Row {
    /// Somebody of whom nothing else is known.
    pub fn new(kind: Kind, name: impl Into<String>, id: impl Into<String>) -> Row {
        Row {
            kind,
            name: name.into(),
            id: id.into(),
            source: Source::default(),
            age_seconds: None,
            ended: None,
            cpu_seconds: None,
            cpu_share: None,
            memory_bytes: None,
            memory_peak_bytes: None,
            read_bytes: None,
            written_bytes: None,
            received_bytes: None,
            sent_bytes: None,
            processes: None,
            cpu_pressure_percent: None,
            cpu_pressure_seconds: None,
            memory_pressure_percent: None,
            memory_pressure_seconds: None,
            io_pressure_percent: None,
            io_pressure_seconds: None,
        }
    }

    /// Whether it is a part of what the host uses now.
    pub fn is_part(&self) -> bool {
        matches!(self.kind, Kind::Subhost | Kind::Vm) && self.ended.is_none()
    }
}

impl Sample {
    /// Its rows as they are stored.
    pub fn into_lines(self) -> Vec<Line> {
        let Sample { time, host, boot_id, processors, rows, .. } = self;
        let line =
            |row| Line { time: time.clone(), host: host.clone(), boot_id: boot_id.clone(), processors, row };
        rows.into_iter().map(line).collect()
    }

    /// Adds what the parts leave of the host. What has ended since it was booted is in there.
    pub fn add_rest(&mut self) {
        let Some(host) = self.rows.iter().find(|row| row.kind == Kind::Host) else { return };
        let parts = || self.rows.iter().filter(|row| row.is_part());
        let left = |of: fn(&Row) -> Option<u64>| {
            let used: u64 = parts().filter_map(of).fold(0, u64::saturating_add);
            Some(of(host)?.saturating_sub(used))
        };
        let cpu: f64 = parts().filter_map(|row| row.cpu_seconds).sum();
        let rest = Row {
            age_seconds: host.age_seconds,
            cpu_seconds: host.cpu_seconds.map(|host| (host - cpu).max(0.0)),
            memory_bytes: left(|row| row.memory_bytes),
            read_bytes: left(|row| row.read_bytes),
            written_bytes: left(|row| row.written_bytes),
            processes: left(|row| row.processes),
            ..Row::new(Kind::Rest, "rest", &*host.id)
        };
        self.rows.push(rest);
    }

    /// Finds the shares: of the time since the sample before, or of each row's age.
    pub fn find_shares(&mut self, before: Option<&Sample>) {
        // The host's own clock has ticked beside its counters.
        let age = |sample: &Sample| sample.rows.iter().find(|row| row.kind == Kind::Host)?.age_seconds;
        let before = before.filter(|before| before.boot_id == self.boot_id);
        let before = before.and_then(|before| Some((before, age(self)? - age(before)?)));
        let before = before.filter(|(_, seconds)| *seconds > 0.0);
        self.interval_seconds = before.map(|(_, seconds)| seconds);
        #[expect(clippy::cast_precision_loss, reason = "no host has that many processors")]
        let processors = self.processors.max(1) as f64;
        let known: HashMap<&str, &Row> = before
            .iter()
            .flat_map(|(before, _)| &before.rows)
            .filter(|row| row.kind != Kind::Rest)
            .map(|row| (&*row.id, row))
            .collect();
        let mut rest = 0.0;
        for row in &mut self.rows {
            let share =
                |used: f64, seconds: f64| (seconds > 0.0).then(|| (used / seconds / processors).max(0.0));
            row.cpu_share = match (before, known.get(&*row.id), row.cpu_seconds) {
                (_, _, None) => None,
                _ if row.ended.is_some() => None,
                // Its own counter falls when one of the parts begins.
                (Some(_), _, _) if row.kind == Kind::Rest => Some(f64::max(rest, 0.0)),
                (Some((_, seconds)), Some(known), Some(now)) if known.source == row.source => {
                    share(now - known.cpu_seconds.unwrap_or(now), seconds)
                }
                // It has begun since, or is counted by somebody else now.
                (Some((_, seconds)), _, Some(now)) => match row.age_seconds {
                    Some(age) if age <= seconds => share(now, seconds),
                    _ => None,
                },
                (None, _, Some(now)) => row.age_seconds.and_then(|age| share(now, age)),
            };
            match row.kind {
                Kind::Host => rest += row.cpu_share.unwrap_or(0.0),
                Kind::Subhost | Kind::Vm => rest -= row.cpu_share.unwrap_or(0.0),
                Kind::Rest => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Kind, name: &str, cpu: f64, age: f64) -> Row {
        Row {
            cpu_seconds: Some(cpu),
            age_seconds: Some(age),
            memory_bytes: Some(100),
            ..Row::new(kind, name, format!("{name}/1"))
        }
    }

    fn sample(rows: &[Row]) -> Sample {
        let mut sample = Sample {
            time: "2026-11-26T00:00:00.000Z".to_owned(),
            host: "alpha".to_owned(),
            boot_id: "b".to_owned(),
            processors: 2,
            interval_seconds: None,
            rows: rows.to_vec(),
        };
        sample.add_rest();
        sample
    }

    fn shares(sample: &Sample) -> Vec<Option<f64>> {
        sample.rows.iter().map(|row| row.cpu_share).collect()
    }

    #[test]
    fn the_rest_is_what_the_parts_leave_and_never_less_than_nothing() {
        let ended = Row { ended: Some("t".to_owned()), ..row(Kind::Subhost, "gone", 900.0, 1.0) };
        let sample = sample(&[row(Kind::Host, "alpha", 100.0, 50.0), row(Kind::Vm, "v", 30.0, 1.0), ended]);
        let rest = sample.rows.last().unwrap();
        assert_eq!((rest.kind, rest.cpu_seconds, rest.memory_bytes), (Kind::Rest, Some(70.0), Some(0)));
        assert_eq!(rest.read_bytes, None);
    }

    #[test]
    fn the_first_shares_are_of_each_age_and_later_ones_of_the_time_between() {
        let mut first = sample(&[row(Kind::Host, "alpha", 100.0, 100.0), row(Kind::Vm, "v", 30.0, 60.0)]);
        first.find_shares(None);
        assert_eq!(shares(&first), [Some(0.5), Some(0.25), Some(0.35)]);
        let mut second = sample(&[
            row(Kind::Host, "alpha", 110.0, 110.0),
            row(Kind::Vm, "v", 32.0, 70.0),
            row(Kind::Subhost, "new", 4.0, 5.0),
            row(Kind::Subhost, "unseen before", 400.0, 5000.0),
        ]);
        second.find_shares(Some(&first));
        let [host, vm, new, unseen, rest] = shares(&second)[..] else { panic!() };
        assert_eq!((host, vm, new, unseen), (Some(0.5), Some(0.1), Some(0.2), None));
        assert!((rest.unwrap() - 0.2).abs() < 1e-9);
        // Of another boot nothing is known.
        let mut third = Sample { boot_id: "c".to_owned(), ..second.clone() };
        third.find_shares(Some(&second));
        assert_eq!((third.interval_seconds, third.rows[0].cpu_share), (None, Some(0.5)));
    }

    #[test]
    fn a_line_is_flat_and_comes_back_as_it_was() {
        let sample = sample(&[row(Kind::Host, "alpha", 1.5, 2.0)]);
        let lines = sample.into_lines();
        let text = crate::report::json_line(&lines[0]).unwrap();
        assert!(
            text.starts_with(r#"{"version":1,"time":"2026"#) && text.contains(r#""kind":"host""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), lines[0]);
    }
}
