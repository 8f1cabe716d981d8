//! An image that counts what is read of it, and may be longer than its bytes.

use std::io::{Read, Result, Seek, SeekFrom};

/// Bytes with zeros behind them.
pub(crate) struct Counted<'a> {
    bytes: &'a [u8],
    len: u64,
    position: u64,
    pub(crate) reads: u64,
    pub(crate) bytes_read: u64,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(bytes: &'a [u8], len: u64) -> Self {
        Counted { bytes, len, position: 0, reads: 0, bytes_read: 0 }
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let at = usize::try_from(self.position).unwrap_or(usize::MAX).min(self.bytes.len());
        let known = self.bytes[at..].len().min(most);
        buffer[..known].copy_from_slice(&self.bytes[at..at + known]);
        buffer[known..most].fill(0);
        self.position += most as u64;
        self.reads += 1;
        self.bytes_read += most as u64;
        Ok(most)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
