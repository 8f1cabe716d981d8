//! The names of a subhost: taken for a boot, put in place where a killed one did not get to it, and removed at the end.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use subhost_net::netns::{Netns, PinState, pinned_inode, unpin};

use crate::adopt;
use crate::control;
use crate::error::{Complaint, Context, Error};
use crate::events::Event;
use crate::layout::{Layout, Name};
use crate::linger::{self, Kept as Lingering};
use crate::lock::{Lock, held_by_another};
use crate::network::lift_limits;
use crate::observe::{State, state_of};
use crate::request::{Request, Root};
use crate::state::{self, DiskRecord, Record, forget, set_aside};

/// How long the disks of one that has ended are waited for, and how often they are looked at.
const GIVEN_BACK: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Takes the name, and sweeps what an ended subhost of that name left, unless that lingers and is to be entered again.
pub fn claim(request: &Request, layout: &Layout, held: Option<Lock>) -> Result<(Lock, Lingering), Error> {
    let name = &request.name;
    let mut lingering = None;
    let lock = match held {
        None => crate::lock::lock_name(layout, name).step(format!("lock the name {name}"))?,
        held => held,
    };
    if lock.is_none() && control::waits(layout, name) {
        return Err(Error::refused(
            Complaint::new(format!("subhost {name}: waits to be booted again"))
                .hint(format!("subhostctl stop {name} ends that")),
        ));
    }
    let Some(lock) = lock else {
        let who = held_by_another(layout, name);
        return Err(Error::refused(Complaint::new(format!("subhost {name}: {who}"))));
    };
    sweep_torn(layout, name)?;
    match state_of(layout, name).step(format!("read the record of {name}"))? {
        State::Stopped => {}
        State::Running(record) => {
            complete(layout, name, &record)?;
            return Err(Error::refused(is_running(name, &record)));
        }
        State::Lingering(record) if matches!(request.root, Root::Lingering(_)) => {
            // One that was killed did not get to that.
            set_aside(layout, name).step(format!("keep the record of {name}"))?;
            lingering = Some(*record);
        }
        State::Lingering(_) => {
            return Err(Error::refused(
                Complaint::new(format!("subhost {name}: lingers, as start has left it")).hint(format!(
                    "subhostctl start {name} enters it again, subhostctl stop {name} undoes it"
                )),
            ));
        }
        State::Stale(record) => {
            if adopt::is_wanted(&record) {
                Event::unseen_end(name, &record).note(layout);
            }
            sweep(layout, name, &record)?;
            await_disks(&record.disks);
        }
    }
    let lingering = match &request.root {
        Root::Lingering(tree) => Lingering::find(layout, tree, lingering)?,
        _ => Lingering::default(),
    };
    Ok((lock, lingering))
}

/// Says who has it, and how to get in.
fn is_running(name: &Name, record: &Record) -> Complaint {
    let by = match record.supervisor.is_alive() {
        true => format!(", by {} of process {}", record.command, record.supervisor.pid),
        false => String::new(),
    };
    Complaint::new(format!("subhost {name}: is running, with init {}{by}", record.init.pid))
        .hint(format!("subhostctl enter {name} gets a shell in it, subhostctl stop {name} ends it"))
}

/// Puts the names in place that a killed boot did not get to: a guest that runs is whole afterwards.
///
/// # Errors
/// Its netns cannot be opened or pinned.
pub fn complete(layout: &Layout, name: &Name, record: &Record) -> Result<(), Error> {
    let step = || format!("pin the network namespace of {name}");
    let there = pinned_inode(&layout.netns_dir, name.as_str()).step(step())?;
    if !record.pinned || matches!(there, Some(PinState::Netns { .. } | PinState::Foreign)) {
        return Ok(());
    }
    let file = match std::fs::File::open(format!("/proc/{}/ns/net", record.init.pid)) {
        // It is just ending, or has, and needs them no more.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound || !record.init.is_alive() => {
            return Ok(());
        }
        file => file.step(step())?,
    };
    let netns = Netns::from_fd(file.into()).step(step())?;
    // The number may have passed to another process meanwhile.
    if netns.inode() == record.netns_inode {
        pin(layout, name, &netns).step(step())?;
    }
    Ok(())
}

/// Pins a netns, over the empty file that a kill in the middle of that leaves. That it is pinned already is success.
pub fn pin(layout: &Layout, name: &Name, netns: &Netns) -> Result<(), subhost_net::Error> {
    let there = pinned_inode(&layout.netns_dir, name.as_str())?;
    if matches!(there, Some(PinState::Netns { inode }) if inode == netns.inode()) {
        return Ok(());
    }
    unpin(&layout.netns_dir, name.as_str(), netns.inode())?;
    netns.pin(&layout.netns_dir, name.as_str())?;
    Ok(())
}

/// Removes the names that an ended subhost left: the pin of its netns, then its record. To be called with the name locked.
///
/// # Errors
/// Something is not ours, or cannot be removed.
pub fn sweep(layout: &Layout, name: &Name, record: &Record) -> Result<(), Error> {
    match state::read(layout, name) {
        Ok(Some(current)) if current.init == record.init && current.netns_inode == record.netns_inode => {}
        // Swept already, or the names are those of a later subhost.
        Ok(_) => return Ok(()),
        Err(error) => return Err(Error::Left(vec![Complaint::new(format!("record of {name}: {error}"))])),
    }
    if !record.supervisor.is_of_this_boot() {
        return sweep_files(layout, name, Some(record));
    }
    let hidden = linger::take_off(record.lingers.as_ref().map_or(&[], |lingers| &lingers.mounts));
    let mut is_done = hidden.is_empty();
    let mut left = [hidden, take_back(layout, name, record)].concat();
    // Without the record, nobody would know what could not be taken off, and whose it is.
    is_done &= left.is_empty() || !may_be_pinned(layout, name, record);
    let removed = record.cgroup.open().and_then(|mut cgroup| cgroup.remove());
    if let Err(error) = removed {
        left.push(Complaint::new(error.to_string()));
    }
    if let Err(error) = control::remove(layout, name) {
        left.push(Complaint::new(format!("remove the control socket of {name}: {error}")));
    }
    if is_done && let Err(error) = forget(layout, name, Some(record)) {
        left.push(Complaint::new(format!("remove the record of {name}: {error}")));
    }
    if left.is_empty() { Ok(()) } else { Err(Error::Left(left)) }
}

/// Whether the netns of a record has its name still, as far as that can be seen.
fn may_be_pinned(layout: &Layout, name: &Name, record: &Record) -> bool {
    match pinned_inode(&layout.netns_dir, name.as_str()) {
        Ok(Some(PinState::Netns { inode })) => record.pinned && inode == record.netns_inode,
        // Or what the name was made of.
        Ok(Some(PinState::Leftover)) | Err(_) => record.pinned,
        Ok(_) => false,
    }
}

/// Removes what is left of one whose record a crash of the host has torn. True if there was one. To be called with the name
/// locked.
///
/// # Errors
/// Something has its netns, or cannot be removed.
pub fn sweep_torn(layout: &Layout, name: &Name) -> Result<bool, Error> {
    if !state::is_torn(layout, name) {
        return Ok(false);
    }
    let step = || format!("look at the network namespace of {name}");
    match pinned_inode(&layout.netns_dir, name.as_str()).step(step())? {
        Some(PinState::Leftover) | None => sweep_files(layout, name, None).map(|()| true),
        // It was no crash that has torn the record.
        Some(_) => Err(Error::refused(
            Complaint::new(format!("subhost {name}: its record is torn, and its network namespace is there"))
                .hint(format!(
                    "ip netns pids {name} tells what runs in it, ip netns delete {name} removes it"
                )),
        )),
    }
}

/// Removes what a crash of the host leaves where `/run` outlives it: files. All else has ended with it.
fn sweep_files(layout: &Layout, name: &Name, record: Option<&Record>) -> Result<(), Error> {
    let step = || format!("remove what a crash of the host has left of {name}");
    if pinned_inode(&layout.netns_dir, name.as_str()).step(step())? == Some(PinState::Leftover) {
        unpin(&layout.netns_dir, name.as_str(), 0).step(step())?;
    }
    control::remove(layout, name).step(step())?;
    forget(layout, name, record).step(step())
}

/// Takes the limits of the cables away, and the name of the netns. Returns what is left.
pub fn take_back(layout: &Layout, name: &Name, record: &Record) -> Vec<Complaint> {
    let mut left = lift_limits(&record.cables);
    if record.pinned
        && let Err(error) = unpin(&layout.netns_dir, name.as_str(), record.netns_inode)
    {
        left.push(Complaint::new(error.to_string()).hint("what is not ours is left alone"));
    }
    left
}

/// Leaves what lingers, and removes what does not. To be called with the name locked.
///
/// # Errors
/// The cgroup cannot be removed, as a process is in it, or the record not be set aside.
pub fn hibernate(layout: &Layout, name: &Name, record: &Record) -> Result<(), Error> {
    let step = || format!("leave {name}");
    if !matches!(state::read(layout, name).step(step())?, Some(current) if current.init == record.init) {
        // It was stopped meanwhile.
        return Ok(());
    }
    record.cgroup.open().and_then(|mut cgroup| cgroup.remove()).step(step())?;
    set_aside(layout, name).step(step())
}

/// Waits until the loop devices of a guest that has ended are free: the kernel gives a disk back a moment after the last process
/// that had it open. Not for long, as somebody else may have it open too: then it returns false.
pub fn await_disks(disks: &[DiskRecord]) -> bool {
    let is_attached = |disk: &DiskRecord| {
        let number = disk.loop_number.map(|number| format!("loop{number}"));
        number.is_some_and(|name| is_over(name.as_ref(), (disk.image_device, disk.image_inode)))
    };
    await_free(|| disks.iter().any(is_attached))
}

/// Waits in the same way until no loop device is over an image.
pub fn await_image(image: &Path) {
    let Ok(meta) = std::fs::metadata(image) else { return };
    let devices = || std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    await_free(|| devices().any(|device| is_over(&device.file_name(), (meta.dev(), meta.ino()))));
}

fn await_free(is_busy: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + GIVEN_BACK;
    while is_busy() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    true
}

/// True while the block device of that name is a loop device over the file with this device number and inode.
fn is_over(device: &OsStr, image: (u64, u64)) -> bool {
    // There as long as the device has a file.
    let file = Path::new("/sys/block").join(device).join("loop/backing_file");
    let Ok(mut path) = std::fs::read(file) else { return false };
    path.pop();
    let meta = std::fs::metadata(OsStr::from_bytes(&path));
    meta.is_ok_and(|meta| (meta.dev(), meta.ino()) == image)
}
