//! Applies a plan: everything hangs on file descriptors until the one commit, so an error or a kill before it
//! leaves nothing.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use subhost_init::cgroup::{Cgroup, DeviceKind, DeviceRule};
use subhost_init::console::Pty;
use subhost_init::handoff::Pid1Args;
use subhost_init::launch::{Launch, Pid1Program, Prepared, Program, Running};
use subhost_init::process::keep_all_on_exec;
use subhost_init::userns::{IdMap, UserNamespace};
use subhost_mount::attached::unmount;
use subhost_mount::device::Device;
use subhost_mount::filesystem::Mount;
use subhost_mount::loopdev::LoopOptions;
use subhost_mount::partition::ByteRange;
use subhost_mount::staging::Staging;
use subhost_net::netns::Netns;

use crate::advice;
use crate::cgroup::{CgroupRecord, ensure_unified};
use crate::claim::{await_image, claim, hibernate, pin, sweep, take_back};
use crate::control;
use crate::error::{Complaint, Context, Error};
use crate::events::Event;
use crate::guest;
use crate::handover::{self, Again, Charge, Place, Policy, Task, Watched};
use crate::idrange::{IdRange, hold, reserve};
use crate::layout::{Layout, Name};
use crate::linger::{self, Kept as Lingering, Lingers};
use crate::lock::{Lock, await_name};
use crate::network::lift_limits;
use crate::observe::{Observed, Purpose};
use crate::origin::Origin;
use crate::plan::{Plan, PlannedRoot};
use crate::report;
use crate::request::{Request, Root};
use crate::shell;
use crate::stage::{Stage, Staged};
use crate::state::{CableRecord, DiskRecord, Draft, Process, RECORD_VERSION, Record, remove};
use crate::tree::{Parts, Tree, View};

/// Time between SIGTERM and SIGKILL at the end of a stop.
const GRACE: Duration = Duration::from_secs(5);

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

/// A subhost that runs, and all that lives as long as its supervisor.
pub struct Booted {
    /// Its record, as published.
    pub record: Record,
    /// Its PID 1.
    pub running: Running,
    /// Its terminal. Holding the slave keeps the master from reporting an end between two programs.
    pub pty: Option<Pty>,
    /// What a reader should know.
    pub notes: Vec<String>,
    control: Option<OwnedFd>,
    layout: Layout,
    name: Name,
    resources: Resources,
    /// Which of its disks are to go past the page cache later.
    cached: Vec<bool>,
}

/// What the next run of a guest has from the one that has ended.
pub struct Kept {
    lock: Lock,
    network: Option<Network>,
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

/// Builds the tree and launches PID 1 up to the point where it waits for GO.
fn launch(
    request: &Request,
    plan: &Plan,
    layout: &Layout,
    streams: Streams,
    draft: &Draft,
    resources: &Resources,
    parts: Parts,
) -> Result<(Cgroup, Prepared, Staged), Error> {
    let pid1 = Pid1Program::ensure(&layout.run_dir).step("write PID 1")?;
    let terminal = matches!(streams, Streams::Terminal);
    let namespace = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().step("duplicate a namespace's fd");
    let mut staged_plan = plan.clone();
    if matches!(plan.root, PlannedRoot::Lingering(_)) {
        // The guest gets its root from the image, and not the image.
        staged_plan.disks.clear();
    }
    let first_id = resources.range.first;
    let stage = Stage {
        plan: staged_plan,
        parts,
        hidden: request.hidden.clone(),
        first_id,
        user_namespace: namespace(resources.user_namespace.as_fd())?,
        devices: Arc::clone(&resources.devices),
        // Nobody needs the records there, and the file of PID 1 beside them stays in view.
        work_dir: layout.records(),
        terminal,
    };
    let user_namespace = namespace(resources.user_namespace.as_fd())?;
    let netns = namespace(resources.netns.as_fd())?;
    let record = draft.commit_fd().step("duplicate the record's fd")?;
    let hostname = plan.hostname.clone();
    let isolation = plan.isolation.clone();
    let args = Pid1Args {
        runlevel: u8::try_from(plan.runlevel).unwrap_or(b'2'),
        boot: Duration::from_millis(plan.boot_timeout_ms),
        stop: Duration::from_millis(plan.stop_timeout_ms),
        grace: GRACE,
        immediate: plan.poweroff_immediate,
        tty: terminal && request.payload.is_some(),
        payload: request.payload.clone(),
        ..Pid1Args::default()
    };
    let variables = plan.environment.clone();
    let payload = request.payload.is_some();
    let as_init = request.as_init;
    let staging = Staging::new().step("make the staging namespace")?;
    let planned = plan.cgroup.clone();
    let read = if plan.reads_disks { Some(Arc::clone(&resources.devices)) } else { None };
    let pins = layout.netns_dir.clone();
    let launched = staging.run(move || -> Result<(Cgroup, Prepared, Staged), Error> {
        // The names of all other namespaces are mounts as well, and would be copied once more for PID 1. Where there are none
        // the directory is no mount.
        let _ = File::open(pins).map(|pins| unmount(&pins));
        let mut staged = stage.build(&pid1)?;
        let args = match &args.payload {
            Some(command) if command.is_empty() => {
                Pid1Args { payload: Some(vec![guest::shell(&staged.live)?]), ..args }
            }
            _ => args,
        };
        if let Some([command, ..]) = args.payload.as_deref()
            && !as_init
            && !variables.iter().any(|variable| variable.as_bytes().starts_with(b"PATH="))
            && guest::find(&staged.live, command)?.is_none()
        {
            let name = shell::quote(OsStr::from_bytes(command.to_bytes()));
            staged.notes.push(format!("{name}: the guest has no such program"));
        }
        let (program, foreign) = match (staged.init.clone(), args.payload.as_deref()) {
            (Some(path), _) => {
                let path = CString::new(path).step("name the guest's init")?;
                (Program::Guest { path: path.clone(), argv: vec![path] }, true)
            }
            (None, Some(argv @ [command, ..])) if as_init => {
                // Where there is none, executing it says so.
                let path = guest::find(&staged.live, command)?.unwrap_or_else(|| guest::usual(command));
                staged.init = Some(path.to_string_lossy().into_owned());
                (Program::Guest { path, argv: argv.to_vec() }, true)
            }
            (None, _) => {
                let scripts = staged.scripts.clone().unwrap_or_default();
                (Program::Subhost(Pid1Args { scripts, ..args }.to_argv()), false)
            }
        };
        let (stdio, console_master) = match (streams, &staged.pty) {
            (Streams::Given(stdio), _) => (stdio, None),
            (Streams::Terminal, Some(pty)) => {
                let slave = || pty.slave.try_clone().step("duplicate the terminal");
                let master = pty.master.try_clone().step("duplicate the terminal")?;
                ([slave()?, slave()?, slave()?], (!payload && !foreign).then_some(master))
            }
            (Streams::Terminal, None) => unreachable!("a stage with a terminal makes one"),
        };
        // As late as can be: killed from here on until the record is there, its directory is left.
        let cgroup =
            planned.create(read.iter().flat_map(|devices| devices.iter().flatten()).map(read_only))?;
        let entries = cgroup.legacy_entries().step("enter the cgroup")?;
        if staged.is_systemd && !cgroup.delegate(first_id).step("give the guest its cgroup")? {
            return Err(Error::refused(guest::no_cgroups()));
        }
        let prepared = Launch::new(&staged.live)
            .user_namespace(user_namespace.as_fd())
            .network_namespace(netns.as_fd())
            .pid1_program(pid1)
            .own_clocks(true)
            .hostname(&hostname)
            .program(program)
            .environment(environment(payload, &variables))
            .proc_cmdline(staged.cmdline.as_deref())
            .stdio(stdio)
            .console_master(console_master)
            .controlling_terminal(foreign && staged.pty.is_some())
            .record(record)
            .drop_capabilities(isolation.dropped().step("launch PID 1")?)
            .filter(isolation.filter())
            .writable_sys(isolation.writable_sys)
            .cgroup(cgroup.unified().step("enter the cgroup")?)
            .legacy_cgroups(entries)
            .start()
            .step("launch PID 1")?;
        Ok((cgroup, prepared, staged))
    });
    // It ends here: it holds copies of the host's mounts, among them the pins of other subhosts' namespaces.
    drop(staging);
    launched
}

/// A disk that a command reads itself.
fn read_only(device: &Device) -> DeviceRule {
    let (major, minor) = device.major_minor();
    DeviceRule { kind: DeviceKind::Block, major, minor: Some(minor), writable: false }
}

/// A clean environment: nothing of the caller's but the terminal's type, and what the configuration sets instead or besides.
fn environment(payload: bool, variables: &[OsString]) -> Vec<CString> {
    let mut words = vec![format!("PATH={}", guest::PATH), "container=subhost".to_owned()];
    if payload {
        words.extend(["HOME=/root".to_owned(), "USER=root".to_owned(), "LOGNAME=root".to_owned()]);
        words.push(format!("TERM={}", terminal_type()));
    } else {
        words.extend(["HOME=/".to_owned(), "TERM=linux".to_owned()]);
    }
    let name = |word: &[u8]| word.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
    let set: Vec<_> = variables.iter().map(|variable| name(variable.as_bytes())).collect();
    words.retain(|word| !set.contains(&name(word.as_bytes())));
    let words = words.into_iter().map(String::into_bytes);
    let all = words.chain(variables.iter().map(|variable| variable.as_bytes().to_vec()));
    all.filter_map(|word| CString::new(word).ok()).collect()
}

/// The caller's terminal type, if it is a plain word.
pub fn terminal_type() -> String {
    std::env::var("TERM")
        .ok()
        .filter(|term| {
            !term.is_empty() && term.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b))
        })
        .unwrap_or_else(|| "linux".to_owned())
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

impl Booted {
    /// Has its disks go past the host's page cache from now on, where that pays: what is read once needs not be there twice, and
    /// much is read faster. Where it cannot be done nothing is lost.
    pub fn leave_cache(&mut self) {
        let cached = std::mem::take(&mut self.cached);
        if !cached.contains(&true) {
            return;
        }
        let devices = Arc::clone(&self.resources.devices);
        // Not waited for: what is under way comes first, and a disk may take its time.
        let _ = std::thread::Builder::new().spawn(move || {
            for device in
                devices.iter().zip(cached).filter_map(|(device, cached)| device.as_ref().filter(|_| cached))
            {
                let _ = device.set_direct(true);
            }
        });
    }

    /// Takes its names back and gives up what it was made of, after its PID 1 has ended. What is to linger does.
    ///
    /// # Errors
    /// Something of it is left.
    pub fn clean_up(self) -> Result<(), Error> {
        let lock = await_name(&self.layout, &self.name).step(format!("lock the name {}", self.name))?;
        // Late as we may be, a later subhost of that name keeps its own.
        let swept = match self.record.lingers {
            Some(_) => hibernate(&self.layout, &self.name, &self.record),
            None => sweep(&self.layout, &self.name, &self.record),
        };
        drop(lock);
        drop(self.resources);
        swept
    }

    /// Leaves it to the lean supervisor, as which this process goes on: comes back only with an error, and the subhost has ended then.
    pub fn supervise(self, manner: Manner) -> Error {
        Event::beginning(&self.name, &self.record).note(&self.layout);
        let step = format!("supervise {}", self.name);
        let error = match self.hand_over(manner) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        self.give_up(Error::Step { step, source: error.into(), hint: None })
    }

    /// Ends what cannot be watched over, for this reason; comes back with it, and what is left.
    pub fn give_up(mut self, reason: Error) -> Error {
        let ended = self.running.kill().and_then(|()| self.running.wait());
        let ended = ended.step(format!("end {}", self.name));
        match ended.and_then(|_| self.clean_up()) {
            Ok(()) => reason,
            Err(left) => Error::Left([reason.into_complaints(), left.into_complaints()].concat()),
        }
    }

    fn hand_over(&self, manner: Manner) -> std::io::Result<std::convert::Infallible> {
        let (record, range) = (&self.record, &self.resources.range);
        let is_ours = record.init_program == "subhost-init";
        let charge = Charge {
            name: record.name.clone(),
            root_dir: self.layout.root_dir.clone().into(),
            quiet: manner.quiet,
            background: manner.background,
            announce: manner.announce,
            origin: record.origin.clone().unwrap_or_default(),
            policy: record.policy.clone(),
            failures: manner.failures,
            has_control: self.control.is_some(),
            task: Task::Watch(Watched {
                init: record.init.clone(),
                init_program: record.init_program.clone(),
                is_child: true,
                // A guest's own init does not tell.
                ready: !is_ours,
                ending: false,
                place: Place {
                    first_id: range.first,
                    id_count: range.count,
                    has_lock: range.lock.is_some(),
                    cables: Vec::new(),
                },
                has_socket: is_ours,
                has_console: self.pty.is_some(),
            }),
        };
        let mut fds =
            vec![self.running.pidfd(), self.resources.user_namespace.as_fd(), self.resources.netns.as_fd()];
        fds.extend(range.lock.as_ref().map(AsFd::as_fd));
        fds.extend(self.control.as_ref().map(AsFd::as_fd));
        fds.extend(is_ours.then(|| self.running.socket()));
        fds.extend(self.pty.as_ref().map(|pty| pty.master.as_fd()));
        // Its disks, and the terminal's other side, stay open as they are.
        keep_all_on_exec().map_err(std::io::Error::other)?;
        Err(handover::supervise(&charge, &fds))
    }
}

/// How a supervisor goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Errors only.
    pub quiet: bool,
    /// Whether it runs without a terminal.
    pub background: bool,
    /// Whether whoever started it waits until the subhost is ready.
    pub announce: bool,
    /// How often in a row it has failed.
    pub failures: u32,
}

impl Kept {
    /// What a supervisor has handed over.
    ///
    /// # Errors
    /// It is not what it should be.
    pub fn from_supervisor(again: &Again, mut fds: impl Iterator<Item = OwnedFd>) -> Result<Kept, Error> {
        let step = || "go on with the run before".to_owned();
        let mut next = || fds.next().ok_or("a descriptor is missing").step(step());
        let lock = Lock::from(next()?);
        let Some(place) = &again.place else { return Ok(Kept { lock, network: None }) };
        let user_namespace = UserNamespace::from_fd(next()?).step(step())?;
        let netns = Netns::from_fd(next()?).step(step())?;
        let lock_of_ids = place.has_lock.then(|| next().map(Lock::from)).transpose()?;
        let range = IdRange { first: place.first_id, count: place.id_count, lock: lock_of_ids };
        Ok(Kept {
            lock,
            network: Some(Network { range, user_namespace, netns, cables: place.cables.clone() }),
        })
    }
}
