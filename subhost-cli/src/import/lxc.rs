//! A container's configuration of LXC: `lxc.key = value`, also with the names that keys had before LXC 3.

use std::collections::BTreeMap;
use std::path::Path;

use super::draft::{Draft, cpus_text, size_text};
use super::{Refused, disk, environment, text, yes};

/// What a subhost does in its own way, or has no choice in.
const OF_ITS_OWN: &str = "\
    lxc.arch lxc.apparmor. lxc.autodev lxc.console. lxc.group lxc.hook. lxc.log. lxc.loglevel \
    lxc.logfile lxc.mount.auto lxc.pty. lxc.pts lxc.seccomp. lxc.selinux. lxc.signal. lxc.tty. lxc.tty \
    lxc.monitor. lxc.proc. lxc.sysctl. lxc.prlimit. lxc.no_new_privs lxc.aa_profile lxc.haltsignal \
    lxc.stopsignal lxc.rebootsignal lxc.keyring. lxc.namespace. lxc.kmsg";

/// What keys were called before, and are now.
const RENAMED: &[(&str, &str)] = &[
    ("lxc.utsname", "lxc.uts.name"),
    ("lxc.rootfs", "lxc.rootfs.path"),
    ("lxc.mount", "lxc.mount.fstab"),
    ("lxc.id_map", "lxc.idmap"),
    ("lxc.init_cmd", "lxc.init.cmd"),
    ("lxc.network.ipv4", "lxc.network.ipv4.address"),
    ("lxc.network.ipv6", "lxc.network.ipv6.address"),
];

/// Reads such a configuration.
///
/// # Errors
/// A line has no `=`.
pub fn read(bytes: &[u8], source: &str) -> Result<Draft, Refused> {
    let mut draft = Draft::new(source);
    let mut cables = BTreeMap::<u32, Vec<(String, String)>>::new();
    let (mut ids, mut network) = (Vec::new(), None::<u32>);
    let mut pairs = Vec::new();
    for (at, line) in text(bytes)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) =
            line.split_once('=').ok_or_else(|| format!("line {}: `{line}` has no `=`", at + 1))?;
        let key = key.trim();
        let key = RENAMED.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| new);
        pairs.push((key.to_owned(), value.trim().trim_matches('"').to_owned()));
    }
    // Where the root is, is asked when something is mounted in it.
    let root = pairs
        .iter()
        .find(|(key, _)| key == "lxc.rootfs.path")
        .map(|(_, path)| path.clone())
        .unwrap_or_default();
    set_root(&mut draft, &root);
    for (key, value) in &pairs {
        let from = format!("{key} = {value}");
        if let Some(rest) = key.strip_prefix("lxc.network.") {
            // The old ones have no number; each begins with its type.
            if rest == "type" {
                network = Some(network.map_or(0, |at| at + 1));
            }
            cables.entry(network.unwrap_or(0)).or_default().push((rest.to_owned(), value.clone()));
            continue;
        }
        if let Some((number, rest)) = key.strip_prefix("lxc.net.").and_then(|rest| rest.split_once('.')) {
            match number.parse() {
                Ok(number) => cables.entry(number).or_default().push((rest.to_owned(), value.clone())),
                Err(_) => draft.leave(&from, "its cable has no number"),
            }
            continue;
        }
        match key.as_str() {
            "lxc.rootfs.path" => {}
            "lxc.rootfs.options" if value.split(',').any(|option| option == "ro") => {
                draft.leave(&from, "READONLY=yes is that, for disks");
            }
            "lxc.uts.name" => draft.set("HOSTNAME", value, &from),
            "lxc.init.cmd" => match value.split_once(' ') {
                None => draft.set("INIT", value, &from),
                Some(_) => draft.leave(&from, "INIT takes no arguments"),
            },
            "lxc.environment" => environment(&mut draft, value, &from),
            "lxc.start.auto" => yes(&mut draft, "AUTOSTART", value, &from),
            "lxc.start.delay" => draft.set("START_DELAY", value, &from),
            "lxc.ephemeral" => yes(&mut draft, "EPHEMERAL", value, &from),
            "lxc.cap.drop" => {
                for capability in value.split_whitespace() {
                    draft.add("CAPS_DROP", capability, &from);
                }
            }
            "lxc.cap.keep" => draft.leave(&from, "CAPS_DROP has those to take away, CAPS_ADD those to leave"),
            "lxc.idmap" => ids.push(value.clone()),
            "lxc.mount.entry" => mount(&mut draft, value, &root, &from),
            "lxc.mount.fstab" | "lxc.include" => draft.leave(&from, "what stands in that file is not read"),
            key if key.starts_with("lxc.cgroup") => limit(&mut draft, key, value, &from),
            key if OF_ITS_OWN
                .split(' ')
                .any(|own| key == own || own.ends_with('.') && key.starts_with(own)) =>
            {
                draft.leave(&from, "a subhost does that in its own way");
            }
            _ => draft.leave(&from, "a subhost has nothing like it"),
        }
    }
    let count = cables.len();
    for (at, (number, settings)) in cables.into_iter().enumerate() {
        if usize::try_from(number).is_ok_and(|number| number != at) && at < count {
            draft.leave(&format!("lxc.net.{number}"), &format!("it is eth{at} in a subhost"));
        }
        cable(&mut draft, at, &settings);
    }
    id_map(&mut draft, &ids);
    Ok(draft)
}

fn set_root(draft: &mut Draft, path: &str) {
    let from = format!("lxc.rootfs.path = {path}");
    match path.split_once(':') {
        _ if path.is_empty() => {}
        Some(("dir", path)) => draft.set("ROOT", path, &from),
        Some(("loop", path)) => disk::add(draft, "vda", Path::new(path), &from),
        Some(("overlay" | "overlayfs", layers)) => {
            let mut layers: Vec<&str> = layers.split(':').collect();
            let upper = layers.pop().unwrap_or_default();
            // The topmost of several stands last there.
            for layer in layers.iter().rev() {
                draft.add("BASE", layer, &from);
            }
            draft.set("ROOT", upper, &from);
        }
        None if path.starts_with("/dev/") || Path::new(path).is_file() => {
            disk::add(draft, "vda", Path::new(path), &from)
        }
        None => draft.set("ROOT", path, &from),
        Some((kind, _)) => draft.leave(&from, &format!("a subhost has no root of kind {kind}")),
    }
}

fn cable(draft: &mut Draft, at: usize, settings: &[(String, String)]) {
    let get = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let from = format!("lxc.net.{at}");
    let kind = get("type").unwrap_or("veth");
    if ["empty", "none"].contains(&kind) {
        return draft
            .leave(&from, &format!("type {kind}: a subhost has a network of its own, here without a cable"));
    }
    let mut bridge = get("link").unwrap_or_default();
    if kind != "veth" {
        draft.leave(&from, &format!("it is of type {kind}; the cable has no bridge"));
        bridge = "";
    }
    // An x stands for a digit that is made up.
    let mac = get("hwaddr").filter(|mac| !mac.contains(['x', 'X'])).unwrap_or_default().to_ascii_lowercase();
    draft.add("BRIDGES", format!("{bridge}:{mac}"), &from);
    for (key, value) in settings {
        let from = format!("{from}.{key} = {value}");
        match key.as_str() {
            "ipv4.address" | "ipv6.address" => {
                // A broadcast address may stand behind it.
                let address = value.split_whitespace().next().unwrap_or_default();
                draft.address(at, address, &from);
                if value.contains(char::is_whitespace) {
                    draft.leave(&from, "the broadcast address follows from the prefix");
                }
            }
            "mtu" if !draft.has("MTU") => draft.set("MTU", value, &from),
            "name" if *value == format!("eth{at}") => {}
            "type" | "link" | "hwaddr" | "flags" | "ipv4.gateway" | "ipv6.gateway" => {}
            _ => draft.leave(&from, "a cable has nothing like it"),
        }
    }
    for gateway in [get("ipv4.gateway"), get("ipv6.gateway")].into_iter().flatten() {
        draft.gateway(gateway, &format!("{from}: gateway {gateway}"));
    }
}

/// `SOURCE TARGET TYPE OPTIONS …`, as in fstab.
fn mount(draft: &mut Draft, entry: &str, root: &str, from: &str) {
    // A blank in a path is written as in fstab.
    let fields: Vec<String> =
        entry.split_whitespace().map(|field| field.replace("\\040", " ").replace("\\011", "\t")).collect();
    let [host, guest, _, options, ..] = &fields[..] else {
        return draft.leave(from, "has not the fields of fstab");
    };
    let options: Vec<&str> = options.split(',').collect();
    if !options.iter().any(|option| ["bind", "rbind"].contains(option)) {
        return draft.leave(from, "only what is bound can be carried over");
    }
    // With the path of the root before it, or without.
    let root = root.rsplit(':').next().unwrap_or_default();
    let guest =
        guest.strip_prefix(root).filter(|_| !root.is_empty()).unwrap_or(guest).trim_start_matches('/');
    let is_read_only = options.contains(&"ro");
    if host.starts_with("/dev/") && *host == format!("/{guest}") {
        draft.add("DEVICES", format!("{host}:{}", if is_read_only { "ro" } else { "rw" }), from);
    } else {
        draft.add("BINDS", format!("{host}:/{guest}:{}", if is_read_only { "ro" } else { "rw" }), from);
    }
}

fn limit(draft: &mut Draft, key: &str, value: &str, from: &str) {
    let name = key.trim_start_matches("lxc.cgroup2.").trim_start_matches("lxc.cgroup.");
    match name {
        _ if value == "max" || value == "-1" => {}
        "memory.max" | "memory.limit_in_bytes" => match size(value) {
            Some(bytes) => draft.set("MEMORY", size_text(bytes), from),
            None => draft.leave(from, "is not a size"),
        },
        "pids.max" => draft.set("TASKS", value, from),
        "io.weight" | "blkio.weight" => {
            draft.set("IO_WEIGHT", value.trim_start_matches("default").trim(), from);
        }
        "cpu.max" => {
            let mut numbers = value.split_whitespace().map(|number| number.parse::<u64>().ok());
            let (quota, period) = (numbers.next().flatten(), numbers.next().unwrap_or(Some(100_000)));
            match quota.zip(period).and_then(|(quota, period)| cpus_text(quota, period)) {
                Some(cpus) => draft.set("CPUS", cpus, from),
                None => draft.leave(from, "is not a quota"),
            }
        }
        "devices.allow" | "devices.deny" => draft.leave(from, "DEVICES names devices by their paths"),
        _ => draft.leave(from, "a subhost has no such limit"),
    }
}

fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" => 10,
        "M" | "MB" => 20,
        "G" | "GB" => 30,
        "T" | "TB" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `u 0 100000 65536`, the same for `g`.
fn id_map(draft: &mut Draft, ids: &[String]) {
    let fields: Vec<Vec<&str>> = ids.iter().map(|line| line.split_whitespace().collect()).collect();
    match &fields[..] {
        [] => {}
        [one, other] if one.len() == 4 && one[1..] == other[1..] && one[1] == "0" && one[0] != other[0] => {
            draft.set("USERNS", format!("{}:{}", one[2], one[3]), "lxc.idmap");
        }
        [one] if one.len() == 4 && one[0] == "b" && one[1] == "0" => {
            draft.set("USERNS", format!("{}:{}", one[2], one[3]), "lxc.idmap");
        }
        _ => draft.leave("lxc.idmap", "a subhost has one range, for users and groups alike, from 0 on"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::{leaves, settings};
    use super::*;

    #[test]
    fn a_container_of_lxc_becomes_settings() {
        let text = "\
# Template used to create this container
lxc.include = /usr/share/lxc/config/debian.common.conf
lxc.rootfs.path = dir:/var/lib/lxc/web/rootfs
lxc.uts.name = web
lxc.arch = amd64
lxc.net.0.type = veth
lxc.net.0.link = br0
lxc.net.0.flags = up
lxc.net.0.hwaddr = 00:16:3e:0A:0b:0c
lxc.net.0.ipv4.address = 192.0.2.7/24 192.0.2.255
lxc.net.0.ipv4.gateway = 192.0.2.1
lxc.net.1.type = macvlan
lxc.net.1.hwaddr = 00:16:3e:xx:xx:xx
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.mount.entry = /srv/my\\040web var/www none bind,ro,create=dir 0 0
lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file
lxc.mount.entry = tmpfs tmp tmpfs defaults
lxc.cgroup2.memory.max = 256M
lxc.cgroup2.cpu.max = 50000 100000
lxc.cgroup2.pids.max = 500
lxc.cgroup2.devices.allow = c 10:200 rwm
lxc.cap.drop = sys_time mac_admin
lxc.environment = LANG=C.UTF-8
lxc.environment = TERM
lxc.apparmor.profile = generated
lxc.start.auto = 1
lxc.unheard.of = 1
";
        let draft = read(text.as_bytes(), "x").unwrap().settled();
        assert_eq!(
            settings(&draft),
            "ROOT=/var/lib/lxc/web/rootfs\nHOSTNAME=web\nBINDS=( '/srv/my web:/var/www:ro' )\nDEVICES=( /dev/net/tun:rw )\n\
         MEMORY=256M\nCPUS=0.5\nTASKS=500\nCAPS_DROP=(\n    sys_time\n    mac_admin\n)\nENVIRONMENT=( LANG=C.UTF-8 )\n\
         BRIDGES=(\n    br0:00:16:3e:0a:0b:0c\n    :\n)\nADDRESSES=( 192.0.2.7/24 )\nGATEWAY=( 192.0.2.1 )\n\
         USERNS=100000:65536\n"
        );
        for left in [
            "lxc.include",
            "macvlan",
            "tmpfs tmp",
            "devices.allow",
            "TERM",
            "apparmor",
            "AUTOSTART: has no",
            "lxc.unheard.of",
        ] {
            assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
        }
    }

    #[test]
    fn an_old_container_of_lxc_has_other_names() {
        let text = "lxc.utsname = old\nlxc.rootfs = overlayfs:/srv/base:/srv/old/delta0\nlxc.network.type = veth\n\
                lxc.network.link = br0\nlxc.network.ipv4 = 192.0.2.9/24\nlxc.network.type = veth\nlxc.network.link = br1\n";
        let draft = read(text.as_bytes(), "x").unwrap();
        assert_eq!(
            settings(&draft),
            "BASE=( /srv/base )\nROOT=/srv/old/delta0\nHOSTNAME=old\nBRIDGES=(\n    br0:\n    br1:\n)\n\
         ADDRESSES=( 192.0.2.9/24 )\n"
        );
        assert!(read(b"lxc.utsname\n", "x").is_err());
        let disk = read(b"lxc.rootfs.path = loop:/srv/x.img\n", "x").unwrap();
        assert_eq!(settings(&disk), "DISKS=( vda:1:/srv/x.img )\n");
    }
}
