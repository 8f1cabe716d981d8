//! Reads a sourced bash configuration and prints its variables as `declare -p` does:
//! `cargo run --example declare -- /etc/default/grub`

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use subhost_config::{Diagnostic, Evaluator, Trust, load, parse, render};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: declare FILE");
        return ExitCode::from(2);
    };
    let loaded = match load(Path::new(&path)) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if let Trust::Untrusted(reason) = &loaded.trust {
        eprintln!("not trusted: {reason}");
    }
    let (script, mut diagnostics) = parse(&loaded.source);
    let (variables, more) = Evaluator::new().run(&script);
    diagnostics.extend(more);
    for diagnostic in &diagnostics {
        eprint!("{}", render(diagnostic, variables.sources(), false));
    }
    if diagnostics.iter().any(Diagnostic::is_error) {
        return ExitCode::from(2);
    }
    match std::io::stdout().write_all(&variables.to_declare_p()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
