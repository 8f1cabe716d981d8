//! `diff`, `snapshot`, `reset`, `clone` and `export`: what a subhost has changed of its base, and its way back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{XattrFlags, setxattr};
use serde_json::Value;
use subhost_tests::canary::{Canary, facts};
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::linger::{Started, copy};
use crate::{BRIDGE, bridge};

const TREE: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "diff_tells_what_the_overlay_shows_and_the_base_does_not", needs: TREE, body: differs },
    Case { name: "snapshot_keeps_a_layer_and_reset_goes_back", needs: TREE, body: back },
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
];

const CHANGES: &str = "set -e
    rm /etc/passwd; echo new >>/etc/group; mkdir -p /etc/added/deep; echo x >/etc/added/deep/file
    rm -r /etc/more; mkdir /etc/more; echo x >/etc/more/other; chmod 700 /tmp; mv /etc/init.d /etc/moved
    ln -s /x /soft; mkfifo /fifo; rm /usr/sbin/httpd; touch /var/log/new; rm -r /mnt; echo file >/mnt
    rm /linuxrc; mkdir /linuxrc";

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Two subhosts over two layers: one has its own in a folder, the other in an image.
fn both(host: &Host) -> Result<[Started<'_>; 2], Box<dyn std::error::Error>> {
    bridge(host)?;
    let (base, top) = (host.folder().join("base"), host.folder().join("top"));
    copy(host, &Fixture::TinyTree.path()?, &base)?;
    fs::create_dir_all(top.join("etc/more/folder"))?;
    for file in ["file", "other", "folder/file"] {
        fs::write(top.join("etc/more").join(file), file)?;
    }
    let config = format!("BASE=( {} {} )", top.display(), base.display());
    let (folder, image) = (Started::new(host, "fo", &config)?, Started::new(host, "im", &config)?);
    let tree = host.folder().join("empty");
    fs::create_dir_all(tree.join("root"))?;
    fs::create_dir_all(tree.join("work"))?;
    let made = host.ext4_of(&tree, "made.img")?;
    fs::rename(made, image.folder().join(format!("{}.img", image.name)))?;
    Ok([folder, image])
}

/// Stops it, and comes back when its cable is gone, too.
fn stop(started: &Started<'_>) -> std::io::Result<()> {
    started.host.done(&["stop", "--wait", &started.name]).map(drop)
}

/// What `diff` tells.
fn diff(host: &Host, name: &str) -> std::io::Result<Vec<String>> {
    Ok(host.done(&["diff", name])?.lines().map(str::to_owned).collect())
}

/// The same by a program that knows nothing of overlays: it compares what is seen. Below a folder that is gone it tells
/// nothing.
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
                // Of folders the mode alone.
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
        let before = host.folder().join(format!("before-{name}"));
        host.witness("cp", &["-a", &text(&started.live("")), &text(&before)])?;
        started.run(CHANGES)?;
        let after = host.folder().join(format!("after-{name}"));
        host.witness("cp", &["-a", &text(&started.live("")), &text(&after)])?;
        stop(&started)?;
        let leaks = Snapshot::take(&host.scope())?;
        let lines = diff(host, name)?;
        let seen = witness(host, &before, &after)?;
        assert!(lines.len() > 15 && lines.contains(&"D /etc/more/folder".to_owned()), "{lines:?}");
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
        let base = facts(&host.folder().join("base"))?;
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
            (vec!["snapshot", name, "one"], "is there already"),
            (vec!["reset", name, "three", "--yes"], "is not there"),
            (vec!["reset", name, "../x", "--yes"], "is a path"),
            (vec!["snapshot", name, ".unfinished"], "starts with"),
        ] {
            let outcome = host.subhostctl(&words)?;
            assert!(outcome.code == 2 && outcome.stderr.contains(word), "{words:?}: {outcome}");
        }
        assert!(facts(&host.folder().join("base"))? == base, "the base has changed");
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
    let upper = started.folder().join("root");
    let place = text(canary.folder());
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
    assert!(outcome.stderr.contains("redirected: says that it is another folder"), "{outcome}");
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
        let fresh = started.folder().join(".reset");
        let unfinished = started.folder().join("snapshot/.unfinished");
        for folder in [&fresh, &unfinished] {
            fs::create_dir_all(folder.join("etc"))?;
            fs::write(folder.join("etc/file"), "left")?;
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
        assert!(outcome.code == 2 && outcome.stderr.contains("is there already"), "{outcome}");
    }
    // One with disks.
    let archive = text(&host.folder().join("tiny.tar"));
    host.witness("tar", &["-C", &text(&Fixture::TinyTree.path()?), "-cf", &archive, "."])?;
    let (name, new) = (host.name("di"), host.name("dj"));
    let image = host.folder().join("di.raw");
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
        let (file, leaks) = (text(&host.folder().join("out.tar")), Snapshot::take(&host.scope())?);
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
            (text(&host.folder().join(format!("{name}.raw"))), host.name(&format!("y{}", &name[..2])));
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
    let upper = facts(&started.folder().join("root"))?;
    for words in [
        vec!["diff", name],
        vec!["snapshot", name, "one"],
        vec!["reset", name, "--yes"],
        vec!["clone", name, "new"],
        vec!["export", name],
    ] {
        let outcome = host.subhostctl(&words)?;
        assert!(outcome.code == 2 && outcome.stderr.contains("lingers"), "{words:?}: {outcome}");
    }
    assert!(facts(&started.folder().join("root"))? == upper, "its layer has changed");
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
