//! The ioctls of loop devices (`loop(4)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::loop_device as raw;

/// What a loop device is to show.
pub(crate) struct LoopConfig<'a> {
    pub(crate) backing: BorrowedFd<'a>,
    pub(crate) offset: u64,
    pub(crate) size_limit: u64,
    pub(crate) block_size: u32,
    pub(crate) read_only: bool,
    pub(crate) direct_io: bool,
    /// The name that `losetup` shows; cut to what fits.
    pub(crate) name: &'a [u8],
}

/// What a loop device shows.
pub(crate) struct LoopStatus {
    pub(crate) number: u32,
    /// `st_dev` and `st_ino` of the backing file.
    pub(crate) backing: (u64, u64),
    /// `st_rdev` of the backing file, if that is a device.
    pub(crate) backing_device: u64,
    pub(crate) read_only: bool,
    pub(crate) direct_io: bool,
}

/// The number of a loop device that is free now; it may be gone before it is used.
pub(crate) fn loop_get_free(control: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: this request takes no argument and touches no memory of ours.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), raw::LOOP_CTL_GET_FREE as libc::Ioctl) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

/// Attaches, with autoclear.
pub(crate) fn loop_configure(device: BorrowedFd<'_>, config: &LoopConfig<'_>) -> io::Result<()> {
    let mut info = empty_info();
    info.lo_offset = config.offset;
    info.lo_sizelimit = config.size_limit;
    info.lo_flags = raw::LO_FLAGS_AUTOCLEAR as u32;
    if config.read_only {
        info.lo_flags |= raw::LO_FLAGS_READ_ONLY as u32;
    }
    if config.direct_io {
        info.lo_flags |= raw::LO_FLAGS_DIRECT_IO as u32;
    }
    // The last byte stays NUL.
    let room = info.lo_file_name.len() - 1;
    for (to, from) in info.lo_file_name[..room].iter_mut().zip(config.name) {
        *to = *from;
    }
    let config = raw::loop_config {
        fd: u32::try_from(config.backing.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput)?,
        block_size: config.block_size,
        info,
        __reserved: [0; 8],
    };
    // SAFETY: the request takes a pointer to a `loop_config`, which lives across the call and is only read.
    let result =
        unsafe { libc::ioctl(device.as_raw_fd(), raw::LOOP_CONFIGURE as libc::Ioctl, &raw const config) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has `device` go past the page cache of what it shows, or through it.
pub(crate) fn loop_set_direct_io(device: BorrowedFd<'_>, direct: bool) -> io::Result<()> {
    // SAFETY: the request takes a number, and no pointer.
    let result = unsafe {
        libc::ioctl(device.as_raw_fd(), raw::LOOP_SET_DIRECT_IO as libc::Ioctl, libc::c_ulong::from(direct))
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What `device` shows; `ENXIO` when nothing is attached.
pub(crate) fn loop_status(device: BorrowedFd<'_>) -> io::Result<LoopStatus> {
    let mut info = empty_info();
    // SAFETY: the request takes a pointer to a `loop_info64`, which lives across the call; the kernel fills
    // it with integers, for which every bit pattern is valid.
    let result =
        unsafe { libc::ioctl(device.as_raw_fd(), raw::LOOP_GET_STATUS64 as libc::Ioctl, &raw mut info) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(LoopStatus {
        number: info.lo_number,
        backing: (info.lo_device, info.lo_inode),
        backing_device: info.lo_rdevice,
        read_only: info.lo_flags & raw::LO_FLAGS_READ_ONLY as u32 != 0,
        direct_io: info.lo_flags & raw::LO_FLAGS_DIRECT_IO as u32 != 0,
    })
}

fn empty_info() -> raw::loop_info64 {
    raw::loop_info64 {
        lo_device: 0,
        lo_inode: 0,
        lo_rdevice: 0,
        lo_offset: 0,
        lo_sizelimit: 0,
        lo_number: 0,
        lo_encrypt_type: 0,
        lo_encrypt_key_size: 0,
        lo_flags: 0,
        lo_file_name: [0; 64],
        lo_crypt_name: [0; 64],
        lo_encrypt_key: [0; 32],
        lo_init: [0; 2],
    }
}
