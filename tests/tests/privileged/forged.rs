//! Records that are not true: of another boot, of another process, made up.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Process;
use subhost_tests::host::Host;
use subhost_tests::program::Running;

use crate::limits::hierarchies;
use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[Case {
    name: "a_record_that_is_not_true_ends_unmounts_and_removes_nothing",
    needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
    body: forged,
}];

const PATIENCE: Duration = Duration::from_secs(20);
const OTHER_BOOT: &str = "11111111-2222-3333-4444-555555555555";

/// What is nobody's business.
struct Innocent<'a> {
    host: &'a Host,
    sleepers: Vec<(Process, Value)>,
    mount: PathBuf,
    group: PathBuf,
    pin: PathBuf,
    _running: Vec<Running>,
}

const LINK: &str = "innocent0";

/// As a record has a process.
fn identity(pid: u32, boot_id: &Value) -> Result<Value, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let start: u64 =
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).ok_or("no time")?.parse()?;
    let namespace = fs::metadata(format!("/proc/{pid}/ns/pid"))?.ino();
    Ok(json!({ "pid": pid, "start_time": start, "boot_id": boot_id, "pid_namespace": namespace }))
}

impl<'a> Innocent<'a> {
    fn new(host: &'a Host, boot_id: &Value, pin: PathBuf) -> Result<Self, Box<dyn std::error::Error>> {
        let mut sleep = Command::new("sleep");
        sleep.arg("1000");
        let mut init = Command::new("unshare");
        init.args(["--pid", "--fork", "--kill-child", "sleep", "1001"]);
        let running = [sleep, init].map(Running::start).into_iter().collect::<Result<Vec<_>, _>>()?;
        // The first process of a PID namespace is a child.
        let children = format!("/proc/{0}/task/{0}/children", running[1].pid());
        let mut first = String::new();
        crate::logs::eventually("it has a child", || {
            first = fs::read_to_string(&children)?.trim().to_owned();
            Ok(!first.is_empty())
        })?;
        let pids = [running[0].pid(), first.parse()?];
        let sleepers = pids
            .map(|pid| Ok::<_, Box<dyn std::error::Error>>((Process::open(pid)?, identity(pid, boot_id)?)));
        let mount = host.directory().join("innocent");
        fs::create_dir(&mount)?;
        host.witness("mount", &["-t", "tmpfs", "innocent", &mount.to_string_lossy()])?;
        host.witness("ip", &["link", "add", LINK, "type", "veth", "peer", "name", "innocent1"])?;
        let hierarchy = hierarchies()?.into_iter().find(|place| place.join("cgroup.controllers").exists());
        let group = hierarchy.ok_or("no version 2")?.join(host.name("innocent"));
        fs::create_dir(&group)?;
        fs::write(group.join("cgroup.procs"), pids[0].to_string())?;
        host.witness("ip", &["netns", "add", &pin.file_name().unwrap_or_default().to_string_lossy()])?;
        Ok(Self {
            host,
            sleepers: sleepers.into_iter().collect::<Result<_, _>>()?,
            mount,
            group,
            pin,
            _running: running,
        })
    }

    fn unharmed(&self) -> Verdict {
        for (process, identity) in &self.sleepers {
            if process.ends(Duration::ZERO)? {
                return Err(format!("{identity} was ended").into());
            }
        }
        self.host.witness("findmnt", &[&*self.mount.to_string_lossy()])?;
        self.host.witness("ip", &["link", "show", LINK])?;
        if !self.group.exists() || fs::metadata(&self.pin)?.ino() == 0 {
            return Err("its cgroup or its pin is gone".into());
        }
        self.host.witness(
            "ip",
            &["netns", "exec", &self.pin.file_name().unwrap_or_default().to_string_lossy(), "true"],
        )?;
        Ok(())
    }

    fn away(self) -> Verdict {
        let Self { host, mount, group, pin, .. } = &self;
        host.witness("umount", &[&*mount.to_string_lossy()])?;
        host.witness("ip", &["link", "del", LINK])?;
        host.witness("ip", &["netns", "del", &pin.file_name().unwrap_or_default().to_string_lossy()])?;
        let group = group.clone();
        drop(self);
        crate::logs::eventually("its cgroup can be removed", || Ok(fs::remove_dir(&group).is_ok()))?;
        Ok(())
    }
}

/// Row S1 of docs/security.md.
fn forged(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let (true_name, name) = (host.name("true"), host.name("forged"));
    host.two_lines(&true_name, 1, &image, BRIDGE, MAC)?;
    host.config(&name, "BRIDGES=()\n")?;
    let guest = boot(host, &true_name)?;
    let directory = Path::new("/run/subhost/record");
    let real: Value = serde_json::from_slice(&fs::read(directory.join(&true_name))?)?;
    let boot_id = &real["init"]["boot_id"];
    let innocent = Innocent::new(host, boot_id, Path::new("/run/netns").join(&name))?;
    innocent.unharmed()?;

    let mut dead = Command::new("sleep").arg("1000").spawn()?;
    let gone = identity(dead.id(), boot_id)?;
    dead.kill()?;
    dead.wait()?;
    let [plain, first] = [&innocent.sleepers[0].1, &innocent.sleepers[1].1];
    let with = |value: &Value, key: &str, new: Value| {
        let mut value = value.clone();
        value[key] = new;
        value
    };
    // Dead, and not of this PID namespace, as an ended guest's.
    let ended = with(&gone, "pid_namespace", json!(4_026_000_001_u64));
    let id = |file: &str| fs::metadata(file).map(|meta| meta.ino());
    let stat = host.witness("findmnt", &["-n", "-o", "ID", &innocent.mount.to_string_lossy()])?;
    let mount = |place: &Path| {
        json!({ "user_namespace_inode": 1, "merged": false, "mounts":
            [{ "role": "root", "place": place, "id": stat.trim().parse::<u32>().unwrap_or(0), "unique_id": null }] })
    };
    let links: Value = serde_json::from_str(&host.witness("ip", &["-j", "link", "show", LINK])?)?;
    let index = &links[0]["ifindex"];
    let cable = with(&with(&real["cables"][0], "host", json!(LINK)), "host_ifindex", json!(index));
    let group = json!({ "path": innocent.group, "inode": innocent.group.metadata()?.ino() });
    let others = json!([{ "path": innocent.group, "inode": 7 }]);
    let cgroup = |directories: Value| with(&real["cgroup"], "directories", directories);
    let live = host.subhost_dir().join(&name).join("live");

    let forge = |what: &[(&str, Value)]| {
        what.iter()
            .fold(with(&real, "name", json!(name)), |record, (key, value)| with(&record, key, value.clone()))
    };
    let other_boot = |process: &Value| with(process, "boot_id", json!(OTHER_BOOT));
    let supervisor = other_boot(&real["supervisor"]);
    let records = [
        ("another start time", forge(&[("init", with(first, "start_time", json!(1)))])),
        ("another start time of a plain process", forge(&[("init", with(plain, "start_time", json!(1)))])),
        ("another PID namespace", forge(&[("init", with(first, "pid_namespace", json!(1)))])),
        ("a plain process", forge(&[("init", plain.clone())])),
        ("the record of another", real.clone()),
        ("another boot", forge(&[("init", other_boot(first)), ("supervisor", supervisor.clone())])),
        (
            "all of another boot",
            forge(&[
                ("init", other_boot(&ended)),
                ("supervisor", supervisor.clone()),
                ("cables", json!([cable.clone()])),
                ("netns_inode", json!(id(&innocent.pin.to_string_lossy())?)),
                ("lingers", mount(&live)),
            ]),
        ),
        ("a mount of others", forge(&[("init", ended.clone()), ("lingers", mount(&innocent.mount))])),
        ("a mount that is elsewhere", forge(&[("init", ended.clone()), ("lingers", mount(&live))])),
        ("a cgroup of others", forge(&[("init", ended.clone()), ("cgroup", cgroup(json!([group])))])),
        ("a cgroup of another inode", forge(&[("init", ended.clone()), ("cgroup", cgroup(others))])),
        ("a cable of others", forge(&[("init", ended.clone()), ("cables", json!([cable]))])),
        ("a supervisor that is another", forge(&[("init", ended.clone()), ("supervisor", plain.clone())])),
        ("no record", json!("nothing")),
    ];
    for (what, record) in &records {
        for words in [
            &["list"][..],
            &["status", &name],
            &["inspect", &name],
            &["exec", &name, "--", "true"],
            &["reboot", &name],
            &["pause", &name],
            &["kill", &name],
            &["kill", "--signal", "KILL", &name],
            &["stop", &name],
            &["recover"],
            &["recover", &name],
            &["boot", "--detach", &name],
            &["start", &name, "--", "true"],
            &["delete", "--yes", &name],
        ] {
            let path = directory.join(&name);
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            drop(file);
            let outcome = host.start(words)?.finish(PATIENCE)?;
            innocent.unharmed().map_err(|error| format!("{what}: {words:?}: {error}: {outcome}"))?;
            assert!(!outcome.stderr.contains("panicked"), "{what}: {words:?}: {outcome}");
            let _ = fs::remove_file(path);
        }
    }
    // The one that runs has had nothing of all that.
    assert_eq!(host.running(&true_name)?.init_pid(), guest.init_pid());
    host.done(&["enter", &true_name, "--", "true"])?;
    host.done(&["stop", &true_name])?;
    innocent.away()
}
