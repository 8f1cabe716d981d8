//! `--config-exec`: a real bash runs the configuration, and nothing of the host is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::host::Host;

pub(crate) const CASES: &[Case] = &[Case {
    name: "a_configuration_run_by_bash_sets_variables_and_nothing_else",
    needs: &[Need::Program, Need::PlainRoot],
    body: runs_by_bash,
}];

fn runs_by_bash(host: &Host) -> Verdict {
    let canary = host.directory().join("canary");
    let path = host.directory().join("config");
    let text = format!(
        "echo 'declare -- RUNLEVEL=\"5\"'\n\
         touch {canary} /etc/subhost-canary\n\
         declare() {{ :; }}\n\
         HOSTNAME=$(printf 'W%s\\n' eb | tr A-Z a-z)-$(ls /sys/class/net | wc -l)\n\
         ENVIRONMENT=( \"ROOT=$(id -u)\" \"HOME=${{HOME-none}}\" 'TWO=a b' )\n",
        canary = canary.display()
    );
    fs::write(&path, &text)?;
    let shown = path.to_string_lossy();

    // Without the flag it is data, and refused.
    let told = host.subhostctl(&["check", &shown])?;
    assert!(told.code == 2 && told.stdout.contains("E0201"), "{told}");

    let told = host.subhostctl(&["--config-exec", "--json", "config", "show", &shown])?;
    let json: Value = serde_json::from_str(&told.stdout)?;
    let value = |name: &str| {
        let settings = json["settings"].as_array().cloned().unwrap_or_default();
        settings.into_iter().find(|setting| setting["name"] == name).map(|setting| setting["value"].clone())
    };
    // Its network is its own: only the loopback.
    assert_eq!(value("HOSTNAME"), Some("web-1".into()), "{told}");
    assert_eq!(value("ENVIRONMENT"), Some(serde_json::json!(["ROOT=0", "HOME=none", "TWO=a b"])), "{told}");
    assert_eq!(value("RUNLEVEL"), Some("2".into()), "what it prints is no variable: {told}");
    assert!(told.stderr.contains("declare -- RUNLEVEL"), "{told}");
    assert!(!canary.exists() && !std::path::Path::new("/etc/subhost-canary").exists(), "{told}");

    for (text, message) in [
        ("A=1\nB=(\n", "bash cannot read it"),
        ("exit 3\n", "bash ended before its end"),
        ("kill -9 $$\n", "bash ended before its end"),
    ] {
        fs::write(&path, text)?;
        let told = host.subhostctl(&["--config-exec", "check", &shown])?;
        assert!(told.code == 2 && told.stderr.contains(message), "{text}: {told}");
    }
    fs::write(&path, "A=1\n")?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o666))?;
    let told = host.subhostctl(&["--config-exec", "check", &shown])?;
    assert!(told.code == 2 && told.stderr.contains("is not run by bash"), "{told}");
    Ok(())
}
