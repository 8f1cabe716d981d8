//! `doctor`: can this host run subhosts, and is anything left that nobody needs?

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;
use subhost_init::kernel::missing_system_calls;
use subhost_init::userns::{IdMap, UserNamespace};
use subhost_mount::bind::bind;
use subhost_mount::fstype::{AllowedTypes, kernel_knows, kernel_type};
use subhost_mount::mountinfo::MountTable;
use subhost_net::name::host_end;
use subhost_net::netns::{self, Netns};
use subhost_net::observe::Observed;

use super::shown::{self, ShownCable};
use super::{Context, need_root};
use crate::adopt;
use crate::args::Devices;
use crate::config::Loaded;
use crate::error::{Context as _, Error};
use crate::layout::{Layout, Name};
use crate::observe::{State, state_of};
use crate::report;
use crate::state::recorded;

/// The oldest kernel: Debian 12.
const OLDEST: [u32; 2] = [6, 1];

/// Ids that are tried, those that the pool begins with.
const TRIED: IdMap = IdMap { first: 524_288, count: 65_536 };

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Good,
    /// It works, and somebody should know.
    Note,
    Bad,
}

/// What was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    health: Health,
    found: String,
    advice: Option<String>,
}

impl Finding {
    fn new(what: &str, health: Health, found: impl Into<String>) -> Finding {
        Finding { what: what.to_owned(), health, found: found.into(), advice: None }
    }

    fn advice(mut self, advice: impl Into<String>) -> Finding {
        self.advice = Some(advice.into());
        self
    }

    /// Good if it can be done, else bad, with what to do about it.
    fn tried<T, E: ToString>(what: &str, tried: Result<T, E>, advice: &str) -> Finding {
        match tried {
            Ok(_) => Finding::new(what, Health::Good, "yes"),
            Err(error) => Finding::new(what, Health::Bad, error.to_string()).advice(advice),
        }
    }
}

/// Looks at the host. Changes nothing.
pub(super) fn doctor(context: &Context) -> Result<u8, Error> {
    need_root("doctor")?;
    let layout = &context.layout;
    let links = Observed::read().step("list the links")?;
    let mut findings = kernel();
    findings.extend(namespaces(layout));
    findings.push(cgroups(&MountTable::read(None).step("list the mounts")?));
    findings.extend(network(&links));
    findings.extend(directory(layout));
    findings.extend(configurations(context)?);
    findings.extend(cables(layout, &links)?);
    findings.extend(leftovers(context, &links)?);
    let bad = findings.iter().any(|finding| finding.health == Health::Bad);
    if context.json {
        report::print_json_array(&findings)?;
        return Ok(u8::from(bad));
    }
    let word = |health| match health {
        Health::Good => "ok",
        Health::Note => "note",
        Health::Bad => "BAD",
    };
    let shown = |finding: &&Finding| !context.quiet || finding.health != Health::Good;
    let row = |finding: &Finding| {
        let advice = finding.advice.as_ref().map_or(String::new(), |advice| format!(": {advice}"));
        vec![word(finding.health).to_owned(), finding.what.clone(), format!("{}{advice}", finding.found)]
    };
    let rows: Vec<Vec<String>> = findings.iter().filter(shown).map(row).collect();
    report::print(&report::table(context.colour, &["", "WHAT", "FOUND"], &rows))?;
    Ok(u8::from(bad))
}

fn kernel() -> Vec<Finding> {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let numbers: Vec<u32> = release.split(['.', '-']).take(2).filter_map(|part| part.parse().ok()).collect();
    let what = "kernel";
    let mut findings = vec![if numbers.as_slice() >= OLDEST.as_slice() {
        Finding::new(what, Health::Good, release)
    } else {
        Finding::new(what, Health::Bad, release).advice("subhost needs Linux 6.1 or newer")
    }];
    let missing = missing_system_calls();
    if !missing.is_empty() {
        let advice = "needs Linux 6.1, and a seccomp filter around this program has to let it pass";
        findings.push(Finding::new("system calls", Health::Bad, missing.join(", ")).advice(advice));
    }
    let unknown: Vec<String> = AllowedTypes::default()
        .iter()
        .chain(["overlay"])
        .filter(|kind| !kernel_knows(kernel_type(kind)).unwrap_or(false))
        .map(str::to_owned)
        .collect();
    findings.push(if unknown.is_empty() {
        Finding::new("file systems", Health::Good, "all that are allowed are known")
    } else {
        let names = unknown.join(" ");
        Finding::new("file systems", Health::Note, format!("not loaded: {names}"))
            .advice("a mount loads its module, where there is one")
    });
    findings.push(match fs::metadata("/dev/loop-control") {
        Ok(_) => Finding::new("loop devices", Health::Good, format!("yes; {} in use", loops_in_use())),
        Err(error) => Finding::new("loop devices", Health::Bad, format!("/dev/loop-control: {error}"))
            .advice("modprobe loop"),
    });
    findings
}

/// What a boot makes first, tried for real: all of it is gone at once.
fn namespaces(layout: &Layout) -> Vec<Finding> {
    let users = UserNamespace::create(TRIED);
    let mut findings = Vec::new();
    if let Ok(users) = &users {
        let netns = Netns::create(Some(users.as_fd()));
        findings.push(Finding::tried("network namespaces", netns, "see user.max_net_namespaces"));
        // Trees are used where they are; images bring their own file system.
        if let Ok(mount) = bind(&layout.root_dir, false) {
            let what = format!("trees in {}", layout.root_dir.display());
            let advice = "keep trees on ext4, xfs or btrfs; images are not affected";
            findings.push(match mount.idmap(users.as_fd()) {
                Ok(()) => Finding::new(&what, Health::Good, "can be mapped"),
                Err(error) => Finding::new(&what, Health::Note, error.to_string()).advice(advice),
            });
        }
    }
    findings.insert(0, Finding::tried("user namespaces", users, "see user.max_user_namespaces (sysctl)"));
    findings
}

fn cgroups(mounts: &MountTable) -> Finding {
    let has = |kind: &str| mounts.entries.iter().any(|entry| entry.kind == kind);
    let what = "control groups";
    match (has("cgroup2"), has("cgroup")) {
        (true, false) => Finding::new(what, Health::Good, "version 2"),
        (true, true) => Finding::new(what, Health::Good, "hybrid: version 2 beside version 1"),
        (false, true) => {
            Finding::new(what, Health::Good, "version 1; the first boot mounts version 2 beside it")
        }
        (false, false) => Finding::new(what, Health::Note, "not mounted; the first boot mounts version 2")
            .advice(
                "mount -t cgroup2 none /sys/fs/cgroup in the host's init, to have them where others look",
            ),
    }
}

fn network(links: &Observed) -> Vec<Finding> {
    let bridges = links.links.iter().filter(|link| link.bridge.is_some());
    let names: Vec<&str> = bridges.map(|link| link.name.as_str()).collect();
    let mut findings = vec![if names.is_empty() {
        Finding::new("bridges", Health::Note, "none").advice("ip link add br0 up type bridge makes one")
    } else {
        Finding::new("bridges", Health::Good, names.join(" "))
    }];
    let is_on = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
    for family in ["ip", "ip6", "arp"] {
        let name = format!("bridge-nf-call-{family}tables");
        if is_on(&format!("/proc/sys/net/bridge/{name}")) {
            findings
                .push(Finding::new("firewall", Health::Note, format!("net.bridge.{name} is 1")).advice(
                    format!("{family}tables rules of the host also drop what passes between guests"),
                ));
        }
    }
    let forwards = is_on("/proc/sys/net/ipv4/ip_forward");
    let found =
        if forwards { "on" } else { "off: guests reach what is on their bridge, not beyond this host" };
    findings.push(Finding::new("IPv4 forwarding", Health::Good, found));
    findings
}

/// Who may look into, and change, what is below the directory of subhosts.
fn directory(layout: &Layout) -> Option<Finding> {
    let what = layout.root_dir.display().to_string();
    match fs::metadata(&layout.root_dir) {
        Ok(meta) if meta.permissions().mode() & 0o022 != 0 => Some(
            Finding::new(&what, Health::Bad, "others may write to it").advice(format!("chmod go-w {what}")),
        ),
        Ok(meta) if meta.permissions().mode() & 0o005 != 0 => Some(
            Finding::new(&what, Health::Note, "users of the host may look into it")
                .advice("mode 700 keeps images and set-user-id files of trees from them"),
        ),
        Ok(_) => Some(Finding::new(&what, Health::Good, "root's alone")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(Finding::new(&what, Health::Note, "is not there yet").advice(format!("mkdir -m 700 {what}")))
        }
        Err(error) => Some(Finding::new(&what, Health::Bad, error.to_string())),
    }
}

/// How many loop devices have a file. The kernel makes more when they are needed, up to a million.
fn loops_in_use() -> usize {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices.filter(|device| device.path().join("loop/backing_file").exists()).count()
}

/// Whether each can be read and is trusted, and whether two would have the same name on the host.
fn configurations(context: &Context) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut ends: BTreeMap<String, Name> = BTreeMap::new();
    let mut shortened = Vec::new();
    let none = Devices::default();
    for name in context.layout.configured().step("list the configurations")? {
        let what = format!("subhost {name}");
        let loaded = match Loaded::of(&context.layout, None, &name, &none, context.how) {
            Ok(loaded) => loaded,
            Err(error) => {
                findings.push(Finding::new(&what, Health::Bad, error.to_string()));
                continue;
            }
        };
        if let Some(reason) = loaded.distrust() {
            findings.push(Finding::new(
                &what,
                Health::Bad,
                format!("its configuration is not trusted: {reason}"),
            ));
        }
        let Some(config) = loaded.config else {
            let advice = format!("subhostctl check {name} tells it");
            findings.push(Finding::new(&what, Health::Bad, "its configuration is wrong").advice(advice));
            continue;
        };
        for index in 0..u32::try_from(config.cables.value.len()).unwrap_or(u32::MAX) {
            let Ok(end) = host_end(name.as_str(), index) else { continue };
            if let Some(full) = &end.altname {
                let found =
                    format!("cable {index} is called {} on the host, as {full} is too long", end.name);
                let advice = "ip link and subhostctl take the full name, too; other programs may not";
                shortened.push(Finding::new(&what, Health::Note, found).advice(advice));
            }
            if let Some(other) = ends.insert(end.name.to_string(), name.clone()) {
                let found = format!("cable {index} would be called {} as one of {other} is", end.name);
                findings
                    .push(Finding::new(&what, Health::Bad, found).advice("give one of them another name"));
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::new("configurations", Health::Good, "all can be read, and are trusted"));
    }
    findings.extend(shortened);
    Ok(findings)
}

/// Whether those that run or linger are plugged in as they were made, and as isolated.
fn cables(layout: &Layout, links: &Observed) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut right = 0;
    for name in recorded(layout).step("list the records")? {
        let Ok(State::Running(record) | State::Lingering(record)) = state_of(layout, &name) else { continue };
        for cable in shown::cables(&name, record.cables, links) {
            let Some(difference) = cable.difference() else {
                right += 1;
                continue;
            };
            let end = &cable.made.host;
            let what = format!("cable {end} of {name}");
            // On no bridge nothing passes.
            let health =
                if cable.is_open() && cable.bridge_now.is_some() { Health::Bad } else { Health::Note };
            let advice = again(&cable).unwrap_or_else(|| "the next boot makes it again".to_owned());
            findings.push(Finding::new(&what, health, difference).advice(advice));
        }
    }
    if findings.is_empty() {
        let found = format!("{right} of subhosts that run, all as they were made");
        findings.push(Finding::new("cables", Health::Good, found));
    }
    Ok(findings)
}

/// How a cable that is there is made as it was.
fn again(cable: &ShownCable) -> Option<String> {
    let (end, made) = (&cable.made.host, &cable.made);
    let plug = match &made.bridge {
        Some(bridge) => format!("ip link set {end} up master {bridge}"),
        None => format!("ip link set {end} up nomaster"),
    };
    let isolate = format!("bridge link set dev {end} isolated on locked on learning off");
    let steps = [made.bridge != cable.bridge_now || !cable.up, cable.is_open()];
    let steps = steps.into_iter().zip([plug, isolate]).filter_map(|(needed, step)| needed.then_some(step));
    cable.present.then(|| steps.collect::<Vec<_>>().join(" && "))
}

/// What outlived its subhost.
fn leftovers(context: &Context, links: &Observed) -> Result<Vec<Finding>, Error> {
    let layout = &context.layout;
    let mut findings = Vec::new();
    let mut known = Vec::new();
    for name in recorded(layout).step("list the records")? {
        match state_of(layout, &name) {
            Ok(State::Running(record)) => {
                known.push(record.netns_inode);
                if adopt::is_wanted(&record) {
                    let advice = format!("subhostctl recover {name} gives it one");
                    let found = "runs without a supervisor";
                    findings
                        .push(Finding::new(&format!("subhost {name}"), Health::Note, found).advice(advice));
                }
            }
            Ok(State::Lingering(record)) => known.push(record.netns_inode),
            Ok(State::Stale(record)) => {
                known.push(record.netns_inode);
                let advice = format!("subhostctl stop {name} removes what is left of it");
                findings
                    .push(Finding::new(&format!("subhost {name}"), Health::Note, "has ended").advice(advice));
            }
            Ok(State::Stopped) => {}
            Err(error) => {
                findings.push(Finding::new(&format!("subhost {name}"), Health::Bad, error.to_string()))
            }
        }
    }
    let pins = netns::list(&layout.netns_dir).step("list the network namespaces")?;
    for netns in pins.iter().filter(|netns| netns.processes.is_empty() && !known.contains(&netns.inode)) {
        for pin in &netns.pins {
            let found = "a network namespace with no process, and of no subhost";
            findings.push(
                Finding::new(&pin.display().to_string(), Health::Note, found)
                    .advice("ip netns delete removes it, if nobody else wants it"),
            );
        }
    }
    for link in links.links.iter().filter(|link| link.kind.as_deref() == Some("ifb")) {
        let of = link.altnames.iter().find_map(|name| name.strip_suffix("-from-guest"));
        if let Some(host_end) = of.filter(|name| links.by_name(name).is_none()) {
            let found = format!("limited cable {host_end}, which is gone");
            let advice = format!("ip link delete {}", link.name);
            findings.push(Finding::new(&link.name, Health::Note, found).advice(advice));
        }
    }
    #[cfg(feature = "images")]
    for left in crate::images::leftover::find(layout, context.how)? {
        let found = format!("left by a {} that was killed", left.command());
        let advice = format!("subhostctl recover {} removes it", left.name);
        findings.push(Finding::new(&left.path.display().to_string(), Health::Note, found).advice(advice));
    }
    findings.extend(deleted_images(Path::new("/sys/devices/virtual/block")));
    if findings.is_empty() {
        findings.push(Finding::new("leftovers", Health::Good, "none"));
    }
    Ok(findings)
}

/// Loop devices over files that have no name any more: their bytes are lost with the last user.
fn deleted_images(devices: &Path) -> Vec<Finding> {
    let Ok(entries) = fs::read_dir(devices) else { return Vec::new() };
    let look = |entry: fs::DirEntry| {
        let backing = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        let image = backing.trim_end().strip_suffix(" (deleted)")?;
        let device = format!("/dev/{}", entry.file_name().to_string_lossy());
        let found = format!("shows {image}, which has been deleted");
        Some(
            Finding::new(&device, Health::Note, found)
                .advice(format!("subhostctl mounts {device} tells who holds it")),
        )
    };
    entries.flatten().filter_map(look).collect()
}
