//! `check`: is a configuration right, and is what it names there?

use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;
use subhost_config::{Diagnostic, Sources, overlay_boot, render_json};

use super::run::interrupted;
use super::{Context, need_root, start};
use crate::args::{self, Devices, Format};
use crate::config::{Evaluated, Loaded, distrust, path_of, rendered, request};
use crate::error::{Complaint, Context as _, Error};
use crate::fsck::{self, Checked, Outcome};
use crate::layout::{Name, NameError};
use crate::observe::{Observed, Purpose};
use crate::plan::Plan;
use crate::report;

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(serialize_with = "crate::json::path")]
    file: &'a Path,
    ok: bool,
    trusted: bool,
    diagnostics: serde_json::Value,
    complaints: Vec<ShownComplaint>,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    fsck: Option<&'a [Checked]>,
}

/// A reason for which a boot would be refused.
#[derive(Serialize)]
pub(super) struct ShownComplaint {
    message: String,
    hint: Option<String>,
}

impl From<Complaint> for ShownComplaint {
    fn from(complaint: Complaint) -> ShownComplaint {
        ShownComplaint { message: complaint.message, hint: complaint.hint }
    }
}

/// Checks a subhost by name, or a configuration by path. Changes nothing.
pub(super) fn check(context: &Context, args: &args::Check) -> Result<u8, Error> {
    let given = &args.name;
    if args.format == Format::OverlayBoot {
        return check_overlay_boot(context, given);
    }
    let none = Devices::default();
    let (loaded, name, starts) = load(context, given, &none, args.start)?;
    let mut complaints = Vec::new();
    let mut checked = None;
    if args.fsck {
        need_root("check --fsck")?;
    }
    if loaded.config.is_some() {
        let request = match starts {
            true => start::request(context, name, &loaded)?,
            false => request(&loaded, name, none, None)?,
        };
        let observed =
            Observed::of(&request, &context.layout, Purpose::Look).step("list the host's links")?;
        if let Err(found) = Plan::make(&request, &observed, &context.layout) {
            complaints = found;
        }
        if args.fsck {
            let disks = fsck::disks(&request, &observed);
            drop(observed);
            match fsck::check(disks, &context.layout)? {
                Outcome::Done(found, refused) => {
                    checked = Some(found);
                    complaints.extend(refused);
                }
                Outcome::Interrupted(signal) => return Ok(interrupted(signal)),
            }
        }
    }
    // Without a file it is the environment that is right.
    let what = if loaded.path.is_file() { &loaded.path } else { Path::new(given) };
    let distrust = loaded.distrust().map(|reason| format!("it will be refused: {reason}"));
    let diagnostics = (&*loaded.diagnostics, &loaded.sources);
    tell(context, &loaded.path, what, diagnostics, distrust, complaints, checked.as_deref())
}

/// Checks a file of overlay-boot: the file alone, since nothing here applies one.
fn check_overlay_boot(context: &Context, given: &OsStr) -> Result<u8, Error> {
    let path = match target(given)? {
        Target::File(path) => path.to_owned(),
        Target::Name(name) => path_of(&context.layout, context.config.as_deref(), &name),
    };
    let mut evaluated = Evaluated::overlay_boot(&path)?;
    evaluated.diagnostics.extend(overlay_boot::check(&evaluated.variables));
    let distrust = distrust(&evaluated.trust).map(|reason| format!("is not trusted: {reason}"));
    let sources = evaluated.variables.sources();
    tell(context, &path, &path, (&evaluated.diagnostics, sources), distrust, Vec::new(), None)
}

/// Says what was found, `what` being right if nothing was.
fn tell(
    context: &Context,
    file: &Path,
    what: &Path,
    (diagnostics, sources): (&[Diagnostic], &Sources),
    distrust: Option<String>,
    complaints: Vec<Complaint>,
    fsck: Option<&[Checked]>,
) -> Result<u8, Error> {
    let clean = fsck.unwrap_or_default().iter().all(|checked| checked.clean != Some(false));
    let right = complaints.is_empty() && !diagnostics.iter().any(Diagnostic::is_error);
    let status = match (right, clean) {
        (false, _) => 2,
        (true, false) => 1,
        (true, true) => 0,
    };
    if context.json {
        let shown = Shown {
            file,
            ok: right && clean,
            trusted: distrust.is_none(),
            diagnostics: json_of(diagnostics, sources)?,
            complaints: complaints.into_iter().map(ShownComplaint::from).collect(),
            fsck,
        };
        report::print_json(&shown)?;
        return Ok(status);
    }
    report::print(&rendered(diagnostics, sources, context.colour.out))?;
    if let Some(distrust) = distrust {
        report::note(context.quiet, &format!("{}: {distrust}", file.display()));
    }
    for checked in fsck.unwrap_or_default() {
        if !context.quiet || checked.clean == Some(false) {
            report::print(&checked.text())?;
        }
    }
    if !complaints.is_empty() {
        return Err(Error::Refused(complaints));
    }
    if status == 0 && !context.quiet {
        report::print(&format!("{}: ok\n", report::printable(&what.to_string_lossy())))?;
    }
    Ok(status)
}

/// Diagnostics as a part of a larger JSON value.
pub(super) fn json_of(diagnostics: &[Diagnostic], sources: &Sources) -> Result<serde_json::Value, Error> {
    serde_json::from_str(&render_json(diagnostics, sources)).step("write JSON")
}

/// What somebody named.
enum Target<'a> {
    File(&'a Path),
    Name(Name),
}

/// A word with a slash is a path, any other a name.
fn target(given: &OsStr) -> Result<Target<'_>, Error> {
    let text = given.to_string_lossy();
    if text.contains('/') {
        return Ok(Target::File(Path::new(given)));
    }
    Ok(Target::Name(parse_name(&text)?))
}

fn parse_name(text: &str) -> Result<Name, Error> {
    text.parse().map_err(|error: NameError| Error::refused(Complaint::new(error.to_string())))
}

/// The configuration of a subhost by name, or the one at a path; true if it is for `start`, as it was said or as there is no
/// other of that name.
pub(super) fn load(
    context: &Context,
    given: &OsStr,
    devices: &Devices,
    starts: bool,
) -> Result<(Loaded, Name, bool), Error> {
    let (layout, config) = (&context.layout, context.config.as_deref());
    match target(given)? {
        Target::File(path) => Ok((Loaded::read(path, context.how)?, parse_name("unnamed")?, false)),
        Target::Name(name) if starts || config.is_none() && layout.is_tree_alone(&name) => {
            Ok((Loaded::of_tree(layout, config, &name, context.how)?, name, true))
        }
        Target::Name(name) => Ok((Loaded::of(layout, config, &name, devices, context.how)?, name, false)),
    }
}
