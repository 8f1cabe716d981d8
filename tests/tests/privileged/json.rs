//! What the program says in JSON, held against `docs/json.md`: it has the fields that stand there, always and of these
//! types, no others, and each of them is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{XattrFlags, setxattr};
use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::linger::Started;
use crate::logs::{logged, say};
use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[Case {
    name: "json_is_what_its_documentation_says",
    needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyMbr), Need::Made(Fixture::TinyTree)],
    body: documented,
}];

/// Settings that make most of a plan.
const SETTINGS: &str = "\
ISOLATED=yes
ADDRESSES=192.0.2.7/24
GATEWAY=192.0.2.1
ROUTES=( 198.51.100.0/24=192.0.2.9 )
DNS=192.0.2.1
MEMORY=64M
DEVICES=( /dev/loop-control )
BINDS=( /etc:/mnt )
SKIP_SCRIPTS=( hwclock.sh )
DISK=nearly-a-setting
";

fn documented(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let disks = format!("DISKS=( vda:1:{} )\n", image.display());
    let (config, eval) = (host.root_dir().join(&name).join("config"), host.directory().join("wrong"));
    let (config, eval) = (config.to_string_lossy(), eval.to_string_lossy());
    fs::write(&*eval, "A=$(ls)\n")?;
    host.config(&name, &format!("{disks}BRIDGES=( {BRIDGE}:{MAC} )\n{SETTINGS}"))?;
    host.config("with-init", &format!("{disks}INIT=/sbin/init\n"))?;
    host.config("refused", "DISKS=( vda:1:/nowhere.raw )\nBRIDGES=( nowhere: )\n")?;
    host.config("wrong", "DISKS=(\n")?;
    host.config("unplugged", "BRIDGES=( : )\n")?;
    let mut seen = Documentation::read()?;

    seen.hold(host, "check", &[&["check", &name], &["check", "refused"], &["check", "wrong"]])?;
    // While nobody uses the image.
    seen.hold(host, "check", &[&["check", "--fsck", &name]])?;
    let shared = host.directory().join("shared");
    fs::create_dir(&shared)?;
    let shared = shared.to_string_lossy();
    host.witness("mount", &["-t", "tmpfs", "tmpfs", &shared])?;
    let script = ["--mount", "sh", "-c", "cd \"$0\" && echo ready && cat", &shared];
    let mut elsewhere =
        Command::new("unshare").args(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(elsewhere.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    boot(host, &name)?;
    // An overlay that lingers.
    let base = host.copy_of(Fixture::TinyTree)?;
    let started = Started::new(host, "started", &format!("BASE={}", base.display()))?;
    started.run("echo more >>/etc/hosts")?;
    let started = &*started.name;
    seen.hold(host, "list", &[&["list"], &["status", &name], &["status", "s*", "refused"]])?;
    // A port inside, too.
    for link in ["add br9 type bridge", "add v9 type veth", "set v9 master br9"] {
        let words = ["-n", &name, "link"].into_iter().chain(link.split(' '));
        host.witness("ip", &words.collect::<Vec<_>>())?;
    }
    let inspected = [&name, "with-init", "refused", "wrong", started].map(|name| ["inspect", name]);
    seen.hold(host, "inspect", &inspected.each_ref().map(|words| &words[..]))?;
    seen.hold(host, "plan", &[&["plan", &name], &["plan", "with-init"], &["plan", "--start", started]])?;
    let store = host.directory().join("samples").display().to_string();
    for _ in 0..2 {
        host.done(&["collect", "--count", "1", "--store", &store])?;
    }
    // A line that says nothing.
    fs::write(host.directory().join("samples/usage-0.jsonl"), "no sample\n")?;
    seen.hold(
        host,
        "report",
        &[&["report", "--store", &store], &["report", "--from", "1h", "--store", &store]],
    )?;
    seen.hold(host, "mounts", &[&["mounts"], &["mounts", &shared], &["mounts", &image.to_string_lossy()]])?;
    drop(elsewhere.stdin.take());
    assert!(elsewhere.wait()?.success());
    seen.hold(host, "doctor", &[&["doctor"]])?;
    seen.hold(host, "config show", &[&["config", "show", &name], &["config", "show", "wrong"]])?;
    seen.hold(host, "config eval", &[&["config", "eval", &config], &["config", "eval", &eval]])?;
    seen.hold(host, "dhcp", &[&["dhcp", &name, "unplugged"]])?;
    seen.hold(host, "partitions", &[&["partitions", &image.to_string_lossy()]])?;
    say(host, &name, "echo a line; printf 'and none'")?;
    logged(&name, "and none")?;
    // How it has ended: by a signal for sure, as without one its supervisor asks it first.
    host.done(&["kill", "--signal", "KILL", &name])?;
    host.done(&["wait", &name])?;
    seen.hold(host, "list", &[&["status", &name]])?;
    seen.hold(host, "inspect", &[&["inspect", &name]])?;
    seen.hold(host, "events", &[&["events"]])?;
    seen.hold(host, "usage", &[&["usage", "--since", "1h"]])?;
    seen.hold(host, "logs", &[&["logs", &name]])?;
    host.done(&["stop", started])?;
    let redirected = host.subhost_dir().join(started).join("root/etc");
    setxattr(&redirected, "trusted.overlay.redirect", b"/usr", XattrFlags::empty())?;
    seen.hold(host, "diff", &[&["diff", started]])?;
    host.done(&["snapshot", started, "one"])?;
    let snapshots = host.subhost_dir().join(started).join("snapshot");
    // Nobody can tell how much is in it: its path is too long.
    let deep = "mkdir -p $0/deep && cd $0/deep && for i in $(seq 60); do mkdir x$(printf %099d) && cd x$(printf %099d); done";
    host.witness("bash", &["-c", deep, &snapshots.to_string_lossy()])?;
    seen.hold(host, "snapshot", &[&["snapshot", "--list", started]])?;
    host.witness("umount", &[&shared])?;
    seen.finish();
    Ok(())
}

/// A field as documented, or the elements of one: that has `[]` after its name.
#[derive(Debug, Default, Clone)]
struct Field {
    types: BTreeSet<&'static str>,
    /// There only where its row says.
    sometimes: bool,
    /// An object that holds whatever it likes.
    any: bool,
}

type Fields = BTreeMap<String, Field>;

/// The sections, and of those that were held against documents the fields that were in none yet.
struct Documentation {
    sections: BTreeMap<String, Section>,
    unseen: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Default)]
struct Section {
    /// The sections whose fields it has as well.
    includes: Vec<String>,
    /// Field, type, meaning.
    rows: Vec<[String; 3]>,
}

impl Documentation {
    fn read() -> std::io::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
        let mut sections: BTreeMap<String, Section> = BTreeMap::new();
        let mut section = &mut Section::default();
        for line in fs::read_to_string(path)?.lines() {
            if let Some(heading) = line.strip_prefix("##") {
                let anchor = heading.trim_matches(['#', ' ']).replace(' ', "-");
                section = sections.entry(anchor).or_default();
            } else if line.contains("the fields of") || line.starts_with("The fields of") {
                section.includes.extend(anchor_of(line));
            } else if let Some(field) = line.strip_prefix("| `") {
                let cells: Vec<&str> = field.split('|').map(str::trim).collect();
                let cell = |at: usize| cells[at].trim_matches('`').to_owned();
                section.rows.push([cell(0), cell(1), cell(2)]);
            }
        }
        Ok(Self { sections, unseen: BTreeMap::new() })
    }

    /// Puts the fields of a section, which stand below `prefix`, to the others.
    fn expand(&self, anchor: &str, prefix: &str, fields: &mut Fields) {
        let section = self.sections.get(anchor).unwrap_or_else(|| panic!("there is no section {anchor}"));
        for include in &section.includes {
            self.expand(include, prefix, fields);
        }
        for [field, types, meaning] in &section.rows {
            let path = format!("{prefix}{field}");
            let sometimes = meaning.starts_with("*Where*");
            fields.entry(path.clone()).or_default().sometimes = sometimes;
            for text in types.split(" or ") {
                let (path, text) = match text.strip_prefix("array of ") {
                    Some(element) => {
                        fields.entry(path.clone()).or_default().types.insert("array");
                        (format!("{path}[]"), element.trim_end_matches('s'))
                    }
                    None => (path.clone(), text),
                };
                let text = text
                    .strip_prefix("any ")
                    .inspect(|_| fields.entry(path.clone()).or_default().any = true)
                    .unwrap_or(text);
                let found =
                    ["string", "number", "boolean", "null", "object"].into_iter().find(|it| *it == text);
                let anchor = anchor_of(text);
                let is_a = found.or_else(|| anchor.as_ref().map(|_| "object"));
                let is_a = is_a.unwrap_or_else(|| panic!("{path}: there is no type {text}"));
                fields.entry(path.clone()).or_default().types.insert(is_a);
                if let Some(anchor) = anchor {
                    self.expand(&anchor, &format!("{path}."), fields);
                }
            }
        }
    }

    /// Holds what these commands say against the section of this heading.
    fn hold(&mut self, host: &Host, heading: &str, commands: &[&[&str]]) -> Verdict {
        let mut fields = Fields::new();
        self.expand(&heading.replace(' ', "-"), "", &mut fields);
        let mut seen = BTreeSet::new();
        for words in commands {
            let outcome = host.subhostctl(&[&["--json"], *words].concat())?;
            let mut documents = Vec::new();
            // One, or one on each line.
            for json in serde_json::Deserializer::from_str(&outcome.stdout).into_iter() {
                match json? {
                    Value::Array(elements) => documents.extend(elements),
                    document => documents.push(document),
                }
            }
            assert!(!documents.is_empty(), "{words:?}: {outcome}");
            for document in documents {
                assert_eq!(document["version"], 1, "{words:?}");
                compare(&document, "", &fields, &mut seen)
                    .unwrap_or_else(|wrong| panic!("{words:?}: {wrong}"));
            }
        }
        // Texts and numbers in an array are no fields: it may be empty on this host.
        let is_field = |path: &String| !path.ends_with("[]") || fields[path].types.contains("object");
        let documented: BTreeSet<String> = fields.keys().filter(|path| is_field(path)).cloned().collect();
        let unseen = self.unseen.entry(heading.to_owned()).or_insert(documented);
        unseen.retain(|path| !seen.contains(path));
        Ok(())
    }

    fn finish(self) {
        for (heading, unseen) in self.unseen {
            assert!(unseen.is_empty(), "{heading}: documented, and in no document: {unseen:?}");
        }
    }
}

/// The section that the first link of a text leads to.
fn anchor_of(text: &str) -> Option<String> {
    Some(text.split_once("](#")?.1.split_once(')')?.0.to_owned())
}

/// Compares a value, and all that is in it, with the fields; tells what is not as documented.
fn compare(value: &Value, path: &str, fields: &Fields, seen: &mut BTreeSet<String>) -> Result<(), String> {
    let is_a = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !path.is_empty() {
        let field = fields.get(path).ok_or_else(|| format!("{path} is not documented"))?;
        if !field.types.contains(is_a) {
            return Err(format!("{path} is documented as {:?}, and {value}", field.types));
        }
        seen.insert(path.to_owned());
        if field.any {
            return Ok(());
        }
    }
    match value {
        Value::Array(elements) => {
            elements.iter().try_for_each(|element| compare(element, &format!("{path}[]"), fields, seen))
        }
        Value::Object(members) => {
            let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
            let own = |field: &String| {
                let name = field.strip_prefix(&prefix)?;
                (!name.contains(['.', '['])).then(|| name.to_owned())
            };
            let always =
                fields.iter().filter(|(_, field)| !field.sometimes).filter_map(|(path, _)| own(path));
            if let Some(missing) = always.into_iter().find(|name| !members.contains_key(name)) {
                return Err(format!("{prefix}{missing} is not there"));
            }
            members
                .iter()
                .try_for_each(|(name, value)| compare(value, &format!("{prefix}{name}"), fields, seen))
        }
        _ => Ok(()),
    }
}
