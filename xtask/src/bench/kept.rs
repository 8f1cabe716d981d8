//! Many subhosts that are kept: how fast each starts, what it takes, how fast it ends.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use subhost_tests::host::Host;

use super::cells::{BRIDGE, RAW, RAW_ISOLATED};
use super::report::Table;
use super::rounds::{QUIET, Row, Way, call, interleave};
use crate::Outcome;
use crate::floor::{self, Floor, Kept, Root, TRUE};

/// Of the cable of what raw calls start.
const MAC: [u8; 6] = [0x06, 0xa7, 0xdd, 0xb4, 0xbe, 0x01];
/// How many at the beginning and at the end are compared.
const ENDS: usize = 10;

/// Subhosts that do nothing.
pub(super) struct Many<'a> {
    host: &'a Host,
    names: Vec<String>,
    /// Wall and processor time.
    starts: Vec<[Duration; 2]>,
}

/// What of one is in memory, in KiB.
#[derive(Clone, Copy, Default)]
struct Memory {
    supervisor: u64,
    init: u64,
}

impl<'a> Many<'a> {
    /// Boots them one after the other, from one image that is only read, each with a cable on the bridge.
    pub(super) fn boot(host: &'a Host, count: usize) -> Outcome<Many<'a>> {
        let image = idle_image(host)?;
        let names: Vec<String> = (0..count).map(|index| host.name(&format!("k{index}-"))).collect();
        for name in &names {
            let disk = format!("DISKS=( vda:0:{} )\nREADONLY=yes\n", image.display());
            host.config(name, &format!("{disk}BRIDGES=( {BRIDGE}: )\n"))?;
        }
        // The first of all fills the caches.
        if let Some(first) = names.first() {
            call(&mut host.command(&["boot", first, "--detach"]))?;
            call(&mut host.command(&["kill", first]))?;
        }
        let mut starts = Vec::new();
        for name in &names {
            let (cpu, started) = (floor::cpu_time()?, Instant::now());
            call(&mut host.command(&["boot", name, "--detach"]))?;
            starts.push([started.elapsed(), floor::cpu_time()?.saturating_sub(cpu)]);
        }
        Ok(Many { host, names, starts })
    }

    /// How long each took to boot, with those before it running.
    pub(super) fn starts(&self) -> Table {
        let row = |name: &str, starts: &[[Duration; 2]]| Row::of(name.to_owned(), Ok(starts.to_vec()));
        let ends = ENDS.min(self.starts.len());
        let rows = vec![
            row(&format!("boot --detach, the first {ends}"), &self.starts[..ends]),
            row(&format!("boot --detach, the last {ends}"), &self.starts[self.starts.len() - ends..]),
        ];
        let title = format!("f: start, with up to {} running", self.names.len());
        let notes =
            vec!["CPU is that of the command that waits, and not of the boot in the background".to_owned()];
        Table { title, rows, notes }
    }

    pub(super) fn memory(&self) -> Outcome<Table> {
        let list: Vec<Value> = serde_json::from_str(&self.host.done(&["list", "--json"])?)?;
        let pid =
            |row: &Value, field: &str| row[field].as_u64().ok_or_else(|| format!("no {field} in {row}"));
        let all = list.iter().map(|row| {
            let supervisor = private_kib(pid(row, "supervisor_pid")?)?;
            Ok(Memory { supervisor, init: private_kib(pid(row, "init_pid")?)? })
        });
        let all = all.collect::<Outcome<Vec<Memory>>>()?;
        if all.len() != self.names.len() {
            return Err(format!("{} of {} run", all.len(), self.names.len()).into());
        }
        let most = |of: fn(&Memory) -> u64| all.iter().map(of).max().unwrap_or_default();
        let both = most(|it| it.supervisor + it.init);
        let (supervisor, init) = (most(|it| it.supervisor), most(|it| it.init));
        let notes = vec![format!(
            "private memory of supervisor and PID 1 at most: {both} KiB; supervisor {supervisor}, PID 1 {init}"
        )];
        Ok(Table { title: format!("f: memory of {}", self.names.len()), rows: Vec::new(), notes })
    }

    /// `exec` in the first.
    pub(super) fn exec(&self, rounds: usize) -> Outcome<Table> {
        let name = self.names.first().ok_or("none is kept")?;
        let init = self.host.running(name)?.init_pid();
        let mut nsenter = Command::new("nsenter");
        nsenter.args([
            "--target",
            &init.to_string(),
            "--user",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
        ]);
        nsenter.args(["--cgroup", "--root", "--wd", "/bin/true"]);
        let exec = self.host.command(&["exec", name, "--", "/bin/true"]);
        let ways =
            vec![Way::commands("nsenter", vec![nsenter]), Way::commands("subhostctl exec", vec![exec])];
        let rows = interleave(rounds, ways, || Ok(()))?;
        Ok(Table { title: "exec: /bin/true in one that runs".to_owned(), rows, notes: Vec::new() })
    }

    pub(super) fn list(&self, rounds: usize) -> Outcome<Table> {
        let list = self.host.command(&["list"]);
        let rows = interleave(rounds, vec![Way::commands("subhostctl list", vec![list])], || Ok(()))?;
        Ok(Table { title: format!("list: of {}", self.names.len()), rows, notes: Vec::new() })
    }

    /// Ends all by `kill`, in turns with what raw calls have started: a root in `image`, only read, and a cable, too.
    pub(super) fn stop(self, rounds: usize, image: &Path) -> Outcome<Table> {
        let mut ours = Vec::new();
        let mut raw = [(RAW, false, Vec::new()), (RAW_ISOLATED, true, Vec::new())];
        for (index, name) in self.names.iter().enumerate() {
            for (_, isolated, samples) in raw.iter_mut().filter(|_| index < rounds) {
                let root = Root::ReadOnlyImage(CString::new(image.as_os_str().as_bytes())?);
                let (bridge, macs) = (floor::index_of(BRIDGE)?, vec![MAC]);
                let kept = Kept::start(Floor { root, bridge, macs, isolated: *isolated, payload: TRUE })?;
                samples.push(timed(|| kept.end())?);
            }
            let mut kill = self.host.command(&["kill", name]);
            ours.push(timed(|| call(&mut kill))?);
        }
        let mut rows: Vec<Row> =
            raw.into_iter().map(|(name, _, samples)| Row::of(name.to_owned(), Ok(samples))).collect();
        rows.push(Row::of("subhostctl kill".to_owned(), Ok(ours)));
        let notes = vec![
            "the raw calls kill PID 1, and wait until who holds its root has ended; their CPU has their start in it".to_owned(),
        ];
        Ok(Table { title: format!("f: stop of {}", self.names.len()), rows, notes })
    }
}

/// Wall and processor time, with the kernel at rest before.
fn timed(body: impl FnOnce() -> Outcome) -> Outcome<[Duration; 2]> {
    thread::sleep(QUIET);
    let (cpu, started) = (floor::cpu_time()?, Instant::now());
    body()?;
    Ok([started.elapsed(), floor::cpu_time()?.saturating_sub(cpu)])
}

/// A guest with start scripts that do nothing.
fn idle_image(host: &Host) -> Outcome<PathBuf> {
    let tree = host.directory().join("idle");
    for directory in ["bin", "dev", "etc/init.d", "proc", "root", "run", "sys", "tmp"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    let busybox = subhost_tests::fixture::Fixture::TinyTree.path()?.join("bin/busybox");
    fs::copy(busybox, tree.join("bin/busybox"))?;
    for name in ["sh", "true"] {
        std::os::unix::fs::symlink("busybox", tree.join("bin").join(name))?;
    }
    for script in ["rcS", "rc"] {
        let path = tree.join("etc/init.d").join(script);
        fs::write(&path, "#!/bin/sh\n")?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    Ok(host.ext4_of(&tree, "idle.ext4")?)
}

/// What of a process nobody shares, without what can be read from its file again.
fn private_kib(pid: u64) -> Outcome<u64> {
    let path = Path::new("/proc").join(pid.to_string()).join("smaps_rollup");
    sum_kib(&path, &["Private_Clean:", "Private_Dirty:"])
}

fn sum_kib(path: &Path, fields: &[&str]) -> Outcome<u64> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut sum = 0;
    for field in fields {
        let line = text.lines().find_map(|line| line.strip_prefix(field)).ok_or("a field is missing")?;
        sum += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(sum)
}
