//! What a guest has used, as the kernel counts it for its cgroup.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::OFlags;

use super::directory::open_below;
use super::group::{Cgroup, Group};
use super::plan::Version;

/// More than any of these files is long.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// What a cgroup has used. What is not counted here, as its controller is not on, is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Usage {
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Memory in use now.
    pub memory_bytes: Option<u64>,
    /// The most that it ever was.
    pub memory_peak_bytes: Option<u64>,
    /// What was read and written, for each block device.
    pub io: Option<Vec<DeviceIo>>,
    /// How long processes had to wait for a processor, for memory and for I/O (version 2).
    pub pressure: [Option<Pressure>; 3],
}

/// What was read from and written to a block device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DeviceIo {
    /// Major and minor number.
    pub device: (u32, u32),
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

/// How long at least one process had to wait: the line `some` of the kernel's `Documentation/accounting/psi.rst`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pressure {
    /// Percent of the last ten seconds.
    pub percent: f64,
    /// All such time.
    pub total: Duration,
}

impl Pressure {
    /// Reads the text of a `*.pressure` file, or of one in `/proc/pressure`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Pressure> {
        let words = text.lines().find_map(|line| line.strip_prefix("some "))?;
        let value = |key: &str| words.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let percent = value("avg10")?.parse().ok().filter(|percent: &f64| percent.is_finite())?;
        Some(Pressure { percent, total: Duration::from_micros(value("total")?.parse().ok()?) })
    }
}

impl Cgroup {
    /// What it has used. Of one that is gone, or of what cannot be read, there is nothing.
    #[must_use]
    pub fn usage(&self) -> Usage {
        // That of version 2 counts more.
        let of = |version| self.groups.iter().filter(move |group| group.version == version).map(Group::usage);
        let all: Vec<Usage> = of(Version::Unified).chain(of(Version::Legacy)).collect();
        let first = |of: fn(&Usage) -> Option<u64>| all.iter().find_map(of);
        Usage {
            cpu: all.iter().find_map(|it| it.cpu),
            memory_bytes: first(|it| it.memory_bytes),
            memory_peak_bytes: first(|it| it.memory_peak_bytes),
            io: all.iter().find_map(|it| it.io.clone()),
            pressure: [0, 1, 2].map(|what| all.iter().find_map(|it| it.pressure[what])),
        }
    }
}

impl Group {
    fn usage(&self) -> Usage {
        let number = |file: &str| self.text(file)?.trim_end().parse().ok();
        match self.version {
            Version::Unified => Usage {
                cpu: self
                    .text("cpu.stat")
                    .and_then(|text| value_of(&text, "usage_usec"))
                    .map(Duration::from_micros),
                memory_bytes: number("memory.current"),
                memory_peak_bytes: number("memory.peak"),
                io: self.text("io.stat").map(|text| io_of(&text)),
                pressure: ["cpu.pressure", "memory.pressure", "io.pressure"]
                    .map(|file| Pressure::parse(&self.text(file)?)),
            },
            Version::Legacy => Usage {
                cpu: number("cpuacct.usage").map(Duration::from_nanos),
                memory_bytes: number("memory.usage_in_bytes"),
                memory_peak_bytes: number("memory.max_usage_in_bytes"),
                io: self.text("blkio.throttle.io_service_bytes_recursive").map(|text| legacy_io_of(&text)),
                pressure: [None; 3],
            },
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        let file = File::from(open_below(self.directory.as_fd(), name, OFlags::RDONLY).ok()?);
        let mut text = String::new();
        file.take(FILE_MAX_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

/// The number behind a word at the beginning of a line.
fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

fn device_of(word: &str) -> Option<(u32, u32)> {
    let (major, minor) = word.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Reads `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 …`.
fn io_of(text: &str) -> Vec<DeviceIo> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let device = device_of(words.next()?)?;
        let value = |key: &str| {
            let mut words = words.clone();
            words.find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok()).unwrap_or(0)
        };
        Some(DeviceIo { device, read_bytes: value("rbytes"), written_bytes: value("wbytes") })
    };
    text.lines().filter_map(line).collect()
}

/// Reads the same of version 1: `8:0 Read 1`, `8:0 Write 2` and so on, a line each.
fn legacy_io_of(text: &str) -> Vec<DeviceIo> {
    let mut found: Vec<DeviceIo> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [device, what, bytes] = words[..] else { continue };
        let (Some(device), Ok(bytes)) = (device_of(device), bytes.parse()) else { continue };
        let at = found.iter().position(|it| it.device == device).unwrap_or_else(|| {
            found.push(DeviceIo { device, ..DeviceIo::default() });
            found.len() - 1
        });
        match what {
            "Read" => found[at].read_bytes = bytes,
            "Write" => found[at].written_bytes = bytes,
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_both_versions_are_read() {
        assert_eq!(value_of("usage_usec 17\nuser_usec 5\n", "user_usec"), Some(5));
        assert_eq!(value_of("usage_usec_more 17\n", "usage_usec"), None);
        let (one, two) = (
            DeviceIo { device: (254, 0), read_bytes: 4096, written_bytes: 8192 },
            DeviceIo { device: (7, 1), read_bytes: 0, written_bytes: 0 },
        );
        assert_eq!(
            io_of("254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:1 \nbroken\n"),
            [one, two]
        );
        let legacy =
            "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 1\n254:0 Total 12288\n7:1 Total 0\nTotal 12288\n";
        assert_eq!(legacy_io_of(legacy), [one, two]);
    }

    #[test]
    fn pressure_is_that_of_some_processes() {
        let text = "some avg10=1.25 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=9.00 avg60=0 avg300=0 total=9\n";
        let pressure = Pressure { percent: 1.25, total: Duration::from_millis(1_500) };
        assert_eq!(Pressure::parse(text), Some(pressure));
        for broken in
            ["", "full avg10=1 total=2", "some avg10=nan total=2", "some avg10=1", "some total=-1 avg10=1"]
        {
            assert_eq!(Pressure::parse(broken), None);
        }
    }
}
