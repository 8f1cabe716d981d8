//! Disk images, loop devices, partition tables, file systems, overlays, and safe paths inside a tree that somebody
//! else controls.
//!
//! It is made for tools that mount what they do not trust: the disks of virtual machines, the trees of containers.
//! Image bytes and guest trees are taken for hostile throughout. Everything hangs on a file descriptor or a
//! thread, so that the kernel cleans up whatever happens to the process.
//!
//! # Which partitions are in an image
//!
//! Needs no root, and changes nothing.
//!
//! ```no_run
//! use std::path::Path;
//! use subhost_mount::{Image, fstype};
//!
//! let image = Image::open_unlocked(Path::new("/disks/disk1.raw"))?;
//! let table = image.partition_table()?;
//! for partition in &table.partitions {
//!     let holds = fstype::probe(image.reader(partition.range()), 0)?.map(|found| found.kind);
//!     println!("{} {} bytes, {holds:?}", partition.index, partition.len_bytes);
//! }
//! # Ok::<(), subhost_mount::Error>(())
//! ```
//!
//! # Mounting one of them, seen by nobody else
//!
//! The image is locked for as long as the mount lives, a loop device clears itself, and the mount dies with
//! `staging`.
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use std::path::Path;
//! use subhost_mount::fstype::{self, AllowedTypes};
//! use subhost_mount::rootdir::MountPoint;
//! use subhost_mount::{
//!     Access, Device, FileSystem, Image, LoopOptions, MountAttributes, Result, RootDir, Staging,
//! };
//!
//! let image = Image::open(Path::new("/disks/disk1.raw"), Access::ReadWrite)?;
//! let range = image.range(1)?;
//! let Some(found) = fstype::probe(image.reader(range), 0)? else { return Ok(()) };
//! let device = Device::attach(&image, range, &LoopOptions::default())?;
//! // Refuses what must not be mounted, and types that nobody allowed.
//! let system = FileSystem::of_image(&found, device.path(), &AllowedTypes::default())?;
//!
//! let staging = Staging::new()?;
//! let hostname = staging.run(move || -> Result<Vec<u8>> {
//!     let root = device.mount(system.attributes(MountAttributes::NOSUID))?;
//!     root.attach_at(Path::new("/mnt"))?;
//!
//!     // From here on the guest's own links and names decide nothing outside of its tree.
//!     let tree = root.root()?;
//!     let run = tree.mount_point(Path::new("run"), MountPoint::Directory)?;
//!     FileSystem::new("tmpfs").mount()?.attach(run.as_fd())?;
//!     tree.read_small(Path::new("etc/hostname"), 256)
//! })?;
//! # Ok::<(), subhost_mount::Error>(())
//! ```
//!
//! # Limits
//!
//! Linux 6.1 or later. Mounting and loop devices need root in the
//! initial user namespace; reading tables and trees does not. Images are raw. Nothing here starts a program,
//! prints, or changes a namespace of the calling thread.

#![deny(unsafe_code)]
#![deny(missing_docs)]

pub mod attached;
pub mod bind;
pub mod device;
mod error;
pub mod filesystem;
pub mod fstype;
pub mod idmap;
pub mod image;
pub mod loopdev;
pub mod mountinfo;
pub mod overlay;
pub mod partition;
pub mod rootdir;
pub mod staging;
#[expect(unsafe_code, reason = "the system calls that rustix lacks live here, and nowhere else")]
mod sys;

pub use device::Device;
pub use error::{Error, Result, TableProblem};
pub use filesystem::{FileSystem, Mount, MountAttributes, Propagation};
pub use image::{Access, Holder, Image};
pub use loopdev::{LoopDevice, LoopOptions};
pub use overlay::Overlay;
pub use partition::{ByteRange, Partition, PartitionTable, Scheme, Selector};
pub use rootdir::RootDir;
pub use staging::Staging;

/// The examples of the README, which are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
