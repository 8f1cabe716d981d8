//! The words on PID 1's command line.

use core::ffi::CStr;

/// The default of `runlevel=`.
pub const RUNLEVEL: u8 = b'2';
/// The default of `stop-ms=`.
pub const STOP_MS: u64 = 30_000;
/// The default of `grace-ms=`.
pub const GRACE_MS: u64 = 5_000;
/// The default of `umask=`.
pub const UMASK: u32 = 0o022;
/// The default of `rcs=`.
pub const RCS: &CStr = c"/etc/init.d/rcS";
/// The default of `rc=`, `rc0=`, `rc1=` and `rc6=`.
pub const RC: &CStr = c"/etc/init.d/rc %";
/// The default of `boot-ms=`.
pub const BOOT_MS: u64 = 300_000;

/// What PID 1 was told to do; [`crate::handoff::Pid1Args`](../../handoff/struct.Pid1Args.html) tells what each word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config<'a> {
    /// The runlevel to boot to, an ASCII digit.
    pub runlevel: u8,
    /// How long the scripts may take until the first runlevel is reached, in milliseconds; 0 for as long as they like.
    pub boot_ms: u64,
    /// How long a power-off may take in order, in milliseconds.
    pub stop_ms: u64,
    /// How long processes have between SIGTERM and SIGKILL, in milliseconds.
    pub grace_ms: u64,
    /// Whether any byte in `/run/initctl` ends the subhost, without `rc 0`.
    pub immediate: bool,
    /// The command line of the start script; `None` for none.
    pub rcs: Option<&'a CStr>,
    /// What is run behind it, before the runlevel.
    pub boot: Option<&'a CStr>,
    /// The command line of the runlevels but these three.
    pub rc: Option<&'a CStr>,
    /// That of runlevel 0.
    pub rc0: Option<&'a CStr>,
    /// That of runlevel 1.
    pub rc1: Option<&'a CStr>,
    /// That of runlevel 6.
    pub rc6: Option<&'a CStr>,
    /// Whether the program of the runlevel runs as long as the guest.
    pub stays: bool,
    /// Whether file descriptor 0 becomes the controlling terminal of each program.
    pub tty: bool,
    /// The file mode mask of each program.
    pub umask: u32,
    /// The working directory of the payload.
    pub cwd: Option<&'a CStr>,
    /// Payload mode: how many words stand before the payload's, the `--` included.
    pub payload: Option<usize>,
}

/// A word that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid<'a>(pub &'a CStr);

impl Default for Config<'_> {
    fn default() -> Self {
        Self {
            runlevel: RUNLEVEL,
            boot_ms: BOOT_MS,
            stop_ms: STOP_MS,
            grace_ms: GRACE_MS,
            immediate: false,
            rcs: Some(RCS),
            boot: None,
            rc: Some(RC),
            rc0: Some(RC),
            rc1: Some(RC),
            rc6: Some(RC),
            stays: false,
            tty: false,
            umask: UMASK,
            cwd: None,
            payload: None,
        }
    }
}

impl<'a> Config<'a> {
    /// Reads the words behind `argv[0]`. A later word overrides an earlier one; one that is not known is refused, as
    /// the two sides are built together.
    ///
    /// # Errors
    ///
    /// The word that is not understood; `--` when nothing follows it.
    pub fn parse(words: impl IntoIterator<Item = &'a CStr>) -> Result<Self, Invalid<'a>> {
        let mut config = Self::default();
        let mut words = words.into_iter().enumerate();
        while let Some((index, word)) = words.next() {
            if word == c"--" {
                words.next().ok_or(Invalid(word))?;
                config.payload = Some(index + 1);
                break;
            }
            config.set(word).ok_or(Invalid(word))?;
        }
        Ok(config)
    }

    fn set(&mut self, word: &'a CStr) -> Option<()> {
        let bytes = word.to_bytes_with_nul();
        let equals = bytes.iter().position(|byte| *byte == b'=')?;
        let value = CStr::from_bytes_with_nul(bytes.get(equals + 1..)?).ok()?;
        let text = value.to_str().ok();
        match bytes.get(..equals)? {
            b"runlevel" => match value.to_bytes() {
                &[level @ b'1'..=b'5'] | &[level @ b'7'..=b'9'] => self.runlevel = level,
                _ => return None,
            },
            b"boot-ms" => self.boot_ms = text?.parse::<u32>().ok()?.into(),
            b"stop-ms" => self.stop_ms = text?.parse::<u32>().ok()?.into(),
            b"grace-ms" => self.grace_ms = text?.parse::<u32>().ok()?.into(),
            b"poweroff" => {
                self.immediate = match text? {
                    "graceful" => false,
                    "immediate" => true,
                    _ => return None,
                }
            }
            b"rcs" => self.rcs = (!value.is_empty()).then_some(value),
            b"boot" => self.boot = (!value.is_empty()).then_some(value),
            b"rc" => self.rc = (!value.is_empty()).then_some(value),
            b"rc0" => self.rc0 = (!value.is_empty()).then_some(value),
            b"rc1" => self.rc1 = (!value.is_empty()).then_some(value),
            b"rc6" => self.rc6 = (!value.is_empty()).then_some(value),
            b"stays" => self.stays = flag(text?)?,
            b"tty" => self.tty = flag(text?)?,
            b"umask" => self.umask = u32::from_str_radix(text?, 8).ok().filter(|mask| *mask <= 0o777)?,
            b"cwd" => self.cwd = (!value.is_empty()).then_some(value),
            _ => return None,
        }
        Some(())
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_boot_to_runlevel_two() {
        let config = Config::parse([]).unwrap();
        assert_eq!(config.runlevel, b'2');
        assert_eq!((config.stop_ms, config.grace_ms, config.umask), (30_000, 5_000, 0o022));
        assert_eq!((config.rcs, config.boot, config.stays), (Some(c"/etc/init.d/rcS"), None, false));
        assert_eq!([config.rc, config.rc0, config.rc1, config.rc6], [Some(c"/etc/init.d/rc %"); 4]);
        assert_eq!(config.boot_ms, 300_000);
        assert_eq!((config.immediate, config.tty, config.cwd, config.payload), (false, false, None, None));
    }

    #[test]
    fn each_word_sets_its_field() {
        let config = Config::parse([
            c"runlevel=5",
            c"boot-ms=0",
            c"stop-ms=1",
            c"grace-ms=4294967295",
            c"poweroff=immediate",
            c"rcs=/a=b",
            c"boot=/b c",
            c"rc=",
            c"rc0=/0 %",
            c"rc1=/1",
            c"rc6=/6",
            c"stays=1",
            c"tty=1",
            c"umask=077",
            c"cwd=/srv",
        ]);
        assert_eq!(
            config.unwrap(),
            Config {
                runlevel: b'5',
                boot_ms: 0,
                stop_ms: 1,
                grace_ms: 4_294_967_295,
                immediate: true,
                rcs: Some(c"/a=b"),
                boot: Some(c"/b c"),
                rc: None,
                rc0: Some(c"/0 %"),
                rc1: Some(c"/1"),
                rc6: Some(c"/6"),
                stays: true,
                tty: true,
                umask: 0o077,
                cwd: Some(c"/srv"),
                payload: None,
            }
        );
    }

    #[test]
    fn words_behind_two_dashes_are_the_payload() {
        let config = Config::parse([c"tty=1", c"--", c"ls", c"tty=0", c"--", c"x"]).unwrap();
        assert_eq!((config.payload, config.tty), (Some(2), true));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let table = [
            c"",
            c"x",
            c"=",
            c"x=1",
            c"runlevel=",
            c"runlevel=0",
            c"runlevel=6",
            c"runlevel=S",
            c"runlevel=22",
            c"stop-ms=",
            c"stop-ms=-1",
            c"stop-ms=1s",
            c"stop-ms=4294967296",
            c"poweroff=",
            c"poweroff=now",
            c"tty=2",
            c"stays=",
            c"umask=1000",
            c"umask=8",
            c"umask=\xff",
            c"--",
        ];
        for word in table {
            assert_eq!(Config::parse([c"tty=1", word]), Err(Invalid(word)));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_words_are_read_without_panic(words in proptest::collection::vec("[a-z-]{0,9}=?[^\0]{0,8}", 0..6)) {
            let words: Vec<_> = words.into_iter().map(|word| std::ffi::CString::new(word).unwrap()).collect();
            let _ = Config::parse(words.iter().map(AsRef::as_ref));
        }
    }
}
