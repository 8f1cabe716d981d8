//! Sets the resource limits of a child.

use rustix::io::Errno;
use rustix::process::{self, Rlimit, getrlimit, setrlimit};

use super::report::{Failure, at};
use crate::Step;
use crate::limits::{Resource, ResourceLimits};

/// In the intermediate, before it joins anything: only the host's root may raise limits, and the child inherits them.
pub(crate) fn set(limits: &ResourceLimits) -> Result<(), Failure> {
    for (resource, (soft, maximum)) in limits.iter() {
        // The soft one of open files follows in the child.
        let current = if resource == Resource::OpenFiles { maximum } else { soft };
        match setrlimit(number(resource), Rlimit { current, maximum }) {
            // A caller that is root of less than the whole host gives what it has itself.
            Err(Errno::PERM) => {
                let maximum = getrlimit(number(resource)).maximum;
                let current = [current, maximum].into_iter().flatten().min();
                at(Step::Limits, setrlimit(number(resource), Rlimit { current, maximum }))?;
            }
            result => at(Step::Limits, result)?,
        }
    }
    Ok(())
}

/// In the child, which has closed what it inherited: until then there may be more files open than programs begin with.
pub(crate) fn lower_open_files(limits: &ResourceLimits) -> Result<(), Failure> {
    let (soft, _) = limits.get(Resource::OpenFiles);
    let maximum = getrlimit(process::Resource::Nofile).maximum;
    // The kernel has no process with more than its hard limit.
    let current = [soft, maximum].into_iter().flatten().min();
    at(Step::Limits, setrlimit(process::Resource::Nofile, Rlimit { current, maximum }))
}

fn number(resource: Resource) -> process::Resource {
    match resource {
        Resource::CpuTime => process::Resource::Cpu,
        Resource::FileSize => process::Resource::Fsize,
        Resource::Data => process::Resource::Data,
        Resource::Stack => process::Resource::Stack,
        Resource::Core => process::Resource::Core,
        Resource::ResidentSet => process::Resource::Rss,
        Resource::Processes => process::Resource::Nproc,
        Resource::OpenFiles => process::Resource::Nofile,
        Resource::LockedMemory => process::Resource::Memlock,
        Resource::AddressSpace => process::Resource::As,
        Resource::Locks => process::Resource::Locks,
        Resource::PendingSignals => process::Resource::Sigpending,
        Resource::MessageQueues => process::Resource::Msgqueue,
        Resource::Nice => process::Resource::Nice,
        Resource::RealTimePriority => process::Resource::Rtprio,
        Resource::RealTimeTime => process::Resource::Rttime,
    }
}
