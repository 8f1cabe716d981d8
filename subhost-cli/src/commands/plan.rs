//! `plan`: what boot or start would do.

use serde::Serialize;

use super::{Context, start};
use crate::args;
use crate::config::{Loaded, request};
use crate::error::{Context as _, Error};
use crate::observe::{Observed, Purpose};
use crate::plan::Plan;
use crate::report;

/// The plan with the commands that do the same.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    commands: Vec<String>,
}

pub(super) fn shown(plan: &Plan) -> Shown<'_> {
    Shown { plan, commands: plan.commands() }
}

/// Shows the plan of a boot or a start. Changes nothing, and needs no privileges where the files are readable.
pub(super) fn plan(context: &Context, args: args::Plan) -> Result<u8, Error> {
    let (layout, given) = (&context.layout, context.config.as_deref());
    let starts = args.start || given.is_none() && layout.is_tree_alone(&args.name);
    let (loaded, request) = if starts {
        let loaded = Loaded::of_tree(layout, given, &args.name, context.how)?;
        let request = start::request(context, args.name, &loaded)?;
        (loaded, request)
    } else {
        let loaded = Loaded::of(layout, given, &args.name, &args.devices, context.how)?;
        let request = request(&loaded, args.name, args.devices, args.init)?;
        (loaded, request)
    };
    let observed = Observed::of(&request, &context.layout, Purpose::Look).step("list the host's links")?;
    let plan = Plan::make(&request, &observed, &context.layout).map_err(Error::Refused)?;
    if context.json {
        report::print_json(&shown(&plan))?;
    } else {
        // A path may hold what a terminal acts on.
        for command in plan.commands() {
            report::print(&format!("{}\n", report::printable(&command)))?;
        }
        for note in plan.notes.iter().chain(&plan.cgroup.not_enforced) {
            report::note(context.quiet, note);
        }
    }
    if let Some(reason) = loaded.distrust() {
        report::note(context.quiet, &format!("{}: it will be refused: {reason}", loaded.path.display()));
    }
    Ok(0)
}
