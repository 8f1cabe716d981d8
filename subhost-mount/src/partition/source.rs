//! Bounded reads from an image at absolute places.

use std::io::{Read, Seek, SeekFrom};

use crate::{Error, Result};

/// An image to read from.
pub(super) struct Source<R> {
    reader: R,
    len_bytes: u64,
}

impl<R: Read + Seek> Source<R> {
    pub(super) fn new(reader: R, len_bytes: u64) -> Self {
        Source { reader, len_bytes }
    }

    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// `len` bytes from `offset`; `None` when they are not all inside the image.
    pub(super) fn read(&mut self, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        let inside = u64::try_from(len)
            .ok()
            .and_then(|len| offset.checked_add(len))
            .is_some_and(|end| end <= self.len_bytes);
        if !inside {
            return Ok(None);
        }
        let mut buffer = vec![0; len];
        self.reader
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.reader.read_exact(&mut buffer))
            .map_err(|source| Error::system("read partition table", format!("at byte {offset}"), source))?;
        Ok(Some(buffer))
    }
}

/// The little-endian number at `at`. Panics outside of `bytes`: callers read whole structures first.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

/// The little-endian number at `at`. Panics outside of `bytes`: callers read whole structures first.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
