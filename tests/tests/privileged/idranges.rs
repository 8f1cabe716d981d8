//! Which ids of the host guests are given by themselves.

use std::fs;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{Outcome, Running};

pub(crate) const CASES: &[Case] = &[Case {
    name: "ids_of_guests_are_those_that_subuid_gives_to_root_and_nobody_elses",
    needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
    body: subuid,
}];

const PATIENCE: Duration = Duration::from_secs(30);

fn run(host: &Host, tree: &str) -> std::io::Result<Outcome> {
    host.subhostctl(&["run", "--overlay", tree, "--", "cat", "/proc/self/uid_map", "/proc/self/gid_map"])
}

/// The first id of the host that a `run` is given.
fn first(host: &Host, tree: &str) -> Result<u32, Box<dyn std::error::Error>> {
    let outcome = run(host, tree)?;
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    let [_, first, "65536", _, same, "65536"] = words[..] else { return Err(outcome.to_string().into()) };
    assert_eq!(first, same, "{outcome}");
    Ok(first.parse()?)
}

/// Starts one that stays, and waits until it is in the list.
fn stays(host: &Host, name: &str, tree: &str) -> Result<Running, Box<dyn std::error::Error>> {
    let name = host.name(name);
    let running = host.start(&["run", "--name", &name, "--overlay", tree, "--", "sleep", "1000"])?;
    let deadline = Instant::now() + PATIENCE;
    while host.running(&name).is_err() {
        assert!(Instant::now() < deadline, "{name} does not run");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(running)
}

fn subuid(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?.display().to_string();
    // An /etc of this test alone.
    let layers = host.directory().join("etc");
    fs::create_dir(&layers)?;
    let layers = layers.display().to_string();
    host.witness("mount", &["-t", "tmpfs", "none", &layers])?;
    host.witness("mkdir", &[&format!("{layers}/upper"), &format!("{layers}/work")])?;
    let options = format!("lowerdir=/etc,upperdir={layers}/upper,workdir={layers}/work");
    host.witness("mount", &["-t", "overlay", "-o", &options, "none", "/etc"])?;
    let write =
        |uids: &str, gids: &str| fs::write("/etc/subuid", uids).and_then(|()| fs::write("/etc/subgid", gids));

    write("", "")?;
    assert_eq!(first(host, &tree)?, 524_288);
    fs::remove_file("/etc/subuid")?;
    fs::remove_file("/etc/subgid")?;
    assert_eq!(first(host, &tree)?, 524_288);
    // As Fedora gives to its first user.
    write("ann:524288:65536\nbob:589824:1\n", "ann:524288:65536\n")?;
    assert_eq!(first(host, &tree)?, 589_825);

    let roots = "ann:100000:65536\nroot:3000000:140000\n";
    write(roots, roots)?;
    assert_eq!(first(host, &tree)?, 3_000_000);
    let mut one = stays(host, "one", &tree)?;
    assert_eq!(first(host, &tree)?, 3_065_536);
    let mut other = stays(host, "other", &tree)?;
    let refused = run(host, &tree)?;
    assert!(refused.code == 125 && refused.stderr.contains("2 times 65536"), "{refused}");
    one.terminate()?;
    one.finish(PATIENCE)?;
    assert_eq!(first(host, &tree)?, 3_000_000);
    other.terminate()?;
    other.finish(PATIENCE)?;

    for (uids, gids, why) in [
        ("root:3000000:65535\n", "root:3000000:65536\n", "no 65536 ids in a row"),
        ("root:3000000:65536\nann:3000010:1\n", "root:3000000:65536\n", "no 65536 ids in a row"),
        ("root:3000000:65536\n", "", "/etc/subgid has none"),
        ("ann:1:1\nroot:x:65536\n", "root:3000000:65536\n", "/etc/subuid:2: \"root:x:65536\" is not"),
    ] {
        write(uids, gids)?;
        let refused = run(host, &tree)?;
        assert!(refused.code == 125 && refused.stderr.contains(why), "{uids:?} {gids:?}: {refused}");
    }
    host.witness("umount", &["/etc"])?;
    host.witness("umount", &[&layers])?;
    Ok(())
}
