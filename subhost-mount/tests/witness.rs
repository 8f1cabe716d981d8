//! What sfdisk and blkid read from the tables and file systems that their own tools wrote.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use harness::Case;
use serde_json::Value;
use subhost_mount::{ByteRange, Image, Scheme, fstype};

fn main() -> ExitCode {
    let mut cases: Vec<Case> = (0..80).map(table_case).collect();
    cases.push(Case {
        name: "gpt_with_sectors_of_4096_bytes_is_read_as_fdisk_wrote_it".to_owned(),
        needs_root: false,
        programs: &["fdisk"],
        run: Box::new(reads_large_sectors),
    });
    cases.extend(FILE_SYSTEMS.map(file_system_case));
    harness::run(cases).exit_code()
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

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        let position = self.below(from.len() as u64);
        from[usize::try_from(position).unwrap()]
    }
}

fn table_case(number: u64) -> Case {
    let is_gpt = number % 2 == 1;
    let kind = if is_gpt { "gpt" } else { "mbr" };
    Case {
        name: format!("{kind}_{number:02}_is_read_as_sfdisk_reads_it"),
        needs_root: false,
        programs: &["sfdisk"],
        run: Box::new(move || {
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ (number + 1).wrapping_mul(0x0d15_ea5e));
            let script = if is_gpt { gpt_script(&mut numbers) } else { mbr_script(&mut numbers) };
            let folder = tempfile::tempdir().unwrap();
            let image = folder.path().join("disk.raw");
            empty_image(&image, 256 << 20);
            feed("sfdisk", &["--quiet", "--no-reread", image.to_str().unwrap()], &script);
            compare(&image, &script);
        }),
    }
}

fn mbr_script(numbers: &mut Numbers) -> String {
    const TYPES: [&str; 6] = ["83", "82", "7", "c", "8e", "fd"];
    let mut script = format!("label: dos\nlabel-id: {:#010x}\n", numbers.below(1 << 32));
    let mut sector = 63 + numbers.below(4096);
    let extended = numbers.below(5);
    for slot in 1..=4 {
        if slot == extended {
            let size = 200_000;
            let code = numbers.choose(&["5", "f", "85"]);
            script.push_str(&format!("{slot} : start={sector}, size={size}, type={code}\n"));
            let end = sector + size;
            let mut inside = sector;
            for logical in 5..5 + numbers.below(12) {
                let start = inside + 2048 + numbers.below(64);
                let size = 1 + numbers.below(8000);
                if start + size > end {
                    break;
                }
                let code = numbers.choose(&TYPES);
                script.push_str(&format!("{logical} : start={start}, size={size}, type={code}\n"));
                inside = start + size;
            }
            sector = end + numbers.below(100);
        } else if numbers.below(4) != 0 {
            let size = 1 + numbers.below(60_000);
            let code = numbers.choose(&TYPES);
            let bootable = if numbers.below(3) == 0 { ", bootable" } else { "" };
            script.push_str(&format!("{slot} : start={sector}, size={size}, type={code}{bootable}\n"));
            sector += size + numbers.below(100);
        }
    }
    script
}

fn gpt_script(numbers: &mut Numbers) -> String {
    const TYPES: [&str; 4] = [
        "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
        "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    ];
    const NAMES: [&str; 4] =
        ["", ", name=\"root\"", ", name=\"with blanks, and more\"", ", name=\"naïve ☃\""];
    let mut script = "label: gpt\n".to_owned();
    if numbers.below(3) == 0 {
        script.push_str(&format!("table-length: {}\n", numbers.choose(&[4, 32, 64, 200])));
    }
    let mut sector = 2048;
    let mut number = 0;
    let most = if script.contains("table-length: 4\n") { 4 } else { 20 };
    for _ in 0..numbers.below(20) {
        number += 1 + numbers.below(2);
        if number > most {
            break;
        }
        let size = 1 + numbers.below(20_000);
        let code = numbers.choose(&TYPES);
        let name = numbers.choose(&NAMES);
        let attributes = if numbers.below(4) == 0 { ", attrs=LegacyBIOSBootable" } else { "" };
        script.push_str(&format!("{number} : start={sector}, size={size}, type={code}{name}{attributes}\n"));
        sector += size + numbers.below(5000);
    }
    script
}

fn compare(image: &Path, script: &str) {
    let text = harness::output("sfdisk", &["--json", image.to_str().unwrap()]);
    let witness: Value = serde_json::from_str(&text).unwrap();
    let witness = &witness["partitiontable"];
    let table = Image::open_unlocked(image).unwrap().partition_table().unwrap();
    let scheme = if witness["label"] == "gpt" { Scheme::Gpt } else { Scheme::Mbr };
    assert_eq!(table.scheme, scheme, "{script}");
    assert_eq!(table.disk_id.as_deref(), witness["id"].as_str(), "{script}");
    assert_eq!(table.notes, [""; 0], "{script}");
    let none = Vec::new();
    let partitions = witness["partitions"].as_array().unwrap_or(&none);
    assert_eq!(table.partitions.len(), partitions.len(), "{script}\n{text}");
    for (ours, theirs) in table.partitions.iter().zip(partitions) {
        let node = theirs["node"].as_str().unwrap();
        assert_eq!(node, format!("{}{}", image.display(), ours.index), "{script}\n{text}");
        assert_eq!(
            Some(ours.start_bytes),
            theirs["start"].as_u64().map(|start| start * 512),
            "{node} {script}"
        );
        assert_eq!(Some(ours.len_bytes), theirs["size"].as_u64().map(|size| size * 512), "{node} {script}");
        assert_eq!(Some(ours.type_code.as_str()), theirs["type"].as_str(), "{node} {script}");
        assert_eq!(ours.name.as_deref(), theirs["name"].as_str(), "{node} {script}");
        match scheme {
            Scheme::Gpt => {
                assert_eq!(ours.uuid.as_deref(), theirs["uuid"].as_str(), "{node} {script}");
                let bootable =
                    theirs["attrs"].as_str().is_some_and(|text| text.contains("LegacyBIOSBootable"));
                assert_eq!(ours.bootable, bootable, "{node} {script}");
            }
            _ => assert_eq!(ours.bootable, theirs["bootable"].as_bool().unwrap_or(false), "{node} {script}"),
        }
    }
}

fn reads_large_sectors() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.raw");
    empty_image(&image, 64 << 20);
    feed("fdisk", &["-b", "4096", image.to_str().unwrap()], "g\nn\n3\n300\n1000\nn\n7\n2000\n2000\nw\n");
    let table = Image::open_unlocked(&image).unwrap().partition_table().unwrap();
    assert_eq!((table.scheme, table.sector_size), (Scheme::Gpt, 4096));
    assert_eq!(table.find(3).unwrap(), ByteRange { start: 300 * 4096, len: 701 * 4096 });
    assert_eq!(table.find(7).unwrap(), ByteRange { start: 2000 * 4096, len: 4096 });
}

/// A name, the programs, and the command that makes the file system in the file that it gets last.
type Maker = (&'static str, &'static [&'static str], &'static [&'static str]);

const FILE_SYSTEMS: [Maker; 19] = [
    ("ext2", &["mkfs.ext2", "blkid"], &["mkfs.ext2", "-q", "-L", "two"]),
    ("ext3", &["mkfs.ext3", "blkid"], &["mkfs.ext3", "-q", "-L", "three"]),
    ("ext4", &["mkfs.ext4", "blkid"], &["mkfs.ext4", "-q", "-L", "sixteen letters."]),
    ("ext4_without_journal", &["mkfs.ext4", "blkid"], &["mkfs.ext4", "-q", "-O", "^has_journal"]),
    (
        "ext4_with_all_features",
        &["mkfs.ext4", "blkid"],
        &[
            "mkfs.ext4",
            "-q",
            "-O",
            "64bit,metadata_csum,inline_data,ea_inode,large_dir,quota,project,casefold,encrypt,mmp,bigalloc,verity",
        ],
    ),
    ("ext4_of_large_blocks", &["mkfs.ext4", "blkid"], &["mkfs.ext4", "-q", "-b", "1024"]),
    ("jbd", &["mkfs.ext4", "blkid"], &["mke2fs", "-q", "-O", "journal_dev"]),
    ("xfs", &["mkfs.xfs", "blkid"], &["mkfs.xfs", "-q", "-L", "label"]),
    ("btrfs", &["mkfs.btrfs", "blkid"], &["mkfs.btrfs", "-q", "-L", "a longer label"]),
    ("f2fs", &["mkfs.f2fs", "blkid"], &["mkfs.f2fs", "-q", "-l", "label"]),
    ("vfat_12", &["mkfs.vfat", "blkid"], &["mkfs.vfat", "-F", "12", "-n", "LABEL"]),
    ("vfat_16", &["mkfs.vfat", "blkid"], &["mkfs.vfat", "-F", "16"]),
    ("vfat_32", &["mkfs.vfat", "blkid"], &["mkfs.vfat", "-F", "32", "-n", "ELEVEN CHAR"]),
    ("swap", &["mkswap", "blkid"], &["mkswap", "-q", "-L", "swap label"]),
    ("swap_of_large_pages", &["mkswap", "blkid"], &["mkswap", "-q", "-p", "16384"]),
    (
        "luks1",
        &["cryptsetup", "blkid"],
        &["cryptsetup", "luksFormat", "-q", "--type", "luks1", "--iter-time", "1"],
    ),
    (
        "luks2",
        &["cryptsetup", "blkid"],
        &[
            "cryptsetup",
            "luksFormat",
            "-q",
            "--type",
            "luks2",
            "--label",
            "two",
            "--pbkdf",
            "pbkdf2",
            "--pbkdf-force-iterations",
            "1000",
        ],
    ),
    ("squashfs", &["mksquashfs", "blkid"], &["mksquashfs", "/proc/self/fdinfo", "-quiet", "-noappend"]),
    ("erofs", &["mkfs.erofs", "blkid"], &["mkfs.erofs"]),
];

fn file_system_case((name, programs, command): Maker) -> Case {
    Case {
        name: format!("{name}_is_recognised_as_blkid_does"),
        needs_root: false,
        programs,
        run: Box::new(move || recognises(command)),
    }
}

/// Makes the file system at once in a file, and asks ours and blkid.
fn recognises(command: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.raw");
    let sources = folder.path().join("sources");
    std::fs::create_dir(&sources).unwrap();
    std::fs::write(sources.join("file"), "content").unwrap();
    let (image_path, sources) = (image.to_str().unwrap(), sources.to_str().unwrap());
    empty_image(&image, 320 << 20);
    let (program, options) = command.split_first().unwrap();
    let args: Vec<&str> = match *program {
        "mksquashfs" => vec![sources, image_path, "-quiet", "-noappend", "-no-progress"],
        "mkfs.erofs" => vec![image_path, sources],
        // FAT of 12 bits has room for no more.
        "mkfs.vfat" if options.contains(&"12") => {
            empty_image(&image, 4 << 20);
            [options, &[image_path]].concat()
        }
        _ => [options, &[image_path]].concat(),
    };
    feed(program, &args, "passphrase");
    let witness = harness::output("blkid", &["-p", "-o", "export", image_path]);
    let field = |name: &str| {
        let value = witness.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        // In this format blkid escapes what a shell would take for its own.
        Some(value.replace('\\', ""))
    };
    let opened = Image::open_unlocked(&image).unwrap();
    let found = fstype::probe(opened.reader(opened.range(0).unwrap()), 0).unwrap().unwrap();
    assert_eq!(Some(found.kind), field("TYPE"), "{witness}");
    assert_eq!(found.label, field("LABEL"), "{witness}");
    // The journal's own UUID is that of an external one.
    assert_eq!(found.uuid, field("UUID").or(field("LOGUUID")), "{witness}");
}

fn empty_image(path: &Path, len: u64) {
    std::fs::File::create(path).unwrap().set_len(len).unwrap();
}

fn feed(program: &str, args: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(args)
        .env("PATH", harness::path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not ask may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} <<<\"{input}\": {complaint}");
}
