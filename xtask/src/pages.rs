//! `cargo xtask pages`: writes what a test holds against the code.

use crate::Outcome;
use crate::workspace;

pub(crate) fn write() -> Outcome {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--quiet", "--package", "subhost-cli", "--test", "pages", "--", "--skip", "warning"]);
    let status = cargo.env("SUBHOST_WRITE_PAGES", "1").status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo test: {status}").into()) }
}
