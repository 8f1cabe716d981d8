//! A configuration run by a real bash: the way out for a file that cannot be written as data.
//!
//! Bash runs as the one command of a fresh subhost over the host's own files, as `run --overlay /` makes it: in
//! namespaces of its own, with no network, and with a layer that is thrown away. What it leaves is read back as text,
//! and evaluated like any other.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use subhost_config::{Source, is_special_to_bash};

use crate::error::{Complaint, Context as _, Error};

/// Seconds, after which it is killed.
const TIME_LIMIT: &str = "30";

/// A configuration has a few kilobytes of variables.
const MAX_OUTPUT_BYTES: u64 = 4 * 1024 * 1024;

/// The status of a text that bash cannot read, none of which is then run.
const SYNTAX_ERROR: i32 = 120;

/// The status of `timeout` when the time is over.
const TIMED_OUT: i32 = 124;

/// Prints the variables before and behind the text, which comes by standard input. What the text itself prints goes
/// to standard error.
const SCRIPT: &str = "\
    cat >/run/config && bash --norc --noprofile -n /run/config || exit 120\n\
    builtin declare -p\n\
    builtin printf '\\0'\n\
    exec 3>&1 1>&2 </dev/null\n\
    . /run/config\n\
    builtin declare -p >&3\n";

/// Runs a text, which must be one that only root could have written, and gives the assignments of what it set.
///
/// # Errors
/// Not root, bash cannot read the text, it takes too long, or prints too much.
pub fn executed(source: &Source) -> Result<Source, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(refused(source, "needs root"));
    }
    let mut child = Command::new("/proc/self/exe")
        .args(["--quiet", "run", "--overlay", "/", "--"])
        .args([
            "timeout",
            "--kill-after=1",
            TIME_LIMIT,
            "env",
            "-i",
            "LC_ALL=C.UTF-8",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ])
        .args(["bash", "--norc", "--noprofile", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .step("start bash")?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let text = source.text().to_vec();
    // It may end before it has read all, which its status then says.
    let writer = std::thread::spawn(move || input.map(|mut input| input.write_all(&text)));
    let mut printed = Vec::new();
    if let Some(output) = output {
        output.take(MAX_OUTPUT_BYTES + 1).read_to_end(&mut printed).step("read what bash gives")?;
    }
    if printed.len() as u64 > MAX_OUTPUT_BYTES {
        // Not killed, so that it takes its guest along.
        kill_process(Pid::from_child(&child), Signal::TERM).step("end bash")?;
        child.wait().step("wait for bash")?;
        return Err(refused(source, "its variables are larger than 4 MiB"));
    }
    let status = child.wait().step("wait for bash")?;
    drop(writer.join());
    match status.code() {
        Some(0) => {}
        Some(SYNTAX_ERROR) => return Err(refused(source, "bash cannot read it, as it says above")),
        Some(TIMED_OUT) => {
            return Err(refused(source, &format!("it took longer than {TIME_LIMIT} s")));
        }
        _ => return Err(refused(source, &format!("bash ended before its end: {status}"))),
    }
    let Some(lines) = set_by_it(&printed) else {
        return Err(refused(source, "bash did not come to its end"));
    };
    Ok(Source::new(format!("{} by bash", source.name()), lines))
}

fn refused(source: &Source, what: &str) -> Error {
    Error::refused(Complaint::new(format!("run {} by bash: {what}", source.name())))
}

/// The assignments of what the text set, of all `declare -p` lines before and behind it.
fn set_by_it(printed: &[u8]) -> Option<Vec<u8>> {
    let at = printed.iter().position(|&byte| byte == 0)?;
    let (before, behind) = (&printed[..at], &printed[at + 1..]);
    let before: Vec<&[u8]> = before.split(|&byte| byte == b'\n').collect();
    if before.len() < 2 || behind.is_empty() {
        return None;
    }
    let assignment = |line: &&[u8]| {
        let mut words = line.splitn(3, |&byte| byte == b' ');
        let (Some(b"declare"), Some(letters), Some(assignment)) = (words.next(), words.next(), words.next())
        else {
            return None;
        };
        let at = assignment.iter().position(|&byte| byte == b'=')?;
        let name = &assignment[..at];
        let is_of_bash = is_special_to_bash(&String::from_utf8_lossy(name));
        if is_of_bash || before.contains(line) {
            return None;
        }
        // Attributes mean nothing to a configuration, but keys need theirs.
        let declares: &[u8] = if letters.contains(&b'A') { b"declare -A " } else { b"" };
        Some([declares, assignment, b"\n"].concat())
    };
    let lines: Vec<&[u8]> = behind.split(|&byte| byte == b'\n').collect();
    Some(lines.iter().filter_map(assignment).flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_the_text_set_from_what_was_there() {
        let printed = b"declare -- PATH=\"/bin\"\ndeclare -i UID=\"0\"\n\0declare -- A=\"1 2\"\ndeclare -- BASH_X=\"1\"\n\
            declare -a B=([0]=\"x\")\ndeclare -- PATH=\"/bin\"\ndeclare -- PWD=\"/tmp\"\ndeclare -i UID=\"0\"\nnoise\n";
        let lines = set_by_it(printed).expect("both are there");
        assert_eq!(String::from_utf8_lossy(&lines), "A=\"1 2\"\nB=([0]=\"x\")\n");
        assert_eq!(set_by_it(b"declare -- A=\"1\"\n"), None);
        assert_eq!(set_by_it(b"a\nb\n\0"), None);
    }
}
