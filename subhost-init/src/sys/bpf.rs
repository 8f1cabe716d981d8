//! `bpf(2)`, for programs that judge access to devices of a cgroup (`BPF_PROG_TYPE_CGROUP_DEVICE`).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::check;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// A cgroup below may have a program of its own, which then holds instead.
const BPF_F_ALLOW_OVERRIDE: u32 = 1;
/// With its terminating zero.
const NAME_LENGTH: usize = 16;
/// Where `bpf_prog_info` has the name.
const NAME_AT: usize = 64;
/// As much of `bpf_prog_info` as is asked for: to the end of the name.
const INFO_LENGTH: u32 = 80;

/// An instruction, as the kernel lays it out: `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// Destination in the lower four bits, source in the upper.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// The first members of the `BPF_PROG_LOAD` variant of `union bpf_attr`.
#[derive(Default)]
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME_LENGTH],
}

/// The first members of the `BPF_PROG_ATTACH` variant.
#[derive(Default)]
#[repr(C)]
struct Attach {
    target: RawFd,
    program: RawFd,
    kind: u32,
    flags: u32,
}

/// The first members of the `BPF_PROG_QUERY` variant.
#[derive(Default)]
#[repr(C)]
struct Query {
    target: RawFd,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

/// The `BPF_OBJ_GET_INFO_BY_FD` variant.
#[derive(Default)]
#[repr(C)]
struct Info {
    program: RawFd,
    length: u32,
    info: u64,
}

/// Loads a program; its name is cut after 15 bytes.
pub(crate) fn load(instructions: &[Instruction], name: &str) -> io::Result<OwnedFd> {
    let count = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    let license: &CStr = c"Dual MIT/GPL";
    let mut attributes = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count,
        instructions: instructions.as_ptr().addr() as u64,
        license: license.as_ptr().addr() as u64,
        ..Load::default()
    };
    for (to, from) in attributes.name.iter_mut().zip(name.bytes().take(NAME_LENGTH - 1)) {
        *to = from;
    }
    // SAFETY: the instructions and the null-terminated license outlive the call, and the count is that of the instructions.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }?;
    // SAFETY: the kernel has just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a program hold for a cgroup (version 2) and all below it that have none of their own, in place of the one before.
pub(crate) fn attach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = Attach {
        target: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_OVERRIDE,
    };
    // SAFETY: this command reads the attributes alone.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attributes) }?;
    Ok(())
}

/// The name of the program that holds for this very cgroup.
pub(crate) fn attached(cgroup: BorrowedFd<'_>) -> io::Result<Option<String>> {
    let mut ids = [0_u32; 8];
    let mut query = Query {
        target: cgroup.as_raw_fd(),
        kind: BPF_CGROUP_DEVICE,
        ids: ids.as_mut_ptr().addr() as u64,
        count: 8,
        ..Query::default()
    };
    // SAFETY: the kernel stores up to `count` ids, for which there is room.
    unsafe { bpf(BPF_PROG_QUERY, &mut query) }?;
    if query.count == 0 {
        return Ok(None);
    }
    let mut by_id = [ids[0], 0, 0];
    // SAFETY: this command reads the attributes alone.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut by_id) }?;
    // SAFETY: the kernel has just opened this descriptor for us.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut bytes = [0_u8; INFO_LENGTH as usize];
    let mut info =
        Info { program: program.as_raw_fd(), length: INFO_LENGTH, info: bytes.as_mut_ptr().addr() as u64 };
    // SAFETY: the kernel stores no more than `length` bytes, for which there is room, and all zeros ask for nothing more.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut info) }?;
    let name = bytes[NAME_AT..].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(name).into_owned()))
}

/// # Safety
/// The attributes are those of the command, and its pointers are good for what the command does with them.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: the attributes have the size given; the rest is the contract of the caller.
    let result = check(unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    })?;
    RawFd::try_from(result).map_err(io::Error::other)
}
