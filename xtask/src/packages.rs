//! The tools that the tasks call, and the Debian packages that have them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::progress::{Step, Steps};

/// A tool and the Debian package that has it.
pub(crate) struct Tool {
    name: &'static str,
    package: &'static str,
}

const fn tool(name: &'static str, package: &'static str) -> Tool {
    Tool { name, package }
}

/// What building and booting the small guest needs.
pub(crate) const DEMO: &[Tool] = &[
    tool("mkfs.ext4", "e2fsprogs"),
    tool("sfdisk", "fdisk"),
    tool("busybox", "busybox-static"),
    tool("ip", "iproute2"),
    tool("bridge", "iproute2"),
    tool("unshare", "util-linux"),
];

/// What recording the tour needs beside that.
pub(crate) const TOUR: &[Tool] = &[tool("script", "bsdutils"), tool("setpriv", "util-linux")];

/// What the tests need, but for the Debian guest: witnesses mostly.
pub(crate) const TEST: &[Tool] = &[
    tool("debugfs", "e2fsprogs"),
    tool("mkfs.ext4", "e2fsprogs"),
    tool("sfdisk", "fdisk"),
    tool("busybox", "busybox-static"),
    tool("ip", "iproute2"),
    tool("bridge", "iproute2"),
    tool("unshare", "util-linux"),
    tool("setpriv", "util-linux"),
    tool("findmnt", "util-linux"),
    tool("losetup", "mount"),
    tool("mount", "mount"),
    tool("bash", "bash"),
    tool("script", "bsdutils"),
    tool("kill", "procps"),
    tool("ps", "procps"),
    tool("sysctl", "procps"),
    tool("flock", "util-linux"),
    tool("blkid", "util-linux"),
    tool("ipcmk", "util-linux"),
    tool("ipcrm", "util-linux"),
    tool("mkswap", "util-linux"),
    tool("partx", "util-linux"),
    tool("fdisk", "fdisk"),
    tool("sgdisk", "gdisk"),
    // What `create` and `resize` call.
    tool("debootstrap", "debootstrap"),
    tool("mmdebstrap", "mmdebstrap"),
    tool("resize2fs", "e2fsprogs"),
    tool("gzip", "gzip"),
    tool("zstd", "zstd"),
    tool("xz", "xz-utils"),
    tool("tar", "tar"),
    // File systems that must be recognised.
    tool("mkfs.xfs", "xfsprogs"),
    tool("mkfs.btrfs", "btrfs-progs"),
    tool("mkfs.f2fs", "f2fs-tools"),
    tool("mkfs.nilfs2", "nilfs-tools"),
    tool("mkfs.jfs", "jfsutils"),
    tool("mkfs.vfat", "dosfstools"),
    tool("mkfs.exfat", "exfatprogs"),
    tool("mkntfs", "ntfs-3g"),
    tool("mkudffs", "udftools"),
    tool("genisoimage", "genisoimage"),
    tool("mkfs.erofs", "erofs-utils"),
    tool("mksquashfs", "squashfs-tools"),
    tool("cryptsetup", "cryptsetup-bin"),
    tool("tc", "iproute2"),
    tool("nft", "nftables"),
    tool("dnsmasq", "dnsmasq-base"),
    tool("dhcpd", "isc-dhcp-server"),
    tool("kea-dhcp4", "kea-dhcp4-server"),
    // What reads samples of usage, and brings them from other hosts.
    tool("jq", "jq"),
    tool("python3", "python3"),
    tool("ssh", "openssh-client"),
    tool("sshd", "openssh-server"),
    tool("shellcheck", "shellcheck"),
    tool("systemd-analyze", "systemd"),
    // What manual pages are held against.
    tool("groff", "groff-base"),
    tool("mandoc", "mandoc"),
];

/// What packages are made with, and held against.
pub(crate) const DIST: &[Tool] = &[
    tool("dpkg-deb", "dpkg"),
    tool("gzip", "gzip"),
    tool("lintian", "lintian"),
    tool("tar", "tar"),
    tool("xz", "xz-utils"),
];

/// What counts instructions, of the fixtures too.
pub(crate) const INSTRUCTIONS: &[Tool] = &[
    tool("valgrind", "valgrind"),
    tool("mkfs.ext4", "e2fsprogs"),
    tool("sfdisk", "fdisk"),
    tool("busybox", "busybox-static"),
];

/// What reading the files of packages needs.
pub(crate) const PROOF: &[Tool] =
    &[tool("bash", "bash"), tool("dpkg-deb", "dpkg"), tool("ip", "iproute2"), tool("unshare", "util-linux")];

/// What the Debian guest is made with.
pub(crate) const DEBIAN_GUEST: &[Tool] = &[
    tool("debootstrap", "debootstrap"),
    tool("mmdebstrap", "mmdebstrap"),
    tool("mkfs.ext4", "e2fsprogs"),
    tool("sfdisk", "fdisk"),
    tool("tar", "tar"),
    tool("chroot", "coreutils"),
];

/// What another kernel is fetched and run with.
pub(crate) const VM: &[Tool] = &[
    tool("qemu-system-x86_64", "qemu-system-x86"),
    tool("busybox", "busybox-static"),
    tool("depmod", "kmod"),
    tool("dpkg-deb", "dpkg"),
    tool("xz", "xz-utils"),
    tool("mkfs.ext4", "e2fsprogs"),
    tool("ip", "iproute2"),
    tool("setsid", "util-linux"),
    tool("unshare", "util-linux"),
];

/// What shows the host's files to a virtual machine.
pub(crate) const VIRTIOFSD: &[Tool] = &[tool("virtiofsd", "virtiofsd")];

/// Everything, but for what only `vm` needs: that is large.
pub(crate) const ALL: &[&[Tool]] = &[DEMO, TEST, PROOF, DEBIAN_GUEST, DIST];

/// Installs what is missing of `tools`; on a system that is not Debian-like, or without root, names it and fails.
pub(crate) fn install(tools: &[&[Tool]], steps: &Steps) -> Outcome {
    let mut missing: Vec<&Tool> =
        tools.iter().copied().flatten().filter(|tool| !is_there(tool.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // Several tasks need the same tool, and several tools are in one package.
    missing.sort_unstable_by_key(|tool| (tool.package, tool.name));
    missing.dedup_by_key(|tool| tool.name);
    let names = missing.iter().map(|tool| tool.name).collect::<Vec<_>>().join(" ");
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    packages.dedup();
    let packages_text = packages.join(" ");
    if !is_debian_like() {
        return Err(format!(
            "these tools are missing: {names}\n\
             install them with this system's package manager (on Debian their packages are: {packages_text})"
        )
        .into());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(format!(
            "these tools are missing: {names}\n\
             run as root: apt-get install --no-install-recommends {packages_text}"
        )
        .into());
    }
    steps.step(&format!("install {packages_text}"), |step| {
        // The lists of packages may be missing, or too old to be fetched from.
        apt_install(&packages, step).or_else(|_| {
            apt_update(step)?;
            apt_install(&packages, step)
        })
    })?;
    match missing.iter().find(|tool| !is_there(tool.name)) {
        Some(tool) => Err(format!("package {} is installed, but has no {}", tool.package, tool.name).into()),
        None => Ok(()),
    }
}

/// Fetches the lists of packages.
pub(crate) fn apt_update(step: &Step) -> Outcome {
    step.run(Command::new("apt-get").args(["update", "-q"]))
}

fn apt_install(packages: &[&str], step: &Step) -> Outcome {
    let mut apt = Command::new("apt-get");
    // A package with a server in it is not to start that: neither by init scripts nor by systemd.
    apt.env("DEBIAN_FRONTEND", "noninteractive").env("SYSTEMD_OFFLINE", "1");
    apt.env("RUNLEVEL", "1").env("PREVLEVEL", "N");
    step.run(apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages))
}

fn is_there(tool: &str) -> bool {
    // The guest has no libraries for one that is dynamically linked.
    find(tool).is_some_and(|path| tool != "busybox" || is_static(&path))
}

const MORE_DIRECTORIES: [&str; 6] =
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/libexec", "/usr/lib/qemu"];

/// Finds a program as the shell does, in the directories that only root has in its `PATH`, and where helpers of qemu are.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(MORE_DIRECTORIES.map(PathBuf::from));
    directories.map(|directory| directory.join(tool)).find(|file| file.is_file())
}

/// Whether an ELF program names no dynamic linker. Those of glibc, musl and others all live in a directory `lib…/ld`.
fn is_static(program: &Path) -> bool {
    let bytes = fs::read(program).unwrap_or_default();
    let head = bytes.get(..4096).unwrap_or(&bytes);
    bytes.starts_with(b"\x7fELF") && !head.windows(4).any(|window| window == b"/ld-")
}

fn is_debian_like() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let ids = release.lines().filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")));
    ids.flat_map(|ids| ids.trim_matches('"').split(' ')).any(|id| id == "debian" || id == "ubuntu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_not_found() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-tool-anywhere"), None);
    }

    #[test]
    fn this_test_is_dynamically_linked_and_a_script_is_no_program() {
        assert!(!is_static(&env::current_exe().unwrap()));
        assert!(!is_static(Path::new("/etc/os-release")));
    }
}
