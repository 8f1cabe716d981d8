//! `diff`, `snapshot`, `reset`, `clone` and `export`: what a subhost has changed of its base, and its way back.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{XattrFlags, setxattr};
use serde_json::Value;
use subhost_tests::canary::{Canary, facts};
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::create::{archive, text};
use crate::linger::{Started, copy};
use crate::{BRIDGE, bridge};

const TREE: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "diff_tells_what_the_overlay_shows_and_the_base_does_not", needs: TREE, body: differs },
    Case { name: "snapshot_keeps_a_layer_and_reset_goes_back", needs: TREE, body: back },
    Case { name: "snapshots_are_listed_and_removed_unless_somebody_uses_them", needs: TREE, body: listed },
    Case { name: "snapshot_without_room_leaves_nothing_and_says_so", needs: TREE, body: no_room },
    Case { name: "diff_believes_no_mark_that_leads_elsewhere", needs: TREE, body: marks },
    Case { name: "reset_takes_away_what_one_that_was_killed_has_left", needs: TREE, body: killed },
    Case { name: "clone_makes_a_second_one_with_a_name_and_addresses_of_its_own", needs: TREE, body: cloned },
    Case { name: "export_gives_what_the_guest_sees_and_create_takes_it_back", needs: TREE, body: exported },
    Case {
        name: "copies_share_their_blocks_where_the_file_system_can",
        needs: &[Need::Program],
        body: shared,
    },
    Case { name: "layers_of_one_that_is_not_stopped_are_left_alone", needs: TREE, body: refused },
    Case {
        name: "diff_and_export_read_one_that_is_not_stopped",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree), Need::Made(Fixture::TinyMbr)],
        body: running,
    },
];

const CHANGES: &str = "set -e
    rm /etc/passwd; echo new >>/etc/group; mkdir -p /etc/added/deep; echo x >/etc/added/deep/file
    rm -r /etc/more; mkdir /etc/more; echo x >/etc/more/other; chmod 700 /tmp; mv /etc/init.d /etc/moved
    ln -s /x /soft; mkfifo /fifo; rm /usr/sbin/httpd; touch /var/log/new; rm -r /mnt; echo file >/mnt
    rm /linuxrc; mkdir /linuxrc";

/// Two subhosts over two layers: one has its own in a directory, the other in an image.
fn both(host: &Host) -> Result<[Started<'_>; 2], Box<dyn std::error::Error>> {
    bridge(host)?;
    let (base, top) = (host.directory().join("base"), host.directory().join("top"));
    copy(host, &Fixture::TinyTree.path()?, &base)?;
    fs::create_dir_all(top.join("etc/more/directory"))?;
    for file in ["file", "other", "directory/file"] {
        fs::write(top.join("etc/more").join(file), file)?;
    }
    let config = format!("BASE=( {} {} )", top.display(), base.display());
    let (directory, image) = (Started::new(host, "fo", &config)?, Started::new(host, "im", &config)?);
    let tree = host.directory().join("empty");
    fs::create_dir_all(tree.join("root"))?;
    fs::create_dir_all(tree.join("work"))?;
    let made = host.ext4_of(&tree, "made.img")?;
    fs::rename(made, image.directory().join(format!("{}.img", image.name)))?;
    Ok([directory, image])
}

/// Stops it, and comes back when its cable is gone, too.
fn stop(started: &Started<'_>) -> std::io::Result<()> {
    started.host.done(&["stop", "--wait", &started.name]).map(drop)
}

/// What `diff` tells.
fn diff(host: &Host, name: &str) -> std::io::Result<Vec<String>> {
    Ok(host.done(&["diff", name])?.lines().map(str::to_owned).collect())
}

/// The same by a program that knows nothing of overlays: it compares what is seen. Below a directory that is gone it
/// tells nothing.
fn witness(host: &Host, before: &Path, after: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let list = |tree: &Path| -> std::io::Result<Vec<(String, String)>> {
        let found =
            host.witness("find", &[&text(tree), "-mindepth", "1", "-printf", "/%P\t%y %m %s %l %T@\n"])?;
        Ok(found
            .lines()
            .filter_map(|it| it.split_once('\t'))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect())
    };
    let (before, after) = (list(before)?, list(after)?);
    let of =
        |list: &[(String, String)], path: &str| list.iter().find(|it| it.0 == path).map(|it| it.1.clone());
    let mut lines = Vec::new();
    for (path, now) in &after {
        match of(&before, path) {
            None => lines.push(format!("A {path}")),
            Some(was) if was.starts_with('d') && now.starts_with('d') => {
                // Of directories the mode alone.
                if was.split(' ').nth(1) != now.split(' ').nth(1) {
                    lines.push(format!("M {path}"));
                }
            }
            Some(was) if was != *now => lines.push(format!("M {path}")),
            Some(_) => {}
        }
    }
    for (path, _) in before.iter().filter(|(path, _)| of(&after, path).is_none()) {
        let is_below = before.iter().any(|(above, _)| {
            path.starts_with(&format!("{above}/"))
                && of(&after, above).is_none_or(|now| !now.starts_with('d'))
        });
        if !is_below {
            lines.push(format!("D {path}"));
        }
    }
    lines.sort_by(|a, b| Path::new(&a[2..]).cmp(Path::new(&b[2..])));
    Ok(lines)
}

fn differs(host: &Host) -> Verdict {
    for started in both(host)? {
        let name = &started.name;
        // Of one that was never started.
        assert_eq!(diff(host, name)?, Vec::<String>::new());
        started.run("true")?;
        let before = host.directory().join(format!("before-{name}"));
        host.witness("cp", &["-a", &text(&started.live("")), &text(&before)])?;
        started.run(CHANGES)?;
        let after = host.directory().join(format!("after-{name}"));
        host.witness("cp", &["-a", &text(&started.live("")), &text(&after)])?;
        stop(&started)?;
        let leaks = Snapshot::take(&host.scope())?;
        let lines = diff(host, name)?;
        let seen = witness(host, &before, &after)?;
        assert!(lines.len() > 15 && lines.contains(&"D /etc/more/directory".to_owned()), "{lines:?}");
        assert_eq!(lines, seen);
        let json: Value = serde_json::from_str(&host.done(&["--json", "diff", name])?)?;
        let changes = json["changes"].as_array().ok_or("no changes")?;
        assert_eq!(
            (changes.len(), &json["name"], &json["version"]),
            (lines.len(), &name.as_str().into(), &1.into())
        );
        for (line, change) in lines.iter().zip(changes) {
            let word = match &line[..1] {
                "A" => "added",
                "M" => "changed",
                _ => "removed",
            };
            assert_eq!(*change, serde_json::json!({ "path": &line[2..], "change": word }));
        }
        case::nothing_left(host, &leaks)?;
    }
    Ok(())
}

fn back(host: &Host) -> Verdict {
    for started in both(host)? {
        let name = &started.name;
        let base = facts(&host.directory().join("base"))?;
        started.run(CHANGES)?;
        stop(&started)?;
        let (first, leaks) = (diff(host, name)?, Snapshot::take(&host.scope())?);
        host.done(&["snapshot", name, "one"])?;
        case::nothing_left(host, &leaks)?;
        assert_eq!(diff(host, name)?, first);
        started.run("echo two >/two; rm /soft")?;
        stop(&started)?;
        let second = diff(host, name)?;
        assert_ne!(second, first);
        host.done(&["snapshot", name, "two"])?;
        // Nobody is asked, so nothing is done.
        let outcome = host.subhostctl(&["reset", name])?;
        assert!(outcome.code == 2 && outcome.stderr.contains("--yes"), "{outcome}");
        assert_eq!(diff(host, name)?, second);
        let leaks = Snapshot::take(&host.scope())?;
        for (words, wanted) in [
            (vec!["--force"], &Vec::new()),
            (vec!["one", "--yes"], &first),
            (vec!["two", "--yes"], &second),
            (vec!["one", "--yes"], &first),
        ] {
            host.done(&[&["reset", name], &words[..]].concat())?;
            assert_eq!(diff(host, name)?, *wanted, "{words:?}");
            case::nothing_left(host, &leaks)?;
        }
        assert_eq!(started.run("cat /etc/added/deep/file; ls /two 2>/dev/null || echo none")?, "x\nnone\n");
        stop(&started)?;
        for (words, word) in [
            (vec!["snapshot", name, "one"], "exists already"),
            (vec!["reset", name, "three", "--yes"], "is not there"),
            (vec!["reset", name, "../x", "--yes"], "is a path"),
            (vec!["snapshot", name, ".unfinished"], "starts with"),
        ] {
            let outcome = host.subhostctl(&words)?;
            assert!(outcome.code == 2 && outcome.stderr.contains(word), "{words:?}: {outcome}");
        }
        assert!(facts(&host.directory().join("base"))? == base, "the base has changed");
    }
    Ok(())
}

fn listed(host: &Host) -> Verdict {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map(|it| it.as_secs());
    for started in both(host)? {
        let name = &started.name;
        let list = || -> Result<Vec<Value>, Box<dyn std::error::Error>> {
            let json: Value = serde_json::from_str(&host.done(&["--json", "snapshot", "--list", name])?)?;
            assert_eq!(json["name"], **name);
            Ok(json["snapshots"].as_array().ok_or("no snapshots")?.clone())
        };
        assert_eq!(list()?, Vec::<Value>::new());
        started.run(CHANGES)?;
        stop(&started)?;
        let begun = now()?;
        for snapshot in ["two", "one"] {
            host.done(&["snapshot", name, snapshot])?;
        }
        let directory = started.directory().join("snapshot");
        // What is not on the disk yet takes no blocks, and then some.
        host.witness("sync", &["-f", &text(&directory)])?;
        let found = list()?;
        let names: Vec<_> = found.iter().map(|it| it["name"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, ["one", "two"]);
        let du = host.witness("du", &["-s", "--block-size=1", &text(&directory.join("one"))])?;
        let own = fs::metadata(directory.join("one"))?.blocks() * 512;
        let du: u64 = du.split_whitespace().next().unwrap_or_default().parse()?;
        assert_eq!(found[0]["bytes"], du - own);
        let made = found[0]["made"].as_u64().ok_or("no time")?;
        assert!((begun..=now()?).contains(&made), "{made} since {begun}");
        let table = host.done(&["snapshot", "--list", name])?;
        assert!(table.starts_with("SNAPSHOT  MADE") && table.lines().count() == 3, "{table}");

        // Who uses it: a mount, an image, the base of another one.
        let place = text(&directory.join("one"));
        host.witness("mount", &["--bind", &place, &place])?;
        let outcome = host.subhostctl(&["snapshot", "--remove", name, "one", "--yes"])?;
        host.witness("umount", &[&place])?;
        assert!(outcome.code == 2 && outcome.stderr.contains("in use by what is mounted"), "{outcome}");
        if directory.join("one/image").exists() {
            let image = text(&directory.join("one/image"));
            let device = host.witness("losetup", &["--find", "--show", &image])?;
            let outcome = host.subhostctl(&["snapshot", "--remove", name, "one", "--yes"])?;
            host.witness("losetup", &["--detach", device.trim()])?;
            assert!(outcome.code == 2 && outcome.stderr.contains("in use"), "{outcome}");
        } else {
            // A link leads there, too.
            let link = host.directory().join("link");
            std::os::unix::fs::symlink(directory.join("one"), &link)?;
            let base = host.directory().join("base");
            let config = format!("BASE=( {}/root {} )", link.display(), base.display());
            let over = Started::new(host, "over", &config)?;
            let outcome = host.subhostctl(&["snapshot", "--remove", name, "one", "--yes"])?;
            assert!(
                outcome.code == 2 && outcome.stderr.contains(&format!("is in the base of {}", over.name)),
                "{outcome}"
            );
            fs::remove_dir_all(over.directory())?;
        }
        for (words, word) in [
            (vec!["--remove", name, "one"], "--yes"),
            (vec!["--remove", name, "three", "--yes"], "--list"),
            (vec!["--remove", name, "../one", "--yes"], "is a path"),
            (vec!["--remove", name, ".removed", "--yes"], "starts with"),
            (vec!["--remove", name], "SNAPSHOT"),
            (vec!["--remove", "--list", name], "--list"),
            (vec!["--list", "nobody"], "nobody"),
        ] {
            let outcome = host.subhostctl(&[&["snapshot"], &words[..]].concat())?;
            assert!(outcome.code == 2 && outcome.stderr.contains(word), "{words:?}: {outcome}");
        }
        assert_eq!(list()?.len(), 2);
        // One that lingers does not use them. What a killed one has left goes along.
        started.run("true")?;
        fs::create_dir(directory.join(".removed"))?;
        host.done(&["snapshot", "--remove", name, "one", "--yes"])?;
        stop(&started)?;
        let left: Vec<_> =
            fs::read_dir(&directory)?.map(|it| Ok(it?.file_name())).collect::<std::io::Result<_>>()?;
        assert_eq!(left, ["two"]);
        host.done(&["reset", name, "two", "--yes"])?;
        assert!(diff(host, name)?.contains(&"A /soft".to_owned()));
    }
    Ok(())
}

/// Row L7 of docs/security.md.
fn marks(host: &Host) -> Verdict {
    let [started, _] = both(host)?;
    let canary = Canary::plant(host)?;
    let name = &started.name;
    started.run("mkdir /redirected; mkdir /etc/init.d/x; : >/empty; : >/etc/group")?;
    stop(&started)?;
    let upper = started.directory().join("root");
    let place = text(canary.directory());
    setxattr(upper.join("redirected"), "trusted.overlay.redirect", place.as_bytes(), XattrFlags::empty())?;
    setxattr(upper.join("etc/group"), "trusted.overlay.whiteout", b"", XattrFlags::empty())?;
    setxattr(upper.join("etc/init.d"), "trusted.overlay.opaque", &vec![b'y'; 5000], XattrFlags::empty())
        .or_else(|_| {
            setxattr(upper.join("etc/init.d"), "trusted.overlay.opaque", b"n", XattrFlags::empty())
        })?;
    std::os::unix::fs::symlink(&place, upper.join("away"))?;
    fs::rename(upper.join("empty"), upper.join("a\u{1b}[2J"))?;
    let outcome = host.subhostctl(&["diff", name])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let wanted = ["A /a\u{fffd}[2J", "A /away", "D /etc/group", "A /etc/init.d/x", "A /redirected"];
    assert_eq!(lines, wanted);
    assert!(outcome.stderr.contains("redirected: says that it is another directory"), "{outcome}");
    canary.unharmed()
}

fn killed(host: &Host) -> Verdict {
    for started in both(host)? {
        let name = &started.name;
        started.run(CHANGES)?;
        stop(&started)?;
        host.done(&["snapshot", name, "one"])?;
        let changes = diff(host, name)?;
        // What is beside it before and after the exchange, and of a snapshot that was not whole.
        let fresh = started.directory().join(".reset");
        let unfinished = started.directory().join("snapshot/.unfinished");
        for directory in [&fresh, &unfinished] {
            fs::create_dir_all(directory.join("etc"))?;
            fs::write(directory.join("etc/file"), "left")?;
        }
        host.done(&["snapshot", name, "two"])?;
        assert!(!unfinished.exists());
        host.done(&["reset", name, "two", "--yes"])?;
        assert!(!fresh.exists() && diff(host, name)? == changes);
        host.done(&["reset", name, "--yes"])?;
        assert_eq!(diff(host, name)?, Vec::<String>::new());
    }
    Ok(())
}

fn cloned(host: &Host) -> Verdict {
    for started in both(host)? {
        let (name, new) = (&started.name, host.name(&format!("n{}", &started.name[..2])));
        started.run(CHANGES)?;
        stop(&started)?;
        let leaks = Snapshot::take(&host.scope())?;
        let outcome = host.subhostctl(&["clone", name, &new])?;
        assert!(outcome.code == 0 && outcome.stderr.contains("MAC addresses of their own"), "{outcome}");
        case::nothing_left(host, &leaks)?;
        assert_eq!(diff(host, &new)?, diff(host, name)?);
        let clone = Started { host, name: new.clone() };
        let said = clone.run("hostname; cat /etc/added/deep/file /sys/class/net/eth0/address; rm /soft")?;
        assert!(said.starts_with(&format!("{new}\nx\n")) && !said.contains(crate::MAC), "{said}");
        stop(&clone)?;
        assert_ne!(diff(host, &new)?, diff(host, name)?);
        let outcome = host.subhostctl(&["clone", name, &new])?;
        assert!(outcome.code == 2 && outcome.stderr.contains("exists already"), "{outcome}");
    }
    // One with disks.
    let archive = archive(host)?;
    let (name, new) = (host.name("di"), host.name("dj"));
    let image = host.directory().join("di.raw");
    host.done(&["create", &name, "--image", &text(&image), "--size", "24M", "--tar", &archive])?;
    host.config(&name, &format!("DISKS=( vda:1:{} )\nBRIDGES={BRIDGE}:{}\n", image.display(), crate::MAC))?;
    host.done(&["clone", &name, &new])?;
    host.witness("cmp", &[&text(&image), &text(&host.root_dir().join(&new).join("vda.img"))])?;
    for name in [&name, &new] {
        crate::boot(host, name)?;
    }
    let address = |name: &str| host.done(&["exec", name, "--", "cat", "/sys/class/net/eth0/address"]);
    assert_ne!(address(&name)?, address(&new)?);
    host.done(&["stop", &name, &new])?;
    Ok(())
}

fn shared(host: &Host) -> Verdict {
    let image = text(&crate::filesystems::made(host, "btrfs", &["mkfs.btrfs", "-q"])?);
    let place = host.subhost_dir();
    fs::create_dir(&place)?;
    host.witness("mount", &["-o", "loop", &image, &text(&place)])?;
    let (name, large) = (host.name("web"), 64 << 20);
    let root = place.join(&name).join("root");
    fs::create_dir_all(&root)?;
    fs::write(root.join("large"), vec![7; large])?;
    let used = || -> Result<usize, Box<dyn std::error::Error>> {
        host.witness("sync", &["-f", &text(&place)])?;
        let said = host.witness("df", &["--block-size=1", "--output=used", &text(&place)])?;
        Ok(said.lines().last().unwrap_or_default().trim().parse()?)
    };
    let before = used()?;
    assert!(before > large, "{before}");
    host.done(&["clone", &name, &host.name("second")])?;
    host.done(&["snapshot", &name, "one"])?;
    host.done(&["reset", &name, "one", "--yes"])?;
    let copy = place.join(host.name("second")).join("root/large");
    host.witness("cmp", &[&text(&copy), &text(&root.join("large"))])?;
    assert!(used()? < before + large / 4, "{before} and then {}", used()?);
    // A witness: a copy that shares nothing is seen.
    host.witness("cp", &["--reflink=never", &text(&copy), &text(&place.join("copy"))])?;
    assert!(used()? > before + large / 2, "{before} and then {}", used()?);
    host.witness("umount", &[&text(&place)])?;
    Ok(())
}

fn exported(host: &Host) -> Verdict {
    for started in both(host)? {
        let name = &started.name;
        started.run(CHANGES)?;
        started.run("chown 7:8 /etc/group; chmod 4755 /etc/added/deep/file; ln /etc/group /hard")?;
        let seen =
            host.witness("find", &[&text(&started.live("")), "-mindepth", "1", "-printf", "%P %y %m %l\n"])?;
        stop(&started)?;
        let (file, leaks) = (text(&host.directory().join("out.tar")), Snapshot::take(&host.scope())?);
        host.done(&["export", name, &file])?;
        case::nothing_left(host, &leaks)?;
        assert_eq!(fs::metadata(&file)?.mode() & 0o7777, 0o600);
        let list = host.witness("tar", &["--numeric-owner", "-tvf", &file])?;
        assert!(
            list.contains(" 7/8 ") && list.contains("-rwsr-xr-x 0/0") && list.contains("link to"),
            "{list}"
        );
        assert!(!list.contains("./etc/passwd") && list.contains("./etc/more/other"), "{list}");
        let new = host.name(&format!("x{}", &name[..2]));
        host.done(&["create", &new, "--tar", &file])?;
        let root = host.subhost_dir().join(&new).join("root");
        let made = host.witness("find", &[&text(&root), "-mindepth", "1", "-printf", "%P %y %m %l\n"])?;
        let sorted = |text: &str| {
            let own = ["etc/hostname ", "etc/hosts ", "etc/network", "etc d"];
            let lines = text.lines().filter(|line| !own.iter().any(|own| line.starts_with(own)));
            lines.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(
            sorted(&made).symmetric_difference(&sorted(&seen)).collect::<Vec<_>>(),
            Vec::<&String>::new()
        );
        assert_eq!(fs::metadata(root.join("hard"))?.ino(), fs::metadata(root.join("etc/group"))?.ino());
        // Into an image, and with attributes.
        setxattr(root.join("etc/group"), "user.note", b"kept", XattrFlags::empty())?;
        setxattr(root.join("etc/group"), "trusted.overlay.redirect", b"/x", XattrFlags::empty())?;
        let (image, last) =
            (text(&host.directory().join(format!("{name}.raw"))), host.name(&format!("y{}", &name[..2])));
        host.done(&[
            "create", &last, "--image", &image, "--size", "32M", "--table", "none", "--clone", &new,
        ])?;
        let attributes = host.witness("debugfs", &["-R", "ea_list /etc/group", &image])?;
        assert!(attributes.contains("user.note") && !attributes.contains("trusted"), "{attributes}");
    }
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let [started, _] = both(host)?;
    let name = &started.name;
    started.run(CHANGES)?;
    let upper = facts(&started.directory().join("root"))?;
    for words in [vec!["snapshot", name, "one"], vec!["reset", name, "--yes"], vec!["clone", name, "new"]] {
        let outcome = host.subhostctl(&words)?;
        assert!(outcome.code == 2 && outcome.stderr.contains("lingers"), "{words:?}: {outcome}");
    }
    assert!(facts(&started.directory().join("root"))? == upper, "its layer has changed");
    stop(&started)?;
    let own = Started::new(host, "own", "")?.with_tree()?;
    for (words, word) in [
        (vec!["diff", &*own.name], "has no base"),
        (vec!["reset", &*own.name, "--yes"], "has no base"),
        (vec!["diff", "nobody"], "nobody"),
    ] {
        let outcome = host.subhostctl(&words)?;
        assert!(outcome.code == 2 && outcome.stderr.contains(word), "{words:?}: {outcome}");
    }
    for words in [["diff", name, ""], ["export", name, "x"], ["snapshot", name, "x"]] {
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let outcome = crate::look::as_nobody(host, &words)?;
        assert!(outcome.code == 2 && outcome.stderr.contains("needs root"), "{outcome}");
    }
    Ok(())
}

fn running(host: &Host) -> Verdict {
    for started in both(host)? {
        let name = &started.name;
        let file = text(&host.directory().join(format!("{name}.tar")));
        let listed = || host.witness("tar", &["--numeric-owner", "-tvf", &file]);
        // One that lingers.
        started.run("echo x >/made; chown 7:8 /made; rm /etc/passwd; mkdir /changing")?;
        let lingering = diff(host, name)?;
        let named = |lines: &[String], line: &str| lines.iter().any(|it| it == line);
        assert!(named(&lingering, "A /made") && named(&lingering, "D /etc/passwd"), "{lingering:?}");
        host.done(&["export", name, &file])?;
        let list = listed()?;
        assert!(
            list.contains(" 7/8 ") && list.contains("./made") && !list.contains("./etc/passwd"),
            "{list}"
        );
        assert!(list.contains("./bin/busybox"), "{list}");

        // One that runs, and changes all the time.
        let script = "cd /changing; n=0; while :; do n=$((n+1)); mkdir d; : >d/f; : >f$n; rm -r d f$n; done";
        let mut guest = host.start(&["start", name, "--", "sh", "-c", script])?;
        while host.guest(name)?.is_none_or(|guest| guest.state() != "running") {
            if guest.wait(Duration::from_millis(5))?.is_some() {
                return Err(guest.finish(Duration::ZERO)?.to_string().into());
            }
        }
        for _ in 0..20 {
            let outcome = host.subhostctl(&["diff", name])?;
            assert!(outcome.code == 0 && outcome.stdout.contains("A /made\n"), "{outcome}");
            assert!(outcome.stderr.contains("runs, and what it changes meanwhile"), "{outcome}");
        }
        let json: Value = serde_json::from_str(&host.done(&["--json", "diff", name])?)?;
        assert_eq!(json["notes"].as_array().map(Vec::len), Some(1));
        fs::remove_file(&file)?;
        let outcome = host.subhostctl(&["export", name, &file])?;
        assert!(outcome.code == 2 && outcome.stderr.contains("subhostctl pause"), "{outcome}");
        host.done(&["pause", name])?;
        let outcome = host.subhostctl(&["diff", name])?;
        assert!(outcome.code == 0 && !outcome.stderr.contains("meanwhile"), "{outcome}");
        host.done(&["export", name, &file])?;
        assert!(listed()?.contains("./made"));
        // Let go on in the middle: more than a pipe takes is not read yet.
        fs::remove_file(&file)?;
        let words = ["export", name, "-"];
        let mut export = host.command(&words);
        let mut export = export.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut out = export.stdout.take().ok_or("no output")?;
        out.read_exact(&mut [0; 512])?;
        host.done(&["resume", name])?;
        std::io::copy(&mut out, &mut std::io::sink())?;
        drop(out);
        let outcome = export.wait_with_output()?;
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.code() == Some(1) && said.contains("let go on meanwhile"), "{said}");
        host.done(&["stop", "--wait", name])?;
        guest.finish(Duration::from_secs(30))?;
        assert!(diff(host, name)?.contains(&"A /made".to_owned()));
    }
    // One with disks has them for itself.
    let (name, image) = (host.name("di"), host.copy_of(Fixture::TinyMbr)?);
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    crate::boot(host, &name)?;
    host.done(&["pause", &name])?;
    let outcome = host.subhostctl(&["export", &name, "-"])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("--reflink"), "{outcome}");
    host.done(&["resume", &name])?;
    host.done(&["stop", &name])?;
    host.done(&["export", &name, &text(&host.directory().join("disk.tar"))])?;
    Ok(())
}

fn no_room(host: &Host) -> Verdict {
    let full = Started::new(host, "full", "")?.with_tree()?;
    let place = full.directory().join("snapshot");
    fs::create_dir(&place)?;
    host.witness("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", &text(&place)])?;
    let outcome = host.subhostctl(&["snapshot", &full.name, "one"])?;
    assert!(outcome.code == 1 && outcome.stderr.contains("No space left"), "{outcome}");
    assert_eq!(fs::read_dir(&place)?.count(), 0);
    host.witness("umount", &[&text(&place)])?;
    Ok(())
}
