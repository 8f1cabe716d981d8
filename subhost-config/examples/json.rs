//! Reads a sourced bash configuration and prints its variables as JSON, without running anything:
//! `cargo run --example json -- /etc/default/grub`

use std::borrow::Cow;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value as Json};
use subhost_config::{Diagnostic, Evaluator, Value, load, parse, render};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: json FILE")?;
    let (script, mut problems) = parse(&load(Path::new(&path))?.source);
    let (variables, more) = Evaluator::new().run(&script);
    problems.extend(more);
    for problem in &problems {
        eprint!("{}", render(problem, variables.sources(), false));
    }
    if problems.iter().any(Diagnostic::is_error) {
        return Ok(ExitCode::from(2));
    }
    let object: Map<_, _> = variables.iter().map(|(name, it)| (name.clone(), json(&it.value))).collect();
    println!("{:#}", Json::Object(object));
    Ok(ExitCode::SUCCESS)
}

/// Bash's values are bytes, and JSON's are text: what is no UTF-8 is shown as U+FFFD.
fn json(value: &Value) -> Json {
    let text = |bytes| Json::from(String::from_utf8_lossy(bytes));
    match value {
        Value::Associative(elements) => {
            let members = elements.iter().map(|(key, value)| {
                let key: Cow<'_, str> = String::from_utf8_lossy(key);
                (key.into_owned(), text(value))
            });
            Json::Object(members.collect())
        }
        Value::Indexed(elements) => elements.values().map(|value| text(value)).collect(),
        other => text(other.first().unwrap_or_default()),
    }
}
