//! Makes an image larger or smaller: its file, its last partition, and the file system in that.
//!
//! A crash between two steps leaves an image that boots, and the same command goes on where it was: a file system is never
//! larger than its partition, nor that than the file.
//!
//! | larger | smaller |
//! | --- | --- |
//! | the file | the file system |
//! | the table: of a GPT first its backup, at the new end | the table, the backup at the new end |
//! | the file system | the file |
//!
//! That does not hold inside resize2fs, which moves what a smaller ext4 has no place for: it works on a copy beside the
//! image, that takes its name in the end.

mod copy;

use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use subhost_mount::attached::unmount;
use subhost_mount::device::Device;
use subhost_mount::filesystem::{FileSystem, MountAttributes};
use subhost_mount::fstype::{AllowedTypes, Superblock, probe};
use subhost_mount::image::{Access, Image};
use subhost_mount::loopdev::{LoopDevice, LoopOptions};
use subhost_mount::partition::{ByteRange, Partition, PartitionTable, Scheme};
use subhost_mount::staging::Staging;

use super::args::MIB;
use super::jail::{Program, change};
use super::progress::Progress;
use super::table;
use super::tool::{Copying, Rights, command, run};
use crate::error::{Complaint, Context, Error};
use crate::layout::Layout;
use crate::lock::make_private_dir;
use crate::observe::complaint_of;
use crate::supervise::Signals;

pub use copy::{copy_of, is_unused, remove_copy};

/// What may have to be repaired before is left to whoever knows that it is.
const E2FSCK: Program = Program { words: &["e2fsck", "-f", "-p"], package: "e2fsprogs", good: 1 };
const RESIZE2FS: Program = Program { words: &["resize2fs"], package: "e2fsprogs", good: 0 };

/// Types of a partition that holds logical ones.
const EXTENDED: [&str; 3] = ["5", "f", "85"];

/// Where a file system is attached, in a mount namespace that is ours alone.
type Growing = (&'static str, &'static [&'static str], &'static str);
const GROW_XFS: Growing = ("xfs_growfs", &["-d"], "xfsprogs");
const RESIZE_BTRFS: Growing = ("btrfs", &["filesystem", "resize"], "btrfs-progs");

/// How long the kernel may take to write what was unmounted.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is resized.
struct Job<'a> {
    path: PathBuf,
    layout: &'a Layout,
    image: Image,
    object: String,
    progress: &'a Progress,
}

/// What is to be done.
struct Plan {
    size: u64,
    table: PartitionTable,
    last: Option<Partition>,
    found: Superblock,
    old: ByteRange,
    new: ByteRange,
}

/// Resizes it, and returns what was done. `in_place` does without the copy.
///
/// # Errors
/// It is in use, its last partition cannot be resized, or a step failed; it then is as that step found it.
pub fn resize(
    path: &Path,
    size: u64,
    in_place: bool,
    layout: &Layout,
    copying: Copying<'_>,
) -> Result<String, Error> {
    let path = path.canonicalize().step(format!("look at {}", path.display()))?;
    let object = format!("image {}", path.display());
    let image = open(&path)?;
    if image.is_block_device() {
        return Err(Error::refused(Complaint::new(format!(
            "{object}: is a device, and has the size it has"
        ))));
    }
    let mut job = Job { path, layout, image, object, progress: copying.progress };
    let plan = job.plan(size)?;
    if in_place || !plan.is_smaller() || !plan.found.kind.starts_with("ext") {
        return job.carry_out(&plan);
    }
    // The lock of the image itself is held until its name is that of the copy.
    let copy = copy::Copy::make(&job.path, copying)?;
    let (path, object) = (copy.path.clone(), job.object.clone());
    let done = Job { image: copy.open()?, path, object, ..job }.carry_out(&plan)?;
    copy.take_place(&job.path)?;
    Ok(done)
}

impl Plan {
    fn is_smaller(&self) -> bool {
        self.new.len < self.old.len
    }
}

fn open(path: &Path) -> Result<Image, Error> {
    Image::open(path, Access::ReadWrite).map_err(|error| Error::refused(complaint_of("resize", &error)))
}

impl Job<'_> {
    /// Looks at it, and changes nothing.
    fn plan(&self, size: u64) -> Result<Plan, Error> {
        let (len, table) = (self.image.len_bytes(), self.table()?);
        let last = self.last(&table)?;
        let old = last.as_ref().map_or(ByteRange::whole(len), Partition::range);
        let found = self.file_system(old)?;
        // The backup of a GPT is behind the last partition.
        let end = if table.scheme == Scheme::Gpt { size.saturating_sub(MIB) } else { size };
        let new = ByteRange { start: old.start, len: end.saturating_sub(old.start) };
        if new.len < MIB {
            return Err(self.refused("its last partition begins behind that"));
        }
        if new.len < old.len && found.kind == "xfs" {
            return Err(self.refused("xfs cannot be made smaller"));
        }
        Ok(Plan { size, table, last, found, old, new })
    }

    fn carry_out(&mut self, plan: &Plan) -> Result<String, Error> {
        let Plan { size, table, last, found, old, new } = plan;
        let (size, len) = (*size, self.image.len_bytes());
        self.check(*old, found)?;
        if plan.is_smaller() {
            self.fit(*old, Some(new.len), found)?;
        }
        if size > len {
            self.set_len(size)?;
        }
        if let Some(last) = last {
            self.rewrite(table, last, *new, size)?;
        }
        if size < len {
            self.set_len(size)?;
        }
        if !plan.is_smaller() {
            self.fit(*new, None, found)?;
        }
        let partition = last
            .as_ref()
            .map_or_else(String::new, |last| format!(", partition {} of {} MiB", last.index, new.len / MIB));
        Ok(format!("{} MiB{partition}", size / MIB))
    }

    fn refused(&self, what: &str) -> Error {
        Error::refused(Complaint::new(format!("{}: {what}", self.object)))
    }

    fn table(&self) -> Result<PartitionTable, Error> {
        self.image.partition_table().map_err(|error| Error::refused(complaint_of("resize", &error)))
    }

    /// The partition that ends last, if there are any.
    fn last(&self, table: &PartitionTable) -> Result<Option<Partition>, Error> {
        if table.scheme == Scheme::None {
            return Ok(None);
        }
        if table.from_backup {
            return Err(
                self.refused("its primary GPT is damaged, and has to be repaired before: sgdisk -e does")
            );
        }
        let end = |partition: &&Partition| (partition.range().end(), partition.index);
        let last = table.partitions.iter().max_by_key(end);
        let last = last.ok_or_else(|| self.refused("there is no partition in it"))?;
        if table.scheme == Scheme::Mbr && (last.index > 4 || EXTENDED.contains(&last.type_code.as_str())) {
            let logical = table.partitions.iter().filter(|it| it.index > 4).max_by_key(end);
            return Err(self.refused(&match logical {
                Some(it) => {
                    format!("its last partition, {}, is a logical one, and these are not resized", it.index)
                }
                None => format!("its last partition, {}, is an extended one", last.index),
            }));
        }
        Ok(Some(last.clone()))
    }

    fn file_system(&self, range: ByteRange) -> Result<Superblock, Error> {
        let found = probe(self.image.reader(range), 0).step(format!("look at {}", self.object))?;
        let found = found.filter(|found| AllowedTypes::default().check(found).is_ok());
        let can =
            |found: &Superblock| matches!(found.kind.as_str(), "ext2" | "ext3" | "ext4" | "xfs" | "btrfs");
        found
            .filter(can)
            .ok_or_else(|| self.refused("its last partition holds no file system that can be resized"))
    }

    fn device(&self, range: ByteRange) -> Result<Device, Error> {
        Device::attach(&self.image, range, &LoopOptions::default()).step(self.object.as_str())
    }

    /// Demands a file system that is whole.
    fn check(&self, range: ByteRange, found: &Superblock) -> Result<(), Error> {
        if found.kind.starts_with("ext") {
            self.progress.step(&format!("checks {}", self.object));
            let device = self.device(range)?;
            change(E2FSCK, &device.path(), &[], &self.object, self.layout)?;
        }
        self.settle()
    }

    /// Waits until the kernel has taken back all devices over it: what is unmounted is written only then.
    fn settle(&self) -> Result<(), Error> {
        let (step, deadline) =
            (format!("wait for the kernel to give back {}", self.object), Instant::now() + PATIENCE);
        while !LoopDevice::over(&self.path).step(step.as_str())?.is_empty() {
            if Instant::now() > deadline {
                return Err("something has it still mounted").step(step);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Gives the file system in a range this length, or all that there is.
    fn fit(&self, range: ByteRange, len: Option<u64>, found: &Superblock) -> Result<(), Error> {
        self.progress.step(&format!("resizes the {} of {}", found.kind, self.object));
        let device = self.device(range)?;
        let fitted = match found.kind.as_str() {
            "xfs" => self.mounted(device, found, GROW_XFS, None),
            "btrfs" => {
                let len = len.map_or_else(|| "max".to_owned(), |len| len.to_string());
                self.mounted(device, found, RESIZE_BTRFS, Some(len))
            }
            _ => {
                let sectors = len.map(|len| format!("{}s", len / 512));
                let more: Vec<&str> = sectors.as_deref().into_iter().collect();
                let resized = change(RESIZE2FS, &device.path(), &more, &self.object, self.layout);
                drop(device);
                resized.map(drop)
            }
        };
        fitted.and_then(|()| self.settle())
    }

    /// Has a program ask the kernel to resize what is mounted, in a mount namespace that is ours alone.
    fn mounted(
        &self,
        device: Device,
        found: &Superblock,
        (program, words, package): Growing,
        more: Option<String>,
    ) -> Result<(), Error> {
        let step = format!("mount {}", self.object);
        let attributes = MountAttributes::NODEV | MountAttributes::NOSUID | MountAttributes::NOEXEC;
        let system = FileSystem::of_image(found, device.path(), &AllowedTypes::default());
        let system = system.step(step.as_str())?.attributes(attributes);
        make_private_dir(&self.layout.run_dir).step(step.as_str())?;
        let place = self.layout.run_dir.clone();
        let staging = Staging::new().step(step.as_str())?;
        staging.run(move || -> Result<(), Error> {
            let mount = device.mount(system).step(step.as_str())?;
            mount.attach_at(&place).step(step)?;
            let mut command = command(program, package, Rights::Root)?;
            command.args(words).args(more).arg(&place).stdout(std::process::Stdio::null());
            let ended = run(command, program, &Signals::block()?);
            // Not left to the end of the namespace, which is later.
            unmount(mount.as_fd()).step(format!("unmount {}", place.display()))?;
            ended
        })
    }

    fn set_len(&mut self, size: u64) -> Result<(), Error> {
        let step = || format!("set the size of {}", self.object);
        let file = OpenOptions::new().write(true).open(&self.path).step(step())?;
        file.set_len(size).and_then(|()| file.sync_all()).step(step())?;
        drop(file);
        self.again()
    }

    /// Looks at the image anew.
    fn again(&mut self) -> Result<(), Error> {
        // Its lock is given back for as long: two cannot be held.
        let id = self.image.id();
        let closed = Image::open_unlocked(&self.path).step(self.object.as_str())?;
        drop(std::mem::replace(&mut self.image, closed));
        self.image = open(&self.path)?;
        if self.image.id() == id { Ok(()) } else { Err(self.refused("was exchanged meanwhile")) }
    }

    /// Gives a partition another range, in a table for a disk of this size.
    fn rewrite(
        &mut self,
        old: &PartitionTable,
        last: &Partition,
        new: ByteRange,
        size: u64,
    ) -> Result<(), Error> {
        if new == last.range() && old.scheme == Scheme::Mbr {
            return Ok(());
        }
        let sector = u64::from(old.sector_size);
        if sector != 512 {
            return Err(self.refused("its table counts in other sectors than of 512 bytes"));
        }
        let whole = self.device(ByteRange::whole(self.image.len_bytes()))?;
        let script = table::dump(&whole.path(), &self.object, self.layout)?;
        drop(whole);
        self.settle()?;
        let script = table::with_size(&script, last.index, new.len / sector)
            .ok_or_else(|| self.refused("sfdisk reads its table in another way"))?;
        let disk = self.device(ByteRange::whole(size))?;
        table::write(&script, &disk.path(), &self.object, self.layout)?;
        drop(disk);
        self.settle()?;
        self.image_synced()?;
        // It is believed when it says what it should.
        let written = self.table()?;
        let mut wanted = old.partitions.clone();
        for partition in wanted.iter_mut().filter(|partition| partition.index == last.index) {
            partition.len_bytes = new.len;
        }
        if written.partitions == wanted {
            Ok(())
        } else {
            Err("it is not as it should be").step(format!("write the table of {}", self.object))
        }
    }

    fn image_synced(&self) -> Result<(), Error> {
        let file = std::fs::File::open(&self.path).step(self.object.as_str())?;
        file.sync_all().step(format!("write {}", self.object))
    }
}
