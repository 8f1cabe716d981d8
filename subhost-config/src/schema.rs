//! From variables to the settings of a subhost, each with where it came from.

mod address;
mod cable;
mod capability;
mod choice;
mod config;
mod disk;
mod entry;
mod environment;
mod names;
mod path;
mod quantity;
mod reader;
mod scalar;
mod setting;
mod settings;
mod spec_error;
mod variable;

pub use address::{AddressSpec, RouteSpec};
pub use cable::{CableSpec, check_cables};
pub use capability::Capability;
pub use choice::{ProcSys, Restart, Seccomp};
pub use config::{DEFAULT_SKIP_SCRIPTS, SubhostConfig};
pub use disk::{DiskSpec, PartitionChoice, check_disks};
pub use entry::{Entry, Written};
pub use environment::Environment;
pub(crate) use names::nearest;
pub use path::{BindSpec, DeviceSpec};
pub use scalar::{InitChoice, PowerOff, UserNs, parse_duration};
pub use setting::{FilePlace, Origin, Setting};
pub use settings::{SETTINGS, SettingInfo};
pub use spec_error::SpecError;
pub use variable::EnvironmentVariable;
