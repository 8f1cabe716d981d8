//! Making and entering network namespaces.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use subhost_net::Error;
use subhost_net::cable::create_all;
use subhost_net::netns::{Netns, list, unpin};
use subhost_net::observe::Observed;

use crate::host::{Test, cable, link_names, on_fresh_host, run, user_namespace, user_namespace_of};

pub(crate) const TESTS: &[Test] = &[
    (
        "netns_is_owned_by_the_user_namespace_it_is_made_in",
        netns_is_owned_by_the_user_namespace_it_is_made_in,
    ),
    (
        "netns_without_user_namespace_belongs_to_the_callers",
        netns_without_user_namespace_belongs_to_the_callers,
    ),
    ("netns_is_made_from_many_threads_at_once", netns_is_made_from_many_threads_at_once),
    ("calling_thread_stays_in_its_namespaces", calling_thread_stays_in_its_namespaces),
    (
        "user_namespace_of_another_user_leaves_the_process_dumpable",
        user_namespace_of_another_user_leaves_dumpable,
    ),
    ("what_is_no_user_namespace_is_refused_by_its_step", what_is_no_user_namespace_is_refused_by_its_step),
    ("programs_run_inside_see_only_the_inside", programs_run_inside_see_only_the_inside),
    ("panic_inside_goes_on_outside", panic_inside_goes_on_outside),
    ("what_is_no_netns_is_refused", what_is_no_netns_is_refused),
    ("list_has_inodes_pins_and_processes", list_has_inodes_pins_and_processes),
    ("id_of_a_netns_is_that_of_a_cables_other_end", id_of_a_netns),
];

fn inode(path: &str) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

fn inode_of(fd: &impl AsFd) -> u64 {
    std::fs::File::from(fd.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().ino()
}

fn netns_is_owned_by_the_user_namespace_it_is_made_in() {
    let user_namespace = user_namespace();
    let netns = Netns::create(Some(user_namespace.as_fd())).unwrap();
    assert_eq!(inode_of(&netns.user_namespace().unwrap()), inode_of(&user_namespace));
    assert_ne!(inode_of(&user_namespace), inode("/proc/self/ns/user"));
    assert_eq!(inode_of(&netns), netns.inode());
    // And the host can use it all the same.
    assert_eq!(netns.run_inside(link_names).unwrap(), Vec::<String>::new());
}

fn netns_without_user_namespace_belongs_to_the_callers() {
    let netns = Netns::create(None).unwrap();
    assert_eq!(inode_of(&netns.user_namespace().unwrap()), inode("/proc/self/ns/user"));
    assert_ne!(netns.inode(), inode("/proc/thread-self/ns/net"));
}

fn netns_is_made_from_many_threads_at_once() {
    let user_namespace = user_namespace();
    let owner = user_namespace.as_fd();
    let mut inodes = std::thread::scope(|scope| {
        let make = || (0..5).map(|_| Netns::create(Some(owner)).unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        // All are kept until all are made: a number is free again once its namespace is gone.
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        all.iter().map(Netns::inode).collect::<Vec<_>>()
    });
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes.len(), 40);
}

fn calling_thread_stays_in_its_namespaces() {
    let namespaces = || ["net", "user", "mnt"].map(|kind| inode(&format!("/proc/thread-self/ns/{kind}")));
    let blocked = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find(|line| line.starts_with("SigBlk:")).unwrap().to_owned()
    };
    let before = (namespaces(), blocked());
    let user_namespace = user_namespace();
    let netns = Netns::create(Some(user_namespace.as_fd())).unwrap();
    netns.run_inside(|| ()).unwrap();
    assert_eq!((namespaces(), blocked()), before);
}

fn user_namespace_of_another_user_leaves_dumpable() {
    let other = user_namespace_of("setpriv --reuid 65534 --clear-groups unshare --user cat");
    let netns = Netns::create(Some(other.as_fd())).unwrap();
    assert_eq!(inode_of(&netns.user_namespace().unwrap()), inode_of(&other));
    assert!(nix::sys::prctl::get_dumpable().unwrap());
}

fn what_is_no_user_namespace_is_refused_by_its_step() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = Netns::create(Some(file.as_fd())).unwrap_err();
    assert_eq!(error.to_string(), "enter user namespace for new netns: Invalid argument (os error 22)");
}

fn programs_run_inside_see_only_the_inside() {
    let netns = Netns::create(None).unwrap();
    let seen = netns.run_inside(|| run("readlink /proc/self/ns/net")).unwrap();
    assert_eq!(seen.trim(), format!("net:[{}]", netns.inode()));
    assert_eq!(netns.run_inside(|| Netns::current().unwrap().inode()).unwrap(), netns.inode());
}

fn panic_inside_goes_on_outside() {
    let netns = Netns::create(None).unwrap();
    let result =
        std::panic::catch_unwind(|| netns.run_inside(|| std::panic::resume_unwind(Box::new("words"))));
    let panic = result.map(|result: Result<(), Error>| result.unwrap()).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"words"));
}

fn what_is_no_netns_is_refused() {
    for path in ["/dev/null", "/proc/self/ns/mnt"] {
        let error = Netns::from_fd(std::fs::File::open(path).unwrap().into()).unwrap_err();
        assert_eq!(error.to_string(), "the file descriptor is not a network namespace");
    }
}

fn list_has_inodes_pins_and_processes() {
    let directory = tempfile::tempdir().unwrap();
    let (named, inhabited) = (Netns::create(None).unwrap(), Netns::create(None).unwrap());
    for name in ["b", "a"] {
        named.pin(directory.path(), name).unwrap();
    }
    std::fs::write(directory.path().join("other"), "no pin").unwrap();
    let sleep = || Command::new("sleep").arg("60").spawn().unwrap();
    let mut sleeper = inhabited.run_inside(sleep).unwrap();
    let listed = list(directory.path()).unwrap();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    for name in ["b", "a"] {
        unpin(directory.path(), name, named.inode()).unwrap();
    }
    let of = |inode| listed.iter().find(|netns| netns.inode == inode).unwrap();
    assert_eq!(of(named.inode()).pins, [directory.path().join("a"), directory.path().join("b")]);
    assert!(of(named.inode()).processes.is_empty());
    assert_eq!(
        (&of(inhabited.inode()).pins, &of(inhabited.inode()).processes),
        (&vec![], &vec![sleeper.id()])
    );
    assert!(of(inode("/proc/self/ns/net")).processes.contains(&std::process::id()));
    assert!(listed.is_sorted_by_key(|netns| netns.inode));
    assert!(list(&directory.path().join("none")).unwrap().iter().all(|netns| netns.pins.is_empty()));
}

fn id_of_a_netns() {
    on_fresh_host(|| {
        let (with_cable, alone) = (Netns::create(None).unwrap(), Netns::create(None).unwrap());
        create_all(with_cable.as_fd(), &[cable("web0", 0, None)]).unwrap();
        let id = Observed::read().unwrap().by_name("web0").unwrap().peer_netnsid;
        assert!(id.is_some());
        assert_eq!(with_cable.id_here().unwrap(), id);
        assert_eq!(alone.id_here().unwrap(), None);
    });
}
