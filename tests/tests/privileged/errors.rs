//! What is refused, and how that is said: a line each, for what no other case comes by.

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::Outcome;

use crate::boot;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "what_cannot_be_done_is_refused_with_its_reason",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: refused,
    },
    Case {
        name: "what_cannot_be_done_to_one_that_runs_is_refused",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: refused_while_running,
    },
];

/// A command line, its status, and a part of what it says.
type Refusal<'a> = (&'a [&'a str], i32, &'a str);

fn hold(host: &Host, refusals: &[Refusal<'_>]) -> Verdict {
    let mut wrong = String::new();
    for (words, code, said) in refusals {
        let told: Outcome = host.subhostctl(words)?;
        if told.code != *code || !told.stderr.contains(said) || told.stderr.contains("panicked") {
            wrong += &format!("{words:?}, {said:?}: {told}\n");
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
}

fn refused(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let image = image.display().to_string();
    let disk = format!("vda:1:{image}");
    let disks = format!("DISKS=( {disk} )\n");
    for (name, text) in [
        ("no-disk", String::new()),
        ("no-init", format!("{disks}INIT=/no/such/init\n")),
        ("no-bridge", format!("{disks}BRIDGES=( nowhere: )\n")),
        ("no-device", format!("{disks}DEVICES=( /dev/no-such )\n")),
        ("plain", disks.clone()),
    ] {
        host.config(name, &text)?;
    }
    let trees = host.subhost_dir();
    for (name, text) in
        [("with-disks", disks.as_str()), ("with-layer", "EPHEMERAL=yes\n"), ("over-root", "BASE=/\n")]
    {
        std::fs::create_dir_all(trees.join(name).join("root"))?;
        std::fs::write(trees.join(name).join("config"), text)?;
    }
    hold(
        host,
        &[
            (
                &["run", "--root", "/", "--", "true"],
                125,
                "--root /: would give the host's own files to the command",
            ),
            (&["run", "--disk", &disk, "--disk", &disk, "--", "true"], 125, "is there twice"),
            (&["boot", "no-disk"], 2, "DISKS is empty, so there is no root file system"),
            (&["boot", "no-init"], 2, "INIT=/no/such/init: the root file system has no such program"),
            (&["boot", "no-bridge"], 2, "no such bridge"),
            (&["boot", "no-device"], 2, "DEVICES: /dev/no-such"),
            (&["boot", "--init", "init", "plain"], 2, "--init init: is neither an absolute path nor 'auto'"),
            (&["boot", "--ephemeral", "--read-only", "plain"], 2, "cannot be used with"),
            (&["boot", "-rf"], 2, "unexpected argument"),
            (&["boot", "../plain"], 2, "is a path"),
            (&["boot", "nobody"], 2, "DISKS=( vda:1:/path/to/disk.raw )"),
            (&["start", "with-disks", "--", "true"], 125, "DISKS: is for boot"),
            (&["start", "with-layer", "--", "true"], 125, "EPHEMERAL, READONLY: are for boot"),
            (&["start", "over-root", "--", "true"], 125, "would give the host's own files to the guest"),
            (&["enter", "plain"], 125, "subhost plain: does not run"),
            (&["exec", "plain", "-u", "no one", "--", "true"], 125, "subhost plain: does not run"),
            (&["console", "plain"], 2, "does not run"),
            (&["status", "nobody"], 2, "subhost nobody: is neither running nor configured"),
            (&["list", "no*body"], 2, "no subhost has such a name"),
            (&["stop", "no*body"], 2, "no running subhost has such a name"),
            (&["wait", "nobody"], 2, "is neither running nor configured"),
            (
                &["cp", "/etc/hosts", "/tmp/hosts"],
                2,
                "one of the two paths has to be in a subhost, the other on the host",
            ),
            (&["cp", "no-disk:/etc/hosts", "-"], 2, "DISKS is empty"),
            (&["delete", "plain"], 2, "nobody is there to be asked"),
            (&["delete", "--yes", "nobody"], 2, "nobody"),
            (&["completions", "csh"], 2, "csh"),
            (&["man", "no-such"], 2, "no-such"),
            (&["partitions", "/no/such/image"], 2, "/no/such/image"),
            (&["mounts", "/no/such/path"], 2, "/no/such/path"),
            (&["kill", "--signal", "NONE", "plain"], 2, "it has to be a signal's name"),
        ],
    )
}

fn refused_while_running(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let (one, two) = (host.name("one"), host.name("two"));
    for name in [&one, &two] {
        let text = format!("DISKS=( vda:1:{} )\nEPHEMERAL=yes\nUSERNS=600000:65536\n", image.display());
        host.config(name, &text)?;
    }
    boot(host, &one)?;
    let running = format!("subhost {one}: is running, with init");
    hold(
        host,
        &[
            (&["boot", &two], 2, "USERNS=600000:65536:"),
            (&["boot", &one], 2, &running),
            (&["delete", "--yes", &one], 2, &one),
            (&["exec", &one, "-u", "no-one", "--", "true"], 125, "no-one"),
            (&["exec", &one, "-u", "-1", "--", "true"], 2, "-1"),
            (&["exec", &one, "-u", "1:2:3", "--", "true"], 125, "is neither a name nor a number"),
            (&["exec", &one, "-w", "/no/such", "--", "true"], 125, "/no/such"),
            (&["exec", &one, "-e", "A", "--", "true"], 2, "it has to be NAME=VALUE"),
            (&["exec", &one, "--", "/no/such/command"], 127, "/no/such/command"),
            (&["exec", &one, "--", "/etc"], 126, "/etc"),
            (&["wait", "--timeout", "0", &one], 1, "timed out"),
        ],
    )?;
    host.done(&["stop", &one])?;
    Ok(())
}
