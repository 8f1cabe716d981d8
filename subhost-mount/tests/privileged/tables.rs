//! The mount table, and who holds what is in it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use subhost_mount::bind::{bind, bind_fd};
use subhost_mount::mountinfo::{Census, Holders, MountTable, Source};
use subhost_mount::{Access, FileSystem, Image, LoopDevice, LoopOptions, MountAttributes, Staging};

use crate::{Row, scene};

pub(crate) const CASES: &[Row] = &[
    (
        "mount_table_is_the_same_by_text_and_by_system_calls",
        &["sfdisk", "mkfs.ext4", "unshare"],
        same_by_both,
    ),
    ("mounts_are_unmounted_in_the_order_of_the_table", &[], unmount_order),
    ("holders_of_a_mount_are_found_in_every_namespace", &[], holders_of_a_mount),
    ("namespaces_that_nobody_is_in_are_seen_as_long_as_a_file_keeps_them", &[], namespaces_without_members),
    (
        "holders_of_a_loop_device_are_found_also_of_a_detached_mount",
        &["sfdisk", "mkfs.ext4"],
        holders_of_a_loop,
    ),
];

/// Names that somebody chose to be misread.
const NAMES: &[&[u8]] = &[
    b"plain",
    b"a b",
    b"a\\040b",
    b"line\nbreak 1 1 0:1 / /etc rw - tmpfs x rw",
    b"tab\there",
    b"back\\slash",
    b"colon:comma,equals=",
    b"x (deleted)",
    b"- tmpfs",
    b"#hash",
    b"not \xff\xfe text",
];

fn tmpfs(source: &OsStr, at: &Path, attributes: MountAttributes) {
    fs::create_dir_all(at).unwrap();
    FileSystem::new("tmpfs").source(source).attributes(attributes).mount().unwrap().attach_at(at).unwrap();
}

/// What the kernel is, as `(6, 13)`.
pub(crate) fn kernel() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn same_by_both() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let attributes = [
            MountAttributes::empty(),
            MountAttributes::RDONLY,
            MountAttributes::NODEV | MountAttributes::NOSUID,
            MountAttributes::NOEXEC,
        ];
        for (name, attributes) in NAMES.iter().zip(attributes.into_iter().cycle()) {
            let name = OsStr::from_bytes(name);
            tmpfs(name, &at.join(name), attributes);
        }
        let base = at.join("plain");
        for (name, change) in [
            ("shared", MountPropagationFlags::SHARED),
            ("slave", MountPropagationFlags::SHARED),
            ("unbindable", MountPropagationFlags::UNBINDABLE),
        ] {
            tmpfs(OsStr::new(name), &base.join(name), MountAttributes::empty());
            mount_change(base.join(name), change).unwrap();
        }
        // A slave that is shared too, whose master is here; a part of a file system, and one that is deleted.
        fs::create_dir_all(at.join("tab\there/copy")).unwrap();
        bind(&base.join("slave"), false).unwrap().attach_at(&at.join("tab\there/copy")).unwrap();
        mount_change(at.join("tab\there/copy"), MountPropagationFlags::DOWNSTREAM).unwrap();
        mount_change(at.join("tab\there/copy"), MountPropagationFlags::SHARED).unwrap();
        for name in ["part of", "gone\n"] {
            let (from, to) = (base.join(name), at.join("- tmpfs").join(name));
            fs::create_dir_all(&from).unwrap();
            fs::create_dir_all(&to).unwrap();
            bind(&from, false).unwrap().attach_at(&to).unwrap();
        }
        fs::remove_dir(base.join("gone\n")).unwrap();
        // A name that stands in the options of a file system.
        let layers = ["lower a", "upper\tb\n", "work", "merged"].map(|name| base.join(name));
        layers.iter().for_each(|path| fs::create_dir(path).unwrap());
        let overlay = FileSystem::new("overlay")
            .option("lowerdir", &layers[0])
            .option("upperdir", &layers[1])
            .option("workdir", &layers[2]);
        overlay.mount().unwrap().attach_at(&layers[3]).unwrap();

        let image = Image::open(&scene::ext4_image(&base), Access::ReadWrite).unwrap();
        let device = LoopDevice::attach(&image, image.range(1).unwrap(), &LoopOptions::default()).unwrap();
        let ext4 =
            FileSystem::new("ext4").source(device.path()).option("errors", "remount-ro").mount().unwrap();
        ext4.idmap(scene::user_namespace().as_fd()).unwrap();
        fs::create_dir(at.join("tab\there/ext4")).unwrap();
        ext4.attach_at(&at.join("tab\there/ext4")).unwrap();

        let text = MountTable::read_mountinfo(None).unwrap();
        assert_eq!(text.source, Source::Mountinfo);
        assert!(text.entries.iter().any(|entry| entry.kind == "ext4" && entry.has_option("idmapped")));
        for name in NAMES {
            let path = at.join(OsStr::from_bytes(name));
            let entry = text.at(&path).last().unwrap();
            assert_eq!(entry.source.as_bytes(), *name);
        }
        let overlay = text.at(&layers[3]).last().unwrap();
        let upper = [OsStr::new("upperdir="), layers[1].as_os_str()].join(OsStr::new(""));
        assert!(overlay.super_option_list.contains(&upper), "{overlay:?}");
        compare(&text);
        // Below a root of one's own only what is there is shown.
        fs::create_dir(base.join("proc")).unwrap();
        bind(Path::new("/proc"), false).unwrap().attach_at(&base.join("proc")).unwrap();
        std::os::unix::fs::chroot(&base).unwrap();
        let inside = MountTable::read_mountinfo(None).unwrap();
        assert!(
            inside.at(Path::new("/shared")).next().is_some() && inside.entries.len() < text.entries.len()
        );
        compare(&inside);
    });
}

/// That the kernel tells the same when it is asked.
fn compare(text: &MountTable) {
    match MountTable::read_by_statmount().unwrap() {
        Some(asked) => {
            println!("by statmount: {} mounts", asked.entries.len());
            same(&asked, text);
            assert_eq!(MountTable::read(None).unwrap(), asked);
        }
        None => {
            println!("by mountinfo only: this kernel's statmount does not tell enough");
            assert!(kernel() < (6, 13), "it should");
            assert_eq!(MountTable::read(None).unwrap(), *text);
        }
    }
}

fn same(asked: &MountTable, text: &MountTable) {
    assert_eq!(asked.source, Source::Statmount);
    assert_eq!(asked.entries.len(), text.entries.len());
    let mut unique = Vec::new();
    for (asked, text) in asked.entries.iter().zip(&text.entries) {
        unique.extend(asked.unique_id);
        let mut asked = asked.clone();
        asked.unique_id = None;
        assert_eq!(asked, *text);
    }
    unique.dedup();
    assert_eq!(unique.len(), text.entries.len());
}

/// Mounts made in one order and attached in another, and one over another at the same place.
fn unmount_order() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let mount = |name: &str| FileSystem::new("tmpfs").source(name).mount().unwrap();
        let (inner, outer, over) = (mount("inner"), mount("outer"), mount("over"));
        over.root().unwrap().create_dir(Path::new("in"), 0o755).unwrap();
        outer.root().unwrap().create_dir(Path::new("in"), 0o755).unwrap();
        let over_inner = mount("over-inner");
        over.attach_at(&at).unwrap();
        outer.attach_at(&at).unwrap();
        inner.attach_at(&at.join("in")).unwrap();
        over_inner.attach_at(&at.join("in")).unwrap();
        // Held by fd they would go on.
        drop((inner, outer, over, over_inner));
        let table = MountTable::read(None).unwrap();
        let sources = |path: &Path| -> Vec<_> { table.at(path).map(|entry| entry.source.clone()).collect() };
        assert_eq!(sources(&at), ["over", "outer"]);
        assert_eq!(sources(&at.join("in")), ["inner", "over-inner"]);
        let order: Vec<_> = table.below(&at).cloned().collect();
        assert_eq!(order.len(), 4);
        for entry in order {
            let top = MountTable::read(None).unwrap().at(&entry.mount_point).last().unwrap().id;
            assert_eq!(top, entry.id, "{entry:?} is not the topmost");
            unmount(&entry.mount_point, UnmountFlags::empty()).unwrap();
        }
        assert_eq!(MountTable::read(None).unwrap().below(&at).next(), None);
    });
}

/// A process that ends with the case.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `census` says of a process: how it holds, in one line.
fn how(holders: &Holders, pid: u32) -> String {
    let found = holders.processes.iter().find(|one| one.process.pid == pid);
    found.map(|one| format!("{:?}", one.how)).unwrap_or_default()
}

fn holders_of_a_mount() {
    let directory = scene::directory();
    let at = directory.path().join("a b");
    fs::create_dir(&at).unwrap();
    let staging = Staging::new().unwrap();
    let inner = at.clone();
    let child = staging.run(move || {
        tmpfs(OsStr::new("held"), &inner, MountAttributes::empty());
        let file = fs::File::create(inner.join("file")).unwrap();
        let mut sleep = Command::new("sleep");
        Ended(sleep.arg("1000").current_dir(&inner).stdin(file).stdout(Stdio::null()).spawn().unwrap())
    });
    // A namespace that has a copy of the mount, and nobody in it but a thread.
    let other = staging.run(|| Staging::new().unwrap());
    let (id, namespace, thread) = {
        let at = at.clone();
        staging.run(move || {
            let id = MountTable::read(None).unwrap().at(&at).last().unwrap().id;
            (id, own_namespace(), rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned())
        })
    };
    let other_namespace = other.run(own_namespace);
    let census = Census::take().unwrap();
    let holders = census.of_mount(id);
    assert_eq!(how(&holders, child.0.id()), "[Cwd, Fd(0)]");
    assert_eq!(holders.processes.len(), 1, "{holders:?}");
    let inodes: Vec<u64> = holders.namespaces.iter().map(|one| one.inode).collect();
    assert_eq!(BTreeSet::from_iter(inodes), BTreeSet::from([namespace, other_namespace]));
    for one in &holders.namespaces {
        assert_eq!(one.mounted_at, [at.as_path()]);
    }
    let own = holders.namespaces.iter().find(|one| one.inode == namespace).unwrap();
    let pids: BTreeSet<u32> = own.members.iter().map(|one| one.pid).collect();
    assert_eq!(pids, BTreeSet::from([child.0.id(), thread]));
    drop(child);
    assert_eq!(Census::take().unwrap().of_mount(id).processes, []);
}

/// A mount namespace is bound only in an older one (ELOOP). Linux 6.18 counts their age by numbers that each CPU takes from a
/// batch of its own (gen_cookie_next): only those made on one CPU are in order.
fn namespaces_without_members() {
    std::thread::spawn(namespaces_of_one_cpu).join().unwrap();
}

fn namespaces_of_one_cpu() {
    let mut cpu = CpuSet::new();
    cpu.set(sched_getcpu());
    sched_setaffinity(None, &cpu).unwrap();
    let directory = scene::directory();
    let (at, pin) = (directory.path().join("mnt"), directory.path().join("pin"));
    fs::create_dir(&at).unwrap();
    fs::write(&pin, "").unwrap();
    Staging::new().unwrap().run(move || {
        let inner = Staging::new().unwrap();
        let place = at.clone();
        let (file, inode) = inner.run(move || {
            FileSystem::new("tmpfs").mount().unwrap().attach_at(&place).unwrap();
            (fs::File::open("/proc/thread-self/ns/mnt").unwrap(), own_namespace())
        });
        drop(inner);
        let found = || Census::take().unwrap().namespaces.into_iter().find(|one| one.inode == inode);
        // Whoever was in it is a moment later gone than it is waited for.
        let is_kept = || found().is_some_and(|one| one.members.is_empty() && one.table.at(&at).count() == 1);
        scene::wait_until("an open file alone keeps it", is_kept);
        bind_fd(file.as_fd(), false).unwrap().attach_at(&pin).unwrap();
        drop(file);
        scene::wait_until("a bound file alone keeps it", is_kept);
        // Another test may just be looking at it.
        scene::wait_until("it is unmounted", || unmount(&pin, UnmountFlags::empty()).is_ok());
        scene::wait_until("nothing keeps it", || found().is_none());
    });
}

fn own_namespace() -> u64 {
    fs::metadata("/proc/thread-self/ns/mnt").unwrap().ino()
}

fn holders_of_a_loop() {
    let directory = scene::directory();
    let image = Image::open(&scene::ext4_image(directory.path()), Access::ReadWrite).unwrap();
    let range = image.range(1).unwrap();
    let device = LoopDevice::attach(&image, range, &LoopOptions::default()).unwrap();
    let (number, own) = (device.device(), std::process::id());
    let opened = format!("[Fd({})]", device.as_fd().as_raw_fd());
    assert_eq!(how(&Census::take().unwrap().of_device(number), own), opened);
    let mount = FileSystem::new("ext4").source(device.path()).option("errors", "remount-ro").mount().unwrap();
    drop(device);
    // In no table, and yet it is what keeps the device.
    let root = mount.root().unwrap();
    let holders = Census::take().unwrap().of_device(number);
    assert_eq!(holders.namespaces, []);
    let mut fds = [mount.as_fd().as_raw_fd(), root.as_fd().as_raw_fd()];
    fds.sort_unstable();
    assert_eq!(how(&holders, own), format!("[Fd({}), Fd({})]", fds[0], fds[1]));
    let at = directory.path().join("mnt");
    fs::create_dir(&at).unwrap();
    let staging = Staging::new().unwrap();
    let place = at.clone();
    staging.run(move || {
        drop(root);
        mount.attach_at(&place).unwrap();
    });
    let holders = Census::take().unwrap().of_device(number);
    assert_eq!(holders.namespaces.len(), 1);
    assert_eq!(holders.namespaces[0].mounted_at, [at]);
    assert_eq!(how(&holders, own), "");
    drop(staging);
    let gone = || Census::take().unwrap().of_device(number) == Holders::default();
    scene::wait_until("nobody holds the loop device", gone);
}
