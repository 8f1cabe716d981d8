//! What a guest is, has and sees; each test looks from inside, after the guest has tried to undo it.

use std::fs;

use subhost_init::capability::CapabilitySet;
use subhost_init::launch::{Ended, Launch, Program};

use crate::Test;
use crate::stage::{UNMAPPED, on_stage, output_pipe, read_all, strings, with_output};

pub(crate) const TESTS: [Test; 14] = [
    ("guest_has_clocks_that_start_with_it_if_wanted", guest_has_clocks_that_start_with_it),
    ("guest_is_root_and_pid_1_of_its_own_namespaces", guest_is_root_and_pid_1_of_its_own_namespaces),
    ("guest_has_its_own_host_name", guest_has_its_own_host_name),
    ("guest_has_no_more_capabilities_than_declared", guest_has_no_more_capabilities_than_declared),
    ("guest_has_no_group_of_the_caller", guest_has_no_group_of_the_caller),
    ("guest_inherits_no_descriptor", guest_inherits_no_descriptor),
    ("guest_inherits_no_signal_state", guest_inherits_no_signal_state),
    ("guest_sees_its_own_mounts_only", guest_sees_its_own_mounts_only),
    ("guest_cannot_get_at_the_old_root", guest_cannot_get_at_the_old_root),
    ("guest_cannot_undo_the_flags_of_its_root", guest_cannot_undo_the_flags_of_its_root),
    ("guest_cannot_open_devices_of_its_tree", guest_cannot_open_devices_of_its_tree),
    ("guest_has_a_network_with_lo_up_and_sysfs_read_only", guest_has_a_network_with_lo_up),
    ("guest_leads_its_session", guest_leads_its_session),
    ("guest_without_user_namespace_loses_capabilities_too", guest_without_user_namespace),
];

fn guest_is_root_and_pid_1_of_its_own_namespaces() {
    on_stage(|stage| {
        let text = stage.say("echo $$ $(id -u) $(id -g); cat /proc/self/uid_map /proc/self/gid_map");
        let words: Vec<&str> = text.split_whitespace().collect();
        let expected = ["1", "0", "0", "0", "7340032", "65536", "0", "7340032", "65536"];
        assert_eq!(words, expected);

        let text =
            stage.say("for kind in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$kind; done");
        for (line, kind) in text.lines().zip(["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]) {
            let host = fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap();
            assert!(line.starts_with(kind), "{line}");
            assert_ne!(line, host.to_str().unwrap());
        }
        assert_eq!(text.lines().count(), 7);
    });
}

fn guest_has_clocks_that_start_with_it() {
    on_stage(|stage| {
        let uptime = |text: &str| text.split('.').next().unwrap().parse::<u64>().unwrap();
        let of_host = || uptime(&fs::read_to_string("/proc/uptime").unwrap());
        let script = "cat /proc/uptime /proc/self/timens_offsets; exit 0";
        let (launch, mut output) = with_output(stage.script(script).own_clocks(true));
        let before = of_host();
        let mut running = launch.start().unwrap().go().unwrap();
        let text = read_all(&mut output);
        assert_eq!(running.wait().unwrap(), Ended::Exited(0));
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!([lines[1][0], lines[2][0]], ["monotonic", "boottime"], "{text}");
        let start = lines[2][1].strip_prefix('-').unwrap().parse::<u64>().unwrap();
        assert!((before..=of_host()).contains(&start), "{before}: {text}");
        assert!(uptime(&text) <= of_host() - start, "{text}");

        let shared = stage.say(script);
        assert!(uptime(&shared) >= before, "{shared}");
    });
}

fn guest_has_its_own_host_name() {
    on_stage(|stage| {
        let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let (launch, mut output) = with_output(stage.script("hostname; hostname other; hostname"));
        let mut running = launch.hostname("web1").start().unwrap().go().unwrap();
        assert_eq!(read_all(&mut output), "web1\nother\n");
        assert_eq!(running.wait().unwrap(), Ended::Exited(0));
        assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
    });
}

fn guest_has_no_more_capabilities_than_declared() {
    on_stage(|stage| {
        let text = stage.say("grep ^Cap /proc/self/status; mknod /tmp/null c 1 3 2>&1 && echo made; exit 0");
        // All that this kernel knows (41), without 16 17 25 27 30 32-39.
        let full = (1_u64 << 41) - 1;
        let kept = full & !(1 << 16 | 1 << 17 | 1 << 25 | 1 << 27 | 1 << 30 | 0xff << 32);
        let expected = format!(
            "CapInh:\t{0:016x}\nCapPrm:\t{kept:016x}\nCapEff:\t{kept:016x}\nCapBnd:\t{kept:016x}\nCapAmb:\t{0:016x}\n",
            0
        );
        assert!(text.starts_with(&expected), "{text}\n{expected}");
        assert!(text.contains("Operation not permitted") && !text.contains("made"), "{text}");

        let (launch, mut output) = with_output(stage.script("grep ^CapBnd /proc/self/status"));
        let dropped = CapabilitySet::from_names(["net_raw"]).unwrap();
        let mut running = launch.drop_capabilities(dropped).start().unwrap().go().unwrap();
        assert_eq!(read_all(&mut output), format!("CapBnd:\t{:016x}\n", full & !(1 << 13)));
        assert_eq!(running.wait().unwrap(), Ended::Exited(0));
    });
}

fn guest_has_no_group_of_the_caller() {
    on_stage(|stage| {
        // On this thread alone.
        let groups = [rustix::process::Gid::from_raw(4), rustix::process::Gid::from_raw(27)];
        rustix::thread::set_thread_groups(&groups).unwrap();
        assert_eq!(stage.say("id -G; grep ^Groups /proc/self/status"), "0\nGroups:\t \n");
    });
}

fn guest_inherits_no_descriptor() {
    on_stage(|stage| {
        // Neither close-on-exec nor of a number that is put in place.
        let leak = fs::File::open("/").unwrap();
        let leaks = [3, 4, 9, 50].map(|least| rustix::io::fcntl_dupfd_cloexec(&leak, least).unwrap());
        for leak in &leaks {
            rustix::io::fcntl_setfd(leak, rustix::io::FdFlags::empty()).unwrap();
        }
        let text = stage.say("ls /proc/1/fd; readlink /proc/1/cwd; readlink /proc/1/root");
        assert_eq!(text, "0\n1\n2\n/\n/\n");
    });
}

fn guest_inherits_no_signal_state() {
    on_stage(|stage| {
        let blocked: nix::sys::signal::SigSet = [nix::sys::signal::Signal::SIGUSR1].into_iter().collect();
        blocked.thread_block().unwrap();
        // Rust programs, this one too, ignore SIGPIPE.
        let text = stage.say("grep -E '^Sig(Blk|Ign)' /proc/self/status; umask");
        assert_eq!(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0022\n");
        let still = nix::sys::signal::SigSet::thread_get_mask().unwrap();
        assert!(still.contains(nix::sys::signal::Signal::SIGUSR1));
        assert!(!still.contains(nix::sys::signal::Signal::SIGUSR2));
    });
}

fn guest_sees_its_own_mounts_only() {
    on_stage(|stage| {
        let further = stage.live.join("tmp");
        rustix::mount::mount("tmpfs", &further, "tmpfs", rustix::mount::MountFlags::NODEV, c"").unwrap();
        let text = stage.say("cat /proc/self/mountinfo");
        let mut found: Vec<(&str, &str)> = text
            .lines()
            .map(|line| {
                let (first, last) = line.split_once(" - ").unwrap();
                (first.split(' ').nth(4).unwrap(), last.split(' ').next().unwrap())
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, [("/", "tmpfs"), ("/proc", "proc"), ("/sys", "sysfs"), ("/tmp", "tmpfs")]);
    });
}

fn guest_cannot_get_at_the_old_root() {
    on_stage(|stage| {
        let host = fs::read_dir("/").unwrap().map(|entry| entry.unwrap().file_name());
        assert!(
            host.into_iter().any(|name| name == "usr"),
            "this host has a directory that the guest has not"
        );
        let text = stage.say(
            "umount -l /; umount /; ls /proc/1/root/../..; ls /..; cd /proc/1/cwd/../..; ls; \
             mkdir /tmp/x; chroot /tmp/x /bin/sh; cd ../../..; ls; exit 0",
        );
        assert!(!text.contains("usr") && text.contains("bin"), "{text}");
    });
}

fn guest_cannot_undo_the_flags_of_its_root() {
    on_stage(|stage| {
        let text = stage.say(
            "mount -o remount,bind,dev / && echo undone; mount -o remount,bind,suid,dev / && echo undone; \
             mkdir /tmp/m; mount --bind / /tmp/m && mount -o remount,bind,dev /tmp/m && echo undone; \
             grep ' / / ' /proc/self/mountinfo",
        );
        assert!(!text.contains("undone"), "{text}");
        assert!(text.contains(" / / rw,nosuid,nodev"), "{text}");
    });
}

fn guest_cannot_open_devices_of_its_tree() {
    on_stage(|stage| {
        let node = stage.live.join("null");
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        let device = nix::sys::stat::makedev(1, 3);
        nix::sys::stat::mknod(&node, nix::sys::stat::SFlag::S_IFCHR, mode, device).unwrap();
        let text = stage.say("stat -c %F /null; cat /null; chmod 777 /null; cat /null; exit 0");
        assert!(text.starts_with("character special file\n"), "{text}");
        assert_eq!(text.matches("can't open '/null': Permission denied").count(), 2, "{text}");
    });
}

fn guest_has_a_network_with_lo_up() {
    on_stage(|stage| {
        let text = stage.say(
            "ls /sys/class/net; cat /sys/class/net/lo/flags; mkdir /sys/x 2>/dev/null; \
             echo 0 2>/dev/null > /sys/class/net/lo/mtu || echo refused; grep ' /sys ' /proc/self/mountinfo",
        );
        assert!(text.starts_with("lo\n0x9\nrefused\n"), "{text}");
        assert!(text.contains(" /sys ro,nosuid,nodev,noexec"), "{text}");
    });
}

fn guest_leads_its_session() {
    on_stage(|stage| {
        // Process group and session are fields 5 and 6.
        let text = stage.say("cat /proc/1/stat");
        let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
        assert_eq!(fields[2..5], ["1", "1", "0"], "{text}");
    });
}

fn guest_without_user_namespace() {
    on_stage(|stage| {
        let script =
            "id -u; stat -c %u /bin; grep ^CapBnd /proc/self/status; mount -o remount,rw /sys || exit 3";
        let (stdio, mut output) = output_pipe();
        let mut running = Launch::new(&stage.live)
            .filter(None)
            .program(Program::Guest { path: c"/bin/sh".to_owned(), argv: strings(&["sh", "-c", script]) })
            .environment(strings(&["PATH=/bin"]))
            .stdio(stdio)
            .start()
            .unwrap()
            .go()
            .unwrap();
        let text = read_all(&mut output);
        running.wait().unwrap();
        assert!(text.starts_with("0\n7340032\nCapBnd:\t000001"), "{text}");

        // In a user namespace, what is not in the range belongs to nobody.
        assert_eq!(stage.say("stat -c %u /bin/busybox"), format!("{UNMAPPED}\n"));
    });
}
