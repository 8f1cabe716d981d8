//! A domain of libvirt, as its XML has it.
//!
//! A document with a DTD is refused, so there are no entities but the five of XML itself.

use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

use super::draft::{Draft, cpus_text, size_text};
use super::{Refused, disk, has, text};

/// More nodes than any domain has.
const MAX_NODES: u32 = 100_000;

/// What a machine has and a subhost does not need; it is told in one line.
const OF_A_MACHINE: &str = "\
    audio clock console controller cpu emulator features graphics hub input memballoon on_poweroff \
    on_reboot panic parallel pm rng serial sound video watchdog channel tpm redirdev redirfilter \
    iothreads iothreadids vsock seclabel uuid genid metadata resource sysinfo memoryBacking";

/// Reads a domain.
///
/// # Errors
/// It is no XML, or no domain.
pub fn read(bytes: &[u8], source: &str) -> Result<Draft, Refused> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(text(bytes)?, options).map_err(|error| format!("is no XML: {error}"))?;
    let domain = document.root_element();
    // What virsh has on disk of a running one is wrapped.
    let domain =
        if domain.has_tag_name("domstatus") { child(domain, "domain").unwrap_or(domain) } else { domain };
    if !domain.has_tag_name("domain") {
        return Err(format!("is not a domain of libvirt, but <{}>", domain.tag_name().name()));
    }
    let mut draft = Draft::new(source);
    let mut machine = Vec::new();
    let is_container = domain.attribute("type") == Some("lxc");
    // First what others refer to.
    for part in elements(domain) {
        let name = part.tag_name().name();
        match name {
            "name" => draft.set("HOSTNAME", content(part), "<name>"),
            "os" => system(&mut draft, part, is_container),
            "memory" => memory(&mut draft, domain, part),
            "currentMemory" => {}
            "vcpu" => draft.set("CPUS", content(part), "<vcpu>"),
            "cputune" => cpu_tune(&mut draft, part),
            "blkiotune" => match child(part, "weight") {
                Some(weight) => draft.set("IO_WEIGHT", content(weight), "<blkiotune>"),
                None => draft.leave("<blkiotune>", "limits of single disks cannot be told apart"),
            },
            "on_crash" if content(part) == "restart" => draft.set("RESTART", "on-failure", "<on_crash>"),
            "title" | "description" | "on_crash" => {}
            "idmap" => id_map(&mut draft, part),
            "devices" => {}
            _ if has(OF_A_MACHINE, name) => machine.push(name),
            _ => draft.leave(&format!("<{name}>"), "a subhost has nothing like it"),
        }
    }
    for part in elements(domain).filter(|part| part.has_tag_name("devices")).flat_map(elements) {
        let name = part.tag_name().name();
        match name {
            "disk" => add_disk(&mut draft, part),
            "interface" => interface(&mut draft, part),
            "filesystem" => file_system(&mut draft, part, is_container),
            "hostdev" => host_device(&mut draft, part),
            _ if has(OF_A_MACHINE, name) => machine.push(name),
            _ => draft.leave(&format!("<{name}>"), "a subhost has no such device"),
        }
    }
    machine.sort_unstable();
    machine.dedup();
    if !machine.is_empty() {
        draft.leave(&machine.join(", "), "of a machine, which a subhost is not");
    }
    Ok(draft)
}

fn elements<'a, 'b>(node: Node<'a, 'b>) -> impl Iterator<Item = Node<'a, 'b>> {
    node.children().filter(Node::is_element)
}

fn child<'a, 'b>(node: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    elements(node).find(|child| child.has_tag_name(name))
}

/// An attribute of a part.
fn attribute<'a>(node: Node<'a, '_>, part: &str, name: &str) -> Option<&'a str> {
    child(node, part)?.attribute(name)
}

fn content<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

fn system(draft: &mut Draft, os: Node<'_, '_>, is_container: bool) {
    for part in elements(os) {
        let name = part.tag_name().name();
        match name {
            "cmdline" => draft.set("CMDLINE", content(part), "<cmdline>"),
            "init" if is_container => draft.set("INIT", content(part), "<init>"),
            "initenv" => {
                let word = format!("{}={}", part.attribute("name").unwrap_or_default(), content(part));
                draft.add("ENVIRONMENT", word, "<initenv>");
            }
            "kernel" | "initrd" | "dtb" => draft.leave(&format!("<{name}>"), "the kernel is the host's"),
            "type" | "boot" | "bootmenu" | "loader" | "nvram" | "smbios" | "bios" | "firmware" | "acpi" => {}
            _ => draft.leave(&format!("<{name}> of <os>"), "a subhost has nothing like it"),
        }
    }
}

/// What it has now, which may be less than it could get.
fn memory(draft: &mut Draft, domain: Node<'_, '_>, most: Node<'_, '_>) {
    let memory = child(domain, "currentMemory").unwrap_or(most);
    let unit = memory.attribute("unit").unwrap_or("KiB");
    let factor = match unit {
        "b" | "bytes" => Some(1),
        "KB" => Some(1_000),
        "k" | "KiB" => Some(1 << 10),
        "MB" => Some(1_000_000),
        "M" | "MiB" => Some(1 << 20),
        "GB" => Some(1_000_000_000),
        "G" | "GiB" => Some(1 << 30),
        "TB" => Some(1_000_000_000_000),
        "T" | "TiB" => Some(1 << 40),
        _ => None,
    };
    let bytes =
        content(memory).parse::<u64>().ok().zip(factor).and_then(|(number, unit)| number.checked_mul(unit));
    match bytes {
        Some(bytes) => draft.set("MEMORY", size_text(bytes), "<memory>"),
        None => draft.leave("<memory>", &format!("`{}` of `{unit}` is not a size", content(memory))),
    }
}

fn cpu_tune(draft: &mut Draft, tune: Node<'_, '_>) {
    let number = |name: &str| child(tune, name).and_then(|part| content(part).parse::<u64>().ok());
    let period = number("global_period").unwrap_or(100_000);
    match number("global_quota").and_then(|quota| cpus_text(quota, period)) {
        // It is stricter than how many processors there are.
        Some(cpus) if !draft.has("CPUS") => draft.set("CPUS", cpus, "<global_quota>"),
        Some(cpus) => draft.leave("<global_quota>", &format!("write CPUS={cpus} for that instead of <vcpu>")),
        None => {}
    }
    for part in elements(tune).filter(|part| !part.tag_name().name().starts_with("global_")) {
        draft.leave(&format!("<{}> of <cputune>", part.tag_name().name()), "a subhost has nothing like it");
    }
}

/// The same range for users and groups, from 0 on.
fn id_map(draft: &mut Draft, map: Node<'_, '_>) {
    let of = |name: &str| {
        let part = child(map, name)?;
        let from_zero = part.attribute("start") == Some("0");
        from_zero.then_some((part.attribute("target")?, part.attribute("count")?))
    };
    match (of("uid"), of("gid")) {
        (Some(users), Some(groups)) if users == groups && elements(map).count() == 2 => {
            draft.set("USERNS", format!("{}:{}", users.0, users.1), "<idmap>");
        }
        _ => draft.leave("<idmap>", "a subhost has one range, for users and groups alike, from 0 on"),
    }
}

fn add_disk(draft: &mut Draft, part: Node<'_, '_>) {
    let node = attribute(part, "target", "dev").unwrap_or_default();
    let from = format!("<disk> {node}");
    let device = part.attribute("device").unwrap_or("disk");
    let format = attribute(part, "driver", "type").unwrap_or("raw");
    let source = child(part, "source");
    let image = source.and_then(|source| source.attribute("file").or(source.attribute("dev")));
    match (device, format, image) {
        ("disk", "raw", Some(image)) => {
            disk::add(draft, node, Path::new(image), &from);
            if child(part, "readonly").is_some() {
                draft.leave(&from, "it is read-only there; READONLY=yes would make all disks so");
            }
            if child(part, "transient").is_some() {
                draft.leave(&from, "changes are thrown away there; EPHEMERAL=yes would do so with all disks");
            }
            let known = "driver source target readonly transient address alias boot backingStore shareable geometry blockio";
            for other in elements(part).map(|part| part.tag_name().name()).filter(|name| !has(known, name)) {
                draft.leave(&format!("<{other}> of {from}"), "a subhost has nothing like it");
            }
        }
        ("disk", "raw", None) => {
            draft.leave(&from, "its source is neither a file nor a block device of this host")
        }
        ("disk", format, image) => {
            let image = image.unwrap_or_default();
            draft.leave(
                &from,
                &format!("{image} is {format}; qemu-img convert -O raw makes a raw image of it"),
            );
        }
        (device, ..) => draft.leave(&from, &format!("a subhost has no {device}")),
    }
}

fn interface(draft: &mut Draft, part: Node<'_, '_>) {
    let kind = part.attribute("type").unwrap_or_default();
    let mac = attribute(part, "mac", "address").unwrap_or_default();
    let from = format!("<interface> {mac}");
    let bridge = match kind {
        "bridge" => attribute(part, "source", "bridge").unwrap_or_default(),
        // Where the domain runs, libvirt says which bridge that is.
        "network" => match attribute(part, "source", "bridge") {
            Some(bridge) => bridge,
            None => {
                let network = attribute(part, "source", "network").unwrap_or_default();
                let why = format!(
                    "virsh net-info {network} tells the bridge of that network; the cable has none yet"
                );
                draft.leave(&from, &why);
                ""
            }
        },
        _ => {
            draft.leave(&from, &format!("it is of type {kind}; the cable has no bridge"));
            ""
        }
    };
    draft.add("BRIDGES", format!("{bridge}:{}", mac.to_ascii_lowercase()), &from);
    for element in elements(part) {
        let name = element.tag_name().name();
        match name {
            "mtu" if !draft.has("MTU") => {
                draft.set("MTU", element.attribute("size").unwrap_or_default(), &format!("<mtu> of {from}"));
            }
            "port" if element.attribute("isolated") == Some("yes") && !draft.has("ISOLATED") => {
                draft.set("ISOLATED", "yes", &format!("<port> of {from}"));
            }
            "mac" | "source" | "model" | "address" | "alias" | "target" | "driver" | "boot" | "rom"
            | "mtu" | "port" => {}
            _ => draft.leave(&format!("<{name}> of {from}"), "a cable has nothing like it"),
        }
    }
}

fn file_system(draft: &mut Draft, part: Node<'_, '_>, is_container: bool) {
    let host = attribute(part, "source", "dir").or(attribute(part, "source", "file")).unwrap_or_default();
    let guest = attribute(part, "target", "dir").unwrap_or_default();
    let from = format!("<filesystem> {guest}");
    let kind = part.attribute("type").unwrap_or("mount");
    if !is_container {
        let why = format!("where the guest mounts that is not known; write BINDS=( {host}:PATH )");
        return draft.leave(&from, &why);
    }
    match (kind, guest) {
        ("mount", "/") => draft.set("ROOT", host, &from),
        ("file" | "block", "/") => disk::add(draft, "vda", Path::new(host), &from),
        ("mount", guest) => {
            let ending = if child(part, "readonly").is_some() { ":ro" } else { ":rw" };
            draft.add("BINDS", format!("{host}:{guest}{ending}"), &from);
        }
        (kind, _) => draft.leave(&from, &format!("it is of type {kind}; the guest's fstab can mount it")),
    }
}

fn host_device(draft: &mut Draft, part: Node<'_, '_>) {
    let kind = part.attribute("type").unwrap_or_default();
    let source = child(part, "source");
    let path = source.and_then(|source| {
        ["char", "block"].iter().find_map(|name| child(source, name)).map(|device| content(device))
    });
    match path {
        Some(path) if part.attribute("mode") == Some("capabilities") => {
            draft.add("DEVICES", path, "<hostdev>")
        }
        _ => {
            draft.leave("<hostdev>", &format!("a subhost takes no {kind} device; DEVICES has those of /dev"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::round_trip;
    use super::super::witness::{leaves, settings};
    use super::*;

    const DOMAIN: &str = r#"<!-- made by virsh -->
<domain type='kvm' id='3'>
  <name>web</name>
  <uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='MiB'>512</currentMemory>
  <vcpu placement='static'>2</vcpu>
  <blkiotune><weight>800</weight></blkiotune>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <kernel>/boot/vmlinuz</kernel>
    <cmdline>root=/dev/vda1 "quiet"</cmdline>
  </os>
  <on_crash>restart</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/disks/a &amp; b&apos;s.raw'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='block' device='disk'>
      <source dev='/dev/nowhere/data'/>
      <target dev='vdb' bus='virtio'/>
      <readonly/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/disks/c.qcow2'/>
      <target dev='vdc' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sda'/></disk>
    <interface type='bridge'>
      <mac address='52:54:00:AA:BB:01'/>
      <source bridge='br0'/>
      <mtu size='1400'/>
      <model type='virtio'/>
      <vlan><tag id='42'/></vlan>
    </interface>
    <interface type='network'>
      <mac address='52:54:00:aa:bb:02'/>
      <source network='default'/>
    </interface>
    <filesystem type='mount'><source dir='/srv'/><target dir='tag'/></filesystem>
    <graphics type='vnc' port='-1'/>
    <shmem name='x'/>
  </devices>
</domain>
"#;

    #[test]
    fn a_domain_of_libvirt_becomes_settings() {
        let draft = read(DOMAIN.as_bytes(), "web.xml").unwrap();
        assert_eq!(
            settings(&draft),
            r#"HOSTNAME=web
MEMORY=512M
CPUS=2
IO_WEIGHT=800
CMDLINE='root=/dev/vda1 "quiet"'
RESTART=on-failure
DISKS=(
    'vda:1:/disks/a & b'\''s.raw'
    vdb:1:/dev/nowhere/data
)
BRIDGES=(
    br0:52:54:00:aa:bb:01
    :52:54:00:aa:bb:02
)
MTU=1400
"#
        );
        for left in [
            "<kernel>",
            "vdb: it is read-only",
            "c.qcow2 is qcow2",
            "no cdrom",
            "<vlan>",
            "net-info default",
            "BINDS=( /srv:PATH )",
            "emulator, graphics, uuid",
            "<shmem>",
        ] {
            assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
        }
    }

    #[test]
    fn a_container_of_libvirt_is_a_directory() {
        let text = "<domain type='lxc'><name>box</name><memory>65536</memory>
        <os><type>exe</type><init>/sbin/init</init><initenv name='LANG'>C x</initenv></os>
        <idmap><uid start='0' target='200000' count='65536'/><gid start='0' target='200000' count='65536'/></idmap>
        <devices><filesystem type='mount'><source dir='/srv/box'/><target dir='/'/></filesystem>
        <filesystem type='mount'><source dir='/srv/w'/><target dir='/w'/><readonly/></filesystem>
        <hostdev mode='capabilities' type='misc'><source><char>/dev/net/tun</char></source></hostdev>
        <interface type='bridge'><source bridge='br0'/></interface></devices></domain>";
        let draft = read(text.as_bytes(), "box.xml").unwrap().settled();
        assert!(draft.is_tree());
        assert_eq!(
            settings(&draft),
            "HOSTNAME=box\nMEMORY=64M\nENVIRONMENT=( 'LANG=C x' )\nUSERNS=200000:65536\nROOT=/srv/box\n\
         BINDS=( /srv/w:/w:ro )\nDEVICES=( /dev/net/tun )\nBRIDGES=( br0: )\n"
        );
        assert!(leaves(&draft, "INIT: has no effect"));
    }

    #[test]
    fn xml_that_is_broken_or_a_bomb_is_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><domain>&b;</domain>";
        let file = "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain><name>&a;</name></domain>";
        let deep = "<domain>".repeat(50_000);
        let wide = format!("<domain>{}</domain>", "<a/>".repeat(150_000));
        for text in
            [bomb, file, &deep, &wide, "", "<domain", "<a/>", "<domain>\0</domain>", "<domain>&x;</domain>"]
        {
            assert!(read(text.as_bytes(), "").is_err(), "{}", &text[..text.len().min(80)]);
        }
        for end in (0..DOMAIN.len()).filter(|end| DOMAIN.is_char_boundary(*end)).step_by(7) {
            // But for what stands behind the end.
            if let Ok(draft) = read(&DOMAIN.as_bytes()[..end], "") {
                assert!(end >= DOMAIN.trim_end().len(), "{}", draft.text());
            }
        }
        let nested = format!("{}{}", "<domain>".repeat(1000), "</domain>".repeat(1000));
        round_trip(&read(nested.as_bytes(), "").unwrap());
    }
}
