//! What a command for images and trees leaves that is killed: `doctor` tells all of it, and `recover` removes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use subhost_tests::archive::Archive;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::random::{Random, seed};
use subhost_tests::stepper::{self, Fault, Harm, Point};

use crate::create::{archive, text};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "what_is_killed_at_a_random_moment_leaves_what_doctor_tells_and_recover_removes",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyTree)],
        body: killed,
    },
    Case { name: "doctor_tells_nothing_of_what_is_at_work", needs: &[Need::Program], body: at_work },
];

/// At one call of each so many before the end, where things are made, and at one before that.
const LAST: usize = 75;
const STEP: usize = 15;

const PATIENCE: Duration = Duration::from_secs(60);

/// All names that begin with a dot and are not in a guest's tree.
fn hidden(host: &Host) -> std::io::Result<BTreeSet<PathBuf>> {
    let words = ["-mindepth", "1", "-name", "root", "-prune", "-o", "-name", ".*", "-print"];
    let found = host.witness("find", &[&[&*text(host.directory())], &words[..]].concat())?;
    Ok(found.lines().map(PathBuf::from).collect())
}

/// What `doctor` tells of killed commands.
fn told(host: &Host) -> Result<BTreeSet<PathBuf>, Box<dyn std::error::Error>> {
    let findings: Vec<Value> = serde_json::from_str(&host.subhostctl(&["--json", "doctor"])?.stdout)?;
    let is_killed =
        |it: &&Value| it["found"].as_str().is_some_and(|found| found.ends_with("that was killed"));
    Ok(findings.iter().filter(is_killed).filter_map(|it| it["what"].as_str()).map(PathBuf::from).collect())
}

/// A command, and what has to be there before it.
struct Victim<'a> {
    words: Vec<&'a str>,
    before: &'a dyn Fn() -> Verdict,
}

fn killed(host: &Host) -> Verdict {
    let seed = seed();
    println!("SUBHOST_SEED={seed}");
    let mut random = Random::new(seed);
    let (small, tiny) = (host.directory().join("small.tar"), archive(host)?);
    fs::write(&small, Archive::default().directory("a").file("a/b", "content").finish())?;
    let small = text(&small);
    let (web, disk, new) = (&*host.name("web"), &*host.name("disk"), &*host.name("new"));
    let file = |name: &str| text(&host.directory().join(name));
    let (image, spare, new_image) = (file("disk.raw"), file("spare.raw"), file("new.raw"));
    host.done(&["create", web, "--tar", &small])?;
    host.done(&["snapshot", web, "one"])?;
    host.done(&["create", disk, "--image", &image, "--size", "40M", "--tar", &tiny])?;
    host.witness("cp", &["--sparse=always", &image, &spare])?;

    let trees = host.subhost_dir();
    let two = trees.join(web).join("snapshot/two");
    let none = || -> Verdict {
        for path in [host.root_dir().join(new), trees.join(new), two.clone(), PathBuf::from(&new_image)] {
            host.witness("rm", &["-rf", &text(&path)])?;
        }
        Ok(())
    };
    let both = || -> Verdict {
        if !two.exists() {
            host.done(&["snapshot", web, "two"])?;
        }
        Ok(())
    };
    let large = || Ok(host.witness("cp", &["--sparse=always", &spare, &image]).map(drop)?);
    let victims = [
        Victim {
            words: vec![
                "create", new, "--image", &new_image, "--size", "8M", "--table", "none", "--tar", &small,
            ],
            before: &none,
        },
        Victim { words: vec!["create", new, "--tar", &small], before: &none },
        Victim { words: vec!["clone", web, new], before: &none },
        Victim { words: vec!["snapshot", web, "two"], before: &none },
        Victim { words: vec!["snapshot", "--remove", "--yes", web, "two"], before: &both },
        Victim { words: vec!["reset", "--yes", web, "one"], before: &none },
        Victim { words: vec!["resize", disk, "24M"], before: &large },
    ];
    let leaks = Snapshot::take(&host.scope())?;
    for Victim { words, before } in victims {
        let command = || host.command(&[&["--quiet"], &words[..]].concat());
        before()?;
        let whole = stepper::walk(&command(), None, PATIENCE)?;
        assert_eq!(whole.code, 0, "{whole}");
        let calls = whole.calls[0].len();
        let mut found = 0;
        let first = calls.saturating_sub(LAST);
        let mut moments = vec![random.index(first)];
        moments.extend((first..calls).step_by(STEP).map(|from| from + random.index(STEP)));
        for call in moments {
            before()?;
            let at = Point { process: 0, call };
            let walk = stepper::walk(&command(), Some(Harm::at(at, Fault::Kill)), PATIENCE)?;
            let what = format!("SUBHOST_SEED={seed} {words:?} {at}: {walk}");
            assert!(!walk.hung, "{what}");
            let (left, told) = (hidden(host)?, told(host)?);
            // An image lies elsewhere, and goes with its directory.
            let has_directory =
                |path: &PathBuf| told.iter().any(|it| path.starts_with(it) || is_image_of(path, it));
            assert_eq!(left.iter().find(|path| !has_directory(path)), None, "{told:?} {what}");
            found += told.len();
            // What it has started may be ending yet.
            let deadline = Instant::now() + PATIENCE;
            while let outcome = host.subhostctl(&["recover"])?
                && outcome.code != 0
            {
                assert!(Instant::now() < deadline, "{outcome} {what}");
            }
            assert_eq!(hidden(host)?, BTreeSet::new(), "{what}");
            assert_eq!(self::told(host)?, BTreeSet::new(), "{what}");
            whole_or_not(host, web, Some(disk).filter(|disk| words.contains(disk)), new, &what)?;
        }
        assert!(found > 0, "{words:?} has left nothing that was told");
    }
    none()?;
    host.done(&["recover"])?;
    case::nothing_left(host, &leaks)
}

fn is_image_of(path: &Path, directory: &Path) -> bool {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // The directory may have its own name already.
    name(path)
        .trim_start_matches(".create-")
        .starts_with(&format!("{}-", name(directory).trim_start_matches(".create-")))
}

/// Each of them is as it was, or as it was to be.
fn whole_or_not(host: &Host, web: &str, disk: Option<&str>, new: &str, what: &str) -> Verdict {
    let directory = host.subhost_dir().join(web);
    for root in
        [directory.join("root"), directory.join("snapshot/one/root"), directory.join("snapshot/two/root")]
    {
        if root.exists() || !root.ends_with("two/root") {
            assert_eq!(fs::read_to_string(root.join("a/b"))?, "content", "{what}");
        }
    }
    let list: Value = serde_json::from_str(&host.done(&["--json", "snapshot", "--list", web])?)?;
    let there = list["snapshots"].as_array().map(Vec::len);
    assert_eq!(there, Some(1 + usize::from(directory.join("snapshot/two").exists())), "{what}");
    if let Some(disk) = disk {
        host.done(&["check", "--fsck", disk])?;
    }
    if host.root_dir().join(new).exists() {
        host.done(&["check", "--fsck", new])?;
    }
    if host.subhost_dir().join(new).exists() {
        assert_eq!(fs::read_to_string(host.subhost_dir().join(new).join("root/a/b"))?, "content", "{what}");
    }
    Ok(())
}

/// One that makes something is no leftover, and is not disturbed.
fn at_work(host: &Host) -> Verdict {
    let fifo = text(&host.directory().join("fifo"));
    host.witness("mkfifo", &[&fifo])?;
    let (name, directory) =
        (host.name("web"), host.subhost_dir().join(format!(".create-{}", host.name("web"))));
    let mut running = host.start(&["create", &name, "--tar", &fifo])?;
    while !directory.join("root").exists() {
        if running.wait(Duration::from_millis(5))?.is_some() {
            return Err(running.finish(Duration::ZERO)?.to_string().into());
        }
    }
    assert_eq!(told(host)?, BTreeSet::new());
    host.done(&["recover"])?;
    host.done(&["recover", &name])?;
    assert!(directory.join("root").exists());
    running.kill()?;
    running.finish(Duration::from_secs(30))?;
    assert_eq!(told(host)?, BTreeSet::from([directory.clone()]));
    // Of another one only.
    host.done(&["recover", &host.name("other")])?;
    assert!(directory.exists());
    let outcome = host.subhostctl(&["recover", &name])?;
    assert!(outcome.code == 0 && outcome.stderr.contains("create or clone"), "{outcome}");
    assert!(!directory.exists() && told(host)?.is_empty());
    Ok(())
}
