//! What goes wrong in the child comes back as its step and errno, and the child is gone.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

use subhost_init::launch::{Launch, Program};
use subhost_init::{Error, Step};

use crate::Test;
use crate::stage::{Stage, on_stage, strings};

pub(crate) const TESTS: [Test; 6] = [
    ("a_tree_without_proc_is_refused_by_step", a_tree_without_proc_is_refused_by_step),
    ("links_at_mount_targets_are_refused_and_not_followed", links_at_mount_targets_are_refused),
    ("a_program_that_cannot_be_executed_is_a_typed_error", a_program_that_cannot_be_executed),
    ("a_host_name_that_is_too_long_is_a_typed_error", a_host_name_that_is_too_long),
    ("a_descriptor_of_another_kind_is_refused_by_step", a_descriptor_of_another_kind),
    ("a_root_that_is_missing_is_named", a_root_that_is_missing_is_named),
];

/// The step, errno and text of a launch that has to fail, and leave no child.
fn failure(launch: Launch<'_>) -> (Step, i32, String) {
    let error = launch.start().and_then(|prepared| prepared.go()).unwrap_err();
    let text = error.to_string();
    match error {
        Error::LaunchStep { step, source, .. } => (step, source.raw_os_error().unwrap(), text),
        _ => panic!("{error:?}"),
    }
}

fn guest(stage: &Stage) -> Launch<'_> {
    stage.script("echo started > /tmp/started")
}

fn a_tree_without_proc_is_refused_by_step() {
    on_stage(|stage| {
        fs::remove_dir(stage.live.join("proc")).unwrap();
        let (step, errno, text) = failure(guest(stage));
        assert_eq!((step, errno), (Step::AttachProc, libc::ENOENT));
        assert_eq!(text, "attach proc on the guest's /proc: No such file or directory (os error 2)");
    });
}

fn links_at_mount_targets_are_refused() {
    on_stage(|stage| {
        let canary = tempfile::tempdir().unwrap();
        fs::write(canary.path().join("canary"), "canary").unwrap();
        let (proc, sys) = (stage.live.join("proc"), stage.live.join("sys"));

        fs::remove_dir(&proc).unwrap();
        for target in [canary.path().to_str().unwrap(), "tmp", "../../../tmp", "/"] {
            symlink(target, &proc).unwrap();
            let (step, errno, _) = failure(guest(stage));
            assert_eq!((step, errno), (Step::AttachProc, libc::ENOTDIR), "{target}");
            fs::remove_file(&proc).unwrap();
        }
        fs::write(&proc, "").unwrap();
        let (step, errno, _) = failure(guest(stage));
        assert_eq!((step, errno), (Step::AttachProc, libc::ENOTDIR));
        fs::remove_file(&proc).unwrap();
        nix::unistd::mkfifo(&proc, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (step, errno, _) = failure(guest(stage));
        assert_eq!((step, errno), (Step::AttachProc, libc::ENOTDIR));
        fs::remove_file(&proc).unwrap();

        fs::create_dir(&proc).unwrap();
        fs::remove_dir(&sys).unwrap();
        symlink(canary.path(), &sys).unwrap();
        let (step, errno, _) = failure(guest(stage));
        assert_eq!((step, errno), (Step::AttachSys, libc::ENOTDIR));

        assert!(!stage.live.join("tmp/started").exists());
        assert_eq!(fs::read_dir(canary.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(canary.path().join("canary")).unwrap(), "canary");
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert!(!mounts.contains(canary.path().to_str().unwrap()));
    });
}

fn a_program_that_cannot_be_executed() {
    on_stage(|stage| {
        let program =
            |path: &str| Program::Guest { path: strings(&[path])[0].clone(), argv: strings(&["init"]) };
        let error = stage.launch(program("/sbin/init")).start().unwrap().go().unwrap_err();
        assert_eq!(error.to_string(), "execute /sbin/init: No such file or directory (os error 2)");
        assert_eq!(error.exit_status(), Some(127));

        fs::write(stage.live.join("etc/data"), "data").unwrap();
        let error = stage.launch(program("/etc/data")).start().unwrap().go().unwrap_err();
        assert_eq!(error.to_string(), "execute /etc/data: Permission denied (os error 13)");
        assert_eq!(error.exit_status(), Some(126));
    });
}

fn a_host_name_that_is_too_long() {
    on_stage(|stage| {
        let (step, errno, _) = failure(guest(stage).hostname(&"x".repeat(65)));
        assert_eq!((step, errno), (Step::HostName, libc::EINVAL));
    });
}

fn a_descriptor_of_another_kind() {
    on_stage(|stage| {
        let file = fs::File::open("/dev/null").unwrap();
        let (step, errno, _) = failure(guest(stage).user_namespace(file.as_fd()));
        assert_eq!((step, errno), (Step::JoinUserNamespace, libc::EINVAL));
        let network = fs::File::open("/proc/thread-self/ns/net").unwrap();
        let (step, errno, _) = failure(guest(stage).network_namespace(file.as_fd()));
        assert_eq!((step, errno), (Step::JoinNetworkNamespace, libc::EINVAL));
        // The host's own: the user namespace has no power over it.
        let (step, errno, _) = failure(guest(stage).network_namespace(network.as_fd()));
        assert_eq!((step, errno), (Step::JoinNetworkNamespace, libc::EPERM));
    });
}

fn a_root_that_is_missing_is_named() {
    on_stage(|stage| {
        let launch = Launch::new(&stage.live.join("none"))
            .user_namespace(stage.user_namespace.as_fd())
            .program(Program::Guest { path: c"/bin/sh".to_owned(), argv: Vec::new() });
        let (step, errno, text) = failure(launch);
        assert_eq!((step, errno), (Step::CloneRoot, libc::ENOENT));
        assert!(text.contains("/live/none: No such file"), "{text}");
    });
}
