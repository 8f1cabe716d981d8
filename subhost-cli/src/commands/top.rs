//! `top`: who uses most, on a terminal.

use std::cmp::Ordering;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::tcgetwinsize;
use subhost_init::console::RawMode;

use super::{Context, need_root};
use crate::accounting::args;
use crate::accounting::look::look;
use crate::accounting::sample::{Kind, Row, Sample};
use crate::accounting::shown::table_of;
use crate::error::{Complaint, Context as _, Error};
use crate::report::{self, Colour};
use crate::sorted::sort_by;
use crate::supervise::Signals;

/// The other screen of the terminal, without a cursor; and back.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";
/// What Ctrl-C is where it makes no signal.
const CTRL_C: u8 = 3;

/// The terminal, as long as it is ours.
struct Screen;

impl Screen {
    fn enter() -> Result<Screen, Error> {
        report::print(BEGIN).map(|()| Screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = report::print(END);
    }
}

/// Shows it until a key or a signal ends it.
pub(super) fn top(context: &Context, args: &args::Top) -> Result<u8, Error> {
    need_root("top")?;
    let stdin = io::stdin();
    if !stdin.is_terminal() || !io::stdout().is_terminal() {
        let complaint = Complaint::new("top: needs a terminal");
        return Err(Error::refused(
            complaint.hint("subhostctl usage --watch shows the same, table after table"),
        ));
    }
    let signals = Signals::block()?;
    let _raw = RawMode::enter(stdin.as_fd()).step("use the terminal")?;
    let _screen = Screen::enter()?;
    let every = Duration::from_secs(args.every);
    let mut before: Option<Sample> = None;
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            let mut sample = look(&context.layout, None);
            sample.find_shares(before.as_ref());
            sort_by(&mut sample.rows, busier);
            before = Some(sample);
            next = Instant::now() + every;
        }
        if let Some(sample) = &before {
            draw(sample)?;
        }
        if is_left(&stdin, &signals, next)? {
            return Ok(0);
        }
    }
}

/// The host first, then who keeps the processors busiest.
fn busier(one: &Row, other: &Row) -> Ordering {
    let share = |row: &Row| row.cpu_share.unwrap_or(0.0);
    let is_part = |row: &Row| row.kind != Kind::Host;
    is_part(one).cmp(&is_part(other)).then_with(|| share(other).total_cmp(&share(one)))
}

fn draw(sample: &Sample) -> Result<(), Error> {
    let size = tcgetwinsize(io::stdout());
    let (lines, columns) =
        size.map_or((24, 80), |size| (size.ws_row.max(2).into(), size.ws_col.max(1).into()));
    let head = report::printable(&format!("{}, {}, q ends it", sample.host, sample.time));
    report::print(&frame(&format!("{head}\n{}", table_of(Colour::default(), &sample.rows)), lines, columns))
}

/// What of a text a screen has room for, over what it has shown before.
fn frame(text: &str, lines: usize, columns: usize) -> String {
    let cut = |line: &str| line.chars().take(columns).collect::<String>() + "\x1b[K";
    let shown: Vec<String> = text.lines().take(lines).map(cut).collect();
    format!("\x1b[H{}\x1b[J", shown.join("\r\n"))
}

/// Waits for a key until it is time for the next look. True when that is to be the end.
fn is_left(stdin: &io::Stdin, signals: &Signals, next: Instant) -> Result<bool, Error> {
    let left = next.saturating_duration_since(Instant::now());
    let mut fds = [PollFd::new(stdin, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(false),
        Err(errno) => return Err(errno).step("wait for a key"),
    }
    let (is_typed, is_signalled) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
    // A new size is drawn at once.
    if is_signalled && std::iter::from_fn(|| signals.next()).any(|signal| signal != Signal::SIGWINCH) {
        return Ok(true);
    }
    if !is_typed {
        return Ok(false);
    }
    let mut keys = [0; 64];
    match rustix::io::read(stdin, &mut keys) {
        Ok(0) => Ok(true),
        Ok(count) => Ok(keys[..count].iter().any(|key| [b'q', b'Q', CTRL_C].contains(key))),
        Err(Errno::AGAIN | Errno::INTR) => Ok(false),
        // The terminal is gone.
        Err(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_no_larger_than_the_screen() {
        assert_eq!(frame("abc\nde\nf\n", 2, 2), "\x1b[Hab\x1b[K\r\nde\x1b[K\x1b[J");
    }

    #[test]
    fn the_host_comes_first_and_then_who_is_busiest() {
        let row = |kind, name: &str, share| Row { cpu_share: share, ..Row::new(kind, name, "") };
        let mut rows = [
            row(Kind::Vm, "idle", None),
            row(Kind::Vm, "busy", Some(0.7)),
            row(Kind::Rest, "rest", Some(0.1)),
            row(Kind::Host, "host", Some(0.0)),
        ];
        rows.sort_by(busier);
        assert_eq!(rows.map(|row| row.name), ["host", "busy", "rest", "idle"]);
    }
}
