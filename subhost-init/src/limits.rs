//! Resource limits of a guest (setrlimit(2)): by default the same ones, whoever starts it.
//!
//! ```
//! use subhost_init::limits::{Resource, ResourceLimits};
//!
//! let limits = ResourceLimits::default().with(Resource::Core, None, None).with(Resource::OpenFiles, Some(4096), Some(4096));
//! assert_eq!(limits.get(Resource::Core), (None, None));
//! assert_eq!(limits.get(Resource::Processes), (None, None));
//! ```

const MIB: u64 = 1 << 20;

/// What is limited, with the unit of its limits. Each limit counts for a single process, but for those that say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource {
    /// Processor time, in seconds (`RLIMIT_CPU`).
    CpuTime,
    /// The size of files that it writes, in bytes (`RLIMIT_FSIZE`).
    FileSize,
    /// Its data, in bytes (`RLIMIT_DATA`).
    Data,
    /// Its stack, in bytes (`RLIMIT_STACK`).
    Stack,
    /// The size of core dumps, in bytes (`RLIMIT_CORE`).
    Core,
    /// Its resident memory, in bytes, which Linux does not limit (`RLIMIT_RSS`).
    ResidentSet,
    /// Processes and threads of its user (`RLIMIT_NPROC`). A cgroup limits a guest as a whole.
    Processes,
    /// One more than the highest number of an open file (`RLIMIT_NOFILE`).
    OpenFiles,
    /// Locked memory, in bytes (`RLIMIT_MEMLOCK`).
    LockedMemory,
    /// Its address space, in bytes (`RLIMIT_AS`).
    AddressSpace,
    /// Locks of files, which Linux does not limit (`RLIMIT_LOCKS`).
    Locks,
    /// Signals that wait for its user's processes (`RLIMIT_SIGPENDING`).
    PendingSignals,
    /// POSIX message queues of its user, in bytes (`RLIMIT_MSGQUEUE`).
    MessageQueues,
    /// 20 less the lowest nice value that it may take (`RLIMIT_NICE`).
    Nice,
    /// The highest real-time priority that it may take (`RLIMIT_RTPRIO`).
    RealTimePriority,
    /// Processor time at a real-time priority without a blocking call, in microseconds (`RLIMIT_RTTIME`).
    RealTimeTime,
}

/// A soft and a hard limit; `None` is no limit.
type Limit = (Option<u64>, Option<u64>);

/// What a machine gives to its PID 1 (`INIT_RLIMITS` of the kernel), with the number of open files that systemd gives: many
/// programs go through all numbers below the soft one, and `select` counts to it.
const DEFAULT: [(Resource, Limit); 16] = [
    (Resource::CpuTime, (None, None)),
    (Resource::FileSize, (None, None)),
    (Resource::Data, (None, None)),
    (Resource::Stack, (Some(8 * MIB), None)),
    (Resource::Core, (Some(0), None)),
    (Resource::ResidentSet, (None, None)),
    (Resource::Processes, (None, None)),
    (Resource::OpenFiles, (Some(1024), Some(524_288))),
    (Resource::LockedMemory, (Some(8 * MIB), Some(8 * MIB))),
    (Resource::AddressSpace, (None, None)),
    (Resource::Locks, (None, None)),
    (Resource::PendingSignals, (Some(65_536), Some(65_536))),
    (Resource::MessageQueues, (Some(819_200), Some(819_200))),
    (Resource::Nice, (Some(0), Some(0))),
    (Resource::RealTimePriority, (Some(0), Some(0))),
    (Resource::RealTimeTime, (None, None)),
];

/// All limits of a guest. A caller that may not raise its own gives at most what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimits([(Resource, Limit); 16]);

impl Default for ResourceLimits {
    fn default() -> ResourceLimits {
        ResourceLimits(DEFAULT)
    }
}

impl ResourceLimits {
    /// With another soft and hard limit of one resource; `None` is no limit. A soft limit above the hard one is refused at the
    /// start, with `EINVAL`.
    #[must_use]
    pub fn with(mut self, resource: Resource, soft: Option<u64>, hard: Option<u64>) -> ResourceLimits {
        for (known, limit) in &mut self.0 {
            if *known == resource {
                *limit = (soft, hard);
            }
        }
        self
    }

    /// The soft and the hard limit of a resource.
    #[must_use]
    pub fn get(&self, resource: Resource) -> (Option<u64>, Option<u64>) {
        self.0.iter().find(|(known, _)| *known == resource).map_or((None, None), |(_, limit)| *limit)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Resource, Limit)> + '_ {
        self.0.iter().copied()
    }
}
