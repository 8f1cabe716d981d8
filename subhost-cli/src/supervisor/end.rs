//! What a supervisor does when its guest has ended.

use std::os::fd::AsFd;

use super::cause::{Cause, Next};
use super::{LONG_RUN, Supervisor, TAIL_LINES, wait_again};
use crate::claim::sweep;
use crate::error::{Context, Error};
use crate::handover::{self, Again, Place};
use crate::lock::{Lock, await_name};
use crate::report;
use crate::state::Record;

impl Supervisor {
    /// Takes the names back, and does what comes next. As long as the lock is held nobody else gets the name, and `stop` waits to
    /// see what becomes of it.
    pub(super) fn finish(mut self, cause: Cause) -> Result<u8, Error> {
        cause.event(&self.name, self.guest.init.pid, self.used.take()).note(&self.layout);
        let lock = await_name(&self.layout, &self.name).step(format!("lock the name {}", self.name))?;
        // Late as we may be, a later subhost of that name keeps its own.
        let record = self.record()?;
        if let Some(record) = &record {
            sweep(&self.layout, &self.name, record)?;
        }
        // A signal that came with the end is seen here, a later one reaches the next run.
        self.asked |= self.signals.ask_to_end();
        if self.began.elapsed() >= LONG_RUN {
            self.charge.failures = 0;
        }
        // Swept by somebody else, it was also ended by him.
        let next = record.map(|record| (cause.next(self.asked, self.charge.policy.restart), record));
        match next {
            Some((Next::Boot, record)) => self.boot_again(&lock, record),
            Some((Next::Wait, _)) => {
                self.say_end(cause);
                self.show_output();
                Err(wait_again(self.charge, &lock, &self.layout, &self.name))
            }
            Some((Next::Stay, _)) | None => self.end(cause),
        }
    }

    fn boot_again(self, lock: &Lock, record: Record) -> Result<u8, Error> {
        report::note(self.charge.quiet, &format!("{}: reboots", self.name));
        self.event("reboot", "reboots".to_owned());
        let again = Again {
            origin: self.charge.origin,
            background: self.charge.background,
            announce: self.charge.announce,
            failures: self.charge.failures,
            policy: self.charge.policy,
            place: Some(Place { cables: record.cables, ..self.guest.place }),
        };
        let fds: Vec<_> = std::iter::once(lock.as_fd()).chain(self.place.iter().map(AsFd::as_fd)).collect();
        Err(handover::boot_again(&again, &fds)).step(format!("boot {} again", self.name))
    }

    /// Says how it ended, and gives the status of that.
    fn end(self, cause: Cause) -> Result<u8, Error> {
        match cause {
            // Also where it was about to restart when the host wanted it off.
            Cause::PowerOff | Cause::Reboot => {
                self.say_end(Cause::PowerOff);
                self.show_output();
            }
            Cause::Exited(0) => self.show_output(),
            Cause::Exited(_) | Cause::Killed(_) | Cause::Unknown => {
                self.show_output();
                return Err(cause.in_words()).step(format!("subhost {}", self.name));
            }
        }
        Ok(0)
    }

    fn say_end(&self, cause: Cause) {
        report::note(self.charge.quiet, &format!("{}: {}", self.name, cause.in_words()));
    }

    /// Shows the last output to who waits in vain until the subhost is ready. In the foreground it has been seen.
    pub(super) fn show_output(&self) {
        if !self.charge.announce {
            return;
        }
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&tail);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
        let last: String = last.map(|line| format!("{}\n", report::printable(line))).collect();
        if !last.is_empty() {
            report::say(&format!("its last output:\n{last}"));
        }
    }
}
