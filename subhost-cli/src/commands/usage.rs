//! `usage`: what the host, its subhosts and its virtual machines use.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use subhost_init::cgroup::Hierarchies;

use super::{Context, need_root};
use crate::accounting::adopt;
use crate::accounting::args::{self, Format};
use crate::accounting::look::{look, look_back};
use crate::accounting::sample::Sample;
use crate::accounting::shown;
use crate::error::{Complaint, Context as _, Error};
use crate::report;

/// Shows it, once or again and again.
pub(super) fn usage(context: &Context, args: &args::Usage) -> Result<u8, Error> {
    need_root("usage")?;
    if args.adopt {
        return adopt(context, args.dry_run);
    }
    let format = match (args.format, context.json) {
        (None | Some(Format::Json), true) => Format::Json,
        (Some(_), true) => {
            return Err(Error::refused(Complaint::new("--json and another --format exclude each other")));
        }
        (format, false) => format.unwrap_or(Format::Table),
    };
    if args.ended {
        if format == Format::Prometheus {
            let complaint = Complaint::new("usage: what has ended is not a metric");
            return Err(Error::refused(complaint.hint("leave out --ended or --format prometheus")));
        }
        let sample = look_back(&context.layout, args.since).step("read the events")?;
        show(context, format, &sample, false, true)?;
        return Ok(0);
    }
    let every = args.watch.map(Duration::from_secs);
    let mut before: Option<Sample> = None;
    let mut next = Instant::now();
    loop {
        let mut sample = look(&context.layout, args.since);
        sample.find_shares(before.as_ref());
        show(context, format, &sample, every.is_some(), before.is_none())?;
        before = Some(sample);
        let Some(every) = every else { return Ok(0) };
        // What was missed, as while we stood still, is not made up for.
        next = (next + every).max(Instant::now());
        if !wait_until(next).step("wait for the next sample")? {
            return Ok(0);
        }
    }
}

fn show(context: &Context, format: Format, sample: &Sample, again: bool, first: bool) -> Result<(), Error> {
    match format {
        Format::Json if again => report::print_json_line(sample),
        Format::Json => report::print_json(sample),
        Format::Tsv if first => report::print(&(shown::tsv_header() + &shown::tsv(sample))),
        Format::Tsv => report::print(&shown::tsv(sample)),
        Format::Prometheus => report::print(&shown::prometheus(sample)),
        Format::Table => {
            let head = report::printable(&format!("{}, {}", sample.host, sample.time));
            let table = shown::table_of(context.colour, &sample.rows);
            report::print(&format!("{}{head}\n{table}", if first { "" } else { "\n" }))
        }
    }
}

/// False when nobody reads our standard output any more.
fn wait_until(deadline: Instant) -> io::Result<bool> {
    let stdout = io::stdout();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return Ok(true),
            Ok(_) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Gives virtual machines cgroups of their own, and has those of subhosts count all that they can.
fn adopt(context: &Context, dry_run: bool) -> Result<u8, Error> {
    let hierarchies = Hierarchies::observe().step("look at cgroups")?;
    if hierarchies.unified.is_none() && hierarchies.legacy.is_empty() {
        return Err(Error::refused(
            Complaint::new("usage: there are no cgroups")
                .hint("mount -t cgroup2 cgroup2 /sys/fs/cgroup brings them"),
        ));
    }
    let mut status = 0;
    let mut failed = |error: std::io::Error, step: String| {
        let failed: Result<(), Error> = Err(error).step(step);
        failed.err().iter().for_each(report::error);
        status = 1;
    };
    if let Some((parent, off)) = adopt::uncounted(&hierarchies) {
        let (place, what) = (parent.display(), off.join(" and "));
        if dry_run {
            report::print(&format!("subhosts: {what} would be counted in {place}\n"))?;
        } else {
            match adopt::count_below(&parent) {
                Ok(()) => report::note(context.quiet, &format!("subhosts: {what} is counted in {place}")),
                Err(error) => failed(error, format!("count {what} in {place}")),
            }
        }
    }
    for adoption in adopt::plan(&hierarchies) {
        let (name, pid) = (&adoption.vm.name, adoption.vm.pid);
        let into: Vec<String> = adoption.into.iter().map(|path| path.display().to_string()).collect();
        if into.is_empty() {
            report::note(context.quiet || dry_run, &format!("{name}: process {pid} is alone in its cgroup"));
            continue;
        }
        if dry_run {
            let line = format!("{name}: process {pid} would be put into {}", into.join(" "));
            report::print(&format!("{}\n", report::printable(&line)))?;
            continue;
        }
        match adopt::apply(&adoption, &hierarchies) {
            Ok(()) => report::note(context.quiet, &format!("{name}: process {pid} is in {}", into.join(" "))),
            Err((path, error)) => {
                failed(error, format!("put {name}, process {pid}, into {}", path.display()));
            }
        }
    }
    if !dry_run {
        adopt::sweep(&hierarchies);
    }
    Ok(status)
}
