//! What is left of a subhost that `start` started when its processes have ended: its network namespace with the cables,
//! and mounts on the host.
//!
//! There is no second state to be kept: one that lingers is one whose record says that it does, and whose PID 1 is gone.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use subhost_init::userns::UserNamespace;
use subhost_mount::attached::{MountId, unmount};
use subhost_mount::bind::bind_fd;
use subhost_mount::filesystem::Propagation;
use subhost_mount::mountinfo::{MountEntry, MountTable};
use subhost_net::netns::Netns;
use subhost_net::observe::Observed;

use crate::error::{Complaint, Context, Error};
use crate::layout::Layout;
use crate::state::{CableRecord, Record};
use crate::tree::{Parts, Tree, View};

/// What a record says of all this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lingers {
    /// Inode of the user namespace that owns the network namespace.
    pub user_namespace_inode: u64,
    /// Mounts on the host, each after the one that it is on.
    pub mounts: Vec<HostMount>,
    /// True if the root is an overlay, whose layers have mapped ids.
    pub merged: bool,
}

/// What a mount on the host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing but to keep what is on it from other mount namespaces: see [`screened`].
    Screen,
    /// The image.
    Image,
    /// The root of the subhost.
    Root,
}

/// A mount on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMount {
    /// What it is for.
    pub role: Role,
    /// Where it is put, to be shown.
    #[serde(serialize_with = "crate::json::path")]
    pub place: PathBuf,
    /// Its id.
    pub id: u32,
    /// The id that no other mount gets, where the kernel tells it.
    pub unique_id: Option<u64>,
}

impl HostMount {
    fn of(view: &View) -> Result<HostMount, Error> {
        let View { role, place, mount } = view;
        let MountId { id, unique_id } = MountId::of(mount).step(format!("look at {}", place.display()))?;
        Ok(HostMount { role: *role, place: place.clone(), id, unique_id })
    }

    fn is(&self, id: MountId) -> bool {
        (self.id, self.unique_id) == (id.id, id.unique_id)
    }

    /// Its line in the table, if it is there. Where the kernel tells no unique ids, the place has to be the same.
    fn find<'a>(&self, table: &'a MountTable) -> Option<&'a MountEntry> {
        table.by_id(self.id).filter(|entry| match (self.unique_id, entry.unique_id) {
            (Some(own), Some(found)) => own == found,
            _ => entry.mount_point.to_string_lossy() == self.place.to_string_lossy(),
        })
    }

    /// Opens its root; `None` if it is gone.
    fn open(&self, table: &MountTable) -> Result<Option<OwnedFd>, Error> {
        let Some(entry) = self.find(table) else { return Ok(None) };
        match open(&entry.mount_point) {
            Ok((fd, id)) if self.is(id) => Ok(Some(fd)),
            _ => Err(Error::refused(hidden(&entry.mount_point))),
        }
    }

    /// Takes it off, with all that is mounted on it by whomever.
    fn take_off(&self) -> Result<(), Error> {
        loop {
            let table = MountTable::read(None).step("list the mounts")?;
            let Some(entry) = self.find(&table) else { return Ok(()) };
            let place = &entry.mount_point;
            let (fd, id) = open(place).step(format!("look at {}", place.display()))?;
            // What was mounted over it is on it.
            if !self.is(id) && !is_on(&table, id.id, self.id) {
                return Err(Error::refused(hidden(place)));
            }
            unmount(&fd).step(format!("unmount {}", place.display()))?;
        }
    }
}

/// Whether the mount `id` is on `below`, directly or not.
fn is_on(table: &MountTable, id: u32, below: u32) -> bool {
    let mut at = table.by_id(id).and_then(|entry| table.parent(entry));
    for _ in &table.entries {
        match at {
            Some(entry) if entry.id == below => return true,
            Some(entry) => at = table.parent(entry),
            None => return false,
        }
    }
    false
}

fn hidden(place: &Path) -> Complaint {
    let place = place.display();
    Complaint::new(format!("{place}: what is mounted there is hidden by another mount"))
        .hint("findmnt shows that one, and umount removes it")
}

/// What is at a path, and the mount that it is in.
fn open(path: &Path) -> Result<(OwnedFd, MountId), Box<dyn std::error::Error + Send + Sync>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOTDIR) => return Err("is not a directory".into()),
        opened => opened?,
    };
    let id = MountId::of(&fd)?;
    Ok((fd, id))
}

/// What lingers, to be entered again.
#[derive(Default)]
pub struct Kept {
    /// The record of the last run.
    pub record: Option<Record>,
    /// The network namespace and its user namespace, if it is still there under its name, and has all its cables.
    pub network: Option<(UserNamespace, Netns)>,
    /// Copies of the mounts.
    pub parts: Parts,
    /// Those that are there.
    pub mounts: Vec<HostMount>,
}

impl Kept {
    /// Looks for what a record names.
    ///
    /// # Errors
    /// It cannot be looked at, or something else is in its place.
    pub fn find(layout: &Layout, tree: &Tree, record: Option<Record>) -> Result<Kept, Error> {
        let mut kept = Kept::default();
        if let Some(record) = &record {
            let lingers = record.lingers.clone().unwrap_or_default();
            kept.parts.merged = lingers.merged;
            kept.network = network(layout, record, lingers.user_namespace_inode);
            kept.keep(lingers.mounts)?;
        }
        kept.record = record;
        kept.refuse_others(tree)?;
        Ok(kept)
    }

    fn keep(&mut self, mounts: Vec<HostMount>) -> Result<(), Error> {
        let table = MountTable::read(None).step("list the mounts")?;
        for mount in mounts {
            if mount.role == Role::Screen {
                self.mounts.extend(mount.find(&table).is_some().then_some(mount));
                continue;
            }
            let Some(fd) = mount.open(&table)? else { continue };
            let step = || format!("enter {}", mount.place.display());
            let copy = bind_fd(fd.as_fd(), mount.role == Role::Root).step(step())?;
            // What will be mounted on it is the guest's, and not to be seen on the host.
            copy.set_propagation(Propagation::Private, true).step(step())?;
            match mount.role {
                Role::Root => self.parts.live = Some(copy),
                _ => (self.parts.image, self.parts.image_is_shown) = (Some(copy), true),
            }
            self.mounts.push(mount);
        }
        Ok(())
    }

    /// A mount point that somebody else has taken is not covered, as his mount would go with ours.
    fn refuse_others(&self, tree: &Tree) -> Result<(), Error> {
        let Ok((_, directory)) = open(&tree.directory) else { return Ok(()) };
        let is_other = |place: &PathBuf| {
            open(place).is_ok_and(|(_, id)| id != directory && !self.mounts.iter().any(|own| own.is(id)))
        };
        let others = [tree.live(), tree.mnt()].into_iter().filter(is_other);
        let complaints: Vec<_> = others.map(|place| taken(&place)).collect();
        if complaints.is_empty() { Ok(()) } else { Err(Error::Refused(complaints)) }
    }

    /// True if its image is mounted, and so cannot be taken by anybody.
    pub fn has_image(&self) -> bool {
        self.parts.live.is_some() || self.parts.image.is_some()
    }
}

fn taken(place: &Path) -> Complaint {
    let place = place.display();
    Complaint::new(format!("{place}: something is mounted there, and is not ours"))
        .hint(format!("umount {place}"))
}

/// The namespaces of a record, by the name that keeps them. A number alone may be that of a later one.
fn network(layout: &Layout, record: &Record, user_namespace_inode: u64) -> Option<(UserNamespace, Netns)> {
    let netns = Netns::open_pinned(&layout.netns_dir, &record.name).ok()?;
    let users = UserNamespace::from_fd(netns.user_namespace().ok()?).ok()?;
    let is_ours = netns.inode() == record.netns_inode && users.inode().ok()? == user_namespace_inode;
    let links = Observed::named(record.cables.iter().map(|cable| &*cable.host)).ok()?;
    let is_there = |cable: &CableRecord| {
        links.by_index(cable.host_ifindex).is_some_and(|link| link.has_name(&cable.host))
    };
    (is_ours && record.cables.iter().all(is_there)).then_some((users, netns))
}

/// What the host is going to see, each on a screen, unless that is there already.
///
/// A screen is a mount of the directory itself, in a peer group of its own (`mount_namespaces(7)`): the other mount
/// namespaces that there are see nothing of what is put on it, and the copies that later ones get go when it is unmounted
/// here. As a plain mount it would be seen in all of them, and as a private one later copies would keep its file system
/// busy.
///
/// # Errors
/// The step that failed.
pub fn screened(views: Vec<View>, there: &[HostMount]) -> Result<Vec<View>, Error> {
    let mut screened = Vec::new();
    for view in views {
        let at = open(&view.place).map(|(_, id)| id);
        if !there.iter().any(|mount| at.as_ref().is_ok_and(|id| mount.is(*id))) {
            screened.push(View::of(Role::Screen, view.place.clone(), &view.place, false)?);
        }
        screened.push(view);
    }
    Ok(screened)
}

/// What a record is to say of them.
///
/// # Errors
/// They cannot be looked at.
pub fn recorded(views: &[View]) -> Result<Vec<HostMount>, Error> {
    views.iter().map(HostMount::of).collect()
}

/// Attaches them on the host.
///
/// # Errors
/// The first that cannot be.
pub fn show(views: &[View]) -> Result<(), Error> {
    for View { role, place, mount } in views {
        let step = || format!("attach {}", place.display());
        let (target, _) = open(place).step(step())?;
        mount.attach(target.as_fd()).step(step())?;
        if *role == Role::Screen {
            // Out of the group that it has got from where it is, and into one of its own.
            mount.set_propagation(Propagation::Private, false).step(step())?;
            mount.set_propagation(Propagation::Shared, false).step(step())?;
        }
    }
    Ok(())
}

/// Takes mounts off the host, the last one first. Returns what is left.
pub fn take_off(mounts: &[HostMount]) -> Vec<Complaint> {
    let left = mounts.iter().rev().filter_map(|mount| mount.take_off().err());
    left.flat_map(Error::into_complaints).collect()
}
