//! Applies a plan: everything hangs on file descriptors until the one commit, so an error or a kill before it
//! leaves nothing.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use subhost_init::launch::Prepared;
use subhost_init::userns::{IdMap, UserNamespace};
use subhost_mount::device::Device;
use subhost_mount::filesystem::Mount;
use subhost_mount::loopdev::LoopOptions;
use subhost_mount::partition::ByteRange;
use subhost_net::netns::Netns;

use self::launch::launch;
use crate::advice;
use crate::cgroup::{CgroupRecord, ensure_unified};
use crate::claim::{await_image, claim, pin, take_back};
use crate::control;
use crate::error::{Complaint, Context, Error};
use crate::handover::Policy;
use crate::idrange::{IdRange, hold, reserve};
use crate::layout::Layout;
use crate::linger::{self, Kept as Lingering, Lingers};
use crate::network::lift_limits;
use crate::observe::{Observed, Purpose};
use crate::origin::Origin;
use crate::plan::{Plan, PlannedRoot};
use crate::report;
use crate::request::{Request, Root};
use crate::stage::Staged;
use crate::state::{CableRecord, DiskRecord, Draft, Process, RECORD_VERSION, Record, remove};
use crate::tree::{Tree, View};

mod booted;
mod launch;

pub use booted::{Booted, Kept, Manner};
pub use launch::terminal_type;

/// How long a guest that reboots waits for its disks, how long any other for what a boot that was killed has left to the kernel,
/// and how often it looks.
const LET_GO: Duration = Duration::from_secs(4);
const FREED: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How a subhost is booted.
pub struct How {
    /// The command that does it.
    pub command: &'static str,
    /// How to boot it again by itself, where that is possible; it then has a supervisor that can be talked to.
    pub origin: Option<Origin>,
    /// Standard streams of PID 1.
    pub streams: Streams,
    /// Say what is about to be done.
    pub verbose: bool,
}

/// Standard streams of PID 1.
pub enum Streams {
    /// A pseudo-terminal, made for the guest.
    Terminal,
    /// These: standard input, output and error.
    Given([OwnedFd; 3]),
}

/// What is there before a boot.
#[derive(Default)]
struct Before {
    /// The network of a guest that reboots.
    rebooting: Option<Network>,
    /// What lingers of one that `start` started.
    lingering: Lingering,
}

/// Namespaces and cables.
struct Network {
    range: IdRange,
    user_namespace: UserNamespace,
    netns: Netns,
    cables: Vec<CableRecord>,
}

/// What a subhost is made of before and while it runs; dropping it gives all back.
struct Resources {
    mounts: Vec<Mount>,
    devices: Arc<Vec<Option<Device>>>,
    _observed: Observed,
    netns: Netns,
    user_namespace: UserNamespace,
    range: IdRange,
}

/// Boots a request: observes, plans and applies. A guest that reboots goes on with what was `kept` of it.
///
/// # Errors
/// All reasons not to begin, or the first step that failed; nothing is left then.
pub fn boot(request: &Request, layout: &Layout, how: How, kept: Option<Kept>) -> Result<Booted, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::refused(
            Complaint::new(format!("subhost {}: needs root", request.name)).hint("sudo subhostctl …"),
        ));
    }
    ensure_unified(layout);
    let (held, network) = kept.map(|Kept { lock, network }| (lock, network)).unzip();
    let network = network.flatten();
    let (_name_lock, lingering) = claim(request, layout, held)?;
    let mut request = request.clone();
    if lingering.has_image() {
        // It is in use, by what lingers.
        request.disks.clear();
    } else if let Root::Lingering(tree) = &request.root {
        // One that was killed leaves it to the kernel.
        tree.image.iter().for_each(|image| await_image(image));
    }
    let request = &request;
    let purpose = if request.only_reads_disks() { Purpose::Read } else { Purpose::Use };
    let begun = Instant::now();
    let (observed, plan) = loop {
        let observed = Observed::of(request, layout, purpose).step("list the host's links")?;
        let patience = match () {
            // Who has looked into the run that has ended may hold its disks for a moment longer.
            () if network.is_some() => LET_GO,
            () if observed.is_left_to_the_kernel => FREED,
            () => Duration::ZERO,
        };
        match Plan::make(request, &observed, layout) {
            Ok(plan) => break (observed, plan),
            Err(_) if begun.elapsed() < patience => std::thread::sleep(LOOK_AGAIN),
            Err(complaints) => return Err(Error::Refused(complaints)),
        }
    };
    if how.verbose {
        for line in plan.commands() {
            report::note(false, &format!("+ {line}"));
        }
    }
    let before = Before { rebooting: network, lingering };
    apply(request, plan, observed, layout, how, before)
}

fn apply(
    request: &Request,
    mut plan: Plan,
    observed: Observed,
    layout: &Layout,
    how: How,
    before: Before,
) -> Result<Booted, Error> {
    if let PlannedRoot::Lingering(tree) = &plan.root {
        plan.notes.extend(tree.prepare()?);
    }
    let mut devices = Vec::new();
    for disk in &plan.disks {
        if !disk.attached {
            devices.push(None);
            continue;
        }
        let range = ByteRange { start: disk.start_bytes, len: disk.len_bytes };
        let options = LoopOptions {
            read_only: request.only_reads_disks(),
            direct_io: disk.direct_io && !request.begins_in_cache(),
            ..LoopOptions::default()
        };
        let device = Device::attach(&observed.images[disk.image].image, range, &options);
        devices.push(Some(device.step(format!("disk {}", disk.node))?));
    }
    let cached = request.begins_in_cache();
    let cached = plan.disks.iter().map(|disk| cached && disk.direct_io).collect();
    let devices = Arc::new(devices);
    let Before { rebooting, lingering } = before;
    let Lingering { record: last, network: kept, mut parts, mounts: shown } = lingering;
    let is_kept = kept.is_some();
    let renewed = match rebooting {
        // A guest that has spoilt its network gets a new one; what is left of the old one must be gone before.
        Some(old) => plan.network.renew(&old.netns, &old.cables)?.then_some(old),
        None => None,
    };
    let Network { range, user_namespace, netns, cables } = match renewed {
        Some(network) => network,
        None => Network::enter_or_make(layout, request, &mut plan, kept, last.as_ref())?,
    };
    let has_root = parts.live.is_some();
    if matches!(plan.root, PlannedRoot::Lingering(_)) && !has_root && parts.image.is_none() {
        parts.image = Tree::mount_image(&plan, &devices)?;
    }
    let merged = if has_root { parts.merged } else { plan.merges() };
    let mut resources =
        Resources { mounts: Vec::new(), devices, _observed: observed, netns, user_namespace, range };
    let draft = Draft::new(layout, &request.name).step("prepare the record")?;
    // Dropped last of these: a cgroup with processes in it cannot be removed.
    let (mut cgroup, prepared, mut staged) =
        launch(request, &plan, layout, how.streams, &draft, &resources, parts)?;
    resources.mounts = std::mem::take(&mut staged.mounts);
    let views = linger::screened(std::mem::take(&mut staged.views), &shown)?;
    let added = linger::recorded(&views)?;

    let mut record = Record {
        cgroup: CgroupRecord::of(&cgroup, &plan.cgroup),
        command: how.command.to_owned(),
        origin: how.origin,
        ..make_record(request, &plan, &prepared, &staged, cables, &resources)?
    };
    if matches!(plan.root, PlannedRoot::Lingering(_)) {
        let user_namespace_inode = resources.user_namespace.inode().step("identify the user namespace")?;
        let mounts = [shown, added.clone()].concat();
        record.lingers = Some(Lingers { user_namespace_inode, mounts, merged });
        if let (true, Some(last)) = (record.disks.is_empty(), last) {
            record.disks = last.disks;
        }
    }
    // The commit point: from here on the subhost is found, and runs whatever becomes of us.
    draft.publish(layout, &record).step(format!("publish the record of {}", request.name))?;
    let running = match place(layout, request, &plan, &record, &resources.netns, &views) {
        Ok(()) => prepared.go().step("start PID 1"),
        Err(error) => {
            // Without its name the record is no commitment any more, and what waits for GO ends.
            remove(layout, &request.name, &record).step(format!("remove the record of {}", request.name))?;
            drop(prepared);
            Err(error)
        }
    };
    let running = match running {
        Ok(running) => running,
        Err(error) => {
            remove(layout, &request.name, &record).step(format!("remove the record of {}", request.name))?;
            // What lingered before goes on to linger.
            let mut left = linger::take_off(&added);
            if !is_kept {
                left.extend(take_back(layout, &request.name, &record));
            }
            let all = |error: Error| Error::Left([error.into_complaints(), left.clone()].concat());
            return Err(if left.is_empty() { error } else { all(error) });
        }
    };
    // From now on it goes with the record.
    cgroup.keep();
    let mut notes: Vec<String> =
        plan.notes.iter().chain(&staged.notes).chain(&record.cgroup.not_enforced).cloned().collect();
    let control = record.origin.as_ref().and_then(|_| {
        let opened = control::open(layout, &request.name);
        opened.map_err(|error| notes.push(format!("its supervisor cannot be talked to: {error}"))).ok()
    });
    Ok(Booted {
        record,
        running,
        notes,
        pty: staged.pty,
        control,
        layout: layout.clone(),
        name: request.name.clone(),
        resources,
        cached,
    })
}

impl Network {
    /// The one that lingers, or else a new one.
    fn enter_or_make(
        layout: &Layout,
        request: &Request,
        plan: &mut Plan,
        kept: Option<(UserNamespace, Netns)>,
        last: Option<&Record>,
    ) -> Result<Network, Error> {
        let Some(last) = last else { return Network::make(reserve(layout, plan.id_range)?, plan) };
        let left = match kept {
            // They are set anew, as is planned now; until then nothing runs in it.
            Some(_) => lift_limits(&last.cables),
            None => take_back(layout, &request.name, last),
        };
        if !left.is_empty() {
            return Err(Error::Left(left));
        }
        // What lingers of the root may have these ids in it.
        let range = hold(layout, last)?;
        let Some((user_namespace, netns)) = kept else { return Network::make(range, plan) };
        if !plan.network.has_cables(&last.cables) {
            plan.notes.push(format!(
                "its cables are those that linger, and not as configured now: subhostctl stop {} undoes them",
                request.name
            ));
        }
        let cables = plan.network.as_they_linger(&last.cables);
        Ok(Network { range, user_namespace, netns, cables })
    }

    fn make(range: IdRange, plan: &Plan) -> Result<Network, Error> {
        let map = IdMap { first: range.first, count: range.count };
        let user_namespace = UserNamespace::create(map).map_err(|error| {
            let hint = advice::user_namespace(&error).or_else(|| advice::advice(&error));
            Error::Step { step: "make the user namespace".to_owned(), source: error.into(), hint }
        })?;
        let netns = Netns::create(Some(user_namespace.as_fd())).step("make the network namespace")?;
        let cables = plan.network.make(&netns)?;
        Ok(Network { range, user_namespace, netns, cables })
    }
}

/// Puts the names in place, once there is a record of them.
fn place(
    layout: &Layout,
    request: &Request,
    plan: &Plan,
    record: &Record,
    netns: &Netns,
    views: &[View],
) -> Result<(), Error> {
    if plan.netns.is_some() {
        pin(layout, &request.name, netns).step("pin the network namespace")?;
    }
    linger::show(views)?;
    plan.network.limit(&record.cables)
}

fn make_record(
    request: &Request,
    plan: &Plan,
    prepared: &Prepared,
    staged: &Staged,
    cables: Vec<CableRecord>,
    resources: &Resources,
) -> Result<Record, Error> {
    let disk = |(disk, device): (&crate::plan::PlannedDisk, &Option<Device>)| {
        let image = &resources._observed.images[disk.image];
        let (image_device, image_inode) = image.image.id();
        DiskRecord {
            node: disk.node.clone(),
            image: PathBuf::from(&image.path),
            partition: disk.partition,
            image_device,
            image_inode,
            loop_number: device.as_ref().and_then(Device::loop_number),
        }
    };
    Ok(Record {
        version: RECORD_VERSION,
        name: request.name.to_string(),
        command: String::new(),
        init: Process::of(prepared.init_pid()).step("identify PID 1")?,
        init_program: staged.init.clone().unwrap_or_else(|| "subhost-init".to_owned()),
        supervisor: Process::own().step("identify the supervisor")?.clone(),
        first_id: resources.range.first,
        id_count: resources.range.count,
        netns_inode: resources.netns.inode(),
        pinned: plan.netns.is_some(),
        cgroup: CgroupRecord::default(),
        cables,
        disks: plan.disks.iter().zip(resources.devices.iter()).map(disk).collect(),
        isolation: plan.isolation.clone(),
        stop_timeout_ms: plan.stop_timeout_ms,
        after: request.after.clone(),
        origin: None,
        console: true,
        policy: Policy {
            restart: request.restart,
            log_bytes: request.log_bytes,
            stop_timeout_ms: plan.stop_timeout_ms,
            boot_timeout_ms: plan.boot_timeout_ms,
        },
        started: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        lingers: None,
    })
}
