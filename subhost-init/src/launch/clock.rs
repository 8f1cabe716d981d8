//! Clocks of the guest's own, which start with it (time_namespaces(7)).

use rustix::fs::{Mode, OFlags, open};
use rustix::io::retry_on_intr;
use rustix::time::{ClockId, clock_gettime};

use crate::child::{Failure, at};
use crate::{Step, sys};

/// What sets both clocks to less than a second; `None` where the kernel has no time namespaces.
pub(super) fn offsets() -> Option<String> {
    rustix::fs::stat(FILE).ok()?;
    // Whole seconds: no clock may be below zero.
    let [monotonic, boottime] =
        [ClockId::Monotonic, ClockId::Boottime].map(|clock| clock_gettime(clock).tv_sec);
    Some(format!("monotonic -{monotonic} 0\nboottime -{boottime} 0\n"))
}

const FILE: &str = "/proc/self/timens_offsets";

/// In the intermediate, when it has the user namespace that is to own the clocks: a time namespace for its child.
pub(super) fn start(offsets: &str) -> Result<(), Failure> {
    at(Step::TimeNamespace, sys::namespace::new_time_namespace())?;
    let file = at(Step::TimeNamespace, open(FILE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()))?;
    at(Step::TimeNamespace, retry_on_intr(|| rustix::io::write(&file, offsets.as_bytes()))).map(drop)
}
