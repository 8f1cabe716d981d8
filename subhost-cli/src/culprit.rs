//! Which script of a guest hangs, seen from outside: what the processes below it say of themselves.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::mpsc;
use std::time::Duration;

use subhost_init::handoff::Program;

/// How long the looking may take: a process of the guest can make whoever reads its command line wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many processes are looked at.
const PROCESSES: usize = 256;
/// How many scripts are told of.
const SCRIPTS: usize = 4;
/// How much is read of a file in `/proc`, in bytes.
const READ: u64 = 4096;
/// How much is told of a command line, in characters.
const TOLD: usize = 120;

/// A script of PID 1, in words.
pub fn in_words(program: Program) -> String {
    match program {
        Program::SystemInit => "the start script".to_owned(),
        Program::Boot => "the boot script".to_owned(),
        Program::Runlevel(level) => format!("the script of runlevel {}", char::from(level)),
        Program::Single => "sulogin".to_owned(),
        Program::Payload => "the payload".to_owned(),
    }
}

/// The scripts that keep the one with this pid in the guest from ending, and what they run; empty if that cannot be told.
/// `init` is the host's pid of the guest's PID 1, which must not be reaped meanwhile.
pub fn hanging(init: u32, pid: i32) -> Vec<String> {
    let (sender, receiver) = mpsc::channel();
    // Not waited for: one that is made to wait goes when the guest does.
    let look = move || drop(sender.send(look(init, pid)));
    match std::thread::Builder::new().spawn(look) {
        Ok(_) => receiver.recv_timeout(PATIENCE).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

fn look(init: u32, pid: i32) -> Vec<String> {
    let script = children(init).into_iter().find(|child| pid_inside(*child) == Some(pid));
    let mut found = BTreeSet::new();
    let mut left = PROCESSES;
    // Each process with the nearest script above it.
    let mut waiting: Vec<(u32, Option<String>)> = script.map(|script| (script, None)).into_iter().collect();
    while let Some((process, above)) = waiting.pop() {
        left = left.saturating_sub(1);
        let words = command_line(process);
        let is_script = words.iter().take(3).any(|word| word.starts_with("/etc/"));
        let script = if is_script { Some(words.join(" ")) } else { above.clone() };
        let below = children(process);
        if below.is_empty() || left == 0 {
            found.insert(match &script {
                Some(script) if is_script => short(script),
                Some(script) => format!("{}, in: {}", short(script), short(&words.join(" "))),
                None => short(&words.join(" ")),
            });
        }
        if found.len() == SCRIPTS || left == 0 {
            break;
        }
        waiting.extend(below.into_iter().map(|child| (child, script.clone())));
    }
    found.into_iter().filter(|line| !line.is_empty()).collect()
}

fn short(text: &str) -> String {
    text.chars().take(TOLD).collect()
}

fn children(pid: u32) -> Vec<u32> {
    // One for each thread: what another thread has started counts as well.
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let children = |thread: std::fs::DirEntry| read(&format!("{}/children", thread.path().display()));
    let all: Vec<String> =
        threads.flatten().take(PROCESSES).filter_map(|thread| children(thread).ok()).collect();
    all.iter().flat_map(|some| some.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

/// The last of the pids of a process is the one in its own namespace.
fn pid_inside(pid: u32) -> Option<i32> {
    let status = read(&format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
}

/// Without the interpreter of a script.
fn command_line(pid: u32) -> Vec<String> {
    let text = read(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = text.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    match words.as_slice() {
        [interpreter, script, ..] if script.starts_with("/etc/") && !interpreter.starts_with("/etc/") => {
            words[1..].to_vec()
        }
        _ => words,
    }
}

fn read(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(READ).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_runs_below_a_script_is_told_with_the_script() {
        // `/etc/…` is only an argument here: what counts is how it is called.
        let script = "sh -c 'read line; : $0' /etc/rc2.d/S20hangs start; :";
        let mut shell = Command::new("sh")
            .args(["-c", script, "/etc/init.d/rc", "2"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(shell.id()).unwrap();
        let is_there = || look(std::process::id(), pid).iter().any(|line| line.contains("S20hangs"));
        while !is_there() {
            assert!(shell.try_wait().unwrap().is_none(), "it has ended");
            std::thread::yield_now();
        }
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(look(std::process::id(), pid).is_empty());
    }
}
