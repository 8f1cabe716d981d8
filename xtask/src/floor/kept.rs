//! One that goes on, as a guest that is kept does.

use std::ffi::{CStr, c_int};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Floor, sys, wait};
use crate::Outcome;

const SLEEP: [&CStr; 2] = [c"/bin/sleep", c"1000"];
/// The -1 of a program that a signal ended, as a process can tell it.
const KILLED: c_int = 255;
/// How long it may take to come to its program.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Kept {
    /// Has the root open, and waits for what it has started, as a supervisor does.
    holder: Pid,
    init: Pid,
}

impl Kept {
    /// Starts it, in a process of its own, with a program that does not end.
    pub(crate) fn start(floor: Floor) -> Outcome<Kept> {
        let floor = Floor { payload: SLEEP, ..floor };
        let holder = sys::fork(0, None, &mut || floor.run().unwrap_or(1))?;
        // Where there is a PID 1 of its own, the program is its child.
        let above = usize::from(floor.isolated);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = line_from(holder)?;
            if line.last().is_some_and(|pid| is_sleep(*pid))
                && let Some(init) = line.iter().rev().nth(above)
            {
                return Ok(Kept { holder, init: *init });
            }
            if Instant::now() > deadline {
                return Err("the raw system calls do not come to their program".into());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills PID 1, and waits until the holder has taken all down and ended.
    pub(crate) fn end(self) -> Outcome {
        kill_process(self.init, Signal::KILL)?;
        match wait(self.holder)? {
            KILLED => Ok(()),
            status => Err(format!("the raw system calls ended with status {status}").into()),
        }
    }
}

/// Its child, the child of that one, and so on.
fn line_from(top: Pid) -> Outcome<Vec<Pid>> {
    let (mut line, mut pid) = (Vec::new(), top);
    loop {
        let number = pid.as_raw_pid();
        let Ok(children) = fs::read_to_string(format!("/proc/{number}/task/{number}/children")) else {
            return Ok(line);
        };
        let last = children.split_ascii_whitespace().last().and_then(|child| child.parse().ok());
        let Some(child) = last.and_then(Pid::from_raw) else { return Ok(line) };
        line.push(child);
        pid = child;
    }
}

fn is_sleep(pid: Pid) -> bool {
    fs::read(format!("/proc/{}/comm", pid.as_raw_pid())).is_ok_and(|name| name == b"sleep\n")
}
