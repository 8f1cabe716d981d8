//! The table of all settings, which `docs/config.md` shows.

/// A setting as people look it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingInfo {
    /// The variable.
    pub name: &'static str,
    /// What it takes.
    pub kind: &'static str,
    /// What holds without it, in words or as it would be written.
    pub default: &'static str,
    /// A right-hand side in bash.
    pub example: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Whether it has an effect.
    pub support: Support,
}

/// What becomes of a setting that somebody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has its effect.
    Full,
    /// It has none yet, and that is said.
    Ignored,
    /// It has none yet, and as it protects or limits something, it is refused rather than left without effect.
    Refused,
}

const fn setting(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    example: &'static str,
    summary: &'static str,
) -> SettingInfo {
    SettingInfo { name, kind, default, example, summary, support: Support::Full }
}

const fn later(name: &'static str, summary: &'static str) -> SettingInfo {
    SettingInfo { name, kind: "", default: "", example: "", summary, support: Support::Ignored }
}

const fn refused(name: &'static str, summary: &'static str) -> SettingInfo {
    SettingInfo { support: Support::Refused, ..later(name, summary) }
}

/// All settings: those with an effect, then those that are only known by name so far.
pub const SETTINGS: &[SettingInfo] = &[
    setting(
        "DISKS",
        "list of `node:partition:image`",
        "none",
        "( vda:1:/disks/disk1.raw vdb:0:/disks/data.raw )",
        "The guest's disks; the first is its root file system. Partition `0` or nothing is the whole image.",
    ),
    setting(
        "BRIDGES",
        "list of `bridge:mac`",
        "none",
        "( homenet:06:a7:dd:b4:02:f2 homenet: )",
        "The guest's network cables, `eth0` first. Without a bridge the host's end is only up; without a MAC a \
         stable one is made up.",
    ),
    setting(
        "HOSTNAME",
        "host name",
        "the subhost's name",
        "web1.lan",
        "The guest's host name, set before its init runs; what the guest sets then wins.",
    ),
    setting(
        "INIT",
        "`auto` or a path in the guest",
        "subhost's own PID 1",
        "/sbin/init",
        "What runs as PID 1; `auto` takes the init that is found in the guest.",
    ),
    setting("RUNLEVEL", "`1`–`5`, `7`–`9`", "`2`", "3", "The runlevel that `rc` is called with."),
    setting(
        "STOP_TIMEOUT",
        "time: `30`, `30s`, `2m`, `1h`, `500ms`",
        "`30s`",
        "2m",
        "How long `stop` waits for the guest before it kills it; 24 hours at most.",
    ),
    setting(
        "POWEROFF",
        "`graceful` or `immediate`",
        "`graceful`",
        "immediate",
        "`graceful` runs the guest's `rc 0` first; `immediate` lets any byte written to `/run/initctl` end it at once.",
    ),
    setting(
        "SKIP_SCRIPTS",
        "list of file names in `/etc/init.d`",
        "`checkroot.sh checkroot-bootclean.sh checkfs.sh mountall.sh mountall-bootclean.sh mountkernfs.sh \
         mountdevsubfs.sh hwclock.sh udev umountfs umountroot`",
        "( hwclock.sh udev )",
        "Start scripts that do nothing in this guest, instead of those of the default.",
    ),
    setting(
        "USERNS",
        "`auto` or `FIRST:COUNT`",
        "`auto`",
        "524288:65536",
        "Which ids of the host the guest's ids are; `auto` takes a range from the pool. `FIRST` is 65536 or above.",
    ),
    later("BASE", "The read-only layers under the guest's tree."),
    later("CMDLINE", "The kernel command line that the guest sees."),
    later("CAPS_ADD", "Capabilities to leave to the guest."),
    refused("CAPS_DROP", "Capabilities to take from the guest."),
    refused("SECCOMP", "The system call filter."),
    refused("PROC_SYS", "What of `/proc` and `/sys` the guest may change."),
    later("NESTING", "Whether containers may run inside."),
    refused("CPUS", "How much processor time the guest gets."),
    refused("MEMORY", "How much memory the guest gets."),
    refused("TASKS", "How many processes the guest gets."),
    refused("IO_WEIGHT", "The guest's share of the disks."),
    later("BINDS", "Folders of the host inside the guest."),
    later("DEVICES", "Devices of the host inside the guest."),
    refused("EPHEMERAL", "Whether changes are thrown away."),
    refused("READONLY", "Whether the root file system is read-only."),
    refused("TMPFS_SIZE", "The size of the guest's tmpfs mounts."),
    later("ADDRESSES", "Addresses to give the guest's cables."),
    later("ROUTES", "Routes to give the guest."),
    later("GATEWAY", "The guest's default gateway."),
    later("DNS", "The guest's name servers."),
    later("MTU", "The cables' MTU."),
    refused("ISOLATED", "Whether guests on one bridge see each other."),
    refused("RATE", "How fast the cables are."),
    later("RESTART", "When to boot again by itself."),
    later("AUTOSTART", "Whether to boot with the host."),
    later("AFTER", "Which subhosts to wait for."),
    later("START_DELAY", "How long to wait before."),
    later("LOG_SIZE", "How much of the console to keep."),
    later("ENVIRONMENT", "Environment variables for the guest's PID 1."),
];
