//! The floor: what the kernel alone needs for an image, a network namespace, one cable, and a program that ends.
//!
//! These are the calls that no implementation can do without, made in one process with no checks, no records and no
//! user namespace. The demo holds the program against them, in the same run on the same machine.

mod link;
mod sys;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};
use subhost_tests::case::CLEAN_UP;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::Outcome;

const MIB: u64 = 1 << 20;

/// Medians of rounds that took turns.
pub(crate) struct Comparison {
    pub(crate) rounds: usize,
    pub(crate) floor: Duration,
    pub(crate) program: Duration,
}

/// Runs `/bin/true` of the small guest's MBR image by raw calls and by the program, in turns.
pub(crate) fn compare(
    host: &Host,
    image: &Path,
    bridge: &str,
    mac: [u8; 6],
    rounds: usize,
) -> Outcome<Comparison> {
    let index = subhost_tests::wire::link(bridge)?.and_then(|link| link["ifindex"].as_u64());
    let floor = Floor {
        image: CString::new(image.as_os_str().as_bytes())?,
        bridge: index.and_then(|index| u32::try_from(index).ok()).ok_or("no such bridge")?,
        mac,
    };
    let disk = format!("vda:1:{}", image.display());
    let cable = format!("{bridge}={}", mac.map(|byte| format!("{byte:02x}")).join(":"));
    let args = ["run", "--disk", &disk, "--cable", &cable, "--", "/bin/true"];
    let before = Snapshot::take(&host.scope())?;
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let took = [floor.round()?, program(host, &before, &args)?];
        settled(host, &before)?;
        // The first round fills the caches.
        if round > 0 {
            raw.push(took[0]);
            ours.push(took[1]);
        }
    }
    Ok(Comparison { rounds, floor: median(raw), program: median(ours) })
}

fn program(host: &Host, before: &Snapshot, args: &[&str]) -> Outcome<Duration> {
    settled(host, before)?;
    let started = Instant::now();
    let status = host.command(args).status()?;
    let took = started.elapsed();
    if status.success() { Ok(took) } else { Err(format!("subhostctl {}: {status}", args.join(" ")).into()) }
}

/// The clean-up of the round before is not charged to the next, and each finds the kernel at rest, as a host is when
/// something is started on it: right after another start everything is faster.
fn settled(host: &Host, before: &Snapshot) -> Outcome {
    let difference = before.settle(&host.scope(), CLEAN_UP)?;
    if !difference.is_empty() {
        return Err(difference.to_string().into());
    }
    thread::sleep(Duration::from_millis(80));
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

struct Floor {
    image: CString,
    bridge: u32,
    mac: [u8; 6],
}

impl Floor {
    /// One start and end. The host end of the cable is left to the kernel, as it dies with the network namespace.
    fn round(&self) -> Outcome<Duration> {
        let started = Instant::now();
        let file = open(&self.image, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let (device, path) = sys::loop_attach(&file, MIB, 8 * MIB)?;
        drop(file);
        let fs = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&fs, "source", &path)?;
        fsconfig_create(&fs)?;
        let root = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        drop((fs, device));
        let netlink = link::socket()?;
        let message = link::cable(self.bridge, "floor0", "eth0", self.mac);
        let child = sys::Child { root: &root, netlink: &netlink, cable: &message };
        let status = child.run()?;
        drop(root);
        let took = started.elapsed();
        if status == 0 {
            Ok(took)
        } else {
            Err(format!("the raw system calls stopped at step {status}").into())
        }
    }
}
