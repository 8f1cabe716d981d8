//! An instance of Ganeti: the environment that it gives to an OS's scripts, what `gnt-instance info` says, or a table
//! of `gnt-instance list`.

mod said;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::draft::{Draft, size_text};
use super::{Refused, disk, read_bounded, text};
use crate::error::{Context, Error};
use said::{SEPARATORS, info, list};

/// An instance, as any of the three has it: names and values, those of disks and cables numbered as in the environment.
type Facts = BTreeMap<String, String>;

/// Disks or cables of one instance.
const MAX_COUNT: usize = 64;

/// Reads any of the three. A table of several instances needs the name of one.
///
/// # Errors
/// It is none of them, or the instance is not in it.
pub fn read(bytes: &[u8], instance: Option<&str>, source: &str) -> Result<Draft, Refused> {
    let text = text(bytes)?;
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim_start();
    let facts = if text.lines().any(|line| line.starts_with("INSTANCE_NAME=")) {
        environment(text.lines())
    } else if first.trim_start_matches("- ").starts_with("Instance name:") {
        info(text, instance)?
    } else if first.split(|c: char| c.is_whitespace() || SEPARATORS.contains(&c)).next() == Some("Instance") {
        list(text, instance)?
    } else {
        return Err(
            "is neither an environment with INSTANCE_NAME, nor from gnt-instance info or list".to_owned()
        );
    };
    Ok(draft_of(&facts, source))
}

/// An instance by name: of the environment of a script that Ganeti runs, else as `gnt-instance info` has it.
///
/// # Errors
/// Ganeti does not know it, or is not here.
pub fn of_name(instance: &str) -> Result<Draft, Error> {
    let own = |name: &str| std::env::var(name).ok();
    if own("INSTANCE_NAME").as_deref() == Some(instance) {
        let lines: Vec<String> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some(format!("{}={}", name.into_string().ok()?, value.into_string().ok()?))
            })
            .collect();
        return Ok(draft_of(&environment(lines.iter().map(String::as_str)), "Ganeti's environment"));
    }
    let step = || format!("run gnt-instance info {instance}");
    let mut child = Command::new("gnt-instance")
        .args(["info", "--", instance])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .step(step())?;
    let said = match child.stdout.take() {
        Some(stdout) => read_bounded(stdout, "what gnt-instance says"),
        None => Ok(Vec::new()),
    };
    if said.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().step(step())?;
    let said = said?;
    if !status.success() {
        return Err(format!("it ended with {status}")).step(step());
    }
    read(&said, Some(instance), &format!("gnt-instance info {instance}")).step(step())
}

/// `NAME=value`, a line each.
fn environment<'a>(lines: impl Iterator<Item = &'a str>) -> Facts {
    let pairs = lines.filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn draft_of(facts: &Facts, source: &str) -> Draft {
    let mut draft = Draft::new(source);
    let get = |name: &str| facts.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if let Some(name) = get("INSTANCE_NAME") {
        draft.set("HOSTNAME", name, "INSTANCE_NAME");
    }
    disks(&mut draft, facts);
    cables(&mut draft, facts);
    for name in ["INSTANCE_BE_maxmem", "INSTANCE_BE_memory"] {
        match get(name) {
            Some(memory) if !draft.has("MEMORY") && memory != "-" => {
                // In a table it has a unit.
                let mebibytes = memory.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << 20));
                draft.set("MEMORY", mebibytes.map_or_else(|| memory.to_owned(), size_text), name);
            }
            _ => {}
        }
    }
    if let Some(count) = get("INSTANCE_BE_vcpus") {
        draft.set("CPUS", count, "INSTANCE_BE_vcpus");
    }
    if let Some(words) = get("INSTANCE_HV_kernel_args").filter(|_| get("INSTANCE_HV_kernel_path").is_some()) {
        draft.set("CMDLINE", words, "INSTANCE_HV_kernel_args");
    }
    // A parameter of the OS can say what Ganeti itself has no word for.
    let devices = get("OSP_DEVICES").unwrap_or_default();
    for device in devices.split(|c: char| c.is_whitespace() || c == ',').filter(|device| !device.is_empty()) {
        draft.add("DEVICES", device, "OSP_DEVICES");
    }
    if let Some(kernel) = get("INSTANCE_HV_kernel_path").or(get("INSTANCE_HV_initrd_path")) {
        draft.leave(kernel, "the kernel is the host's");
    }
    let parameters: Vec<&str> = facts
        .keys()
        .filter_map(|name| name.strip_prefix("INSTANCE_HV_").or(name.starts_with("OSP_").then_some(name)))
        .filter(|name| !["kernel_args", "kernel_path", "initrd_path", "OSP_DEVICES"].contains(name))
        .collect();
    if !parameters.is_empty() {
        draft.leave(&parameters.join(", "), "parameters of a machine, or of its installation");
    }
    draft
}

fn count(facts: &Facts, name: &str) -> usize {
    facts.get(name).and_then(|count| count.parse().ok()).unwrap_or(0).min(MAX_COUNT)
}

fn disks(draft: &mut Draft, facts: &Facts) {
    if facts.contains_key("FROM_LIST") {
        draft.leave("disks", "a list does not name them; gnt-instance info does");
    }
    for at in 0..count(facts, "DISK_COUNT") {
        let get = |name: &str| facts.get(&format!("DISK_{at}_{name}")).map(String::as_str);
        let from = format!("disk {at}");
        let letter = u8::try_from(at).ok().filter(|at| *at < 26).map(|at| char::from(b'a' + at));
        let (Some(letter), Some(path)) = (letter, get("PATH").filter(|path| path.starts_with('/'))) else {
            let id = get("LOGICAL_ID").unwrap_or_default();
            draft.leave(
                &from,
                &format!("it has no path on this node; gnt-instance activate-disks gives one {id}"),
            );
            continue;
        };
        disk::add(draft, &format!("vd{letter}"), Path::new(path), &from);
        if get("ACCESS") == Some("ro") {
            draft.leave(&from, "it is read-only there; READONLY=yes would make all disks so");
        }
    }
}

fn cables(draft: &mut Draft, facts: &Facts) {
    for at in 0..count(facts, "NIC_COUNT") {
        let get = |name: &str| {
            facts.get(&format!("NIC_{at}_{name}")).map(String::as_str).filter(|it| !it.is_empty())
        };
        let from = format!("NIC {at}");
        let mode = get("MODE").unwrap_or("bridged");
        let bridge = match mode {
            "bridged" => get("BRIDGE").or(get("LINK")).unwrap_or_default(),
            mode => {
                let link = get("LINK").unwrap_or_default();
                draft.leave(&from, &format!("it is {mode} by `{link}`; the cable has no bridge"));
                ""
            }
        };
        let mac = get("MAC").unwrap_or_default().to_ascii_lowercase();
        draft.add("BRIDGES", format!("{bridge}:{mac}"), &from);
        if let Some(vlan) = get("VLAN") {
            draft.leave(&from, &format!("VLAN {vlan} is set at the bridge"));
        }
        let Some(address) = get("IP") else { continue };
        // The addresses of a network of Ganeti's have a prefix.
        let subnet = if address.contains(':') { get("NETWORK_SUBNET6") } else { get("NETWORK_SUBNET") };
        match subnet.and_then(|subnet| subnet.split_once('/')) {
            Some((_, prefix)) => draft.address(at, &format!("{address}/{prefix}"), &from),
            None => draft.leave(&from, &format!("the prefix of its address {address} is not known")),
        }
        for gateway in [get("NETWORK_GATEWAY"), get("NETWORK_GATEWAY6")].into_iter().flatten() {
            draft.gateway(gateway, &format!("gateway {gateway} of {from}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::{leaves, settings};
    use super::*;

    const GANETI: &str = "\
INSTANCE_NAME=web.example.com
INSTANCE_OS=debootstrap+default
HYPERVISOR=kvm
DISK_COUNT=2
DISK_0_PATH=/dev/nowhere/drbd0
DISK_0_ACCESS=rw
DISK_1_PATH=/srv/ganeti/web:1
DISK_1_ACCESS=ro
NIC_COUNT=2
NIC_0_MAC=aa:00:00:12:34:56
NIC_0_MODE=bridged
NIC_0_LINK=xen-br0
NIC_0_BRIDGE=xen-br0
NIC_0_IP=192.0.2.7
NIC_0_NETWORK_SUBNET=192.0.2.0/24
NIC_0_NETWORK_GATEWAY=192.0.2.1
NIC_1_MAC=aa:00:00:12:34:57
NIC_1_MODE=routed
NIC_1_LINK=100
NIC_1_IP=198.51.100.7
INSTANCE_BE_maxmem=512
INSTANCE_BE_vcpus=2
INSTANCE_HV_acpi=True
INSTANCE_HV_kernel_path=
OSP_DEVICES=/dev/net/tun,/dev/fuse
OSP_DHCP=no
";

    #[test]
    fn the_environment_of_ganeti_becomes_settings() {
        let draft = read(GANETI.as_bytes(), None, "x").unwrap();
        assert_eq!(
            settings(&draft),
            "HOSTNAME=web.example.com\nDISKS=(\n    vda:1:/dev/nowhere/drbd0\n    vdb:1:/srv/ganeti/web:1\n)\n\
         BRIDGES=(\n    xen-br0:aa:00:00:12:34:56\n    :aa:00:00:12:34:57\n)\nADDRESSES=( 192.0.2.7/24 )\n\
         GATEWAY=( 192.0.2.1 )\nMEMORY=512M\nCPUS=2\nDEVICES=(\n    /dev/net/tun\n    /dev/fuse\n)\n"
        );
        for left in [
            "disk 1: it is read-only",
            "NIC 1: it is routed by `100`",
            "198.51.100.7 is not known",
            "acpi, OSP_DHCP",
        ] {
            assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
        }
    }

    const INFO: &str = "\
- Instance name: web.example.com
  UUID: 7ec8ca6d-0d2e-4f3e-a8c2-8d6d4e8b0ed7
  State: configured to be up, actual state is up
  Nodes:
    - primary: node1.example.com
      group: default (UUID 5a3b)
    - secondaries: node2.example.com
  Operating system: debootstrap+default
  Operating system parameters:
    devices: /dev/net/tun
  Hypervisor: kvm
  Hypervisor parameters:
    acpi: default (True)
    kernel_args: default (ro)
  Back-end parameters:
    maxmem: 1024
    vcpus: default (1)
  NICs:
    - nic/0:
      MAC: aa:00:00:12:34:56
      IP: None
      mode: bridged
      link: br0
      vlan:
      network: None
      name: None
  Disk template: drbd
  Disks:
    - disk/0: drbd, size 10.0G
      access mode: rw
      nodeA: node1.example.com, minor=0
      on primary: /dev/nowhere0 (147:0) in sync, status ok
      on secondary: /dev/nowhere5 (147:5) in sync, status ok
      child devices:
        - child 0: plain, size 10.0G
          logical_id: xenvg/7ec8.disk0_data
          on primary: /dev/xenvg/7ec8.disk0_data (253:0)
    - disk/1: plain, size 1.0G
      access mode: rw
      logical_id: xenvg/7ec8.disk1
- Instance name: db.example.com
  Disks:
    - disk/0: file, size 1.0G
      on primary: /srv/ganeti/file-storage/db/disk0 (N/A:N/A)
";

    #[test]
    fn what_gnt_instance_says_becomes_settings() {
        let read = |instance| read(INFO.as_bytes(), instance, "x");
        let draft = read(Some("web")).unwrap();
        assert_eq!(
            settings(&draft),
            "HOSTNAME=web.example.com\nDISKS=( vda:1:/dev/nowhere0 )\nBRIDGES=( br0:aa:00:00:12:34:56 )\nMEMORY=1G\nCPUS=1\nDEVICES=( /dev/net/tun )\n"
        );
        assert!(leaves(&draft, "disk 1: it has no path on this node"), "{:#?}", draft.left());
        let other = settings(&read(Some("db.example.com")).unwrap());
        assert_eq!(other, "HOSTNAME=db.example.com\nDISKS=( vda:1:/srv/ganeti/file-storage/db/disk0 )\n");
        let several = read(None).unwrap_err();
        assert!(several.contains("web.example.com db.example.com"), "{several}");
        assert!(read(Some("web.example")).is_ok());
        assert!(read(Some("we")).is_err());
    }

    #[test]
    fn a_table_of_instances_becomes_settings() {
        let table = "Instance        Hypervisor Memory NIC_MACs                            NIC_links NIC_modes\n\
                 web.example.com kvm          512M aa:00:00:12:34:56,aa:00:00:12:34:57 br0,br1   bridged,bridged\n\
                 db.example.com  kvm             - aa:00:00:12:34:58                   br0       bridged\n";
        let draft = read(table.as_bytes(), Some("web"), "x").unwrap();
        assert_eq!(
            settings(&draft),
            "HOSTNAME=web.example.com\nBRIDGES=(\n    br0:aa:00:00:12:34:56\n    br1:aa:00:00:12:34:57\n)\nMEMORY=512M\n"
        );
        assert!(leaves(&draft, "a list does not name them"));
        assert_eq!(settings(&read(table.as_bytes(), Some("db"), "x").unwrap()).lines().count(), 2);
        let bars = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("|") + "\n";
        let with_bars: String = table.lines().map(bars).collect();
        assert_eq!(settings(&read(with_bars.as_bytes(), Some("web"), "x").unwrap()), settings(&draft));
        assert!(read(b"Instance Memory\nweb\n", None, "x").is_err());
        assert!(read(b"something else\n", None, "x").is_err());
    }
}
