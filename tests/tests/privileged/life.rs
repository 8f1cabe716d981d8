//! `restart` and `reboot`, `pause` and `resume`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::program;

use crate::{BRIDGE, MAC, boot, bridge};

const MBR: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "restart_boots_again_what_the_configuration_says_now", needs: MBR, body: restarted },
    Case {
        name: "restart_keeps_options_directory_and_settings_of_the_environment",
        needs: MBR,
        body: the_same_way,
    },
    Case { name: "reboot_keeps_the_network_also_where_any_byte_powers_off", needs: MBR, body: rebooted },
    Case { name: "reboot_speaks_busybox", needs: MBR, body: busybox },
    Case {
        name: "reboot_is_refused_where_nobody_would_boot_it_again",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr), Need::Made(Fixture::TinyTree)],
        body: no_supervisor,
    },
    Case { name: "a_paused_subhost_stands_still_and_goes_on", needs: MBR, body: paused },
    Case { name: "a_command_inside_dies_with_its_client", needs: MBR, body: client },
    Case { name: "a_paused_subhost_is_stopped_in_order_and_killed", needs: MBR, body: paused_end },
];

const PATIENCE: Duration = Duration::from_secs(20);

fn tiny(host: &Host, more: &str) -> Result<(String, Guest), Box<dyn std::error::Error>> {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{more}", image.display()))?;
    let guest = boot(host, &name)?;
    Ok((name, guest))
}

fn inside(host: &Host, name: &str, words: &[&str]) -> std::io::Result<String> {
    host.done(&[&["enter", name, "--"], words].concat())
}

fn restarted(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "HOSTNAME=before\n")?;
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    assert_eq!(inside(host, &name, &["hostname"])?, "before\n");
    let text = std::fs::read_to_string(host.root_dir().join(&name).join("config"))?;
    host.config(&name, &text.replace("before", "after"))?;
    let told = host.subhostctl(&["restart", &name])?;
    assert!(told.code == 0 && told.stderr.contains(&format!("{name}: ready")), "{told}");
    let next = host.running(&name)?;
    assert_ne!(next.init_pid(), guest.init_pid());
    assert_eq!(inside(host, &name, &["hostname"])?, "after\n");
    // Orderly, and so in the log of the guest.
    next.wait_for_line("/var/log/boot", "rc 0 done", PATIENCE)?;
    host.done(&["stop", &name])?;
    // One that does not run is booted; one that there is not is told.
    host.done(&["restart", &name])?;
    host.running(&name)?;
    host.done(&["stop", &name])?;
    let told = host.subhostctl(&["restart", "nobody"])?;
    assert!(told.code == 2 && told.stderr.contains("neither running nor configured"), "{told}");
    // What cannot be booted again is told as stopped, and why.
    host.done(&["boot", "--detach", &name])?;
    host.config(&name, "DISKS=( vda:1:/no/such/image )\n")?;
    let told = host.subhostctl(&["restart", &name])?;
    assert!(told.code == 1 && told.stderr.contains("/no/such/image"), "{told}");
    assert_eq!(host.guest(&name)?.map(|guest| guest.state().to_owned()).as_deref(), Some("stopped"));
    Ok(())
}

/// It would be a bad surprise if what was to be thrown away were kept after a restart.
fn the_same_way(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    std::fs::write(host.directory().join("elsewhere"), "HOSTNAME=file\nENVIRONMENT=( FROM=file )\n")?;
    let mut command = host.command(&["--config", "elsewhere", "boot", "--detach", "--ephemeral", &name]);
    command.current_dir(host.directory()).env("DISKS", format!("vda:1:{}", image.display()));
    command.env("SUBHOST_HOSTNAME", "from-environment");
    let told = program::run(command, PATIENCE)?;
    assert_eq!(told.code, 0, "{told}");
    inside(host, &name, &["sh", "-c", "echo gone >/etc/written"])?;
    host.done(&["restart", &name])?;
    assert_eq!(inside(host, &name, &["hostname"])?, "from-environment\n");
    assert!(inside(host, &name, &["cat", "/proc/1/environ"])?.contains("FROM=file\0"));
    assert_eq!(host.subhostctl(&["enter", &name, "--", "ls", "/etc/written"])?.code, 1);
    host.done(&["stop", &name])?;
    Ok(())
}

fn rebooted(host: &Host) -> Verdict {
    bridge(host)?;
    for policy in ["graceful", "immediate"] {
        let (name, guest) = tiny(host, &format!("BRIDGES=( {BRIDGE}:{MAC} )\nPOWEROFF={policy}\n"))?;
        let link = || host.witness("ip", &["-o", "link", "show", "dev", &format!("{name}0")]);
        let before = link()?;
        let told = host.subhostctl(&["reboot", &name])?;
        assert!(told.code == 0 && told.stderr.contains("by SIGINT"), "{policy}: {told}");
        let next = host.running(&name)?;
        assert_ne!(next.init_pid(), guest.init_pid());
        assert_eq!(next.field("supervisor_pid"), guest.field("supervisor_pid"));
        let index = |text: &str| text.split(':').next().map(str::to_owned);
        assert_eq!(index(&link()?), index(&before));
        host.done(&["stop", "--wait", &name])?;
        std::fs::remove_file(host.directory().join(Fixture::TinyMbr.file_name()))?;
    }
    Ok(())
}

fn busybox(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "INIT=/sbin/init\n")?;
    // It hears no signal before it has set itself up, which is when it has run its first script.
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    let told = host.subhostctl(&["reboot", &name])?;
    assert!(told.code == 0 && told.stderr.contains("busybox, by SIGTERM"), "{told}");
    assert_ne!(host.running(&name)?.init_pid(), guest.init_pid());
    host.done(&["stop", &name])?;
    Ok(())
}

fn no_supervisor(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    let supervisor = guest.supervisor()?;
    supervisor.signal(Signal::KILL)?;
    assert!(supervisor.ends(PATIENCE)?);
    let told = host.subhostctl(&["reboot", &name])?;
    assert!(told.code == 2 && told.stderr.contains("has no supervisor"), "{told}");
    assert_eq!(host.running(&name)?.init_pid(), guest.init_pid());
    host.done(&["stop", &name])?;
    let told = host.subhostctl(&["reboot", &name])?;
    assert!(told.code == 2 && told.stderr.contains("does not run"), "{told}");

    let name = host.name("cmd");
    let tree = host.copy_of(Fixture::TinyTree)?.display().to_string();
    let running = host.start(&["run", "--name", &name, "--overlay", &tree, "--", "sleep", "600"])?;
    let deadline = Instant::now() + PATIENCE;
    while host.running(&name).is_err() {
        assert!(Instant::now() < deadline, "it does not run");
    }
    for command in ["reboot", "restart"] {
        let told = host.subhostctl(&[command, &name])?;
        assert!(told.code == 2 && told.stderr.contains("but a command"), "{told}");
    }
    host.done(&["stop", &name])?;
    running.finish(PATIENCE)?;
    Ok(())
}

/// Something in it that counts.
fn counting(host: &Host, name: &str) -> std::io::Result<()> {
    let script = "n=0; while :; do n=$((n+1)); echo $n >/run/count.new; mv /run/count.new /run/count; done";
    host.done(&["exec", name, "--detach", "--", "sh", "-c", script]).map(drop)
}

fn count(guest: &Guest) -> u64 {
    std::fs::read_to_string(guest.file("/run/count"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

fn counts_on(guest: &Guest) -> bool {
    let (begin, deadline) = (count(guest), Instant::now() + PATIENCE);
    while count(guest) == begin {
        if Instant::now() >= deadline {
            return false;
        }
    }
    true
}

fn paused(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    counting(host, &name)?;
    assert!(counts_on(&guest));
    let told = host.subhostctl(&["pause", &name])?;
    assert!(told.code == 0 && told.stderr.contains("paused"), "{told}");
    let still = count(&guest);
    sleep(Duration::from_millis(200));
    assert_eq!(count(&guest), still);
    let state = host.guest(&name)?.map(|guest| guest.state().to_owned());
    assert_eq!(state.as_deref(), Some("paused"));
    for words in [&["enter", &name, "--", "true"][..], &["reboot", &name]] {
        let told = host.subhostctl(words)?;
        assert!(told.code != 0 && told.stderr.contains("is paused"), "{told}");
    }
    // Twice is as once.
    host.done(&["pause", &name])?;
    host.done(&["resume", &name])?;
    assert!(counts_on(&guest));
    assert_eq!(host.running(&name)?.init_pid(), guest.init_pid());
    let told = host.subhostctl(&["resume", &name])?;
    assert!(told.code == 0 && told.stderr.contains("is not paused"), "{told}");
    inside(host, &name, &["true"])?;
    host.done(&["stop", &name])?;
    let told = host.subhostctl(&["pause", &name])?;
    assert!(told.code == 2 && told.stderr.contains("does not run"), "{told}");
    Ok(())
}

fn paused_end(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "STOP_TIMEOUT=10s\n")?;
    host.done(&["pause", &name])?;
    let told = host.subhostctl(&["stop", &name])?;
    assert!(told.code == 0 && told.stderr.contains(&format!("{name}: stopped")), "{told}");
    host.done(&["boot", "--detach", &name])?;
    host.done(&["pause", &name])?;
    let told = host.subhostctl(&["kill", &name])?;
    assert!(told.code == 0 && told.stderr.contains("killed"), "{told}");
    // And by the signal that ends a supervisor.
    host.done(&["boot", "--detach", &name])?;
    let guest = host.running(&name)?;
    let supervisor = guest.supervisor()?;
    host.done(&["pause", &name])?;
    let begun = Instant::now();
    supervisor.signal(Signal::TERM)?;
    assert!(supervisor.ends(PATIENCE)? && begun.elapsed() < Duration::from_secs(10));
    Ok(())
}

/// All of it when the client is killed; what it has put into the background goes on when the client ends as it should.
fn client(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    let script = "setsid sleep 1001 & echo $$ $! >/run/new; mv /run/new /run/here; exec sleep 1000";
    for killed in [Signal::KILL, Signal::TERM] {
        let mut client = host.start(&["exec", &name, "--", "sh", "-c", script])?;
        let deadline = Instant::now() + PATIENCE;
        let pids = loop {
            match std::fs::read_to_string(guest.file("/run/here")) {
                Ok(pids) => break pids,
                Err(_) => assert!(Instant::now() < deadline, "it does not run"),
            }
        };
        std::fs::remove_file(guest.file("/run/here"))?;
        let there = |pid: &str| std::fs::read_link(guest.file(&format!("/proc/{pid}/exe"))).is_ok();
        let [command, background] = pids.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(format!("no two pids: {pids}").into());
        };
        assert!(there(command) && there(background));
        if killed == Signal::KILL {
            client.kill()?;
        } else {
            client.terminate()?;
        }
        let deadline = Instant::now() + PATIENCE;
        while there(command) || (killed == Signal::KILL && there(background)) {
            assert!(Instant::now() < deadline, "{killed:?}: it runs on");
        }
        client.finish(PATIENCE)?;
        assert_eq!(there(background), killed == Signal::TERM);
    }
    // The guest goes on, and ends with what is in its groups.
    inside(host, &name, &["true"])?;
    host.done(&["stop", &name])?;
    Ok(())
}
