//! Faults at every step, and the same over and over: each case on a host of its own, with the leak check at its end.
//!
//! With every change a part is done; all of it by `cargo xtask torture --long`. `docs/testing.md` has the sizes.

mod acts;
mod cycles;
mod failing;
mod killed;
mod parallel;
mod power;
mod rounds;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use subhost_tests::case::{self, Case, Verdict};
use subhost_tests::host::Host;
use subhost_tests::size::Size;

/// A case with its size.
#[derive(Clone, Copy)]
struct Torture {
    case: Case,
    size: Size,
}

/// All that there are.
#[rustfmt::skip]
const GROUPS: &[&[Torture]] = &[
    cycles::CASES,
    parallel::CASES,
    killed::CASES,
    failing::CASES,
    rounds::CASES,
    power::CASES,
];

const PAGE: &str = "docs/testing.md";

fn main() -> ExitCode {
    let page = Case { name: "the_page_has_the_size_of_each", needs: &[], body: documented };
    let cases = GROUPS.concat().iter().map(|torture| torture.case).chain([page]).collect::<Vec<_>>();
    case::main(&cases)
}

fn documented(_: &Host) -> Verdict {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
    let text = fs::read_to_string(page)?;
    let rows: Vec<_> = GROUPS
        .concat()
        .iter()
        .map(|Torture { case, size }| {
            format!("| `{}` | {} | {} | {} |", case.name, size.unit, size.short, size.long)
        })
        .collect();
    let table = text.lines().skip_while(|line| !line.starts_with("| test ")).skip(2);
    let found: Vec<_> = table.take_while(|line| line.starts_with('|')).collect();
    if found == rows {
        return Ok(());
    }
    Err(format!("{PAGE} does not have these rows, in this order:\n{}", rows.join("\n")).into())
}
