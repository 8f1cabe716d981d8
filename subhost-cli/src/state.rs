//! The record of a running subhost: what the next command needs to find and prove what is ours.
//!
//! A record is evidence, not truth: whether the subhost runs is asked from the kernel each time, by the
//! identity of its init. Publishing a record is the commit point of a boot (see [`Draft`]).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};
use subhost_init::cgroup::PARENT;
use subhost_init::process::ProcessIdentity;

use crate::cgroup::CgroupRecord;
use crate::handover::Policy;
use crate::idindex;
use crate::isolation::Isolation;
use crate::layout::{Layout, Name};
use crate::linger::Lingers;
use crate::lock::make_private_dir;
use crate::origin::Origin;
use crate::tree::{LIVE, MNT};

/// Largest record that is read, in bytes.
const RECORD_MAX_BYTES: u64 = 1 << 20;

/// Version of the record's format; another one is not read.
pub const RECORD_VERSION: u32 = 2;

/// What a crash of the host leaves of a record where `/run` outlives it: in any other way each gets its name when it is whole.
#[derive(Debug, thiserror::Error)]
#[error("is torn, as by a crash of the host ({0}); subhostctl stop removes it")]
struct Torn(serde_json::Error);

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Number in the host's PID namespace.
    pub pid: u32,
    /// Start time, in clock ticks since boot.
    pub start_time: u64,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Inode of its PID namespace.
    pub pid_namespace: u64,
}

/// A cable, as made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CableRecord {
    /// Host end.
    pub host: String,
    /// Interface index of the host end.
    pub host_ifindex: u32,
    /// Guest end.
    pub guest: String,
    /// MAC address of the guest end.
    pub mac: String,
    /// Bridge of the host end.
    pub bridge: Option<String>,
    /// True if the bridge keeps it from other isolated ports, and takes frames from its own MAC address only.
    #[serde(default)]
    pub isolated: bool,
    /// True if its rate is limited, by a link that does not go with it.
    #[serde(default)]
    pub limited: bool,
    /// True if its addresses are, by a table of nftables that does not go with it.
    #[serde(default)]
    pub guarded: bool,
}

/// A disk, as attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRecord {
    /// Device name in the guest, such as `vda1`.
    pub node: String,
    /// Image on the host, to be shown; device and inode tell which it is.
    #[serde(serialize_with = "crate::json::path")]
    pub image: PathBuf,
    /// Partition index; 0 is the whole image.
    pub partition: u32,
    /// Device number of the image's file system.
    pub image_device: u64,
    /// Inode of the image.
    pub image_inode: u64,
    /// Loop device number; none where the image is a block device that is mounted itself.
    pub loop_number: Option<u32>,
}

/// Everything that later commands need of a running subhost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// Name of the subhost.
    pub name: String,
    /// The command that made it: `boot`, `run` or `start`.
    pub command: String,
    /// PID 1 of the subhost.
    pub init: Process,
    /// Program of PID 1: `subhost-init`, or a path in the guest.
    pub init_program: String,
    /// The supervising `subhostctl`.
    pub supervisor: Process,
    /// First host id of the range.
    pub first_id: u32,
    /// Number of ids.
    pub id_count: u32,
    /// Inode of the network namespace.
    pub netns_inode: u64,
    /// True if the netns is pinned under the subhost's name.
    pub pinned: bool,
    /// Its cgroup.
    #[serde(default)]
    pub cgroup: CgroupRecord,
    /// Cables, in order.
    pub cables: Vec<CableRecord>,
    /// Disks, in order; the first holds the root file system.
    pub disks: Vec<DiskRecord>,
    /// How far it is kept apart: what enters it is bound by the same.
    pub isolation: Isolation,
    /// Longest orderly stop, in milliseconds.
    pub stop_timeout_ms: u64,
    /// Those that were to be booted before it.
    #[serde(default)]
    pub after: Vec<String>,
    /// How it was booted, if it can be booted again by itself.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// False if its console is lost, as its supervisor was replaced and its init could not give it back.
    #[serde(default)]
    pub console: bool,
    /// What its supervisor is to do.
    #[serde(default)]
    pub policy: Policy,
    /// Seconds since 1970 when it was committed.
    pub started: u64,
    /// What of it stays when its processes have ended.
    #[serde(default)]
    pub lingers: Option<Lingers>,
}

impl Process {
    /// The identity of a process that is there now.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of(pid: u32) -> Result<Process, subhost_init::Error> {
        let identity = ProcessIdentity::of(pid)?;
        Ok(Process {
            pid: identity.pid,
            start_time: identity.start_time_ticks,
            boot_id: identity.boot_id,
            pid_namespace: identity.pidns_inode,
        })
    }

    /// The identity of this process. It is asked for with each record.
    ///
    /// # Errors
    /// `/proc` does not tell.
    pub fn own() -> Result<&'static Process, subhost_init::Error> {
        static OWN: OnceLock<Process> = OnceLock::new();
        match OWN.get() {
            Some(own) => Ok(own),
            None => Process::of(std::process::id()).map(|own| OWN.get_or_init(|| own)),
        }
    }

    /// The identity in the form that opens the process.
    pub fn identity(&self) -> ProcessIdentity {
        ProcessIdentity {
            pid: self.pid,
            start_time_ticks: self.start_time,
            boot_id: self.boot_id.clone(),
            pidns_inode: self.pid_namespace,
        }
    }

    /// True unless it was there only before this host was booted: of what another boot had nothing is there, and its numbers mean
    /// others. Where that cannot be told it is of this one.
    pub fn is_of_this_boot(&self) -> bool {
        Process::own().map_or(true, |own| own.boot_id == self.boot_id)
    }

    /// True while that very process lives.
    pub fn is_alive(&self) -> bool {
        matches!(self.identity().open(), Ok(Some(_)))
    }
}

/// A record that nobody can see yet.
///
/// The launch child inherits its fd and takes "has a name" for "go on", so the one `linkat` of [`publish`]
/// is the commit point: killed before it, nothing at all is left; killed after it, the subhost runs and is found.
///
/// [`publish`]: Draft::publish
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    /// Opens an unnamed file beside the records.
    ///
    /// # Errors
    /// The directory of records cannot be made.
    pub fn new(layout: &Layout, name: &Name) -> io::Result<Draft> {
        make_private_dir(&layout.run_dir)?;
        let dir = layout.records();
        make_private_dir(&dir)?;
        make_private_dir(&layout.ids())?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(&dir, flags, Mode::from_raw_mode(0o600))?;
        Ok(Draft { file: file.into(), path: layout.record(name) })
    }

    /// The fd for the launch child.
    ///
    /// # Errors
    /// No fd is left.
    pub fn commit_fd(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    /// Writes the record and gives it its name, in one step for others.
    ///
    /// # Errors
    /// A record of that name is there, or it cannot be written.
    pub fn publish(mut self, layout: &Layout, record: &Record) -> io::Result<()> {
        self.file.write_all(&serde_json::to_vec(record)?)?;
        rustix::fs::linkat(&self.file, "", CWD, &self.path, AtFlags::EMPTY_PATH)?;
        idindex::add(layout, &self.file, record);
        Ok(())
    }
}

/// Puts a record in the place of the one that is there, in one step for others. To be called with the name locked.
///
/// # Errors
/// It cannot be written.
pub fn replace(layout: &Layout, name: &Name, record: &Record) -> io::Result<()> {
    let next = next_record(layout, name);
    remove_file(&next)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    std::fs::rename(&next, layout.record(name))?;
    idindex::add(layout, &file, record);
    Ok(())
}

/// What [`replace`] has under way; no name of a subhost begins with a dot.
fn next_record(layout: &Layout, name: &Name) -> PathBuf {
    layout.records().join(format!(".{name}"))
}

/// Whether PID 1 still holds the record of its launch, in which it looks whether it is to go on.
pub fn is_looked_at(layout: &Layout, name: &Name, record: &Record) -> bool {
    let Ok(own) = std::fs::metadata(layout.record(name)) else { return false };
    let directory = std::fs::read_dir(format!("/proc/{}/fd", record.init.pid));
    let mut open =
        directory.into_iter().flatten().filter_map(|entry| std::fs::metadata(entry.ok()?.path()).ok());
    open.any(|file| (file.dev(), file.ino()) == (own.dev(), own.ino()))
}

/// Reads the record of a name, of one that has ended where none runs; `None` when there is none.
///
/// # Errors
/// It cannot be read, is not a file of root alone, or has another format.
pub fn read(layout: &Layout, name: &Name) -> io::Result<Option<Record>> {
    match read_file(&layout.record(name), name)? {
        None => read_file(&layout.lingering_record(name), name),
        record => Ok(record),
    }
}

/// Whether a crash of the host has torn the record of a name.
pub fn is_torn(layout: &Layout, name: &Name) -> bool {
    read(layout, name).is_err_and(|error| error.get_ref().is_some_and(|error| error.is::<Torn>()))
}

/// Reads a record in this place; `None` when there is none.
///
/// # Errors
/// As [`read`].
pub fn read_file(path: &Path, name: &Name) -> io::Result<Option<Record>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        other => File::from(other?),
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != 0 || meta.mode() & 0o022 != 0 {
        return Err(io::Error::other("is not a file that only root may write"));
    }
    // One that is there is never written to again.
    let len = meta.len().min(RECORD_MAX_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.take(len).read_to_end(&mut bytes)?;
    parse(&bytes, name).map(Some)
}

/// The record of a name in the bytes of a file.
///
/// # Errors
/// It is none, or that of another name, has another format, or says what none of ours does.
pub fn parse(bytes: &[u8], name: &Name) -> io::Result<Record> {
    let record: Record = serde_json::from_slice(bytes).map_err(|error| {
        let is_torn = error.is_eof() || error.is_syntax();
        if is_torn { io::Error::new(io::ErrorKind::InvalidData, Torn(error)) } else { error.into() }
    })?;
    if record.version != RECORD_VERSION || record.name != name.as_str() {
        return Err(io::Error::other("is of another version or another name"));
    }
    match record.is_impossible() {
        Some(reason) => Err(io::Error::other(reason)),
        None => Ok(record),
    }
}

impl Record {
    /// What it says that no record of ours does: who believed it would end, unmount or remove what is not a subhost's.
    fn is_impossible(&self) -> Option<&'static str> {
        if self.init.pid_namespace == self.supervisor.pid_namespace {
            return Some("names a process of the host as PID 1");
        }
        let in_parent = |path: &Path| path.parent().is_some_and(|parent| parent.ends_with(PARENT));
        let is_named = |path: &Path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(self.name.as_bytes()))
        };
        if self.cgroup.directories.iter().any(|it| !in_parent(&it.path) || !is_named(&it.path)) {
            return Some("names a cgroup that is not a subhost's");
        }
        let is_ours = |place: &Path| place.ends_with(LIVE) || place.ends_with(MNT);
        if self.lingers.iter().flat_map(|it| &it.mounts).any(|it| !is_ours(&it.place)) {
            return Some("names a mount that is not a subhost's");
        }
        None
    }
}

/// Removes a record, which is that of a name that runs; that it is gone already is success.
///
/// # Errors
/// It cannot be removed.
pub fn remove(layout: &Layout, name: &Name, record: &Record) -> io::Result<()> {
    remove_file(&next_record(layout, name))?;
    // Its last name goes last: a record that has any is a commitment.
    idindex::remove(layout, record)?;
    remove_file(&layout.record(name))
}

/// Removes all that is recorded of a name, in a record that may be torn; that it is gone already is success.
///
/// # Errors
/// It cannot be removed.
pub fn forget(layout: &Layout, name: &Name, record: Option<&Record>) -> io::Result<()> {
    match record {
        Some(record) => remove(layout, name, record)?,
        None => remove_file(&layout.record(name))?,
    }
    remove_file(&layout.lingering_record(name))
}

/// Makes the record of one that has ended that of one that lingers, so that the next run can have its own. That it is one
/// already is success.
///
/// # Errors
/// It cannot be moved.
pub fn set_aside(layout: &Layout, name: &Name) -> io::Result<()> {
    make_private_dir(&layout.lingering_records())?;
    unless_gone(std::fs::rename(layout.record(name), layout.lingering_record(name)))
}

/// Removes a file; that it is gone already is success.
///
/// # Errors
/// It cannot be removed.
pub fn remove_file(path: &Path) -> io::Result<()> {
    unless_gone(std::fs::remove_file(path))
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The names that have a record, also of one that lingers, in order.
///
/// # Errors
/// The directories cannot be read; that one is missing is an empty list.
pub fn recorded(layout: &Layout) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for directory in [layout.records(), layout.lingering_records()] {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            if let Some(name) = entry?.file_name().to_str().and_then(|text| text.parse().ok()) {
                names.push(name);
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}
