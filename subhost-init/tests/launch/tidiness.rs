//! A caller is left with no child and no descriptor that it does not hold.

use std::fs;
use std::process::Command;

use rustix::process::{WaitId, WaitIdOptions, waitid};
use subhost_init::enter::Enter;
use subhost_init::launch::{Ended, Program};

use crate::Test;
use crate::stage::{on_stage, strings};

/// The first word of this program when it is a caller that is to be looked at: it has no other test beside it.
pub(crate) const HELPER: &str = "tidy-caller";

pub(crate) const TESTS: [Test; 1] = [(
    "a_caller_is_left_without_children_and_descriptors",
    a_caller_is_left_without_children_and_descriptors,
)];

fn a_caller_is_left_without_children_and_descriptors() {
    let output = Command::new(std::env::current_exe().unwrap()).arg(HELPER).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "tidy\n");
}

pub(crate) fn helper() {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    on_stage(|stage| {
        let ended = stage.script("exit 7").start().unwrap().go().unwrap().wait().unwrap();
        assert_eq!(ended, Ended::Exited(7));

        drop(stage.script("exit 0").start().unwrap());

        assert!(stage.script("exit 0").hostname(&"x".repeat(65)).start().is_err());
        let missing = Program::Guest { path: c"/none".to_owned(), argv: strings(&["none"]) };
        assert!(stage.launch(missing).start().unwrap().go().is_err());

        let mut guest = stage.script("sleep 600").start().unwrap().go().unwrap();
        let enter =
            |word| Enter::new(guest.pidfd()).argv(strings(&[word])).environment(strings(&["PATH=/bin"]));
        assert_eq!(enter("echo").start().unwrap().wait().unwrap(), 0);
        assert!(enter("none").start().is_err());
        guest.kill().unwrap();
        assert_eq!(guest.wait().unwrap(), Ended::Killed(9));
    });
    let all = WaitIdOptions::from_bits_retain(libc::__WALL.cast_unsigned());
    let children = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | all);
    assert_eq!(children.err(), Some(rustix::io::Errno::CHILD));
    assert_eq!(descriptors(), before);
    println!("tidy");
}
