//! A host whose mounts are shared, as systemd makes them: nothing passes, neither way.

use std::fs;
use std::path::Path;

use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::boot;

pub(crate) const CASES: &[Case] = &[Case {
    name: "on_a_host_whose_mounts_are_shared_nothing_passes_to_or_from_a_guest",
    needs: &[Need::Program, Need::Made(Fixture::TinyTree), Need::Made(Fixture::TinyMbr)],
    body: shared,
}];

/// What guest root does to make its mounts be seen elsewhere.
const MOUNTS: &str = "
    mount --make-rshared / || true
    for number in $(seq 25); do
        mkdir -p /root/m$number /root/b$number
        mount -t tmpfs -o size=64k guest /root/m$number && mount --bind /root/m$number /root/b$number || exit 1
    done
    mount --make-rshared / ; mount --rbind / /mnt ; grep -c guest /proc/self/mountinfo";

fn table() -> std::io::Result<String> {
    fs::read_to_string("/proc/self/mountinfo")
}

/// Mounts an image as any administrator would, by a loop device that `mount` makes.
fn mount(host: &Host, image: &Path, at: &Path) -> std::io::Result<()> {
    fs::create_dir(at)?;
    host.witness("mount", &["-o", "loop", &image.to_string_lossy(), &at.to_string_lossy()])?;
    Ok(())
}

/// Row L8 of docs/security.md.
fn shared(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let path = tree.to_string_lossy().into_owned();
    let image = host.copy_of(Fixture::TinyMbr)?;
    host.witness("mount", &["--make-rshared", "/"])?;
    // One that is there before the guest, and one that comes when it runs.
    let others = ["before", "after"].map(|name| (name, host.directory().join(name)));
    let rest = Snapshot::take(&host.scope())?;
    let images = others.each_ref().map(|(name, _)| host.ext4_of(&tree, &format!("{name}.ext4")));
    let [first, second] = images;
    let (first, second) = (first?, second?);
    mount(host, &first, &others[0].1)?;

    let before = table()?;
    for root in [["--root", &path], ["--overlay", &path]] {
        let words = [&["run", "--nesting"], &root[..], &["--", "sh", "-c", MOUNTS]].concat();
        let count = host.done(&words)?;
        assert!(count.trim().parse().is_ok_and(|count: u32| count >= 50), "{count}");
        assert_eq!(table()?, before, "{root:?}");
    }
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\nNESTING=yes\n", image.display()))?;
    let guest = boot(host, &name)?;
    let count = host.done(&["enter", &name, "--", "sh", "-c", MOUNTS])?;
    assert!(count.trim().parse().is_ok_and(|count: u32| count >= 50), "{count}");
    // The pin of its network namespace is all that a guest adds.
    let pin = format!(" /run/netns/{name} ");
    let without_pin: String = table()?.split_inclusive('\n').filter(|line| !line.contains(&pin)).collect();
    assert_eq!(without_pin, before);

    mount(host, &second, &others[1].1)?;
    let inside = fs::read_to_string(format!("/proc/{}/mountinfo", guest.init_pid()))?;
    for (name, at) in &others {
        let ours = table()?;
        let ours = ours.lines().find(|line| line.contains(&*at.to_string_lossy())).ok_or("not mounted")?;
        let device = ours.split(' ').nth(2).ok_or("no device")?;
        assert!(!inside.lines().any(|line| line.split(' ').nth(2) == Some(device)), "{name}: {inside}");
        // Without `--lazy`: nobody holds it.
        host.witness("umount", &[&at.to_string_lossy()])?;
    }
    // And their loop devices are free, while the guest runs on.
    let left = rest.settle(&host.scope(), case::CLEAN_UP)?;
    let left = left.left(subhost_tests::leak::Kind::Loop);
    assert!(left.iter().all(|line| line.contains("tiny-mbr.raw")), "{left:?}");
    assert!(!guest.ends(std::time::Duration::ZERO)?);
    host.done(&["stop", &name])?;
    host.witness("mount", &["--make-rprivate", "/"])?;
    Ok(())
}
