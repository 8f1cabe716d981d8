//! `dhcp`: the configurations of all subhosts, in the languages of servers that give addresses.

use std::collections::BTreeSet;
use std::path::Path;

use super::Context;
use crate::args::{self, Devices};
use crate::config::Loaded;
use crate::dhcp::{Card, Format, cards, conflicts, render};
use crate::error::{Complaint, Context as _, Error};
use crate::layout::Name;
use crate::names::expand;
use crate::report;

/// Prints the entries; nothing at all if they contradict each other, or one configuration is wrong.
pub(super) fn dhcp(context: &Context, args: &args::Dhcp) -> Result<u8, Error> {
    let format = match (args.format, context.json) {
        (_, true) => None,
        (Some(format), false) => Some(format),
        (None, false) => {
            let complaint = Complaint::new("dhcp: which server is it for?");
            return Err(Error::refused(
                complaint.hint("--format dnsmasq, isc, kea, ethers or hosts; or --json"),
            ));
        }
    };
    let layout = &context.layout;
    let all = || {
        let mut names: BTreeSet<Name> =
            layout.configured().step("list the configurations")?.into_iter().collect();
        names.extend(layout.trees().step("list the directories of subhosts")?);
        Ok::<Vec<Name>, Error>(names.into_iter().collect())
    };
    let names = if args.names.is_empty() { all()? } else { expand(&args.names, "subhost", all)? };
    let machine_id = crate::observe::machine_id();
    let (mut cards, mut complaints) = (Vec::new(), Vec::new());
    for name in &names {
        match cards_of(context, name, &machine_id) {
            Ok(found) => cards.extend(found),
            Err(error) => complaints.extend(error.into_complaints()),
        }
    }
    complaints.extend(conflicts(&mut cards));
    if !complaints.is_empty() {
        return Err(Error::Refused(complaints));
    }
    let Some(format) = format else {
        report::print_json_array(&cards)?;
        return Ok(0);
    };
    let (text, notes) = render(&cards, format);
    for note in notes {
        report::note(context.quiet, &note);
    }
    if cards.is_empty() && format != Format::Kea {
        report::note(context.quiet, "no subhost has a cable");
    }
    report::print(&text)?;
    Ok(0)
}

/// Of both its configurations, where it has two.
fn cards_of(context: &Context, name: &Name, machine_id: &[u8]) -> Result<Vec<Card>, Error> {
    let (layout, how) = (&context.layout, context.how);
    let mut found = Vec::new();
    if layout.config(name).is_file() || !layout.is_tree(name) {
        let loaded = Loaded::of(layout, None, name, &Devices::default(), how)?;
        found.extend(of_loaded(name, &layout.config(name), &loaded, machine_id)?);
    }
    if layout.is_tree(name) {
        let loaded = Loaded::of_tree(layout, None, name, how)?;
        found.extend(of_loaded(name, &layout.tree(name).join("config"), &loaded, machine_id)?);
    }
    Ok(found)
}

fn of_loaded(name: &Name, file: &Path, loaded: &Loaded, machine_id: &[u8]) -> Result<Vec<Card>, Error> {
    match &loaded.config {
        Some(config) => Ok(cards(name, file, config, machine_id)),
        None => {
            let complaint = Complaint::new(format!("configuration {} is wrong", file.display()));
            Err(Error::refused(complaint.hint(format!("subhostctl check {name} tells how"))))
        }
    }
}
