//! Why a subhost has ended, and what comes next.

use std::time::Duration;

use subhost_init::handoff::{End, Why};
use subhost_init::launch::Ended;

use crate::events::{Event, Used};
use crate::handover::Restart;
use crate::layout::Name;

/// The longest wait between two boots.
const LONGEST: Duration = Duration::from_secs(60);

/// Why a subhost has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It has powered off.
    PowerOff,
    /// It restarts.
    Reboot,
    /// Its PID 1 has exited with this status.
    Exited(i32),
    /// Its PID 1 was killed by this signal.
    Killed(i32),
    /// Nobody has told.
    Unknown,
}

impl From<Ended> for Cause {
    /// From what the kernel tells the parent.
    fn from(ended: Ended) -> Cause {
        match ended {
            Ended::PowerOff => Cause::PowerOff,
            Ended::Reboot => Cause::Reboot,
            Ended::Exited(code) => Cause::Exited(code),
            Ended::Killed(signal) => Cause::Killed(signal),
        }
    }
}

/// What comes after an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Stay,
    /// It is booted again at once, with its network.
    Boot,
    /// It is booted again after a while.
    Wait,
}

impl Cause {
    /// From what the kernel tells others than the parent, if it does, and what PID 1 has said.
    pub(super) fn guessed(ended: Option<Ended>, said: Option<End>) -> Cause {
        match (ended, said) {
            // It does not tell them of reboot(2): that looks like these.
            (Some(Ended::Exited(0) | Ended::Killed(9)) | None, said) => match said {
                Some(End::PowerOff) => Cause::PowerOff,
                Some(End::Reboot) => Cause::Reboot,
                Some(End::Exit(code)) => Cause::Exited(code.into()),
                None => Cause::Unknown,
            },
            (Some(ended), _) => Cause::from(ended),
        }
    }

    /// What comes next; `asked` where somebody of the host wants it off.
    pub(super) fn next(self, asked: bool, restart: Restart) -> Next {
        match (self, restart) {
            _ if asked => Next::Stay,
            (Cause::Reboot, _) => Next::Boot,
            (_, Restart::Always) => Next::Wait,
            (Cause::PowerOff | Cause::Exited(0), _) | (_, Restart::No) => Next::Stay,
            (Cause::Exited(_) | Cause::Killed(_) | Cause::Unknown, Restart::OnFailure) => Next::Wait,
        }
    }

    /// In words that follow the name.
    pub(super) fn in_words(self) -> String {
        match self {
            Cause::PowerOff => "powered off".to_owned(),
            Cause::Reboot => "ended to restart".to_owned(),
            Cause::Exited(code) => format!("PID 1 ended with status {code}"),
            Cause::Killed(signal) => format!("PID 1 was ended by signal {signal}"),
            Cause::Unknown => "has ended, and nobody has told why".to_owned(),
        }
    }

    /// In one word.
    fn word(self) -> &'static str {
        match self {
            Cause::PowerOff => "power-off",
            Cause::Reboot => "reboot",
            Cause::Exited(_) => "exit",
            Cause::Killed(_) => "signal",
            Cause::Unknown => "unknown",
        }
    }

    /// The event, with what was used up to then.
    pub(crate) fn event(self, name: &Name, init_pid: u32, usage: Option<Used>) -> Event {
        let status = match self {
            Cause::Exited(number) | Cause::Killed(number) => Some(number),
            _ => None,
        };
        let event = Event::now(name, "ended", self.in_words()).of_init(init_pid);
        Event { cause: Some(self.word().to_owned()), status, usage, ..event }
    }
}

/// The end that was asked for, and by whom.
pub(super) fn of_stop(end: End, why: Why) -> String {
    let what = match end {
        End::PowerOff => "powers off".to_owned(),
        End::Reboot => "restarts".to_owned(),
        End::Exit(code) => format!("ends with status {code}"),
    };
    let why = match why {
        Why::Initctl => "a request in /run/initctl",
        Why::StrayBytes => "something written to /run/initctl",
        Why::Signal => "a signal to its PID 1",
        Why::Host => "the host",
        Why::Payload => "the end of what it runs",
        _ => "something else",
    };
    format!("{what}: asked by {why}")
}

/// How long is waited after so many failures in a row: 1 s, and twice as long each time, up to a minute.
pub(super) fn delay(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(6)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_than_the_parent_are_not_told_is_what_pid_1_has_said() {
        for (ended, said, cause) in [
            (Some(Ended::Exited(0)), Some(End::Reboot), Cause::Reboot),
            (Some(Ended::Killed(9)), Some(End::PowerOff), Cause::PowerOff),
            (Some(Ended::Killed(9)), None, Cause::Unknown),
            (Some(Ended::Killed(11)), Some(End::Reboot), Cause::Killed(11)),
            (Some(Ended::Exited(125)), None, Cause::Exited(125)),
            (Some(Ended::Reboot), None, Cause::Reboot),
            (None, Some(End::Exit(3)), Cause::Exited(3)),
            (None, None, Cause::Unknown),
        ] {
            assert_eq!(Cause::guessed(ended, said), cause, "{ended:?} {said:?}");
        }
    }

    #[test]
    fn what_the_host_ended_is_not_booted_again() {
        let causes = [
            Cause::PowerOff,
            Cause::Reboot,
            Cause::Exited(0),
            Cause::Exited(1),
            Cause::Killed(9),
            Cause::Unknown,
        ];
        for restart in [Restart::No, Restart::OnFailure, Restart::Always] {
            for cause in causes {
                assert_eq!(cause.next(true, restart), Next::Stay);
            }
        }
        let table = [
            (Restart::No, [Next::Stay, Next::Boot, Next::Stay, Next::Stay, Next::Stay, Next::Stay]),
            (Restart::OnFailure, [Next::Stay, Next::Boot, Next::Stay, Next::Wait, Next::Wait, Next::Wait]),
            (Restart::Always, [Next::Wait, Next::Boot, Next::Wait, Next::Wait, Next::Wait, Next::Wait]),
        ];
        for (restart, next) in table {
            assert_eq!(causes.map(|cause| cause.next(false, restart)), next, "{restart:?}");
        }
    }

    #[test]
    fn delays_double_up_to_a_minute() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 4, 5, 6, 7, u32::MAX].map(|n| delay(n).as_secs()).to_vec();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
