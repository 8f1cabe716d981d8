use std::collections::BTreeMap;

use super::program::ARCHITECTURE;
use super::*;

/// The kernel's number of an architecture that is not this one, nor any other.
const OTHER: u32 = 0x4000_0003;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

/// What the kernel does with the filter.
fn answer(filter: &Filter, architecture: u32, number: i64, arguments: [u64; 6]) -> u32 {
    run(filter.program(), architecture, number, arguments)
}

/// Runs a program of classic BPF, with no more than the instructions that these have.
fn run(program: &[sock_filter], architecture: u32, number: i64, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(u32::try_from(number).unwrap().to_ne_bytes());
    data.extend(architecture.to_ne_bytes());
    data.extend([0; 8]);
    data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
    let (mut accumulator, mut at) = (0_u32, 0);
    loop {
        let instruction = &program[at];
        at += 1;
        let branch = |yes: bool| usize::from(if yes { instruction.jt } else { instruction.jf });
        match (instruction.code, instruction.k) {
            (0x20, offset) => {
                let offset = usize::try_from(offset).unwrap();
                accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            (0x15, value) => at += branch(accumulator == value),
            (0x25, value) => at += branch(accumulator > value),
            (0x45, mask) => at += branch(accumulator & mask != 0),
            (0x06, value) => return value,
            (code, _) => panic!("no such instruction here: {code:#x}"),
        }
    }
}

/// What becomes of a call of this architecture.
fn call(filter: &Filter, number: i64, arguments: [u64; 6]) -> u32 {
    answer(filter, ARCHITECTURE, number, arguments)
}

fn refusal(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

fn first(argument: u64) -> [u64; 6] {
    [argument, 0, 0, 0, 0, 0]
}

#[test]
fn every_call_that_no_list_has_is_allowed_and_no_other() {
    let mut refused: BTreeMap<i64, i32> = BTreeMap::new();
    refused.extend(OF_THE_MACHINE.iter().map(|call| (*call, libc::EPERM)));
    refused.extend(FEATURES.iter().map(|call| (*call, libc::ENOSYS)));
    let mut plain = refused.clone();
    plain.extend(MOUNT.iter().map(|call| (*call, libc::EPERM)));
    plain.extend(NEW_MOUNT.iter().chain(&[libc::SYS_clone3]).map(|call| (*call, libc::ENOSYS)));
    for (filter, refused) in [(Filter::default(), plain), (Filter::default().nesting(true), refused)] {
        for number in 0..=LAST_KNOWN.into() {
            // A family of sockets that is allowed, and no flag of clone.
            let answer = call(&filter, number, first(1));
            assert_eq!(answer, refused.get(&number).map_or(ALLOW, |errno| refusal(*errno)), "{number}");
        }
    }
}

#[test]
fn every_call_of_the_lists_is_refused() {
    let filter = Filter::default();
    for (calls, errno) in [
        (OF_THE_MACHINE, libc::EPERM),
        (MOUNT, libc::EPERM),
        (FEATURES, libc::ENOSYS),
        (NEW_MOUNT, libc::ENOSYS),
        (&[libc::SYS_clone3], libc::ENOSYS),
    ] {
        for number in calls {
            assert_eq!(call(&filter, *number, [0; 6]), refusal(errno), "{number}");
        }
    }
    for number in [libc::SYS_read, libc::SYS_execve, libc::SYS_reboot, libc::SYS_setns, libc::SYS_prctl] {
        assert_eq!(call(&filter, number, [0; 6]), ALLOW, "{number}");
    }
}

#[test]
fn nesting_opens_mounts_and_user_namespaces_and_nothing_else() {
    let nesting = Filter::default().nesting(true);
    let user = libc::CLONE_NEWUSER as u64;
    for number in MOUNT.iter().chain(NEW_MOUNT).chain(&[libc::SYS_clone3]) {
        assert_eq!(call(&nesting, *number, [0; 6]), ALLOW, "{number}");
    }
    for number in [libc::SYS_unshare, libc::SYS_clone] {
        assert_eq!(call(&nesting, number, first(user)), ALLOW);
        assert_eq!(call(&Filter::default(), number, first(user | 0x11)), refusal(libc::EPERM));
        assert_eq!(call(&Filter::default(), number, first(!user)), ALLOW, "without the flag");
    }
    for number in OF_THE_MACHINE.iter().chain(FEATURES) {
        assert_ne!(call(&nesting, *number, [0; 6]), ALLOW, "{number}");
    }
}

#[test]
fn a_terminal_s_request_is_known_by_its_low_half_as_the_kernel_knows_it() {
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        for high in [0, 1 << 32, 0xffff_ffff << 32] {
            let arguments = [0, request | high, 0, 0, 0, 0];
            assert_eq!(call(&Filter::default(), libc::SYS_ioctl, arguments), refusal(libc::EPERM));
        }
    }
    let arguments = [libc::TIOCSTI, libc::TIOCGWINSZ, libc::TIOCSTI, 0, 0, 0];
    assert_eq!(call(&Filter::default(), libc::SYS_ioctl, arguments), ALLOW);
}

#[test]
fn sockets_have_the_families_that_are_asked_for() {
    let families = |filter: &Filter, call_number| -> Vec<u64> {
        (0..64).filter(|family| call(filter, call_number, first(*family)) == ALLOW).collect()
    };
    for number in [libc::SYS_socket, libc::SYS_socketpair] {
        assert_eq!(families(&Filter::default(), number), [1, 2, 10, 16, 17]);
        assert_eq!(families(&Filter::default().nesting(true), number), [1, 2, 10, 16, 17]);
        // The kernel takes an int.
        assert_eq!(call(&Filter::default(), number, first(38 | 1 << 32)), refusal(libc::EAFNOSUPPORT));
        assert_eq!(call(&Filter::default(), number, first(2 | 1 << 32)), ALLOW);
    }
}

#[test]
fn other_architectures_and_unknown_calls_do_not_slip_through() {
    for filter in [Filter::default(), Filter::default().nesting(true)] {
        for number in [1, libc::SYS_mount, 0x4000_0001] {
            assert_eq!(answer(&filter, OTHER, number, [0; 6]), KILL);
        }
        for number in [i64::from(LAST_KNOWN) + 1, 0x4000_0001, 0x4000_00a5, u32::MAX.into()] {
            assert_eq!(call(&filter, number, [0; 6]), refusal(libc::ENOSYS), "{number:#x}");
        }
        assert_eq!(call(&filter, LAST_KNOWN.into(), [0; 6]), ALLOW);
    }
}
