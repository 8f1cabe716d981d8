//! The documents are held against the code.

use std::path::Path;

use subhost_config::schema::{SETTINGS, SettingInfo};
use subhost_config::{Evaluator, Source, parse};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn row(setting: &SettingInfo) -> String {
    let SettingInfo { name, kind, default, example, summary, .. } = setting;
    format!("| `{name}` | {kind} | {default} | `{name}={example}` | {summary} |")
}

#[test]
fn the_table_of_settings_is_the_one_of_the_code() {
    let text = document("config.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = SETTINGS.iter().map(row).collect();
    assert_eq!(rows, expected, "docs/config.md should have:\n{}", expected.join("\n"));
}

/// The codes of the errors of a script.
fn errors(script: &str) -> Vec<&'static str> {
    let (script, mut diagnostics) = parse(&Source::new("script", script));
    diagnostics.extend(Evaluator::new().run(&script).1);
    diagnostics.iter().filter(|it| it.is_error()).map(|it| it.code).collect()
}

#[test]
fn what_is_refused_and_what_to_write_instead_is_so() {
    let text = document("config-language.md");
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| line.starts_with("| E0"))
        // A bar that is a part of the script is escaped.
        .map(|line| line.replace("\\|", "\u{1}"))
        .map(|line| line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect())
        .filter(|cells: &Vec<String>| cells.len() == 6)
        .collect();
    assert!(rows.len() >= 35, "{} rows", rows.len());
    for cells in rows {
        let script =
            |cell: &str| cell.strip_prefix('`').and_then(|it| it.strip_suffix('`')).unwrap().to_owned();
        let (code, refused, instead) = (&cells[1], script(&cells[2]), script(&cells[4]));
        assert!(errors(&refused).contains(&code.as_str()), "{refused}: {code}, not {:?}", errors(&refused));
        assert_eq!(errors(&instead), [] as [&str; 0], "{instead}");
    }
}

#[test]
fn every_code_of_the_language_is_explained() {
    let text = document("config-language.md");
    let codes = include_str!("../src/code.rs");
    let quoted =
        codes.split('"').filter(|it| it.len() == 5 && (it.starts_with("E0") || it.starts_with("W05")));
    let missing: Vec<&str> = quoted.filter(|code| !text.contains(code)).collect();
    assert_eq!(missing, [] as [&str; 0]);
}
