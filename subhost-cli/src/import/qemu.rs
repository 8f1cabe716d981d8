//! The command line of a qemu: of a text, of a script, or of a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::draft::{Draft, size_text};
use super::{Refused, disk, text};

/// Options of a machine that a subhost is not; no word of theirs follows.
const ALONE: &[&str] = &[
    "enable-kvm",
    "no-reboot",
    "nographic",
    "daemonize",
    "nodefaults",
    "no-user-config",
    "no-acpi",
    "no-hpet",
    "no-shutdown",
    "S",
    "usb",
    "curses",
    "no-fd-bootchk",
];
/// Those with a word; they are told in one line.
const OF_A_MACHINE: &[&str] = &[
    "accel",
    "boot",
    "chardev",
    "cpu",
    "display",
    "global",
    "k",
    "machine",
    "M",
    "mon",
    "monitor",
    "msg",
    "object",
    "overcommit",
    "pidfile",
    "qmp",
    "rtc",
    "sandbox",
    "serial",
    "uuid",
    "vga",
    "vnc",
    "spice",
    "watchdog-action",
    "D",
    "usbdevice",
    "soundhw",
    "audiodev",
    "run-with",
    "smbios",
    "runas",
    "compat",
];

/// Reads the words of a command line; relative paths start from `folder`.
///
/// # Errors
/// It is no such command line.
pub fn read(words: &[String], folder: &Path, source: &str) -> Result<Draft, Refused> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    if !name.starts_with("qemu") && name != "kvm" {
        return Err(format!("begins with `{program}`, which is no qemu"));
    }
    let mut machine = Machine { folder: folder.to_owned(), ..Machine::new(source) };
    let mut words = words[1..].iter();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            machine.image(word, "hda", word);
            continue;
        };
        if ALONE.contains(&option) {
            machine.quiet.push(word.clone());
            continue;
        }
        if option == "snapshot" {
            machine.draft.set("EPHEMERAL", "yes", "-snapshot");
            continue;
        }
        // An option that is not known here may be one without a value.
        let is_value = |next: &&String| !next.starts_with('-') || option == "append";
        let value = words.as_slice().first().filter(is_value);
        if value.is_some() {
            words.next();
        }
        machine.option(option, value.map_or("", String::as_str));
    }
    Ok(machine.finish())
}

/// The words of a text: of a process, with a NUL behind each, or as a shell has them.
///
/// # Errors
/// A quote is not closed, or a shell would do more than read words.
pub fn words_of(bytes: &[u8]) -> Result<Vec<String>, Refused> {
    if let Some(bytes) = bytes.strip_suffix(b"\0") {
        let words = bytes.split(|byte| *byte == 0).map(|word| text(word).map(str::to_owned));
        return words.collect();
    }
    split(text(bytes)?)
}

fn split(text: &str) -> Result<Vec<String>, Refused> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    let special =
        |c: char| Err(format!("has `{c}`, which a shell does not take as it is; give the plain words"));
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '#' if word.is_none() => drop(chars.by_ref().find(|c| *c == '\n')),
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("ends with a backslash".to_owned()),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("has a `'` that is not closed".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some('\n') => {}
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("ends with a backslash".to_owned()),
                        },
                        Some(c @ ('$' | '`')) => return special(c),
                        Some(c) => word.push(c),
                        None => return Err("has a `\"` that is not closed".to_owned()),
                    }
                }
            }
            '$' | '`' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => return special(c),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// `a=b,c=d`; a comma in a value is doubled. What has no `=` is the value of `first`, or yes.
fn properties(text: &str, first: &str) -> BTreeMap<String, String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            (',', Some(part)) if chars.next_if_eq(&',').is_some() => part.push(','),
            (',', _) => parts.push(String::new()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    let mut found = BTreeMap::new();
    for (at, part) in parts.into_iter().enumerate() {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None if at == 0 && !first.is_empty() => (first.to_owned(), part),
            None => (part, "on".to_owned()),
        };
        found.insert(name, value);
    }
    found
}

/// The same where it may be an object of JSON, whose members of members are named with a dot.
fn properties_or_json(text: &str, first: &str) -> BTreeMap<String, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => {
            let mut found = BTreeMap::new();
            flatten(&value, "", &mut found);
            found
        }
        _ => properties(text, first),
    }
}

fn flatten(value: &Value, prefix: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(value, &name, found);
            }
        }
        Value::String(text) => drop(found.insert(prefix.to_owned(), text.clone())),
        Value::Bool(yes) => drop(found.insert(prefix.to_owned(), if *yes { "on" } else { "off" }.to_owned())),
        other => drop(found.insert(prefix.to_owned(), other.to_string())),
    }
}

/// What options that refer to each other have said.
struct Machine {
    draft: Draft,
    folder: PathBuf,
    /// Of `-drive` with `if=none` and `-blockdev`, by id.
    images: BTreeMap<String, BTreeMap<String, String>>,
    /// Of `-netdev` and `-net`, by id.
    networks: BTreeMap<String, BTreeMap<String, String>>,
    /// Of `-device`, in order.
    devices: Vec<BTreeMap<String, String>>,
    /// How many disks of each kind have a name.
    counts: BTreeMap<&'static str, u32>,
    quiet: Vec<String>,
}

impl Machine {
    fn new(source: &str) -> Machine {
        Machine {
            draft: Draft::new(source),
            folder: PathBuf::new(),
            images: BTreeMap::new(),
            networks: BTreeMap::new(),
            devices: Vec::new(),
            counts: BTreeMap::new(),
            quiet: Vec::new(),
        }
    }

    fn option(&mut self, option: &str, value: &str) {
        let from = format!("-{option} {value}");
        match option {
            "hda" | "hdb" | "hdc" | "hdd" => self.image(value, option, &from),
            "drive" => self.drive(properties(value, ""), &from),
            "blockdev" => {
                let image = properties_or_json(value, "driver");
                self.images.insert(image.get("node-name").cloned().unwrap_or_default(), image);
            }
            "device" => self.devices.push(properties_or_json(value, "driver")),
            "netdev" => {
                let network = properties_or_json(value, "type");
                self.networks.insert(network.get("id").cloned().unwrap_or_default(), network);
            }
            "nic" => {
                let network = properties(value, "type");
                if network.get("type").is_none_or(|kind| kind != "none") {
                    self.cable(&network, network.get("mac").map_or("", String::as_str), &from);
                }
            }
            "net" => self.old_network(properties(value, "type"), &from),
            "m" | "memory" => self.memory(&properties(value, "size"), &from),
            "smp" => self.processors(&properties(value, "cpus"), &from),
            "name" => {
                let name = properties(value, "guest");
                self.draft.set("HOSTNAME", name.get("guest").map_or("", String::as_str), &from);
            }
            "append" => self.draft.set("CMDLINE", value, &from),
            "kernel" | "initrd" | "dtb" | "bios" => self.draft.leave(&from, "the kernel is the host's"),
            "cdrom" | "fda" | "fdb" => self.draft.leave(&from, "a subhost has no such drive"),
            "virtfs" | "fsdev" => {
                let why = "where the guest mounts that is not known; write BINDS=( HOST:PATH )";
                self.draft.leave(&from, why);
            }
            _ if OF_A_MACHINE.contains(&option) => self.quiet.push(format!("-{option}")),
            _ => self.draft.leave(&from, "it is not known what that is to a subhost"),
        }
    }

    /// A name for a further disk: `vda`, `sdb`, `nvme0n1`.
    fn node(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        let letter = char::from(b'a' + u8::try_from(*count % 26).unwrap_or(0));
        *count += 1;
        if kind == "nvme" { format!("nvme{}n1", *count - 1) } else { format!("{kind}{letter}") }
    }

    fn image(&mut self, path: &str, option: &str, from: &str) {
        // The kernel calls them so, however they are plugged in.
        let node = format!("sd{}", option.chars().last().unwrap_or('a'));
        self.counts.entry("sd").and_modify(|count| *count += 1).or_insert(1);
        self.add(&node, path, from);
    }

    fn add(&mut self, node: &str, path: &str, from: &str) {
        let path = path.strip_prefix("file:").unwrap_or(path);
        disk::add(&mut self.draft, node, &self.folder.join(path), from);
    }

    fn drive(&mut self, mut drive: BTreeMap<String, String>, from: &str) {
        if let Some(path) = drive.get("file.filename").cloned() {
            drive.entry("file".to_owned()).or_insert(path);
        }
        match drive.get("if").map(String::as_str) {
            Some("none") => drop(self.images.insert(drive.get("id").cloned().unwrap_or_default(), drive)),
            Some("virtio") => self.plug("vd", &drive, from),
            None | Some("ide" | "scsi") => self.plug("sd", &drive, from),
            Some(kind) => self.draft.leave(from, &format!("a subhost has no {kind}")),
        }
    }

    /// An image in a drive.
    fn plug(&mut self, kind: &'static str, drive: &BTreeMap<String, String>, from: &str) {
        let get = |name: &str| drive.get(name).map(String::as_str);
        let format = get("format").or(get("driver")).unwrap_or("raw");
        let path = get("file").or(get("filename")).or(get("file.filename"));
        let is_disk = get("media").is_none_or(|media| media == "disk");
        match path {
            _ if !is_disk => self.draft.leave(from, "a subhost has no such drive"),
            Some(path) if ["raw", "file", "host_device"].contains(&format) => {
                let node = self.node(kind);
                self.add(&node, path, from);
                for (option, setting) in
                    [("readonly", "READONLY"), ("read-only", "READONLY"), ("snapshot", "EPHEMERAL")]
                {
                    if get(option) == Some("on") {
                        let why = format!("{option} of one disk; {setting}=yes would be for all");
                        self.draft.leave(from, &why);
                    }
                }
            }
            Some(path) => {
                let why = format!("{path} is {format}; qemu-img convert -O raw makes a raw image of it");
                self.draft.leave(from, &why);
            }
            None => self.draft.leave(from, "it names no file"),
        }
    }

    /// What a block device of `-blockdev` reads in the end.
    fn image_of(&self, id: &str) -> Option<BTreeMap<String, String>> {
        let mut image = self.images.get(id)?.clone();
        for _ in 0..8 {
            let Some(below) = image.get("file").and_then(|file| self.images.get(file)) else { break };
            let format = image.get("driver").cloned();
            image = below.clone();
            // A filter over a file is not what the file holds, but a format is.
            if let Some(format) = format.filter(|format| !["file", "host_device"].contains(&format.as_str()))
            {
                image.insert("driver".to_owned(), format);
            }
        }
        if image.contains_key("node-name") {
            // It names another one there, and no path.
            image.remove("file");
        }
        Some(image)
    }

    fn old_network(&mut self, network: BTreeMap<String, String>, from: &str) {
        match network.get("type").map(String::as_str) {
            Some("nic") => {
                let mac = network.get("macaddr").cloned().unwrap_or_default();
                self.devices.push(BTreeMap::from([
                    ("driver".to_owned(), "net".to_owned()),
                    ("mac".to_owned(), mac),
                    ("netdev".to_owned(), network.get("netdev").cloned().unwrap_or_default()),
                ]));
            }
            Some("none") => {}
            Some(_) => drop(self.networks.insert(String::new(), network)),
            None => self.draft.leave(from, "it is of no type"),
        }
    }

    fn cable(&mut self, network: &BTreeMap<String, String>, mac: &str, from: &str) {
        let kind = network.get("type").map(String::as_str).unwrap_or_default();
        let bridge = match (kind, network.get("br")) {
            ("bridge", bridge) => bridge.map_or("br0", String::as_str),
            (_, Some(bridge)) => bridge,
            (kind, None) => {
                self.draft
                    .leave(from, &format!("which bridge `{kind}` leads to is not known; the cable has none"));
                ""
            }
        };
        self.draft.add("BRIDGES", format!("{bridge}:{}", mac.to_ascii_lowercase()), from);
    }

    fn memory(&mut self, memory: &BTreeMap<String, String>, from: &str) {
        let size = memory.get("size").map(String::as_str).unwrap_or_default();
        let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &size[digits.len()..] {
            "" | "M" | "m" => Some(20),
            "G" | "g" => Some(30),
            "T" | "t" => Some(40),
            "K" | "k" => Some(10),
            "B" | "b" => Some(0),
            _ => None,
        };
        let bytes =
            digits.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
        match bytes {
            Some(bytes) => self.draft.set("MEMORY", size_text(bytes), from),
            None => self.draft.leave(from, "is no size"),
        }
    }

    fn processors(&mut self, smp: &BTreeMap<String, String>, from: &str) {
        let number = |name: &str| smp.get(name).map(|number| number.parse::<u64>().unwrap_or(0));
        let product = || {
            let parts =
                ["sockets", "dies", "clusters", "cores", "threads"].map(|part| number(part).unwrap_or(1));
            parts.iter().try_fold(1_u64, |all, part| all.checked_mul(*part)).unwrap_or(0)
        };
        self.draft.set("CPUS", number("cpus").unwrap_or_else(product).to_string(), from);
    }

    /// Devices, of which each may name an image or a network that stands elsewhere.
    fn finish(mut self) -> Draft {
        for device in std::mem::take(&mut self.devices) {
            let get = |name: &str| device.get(name).map(String::as_str).unwrap_or_default();
            let driver = get("driver");
            let from = format!("-device {driver} {}", get("id")).trim_end().to_owned();
            let kind = match driver {
                _ if driver.starts_with("virtio-blk") => Some("vd"),
                "scsi-hd" | "ide-hd" | "usb-storage" | "scsi-block" => Some("sd"),
                "nvme" => Some("nvme"),
                _ => None,
            };
            if let Some(kind) = kind {
                match self.image_of(get("drive")) {
                    Some(image) => self.plug(kind, &image, &from),
                    None => self.draft.leave(&from, "its drive is not known"),
                }
            } else if device.contains_key("netdev") || device.contains_key("mac") {
                let network = self.networks.get(get("netdev")).cloned().unwrap_or_default();
                self.cable(&network, get("mac"), &from);
            } else if ["scsi-cd", "ide-cd", "vfio-pci", "vhost-user-fs-pci", "virtio-9p-pci", "usb-host"]
                .contains(&driver)
            {
                self.draft.leave(&from, "a subhost has no such device");
            } else {
                self.quiet.push(format!("-device {driver}"));
            }
        }
        self.quiet.sort();
        self.quiet.dedup();
        if !self.quiet.is_empty() {
            self.draft.leave(&self.quiet.join(", "), "of a machine, which a subhost is not");
        }
        self.draft
    }
}
