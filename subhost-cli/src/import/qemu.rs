//! The command line of a qemu: of a text, of a script, or of a process.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::draft::{Draft, size_text};
use super::{Refused, disk, has};
pub use words::words_of;
use words::{properties, properties_or_json};

/// Options of a machine that a subhost is not; no word of theirs follows.
const ALONE: &str = "\
    enable-kvm no-reboot nographic daemonize nodefaults no-user-config no-acpi no-hpet no-shutdown S usb \
    curses no-fd-bootchk";
/// Those with a word; they are told in one line.
const OF_A_MACHINE: &str = "\
    accel boot chardev cpu display global k machine M mon monitor msg object overcommit pidfile qmp rtc \
    sandbox serial uuid vga vnc spice watchdog-action D usbdevice soundhw audiodev run-with smbios runas \
    compat";

/// Reads the words of a command line; relative paths start from `directory`.
///
/// # Errors
/// It is no such command line.
pub fn read(words: &[String], directory: &Path, source: &str) -> Result<Draft, Refused> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    if !name.starts_with("qemu") && name != "kvm" {
        return Err(format!("begins with `{program}`, which is not a qemu"));
    }
    let mut machine = Machine { directory: directory.to_owned(), ..Machine::new(source) };
    let mut words = words[1..].iter();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            machine.image(word, "hda", word);
            continue;
        };
        if has(ALONE, option) {
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

/// What options that refer to each other have said.
struct Machine {
    draft: Draft,
    directory: PathBuf,
    /// Of `-drive` with `if=none` and `-blockdev`, by id.
    images: BTreeMap<String, BTreeMap<String, String>>,
    /// Of `-netdev` and `-net`, by id.
    networks: BTreeMap<String, BTreeMap<String, String>>,
    /// Of `-device`, in order.
    devices: Vec<BTreeMap<String, String>>,
    /// Those of both that something names.
    named: BTreeSet<String>,
    /// How many disks of each kind have a name.
    counts: BTreeMap<&'static str, u32>,
    quiet: Vec<String>,
}

impl Machine {
    fn new(source: &str) -> Machine {
        Machine {
            draft: Draft::new(source),
            directory: PathBuf::new(),
            images: BTreeMap::new(),
            networks: BTreeMap::new(),
            devices: Vec::new(),
            named: BTreeSet::new(),
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
            _ if has(OF_A_MACHINE, option) => self.quiet.push(format!("-{option}")),
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
        disk::add(&mut self.draft, node, &self.directory.join(path), from);
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
    fn image_of(&mut self, id: &str) -> Option<BTreeMap<String, String>> {
        let mut image = self.images.get(id)?.clone();
        self.named.insert(id.to_owned());
        for _ in 0..8 {
            let Some(below) = image.get("file").and_then(|file| self.images.get(file)) else { break };
            self.named.extend(image.get("file").cloned());
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
            None => self.draft.leave(from, "is not a size"),
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
                self.named.insert(get("netdev").to_owned());
                self.cable(&network, get("mac"), &from);
            } else if ["scsi-cd", "ide-cd", "vfio-pci", "vhost-user-fs-pci", "virtio-9p-pci", "usb-host"]
                .contains(&driver)
            {
                self.draft.leave(&from, "a subhost has no such device");
            } else {
                self.quiet.push(format!("-device {driver}"));
            }
        }
        for id in self.images.keys().chain(self.networks.keys()).filter(|id| !self.named.contains(*id)) {
            self.draft.leave(&format!("`{id}`"), "no device uses it");
        }
        self.quiet.sort();
        self.quiet.dedup();
        if !self.quiet.is_empty() {
            self.draft.leave(&self.quiet.join(", "), "of a machine, which a subhost is not");
        }
        self.draft
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::{leaves, settings};
    use super::*;

    #[test]
    fn a_command_line_of_qemu_becomes_settings() {
        let text = r"#!/bin/sh
# the web server
qemu-system-x86_64 -enable-kvm -name guest=web,debug-threads=on -m 2G -smp 4,sockets=1 \
    -drive 'file=/disks/a,,b.raw,if=virtio,format=raw' \
    -drive file=/disks/c.qcow2,format=qcow2 -hdb data.img \
    -drive id=d0,if=none,file=/disks/d.raw -device virtio-blk-pci,drive=d0 \
    -netdev bridge,id=n0,br=br0 -device virtio-net-pci,netdev=n0,mac=52:54:00:AA:BB:01 \
    -netdev user,id=n1 -device e1000,netdev=n1,mac=52:54:00:aa:bb:02 \
    -nic bridge,br=br1,mac=52:54:00:aa:bb:03 \
    -append 'root=/dev/vda1 quiet' -kernel /boot/vmlinuz -snapshot -vga std -drive if=none,id=d9,file=/x -unheard-of
";
        let words = words_of(text.as_bytes()).unwrap();
        let draft = read(&words, Path::new("/somewhere"), "x").unwrap();
        assert_eq!(
            settings(&draft),
            "HOSTNAME=web\nMEMORY=2G\nCPUS=4\nDISKS=(\n    vda:1:/disks/a,b.raw\n    sdb:1:/somewhere/data.img\n    \
         vdb:1:/disks/d.raw\n)\nBRIDGES=(\n    br1:52:54:00:aa:bb:03\n    br0:52:54:00:aa:bb:01\n    \
         :52:54:00:aa:bb:02\n)\nCMDLINE='root=/dev/vda1 quiet'\nEPHEMERAL=yes\n"
        );
        for left in [
            "c.qcow2 is qcow2",
            "`user` leads to",
            "-kernel",
            "-enable-kvm, -vga",
            "-unheard-of",
            "`d9`: no device",
        ] {
            assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
        }
    }

    #[test]
    fn a_command_line_that_libvirt_has_made_is_understood() {
        let words = [
            "/usr/bin/qemu-system-x86_64",
            "-m",
            "size=524288k",
            "-blockdev",
            r#"{"driver":"file","filename":"/disks/a.raw","node-name":"s1","cache":{"direct":true}}"#,
            "-blockdev",
            r#"{"node-name":"f1","read-only":false,"driver":"raw","file":"s1"}"#,
            "-device",
            r#"{"driver":"virtio-blk-pci","bus":"pci.4","drive":"f1","id":"virtio-disk0"}"#,
            "-blockdev",
            r#"{"driver":"file","filename":"/disks/b.qcow2","node-name":"s2"}"#,
            "-blockdev",
            r#"{"node-name":"f2","driver":"qcow2","file":"s2"}"#,
            "-device",
            r#"{"driver":"virtio-blk-pci","drive":"f2"}"#,
            "-blockdev",
            r#"{"node-name":"l","driver":"raw","file":"l"}"#,
            "-device",
            r#"{"driver":"nvme","drive":"l"}"#,
            "-netdev",
            r#"{"type":"tap","fd":"30","id":"n0"}"#,
            "-device",
            r#"{"driver":"virtio-net-pci","netdev":"n0","mac":"52:54:00:aa:bb:01"}"#,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        let words = words_of(&bytes).unwrap();
        let draft = read(&words, Path::new("/"), "a process").unwrap();
        assert_eq!(
            settings(&draft),
            "MEMORY=512M\nDISKS=( vda:1:/disks/a.raw )\nBRIDGES=( :52:54:00:aa:bb:01 )\n"
        );
        assert!(
            leaves(&draft, "b.qcow2 is qcow2") && leaves(&draft, "it names no file"),
            "{:#?}",
            draft.left()
        );
    }

    #[test]
    fn a_command_line_that_a_shell_would_do_more_with_is_refused() {
        for text in [
            "qemu -m $(id)",
            "qemu -m \"`id`\"",
            "qemu; id",
            "qemu > /x",
            "qemu 'a",
            "qemu \"a",
            "qemu \\",
            "ls -l",
            "",
        ] {
            let read = words_of(text.as_bytes()).and_then(|words| read(&words, Path::new("/"), ""));
            assert!(read.is_err(), "{text}");
        }
    }
}
