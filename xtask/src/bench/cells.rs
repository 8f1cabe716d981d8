//! What is started, and in which ways.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use subhost_tests::host::Host;

use super::Cell;
use super::peers::{self, Source};
use super::report::Table;
use super::rounds::{Way, call, interleave};
use crate::Outcome;
use crate::floor::{self, Floor, Root, TRUE};

pub(super) const BRIDGE: &str = "br0";
/// The first row, which the others are compared with.
pub(super) const RAW: &str = "raw system calls, namespaces alone";
/// The second, likewise.
pub(super) const RAW_ISOLATED: &str = "raw system calls, isolated";
/// How long the kernel may take to free what has ended.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// What the cells are measured with.
pub(super) struct Place<'a> {
    pub(super) host: &'a Host,
    pub(super) tree: PathBuf,
    pub(super) image: PathBuf,
    pub(super) program: PathBuf,
}

/// `/bin/true` from start to end.
pub(super) fn started(cell: Cell, place: &Place<'_>, rounds: usize) -> Outcome<Table> {
    let cables = match cell {
        Cell::C => 1,
        Cell::E => 16,
        _ => 0,
    };
    let (title, options, source) = match cell {
        Cell::B => ("b: a directory below a layer in memory", ["--overlay"], Source::Overlay(&place.tree)),
        Cell::D => ("d: a raw image, MBR and ext4", ["--disk"], Source::Image(&place.image)),
        Cell::C => ("c: a directory and one cable", ["--root"], Source::Tree(&place.tree)),
        Cell::E => ("e: a directory and 16 cables", ["--root"], Source::Tree(&place.tree)),
        _ => ("a: a directory", ["--root"], Source::Tree(&place.tree)),
    };
    let macs: Vec<[u8; 6]> = (1..=cables).map(|index| [0x06, 0xa7, 0xdd, 0xb4, 0xbe, index]).collect();
    let bridge = floor::index_of(BRIDGE)?;
    let true_program = place.tree.join("bin/busybox");
    let mut ways = Vec::new();
    for (name, isolated) in [(RAW, false), (RAW_ISOLATED, true)] {
        let floor = Floor { root: source.root()?, bridge, macs: macs.clone(), isolated, payload: TRUE };
        let true_program = true_program.clone();
        ways.push(Way::new(name, move || {
            // All others are programs that have to be started.
            call(Command::new(&true_program).arg("true"))?;
            floor.round()
        }));
    }
    let mut args: Vec<String> = vec!["run".into(), options[0].into(), source.argument()];
    for mac in &macs {
        args.extend(["--cable".to_owned(), format!("{BRIDGE}={}", written(mac))]);
    }
    let command = |more: &[&str]| {
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        place.host.command(&args)
    };
    ways.push(Way::commands("subhostctl run", vec![command(&["--", "/bin/true"])]));
    let mut notes = Vec::new();
    let help = place.host.done(&["run", "--help"])?;
    if help.contains("--as-init") {
        let as_init = command(&["--as-init", "--", "/bin/true"]);
        ways.push(Way::commands("subhostctl run --as-init", vec![as_init]));
    } else {
        notes.push("SKIP subhostctl run --as-init: this program has no such option".to_owned());
    }
    peers::add(&mut ways, &mut notes, &source, &macs, place)?;
    let rows = interleave(rounds, ways, host_ends_gone)?;
    Ok(Table { title: title.to_owned(), rows, notes })
}

/// Looks at a configuration as people write it.
pub(super) fn check(place: &Place<'_>, rounds: usize) -> Outcome<Table> {
    let name = place.host.name("check");
    let text = format!(
        "# web server\nNET=homenet\nDISK={}\nDISKS=( vda:1:$DISK )\nBRIDGES=( {BRIDGE}:06:a7:dd:b4:02:f2 )\n\
         HOSTNAME=web1\nMEMORY=512M\nif [ -n \"$NET\" ]; then TASKS=500; fi\n",
        place.image.display()
    );
    place.host.config(&name, &text)?;
    let ways = vec![
        Way::commands(
            "/bin/true of busybox",
            vec![{
                let mut command = Command::new(place.tree.join("bin/busybox"));
                command.arg("true");
                command
            }],
        ),
        Way::commands("subhostctl check", vec![place.host.command(&["check", &name])]),
    ];
    let rows = interleave(rounds, ways, || Ok(()))?;
    Ok(Table { title: "check: a configuration with one disk".to_owned(), rows, notes: Vec::new() })
}

/// Waits until no cable is left on the bridge.
fn host_ends_gone() -> Outcome {
    let deadline = Instant::now() + CLEAN_UP;
    while subhost_tests::wire::links()?.iter().any(|link| link["master"] == BRIDGE) {
        if Instant::now() > deadline {
            return Err(format!("{BRIDGE} still has ports").into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A MAC address as people write it.
pub(super) fn written(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

impl Source<'_> {
    fn root(&self) -> Outcome<Root> {
        let text = CString::new(self.path().as_os_str().as_bytes())?;
        Ok(match self {
            Source::Tree(_) => Root::Tree(text),
            Source::Overlay(_) => Root::Overlay(text),
            Source::Image(_) => Root::Image(text),
        })
    }

    /// What the program's option takes.
    fn argument(&self) -> String {
        match self {
            Source::Image(path) => format!("vda:1:{}", path.display()),
            other => other.path().display().to_string(),
        }
    }
}
