//! Which devices a guest may open: as a program for the kernel (version 2), or as lines of text (version 1).

use std::fmt;

use crate::sys::bpf::Instruction;

/// Whether a device is one of characters or of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum DeviceKind {
    /// Of characters, as a terminal.
    Char,
    /// Of blocks, as a disk.
    Block,
}

/// Devices that may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DeviceRule {
    /// Their kind.
    pub kind: DeviceKind,
    /// Their major number.
    pub major: u32,
    /// Their minor number; all without one.
    pub minor: Option<u32>,
    /// Whether they may be opened for writing.
    pub writable: bool,
}

impl DeviceRule {
    /// What every guest may open: `null`, `zero`, `full`, `random`, `urandom`, `tty`, `console`, `ptmx` and
    /// pseudo-terminals.
    pub const ALWAYS: [DeviceRule; 9] = [
        always(1, Some(3)),
        always(1, Some(5)),
        always(1, Some(7)),
        always(1, Some(8)),
        always(1, Some(9)),
        always(5, Some(0)),
        always(5, Some(1)),
        always(5, Some(2)),
        always(136, None),
    ];
}

const fn always(major: u32, minor: Option<u32>) -> DeviceRule {
    DeviceRule { kind: DeviceKind::Char, major, minor, writable: true }
}

impl fmt::Display for DeviceRule {
    /// As `devices.allow` takes it: `c 1:3 rwm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == DeviceKind::Char { 'c' } else { 'b' };
        write!(f, "{kind} {}:", self.major)?;
        match self.minor {
            Some(minor) => write!(f, "{minor}")?,
            None => write!(f, "*")?,
        }
        write!(f, " {}", if self.writable { "rwm" } else { "rm" })
    }
}

// What the instructions are made of (linux/bpf.h, linux/bpf_common.h).
const LOAD_WORD: u8 = 0x61;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;
const BLOCK: i32 = 1;
const CHAR: i32 = 2;
const ACCESS_WRITE: i32 = 4;

// Registers: the answer, what the kernel gives, and where it is kept.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// The program that answers 1 to what a rule allows, and 0 to all else.
///
/// The kernel gives it three words: access in the upper half and kind in the lower half of the first, major, minor.
pub(super) fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        instruction(COPY, ACCESS, KIND, 0, 0),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        // Any access that is not for writing leaves nothing.
        instruction(AND, ACCESS, 0, 0, ACCESS_WRITE),
        instruction(AND, KIND, 0, 0, 0xffff),
    ];
    for rule in rules {
        let mut conditions = vec![
            (KIND, if rule.kind == DeviceKind::Char { CHAR } else { BLOCK }),
            (MAJOR, rule.major.cast_signed()),
        ];
        conditions.extend(rule.minor.map(|minor| (MINOR, minor.cast_signed())));
        if !rule.writable {
            conditions.push((ACCESS, 0));
        }
        // Over the conditions that are left, and the two instructions that say yes.
        let mut skipped = i16::try_from(conditions.len()).unwrap_or(i16::MAX) + 1;
        for (register, value) in conditions {
            program.push(instruction(JUMP_UNLESS_EQUAL, register, 0, skipped, value));
            skipped -= 1;
        }
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

/// A name that tells programs apart which do not do the same.
pub(super) fn name(program: &[Instruction]) -> String {
    let sum = program.iter().fold(0x811c_9dc5_u32, |sum, it| {
        let [low, high] = it.offset.to_le_bytes();
        let [a, b, c, d] = it.immediate.to_le_bytes();
        // FNV-1a.
        let bytes = [it.code, it.registers, low, high, a, b, c, d];
        bytes.iter().fold(sum, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    });
    // The kernel takes 15 letters, digits and `_`.
    format!("subhost{sum:08x}")
}

fn answer(value: i32) -> [Instruction; 2] {
    [instruction(SET, ANSWER, 0, 0, value), instruction(EXIT, 0, 0, 0, 0)]
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | destination, offset, immediate }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, as far as these programs go.
    fn run(program: &[Instruction], access: u32, kind: u32, major: u32, minor: u32) -> i64 {
        let context = [access << 16 | kind, major, minor];
        let (mut registers, mut at) = ([0_i64; 11], 0_usize);
        loop {
            let it = program[at];
            let (to, from) = (usize::from(it.registers & 15), usize::from(it.registers >> 4));
            at += 1;
            match it.code {
                LOAD_WORD => registers[to] = context[usize::try_from(it.offset).unwrap() / 4].into(),
                COPY => registers[to] = registers[from],
                SET => registers[to] = it.immediate.into(),
                AND => registers[to] &= i64::from(it.immediate),
                SHIFT_RIGHT => registers[to] >>= it.immediate,
                JUMP_UNLESS_EQUAL if registers[to] != i64::from(it.immediate) => {
                    at += usize::try_from(it.offset).unwrap();
                }
                JUMP_UNLESS_EQUAL => {}
                EXIT => return registers[0],
                code => panic!("no instruction: {code:#x}"),
            }
        }
    }

    #[test]
    fn what_no_rule_allows_is_refused() {
        let read_only = DeviceRule { kind: DeviceKind::Block, major: 7, minor: Some(3), writable: false };
        let rules: Vec<DeviceRule> = DeviceRule::ALWAYS.into_iter().chain([read_only]).collect();
        let program = program(&rules);
        let (mknod, read, write) = (1, 2, 4);
        for (access, kind, major, minor, allowed) in [
            (read | write, 2, 1, 3, true),
            (mknod, 2, 1, 3, true),
            (read, 2, 136, 4711, true),
            (read | write, 1, 1, 3, false),
            (read, 2, 1, 1, false),
            (read, 2, 1, 11, false),
            (read, 1, 254, 0, false),
            (read, 2, 10, 229, false),
            (read, 1, 7, 3, true),
            (read, 1, 7, 4, false),
            (write, 1, 7, 3, false),
            (read | write, 1, 7, 3, false),
        ] {
            let answer = run(&program, access, kind, major, minor);
            assert_eq!(answer, i64::from(allowed), "{access} {kind} {major}:{minor}");
        }
        assert_eq!(run(&super::program(&[]), read, 2, 1, 3), 0);
    }

    #[test]
    fn another_program_has_another_name() {
        let name = |rules: &[DeviceRule]| super::name(&program(rules));
        assert_eq!(name(&DeviceRule::ALWAYS), name(&DeviceRule::ALWAYS));
        assert_ne!(name(&DeviceRule::ALWAYS), name(&DeviceRule::ALWAYS[1..]));
        assert_eq!(name(&[]).len(), 15);
    }

    #[test]
    fn the_text_is_that_of_version_1() {
        assert_eq!(DeviceRule::ALWAYS[0].to_string(), "c 1:3 rwm");
        assert_eq!(DeviceRule::ALWAYS[8].to_string(), "c 136:* rwm");
        let disk = DeviceRule { kind: DeviceKind::Block, major: 7, minor: Some(0), writable: false };
        assert_eq!(disk.to_string(), "b 7:0 rm");
    }
}
