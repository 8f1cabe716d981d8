//! Debian with sysvinit, as it stands in a virtual machine's disk.

use std::io;
use std::path::Path;
use std::time::Duration;

use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::wire;

use crate::{BRIDGE, MAC, address, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "debian_from_mbr_boots_serves_and_powers_off",
        needs: &[Need::Program, Need::Made(Fixture::DebianMbr)],
        body: |host| life(host, Fixture::DebianMbr, 1),
    },
    Case {
        name: "debian_from_gpt_boots_serves_and_powers_off",
        needs: &[Need::Program, Need::Made(Fixture::DebianGpt)],
        body: |host| life(host, Fixture::DebianGpt, 1),
    },
    Case {
        name: "debian_from_a_bare_image_boots_serves_and_powers_off",
        needs: &[Need::Program, Need::Made(Fixture::DebianBare)],
        body: |host| life(host, Fixture::DebianBare, 0),
    },
];

/// How long Debian may take to do something; on this kind of machine it takes a second or two.
const PATIENCE: Duration = Duration::from_secs(45);

/// Two boots of one image: the first is ended by the guest's own `poweroff`, the second by one byte.
fn life(host: &Host, fixture: Fixture, part: u32) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(fixture)?;
    let name = host.name("deb");
    host.two_lines(&name, part, &image, BRIDGE, MAC)?;

    let before = Snapshot::take(&host.scope())?;
    let guest = boot(host, &name)?;
    serves(host, &guest, &name, if part == 0 { "/dev/vda" } else { "/dev/vda1" })?;
    assert_eq!(host.subhostctl(&["enter", &name, "--", "sh", "-c", "exit 7"])?.code, 7);
    // The guest may be gone before the tool can tell its status.
    host.subhostctl(&["enter", &name, "--", "poweroff"])?;
    assert!(guest.ends(PATIENCE)?, "still there after its own poweroff");
    // The file system is unmounted when nothing is left.
    case::nothing_left(host, &before)?;
    // Written by rc 0, and found on the disk afterwards: the stop was an orderly one.
    assert_eq!(on_disk(host, &image, part, "/var/log/boot-log")?, "rc 2 reached\nrc 0 reached\n");
    assert!(was_unmounted(host, &image, part)?, "the file system was not unmounted cleanly");

    let guest = boot(host, &name)?;
    assert_eq!(wire::page(address(80), PATIENCE)?, "This is the Debian guest.\n");
    guest.write_initctl(b"x")?;
    assert!(guest.ends(PATIENCE)?, "still there after a byte to its /run/initctl");
    Ok(())
}

/// What must be seen of a guest that has booted, each by somebody else than the program.
fn serves(host: &Host, guest: &Guest, name: &str, root: &str) -> Verdict {
    let eth0 = host.witness("ip", &["-n", name, "-o", "link", "show", "dev", "eth0"])?;
    assert!(eth0.contains(&format!("link/ether {MAC} ")), "{eth0}");
    assert!(eth0.contains("state UP"), "{eth0}");
    assert_eq!(wire::bridge_of(&format!("{name}0"))?.as_deref(), Some(BRIDGE));

    guest.wait_for_line("/var/log/boot-log", "rc 2 reached", PATIENCE)?;
    assert_eq!(host.done(&["enter", name, "--", "runlevel"])?.trim_end(), "N 2");
    assert_eq!(wire::page(address(80), PATIENCE)?, "This is the Debian guest.\n");
    let banner = wire::banner(address(22), PATIENCE)?;
    assert!(banner.starts_with("SSH-2.0-OpenSSH"), "{banner}");

    let source = host.done(&["enter", name, "--", "findmnt", "-n", "-o", "SOURCE", "/"])?;
    assert_eq!(source.trim_end(), root);
    Ok(())
}

/// What `debugfs` reads from a partition; all images have their first one at 1 MiB.
fn on_disk(host: &Host, image: &Path, part: u32, path: &str) -> io::Result<String> {
    host.witness("debugfs", &["-R", &format!("cat {path}"), &place(image, part)])
}

/// A journal to be replayed would say that it was not.
fn was_unmounted(host: &Host, image: &Path, part: u32) -> io::Result<bool> {
    let header = host.witness("debugfs", &["-R", "features", &place(image, part)])?;
    Ok(!header.contains("needs_recovery"))
}

fn place(image: &Path, part: u32) -> String {
    let offset = if part == 0 { 0 } else { 1 << 20 };
    format!("{}?offset={offset}", image.display())
}
