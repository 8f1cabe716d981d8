//! `events`: what happened to subhosts.

use super::{Context, need_root};
use crate::args;
use crate::console_log::open_directory;
use crate::error::{Context as _, Error};
use crate::events::{Event, FILE, parse, read_newer, read_older};
use crate::follow::Follower;
use crate::report;

/// Shows events, of some subhosts or of all.
pub(super) fn events(context: &Context, args: &args::Events) -> Result<u8, Error> {
    need_root("events")?;
    let layout = &context.layout;
    let step = || "read the events".to_owned();
    let mut follower = None;
    let mut text = read_older(layout).step(step())?;
    if args.follow {
        open_directory(layout).step(step())?;
        let file = follower.insert(Follower::new(&layout.log_dir, FILE).step(step())?);
        text.extend(file.read().step(step())?);
    } else {
        text.extend(read_newer(layout).step(step())?);
    }
    loop {
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            if let Some(event) = parse(&line) {
                show(context, args, &event)?;
            }
        }
        let Some(file) = &mut follower else { return Ok(0) };
        if !file.wait().step(step())? {
            return Ok(0);
        }
        text.extend(file.read().step(step())?);
    }
}

fn show(context: &Context, args: &args::Events, event: &Event) -> Result<(), Error> {
    if !args.names.is_empty() && !args.names.iter().any(|name| name.as_str() == event.name) {
        return Ok(());
    }
    if context.json {
        return report::print_json_line(event);
    }
    let Event { time, name, event, text, .. } = event;
    report::print(&format!("{}\n", report::printable(&format!("{time}  {name}  {event}: {text}"))))
}
