//! Processes as `/proc` tells of them. Each may be gone at any moment, and is then left out.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The processes that were there at one moment.
#[derive(Debug, Default)]
pub struct Processes {
    /// By their number.
    pub all: HashMap<u32, Process>,
}

/// One process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// That of its parent.
    pub parent: u32,
    /// Its processor time, and that of its children whose end it has heard of, in ticks.
    pub cpu_ticks: u64,
    /// When it started, in ticks since the boot.
    pub start_ticks: u64,
    /// Inode of its PID namespace.
    pub pid_namespace: u64,
}

/// What some processes use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Processor time.
    pub cpu_seconds: f64,
    /// Memory.
    pub memory_bytes: u64,
    /// Read from disks.
    pub read_bytes: u64,
    /// Written to disks.
    pub written_bytes: u64,
}

/// Which memory of a process counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// All that is in memory of it, also what others have as well.
    All,
    /// What nobody else can have: many processes share their programs and libraries.
    Own,
}

impl Processes {
    /// Looks at all that the caller sees.
    pub fn observe() -> Processes {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        Processes { all: pids.filter_map(|pid| Some((pid, Process::read(pid)?))).collect() }
    }

    /// Looks at one alone.
    pub fn of(pid: u32) -> Processes {
        Processes { all: Process::read(pid).map(|process| (pid, process)).into_iter().collect() }
    }

    /// Those in a PID namespace, or in one that was made there.
    pub fn below(&self, init: u32, pid_namespace: u64) -> HashSet<u32> {
        self.all.keys().copied().filter(|pid| self.is_below(*pid, init, pid_namespace)).collect()
    }

    fn is_below(&self, pid: u32, init: u32, pid_namespace: u64) -> bool {
        let mut pid = pid;
        // The numbers were read one after the other: there might be a circle.
        for _ in 0..self.all.len() {
            let Some(process) = self.all.get(&pid) else { return false };
            if process.pid_namespace == pid_namespace || pid == init {
                return true;
            }
            pid = process.parent;
        }
        false
    }

    /// What some of them use.
    pub fn used<'a>(&self, pids: impl IntoIterator<Item = &'a u32>, memory: Memory) -> Used {
        let mut used = Used::default();
        for pid in pids {
            let Some(process) = self.all.get(pid) else { continue };
            used.cpu_seconds += seconds(process.cpu_ticks);
            let (read, written) = file(*pid, "io").map(|text| io_of(&text)).unwrap_or_default();
            let pages = file(*pid, "statm").and_then(|text| pages_of(&text, memory)).unwrap_or(0);
            used.memory_bytes = used.memory_bytes.saturating_add(pages.saturating_mul(page_bytes()));
            used.read_bytes = used.read_bytes.saturating_add(read);
            used.written_bytes = used.written_bytes.saturating_add(written);
        }
        used
    }
}

impl Process {
    fn read(pid: u32) -> Option<Process> {
        let mut process = Process::parse(&file(pid, "stat")?)?;
        process.pid_namespace = fs::metadata(format!("/proc/{pid}/ns/pid")).map_or(0, |meta| meta.ino());
        Some(process)
    }

    /// Reads `/proc/PID/stat` (proc(5)). The name in there may hold anything, so that fields are counted behind its end.
    fn parse(stat: &str) -> Option<Process> {
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        // Those of its children may be negative in old kernels.
        let cpu_ticks = [14, 15, 16, 17].map(|field| number(field).unwrap_or(0));
        Some(Process {
            parent: u32::try_from(number(4)?).ok()?,
            cpu_ticks: cpu_ticks.into_iter().fold(0, u64::saturating_add),
            start_ticks: number(22)?,
            pid_namespace: 0,
        })
    }

    /// How long it runs.
    pub fn age_seconds(&self, uptime: f64) -> f64 {
        (uptime - seconds(self.start_ticks)).max(0.0)
    }
}

/// The PID namespace that we are in.
pub fn own_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

/// The program of a process.
pub fn program(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The words that it was started with.
pub fn arguments(pid: u32) -> Vec<Vec<u8>> {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// The most that was ever in memory of a process.
pub fn peak_bytes(pid: u32) -> Option<u64> {
    let status = file(pid, "status")?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"))?;
    value.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Ticks as seconds.
#[expect(clippy::cast_precision_loss, reason = "ticks of a million years are exact")]
pub fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

fn file(pid: u32, name: &str) -> Option<String> {
    // The name of a process need not be text.
    fs::read(format!("/proc/{pid}/{name}")).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Read and written, without what was written to a file that was cut off before it got to the disk.
fn io_of(text: &str) -> (u64, u64) {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    (value("read_bytes"), value("write_bytes").saturating_sub(value("cancelled_write_bytes")))
}

fn pages_of(statm: &str, memory: Memory) -> Option<u64> {
    let mut words = statm.split_ascii_whitespace().skip(1);
    let resident: u64 = words.next()?.parse().ok()?;
    let shared: u64 = words.next()?.parse().ok()?;
    Some(match memory {
        Memory::All => resident,
        Memory::Own => resident.saturating_sub(shared),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_fields_is_a_name() {
        let fields: Vec<String> = (4..=30).map(|field| field.to_string()).collect();
        let stat = format!("17 (a) R 1 (b\n) S {}\n", fields.join(" "));
        let expected = Process { parent: 4, cpu_ticks: 14 + 15 + 16 + 17, start_ticks: 22, pid_namespace: 0 };
        assert_eq!(Process::parse(&stat), Some(expected));
        for broken in ["", "1 (x", "1 (x)", "1 (x) R 2 3", "1 (x) R x x x"] {
            assert_eq!(Process::parse(broken), None);
        }
    }

    #[test]
    fn what_is_below_is_found_also_in_namespaces_inside_and_circles_end() {
        let process = |parent, pid_namespace| Process { parent, pid_namespace, ..Process::default() };
        let all = [
            (10, process(1, 7)),
            (11, process(10, 7)),
            (12, process(11, 8)),
            // Entered from outside.
            (13, process(1, 7)),
            (20, process(1, 1)),
            (21, process(22, 1)),
            (22, process(21, 1)),
        ];
        let below = Processes { all: all.into() }.below(10, 7);
        assert_eq!(below, [10, 11, 12, 13].into());
    }

    #[test]
    fn io_and_memory_are_read() {
        assert_eq!(io_of("rchar: 9\nread_bytes: 5\nwrite_bytes: 7\ncancelled_write_bytes: 3\n"), (5, 4));
        assert_eq!(io_of("write_bytes: 1\ncancelled_write_bytes: 3\n"), (0, 0));
        assert_eq!(pages_of("100 50 20 1 0 30 0\n", Memory::Own), Some(30));
        assert_eq!(pages_of("100 50 20 1 0 30 0\n", Memory::All), Some(50));
        assert_eq!(pages_of("100\n", Memory::All), None);
    }

    #[test]
    fn we_are_there_and_nobody_is_process_0() {
        let processes = Processes::observe();
        let own = &processes.all[&std::process::id()];
        assert_eq!(own.pid_namespace, own_namespace());
        assert!(!processes.all.contains_key(&0));
        assert!(processes.used(&[std::process::id(), 0], Memory::All).memory_bytes > 0);
    }
}
