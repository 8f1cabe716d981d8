//! A real bash, which has to read of a draft what was put into it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::draft::Draft;

/// Every setting that an importer sets.
const NAMES: &[&str] = &[
    "ADDRESSES",
    "AUTOSTART",
    "BASE",
    "BINDS",
    "BRIDGES",
    "CAPS_ADD",
    "CAPS_DROP",
    "CMDLINE",
    "CPUS",
    "DEVICES",
    "DISKS",
    "ENVIRONMENT",
    "EPHEMERAL",
    "GATEWAY",
    "HOSTNAME",
    "INIT",
    "IO_WEIGHT",
    "ISOLATED",
    "MEMORY",
    "MTU",
    "READONLY",
    "RESTART",
    "ROOT",
    "START_DELAY",
    "TASKS",
    "TMPFS_SIZE",
    "USERNS",
    "WORK",
];

/// What the text means to a real bash: each setting's words. It runs in an empty directory, which has to stay so.
fn by_bash(text: &str) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let directory = tempfile::tempdir().unwrap();
    let (file, work) = (directory.path().join("config"), directory.path().join("work"));
    fs::write(&file, text).unwrap();
    fs::create_dir(&work).unwrap();
    let mut script =
        format!("unset {}; . ../config >out 2>&1 || exit 9; [ -s out ] && exit 8; rm out\n", NAMES.join(" "));
    for name in NAMES {
        let print = format!("printf '%s\\0' {name} \"${{#{name}[@]}}\" \"${{{name}[@]}}\"");
        let _ = writeln!(script, "[ \"${{{name}+x}}\" ] && {print}");
    }
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", &format!("{script}[ -z \"$(ls -A)\" ] || exit 7")])
        .current_dir(&work);
    let out = bash.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    let mut words = out.stdout.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let mut found = Vec::new();
    while let Some(name) = words.next().filter(|name| !name.is_empty()) {
        let name = NAMES.iter().find(|known| known.as_bytes() == name).unwrap();
        let count = String::from_utf8(words.next().unwrap()).unwrap().parse().unwrap();
        found.push((*name, words.by_ref().take(count).collect()));
    }
    found
}

/// The text means the same to us, to bash and to the draft; each line is a comment or a part of an assignment.
pub(super) fn round_trip(draft: &Draft) {
    let text = draft.text();
    let loaded = draft.loaded(Path::new("/import"));
    let found: Vec<&str> = loaded.diagnostics.iter().map(|it| it.message.as_str()).collect();
    assert!(loaded.config.is_some(), "{found:?}\n{text}");
    let ours = NAMES.iter().filter(|name| draft.has(name)).map(|name| (*name, draft.words(name).to_vec()));
    assert_eq!(by_bash(&text), ours.collect::<Vec<_>>(), "{text}");
}

/// The assignments alone.
pub(super) fn settings(draft: &Draft) -> String {
    round_trip(draft);
    draft.text().lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// Whether it says that this was left out.
pub(super) fn leaves(draft: &Draft, what: &str) -> bool {
    draft.left().iter().any(|line| line.contains(what))
}
