//! Partition tables as sfdisk writes them, in a jail: it reads what a guest may have written.

use std::path::Path;

use super::jail::{Program, change};
use crate::error::Error;
use crate::layout::Layout;

const DUMP: Program = Program { words: &["sfdisk", "--dump"], package: "fdisk", good: 0 };

/// What is in the partitions, and boot code, is left alone.
const SCRIPT: &str = "printf %s \"$1\" | sfdisk --quiet --wipe never --wipe-partitions never --no-reread \
                      --no-tell-kernel \"$0\"";
const WRITE: Program = Program { words: &["sh", "-c", SCRIPT], package: "fdisk", good: 0 };

/// A table as text.
///
/// # Errors
/// sfdisk is not there, or cannot read it.
pub(super) fn dump(device: &Path, object: &str, layout: &Layout) -> Result<String, Error> {
    change(DUMP, device, &[], object, layout)
}

/// Writes a table from its text.
///
/// # Errors
/// sfdisk is not there, or fails.
pub(super) fn write(script: &str, device: &Path, object: &str, layout: &Layout) -> Result<(), Error> {
    change(WRITE, device, &[script], object, layout).map(drop)
}

/// The text with another size of a partition, in sectors, and for a disk of any size. `None` where there is no such
/// partition, or no table.
pub(super) fn with_size(script: &str, index: u32, sectors: u64) -> Option<String> {
    let (mut text, mut is_done) = (String::new(), false);
    // Messages come along, and a table begins with its kind.
    for line in script.lines().skip_while(|line| !line.starts_with("label: ")) {
        if line.starts_with("last-lba:") || line.starts_with("device:") {
            continue;
        }
        let (node, values) = line.split_once(" : ").unwrap_or((line, ""));
        let digits = node.trim_end().bytes().rev().take_while(u8::is_ascii_digit).count();
        let number = &node.trim_end()[node.trim_end().len() - digits..];
        if values.starts_with("start=") && number.parse() == Ok(index) {
            let (before, rest) = values.split_once("size=")?;
            let (_, after) = rest.split_once(',')?;
            text.push_str(&format!("{node} : {before}size={sectors},{after}\n"));
            is_done = true;
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    is_done.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_size_is_changed_and_the_rest_is_kept() {
        let script = "Checking\nlabel: gpt\nlabel-id: AB\ndevice: /dev/loop0\nunit: sectors\nfirst-lba: 2048\n\
                      last-lba: 99\nsector-size: 512\n\n\
                      /dev/loop0p1 : start=        2048, size=       16384, type=X, name=\"size=1,2\"\n\
                      /dev/loop0p11 : start=       18432, size=        4096, type=Y\n";
        let changed = with_size(script, 11, 8192).unwrap();
        assert_eq!(
            changed,
            "label: gpt\nlabel-id: AB\nunit: sectors\nfirst-lba: 2048\nsector-size: 512\n\n\
             /dev/loop0p1 : start=        2048, size=       16384, type=X, name=\"size=1,2\"\n\
             /dev/loop0p11 : start=       18432, size=8192, type=Y\n"
        );
        let first = with_size(script, 1, 7).unwrap();
        assert!(first.contains("start=        2048, size=7, type=X, name=\"size=1,2\"\n"), "{first}");
        for index in [2, 0, 111] {
            assert_eq!(with_size(script, index, 1), None);
        }
        assert_eq!(with_size("sfdisk: no table\n", 1, 1), None);
    }
}
