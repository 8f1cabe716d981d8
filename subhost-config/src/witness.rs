//! For tests: what real bash says to many small scripts, in one process.

use std::io::Write;
use std::process::{Command, Stdio};

/// What bash prints, complaints among it, for each of the pieces of a script; `before` comes first. An error
/// ends no more than the line it is in. The directory is an empty one.
pub(crate) fn bash(before: &str, pieces: &[String]) -> Vec<Vec<u8>> {
    const END: &[u8] = b"\x02end of piece\x03\n";
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file is made");
    let empty = tempfile::tempdir().expect("a temporary directory is made");
    let mut script = format!("exec 2>&1\n{before}\n").into_bytes();
    for piece in pieces {
        script.extend_from_slice(piece.as_bytes());
        script.extend_from_slice(b"\nprintf '\\2end of piece\\3\\n'\n");
    }
    file.write_all(&script).expect("the script is written");
    let output = Command::new("bash")
        .args(["--norc", "--noprofile"])
        .arg(file.path())
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .current_dir(empty.path())
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let mut answers = Vec::new();
    let mut rest = &output.stdout[..];
    while let Some(at) = rest.windows(END.len()).position(|it| it == END) {
        answers.push(rest[..at].to_vec());
        rest = &rest[at + END.len()..];
    }
    assert_eq!(answers.len(), pieces.len(), "bash answered to each piece; {}", String::from_utf8_lossy(rest));
    answers
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % sides
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}
