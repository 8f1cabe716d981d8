//! `docs/config.md` is held against the code.

use std::path::Path;

use subhost_config::schema::{SETTINGS, SettingInfo};

fn row(setting: &SettingInfo) -> String {
    let SettingInfo { name, kind, default, example, summary, support, .. } = setting;
    format!("| `{name}` | {kind} | {default} | `{name}={example}` | {summary} | {support} |")
}

#[test]
fn the_table_of_settings_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = SETTINGS.iter().map(row).collect();
    assert_eq!(rows, expected, "{} should have:\n{}", path.display(), expected.join("\n"));
}
