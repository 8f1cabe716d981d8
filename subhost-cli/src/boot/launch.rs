//! PID 1 of a subhost: its tree, its streams and its environment, up to the point where it waits to be let go.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use subhost_init::cgroup::{Cgroup, DeviceKind, DeviceRule};
use subhost_init::handoff::Pid1Args;
use subhost_init::launch::{Launch, Pid1Program, Prepared, Program};
use subhost_mount::attached::unmount;
use subhost_mount::device::Device;
use subhost_mount::staging::Staging;

use super::{Resources, Streams};
use crate::error::{Context, Error};
use crate::guest;
use crate::layout::Layout;
use crate::plan::{Plan, PlannedRoot};
use crate::request::Request;
use crate::shell;
use crate::stage::{Stage, Staged};
use crate::state::Draft;
use crate::tree::Parts;

/// Time between SIGTERM and SIGKILL at the end of a stop.
const GRACE: Duration = Duration::from_secs(5);

/// Builds the tree and launches PID 1 up to the point where it waits for GO.
pub(super) fn launch(
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
