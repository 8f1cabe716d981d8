//! What a guest and a command in it may ask of the kernel: system call filter, capabilities, resource limits.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::capabilities;
use subhost_init::capability::CapabilitySet;
use subhost_init::enter::Enter;
use subhost_init::launch::{Ended, Launch};
use subhost_init::limits::{self, ResourceLimits};
use subhost_init::seccomp::Filter;

use crate::Test;
use crate::stage::{IDLE, IdleGuest, on_stage, output_pipe, read_all, strings, with_output};

pub(crate) const TESTS: [Test; 6] = [
    ("a_guest_has_the_filter_and_programs_in_it_may_gain_privileges", a_guest_has_the_filter),
    ("a_filter_is_loaded_also_where_sys_admin_is_dropped", a_filter_is_loaded_without_sys_admin),
    ("a_command_has_the_filter_whoever_it_runs_as", a_command_has_the_filter),
    ("mounts_are_refused_unless_containers_may_run_inside", mounts_are_refused),
    ("limits_are_the_same_whoever_starts_a_guest", limits_are_the_same),
    ("limits_of_ones_own_are_given_to_guest_and_command", own_limits),
];

/// What a script says as PID 1.
fn say(launch: Launch<'_>) -> String {
    let (launch, mut output) = with_output(launch);
    let mut running = launch.start().unwrap().go().unwrap();
    let text = read_all(&mut output);
    assert_eq!(running.wait().unwrap(), Ended::Exited(0), "{text}");
    text
}

const LOOK: &str = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status";
const CONFINED: &str = "NoNewPrivs:\t0\nSeccomp:\t2\n";

/// The same of this process: what is around it is around all that it starts.
fn free() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let is_asked = |line: &&str| line.starts_with("NoNewPrivs:") || line.starts_with("Seccomp:");
    status.split_inclusive('\n').filter(is_asked).collect()
}

fn a_guest_has_the_filter() {
    on_stage(|stage| {
        for filter in [Filter::default(), Filter::default().nesting(true)] {
            assert_eq!(say(stage.script(LOOK).filter(Some(filter))), CONFINED);
        }
        assert_eq!(say(stage.script(LOOK).filter(None)), free());
    });
}

fn a_filter_is_loaded_without_sys_admin() {
    on_stage(|stage| {
        let dropped = CapabilitySet::from_names(["sys_admin"]).unwrap();
        assert_eq!(say(stage.script(LOOK).drop_capabilities(dropped)), CONFINED);
    });
}

fn a_command_has_the_filter() {
    on_stage(|stage| {
        let guest = IdleGuest::of(stage.script(IDLE));
        let look = |filter, uid: u32| {
            let (stdio, mut output) = output_pipe();
            let script = format!("{LOOK}; grep -E '^Cap(Inh|Prm|Amb)' /proc/self/status");
            let mut entered = Enter::new(guest.pidfd())
                .argv(strings(&["/bin/sh", "-c", &script]))
                .environment(strings(&["PATH=/bin"]))
                .user(uid, uid, Vec::new())
                .filter(filter)
                .stdio(stdio)
                .start()
                .unwrap();
            let text = read_all(&mut output);
            assert_eq!(entered.wait().unwrap(), 0);
            text
        };
        let none = "0000000000000000";
        let user = format!("CapInh:\t{none}\nCapPrm:\t{none}\nCapAmb:\t{none}\n");
        assert_eq!(look(Some(Filter::default()), 1000), format!("{CONFINED}{user}"));
        assert_eq!(look(None, 1000), free() + &user);
        let root = look(Some(Filter::default()), 0);
        assert!(root.starts_with(&format!("{CONFINED}CapInh:\t{none}\nCapPrm:\t000001")), "{root}");
        guest.finish();
    });
}

fn mounts_are_refused() {
    on_stage(|stage| {
        let script = || stage.script("mount -t tmpfs none /tmp 2>&1 && echo done; exit 0");
        let refused = say(script().filter(Some(Filter::default())));
        assert!(refused.contains("ermission denied") || refused.contains("not permitted"), "{refused}");
        assert_eq!(say(script().filter(Some(Filter::default().nesting(true)))), "done\n");
        assert_eq!(say(script().filter(None)), "done\n");
    });
}

/// What a guest begins with: soft and hard, `None` for no limit.
const LIMITS: [(&str, Option<u64>, Option<u64>); 16] = [
    ("Max cpu time", None, None),
    ("Max file size", None, None),
    ("Max data size", None, None),
    ("Max stack size", Some(8 << 20), None),
    ("Max core file size", Some(0), None),
    ("Max resident set", None, None),
    ("Max processes", None, None),
    ("Max open files", Some(1024), Some(524_288)),
    ("Max locked memory", Some(8 << 20), Some(8 << 20)),
    ("Max address space", None, None),
    ("Max file locks", None, None),
    ("Max pending signals", Some(65_536), Some(65_536)),
    ("Max msgqueue size", Some(819_200), Some(819_200)),
    ("Max nice priority", Some(0), Some(0)),
    ("Max realtime priority", Some(0), Some(0)),
    ("Max realtime timeout", None, None),
];

/// The soft and the hard limit of this name in a text of `/proc/PID/limits`.
fn limit(text: &str, name: &str) -> (Option<u64>, Option<u64>) {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let mut words = line.split_whitespace().map(|word| word.parse().ok());
    (words.next().unwrap(), words.next().unwrap())
}

fn own_limits() {
    on_stage(|stage| {
        let limits = ResourceLimits::default().with(limits::Resource::OpenFiles, Some(77), Some(99)).with(
            limits::Resource::Stack,
            Some(1 << 20),
            Some(2 << 20),
        );
        let guest = IdleGuest::of(stage.script(IDLE).resource_limits(limits));
        let (stdio, mut output) = output_pipe();
        let mut entered = Enter::new(guest.pidfd())
            .argv(strings(&["/bin/cat", "/proc/1/limits", "/proc/self/limits"]))
            .resource_limits(limits)
            .stdio(stdio)
            .start()
            .unwrap();
        let text = read_all(&mut output);
        assert_eq!(entered.wait().unwrap(), 0);
        let (init, command) = text.split_at(text.rfind("Limit ").unwrap());
        for text in [init, command] {
            assert_eq!(limit(text, "Max open files"), (Some(77), Some(99)), "{text}");
            assert_eq!(limit(text, "Max stack size"), (Some(1 << 20), Some(2 << 20)), "{text}");
            assert_eq!(limit(text, "Max locked memory").0, Some(8 << 20), "{text}");
        }
        guest.finish();
    });
}

fn limits_are_the_same() {
    on_stage(|stage| {
        // Of this whole process, where nobody needs more: the guest has more again.
        let may_raise =
            capabilities(None).unwrap().effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE);
        let maximum = if may_raise { Some(200) } else { getrlimit(Resource::Msgqueue).maximum };
        setrlimit(Resource::Msgqueue, Rlimit { current: Some(100), maximum }).unwrap();
        let own = fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(limit(&own, "Max msgqueue size").0, Some(100));

        let guest = IdleGuest::of(stage.script(IDLE));
        let (stdio, mut output) = output_pipe();
        let mut entered = Enter::new(guest.pidfd())
            .argv(strings(&["/bin/cat", "/proc/1/limits", "/proc/self/limits"]))
            .stdio(stdio)
            .start()
            .unwrap();
        let text = read_all(&mut output);
        assert_eq!(entered.wait().unwrap(), 0);
        let (init, command) = text.split_at(text.rfind("Limit ").unwrap());
        for (name, soft, hard) in LIMITS {
            // One who may not raise limits gives what it may.
            let most = if may_raise { None } else { limit(&own, name).1 };
            let at_most = |value: Option<u64>| [value, most].into_iter().flatten().min();
            let expected = (at_most(soft), at_most(hard));
            assert_eq!(limit(init, name), expected, "{name}");
            assert_eq!(limit(command, name), expected, "{name}");
        }
        guest.finish();
    });
}
