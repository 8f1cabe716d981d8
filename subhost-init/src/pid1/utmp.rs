//! The records of `/run/utmp` that init writes, so that `runlevel`, `who -b` and invoke-rc.d know the state.
//!
//! The layout is glibc's `struct utmp`; 384 bytes with 32-bit times where 32-bit programs share the file (x86_64), 400
//! bytes elsewhere. musl and busybox without utmp do not read it.

#[cfg(target_arch = "x86_64")]
mod layout {
    pub(super) const LENGTH: usize = 384;
    pub(super) const SECONDS: usize = 340;
    pub(super) const MICROSECONDS: usize = 344;
    pub(super) const WIDE: bool = false;
}
#[cfg(not(target_arch = "x86_64"))]
mod layout {
    pub(super) const LENGTH: usize = 400;
    pub(super) const SECONDS: usize = 344;
    pub(super) const MICROSECONDS: usize = 352;
    pub(super) const WIDE: bool = true;
}

/// Length of a record, in bytes.
pub const LENGTH: usize = layout::LENGTH;

const PID: usize = 4;
const LINE: usize = 8;
const ID: usize = 40;
const USER: usize = 44;
const USER_END: usize = 76;
const HOST: usize = 76;
const HOST_END: usize = 332;

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The guest was booted.
    Boot,
    /// The runlevel changed.
    Level {
        /// The new level, ASCII.
        level: u8,
        /// The one before, ASCII; `N` for none.
        previous: u8,
    },
}

impl Record {
    /// `ut_type`: there is one record of each type in the file, and a new one takes its place.
    #[must_use]
    pub fn kind(self) -> u8 {
        match self {
            Self::Level { .. } => 1,
            Self::Boot => 2,
        }
    }

    /// Whether these first bytes are those of a record that this one replaces.
    #[must_use]
    pub fn replaces(self, record: &[u8]) -> bool {
        record.starts_with(&u16::from(self.kind()).to_ne_bytes())
    }

    /// The record, as sysvinit writes it; `release` is the kernel's, the time is since 1970.
    #[must_use]
    pub fn encode(self, release: &[u8], seconds: u64, microseconds: u32) -> [u8; LENGTH] {
        let mut record = [0; LENGTH];
        let (pid, user): (u32, &[u8]) = match self {
            Self::Boot => (0, b"reboot"),
            Self::Level { level, previous } => (u32::from(level) + 256 * u32::from(previous), b"runlevel"),
        };
        put(&mut record, 0, 2, &u16::from(self.kind()).to_ne_bytes());
        put(&mut record, PID, PID + 4, &pid.to_ne_bytes());
        put(&mut record, LINE, ID, b"~");
        put(&mut record, ID, USER, b"~~");
        put(&mut record, USER, USER_END, user);
        put(&mut record, HOST, HOST_END, release);
        if layout::WIDE {
            put(&mut record, layout::SECONDS, layout::MICROSECONDS, &seconds.to_ne_bytes());
            put(&mut record, layout::MICROSECONDS, LENGTH, &u64::from(microseconds).to_ne_bytes());
        } else {
            // The field is 32 bits and is read as such; after 2038 it wraps, as glibc's does.
            #[expect(clippy::cast_possible_truncation, reason = "the low half is what the field holds")]
            let low = seconds as u32;
            put(&mut record, layout::SECONDS, layout::MICROSECONDS, &low.to_ne_bytes());
            put(&mut record, layout::MICROSECONDS, LENGTH, &microseconds.to_ne_bytes());
        }
        record
    }
}

/// Copies what fits of `bytes` to `start..end`.
fn put(record: &mut [u8; LENGTH], start: usize, end: usize, bytes: &[u8]) {
    let field = record.get_mut(start..end).unwrap_or_default();
    field.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn runlevel_record_has_glibc_layout() {
        let record = Record::Level { level: b'2', previous: b'N' }.encode(b"6.1.0", 0x6655_4433, 0x0009_0807);
        let mut expected = [0_u8; 384];
        expected[0] = 1;
        expected[4..8].copy_from_slice(b"2N\0\0");
        expected[8] = b'~';
        expected[40..42].copy_from_slice(b"~~");
        expected[44..52].copy_from_slice(b"runlevel");
        expected[76..81].copy_from_slice(b"6.1.0");
        expected[340..348].copy_from_slice(&[0x33, 0x44, 0x55, 0x66, 0x07, 0x08, 0x09, 0]);
        assert_eq!(record, expected);
    }

    #[test]
    fn boot_record_is_of_type_two() {
        let record = Record::Boot.encode(&[b'r'; 400], 1, 2);
        assert_eq!(record[..2], 2_u16.to_ne_bytes());
        assert_eq!(&record[44..52], b"reboot\0\0");
        assert_eq!(record[331..334], [b'r', 0, 0]);
        assert!(Record::Boot.replaces(&record));
        assert!(!Record::Level { level: b'2', previous: b'N' }.replaces(&record));
        assert!(!Record::Boot.replaces(b""));
    }
}
