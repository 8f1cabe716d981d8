//! `config`: what a configuration says, as settings or as variables.

use std::path::Path;

use serde::Serialize;
use subhost_config::schema::{Entry, Origin, Written};
use subhost_config::{Diagnostic, Sources, SubhostConfig, Value, Variable};

use super::Context;
use super::check::{json_of, load};
use crate::args::{self, Format};
use crate::config::{Evaluated, Loaded, Reach, distrust, rendered, under_command_line};
use crate::error::{Complaint, Error};
use crate::report;

#[derive(Serialize)]
pub(super) struct ShownConfig<'a> {
    #[serde(serialize_with = "crate::json::path")]
    file: &'a Path,
    ok: bool,
    trusted: bool,
    settings: Vec<ShownSetting>,
    diagnostics: serde_json::Value,
}

#[derive(Serialize)]
struct ShownSetting {
    name: &'static str,
    /// A text, a list of texts, or null where nothing is set. Bytes that are no UTF-8 are replaced.
    value: serde_json::Value,
    /// The assignment that gives exactly this value.
    bash: Option<String>,
    from: ShownOrigin,
    summary: &'static str,
}

#[derive(Serialize)]
struct ShownOrigin {
    origin: &'static str,
    /// The environment variable or the flag.
    name: Option<String>,
    /// The configuration itself, or the file that it includes.
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
}

/// Shows every setting with its value and its origin.
pub(super) fn show(context: &Context, args: args::ConfigShow) -> Result<u8, Error> {
    let (loaded, ..) = load(context, &args.name, &args.devices, false)?;
    let config = match &loaded.config {
        Some(config) => Some(under_command_line(config, args.devices, args.init)?),
        None => None,
    };
    let status = if config.is_some() { 0 } else { 2 };
    if context.json {
        report::print_json(&shown(&loaded, config.as_ref())?)?;
        return Ok(status);
    }
    say_diagnostics(context, &loaded.diagnostics, &loaded.sources);
    if let Some(reason) = loaded.distrust() {
        report::note(context.quiet, &format!("{}: boot will refuse it: {reason}", loaded.path.display()));
    }
    if let Some(config) = &config {
        let rows: Vec<Vec<String>> = config.entries().iter().map(row).collect();
        report::print(&report::table(context.colour, &["SETTING", "FROM", "VALUE"], &rows))?;
    }
    Ok(status)
}

/// A configuration as it was read, with this meaning, if it has one.
pub(super) fn shown<'a>(
    loaded: &'a Loaded,
    config: Option<&SubhostConfig>,
) -> Result<ShownConfig<'a>, Error> {
    let entries = config.map(SubhostConfig::entries).unwrap_or_default();
    Ok(ShownConfig {
        file: &loaded.path,
        ok: config.is_some(),
        trusted: loaded.distrust().is_none(),
        settings: entries.iter().map(shown_setting).collect(),
        diagnostics: json_of(&loaded.diagnostics, &loaded.sources)?,
    })
}

/// What is wrong goes to standard error, and only that where it shall be quiet.
fn say_diagnostics(context: &Context, diagnostics: &[Diagnostic], sources: &Sources) {
    let shown: Vec<Diagnostic> =
        diagnostics.iter().filter(|it| it.is_error() || !context.quiet).cloned().collect();
    report::say(&rendered(&shown, sources, context.colour.err));
}

fn row(entry: &Entry<'_>) -> Vec<String> {
    // A default that is no value of the setting stands in the table in words, one that is in backquotes.
    let in_words = *entry.origin == Origin::Default && !entry.info.default.contains('`');
    let value = match &entry.value {
        _ if in_words => format!("({})", entry.info.default),
        Written::Unset => format!("({})", entry.info.default.replace('`', "")),
        _ => entry.to_bash(),
    };
    // The value last, as it may be long.
    vec![entry.info.name.to_owned(), entry.origin.to_string(), value]
}

fn shown_setting(entry: &Entry<'_>) -> ShownSetting {
    let text = |bytes: &Vec<u8>| serde_json::Value::from(String::from_utf8_lossy(bytes));
    let value = match &entry.value {
        Written::Word(word) => text(word),
        Written::Words(words) => words.iter().map(text).collect(),
        _ => serde_json::Value::Null,
    };
    let from = |origin, name: Option<&String>| ShownOrigin {
        origin,
        name: name.cloned(),
        file: None,
        line: None,
        column: None,
    };
    ShownSetting {
        name: entry.info.name,
        bash: (!value.is_null()).then(|| format!("{}={}", entry.info.name, entry.to_bash())),
        value,
        from: match entry.origin {
            Origin::File(place) => ShownOrigin {
                file: Some(place.file.clone()),
                line: Some(place.line),
                column: Some(place.column),
                ..from("file", None)
            },
            Origin::Environment(name) => from("environment", Some(name)),
            Origin::Flag(name) => from("flag", Some(name)),
            _ => from("default", None),
        },
        summary: entry.info.summary,
    }
}

#[derive(Serialize)]
struct ShownFile<'a> {
    #[serde(serialize_with = "crate::json::path")]
    file: &'a Path,
    ok: bool,
    trusted: bool,
    variables: Vec<ShownVariable<'a>>,
    diagnostics: serde_json::Value,
}

#[derive(Serialize)]
struct ShownVariable<'a> {
    name: &'a str,
    /// A text, or the texts of an array's elements in order. Bytes that are no UTF-8 are replaced.
    value: serde_json::Value,
    /// The line of `declare -p`, which gives exactly this value, with indexes and attributes.
    declare: &'a str,
    /// Where it was set last: the file itself, or one that it includes.
    file: &'a str,
    line: usize,
    column: usize,
}

/// Prints the variables of a file.
pub(super) fn eval(context: &Context, args: &args::ConfigEval) -> Result<u8, Error> {
    let reach = Reach { include_dirs: args.include_dirs.clone(), file_dirs: args.file_dirs.clone() };
    let evaluated = match args.format {
        Format::Bash => Evaluated::bash(&args.file, reach)?,
        Format::OverlayBoot if reach.include_dirs.is_empty() && reach.file_dirs.is_empty() => {
            Evaluated::overlay_boot(&args.file)?
        }
        Format::OverlayBoot => {
            let message =
                "--include-dir and --files are for bash: overlay-boot's format looks at no other file";
            return Err(Error::refused(Complaint::new(message)));
        }
    };
    let sources = evaluated.variables.sources();
    let ok = !evaluated.is_refused();
    let status = if ok { 0 } else { 2 };
    // With an error somewhere the variables are not those that bash would have.
    let declared = if ok { evaluated.variables.to_declare_p() } else { Vec::new() };
    let declared = String::from_utf8_lossy(&declared);
    if context.json {
        // `declare -x NAME="…"`, a line each: a value has no line end in this form.
        let variables = declared.lines().filter_map(|line| {
            let name = line.splitn(3, ' ').nth(2)?.split('=').next()?;
            Some(shown_variable(name, evaluated.variables.get(name)?, line, sources))
        });
        report::print_json(&ShownFile {
            file: &args.file,
            ok,
            trusted: distrust(&evaluated.trust).is_none(),
            variables: variables.collect(),
            diagnostics: json_of(&evaluated.diagnostics, sources)?,
        })?;
        return Ok(status);
    }
    say_diagnostics(context, &evaluated.diagnostics, sources);
    if let Some(reason) = distrust(&evaluated.trust) {
        report::note(context.quiet, &format!("{}: is not trusted: {reason}", args.file.display()));
    }
    report::print(&declared)?;
    Ok(status)
}

fn shown_variable<'a>(
    name: &'a str,
    variable: &Variable,
    declare: &'a str,
    sources: &'a Sources,
) -> ShownVariable<'a> {
    let text = |bytes: &[u8]| serde_json::Value::from(String::from_utf8_lossy(bytes));
    let value = match &variable.value {
        Value::Scalar(value) => text(value),
        array => array.elements().into_iter().map(text).collect(),
    };
    let source = sources.of(variable.set_at);
    let place = source.location(variable.set_at.start());
    ShownVariable { name, value, declare, file: source.name(), line: place.line, column: place.column }
}
