//! Takes parts of the kernel away, as an older one or a filter would.

use std::thread;

/// `FSCONFIG_SET_FD` of `fsconfig(2)`.
pub(super) const SET_FD: u32 = 5;
/// `FSCONFIG_CMD_CREATE`.
pub(super) const CREATE: u32 = 6;

const fn filter(code: u32, jump_true: u8, jump_false: u8, k: u32) -> libc::sock_filter {
    #[expect(clippy::cast_possible_truncation, reason = "the codes are below 0x100")]
    libc::sock_filter { code: code as u16, jt: jump_true, jf: jump_false, k }
}

/// Runs `job` on a thread where these commands of `fsconfig(2)` are invalid, for the threads that it starts too.
pub(super) fn without_fsconfig<T: Send>(commands: &[u32], job: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            for &command in commands {
                refuse_fsconfig(command);
            }
            job()
        });
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}

fn refuse_fsconfig(command: u32) {
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let invalid = u32::try_from(libc::EINVAL).unwrap();
    let mut code = [
        // The number of the call, at 0; the lower half of its second argument, at 24.
        filter(load, 0, 0, 0),
        filter(equal, 0, 3, u32::try_from(libc::SYS_fsconfig).unwrap()),
        filter(load, 0, 0, if cfg!(target_endian = "little") { 24 } else { 28 }),
        filter(equal, 0, 1, command),
        filter(answer, 0, 0, libc::SECCOMP_RET_ERRNO | invalid),
        filter(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 6, filter: code.as_mut_ptr() };
    // SAFETY: `program` points to six instructions, which live across the call and are copied by it. The filter is
    // for the calling thread alone, as no flag says otherwise.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
