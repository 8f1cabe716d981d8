//! What is only read stays as it was, and what is hidden stays hidden.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{XattrFlags, setxattr};
use subhost_tests::canary::{Canary, facts};
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;
use crate::tiny::insert;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "the_lower_layer_of_a_run_is_the_same_after_it",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: lower,
    },
    Case {
        name: "an_image_is_the_same_after_all_that_only_reads_it",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: image,
    },
    Case {
        name: "a_lower_layer_that_points_elsewhere_shows_nothing_that_is_hidden",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: pointing,
    },
];

/// Changes something of each kind, in each way.
const CHANGES: &str = "set -e
    cat /root/* >/dev/null || true
    echo changed >/etc/passwd; echo more >>/etc/group; chmod 4777 /etc/hosts; chown 1:2 /etc/fstab
    mv /etc/init.d /moved; rm -r /usr/sbin; mkdir /usr/sbin; ln /bin/busybox /hard; ln -s x /soft
    rm /bin/ls; mkfifo /fifo; touch -d @1 /etc/inittab; chmod 700 /; : >/var/log/new; truncate -s 0 /bin/busybox2
    sync; echo done";

fn digest(host: &Host, file: &Path) -> std::io::Result<String> {
    host.witness("sha256sum", &["--binary", &file.to_string_lossy()])
}

fn lower(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let path = tree.to_string_lossy();
    fs::copy(tree.join("bin/busybox"), tree.join("bin/busybox2"))?;
    setxattr(tree.join("etc/passwd"), "trusted.note", b"kept", XattrFlags::empty())?;
    symlink("/etc/passwd", tree.join("link"))?;
    let before = facts(&tree)?;
    for _ in 0..2 {
        assert_eq!(host.done(&["run", "--overlay", &path, "--", "sh", "-c", CHANGES])?, "done\n");
        assert!(facts(&tree)? == before, "the lower layer has changed");
    }

    // In an image that is mounted on the host.
    let image = host.ext4_of(&tree, "layer.ext4")?;
    let (sum, at) = (digest(host, &image)?, host.directory().join("layer"));
    fs::create_dir(&at)?;
    let at = at.to_string_lossy();
    host.witness("mount", &["-o", "loop,ro", &image.to_string_lossy(), &at])?;
    let said = host.done(&["run", "--overlay", &at, "--", "sh", "-c", CHANGES]);
    host.witness("umount", &[&at])?;
    assert_eq!(said?, "done\n");
    assert_eq!(digest(host, &image)?, sum);

    // The witness: without the layer on top, all of it is seen.
    assert_eq!(host.done(&["run", "--root", &path, "--", "sh", "-c", CHANGES])?, "done\n");
    assert!(facts(&tree)? != before, "the comparison sees nothing");
    Ok(())
}

fn image(host: &Host) -> Verdict {
    let root = host.copy_of(Fixture::TinyMbr)?;
    let tree = Fixture::TinyTree.path()?;
    let data = host.ext4_of(&tree, "data.ext4")?;
    let name = host.name("tiny");
    host.config(
        &name,
        &format!("DISKS=( vda:1:{} vdb:0:{} )\nNESTING=yes\n", root.display(), data.display()),
    )?;
    fs::write(host.directory().join("fstab"), "/dev/vdb /mnt ext4 ro 0 2\n")?;
    insert(host, &root, "fstab", "/etc/fstab", 0o100_644)?;

    let sums = || Ok::<_, std::io::Error>((digest(host, &root)?, digest(host, &data)?));
    let before = sums()?;
    for words in [&["check", &name][..], &["plan", &name], &["partitions", &root.to_string_lossy()]] {
        host.done(words)?;
    }
    host.config(&host.name("bad"), &format!("DISKS=( vda:7:{} )\n", root.display()))?;
    assert_eq!(host.subhostctl(&["boot", &host.name("bad")])?.code, 2);
    assert_eq!(sums()?, before);

    // A disk that is read only, whatever guest root does.
    boot(host, &name)?;
    let script = "cat /mnt/etc/passwd >/dev/null && echo read
        mount -o remount,rw /mnt; mount -o remount,bind,rw /mnt
        echo hit >/mnt/hit; rm /mnt/etc/passwd; touch /mnt/etc/group; chmod 777 /mnt/etc
        echo hit >/dev/vdb; sync; true";
    let said = host.done(&["enter", &name, "--", "sh", "-c", script])?;
    assert_eq!(said, "read\n");
    host.done(&["stop", &name])?;
    let after = sums()?;
    assert_eq!(after.1, before.1);
    // The other was written, which tells that the comparison sees something.
    assert_ne!(after.0, before.0);
    Ok(())
}

/// Row L7 of docs/security.md: what a layer says of itself would lead to what `run` has hidden in it.
fn pointing(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let tree = host.copy_of(Fixture::TinyTree)?;
    fs::write(tree.join("etc/shadow"), "hidden secret\n")?;
    fs::set_permissions(tree.join("etc/shadow"), PermissionsExt::from_mode(0o600))?;
    fs::write(tree.join("root/secret"), "hidden secret\n")?;
    fs::create_dir_all(tree.join("hidden"))?;
    fs::write(tree.join("hidden/secret"), "hidden secret\n")?;
    fs::set_permissions(tree.join("hidden"), PermissionsExt::from_mode(0o700))?;
    for namespace in ["trusted", "user"] {
        let to = |path: &Path, name: &str, value: &[u8]| {
            setxattr(path, format!("{namespace}.overlay.{name}"), value, XattrFlags::empty())
        };
        for (name, target) in
            [("root", "/root"), ("hidden", "/hidden"), ("up", "../../canary"), ("etc", "etc")]
        {
            let directory = tree.join(format!("{namespace}-{name}"));
            fs::create_dir(&directory)?;
            to(&directory, "redirect", target.as_bytes())?;
        }
        for (name, target) in
            [("shadow", "/etc/shadow"), ("secret", "/root/secret"), ("inner", "/hidden/secret")]
        {
            let file = tree.join(format!("{namespace}-{name}"));
            fs::write(&file, "")?;
            fs::set_permissions(&file, PermissionsExt::from_mode(0o644))?;
            to(&file, "metacopy", b"")?;
            to(&file, "redirect", target.as_bytes())?;
        }
        // The marks of what is hidden, turned round.
        for hidden in ["root", "hidden", "etc"] {
            to(&tree.join(hidden), "opaque", b"n")?;
            to(&tree.join(hidden), "origin", b"")?;
        }
    }
    let script =
        "for file in /etc/shadow /root/secret /hidden/secret /trusted-* /user-* /trusted-*/* /user-*/*; do
            cat $file; mv $file $file.moved; cat $file.moved/secret $file.moved/shadow
        done 2>/dev/null
        # By an overlay of its own.
        mkdir /root/upper /root/work /root/merged
        for options in redirect_dir=on,metacopy=on userxattr redirect_dir=follow; do
            mount -t overlay -o lowerdir=/trusted-root:/,$options x /root/merged || continue
            cat /root/merged/secret /root/merged/etc/shadow; umount /root/merged
        done 2>/dev/null
        echo tried";
    let path = tree.to_string_lossy();
    let outcome = host.subhostctl(&["run", "--nesting", "--overlay", &path, "--", "sh", "-c", script])?;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "tried\n"), "{outcome}");
    canary.unharmed()?;
    // The witness: where nothing is hidden, it is found.
    let outside = host.subhostctl(&["run", "--nesting", "--root", &path, "--", "sh", "-c", script])?;
    assert_eq!(outside.stdout.matches("hidden secret\n").count(), 3, "{outside}");
    Ok(())
}
