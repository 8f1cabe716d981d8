//! Archives of tar that no tar would write.

/// An archive that is being made.
#[derive(Debug, Default, Clone)]
pub struct Archive {
    bytes: Vec<u8>,
}

/// What an entry is, as the archive numbers it.
pub mod kind {
    /// A file.
    pub const FILE: u8 = b'0';
    /// Another name of a file.
    pub const LINK: u8 = b'1';
    /// A symbolic link.
    pub const SYMLINK: u8 = b'2';
    /// A character device.
    pub const CHAR: u8 = b'3';
    /// A directory.
    pub const DIRECTORY: u8 = b'5';
    /// A FIFO.
    pub const FIFO: u8 = b'6';
    /// A file with holes, as GNU writes it.
    pub const SPARSE: u8 = b'S';
}

const BLOCK: usize = 512;

impl Archive {
    /// Adds an entry: its kind, mode, name, what it links to, and what it holds.
    #[must_use]
    pub fn entry(self, kind: u8, mode: u32, name: &str, link: &str, content: &[u8]) -> Self {
        self.raw(kind, mode, name, link, content, |_| {})
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        self.entry(kind::FILE, 0o644, name, "", content.as_bytes())
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, name: &str) -> Self {
        self.entry(kind::DIRECTORY, 0o755, name, "", b"")
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(kind::SYMLINK, 0o777, name, target, b"")
    }

    /// Adds a device.
    #[must_use]
    pub fn device(self, name: &str, major: u32, minor: u32) -> Self {
        self.raw(kind::CHAR, 0o666, name, "", b"", |header| {
            number(&mut header[329..337], major.into());
            number(&mut header[337..345], minor.into());
        })
    }

    /// Adds a file that says to be as large, and is nothing but a hole.
    #[must_use]
    pub fn hole(self, name: &str, size: u64) -> Self {
        self.raw(kind::SPARSE, 0o644, name, "", b"", |header| {
            header[257..265].copy_from_slice(b"ustar  \0");
            // One piece of nothing, at the end.
            binary(&mut header[386..398], size);
            number(&mut header[398..410], 0);
            binary(&mut header[483..495], size);
        })
    }

    /// All of it, with its end.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn raw(
        mut self,
        kind: u8,
        mode: u32,
        name: &str,
        link: &str,
        content: &[u8],
        change: impl FnOnce(&mut [u8; BLOCK]),
    ) -> Self {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        number(&mut header[100..108], mode.into());
        number(&mut header[108..116], 0);
        number(&mut header[116..124], 0);
        number(&mut header[124..136], content.len() as u64);
        number(&mut header[136..148], 1_000_000_000);
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        change(&mut header);
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
        number(&mut header[148..155], sum);
        self.bytes.extend(header);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }
}

/// Octal digits, and a NUL byte.
fn number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
    field[digits] = 0;
}

/// What has too many digits, as GNU writes it.
fn binary(field: &mut [u8], value: u64) {
    field.fill(0);
    field[0] = 0x80;
    let start = field.len() - 8;
    field[start..].copy_from_slice(&value.to_be_bytes());
}
