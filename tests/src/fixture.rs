//! The images and trees that `cargo xtask fixtures` makes, by name.

use std::env;
use std::path::{Path, PathBuf};

/// One file or directory of the fixtures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixture {
    /// The busybox guest as a directory.
    TinyTree,
    /// The busybox guest: MBR, partition 1.
    TinyMbr,
    /// The busybox guest: MBR, 1 data, 2 extended, 5 the root file system.
    TinyLogical,
    /// The busybox guest: GPT, 1 the root file system, 2 data.
    TinyGpt,
    /// The busybox guest: ext4 without a partition table.
    TinyBare,
    /// Debian with sysvinit: MBR, partition 1.
    DebianMbr,
    /// Debian with sysvinit: GPT, 1 the root file system, 2 data.
    DebianGpt,
    /// Debian with sysvinit: ext4 without a partition table.
    DebianBare,
    /// Debian with OpenRC under sysvinit: ext4 without a partition table.
    DebianOpenRc,
    /// Debian with runit: ext4 without a partition table.
    DebianRunit,
    /// Debian with systemd: ext4 without a partition table.
    DebianSystemd,
    /// The part of Debian's mirror that `create` needs: a directory.
    DebianMirror,
}

impl Fixture {
    /// All of the busybox guest.
    pub const TINY: [Self; 5] =
        [Self::TinyTree, Self::TinyMbr, Self::TinyLogical, Self::TinyGpt, Self::TinyBare];
    /// All of Debian.
    pub const DEBIAN: [Self; 3] = [Self::DebianMbr, Self::DebianGpt, Self::DebianBare];

    /// Debian with other inits.
    pub const INITS: [Self; 3] = [Self::DebianOpenRc, Self::DebianRunit, Self::DebianSystemd];

    /// Its name in the directory of fixtures.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::TinyTree => "tiny-tree",
            Self::TinyMbr => "tiny-mbr.raw",
            Self::TinyLogical => "tiny-logical.raw",
            Self::TinyGpt => "tiny-gpt.raw",
            Self::TinyBare => "tiny-bare.ext4",
            Self::DebianMbr => "debian-mbr.raw",
            Self::DebianGpt => "debian-gpt.raw",
            Self::DebianBare => "debian-bare.ext4",
            Self::DebianOpenRc => "debian-openrc.ext4",
            Self::DebianRunit => "debian-runit.ext4",
            Self::DebianSystemd => "debian-systemd.ext4",
            Self::DebianMirror => "debian-mirror",
        }
    }

    /// Its path, or what to do when it was not made.
    pub fn path(self) -> Result<PathBuf, String> {
        let path = directory().join(self.file_name());
        if path.exists() {
            return Ok(path);
        }
        let option = if self.file_name().starts_with("debian") { " --debian" } else { "" };
        Err(format!("no {}: cargo xtask fixtures{option}", path.display()))
    }
}

/// Where the fixtures are: `$SUBHOST_FIXTURES`, or `fixtures` in the workspace.
pub fn directory() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    env::var_os("SUBHOST_FIXTURES").map_or_else(|| workspace.join("fixtures"), PathBuf::from)
}

/// The address that a guest of the fixtures gives its `ethN`: 10.(80 + N).e.f/16, from the last two bytes of its
/// MAC address, so that any number of guests can run from copies of one image.
pub fn address_of(index: u8, mac: [u8; 6]) -> [u8; 4] {
    [10, 80 + index, mac[4], mac[5]]
}
