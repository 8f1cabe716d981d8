//! `ptrace`, one request a function. Nothing here decides anything.
#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;

/// What a traced thread has stopped at, or how it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It has exited with this.
    Exited(i32),
    /// This signal has ended it.
    Killed(i32),
    /// It is about to make a system call, or has just made one.
    AtCall,
    /// It has made another process or thread.
    Cloned,
    /// It has executed a program.
    Executed,
    /// It is born, or was woken from where it stood still.
    Begins,
    /// A signal makes it stand still, as `kill -STOP` does.
    StandsStill,
    /// It is about to take this signal.
    Signalled(i32),
}

/// A system call that a thread has stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It is about to make this one.
    Entry(i64),
    /// It has made it.
    Exit,
}

/// Begins to trace a process, and all that it makes.
pub(super) fn seize(pid: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC;
    request(libc::PTRACE_SEIZE, pid, 0, usize::try_from(options).unwrap_or(0))
}

/// Lets it go on to the next system call, or its end, with a signal or 0.
pub(super) fn to_next_call(pid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, pid, 0, usize::try_from(signal).unwrap_or(0))
}

/// Lets it go on, past all system calls.
pub(super) fn go_on(pid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, pid, 0, usize::try_from(signal).unwrap_or(0))
}

/// Leaves it standing still, until a SIGCONT.
pub(super) fn leave_still(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_LISTEN, pid, 0, 0)
}

/// Traces it no longer.
pub(super) fn let_go(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, pid, 0, 0)
}

/// Who was made by one that has [`Status::Cloned`].
pub(super) fn made(pid: i32) -> io::Result<i32> {
    let mut child: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, pid, 0, ptr::from_mut(&mut child).addr())?;
    i32::try_from(child).map_err(io::Error::other)
}

/// Which call it has stopped at.
pub(super) fn call(pid: i32) -> io::Result<Call> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of_val(&info);
    request(libc::PTRACE_GET_SYSCALL_INFO, pid, size, info.as_mut_ptr().addr())?;
    // SAFETY: all zeros are a value of this structure of integers.
    let info = unsafe { info.assume_init() };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(Call::Exit);
    }
    // SAFETY: at an entry the kernel has filled in this member.
    let number = unsafe { info.u.entry.nr };
    Ok(Call::Entry(number.cast_signed()))
}

/// At the entry of a call: it is not made.
#[cfg(target_arch = "x86_64")]
pub(super) fn skip(pid: i32) -> io::Result<()> {
    change_registers(pid, |registers| registers.orig_rax = u64::MAX)
}

/// At the exit of a call: what it gives back.
#[cfg(target_arch = "x86_64")]
pub(super) fn answer(pid: i32, value: i64) -> io::Result<()> {
    change_registers(pid, |registers| registers.rax = value.cast_unsigned())
}

/// At the entry of a call: it is not made.
#[cfg(target_arch = "aarch64")]
pub(super) fn skip(pid: i32) -> io::Result<()> {
    const NT_ARM_SYSTEM_CALL: usize = 0x404;
    let mut number: i32 = -1;
    let mut vector =
        libc::iovec { iov_base: ptr::from_mut(&mut number).cast(), iov_len: size_of_val(&number) };
    request(libc::PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, ptr::from_mut(&mut vector).addr())
}

/// At the exit of a call: what it gives back.
#[cfg(target_arch = "aarch64")]
pub(super) fn answer(pid: i32, value: i64) -> io::Result<()> {
    change_registers(pid, |registers| registers.regs[0] = value.cast_unsigned())
}

fn change_registers(pid: i32, change: impl FnOnce(&mut libc::user_regs_struct)) -> io::Result<()> {
    // SAFETY: all zeros are a value of this structure of integers.
    let mut registers: libc::user_regs_struct = unsafe { mem::zeroed() };
    let mut vector =
        libc::iovec { iov_base: ptr::from_mut(&mut registers).cast(), iov_len: size_of_val(&registers) };
    let set = usize::try_from(libc::NT_PRSTATUS).unwrap_or(0);
    request(libc::PTRACE_GETREGSET, pid, set, ptr::from_mut(&mut vector).addr())?;
    change(&mut registers);
    request(libc::PTRACE_SETREGSET, pid, set, ptr::from_mut(&mut vector).addr())
}

/// Waits for any thread that the calling thread traces, or child that it has made.
pub(super) fn wait() -> io::Result<(i32, Status)> {
    loop {
        let mut status = 0;
        // Those of other threads are theirs to wait for.
        let which = libc::__WALL | libc::__WNOTHREAD;
        // SAFETY: the status is written to a variable that lives as long.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, which) };
        if pid > 0 {
            return Ok((pid, decode(status)));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn decode(status: i32) -> Status {
    if libc::WIFEXITED(status) {
        return Status::Exited(libc::WEXITSTATUS(status));
    }
    if libc::WIFSIGNALED(status) {
        return Status::Killed(libc::WTERMSIG(status));
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => Status::Cloned,
        libc::PTRACE_EVENT_EXEC => Status::Executed,
        libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Status::Begins,
        libc::PTRACE_EVENT_STOP => Status::StandsStill,
        _ if signal == libc::SIGTRAP | 0x80 => Status::AtCall,
        _ => Status::Signalled(signal),
    }
}

/// Waits until a child that is not traced yet stands still.
pub(super) fn await_stop(pid: i32) -> io::Result<()> {
    let mut status = 0;
    // SAFETY: the status is written to a variable that lives as long.
    let found = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    if found == pid && libc::WIFSTOPPED(status) {
        return Ok(());
    }
    Err(io::Error::other(format!("it has not stopped: wait status {status:#x}")))
}

/// `address` and `data` mean what they mean to the request.
fn request(what: libc::c_uint, pid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: each caller gives numbers, or the address and size of a value of its own that the request writes or reads.
    let result = unsafe { libc::ptrace(what, pid, address, data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
