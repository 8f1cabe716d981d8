//! Text of which every byte knows whether it was quoted.

/// The result of an expansion before quotes lose their meaning: as a pattern, only unquoted bytes are special.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    bytes: Vec<u8>,
    quoted: Vec<bool>,
}

impl Marked {
    pub(crate) fn push(&mut self, bytes: &[u8], quoted: bool) {
        self.bytes.extend_from_slice(bytes);
        self.quoted.resize(self.bytes.len(), quoted);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For each byte, whether it stood in quotes or behind a backslash.
    pub(crate) fn quoted(&self) -> &[bool] {
        &self.quoted
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
