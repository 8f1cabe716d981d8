//! Disk images, loop devices, partition tables, file systems, overlays, and safe paths inside a tree
//! that somebody else controls.
#![deny(unsafe_code)]

pub mod bind;
mod error;
pub mod filesystem;
pub mod fstype;
mod idmap;
pub mod image;
pub mod loopdev;
pub mod mountinfo;
pub mod overlay;
pub mod partition;
pub mod rootdir;
pub mod staging;
#[expect(unsafe_code, reason = "the system calls that rustix lacks live here, and nowhere else")]
mod sys;

pub use error::{Error, Result, TableProblem};
pub use filesystem::{FileSystem, Mount, MountAttributes};
pub use image::{Access, Holder, Image};
pub use loopdev::{LoopDevice, LoopOptions};
pub use overlay::Overlay;
pub use partition::{ByteRange, Partition, PartitionTable, Scheme};
pub use rootdir::RootDir;
pub use staging::Staging;
