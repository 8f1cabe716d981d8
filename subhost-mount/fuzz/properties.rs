//! What holds for any image and any table of mounts. The fuzz targets run it on what libFuzzer makes up, `tests/partition_tables/fuzzed.rs` on
//! what was kept.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom};

use subhost_mount::mountinfo::{MountEntry, MountTable, Source, parse};
use subhost_mount::partition::Selector;
use subhost_mount::{Error, PartitionTable, fstype};

/// An image of a few bytes that may be large: zeros but for some pieces.
///
/// As bytes: flags (1: the sums of a GPT are made right), the number of sectors (4 bytes) and of bytes behind the last
/// of them (1), and then pieces, each with its place, counted in pieces (4 bytes). Numbers are little-endian.
pub(crate) struct Image {
    pieces: HashMap<u64, [u8; PIECE]>,
    len: u64,
    position: u64,
    reads: u64,
    bytes_read: u64,
}

const PIECE: usize = 64;

const RIGHT_SUMS: u8 = 1;

impl Image {
    fn decode(bytes: &[u8]) -> Option<Image> {
        let (head, rest) = bytes.split_first_chunk::<6>()?;
        let [flags, sectors @ .., odd] = *head;
        let len = u64::from(u32::from_le_bytes(sectors)) * 512 + u64::from(odd);
        let mut pieces = HashMap::new();
        for chunk in rest.chunks_exact(4 + PIECE) {
            let (place, content) = chunk.split_first_chunk::<4>()?;
            pieces.insert(u32::from_le_bytes(*place).into(), content.try_into().ok()?);
        }
        let mut image = Image { pieces, len, position: 0, reads: 0, bytes_read: 0 };
        if flags & RIGHT_SUMS != 0 {
            for size in [512, 4096] {
                for sector in [1, (len / size).saturating_sub(1)] {
                    image.make_sums_right(sector * size, size);
                }
            }
        }
        Some(image)
    }

    /// The other way round.
    pub(crate) fn encode(bytes: &[u8], len: u64) -> Vec<u8> {
        let sectors = u32::try_from(len / 512).unwrap_or(u32::MAX);
        let mut encoded = vec![0];
        encoded.extend(sectors.to_le_bytes());
        encoded.push(u8::try_from(len % 512).unwrap_or(0));
        for (place, piece) in (0_u32..).zip(bytes.chunks(PIECE)) {
            if piece.iter().any(|&byte| byte != 0) {
                encoded.extend(place.to_le_bytes());
                encoded.extend(piece);
                encoded.resize(encoded.len() + PIECE - piece.len(), 0);
            }
        }
        encoded
    }

    fn at(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(at, &mut bytes);
        bytes
    }

    fn fill(&self, at: u64, buffer: &mut [u8]) {
        let mut done = 0;
        while done < buffer.len() {
            let at = at + done as u64;
            let inside = usize::try_from(at % PIECE as u64).expect("a piece is small");
            let many = (PIECE - inside).min(buffer.len() - done);
            match self.pieces.get(&(at / PIECE as u64)) {
                Some(piece) => buffer[done..done + many].copy_from_slice(&piece[inside..inside + many]),
                None => buffer[done..done + many].fill(0),
            }
            done += many;
        }
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        for (at, byte) in (at..).zip(bytes) {
            let inside = usize::try_from(at % PIECE as u64).expect("a piece is small");
            self.pieces.entry(at / PIECE as u64).or_insert([0; PIECE])[inside] = *byte;
        }
    }

    /// Or hardly anything that is made up would be read at all.
    fn make_sums_right(&mut self, at: u64, sector_size: u64) {
        let header = self.at(at, 92);
        if !header.starts_with(b"EFI PART") {
            return;
        }
        let number = |place: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[place + byte]));
        let array = u64::from(number(72)) | u64::from(number(76)) << 32;
        let array_len = u64::from(number(80)) * u64::from(number(84));
        let header_len = u64::from(number(12));
        if array_len > 1 << 20 || header_len > sector_size {
            return;
        }
        let Some(array) = array.checked_mul(sector_size).filter(|array| *array < self.len) else { return };
        let entries = self.at(array, usize::try_from(array_len).expect("it is bounded"));
        self.put(at + 88, &crc32fast::hash(&entries).to_le_bytes());
        self.put(at + 16, &[0; 4]);
        let summed = self.at(at, usize::try_from(header_len).expect("it is bounded"));
        self.put(at + 16, &crc32fast::hash(&summed).to_le_bytes());
    }
}

impl Read for &mut Image {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        self.fill(self.position, &mut buffer[..most]);
        self.position += most as u64;
        self.reads += 1;
        self.bytes_read += most as u64;
        Ok(most)
    }
}

impl Seek for &mut Image {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// A table is read or refused after few reads. What is given out lies inside the image, is disjoint and numbered, and
/// can be chosen by its own UUID.
pub(crate) fn tables(bytes: &[u8]) {
    let Some(mut image) = Image::decode(bytes) else { return };
    let len = image.len;
    for sector_size in [None, Some(4096)] {
        (image.reads, image.bytes_read) = (0, 0);
        let read = match sector_size {
            None => PartitionTable::read(&mut image, len),
            Some(size) => PartitionTable::read_with_sector_size(&mut image, len, size),
        };
        assert!(image.reads <= 140, "{} reads", image.reads);
        assert!(image.bytes_read <= (4 << 20) + (64 << 10), "{} bytes read", image.bytes_read);
        match read {
            Ok(table) => check(&table),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn check(table: &PartitionTable) {
    assert!(table.partitions.len() <= 256);
    assert!(table.partitions.windows(2).all(|pair| pair[0].index < pair[1].index), "{table:?}");
    let mut ranges = Vec::new();
    for partition in &table.partitions {
        let Ok(range) = table.find(partition.index) else {
            assert!(table.is_extended(partition), "{partition:?}");
            continue;
        };
        assert!(range.start >= 512 && range.end().is_some_and(|end| end <= table.len_bytes), "{partition:?}");
        assert!(range.len > 0, "{partition:?}");
        ranges.push(range);
    }
    // Each would look at all others.
    for partition in table.partitions.iter().take(8).filter(|partition| !table.is_extended(partition)) {
        let selector = Selector::PartUuid(partition.uuid.clone().expect("both kinds of table have them"));
        match table.select(&selector, |_| Ok(None)) {
            Ok(selected) => assert_eq!(selected.index, partition.index),
            Err(Error::SelectedTwice { indexes, .. }) => assert!(indexes.contains(&partition.index)),
            Err(error) => panic!("{error}: {partition:?}"),
        }
    }
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.windows(2).all(|pair| pair[0].end() <= Some(pair[1].start)), "{table:?}");
}

/// A superblock is recognised or not, after what was promised to be read at most.
pub(crate) fn superblocks(bytes: &[u8]) {
    let Some(mut image) = Image::decode(bytes) else { return };
    for start in [0, 512] {
        image.bytes_read = 0;
        let found = fstype::probe(&mut image, start).expect("the reader does not fail");
        assert!(image.bytes_read <= (72 << 10) + 512, "{} bytes read", image.bytes_read);
        let Some(found) = found else { continue };
        assert!(!found.kind.is_empty());
        assert!(found.label.is_none_or(|label| !label.is_empty()));
        assert!(found.uuid.is_none_or(|uuid| !uuid.is_empty()));
    }
}

/// A table of mounts is read line by line; what is read is written and read again as it was. Every mount has its place
/// in the order of unmounting, once, and none before one that is on it.
pub(crate) fn mountinfo(bytes: &[u8]) {
    let mut entries = parse(bytes);
    // A line has eight blanks and two numbers at least.
    assert!(entries.len() <= bytes.len() / 16 + 1);
    let written: Vec<u8> = entries.iter().flat_map(line).collect();
    let mut again = parse(&written);
    // The text of all options is more than they are, as a comma may stand between none.
    entries.iter_mut().chain(&mut again).for_each(|entry| entry.super_options.clear());
    assert_eq!(again, entries);
    for entry in &entries {
        let _ = entry.propagation();
        assert!(entry.options.split(',').all(|option| entry.has_option(option)));
    }

    let table = MountTable { entries, source: Source::Mountinfo };
    let order = table.unmount_order();
    assert_eq!(order.len(), table.entries.len());
    let places: HashMap<*const MountEntry, usize> =
        order.iter().enumerate().map(|(place, entry)| (std::ptr::from_ref(*entry), place)).collect();
    assert_eq!(places.len(), order.len());
    // Only a made-up table has an id twice, or a ring.
    let ids: BTreeSet<u32> = table.entries.iter().map(|entry| entry.id).collect();
    for entry in table.entries.iter().filter(|_| ids.len() == order.len()) {
        let above: Vec<&MountEntry> = std::iter::successors(table.parent(entry), |entry| table.parent(entry))
            .take(order.len())
            .collect();
        if above.len() < order.len() {
            let place = |entry: &MountEntry| places[&std::ptr::from_ref(entry)];
            assert!(above.iter().all(|above| place(entry) < place(above)), "{entry:?}");
        }
    }
    // Each puts all in order once more.
    for entry in table.entries.iter().take(4) {
        assert!(table.at(&entry.mount_point).any(|found| std::ptr::eq(found, entry)));
        assert!(table.below(&entry.mount_point).any(|found| std::ptr::eq(found, entry)));
    }
}

/// An entry as the kernel writes it.
fn line(entry: &MountEntry) -> Vec<u8> {
    let MountEntry { id, parent, device: (major, minor), .. } = entry;
    let mut line = format!("{id} {parent} {major}:{minor} ").into_bytes();
    line.extend([escaped(entry.root.as_os_str()), escaped(entry.mount_point.as_os_str())].join(&b' '));
    line.extend(format!(" {} ", entry.options).into_bytes());
    line.extend(entry.tags.iter().flat_map(|tag| format!("{tag} ").into_bytes()));
    line.extend(b"- ");
    line.extend([escaped(OsStr::new(&entry.kind)), escaped(&entry.source)].join(&b' '));
    line.push(b' ');
    let options: Vec<Vec<u8>> = entry.super_option_list.iter().map(|option| escaped(option)).collect();
    line.extend(options.join(&b','));
    line.push(b'\n');
    line
}

fn escaped(name: &OsStr) -> Vec<u8> {
    let escape = |&byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' | b',' => format!("\\{byte:03o}").into_bytes(),
        _ => vec![byte],
    };
    name.as_encoded_bytes().iter().flat_map(escape).collect()
}
