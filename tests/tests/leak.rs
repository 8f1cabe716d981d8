//! The leak check itself: it must see each kind of thing that can be left behind, and nothing else.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use subhost_tests::case::{self, Case, Verdict};
use subhost_tests::host::Host;
use subhost_tests::leak::{Difference, Kind, Snapshot};

const CASES: &[Case] = &[
    Case { name: "an_idle_host_differs_in_nothing", needs: &[], body: idle_host },
    Case { name: "a_loop_device_is_seen_also_on_a_deleted_file", needs: &[], body: loop_device },
    Case { name: "a_loop_device_on_a_foreign_file_is_not_ours", needs: &[], body: foreign_loop_device },
    Case { name: "a_mount_is_seen", needs: &[], body: mount },
    Case { name: "a_mount_over_an_equal_mount_is_seen", needs: &[], body: stacked_mount },
    Case { name: "a_mount_in_another_namespace_is_seen_with_its_process", needs: &[], body: foreign_mount },
    Case { name: "a_namespace_of_each_kind_is_seen", needs: &[], body: namespaces },
    Case { name: "a_namespace_of_a_thread_is_seen", needs: &[], body: thread },
    Case { name: "a_link_is_seen_and_a_lost_one_too", needs: &[], body: link },
    Case { name: "an_altname_is_seen", needs: &[], body: altname },
    Case { name: "a_flag_of_a_bridge_port_is_seen", needs: &[], body: port },
    Case { name: "an_address_is_seen_unless_it_is_link_local", needs: &[], body: address },
    Case { name: "a_netns_that_nobody_shows_is_seen_by_its_id", needs: &[], body: peer },
    Case { name: "rules_of_nftables_are_seen", needs: &[], body: rules },
    Case { name: "a_queue_its_classes_and_filters_are_seen", needs: &[], body: queues },
    Case { name: "ipc_objects_and_message_queues_are_seen", needs: &[], body: ipc },
    Case { name: "a_supervisor_that_opens_or_keeps_more_is_seen", needs: &[], body: supervisor },
    Case { name: "an_error_of_a_file_system_on_a_device_of_ours_is_seen", needs: &[], body: kernel_log },
    Case { name: "a_pinned_netns_is_seen", needs: &[], body: pinned_netns },
    Case { name: "a_process_and_a_zombie_are_seen", needs: &[], body: process },
    Case { name: "a_cgroup_is_seen", needs: &[], body: cgroup },
    Case { name: "a_state_file_is_seen_and_the_permanent_ones_are_not", needs: &[], body: state_files },
    Case { name: "settle_waits_for_what_goes_by_itself", needs: &[], body: settles },
    Case { name: "settle_gives_up_at_the_deadline", needs: &[], body: gives_up },
];

fn main() -> ExitCode {
    if let Some("--supervise") = env::args().nth(1).as_deref() {
        return pretend_to_supervise();
    }
    case::main(CASES)
}

/// Opens or keeps something at each line, and says so.
fn pretend_to_supervise() -> ExitCode {
    let (mut open, mut kept) = (Vec::new(), Vec::new());
    println!("ready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match line.as_str() {
            "open" => open.push(fs::File::open("/dev/null")),
            _ => kept.push(vec![1_u8; 4 << 20]),
        }
        println!("{} {}", open.len(), kept.len());
    }
    ExitCode::SUCCESS
}

/// What differs at once, without waiting.
fn now(host: &Host, before: &Snapshot) -> std::io::Result<Difference> {
    before.settle(&host.scope(), Duration::ZERO)
}

fn snapshot(host: &Host) -> std::io::Result<Snapshot> {
    Snapshot::take(&host.scope())
}

fn idle_host(host: &Host) -> Verdict {
    let difference = now(host, &snapshot(host)?)?;
    assert_eq!(difference.to_string(), "nothing left behind");
    Ok(())
}

fn loop_device(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let file = host.directory().join("disk.raw");
    fs::write(&file, vec![0; 1 << 20])?;
    let device =
        host.witness("losetup", &["--find", "--show", "--offset", "4096", &file.to_string_lossy()])?;
    let device = device.trim_end();
    let name = device.trim_start_matches("/dev/");
    let path = file.display();
    let attached = now(host, &before)?;
    fs::remove_file(&file)?;
    let deleted = now(host, &before)?;
    host.witness("losetup", &["--detach", device])?;
    assert_eq!(attached.left(Kind::Loop), [format!("{name} on {path} at 4096")]);
    assert_eq!(deleted.left(Kind::Loop), [format!("{name} on {path} (deleted) at 4096")]);
    case::nothing_left(host, &before)
}

fn foreign_loop_device(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let file = tempfile::NamedTempFile::new()?;
    file.as_file().set_len(1 << 20)?;
    let device = host.witness("losetup", &["--find", "--show", &file.path().to_string_lossy()])?;
    let difference = now(host, &before);
    host.witness("losetup", &["--detach", device.trim_end()])?;
    assert!(difference?.is_empty());
    Ok(())
}

fn mount(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let point = host.directory().join("point");
    fs::create_dir(&point)?;
    host.witness("mount", &["-t", "tmpfs", "canary", &point.to_string_lossy()])?;
    let difference = now(host, &before)?;
    let [line] = difference.left(Kind::Mount)[..] else { panic!("{difference}") };
    assert!(line.starts_with(&format!("{} (tmpfs canary, root /) in mnt:[", point.display())), "{line}");
    host.witness("umount", &[&point.to_string_lossy()])?;
    case::nothing_left(host, &before)
}

fn stacked_mount(host: &Host) -> Verdict {
    let point = host.directory().join("point");
    fs::create_dir(&point)?;
    host.witness("mount", &["-t", "tmpfs", "canary", &point.to_string_lossy()])?;
    let before = snapshot(host)?;
    host.witness("mount", &["-t", "tmpfs", "canary", &point.to_string_lossy()])?;
    let difference = now(host, &before)?;
    assert_eq!(difference.left(Kind::Mount).len(), 1, "{difference}");
    host.witness("umount", &[&point.to_string_lossy()])?;
    host.witness("umount", &[&point.to_string_lossy()])?;
    let difference = now(host, &before)?;
    assert_eq!(difference.lost(Kind::Mount).len(), 1, "{difference}");
    Ok(())
}

/// A process that sleeps in a mount namespace of its own, with a mount in it. It says `ready` on its output first.
fn foreign_mount(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let point = host.directory().join("point");
    let flag = host.directory().join("flag");
    fs::create_dir(&point)?;
    host.witness("mkfifo", &[&flag.to_string_lossy()])?;
    let script = format!(
        "mount -t tmpfs canary {} && echo ready >{} && exec sleep 1000",
        point.display(),
        flag.display()
    );
    let mut child = Command::new("unshare").args(["--mount", "sh", "-c", &script]).spawn()?;
    // Opening the pipe waits for its writer.
    assert_eq!(fs::read_to_string(&flag)?, "ready\n");
    let difference = now(host, &before)?;
    child.kill()?;
    child.wait()?;
    assert_eq!(difference.left(Kind::Namespace).len(), 1, "{difference}");
    assert_eq!(difference.left(Kind::Process).len(), 1, "{difference}");
    let found = difference.left(Kind::Mount).iter().any(|line| line.starts_with(&*point.to_string_lossy()));
    assert!(found, "{difference}");
    case::nothing_left(host, &before)
}

/// One process in new namespaces of all kinds.
fn namespaces(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let words = "--cgroup --ipc --mount --net --pid --time --user --uts --fork --kill-child cat".split(' ');
    let mut child =
        Command::new("unshare").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    assert_eq!(ask(&mut child, "there")?, "there");
    let difference = now(host, &before)?;
    child.kill()?;
    child.wait()?;
    let found = difference.left(Kind::Namespace).into_iter().map(|line| line.split(':').next());
    assert!(found.eq(kinds.map(Some)), "{difference}");
    case::nothing_left(host, &before)
}

/// Writes a line to a child, and gives the one that it answers.
fn ask(child: &mut Child, line: &str) -> std::io::Result<String> {
    let (Some(input), Some(output)) = (&mut child.stdin, &mut child.stdout) else { panic!("no pipes") };
    writeln!(input, "{line}")?;
    let mut answer = String::new();
    BufReader::new(output).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

fn thread(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let (says, said) = std::sync::mpsc::channel();
    let (ends, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        says.send(subhost_tests::sys::own_host_name()).ok();
        ended.recv().ok();
    });
    said.recv()??;
    let difference = now(host, &before)?;
    drop(ends);
    thread.join().map_err(|_| "the thread failed")?;
    let [line] = difference.left(Kind::Namespace)[..] else { panic!("{difference}") };
    assert!(line.starts_with("uts:["), "{line}");
    case::nothing_left(host, &before)
}

fn link(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let before = snapshot(host)?;
    host.witness("ip", &["link", "add", "left0", "type", "veth", "peer", "name", "left1"])?;
    host.witness("ip", &["link", "set", "left0", "master", "br0"])?;
    let difference = now(host, &before)?;
    let lines = difference.left(Kind::Link);
    assert_eq!(lines.len(), 2, "{difference}");
    assert!(lines.iter().any(|line| line.ends_with(" left0 (veth) on br0 down")), "{difference}");
    assert!(lines.iter().any(|line| line.ends_with(" left1 (veth) down")), "{difference}");
    host.witness("ip", &["link", "del", "left0"])?;
    case::nothing_left(host, &before)?;
    host.take_down()?;
    let difference = now(host, &before)?;
    assert_eq!(difference.lost(Kind::Link).len(), 1, "{difference}");
    Ok(())
}

fn altname(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let before = snapshot(host)?;
    host.witness("ip", &["link", "property", "add", "dev", "br0", "altname", "subhost-canary"])?;
    let difference = now(host, &before)?;
    let [line] = difference.left(Kind::Link)[..] else { panic!("{difference}") };
    assert!(line.ends_with(" br0 (bridge) altname subhost-canary"), "{line}");
    Ok(())
}

fn port(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    host.witness("ip", &["link", "add", "left0", "type", "veth", "peer", "name", "left1"])?;
    host.witness("ip", &["link", "set", "left0", "master", "br0"])?;
    let before = snapshot(host)?;
    host.witness("bridge", &["link", "set", "dev", "left0", "isolated", "on", "locked", "on"])?;
    let difference = now(host, &before)?;
    let [line] = difference.left(Kind::Link)[..] else { panic!("{difference}") };
    assert!(line.ends_with(" left0 (veth) on br0 isolated locked down"), "{line}");
    host.witness("ip", &["link", "set", "left0", "nomaster"])?;
    let difference = now(host, &before)?;
    let [line] = difference.lost(Kind::Link)[..] else { panic!("{difference}") };
    assert!(line.ends_with(" left0 (veth) on br0 down"), "{line}");
    host.witness("ip", &["link", "del", "left0"])?;
    Ok(())
}

fn address(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let before = snapshot(host)?;
    for address in ["192.0.2.7/24", "2001:db8::7/64", "fe80::7/64"] {
        host.witness("ip", &["address", "add", address, "dev", "br0"])?;
    }
    let difference = now(host, &before)?;
    let lines = difference.left(Kind::Address);
    assert_eq!(lines.len(), 2, "{difference}");
    assert!(lines[0].starts_with("192.0.2.7/24 of ") && lines[0].ends_with(" br0"), "{difference}");
    assert!(lines[1].starts_with("2001:db8::7/64 of "), "{difference}");
    host.witness("ip", &["address", "flush", "dev", "br0"])?;
    assert_eq!(now(host, &before)?.lost(Kind::Address).len(), 1);
    Ok(())
}

fn peer(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    host.witness("ip", &["netns", "add", "left"])?;
    host.witness("ip", &["link", "add", "left0", "type", "veth", "peer", "name", "left1", "netns", "left"])?;
    let difference = now(host, &before)?;
    assert_eq!(difference.left(Kind::Peer), ["0"], "{difference}");
    host.witness("ip", &["netns", "del", "left"])?;
    case::nothing_left(host, &before)
}

fn rules(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    host.witness("nft", &["add", "table", "netdev", "left"])?;
    let with_table = snapshot(host)?;
    let difference = before.difference(&with_table);
    let [line] = difference.left(Kind::Rule)[..] else { panic!("{difference}") };
    assert!(line.contains("\"name\":\"left\"") && line.contains("\"netdev\""), "{line}");
    host.witness("nft", &["add", "chain", "netdev", "left", "input"])?;
    host.witness("nft", &["add", "rule", "netdev", "left", "input", "counter", "drop"])?;
    let difference = now(host, &with_table)?;
    assert_eq!(difference.left(Kind::Rule).len(), 2, "{difference}");
    host.witness("nft", &["delete", "table", "netdev", "left"])?;
    assert_eq!(now(host, &with_table)?.lost(Kind::Rule).len(), 1);
    case::nothing_left(host, &before)
}

fn queues(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let before = snapshot(host)?;
    let tc = |words: &str| host.witness("tc", &words.split(' ').collect::<Vec<_>>());
    tc("qdisc add dev br0 clsact")?;
    let with_queue = snapshot(host)?;
    let difference = before.difference(&with_queue);
    let [line] = difference.left(Kind::Queue)[..] else { panic!("{difference}") };
    assert!(line.starts_with("qdisc {") && line.contains("\"clsact\""), "{line}");
    tc("filter add dev br0 egress u32 match u32 0 0 action mirred egress redirect dev lo")?;
    tc("qdisc add dev br0 root handle 1: tbf rate 1mbit burst 4096 limit 8192")?;
    let difference = now(host, &with_queue)?;
    let lines = difference.left(Kind::Queue);
    for what in ["qdisc {", "class on br0: class tbf", "filter egress on br0: filter protocol all"] {
        assert!(lines.iter().any(|line| line.starts_with(what)), "{what}: {difference}");
    }
    tc("qdisc delete dev br0 root")?;
    tc("qdisc delete dev br0 clsact")?;
    assert_eq!(now(host, &with_queue)?.lost(Kind::Queue).len(), 1);
    case::nothing_left(host, &before)
}

fn ipc(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let point = host.directory().join("queues");
    fs::create_dir(&point)?;
    for (option, kind, removes) in
        [("--queue", "msg", "-q"), ("--semaphore=1", "sem", "-s"), ("--shmem=4096", "shm", "-m")]
    {
        let said = host.witness("ipcmk", &[option])?;
        let id = said.trim_end().rsplit(' ').next().unwrap_or_default();
        let difference = now(host, &before)?;
        host.witness("ipcrm", &[removes, id])?;
        let [line] = difference.left(Kind::Ipc)[..] else { panic!("{difference}") };
        assert!(line.starts_with(&format!("{kind} ")) && line.ends_with(&format!(" {id}")), "{line}");
    }
    let at = point.to_string_lossy();
    host.witness("mount", &["-t", "mqueue", "mqueue", &at])?;
    fs::write(point.join("left"), "")?;
    host.witness("umount", &[&at])?;
    let difference = now(host, &before)?;
    assert_eq!(difference.left(Kind::Ipc), ["queue left"], "{difference}");
    host.witness("mount", &["-t", "mqueue", "mqueue", &at])?;
    fs::remove_file(point.join("left"))?;
    host.witness("umount", &[&at])?;
    case::nothing_left(host, &before)
}

fn supervisor(host: &Host) -> Verdict {
    let mut command = Command::new(env::current_exe()?);
    command.arg0("subhostctl").args(["--supervise", "web1"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let _ready = ask(&mut child, "open")?;
    let mut before = snapshot(host)?;
    let expected = [("open", Kind::Descriptor, ": /dev/null"), ("keep", Kind::Memory, " KiB")];
    for (order, kind, end) in expected {
        let unchanged = now(host, &before)?;
        assert!(unchanged.is_empty(), "{unchanged}");
        ask(&mut child, order)?;
        let difference = now(host, &before)?;
        let [line] = difference.left(kind)[..] else { panic!("{difference}") };
        assert!(line.starts_with(&format!("{}, supervisor of web1,", child.id())), "{line}");
        assert!(line.contains(end), "{line}");
        before = snapshot(host)?;
    }
    child.kill()?;
    child.wait()?;
    case::nothing_left(host, &before)
}

/// A directory names an inode that is no more: reading that is an error to the kernel.
fn kernel_log(host: &Host) -> Verdict {
    let tree = host.directory().join("tree");
    fs::create_dir(&tree)?;
    fs::write(tree.join("file"), "")?;
    let image = host.ext4_of(&tree, "disk.raw")?;
    host.witness("debugfs", &["-w", "-R", "clri /file", &image.to_string_lossy()])?;
    let device = host.witness("losetup", &["--find", "--show", &image.to_string_lossy()])?;
    let device = device.trim_end();
    let point = host.directory().join("point");
    fs::create_dir(&point)?;
    let at = point.to_string_lossy();
    host.witness("mount", &["-o", "errors=continue", device, &at])?;
    let before = snapshot(host)?;
    let idle = now(host, &before)?;
    let found = fs::metadata(point.join("file"));
    let difference = now(host, &before);
    host.witness("umount", &[&at])?;
    host.witness("losetup", &["--detach", device])?;
    let difference = difference?;
    assert!(idle.is_empty() && found.is_err(), "{idle}");
    let name = device.trim_start_matches("/dev/");
    let [line] = difference.left(Kind::KernelLog)[..] else { panic!("{difference}") };
    assert!(line.starts_with(&format!("EXT4-fs error (device {name}): ")), "{line}");
    Ok(())
}

fn pinned_netns(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    host.witness("ip", &["netns", "add", "left"])?;
    let difference = now(host, &before)?;
    assert_eq!(difference.left(Kind::File), ["/run/netns/left"], "{difference}");
    let mounts = difference.left(Kind::Mount);
    assert!(
        mounts.iter().any(|line| line.starts_with("/run/netns/left (nsfs nsfs, root net:[")),
        "{difference}"
    );
    host.witness("ip", &["netns", "del", "left"])?;
    case::nothing_left(host, &before)
}

fn process(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let mut child = Command::new("sleep").arg("1000").spawn()?;
    let running = now(host, &before)?;
    child.kill()?;
    let status = rustix::process::waitid(
        rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)),
        rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
    )?;
    assert!(status.is_some_and(|status| status.killed()));
    let zombie = now(host, &before)?;
    child.wait()?;
    let [line] = running.left(Kind::Process)[..] else { panic!("{running}") };
    assert!(line.contains(" started at tick "), "{line}");
    let [line] = zombie.left(Kind::Process)[..] else { panic!("{zombie}") };
    assert!(line.starts_with(&format!("{} sleep (zombie), started at tick ", child.id())), "{line}");
    case::nothing_left(host, &before)
}

/// On a hierarchy that is mounted for the test: where cgroups are on this machine is its own affair.
fn cgroup(host: &Host) -> Verdict {
    let point = host.directory().join("cgroup");
    fs::create_dir(&point)?;
    host.witness("mount", &["-t", "cgroup2", "cgroup2", &point.to_string_lossy()])?;
    let before = snapshot(host)?;
    let group = point.join(host.name("left"));
    fs::create_dir(&group)?;
    let difference = now(host, &before);
    fs::remove_dir(&group)?;
    let difference = difference?;
    assert!(difference.left(Kind::Cgroup).contains(&&*group.to_string_lossy()), "{difference}");
    case::nothing_left(host, &before)?;
    host.witness("umount", &[&point.to_string_lossy()])?;
    Ok(())
}

fn state_files(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    fs::create_dir_all("/run/subhost/record")?;
    fs::write("/run/subhost/lock", "")?;
    fs::write("/run/subhost/pid1-0123456789abcdef", "")?;
    assert!(now(host, &before)?.is_empty());
    fs::write("/run/subhost/record/web1", "")?;
    let difference = now(host, &before)?;
    assert_eq!(difference.left(Kind::File), ["/run/subhost/record/web1"]);
    fs::remove_file("/run/subhost/record/web1")?;
    case::nothing_left(host, &before)
}

fn settles(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    let file = "/run/subhost/record/web1";
    fs::create_dir_all("/run/subhost/record")?;
    fs::write(file, "")?;
    let (sender, receiver) = std::sync::mpsc::channel();
    let remover = std::thread::spawn(move || {
        // Not before the first look.
        receiver.recv().ok();
        fs::remove_file(file)
    });
    assert!(!now(host, &before)?.is_empty());
    sender.send(())?;
    let difference = before.settle(&host.scope(), Duration::from_secs(10))?;
    remover.join().map_err(|_| "the remover failed")??;
    assert_eq!(difference.to_string(), "nothing left behind");
    Ok(())
}

fn gives_up(host: &Host) -> Verdict {
    let before = snapshot(host)?;
    fs::create_dir_all("/run/subhost/record")?;
    fs::write("/run/subhost/record/web1", "")?;
    let difference = before.settle(&host.scope(), Duration::from_millis(50))?;
    assert_eq!(difference.to_string(), "left behind: file /run/subhost/record/web1\n");
    fs::remove_file("/run/subhost/record/web1")?;
    Ok(())
}
