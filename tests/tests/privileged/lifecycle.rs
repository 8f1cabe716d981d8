//! The life of subhosts against a model: random sequences of what people and accidents do, and nothing left at the end.

use std::cell::Cell;
use std::env;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use rustix::process::Signal;
use subhost_tests::case::{self, Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::random::seed;

use crate::initctl::booted_again;
use crate::linger::Started;
use crate::{BRIDGE, MAC, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "whatever_happens_to_a_booted_subhost_it_is_what_the_model_says",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: booted,
    },
    Case {
        name: "whatever_happens_to_a_started_subhost_it_is_what_the_model_says",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: started,
    },
];

const PATIENCE: Duration = Duration::from_secs(20);

/// How many sequences; more in a long run.
fn sequences() -> u32 {
    env::var("SUBHOST_SEQUENCES").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// What happens to a subhost with a disk.
#[derive(Debug, Clone, Copy)]
enum Step {
    Boot,
    Stop,
    Kill,
    Restart,
    Reboot,
    Pause,
    Resume,
    Recover,
    /// SIGKILL of its supervisor.
    KillSupervisor,
    /// SIGKILL of its PID 1, from the host.
    KillInit,
    /// A byte in its `/run/initctl`.
    PowerOff,
    /// `reboot -f` inside.
    RebootInside,
    /// SIGKILL of `boot` in the foreground after so many microseconds.
    KilledBoot(u32),
    /// SIGKILL of `stop` after so many microseconds, and `stop` once more.
    KilledStop(u32),
}

/// Who supervises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nobody,
    /// Who has booted it, and so is the parent of its PID 1.
    Parent,
    /// Who has taken over.
    Successor,
}

/// What it then is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Stopped,
    Running(By),
    Paused(By),
    /// It has ended, and nobody has taken its names away.
    Ended,
}

impl Model {
    fn state(self) -> &'static str {
        match self {
            Model::Stopped => "stopped",
            Model::Running(_) => "running",
            Model::Paused(_) => "paused",
            Model::Ended => "ended",
        }
    }

    fn supervisor(self) -> By {
        match self {
            Model::Running(by) | Model::Paused(by) => by,
            Model::Stopped | Model::Ended => By::Nobody,
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Boot),
        2 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => Just(Step::Restart),
        2 => Just(Step::Reboot),
        2 => Just(Step::Pause),
        2 => Just(Step::Resume),
        2 => Just(Step::Recover),
        2 => Just(Step::KillSupervisor),
        1 => Just(Step::KillInit),
        1 => Just(Step::PowerOff),
        2 => Just(Step::RebootInside),
        2 => (0..30_000_u32).prop_map(Step::KilledBoot),
        2 => (0..20_000_u32).prop_map(Step::KilledStop),
    ];
    prop::collection::vec(step, 1..16)
}

/// Runs sequences, each followed by the leak check, and shows the shortest one that fails.
fn check<S: Strategy>(host: &Host, strategy: &S, sequence: impl Fn(&Host, S::Value) -> Verdict) -> Verdict {
    let seed = seed();
    eprintln!("{FIGURE}SUBHOST_SEED={seed} repeats these sequences");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases: sequences(), failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let before = Snapshot::take(&host.scope())?;
    let run = |value| {
        let verdict = sequence(host, value).and_then(|()| case::nothing_left(host, &before));
        verdict.map_err(|error| TestCaseError::fail(error.to_string()))
    };
    Ok(runner.run(strategy, run).map_err(|error| error.to_string())?)
}

fn booted(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let done = Cell::new(0);
    check(host, &steps(), |host, steps| {
        let mut model = Model::Stopped;
        let mut history = Vec::new();
        for step in steps {
            history.push(step);
            model = take(host, &name, model, step)
                .map_err(|error| format!("{error}\nafter {history:?} on {model:?}"))?;
            let state = state(host, &name)?;
            if state != model.state() {
                return Err(format!("is {state} and not {model:?} after {history:?}").into());
            }
            done.set(done.get() + 1);
        }
        host.done(&["stop", "--wait", &name])?;
        host.done(&["stop", "--wait", &name])?;
        Ok(())
    })?;
    eprintln!("{FIGURE}{} steps", done.get());
    Ok(())
}

fn state(host: &Host, name: &str) -> std::io::Result<String> {
    Ok(host.guest(name)?.map(|guest| guest.state().to_owned()).unwrap_or_default())
}

/// A command that has to return this status.
fn returns(host: &Host, status: i32, words: &[&str]) -> Verdict {
    let told = host.subhostctl(words)?;
    if told.code == status { Ok(()) } else { Err(format!("{words:?}: not {status}: {told}").into()) }
}

fn there(host: &Host, name: &str) -> Result<Guest, Box<dyn std::error::Error>> {
    Ok(host.guest(name)?.ok_or_else(|| format!("{name} is not listed"))?)
}

/// Waits for the supervisor to have cleared up behind a guest that has ended, where there is one.
fn ended(guest: &Guest, supervised: bool) -> Result<Model, Box<dyn std::error::Error>> {
    if !guest.ends(PATIENCE)? {
        return Err("its PID 1 has not ended".into());
    }
    if !supervised {
        return Ok(Model::Ended);
    }
    if !guest.supervisor()?.ends(PATIENCE)? {
        return Err("its supervisor has not ended".into());
    }
    Ok(Model::Stopped)
}

/// Does it, and gives what the subhost has to be then.
fn take(host: &Host, name: &str, model: Model, step: Step) -> Result<Model, Box<dyn std::error::Error>> {
    use Model::{Ended, Paused, Running, Stopped};
    let by = model.supervisor();
    let supervised = by != By::Nobody;
    let up = Running(By::Parent);
    let taken_over = if supervised { by } else { By::Successor };
    Ok(match (step, model) {
        (Step::Boot, Stopped | Ended) => {
            returns(host, 0, &["boot", "--detach", name])?;
            up
        }
        // Taken over where nobody supervises it.
        (Step::Boot, Running(_)) => {
            returns(host, 0, &["boot", "--detach", name])?;
            Running(taken_over)
        }
        (Step::Stop, _) => {
            returns(host, 0, &["stop", name])?;
            Stopped
        }
        (Step::Kill, _) => {
            returns(host, 0, &["kill", name])?;
            Stopped
        }
        (Step::Restart, _) => {
            returns(host, 0, &["restart", name])?;
            up
        }
        (Step::Reboot, Running(By::Parent | By::Successor)) => {
            let before = there(host, name)?;
            returns(host, 0, &["reboot", name])?;
            let after = there(host, name)?;
            if after.field("netns_inode") != before.field("netns_inode") {
                return Err("another network namespace after a reboot".into());
            }
            after.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
            up
        }
        (Step::Reboot, model) => {
            returns(host, 2, &["reboot", name])?;
            model
        }
        (Step::Pause, Running(_) | Paused(_)) => {
            returns(host, 0, &["pause", name])?;
            Paused(by)
        }
        (Step::Resume, Running(_) | Paused(_)) => {
            returns(host, 0, &["resume", name])?;
            Running(by)
        }
        (Step::Pause | Step::Resume, model) => {
            returns(host, 2, &[if matches!(step, Step::Pause) { "pause" } else { "resume" }, name])?;
            model
        }
        (Step::Recover, Running(_)) => {
            returns(host, 0, &["recover", name])?;
            Running(taken_over)
        }
        (Step::Recover, Stopped | Ended) => {
            returns(host, 0, &["recover", name])?;
            Stopped
        }
        (Step::KillSupervisor, Running(By::Parent | By::Successor) | Paused(By::Parent | By::Successor)) => {
            let guest = there(host, name)?;
            guest.supervisor()?.signal(Signal::KILL)?;
            if !guest.supervisor()?.ends(PATIENCE)? {
                return Err("its supervisor does not end".into());
            }
            if matches!(model, Paused(_)) { Paused(By::Nobody) } else { Running(By::Nobody) }
        }
        (Step::KillInit, Running(_) | Paused(_)) => {
            let guest = there(host, name)?;
            guest.signal_init(Signal::KILL)?;
            ended(&guest, supervised)?
        }
        (Step::PowerOff, Running(_)) => {
            let guest = there(host, name)?;
            guest.write_initctl(b"x")?;
            ended(&guest, supervised)?
        }
        (Step::RebootInside, Running(by)) => {
            let guest = there(host, name)?;
            host.subhostctl(&["enter", name, "--", "reboot", "-f"])?;
            let next = match by {
                By::Nobody => return ended(&guest, false),
                By::Parent => Some(booted_again(host, name, &guest)?),
                By::Successor => again_or_not(host, name, &guest)?,
            };
            match next {
                Some(guest) => {
                    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
                    up
                }
                None => Stopped,
            }
        }
        (Step::KilledBoot(moment), Stopped | Ended) => {
            let mut command = host.start(&["boot", name])?;
            if let Some(status) = command.wait(Duration::from_micros(moment.into()))? {
                return Err(format!("boot ended by itself: {status}").into());
            }
            command.kill()?;
            drop(command);
            match settled(host, name)?.as_str() {
                "running" => {
                    there(host, name)?.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
                    Running(By::Nobody)
                }
                "ended" => Ended,
                // A name that is made before the subhost is written down may be left; the next command takes it away.
                "stopped" => {
                    returns(host, 0, &["stop", name])?;
                    Stopped
                }
                other => return Err(format!("is {other} after a boot that was killed").into()),
            }
        }
        (Step::KilledStop(moment), _) => {
            let mut command = host.start(&["stop", name])?;
            command.wait(Duration::from_micros(moment.into()))?;
            command.kill()?;
            drop(command);
            returns(host, 0, &["stop", name])?;
            Stopped
        }
        // Nothing to do it to, or what would only show when it goes on.
        (
            Step::Boot
            | Step::Recover
            | Step::KillSupervisor
            | Step::KillInit
            | Step::PowerOff
            | Step::RebootInside
            | Step::KilledBoot(_),
            model,
        ) => model,
    })
}

/// The next run of one that has ended. Only a parent is sure to be told by the kernel that it was a restart.
fn again_or_not(
    host: &Host,
    name: &str,
    before: &Guest,
) -> Result<Option<Guest>, Box<dyn std::error::Error>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let gone = before.supervisor()?.ends(Duration::ZERO)?;
        // What is listed may have ended since.
        let guest = host.guest(name).ok().flatten();
        if let Some(guest) =
            guest.filter(|guest| guest.state() == "running" && guest.init_pid() != before.init_pid())
        {
            return Ok(Some(guest));
        }
        if gone {
            return Ok(None);
        }
        if Instant::now() >= deadline {
            return Err("it neither came again nor was it over".into());
        }
    }
}

/// The state when nobody is just starting or stopping it any more.
fn settled(host: &Host, name: &str) -> Result<String, Box<dyn std::error::Error>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = state(host, name)?;
        if state != "starting" {
            return Ok(state);
        }
        if Instant::now() >= deadline {
            return Err("nobody starts it, and its name is locked".into());
        }
    }
}

/// What happens to one from a directory.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A command that returns this status.
    Start(u8),
    Stop,
    /// SIGKILL of `start` after so many microseconds.
    KilledStart(u32),
    Recover,
    /// What is refused as long as it lingers.
    Boot,
}

fn started(host: &Host) -> Verdict {
    bridge(host)?;
    let tree = Started::new(host, "tree", "")?.with_tree()?;
    let name = tree.name.clone();
    let act = prop_oneof![
        4 => any::<u8>().prop_map(Act::Start),
        2 => Just(Act::Stop),
        3 => (0..30_000_u32).prop_map(Act::KilledStart),
        1 => Just(Act::Recover),
        1 => Just(Act::Boot),
    ];
    let done = Cell::new(0);
    check(host, &prop::collection::vec(act, 1..12), |host, acts| {
        let mut lingers = false;
        let mut history = Vec::new();
        for act in acts {
            history.push(act);
            lingers =
                perform(host, &name, lingers, act).map_err(|error| format!("{error}\nafter {history:?}"))?;
            let (state, expected) = (state(host, &name)?, if lingers { "lingering" } else { "stopped" });
            if state != expected {
                return Err(format!("is {state} and not {expected} after {history:?}").into());
            }
            done.set(done.get() + 1);
        }
        host.done(&["stop", "--wait", &name])?;
        host.done(&["stop", "--wait", &name])?;
        Ok(())
    })?;
    eprintln!("{FIGURE}{} acts", done.get());
    Ok(())
}

/// Does it, and tells whether it has to linger then.
fn perform(host: &Host, name: &str, lingers: bool, act: Act) -> Result<bool, Box<dyn std::error::Error>> {
    Ok(match act {
        Act::Start(status) => {
            let before = there(host, name)?.field("netns_inode").clone();
            returns(host, status.into(), &["start", name, "--", "sh", "-c", &format!("exit {status}")])?;
            if lingers && there(host, name)?.field("netns_inode") != &before {
                return Err("what lingered was made anew".into());
            }
            true
        }
        Act::Stop => {
            returns(host, 0, &["stop", name])?;
            false
        }
        Act::KilledStart(moment) => {
            let mut command = host.start(&["start", name, "--", "sleep", "1000"])?;
            if let Some(status) = command.wait(Duration::from_micros(moment.into()))? {
                return Err(format!("start ended by itself: {status}").into());
            }
            command.kill()?;
            drop(command);
            settled(host, name)?;
            returns(host, 0, &["stop", name])?;
            false
        }
        Act::Recover => {
            returns(host, 0, &["recover", name])?;
            lingers
        }
        Act::Boot => {
            returns(host, 2, &["boot", "--detach", name])?;
            lingers
        }
    })
}
