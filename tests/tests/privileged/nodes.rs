//! Device nodes in images and trees, and guest root who wants to open them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::Outcome;

use crate::boot;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "device_nodes_in_images_cannot_be_opened_whatever_guest_root_remounts",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: images,
    },
    Case {
        name: "device_nodes_in_a_tree_cannot_be_opened_whatever_its_root_remounts",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: |host| directories(host, "--root"),
    },
    Case {
        name: "device_nodes_below_an_overlay_cannot_be_opened_whatever_its_root_remounts",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: |host| directories(host, "--overlay"),
    },
];

/// The nodes that are made, by name, kind and number. The first may be opened by anybody wherever nodes can be.
fn nodes() -> std::io::Result<Vec<(&'static str, &'static str, u32, u32)>> {
    let (major, minor) = root_disk()?;
    Ok(vec![
        ("zero", "c", 1, 5),
        ("disk", "b", major, minor),
        ("loop0", "b", 7, 0),
        ("tty", "c", 5, 0),
        ("mem", "c", 1, 1),
        ("kvm", "c", 10, 232),
        ("loop-control", "c", 10, 237),
        ("fuse", "c", 10, 229),
    ])
}

/// The disk that the host's root is on, or else the first that there is.
fn root_disk() -> std::io::Result<(u32, u32)> {
    let device = fs::metadata("/")?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    if major != 0 {
        return Ok((major, minor));
    }
    let table = fs::read_to_string("/proc/partitions")?;
    let numbers = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    table.lines().find_map(numbers).ok_or_else(|| std::io::Error::other("the host has no disk"))
}

/// Makes the nodes, which anybody may read and write.
fn make_nodes(host: &Host, directory: &str) -> Verdict {
    fs::create_dir(directory)?;
    for (name, kind, major, minor) in nodes()? {
        let path = format!("{directory}/{name}");
        host.witness("mknod", &["-m", "666", &path, kind, &major.to_string(), &minor.to_string()])?;
    }
    // A node in this place can be opened as long as the mount is not `nodev`.
    assert_eq!(host.witness("head", &["-c", "1", &format!("{directory}/zero")])?, "\0");
    Ok(())
}

/// Tries to lift `nodev` from every mount, which takes a guest that may mount, and says where it was told that it has. A mount of its own shows that this
/// is how it is lifted.
const REMOUNT: &str = r#"
    mkdir -p /root/own && mount -t tmpfs -o nodev own /root/own
    for at in $(cut -d" " -f5 /proc/self/mountinfo); do
        for options in remount,bind,dev,suid remount,dev remount,bind,rw,dev,suid,exec; do
            mount -o $options $at 2>/dev/null && echo remounted $at
        done
    done
"#;

/// Opens the nodes in `$at`, and makes nodes.
const OPEN: &str = r#"
    open() {
        for node in $1/*; do
            [ -b $node ] || [ -c $node ] || echo missing $node
            (: <$node) 2>&1
            (: >>$node) 2>&1
        done
    }
    for at in $NODES; do open $at; done
    # By ways of its own.
    mkdir -p /root/way
    for at in $NODES; do
        mount --bind $at /root/way && mount -o remount,bind,dev /root/way; open /root/way; umount /root/way
        mount -t overlay -o lowerdir=$at:/etc,dev x /root/way && { open /root/way | grep mem; umount /root/way; }
        unshare -U -r -m sh -c "mount -o remount,bind,dev / ; for node in $at/*; do (: <\$node) 2>&1; done"
    done 2>/dev/null
    for at in / /root /root/own /dev /dev/shm /dev/mqueue /run /tmp /mnt; do
        mknod $at/made c 1 5 2>&1 && echo made $at/made
    done
    true
"#;

/// In how many places [`OPEN`] makes a node.
const PLACES: usize = 9;

/// What the two scripts say of nodes in these directories.
fn check(outcome: &Outcome, directories: &[&str]) -> Verdict {
    assert_eq!(outcome.code, 0, "{outcome}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let remounted: BTreeSet<&str> = lines.iter().filter_map(|line| line.strip_prefix("remounted ")).collect();
    // In /dev there are nodes that a guest may open, so it was never `nodev`; and what the guest's own kernel file
    // systems are told does not matter, as no device can be opened on what belongs to its user namespace.
    let of_the_guest = ["/dev", "/dev/console", "/dev/pts", "/dev/mqueue", "/proc", "/sys", "/root/own"];
    assert!(remounted.iter().all(|at| of_the_guest.contains(at)), "{remounted:?}: {outcome}");
    assert!(remounted.contains("/root/own"), "nothing was tried: {outcome}");
    let refused = |what: &str, how: &str, times: usize| {
        let count = lines.iter().filter(|line| line.contains(what) && line.ends_with(how)).count();
        assert_eq!(count, times, "{what} {how}: {outcome}");
    };
    for directory in directories {
        for (name, ..) in nodes()? {
            refused(&format!(" {directory}/{name}: "), "Permission denied", 3);
        }
    }
    let all = nodes()?.len();
    // Bound twice for each: for reading and writing; and one of them in an overlay of its own.
    refused(" /root/way/", "Permission denied", directories.len() * (all * 2 + 2));
    refused("mknod: ", "Operation not permitted", PLACES);
    // And nothing else was said.
    let told = remounted_lines(&lines) + directories.len() * (all * 5 + 2) + PLACES;
    assert_eq!(lines.len(), told, "{outcome}");
    Ok(())
}

fn remounted_lines(lines: &[&str]) -> usize {
    lines.iter().filter(|line| line.starts_with("remounted ")).count()
}

/// Row L6 of docs/security.md, for the image of the root and that of a further disk.
fn images(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let tree = host.copy_of(Fixture::TinyTree)?;
    make_nodes(host, &tree.join("nodes").to_string_lossy())?;
    fs::write(tree.join("etc/fstab"), "/dev/vda / ext4 defaults 0 1\n/dev/vdb /mnt ext4 dev,suid 0 2\n")?;
    let root = host.ext4_of(&tree, "root.ext4")?;
    let data = host.ext4_of(&tree, "data.ext4")?;
    let name = host.name("tiny");
    host.config(
        &name,
        &format!("DISKS=( vda:0:{} vdb:0:{} )\nNESTING=yes\n", root.display(), data.display()),
    )?;
    let guest = boot(host, &name)?;
    // As the host sees them: the guest's words would not do.
    let without_nodes = || -> std::io::Result<BTreeSet<String>> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", guest.init_pid()))?;
        let fields = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let without = fields.filter(|line| line[5].split(',').any(|option| option == "nodev"));
        // On the guest's own it does not matter.
        let own = ["/proc", "/sys", "/dev/mqueue", "/root/own"];
        Ok(without.map(|line| line[4].to_owned()).filter(|at| !own.contains(&at.as_str())).collect())
    };
    let before = without_nodes()?;
    assert!(["/", "/mnt", "/run", "/dev/shm"].iter().all(|at| before.contains(*at)), "{before:?}");
    let script = format!("NODES='/nodes /mnt/nodes'\n{REMOUNT}{OPEN}");
    let outcome = host.subhostctl(&["enter", &name, "--", "sh", "-c", &script])?;
    check(&outcome, &["/nodes", "/mnt/nodes"])?;
    assert_eq!(without_nodes()?, before);
    host.done(&["stop", &name])?;
    canary.unharmed()
}

/// Row L6 of docs/security.md.
fn directories(host: &Host, option: &str) -> Verdict {
    let canary = Canary::plant(host)?;
    let tree = host.copy_of(Fixture::TinyTree)?;
    make_nodes(host, &tree.join("nodes").to_string_lossy())?;
    let script = format!("NODES=/nodes\n{REMOUNT}{OPEN}");
    let outcome =
        host.subhostctl(&["run", "--nesting", option, &tree.to_string_lossy(), "--", "sh", "-c", &script])?;
    check(&outcome, &["/nodes"])?;
    canary.unharmed()
}
