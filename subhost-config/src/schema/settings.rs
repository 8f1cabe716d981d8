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
}

const fn setting(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    example: &'static str,
    summary: &'static str,
) -> SettingInfo {
    SettingInfo { name, kind, default, example, summary }
}

const YES_NO: &str = "`yes` or `no`";
const SIZE: &str = "size: bytes, or `64K`, `512M`, `2G`, `1T`";

/// All settings.
pub const SETTINGS: &[SettingInfo] = &[
    setting(
        "DISKS",
        "list of `node:partition:image`",
        "none",
        "( vda:1:/disks/disk1.raw vdb:0:/disks/data.raw )",
        "The guest's disks; the first is its root file system. Partition `0` or nothing is the whole image; \
         `LABEL=…`, `UUID=…`, `PARTLABEL=…`, `PARTUUID=…` or `PARTTYPE=…` stand for the number.",
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
        "BOOT_TIMEOUT",
        "time: `30`, `30s`, `2m`, `1h`, `500ms`",
        "`5m`",
        "90s",
        "After what time `boot` tells which start script hangs, and `--detach` fails; the guest goes on. `0` is never.",
    ),
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
    setting(
        "FILESYSTEMS",
        "list of file system types",
        "none",
        "( vfat f2fs )",
        "Types that the guest's disks may hold, beside ext2, ext3, ext4, xfs, btrfs, erofs and squashfs.",
    ),
    setting(
        "CAPS_ADD",
        "list of capabilities",
        "none",
        "( mknod audit_control )",
        "Capabilities to leave to the guest of those that it loses by default; they count in its user namespace.",
    ),
    setting(
        "CAPS_DROP",
        "list of capabilities",
        "none",
        "( net_raw CAP_SYS_PTRACE )",
        "Capabilities to take from the guest, beside those that it loses by default.",
    ),
    setting("SECCOMP", "`default` or `no`", "`default`", "no", "The system call filter."),
    setting(
        "PROC_SYS",
        "`ro` or `rw`",
        "`ro`",
        "rw",
        "Whether the guest may write to what its namespaces own in `/sys`; in `/proc/sys` it may either way.",
    ),
    setting(
        "NESTING",
        YES_NO,
        "`no`",
        "yes",
        "Whether the guest may mount, and make user namespaces: what containers inside need.",
    ),
    setting(
        "BASE",
        "list of paths on the host",
        "none",
        "/srv/base/bookworm",
        "For `start`: the read-only layers under the guest's tree, topmost first.",
    ),
    setting(
        "ROOT",
        "path on the host",
        "`root` in the subhost's directory, or in its image",
        "/srv/web/root",
        "For `start`: the guest's own tree, which is bound at `live`, or is the layer over `BASE`.",
    ),
    setting(
        "WORK",
        "path on the host",
        "`work` in the subhost's directory, or in its image",
        "/srv/web/work",
        "For `start`: the work directory of the overlay, in the same mount as `ROOT`.",
    ),
    setting(
        "CMDLINE",
        "one line of text",
        "none",
        "'quiet ro'",
        "What the guest reads in `/proc/cmdline`; without it that of the host, which the guest's root can find in any case.",
    ),
    setting(
        "CPUS",
        "number of processors, three decimals at most",
        "none",
        "1.5",
        "How much processor time the guest gets.",
    ),
    setting(
        "MEMORY",
        SIZE,
        "none",
        "512M",
        "How much memory the guest gets, without swap beside it; 1M at least.",
    ),
    setting("TASKS", "number", "none", "500", "How many processes and threads the guest gets."),
    setting(
        "IO_WEIGHT",
        "`1`–`10000`",
        "none",
        "100",
        "The guest's share of the disks, where that of others is 100.",
    ),
    setting(
        "BINDS",
        "list of `host:guest` or `host:guest:ro`",
        "none",
        "( /srv/www:/var/www:ro )",
        "Directories and files of the host inside the guest, where it has some; its root is the owner of what the host's root owns.",
    ),
    setting(
        "DEVICES",
        "list of `path` or `path:ro`",
        "none",
        "( /dev/fuse /dev/net/tun )",
        "Devices of the host inside the guest.",
    ),
    setting(
        "EPHEMERAL",
        YES_NO,
        "none",
        "yes",
        "Whether what the guest writes is kept in memory, and thrown away at its end and at each reboot.",
    ),
    setting("READONLY", YES_NO, "none", "yes", "Whether the disks are read-only."),
    setting(
        "TMPFS_SIZE",
        SIZE,
        "none",
        "64M",
        "The size of the guest's `/run` and `/dev/shm`, and of what `EPHEMERAL` keeps of each disk; half of the memory without it.",
    ),
    setting(
        "ADDRESSES",
        "list of `address/prefix` or `ethN=address/prefix`",
        "none",
        "( 192.0.2.7/24 eth1=2001:db8::7/64 )",
        "Addresses to give the guest's cables; `eth0` where none is named.",
    ),
    setting(
        "ROUTES",
        "list of `network/prefix=gateway`",
        "none",
        "( 10.8.0.0/16=192.0.2.1 )",
        "Routes to give the guest.",
    ),
    setting(
        "GATEWAY",
        "list of addresses, one a family",
        "none",
        "192.0.2.1",
        "The guest's default gateway, in the network of one of its addresses.",
    ),
    setting(
        "DNS",
        "list of addresses",
        "none",
        "( 192.0.2.53 2001:db8::53 )",
        "The guest's name servers, in its `/etc/resolv.conf`; its disk is not changed.",
    ),
    setting("MTU", "`68`–`65535`", "none", "1500", "The cables' MTU."),
    setting(
        "ISOLATED",
        YES_NO,
        "none",
        "yes",
        "Whether nothing passes between this guest and other isolated ones on its bridges, and nothing from a \
         foreign MAC address, nor from another address than those of `ADDRESSES`.",
    ),
    setting(
        "RATE",
        "rate: `512kbit`, `100mbit`, `1gbit`",
        "none",
        "100mbit",
        "How fast each cable is, in either direction.",
    ),
    setting(
        "RESTART",
        "`no`, `on-failure` or `always`",
        "`no`",
        "on-failure",
        "When to boot again by itself, what nobody has stopped.",
    ),
    setting(
        "AUTOSTART",
        YES_NO,
        "none",
        "yes",
        "Whether `subhostctl autostart` boots it, and so the host when it starts.",
    ),
    setting(
        "AFTER",
        "list of names of subhosts",
        "none",
        "( database dns )",
        "Which subhosts `autostart` boots before this one, and `stop` stops after it.",
    ),
    setting(
        "START_DELAY",
        "time: `30`, `30s`, `2m`, `1h`, `500ms`",
        "none",
        "5s",
        "How long `autostart` waits before it boots this one, when those of `AFTER` are ready; 24 hours at most.",
    ),
    setting(
        "LOG_SIZE",
        SIZE,
        "`1M`",
        "64K",
        "How much of the console to keep for `subhostctl logs`; 4K at least.",
    ),
    setting(
        "ENVIRONMENT",
        "list of `NAME=value`",
        "none",
        "( LANG=C.UTF-8 'OPTIONS=a b' )",
        "Environment variables for the guest's PID 1, and so for its start scripts.",
    ),
];
