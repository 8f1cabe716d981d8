//! Guests whose processes wait in the kernel for what never comes, so that no signal ends them.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::probe;

use crate::boot;

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_guest_that_waits_for_its_own_fuse_server_is_stopped", needs: NEEDS, body: fuse },
    Case {
        name: "a_guest_whose_pid_1_waits_for_a_fuse_server_is_stopped",
        needs: NEEDS,
        body: fuse_over_run,
    },
    Case {
        name: "a_guest_on_a_frozen_disk_is_told_to_be_stuck_and_ends_with_the_thaw",
        needs: NEEDS,
        body: frozen,
    },
];

/// A command that hangs is killed by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// A guest with the probe and `/dev/fuse`.
fn configured(host: &Host) -> std::io::Result<String> {
    let tree = host.copy_of(Fixture::TinyTree)?;
    probe::write(&tree.join("bin/probe"))?;
    let image = host.ext4_of(&tree, "root.ext4")?;
    let name = host.name("tiny");
    let lines = "NESTING=yes\nDEVICES=( /dev/fuse )\nSTOP_TIMEOUT=1s\n";
    host.config(&name, &format!("DISKS=( vda:0:{} )\n{lines}", image.display()))?;
    Ok(name)
}

/// Starts a FUSE server that does not answer.
fn serve(host: &Host, name: &str, server: &str, place: &str) -> Verdict {
    host.done(&["exec", "--detach", name, "--", "probe", server, place])?;
    let mounted = format!("until grep -q ' {place} fuse' /proc/mounts; do sleep 0.02; done");
    host.done(&["exec", name, "--", "sh", "-c", &mounted])?;
    Ok(())
}

/// Waits until this process of the guest is in uninterruptible sleep, or in the one that becomes so when it is killed.
fn waits(host: &Host, guest: &Guest, command: &str) -> Verdict {
    let pids = fs::metadata(format!("/proc/{}/ns/pid", guest.init_pid()))?.ino().to_string();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = host.witness("ps", &["-eo", "pidns=,stat=,wchan:40=,comm="])?;
        let is_it = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [ns, state, function, name] = words[..] else { return false };
            let asleep = state.starts_with('D') || function == "request_wait_answer";
            ns == pids && name == command && asleep
        };
        if all.lines().any(is_it) {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "no {command} waits in {pids}: {all}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn stops(host: &Host, name: &str, guest: &Guest, what: &str) -> Verdict {
    let stop = host.start(&["stop", name])?.finish(PATIENCE)?;
    eprintln!("{FIGURE}stop of {what} with STOP_TIMEOUT=1s: {:?}", stop.took);
    assert!(stop.code == 0 && guest.ends(Duration::ZERO)?, "{what}: {stop}");
    assert!(guest.supervisor()?.ends(PATIENCE)?, "{what}: the supervisor goes on");
    Ok(())
}

/// Row S2 of docs/security.md.
fn fuse(host: &Host) -> Verdict {
    let name = configured(host)?;
    // The server's death is the end of the first; the second keeps its own server's end open.
    for server in ["deaf", "deaf-child"] {
        let guest = boot(host, &name)?;
        serve(host, &name, server, "/mnt")?;
        host.done(&["exec", "--detach", &name, "--", "ls", "/mnt"])?;
        waits(host, &guest, "ls")?;
        stops(host, &name, &guest, &format!("a guest with a FUSE server that does not answer ({server})"))?;
    }
    Ok(())
}

/// Row S2 of docs/security.md.
fn fuse_over_run(host: &Host) -> Verdict {
    let name = configured(host)?;
    for server in ["deaf", "deaf-child"] {
        let guest = boot(host, &name)?;
        serve(host, &name, server, "/run")?;
        // It looks whether its FIFO stands there whenever a child has ended, and after this signal.
        guest.signal_init(rustix::process::Signal::USR1)?;
        waits(host, &guest, "init")?;
        stops(host, &name, &guest, &format!("a guest whose PID 1 waits for a FUSE server ({server})"))?;
    }
    // Asked by a signal, the supervisor does the same.
    let mut foreground = host.start(&["boot", &name])?;
    let deadline = Instant::now() + PATIENCE;
    let guest = loop {
        match host.guest(&name)?.filter(|guest| guest.state() == "running") {
            Some(guest) => break guest,
            None => assert!(Instant::now() < deadline, "it does not run"),
        }
    };
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    serve(host, &name, "deaf-child", "/run")?;
    guest.signal_init(rustix::process::Signal::USR1)?;
    waits(host, &guest, "init")?;
    foreground.terminate()?;
    let outcome = foreground.finish(PATIENCE)?;
    eprintln!("{FIGURE}boot of such a guest after SIGTERM: {:?}", outcome.took);
    assert!(guest.ends(Duration::ZERO)?, "{outcome}");
    Ok(())
}

/// As a disk is that does not answer any more.
fn frozen(host: &Host) -> Verdict {
    let name = configured(host)?;
    let guest = boot(host, &name)?;
    let root = guest.file("/").display().to_string();
    // Held open, as nobody gets there when PID 1 has given up its root.
    let held = fs::File::open(&root)?;
    let held_path = format!("/proc/{}/fd/{}", std::process::id(), held.as_raw_fd());
    host.witness("fsfreeze", &["--freeze", &root])?;
    let outcome = (|| -> Result<_, Box<dyn std::error::Error>> {
        host.done(&["exec", "--detach", &name, "--", "touch", "/root/new"])?;
        waits(host, &guest, "touch")?;
        Ok(host.start(&["stop", &name])?.finish(PATIENCE)?)
    })();
    host.witness("fsfreeze", &["--unfreeze", &held_path])?;
    drop(held);
    let stop = outcome?;
    eprintln!("{FIGURE}stop of a guest on a frozen disk with STOP_TIMEOUT=1s: {:?}", stop.took);
    assert_eq!(stop.code, 3, "{stop}");
    for said in ["was killed, and has not ended", "(touch) waits in ", "frozen"] {
        assert!(stop.stderr.contains(said), "{said}: {stop}");
    }
    assert!(guest.ends(PATIENCE)? && guest.supervisor()?.ends(PATIENCE)?, "it goes on after the thaw");
    host.done(&["stop", &name])?;
    boot(host, &name)?;
    host.done(&["stop", &name])?;
    Ok(())
}
