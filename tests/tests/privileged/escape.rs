//! Guest root who wants out.

use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;

pub(crate) const CASES: &[Case] = &[Case {
    name: "guest_root_finds_no_way_out_of_its_root",
    needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
    body: ways_out,
}];

/// Each way says its name before what it finds. `$CANARY` is the directory, as it is called on the host.
const WAYS: &str = r#"
    up=../../../../../../../../..
    look() { # NAME PLACE...: the secret, if one of the places is the host's root, or below it
        way=$1; shift
        for place; do
            for root in $place $place/$up; do
                found=$($busybox cat $root$CANARY/secret) && echo way $way: $found
            done
        done
    }
    busybox=/bin/busybox
    grep " /proc " /proc/mounts || mount -t proc proc /proc

    look path "" /..
    look proc /proc/1/root /proc/1/cwd /proc/[0-9]*/root /proc/[0-9]*/cwd /proc/[0-9]*/fd/*
    echo tried proc

    # Out of a chroot of its own, by a directory that was open before.
    mkdir -p /tmp/jail/bin /tmp/jail/proc && cp /bin/busybox /tmp/jail/bin/ && mount --bind /proc /tmp/jail/proc
    exec 9</
    chroot /tmp/jail /bin/busybox sh -c "
        cd -P /proc/self/fd/9 && echo tried chroot
        for up in . .. ../.. ../../.. $up; do
            found=\$(/bin/busybox cat \$up$CANARY/secret) && echo way chroot: \$found
        done"

    # What is below, when what is above is gone or moved.
    mkdir -p /tmp/aside
    for at in / /dev /run /proc /sys; do
        umount $at || umount -l $at
        look umount $at ""
        mount --move $at /tmp/aside && { look move /tmp/aside ""; mount --move /tmp/aside $at; }
    done
    grep " /proc " /proc/mounts || mount -t proc proc /proc
    mkdir -p /tmp/own && mount -t tmpfs own /tmp/own && mount --move /tmp/own /tmp/aside && echo tried move
    look move /tmp/own /tmp/aside

    # The namespaces that it came from, by whoever still has them.
    for process in /proc/[0-9]*; do
        found=$(nsenter --mount=$process/ns/mnt cat $CANARY/secret) && echo way namespace: $found
    done
    echo tried namespace
    timeout 5 nc -w 2 127.0.0.1 $PORT -e /bin/busybox touch /tmp/reached
    [ -e /tmp/reached ] && echo way network
    echo tried network

    # Another root, and what then is where the old one was.
    mkdir -p /tmp/new && mount -t tmpfs new /tmp/new && mkdir -p /tmp/new/old /tmp/new/bin
    cp /bin/busybox /tmp/new/bin/ && cd /tmp/new && pivot_root . old && echo tried pivot
    look pivot "" . .. /old /old/tmp
    $busybox umount -l /old && echo tried umount
    look pivot "" . .. /old
    cd / && look pivot "" .
    $KILL
    true
"#;

/// Row L10 of docs/security.md. Nesting, as the ways lead over mounts.
fn ways_out(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let image = host.ext4_of(&tree, "root.ext4")?.to_string_lossy().into_owned();
    let path = tree.to_string_lossy();
    let canary = Canary::plant(host)?;
    let script = |kill: &str| {
        Ok::<_, std::io::Error>(format!(
            "CANARY={} PORT={} KILL='{kill}'\n{WAYS}",
            canary.directory().display(),
            canary.port()?
        ))
    };
    // All processes but its own.
    let inside = script("kill -9 -1")?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{image} )\nNESTING=yes\n"))?;
    let disk = format!("vda:0:{image}");
    boot(host, &name)?;
    let enter = host.subhostctl(&["enter", &name, "--", "sh", "-c", &inside]);
    host.subhostctl(&["stop", &name])?;
    let run = |option: &str, from: &str| {
        host.subhostctl(&["run", "--nesting", option, from, "--", "sh", "-c", &inside])
    };
    for outcome in [enter?, run("--disk", &disk)?, run("--root", &path)?, run("--overlay", &path)?] {
        for tried in ["proc", "chroot", "move", "namespace", "network", "pivot", "umount"] {
            assert!(outcome.stdout.contains(&format!("tried {tried}\n")), "not tried {tried}: {outcome}");
        }
        assert!(!canary.is_told_in(&outcome.stdout) && !outcome.stdout.contains("way "), "{outcome}");
        canary.unharmed()?;
    }

    // The witness: from a mere chroot, these are ways.
    let script = script("")?;
    let outside = host.witness("unshare", &["--mount", "--", "chroot", &path, "/bin/sh", "-c", &script])?;
    for way in ["proc: canary-", "chroot: canary-", "namespace: canary-", "network"] {
        assert!(outside.contains(&format!("way {way}")), "{way}: {outside}");
    }
    assert!(canary.is_told_in(&outside) && canary.unharmed().is_err(), "nobody notices: {outside}");
    Ok(())
}
