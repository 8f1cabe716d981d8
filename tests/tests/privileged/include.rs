//! Files that a configuration includes. They need root, as only what root alone could have written is included.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::host::Host;
use subhost_tests::program::Outcome;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "eval_includes_what_only_root_could_have_written",
        needs: &[Need::Program],
        body: eval_includes,
    },
    Case {
        name: "eval_names_the_included_file_where_that_is_wrong",
        needs: &[Need::Program],
        body: eval_is_wrong_inside,
    },
    Case {
        name: "a_configuration_includes_from_etc_subhost_alone",
        needs: &[Need::Program],
        body: configuration,
    },
];

/// Writes a file below the host's directory, and its directory too.
fn write(host: &Host, name: &str, text: &str) -> std::io::Result<PathBuf> {
    let path = host.directory().join(name);
    fs::create_dir_all(path.parent().unwrap_or(&path))?;
    fs::write(&path, text)?;
    Ok(path)
}

/// Evaluates a file of this text that may include from `conf`.
fn eval(host: &Host, text: &str, options: &[&str]) -> std::io::Result<Outcome> {
    let main = write(host, "main", text)?;
    let directory = host.directory().join("conf");
    let (main, directory) = (main.to_string_lossy(), directory.to_string_lossy());
    host.subhostctl(&[&["config", "eval", &main, "--include-dir", &directory], options].concat())
}

fn eval_includes(host: &Host) -> Verdict {
    let list = write(host, "conf/list", "LIST=( a b )\nf() { RESULT=${LIST[1]}$1; }\n")?;
    let common = write(host, "conf/common", &format!("source {}\nLIST+=( c )\n", list.display()))?;
    let text = format!("A=1\n. {}\nf x\n", common.display());
    let told = eval(host, &text, &[])?;
    let variables =
        "declare -- A=\"1\"\ndeclare -a LIST=([0]=\"a\" [1]=\"b\" [2]=\"c\")\ndeclare -- RESULT=\"bx\"\n";
    assert_eq!((told.code, told.stdout.as_str(), told.stderr.as_str()), (0, variables, ""), "{told}");
    let json: Value = serde_json::from_str(&eval(host, &text, &["--json"])?.stdout)?;
    let main = host.directory().join("main");
    let place = |path: &Path, line: u64, column: u64| json!([path.to_string_lossy(), line, column]);
    let places: Vec<Value> = (0..3)
        .map(|at| json!(["file", "line", "column"].map(|member| json["variables"][at][member].clone())))
        .collect();
    assert_eq!(places, [place(&main, 1, 1), place(&common, 2, 1), place(&list, 2, 7)], "{json}");

    // Whoever else may write the file, or its directory, or give it another name, is not trusted.
    let refused = |what: &str| -> Verdict {
        let told = eval(host, &text, &[])?;
        let message = format!("{}:1:1: error[E0311]: {} is not trusted: ", common.display(), list.display());
        assert!(told.code == 2 && told.stdout.is_empty() && told.stderr.contains(&message), "{what}: {told}");
        assert!(told.stderr.contains(what), "{what}: {told}");
        Ok(())
    };
    fs::set_permissions(&list, PermissionsExt::from_mode(0o664))?;
    refused("may be written by its group")?;
    fs::set_permissions(&list, PermissionsExt::from_mode(0o644))?;
    chown(&list, Some(65534), None)?;
    refused("belongs to user 65534")?;
    chown(&list, Some(0), None)?;
    fs::hard_link(&list, host.directory().join("second"))?;
    refused("has 2 names")?;
    fs::remove_file(host.directory().join("second"))?;
    assert_eq!(eval(host, &text, &[])?.code, 0);

    // A link is judged by where it leads.
    let elsewhere = write(host, "elsewhere", "A=2\n")?;
    let link = host.directory().join("conf/link");
    std::os::unix::fs::symlink(&elsewhere, &link)?;
    let text = format!(". {}\n", link.display());
    assert_eq!(eval(host, &text, &[])?.stdout, "declare -- A=\"2\"\n");
    fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o666))?;
    let told = eval(host, &text, &[])?;
    let message = format!("{} may be written by everybody", elsewhere.display());
    assert!(told.code == 2 && told.stderr.contains(&message), "{told}");
    // Without the link it is outside, whoever owns it.
    fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o644))?;
    let told = eval(host, &format!(". {}\n", elsewhere.display()), &[])?;
    let message = format!("{} is not below {}/conf\n", elsewhere.display(), host.directory().display());
    assert!(told.code == 2 && told.stderr.contains(&message), "{told}");
    Ok(())
}

fn eval_is_wrong_inside(host: &Host) -> Verdict {
    let common = write(host, "conf/common", "A=1\nB=( é $(reboot) )\n")?;
    let text = format!("# a longer text than the one that is included\n\n\n. {}\n", common.display());
    let told = eval(host, &text, &[])?;
    let shown = format!("{}:2:7: error[E0210]: ", common.display());
    assert!(told.code == 2 && told.stdout.is_empty() && told.stderr.starts_with(&shown), "{told}");
    assert!(told.stderr.contains("2 | B=( é $(reboot) )\n  |       ^^^^^^^^^\n"), "{told}");
    let json: Value = serde_json::from_str(&eval(host, &text, &["--json"])?.stdout)?;
    let members = ["file", "line", "column", "end_line", "end_column", "start", "end"];
    let place = members.map(|member| json["diagnostics"][0][member].clone());
    assert_eq!(json!(place), json!([common.to_string_lossy(), 2, 7, 2, 16, 11, 20]), "{json}");

    let other = host.directory().join("conf/other");
    write(host, "conf/common", &format!(". {}\n", other.display()))?;
    write(host, "conf/other", &format!("A=1\n. {}\n", common.display()))?;
    let told = eval(host, &text, &[])?;
    let places = [&common, &other].map(|path| format!("{}:", path.display()));
    let is_inside = places.iter().any(|place| told.stderr.starts_with(place));
    assert!(told.code == 2 && told.stdout.is_empty() && is_inside, "{told}");
    assert!(told.stderr.contains("error[E0407]: more than 60 functions or includes"), "{told}");
    Ok(())
}

fn configuration(host: &Host) -> Verdict {
    // In the mount namespace of this case alone.
    mount("tmpfs", "/etc", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")?;
    fs::create_dir("/etc/subhost")?;
    let name = host.name("web");
    let common = Path::new("/etc/subhost/common");
    fs::write(common, "BRIDGES=( br0: )\nRUNLEVEL=3\nSTOP_TIMEOUT=2m\n")?;
    let config = ". /etc/subhost/common\nRUNLEVEL=4\nHOSTNAME=$(uname -n)-guest\n";
    host.config(&name, config)?;
    let file = host.root_dir().join(&name).join("config");
    let shown = host.done(&["config", "show", &name])?;
    let own = |place: &str| format!("{}:{place}", file.display());
    for (setting, from, value) in [
        ("BRIDGES", "/etc/subhost/common:1:1".to_owned(), "( br0: )".to_owned()),
        ("STOP_TIMEOUT", "/etc/subhost/common:3:1".to_owned(), "2m".to_owned()),
        ("RUNLEVEL", own("2:1"), "4".to_owned()),
        ("HOSTNAME", own("3:1"), format!("{}-guest", rustix::system::uname().nodename().to_string_lossy())),
    ] {
        let row = shown.lines().find(|line| line.split(' ').next() == Some(setting)).unwrap_or_default();
        assert!(row.contains(&from) && row.ends_with(&value), "{setting}: {from} {value} in {shown}");
    }
    let json: Value = serde_json::from_str(&host.done(&["config", "show", "--json", &name])?)?;
    let settings = json["settings"].as_array().ok_or("no settings")?;
    let bridges = settings.iter().find(|setting| setting["name"] == "BRIDGES").ok_or("no BRIDGES")?;
    let from = json!({"origin": "file", "name": null, "file": common.to_str(), "line": 1, "column": 1});
    assert_eq!(bridges["from"], from);
    assert_eq!(json["trusted"], true, "{json}");

    // What is wrong with a setting is told where it is set.
    fs::write(common, "BRIDGES=(\n  br0:\n  br1:01:00:5e:00:00:01\n)\n")?;
    let told = host.subhostctl(&["check", &name])?;
    let message =
        "/etc/subhost/common:3:3: error[E1003]: BRIDGES: `01:00:5e:00:00:01` is a multicast address";
    assert!(told.code == 2 && told.stdout.contains(message), "{told}");

    fs::set_permissions(common, PermissionsExt::from_mode(0o666))?;
    let told = host.subhostctl(&["boot", &name])?;
    let message =
        "config:1:1: error[E0311]: /etc/subhost/common is not trusted: /etc/subhost/common may be written";
    assert!(told.code == 2 && told.stderr.contains(message), "{told}");

    let elsewhere = write(host, "elsewhere", "RUNLEVEL=3\n")?;
    for (text, message) in [
        (format!(". {}\n", elsewhere.display()), "is not below /etc/subhost\n"),
        (format!("A=$(<{})\n", elsewhere.display()), "error[E0312]: files are not looked at here"),
    ] {
        host.config(&name, &text)?;
        let told = host.subhostctl(&["check", &name])?;
        assert!(told.code == 2 && told.stdout.contains(message), "{told}");
    }
    unmount("/etc", UnmountFlags::empty())?;
    Ok(())
}
