//! The packets between PID 1 and the supervisor, eight bytes each way over a `SOCK_SEQPACKET` socket.
//!
//! Byte 0 is the kind, bytes 1 to 3 its small arguments, bytes 4 to 7 a little-endian number. Either end ignores
//! a packet that it does not understand, so the table may grow.

/// Length of every packet, in bytes.
pub const PACKET: usize = 8;

/// A program that PID 1 runs and waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The start script, `/etc/init.d/rcS`.
    SystemInit,
    /// What some guests run behind it, before the runlevel.
    Boot,
    /// `/etc/init.d/rc` with this level, an ASCII digit, or what the guest has in its place.
    Runlevel(u8),
    /// `sulogin`, for the level `S`.
    Single,
    /// The command of payload mode.
    Payload,
}

/// How the subhost ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `reboot(POWER_OFF)`: the parent sees death by SIGINT.
    PowerOff,
    /// `reboot(RESTART)`: the parent sees death by SIGHUP.
    Reboot,
    /// PID 1 exits with the payload's status.
    Exit(u8),
}

/// Who asked for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// A request in `/run/initctl`.
    Initctl,
    /// Bytes in `/run/initctl` that are no request.
    StrayBytes,
    /// A signal to PID 1.
    Signal,
    /// The supervisor.
    Host,
    /// The payload ended, or the program of a runlevel that runs as long as the guest.
    Payload,
}

/// What PID 1 was doing when a system call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Reading its own arguments; PID 1 then exits with 125.
    Arguments,
    /// Making its signal descriptor; PID 1 then exits with 125.
    Signals,
    /// Forking a program.
    Fork,
    /// Changing to the payload's working directory; the payload then ends with 126.
    Directory,
    /// Making the console the controlling terminal; the program runs without.
    Terminal,
    /// Executing a program; it then ends with 127 (not found) or 126.
    Execute,
    /// Making or opening `/run/initctl`.
    Initctl,
    /// Writing `/run/utmp`.
    Utmp,
    /// Calling `reboot`; PID 1 then exits with 130 (power off) or 129 (restart).
    Reboot,
}

/// What PID 1 tells the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A program was started.
    Started(Program),
    /// A start or runlevel script ended with this status (128 + n for signal n).
    Ended {
        /// Which one.
        program: Program,
        /// Its exit status.
        status: u8,
    },
    /// A program was not started, for this `errno`; a script that is not there is skipped with `ENOENT`.
    Skipped {
        /// Which one.
        program: Program,
        /// Why.
        errno: i32,
    },
    /// The first runlevel is reached; the status is that of the last script that ran.
    Ready {
        /// Exit status, 0 when none ran.
        status: u8,
    },
    /// The first runlevel was not reached in time, or the stop time is almost over. The guest goes on; a supervisor can
    /// find below this pid what hangs.
    Late {
        /// The script that has not ended.
        program: Program,
        /// Its pid in the guest.
        pid: i32,
    },
    /// The payload ended.
    PayloadExited {
        /// Its exit status, 128 + n for signal n.
        status: u8,
    },
    /// The end was asked for and has begun.
    Stopping {
        /// What will be at the end.
        end: End,
        /// Who asked.
        why: Why,
    },
    /// The stop time ran out in this script, which will be killed.
    TimedOut(Program),
    /// The last packet: nothing of the guest runs any more.
    Ending(End),
    /// The answer to [`Request::Adopt`]: where the guest stands. What was said before it is of the time without supervisor.
    Adopted {
        /// Whether the first runlevel was reached.
        ready: bool,
        /// What will be at the end, if that was asked for.
        end: Option<End>,
    },
    /// A step failed with this `errno`; the guest goes on unless [`Step`] says otherwise.
    Failed {
        /// What was done.
        step: Step,
        /// Why it failed.
        errno: i32,
    },
}

/// What the supervisor asks of PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Power off in order, as `init 0`.
    PowerOff,
    /// Restart in order, as `init 6`.
    Reboot,
    /// SIGKILL to everything, then power off.
    Kill,
    /// Send this signal to the payload's process group.
    Signal(u8),
    /// A new supervisor is here, and reads the console from now on.
    Adopt,
}

impl Program {
    fn encode(self) -> [u8; 2] {
        match self {
            Self::SystemInit => [1, 0],
            Self::Runlevel(level) => [2, level],
            Self::Single => [3, 0],
            Self::Payload => [4, 0],
            Self::Boot => [5, 0],
        }
    }

    fn decode(kind: u8, level: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::SystemInit,
            2 => Self::Runlevel(level),
            3 => Self::Single,
            4 => Self::Payload,
            5 => Self::Boot,
            _ => return None,
        })
    }
}

impl End {
    fn encode(self) -> [u8; 2] {
        match self {
            Self::PowerOff => [1, 0],
            Self::Reboot => [2, 0],
            Self::Exit(status) => [3, status],
        }
    }

    fn decode(kind: u8, status: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::PowerOff,
            2 => Self::Reboot,
            3 => Self::Exit(status),
            _ => return None,
        })
    }
}

impl Why {
    fn decode(kind: u8) -> Option<Self> {
        [Self::Initctl, Self::StrayBytes, Self::Signal, Self::Host, Self::Payload]
            .into_iter()
            .find(|why| *why as u8 == kind)
    }
}

impl Step {
    fn decode(kind: u8) -> Option<Self> {
        [
            Self::Arguments,
            Self::Signals,
            Self::Fork,
            Self::Directory,
            Self::Terminal,
            Self::Execute,
            Self::Initctl,
            Self::Utmp,
            Self::Reboot,
        ]
        .into_iter()
        .find(|step| *step as u8 == kind)
    }
}

impl Message {
    /// The packet that carries this message.
    #[must_use]
    pub fn encode(self) -> [u8; PACKET] {
        let (kind, [a, b], c, number) = match self {
            Self::Started(program) => (b'S', program.encode(), 0, 0),
            Self::Ended { program, status } => (b'E', program.encode(), status, 0),
            Self::Skipped { program, errno } => (b'M', program.encode(), 0, errno),
            Self::Ready { status } => (b'R', [status, 0], 0, 0),
            Self::Late { program, pid } => (b'L', program.encode(), 0, pid),
            Self::PayloadExited { status } => (b'P', [status, 0], 0, 0),
            Self::Stopping { end, why } => (b'D', end.encode(), why as u8, 0),
            Self::TimedOut(program) => (b'T', program.encode(), 0, 0),
            Self::Ending(end) => (b'Z', end.encode(), 0, 0),
            Self::Adopted { ready, end } => {
                let [kind, status] = end.map_or([0, 0], End::encode);
                (b'A', [u8::from(ready), kind], status, 0)
            }
            Self::Failed { step, errno } => (b'F', [step as u8, 0], 0, errno),
        };
        packet(kind, [a, b, c], number)
    }

    /// The message in a packet; `None` when it is none of ours.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let &[kind, a, b, c, n0, n1, n2, n3] = packet else { return None };
        let errno = i32::from_le_bytes([n0, n1, n2, n3]);
        Some(match kind {
            b'S' => Self::Started(Program::decode(a, b)?),
            b'E' => Self::Ended { program: Program::decode(a, b)?, status: c },
            b'M' => Self::Skipped { program: Program::decode(a, b)?, errno },
            b'R' => Self::Ready { status: a },
            b'L' => Self::Late { program: Program::decode(a, b)?, pid: errno },
            b'P' => Self::PayloadExited { status: a },
            b'D' => Self::Stopping { end: End::decode(a, b)?, why: Why::decode(c)? },
            b'T' => Self::TimedOut(Program::decode(a, b)?),
            b'Z' => Self::Ending(End::decode(a, b)?),
            b'A' if a < 2 => Self::Adopted {
                ready: a == 1,
                end: match b {
                    0 => None,
                    _ => Some(End::decode(b, c)?),
                },
            },
            b'F' => Self::Failed { step: Step::decode(a)?, errno },
            _ => return None,
        })
    }
}

impl Request {
    /// The packet that carries this request.
    #[must_use]
    pub fn encode(self) -> [u8; PACKET] {
        match self {
            Self::PowerOff => packet(b'0', [0; 3], 0),
            Self::Reboot => packet(b'6', [0; 3], 0),
            Self::Kill => packet(b'9', [0; 3], 0),
            Self::Signal(number) => packet(b's', [number, 0, 0], 0),
            Self::Adopt => packet(b'a', [0; 3], 0),
        }
    }

    /// The request in a packet; `None` when it is none of ours.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let &[kind, a, ..] = packet else { return None };
        if packet.len() != PACKET {
            return None;
        }
        Some(match kind {
            b'0' => Self::PowerOff,
            b'6' => Self::Reboot,
            b'9' => Self::Kill,
            b's' => Self::Signal(a),
            b'a' => Self::Adopt,
            _ => return None,
        })
    }
}

fn packet(kind: u8, [a, b, c]: [u8; 3], number: i32) -> [u8; PACKET] {
    let [n0, n1, n2, n3] = number.to_le_bytes();
    [kind, a, b, c, n0, n1, n2, n3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_these_bytes() {
        let table: &[(Message, [u8; 8])] = &[
            (Message::Started(Program::SystemInit), [b'S', 1, 0, 0, 0, 0, 0, 0]),
            (Message::Ended { program: Program::Runlevel(b'2'), status: 7 }, [b'E', 2, b'2', 7, 0, 0, 0, 0]),
            (Message::Skipped { program: Program::Single, errno: 2 }, [b'M', 3, 0, 0, 2, 0, 0, 0]),
            (Message::Ready { status: 9 }, [b'R', 9, 0, 0, 0, 0, 0, 0]),
            (Message::Late { program: Program::Boot, pid: 258 }, [b'L', 5, 0, 0, 2, 1, 0, 0]),
            (Message::PayloadExited { status: 143 }, [b'P', 143, 0, 0, 0, 0, 0, 0]),
            (Message::Stopping { end: End::Reboot, why: Why::StrayBytes }, [b'D', 2, 0, 1, 0, 0, 0, 0]),
            (Message::TimedOut(Program::Payload), [b'T', 4, 0, 0, 0, 0, 0, 0]),
            (Message::Ending(End::Exit(5)), [b'Z', 3, 5, 0, 0, 0, 0, 0]),
            (Message::Adopted { ready: true, end: None }, [b'A', 1, 0, 0, 0, 0, 0, 0]),
            (Message::Adopted { ready: false, end: Some(End::Exit(7)) }, [b'A', 0, 3, 7, 0, 0, 0, 0]),
            (Message::Failed { step: Step::Reboot, errno: 258 }, [b'F', 8, 0, 0, 2, 1, 0, 0]),
        ];
        for (message, bytes) in table {
            assert_eq!(message.encode(), *bytes, "{message:?}");
            assert_eq!(Message::decode(bytes), Some(*message));
        }
    }

    #[test]
    fn requests_have_these_bytes() {
        let table: &[(Request, [u8; 8])] = &[
            (Request::PowerOff, *b"0\0\0\0\0\0\0\0"),
            (Request::Reboot, *b"6\0\0\0\0\0\0\0"),
            (Request::Kill, *b"9\0\0\0\0\0\0\0"),
            (Request::Signal(15), *b"s\x0f\0\0\0\0\0\0"),
            (Request::Adopt, *b"a\0\0\0\0\0\0\0"),
        ];
        for (request, bytes) in table {
            assert_eq!(request.encode(), *bytes, "{request:?}");
            assert_eq!(Request::decode(bytes), Some(*request));
        }
    }

    #[test]
    fn foreign_packets_are_none() {
        for bytes in [
            &b""[..],
            b"S",
            b"S\x01\0\0\0\0\0",
            b"S\x01\0\0\0\0\0\0\0",
            b"S\x09\0\0\0\0\0\0",
            b"A\x02\0\0\0\0\0\0",
            &[0xff; 8],
        ] {
            assert_eq!(Message::decode(bytes), None, "{bytes:?}");
        }
        for bytes in [&b""[..], b"0", b"G", b"0\0\0\0\0\0\0\0\0", b"x\0\0\0\0\0\0\0"] {
            assert_eq!(Request::decode(bytes), None, "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_decodes_encodes_to_something_that_decodes_the_same(bytes: [u8; 8]) {
            if let Some(message) = Message::decode(&bytes) {
                proptest::prop_assert_eq!(Message::decode(&message.encode()), Some(message));
            }
            if let Some(request) = Request::decode(&bytes) {
                proptest::prop_assert_eq!(Request::decode(&request.encode()), Some(request));
            }
        }
    }
}
