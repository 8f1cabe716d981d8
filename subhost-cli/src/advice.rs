//! What to do about an error that comes from how this kernel is built or set.

use std::error::Error;
use std::io;

use nix::libc;

use crate::observe;

/// The oldest kernel that has everything.
const OLDEST: &str = "Linux 6.1";

/// What to do about an error, judged by what it comes from.
pub fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let of_mount = error.downcast_ref().and_then(observe::hint_of);
        let of_launch = || error.downcast_ref().and_then(launch);
        let of_kernel = || error.downcast_ref().and_then(missing_system_call);
        let of_limits = || exhausted(error);
        if let Some(advice) = of_mount.or_else(of_launch).or_else(of_kernel).or_else(of_limits) {
            return Some(advice);
        }
        cause = error.source();
    }
    None
}

/// What to do about a child that could not be started or did not get to its program.
fn launch(error: &subhost_init::Error) -> Option<String> {
    use subhost_init::{Error, Step};
    let advice = match error {
        Error::HeldUp { .. } => {
            "its root may stop what enters, and its cgroup may be frozen (cgroup.freeze); stop and kill end it all the same"
        }
        Error::LaunchStep { step: Step::Clone, source, .. } | Error::System { source, .. }
            if source.raw_os_error() == Some(libc::EAGAIN) =>
        {
            "there are as many processes as TASKS allows, or the limits of the host"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// What to do where the host has no more of what a step of ours needs.
fn exhausted(error: &(dyn Error + 'static)) -> Option<String> {
    let is_ours = error.is::<subhost_net::Error>()
        || error.is::<subhost_init::Error>()
        || error.is::<subhost_mount::Error>();
    let source: &io::Error = error.source().filter(|_| is_ours)?.downcast_ref()?;
    let advice = match source.raw_os_error()? {
        libc::ENOSPC => {
            "a file system is full, or there are as many namespaces or mounts as the host allows (sysctl user, sysctl fs.mount-max)"
        }
        libc::EMFILE => "this process may open no more files (ulimit -n)",
        libc::ENFILE => "there are as many open files as the host allows (sysctl fs.file-max)",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn missing_system_call(error: &io::Error) -> Option<String> {
    if error.raw_os_error() != Some(libc::ENOSYS) {
        return None;
    }
    let missing = subhost_init::kernel::missing_system_calls();
    let missing = if missing.is_empty() { "a system call".to_owned() } else { missing.join(", ") };
    Some(format!(
        "{missing} is missing: it takes {OLDEST}, and a seccomp filter around this program (SystemCallFilter= of a \
         systemd unit, the profile of a container) has to let it pass"
    ))
}

/// What to do about a user namespace that cannot be made.
pub fn user_namespace(error: &subhost_init::Error) -> Option<String> {
    let subhost_init::Error::System { source, .. } = error else { return None };
    match source.raw_os_error()? {
        libc::ENOSPC | libc::EUSERS => {
            let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
            Some(format!(
                "user.max_user_namespaces is {}: sysctl -w user.max_user_namespaces=15000 allows more",
                limit.trim()
            ))
        }
        libc::EINVAL => Some(format!("the kernel has to be built with CONFIG_USER_NS, and {OLDEST} or later")),
        libc::EPERM => Some(
            "kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0 allow it, where \
             the kernel has these settings; a seccomp filter around this program may forbid it, too"
                .to_owned(),
        ),
        _ => None,
    }
}
