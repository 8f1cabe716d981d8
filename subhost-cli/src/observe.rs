//! What is there: images and their tables, links and bridges, and the subhosts that run.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use subhost_config::schema::{DiskSpec, PartitionChoice};
use subhost_mount::fstype::{Superblock, probe};
use subhost_mount::image::{Access, Holder, Image};
use subhost_mount::partition::{ByteRange, Selected, Selector};
use subhost_net::name::host_end;
use subhost_net::netns::{PinState, pinned_inode};

use crate::cgroup;
use crate::error::Complaint;
use crate::layout::{Layout, Name};
use crate::request::{Request, Root};
use crate::state::{self, Process, Record};

/// How images are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To look: read-only, without a lock, without privileges where the files are readable.
    Look,
    /// To read: locked beside other readers.
    Read,
    /// To use: writable, locked for as long as anything of it is mounted.
    Use,
}

/// An image, opened once for all that is done with it.
#[derive(Debug)]
pub struct ObservedImage {
    /// As the configuration names it.
    pub path: PathBuf,
    /// The open image.
    pub image: Image,
}

/// A disk that was found.
#[derive(Debug)]
pub struct ObservedDisk {
    /// Index into [`Observed::images`].
    pub image: usize,
    /// The number of its partition; 0 is the whole image.
    pub partition: u32,
    /// Its bytes in the image.
    pub range: ByteRange,
    /// Its file system, where one is recognised.
    pub superblock: Option<Superblock>,
}

/// What a bind is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindSource {
    /// Device and inode number.
    pub id: (u64, u64),
    /// Whether it is a directory, and not a file.
    pub is_directory: bool,
}

/// What was found for one request.
#[derive(Debug)]
pub struct Observed {
    /// Images, each once.
    pub images: Vec<ObservedImage>,
    /// Disks in the order of the request; `None` where a complaint tells why.
    pub disks: Vec<Option<ObservedDisk>>,
    /// What the binds of the request are of, in order; `None` where a complaint tells why.
    pub binds: Vec<Option<BindSource>>,
    /// Links of the host's network namespace: those that the cables of the request need or must not find.
    links: subhost_net::observe::Observed,
    /// Records of subhosts that run or linger; `None` where only root can read them. They are as many as there are subhosts,
    /// and rarely asked for.
    running: OnceCell<Option<Vec<Record>>>,
    layout: Layout,
    purpose: Purpose,
    /// Hierarchies of cgroups, and devices.
    pub cgroup: cgroup::Found,
    /// This machine's id, from which stable MAC addresses are made.
    pub machine_id: Vec<u8>,
    /// What is wrong with what was found.
    pub complaints: Vec<Complaint>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// An image is held by nobody but a loop device: one that was killed may just be leaving it.
    pub is_left_to_the_kernel: bool,
}

/// Who holds the name of a link. The text goes on after "exists already: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOwner {
    /// Somebody else.
    Other(String),
    /// Perhaps the subhost itself: that is to be said, and no reason to refuse.
    Unknown(String),
}

/// Whether a subhost runs, as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing of it is there.
    Stopped,
    /// Its init lives.
    Running(Box<Record>),
    /// Its init is gone, and it is to linger.
    Lingering(Box<Record>),
    /// Its init is gone, but names of it are left.
    Stale(Box<Record>),
}

/// Asks for the state of a name.
///
/// # Errors
/// Its record cannot be read.
pub fn state_of(layout: &Layout, name: &Name) -> std::io::Result<State> {
    let read = state::read(layout, name);
    let read = read.map_err(|error| {
        let path = layout.record(name);
        std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    });
    let Some(record) = read? else { return Ok(State::Stopped) };
    // Only a proven absence is one: what cannot be looked at may run.
    let own = Process::own().map_err(std::io::Error::other)?;
    if record.supervisor.boot_id == own.boot_id && record.supervisor.pid_namespace != own.pid_namespace {
        return Err(std::io::Error::other(
            "it was started in another PID namespace, and only seen from there",
        ));
    }
    let init = record.init.identity().open().map_err(std::io::Error::other)?;
    let is_of_now = record.supervisor.boot_id == own.boot_id;
    Ok(match init {
        Some(_) => State::Running(Box::new(record)),
        None if record.lingers.is_some() && is_of_now => State::Lingering(Box::new(record)),
        None => State::Stale(Box::new(record)),
    })
}

impl Observed {
    /// Looks at all that a request names.
    ///
    /// # Errors
    /// The links cannot be listed.
    pub fn of(request: &Request, layout: &Layout, purpose: Purpose) -> Result<Observed, subhost_net::Error> {
        let mut observed = Observed {
            images: Vec::new(),
            disks: Vec::new(),
            binds: Vec::new(),
            links: links_for(request)?,
            running: OnceCell::new(),
            layout: layout.clone(),
            purpose,
            cgroup: cgroup::Found::default(),
            machine_id: machine_id(),
            complaints: Vec::new(),
            notes: Vec::new(),
            is_left_to_the_kernel: false,
        };
        for spec in &request.disks {
            let disk = observed.disk(spec, purpose);
            if let Err(complaint) = &disk {
                observed.complaints.push(complaint.clone());
            }
            observed.disks.push(disk.ok());
        }
        if let Some(first) = observed.disks.first().and_then(Option::as_ref)
            && first.superblock.is_none()
            && request.has_root_on_disk()
        {
            let spec = &request.disks[0];
            observed.complaints.push(
                Complaint::new(format!(
                    "disk {}: no file system that is known in {} partition {}",
                    spec.node_name(),
                    spec.image.display(),
                    spec.partition
                ))
                .hint(format!("subhostctl partitions {} lists what is there", spec.image.display())),
            );
        }
        observed.check_types(request);
        for spec in &request.binds {
            let source = bind_source(&spec.host).map_err(|complaint| observed.complaints.push(complaint));
            observed.binds.push(source.ok());
        }
        observed.cgroup = cgroup::Found::of(
            &request.cgroup,
            &request.name,
            request.named,
            &mut observed.complaints,
            &mut observed.notes,
        );
        match state::read(layout, &request.name) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => observed
                .notes
                .push("only root sees which subhosts run, so their names are not compared".to_owned()),
            Ok(Some(record)) if is_there(&record) => {
                let what = if record.init.is_alive() { "is running" } else { "lingers" };
                let complaint = foreign_netns(request, layout, Some(record.netns_inode));
                observed.notes.push(format!("subhost {} {what}", request.name));
                observed.complaints.extend(complaint);
            }
            _ if request.named => observed.complaints.extend(foreign_netns(request, layout, None)),
            _ => {}
        }
        if let Root::Lingering(tree) = &request.root {
            observed.complaints.extend(tree.complaints());
        }
        Ok(observed)
    }

    /// A host with these links and subhosts, and no image.
    #[cfg(test)]
    pub(crate) fn of_host(links: Vec<subhost_net::observe::Link>, running: Option<Vec<Record>>) -> Observed {
        Observed {
            images: Vec::new(),
            disks: Vec::new(),
            binds: Vec::new(),
            links: subhost_net::observe::Observed { links, ..Default::default() },
            running: OnceCell::from(running),
            layout: Layout::new("/nowhere"),
            purpose: Purpose::Look,
            cgroup: cgroup::Found::default(),
            machine_id: b"0123456789abcdef".to_vec(),
            complaints: Vec::new(),
            notes: Vec::new(),
            is_left_to_the_kernel: false,
        }
    }

    fn running(&self) -> Option<&[Record]> {
        self.running.get_or_init(|| recorded(&self.layout)).as_deref()
    }

    fn disk(&mut self, spec: &DiskSpec, purpose: Purpose) -> Result<ObservedDisk, Complaint> {
        let node = spec.node_name();
        let object = |error: subhost_mount::Error| complaint_of(&format!("disk {node}"), &error);
        let within = |error: subhost_mount::Error| {
            complaint_of(&format!("disk {node}: {}", spec.image.display()), &error)
                .hint(format!("subhostctl partitions {} shows what is there", spec.image.display()))
        };
        let opening = |error: subhost_mount::Error, this: &mut Observed| {
            let holders = match &error {
                subhost_mount::Error::ImageInUse { holders, .. } => Some(holders.clone()),
                _ => None,
            };
            let in_use = holders.is_some();
            let mut complaint = object(error);
            let running = if in_use { this.running() } else { None };
            let holder = running.into_iter().flatten().find(|record| uses(record, &spec.image)).cloned();
            this.is_left_to_the_kernel |=
                holder.is_none() && holders.is_some_and(|holders| holders.iter().all(is_bare_loop));
            if let Some(holder) = holder {
                complaint.message.push_str(&format!(": it is a disk of subhost {}", holder.name));
                complaint = complaint.hint(format!("subhostctl stop {} gives it back", holder.name));
            }
            complaint
        };
        let index = match self.images.iter().position(|image| same_file(&image.path, &spec.image)) {
            Some(index) => index,
            None => {
                let image = match purpose {
                    Purpose::Look => Image::open_unlocked(&spec.image),
                    Purpose::Read => Image::open(&spec.image, Access::ReadOnly),
                    Purpose::Use => Image::open(&spec.image, Access::ReadWrite),
                };
                let image = image.map_err(|error| opening(error, self))?;
                self.images.push(ObservedImage { path: spec.image.clone(), image });
                self.images.len() - 1
            }
        };
        let image = &self.images[index].image;
        let selector = match &spec.partition {
            PartitionChoice::Number(number) => Selector::Index(*number),
            PartitionChoice::By(text) => {
                text.parse().map_err(|error| Complaint::new(format!("disk {node}: {error}")))?
            }
        };
        let Selected { index: partition, range } = if selector == Selector::Index(0) {
            image.select(&selector).map_err(within)?
        } else {
            let table = image.partition_table().map_err(within)?;
            self.notes.extend(table.notes.iter().map(|note| format!("{}: {note}", spec.image.display())));
            table.select(&selector, |range| probe(image.reader(range), 0)).map_err(within)?
        };
        let superblock = probe(image.reader(range), 0).map_err(within)?;
        Ok(ObservedDisk { image: index, partition, range, superblock })
    }

    /// What must not be mounted: a reason not to begin where it is the root; of a further disk it matters once the
    /// guest's fstab asks for it.
    fn check_types(&mut self, request: &Request) {
        let allowed = request.allowed_types();
        let found = self.disks.iter().map(|disk| disk.as_ref()?.superblock.as_ref());
        for (index, (spec, superblock)) in request.disks.iter().zip(found).enumerate() {
            let Some(Err(error)) = superblock.map(|superblock| allowed.check(superblock)) else { continue };
            let complaint = complaint_of(&format!("disk {}", spec.node_name()), &error);
            if index == 0 && request.has_root_on_disk() {
                self.complaints.push(complaint);
            } else {
                self.notes.push(complaint.message);
            }
        }
    }

    /// The index of a bridge, or what is wrong with it.
    ///
    /// # Errors
    /// There is no such interface, or it is no bridge.
    pub fn bridge(&self, name: &str) -> Result<u32, Complaint> {
        match self.links.by_name(name) {
            Some(link) if link.kind.as_deref() == Some("bridge") => Ok(link.index),
            Some(link) => Err(Complaint::new(format!(
                "bridge {name}: is not a bridge but {}",
                link.kind.as_deref().unwrap_or("a physical interface")
            ))),
            None => {
                let there: Vec<&str> = self
                    .links
                    .links
                    .iter()
                    .filter(|link| link.kind.as_deref() == Some("bridge"))
                    .map(|link| link.name.as_str())
                    .collect();
                let there = if there.is_empty() {
                    "there are none".to_owned()
                } else {
                    format!("there are: {}", there.join(" "))
                };
                Err(Complaint::new(format!("bridge {name}: no such bridge; {there}"))
                    .hint(format!("ip link add {name} up type bridge makes it")))
            }
        }
    }

    /// Who holds the name of a host end, if it is not free for this subhost.
    pub fn link_owner(&self, subhost: &str, name: &str, altname: Option<&str>) -> Option<LinkOwner> {
        let link =
            self.links.by_name(name).or_else(|| altname.and_then(|altname| self.links.by_name(altname)))?;
        let kind = link.kind.as_deref().unwrap_or("a physical interface");
        let mut running = self.running().into_iter().flatten();
        let owner = running.find(|record| record.cables.iter().any(|cable| cable.host_ifindex == link.index));
        match owner {
            Some(record) if record.name == subhost => None,
            Some(record) => Some(LinkOwner::Other(format!("it is a cable of subhost {}", record.name))),
            None if kind == "veth" && link.mac.is_some_and(is_host_end) => {
                match (self.purpose, self.running()) {
                    // A stop leaves its host ends to the kernel, which takes some milliseconds: making the cable waits.
                    (Purpose::Use | Purpose::Read, _) => None,
                    (Purpose::Look, Some(_)) => Some(LinkOwner::Unknown(
                        "it looks like a cable of a subhost that has just ended, which boot waits for"
                            .to_owned(),
                    )),
                    (Purpose::Look, None) => Some(LinkOwner::Unknown(
                        "it looks like a cable of a subhost, and only root sees of which".to_owned(),
                    )),
                }
            }
            None => Some(LinkOwner::Other(format!("it is {kind}, index {}, and not ours", link.index))),
        }
    }
}

/// The bridges of the cables, and who has the names of their host ends.
fn links_for(request: &Request) -> Result<subhost_net::observe::Observed, subhost_net::Error> {
    let bridges: BTreeSet<&str> = request.cables.iter().filter_map(|cable| cable.bridge.as_deref()).collect();
    let ends =
        (0_u32..).zip(&request.cables).filter_map(|(index, _)| host_end(request.name.as_str(), index).ok());
    let ends: Vec<String> =
        ends.flat_map(|end| [Some(end.name.to_string()), end.altname]).flatten().collect();
    let names = bridges.iter().copied().chain(ends.iter().map(String::as_str));
    let found = subhost_net::observe::Observed::named(names)?;
    // The answer to one that is missing names the others.
    match bridges.into_iter().all(|bridge| found.by_name(bridge).is_some()) {
        true => Ok(found),
        false => subhost_net::observe::Observed::read(),
    }
}

fn bind_source(path: &Path) -> Result<BindSource, Complaint> {
    use std::os::unix::fs::MetadataExt;
    let refused = |why: &str| Complaint::new(format!("bind {}: {why}", path.display()));
    let meta = std::fs::metadata(path).map_err(|error| refused(&error.to_string()))?;
    if !(meta.is_dir() || meta.is_file()) {
        return Err(refused("is neither a directory nor a file"));
    }
    Ok(BindSource { id: (meta.dev(), meta.ino()), is_directory: meta.is_dir() })
}

/// Host ends have hardware addresses of a range of their own.
fn is_host_end(mac: subhost_net::mac::Mac) -> bool {
    mac.octets()[0] == 0xfe
}

/// A loop device that is mounted nowhere.
fn is_bare_loop(holder: &Holder) -> bool {
    matches!(holder, Holder::Loop { mounted_at, .. } if mounted_at.is_empty())
}

fn uses(record: &Record, image: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(image).is_ok_and(|meta| {
        record.disks.iter().any(|disk| (disk.image_device, disk.image_inode) == (meta.dev(), meta.ino()))
    })
}

/// The records of subhosts that run; `None` if they cannot be read.
pub fn running(layout: &Layout) -> Option<Vec<Record>> {
    let mut records = recorded(layout)?;
    records.retain(|record| !matches!(record.init.identity().open(), Ok(None)));
    Some(records)
}

/// The records of subhosts that run or linger; `None` if they cannot be read.
pub fn recorded(layout: &Layout) -> Option<Vec<Record>> {
    Some(records(layout)?.into_iter().filter(is_there).collect())
}

/// All records, also of subhosts that are gone; `None` where only root can read them.
pub fn records(layout: &Layout) -> Option<Vec<Record>> {
    let names = match state::recorded(layout) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
        other => other.unwrap_or_default(),
    };
    Some(names.iter().filter_map(|name| state::read(layout, name).ok().flatten()).collect())
}

/// Whether the subhost of a record runs or lingers.
pub fn is_there(record: &Record) -> bool {
    let lingers = record.lingers.is_some() && record.supervisor.is_of_this_boot();
    lingers || !matches!(record.init.identity().open(), Ok(None))
}

fn foreign_netns(request: &Request, layout: &Layout, own: Option<u64>) -> Option<Complaint> {
    let name = request.name.as_str();
    match pinned_inode(&layout.netns_dir, name) {
        Ok(None | Some(PinState::Leftover)) => None,
        Ok(Some(PinState::Netns { inode })) if Some(inode) == own => None,
        Ok(Some(_)) => Some(
            Complaint::new(format!(
                "netns {name}: a network namespace of that name is there and is not ours"
            ))
            .hint(format!("ip netns delete {name} removes it")),
        ),
        Err(error) => Some(Complaint::new(error.to_string())),
    }
}

/// An error of the mount crate as a complaint, with a hint where one is known.
pub fn complaint_of(object: &str, error: &subhost_mount::Error) -> Complaint {
    let complaint = Complaint::new(format!("{object}: {error}"));
    match hint_of(error) {
        Some(hint) => complaint.hint(hint),
        None => complaint,
    }
}

/// What to do about an error of the mount crate, where that is known.
pub fn hint_of(error: &subhost_mount::Error) -> Option<String> {
    use subhost_mount::Error;
    match error {
        Error::UnknownFileSystem { kind, .. } => Some(format!("modprobe {kind} may bring it")),
        Error::FileSystemNotAllowed { kind, .. } => Some(format!(
            "FILESYSTEMS=( {kind} ) or --filesystem {kind} allows it, if the image can be trusted"
        )),
        Error::NotIdmappable { .. } => {
            Some("keep the system on ext4, xfs, btrfs or another file system that can be".to_owned())
        }
        _ => None,
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => one == other,
    }
}

/// This machine's id; empty where it has none.
pub fn machine_id() -> Vec<u8> {
    std::fs::read("/etc/machine-id").unwrap_or_default()
}
