//! From variables to the settings of a subhost, each with where it came from.

mod cable;
mod disk;
mod environment;
mod names;
mod reader;
mod scalar;
mod setting;
mod settings;
mod spec_error;

use std::time::Duration;

pub use cable::{CableSpec, check_cables};
pub use disk::{DiskSpec, check_disks};
pub use environment::Environment;
pub use scalar::{InitChoice, PowerOff, UserNs, parse_duration};
pub use setting::{Origin, Setting};
pub use settings::{SETTINGS, SettingInfo, Support};
pub use spec_error::SpecError;

use crate::diagnostic::Diagnostic;
use crate::span::Source;
use crate::vars::Variables;
use reader::Reader;

/// Start scripts that assume a machine, and do in a subhost nothing but harm: what they would have done has
/// been done before PID 1 starts.
pub const DEFAULT_SKIP_SCRIPTS: &[&str] = &[
    "checkroot.sh",
    "checkroot-bootclean.sh",
    "checkfs.sh",
    "mountall.sh",
    "mountall-bootclean.sh",
    "mountkernfs.sh",
    "mountdevsubfs.sh",
    "hwclock.sh",
    "udev",
    // At the end: nothing of this can be unmounted from inside, and it goes with the namespace.
    "umountfs",
    "umountroot",
];

/// The settings of one subhost. A command line overrides a field with [`Setting::from_flag`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubhostConfig {
    /// `DISKS`; the first is the root file system.
    pub disks: Setting<Vec<DiskSpec>>,
    /// `BRIDGES`; the first is `eth0`.
    pub cables: Setting<Vec<CableSpec>>,
    /// `HOSTNAME`; none for the subhost's name.
    pub hostname: Setting<Option<String>>,
    /// `INIT`
    pub init: Setting<InitChoice>,
    /// `RUNLEVEL`: `1` to `5` or `7` to `9`.
    pub runlevel: Setting<char>,
    /// `STOP_TIMEOUT`: how long `stop` waits before it kills.
    pub stop_timeout: Setting<Duration>,
    /// `POWEROFF`
    pub poweroff: Setting<PowerOff>,
    /// `SKIP_SCRIPTS`: file names in the guest's `/etc/init.d`.
    pub skip_scripts: Setting<Vec<String>>,
    /// `USERNS`
    pub userns: Setting<UserNs>,
}

impl Default for SubhostConfig {
    fn default() -> Self {
        let skip_scripts = DEFAULT_SKIP_SCRIPTS.iter().map(|&name| name.to_owned()).collect();
        Self {
            disks: Setting::default(Vec::new()),
            cables: Setting::default(Vec::new()),
            hostname: Setting::default(None),
            init: Setting::default(InitChoice::Subhost),
            runlevel: Setting::default('2'),
            stop_timeout: Setting::default(Duration::from_secs(30)),
            poweroff: Setting::default(PowerOff::Graceful),
            skip_scripts: Setting::default(skip_scripts),
            userns: Setting::default(UserNs::Auto),
        }
    }
}

impl SubhostConfig {
    /// The settings in `environment`, then in `variables` (of `source`), then the defaults.
    ///
    /// None if anything is wrong; the list then holds every error at its place, and beside them warnings.
    pub fn from_variables(
        variables: &Variables,
        source: &Source,
        environment: &Environment,
    ) -> (Option<Self>, Vec<Diagnostic>) {
        let mut reader = Reader::new(variables, source, environment);
        let default = Self::default();
        let config = Self {
            disks: reader.list("DISKS", default.disks, DiskSpec::parse, disk::check_disks),
            cables: reader.list(
                "BRIDGES",
                default.cables,
                |it| CableSpec::parse(it, b':'),
                cable::check_cables,
            ),
            hostname: reader.scalar("HOSTNAME", default.hostname, scalar::hostname),
            init: reader.scalar("INIT", default.init, scalar::init),
            runlevel: reader.scalar("RUNLEVEL", default.runlevel, scalar::runlevel),
            stop_timeout: reader.scalar("STOP_TIMEOUT", default.stop_timeout, scalar::duration),
            poweroff: reader.scalar("POWEROFF", default.poweroff, scalar::poweroff),
            skip_scripts: reader
                .list("SKIP_SCRIPTS", default.skip_scripts, scalar::script_name, |_| Vec::new()),
            userns: reader.scalar("USERNS", default.userns, scalar::userns),
        };
        reader.warn_about_names();
        let diagnostics = reader.into_diagnostics();
        let refused = diagnostics.iter().any(Diagnostic::is_error);
        ((!refused).then_some(config), diagnostics)
    }
}
