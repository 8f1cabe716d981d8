//! The commands that are harmed at each of their system calls: what has to be there before, and what after.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use subhost_tests::case::{self, FIGURE, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::stepper::{self, Harm, Point, Walk, name};

/// After that a command hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// More is not looked for.
const ENOUGH: usize = 40;

/// What a payload says.
const SAID: &str = "here\n";

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Boot,
    Start,
    StopBooted,
    StopLingering,
    Exec,
    Recover,
}

/// A host with a subhost on which a command is harmed, again and again.
pub(crate) struct Scene<'a> {
    pub(crate) host: &'a Host,
    pub(crate) act: Act,
    name: String,
    /// What the host holds without the subhost.
    empty: RefCell<Snapshot>,
    /// What it holds with it, where one is used for all points.
    running: RefCell<Option<Snapshot>>,
    failures: RefCell<Vec<String>>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(host: &'a Host, act: Act) -> Result<Self, Box<dyn Error>> {
        host.bridge("br0", "10.80.0.1/16")?;
        let name = host.name("step");
        let tree = if act.is_of_start() {
            host.subhost_dir().join(&name).join("root")
        } else {
            host.directory().join("tree")
        };
        fs::create_dir_all(&tree)?;
        let from = Fixture::TinyTree.path()?;
        host.witness("cp", &["-a", &format!("{}/.", from.display()), &tree.to_string_lossy()])?;
        // It is the host's side that is looked at here.
        for script in ["rcS", "rc"] {
            fs::write(tree.join("etc/init.d").join(script), "#!/bin/sh\n")?;
        }
        if act.is_of_start() {
            fs::write(tree.with_file_name("config"), "BRIDGES=( br0: )\n")?;
        } else {
            let image = host.ext4_of(&tree, "root.ext4")?;
            host.config(
                &name,
                &format!("DISKS=( vda::{} )\nBRIDGES=( br0: )\nTASKS=200\n", image.display()),
            )?;
        }
        let scene = Self {
            host,
            act,
            name,
            empty: RefCell::new(Snapshot::take(&host.scope())?),
            running: RefCell::default(),
            failures: RefCell::default(),
        };
        // What is made with the first of all is there from now on.
        scene.up()?;
        scene.down()?;
        scene.nothing_left()?;
        Ok(scene)
    }

    /// How many calls each process of the command makes, found by a run without harm.
    pub(crate) fn calls(&self) -> Result<Vec<Vec<i64>>, Box<dyn Error>> {
        self.prepare()?;
        let walk = self.walk(None)?;
        if walk.code != 0 || !self.is_whole(&walk)? {
            return Err(format!("{:?} without harm: {walk}", self.act).into());
        }
        self.end()?;
        Ok(walk.calls)
    }

    /// Brings about what the command finds.
    pub(crate) fn prepare(&self) -> Verdict {
        match self.act {
            Act::Boot | Act::Start => {}
            Act::StopBooted | Act::StopLingering => self.up()?,
            Act::Exec => {
                if self.running.borrow().is_none() {
                    self.up()?;
                    self.running.replace(Some(Snapshot::take(&self.host.scope())?));
                }
            }
            Act::Recover => {
                self.up()?;
                let guest = self.host.running(&self.name)?;
                guest.supervisor()?.signal(Signal::KILL)?;
                guest.supervisor()?.ends(PATIENCE)?;
            }
        }
        Ok(())
    }

    /// The command, which may be harmed.
    pub(crate) fn walk(&self, harm: Option<Harm>) -> io::Result<Walk> {
        let name = self.name.as_str();
        let command: Command = match self.act {
            Act::Boot => self.host.command(&["boot", "--detach", name]),
            Act::Start => self.host.command(&["start", name, "--", "echo", SAID.trim_end()]),
            Act::StopBooted | Act::StopLingering => self.host.command(&["stop", name]),
            Act::Exec => self.host.command(&["exec", name, "--", "echo", SAID.trim_end()]),
            Act::Recover => self.host.command(&["recover", name]),
        };
        stepper::walk(&command, harm, PATIENCE)
    }

    /// Whether the command has done all that it is for.
    pub(crate) fn is_whole(&self, walk: &Walk) -> Result<bool, Box<dyn Error>> {
        let guest = self.host.guest(&self.name)?;
        let is = |state: &str| guest.as_ref().is_some_and(|guest| guest.state() == state);
        Ok(match self.act {
            Act::Boot => is("running"),
            Act::Start => walk.stdout == SAID && is("lingering"),
            Act::StopBooted | Act::StopLingering => !is("running") && !is("lingering"),
            Act::Exec => walk.stdout == SAID && is("running"),
            Act::Recover => is("running") && guest.is_some_and(|guest| guest.supervisor().is_ok()),
        })
    }

    /// One further command, after which all has to be as if the harmed one had done it.
    pub(crate) fn mend(&self) -> Verdict {
        match self.act {
            Act::Boot => {
                self.patiently(&["boot", "--detach", &self.name])?;
                self.host.running(&self.name)?.supervisor()?;
            }
            Act::Start => self.patiently(&["start", &self.name, "--", "true"])?,
            Act::StopBooted | Act::StopLingering => self.down()?,
            Act::Exec => {
                let said = self.host.done(&["exec", &self.name, "--", "echo", SAID.trim_end()])?;
                if said != SAID {
                    return Err(format!("exec says {said:?}").into());
                }
            }
            Act::Recover => {
                self.host.done(&["recover", &self.name])?;
                self.host.running(&self.name)?.supervisor()?;
            }
        }
        Ok(())
    }

    /// Ends all, and sees that nothing is left.
    pub(crate) fn end(&self) -> Verdict {
        if let (Act::Exec, Some(running)) = (self.act, &*self.running.borrow()) {
            self.host.running(&self.name)?;
            return case::nothing_left(self.host, running);
        }
        self.down()?;
        self.nothing_left()
    }

    /// Whether it lingers.
    pub(crate) fn lingers(&self) -> Result<bool, Box<dyn Error>> {
        Ok(self.host.guest(&self.name)?.is_some_and(|guest| guest.state() == "lingering"))
    }

    /// Sees that nothing is left.
    pub(crate) fn nothing_left(&self) -> Verdict {
        case::nothing_left(self.host, &self.empty.borrow())
    }

    /// Does it, once what is left of the harmed one has done its own part: that is refused, and harms nothing.
    fn patiently(&self, words: &[&str]) -> Verdict {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.host.subhostctl(words)?;
            let is_busy = told.stderr.contains("another command is starting or stopping it")
                || told.stderr.contains("is running, with init");
            if told.code == 0 {
                return Ok(());
            }
            if !is_busy || Instant::now() >= deadline {
                return Err(format!("{words:?}: {told}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn up(&self) -> Verdict {
        if self.act.is_of_start() {
            self.host.done(&["start", &self.name, "--", "true"])?;
        } else {
            self.host.done(&["boot", "--detach", &self.name])?;
        }
        Ok(())
    }

    pub(crate) fn down(&self) -> Verdict {
        self.host.done(&["stop", &self.name])?;
        Ok(())
    }

    /// Notes what is wrong at a point, and makes the host as it was, for the next one.
    pub(crate) fn failed(&self, text: String) -> Verdict {
        eprintln!("{FIGURE}{text}");
        self.failures.borrow_mut().push(text);
        if self.failures.borrow().len() >= ENOUGH {
            return self.verdict();
        }
        self.running.take();
        let down = self.host.subhostctl(&["stop", &self.name])?;
        if self.nothing_left().is_err() {
            eprintln!("{FIGURE}  and then stop: {down}");
            self.host.subhostctl(&["stop", "--kill", &self.name])?;
            self.empty.replace(Snapshot::take(&self.host.scope())?);
        }
        Ok(())
    }

    /// What was wrong at all points.
    pub(crate) fn verdict(&self) -> Verdict {
        let failures = self.failures.take();
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
    }

    /// The end of the case.
    pub(crate) fn close(&self) -> Verdict {
        self.running.take();
        self.down()?;
        self.nothing_left()?;
        self.verdict()
    }
}

impl Act {
    fn is_of_start(self) -> bool {
        matches!(self, Self::Start | Self::StopLingering)
    }
}

/// A call that the command has made without harm.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) at: Point,
    pub(crate) name: String,
    /// By the loader of programs, or by the runtime before `main` or the body of a thread.
    pub(crate) starting: bool,
}

/// All calls, in order.
pub(crate) fn all_made(calls: &[Vec<i64>]) -> Vec<Made> {
    calls.iter().enumerate().flat_map(|(process, calls)| made(process, calls)).collect()
}

fn made(process: usize, calls: &[i64]) -> Vec<Made> {
    let names: Vec<_> = calls.iter().map(|number| name(*number)).collect();
    // One that was only forked has started before; a thread begins with one of these.
    let is_new =
        process == 0 || matches!(names.first().map(String::as_str), Some("rseq" | "set_robust_list"));
    // The runtime's last step is the stack for its handler of overflows, the second call about that.
    let mut stacks = if is_new { 0 } else { 2 };
    let mark = |(call, name): (usize, String)| {
        let starting = stacks < 2;
        match name.as_str() {
            "execve" => stacks = 0,
            "sigaltstack" => stacks += 1,
            _ => {}
        }
        Made { at: Point { process, call }, name, starting }
    };
    names.into_iter().enumerate().map(mark).collect()
}

/// Which part is done: that of `$SUBHOST_COMMIT`, or of the commit that is checked out.
pub(crate) fn change() -> usize {
    let commit = env::var("SUBHOST_COMMIT").ok().or_else(commit).unwrap_or_default();
    eprintln!("{FIGURE}SUBHOST_COMMIT={commit} repeats this part");
    // FNV-1a: any spread will do.
    let hash = commit
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    usize::try_from(hash >> 33).unwrap_or(0)
}

/// The hash of the commit that is checked out, if it is known.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"]);
    let said = git.output().ok().filter(|output| output.status.success())?.stdout;
    Some(String::from_utf8_lossy(&said).trim().to_owned())
}

/// How many points there were, and what became of them.
#[derive(Default)]
pub(crate) struct Count(BTreeMap<&'static str, usize>);

impl Count {
    pub(crate) fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn show(&self, act: Act, of: usize) {
        let parts: Vec<_> = self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        eprintln!("{FIGURE}{act:?}: of {of}: {}", parts.join(", "));
    }
}
