//! Real bash as the witness of the unit tests: many cases in one process.

use std::io::Write;
use std::process::{Command, Stdio};

/// What bash prints on standard output when it runs this script; its standard error is dropped.
pub(crate) fn output(script: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file is made");
    file.write_all(script).expect("the script is written");
    Command::new("bash")
        .args(["--norc", "--noprofile"])
        .arg(file.path())
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .expect("bash runs")
        .stdout
}

/// What bash prints for each of the cases, which print one NUL each.
pub(crate) fn outputs(script: &[u8], cases: usize) -> Vec<Vec<u8>> {
    let output = output(script);
    let mut answers: Vec<Vec<u8>> = output.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    assert_eq!(answers.pop(), Some(Vec::new()), "bash stops in the middle");
    assert_eq!(answers.len(), cases, "bash gives an answer to each case");
    answers
}

/// A value in a script.
pub(crate) fn quoted(value: &[u8]) -> Vec<u8> {
    let mut text = b"$'".to_vec();
    for byte in value {
        write!(text, "\\{byte:03o}").expect("writing to a vector does not fail");
    }
    text.push(b'\'');
    text
}

/// Cases by the number, more in a long run: `BASH_CASES=1000000`.
pub(crate) fn cases(default: usize) -> usize {
    std::env::var("BASH_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

/// Numbers that look random, and are the same in each run unless `BASH_SEED` says otherwise.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        let seed = std::env::var("BASH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 20) % limit as u64).expect("it is below a usize")
    }

    pub(crate) fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
