//! The plan of a boot: plain data, made without side effects, printable as the commands one would type.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;
use subhost_config::schema::{BindSpec, EnvironmentVariable, InitChoice, UserNs};
use subhost_mount::device::Device;
use subhost_mount::fstype::{Superblock, kernel_type, safe_options};

use crate::cgroup::PlannedCgroup;
use crate::error::Complaint;
use crate::isolation::Isolation;
use crate::layout::Layout;
use crate::network::{self, PlannedNetwork};
use crate::observe::{BindSource, Observed};
use crate::request::{Changes, Request, Root};
use crate::sorted::sort_by_key;
use crate::tree::Tree;
use crate::{json, shell};

/// A disk of the guest: one range of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedDisk {
    /// Device name in the guest, such as `vda1`.
    pub node: String,
    /// Index into [`Plan::images`].
    pub image: usize,
    /// Partition index; 0 is the whole image.
    pub partition: u32,
    /// Whether a loop device shows it: not so where it is all of a block device.
    pub loop_device: bool,
    /// Whether that goes past the page cache of the image's own file system.
    pub direct_io: bool,
    /// First byte in the image.
    pub start_bytes: u64,
    /// Length in bytes.
    pub len_bytes: u64,
    /// File system found by its superblock.
    pub filesystem: Option<String>,
    /// Label of the file system.
    pub label: Option<String>,
    /// UUID of the file system.
    pub uuid: Option<String>,
    /// False if it must not be mounted: the guest does not get it then, as programs of the host look at each new device
    /// and might put a member of a volume or RAID together with what is not its own.
    pub attached: bool,
    /// All that its superblock says.
    #[serde(skip)]
    pub superblock: Option<Superblock>,
}

/// A directory or file of the host in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedBind {
    /// On the host.
    #[serde(serialize_with = "json::path")]
    pub host: PathBuf,
    /// In the guest.
    #[serde(serialize_with = "json::path")]
    pub guest: PathBuf,
    /// True if the guest may only read it.
    pub read_only: bool,
    /// What it is.
    #[serde(skip)]
    pub source: BindSource,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "path")]
pub enum PlannedRoot {
    /// Index 0 of the disks.
    Disk,
    /// Ephemeral layer over a directory.
    Overlay(#[serde(serialize_with = "json::path")] PathBuf),
    /// A directory.
    Tree(#[serde(serialize_with = "json::path")] PathBuf),
    /// Directories or an image, with mounts that linger.
    Lingering(Tree),
}

/// What runs as PID 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "path")]
pub enum PlannedInit {
    /// Our own, which runs rcS and rc.
    Subhost,
    /// Our own with a command as its child.
    Payload,
    /// A command.
    Command,
    /// The first init found in the guest.
    Auto,
    /// A program of the guest.
    Guest(String),
}

impl PlannedInit {
    /// Whether a command of the caller runs, and nothing of the guest's own.
    pub fn is_command(&self) -> bool {
        matches!(self, PlannedInit::Payload | PlannedInit::Command)
    }
}

/// Everything that a boot does, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Name of the subhost.
    pub name: String,
    /// Images, each opened and locked once.
    #[serde(serialize_with = "json::paths")]
    pub images: Vec<PathBuf>,
    /// Disks, in order.
    pub disks: Vec<PlannedDisk>,
    /// Directories and files of the host, those first that others are below.
    pub binds: Vec<PlannedBind>,
    /// What becomes of what is written to the disks.
    pub changes: Changes,
    /// The size of tmpfs mounts, in bytes.
    pub tmpfs_bytes: Option<u64>,
    /// Types of file system that may be mounted from them.
    pub filesystems: Vec<String>,
    /// True if a command reads them, and nothing of them is mounted.
    #[serde(skip)]
    pub reads_disks: bool,
    /// True if what cannot be mounted where the guest's fstab says is shown elsewhere.
    #[serde(skip)]
    pub rescues: bool,
    /// The root.
    pub root: PlannedRoot,
    /// Cables, addresses and routes.
    #[serde(flatten)]
    pub network: PlannedNetwork,
    /// How far it is kept apart.
    pub isolation: Isolation,
    /// Limits, devices of the host, and what of that is not enforced.
    pub cgroup: PlannedCgroup,
    /// First host id and number of ids, if they are fixed by the configuration.
    pub id_range: Option<(u32, u32)>,
    /// Host name inside.
    pub hostname: String,
    /// What the guest reads in `/proc/cmdline`, if not the host's.
    #[serde(serialize_with = "json::maybe_text")]
    pub cmdline: Option<OsString>,
    /// Variables for PID 1, each `NAME=value`.
    #[serde(serialize_with = "json::texts")]
    pub environment: Vec<OsString>,
    /// PID 1.
    pub init: PlannedInit,
    /// Run level after start.
    pub runlevel: char,
    /// After what time is told which start script hangs, in milliseconds; 0 for never.
    pub boot_timeout_ms: u64,
    /// Longest orderly stop, in milliseconds.
    pub stop_timeout_ms: u64,
    /// True if any byte in `/run/initctl` powers off at once.
    pub poweroff_immediate: bool,
    /// Start scripts left out.
    pub skip_scripts: Vec<String>,
    /// Where the netns is pinned.
    pub netns: Option<PathBuf>,
    /// What a reader should know, such as a backup table that was used.
    pub notes: Vec<String>,
}

impl Plan {
    /// Makes the plan of a request, given what is there.
    ///
    /// # Errors
    /// All reasons for which it cannot be done.
    pub fn make(request: &Request, observed: &Observed, layout: &Layout) -> Result<Plan, Vec<Complaint>> {
        let mut complaints = observed.complaints.clone();
        // Our PID 1 has no single-user level to come back from.
        if !matches!(request.runlevel, '1'..='5' | '7'..='9') {
            complaints
                .push(Complaint::new(format!("RUNLEVEL={}: is not 1 to 5 or 7 to 9", request.runlevel)));
        }
        let root = match &request.root {
            Root::Disk => PlannedRoot::Disk,
            Root::Overlay(path) => PlannedRoot::Overlay(path.clone()),
            Root::Tree(path) => PlannedRoot::Tree(path.clone()),
            Root::Lingering(tree) => PlannedRoot::Lingering(tree.clone()),
        };
        if root == PlannedRoot::Disk && request.disks.is_empty() {
            complaints.push(
                Complaint::new(format!(
                    "subhost {}: DISKS is empty, so there is no root file system",
                    request.name
                ))
                .hint("write DISKS=( vda:1:/path/to/disk.raw )"),
            );
        }
        let disks = plan_disks(request, observed, &mut complaints);
        let mut notes = observed.notes.clone();
        let name = request.name.as_str();
        let network =
            network::plan(name, &request.cables, &request.network, observed, &mut complaints, &mut notes);
        let netns = request.named.then(|| layout.netns_dir.join(request.name.as_str()));
        if complaints.is_empty() {
            Ok(Plan {
                name: request.name.to_string(),
                images: observed.images.iter().map(|image| image.path.clone()).collect(),
                disks,
                binds: plan_binds(request, observed),
                changes: request.changes,
                tmpfs_bytes: request.tmpfs_bytes,
                filesystems: request.allowed_types().iter().map(str::to_owned).collect(),
                reads_disks: request.reads_disks,
                rescues: request.rescues,
                root,
                network,
                isolation: request.isolation.clone(),
                cgroup: observed.cgroup.plan(&request.cgroup),
                id_range: match request.user_namespace {
                    UserNs::Range { first, count } => Some((first, count)),
                    _ => None,
                },
                hostname: request.hostname.clone().unwrap_or_else(|| request.name.to_string()),
                cmdline: request.cmdline.clone(),
                environment: request.environment.iter().map(assignment).collect(),
                init: match (&request.payload, &request.init) {
                    (Some(_), _) if request.as_init => PlannedInit::Command,
                    (Some(_), _) => PlannedInit::Payload,
                    (None, InitChoice::Path(path)) => PlannedInit::Guest(path.clone()),
                    (None, InitChoice::Auto) => PlannedInit::Auto,
                    (None, _) => PlannedInit::Subhost,
                },
                runlevel: request.runlevel,
                boot_timeout_ms: u64::try_from(request.boot_timeout.as_millis()).unwrap_or(u64::MAX),
                stop_timeout_ms: u64::try_from(request.stop_timeout.as_millis()).unwrap_or(u64::MAX),
                poweroff_immediate: request.immediate,
                skip_scripts: request.skip_scripts.clone(),
                netns,
                notes,
            })
        } else {
            Err(complaints)
        }
    }

    /// True if the root is an overlay that lingers.
    pub fn merges(&self) -> bool {
        matches!(&self.root, PlannedRoot::Lingering(tree) if !tree.base.is_empty())
    }

    /// The plan as the commands that do the same by hand, a line each.
    pub fn commands(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let is_lingering = matches!(self.root, PlannedRoot::Lingering(_));
        for disk in self.disks.iter().filter(|_| !is_lingering) {
            let image = shell::quote(&self.images[disk.image]);
            if !disk.attached {
                lines
                    .push(format!("# {image} is no /dev/{} inside: what it holds is not mounted", disk.node));
                continue;
            }
            if !disk.loop_device {
                lines.push(format!(
                    "cp -aL {image} /dev/{}  # the block device itself, claimed; inside",
                    disk.node
                ));
                continue;
            }
            let read_only = if self.changes == Changes::Kept { "" } else { " --read-only" };
            let direct = if disk.direct_io { " --direct-io=on" } else { "" };
            lines.push(format!(
                "losetup --find --show{read_only}{direct} --offset {} --sizelimit {} {image}  # locked; /dev/{} inside",
                disk.start_bytes, disk.len_bytes, disk.node
            ));
        }
        let (map, note) = match self.id_range {
            Some((first, count)) => (format!("0:{first}:{count}"), ""),
            None => ("0:FIRST:65536".to_owned(), "  # FIRST: a free range of the pool"),
        };
        lines.push(format!("unshare --user --map-users {map} --map-groups {map}{note}"));
        lines.push(format!("ip netns add {}  # owned by that user namespace", self.name));
        lines.extend(self.network.commands(&self.name));
        lines.push("unshare --mount  # staging: all that follows ends with it".to_owned());
        let live = "/run/subhost/record/live";
        let ro = if self.changes == Changes::Kept { "" } else { "ro," };
        match &self.root {
            PlannedRoot::Disk => {
                if let Some(disk) = self.disks.first() {
                    lines.push(format!(
                        "mount -t {} -o nodev,{ro}{}X-mount.idmap={map} /dev/{} {live}",
                        disk.filesystem.as_deref().map_or("auto", kernel_type),
                        options(disk),
                        disk.node
                    ));
                }
            }
            PlannedRoot::Overlay(lower) => lines.push(format!(
                "mount -t overlay -o nodev,lowerdir={},upperdir=TMPFS/upper,workdir=TMPFS/work overlay {live}  # lower idmapped {map}",
                shell::quote(lower)
            )),
            PlannedRoot::Tree(tree) => lines.push(format!(
                "mount --bind -o nodev,X-mount.idmap={map} {} {live}",
                shell::quote(tree)
            )),
            PlannedRoot::Lingering(tree) => lines.extend(tree.commands(&map)),
        }
        for disk in self.disks.iter().skip(1).filter(|disk| disk.attached) {
            lines.push(format!(
                "mount -o nodev,{ro}{}X-mount.idmap={map} /dev/{} {live}/…  # where the guest's fstab says",
                options(disk),
                disk.node
            ));
        }
        if self.changes == Changes::Ephemeral {
            lines.push(format!(
                "mount -t overlay -o lowerdir={live},upperdir=TMPFS/upper,workdir=TMPFS/work /dev/… {live}  # each disk, in memory"
            ));
        }
        for (kind, at) in [("tmpfs", "dev"), ("devpts", "dev/pts"), ("tmpfs", "dev/shm"), ("tmpfs", "run")] {
            lines.push(format!("mount -t {kind} {kind} {live}/{at}"));
        }
        for bind in &self.binds {
            let ro = if bind.read_only { "ro," } else { "" };
            lines.push(format!(
                "mount --bind -o {ro}nodev,nosuid,X-mount.idmap={map} {} {live}{}",
                shell::quote(&bind.host),
                shell::quote(&bind.guest)
            ));
        }
        for device in &self.cgroup.devices {
            let name = shell::quote(&device.name);
            let mode = if device.read_only { "  # to be read alone" } else { "" };
            lines.push(format!("cp -aL /dev/{name} {live}/dev/{name}{mode}"));
        }
        if !self.init.is_command() {
            lines.push(format!("mkfifo -m 600 {live}/run/initctl"));
            for script in &self.skip_scripts {
                lines.push(format!("mount --bind NO-OP {live}/etc/init.d/{script}  # if it is there"));
            }
        }
        if let Some(cmdline) = &self.cmdline {
            let text = shell::quote(cmdline);
            lines.push(format!(
                "printf '%s\\n' {text} >CMDLINE; mount --bind -o ro CMDLINE /proc/cmdline  # inside"
            ));
        }
        if !self.environment.is_empty() {
            let words: Vec<_> = self.environment.iter().map(shell::quote).collect();
            lines.push(format!("export {}  # for PID 1", words.join(" ")));
        }
        lines.extend(self.isolation.open().iter().map(|open| format!("# open to the guest: {open}")));
        lines.extend(self.cgroup.commands());
        let program = match &self.init {
            PlannedInit::Subhost => format!("subhost-init runlevel={}", self.runlevel),
            PlannedInit::Payload => "subhost-init -- CMD".to_owned(),
            PlannedInit::Command => "CMD".to_owned(),
            PlannedInit::Auto => "the init found in the guest".to_owned(),
            PlannedInit::Guest(path) => path.clone(),
        };
        lines.push(format!(
            "nsenter --user --net unshare --fork --pid --mount --uts --ipc --cgroup  # pivot_root {live}, hostname {}, fewer capabilities{}, then PID 1: {program}",
            self.hostname,
            if self.isolation.seccomp { ", system call filter" } else { "" },
        ));
        lines
    }
}

/// A variable as `environ(7)` has it.
fn assignment(variable: &EnvironmentVariable) -> OsString {
    let mut word = OsString::from(&variable.name);
    word.push("=");
    word.push(&variable.value);
    word
}

/// The mount options that the disk's file system always gets, each with a comma behind it.
fn options(disk: &PlannedDisk) -> String {
    let options = safe_options(disk.filesystem.as_deref().unwrap_or_default()).iter();
    options.map(|(key, value)| value.map_or(format!("{key},"), |value| format!("{key}={value},"))).collect()
}

fn plan_binds(request: &Request, observed: &Observed) -> Vec<PlannedBind> {
    let planned = |(spec, source): (&BindSpec, &Option<BindSource>)| {
        let BindSpec { host, guest, read_only } = spec.clone();
        Some(PlannedBind { host, guest, read_only, source: (*source)? })
    };
    let mut binds: Vec<_> = request.binds.iter().zip(&observed.binds).filter_map(planned).collect();
    sort_by_key(&mut binds, |bind| bind.guest.components().count());
    binds
}

fn plan_disks(request: &Request, observed: &Observed, complaints: &mut Vec<Complaint>) -> Vec<PlannedDisk> {
    let mut disks: Vec<PlannedDisk> = Vec::new();
    let allowed = request.allowed_types();
    let is_allowed = |found: Option<&Superblock>| found.is_none_or(|found| allowed.check(found).is_ok());
    for (spec, found) in request.disks.iter().zip(&observed.disks) {
        let Some(found) = found else { continue };
        let node = spec.node_name_of(found.partition);
        let end = found.range.start.saturating_add(found.range.len);
        for other in &disks {
            if other.node == node {
                complaints.push(Complaint::new(format!("disk {}: is there twice", other.node)));
            }
            let apart = other.start_bytes >= end || found.range.start >= other.start_bytes + other.len_bytes;
            if other.image == found.image && !apart {
                complaints.push(Complaint::new(format!(
                    "disk {node}: overlaps {} in {}: two mounts of one file system destroy it",
                    other.node,
                    spec.image.display()
                )));
            }
        }
        let image = &observed.images[found.image].image;
        disks.push(PlannedDisk {
            node,
            image: found.image,
            partition: found.partition,
            loop_device: !Device::is_whole(image, found.range),
            direct_io: image.prefers_direct_io(),
            start_bytes: found.range.start,
            len_bytes: found.range.len,
            filesystem: found.superblock.as_ref().map(|superblock| superblock.kind.clone()),
            label: found.superblock.as_ref().and_then(|superblock| superblock.label.clone()),
            uuid: found.superblock.as_ref().and_then(|superblock| superblock.uuid.clone()),
            attached: request.reads_disks || is_allowed(found.superblock.as_ref()),
            superblock: found.superblock.clone(),
        });
    }
    disks
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use subhost_config::schema::CableSpec;
    use subhost_net::observe::Link;

    use crate::network::Wanted;

    use super::*;

    const MAC: [u8; 6] = [0x06, 0xa7, 0xdd, 0xb4, 0x02, 0xf2];

    fn link(index: u32, name: &str, kind: &str) -> Link {
        let mut link = Link::default();
        (link.index, link.name, link.kind) = (index, name.to_owned(), Some(kind.to_owned()));
        link
    }

    fn request(name: &str, cables: &[(Option<&str>, Option<[u8; 6]>)]) -> Request {
        Request {
            name: name.parse().unwrap(),
            named: true,
            root: Root::Tree("/srv/tree".into()),
            disks: Vec::new(),
            binds: Vec::new(),
            changes: Changes::Kept,
            tmpfs_bytes: None,
            filesystems: Vec::new(),
            network: Wanted::default(),
            cgroup: crate::cgroup::Wanted::default(),
            cables: cables
                .iter()
                .map(|(bridge, mac)| CableSpec { bridge: bridge.map(str::to_owned), mac: *mac })
                .collect(),
            hostname: None,
            cmdline: None,
            environment: Vec::new(),
            init: InitChoice::Subhost,
            runlevel: '2',
            boot_timeout: Duration::from_secs(300),
            stop_timeout: Duration::from_secs(30),
            immediate: false,
            skip_scripts: Vec::new(),
            isolation: Isolation::default(),
            user_namespace: UserNs::Range { first: 600_000, count: 65_536 },
            payload: None,
            as_init: false,
            hidden: Vec::new(),
            after: Vec::new(),
            restart: crate::handover::Restart::No,
            log_bytes: 0,
            reads_disks: false,
            rescues: false,
        }
    }

    fn plan(request: &Request, links: Vec<Link>) -> Result<Plan, Vec<String>> {
        Plan::make(request, &Observed::of_host(links, Some(Vec::new())), &Layout::new("/opt/sub"))
            .map_err(|complaints| complaints.into_iter().map(|complaint| complaint.message).collect())
    }

    #[test]
    fn the_commands_are_those_that_one_would_type() {
        let plan =
            plan(&request("web", &[(Some("br0"), Some(MAC))]), vec![link(2, "br0", "bridge")]).unwrap();
        let commands = plan.commands();
        assert_eq!(
            commands[..7],
            [
                "unshare --user --map-users 0:600000:65536 --map-groups 0:600000:65536",
                "ip netns add web  # owned by that user namespace",
                "ip link add web0 address fe:a7:dd:b4:02:f2 master br0 type veth peer name eth0 address 06:a7:dd:b4:02:f2 netns web",
                "sysctl -w net.ipv6.conf.web0.accept_ra=0",
                "ip link set web0 up addrgenmode none",
                "unshare --mount  # staging: all that follows ends with it",
                "mount --bind -o nodev,X-mount.idmap=0:600000:65536 /srv/tree /run/subhost/record/live",
            ]
        );
        assert!(commands.last().unwrap().ends_with("then PID 1: subhost-init runlevel=2"));
    }

    #[test]
    fn a_missing_bridge_is_refused_with_those_there() {
        let links = vec![link(1, "lo", "loopback"), link(2, "br0", "bridge"), link(3, "homenet", "bridge")];
        let refused = plan(&request("web", &[(Some("br9"), Some(MAC))]), links).unwrap_err();
        assert_eq!(refused, ["bridge br9: no such bridge; there are: br0 homenet"]);
    }

    #[test]
    fn all_complaints_come_at_once() {
        let mut request = request("web", &[(Some("veth1"), Some(MAC)), (None, Some(MAC))]);
        request.runlevel = 'S';
        let refused = plan(&request, vec![link(2, "veth1", "veth"), link(3, "web0", "dummy")]).unwrap_err();
        assert_eq!(
            refused,
            [
                "RUNLEVEL=S: is not 1 to 5 or 7 to 9",
                "cable 0: an interface web0 exists already: it is dummy, index 3, and not ours",
                "bridge veth1: is not a bridge but veth",
                "cable 1: 06:a7:dd:b4:02:f2 is the MAC address of eth0 as well",
            ]
        );
    }

    #[test]
    fn a_host_end_that_nobody_claims_is_noted_and_another_veth_refused() {
        let veth = |mac: &str| {
            let mut link = link(3, "web0", "veth");
            link.mac = Some(mac.parse().unwrap());
            link
        };
        let request = request("web", &[(None, Some(MAC))]);
        let layout = Layout::new("/opt/sub");
        for (running, word) in [(Some(Vec::new()), "just ended"), (None, "only root")] {
            let observed = Observed::of_host(vec![veth("fe:a7:dd:b4:02:f2")], running.clone());
            let plan = Plan::make(&request, &observed, &layout).unwrap();
            assert!(plan.notes[0].contains("interface web0 exists") && plan.notes[0].contains(word));
            let observed = Observed::of_host(vec![veth("02:a7:dd:b4:02:f2")], running);
            assert!(Plan::make(&request, &observed, &layout).is_err());
        }
    }

    #[test]
    fn a_cable_without_a_mac_has_the_same_one_each_time() {
        let one = plan(&request("web", &[(None, None)]), Vec::new()).unwrap();
        let again = plan(&request("web", &[(None, None)]), Vec::new()).unwrap();
        let other = plan(&request("web2", &[(None, None)]), Vec::new()).unwrap();
        assert_eq!(one.network, again.network);
        assert_ne!(one.network.cables[0].guest_mac, other.network.cables[0].guest_mac);
    }

    #[test]
    fn a_long_name_is_shortened_and_kept_as_altname() {
        let plan = plan(&request("a-very-long-name-of-a-subhost", &[(None, Some(MAC))]), Vec::new()).unwrap();
        assert!(plan.network.cables[0].host.len() <= 15, "{}", plan.network.cables[0].host);
        assert_eq!(plan.network.cables[0].altname.as_deref(), Some("a-very-long-name-of-a-subhost0"));
    }

    #[test]
    fn a_disk_root_without_disks_is_refused() {
        let mut request = request("web", &[]);
        request.root = Root::Disk;
        assert_eq!(
            plan(&request, Vec::new()).unwrap_err(),
            ["subhost web: DISKS is empty, so there is no root file system"]
        );
    }
}
