//! What `tour` shows: a tiny system of one program, and the commands of a subhost's life, as data.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use tar::{Builder, EntryType, Header};

use crate::layout::Name;

/// Show the life of a subhost, with a tiny system that is made for it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl tour                            waits for Enter before each command
  subhostctl tour --yes                      does not
Makes a tiny system of busybox in /run/subhost/tour, boots it, looks at it and stops it, and shows
each command before it is run. It has no network. At its end, and after Ctrl-C, nothing is left but
what events tells of it. Needs root, mkfs.ext4, and a busybox that needs no libraries, as in
Debian's package busybox-static. docs/tour.md shows what it shows.")]
pub struct Tour {
    /// Do not wait for Enter; so it is without a terminal, too
    #[arg(long)]
    pub yes: bool,
    /// Name of the subhost
    #[arg(long, default_value = "tour")]
    pub name: Name,
    /// A busybox that needs no libraries [default: the host's]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub busybox: Option<PathBuf>,
}

/// One command, and what to say before it.
pub struct Step {
    /// What it shows.
    pub says: &'static str,
    /// The words after the program's name; `NAME` in them is the subhost's, `DIR` the directory of the tour.
    pub words: &'static [&'static str],
}

/// The archive that the system is made from, in the directory of the tour.
pub const ARCHIVE: &str = "tiny.tar";

/// The tour, in order.
pub const STEPS: &[Step] = &[
    Step {
        says: "A disk image is made from an archive: a partition table, a file system, busybox in it.",
        words: &["create", "NAME", "--image", "DIR/tiny.raw", "--size", "16M", "--tar", "DIR/tiny.tar"],
    },
    Step {
        says: "Its configuration is in the syntax of bash. These are the variables that it sets:",
        words: &["config", "eval", "DIR/NAME/config"],
    },
    Step {
        says: "Is all right with it? If not, everything that is wrong would be said at once.",
        words: &["check", "NAME"],
    },
    Step {
        says: "What would a boot do? The same as these commands of a shell; nothing is done yet.",
        words: &["plan", "NAME"],
    },
    Step {
        says: "Now it is booted, in the background; it is ready when this comes back.",
        words: &["boot", "--detach", "NAME"],
    },
    Step { says: "What there is:", words: &["list"] },
    Step { says: "More of this one, of what it has on the host:", words: &["status", "NAME"] },
    Step {
        says: "A command inside. It sees its own processes alone, the first of which is its init.",
        words: &["exec", "NAME", "--", "ps"],
    },
    Step { says: "What its script of start has said on the console:", words: &["logs", "NAME"] },
    Step {
        says: "It is powered off, as a machine would be. Its mounts and its loop device go with it.",
        words: &["stop", "NAME"],
    },
];

impl Step {
    /// Its words for a subhost of this name, with the directory of the tour for its configuration.
    pub fn words(&self, name: &Name, directory: &str) -> Vec<String> {
        let own = |word: &&str| word.replace("DIR", directory).replace("NAME", name.as_str());
        ["--root-dir", "DIR"].iter().chain(self.words).map(own).collect()
    }
}

/// What the tiny system can do.
const APPLETS: [&str; 5] = ["sh", "hostname", "ps", "syslogd", "uptime"];
const RC_S: &str = "#!/bin/sh\necho \"This is $(hostname), a subhost.\"\nsyslogd\n";
const FILES: [(&str, u32, &str); 3] = [
    ("etc/passwd", 0o644, "root::0:0:root:/root:/bin/sh\n"),
    ("etc/group", 0o644, "root:x:0:\n"),
    ("etc/init.d/rcS", 0o755, RC_S),
];
const DIRECTORIES: [&str; 7] = ["bin", "etc", "etc/init.d", "root", "tmp", "var", "var/log"];

/// Writes the archive of the tiny system.
///
/// # Errors
/// It cannot be written.
pub fn archive(busybox: &[u8], to: impl Write) -> io::Result<()> {
    let mut tar = Builder::new(to);
    let header = |kind: EntryType, mode: u32, bytes: usize| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header
    };
    for directory in DIRECTORIES {
        tar.append_data(&mut header(EntryType::Directory, 0o755, 0), directory, io::empty())?;
    }
    let files = FILES.map(|(path, mode, text)| (path, mode, text.as_bytes()));
    for (path, mode, bytes) in files.into_iter().chain([("bin/busybox", 0o755, busybox)]) {
        tar.append_data(&mut header(EntryType::Regular, mode, bytes.len()), path, bytes)?;
    }
    for applet in APPLETS {
        let link = &mut header(EntryType::Symlink, 0o777, 0);
        tar.append_link(link, format!("bin/{applet}"), "busybox")?;
    }
    tar.finish()
}

/// Whether a program of Linux is executed without an interpreter, and so without libraries.
pub fn is_static(program: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, bytes: usize| {
        let field = program.get(at..)?.get(..bytes)?;
        field.iter().rev().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))
    };
    let headers = || {
        let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count).map(|n| number(first.checked_add(n * size)?, 4)).collect::<Option<Vec<_>>>()
    };
    // 64 bits, lowest byte first.
    program.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|kinds| !kinds.contains(&(INTERPRETER as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_its_own_words() {
        let words = STEPS[0].words(&"web".parse().unwrap(), "/run/x");
        let wanted = "--root-dir /run/x create web --image /run/x/tiny.raw --size 16M --tar /run/x/tiny.tar";
        assert_eq!(words.join(" "), wanted);
    }

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        let bash = std::fs::read("/bin/bash").unwrap();
        assert!(!is_static(&bash));
        assert!(!is_static(b"#!/bin/sh\n") && !is_static(b"\x7fELF\x02\x01"));
        let mut without = bash;
        let first = usize::from(without[32]);
        let size = usize::from(without[54]);
        for n in 0..usize::from(without[56]) {
            let at = first + n * size;
            if without[at] == 3 {
                without[at] = 0;
            }
        }
        assert!(is_static(&without));
    }

    #[test]
    fn the_archive_holds_the_system() {
        let mut bytes = Vec::new();
        archive(b"program", &mut bytes).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(paths.len(), DIRECTORIES.len() + FILES.len() + 1 + APPLETS.len(), "{paths:?}");
        assert!(paths.iter().any(|path| path == "etc/init.d/rcS"), "{paths:?}");
    }
}
