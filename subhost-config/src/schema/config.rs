//! The settings of one subhost as typed values: one row each, from which the struct, its defaults, the reading and
//! the listing are made.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::address::{self, AddressSpec, RouteSpec};
use super::cable::{self, CableSpec};
use super::capability::{self, Capability};
use super::choice::{self, ProcSys, Restart, Seccomp};
use super::disk::{self, DiskSpec};
use super::entry::Entry;
use super::environment::Environment;
use super::path::{self, BindSpec, DeviceSpec};
use super::quantity;
use super::reader::Reader;
use super::scalar::{self, InitChoice, PowerOff, UserNs};
use super::setting::Setting;
use super::variable::{self, EnvironmentVariable};
use crate::diagnostic::Diagnostic;
use crate::vars::Variables;

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

/// `field: shape type = "NAME", default, read a word, write a word (, check all words)`.
///
/// The shapes: `one` always has a value; `maybe` is none where nobody set it, or set it to nothing; `list` is any
/// number of words.
macro_rules! settings {
    (@type one $type:ty) => { $type };
    (@type maybe $type:ty) => { Option<$type> };
    (@type list $type:ty) => { Vec<$type> };
    ($(
        $(#[$docs:meta])*
        $field:ident: $shape:ident $type:ty = $name:literal, $default:expr, $read:expr, $write:expr $(, $check:expr)?;
    )*) => {
        /// The settings of one subhost. A command line overrides a field with [`Setting::from_flag`].
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct SubhostConfig {
            $($(#[$docs])* pub $field: Setting<settings!(@type $shape $type)>,)*
        }

        impl Default for SubhostConfig {
            fn default() -> Self {
                Self { $($field: Setting::default($default),)* }
            }
        }

        impl SubhostConfig {
            /// All settings in the order of [`SETTINGS`](super::SETTINGS), each as it would be written.
            pub fn entries(&self) -> Vec<Entry<'_>> {
                vec![$(Entry::$shape($name, &self.$field, $write),)*]
            }

            fn read(reader: &mut Reader<'_>) -> Self {
                let default = Self::default();
                Self { $($field: reader.$shape($name, default.$field, $read $(, $check)?),)* }
            }
        }
    };
}

settings! {
    /// `DISKS`; the first is the root file system.
    disks: list DiskSpec = "DISKS", Vec::new(), DiskSpec::parse, DiskSpec::written, disk::check_disks;
    /// `BRIDGES`; the first is `eth0`.
    cables: list CableSpec = "BRIDGES", Vec::new(), cable::read, choice::written, cable::check_cables;
    /// `HOSTNAME`; none for the subhost's name.
    hostname: maybe String = "HOSTNAME", None, scalar::hostname, |it| choice::written_text(it);
    /// `INIT`
    init: one InitChoice = "INIT", InitChoice::Subhost, scalar::init, scalar::written_init;
    /// `RUNLEVEL`: `1` to `5` or `7` to `9`.
    runlevel: one char = "RUNLEVEL", '2', scalar::runlevel, choice::written;
    /// `BOOT_TIMEOUT`: after what time is told which script hangs; zero for never.
    boot_timeout: one Duration =
        "BOOT_TIMEOUT", Duration::from_secs(300), scalar::duration, scalar::written_duration;
    /// `STOP_TIMEOUT`: how long `stop` waits before it kills.
    stop_timeout: one Duration =
        "STOP_TIMEOUT", Duration::from_secs(30), scalar::duration, scalar::written_duration;
    /// `POWEROFF`
    poweroff: one PowerOff = "POWEROFF", PowerOff::Graceful, scalar::poweroff, choice::written;
    /// `SKIP_SCRIPTS`: file names in the guest's `/etc/init.d`.
    skip_scripts: list String =
        "SKIP_SCRIPTS", DEFAULT_SKIP_SCRIPTS.iter().map(|&name| name.to_owned()).collect(),
        scalar::script_name, |it| choice::written_text(it), no_check;
    /// `USERNS`
    userns: one UserNs = "USERNS", UserNs::Auto, scalar::userns, choice::written;
    /// `FILESYSTEMS`: types that disks may hold beside those that always may.
    filesystems: list String =
        "FILESYSTEMS", Vec::new(), choice::filesystem, |it| choice::written_text(it), no_check;
    /// `CAPS_ADD`
    caps_add: list Capability = "CAPS_ADD", Vec::new(), Capability::parse, choice::written, no_check;
    /// `CAPS_DROP`
    caps_drop: list Capability = "CAPS_DROP", Vec::new(), Capability::parse, choice::written, no_check;
    /// `SECCOMP`
    seccomp: one Seccomp = "SECCOMP", Seccomp::Default, choice::seccomp, choice::written;
    /// `PROC_SYS`
    proc_sys: one ProcSys = "PROC_SYS", ProcSys::ReadOnly, choice::proc_sys, choice::written;
    /// `NESTING`
    nesting: one bool = "NESTING", false, choice::yes_no, choice::written_yes_no;
    /// `BASE`: the read-only layers, topmost first.
    base: list PathBuf = "BASE", Vec::new(), path::absolute, |it| path::written(it), path::check_layers;
    /// `ROOT`: the guest's own tree; none for `root` in the subhost's directory.
    root: maybe PathBuf = "ROOT", None, path::absolute, |it| path::written(it);
    /// `WORK`: the overlay's work directory; none for `work` in the subhost's directory.
    work: maybe PathBuf = "WORK", None, path::absolute, |it| path::written(it);
    /// `CMDLINE`: what the guest sees in `/proc/cmdline`.
    cmdline: maybe OsString = "CMDLINE", None, choice::command_line, |it| choice::written_os(it);
    /// `CPUS` in thousandths of a processor.
    cpu_thousandths: maybe u32 = "CPUS", None, quantity::cpus, quantity::written_cpus;
    /// `MEMORY` in bytes.
    memory_bytes: maybe u64 = "MEMORY", None, quantity::memory, quantity::written_size;
    /// `TASKS`: how many processes.
    tasks: maybe u32 = "TASKS", None, quantity::tasks, quantity::written_number;
    /// `IO_WEIGHT`: `1` to `10000`.
    io_weight: maybe u32 = "IO_WEIGHT", None, quantity::weight, quantity::written_number;
    /// `BINDS`
    binds: list BindSpec = "BINDS", Vec::new(), BindSpec::parse, BindSpec::written, path::check_binds;
    /// `DEVICES`
    devices: list DeviceSpec =
        "DEVICES", Vec::new(), DeviceSpec::parse, DeviceSpec::written, path::check_devices;
    /// `EPHEMERAL`
    ephemeral: maybe bool = "EPHEMERAL", None, choice::yes_no, choice::written_yes_no;
    /// `READONLY`
    readonly: maybe bool = "READONLY", None, choice::yes_no, choice::written_yes_no;
    /// `TMPFS_SIZE` in bytes.
    tmpfs_bytes: maybe u64 = "TMPFS_SIZE", None, quantity::size_of_a_page, quantity::written_size;
    /// `ADDRESSES`
    addresses: list AddressSpec =
        "ADDRESSES", Vec::new(), AddressSpec::parse, choice::written, address::check_addresses;
    /// `ROUTES`
    routes: list RouteSpec = "ROUTES", Vec::new(), RouteSpec::parse, choice::written, address::check_routes;
    /// `GATEWAY`: one of each family.
    gateway: list IpAddr = "GATEWAY", Vec::new(), address::host, choice::written, address::check_gateways;
    /// `DNS`
    dns: list IpAddr = "DNS", Vec::new(), address::host, choice::written, no_check;
    /// `MTU` in bytes.
    mtu: maybe u32 = "MTU", None, quantity::mtu, quantity::written_number;
    /// `ISOLATED`
    isolated: maybe bool = "ISOLATED", None, choice::yes_no, choice::written_yes_no;
    /// `RATE` in bits a second.
    rate_bits: maybe u64 = "RATE", None, quantity::rate, quantity::written_rate;
    /// `RESTART`
    restart: one Restart = "RESTART", Restart::No, choice::restart, choice::written;
    /// `AUTOSTART`
    autostart: maybe bool = "AUTOSTART", None, choice::yes_no, choice::written_yes_no;
    /// `AFTER`: names of subhosts.
    after: list String = "AFTER", Vec::new(), choice::subhost_name, |it| choice::written_text(it), no_check;
    /// `START_DELAY`
    start_delay: maybe Duration = "START_DELAY", None, scalar::duration, scalar::written_duration;
    /// `LOG_SIZE` in bytes.
    log_bytes: one u64 = "LOG_SIZE", 1 << 20, quantity::size_of_a_page, quantity::written_size;
    /// `ENVIRONMENT`
    environment: list EnvironmentVariable =
        "ENVIRONMENT", Vec::new(), EnvironmentVariable::parse, EnvironmentVariable::written,
        variable::check_names;
}

fn no_check<T>(_: &[T]) -> Vec<(usize, super::SpecError)> {
    Vec::new()
}

impl SubhostConfig {
    /// The settings in `environment`, then in `variables`, then the defaults.
    ///
    /// None if anything is wrong; the list then holds every error at its place, and beside them warnings.
    pub fn from_variables(
        variables: &Variables,
        environment: &Environment,
    ) -> (Option<Self>, Vec<Diagnostic>) {
        let mut reader = Reader::new(variables, environment);
        let config = Self::read(&mut reader);
        let both = capability::check_both(&config.caps_add.value, &config.caps_drop.value);
        reader.refuse_words("CAPS_DROP", &config.caps_drop.origin, both);
        reader.warn_about_names();
        let diagnostics = reader.into_diagnostics();
        let refused = diagnostics.iter().any(Diagnostic::is_error);
        ((!refused).then_some(config), diagnostics)
    }
}
