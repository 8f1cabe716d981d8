//! Kills at random moments, of whatever there is, while others run under load: it is then what the model allows, and
//! `recover` or `stop` brings it down.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Signal;
use subhost_tests::case::{self, Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::{Guest, Process};
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program::Running;
use subhost_tests::random::{Random, seed};
use subhost_tests::size::Size;

use crate::Torture;

pub(crate) const CASES: &[Torture] = &[Torture {
    case: Case {
        name: "whatever_is_killed_under_load_the_rest_is_as_the_model_says",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: rounds,
    },
    size: ROUNDS,
}];

const ROUNDS: Size = Size { unit: "rounds", short: 100, long: 2000 };

/// How many subhosts there are in each round.
const SUBHOSTS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
/// After an end is waited longer, once in so many rounds, until it is booted again.
const WAITS: u32 = 10;

/// What one does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Load {
    Nothing,
    /// Writes to its console.
    Talks,
    /// Reboots from inside.
    Reboots,
}

/// What of it is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Nobody,
    /// The command that boots it.
    Boot,
    Supervisor,
    Init,
    /// A process in it.
    Service,
    /// A command that somebody has given.
    Command(&'static str),
}

const LOADS: [Load; 4] = [Load::Nothing, Load::Talks, Load::Talks, Load::Reboots];
const VICTIMS: [Victim; 14] = [
    Victim::Nobody,
    Victim::Boot,
    Victim::Boot,
    Victim::Supervisor,
    Victim::Supervisor,
    Victim::Init,
    Victim::Init,
    Victim::Service,
    Victim::Command("stop"),
    Victim::Command("kill"),
    Victim::Command("restart"),
    Victim::Command("reboot"),
    Victim::Command("pause"),
    Victim::Command("recover"),
];
const POLICIES: [&str; 3] = ["no", "on-failure", "always"];

/// What happens to one of them in a round.
#[derive(Debug)]
struct Plan {
    name: String,
    policy: &'static str,
    load: Load,
    victim: Victim,
    /// When it is killed: after the beginning of its boot, or of all loads.
    moment: Duration,
    /// How long a command has run until it is killed, or how late it reboots.
    runs: Duration,
    recovers: bool,
}

impl Plan {
    /// At moments within `whole`, which is how long all take to boot.
    fn draw(random: &mut Random, name: &str, whole: Duration) -> Plan {
        Plan {
            name: name.to_owned(),
            policy: POLICIES[random.index(POLICIES.len())],
            load: LOADS[random.index(LOADS.len())],
            victim: VICTIMS[random.index(VICTIMS.len())],
            moment: random.below(whole),
            runs: random.below(whole / 2),
            recovers: random.index(2) == 0,
        }
    }

    /// The states that it may be in then, beside `starting`, which passes.
    fn allows(&self) -> &'static [&'static str] {
        match (self.victim, self.policy) {
            (Victim::Boot, _) => &["running", "stopped", "ended"],
            // Nobody is there who would boot it again.
            (Victim::Supervisor, _) if self.load == Load::Reboots => &["running", "stopped", "ended"],
            // The reboot may have come first.
            (Victim::Init, "no") if self.load == Load::Reboots => &["running", "stopped"],
            (Victim::Init, "no") => &["stopped"],
            (Victim::Init, _) => &["running", "restarting"],
            (Victim::Command("stop" | "kill" | "restart"), "no") => &["running", "stopped"],
            (Victim::Command("stop" | "kill" | "restart"), _) => &["running", "stopped", "restarting"],
            (Victim::Command("pause"), _) => &["running", "paused"],
            _ => &["running"],
        }
    }

    /// Whether it goes on with the same first process.
    fn is_same(&self) -> bool {
        let ends = matches!(
            self.victim,
            Victim::Boot | Victim::Init | Victim::Command("stop" | "kill" | "restart" | "reboot")
        );
        !ends && self.load != Load::Reboots
    }
}

fn rounds(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let names: Vec<String> = (0..SUBHOSTS).map(|index| host.name(&format!("n{index}x"))).collect();
    for name in &names {
        fs::copy(Fixture::TinyMbr.path()?, host.directory().join(format!("{name}.raw")))?;
    }
    let before = Snapshot::take(&host.scope())?;
    let seed = seed();
    eprintln!("{FIGURE}SUBHOST_SEED={seed} repeats these rounds, as far as the machine does");
    let (mut random, mut tally, begun) = (Random::new(seed), BTreeMap::new(), Instant::now());
    let whole = whole(host, &names)?;
    for round in 0..ROUNDS.now() {
        let mut plans: Vec<Plan> = names.iter().map(|name| Plan::draw(&mut random, name, whole)).collect();
        plans.sort_by_key(|plan| plan.moment);
        let told = play(host, &plans, round % WAITS == 0, &mut random, &mut tally);
        told.and_then(|()| case::nothing_left(host, &before))
            .map_err(|error| format!("round {round} of seed {seed}: {error}\n{plans:#?}"))?;
    }
    eprintln!("{FIGURE}{} rounds in {} s: {tally:?}", ROUNDS.now(), begun.elapsed().as_secs());
    Ok(())
}

/// How long it takes until all are booted, when nothing is killed.
fn whole(host: &Host, names: &[String]) -> Result<Duration, Box<dyn Error>> {
    let mut plans = Vec::new();
    for name in names {
        let (load, victim, policy) = (Load::Nothing, Victim::Nobody, "no");
        let (moment, runs) = (Duration::ZERO, Duration::ZERO);
        plans.push(Plan { name: name.clone(), policy, load, victim, moment, runs, recovers: false });
    }
    configure(host, &plans)?;
    let begun = Instant::now();
    boot(host, &plans)?;
    let whole = begun.elapsed();
    plans.iter().try_for_each(|plan| bring_down(host, plan))?;
    Ok(whole)
}

/// How often what ended how.
type Tally = BTreeMap<String, u32>;

fn play(host: &Host, plans: &[Plan], waits: bool, random: &mut Random, tally: &mut Tally) -> Verdict {
    configure(host, plans)?;
    boot(host, plans)?;
    let mut guests = Vec::new();
    for plan in plans {
        let is_there = plan.victim != Victim::Boot;
        guests.push(if is_there { Some(host.running(&plan.name)?) } else { None });
    }
    let mut loads = Vec::new();
    for plan in plans.iter().filter(|plan| plan.victim != Victim::Boot) {
        loads.extend(load(host, plan)?);
    }
    let begun = Instant::now();
    for (plan, guest) in plans.iter().zip(&guests) {
        let Some(guest) = guest else { continue };
        thread::sleep(plan.moment.saturating_sub(begun.elapsed()));
        strike(host, plan, guest, random)?;
    }
    for load in &mut loads {
        load.wait(Duration::from_secs(1))?;
    }
    drop(loads);
    for (plan, guest) in plans.iter().zip(&guests) {
        let state =
            judge(host, plan, guest.as_ref(), waits).map_err(|error| format!("{}: {error}", plan.name))?;
        *tally.entry(format!("{:?}: {state}", plan.victim)).or_default() += 1;
        bring_down(host, plan).map_err(|error| format!("{} was {state}: {error}", plan.name))?;
    }
    Ok(())
}

fn configure(host: &Host, plans: &[Plan]) -> io::Result<()> {
    for (index, Plan { name, policy, .. }) in plans.iter().enumerate() {
        let image = host.directory().join(format!("{name}.raw"));
        // All that has a name of its own somewhere.
        let network = format!("BRIDGES=br0\nADDRESSES=10.80.9.{}/16\nRATE=100mbit", index + 1);
        let text = format!("DISKS=( vda:1:{} )\nTASKS=200\nRESTART={policy}\n{network}\n", image.display());
        host.config(name, &text)?;
    }
    Ok(())
}

/// Boots all at once, some of them not to the end.
fn boot(host: &Host, plans: &[Plan]) -> Verdict {
    let begun = Instant::now();
    // In the foreground, so that it is the boot itself.
    let (killed, others): (Vec<&Plan>, Vec<&Plan>) =
        plans.iter().partition(|plan| plan.victim == Victim::Boot);
    let killed = killed.into_iter().map(|plan| Ok((plan.moment, host.start(&["boot", &plan.name])?)));
    let killed: Vec<_> = killed.collect::<io::Result<_>>()?;
    let others = others.into_iter().map(|plan| host.start(&["boot", "--detach", &plan.name]));
    let others: Vec<_> = others.collect::<io::Result<_>>()?;
    for (moment, mut boot) in killed {
        if boot.wait(moment.saturating_sub(begun.elapsed()))?.is_some() {
            return Err(format!("boot ended by itself: {}", boot.finish(PATIENCE)?).into());
        }
        boot.kill()?;
    }
    for boot in others {
        let outcome = boot.finish(PATIENCE)?;
        if outcome.code != 0 {
            return Err(outcome.to_string().into());
        }
    }
    Ok(())
}

fn load(host: &Host, plan: &Plan) -> io::Result<Option<Running>> {
    let script = match plan.load {
        Load::Nothing => return Ok(None),
        Load::Talks => "seq 5000 >/dev/console".to_owned(),
        Load::Reboots => format!("sleep {}; reboot -f", plan.runs.as_secs_f64()),
    };
    host.start(&["enter", &plan.name, "--", "sh", "-c", &script]).map(Some)
}

/// Kills, and waits until that is dead.
fn strike(host: &Host, plan: &Plan, guest: &Guest, random: &mut Random) -> Verdict {
    let gone = |error: &io::Error| error.raw_os_error() == Some(Errno::SRCH.raw_os_error());
    let unless_gone =
        |sent: io::Result<()>| sent.or_else(|error| if gone(&error) { Ok(()) } else { Err(error) });
    let ends = match plan.victim {
        Victim::Nobody | Victim::Boot => true,
        Victim::Supervisor => {
            unless_gone(guest.supervisor()?.signal(Signal::KILL))?;
            guest.supervisor()?.ends(PATIENCE)?
        }
        Victim::Init => {
            unless_gone(guest.signal_init(Signal::KILL))?;
            guest.ends(PATIENCE)?
        }
        Victim::Service => {
            let services = services(guest);
            // There is none while it reboots.
            let Some(pid) = services.get(random.index(services.len())) else { return Ok(()) };
            unless_gone(Process::open(*pid).and_then(|process| process.signal(Signal::KILL)))?;
            true
        }
        Victim::Command(word) => {
            let mut command = host.start(&[word, &plan.name])?;
            command.wait(plan.runs)?;
            command.kill()?;
            true
        }
    };
    if ends { Ok(()) } else { Err(format!("{:?} does not end", plan.victim).into()) }
}

/// The processes in it, but for its first one.
fn services(guest: &Guest) -> Vec<u32> {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(guest.init_pid());
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != guest.init_pid() && own.is_some() && namespace(*pid) == own).collect()
}

/// Its state, when that is one that it may be in.
fn judge(host: &Host, plan: &Plan, guest: Option<&Guest>, waits: bool) -> Result<String, Box<dyn Error>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (state, init, told) = look(host, &plan.name)?;
        // What is over may not be cleared away yet, where somebody does that.
        let passes = state == "starting" || (state == "restarting" && waits);
        if !passes && plan.allows().contains(&&*state) {
            let same = guest.is_none_or(|guest| !plan.is_same() || init == Some(guest.init_pid().into()));
            let lives = state != "running" || !plan.is_same() || answers(host, &plan.name)?;
            return if same && lives {
                Ok(state)
            } else {
                Err(format!("another run, or none: {told}").into())
            };
        }
        if Instant::now() >= deadline {
            return Err(format!("is none of {:?}: {told}", plan.allows()).into());
        }
    }
}

fn answers(host: &Host, name: &str) -> io::Result<bool> {
    Ok(host.subhostctl(&["enter", name, "--", "true"])?.code == 0)
}

/// State and first process, and all that is said of it.
fn look(host: &Host, name: &str) -> Result<(String, Option<u64>, String), Box<dyn Error>> {
    let told = host.done(&["list", "--json", name])?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&told)?;
    let row = rows.first().ok_or("it is not listed")?;
    Ok((row["state"].as_str().unwrap_or_default().to_owned(), row["init_pid"].as_u64(), told))
}

fn bring_down(host: &Host, plan: &Plan) -> Verdict {
    let name = plan.name.as_str();
    if plan.recovers {
        let outcome = host.subhostctl(&["recover", name])?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (state, _, told) = look(host, name)?;
            // One that stands still is taken over when it goes on.
            if outcome.code != 0 && state != "paused" {
                return Err(format!("recover: {outcome}").into());
            }
            // Just now it may be rebooting.
            if state != "ended" && (state != "running" || !told.contains("\"unsupervised\"")) {
                break;
            }
            if Instant::now() >= deadline {
                return Err(format!("recover left {told}: {outcome}").into());
            }
        }
    }
    let outcome = host.subhostctl(&["stop", name])?;
    let (state, _, told) = look(host, name)?;
    if outcome.code == 0 && state == "stopped" {
        Ok(())
    } else {
        Err(format!("stop left {told}: {outcome}").into())
    }
}
