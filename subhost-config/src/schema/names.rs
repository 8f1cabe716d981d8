//! Names of settings that are nearly right.

use super::settings::SETTINGS;
use crate::code;
use crate::diagnostic::Diagnostic;

/// What there is to say about a variable of this name. `prefix` is what stands before it in the environment.
pub(super) fn warning(name: &str, prefix: &str) -> Option<Diagnostic> {
    if SETTINGS.iter().any(|setting| setting.name == name) {
        return None;
    }
    let nearest = nearest_setting(name)?;
    let message = format!("{prefix}{name} is not a setting; did you mean {prefix}{nearest}?");
    Some(Diagnostic::warning(code::DID_YOU_MEAN, message))
}

/// Names that are near to a setting's, and are words that people mean.
const OTHER_WORDS: &[&str] = &["ROUTERS", "USERS"];

/// The setting that is this name with a slip or two, if it is written like one.
fn nearest_setting(name: &str) -> Option<&'static str> {
    nearest(name, SETTINGS.iter().map(|setting| setting.name))
}

/// The one of these names that this one is with a slip or two, if it is written like a setting.
///
/// A warning for every variable that is like a setting's would be noise, so only slips that people make count: an
/// underscore or an S more or less, and for the longer names a letter that is missing, doubled, wrong or swapped,
/// but not the first one, since it is mostly another word then (`TESTING` is not `NESTING`).
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let is_setting_like = name.len() <= 32
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_setting_like || OTHER_WORDS.contains(&name) {
        return None;
    }
    let slips = |known: &str| {
        if without_ornament(name) == without_ornament(known) {
            return Some(0);
        }
        let allowed = match known.len() {
            0..=4 => 0,
            5..=8 => 1,
            _ => 2,
        };
        let starts_alike = name.as_bytes().first() == known.as_bytes().first()
            || name.as_bytes().get(1) == known.as_bytes().first()
                && name.as_bytes().first() == known.as_bytes().get(1);
        let distance = distance(name.as_bytes(), known.as_bytes());
        // In a short word another letter makes another word: ALTER is not AFTER.
        let is_other_word = known.len() <= 6 && name.len() == known.len() && letters(name) != letters(known);
        (starts_alike && distance <= allowed && !is_other_word).then_some(distance)
    };
    known.filter_map(|known| Some((slips(known)?, known))).min().map(|(_, known)| known)
}

/// Without underscores, and without the S of a plural.
fn without_ornament(name: &str) -> String {
    let words = name.split('_').map(|word| word.strip_suffix('S').unwrap_or(word));
    words.collect()
}

fn letters(name: &str) -> Vec<u8> {
    let mut letters = name.as_bytes().to_vec();
    letters.sort_unstable();
    letters
}

/// How many letters to insert, leave out, change or swap with their neighbour.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut before_last = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, &a) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, &b) in other.iter().enumerate() {
            let change = last[column] + usize::from(a != b);
            let mut best = change.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && a == other[column - 1] && one[row - 1] == b {
                best = best.min(before_last[column - 1] + 1);
            }
            next.push(best);
        }
        before_last = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_slips_that_people_make() {
        for (name, setting) in [
            ("DISK", "DISKS"),
            ("DIKSS", "DISKS"),
            ("IDSKS", "DISKS"),
            ("DISSKS", "DISKS"),
            ("BRIDGE", "BRIDGES"),
            ("BRIGES", "BRIDGES"),
            ("BRIDGS", "BRIDGES"),
            ("HOSTNAM", "HOSTNAME"),
            ("HOST_NAME", "HOSTNAME"),
            ("HOSTNAMES", "HOSTNAME"),
            ("RUN_LEVEL", "RUNLEVEL"),
            ("RUNLEVL", "RUNLEVEL"),
            ("INITS", "INIT"),
            ("STOPTIMEOUT", "STOP_TIMEOUT"),
            ("STOP_TIMEOUTS", "STOP_TIMEOUT"),
            ("STOP_TIMOUT", "STOP_TIMEOUT"),
            ("SKIP_SCRIPT", "SKIP_SCRIPTS"),
            ("SKIPSCRIPTS", "SKIP_SCRIPTS"),
            ("POWER_OFF", "POWEROFF"),
            ("USER_NS", "USERNS"),
            ("CPU", "CPUS"),
            ("TASK", "TASKS"),
            ("BIND", "BINDS"),
            ("DEVICE", "DEVICES"),
            ("CAP_ADD", "CAPS_ADD"),
            ("CAPDROP", "CAPS_DROP"),
            ("IOWEIGHT", "IO_WEIGHT"),
            ("READ_ONLY", "READONLY"),
            ("MEMROY", "MEMORY"),
            ("ROUTE", "ROUTES"),
            ("ADDRESS", "ADDRESSES"),
            ("ADRESSES", "ADDRESSES"),
            ("ENVIROMENT", "ENVIRONMENT"),
            ("AUTO_START", "AUTOSTART"),
            ("LOGSIZE", "LOG_SIZE"),
        ] {
            assert_eq!(nearest_setting(name), Some(setting), "{name}");
        }
    }

    #[test]
    fn leaves_other_words_alone() {
        let mut wrong = Vec::new();
        for name in "disks Disks OWNER IMAGE IMAGES DESCRIPTION MAC MACS A DATE GATE LATE NAME USER USERS USERNAME HOST HOSTS \
                     PATH HOME LANG TERM SHELL MASKS RISKS DESKS TESTING RESTING ROUTER ROUTERS UNIT EXIT EDIT CASE BASH \
                     BASIC ALTER LATER WORD WORKER ROOTS_OF CABLES NODE NODES VERSION NETWORK NETMASK SERVER SERVICE \
                     DEVICE_ID DOMAIN DNSSEC MTA MTR NTP PORT PORTS START STOP TIMEOUT DELAY ENABLED OPTIONS DAEMON_OPTS \
                     LOG LOGS LOGFILE LOG_LEVEL SIZE RAM CORES VCPUS TAGS PROJECT CONTACT EMAIL COMMENT NOTES LOCATION \
                     RACK SERIAL UUID KERNEL INITRD INITRAMFS BOOT GRUB_CMDLINE_LINUX NESTED_KVM FRIDGES MEMO \
                     BIRDS PREFIX DISK_DIR DISKDIR IMG DIR BR BRIDGE_PREFIX IFACE INTERFACE INTERFACES VLAN IP IP6"
            .split_whitespace()
        {
            wrong.extend(nearest_setting(name).map(|setting| (name, setting)));
        }
        assert_eq!(wrong, []);
    }

    #[test]
    fn a_setting_is_not_taken_for_another() {
        for setting in SETTINGS {
            assert_eq!(nearest_setting(setting.name), Some(setting.name));
        }
    }
}
