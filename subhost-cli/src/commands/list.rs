//! `list` and `status`: what there is, asked from the kernel.

use subhost_net::observe::Observed;

use super::shown::{Shown, ShownCable, look};
use super::{Context, need_root, unknown};
use crate::control;
use crate::error::{Context as _, Error};
use crate::events::{self, Event};
use crate::layout::Name;
use crate::linger::Role;
use crate::names::{Names, expand};
use crate::report;
use crate::state::recorded;

/// Lists all subhosts that are configured or run.
pub(super) fn list(context: &Context, given: &[Names]) -> Result<u8, Error> {
    need_root("list")?;
    let names = if given.is_empty() { all(context)? } else { expand(given, "subhost", || all(context))? };
    let shown = look_at(context, &names, given)?;
    if context.json {
        report::print_json_array(&shown)?;
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
        report::print(&report::table(context.colour, &["NAME", "STATE", "INIT", "CABLES", "DISKS"], &rows))?;
    }
    Ok(0)
}

/// Shows one subhost, or several.
pub(super) fn status(context: &Context, given: &[Names]) -> Result<u8, Error> {
    need_root("status")?;
    let mut shown = look_at(context, &expand(given, "subhost", || all(context))?, given)?;
    tell_ends(context, &mut shown);
    match (context.json, given) {
        // How much it is shows in what was asked for, and not in what is there.
        (true, [Names::One(_)]) => shown.iter().try_for_each(report::print_json)?,
        (true, _) => report::print_json_array(&shown)?,
        (false, _) => {
            let tables: Vec<String> = shown.drain(..).map(|shown| status_table(context, shown)).collect();
            report::print(&tables.join("\n"))?;
        }
    }
    Ok(0)
}

/// The names of all that are configured or run.
fn all(context: &Context) -> Result<Vec<Name>, Error> {
    let mut names = context.layout.configured().step("list the configurations")?;
    names.extend(context.layout.trees().step("list the trees")?);
    names.extend(recorded(&context.layout).step("list the records")?);
    names.sort();
    names.dedup();
    // Those that wait to be booted again; whose name is known already need not be asked.
    let mut others = control::names(&context.layout);
    others.retain(|name| names.binary_search(name).is_err() && control::waits(&context.layout, name));
    names.extend(others);
    names.sort();
    Ok(names)
}

/// Looks at each, and once at the links for all of them. One that nobody has named may have gone meanwhile.
fn look_at(context: &Context, names: &[Name], given: &[Names]) -> Result<Vec<Shown>, Error> {
    let links = Observed::read().step("list the links")?;
    let known = |name: &Name| {
        let shown = look(context, name, &links);
        let is_known = shown.state != "stopped" || context.layout.is_known(name);
        let is_named = || given.iter().any(|given| matches!(given, Names::One(it) if it == name));
        match is_known {
            true => Some(Ok(shown)),
            false => is_named().then(|| Err(unknown(name))),
        }
    };
    names.iter().filter_map(known).collect()
}

fn status_table(context: &Context, shown: Shown) -> String {
    let name = shown.name.clone();
    let mut rows = vec![vec!["name".into(), shown.name], vec!["state".into(), shown.state.into()]];
    let mut row = |key: &str, value: String| rows.push(vec![key.to_owned(), value]);
    if let Some(pid) = shown.init_pid {
        row("init", format!("{pid} {}", shown.init_program.unwrap_or_default()));
    }
    row("supervisor", shown.supervisor_pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string()));
    if shown.supervision == Some("unsupervised") {
        row("note", format!("unsupervised: subhostctl recover {name} gives it a supervisor"));
    }
    if shown.console == Some(false) {
        row("note", "console and log are lost until the next boot".to_owned());
    }
    if let Some(event) = shown.last_end {
        row("last end", format!("{}, {}", event.text, event.time));
        #[cfg(feature = "accounting")]
        if let Some(used) = &event.usage {
            row("used", crate::accounting::ended::in_words(used));
        }
    }
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
    for mount in shown.mounts.iter().filter(|mount| mount.role != Role::Screen) {
        row("mount", mount.place.display().to_string());
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
    report::table(context.colour, &["WHAT", "VALUE"], &rows)
}

/// Tells of each that does not run how it has ended.
pub(super) fn tell_ends(context: &Context, shown: &mut [Shown]) {
    let events = events::read(&context.layout).unwrap_or_default();
    for shown in shown.iter_mut().filter(|shown| !shown.runs()) {
        shown.last_end = last_end(&events, &shown.name);
    }
}

/// How the last run of one has ended.
fn last_end(events: &[Event], name: &str) -> Option<Event> {
    let is_end = |event: &&Event| event.name == name && ["ended", "failed"].contains(&event.event.as_str());
    events.iter().rfind(is_end).cloned()
}

/// `HOST_END=BRIDGE`, and in what that is not so of one that runs.
fn plugged(cable: &ShownCable, state: &str) -> String {
    let plugged = format!("{}={}", cable.made.host, cable.made.bridge.as_deref().unwrap_or(""));
    // Those of one that has ended are gone, and nobody wonders.
    match cable.difference().filter(|_| state != "ended") {
        Some(difference) => format!("{plugged} ({difference})"),
        None => plugged,
    }
}

fn join(words: impl Iterator<Item = String>) -> Option<String> {
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(" "))
}
