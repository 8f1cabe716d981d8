//! Trees and images in which something else stands in the place of a directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_tree_with_anything_in_the_place_of_its_directories_stays_in_itself",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: tree,
    },
    Case {
        name: "an_image_with_anything_in_the_place_of_its_directories_stays_in_itself",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: image,
    },
];

/// Where something is mounted before the guest runs: there, only a directory will do.
const MOUNT_POINTS: [&str; 4] = ["dev", "proc", "sys", "run"];
/// What else is used of a guest early.
const OTHERS: [&str; 4] = ["tmp", "etc", "sbin", "bin"];

/// What stands there.
const KINDS: [&str; 8] = ["absolute", "relative", "far", "root", "magic", "file", "fifo", "device"];

/// Makes it, and gives it a description.
fn put(host: &Host, kind: &str, canary: &Canary, place: &Path) -> std::io::Result<()> {
    let absolute = canary.directory();
    let below_root = absolute.strip_prefix("/").map_err(std::io::Error::other)?;
    let path = place.to_string_lossy();
    match kind {
        "absolute" => symlink(absolute, place),
        "relative" => symlink("../canary", place),
        "far" => symlink(Path::new("../../../../../../../..").join(below_root), place),
        "root" => symlink("/", place),
        "magic" => symlink(Path::new("/proc/self/root").join(below_root), place),
        "file" => fs::write(place, ""),
        "fifo" => host.witness("mkfifo", &[&path]).map(drop),
        _ => host.witness("mknod", &["-m", "666", &path, "c", "1", "3"]).map(drop),
    }
}

/// Calls `job` with a tree of each kind; the tree is the same again after it.
fn each(host: &Host, canary: &Canary, job: impl Fn(&Path, &str, &str) -> Verdict) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let aside = host.directory().join("aside");
    // A shell, whatever `bin` is.
    fs::copy(tree.join("bin/busybox"), tree.join("root/busybox"))?;
    for name in MOUNT_POINTS.into_iter().chain(OTHERS) {
        let place = tree.join(name);
        fs::rename(&place, &aside)?;
        for kind in KINDS {
            put(host, kind, canary, &place)?;
            job(&tree, name, kind)
                .and_then(|()| canary.unharmed())
                .map_err(|error| format!("{name} is {kind}: {error}"))?;
            fs::remove_file(&place)?;
        }
        fs::rename(&aside, &place)?;
    }
    Ok(())
}

/// Row P1 of docs/security.md.
fn tree(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    // Guest root tries all places, too.
    let script = "b=/root/busybox; echo inside
        for directory in dev proc sys run tmp etc sbin bin; do
            $b cat /$directory/secret; echo hit >/$directory/hit; $b mkdir /$directory/made
            $b mount -t tmpfs hit /$directory/inner
        done 2>/dev/null
        true";
    each(host, &canary, |tree, name, kind| {
        let path = tree.to_string_lossy();
        let outcome =
            host.subhostctl(&["run", "--root", &path, "--", "/root/busybox", "sh", "-c", script])?;
        assert!(!canary.is_told_in(&outcome.stdout), "{outcome}");
        if MOUNT_POINTS.contains(&name) {
            assert_eq!(outcome.code, 125, "{outcome}");
            assert!(outcome.stderr.contains(&format!("/{name}")), "{outcome}");
        } else {
            assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "inside\n"), "{kind}: {outcome}");
        }
        Ok(())
    })
}

/// Row P1 of docs/security.md.
fn image(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    each(host, &canary, |tree, name, _| {
        let image = host.ext4_of(tree, "hostile.ext4")?;
        let subhost = host.name("tiny");
        host.config(&subhost, &format!("DISKS=( vda:0:{} )\n", image.display()))?;
        let outcome = host.subhostctl(&["boot", "--detach", &subhost])?;
        if MOUNT_POINTS.contains(&name) || name == "etc" {
            // Without /etc there are no start scripts.
            assert_eq!(outcome.code, if name == "etc" { 2 } else { 1 }, "{outcome}");
            assert!(outcome.stderr.contains(&format!("/{name}")), "{outcome}");
        } else {
            assert_eq!(outcome.code, 0, "{outcome}");
            canary.unharmed()?;
            host.done(&["stop", &subhost])?;
        }
        Ok(())
    })
}
