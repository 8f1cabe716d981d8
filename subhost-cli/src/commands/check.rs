//! `check`: is a configuration right, and is what it names there?

use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;

use super::Context;
use crate::args::Devices;
use crate::config::{Loaded, request};
use crate::error::{Complaint, Context as _, Error};
use crate::layout::Name;
use crate::observe::{Observed, Purpose};
use crate::plan::Plan;
use crate::report;

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(serialize_with = "crate::json::path")]
    file: &'a Path,
    ok: bool,
    trusted: bool,
    diagnostics: Vec<ShownDiagnostic>,
    complaints: Vec<ShownComplaint>,
}

#[derive(Serialize)]
struct ShownDiagnostic {
    severity: &'static str,
    code: String,
    message: String,
    line: Option<usize>,
    column: Option<usize>,
    hint: Option<String>,
}

#[derive(Serialize)]
struct ShownComplaint {
    message: String,
    hint: Option<String>,
}

/// Checks a subhost by name, or a configuration by path. Changes nothing.
pub(super) fn check(context: &Context, given: &OsStr) -> Result<u8, Error> {
    let none = Devices { disks: Vec::new(), cables: Vec::new() };
    let (loaded, name) = load(context, given, &none)?;
    let path = &loaded.path;
    let mut complaints = Vec::new();
    if loaded.config.is_some() {
        let request = request(&loaded, name, none, None)?;
        let observed =
            Observed::of(&request, &context.layout, Purpose::Look).step("list the host's links")?;
        if let Err(found) = Plan::make(&request, &observed, &context.layout) {
            complaints = found;
        }
    }
    let ok = loaded.config.is_some() && complaints.is_empty();
    if context.json {
        let diagnostics = loaded.diagnostics.iter().map(|diagnostic| {
            let place = diagnostic.span.map(|span| loaded.source.location(span.start()));
            let (line, column) =
                (place.as_ref().map(|place| place.line), place.as_ref().map(|place| place.column));
            ShownDiagnostic {
                severity: if diagnostic.is_error() { "error" } else { "warning" },
                code: diagnostic.code.to_owned(),
                message: diagnostic.message.clone(),
                line,
                column,
                hint: diagnostic.hint.clone(),
            }
        });
        let shown = Shown {
            file: path,
            ok,
            trusted: loaded.distrust().is_none(),
            diagnostics: diagnostics.collect(),
            complaints: complaints
                .into_iter()
                .map(|complaint| ShownComplaint { message: complaint.message, hint: complaint.hint })
                .collect(),
        };
        report::print_json(&shown)?;
        return Ok(if ok { 0 } else { 2 });
    }
    report::print(&loaded.rendered(report::on_terminal()))?;
    if let Some(reason) = loaded.distrust() {
        report::note(context.quiet, &format!("{}: boot will refuse it: {reason}", path.display()));
    }
    if !complaints.is_empty() {
        return Err(Error::Refused(complaints));
    }
    if ok && !context.quiet {
        // Without a file it is the environment that is right.
        let what = if path.is_file() { path.display() } else { Path::new(given).display() };
        report::print(&format!("{what}: ok\n"))?;
    }
    Ok(if ok { 0 } else { 2 })
}

/// A word with a slash is a path, any other a name.
fn load(context: &Context, given: &OsStr, devices: &Devices) -> Result<(Loaded, Name), Error> {
    let text = given.to_string_lossy();
    if text.contains('/') {
        let name = "unnamed"
            .parse()
            .map_err(|error: crate::layout::NameError| Error::refused(Complaint::new(error.to_string())))?;
        return Ok((Loaded::read(Path::new(given))?, name));
    }
    let name: Name = text
        .parse()
        .map_err(|error: crate::layout::NameError| Error::refused(Complaint::new(error.to_string())))?;
    Ok((Loaded::of(&context.layout, context.config.as_deref(), &name, devices)?, name))
}
