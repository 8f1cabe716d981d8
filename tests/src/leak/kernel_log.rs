//! What the kernel has said that nobody may bring about, not even a hostile guest. It is one log for the whole machine.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};

use super::{Kind, Thing};

/// What a line has in it that tells of a defect, whoever brought it about.
const DEFECTS: &[&str] = &[
    "BUG: ",
    "kernel BUG at ",
    "WARNING: ",
    "Oops: ",
    "general protection fault",
    "refcount_t: ",
    "list_add corruption",
    "list_del corruption",
    "Bad page state",
    "unregister_netdevice: waiting for ",
    "VFS: Busy inodes after unmount",
    "possible recursive locking",
    "possible circular locking",
    "detected stall",
    "blocked for more than ",
];

/// All that the log gets from now on.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<Mutex<Reader>>);

#[derive(Debug)]
struct Reader {
    file: File,
    lines: Vec<String>,
}

impl Log {
    pub(super) fn from_now() -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .map_err(|error| io::Error::new(error.kind(), format!("open /dev/kmsg: {error}")))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(Arc::new(Mutex::new(Reader { file, lines: Vec::new() }))))
    }

    /// The lines that tell of a defect, and of errors of the file systems on these devices.
    pub(super) fn defects(&self, devices: &BTreeSet<&str>) -> Vec<Thing> {
        let mut reader = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        reader.read();
        let lines = reader.lines.iter().filter(|line| tells_of_defect(line, devices));
        lines.map(|line| (Kind::KernelLog, line.clone())).collect()
    }
}

impl Reader {
    /// Takes what is new and may matter; one read is one record.
    fn read(&mut self) {
        let mut buffer = [0; 8192];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => self.lines.extend(text_of(&String::from_utf8_lossy(&buffer[..count]))),
                // Some were overwritten before they were read: the next one follows.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// The text of a record of the kernel itself that is at least a warning: `LEVEL,NUMBER,TIME,FLAGS;TEXT`.
fn text_of(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    // Eight levels a facility, of which that of the kernel is 0.
    let is_warning = priority <= 4;
    is_warning.then(|| text.lines().next().unwrap_or_default().to_owned())
}

fn tells_of_defect(line: &str, devices: &BTreeSet<&str>) -> bool {
    let of_device = |device: &&str| line.contains(&format!("error (device {device})"));
    DEFECTS.iter().any(|text| line.contains(text)) || devices.iter().any(of_device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(record: &str, devices: &[&str]) -> bool {
        text_of(record).is_some_and(|text| tells_of_defect(&text, &devices.iter().copied().collect()))
    }

    #[test]
    fn a_warning_of_the_kernel_is_a_defect_and_one_of_somebody_else_is_not() {
        let line = "WARNING: CPU: 1 PID: 77 at net/core/dev.c:11000 unregister_netdevice_many+0x5/0x9\n";
        assert!(told(&format!("4,1234,33781804625,-;{line} SUBSYSTEM=net\n"), &[]));
        assert!(!told(&format!("12,1235,33781804626,-;{line}"), &[]));
        assert!(!told(&format!("6,1236,33781804627,-;{line}"), &[]));
    }

    #[test]
    fn what_bridges_and_file_systems_usually_say_is_none() {
        for line in [
            "br0: received packet on web0 with own address as source address (addr:fe:e5:e1:80:78:d6, vlan:0)",
            "overlayfs: workdir and upperdir must be separate subtrees",
            "EXT4-fs (loop3): mounted filesystem without journal",
        ] {
            assert!(!told(&format!("4,1,2,-;{line}\n"), &["loop3"]), "{line}");
        }
    }

    #[test]
    fn an_error_of_a_file_system_counts_on_our_devices_only() {
        let record =
            "2,1,2,-;EXT4-fs error (device loop3): ext4_lookup:1815: inode #2: comm ls: deleted inode\n";
        assert!(told(record, &["loop3"]));
        assert!(!told(record, &["loop33", "loop"]));
    }
}
