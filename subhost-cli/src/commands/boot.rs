//! `boot`: the main job.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use subhost_init::process::close_on_exec_from;

use super::{Context, need_root};
use crate::adopt::{self, Adoption};
use crate::args;
use crate::boot::{Booted, How, Kept, Manner, Streams, boot as apply};
use crate::claim::complete;
use crate::config::{Loaded, demand_trust, request};
use crate::error::{Context as _, Error};
use crate::events::Event;
use crate::handover::{self, Again, Charge, Restart, Task};
use crate::lock::await_name;
use crate::observe::{State, state_of};
use crate::origin::Origin;
use crate::report;
use crate::request::Request;
use crate::supervise::Signals;
use crate::supervisor::{LATE, READY, wait_again};

/// The option that makes it the supervisor in the background.
const BACKGROUND: &str = "--background";

/// Boots a subhost, and supervises it until it ends.
pub(super) fn boot(context: &Context, args: args::Boot) -> Result<u8, Error> {
    need_root(&format!("boot {}", args.name))?;
    if args.again {
        return again(context, args);
    }
    if args.detach && !args.background {
        if let Ok(State::Running(record)) = state_of(&context.layout, &args.name) {
            complete(&context.layout, &args.name, &record)?;
            if adopt::is_wanted(&record) && adopt::start(&context.layout, &args.name)? == Adoption::Refused {
                return Ok(1);
            }
            report::note(
                context.quiet,
                &format!("{}: is running already, with init {}", args.name, record.init.pid),
            );
            return Ok(0);
        }
        return detach(context, &args);
    }
    let mut words = own_words();
    words.retain(|word| word != BACKGROUND);
    let origin = Origin::of_this(&words)?;
    let background = args.background;
    let request = load(context, args)?;
    // Blocked, they wait for the supervisor.
    drop(Signals::block()?);
    if background {
        // Away from the terminal of whoever started us.
        rustix::process::setsid().step("start a session")?;
        rustix::process::chdir("/").step("leave the caller's directory")?;
    }
    let manner = Manner { quiet: context.quiet, background, announce: background, failures: 0 };
    Err(supervise(context, apply(&request, &context.layout, how(context, origin), None)?, manner))
}

/// Boots again what its supervisor has had in charge before.
fn again(context: &Context, args: args::Boot) -> Result<u8, Error> {
    let name = args.name.clone();
    let (again, fds) = handover::receive::<Again>().step("take over the subhost")?;
    let manner = Manner {
        quiet: context.quiet,
        background: again.background,
        announce: again.announce,
        failures: again.failures,
    };
    let booted = (|| {
        let kept = Kept::from_supervisor(&again, fds)?;
        let request = load(context, args)?;
        if again.background {
            rustix::process::chdir("/").step("leave the caller's directory")?;
        }
        apply(&request, &context.layout, how(context, again.origin.clone()), Some(kept))
    })();
    let error = match booted {
        Ok(booted) => supervise(context, booted, manner),
        Err(error) => error,
    };
    Event::now(&name, "failed", error.to_string()).note(&context.layout);
    if again.policy.restart == Restart::No {
        return Err(error);
    }
    report::error(&error);
    let lock = await_name(&context.layout, &name).step(format!("lock the name {name}"))?;
    let charge = Charge {
        name: name.to_string(),
        root_dir: context.layout.root_dir.clone().into(),
        quiet: manner.quiet,
        background: manner.background,
        announce: manner.announce,
        origin: again.origin,
        policy: again.policy,
        failures: manner.failures,
        has_control: false,
        task: Task::Wait { delay_ms: 0 },
    };
    Err(wait_again(charge, &lock, &context.layout, &name))
}

fn how(context: &Context, origin: Origin) -> How {
    How { command: "boot", origin: Some(origin), streams: Streams::Terminal, verbose: context.verbose }
}

/// What the configuration asks for, if it can be trusted.
fn load(context: &Context, args: args::Boot) -> Result<Request, Error> {
    let config = context.config.as_deref();
    #[cfg(feature = "import")]
    let loaded = match args.ganeti {
        true => super::import::of_ganeti(context, &args.name)?,
        false => Loaded::of(&context.layout, config, &args.name, &args.devices, context.how)?,
    };
    #[cfg(not(feature = "import"))]
    let loaded = Loaded::of(&context.layout, config, &args.name, &args.devices, context.how)?;
    let request = request(&loaded, args.name, args.devices, args.init)?;
    demand_trust(&loaded)?;
    if !loaded.diagnostics.is_empty() && !context.quiet {
        report::say(&loaded.rendered(false));
    }
    Ok(request)
}

/// Says what there is to say of a boot, and goes on as its supervisor; comes back only with an error.
fn supervise(context: &Context, booted: Booted, manner: Manner) -> Error {
    for note in &booted.notes {
        report::note(context.quiet, note);
    }
    let record = &booted.record;
    let init = &record.init_program;
    if init != "subhost-init" {
        report::note(context.quiet, &format!("{}: PID 1 is the guest's {init}", record.name));
    }
    booted.supervise(manner)
}

/// The words behind the program's name.
fn own_words() -> Vec<OsString> {
    super::command_line(std::env::args_os().collect()).split_off(1)
}

/// Starts ourselves in the background, and waits until the subhost is ready or has ended.
fn detach(context: &Context, args: &args::Boot) -> Result<u8, Error> {
    let mut words = own_words();
    let end_of_options = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.insert(end_of_options, BACKGROUND.into());
    let mut command = Command::new(std::env::current_exe().step("find the running program")?);
    command.args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // Whatever else we were given, a lock or a pipe, is not to be held as long as the subhost runs.
    close_on_exec_from(3).step("keep the caller's files from the supervisor")?;
    let mut supervisor = command.spawn().step("start the supervisor")?;
    let answer = adopt::answer_of(&mut supervisor);
    match &answer {
        Ok(Some(answer)) if answer == READY => return Ok(0),
        Ok(Some(answer)) if answer == LATE => return Ok(1),
        _ => {}
    }
    // It said on our standard error why.
    let status = supervisor.wait().step("wait for the supervisor")?;
    // What is committed runs, whatever becomes of who has booted it.
    if let Ok(State::Running(record)) = state_of(&context.layout, &args.name)
        && adopt::is_wanted(&record)
    {
        report::note(
            context.quiet,
            &format!("{}: its supervisor has failed, and gets a successor", args.name),
        );
        return Ok(u8::from(adopt::start(&context.layout, &args.name)? == Adoption::Refused));
    }
    answer.step("read the answer of the supervisor")?;
    match status.code() {
        Some(0) => Err("it ended before it was ready").step(format!("boot {}", args.name)),
        Some(code) => Ok(u8::try_from(code).unwrap_or(1)),
        None => Err("its supervisor was killed").step(format!("boot {}", args.name)),
    }
}
