//! A guest with systemd: what it needs, and that it boots to its end, reboots and powers off.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;
use crate::initctl::booted_again;
use crate::inits::is_off;
use crate::limits::hierarchies;

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::DebianSystemd)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "systemd_boots_to_its_end_reboots_and_powers_off", needs: NEEDS, body: boots },
    Case { name: "systemd_is_refused_where_it_could_not_come_up", needs: NEEDS, body: refused },
];

const PATIENCE: Duration = Duration::from_secs(60);

fn configured(host: &Host, lines: &str) -> std::io::Result<String> {
    let image = host.copy_of(Fixture::DebianSystemd)?;
    let name = host.name("sysd");
    host.config(&name, &format!("DISKS=( vda:0:{} )\n{lines}\n", image.display()))?;
    Ok(name)
}

/// Waits until it says that all of it is up.
fn is_up(host: &Host, name: &str) -> Verdict {
    let begun = Instant::now();
    loop {
        let said = host.subhostctl(&["exec", name, "--", "systemctl", "is-system-running"])?;
        if said.stdout == "running\n" {
            return Ok(());
        }
        let failed = host.subhostctl(&["exec", name, "--", "systemctl", "--failed", "--no-pager"])?;
        assert!(begun.elapsed() < PATIENCE && said.stdout != "degraded\n", "{said}\n{failed}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn boots(host: &Host) -> Verdict {
    let name = configured(host, "INIT=auto\nNESTING=yes\nTASKS=200")?;
    let guest = boot(host, &name)?;
    is_up(host, &name)?;
    assert_eq!(host.done(&["exec", &name, "--", "cat", "/proc/1/comm"])?, "systemd\n");
    // Each service in a group of its own, none of which is the host's to see elsewhere.
    let of_dbus = "grep -h 0:: /proc/$(systemctl show --value -p MainPID dbus)/cgroup";
    let group = host.done(&["exec", &name, "--", "sh", "-c", of_dbus])?;
    assert_eq!(group, "0::/system.slice/dbus.service\n");
    // It can make groups, and set no limit of its own guest.
    let lift = "for at in /sys/fs/cgroup /sys/fs/cgroup/unified; do \
        for file in $at/*.max $at/cgroup.freeze $at/cgroup.kill $at/cgroup.subtree_control; do \
        (: >>$file) 2>/dev/null && echo wrote $file; done; done; echo done";
    assert_eq!(host.done(&["exec", &name, "--", "sh", "-c", lift])?, "done\n");

    host.subhostctl(&["exec", &name, "--", "systemctl", "reboot"])?;
    let guest = {
        let again = booted_again(host, &name, &guest)?;
        is_up(host, &name)?;
        again
    };
    host.subhostctl(&["exec", &name, "--", "systemctl", "poweroff"])?;
    is_off(host, &name, &guest, "systemctl poweroff")?;

    // With what it has for sysvinit's tools, and by its own signal where it has none, as newer ones.
    for (change, asked) in [
        ("true", "systemd, by /run/initctl"),
        ("systemctl mask systemd-initctl.socket", "systemd, by SIGRTMIN+4"),
    ] {
        let guest = boot(host, &name)?;
        is_up(host, &name)?;
        host.done(&["exec", &name, "--", "sh", "-c", change])?;
        if change != "true" {
            host.subhostctl(&["exec", &name, "--", "systemctl", "reboot"])?;
            booted_again(host, &name, &guest)?;
            is_up(host, &name)?;
        }
        let guest = host.running(&name)?;
        let outcome = host.subhostctl(&["stop", &name])?;
        eprintln!("{FIGURE}stop of systemd: {:?}", outcome.took);
        assert!(
            outcome.code == 0 && outcome.stderr.contains(&format!("stopped (asked {asked})")),
            "{outcome}"
        );
        is_off(host, &name, &guest, "stop")?;
    }
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let name = configured(host, "INIT=auto")?;
    let outcome = host.subhostctl(&["boot", &name, "--detach"])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    assert!(outcome.stderr.contains("/sbin/init is systemd, which mounts file systems itself"), "{outcome}");
    assert!(outcome.stderr.contains("hint: write NESTING=yes"), "{outcome}");
    // A host without cgroups that can be written to.
    let places: BTreeSet<_> = hierarchies()?;
    for place in &places {
        host.witness("mount", &["-t", "tmpfs", "none", &place.to_string_lossy()])?;
    }
    // Nor can they be mounted anew.
    fs::DirBuilder::new().recursive(true).mode(0o700).create("/run/subhost")?;
    fs::write("/run/subhost/cgroup", "")?;
    configured(host, "INIT=auto\nNESTING=yes")?;
    let outcome = host.subhostctl(&["boot", &name, "--detach"])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    assert!(outcome.stderr.contains("systemd, which needs a cgroup of version 2"), "{outcome}");
    fs::remove_file("/run/subhost/cgroup")?;
    for place in &places {
        assert_eq!(fs::read_dir(place)?.count(), 0);
        host.witness("umount", &[&place.to_string_lossy()])?;
    }
    Ok(())
}
