//! The system call filter of a guest: what of the shared kernel it does not get at.
//!
//! It is a list of what is refused; the rest is the kernel's to judge, by the guest's own user namespace. What is refused
//! has the errno that programs expect of a kernel without it, so that they go another way. The filter is loaded without
//! `no_new_privs`, so set-user-id programs such as sudo work inside, and every process of the guest inherits it.
//!
//! * What belongs to the machine: kernel modules, kexec, swap, the clock, process accounting, I/O ports, the kernel's log.
//! * Parts of the kernel with a long record of holes that few programs need: bpf, perf events, userfaultfd, keyrings,
//!   io_uring (which would also make the sockets that are refused here), files by handle.
//! * Sockets of every family but those of [`Filter::SOCKET_FAMILIES`].
//! * Typing for others on a terminal (`TIOCSTI`, `TIOCLINUX`).
//! * Without [`Filter::nesting`]: mounting, and new user namespaces.
//! * What is newer than this list, which may be another way to any of these.
//!
//! Programs of another architecture than the kernel's own (i386 on x86_64, 32-bit Arm on aarch64) have other numbers and
//! other calls, `socketcall` among them, which no filter can look into; they are killed with SIGSYS. The x32 calls of
//! x86_64 are refused as those are that the kernel does not have.

mod program;

use libc::sock_filter;
use linux_raw_sys::ioctl::{TIOCLINUX, TIOCSTI};

use self::program::{Answer, Compare, Program};

/// A system call filter.
///
/// ```
/// use subhost_init::seccomp::Filter;
/// let for_containers_inside = Filter::default().nesting(true);
/// # let _ = for_containers_inside;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    nesting: bool,
}

/// The mount API as it was before Linux 5.2; most of what guests mount has been mounted before they start.
const MOUNT: &[libc::c_long] = &[libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root];

/// The mount API since. mount(8) goes back to the old one.
const NEW_MOUNT: &[libc::c_long] = &[
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
];

/// Since Linux 6.15, with the same number everywhere.
const OPEN_TREE_ATTR: libc::c_long = 467;

/// What belongs to the machine: refused as one is who lacks the capability.
const OF_THE_MACHINE: &[libc::c_long] = &[
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    // Files of any mounted file system by number, whatever is mounted over them or not at all in the guest.
    libc::SYS_open_by_handle_at,
    // Where dmesg_restrict is off, the kernel lets anybody read its log.
    libc::SYS_syslog,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// What a kernel may be built without: refused as if it were.
const FEATURES: &[libc::c_long] = &[
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// The last call that this list knows: `file_setattr` of Linux 6.17, with the same number everywhere.
const LAST_KNOWN: u32 = 469;

impl Filter {
    /// The families that sockets may have: unix, inet, inet6, netlink and packet.
    pub const SOCKET_FAMILIES: [u32; 5] = [1, 2, 10, 16, 17];

    /// Whether containers may run inside: mounting and new user namespaces are then left to the kernel's own judgement.
    #[must_use]
    pub fn nesting(mut self, yes: bool) -> Filter {
        self.nesting = yes;
        self
    }

    /// The program for the kernel.
    pub(crate) fn program(&self) -> &'static [sock_filter] {
        static PLAIN: Program = Filter { nesting: false }.compile();
        static NESTING: Program = Filter { nesting: true }.compile();
        if self.nesting { NESTING.instructions() } else { PLAIN.instructions() }
    }

    /// Run by the compiler, for each kind of filter.
    const fn compile(&self) -> Program {
        let terminal: [u32; 2] = [TIOCSTI, TIOCLINUX];
        let new_user_namespace = libc::CLONE_NEWUSER.cast_unsigned();
        let mut program = Program::for_calls_up_to(LAST_KNOWN, Answer::Errno(libc::ENOSYS))
            .answer(FEATURES, Answer::Errno(libc::ENOSYS))
            .answer(OF_THE_MACHINE, Answer::Errno(libc::EPERM));
        if !self.nesting {
            program = program
                .answer(NEW_MOUNT, Answer::Errno(libc::ENOSYS))
                .answer(MOUNT, Answer::Errno(libc::EPERM))
                // Its flags are in memory, out of a filter's reach; C libraries go back to clone.
                .answer(&[libc::SYS_clone3], Answer::Errno(libc::ENOSYS))
                .answer_by(
                    &[libc::SYS_clone, libc::SYS_unshare],
                    (0, Compare::HasBits, &[new_user_namespace]),
                    Answer::Errno(libc::EPERM),
                    Answer::Allow,
                );
        }
        program
            .answer_by(
                &[libc::SYS_ioctl],
                (1, Compare::Is, &terminal),
                Answer::Errno(libc::EPERM),
                Answer::Allow,
            )
            .answer_by(
                &[libc::SYS_socket, libc::SYS_socketpair],
                (0, Compare::Is, &Filter::SOCKET_FAMILIES),
                Answer::Allow,
                Answer::Errno(libc::EAFNOSUPPORT),
            )
            .end(Answer::Allow)
    }
}

#[cfg(test)]
mod tests;
