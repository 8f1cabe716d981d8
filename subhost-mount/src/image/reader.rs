//! Reads a range of an image with a position of its own, as several readers share the one fd.

use std::io::{self, Read, Seek, SeekFrom};

use crate::image::Image;
use crate::partition::ByteRange;

/// Reads a range of an image; position 0 is the start of the range.
#[derive(Debug)]
pub struct ImageReader<'a> {
    image: &'a Image,
    range: ByteRange,
    position: u64,
}

impl<'a> ImageReader<'a> {
    pub(super) fn new(image: &'a Image, range: ByteRange) -> Self {
        ImageReader { image, range, position: 0 }
    }
}

impl Read for ImageReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.len.saturating_sub(self.position);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let at = self.range.start.checked_add(self.position).ok_or(io::ErrorKind::InvalidInput)?;
        let read = self.image.read_at(&mut buffer[..most], at)?;
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for ImageReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.range.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
