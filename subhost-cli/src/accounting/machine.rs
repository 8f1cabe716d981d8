//! The host as a whole, from `/proc` and `/sys`.

use std::fs;
use std::path::Path;

use subhost_init::cgroup::{DeviceIo, Pressure};

/// What the host has used since it was booted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its boot.
    pub boot_id: String,
    /// How long that is ago.
    pub uptime_seconds: f64,
    /// Its processors.
    pub processors: u64,
    /// What they have worked.
    pub cpu_seconds: Option<f64>,
    /// Memory that is not available to programs.
    pub memory_bytes: Option<u64>,
    /// Read from its disks.
    pub read_bytes: Option<u64>,
    /// Written to them.
    pub written_bytes: Option<u64>,
    /// How long something waited for a processor, memory or I/O.
    pub pressure: [Option<Pressure>; 3],
}

impl Machine {
    /// Looks at it. What cannot be read is not known.
    pub fn observe() -> Machine {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (processors, cpu_ticks) = processors_of(&text("/proc/stat"));
        let disks = io_of(&text("/proc/diskstats"), |name| is_hardware(&Path::new("/sys/block").join(name)));
        let uptime = text("/proc/uptime");
        Machine {
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot_id: text("/proc/sys/kernel/random/boot_id").trim().to_owned(),
            uptime_seconds: uptime.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
            processors,
            cpu_seconds: cpu_ticks.map(super::process::seconds),
            memory_bytes: memory_of(&text("/proc/meminfo")),
            read_bytes: disks.map(|(read, _)| read),
            written_bytes: disks.map(|(_, written)| written),
            pressure: ["cpu", "memory", "io"]
                .map(|what| Pressure::parse(&text(&format!("/proc/pressure/{what}")))),
        }
    }
}

/// What a cgroup has read and written, without devices that only pass it on to others, as loop devices and device mapper
/// do: it would count twice.
pub fn io_of_cgroup(io: &[DeviceIo]) -> (u64, u64) {
    let is_disk = |it: &&DeviceIo| {
        is_hardware(&Path::new("/sys/dev/block").join(format!("{}:{}", it.device.0, it.device.1)))
    };
    io.iter().filter(is_disk).fold((0, 0), |(read, written), it| {
        (u64::saturating_add(read, it.read_bytes), u64::saturating_add(written, it.written_bytes))
    })
}

fn is_hardware(device: &Path) -> bool {
    device.join("device").exists()
}

/// How many processors there are, and their ticks, of `/proc/stat`. What guests of KVM had is in `user` already.
fn processors_of(stat: &str) -> (u64, Option<u64>) {
    let is_processor = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|line| line.starts_with(|c: char| c.is_ascii_digit()))
    };
    let count = stat.lines().filter(is_processor).count();
    let ticks = stat.lines().find_map(|line| line.strip_prefix("cpu ")).and_then(|line| {
        let fields: Vec<u64> = line.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        // user, nice, system, then idle and waiting for I/O, then irq and softirq.
        let busy = [0, 1, 2, 5, 6].map(|field| fields.get(field).copied().unwrap_or(0));
        (fields.len() > 3).then(|| busy.into_iter().fold(0, u64::saturating_add))
    });
    (count as u64, ticks)
}

fn memory_of(meminfo: &str) -> Option<u64> {
    let value = |key: &str| {
        let words = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        words.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    value("MemTotal")?.checked_sub(value("MemAvailable")?)?.checked_mul(1024)
}

/// Read and written by the disks for which `is_disk` holds; `None` if there is none.
fn io_of(diskstats: &str, is_disk: impl Fn(&str) -> bool) -> Option<(u64, u64)> {
    let mut sum = None;
    for line in diskstats.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, _, name, _, _, read, _, _, _, written, ..] = words[..] else { continue };
        let (Ok(read), Ok(written)) = (read.parse::<u64>(), written.parse::<u64>()) else { continue };
        if is_disk(name) {
            let (reads, writes) = sum.unwrap_or((0_u64, 0_u64));
            // A sector of 512 bytes, whatever the disk has.
            sum = Some((reads.saturating_add(read * 512), writes.saturating_add(written * 512)));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_what_is_neither_idle_nor_waiting() {
        let stat = "cpu  10 20 30 1000 2000 1 2 500 600 700\ncpu0 1 1\ncpu1 1 1\nctxt 9\n";
        assert_eq!(processors_of(stat), (2, Some(63)));
        assert_eq!(processors_of(""), (0, None));
    }

    #[test]
    fn memory_is_what_is_not_available() {
        assert_eq!(memory_of("MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   60 kB\n"), Some(40 * 1024));
        assert_eq!(memory_of("MemTotal: 100 kB\n"), None);
    }

    #[test]
    fn disks_count_and_what_lies_on_them_does_not() {
        let text =
            " 254 0 vda 5 0 100 7 6 0 200 8 0 9 9\n 7 0 loop0 5 0 900 7 6 0 900 8 0 9 9\n 254 1 vda1 5\n";
        assert_eq!(io_of(text, |name| name == "vda"), Some((51_200, 102_400)));
        assert_eq!(io_of(text, |_| false), None);
    }
}
