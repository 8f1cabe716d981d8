//! What `gnt-instance info` and `gnt-instance list` say.

use std::collections::BTreeMap;

use super::super::Refused;
use super::Facts;

/// What `--separator` is mostly set to.
pub(super) const SEPARATORS: [char; 3] = ['|', ';', ','];

/// Paragraphs that are indented as their parts are nested.
pub(super) fn info(text: &str, instance: Option<&str>) -> Result<Facts, Refused> {
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
                "Operating system parameters" => {
                    facts.insert(format!("OSP_{}", name.to_ascii_uppercase()), value.to_owned());
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
pub(super) fn list(text: &str, instance: Option<&str>) -> Result<Facts, Refused> {
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
