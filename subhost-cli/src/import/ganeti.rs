//! An instance of Ganeti: the environment that it gives to an OS's scripts, what `gnt-instance info` says, or a table
//! of `gnt-instance list`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::draft::{Draft, size_text};
use super::{Refused, disk, read_bounded, text};
use crate::error::{Context, Error};

/// An instance, as any of the three has it: names and values, those of disks and cables numbered as in the environment.
type Facts = BTreeMap<String, String>;

/// Disks or cables of one instance.
const MAX_COUNT: usize = 64;

/// What `--separator` is mostly set to.
const SEPARATORS: [char; 3] = ['|', ';', ','];

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

/// Paragraphs that are indented as their parts are nested.
fn info(text: &str, instance: Option<&str>) -> Result<Facts, Refused> {
    let (mut found, mut facts) = (Vec::new(), Facts::new());
    // The part of an instance, and the disk or cable in it: where it is indented to, and its name.
    let (mut part, mut item) = (String::new(), None::<(usize, String)>);
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut base = 0;
    for line in text.lines() {
        let dash = line.trim_start().starts_with("- ");
        let body = line.trim_start().trim_start_matches("- ");
        let indent = line.len() - body.len();
        let Some((name, value)) = body.split_once(':') else { continue };
        // What is not its own is shown with where it comes from.
        let value = value.trim();
        let value = value.strip_prefix("default (").and_then(|rest| rest.strip_suffix(')')).unwrap_or(value);
        if name == "Instance name" {
            found.push(std::mem::take(&mut facts));
            facts.insert("INSTANCE_NAME".to_owned(), value.to_owned());
            (base, part, item, counts) = (indent, String::new(), None, BTreeMap::new());
        } else if indent == base {
            (part, item) = (name.to_owned(), None);
            match name {
                "Hypervisor" => drop(facts.insert("HYPERVISOR".to_owned(), value.to_owned())),
                "Disk template" => drop(facts.insert("INSTANCE_DISK_TEMPLATE".to_owned(), value.to_owned())),
                _ => {}
            }
        } else {
            let kind = match part.as_str() {
                "NICs" => "NIC",
                "Disks" => "DISK",
                "Back-end parameters" => {
                    facts.insert(format!("INSTANCE_BE_{name}"), value.to_owned());
                    continue;
                }
                "Hypervisor parameters" => {
                    facts.insert(format!("INSTANCE_HV_{name}"), value.to_owned());
                    continue;
                }
                _ => continue,
            };
            let begins = dash && item.as_ref().is_none_or(|(at, _)| indent <= *at);
            if begins {
                let count = counts.entry(kind).or_default();
                item = Some((indent, format!("{kind}_{count}_")));
                *count += 1;
                facts.insert(format!("{kind}_COUNT"), count.to_string());
                continue;
            }
            let Some((_, prefix)) = item.as_ref().filter(|(at, _)| indent == *at) else { continue };
            let named = match name {
                "MAC" => "MAC",
                "IP" => "IP",
                "mode" => "MODE",
                "link" => "LINK",
                "vlan" => "VLAN",
                "access mode" => "ACCESS",
                "on primary" => "PATH",
                "logical_id" => "LOGICAL_ID",
                _ => continue,
            };
            let value = match named {
                // Behind it stand numbers, and how it is.
                "PATH" => value.rsplit_once(" (").map_or(value, |(path, _)| path),
                _ if value == "None" || value == "-" => continue,
                _ => value,
            };
            facts.insert(format!("{prefix}{named}"), value.to_owned());
        }
    }
    found.push(facts);
    found.retain(|facts| !facts.is_empty());
    pick(found, instance)
}

/// Columns under headings, as they stand or with `--separator`.
fn list(text: &str, instance: Option<&str>) -> Result<Facts, Refused> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let heading = lines.next().unwrap_or_default();
    let separator = SEPARATORS.into_iter().find(|separator| heading.contains(*separator));
    let cells = |line: &str| -> Vec<String> {
        match separator {
            Some(separator) => line.split(separator).map(|cell| cell.trim().to_owned()).collect(),
            None => line.split_whitespace().map(str::to_owned).collect(),
        }
    };
    let headings = cells(heading);
    let mut found = Vec::new();
    for line in lines {
        let cells = cells(line);
        if cells.len() != headings.len() {
            return Err(format!("has {} cells under {} headings: {line}", cells.len(), headings.len()));
        }
        let mut facts = Facts::new();
        for (heading, cell) in headings.iter().zip(&cells) {
            let each = match heading.as_str() {
                "Instance" => {
                    facts.insert("INSTANCE_NAME".to_owned(), cell.clone());
                    continue;
                }
                "Hypervisor" => {
                    facts.insert("HYPERVISOR".to_owned(), cell.clone());
                    continue;
                }
                // Of one that is down there is a dash.
                "Memory" | "ConfigMaxMem" | "MaxMem" => {
                    facts.insert("INSTANCE_BE_maxmem".to_owned(), cell.trim_end_matches('?').to_owned());
                    continue;
                }
                "ConfigVCPUs" | "VCPUs" => {
                    facts.insert("INSTANCE_BE_vcpus".to_owned(), cell.clone());
                    continue;
                }
                "NIC_MACs" => "MAC",
                "NIC_IPs" => "IP",
                "NIC_modes" => "MODE",
                "NIC_links" => "LINK",
                "NIC_bridges" => "BRIDGE",
                _ => continue,
            };
            let values: Vec<&str> = match separator {
                Some(',') => vec![cell],
                _ => cell.split(',').collect(),
            };
            facts.insert("NIC_COUNT".to_owned(), values.len().to_string());
            for (at, value) in
                values.iter().enumerate().filter(|(_, value)| !["-", "None", ""].contains(*value))
            {
                facts.insert(format!("NIC_{at}_{each}"), (*value).to_owned());
            }
        }
        found.push(facts);
    }
    let mut facts = pick(found, instance)?;
    facts.insert("FROM_LIST".to_owned(), String::new());
    Ok(facts)
}

fn pick(mut found: Vec<Facts>, instance: Option<&str>) -> Result<Facts, Refused> {
    let name_of = |facts: &Facts| facts.get("INSTANCE_NAME").cloned().unwrap_or_default();
    if let Some(wanted) = instance {
        // Ganeti itself takes a name without its domain.
        let is_it = |facts: &Facts| {
            let name = name_of(facts);
            name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
        };
        let at = found.iter().position(is_it).ok_or_else(|| format!("has no instance {wanted}"))?;
        return Ok(found.swap_remove(at));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err("has no instance".to_owned()),
        _ => {
            let names: Vec<String> = found.iter().take(20).map(name_of).collect();
            Err(format!("has several instances, choose one with --instance: {}", names.join(" ")))
        }
    }
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
    if let Some(kernel) = get("INSTANCE_HV_kernel_path").or(get("INSTANCE_HV_initrd_path")) {
        draft.leave(kernel, "the kernel is the host's");
    }
    let parameters: Vec<&str> = facts
        .keys()
        .filter_map(|name| name.strip_prefix("INSTANCE_HV_").or(name.starts_with("OSP_").then_some(name)))
        .filter(|name| !["kernel_args", "kernel_path", "initrd_path"].contains(name))
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
