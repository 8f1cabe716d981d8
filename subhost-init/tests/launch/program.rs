//! The file of our PID 1: executed, bound, and never written by a guest.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::mount::{MountFlags, MoveMountFlags, mount, move_mount};
use subhost_init::console::Pty;
use subhost_init::handoff::{Message, PACKET, Pid1Args, Program as What};
use subhost_init::launch::{Ended, Launch, Pid1Program, Program};
use subhost_init::pid1::IMAGE;

use crate::Test;
use crate::stage::{Stage, finish, on_stage, read_all, strings, with_output};

pub(crate) const TESTS: [Test; 5] = [
    ("our_pid_1_runs_a_payload_and_hands_back_its_status", our_pid_1_runs_a_payload),
    ("our_pid_1_has_the_descriptors_of_the_contract_only", our_pid_1_has_the_descriptors_of_the_contract),
    ("a_guest_cannot_write_to_the_file_of_pid_1", a_guest_cannot_write_to_the_file_of_pid_1),
    ("a_script_is_covered_by_one_that_does_nothing", a_script_is_covered),
    ("the_directory_is_private_and_the_file_is_shared", the_directory_is_private),
];

/// A directory for the program, on a tmpfs that is mounted as `/run` often is.
fn directory(stage: &Stage) -> PathBuf {
    let run = stage.live.parent().unwrap().join("run");
    fs::create_dir(&run).unwrap();
    mount("tmpfs", &run, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC, c"").unwrap();
    run.join("subhost")
}

fn payload<'a>(stage: &'a Stage, program: &std::path::Path, script: &str) -> Launch<'a> {
    let args = Pid1Args { payload: Some(strings(&["sh", "-c", script])), ..Pid1Args::default() };
    stage.launch(Program::Subhost(args.to_argv())).pid1_program(Pid1Program::ensure(program).unwrap())
}

fn our_pid_1_runs_a_payload() {
    on_stage(|stage| {
        let directory = directory(stage);
        let (launch, mut output) =
            with_output(payload(stage, &directory, "readlink /proc/1/cwd; echo $PPID; exit 42"));
        let mut guest = launch.start().unwrap().go().unwrap();
        let mut packet = [0; PACKET];
        let mut next = || {
            let (_, length) =
                rustix::net::recv(guest.socket(), &mut packet[..], rustix::net::RecvFlags::empty()).unwrap();
            Message::decode(&packet[..length])
        };
        assert_eq!(next(), Some(Message::Started(What::Payload)));
        assert_eq!(read_all(&mut output), "/\n1\n");
        while next().is_some() {}
        assert_eq!(guest.wait().unwrap(), Ended::Exited(42));
    });
}

fn our_pid_1_has_the_descriptors_of_the_contract() {
    on_stage(|stage| {
        let directory = directory(stage);
        let pty = Pty::open().unwrap();
        let (slave, master) = (pty.slave, pty.master.try_clone().unwrap());
        let guest = payload(stage, &directory, "sleep 600")
            .stdio([slave.try_clone().unwrap(), slave.try_clone().unwrap(), slave])
            .console_master(Some(master))
            .start()
            .unwrap();
        // What it gets, before it opens anything of its own.
        let link = |number: &str| {
            fs::read_link(format!("/proc/{}/fd/{number}", guest.init_pid())).unwrap().into_os_string()
        };
        for terminal in ["0", "1", "2"] {
            assert!(link(terminal).to_str().unwrap().starts_with("/dev/pts/"));
        }
        assert!(link("3").to_str().unwrap().starts_with("socket:"));
        assert_eq!(link("4"), "/dev/ptmx");
        let guest = guest.go().unwrap();
        for entry in fs::read_dir(format!("/proc/{}/fd", guest.pid())).unwrap() {
            let path = entry.unwrap().path();
            let target = fs::read_link(&path).unwrap();
            let target = target.to_str().unwrap();
            let number: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            // Beyond the contract only what PID 1 makes itself: with 5 it keeps a number free for a new supervisor.
            assert!(
                number <= 5 || target.starts_with("anon_inode:") || target.starts_with("/run/"),
                "{target}"
            );
        }
        finish(guest);
    });
}

fn a_guest_cannot_write_to_the_file_of_pid_1() {
    on_stage(|stage| {
        let directory = directory(stage);
        let script = "echo x > /proc/1/exe; echo x >> /proc/1/exe; mount -o remount,bind,rw /proc/1/exe; \
             cat /proc/1/exe > /tmp/copy; stat -L -c %s /proc/1/exe; exit 0";
        let (launch, mut output) = with_output(payload(stage, &directory, script));
        let mut guest = launch.start().unwrap().go().unwrap();
        let text = read_all(&mut output);
        // The second way lacks O_TRUNC, and then the mode comes first.
        assert!(text.contains("can't create /proc/1/exe: Read-only file system"), "{text}");
        assert!(text.contains("can't create /proc/1/exe: Permission denied"), "{text}");
        assert!(text.contains(&format!("\n{}\n", IMAGE.len())), "{text}");
        assert_eq!(guest.wait().unwrap(), Ended::Exited(0));
        let file = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
        assert!(fs::read(file).unwrap() == IMAGE);
    });
}

fn a_script_is_covered() {
    on_stage(|stage| {
        let directory = directory(stage);
        let script = stage.live.join("etc/checkroot.sh");
        fs::write(&script, "#!/bin/sh\necho called\nexit 3\n").unwrap();
        let cover = Pid1Program::ensure(&directory).unwrap().mount().unwrap();
        move_mount(cover.as_fd(), "", CWD, &script, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
        let text = stage.say(
            "/etc/checkroot.sh start && echo quiet; echo x > /etc/checkroot.sh; \
             umount /etc/checkroot.sh; mount -o remount,bind,rw /etc/checkroot.sh; \
             grep checkroot /proc/self/mountinfo",
        );
        assert!(text.starts_with("quiet\n") && !text.contains("called"), "{text}");
        assert!(text.contains("can't create /etc/checkroot.sh: Read-only file system"), "{text}");
        assert!(text.contains(" /etc/checkroot.sh ro,nosuid,nodev"), "{text}");
    });
}

fn the_directory_is_private() {
    on_stage(|stage| {
        let directory = directory(stage);
        let first = Pid1Program::ensure(&directory).unwrap();
        let second = Pid1Program::ensure(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode(), 0o40_700);
        let inode = |program: &Pid1Program| rustix::fs::fstat(program.exec_fd()).unwrap().st_ino;
        assert_eq!(inode(&first), inode(&second));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    });
}
