//! A bundle of the Open Container Initiative: a directory with `config.json` and, mostly, the root.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::{Map, Value};

use super::draft::{Draft, cpus_text, size_text};
use super::{Refused, environment, has, text};
use crate::shell;

/// What every subhost has there.
const OF_ITS_OWN: &str = "\
    /proc /sys /dev /dev/pts /dev/shm /dev/mqueue /sys/fs/cgroup /run /tmp /run/lock";

/// Devices that every subhost has.
const DEVICES: &str = "\
    /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/console /dev/ptmx";

/// Reads `config.json`; a relative path of the root starts from the bundle.
///
/// # Errors
/// It is no such JSON.
pub fn read(bytes: &[u8], bundle: &Path, source: &str) -> Result<Draft, Refused> {
    let config: Map<String, Value> =
        serde_json::from_str(text(bytes)?).map_err(|error| format!("is no JSON of a bundle: {error}"))?;
    if !config.contains_key("ociVersion") {
        return Err("has no ociVersion, so it is not a config.json of a bundle".to_owned());
    }
    let mut draft = Draft::new(source);
    for (key, value) in &config {
        match key.as_str() {
            "root" => root(&mut draft, value, bundle),
            "hostname" => draft.set("HOSTNAME", value.as_str().unwrap_or_default(), "hostname"),
            "process" => process(&mut draft, value),
            "mounts" => mounts(&mut draft, value, bundle),
            "linux" => linux(&mut draft, value),
            "ociVersion" => {}
            "hooks" => draft.leave("hooks", "no program of the host's is run"),
            "annotations" => draft.leave("annotations", "a subhost has none"),
            _ => draft.leave(key, "a subhost has nothing like it"),
        }
    }
    if !draft.has("BRIDGES") {
        draft.leave("network", "a bundle does not tell; BRIDGES=( BRIDGE:MAC ) plugs it in");
    }
    Ok(draft)
}

fn root(draft: &mut Draft, root: &Value, bundle: &Path) {
    let path = bundle.join(root["path"].as_str().unwrap_or("rootfs"));
    draft.set("ROOT", path.as_os_str().as_bytes(), "root.path");
    if root["readonly"] == true {
        draft.leave("root.readonly", "start has no directory that is only read; as a BASE it is not changed");
    }
    others(draft, "root", root, &["path", "readonly"]);
}

/// The members that nobody looks at.
fn others(draft: &mut Draft, what: &str, value: &Value, known: &[&str]) {
    for name in
        value.as_object().into_iter().flat_map(Map::keys).filter(|name| !known.contains(&name.as_str()))
    {
        draft.leave(&format!("{what}.{name}"), "a subhost does that in its own way, or has nothing like it");
    }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn process(draft: &mut Draft, process: &Value) {
    let words: Vec<String> = strings(&process["args"]).map(shell::quote).collect();
    if !words.is_empty() {
        draft.leave("process.args", &format!("subhostctl start NAME -- {}", words.join(" ")));
    }
    for variable in strings(&process["env"]) {
        environment(draft, variable, &format!("process.env: {variable}"));
    }
    if process["cwd"].as_str().is_some_and(|directory| directory != "/") {
        draft.leave("process.cwd", "the command starts in /");
    }
    if process["user"]["uid"].as_u64().is_some_and(|user| user != 0) {
        draft.leave("process.user", "start runs as root inside; su or setpriv there take another user");
    }
    if process["noNewPrivileges"] == true {
        draft.leave("process.noNewPrivileges", "programs of a subhost may gain what it has been left");
    }
    if process.get("capabilities").is_some() {
        draft.leave("process.capabilities", "CAPS_DROP has those to take away, CAPS_ADD those to leave");
    }
    let known = ["args", "env", "cwd", "user", "noNewPrivileges", "capabilities", "terminal", "consoleSize"];
    others(draft, "process", process, &known);
}

fn mounts(draft: &mut Draft, mounts: &Value, bundle: &Path) {
    for mount in mounts.as_array().into_iter().flatten() {
        let guest = mount["destination"].as_str().unwrap_or_default();
        let options: Vec<&str> = strings(&mount["options"]).collect();
        let from = format!("mount {guest}");
        let is_bind =
            mount["type"] == "bind" || options.iter().any(|option| ["bind", "rbind"].contains(option));
        if !is_bind {
            if !has(OF_ITS_OWN, guest) {
                let kind = mount["type"].as_str().unwrap_or_default();
                draft.leave(&from, &format!("it is of type {kind}; the guest's fstab can mount it"));
            }
            continue;
        }
        let host = bundle.join(mount["source"].as_str().unwrap_or_default());
        let access: &[u8] = if options.contains(&"ro") { b":ro" } else { b":rw" };
        let word = [host.as_os_str().as_bytes(), b":", guest.as_bytes(), access].concat();
        draft.add("BINDS", word, &from);
    }
}

fn linux(draft: &mut Draft, linux: &Value) {
    let range = |name: &str| {
        let mappings = linux[name].as_array().filter(|mappings| mappings.len() == 1)?;
        let mapping = &mappings[0];
        (mapping["containerID"] == 0).then_some((mapping["hostID"].as_u64()?, mapping["size"].as_u64()?))
    };
    match (range("uidMappings"), range("gidMappings")) {
        (Some(users), Some(groups)) if users == groups => {
            draft.set("USERNS", format!("{}:{}", users.0, users.1), "linux.uidMappings");
        }
        _ if linux.get("uidMappings").is_some() || linux.get("gidMappings").is_some() => {
            draft
                .leave("linux.uidMappings", "a subhost has one range, for users and groups alike, from 0 on");
        }
        _ => {}
    }
    for device in linux["devices"].as_array().into_iter().flatten() {
        let path = device["path"].as_str().unwrap_or_default();
        if !has(DEVICES, path) {
            draft.add("DEVICES", path, "linux.devices");
        }
    }
    let namespaces = linux["namespaces"].as_array();
    for kind in ["pid", "network", "mount", "ipc", "uts"] {
        let own = namespaces.into_iter().flatten().find(|namespace| namespace["type"] == kind);
        match own.map(|namespace| namespace["path"].as_str()) {
            None => {
                draft.leave("linux.namespaces", &format!("{kind} is the host's there; a subhost has its own"))
            }
            Some(Some(path)) => draft.leave("linux.namespaces", &format!("{kind} is that of {path} there")),
            Some(None) => {}
        }
    }
    resources(draft, &linux["resources"]);
    let known = [
        "uidMappings",
        "gidMappings",
        "devices",
        "namespaces",
        "resources",
        "maskedPaths",
        "readonlyPaths",
        "cgroupsPath",
        "rootfsPropagation",
    ];
    others(draft, "linux", linux, &known);
}

fn resources(draft: &mut Draft, resources: &Value) {
    let number = |value: &Value| value.as_u64().filter(|number| *number > 0);
    if let Some(bytes) = number(&resources["memory"]["limit"]) {
        draft.set("MEMORY", size_text(bytes), "linux.resources.memory.limit");
    }
    let cpu = &resources["cpu"];
    if let Some(cpus) =
        number(&cpu["quota"]).and_then(|quota| cpus_text(quota, number(&cpu["period"]).unwrap_or(100_000)))
    {
        draft.set("CPUS", cpus, "linux.resources.cpu.quota");
    }
    if let Some(tasks) = number(&resources["pids"]["limit"]) {
        draft.set("TASKS", tasks.to_string(), "linux.resources.pids.limit");
    }
    if let Some(weight) = number(&resources["blockIO"]["weight"]) {
        draft.set("IO_WEIGHT", weight.to_string(), "linux.resources.blockIO.weight");
    }
    others(draft, "linux.resources", resources, &["memory", "cpu", "pids", "blockIO", "devices"]);
    others(draft, "linux.resources.memory", &resources["memory"], &["limit"]);
    others(draft, "linux.resources.cpu", cpu, &["quota", "period"]);
    others(draft, "linux.resources.pids", &resources["pids"], &["limit"]);
    others(draft, "linux.resources.blockIO", &resources["blockIO"], &["weight"]);
    let devices = resources["devices"].as_array().into_iter().flatten();
    if devices.filter(|rule| rule["allow"] == true).count() > 0 {
        draft.leave("linux.resources.devices", "DEVICES names devices by their paths");
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::round_trip;
    use super::super::witness::{leaves, settings};
    use super::*;

    #[test]
    fn a_bundle_becomes_settings() {
        let text = r#"{
      "ociVersion": "1.0.2",
      "process": { "terminal": true, "user": { "uid": 1000, "gid": 1000 }, "args": ["sh", "-c", "echo it's"], "cwd": "/srv",
        "env": ["PATH=/usr/bin:/bin", "TERM=xterm"], "noNewPrivileges": true, "rlimits": [] },
      "root": { "path": "rootfs", "readonly": true },
      "hostname": "runc",
      "mounts": [
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/data", "type": "bind", "source": "/srv/data", "options": ["rbind", "ro"] },
        { "destination": "/cache", "type": "tmpfs", "source": "tmpfs" }
      ],
      "linux": {
        "uidMappings": [{ "containerID": 0, "hostID": 100000, "size": 65536 }],
        "gidMappings": [{ "containerID": 0, "hostID": 100000, "size": 65536 }],
        "devices": [{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 }],
        "resources": { "memory": { "limit": 268435456, "swap": 1 }, "cpu": { "quota": 150000, "period": 100000 },
          "pids": { "limit": 100 }, "devices": [{ "allow": false, "access": "rwm" }] },
        "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
        "seccomp": {}, "maskedPaths": ["/proc/kcore"]
      },
      "hooks": {}, "newer": 1
    }"#;
        let draft = read(text.as_bytes(), Path::new("/srv/bundle"), "x").unwrap().settled();
        assert_eq!(
            settings(&draft),
            "HOSTNAME=runc\nUSERNS=100000:65536\nDEVICES=( /dev/fuse )\nMEMORY=256M\nCPUS=1.5\nTASKS=100\n\
         BINDS=( /srv/data:/data:ro )\nENVIRONMENT=(\n    PATH=/usr/bin:/bin\n    TERM=xterm\n)\nROOT=/srv/bundle/rootfs\n"
        );
        for left in [
            "subhostctl start NAME -- sh -c 'echo it'\\''s'",
            "process.user",
            "process.rlimits",
            "root.readonly",
            "mount /cache",
            "network is the host's",
            "linux.seccomp",
            "memory.swap",
            "hooks",
            "newer",
            "noNewPrivileges",
        ] {
            assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
        }
        let nested = format!("{{\"ociVersion\":{}", "[".repeat(100_000));
        for text in ["", "{", "[]", "{}", "{\"ociVersion\":1}x", &nested] {
            assert!(read(text.as_bytes(), Path::new("/"), "x").is_err());
        }
        // Whatever stands where something else should.
        let odd = r#"{"ociVersion":1,"root":[],"process":7,"mounts":{"a":1},"linux":"x","hostname":{}}"#;
        round_trip(&read(odd.as_bytes(), Path::new("/"), "x").unwrap());
    }
}
