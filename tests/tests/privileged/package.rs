//! The package that `cargo xtask dist` makes: installed in Debian, used, and purged.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program;

use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "package_is_installed_used_and_purged",
        needs: &[Need::Package, Need::Made(Fixture::DebianBare), Need::Made(Fixture::TinyMbr)],
        body: life,
    },
    Case {
        name: "package_and_archive_are_as_their_sums_say_and_nothing_is_set_uid",
        needs: &[Need::Package],
        body: contents,
    },
    Case {
        name: "udev_keeps_desktop_tools_off_the_loop_devices_of_a_subhost",
        needs: &[Need::Program, Need::Made(Fixture::DebianBare), Need::Made(Fixture::TinyMbr)],
        body: udev,
    },
];

const WITHIN: Duration = Duration::from_secs(120);

/// Takes the tree for its root: in one that was only changed, the kernel makes no user namespaces.
const ENTER: &str = "\
cd $TREE
for directory in dev proc sys; do mount --rbind /$directory $directory; done
mount -t tmpfs run run
mkdir run/old
pivot_root . run/old
cd /
umount -l /run/old
. /steps
";

/// What is done there.
const STEPS: &str = "\
PATH=/usr/sbin:/usr/bin:/sbin:/bin
set -x
dpkg --path-include '/usr/share/*' -i /subhost.deb
test \"$(dpkg -V subhost)\" = ''
test -x /etc/init.d/subhost
ls /etc/rc2.d/S*subhost
for page in subhostctl subhostctl-boot pretend-boot subhost-init; do
    zcat /usr/share/man/man8/$page.8.gz | grep -q '^.TH SUBHOST'
done
bash -c '. /usr/share/bash-completion/completions/subhostctl; complete -p subhostctl'

subhostctl check $NAME
subhostctl boot --detach $NAME
subhostctl enter $NAME -- grep rcS /var/log/boot
if dpkg -r subhost; then echo 'removed, though one runs' >&2; exit 1; fi
subhostctl stop $NAME
pretend-boot --help | grep '^Boot a subhost'

dpkg -P subhost
test ! -e /usr/sbin/subhostctl
test ! -e /etc/init.d/subhost
if ls /etc/rc2.d/S*subhost; then exit 1; fi
test -f /opt/sub/$NAME/config
echo all done
";

fn life(host: &Host) -> Verdict {
    bridge(host)?;
    let name = host.name("pk");
    let image = host.copy_of(Fixture::DebianBare)?;
    let tree = host.directory().join("tree");
    fs::create_dir(&tree)?;
    host.witness("mount", &["-o", "loop", &image.to_string_lossy(), &tree.to_string_lossy()])?;
    fs::copy(package()?, tree.join("subhost.deb"))?;
    fs::copy(Fixture::TinyMbr.path()?, tree.join("web.raw"))?;
    let directory = tree.join("opt/sub").join(&name);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("config"), format!("DISKS=( vda:1:/web.raw )\nBRIDGES=( {BRIDGE}:{MAC} )\n"))?;
    fs::write(tree.join("steps"), STEPS)?;

    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-eu", "-c", ENTER]);
    let outcome = program::run(
        {
            shell.env("TREE", &tree).env("NAME", &name);
            shell
        },
        WITHIN,
    )?;
    assert!(outcome.code == 0 && outcome.stdout.ends_with("all done\n"), "{outcome}");
    host.witness("umount", &[&tree.to_string_lossy()])?;
    Ok(())
}

fn contents(host: &Host) -> Verdict {
    let dist = program::dist()?;
    let mut sums = Command::new("sha256sum");
    sums.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&dist);
    let sums = program::run(sums, WITHIN)?;
    assert_eq!((sums.code, sums.stdout.lines().count()), (0, 3), "{sums}");
    let package = package()?;
    let listed = host.witness("dpkg-deb", &["-c", &package.to_string_lossy()])?;
    let archive = files()?.into_iter().find(|file| file.to_string_lossy().ends_with(".tar.gz"));
    let archive = archive.ok_or("no archive")?;
    let archived = host.witness("tar", &["-tvzf", &archive.to_string_lossy()])?;
    for line in listed.lines().chain(archived.lines()) {
        let mode = line.split(' ').next().unwrap_or_default();
        assert!(!mode.contains(['s', 'S']), "{line}");
    }
    let programs = |text: &str| text.lines().filter(|line| line.ends_with("/usr/sbin/subhostctl")).count();
    assert_eq!((programs(&listed), programs(&archived)), (1, 1), "{listed}{archived}");
    Ok(())
}

/// What the udev of Debian makes of two loop devices with the rule of the package.
const ASK_UDEV: &str = "\
cp $RULE $TREE/usr/lib/udev/rules.d/
for directory in dev proc sys; do mount --rbind /$directory $TREE/$directory; done
mount -t tmpfs run $TREE/run
for device in $OURS $OTHER; do
    echo \"of $device:\"
    chroot $TREE udevadm test /sys/block/$device 2>&1
done
";

fn udev(host: &Host) -> Verdict {
    bridge(host)?;
    let (name, image) = (host.name("ud"), host.copy_of(Fixture::TinyMbr)?);
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let guest = boot(host, &name)?;
    let ours = format!("loop{}", guest.field("disks")[0]["loop_number"]);
    let debian = host.copy_of(Fixture::DebianBare)?;
    let tree = host.directory().join("tree");
    fs::create_dir(&tree)?;
    let tree = tree.to_string_lossy();
    // As anybody attaches one who wants to keep it.
    let node = host.witness("losetup", &["--find", "--show", &debian.to_string_lossy()])?;
    let other = node.trim().trim_start_matches("/dev/");
    host.witness("mount", &[node.trim(), &tree])?;

    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-eu", "-c", ASK_UDEV]);
    let rule = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/61-subhost.rules");
    shell.env("TREE", &*tree).env("RULE", rule).env("OURS", &ours).env("OTHER", other);
    let outcome = program::run(shell, WITHIN)?;
    assert_eq!(outcome.code, 0, "{outcome}");
    let (of_ours, of_other) = outcome.stdout.split_once(&format!("of {other}:")).ok_or("no second device")?;
    for (said, is_left_alone) in [(of_ours, true), (of_other, false)] {
        assert!(said.contains("DEVNAME=/dev/loop"), "{outcome}");
        assert!(said.contains("Reading rules file: /usr/lib/udev/rules.d/61-subhost.rules"), "{outcome}");
        // It complains with the number of the line.
        assert!(!said.contains("61-subhost.rules:"), "{outcome}");
        assert_eq!(said.contains("UDISKS_IGNORE=1"), is_left_alone, "{outcome}");
    }

    host.witness("umount", &[&tree])?;
    host.witness("losetup", &["--detach", node.trim()])?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn files() -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    Ok(fs::read_dir(program::dist()?)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

fn package() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let package = files()?.into_iter().find(|file| file.extension().is_some_and(|it| it == "deb"));
    package.ok_or_else(|| "no package".into())
}
