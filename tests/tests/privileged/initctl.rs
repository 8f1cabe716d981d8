//! What is written to `/run/initctl` of a running guest, and what `reboot(2)` does to it.

use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
pub(crate) use subhost_tests::guest::booted_again;
use subhost_tests::host::Host;
use subhost_tests::wire;

use crate::{BRIDGE, MAC, address, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "telinit_q_and_u_do_not_power_off",
        needs: &[Need::Program, Need::Made(Fixture::DebianMbr)],
        body: telinit,
    },
    Case {
        name: "debians_reboot_boots_again_with_the_same_mac",
        needs: &[Need::Program, Need::Made(Fixture::DebianMbr)],
        body: reboot,
    },
    Case {
        name: "requests_of_sysvinit_are_told_apart",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: requests,
    },
    Case {
        name: "reboot_of_the_kernel_boots_again_and_power_off_ends",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: system_call,
    },
];

const PATIENCE: Duration = Duration::from_secs(45);

/// How long a guest that shall not end is watched. An absence can only be seen by waiting.
const WATCH: Duration = Duration::from_millis(800);

fn telinit(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::DebianMbr)?;
    let name = host.name("deb");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let guest = boot(host, &name)?;
    for letter in ["q", "u", "Q", "U"] {
        host.done(&["enter", &name, "--", "telinit", letter])?;
    }
    assert!(!guest.ends(WATCH)?, "telinit q or u ended the guest");
    assert_eq!(wire::page(address(80), PATIENCE)?, "This is the Debian guest.\n");
    assert_eq!(host.running(&name)?.init_pid(), guest.init_pid());
    // And the real thing still works.
    host.subhostctl(&["enter", &name, "--", "telinit", "0"])?;
    assert!(guest.ends(PATIENCE)?, "still there after telinit 0");
    Ok(())
}

fn reboot(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::DebianMbr)?;
    let name = host.name("deb");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let first = boot(host, &name)?;
    host.subhostctl(&["enter", &name, "--", "reboot"])?;
    let second = booted_again(host, &name, &first)?;
    second.wait_for_line("/var/log/boot-log", "rc 6 reached", PATIENCE)?;
    assert_eq!(wire::page(address(80), PATIENCE)?, "This is the Debian guest.\n");
    let eth0 = host.witness("ip", &["-n", &name, "-o", "link", "show", "dev", "eth0"])?;
    assert!(eth0.contains(&format!("link/ether {MAC} ")), "{eth0}");
    host.done(&["stop", &name])?;
    Ok(())
}

/// Real messages, 384 bytes each, as `telinit` and `shutdown` write them.
fn requests(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let first = boot(host, &name)?;
    for letter in *b"QqUu" {
        first.write_initctl(&request(1, letter, b""))?;
    }
    // INIT_HALT without a value: remembered for rc, no more.
    first.write_initctl(&request(6, 0, b"INIT_HALT"))?;
    assert!(!first.ends(WATCH)?, "q, u or an environment variable ended the guest");
    first.write_initctl(&request(1, b'6', b""))?;
    let second = booted_again(host, &name, &first)?;
    second.wait_for_line("/var/log/boot", "rc 6 done", PATIENCE)?;
    second.write_initctl(&request(1, b'0', b""))?;
    assert!(second.ends(PATIENCE)?, "still there after a request for run level 0");
    let log = host
        .witness("debugfs", &["-R", "cat /var/log/boot", &format!("{}?offset=1048576", image.display())])?;
    assert!(log.ends_with("httpd stopped\nrc 0 done\n"), "{log}");
    Ok(())
}

fn system_call(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let first = boot(host, &name)?;
    // Its status cannot come back: it dies with the guest.
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    let second = booted_again(host, &name, &first)?;
    host.subhostctl(&["enter", &name, "--", "poweroff", "-f"])?;
    assert!(second.ends(PATIENCE)?, "still there after poweroff -f");
    let deadline = std::time::Instant::now() + PATIENCE;
    while host.guest(&name)?.is_some_and(|guest| guest.state() == "running") {
        assert!(std::time::Instant::now() < deadline, "booted again after poweroff -f");
    }
    Ok(())
}

/// struct init_request of sysvinit: magic, command, run level, sleep time, data; 384 bytes.
fn request(command: u32, runlevel: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0x0309_1969, command, u32::from(runlevel), 3] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(data);
    bytes.resize(384, 0);
    bytes
}
