//! Tables as sfdisk, fdisk, sgdisk and writers of our own make them, read as libfdisk and libblkid read them.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use subhost_mount::{Image, PartitionTable, Scheme};

use crate::disk::{Disk, GptHeader};
use crate::harness::Case;
use crate::{empty_image, feed, output};

const TYPES: [&str; 6] = ["83", "82", "7", "c", "8e", "fd"];

const GPT_TYPES: [&str; 4] = [
    "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
];

const NAMES: [&str; 5] =
    ["", "root", "with blanks, and more", "naïve ☃", "thirty-six letters are the most here"];

/// Bytes of an image that a tool makes a table in.
const IMAGE: u64 = 256 << 20;

/// A kind of tables, how many of it, and what makes one.
type Kind = (&'static str, u64, fn(&mut Numbers, &Path) -> Made);

const KINDS: [Kind; 8] = [
    ("mbr_by_sfdisk", 60, mbr_by_sfdisk),
    ("gpt_by_sfdisk", 60, gpt_by_sfdisk),
    ("gpt_by_sgdisk", 30, gpt_by_sgdisk),
    ("hybrid_by_sgdisk", 15, hybrid_by_sgdisk),
    ("mbr_of_4096_by_fdisk", 15, mbr_of_4096_by_fdisk),
    ("gpt_of_4096_by_fdisk", 25, gpt_of_4096_by_fdisk),
    ("mbr_by_hand", 25, mbr_by_hand),
    ("gpt_by_hand", 30, gpt_by_hand),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, count, make) in KINDS {
        for number in 0..count {
            cases.push(Case {
                name: format!("{kind}_{number:02}_is_read_as_libfdisk_and_libblkid_read_it"),
                needs_root: false,
                programs: &[],
                run: Box::new(move || {
                    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ (number + 1).wrapping_mul(0x0d15_ea5e));
                    let directory = tempfile::tempdir().unwrap();
                    let image = directory.path().join("disk.raw");
                    let made = make(&mut numbers, &image);
                    compare(&image, &made);
                }),
            });
        }
    }
    assert!(cases.len() >= 200);
    cases
}

/// A small generator of numbers (xorshift), so that every run makes the same tables.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn small(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(limit.into())).unwrap()
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        let position = self.below(from.len() as u64);
        from[usize::try_from(position).unwrap()]
    }

    /// In an order of their own, half of the time.
    fn disorder<T>(&mut self, items: &mut [T]) {
        if self.below(2) == 0 {
            for last in (1..items.len()).rev() {
                items.swap(last, usize::try_from(self.below(last as u64 + 1)).unwrap());
            }
        }
    }

    /// Disjoint extents of `most` sectors or fewer, start and count, with holes between some of them.
    fn extents(&mut self, count: u64, from: u64, most: u64) -> Vec<(u64, u64)> {
        let mut sector = from;
        (0..count)
            .map(|_| {
                let extent = (sector, 1 + self.below(most));
                sector += extent.1 + self.choose(&[0, 0, 1, most]);
                extent
            })
            .collect()
    }
}

/// What was made, for the one who has to find out what went wrong, and how it is to be read.
struct Made {
    how: String,
    sector_size: u32,
    notes: &'static [&'static str],
    /// Whether libblkid reads it too.
    for_libblkid: bool,
}

impl Made {
    fn by(how: String) -> Made {
        Made { how, sector_size: 512, notes: &[], for_libblkid: true }
    }
}

fn run_sfdisk(image: &Path, script: String) -> Made {
    empty_image(image, IMAGE);
    feed("sfdisk", &["--quiet", "--no-reread", image.to_str().unwrap()], &script);
    Made::by(script)
}

/// As sfdisk, which has no option for the size of sectors.
fn run_fdisk(image: &Path, script: String) -> Made {
    empty_image(image, IMAGE);
    let file = image.with_extension("script");
    std::fs::write(&file, &script).unwrap();
    let commands = format!("I\n{}\nw\n", file.display());
    feed("fdisk", &["-b", "4096", image.to_str().unwrap()], &commands);
    Made { sector_size: 4096, ..Made::by(script) }
}

fn mbr_by_sfdisk(numbers: &mut Numbers, image: &Path) -> Made {
    let from = 63 + numbers.below(4096);
    let script = mbr_script(numbers, from, 60_000, 2048);
    run_sfdisk(image, script)
}

fn mbr_of_4096_by_fdisk(numbers: &mut Numbers, image: &Path) -> Made {
    let from = 1 + numbers.below(256);
    let script = mbr_script(numbers, from, 7_000, 256);
    run_fdisk(image, script)
}

/// Primary ones in any order, one of them perhaps extended, with logical ones that are `apart`, as the tool wants it.
fn mbr_script(numbers: &mut Numbers, mut sector: u64, most: u64, apart: u64) -> String {
    let mut lines = Vec::new();
    let mut slots = [1, 2, 3, 4];
    numbers.disorder(&mut slots);
    let extended = numbers.below(5);
    let extended_size = 100 * apart;
    let mut logical = Vec::new();
    for slot in slots {
        if slot == extended {
            let code = numbers.choose(&["5", "f", "85"]);
            lines.push(format!("{slot} : start={sector}, size={extended_size}, type={code}"));
            let end = sector + extended_size;
            let mut inside = sector;
            let count = numbers.choose(&[0, 1, 5, 12, 50]);
            for number in 5..5 + count {
                let start = inside + apart + numbers.below(64);
                let size = 1 + numbers.below(apart / 2);
                if start + size > end {
                    break;
                }
                let code = numbers.choose(&TYPES);
                logical.push(format!("{number} : start={start}, size={size}, type={code}"));
                inside = start + size;
            }
            sector = end + numbers.below(100);
        } else if numbers.below(4) != 0 {
            let size = 1 + numbers.below(most);
            let code = numbers.choose(&TYPES);
            let bootable = if numbers.below(3) == 0 { ", bootable" } else { "" };
            lines.push(format!("{slot} : start={sector}, size={size}, type={code}{bootable}"));
            sector += size + numbers.below(100);
        }
    }
    lines.extend(logical);
    format!("label: dos\nlabel-id: {:#010x}\n{}\n", numbers.below(1 << 32), lines.join("\n"))
}

fn gpt_by_sfdisk(numbers: &mut Numbers, image: &Path) -> Made {
    let script = gpt_script(numbers, 1000);
    run_sfdisk(image, script)
}

fn gpt_of_4096_by_fdisk(numbers: &mut Numbers, image: &Path) -> Made {
    let script = gpt_script(numbers, 120);
    run_fdisk(image, script)
}

fn gpt_script(numbers: &mut Numbers, most: u64) -> String {
    let mut script = "label: gpt\n".to_owned();
    let length = numbers.choose(&[4, 32, 128, 128, 200, 256]);
    writeln!(script, "table-length: {length}").unwrap();
    let count = numbers.choose(&[0, 1, 4, 20, length]).min(length);
    // Each number apart, some of them left out.
    let mut indexes: Vec<u64> = (1..=length).collect();
    numbers.disorder(&mut indexes);
    let extents = numbers.extents(count, 2048, most);
    for (number, (start, size)) in indexes.iter().zip(extents) {
        let code = numbers.choose(&GPT_TYPES);
        let name = match numbers.choose(&NAMES) {
            "" => String::new(),
            name => format!(", name=\"{name}\""),
        };
        let attributes = if numbers.below(4) == 0 { ", attrs=LegacyBIOSBootable" } else { "" };
        writeln!(script, "{number} : start={start}, size={size}, type={code}{name}{attributes}").unwrap();
    }
    script
}

fn gpt_by_sgdisk(numbers: &mut Numbers, image: &Path) -> Made {
    empty_image(image, IMAGE);
    let args = sgdisk_args(numbers, 100);
    run_sgdisk(image, &args)
}

fn hybrid_by_sgdisk(numbers: &mut Numbers, image: &Path) -> Made {
    empty_image(image, IMAGE);
    let mut args = sgdisk_args(numbers, 3);
    args.extend(["--new=128:100000:101000", "--new=127:90000:90000"].map(str::to_owned));
    args.push(numbers.choose(&["--hybrid=128", "--hybrid=127:128", "--hybrid=128:EE"]).to_owned());
    let made = run_sgdisk(image, &args);
    Made { notes: &["the MBR is a hybrid: its own partitions are left out, as Linux does"], ..made }
}

fn sgdisk_args(numbers: &mut Numbers, most: u64) -> Vec<String> {
    let mut args = vec!["--set-alignment=1".to_owned()];
    let count = numbers.choose(&[0, 1, most / 2, most]);
    let mut indexes: Vec<u64> = (1..=most).collect();
    numbers.disorder(&mut indexes);
    for (number, (start, size)) in indexes.iter().zip(numbers.extents(count, 34, 600)) {
        args.push(format!("--new={number}:{start}:{}", start + size - 1));
        args.push(format!("--typecode={number}:{}", numbers.choose(&GPT_TYPES)));
        args.push(format!("--change-name={number}:{}", numbers.choose(&NAMES)));
        if numbers.below(4) == 0 {
            args.push(format!("--attributes={number}:set:2"));
        }
    }
    args
}

fn run_sgdisk(image: &Path, args: &[String]) -> Made {
    let mut all = vec!["--clear"];
    all.extend(args.iter().map(String::as_str));
    all.push(image.to_str().unwrap());
    output("sgdisk", &all);
    Made::by(args.join(" "))
}

/// Chains that no tool makes: records far from their partitions, in any order, some without a partition.
fn mbr_by_hand(numbers: &mut Numbers, image: &Path) -> Made {
    let (start, records, apart) = (100 + numbers.small(2000), 1 + numbers.small(30), 50);
    let slot = usize::try_from(numbers.below(4)).unwrap();
    let mut disk = Disk::new(4096).record(0, slot, 0x0f, start, records * apart);
    disk.put(440, &numbers.small(u32::MAX).to_le_bytes());
    let mut places: Vec<u32> = (1..records).map(|number| number * apart).collect();
    numbers.disorder(&mut places);
    places.insert(0, 0);
    for (position, place) in places.iter().enumerate() {
        let at = (start + place) as usize;
        if numbers.below(5) != 0 {
            let inside = 1 + numbers.small(apart / 2);
            let size = 1 + numbers.small(apart / 2 - 1);
            disk = disk.record(at, 0, numbers.choose(&[0x83, 0x82, 0x07]), inside, size);
        }
        if let Some(next) = places.get(position + 1) {
            disk = disk.record(at, 1, 0x05, *next, apart);
        } else {
            disk = disk.record(at, 1, 0, 0, 0);
        }
    }
    std::fs::write(image, &disk.bytes).unwrap();
    Made::by(format!("extended from {start}, records at {places:?}"))
}

/// Headers that no tool makes: few, many and large entries, the array away from the header.
fn gpt_by_hand(numbers: &mut Numbers, image: &Path) -> Made {
    let count = numbers.choose(&[1, 3, 128, 1000]);
    let entry_size: u32 = numbers.choose(&[128, 128, 256, 1024]);
    let mut entries = vec![0; (count * entry_size) as usize];
    let array = u64::from((count * entry_size).div_ceil(512));
    let array_at = 2 + numbers.choose(&[0, 1, 62]);
    let first_usable = array_at + array;
    let sectors = 2 * array + 4096;
    let mut extents = numbers.extents(u64::from(count.min(40)), first_usable, 50);
    numbers.disorder(&mut extents);
    for (number, entry) in entries.chunks_exact_mut(entry_size as usize).enumerate() {
        let Some((start, size)) = extents.get(number / 2 * 2) else { break };
        if number % 2 == 1 {
            continue;
        }
        // Linux data, and any UUID that is not zero.
        entry[..16].copy_from_slice(&[
            0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
        ]);
        entry[16..24].copy_from_slice(&(1 + numbers.below(u64::MAX - 1)).to_le_bytes());
        entry[24..32].copy_from_slice(&numbers.below(u64::MAX).to_le_bytes());
        entry[32..40].copy_from_slice(&start.to_le_bytes());
        entry[40..48].copy_from_slice(&(start + size - 1).to_le_bytes());
        for (place, unit) in entry[56..128].chunks_exact_mut(2).zip(numbers.choose(&NAMES).encode_utf16()) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    let last = sectors - 1;
    let header = |own, alternate, array_at| GptHeader {
        own,
        alternate,
        first_usable,
        last_usable: last - array - 1,
        array_at,
        count,
        entry_size,
        header_size: 92,
    };
    let disk = Disk::new(usize::try_from(sectors).unwrap())
        .record(0, 0, 0xee, 1, u32::MAX)
        .gpt_half(&header(1, last, array_at), &entries)
        .gpt_half(&header(last, 1, last - array), &entries);
    std::fs::write(image, &disk.bytes).unwrap();
    let how = format!("{count} entries of {entry_size} bytes at {array_at}, {extents:?}");
    let notes: &[&str] = match entry_size {
        256 => &["its GPT has entries of 256 bytes: UEFI and sfdisk take them, Linux itself does not"],
        1024 => &["its GPT has entries of 1024 bytes: UEFI and sfdisk take them, Linux itself does not"],
        _ => &[],
    };
    // Larger ones are the standard's and libfdisk's only.
    Made { notes, for_libblkid: entry_size == 128, ..Made::by(how) }
}

/// One partition as a witness tells it, sizes in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    index: u32,
    start_bytes: u64,
    len_bytes: u64,
    type_code: String,
    name: Option<String>,
    uuid: Option<String>,
    bootable: bool,
}

fn compare(image: &Path, made: &Made) {
    let opened = Image::open_unlocked(image).unwrap();
    let table = if made.sector_size == 4096 && made.how.starts_with("label: dos") {
        // An MBR does not tell.
        let file = std::fs::File::open(image).unwrap();
        PartitionTable::read_with_sector_size(&file, opened.len_bytes(), 4096).unwrap()
    } else {
        opened.partition_table().unwrap()
    };
    let how = &made.how;
    assert_eq!(table.sector_size, made.sector_size, "{how}");
    assert_eq!(table.notes, made.notes, "{how}");
    assert!(!table.from_backup, "{how}");
    let is_gpt = table.scheme == Scheme::Gpt;
    let ours: Vec<Told> = table
        .partitions
        .iter()
        .map(|it| Told {
            index: it.index,
            start_bytes: it.start_bytes,
            len_bytes: it.len_bytes,
            type_code: it.type_code.clone(),
            name: it.name.clone(),
            uuid: it.uuid.clone(),
            bootable: it.bootable,
        })
        .collect();

    let (label, id, mut of_libfdisk) = match made.sector_size {
        4096 => told_by_fdisk(image),
        _ => told_by_sfdisk(image),
    };
    if !is_gpt {
        // It does not tell them; libblkid does.
        for (theirs, ours) in of_libfdisk.iter_mut().zip(&ours) {
            theirs.uuid.clone_from(&ours.uuid);
        }
    }
    assert_eq!(label, if is_gpt { "gpt" } else { "dos" }, "{how}");
    assert_eq!(table.disk_id.as_deref(), Some(id.as_str()), "{how}");
    same(&ours, &of_libfdisk, "libfdisk", how);

    if !made.for_libblkid {
        return;
    }
    let of_libblkid = told_by_partx(image, made.sector_size);
    same(&ours, &of_libblkid, "libblkid", how);

    if made.sector_size == 512 {
        let text = output("blkid", &["-p", "-o", "export", image.to_str().unwrap()]);
        let id = table.disk_id.as_deref().unwrap().trim_start_matches("0x").to_lowercase();
        assert!(text.lines().any(|line| line == format!("PTTYPE={label}")), "{text}{how}");
        // An id of zero is none to blkid.
        assert!(id == "00000000" || text.lines().any(|line| line == format!("PTUUID={id}")), "{text}{how}");
    }
}

/// One by one, as many would hide the one that differs.
fn same(ours: &[Told], theirs: &[Told], witness: &str, how: &str) {
    let differs = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs);
    assert_eq!(differs, None, "{witness}\n{how}");
    assert_eq!(ours.len(), theirs.len(), "{witness}\n{how}");
}

fn told_by_sfdisk(image: &Path) -> (String, String, Vec<Told>) {
    let text = output("sfdisk", &["--json", image.to_str().unwrap()]);
    // Complaints come before it.
    let text = &text[text.find('{').unwrap()..];
    let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let json = &json["partitiontable"];
    let field = |it: &Value, name: &str| it[name].as_str().map(str::to_owned);
    let none = Vec::new();
    let partitions = json["partitions"].as_array().unwrap_or(&none);
    let partitions = partitions.iter().map(|it| Told {
        index: number_of(image, it["node"].as_str().unwrap()),
        start_bytes: it["start"].as_u64().unwrap() * 512,
        len_bytes: it["size"].as_u64().unwrap() * 512,
        type_code: field(it, "type").unwrap(),
        name: field(it, "name"),
        uuid: field(it, "uuid"),
        bootable: it["bootable"].as_bool().unwrap_or(false)
            || it["attrs"].as_str().is_some_and(|text| text.contains("LegacyBIOSBootable")),
    });
    (field(json, "label").unwrap(), field(json, "id").unwrap(), partitions.collect())
}

/// The table as fdisk writes it for sfdisk: the same library, told the size of the sectors.
fn told_by_fdisk(image: &Path) -> (String, String, Vec<Told>) {
    let file = image.with_extension("dump");
    let commands = format!("O\n{}\nq\n", file.display());
    feed("fdisk", &["-b", "4096", image.to_str().unwrap()], &commands);
    let text = std::fs::read_to_string(&file).unwrap();
    let header = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap().to_owned()
    };
    let partitions = text.lines().filter_map(|line| {
        let (node, fields) = line.split_once(" : ")?;
        let field = |name: &str| {
            let from = fields.find(&format!("{name}="))? + name.len() + 1;
            let value = fields[from..].trim_start();
            match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                None => value.split(',').next(),
            }
        };
        let sectors = |name| field(name).unwrap().trim().parse::<u64>().unwrap() * 4096;
        Some(Told {
            index: number_of(image, node),
            start_bytes: sectors("start"),
            len_bytes: sectors("size"),
            type_code: field("type").unwrap().to_owned(),
            name: field("name").map(unescape),
            uuid: field("uuid").map(str::to_owned),
            bootable: fields.contains("bootable") || fields.contains("LegacyBIOSBootable"),
        })
    });
    (header("label"), header("label-id"), partitions.collect())
}

fn number_of(image: &Path, node: &str) -> u32 {
    node.strip_prefix(image.to_str().unwrap()).unwrap().parse().unwrap()
}

/// The library of `blkid -p`, which itself tells of partitions only as block devices.
fn told_by_partx(image: &Path, sector_size: u32) -> Vec<Told> {
    let sector_size = sector_size.to_string();
    let columns = "NR,START,SECTORS,TYPE,NAME,UUID,FLAGS,SCHEME";
    let text =
        output("partx", &["--sector-size", &sector_size, "--pairs", "-o", columns, image.to_str().unwrap()]);
    text.lines()
        .map(|line| {
            let field = |name: &str| {
                let from = line.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
                unescape(line[from..].split('"').next().unwrap())
            };
            let is_gpt = field("SCHEME") == "gpt";
            let flags = u64::from_str_radix(field("FLAGS").trim_start_matches("0x"), 16).unwrap();
            let (kind, uuid) = (field("TYPE"), field("UUID"));
            Told {
                index: field("NR").parse().unwrap(),
                // It counts in 512 bytes whatever the sectors are.
                start_bytes: field("START").parse::<u64>().unwrap() * 512,
                len_bytes: field("SECTORS").parse::<u64>().unwrap() * 512,
                type_code: if is_gpt {
                    kind.to_uppercase()
                } else {
                    kind.trim_start_matches("0x").to_owned()
                },
                name: Some(field("NAME")).filter(|name| !name.is_empty()),
                uuid: Some(if is_gpt { uuid.to_uppercase() } else { uuid }),
                bootable: if is_gpt { flags & 4 != 0 } else { flags == 0x80 },
            }
        })
        .collect()
}

/// Takes back `\xNN`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}
