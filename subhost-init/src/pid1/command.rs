//! The command lines of the start scripts: words with a blank between them, of which a `%` alone is the runlevel.

use core::ffi::CStr;

/// The longest command line, its NUL included.
const LENGTH: usize = 512;

/// A command line, its words apart.
#[derive(Debug)]
pub struct Command {
    bytes: [u8; LENGTH],
    end: usize,
}

impl Command {
    /// The words of a line for this level; `None` for a line without a word, or too long a one.
    #[must_use]
    pub fn new(line: &CStr, level: u8) -> Option<Self> {
        let line = line.to_bytes();
        let mut command = Self { bytes: [0; LENGTH], end: 0 };
        for word in line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
            let level = [level];
            let word = if word == b"%" { &level } else { word };
            let end = command.end + word.len();
            // The NUL behind it must fit, too.
            command.bytes.get(..=end)?;
            command.bytes.get_mut(command.end..end)?.copy_from_slice(word);
            command.end = end + 1;
        }
        (command.end > 0).then_some(command)
    }

    /// The program: the first word.
    #[must_use]
    pub fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// All words.
    pub fn words(&self) -> impl Iterator<Item = &CStr> {
        let bytes = self.bytes.get(..self.end).unwrap_or_default();
        bytes.split_inclusive(|byte| *byte == 0).filter_map(|word| CStr::from_bytes_with_nul(word).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &CStr) -> Option<Vec<String>> {
        let command = Command::new(line, b'3')?;
        assert_eq!(Some(command.path()), command.words().next());
        Some(command.words().map(|word| word.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn a_per_cent_sign_alone_is_the_level() {
        assert_eq!(words(c"/etc/init.d/rc %").unwrap(), ["/etc/init.d/rc", "3"]);
        assert_eq!(words(c" /a%  %% b ").unwrap(), ["/a%", "%%", "b"]);
        assert_eq!(words(c""), None);
        assert_eq!(words(c"  "), None);
    }

    #[test]
    fn a_line_that_is_too_long_is_none() {
        let line = |length| std::ffi::CString::new(vec![b'x'; length]).unwrap();
        assert_eq!(words(&line(LENGTH - 1)).unwrap()[0].len(), LENGTH - 1);
        assert_eq!(words(&line(LENGTH)), None);
    }
}
