//! Programs of classic BPF that answer system calls, put together by the compiler.

use libc::{c_long, sock_filter};

/// What becomes of a call.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// It is made.
    Allow,
    /// It is refused with this errno.
    Errno(i32),
    /// The process is killed.
    Kill,
}

/// How the low half of an argument is compared, which is all of it that the kernel looks at where it takes an int.
#[derive(Clone, Copy)]
pub(super) enum Compare {
    /// With values, for being one of them.
    Is,
    /// With masks, for having a bit of one of them.
    HasBits,
}

/// A program. Before each of its parts the call's number is in the accumulator.
pub(super) struct Program {
    instructions: [sock_filter; MOST],
    len: usize,
}

/// The kernel takes 4096; a larger program than these does not compile.
const MOST: usize = 128;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_IF_MORE: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const JUMP_IF_BITS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// In `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;
const ARGUMENTS_OFFSET: u32 = 16;

/// As `linux/audit.h` numbers them.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_00b7;

impl Program {
    /// Kills what calls as another architecture, and gives this answer to every number behind the last one that is known. The
    /// x32 calls are among them: they have the architecture of x86_64 and numbers from 2^30 on.
    pub(super) const fn for_calls_up_to(last: u32, unknown: Answer) -> Program {
        let none = sock_filter { code: 0, jt: 0, jf: 0, k: 0 };
        Program { instructions: [none; MOST], len: 0 }
            .with(LOAD, ARCHITECTURE_OFFSET, 0, 0)
            .with(JUMP_IF_EQUAL, ARCHITECTURE, 1, 0)
            .end(Answer::Kill)
            .with(LOAD, NUMBER_OFFSET, 0, 0)
            .with(JUMP_IF_MORE, last, 0, 1)
            .end(unknown)
    }

    /// Gives this answer to these calls, whatever their arguments.
    pub(super) const fn answer(self, calls: &[c_long], answer: Answer) -> Program {
        self.unless_one_of(calls, 1).end(answer)
    }

    /// Answers these calls by one of their arguments: its number, how it is compared, and with what.
    pub(super) const fn answer_by(
        self,
        calls: &[c_long],
        (argument, compare, values): (u32, Compare, &[u32]),
        if_so: Answer,
        otherwise: Answer,
    ) -> Program {
        let jump = match compare {
            Compare::Is => JUMP_IF_EQUAL,
            Compare::HasBits => JUMP_IF_BITS,
        };
        // Little-endian, as both architectures are: the low half comes first.
        let mut program =
            self.unless_one_of(calls, values.len() + 3).with(LOAD, ARGUMENTS_OFFSET + 8 * argument, 0, 0);
        let mut at = 0;
        while at < values.len() {
            program = program.with(jump, values[at], values.len() - at, 0);
            at += 1;
        }
        program.end(otherwise).end(if_so)
    }

    /// Ends with this answer.
    pub(super) const fn end(self, answer: Answer) -> Program {
        let value = match answer {
            Answer::Allow => libc::SECCOMP_RET_ALLOW,
            Answer::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno.cast_unsigned(),
            Answer::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        };
        self.with(RETURN, value, 0, 0)
    }

    /// Leaves out so many instructions unless the call is one of these.
    const fn unless_one_of(self, calls: &[c_long], left_out: usize) -> Program {
        let (mut program, mut at) = (self, 0);
        while at < calls.len() {
            let behind = calls.len() - 1 - at;
            program = program.with(
                JUMP_IF_EQUAL,
                number(calls[at]),
                behind,
                if behind == 0 { left_out } else { 0 },
            );
            at += 1;
        }
        program
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the codes of classic BPF have 16 bits, and jumps are looked at"
    )]
    const fn with(mut self, code: u32, k: u32, if_so: usize, otherwise: usize) -> Program {
        assert!(if_so < 256 && otherwise < 256, "no jump is farther");
        self.instructions[self.len] =
            sock_filter { code: code as u16, jt: if_so as u8, jf: otherwise as u8, k };
        self.len += 1;
        self
    }

    pub(super) fn instructions(&self) -> &[sock_filter] {
        &self.instructions[..self.len]
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of calls are small")]
const fn number(call: c_long) -> u32 {
    call as u32
}
