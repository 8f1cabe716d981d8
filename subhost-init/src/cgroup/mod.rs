//! The cgroup of a guest: its limits, the devices that it may open, and its end at once.
//!
//! A guest has a directory of its name below [`PARENT`] in the hierarchy of version 2, where that is mounted, and in those
//! of version 1 that a limit needs. It is born into it, and sees it as the root of all cgroups.
//!
//! ```no_run
//! use subhost_init::cgroup::{CgroupPlan, Hierarchies, Limits};
//!
//! let limits = Limits { tasks: Some(500), memory_bytes: Some(512 << 20), ..Limits::default() };
//! let plan = CgroupPlan::make("web1", &limits, &[], &Hierarchies::observe()?);
//! let mut cgroup = plan.create()?;
//! for unenforced in cgroup.unenforced() {
//!     eprintln!("note: {unenforced}");
//! }
//! // Launch::cgroup takes cgroup.unified()?, and Launch::legacy_cgroups takes cgroup.legacy_entries()?.
//! let directories = cgroup.keep(); // to be found again, also by another process
//! # Ok::<(), subhost_init::Error>(())
//! ```

mod create;
mod devices;
mod directory;
mod group;
mod hierarchy;
mod plan;
mod session;
mod usage;

pub use devices::{DeviceKind, DeviceRule};
pub use directory::sweep;
pub use group::{Cgroup, CgroupDirectory};
pub use hierarchy::{Hierarchies, Legacy, Unified};
pub use plan::{CgroupPlan, Limits, PARENT, PlannedGroup, Setting, Subject, Unenforced, Version};
pub use session::Session;
pub use usage::{DeviceIo, Pressure, Usage};
