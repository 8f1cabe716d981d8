//! Directories and files of the host inside a guest.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;
use crate::tiny::insert;

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "directories_and_files_of_the_host_are_where_they_were_asked_for",
        needs: NEEDS,
        body: there,
    },
    Case { name: "a_bind_is_kept_inside_whatever_the_guest_has_in_its_place", needs: NEEDS, body: hostile },
    Case { name: "binds_that_cannot_be_are_refused_in_one_go", needs: NEEDS, body: refused },
];

fn there(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let at = |file: &str| host.directory().join(file);
    fs::create_dir_all(at("a b/inner"))?;
    for (file, mode) in [("a b/secret", 0o600), ("a b/inner/file", 0o644), ("single", 0o644)] {
        fs::write(at(file), format!("{file}\n"))?;
        fs::set_permissions(at(file), fs::Permissions::from_mode(mode))?;
    }
    let directory = host.directory().display();
    host.config(
        &name,
        &format!(
            "DISKS=( vda:1:{} )\nBINDS=( '{directory}/a b/inner:/mnt/inner' '{directory}/a b:/mnt:ro' {directory}/single:/etc/motd )\n",
            image.display()
        ),
    )?;
    fs::write(at("motd"), "the guest's own\n")?;
    insert(host, &image, "motd", "/etc/motd", 0o100_644)?;
    let plan = host.done(&["plan", &name])?;
    assert!(plan.contains("mount --bind -o ro,nodev,nosuid"), "{plan}");
    boot(host, &name)?;
    let enter = |script: &str| host.subhostctl(&["enter", &name, "--", "sh", "-c", script]);
    let done = |script: &str| host.done(&["enter", &name, "--", "sh", "-c", script]);
    // Its root is the owner of what the host's root owns.
    assert_eq!(done("cat /mnt/secret /etc/motd /mnt/inner/file")?, "a b/secret\nsingle\na b/inner/file\n");
    assert_ne!(enter("echo x >/mnt/new")?.code, 0);
    done("echo x >/mnt/inner/new && echo more >>/etc/motd")?;
    let made = fs::metadata(at("a b/inner/new"))?;
    assert_eq!((made.uid(), made.gid()), (0, 0));
    assert_eq!(fs::read_to_string(at("single"))?, "single\nmore\n");
    // What is locked stays so.
    for script in ["mount -o remount,rw,bind /mnt", "umount /mnt/inner", "mknod /mnt/inner/null c 1 3"] {
        assert_ne!(enter(script)?.code, 0, "{script}");
    }
    let mounts = done("cat /proc/mounts")?;
    for place in ["/mnt", "/mnt/inner", "/etc/motd"] {
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(place)).ok_or("not there")?;
        assert!(line.contains("nosuid") && line.contains("nodev"), "{line}");
    }
    host.done(&["stop", &name])?;
    // Its disk has what it had, and `run` gets the same.
    let place = format!("{}?offset=1048576", image.display());
    assert_eq!(host.witness("debugfs", &["-R", "cat /etc/motd", &place])?, "the guest's own\n");
    let disk = format!("vda:1:{}", image.display());
    let bind = format!("{directory}/single:/etc/motd:ro");
    let run = ["run", "--disk", &*disk, "--bind", &*bind, "--", "cat", "/etc/motd"];
    assert_eq!(host.done(&run)?, "single\nmore\n");
    Ok(())
}

/// Row P1 of docs/security.md: the guest has made links of the places, and things of another kind.
fn hostile(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let source = host.directory().join("source");
    fs::create_dir(&source)?;
    let place = format!("{}?offset=1048576", image.display());
    for request in [
        format!("symlink /link {}", canary.directory().display()),
        format!("symlink /up ../../../../../..{}", canary.directory().display()),
        "mknod /fifo p".to_owned(),
    ] {
        host.witness("debugfs", &["-w", "-R", &request, &place])?;
    }
    for guest in ["/link", "/up", "/link/inner", "/fifo", "/missing", "/etc/passwd"] {
        let bind = format!("{}:{guest}", source.display());
        let lines = format!("DISKS=( vda:1:{} )\nBINDS=( {bind} )\n", image.display());
        host.config(&name, &lines)?;
        let outcome = host.subhostctl(&["boot", "--detach", &name])?;
        assert!(outcome.code == 1 && outcome.stderr.contains(guest), "{guest}: {outcome}");
        assert!(outcome.stderr.contains("the guest needs a directory or file of its own"), "{outcome}");
    }
    assert!(fs::read_dir(&source)?.next().is_none());
    canary.unharmed()?;
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let directory = host.directory().display();
    symlink("/no/such/place", host.directory().join("dangling"))?;
    host.witness("mkfifo", &[&host.directory().join("fifo").to_string_lossy()])?;
    let binds = format!("/no/such/directory:/mnt {directory}/fifo:/etc/motd {directory}/dangling:/srv");
    host.config(&name, &format!("DISKS=( vda:1:{} )\nBINDS=( {binds} )\n", image.display()))?;
    for command in ["plan", "check", "boot"] {
        let outcome = host.subhostctl(&[command, &name])?;
        assert_eq!(outcome.code, 2, "{command}: {outcome}");
        for word in [
            "bind /no/such/directory: No such file",
            "fifo: is neither a directory nor a file",
            "dangling: No such",
        ] {
            assert!(outcome.stderr.contains(word), "{command}: {outcome}");
        }
    }
    let outcome = host.subhostctl(&["run", "--overlay", "/", "--bind", "/srv:../x", "--", "true"])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    Ok(())
}
