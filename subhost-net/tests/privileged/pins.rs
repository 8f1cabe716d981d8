//! Pinning namespaces to names, each test in a mount namespace with a `/run` of its own.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use subhost_net::netns::{Netns, PinState, RUN_NETNS, Unpinned, pinned_inode, unpin};

use crate::host::{Test, run};

pub(crate) const TESTS: &[Test] = &[
    ("pinned_netns_is_what_ip_netns_enters", pinned_netns_is_what_ip_netns_enters),
    ("pin_of_another_netns_is_refused_to_unpin", pin_of_another_netns_is_refused_to_unpin),
    ("pin_that_is_gone_is_already_gone", pin_that_is_gone_is_already_gone),
    ("leftover_of_a_crash_is_removed", leftover_of_a_crash_is_removed),
    ("foreign_things_are_left_alone", foreign_things_are_left_alone),
    ("taken_pin_is_an_error_and_untouched", taken_pin_is_an_error_and_untouched),
    ("later_ip_netns_add_does_not_cover_a_pin", later_ip_netns_add_does_not_cover_a_pin),
    ("pin_beside_those_of_ip_netns_is_seen_by_it", pin_beside_those_of_ip_netns_is_seen_by_it),
    ("doubly_bound_pin_is_taken_off_whole", doubly_bound_pin_is_taken_off_whole),
    ("failed_bind_leaves_no_file", failed_bind_leaves_no_file),
    ("pin_in_another_directory_makes_one_mount", pin_in_another_directory_makes_one_mount),
    ("names_that_are_paths_are_refused", names_that_are_paths_are_refused),
];

fn dir() -> &'static Path {
    Path::new(RUN_NETNS)
}

/// Runs `test` on a thread with a private mount namespace and an empty `/run`.
fn with_empty_run(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            // What there is of the machine itself would be seen beside ours.
            for target in mounts_under_run().iter().rev() {
                umount2(target.as_str(), MntFlags::MNT_DETACH).unwrap();
            }
            mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755")).unwrap();
            test();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// The mount points under `/run`, of the calling thread.
fn mounts_under_run() -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    targets.filter(|target| target.starts_with("/run/")).map(str::to_owned).collect()
}

fn names() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn pinned_netns_is_what_ip_netns_enters() {
    with_empty_run(|| {
        let netns = Netns::create(None).unwrap();
        let inode = netns.inode();
        let pin = netns.pin(dir(), "web").unwrap();
        assert_eq!((pin.path.as_path(), pin.inode), (Path::new("/run/netns/web"), inode));
        assert_eq!(run("ip netns exec web readlink /proc/self/ns/net").trim(), format!("net:[{inode}]"));
        assert_eq!(run("ip netns list").trim(), "web");
        assert_eq!(run("stat -c %a /run/netns").trim(), "755");
        assert_eq!(pinned_inode(dir(), "web").unwrap(), Some(PinState::Netns { inode }));

        // The pin alone keeps it alive.
        drop(netns);
        assert_eq!(Netns::open_named("web").unwrap().inode(), inode);
        assert_eq!(unpin(dir(), "web", inode).unwrap(), Unpinned::Removed);
        assert_eq!(run("ip netns list").trim(), "");
        assert_eq!(names(), Vec::<String>::new());
        assert_eq!(mounts_under_run(), [RUN_NETNS]);
    });
}

fn pin_of_another_netns_is_refused_to_unpin() {
    with_empty_run(|| {
        let ours = Netns::create(None).unwrap();
        let other = Netns::create(None).unwrap();
        other.pin(dir(), "web").unwrap();
        let error = unpin(dir(), "web", ours.inode()).unwrap_err();
        let (ours, other) = (ours.inode(), other.inode());
        assert_eq!(error.to_string(), format!("/run/netns/web pins netns inode {other}, not {ours}"));
        assert_eq!(pinned_inode(dir(), "web").unwrap(), Some(PinState::Netns { inode: other }));
    });
}

fn pin_that_is_gone_is_already_gone() {
    with_empty_run(|| {
        assert_eq!(unpin(dir(), "web", 1).unwrap(), Unpinned::AlreadyGone);
        assert_eq!(pinned_inode(dir(), "web").unwrap(), None);
        let netns = Netns::create(None).unwrap();
        netns.pin(dir(), "web").unwrap();
        run("ip netns delete web");
        assert_eq!(unpin(dir(), "web", netns.inode()).unwrap(), Unpinned::AlreadyGone);
        assert_eq!(pinned_inode(dir(), "web").unwrap(), None);
        assert_eq!(
            Netns::open_named("web").unwrap_err().to_string(),
            "open netns /run/netns/web: No such file or directory (os error 2)"
        );
    });
}

fn leftover_of_a_crash_is_removed() {
    with_empty_run(|| {
        std::fs::create_dir(dir()).unwrap();
        std::fs::write("/run/netns/web", "").unwrap();
        assert_eq!(pinned_inode(dir(), "web").unwrap(), Some(PinState::Leftover));
        assert_eq!(unpin(dir(), "web", 1).unwrap(), Unpinned::Removed);
        assert_eq!(names(), Vec::<String>::new());
    });
}

fn foreign_things_are_left_alone() {
    with_empty_run(|| {
        std::fs::create_dir_all("/run/netns/directory").unwrap();
        std::fs::write("/run/netns/text", "x").unwrap();
        std::os::unix::fs::symlink("/proc/self/ns/net", "/run/netns/symlink").unwrap();
        std::fs::write("/run/netns/mnt", "").unwrap();
        run("mount --bind /proc/self/ns/uts /run/netns/mnt");
        run("mkfifo /run/netns/fifo");
        for name in ["directory", "text", "symlink", "mnt", "fifo"] {
            assert_eq!(pinned_inode(dir(), name).unwrap(), Some(PinState::Foreign), "{name}");
            let message = format!("/run/netns/{name} is not a network namespace");
            assert_eq!(unpin(dir(), name, 1).unwrap_err().to_string(), message);
            assert_eq!(Netns::open_named(name).unwrap_err().to_string(), message);
        }
        assert_eq!(names(), ["directory", "fifo", "mnt", "symlink", "text"]);
    });
}

fn taken_pin_is_an_error_and_untouched() {
    with_empty_run(|| {
        let first = Netns::create(None).unwrap();
        first.pin(dir(), "web").unwrap();
        let error = Netns::create(None).unwrap().pin(dir(), "web").unwrap_err();
        assert_eq!(error.to_string(), "netns name /run/netns/web is taken already");
        assert_eq!(pinned_inode(dir(), "web").unwrap(), Some(PinState::Netns { inode: first.inode() }));
    });
}

fn later_ip_netns_add_does_not_cover_a_pin() {
    with_empty_run(|| {
        let netns = Netns::create(None).unwrap();
        netns.pin(dir(), "web").unwrap();
        run("ip netns add other");
        assert_eq!(unpin(dir(), "web", netns.inode()).unwrap(), Unpinned::Removed);
        assert_eq!(names(), ["other"]);
        assert_eq!(mounts_under_run(), [RUN_NETNS, "/run/netns/other"]);
    });
}

fn pin_beside_those_of_ip_netns_is_seen_by_it() {
    with_empty_run(|| {
        run("ip netns add other");
        let netns = Netns::create(None).unwrap();
        netns.pin(dir(), "web").unwrap();
        assert_eq!(
            run("ip netns exec web readlink /proc/self/ns/net").trim(),
            format!("net:[{}]", netns.inode())
        );
        run("ip netns delete other");
        assert_eq!(mounts_under_run(), [RUN_NETNS, "/run/netns/web"]);
    });
}

fn doubly_bound_pin_is_taken_off_whole() {
    with_empty_run(|| {
        let netns = Netns::create(None).unwrap();
        netns.pin(dir(), "web").unwrap();
        run("mount --bind /run/netns/web /run/netns/web");
        assert_eq!(unpin(dir(), "web", netns.inode()).unwrap(), Unpinned::Removed);
        assert_eq!(names(), Vec::<String>::new());
        assert_eq!(mounts_under_run(), [RUN_NETNS]);
    });
}

fn failed_bind_leaves_no_file() {
    with_empty_run(|| {
        // Without /proc the namespace has no path to be bound from.
        let netns = Netns::create(None).unwrap();
        let none = None::<&str>;
        mount(Some("tmpfs"), "/proc", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        let error = netns.pin(dir(), "web").unwrap_err();
        assert_eq!(error.to_string(), "bind netns to /run/netns/web: No such file or directory (os error 2)");
        assert_eq!(names(), Vec::<String>::new());
    });
}

fn pin_in_another_directory_makes_one_mount() {
    with_empty_run(|| {
        let netns = Netns::create(None).unwrap();
        let dir = Path::new("/run/own");
        netns.pin(dir, "web").unwrap();
        assert_eq!(mounts_under_run(), ["/run/own/web"]);
        assert_eq!(Netns::open_pinned(dir, "web").unwrap().inode(), netns.inode());
        assert_eq!(unpin(dir, "web", netns.inode()).unwrap(), Unpinned::Removed);
        assert_eq!(mounts_under_run(), Vec::<String>::new());
    });
}

fn names_that_are_paths_are_refused() {
    with_empty_run(|| {
        let netns = Netns::create(None).unwrap();
        for (name, message) in [
            ("", "name ``: is empty"),
            ("..", "name `..`: is a directory"),
            ("../web", "name `../web`: has a slash"),
            ("a\nb", "name `a\\nb`: has a control character"),
        ] {
            assert_eq!(netns.pin(dir(), name).unwrap_err().to_string(), message);
            assert_eq!(unpin(dir(), name, 1).unwrap_err().to_string(), message);
        }
        assert!(!dir().exists());
    });
}
