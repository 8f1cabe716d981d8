//! Guests born into a cgroup (version 2).

use std::fs::{self, File};
use std::path::PathBuf;

use subhost_init::enter::Enter;

use crate::Test;
use crate::stage::{IDLE, IdleGuest, on_stage, output_pipe, read_all, strings};

pub(crate) const TESTS: [Test; 1] =
    [("a_guest_and_its_commands_are_in_its_cgroup", a_guest_and_its_commands_are_in_its_cgroup)];

/// Where the hierarchy of version 2 is mounted on this host, if it is.
pub(crate) fn mount_point() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let target = words.nth(1)?;
        (words.next()? == "cgroup2").then(|| target.into())
    })
}

fn a_guest_and_its_commands_are_in_its_cgroup() {
    let name = format!("subhost-init-test-{}", std::process::id());
    let path = mount_point().unwrap().join(&name);
    fs::create_dir(&path).unwrap();
    on_stage(|stage| {
        let cgroup = || Some(File::open(&path).unwrap().into());
        let guest = IdleGuest::of(stage.script(IDLE).cgroup(cgroup()));
        let outside = fs::read_to_string(format!("/proc/{}/cgroup", guest.pid())).unwrap();
        assert!(outside.lines().any(|line| line.ends_with(&format!("/{name}"))), "{outside}");

        let (stdio, mut output) = output_pipe();
        let mut entered = Enter::new(guest.pidfd())
            .argv(strings(&["grep", "^0:", "/proc/1/cgroup", "/proc/self/cgroup"]))
            .environment(strings(&["PATH=/bin"]))
            .stdio(stdio)
            .cgroup(cgroup())
            .start()
            .unwrap();
        // The root of what it sees is its own.
        assert_eq!(read_all(&mut output), "/proc/1/cgroup:0::/\n/proc/self/cgroup:0::/\n");
        assert_eq!(entered.wait().unwrap(), 0);
        guest.finish();
    });
    fs::remove_dir(&path).unwrap();
}
