//! `/run/initctl`: held open for reading and writing, so that it never comes to an end, and made again where it is gone.

use super::sys::{self, Errno, Fd, Result};

const PATH: &core::ffi::CStr = c"/run/initctl";

/// The FIFO that is held, if there is one.
pub(crate) struct Fifo {
    fd: Option<Fd>,
    /// Whether a missing FIFO is made; else one that is there is used, and none is no error.
    make: bool,
}

impl Fifo {
    pub(crate) fn new(make: bool) -> Self {
        Self { fd: None, make }
    }

    pub(crate) fn fd(&self) -> Option<i32> {
        self.fd.as_ref().map(Fd::raw)
    }

    /// Lets go of the FIFO.
    pub(crate) fn close(&mut self) {
        self.fd = None;
    }

    /// Sees to it that the FIFO at the path is the one that is held. Tells whether it had to be opened.
    pub(crate) fn renew(&mut self) -> Result<bool> {
        let there = sys::identify(PATH).ok().filter(|file| file.is_fifo());
        let held = self.fd().and_then(|fd| sys::identify_fd(fd).ok());
        if there.is_some() && there == held {
            return Ok(false);
        }
        if there.is_none() {
            if !self.make {
                return Ok(false);
            }
            // A file of another kind at the path is no use to the tools of the guest.
            let _ = sys::unlink(PATH);
            sys::mkfifo(PATH, 0o600)?;
        }
        let fd = sys::open(PATH, None)?;
        // Between the look and the opening the guest may have put something else there.
        if !sys::identify_fd(fd.raw())?.is_fifo() {
            return Err(Errno(sys::EINVAL));
        }
        self.fd = Some(fd);
        Ok(true)
    }
}
