//! How far a long command is: on a terminal a line that changes, else one line a step.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use crate::report;

/// How often the line changes.
const OFTEN: Duration = Duration::from_millis(100);

/// What is told while something is made.
pub struct Progress {
    quiet: bool,
    terminal: bool,
    last: Instant,
    /// Whether a line stands there that is to be written over.
    open: bool,
}

impl Progress {
    /// Tells on standard error.
    pub fn new(quiet: bool) -> Progress {
        let terminal = !quiet && std::io::stderr().is_terminal();
        Progress { quiet, terminal, last: Instant::now(), open: false }
    }

    /// A step begins.
    pub fn step(&mut self, text: &str) {
        self.close();
        report::note(self.quiet, text);
    }

    /// How far the step is.
    pub fn at(&mut self, entries: u64, bytes: u64) {
        if self.terminal && self.last.elapsed() >= OFTEN {
            self.last = Instant::now();
            self.open = true;
            report::say(&format!("\r\x1b[K{entries} files, {} MiB", bytes >> 20));
        }
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            report::say("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.close();
    }
}
