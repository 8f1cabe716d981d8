//! Builds partition tables, honest and other, byte by byte.

#![allow(dead_code, reason = "not each test program that takes this in needs all of it")]

/// An image of zeros with room for tables.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sector_size: usize,
}

/// A partition of a GPT: first and last sector.
#[derive(Clone, Copy)]
pub(crate) struct Extent(pub(crate) u64, pub(crate) u64);

impl Disk {
    pub(crate) fn new(sectors: usize) -> Disk {
        Disk::with_sectors_of(512, sectors)
    }

    pub(crate) fn with_sectors_of(sector_size: usize, sectors: usize) -> Disk {
        Disk { bytes: vec![0; sectors * sector_size], sector_size }
    }

    pub(crate) fn sectors(&self) -> u64 {
        (self.bytes.len() / self.sector_size) as u64
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes one of the four entries of the record in `sector`, and its magic.
    pub(crate) fn record(mut self, sector: usize, slot: usize, code: u8, start: u32, count: u32) -> Disk {
        let record = sector * self.sector_size;
        let entry = record + 446 + 16 * slot;
        self.put(record + 510, &[0x55, 0xaa]);
        self.bytes[entry + 4] = code;
        self.put(entry + 8, &start.to_le_bytes());
        self.put(entry + 12, &count.to_le_bytes());
        self
    }

    /// A protective MBR, and primary and backup GPT with 128 entries.
    pub(crate) fn gpt(self, extents: &[Extent]) -> Disk {
        let entries = gpt_entries(extents);
        let array = (entries.len() / self.sector_size) as u64;
        let last = self.sectors() - 1;
        let header = |own, alternate, array_at| GptHeader {
            own,
            alternate,
            first_usable: 2 + array,
            last_usable: last - array - 1,
            array_at,
            count: 128,
            entry_size: 128,
            header_size: 92,
        };
        self.record(0, 0, 0xee, 1, u32::MAX)
            .gpt_half(&header(1, last, 2), &entries)
            .gpt_half(&header(last, 1, last - array), &entries)
    }

    /// One header and its entries, with right sums.
    pub(crate) fn gpt_half(mut self, header: &GptHeader, entries: &[u8]) -> Disk {
        let size = self.sector_size;
        let place = |sector| usize::try_from(sector).unwrap() * size;
        self.put(place(header.own), &header.bytes(entries));
        self.put(place(header.array_at), entries);
        self
    }

    /// Changes a byte.
    pub(crate) fn flip(mut self, at: usize) -> Disk {
        self.bytes[at] ^= 0xff;
        self
    }
}

/// What a GPT header says.
#[derive(Clone, Copy)]
pub(crate) struct GptHeader {
    pub(crate) own: u64,
    pub(crate) alternate: u64,
    pub(crate) first_usable: u64,
    pub(crate) last_usable: u64,
    pub(crate) array_at: u64,
    pub(crate) count: u32,
    pub(crate) entry_size: u32,
    pub(crate) header_size: u32,
}

impl GptHeader {
    pub(crate) fn bytes(&self, entries: &[u8]) -> Vec<u8> {
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x1_0000_u32.to_le_bytes());
        header[12..16].copy_from_slice(&self.header_size.to_le_bytes());
        for (at, value) in [
            (24, self.own),
            (32, self.alternate),
            (40, self.first_usable),
            (48, self.last_usable),
            (72, self.array_at),
        ] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].copy_from_slice(&[0xd1; 16]);
        header[80..84].copy_from_slice(&self.count.to_le_bytes());
        header[84..88].copy_from_slice(&self.entry_size.to_le_bytes());
        header[88..92].copy_from_slice(&crc32fast::hash(entries).to_le_bytes());
        let sum = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    }
}

/// 128 entries, of which the first ones are used.
pub(crate) fn gpt_entries(extents: &[Extent]) -> Vec<u8> {
    let mut entries = vec![0; 128 * 128];
    for (number, (entry, Extent(first, last))) in (1..).zip(entries.chunks_exact_mut(128).zip(extents)) {
        entry[..16].fill(0x83);
        entry[16..32].fill(number);
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    }
    entries
}
