//! Who still holds a mount or a device: the mount namespaces that have it, and the processes that are in it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, statx};
use rustix::io::Errno;

use super::MountTable;
use super::kept::Kept;
use crate::{Error, Result, error};

/// From how many root directories a namespace is looked at. The first process in it mostly sees all, and a guest must not
/// make us read its table once for each of its processes.
const MAX_ROOTS: usize = 8;

/// A process, or a thread that has a mount namespace of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its number, as `/proc` has it.
    pub pid: u32,
    /// Its name.
    pub comm: String,
}

/// A mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountNamespace {
    /// The inode of the namespace, as in `mnt:[4026531841]`.
    pub inode: u64,
    /// Its mounts, as the member sees them whose root shows the most.
    pub table: MountTable,
    /// Who is in it; nobody, where it is kept by a file that is open, or bound on the host.
    pub members: Vec<Process>,
}

/// How a process keeps a mount busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum How {
    /// Its root directory is there.
    Root,
    /// Its working directory is there.
    Cwd,
    /// The program that it runs is there.
    Program,
    /// It maps a file that is there, such as a library.
    Map,
    /// It has something open that is there, under this number.
    Fd(u32),
}

/// One thing that one process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The process.
    pub pid: u32,
    /// How.
    pub how: How,
    /// The id of the mount, which may also be one that is attached nowhere.
    pub mount: u32,
    /// The device of the file system, as `st_dev` has it.
    pub device: u64,
    /// Which block device it is, if it is one.
    pub block_device: Option<u64>,
}

/// All processes with their mount namespaces and what they hold, looked at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// The mount namespaces, by inode.
    pub namespaces: Vec<MountNamespace>,
    /// What the processes hold.
    pub uses: Vec<Use>,
    /// The names of all that were seen.
    pub names: BTreeMap<u32, String>,
    /// How many processes were not ours to look at; root sees all of its PID namespace.
    pub unseen: usize,
}

/// Who holds a mount or a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// The namespaces that have it mounted.
    pub namespaces: Vec<HoldingNamespace>,
    /// The processes that use it.
    pub processes: Vec<HoldingProcess>,
}

/// A namespace in which something is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingNamespace {
    /// Its inode.
    pub inode: u64,
    /// Where, seen from inside.
    pub mounted_at: Vec<PathBuf>,
    /// Who is in it.
    pub members: Vec<Process>,
}

/// A process that uses something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingProcess {
    /// The process.
    pub process: Process,
    /// How.
    pub how: Vec<How>,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, error::shown(Path::new(&self.comm)))
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Root => f.write_str("root"),
            How::Cwd => f.write_str("cwd"),
            How::Program => f.write_str("exe"),
            How::Map => f.write_str("map"),
            How::Fd(number) => write!(f, "fd {number}"),
        }
    }
}

impl Census {
    /// Looks at all of `/proc`. The mounts of a namespace are read once, or a few
    /// times where its processes have other root directories. What ends
    /// meanwhile is left out. No file system is asked for anything, so that one that hangs does not matter.
    ///
    /// A namespace that nobody is in is not seen if only another namespace keeps it, by a file that is bound there.
    ///
    /// # Errors
    /// [`Error::System`] when `/proc` cannot be listed.
    pub fn take() -> Result<Census> {
        let failed = |source| Error::system("list", "/proc", source);
        let namespace_device = look("/proc/self/ns/mnt").map_or(0, |found| found.device);
        let mut looking = Looking { namespace_device, ..Looking::default() };
        for entry in fs::read_dir("/proc").map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that has ended meanwhile holds nothing any more.
            if let Err(errno) = looking.process(pid)
                && matches!(errno, Errno::ACCESS | Errno::PERM)
            {
                looking.unseen += 1;
            }
        }
        Ok(looking.finish())
    }

    /// Who holds the mount of that id: the processes that are in it, and the namespaces that have it or a copy of it.
    #[must_use]
    pub fn of_mount(&self, id: u32) -> Holders {
        let mut all = self.namespaces.iter().flat_map(|namespace| &namespace.table.entries);
        let what = all.find(|entry| entry.id == id).map(|entry| (entry.device, entry.root.clone()));
        Holders {
            namespaces: self.namespaces_with(|table| {
                let same = table.entries.iter().filter(|entry| {
                    entry.id == id
                        || what.as_ref().is_some_and(|(d, r)| entry.device == *d && entry.root == *r)
                });
                same.map(|entry| entry.mount_point.clone()).collect()
            }),
            processes: self.processes_with(|one| one.mount == id),
        }
    }

    /// Who holds the block device of that number, as `st_rdev` has it: the namespaces in which it is mounted, and the
    /// processes that have it or something on it open, also by a mount that is attached nowhere.
    #[must_use]
    pub fn of_device(&self, device: u64) -> Holders {
        let tables = self.namespaces.iter().map(|namespace| &namespace.table);
        // Some file systems show their files under another device than the one that they are on.
        let mounts: HashSet<u32> =
            tables.flat_map(|table| table.of_device(device)).map(|entry| entry.id).collect();
        Holders {
            namespaces: self.namespaces_with(|table| {
                table.of_device(device).map(|entry| entry.mount_point.clone()).collect()
            }),
            processes: self.processes_with(|one| {
                one.device == device || one.block_device == Some(device) || mounts.contains(&one.mount)
            }),
        }
    }

    fn namespaces_with(&self, places: impl Fn(&MountTable) -> Vec<PathBuf>) -> Vec<HoldingNamespace> {
        let holding = |namespace: &MountNamespace| {
            let mounted_at = places(&namespace.table);
            (!mounted_at.is_empty()).then(|| HoldingNamespace {
                inode: namespace.inode,
                mounted_at,
                members: namespace.members.clone(),
            })
        };
        self.namespaces.iter().filter_map(holding).collect()
    }

    fn processes_with(&self, wanted: impl Fn(&Use) -> bool) -> Vec<HoldingProcess> {
        let mut found: BTreeMap<u32, Vec<How>> = BTreeMap::new();
        for one in self.uses.iter().filter(|one| wanted(one)) {
            found.entry(one.pid).or_default().push(one.how);
        }
        let holding = |(pid, how)| {
            let comm = self.names.get(&pid).cloned().unwrap_or_default();
            HoldingProcess { process: Process { pid, comm }, how }
        };
        found.into_iter().map(holding).collect()
    }
}

#[derive(Default)]
struct Looking {
    namespaces: BTreeMap<u64, MountNamespace>,
    /// Of each namespace the mounts and inodes of root directories: what is below them has been read.
    roots: HashMap<u64, HashSet<(u32, u64)>>,
    uses: Vec<Use>,
    names: BTreeMap<u32, String>,
    unseen: usize,
    /// What namespaces are on, and those that files keep.
    namespace_device: u64,
    kept: Kept,
}

impl Looking {
    fn process(&mut self, pid: u32) -> Result<(), Errno> {
        let namespace = self.task(pid, &format!("/proc/{pid}"))?;
        // Threads share all of it, if they have not left the namespace.
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Ok(()) };
        for task in tasks.flatten() {
            let Some(tid) = task.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let directory = format!("/proc/{pid}/task/{tid}");
            if tid != pid && look(&format!("{directory}/ns/mnt")).is_ok_and(|found| found.inode != namespace)
            {
                // It may have ended.
                let _ = self.task(tid, &directory);
            }
        }
        Ok(())
    }

    /// Looks at one process or thread, and tells its namespace.
    fn task(&mut self, pid: u32, directory: &str) -> Result<u64, Errno> {
        let inode = look(&format!("{directory}/ns/mnt"))?.inode;
        let root = look(&format!("{directory}/root"))?;
        let comm = fs::read(format!("{directory}/comm")).unwrap_or_default();
        let comm = String::from_utf8_lossy(comm.trim_ascii_end()).into_owned();
        let roots = self.roots.entry(inode).or_default();
        if roots.len() < MAX_ROOTS && !roots.contains(&(root.mount, root.inode)) {
            let table = MountTable::read_file(Path::new(&format!("{directory}/mountinfo")));
            // If the process has ended, another one in the namespace tells.
            let table = table.map_err(|error| match error.raw_os_error() {
                Some(libc::ENOENT | libc::ESRCH | libc::EINVAL) => Errno::SRCH,
                _ => Errno::ACCESS,
            })?;
            roots.insert((root.mount, root.inode));
            match self.namespaces.get_mut(&inode) {
                Some(known) if known.table.entries.len() >= table.entries.len() => {}
                Some(known) => known.table = table,
                None => {
                    self.namespaces.insert(inode, MountNamespace { inode, table, members: Vec::new() });
                }
            }
        }
        if let Some(namespace) = self.namespaces.get_mut(&inode) {
            namespace.members.push(Process { pid, comm: comm.clone() });
        }
        self.names.insert(pid, comm);
        let mut add = |how, found: Found| self.uses.extend(found.into_use(pid, how));
        add(How::Root, root);
        for (name, how) in [("cwd", How::Cwd), ("exe", How::Program)] {
            if let Ok(found) = look(&format!("{directory}/{name}")) {
                add(how, found);
            }
        }
        let mut maps: HashMap<(u32, u64), Found> = HashMap::new();
        for found in links(&format!("{directory}/map_files")).map(|(_, found)| found) {
            maps.insert((found.mount, found.device), found);
        }
        maps.into_values().for_each(|found| add(How::Map, found));
        for (name, found) in links(&format!("{directory}/fd")) {
            if found.device == self.namespace_device {
                self.kept.add_open(Path::new(&format!("{directory}/fd/{name}")));
            }
            if let Ok(number) = name.parse() {
                add(How::Fd(number), found);
            }
        }
        Ok(inode)
    }

    fn finish(mut self) -> Census {
        self.uses.sort_by_key(|one| (one.pid, one.how));
        for namespace in self.namespaces.values_mut() {
            namespace.members.sort_by_key(|process| process.pid);
        }
        for (inode, table) in self.kept.tables(|inode| self.namespaces.contains_key(&inode)) {
            self.namespaces.insert(inode, MountNamespace { inode, table, members: Vec::new() });
        }
        Census {
            namespaces: self.namespaces.into_values().collect(),
            uses: self.uses,
            names: self.names,
            unseen: self.unseen,
        }
    }
}

/// What a link in `/proc` leads to.
struct Found {
    mount: u32,
    inode: u64,
    device: u64,
    kind: FileType,
    block_device: Option<u64>,
}

impl Found {
    /// `None` for pipes, sockets and the like, which are on no mount.
    fn into_use(self, pid: u32, how: How) -> Option<Use> {
        let is_on_mount = !matches!(self.kind, FileType::Unknown | FileType::Socket);
        let Found { mount, device, block_device, .. } = self;
        is_on_mount.then_some(Use { pid, how, mount, device, block_device })
    }
}

fn look(path: &str) -> Result<Found, Errno> {
    // What is known already is enough, and asks no server of FUSE or NFS.
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = statx(CWD, path, flags, StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID)?;
    let kind = FileType::from_raw_mode(stat.stx_mode.into());
    Ok(Found {
        mount: u32::try_from(stat.stx_mnt_id).unwrap_or(0),
        inode: stat.stx_ino,
        device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        kind,
        block_device: (kind == FileType::BlockDevice)
            .then(|| rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor)),
    })
}

/// The links in a directory of `/proc`, with what each leads to; those that cannot be followed are left out.
fn links(directory: &str) -> impl Iterator<Item = (String, Found)> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let found = look(entry.path().to_str()?).ok()?;
        Some((entry.file_name().into_string().ok()?, found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_seen_with_what_we_hold() {
        let directory = tempfile::tempdir().unwrap();
        let file = fs::File::create(directory.path().join("file")).unwrap();
        let census = Census::take().unwrap();
        let own = std::process::id();
        let namespace = census.namespaces.iter().find(|one| one.members.iter().any(|it| it.pid == own));
        let root = namespace.unwrap().table.at(Path::new("/")).last().unwrap();
        let holders = census.of_mount(root.id);
        let holding = holders.processes.iter().find(|one| one.process.pid == own).unwrap();
        assert!(holding.how.contains(&How::Root), "{holding:?}");
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let number = How::Fd(u32::try_from(number).unwrap());
        assert!(census.uses.iter().any(|one| one.pid == own && one.how == number));
        assert!(holders.namespaces.iter().any(|one| one.mounted_at.contains(&"/".into())));
    }

    #[test]
    fn a_process_is_named_without_what_a_terminal_acts_on() {
        let process = Process { pid: 7, comm: "a\u{1b}b".to_owned() };
        assert_eq!(process.to_string(), "7 (a\\u{1b}b)");
    }
}
