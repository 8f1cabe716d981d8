//! `autostart`: boots with the host what is to be booted with it.

use std::process::Stdio;

use super::{Context, at_once, each_job, need_root};
use crate::args::{self, Devices};
use crate::config::Loaded;
use crate::error::{Context as _, Error};
use crate::order::{Job, break_circles, run};
use crate::origin::Origin;
use crate::report;

/// Boots all whose configuration says so, each after those that it names, and goes on after one that does not become ready.
pub(super) fn autostart(context: &Context, args: &args::Autostart) -> Result<u8, Error> {
    if !args.dry_run {
        need_root("autostart")?;
    }
    let mut jobs = Vec::new();
    let mut status = 0;
    for name in context.layout.configured().step("list the configurations")? {
        let loaded = Loaded::of(&context.layout, None, &name, &Devices::default(), context.how);
        match loaded.map(|loaded| (loaded.rendered(false), loaded.config)) {
            Ok((_, Some(config))) if config.autostart.value == Some(true) => jobs.push(Job {
                name,
                after: config.after.value.iter().filter_map(|name| name.parse().ok()).collect(),
                delay: config.start_delay.value.unwrap_or_default(),
            }),
            Ok((_, Some(_))) => {}
            // Whether it is to be booted is not known then, and it could not be.
            Ok((text, None)) => {
                report::error(&Error::Configuration(text));
                status = 1;
            }
            Err(error) => {
                report::error(&error);
                status = 1;
            }
        }
    }
    for job in &jobs {
        for other in job.after.iter().filter(|name| jobs.iter().all(|job| job.name != **name)) {
            let line =
                format!("{}: is not kept back for {other}, which does not start with the host", job.name);
            report::note(context.quiet, &line);
        }
    }
    for (one, other) in break_circles(&mut jobs) {
        let line = format!("warning: {one}: is not kept back for {other}, which waits for it itself");
        report::note(context.quiet, &line);
    }
    if args.dry_run {
        show(context, &jobs)?;
        return Ok(status);
    }
    let failed = each_job(context, &jobs, at_once(), |name| {
        let mut boot = Origin::of_name(&context.layout, name).command()?;
        let booted = boot.stdin(Stdio::null()).status().step(format!("boot {name}"))?;
        let ready = if booted.success() {
            Ok("ready".to_owned())
        } else {
            Err("it did not become ready, as told above")
        };
        ready.step(format!("boot {name}"))
    });
    Ok(status.max(failed))
}

/// The jobs in the order in which they are begun, one at a time.
fn show(context: &Context, jobs: &[Job]) -> Result<(), Error> {
    let at_once: Vec<Job> =
        jobs.iter().map(|job| Job { delay: std::time::Duration::ZERO, ..job.clone() }).collect();
    let rows = std::sync::Mutex::new(Vec::new());
    run(&at_once, 1, |job| {
        let delay = jobs.iter().find(|it| it.name == job.name).map_or(0.0, |job| job.delay.as_secs_f64());
        let after: Vec<&str> = job.after.iter().map(crate::layout::Name::as_str).collect();
        let after = if after.is_empty() { "-".to_owned() } else { after.join(" ") };
        if let Ok(mut rows) = rows.lock() {
            rows.push(vec![job.name.to_string(), after, format!("{delay} s")]);
        }
    });
    let rows = rows.into_inner().unwrap_or_default();
    report::print(&report::table(context.colour, &["NAME", "AFTER", "DELAY"], &rows))
}
