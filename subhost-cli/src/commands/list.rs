//! `list` and `status`: what there is, asked from the kernel.

use subhost_net::observe::Observed;

use super::shown::{ShownCable, look};
use super::{Context, need_root, unknown};
use crate::error::{Context as _, Error};
use crate::layout::Name;
use crate::report;
use crate::state::recorded;

/// Lists all subhosts that are configured or run.
pub(super) fn list(context: &Context) -> Result<u8, Error> {
    need_root("list")?;
    let mut names = context.layout.configured().step("list the configurations")?;
    names.extend(context.layout.trees().step("list the trees")?);
    names.extend(recorded(&context.layout).step("list the records")?);
    names.sort();
    names.dedup();
    let links = Observed::read().step("list the links")?;
    let shown: Vec<_> = names.iter().map(|name| look(context, name, &links)).collect();
    if context.json {
        report::print_json(&shown)?;
    } else {
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let rows: Vec<Vec<String>> = shown
            .iter()
            .map(|subhost| {
                vec![
                    subhost.name.clone(),
                    subhost.state.to_owned(),
                    text(subhost.init_pid.map(|pid| pid.to_string())),
                    text(join(subhost.cables.iter().map(|cable| plugged(cable, subhost.state)))),
                    text(join(
                        subhost.disks.iter().map(|disk| format!("{}={}", disk.node, disk.image.display())),
                    )),
                ]
            })
            .collect();
        report::print(&report::table(&["NAME", "STATE", "INIT", "CABLES", "DISKS"], &rows))?;
    }
    Ok(0)
}

/// Shows one subhost.
pub(super) fn status(context: &Context, name: &Name) -> Result<u8, Error> {
    need_root("status")?;
    let shown = look(context, name, &Observed::read().step("list the links")?);
    if shown.state == "stopped" && !context.layout.is_known(name) {
        return Err(unknown(name));
    }
    if context.json {
        report::print_json(&shown)?;
        return Ok(0);
    }
    let mut rows = vec![vec!["name".into(), shown.name], vec!["state".into(), shown.state.into()]];
    let mut row = |key: &str, value: String| rows.push(vec![key.to_owned(), value]);
    if let Some(pid) = shown.init_pid {
        row("init", format!("{pid} {}", shown.init_program.unwrap_or_default()));
    }
    row("supervisor", shown.supervisor_pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string()));
    if let Some(inode) = shown.netns_inode {
        row("netns", format!("{} (inode {inode})", shown.netns.unwrap_or_else(|| "not pinned".to_owned())));
    }
    for cable in &shown.cables {
        let bridge = cable.made.bridge.as_deref().unwrap_or("no bridge");
        let mut text = format!("{} {} on {bridge}", cable.made.mac, cable.made.host);
        if let Some(difference) = cable.difference() {
            text += &format!(": {difference}");
        }
        row(&cable.made.guest, text);
    }
    for disk in &shown.disks {
        let by = disk.loop_number.map_or("itself".to_owned(), |number| format!("by /dev/loop{number}"));
        row(&disk.node, format!("{} partition {} {by}", disk.image.display(), disk.partition));
    }
    if let Some(isolation) = shown.isolation {
        let last = u64::from(isolation.first_id) + u64::from(isolation.id_count) - 1;
        row("ids", format!("{}-{last}", isolation.first_id));
        for open in isolation.settings.open() {
            row("open", open);
        }
        if !isolation.device_filter {
            row("open", "there is no filter of devices".to_owned());
        }
    }
    if let Some(cgroup) = shown.cgroup {
        for directory in &cgroup.directories {
            row("cgroup", directory.path.display().to_string());
        }
        for limit in cgroup.limits {
            row("limit", limit);
        }
        for unenforced in cgroup.not_enforced {
            row("note", unenforced);
        }
    }
    report::print(&report::table(&["WHAT", "VALUE"], &rows))?;
    Ok(0)
}

/// `HOST_END=BRIDGE`, and in what that is not so of one that runs.
fn plugged(cable: &ShownCable, state: &str) -> String {
    let plugged = format!("{}={}", cable.made.host, cable.made.bridge.as_deref().unwrap_or(""));
    match cable.difference().filter(|_| ["running", "paused"].contains(&state)) {
        Some(difference) => format!("{plugged} ({difference})"),
        None => plugged,
    }
}

fn join(words: impl Iterator<Item = String>) -> Option<String> {
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(" "))
}
