//! What the program is made of, as CycloneDX has it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::{NAME, VERSION};
use crate::Outcome;
use crate::workspace;

/// All crates that are linked into the program, with licence and checksum.
pub(super) fn of_program() -> Outcome<String> {
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock"))?;
    let checksums = checksums(&lock);
    let mut cargo = workspace::cargo();
    cargo.args(["tree", "--locked", "--package", "subhost-cli", "--edges", "normal,no-proc-macro"]);
    let output = cargo.args(["--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"]).output()?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let mut components = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let (package, licence) = line.split_once('\t').unwrap_or((line, ""));
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let version = version.trim_start_matches('v');
        components.insert((name.to_owned(), version.to_owned()), licence.replace('/', " OR "));
    }
    let components: Vec<Value> = components
        .iter()
        .map(|((name, version), licence)| {
            let mut component = json!({
                "type": "library",
                "name": name,
                "version": version,
                "purl": format!("pkg:cargo/{name}@{version}"),
                "licenses": [{ "expression": licence }],
            });
            if let Some(checksum) = checksums.get(&(name.as_str(), version.as_str())) {
                component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
            }
            component
        })
        .collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": "application", "name": NAME, "version": VERSION } },
        "components": components,
    });
    Ok(format!("{document:#}\n"))
}

/// The checksum of each package of a `Cargo.lock` that has one.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let mut checksums = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            line?.strip_suffix('"')
        };
        if let (Some(name), Some(version), Some(sum)) = (value("name"), value("version"), value("checksum")) {
            checksums.insert((name, version), sum);
        }
    }
    checksums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_has_a_checksum_of_what_comes_from_elsewhere() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\nchecksum = \"00ff\"\n\
                    dependencies = [\n \"b\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";
        assert_eq!(checksums(lock), BTreeMap::from([(("a", "1.2.3"), "00ff")]));
    }
}
