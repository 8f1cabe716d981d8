//! `create`: a new subhost is there as a whole, whatever it is made from, or nothing is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use subhost_tests::archive::Archive;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program::{self, Running};
use subhost_tests::stepper::{self, Fault, Harm, Point};

const TREE: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "create_makes_a_directory_of_an_archive_however_it_is_packed", needs: TREE, body: archives },
    Case {
        name: "create_sets_up_the_network_that_a_system_can_set_up",
        needs: &[Need::Program],
        body: network,
    },
    Case {
        name: "create_makes_an_image_of_each_table_and_file_system_that_boots",
        needs: TREE,
        body: images,
    },
    Case { name: "create_takes_a_system_from_what_installs_packages", needs: TREE, body: suite },
    Case {
        name: "create_has_debootstrap_install_debian_which_boots_and_stops",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::DebianMirror)],
        body: debootstrap,
    },
    Case {
        name: "create_has_mmdebstrap_install_debian_which_boots_and_stops",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::DebianMirror)],
        body: installs,
    },
    Case { name: "create_tells_how_far_it_is_as_a_terminal_or_a_file_can_show_it", needs: TREE, body: told },
    Case { name: "create_leaves_nothing_when_it_fails_or_is_told_to_end", needs: TREE, body: undone },
    Case { name: "create_takes_away_what_one_that_was_killed_has_left", needs: TREE, body: killed },
    Case {
        name: "create_that_is_killed_at_any_call_has_made_all_or_nothing",
        needs: &[Need::Program],
        body: at_any_call,
    },
    Case { name: "create_is_refused_with_the_reason", needs: TREE, body: refused },
];

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The busybox guest as an archive.
pub(crate) fn archive(host: &Host) -> std::io::Result<String> {
    let tree = text(&Fixture::TinyTree.path().map_err(std::io::Error::other)?);
    let path = text(&host.directory().join("tiny.tar"));
    host.witness("tar", &["-C", &tree, "--numeric-owner", "-cf", &path, "."])?;
    Ok(path)
}

/// Of each file but those that `create` writes: kind, mode, owner, size of files, time, and where links lead.
fn list(host: &Host, tree: &Path) -> std::io::Result<BTreeSet<String>> {
    let format = "%P %y %m %U:%G %TY-%Tm-%Td %TH:%TM %l\n";
    let found = host.witness("find", &[&text(tree), "-mindepth", "1", "-printf", format])?;
    let own = ["etc ", "etc/hostname ", "etc/hosts ", "etc/network/interfaces ", "etc/network ", "root"];
    let lines = found.lines().filter(|line| !own.iter().any(|own| line.starts_with(own)));
    Ok(lines.map(str::to_owned).collect())
}

fn archives(host: &Host) -> Verdict {
    let plain = archive(host)?;
    let tree = Fixture::TinyTree.path()?;
    host.witness("gzip", &["-k", &plain])?;
    host.witness("zstd", &["-q", &plain])?;
    host.witness("xz", &["-k", &plain])?;
    let keys = host.directory().join("keys");
    fs::write(&keys, "ssh-ed25519 AAAA somebody\n")?;
    for (number, ending) in ["", ".gz", ".zst", ".xz"].into_iter().enumerate() {
        let before = Snapshot::take(&host.scope())?;
        let name = host.name(&format!("t{number}"));
        host.done(&["create", &name, "--tar", &format!("{plain}{ending}"), "--ssh-key", &text(&keys)])?;
        case::nothing_left(host, &before)?;
        let directory = host.subhost_dir().join(&name);
        assert_eq!(fs::metadata(&directory)?.mode() & 0o7777, 0o700);
        let root = directory.join("root");
        let (made, there) = (list(host, &root)?, list(host, &tree)?);
        assert!(there.len() > 100, "{there:?}");
        assert_eq!(made.symmetric_difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());
        host.witness("cmp", &[&text(&root.join("bin/busybox")), &text(&tree.join("bin/busybox"))])?;
        let key = root.join("root/.ssh/authorized_keys");
        assert_eq!(fs::read_to_string(&key)?, "ssh-ed25519 AAAA somebody\n");
        assert_eq!(fs::metadata(&key)?.mode() & 0o7777, 0o600);
        let said = host.done(&["start", &name, "--", "sh", "-c", "cat /etc/hostname; id -u"])?;
        assert_eq!(said, format!("{name}\n0\n"));
        host.done(&["stop", &name])?;
    }
    Ok(())
}

fn network(host: &Host) -> Verdict {
    let (ifupdown, networkd) = ("etc/network/interfaces", "etc/systemd/network/80-eth0.network");
    for (number, (directories, made)) in [
        (vec!["etc", "etc/network"], Some((ifupdown, "iface eth0 inet dhcp"))),
        (vec!["etc", "etc/network", "etc/systemd", "etc/systemd/network"], Some((ifupdown, "auto eth0"))),
        (vec!["etc", "etc/systemd", "etc/systemd/network"], Some((networkd, "DHCP=yes"))),
        (vec!["etc"], None),
    ]
    .into_iter()
    .enumerate()
    {
        let (name, file) = (host.name(&format!("n{number}")), host.directory().join("system.tar"));
        let archive = directories
            .into_iter()
            .fold(Archive::default(), |archive, directory| archive.directory(directory));
        fs::write(&file, archive.finish())?;
        host.done(&["create", &name, "--tar", &text(&file)])?;
        let root = host.subhost_dir().join(&name).join("root");
        for path in [ifupdown, networkd] {
            let word = made.filter(|(made, _)| *made == path).map(|(_, word)| word);
            let text = fs::read_to_string(root.join(path)).ok();
            assert_eq!(text.is_some(), word.is_some(), "{number} {path}");
            assert!(text.is_none_or(|text| word.is_some_and(|word| text.contains(word))), "{number} {path}");
        }
        assert_eq!(fs::read_to_string(root.join("etc/hostname"))?, format!("{name}\n"));
        assert!(fs::read_to_string(root.join("etc/hosts"))?.contains(&format!("127.0.1.1 {name}\n")));
    }
    Ok(())
}

fn images(host: &Host) -> Verdict {
    let plain = archive(host)?;
    for (number, (table, filesystem)) in
        [("mbr", "ext4"), ("gpt", "ext4"), ("none", "ext4"), ("gpt", "xfs"), ("mbr", "btrfs")]
            .into_iter()
            .enumerate()
    {
        let name = host.name(&format!("i{number}"));
        // One in the directory that it comes with.
        let place = if number == 1 { host.root_dir().join(&name) } else { host.directory().to_owned() };
        let image = place.join(format!("{number}.raw"));
        let size = if filesystem == "ext4" { "24M" } else { "320M" };
        let before = Snapshot::take(&host.scope())?;
        host.done(&[
            "create",
            &name,
            "--image",
            &text(&image),
            "--size",
            size,
            "--table",
            table,
            "--filesystem",
            filesystem,
            "--tar",
            &plain,
        ])?;
        case::nothing_left(host, &before)?;
        let meta = fs::metadata(&image)?;
        assert_eq!((format!("{}M", meta.len() >> 20), meta.mode() & 0o7777), (size.to_owned(), 0o600));
        assert!(meta.blocks() * 512 < meta.len(), "it is not sparse");
        if table == "none" {
            assert_eq!(host.witness("blkid", &["-o", "value", "-s", "TYPE", &text(&image)])?, "ext4\n");
        } else {
            let said = host.witness("sfdisk", &["--verify", &text(&image)])?;
            assert!(said.contains("No errors detected"), "{said}");
        }
        if filesystem == "ext4" {
            let offset = if table == "none" { 0 } else { 1 << 20 };
            host.witness("e2fsck", &["-f", "-n", &format!("{}?offset={offset}", image.display())])?;
        }
        host.done(&["check", &name])?;
        crate::boot(host, &name)?;
        let said = host.done(&["exec", &name, "--", "cat", "/etc/hostname", "/etc/fstab"])?;
        assert!(said.starts_with(&format!("{name}\n/dev/vda")), "{said}");
        assert!(said.contains(&format!(" / {filesystem} ")), "{said}");
        host.done(&["stop", &name])?;
    }
    Ok(())
}

/// Where a stand-in sees its files: `/tmp` is another one for it.
const STAND_IN: &str = "/run/stand-in";

/// Has a script stand in for mmdebstrap, in this mount namespace, with the archive beside it.
fn stand_in(host: &Host, script: &str) -> std::io::Result<()> {
    fs::create_dir_all(STAND_IN)?;
    fs::copy(host.directory().join("tiny.tar"), Path::new(STAND_IN).join("tiny.tar"))?;
    let ours = Path::new(STAND_IN).join("mmdebstrap");
    fs::write(&ours, format!("#!/bin/sh\n{script}\n"))?;
    fs::set_permissions(&ours, PermissionsExt::from_mode(0o755))?;
    host.witness("mount", &["--bind", &text(&ours), "/usr/bin/mmdebstrap"]).map(drop)
}

fn suite(host: &Host) -> Verdict {
    archive(host)?;
    let name = host.name("deb");
    stand_in(
        host,
        &format!("cd {STAND_IN}; echo \"$@\" >said; : >/tmp/worked; ls -ld /tmp >&2; cat tiny.tar"),
    )?;
    let mirror = "http://mirror.example/debian";
    let before = Snapshot::take(&host.scope())?;
    let words =
        ["create", &name, "--suite", "trixie", "--mirror", mirror, "--include", "nano,openssh-server"];
    let outcome = host.subhostctl(&words)?;
    assert_eq!(outcome.code, 0, "{outcome}");
    // It works in a directory of ours, that is gone by now.
    assert!(outcome.stderr.contains("drwxrwxrwt") && !Path::new("/tmp/worked").exists(), "{outcome}");
    case::nothing_left(host, &before)?;
    let said = fs::read_to_string(Path::new(STAND_IN).join("said"))?;
    assert!(said.ends_with(&format!("sysvinit-core,nano,openssh-server trixie - {mirror}\n")), "{said}");
    let directory = host.subhost_dir().join(&name);
    let names: Vec<_> =
        fs::read_dir(directory)?.map(|it| Ok(it?.file_name())).collect::<std::io::Result<_>>()?;
    assert!(names.len() == 2, "{names:?}");
    for word in ["--setup-hook=x", "a b", "a,b", ""] {
        let outcome = host.subhostctl(&["create", "x", "--suite", word])?;
        assert_eq!(outcome.code, 2, "{word}: {outcome}");
    }
    no_stand_in(host)
}

/// The real one again.
fn no_stand_in(host: &Host) -> Verdict {
    host.witness("umount", &["/usr/bin/mmdebstrap"])?;
    Ok(fs::remove_dir_all(STAND_IN)?)
}

/// A command as words.
pub(crate) fn words_of(command: &Command) -> Vec<String> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

/// One line that is drawn over on a terminal, elsewhere lines, and nothing where it is to be quiet; its output is empty.
fn told(host: &Host) -> Verdict {
    archive(host)?;
    stand_in(
        host,
        &format!(
            "echo one >&2; sleep 0.3; printf 'two\\033[2J\\n' >&2; sleep 0.3; cat {STAND_IN}/tiny.tar; exit $(cat {STAND_IN}/status)"
        ),
    )?;
    let status = Path::new(STAND_IN).join("status");
    let name = host.name("told");
    let create = |more: &[&str]| {
        fs::remove_dir_all(host.subhost_dir().join(&name)).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        Ok::<_, std::io::Error>(host.command(&[more, &["create", &name, "--suite", "trixie"]].concat()))
    };
    fs::write(&status, "0")?;
    let lines = program::run(create(&["--json"])?, Duration::from_secs(60))?;
    assert!(lines.code == 0 && lines.stdout.is_empty(), "{lines}");
    let begin = "subhostctl: installs trixie\none\ntwo\u{fffd}[2J\n";
    assert!(lines.stderr.starts_with(begin) && !lines.stderr.contains('\u{1b}'), "{lines}");
    let quiet = program::run(create(&["--quiet"])?, Duration::from_secs(60))?;
    assert_eq!((quiet.code, &*quiet.stdout, &*quiet.stderr), (0, "", ""));
    let command = create(&[])?;
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let shown =
        host.witness("script", &["--quiet", "--return", "--command", &words.join(" "), "/dev/null"])?;
    assert!(shown.contains("\r\u{1b}[Ktwo\u{fffd}[2J") && !shown.contains("two\u{fffd}[2J\r\n"), "{shown:?}");
    assert!(shown.contains("installs trixie\r\n") && shown.contains(": is made"), "{shown:?}");
    // What it said last is the reason, whether it was shown or not.
    fs::write(&status, "3")?;
    let failed = program::run(create(&["--quiet"])?, Duration::from_secs(60))?;
    assert!(failed.code == 1 && failed.stderr.contains("exit status: 3; one; two"), "{failed}");
    no_stand_in(host)
}

/// How long it may take to unpack and configure some hundred packages.
const INSTALLS: Duration = Duration::from_secs(150);

/// Where mmdebstrap is not there.
fn debootstrap(host: &Host) -> Verdict {
    let program = "/usr/bin/mmdebstrap";
    host.witness("mount", &["--bind", "/dev/null", program])?;
    installs(host)?;
    host.witness("umount", &[program])?;
    Ok(())
}

/// By the real one of the two, from the real packages with Debian's signature.
fn installs(host: &Host) -> Verdict {
    // In `/tmp` it would have one of its own.
    let mirror = "/run/mirror";
    fs::create_dir(mirror)?;
    host.witness("mount", &["--bind", &text(&Fixture::DebianMirror.path()?), mirror])?;
    // debootstrap writes each package to the disk before the next: here there is none.
    let work = text(&host.root_dir());
    host.witness("mount", &["-t", "tmpfs", "-o", "size=1g", "tmpfs", &work])?;
    let (name, image) = (host.name("deb"), host.directory().join("deb.raw"));
    let before = Snapshot::take(&host.scope())?;
    let words = ["create", &name, "--image", &text(&image), "--size", "700M", "--suite", "bookworm"];
    let mirror_url = format!("file://{mirror}");
    let create = host.command(&[&words[..], &["--mirror", &mirror_url]].concat());
    let outcome = program::run(create, INSTALLS)?;
    assert_eq!(outcome.code, 0, "{outcome}");
    case::nothing_left(host, &before)?;
    crate::boot(host, &name)?;
    let inside = |words: &[&str]| host.done(&[&["exec", &name, "--"], words].concat());
    assert_eq!(inside(&["runlevel"])?, "N 2\n");
    assert_eq!(inside(&["cat", "/etc/hostname"])?, format!("{name}\n"));
    assert!(inside(&["cat", "/etc/network/interfaces"])?.contains("iface eth0 inet dhcp\n"));
    // What is not installed as a whole it names.
    assert_eq!(inside(&["dpkg", "--audit"])?, "");
    assert_eq!(inside(&["dpkg-query", "-W", "-f", "${Status}", "sysvinit-core"])?, "install ok installed");
    host.done(&["stop", &name])?;
    host.done(&["check", "--fsck", &name])?;
    for place in [mirror, &work] {
        host.witness("umount", &[place])?;
    }
    Ok(fs::remove_dir(mirror)?)
}

/// All names in the directories where something could be left.
pub(crate) fn names(host: &Host) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for directory in [host.directory().to_owned(), host.root_dir(), host.subhost_dir()] {
        for entry in fs::read_dir(directory)? {
            names.push(entry?.path());
        }
    }
    names.sort();
    Ok(names)
}

/// Starts one that makes an image, and waits until it has begun to fill that.
fn half(host: &Host, name: &str) -> Result<Running, Box<dyn std::error::Error>> {
    let begun = Path::new(STAND_IN).join("begun");
    let image = text(&host.directory().join("half.raw"));
    let mut running =
        host.start(&["create", name, "--image", &image, "--size", "24M", "--suite", "trixie"])?;
    while !begun.exists() {
        if running.wait(Duration::from_millis(5))?.is_some() {
            return Err(running.finish(Duration::ZERO)?.to_string().into());
        }
    }
    fs::remove_file(begun)?;
    Ok(running)
}

/// A script that gives a part of the archive, and then nothing for ever; it has children.
fn endless(host: &Host) -> std::io::Result<()> {
    stand_in(host, &format!("cd {STAND_IN}; head -c 100000 tiny.tar; : >begun; sleep 1000 & sleep 1000"))
}

fn undone(host: &Host) -> Verdict {
    let plain = archive(host)?;
    fs::create_dir(host.subhost_dir())?;
    let name = host.name("web");
    let cut = text(&host.directory().join("cut.tar"));
    fs::write(&cut, &fs::read(&plain)?[..300_000])?;
    host.witness("gzip", &[&cut])?;
    let packed = format!("{cut}.gz");
    let bytes = fs::read(&packed)?;
    let damaged = text(&host.directory().join("damaged.gz"));
    fs::write(&damaged, &bytes[..bytes.len() - 4])?;
    let image = text(&host.directory().join("new.raw"));
    let into_image = ["--image", &image, "--size", "24M"];
    let (none, small) = (&[][..], ["--image", &image, "--size", "1M"]);
    stand_in(host, &format!("cat {STAND_IN}/tiny.tar; exit 3"))?;
    let before = (names(host)?, Snapshot::take(&host.scope())?);
    for (more, from, value, word) in [
        (none, "--tar", &*packed, "the archive"),
        (&into_image[..], "--tar", &*packed, "the archive"),
        (none, "--tar", &*damaged, "gzip"),
        (&small[..], "--tar", &*plain, "sfdisk"),
        (none, "--tar", "/no/such/archive", "/no/such/archive"),
        (none, "--suite", "trixie", "exit status: 3"),
        (none, "--oci", "/etc", "index.json"),
    ] {
        let outcome = host.subhostctl(&[&["create", &name, from, value][..], more].concat())?;
        assert!(outcome.code == 1 && outcome.stderr.contains(word), "{from} {value}: {outcome}");
        assert_eq!(names(host)?, before.0, "{from} {value}");
    }
    no_stand_in(host)?;
    endless(host)?;
    let before = (names(host)?, Snapshot::take(&host.scope())?);
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP]
    {
        let running = half(host, &name)?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(running.pid())?).ok_or("no process")?;
        rustix::process::kill_process(pid, signal)?;
        let outcome = running.finish(Duration::from_secs(30))?;
        assert!(outcome.code == 1 && outcome.stderr.contains("ended by a signal"), "{outcome}");
        assert_eq!(names(host)?, before.0);
        case::nothing_left(host, &before.1)?;
    }
    no_stand_in(host)
}

fn killed(host: &Host) -> Verdict {
    let plain = archive(host)?;
    fs::create_dir(host.subhost_dir())?;
    endless(host)?;
    let (name, other) = (host.name("web"), host.name("other"));
    let before = (names(host)?, Snapshot::take(&host.scope())?);
    let mut running = half(host, &name)?;
    // One that is at work is left alone.
    host.done(&["create", &other, "--tar", &plain])?;
    let outcome = host.subhostctl(&["create", &name, "--tar", &plain])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("another command"), "{outcome}");
    fs::remove_dir_all(host.subhost_dir().join(&other))?;
    assert_eq!(names(host)?.len(), before.0.len() + 2, "{:?}", names(host)?);
    running.kill()?;
    running.finish(Duration::from_secs(30))?;
    assert_eq!(names(host)?.len(), before.0.len() + 2, "{:?}", names(host)?);
    host.done(&["create", &other, "--tar", &plain])?;
    fs::remove_dir_all(host.subhost_dir().join(&other))?;
    assert_eq!(names(host)?, before.0);
    // What it had started has ended with it.
    case::nothing_left(host, &before.1)?;
    no_stand_in(host)?;

    // Between the last steps: the image has both names, then the subhost is there.
    let image = host.directory().join("new.raw");
    let unfinished = host.directory().join(format!(".create-{name}-new.raw"));
    let (directory, own) = (host.root_dir().join(format!(".create-{name}")), host.root_dir().join(&name));
    let left = |directory: &Path| -> std::io::Result<()> {
        fs::create_dir(directory)?;
        fs::set_permissions(directory, PermissionsExt::from_mode(0o700))?;
        fs::write(directory.join("config"), format!("DISKS=( vda:1:{} )\n", image.display()))?;
        fs::write(&unfinished, "an image")?;
        fs::hard_link(&unfinished, &image)?;
        symlink(&unfinished, directory.join(".image"))
    };
    let before = names(host)?;
    left(&directory)?;
    host.done(&["create", &other, "--tar", &plain])?;
    fs::remove_dir_all(host.subhost_dir().join(&other))?;
    assert_eq!(names(host)?, before);
    left(&own)?;
    host.done(&["create", &other, "--tar", &plain])?;
    assert!(image.exists() && own.join("config").exists() && !unfinished.exists());
    assert!(own.join(".image").symlink_metadata().is_err());
    fs::remove_file(&image)?;
    fs::remove_dir_all(&own)?;
    // A file that is not ours is not taken for ours, wherever a link leads.
    let mine = host.directory().join("mine");
    fs::write(&mine, "mine")?;
    left(&directory)?;
    fs::remove_file(&image)?;
    fs::write(&image, "another")?;
    fs::remove_file(directory.join(".image"))?;
    symlink(&mine, directory.join(".image"))?;
    host.done(&["create", &host.name("third"), "--tar", &plain])?;
    assert!(!directory.exists() && mine.exists() && fs::read_to_string(&image)? == "another");
    Ok(())
}

/// Killed at some of all its calls, and at each of the last ones: there is all of it, or nothing once another was made.
fn at_any_call(host: &Host) -> Verdict {
    let (file, other_file) = (host.directory().join("small.tar"), host.directory().join("other.tar"));
    fs::write(&file, Archive::default().directory("a").file("a/b", "content").finish())?;
    fs::write(&other_file, Archive::default().finish())?;
    fs::create_dir(host.subhost_dir())?;
    let (name, other) = (host.name("web"), host.name("other"));
    let image = host.directory().join("new.raw");
    let command = || {
        let words = ["--image", &text(&image), "--size", "8M", "--table", "none", "--tar", &text(&file)];
        host.command(&[&["--quiet", "create", &name][..], &words].concat())
    };
    let before = (names(host)?, Snapshot::take(&host.scope())?);
    let remove = || -> Verdict {
        fs::remove_file(&image)?;
        Ok(fs::remove_dir_all(host.root_dir().join(&name))?)
    };
    let whole = stepper::walk(&command(), None, Duration::from_secs(30))?;
    assert_eq!(whole.code, 0, "{whole}");
    remove()?;
    let calls = whole.calls[0].len();
    let (mut made, mut nothing) = (0, 0);
    for call in (0..calls).filter(|call| call % 25 == 7 || call + 45 > calls) {
        let at = Point { process: 0, call };
        let walk = stepper::walk(&command(), Some(Harm::at(at, Fault::Kill)), Duration::from_secs(30))?;
        assert!(!walk.hung, "{at}: {walk}");
        host.done(&["--quiet", "create", &other, "--tar", &text(&other_file)])?;
        fs::remove_dir_all(host.subhost_dir().join(&other))?;
        if host.root_dir().join(&name).exists() {
            host.done(&["check", &name])?;
            host.witness("e2fsck", &["-f", "-n", &text(&image)])?;
            let said = host.witness("debugfs", &["-R", "cat /a/b", &text(&image)])?;
            assert_eq!((fs::metadata(&image)?.nlink(), &*said), (1, "content"), "{at}: {walk}");
            remove()?;
            made += 1;
        } else {
            nothing += 1;
        }
        assert_eq!(names(host)?, before.0, "{at}: {walk}");
        case::nothing_left(host, &before.1)?;
    }
    assert!(made > 0 && nothing > 10, "{made} {nothing}");
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let plain = archive(host)?;
    let (name, other) = (host.name("web"), host.name("other"));
    let image = text(&host.directory().join("new.raw"));
    host.done(&["create", &name, "--tar", &plain])?;
    fs::write(&image, "mine")?;
    let own = text(&host.root_dir().join("new/config"));
    host.config(&other, "DISKS=()\n")?;
    for (words, word) in [
        (vec!["create", &name, "--tar", &plain], "exists already"),
        (vec!["create", &other, "--tar", &plain], "exists already"),
        (vec!["create", "new", "--tar", &plain, "--image", &image], "--size"),
        (vec!["create", "new", "--tar", &plain, "--image", &image, "--size", "8M"], "exists already"),
        (vec!["create", "new", "--tar", &plain, "--size", "8M"], "--image"),
        (vec!["create", "new", "--tar", &plain, "--image", &own, "--size", "8M"], "another file"),
        (vec!["create", "new", "--tar", &plain, "--oci", "."], "--oci"),
        (vec!["create", "new"], "--tar"),
        (vec!["create", "../new", "--tar", &plain], "is a path"),
        (vec!["create", ".create-x", "--tar", &plain], "starts with"),
        (vec!["create", "new", "--clone", "nobody"], "nobody"),
    ] {
        let outcome = host.subhostctl(&words)?;
        assert!(outcome.code == 2 && outcome.stderr.contains(word), "{words:?}: {outcome}");
    }
    assert_eq!(fs::read_to_string(&image)?, "mine");
    assert_eq!(fs::read_dir(host.root_dir())?.count(), 1);
    assert_eq!(fs::read_dir(host.subhost_dir())?.count(), 1);
    let outcome = crate::look::as_nobody(host, &["create", "new", "--tar", &plain])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("needs root"), "{outcome}");
    Ok(())
}
