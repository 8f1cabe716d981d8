//! Takes a sample of this host.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use subhost_init::cgroup::{Cgroup, CgroupDirectory, Hierarchies, Usage};

use super::ended;
use super::machine::{Machine, io_of_cgroup};
use super::network::{Links, Traffic};
use super::process::{self, Memory, Processes, Used};
use super::sample::{Kind, Row, Sample, Source};
use super::time::Time;
use super::vm::{self, Vm};
use crate::events;
use crate::layout::Layout;
use crate::observe::running;
use crate::state::Record;

/// Looks at the host, its subhosts and its virtual machines; also at what has ended since a time, if one is given.
pub fn look(layout: &Layout, since: Option<Time>) -> Sample {
    // The host first: what the parts do meanwhile is not missed in it, as its rest cannot be less than nothing.
    let processes = Processes::observe();
    let links = Links::observe();
    let vms = vm::all(&processes);
    let hierarchies =
        if vms.is_empty() { Hierarchies::default() } else { Hierarchies::observe().unwrap_or_default() };
    let parts: Vec<Row> = running(layout)
        .unwrap_or_default()
        .iter()
        .map(|record| subhost(record, &processes, &links))
        .chain(vms.iter().map(|vm| machine(vm, &processes, &links, &hierarchies)))
        .collect();
    let host = Machine::observe();
    let mut row = Row::new(Kind::Host, &*host.name, &*host.boot_id);
    row.age_seconds = Some(host.uptime_seconds);
    row.cpu_seconds = host.cpu_seconds;
    row.memory_bytes = host.memory_bytes;
    (row.read_bytes, row.written_bytes) = (host.read_bytes, host.written_bytes);
    row.processes = Some(processes.all.len() as u64);
    row.set_traffic(links.of_host());
    row.set_pressure(&host.pressure);
    let mut sample = Sample {
        time: Time::now().text(),
        host: host.name,
        boot_id: host.boot_id,
        processors: host.processors,
        interval_seconds: None,
        rows: std::iter::once(row).chain(parts).collect(),
    };
    for part in sample.rows.iter_mut().filter(|row| row.is_part()) {
        if part.kind == Kind::Vm {
            part.id = format!("{}/{}", sample.boot_id, part.id);
        }
        // What was found is when it began.
        part.age_seconds = part.age_seconds.map(|began| (host.uptime_seconds - began).max(0.0));
    }
    if let Some(since) = since {
        let events = events::read(layout).unwrap_or_default();
        sample.rows.extend(ended::rows(&events, Some(since)));
    }
    // The last row, as who adds up samples knows by then what all others have used.
    sample.add_rest();
    sample
}

/// Of this host only those that have ended; since a time, if one is given.
pub fn look_back(layout: &Layout, since: Option<Time>) -> std::io::Result<Sample> {
    let host = Machine::observe();
    Ok(Sample {
        time: Time::now().text(),
        host: host.name,
        boot_id: host.boot_id,
        processors: host.processors,
        interval_seconds: None,
        rows: ended::rows(&events::read(layout)?, since),
    })
}

/// A subhost. Its age is when it began, in seconds since the boot.
pub(super) fn subhost(record: &Record, processes: &Processes, links: &Links) -> Row {
    let init = &record.init;
    let id = format!("{}/{}/{}", init.boot_id, init.pid, init.start_time);
    let mut row = Row::new(Kind::Subhost, &*record.name, id);
    row.age_seconds = Some(process::seconds(init.start_time));
    let own = processes.below(init.pid, init.pid_namespace);
    row.processes = Some(own.len() as u64);
    let usage = record.cgroup.open().map(|cgroup| cgroup.usage()).unwrap_or_default();
    row.set_used(processes.used(&own, Memory::Own), &usage);
    row.set_traffic(links.of_cables(&record.cables));
    row
}

fn machine(vm: &Vm, processes: &Processes, links: &Links, hierarchies: &Hierarchies) -> Row {
    let id = format!("{}/{}", vm.pid, vm.process.start_ticks);
    let mut row = Row::new(Kind::Vm, &*vm.name, id);
    row.age_seconds = Some(process::seconds(vm.process.start_ticks));
    row.processes = Some(1);
    // Some machines share their memory with helpers; there is one process that has all of it. What it had before it was adopted is
    // not counted for its cgroup.
    let usage = Usage {
        memory_bytes: None,
        memory_peak_bytes: process::peak_bytes(vm.pid),
        ..usage_of_adopted(vm.pid, hierarchies)
    };
    row.set_used(processes.used(&[vm.pid], Memory::All), &usage);
    row.set_traffic(links.of_names(&vm::links(vm.pid)));
    row
}

/// What the cgroups have counted that `usage --adopt` has put it into.
fn usage_of_adopted(pid: u32, hierarchies: &Hierarchies) -> Usage {
    let directory = |(point, path): (PathBuf, PathBuf)| {
        let is_ours = path.parent().is_some_and(|parent| parent == Path::new("/").join(vm::PARENT));
        let path = point.join(path.strip_prefix("/").ok().filter(|_| is_ours)?);
        let inode = std::fs::metadata(&path).ok()?.ino();
        Some(CgroupDirectory { path, inode })
    };
    let directories: Vec<_> =
        super::adopt::places(pid, hierarchies).into_iter().filter_map(directory).collect();
    Cgroup::open(&directories).map(|cgroup| cgroup.usage()).unwrap_or_default()
}

impl Row {
    /// What its cgroup has counted, and where that does not count, what its processes have.
    fn set_used(&mut self, used: Used, usage: &Usage) {
        self.source = if usage.cpu.is_some() { Source::Cgroup } else { Source::Processes };
        self.cpu_seconds = Some(usage.cpu.map_or(used.cpu_seconds, |cpu| cpu.as_secs_f64()));
        // What it had before its cgroup was told to count is missing there.
        self.memory_bytes = usage.memory_bytes.max(Some(used.memory_bytes));
        self.memory_peak_bytes = usage.memory_peak_bytes;
        let (read, written) = usage.io.as_deref().map_or((used.read_bytes, used.written_bytes), io_of_cgroup);
        (self.read_bytes, self.written_bytes) = (Some(read), Some(written));
        self.set_pressure(&usage.pressure);
    }

    fn set_traffic(&mut self, traffic: Option<Traffic>) {
        self.received_bytes = traffic.map(|it| it.received);
        self.sent_bytes = traffic.map(|it| it.sent);
    }

    fn set_pressure(&mut self, [cpu, memory, io]: &[Option<subhost_init::cgroup::Pressure>; 3]) {
        self.cpu_pressure_percent = cpu.map(|it| it.percent);
        self.cpu_pressure_seconds = cpu.map(|it| it.total.as_secs_f64());
        self.memory_pressure_percent = memory.map(|it| it.percent);
        self.memory_pressure_seconds = memory.map(|it| it.total.as_secs_f64());
        self.io_pressure_percent = io.map(|it| it.percent);
        self.io_pressure_seconds = io.map(|it| it.total.as_secs_f64());
    }
}
