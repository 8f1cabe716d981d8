//! The resource limits of a guest: the same ones, whoever starts it.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::report::{Failure, at};
use crate::Step;

/// How many files a program may have open before it asks for more, and after. Many programs go through all numbers
/// below the first, and `select` counts to it.
const OPEN_FILES: (u64, u64) = (1024, 524_288);

const MIB: u64 = 1 << 20;

/// What a machine gives to its PID 1 (`INIT_RLIMITS` of the kernel), with the number of open files that systemd gives. That
/// of processes is not for this place: a cgroup limits the guest as a whole.
const LIMITS: [(Resource, Option<u64>, Option<u64>); 16] = [
    (Resource::Cpu, None, None),
    (Resource::Fsize, None, None),
    (Resource::Data, None, None),
    (Resource::Stack, Some(8 * MIB), None),
    (Resource::Core, Some(0), None),
    (Resource::Rss, None, None),
    (Resource::Nproc, None, None),
    // The soft one follows in the child.
    (Resource::Nofile, Some(OPEN_FILES.1), Some(OPEN_FILES.1)),
    (Resource::Memlock, Some(8 * MIB), Some(8 * MIB)),
    (Resource::As, None, None),
    (Resource::Locks, None, None),
    (Resource::Sigpending, Some(65_536), Some(65_536)),
    (Resource::Msgqueue, Some(819_200), Some(819_200)),
    (Resource::Nice, Some(0), Some(0)),
    (Resource::Rtprio, Some(0), Some(0)),
    (Resource::Rttime, None, None),
];

/// In the intermediate, before it joins anything: only the host's root may raise limits, and the child inherits them.
pub(crate) fn set() -> Result<(), Failure> {
    for (resource, current, maximum) in LIMITS {
        match setrlimit(resource, Rlimit { current, maximum }) {
            // A caller that is root of less than the whole host gives what it has itself.
            Err(Errno::PERM) => {
                let maximum = getrlimit(resource).maximum;
                let current = [current, maximum].into_iter().flatten().min();
                at(Step::Limits, setrlimit(resource, Rlimit { current, maximum }))?;
            }
            result => at(Step::Limits, result)?,
        }
    }
    Ok(())
}

/// In the child, which has closed what it inherited: until then there may be more files open than programs begin with.
pub(crate) fn lower_open_files() -> Result<(), Failure> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(OPEN_FILES.0, |maximum| maximum.min(OPEN_FILES.0)));
    at(Step::Limits, setrlimit(Resource::Nofile, Rlimit { current, maximum }))
}
