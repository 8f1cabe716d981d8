//! `mounts`: the tables of guests and of the host, and who holds what is in them.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;
use crate::look::as_nobody;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "mounts_shows_a_guest_from_inside_and_its_disk_from_outside",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: guest,
    },
    Case {
        name: "mounts_below_a_directory_are_shown_with_their_holders_in_order",
        needs: &[Need::Program],
        body: directory,
    },
    Case { name: "mounts_refuses_what_is_not_there", needs: &[Need::Program], body: refused },
];

fn read(host: &Host, args: &[&str]) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    let words = [&["--json", "mounts"], args].concat();
    let json: Value = serde_json::from_str(&host.done(&words)?)?;
    Ok(json["mounts"].as_array().ok_or("no mounts")?.clone())
}

fn guest(host: &Host) -> Verdict {
    assert!(read(host, &[])?.is_empty());
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    let mounts = read(host, &[])?;
    assert!(mounts.iter().all(|mount| mount["owner"] == *name), "{mounts:#?}");
    // The same mounts as the guest's own init has, by id.
    let text = fs::read_to_string(format!("/proc/{}/mountinfo", guest.init_pid()))?;
    let mut ids: Vec<u64> = text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    let mut shown: Vec<u64> = mounts.iter().filter_map(|mount| mount["id"].as_u64()).collect();
    ids.sort_unstable();
    shown.sort_unstable();
    assert_eq!(shown, ids);
    let root = mounts.iter().find(|mount| mount["target"] == "/").ok_or("no root")?;
    assert_eq!((root["source"].as_str(), root["type"].as_str()), (Some("/dev/vda1"), Some("ext4")));
    let init = |holder: &&Value| holder["pid"] == guest.init_pid();
    let holder = root["processes"].as_array().and_then(|all| all.iter().find(init)).ok_or("no init")?;
    assert!(holder["how"].as_array().is_some_and(|how| how.contains(&"root".into())), "{holder}");
    let table = host.done(&["mounts"])?;
    let line = table.lines().find(|line| line.contains(" /dev/vda1 ")).ok_or("no line")?;
    assert!(line.starts_with(&name) && line.contains("ext4") && line.contains("nodev"), "{table}");
    // By the host's device.
    let number = guest.field("disks")[0]["loop_number"].as_u64().ok_or("no loop device")?;
    let mounts = read(host, &[&format!("/dev/loop{number}")])?;
    assert!(mounts.iter().any(|mount| mount["owner"] == *name && mount["target"] == "/"), "{mounts:#?}");
    // The same by the image, with the devices: the supervisor has it by a descriptor.
    let image = image.to_string_lossy().into_owned();
    for path in [&*format!("/dev/loop{number}"), &image] {
        let json: Value = serde_json::from_str(&host.done(&["--json", "mounts", path])?)?;
        assert_eq!(json["mounts"], serde_json::to_value(&mounts)?, "{path}");
        assert_eq!(json["devices"].as_array().map(Vec::len), Some(1), "{json:#}");
        assert_eq!(json["devices"][0]["path"], format!("/dev/loop{number}"));
        let supervisor = |holder: &Value| holder["pid"] == *guest.field("supervisor_pid");
        let processes = json["devices"][0]["processes"].as_array();
        assert!(processes.is_some_and(|all| all.iter().any(supervisor)), "{json:#}");
    }
    let table = host.done(&["mounts", &image])?;
    let line = table.lines().last().ok_or("no line")?;
    assert!(line.contains(&format!("/dev/loop{number}  ")) && line.contains("subhostctl"), "{table}");
    host.done(&["stop", &name])?;
    assert!(read(host, &[])?.is_empty() && read(host, &[&image])?.is_empty());
    Ok(())
}

fn directory(host: &Host) -> Verdict {
    let at = host.directory().join("a b\x1b[2J");
    fs::create_dir(&at)?;
    let path = at.to_string_lossy().into_owned();
    assert!(read(host, &[&path])?.is_empty());
    host.witness("mount", &["-t", "tmpfs", "-o", "nodev", "so urce", &path])?;
    let inner = at.join("in,ner");
    fs::create_dir(&inner)?;
    host.witness("mount", &["-t", "tmpfs", "--make-shared", "inner", &inner.to_string_lossy()])?;
    let mut sleep = Command::new("sleep").arg("60").current_dir(&inner).stdin(Stdio::null()).spawn()?;
    let mounts = read(host, &[&path]);
    let table = host.done(&["mounts", &path]);
    sleep.kill()?;
    sleep.wait()?;
    let (mounts, table) = (mounts?, table?);
    // The last first: so they can be unmounted.
    for place in [&inner, &at] {
        host.witness("umount", &[&place.to_string_lossy()])?;
    }
    assert_eq!(mounts.len(), 2, "{mounts:#?}");
    assert_eq!((mounts[0]["target"].as_str(), mounts[0]["source"].as_str()), (Some(&*path), Some("so urce")));
    assert!(mounts[0]["options"].as_array().is_some_and(|all| all.contains(&"nodev".into())), "{mounts:#?}");
    assert_eq!((&mounts[0]["owner"], &mounts[0]["propagation"]), (&"host".into(), &"private".into()));
    assert_eq!(mounts[1]["target"], *inner.to_string_lossy());
    assert!(mounts[1]["propagation"].as_str().is_some_and(|text| text.starts_with("shared:")), "{mounts:#?}");
    let holder = &mounts[1]["processes"][0];
    assert_eq!((&holder["pid"], &holder["how"][0]), (&sleep.id().into(), &"cwd".into()), "{mounts:#?}");
    assert!(!table.contains('\x1b') && table.contains(&format!("sleep {} (cwd)", sleep.id())), "{table}");
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    for path in ["/no/such/place", "/etc/passwd/below"] {
        let outcome = host.subhostctl(&["mounts", path])?;
        assert!(outcome.code == 2 && outcome.stderr.contains(path), "{outcome}");
    }
    assert_eq!(host.subhostctl(&["mounts", "/", "/"])?.code, 2);
    // Anybody sees the host's, and is told that it is not all.
    let outcome = as_nobody(host, &["mounts", "/"])?;
    assert!(outcome.code == 0 && outcome.stderr.contains("may hold more"), "{outcome}");
    assert!(outcome.stdout.lines().any(|line| line.starts_with("host   /  ")), "{outcome}");
    let outcome = as_nobody(host, &["mounts", "/etc/passwd"])?;
    assert!(outcome.code == 0 && outcome.stderr.contains("only root sees which loop devices"), "{outcome}");
    let outcome = as_nobody(host, &["mounts"])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("needs root"), "{outcome}");
    Ok(())
}
