//! How far a long command is: on a terminal a line that is drawn over, elsewhere a line now and then.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::report;

/// How often the line is drawn, and how often one is written where nothing can be drawn over.
const OFTEN: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(10);

/// Columns of a terminal that does not tell its own.
const WIDTH: usize = 80;

const MIB: u64 = 1 << 20;

/// How much of a step is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Bytes.
    pub bytes: u64,
    /// How many bytes there are, where that is known.
    pub of: Option<u64>,
}

/// What is told while something is made.
pub struct Progress(RefCell<Inner>);

struct Inner {
    /// Nobody, if it is to be quiet.
    out: Option<Box<dyn Write>>,
    /// Columns, of a terminal.
    width: Option<usize>,
    begun: Instant,
    last: Instant,
    /// Whether a line stands there that is to be drawn over.
    is_open: bool,
}

impl Progress {
    /// Tells on standard error.
    pub fn new(quiet: bool) -> Progress {
        let err = std::io::stderr();
        let width = err.is_terminal().then(|| {
            let columns = rustix::termios::tcgetwinsize(&err).map_or(0, |size| size.ws_col);
            if columns == 0 { WIDTH } else { columns.into() }
        });
        Progress::to((!quiet).then(|| Box::new(err) as Box<dyn Write>), width)
    }

    fn to(out: Option<Box<dyn Write>>, width: Option<usize>) -> Progress {
        let now = Instant::now();
        Progress(RefCell::new(Inner { out, width, begun: now, last: now, is_open: false }))
    }

    /// A step begins.
    pub fn step(&self, text: &str) {
        let mut inner = self.0.borrow_mut();
        inner.begun = Instant::now();
        inner.last = inner.begun;
        inner.line(&format!("subhostctl: {text}"));
    }

    /// How far the step is.
    pub fn at(&self, done: impl FnOnce() -> Done) {
        let mut inner = self.0.borrow_mut();
        let every = inner.width.map_or(SELDOM, |_| OFTEN);
        if inner.is_due(every) {
            let text = text(done(), inner.begun.elapsed());
            inner.tell(&text);
        }
    }

    /// What a program says that does the step.
    pub fn said(&self, line: &str) {
        let mut inner = self.0.borrow_mut();
        if inner.width.is_none() || inner.is_due(OFTEN) {
            inner.tell(line);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.borrow_mut().close();
    }
}

impl Inner {
    fn is_due(&mut self, every: Duration) -> bool {
        let is_due = self.last.elapsed() >= every;
        if is_due {
            self.last = Instant::now();
        }
        is_due
    }

    /// A line that does not stay, if it need not.
    fn tell(&mut self, text: &str) {
        match self.width {
            None => self.line(text),
            Some(width) => {
                // In the last column some terminals begin the next line.
                let text: String = report::printable(text).chars().take(width.saturating_sub(1)).collect();
                self.write(&format!("\r\x1b[K{text}"));
                self.is_open = true;
            }
        }
    }

    fn line(&mut self, text: &str) {
        self.close();
        self.write(&format!("{}\n", report::printable(text)));
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.write("\r\x1b[K");
        }
    }

    /// Where it does not take it there is nobody to tell.
    fn write(&mut self, text: &str) {
        if let Some(out) = &mut self.out {
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }
}

fn text(done: Done, after: Duration) -> String {
    let mib = done.bytes / MIB;
    let mut text = match done.of.filter(|of| *of >= done.bytes && *of > 0) {
        Some(of) => {
            let percent = u128::from(done.bytes) * 100 / u128::from(of);
            format!("{mib} of {} MiB, {percent} %", of / MIB)
        }
        None => format!("{mib} MiB"),
    };
    // At first it tells nothing.
    if after.as_secs() > 0 {
        text.push_str(&format!(", {} MiB/s", u128::from(mib) * 1000 / after.as_millis()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, to be looked at afterwards.
    #[derive(Clone, Default)]
    struct Sink(std::rc::Rc<RefCell<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn told(out: bool, width: Option<usize>, tell: impl Fn(&Progress)) -> String {
        let sink = Sink::default();
        let progress = Progress::to(out.then(|| Box::new(sink.clone()) as Box<dyn Write>), width);
        tell(&progress);
        drop(progress);
        String::from_utf8(sink.0.take()).unwrap()
    }

    /// As if the last line were old.
    fn wait(progress: &Progress) {
        let mut inner = progress.0.borrow_mut();
        inner.last = inner.last.checked_sub(SELDOM).unwrap();
    }

    #[test]
    fn percent_and_rate_stand_where_they_are_known() {
        let done = |bytes, of| Done { bytes, of };
        let second = Duration::from_secs(2);
        assert_eq!(text(done(30 << 20, Some(120 << 20)), second), "30 of 120 MiB, 25 %, 15 MiB/s");
        assert_eq!(text(done(30 << 20, None), Duration::ZERO), "30 MiB");
        // More than there was, as it grows.
        assert_eq!(text(done(3 << 20, Some(2 << 20)), second), "3 MiB, 1 MiB/s");
        assert_eq!(text(done(u64::MAX, Some(u64::MAX)), second).split(", ").nth(1), Some("100 %"));
        assert_eq!(text(done(0, Some(0)), second), "0 MiB, 0 MiB/s");
    }

    #[test]
    fn a_terminal_has_one_line_that_fits_and_is_gone_at_the_end() {
        let text = told(true, Some(10), |progress| {
            progress.step("begins");
            progress.at(Done::default);
            wait(progress);
            progress.said("a line that is longer\x1b[2J");
            progress.at(Done::default);
            wait(progress);
            progress.at(|| Done { bytes: 3 << 30, of: None });
        });
        assert_eq!(text, "subhostctl: begins\n\r\x1b[Ka line th\r\x1b[K3072 MiB\r\x1b[K");
    }

    #[test]
    fn elsewhere_there_are_lines_and_quiet_there_is_nothing() {
        let tell = |progress: &Progress| {
            progress.step("begins");
            progress.at(Done::default);
            progress.said("a\x1bword");
            wait(progress);
            progress.at(|| Done { bytes: 5 << 20, of: None });
        };
        assert_eq!(told(true, None, tell), "subhostctl: begins\na\u{fffd}word\n5 MiB\n");
        assert_eq!(told(false, Some(80), tell), "");
    }
}
