//! Reads numbers and texts at fixed places; outside of what there is, they are not there.

/// The beginning of a file system.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Bytes(bytes)
    }

    pub(super) fn at(&self, start: usize, len: usize) -> Option<&'a [u8]> {
        self.0.get(start..start.checked_add(len)?)
    }

    pub(super) fn has(&self, start: usize, magic: &[u8]) -> bool {
        self.at(start, magic.len()) == Some(magic)
    }

    fn array<const N: usize>(&self, start: usize) -> Option<[u8; N]> {
        self.at(start, N)?.try_into().ok()
    }

    pub(super) fn u8(&self, start: usize) -> Option<u8> {
        self.array::<1>(start).map(|[byte]| byte)
    }

    pub(super) fn le16(&self, start: usize) -> Option<u16> {
        self.array(start).map(u16::from_le_bytes)
    }

    pub(super) fn be16(&self, start: usize) -> Option<u16> {
        self.array(start).map(u16::from_be_bytes)
    }

    pub(super) fn be32(&self, start: usize) -> Option<u32> {
        self.array(start).map(u32::from_be_bytes)
    }

    pub(super) fn le32(&self, start: usize) -> Option<u32> {
        self.array(start).map(u32::from_le_bytes)
    }

    pub(super) fn le64(&self, start: usize) -> Option<u64> {
        self.array(start).map(u64::from_le_bytes)
    }

    pub(super) fn be64(&self, start: usize) -> Option<u64> {
        self.array(start).map(u64::from_be_bytes)
    }

    /// A UUID of 16 bytes; `None` when they are all zero.
    pub(super) fn uuid(&self, start: usize) -> Option<String> {
        let bytes: [u8; 16] = self.array(start)?;
        if bytes == [0; 16] {
            return None;
        }
        let mut text = String::with_capacity(36);
        for (position, byte) in bytes.iter().enumerate() {
            if matches!(position, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        Some(text)
    }

    /// A text that ends at a NUL or fills its place, without blanks behind it; `None` when it is empty.
    pub(super) fn text(&self, start: usize, len: usize) -> Option<String> {
        let bytes = self.at(start, len)?.split(|&byte| byte == 0).next()?;
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches([' ', '\n', '\t', '\r']);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// As [`Bytes::text`], of UTF-16, little-endian.
    pub(super) fn text16(&self, start: usize, units: usize) -> Option<String> {
        let bytes = self.at(start, units.checked_mul(2)?)?;
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .take_while(|&unit| unit != 0)
            .collect();
        let text = String::from_utf16_lossy(&units);
        let text = text.trim_end();
        (!text.is_empty()).then(|| text.to_owned())
    }
}
