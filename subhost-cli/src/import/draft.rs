//! A configuration in the making: settings of which each was tried, and what could not be carried over.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use subhost_config::schema::Environment;
use subhost_config::{Diagnostic, Evaluator, Source, SubhostConfig, Trust, Variables, parse};

use crate::config::Loaded;
use crate::report::printable;
use crate::shell::quote;

/// More words than any system has; each is tried together with those before it.
const MAX_WORDS: usize = 256;
/// How many are tried at all, so that what is refused over and over takes no time.
const MAX_TRIES: usize = 512;
/// Longest of all words together, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// More lines of what was left out tell nobody anything.
const MAX_LEFT: usize = 200;
/// Longest of these lines, in characters.
const MAX_LINE: usize = 300;

/// A configuration in the making. What is in it always means what was put in, without an error.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it was made from, for people.
    pub source: String,
    settings: Vec<Assignment>,
    left: Vec<String>,
    seen: BTreeSet<String>,
    /// How many more there were than are kept.
    unsaid: usize,
    tries: usize,
}

#[derive(Debug, Clone)]
struct Assignment {
    name: &'static str,
    words: Vec<Vec<u8>>,
    is_list: bool,
}

impl Draft {
    /// One without settings.
    pub fn new(source: impl Into<String>) -> Draft {
        let source = source.into();
        Draft { source, settings: Vec::new(), left: Vec::new(), seen: BTreeSet::new(), unsaid: 0, tries: 0 }
    }

    /// Sets a setting that takes one value; `from` is where that stood. A value that the setting does not take is left.
    pub fn set(&mut self, name: &'static str, value: impl AsRef<[u8]>, from: &str) {
        self.try_set(name, value, from);
    }

    /// Adds to a setting that is a list, in the same way.
    pub fn add(&mut self, name: &'static str, word: impl AsRef<[u8]>, from: &str) {
        self.try_add(name, word, from);
    }

    /// The same as [`Draft::set`], and whether it was taken.
    pub fn try_set(&mut self, name: &'static str, value: impl AsRef<[u8]>, from: &str) -> bool {
        if self.has(name) || value.as_ref().is_empty() {
            let reason = if self.has(name) { "is set already" } else { "would be empty" };
            self.leave(from, &format!("{name} {reason}"));
            return false;
        }
        self.settings.push(Assignment { name, words: vec![value.as_ref().to_vec()], is_list: false });
        self.keep_if_right(from, |settings| drop(settings.pop()))
    }

    /// The same as [`Draft::add`], and whether it was taken.
    pub fn try_add(&mut self, name: &'static str, word: impl AsRef<[u8]>, from: &str) -> bool {
        if self.settings.iter().map(|setting| setting.words.len()).sum::<usize>() >= MAX_WORDS {
            self.leave(from, &format!("a configuration of more than {MAX_WORDS} words is none"));
            return false;
        }
        let word = word.as_ref().to_vec();
        match self.settings.iter().position(|setting| setting.name == name) {
            Some(at) => {
                self.settings[at].words.push(word);
                self.keep_if_right(from, |settings| drop(settings[at].words.pop()))
            }
            None => {
                self.settings.push(Assignment { name, words: vec![word], is_list: true });
                self.keep_if_right(from, |settings| drop(settings.pop()))
            }
        }
    }

    /// Adds an address with its prefix for one of the cables.
    pub fn address(&mut self, cable: usize, address: &str, from: &str) {
        let cable = if cable == 0 { String::new() } else { format!("eth{cable}=") };
        self.add("ADDRESSES", format!("{cable}{address}"), from);
    }

    /// Sets the gateway, if it is in the network of one of the addresses.
    pub fn gateway(&mut self, gateway: &str, from: &str) {
        let is_near = |word: &Vec<u8>| {
            let word = String::from_utf8_lossy(word);
            let network = word.rsplit('=').next().and_then(|word| word.split_once('/'));
            network.is_some_and(|(address, prefix)| is_in_network(gateway, address, prefix))
        };
        if self.words("ADDRESSES").iter().any(is_near) {
            self.add("GATEWAY", gateway, from);
        } else {
            self.leave(from, "it is in the network of no address that is given");
        }
    }

    /// Notes what cannot be carried over, and why.
    pub fn leave(&mut self, what: &str, why: &str) {
        let mut line: String = printable(&format!("{what}: {why}")).chars().take(MAX_LINE).collect();
        line.truncate(line.trim_end().len());
        if self.left.len() >= MAX_LEFT {
            self.unsaid += 1;
        } else if self.seen.insert(line.clone()) {
            self.left.push(line);
        }
    }

    /// What could not be carried over, a line each.
    pub fn left(&self) -> Vec<String> {
        let mut left = self.left.clone();
        if self.unsaid > 0 {
            left.push(format!("and {} more", self.unsaid));
        }
        left
    }

    /// Whether something is set.
    pub fn has(&self, name: &str) -> bool {
        self.settings.iter().any(|setting| setting.name == name)
    }

    /// What a setting is set to.
    pub fn words(&self, name: &str) -> &[Vec<u8>] {
        self.settings.iter().find(|setting| setting.name == name).map_or(&[], |setting| &setting.words)
    }

    /// Whether it is for `start`: its root is a directory, and no disk.
    pub fn is_tree(&self) -> bool {
        !self.has("DISKS") && (self.has("ROOT") || self.has("BASE"))
    }

    /// Takes out what has no effect on what it has become, and says so.
    #[must_use]
    pub fn settled(mut self) -> Draft {
        if self.is_tree() {
            for name in ["EPHEMERAL", "READONLY", "INIT", "AUTOSTART", "START_DELAY", "RESTART"] {
                if self.has(name) {
                    self.settings.retain(|setting| setting.name != name);
                    self.leave(name, "has no effect on what start starts from a directory");
                }
            }
        } else if !self.has("DISKS") {
            self.leave("root", "there is no disk and no directory yet that it could be booted from");
        }
        self
    }

    /// The configuration as a text: one line of printable characters for each word.
    pub fn text(&self) -> String {
        let mut text = format!("# Made from {}.\n", printable(&self.source));
        if !self.left.is_empty() {
            text += "# Not carried over:\n";
            for line in self.left() {
                let _ = writeln!(text, "#   {line}");
            }
        }
        text + &self.assignments()
    }

    /// The same as if it had been read from a file of root's.
    pub fn loaded(&self, path: &Path) -> Loaded {
        let (variables, mut diagnostics) = evaluate(path.to_string_lossy(), &self.text());
        let (config, found) = SubhostConfig::from_variables(&variables, &Environment::of_process());
        diagnostics.extend(found);
        let failed = diagnostics.iter().any(Diagnostic::is_error);
        Loaded {
            path: path.to_path_buf(),
            sources: variables.sources().clone(),
            trust: Trust::Trusted,
            diagnostics,
            config: config.filter(|_| !failed),
        }
    }

    fn assignments(&self) -> String {
        let mut text = String::new();
        for Assignment { name, words, is_list } in &self.settings {
            let mut words = words.iter().map(|word| quote(OsStr::from_bytes(word)));
            let _ = match is_list {
                false => writeln!(text, "{name}={}", words.next().unwrap_or_default()),
                true if words.len() == 1 => writeln!(text, "{name}=( {} )", words.next().unwrap_or_default()),
                true => {
                    let lines: String = words.map(|word| format!("    {word}\n")).collect();
                    writeln!(text, "{name}=(\n{lines})")
                }
            };
        }
        text
    }

    /// Tries it with what was just put in, and takes that back if it is wrong.
    fn keep_if_right(&mut self, from: &str, undo: impl FnOnce(&mut Vec<Assignment>)) -> bool {
        self.tries += 1;
        let words = || self.settings.iter().flat_map(|it| &it.words);
        let is_too_much = self.tries > MAX_TRIES || words().map(Vec::len).sum::<usize>() > MAX_BYTES;
        let reason = match words().any(|word| word.contains(&0)) {
            true => Some("it holds a NUL byte".to_owned()),
            false if is_too_much => Some("there is too much to make a configuration of".to_owned()),
            false => self.first_error(),
        };
        if let Some(reason) = reason {
            undo(&mut self.settings);
            self.leave(from, &reason);
            return false;
        }
        true
    }

    fn first_error(&self) -> Option<String> {
        let (variables, diagnostics) = evaluate("import", &self.assignments());
        let (_, found) = SubhostConfig::from_variables(&variables, &Environment::empty());
        diagnostics.into_iter().chain(found).find(Diagnostic::is_error).map(|it| it.message)
    }
}

fn evaluate(name: impl Into<String>, text: &str) -> (Variables, Vec<Diagnostic>) {
    let (script, mut diagnostics) = parse(&Source::new(name, text));
    let (variables, found) = Evaluator::new().run(&script);
    diagnostics.extend(found);
    (variables, diagnostics)
}

fn is_in_network(one: &str, other: &str, prefix: &str) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (32, u128::from(u32::from(address))),
        IpAddr::V6(address) => (128, u128::from(address)),
    };
    let (Ok(one), Ok(other), Ok(prefix)) = (one.parse(), other.parse(), prefix.parse::<u32>()) else {
        return false;
    };
    let ((width, one), (other_width, other)) = (bits(one), bits(other));
    width == other_width && (one ^ other).checked_shr(width - prefix.min(width)).unwrap_or(0) == 0
}

/// A size as a setting takes it.
pub fn size_text(bytes: u64) -> String {
    let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match units.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// How many processors a quota in each period is, to a thousandth.
pub fn cpus_text(quota: u64, period: u64) -> Option<String> {
    let thousandths = quota.checked_mul(1000)?.checked_div(period)?;
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    (thousandths > 0).then(|| text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_setting_does_not_take_is_left_and_told() {
        let mut draft = Draft::new("a test\nX=1");
        assert!(draft.try_add("BRIDGES", "br0:06:a7:dd:b4:02:f2", "one"));
        assert!(!draft.try_add("BRIDGES", "br0:01:00:5e:00:00:01", "two"));
        assert!(!draft.try_add("BRIDGES", "br1:06:a7:dd:b4:02:f2", "three"));
        assert!(!draft.try_set("MEMORY", "a\0b", "four"));
        assert!(draft.try_set("MEMORY", "64M", "five") && !draft.try_set("MEMORY", "32M", "six"));
        draft.leave("seven\n$(x)", "eight\x1b[2J");
        let text = draft.text();
        assert_eq!(draft.left().len(), 5, "{text}");
        assert!(draft.left()[0].starts_with("two: BRIDGES: `01:00:5e:00:00:01` is a multicast"), "{text}");
        // Each line is a comment or one of the two assignments.
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, ["BRIDGES=( br0:06:a7:dd:b4:02:f2 )", "MEMORY=64M"]);
    }

    #[test]
    fn a_gateway_is_one_that_can_be_reached() {
        let mut draft = Draft::new("");
        draft.gateway("192.0.2.1", "no address");
        draft.add("ADDRESSES", "eth0=192.0.2.7/24", "");
        for gateway in ["192.0.3.1", "2001:db8::1", "x", "192.0.2.1"] {
            draft.gateway(gateway, gateway);
        }
        assert_eq!(draft.words("GATEWAY"), [b"192.0.2.1"]);
        assert_eq!(draft.left().len(), 4);
    }

    #[test]
    fn much_is_bounded() {
        let mut draft = Draft::new("");
        for n in 0..1000 {
            draft.add("AFTER", format!("s{n}"), &format!("{n} {}", "x".repeat(1000)));
        }
        assert_eq!(draft.words("AFTER").len(), MAX_WORDS);
        assert_eq!(draft.left().len(), MAX_LEFT + 1);
        assert_eq!(draft.left()[MAX_LEFT], format!("and {} more", 1000 - MAX_WORDS - MAX_LEFT));
        assert!(draft.left()[0].chars().count() <= MAX_LINE);
    }

    #[test]
    fn what_is_refused_over_and_over_is_not_tried_for_ever() {
        let mut draft = Draft::new("");
        assert!(!draft.try_set("CMDLINE", "x".repeat(MAX_BYTES + 1), ""));
        for n in 0..MAX_TRIES {
            assert!(!draft.try_add("CAPS_DROP", format!("no{n}"), ""));
        }
        assert!(!draft.try_set("MEMORY", "64M", "late"));
        assert!(draft.tries > MAX_TRIES && draft.text().lines().all(|line| line.starts_with('#')));
    }

    #[test]
    fn sizes_and_shares_are_written_as_settings_take_them() {
        let sizes = [1 << 30, 3 << 20, 1 << 10, 1025].map(size_text);
        assert_eq!(sizes, ["1G", "3M", "1K", "1025"]);
        let cpus = [(150, 100), (100, 100), (1, 3), (0, 1), (1, 0)].map(|(a, b)| cpus_text(a, b));
        assert_eq!(cpus, [Some("1.5".into()), Some("1".into()), Some("0.333".into()), None, None]);
    }
}
