//! `doctor`: what it finds on a host that is well, and on one that is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case { name: "doctor_finds_a_host_that_is_well", needs: &[Need::Program], body: well },
    Case {
        name: "doctor_tells_directories_configurations_and_names_that_are_wrong",
        needs: &[Need::Program],
        body: wrong,
    },
    Case {
        name: "doctor_tells_what_outlived_its_subhost",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: leftovers,
    },
    Case {
        name: "doctor_tells_of_a_cable_that_is_not_plugged_in_or_isolated_as_it_was_made",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: cables,
    },
];

/// What is found, by what was looked at, with the status.
fn findings(host: &Host) -> Result<(Vec<Value>, i32), Box<dyn std::error::Error>> {
    let outcome = host.subhostctl(&["--json", "doctor"])?;
    Ok((serde_json::from_str(&outcome.stdout)?, outcome.code))
}

fn of<'a>(findings: &'a [Value], what: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["what"] == what).collect()
}

fn well(host: &Host) -> Verdict {
    fs::set_permissions(host.root_dir(), fs::Permissions::from_mode(0o700))?;
    let (found, code) = findings(host)?;
    assert_eq!(code, 0, "{found:#?}");
    for what in ["kernel", "loop devices", "user namespaces", "network namespaces", "control groups"] {
        assert_eq!(of(&found, what)[0]["health"], "good", "{what}: {found:#?}");
    }
    assert_eq!(of(&found, "bridges")[0]["health"], "note");
    assert_eq!(of(&found, "configurations")[0]["health"], "good");
    assert_eq!(of(&found, &host.root_dir().to_string_lossy())[0]["found"], "root's alone");
    host.bridge("br0", "10.80.0.1/16")?;
    let (found, _) = findings(host)?;
    assert_eq!(of(&found, "bridges")[0]["found"], "br0");
    // Quiet, it says only what somebody should know.
    let quiet = host.done(&["--quiet", "doctor"])?;
    assert!(!quiet.contains("kernel"), "{quiet}");
    Ok(())
}

fn wrong(host: &Host) -> Verdict {
    // `web` with 11 cables has one that is called as the first of `web1`.
    let cables = "br0: ".repeat(11);
    host.config("web", &format!("DISKS=( vda:1:/disks/a.raw )\nBRIDGES=( {cables})\n"))?;
    host.config("web1", "DISKS=( vda:1:/disks/b.raw )\nBRIDGES=( br0: )\n")?;
    host.config("broken", "DISKS=( vda:1:/disks/c.raw\n")?;
    host.config("open", "DISKS=( vda:1:/disks/d.raw )\n")?;
    host.config("accounting-production", "DISKS=( vda:1:/disks/e.raw )\nBRIDGES=( br0: )\n")?;
    fs::set_permissions(host.root_dir().join("open/config"), fs::Permissions::from_mode(0o666))?;
    fs::set_permissions(host.root_dir(), fs::Permissions::from_mode(0o777))?;
    let (found, code) = findings(host)?;
    assert_eq!(code, 1);
    let text =
        |what: &str| of(&found, what).iter().map(|finding| finding["found"].to_string()).collect::<String>();
    assert!(text(&host.root_dir().to_string_lossy()).contains("others may write"), "{found:#?}");
    assert!(text("subhost web1").contains("cable 0 would be called web10 as one of web is"), "{found:#?}");
    assert!(text("subhost broken").contains("its configuration is wrong"), "{found:#?}");
    assert!(text("subhost open").contains("not trusted"), "{found:#?}");
    let long = text("subhost accounting-production");
    assert!(long.contains("on the host, as accounting-production0 is too long"), "{found:#?}");
    let table = host.subhostctl(&["doctor"])?;
    assert!(table.code == 1 && table.stdout.lines().any(|line| line.starts_with("BAD ")), "{table}");
    Ok(())
}

fn leftovers(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    let (found, _) = findings(host)?;
    assert!(of(&found, &format!("subhost {name}")).is_empty(), "{found:#?}");
    let loops = of(&found, "loop devices")[0]["found"].to_string();
    let used = loops.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u32>();
    assert!(used.is_ok_and(|used| used > 0), "{loops}");
    // Its supervisor dies, then the guest: nobody takes the names back.
    guest.supervisor()?.signal(Signal::KILL)?;
    assert!(guest.supervisor()?.ends(Duration::from_secs(10))?);
    guest.signal_init(Signal::KILL)?;
    assert!(guest.ends(Duration::from_secs(10))?);
    host.witness("ip", &["netns", "add", "nobody"])?;
    host.witness("ip", &["link", "add", "ifb-x", "type", "ifb"])?;
    host.witness("ip", &["link", "property", "add", "dev", "ifb-x", "altname", "gone0-from-guest"])?;
    let (found, code) = findings(host)?;
    host.witness("ip", &["link", "del", "ifb-x"])?;
    host.witness("ip", &["netns", "del", "nobody"])?;
    assert_eq!(code, 0, "{found:#?}");
    let advice = &of(&found, &format!("subhost {name}"))[0]["advice"];
    assert_eq!(*advice, format!("subhostctl stop {name} removes what is left of it"));
    assert!(of(&found, "ifb-x")[0]["found"].to_string().contains("gone0"), "{found:#?}");
    assert_eq!(of(&found, "/run/netns/nobody").len(), 1, "{found:#?}");
    host.done(&["stop", &name])?;
    let (found, _) = findings(host)?;
    assert!(of(&found, &format!("subhost {name}")).is_empty(), "{found:#?}");
    Ok(())
}

fn cables(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let image = image.display();
    host.config(&name, &format!("DISKS=( vda:1:{image} )\nBRIDGES=( {BRIDGE}:{MAC} )\nISOLATED=yes\n"))?;
    boot(host, &name)?;
    let end = format!("{name}0");
    let what = format!("cable {end} of {name}");
    let look = || {
        let (found, code) = findings(host)?;
        let cable = of(&found, &what).first().map(|finding| (*finding).clone()).unwrap_or_default();
        Ok::<_, Box<dyn std::error::Error>>((of(&found, "cables").len(), cable, code))
    };
    let (good, cable, _) = look()?;
    assert_eq!((good, &cable), (1, &Value::Null));
    host.bridge("other", "10.81.0.1/24")?;
    let steps: &[(&str, &str, &str)] = &[
        // Either flag alone is no isolation.
        ("bridge link set dev END isolated off", "bad", "not isolated"),
        ("bridge link set dev END locked off", "bad", "not isolated"),
        ("ip link set END down", "note", "down"),
        ("ip link set END nomaster", "note", "now on no bridge, not isolated"),
        ("ip link set END master other", "bad", "now on other, not isolated"),
    ];
    for (change, health, words) in steps {
        host.witness("sh", &["-ec", &change.replace("END", &end)])?;
        let (good, cable, code) = look()?;
        assert_eq!((good, code), (0, i32::from(*health == "bad")), "{change}");
        assert_eq!((&cable["health"], &cable["found"]), (&(*health).into(), &(*words).into()), "{change}");
        assert!(host.done(&["status", &name])?.contains(words), "{change}");
        // What it advises makes it right.
        let advice = cable["advice"].as_str().ok_or("no advice")?;
        host.witness("sh", &["-ec", advice])?;
        assert_eq!(look()?.1, Value::Null, "{advice}");
    }
    host.witness("ip", &["link", "del", &end])?;
    let (_, cable, code) = look()?;
    assert_eq!((&cable["health"], &cable["found"], code), (&"note".into(), &"gone".into(), 0));
    host.done(&["stop", &name])?;
    Ok(())
}
