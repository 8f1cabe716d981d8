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

use std::collections::BTreeMap;

use linux_raw_sys::ioctl::{TIOCLINUX, TIOCSTI};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

use crate::{Error, Result};

/// A system call filter.
///
/// ```
/// use subhost_init::seccomp::Filter;
/// let for_containers_inside = Filter::default().nesting(true);
/// # let _ = for_containers_inside;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    nesting: bool,
    families: Vec<u16>,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { nesting: false, families: Filter::SOCKET_FAMILIES.to_vec() }
    }
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
    pub const SOCKET_FAMILIES: [u16; 5] = [1, 2, 10, 16, 17];

    /// Whether containers may run inside: mounting and new user namespaces are then left to the kernel's own judgement.
    #[must_use]
    pub fn nesting(mut self, yes: bool) -> Filter {
        self.nesting = yes;
        self
    }

    /// The families that sockets may have, by the kernel's numbers, instead of [`Filter::SOCKET_FAMILIES`].
    #[must_use]
    pub fn socket_families(mut self, families: &[u16]) -> Filter {
        families.clone_into(&mut self.families);
        self
    }

    /// The program for the kernel.
    pub(crate) fn compile(&self) -> Result<BpfProgram> {
        self.programs().map(joined).map_err(|_| Error::Refused {
            object: "system call filter".to_owned(),
            reason: "cannot be made: too many socket families",
        })
    }

    /// One after the other: each has one errno for all that it refuses.
    fn programs(&self) -> std::result::Result<Vec<BpfProgram>, seccompiler::BackendError> {
        let mut not_permitted = refused(OF_THE_MACHINE);
        let terminal = [TIOCSTI, TIOCLINUX];
        // The kernel only looks at the low half of the request, so no more is compared.
        let requests = terminal.map(|request| rule([(1, SeccompCmpOp::Eq, request.into())]));
        not_permitted.insert(libc::SYS_ioctl, requests.into_iter().collect::<std::result::Result<_, _>>()?);
        let mut missing = refused(FEATURES);
        if !self.nesting {
            not_permitted.extend(refused(MOUNT));
            missing.extend(refused(NEW_MOUNT));
            let new_user_namespace = libc::CLONE_NEWUSER as u64;
            let flag = SeccompCmpOp::MaskedEq(new_user_namespace);
            for call in [libc::SYS_clone, libc::SYS_unshare] {
                not_permitted.insert(call, vec![rule([(0, flag.clone(), new_user_namespace)])?]);
            }
            // Its flags are in memory, out of a filter's reach; C libraries go back to clone.
            missing.insert(libc::SYS_clone3, Vec::new());
        }
        let others = self.families.iter().map(|family| (0, SeccompCmpOp::Ne, u64::from(*family)));
        let other_family = vec![rule(others)?];
        let families =
            BTreeMap::from([(libc::SYS_socket, other_family.clone()), (libc::SYS_socketpair, other_family)]);

        let mut programs = vec![
            program(missing, libc::ENOSYS)?,
            program(not_permitted, libc::EPERM)?,
            program(families, libc::EAFNOSUPPORT)?,
        ];
        programs[0].splice(..0, unknown_calls());
        Ok(programs)
    }
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// These calls, whatever their arguments.
fn refused(calls: &[libc::c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// All of these hold: the argument's number, how its low half is compared, and with what.
fn rule(
    conditions: impl IntoIterator<Item = (u8, SeccompCmpOp, u64)>,
) -> std::result::Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.into_iter().map(|(argument, operator, value)| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    });
    SeccompRule::new(conditions.collect::<std::result::Result<_, _>>()?)
}

fn program(rules: Rules, errno: i32) -> std::result::Result<BpfProgram, seccompiler::BackendError> {
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// One program of several: what one of them allows comes to the next. The kernel checks and translates each program that it
/// loads, and runs each for every call, which costs more than its instructions.
fn joined(programs: Vec<BpfProgram>) -> BpfProgram {
    programs.into_iter().rev().fold(Vec::new(), |next, mut program| {
        let end = program.len();
        if !next.is_empty() {
            for (behind, instruction) in (1..).zip(&mut program) {
                if is_allowing(instruction) {
                    *instruction = forward(end - behind);
                }
            }
        }
        program.extend(next);
        program
    })
}

fn is_allowing(instruction: &sock_filter) -> bool {
    u32::from(instruction.code) == libc::BPF_RET | libc::BPF_K && instruction.k == libc::SECCOMP_RET_ALLOW
}

/// Leaves out so many instructions.
fn forward(count: usize) -> sock_filter {
    let k = u32::try_from(count).expect("the kernel takes 4096 instructions at most");
    instruction(libc::BPF_JMP | libc::BPF_JA, k, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = u16::try_from(code).expect("the codes of classic BPF have 16 bits");
    sock_filter { code, jt, jf, k }
}

/// Refuses every number behind the last one that is known, to be put before a program. The x32 calls are among them: they
/// have the architecture of x86_64 and numbers from 2^30 on. Of another architecture the program itself says what becomes.
fn unknown_calls() -> [sock_filter; 5] {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let statement = |code, k| instruction(code, k, 0, 0);
    [
        statement(LOAD, ARCHITECTURE_OFFSET),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, ARCHITECTURE, 0, 3),
        statement(LOAD, NUMBER_OFFSET),
        instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, LAST_KNOWN, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
    ]
}

/// In `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

/// As `linux/audit.h` numbers them.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

#[cfg(test)]
mod tests;
