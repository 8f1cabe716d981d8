//! A subhost of `start` that is not stopped, to be read where it is.

use super::Context;
use super::snapshot::tree_of;
use crate::error::{Complaint, Context as _, Error};
use crate::layout::Name;
use crate::lock::{Lock, lock_name};
use crate::observe::{State, state_of};
use crate::state::Record;
use crate::tree::Tree;

/// Whether nothing may change while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Still {
    Yes,
    No,
}

/// One that runs or lingers.
pub(super) struct Live {
    /// What it is made of, as the host sees it.
    pub(super) tree: Tree,
    /// Of one that runs.
    record: Option<Record>,
    /// So that it is neither started again nor stopped meanwhile.
    _lock: Lock,
}

impl Live {
    /// None of one that is stopped.
    ///
    /// # Errors
    /// It runs where it must stand still, or from disks, which nobody else can mount.
    pub(super) fn of(context: &Context, name: &Name, still: Still) -> Result<Option<Live>, Error> {
        let layout = &context.layout;
        let look = || state_of(layout, name).step(format!("read the record of {name}"));
        let refused = |what: &str| Complaint::new(format!("subhost {name}: {what}"));
        if !layout.is_known(name) || !matches!(look()?, State::Running(_) | State::Lingering(_)) {
            return Ok(None);
        }
        if !layout.is_tree_alone(name) {
            let hint = format!(
                "subhostctl stop {name}; or pause it, sync, copy its image with cp --reflink, and resume it: \
                 such a copy is as after a power failure"
            );
            return Err(Error::refused(refused("runs, and has its disks for itself").hint(hint)));
        }
        let lock = lock_name(layout, name).step(format!("lock the name {name}"))?;
        let lock = lock.ok_or_else(|| Error::refused(refused("another command is at work on it")))?;
        let record = match look()? {
            State::Running(record) if still == Still::Yes && !record.cgroup.is_frozen() => {
                let hint = format!("subhostctl pause {name}, and resume it afterwards; or stop it");
                return Err(Error::refused(refused("runs, and would change while it is read").hint(hint)));
            }
            State::Running(record) => Some(*record),
            State::Lingering(_) => None,
            State::Stopped | State::Stale(_) => return Ok(None),
        };
        let mut tree = tree_of(context, name)?;
        if tree.image.take().is_some() {
            (tree.root, tree.work) = (tree.mnt().join(&tree.root), tree.mnt().join(&tree.work));
        }
        Ok(Some(Live { tree, record, _lock: lock }))
    }

    /// Whether nothing changes it now.
    pub(super) fn is_still(&self) -> bool {
        self.record.as_ref().is_none_or(|record| record.cgroup.is_frozen())
    }
}
