//! The static PID 1 that the library carries, and the parts of it that decide.
//!
//! PID 1 needs nothing of the guest: no libraries, no `/proc`, no `/dev`. [`IMAGE`] is its program, to be executed from
//! a file that the guest cannot write; [`crate::handoff`] tells with what words and descriptors.
//!
//! The modules here take values and return values. The program's loop and system calls stand beside them (`main.rs`).

pub mod command;
pub mod config;
pub mod environment;
pub mod initctl;
pub mod machine;
pub mod message;
pub mod utmp;

// The rest of the program needs no std and is compiled by build.rs alone; clippy and rustfmt see it here.
#[cfg(clippy)]
#[allow(dead_code)]
mod fifo;
#[cfg(clippy)]
#[allow(dead_code)]
mod records;
#[cfg(clippy)]
#[allow(dead_code)]
mod run;
#[cfg(clippy)]
#[allow(dead_code)]
mod spawn;
#[cfg(clippy)]
#[allow(dead_code, unsafe_code)]
mod sys;

/// The program: a static ELF executable for this architecture.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/subhost-init"));

#[cfg(test)]
mod tests {
    use super::IMAGE;

    fn word(at: usize, length: usize) -> usize {
        IMAGE[at..at + length].iter().rev().fold(0, |word, byte| word << 8 | usize::from(*byte))
    }

    #[test]
    fn image_is_a_small_static_executable() {
        const EXECUTABLE: usize = 2;
        const LOAD: usize = 1;
        const DYNAMIC: usize = 2;
        const INTERPRETER: usize = 3;
        assert_eq!(&IMAGE[..6], b"\x7fELF\x02\x01", "64 bits, little endian");
        assert_eq!(word(16, 2), EXECUTABLE);
        let (start, size, count) = (word(32, 8), word(54, 2), word(56, 2));
        let kinds: Vec<usize> = (0..count).map(|index| word(start + index * size, 4)).collect();
        assert!(kinds.contains(&LOAD), "{kinds:?}");
        assert!(!kinds.contains(&DYNAMIC) && !kinds.contains(&INTERPRETER), "{kinds:?}");
        assert!(IMAGE.len() < 32 * 1024, "{} bytes", IMAGE.len());
    }

    #[test]
    fn image_tells_no_path_of_the_machine_that_built_it() {
        let root = env!("CARGO_MANIFEST_DIR").as_bytes();
        assert!(!IMAGE.windows(root.len()).any(|window| window == root));
    }
}
