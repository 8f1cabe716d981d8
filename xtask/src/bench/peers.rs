//! Other programs that can do the same, as people use them: mount, run, unmount; namespaces of the network by ip(8).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::cells::{BRIDGE, Place, written};
use super::rounds::{Way, call};
use crate::Outcome;
use crate::packages;

/// What the root is made of.
pub(super) enum Source<'a> {
    Tree(&'a Path),
    /// Below a layer in memory.
    Overlay(&'a Path),
    /// The first partition of an image with an MBR.
    Image(&'a Path),
}

impl Source<'_> {
    pub(super) fn path(&self) -> &Path {
        match self {
            Source::Tree(path) | Source::Overlay(path) | Source::Image(path) => path,
        }
    }
}

/// The network namespace that ip(8) makes.
const NETNS: &str = "peer";
const PEERS: [&str; 5] = ["unshare", "bwrap", "crun", "runc", "lxc-start"];

/// Adds a way for each peer that is installed, and a note for each that is not.
pub(super) fn add(
    ways: &mut Vec<Way<'_>>,
    notes: &mut Vec<String>,
    source: &Source<'_>,
    macs: &[[u8; 6]],
    place: &Place<'_>,
) -> Outcome {
    let root = match source {
        Source::Tree(path) => path.to_path_buf(),
        Source::Overlay(_) | Source::Image(_) => place.host.directory().join("live"),
    };
    fs::create_dir_all(&root)?;
    for peer in PEERS {
        if packages::find(peer).is_none() {
            notes.push(format!("SKIP {peer}: not installed"));
            continue;
        }
        let mut commands = network(macs);
        commands.extend(mounting(source, &root, place)?);
        commands.push(inside(run(peer, &root, !macs.is_empty(), place)?, macs));
        let mut name = vec![peer];
        let mut after = Vec::new();
        if !macs.is_empty() {
            name.insert(0, "ip(8), nsenter,");
            after.push(words(&format!("ip netns del {NETNS}")));
        }
        if root != source.path() {
            name.insert(0, "mount,");
            name.push("and umount");
            after.insert(0, words(&format!("umount -R {}", root.display())));
        }
        ways.push(Way::new(name.join(" "), move || {
            let done = commands.iter_mut().try_for_each(call);
            // Also after a failure, so that the next finds nothing.
            let undone = after.iter_mut().map(call).fold(Ok(()), Result::and);
            done.and(undone)
        }));
    }
    Ok(())
}

/// A network namespace with its cables, in the kindest form: the guest's end is born in it.
fn network(macs: &[[u8; 6]]) -> Vec<Command> {
    if macs.is_empty() {
        return Vec::new();
    }
    let mut commands = vec![words(&format!("ip netns add {NETNS}"))];
    for (index, mac) in macs.iter().enumerate() {
        let mac = written(mac);
        commands.push(words(&format!(
            "ip link add peer{index} type veth peer name eth{index} address {mac} netns {NETNS}"
        )));
        commands.push(words(&format!("ip link set peer{index} master {BRIDGE} up")));
        commands.push(words(&format!("ip -n {NETNS} link set eth{index} up")));
    }
    commands.push(words(&format!("ip -n {NETNS} link set lo up")));
    commands
}

/// Mounts the root, unless it is a directory itself.
fn mounting(source: &Source<'_>, root: &Path, place: &Place<'_>) -> Outcome<Vec<Command>> {
    let root = root.display();
    Ok(match source {
        Source::Tree(_) => Vec::new(),
        Source::Image(image) => {
            vec![words(&format!("mount -o loop,offset=1048576,sizelimit=8388608 {} {root}", image.display()))]
        }
        Source::Overlay(lower) => {
            let layer = place.host.directory().join("layer");
            fs::create_dir_all(&layer)?;
            let (lower, layer) = (lower.display(), layer.display());
            // The file system in memory is mounted below, and goes with it.
            let mut both = Command::new("sh");
            both.args([
                "-c",
                &format!(
                    "mount -t tmpfs layer {layer} && mkdir {layer}/u {layer}/w && mount -t overlay overlay \
                 -o lowerdir={lower},upperdir={layer}/u,workdir={layer}/w {root} && umount -l {layer}"
                ),
            ]);
            vec![both]
        }
    })
}

/// Runs `/bin/true` there.
fn run(peer: &str, root: &Path, has_network: bool, place: &Place<'_>) -> Outcome<Command> {
    let root_text = root.display();
    Ok(match peer {
        "unshare" => words(&format!(
            "unshare --fork --kill-child --pid --mount --uts --ipc --root={root_text} --mount-proc /bin/true"
        )),
        "bwrap" => words(&format!(
            "bwrap --bind {root_text} / --proc /proc --dev /dev --unshare-pid --unshare-uts --unshare-ipc /bin/true"
        )),
        "lxc-start" => {
            let directory = place.host.directory().join("lxc");
            fs::create_dir_all(&directory)?;
            let (directory, file) = (directory.display(), directory.join("config"));
            // The network is that of the caller, as of all others here.
            let text = format!(
                "lxc.uts.name = peer\nlxc.rootfs.path = dir:{root_text}\nlxc.init.cmd = /bin/true\n\
                 lxc.mount.auto = proc:mixed sys:ro\nlxc.net.0.type = none\n"
            );
            fs::write(&file, text)?;
            words(&format!("lxc-start -P {directory} -n peer -f {} -F", file.display()))
        }
        runtime => {
            let bundle = bundle(runtime, root, place, has_network)?;
            let state = place.host.directory().join(format!("state-{runtime}"));
            words(&format!("{runtime} --root {} run -b {} peer-{runtime}", state.display(), bundle.display()))
        }
    })
}

/// In the network namespace, if there is one.
fn inside(command: Command, macs: &[[u8; 6]]) -> Command {
    if macs.is_empty() {
        return command;
    }
    let mut inside = words(&format!("nsenter --net=/run/netns/{NETNS}"));
    inside.arg(command.get_program()).args(command.get_args());
    inside
}

/// The directory with the `config.json` that OCI runtimes read: their own defaults, with `/bin/true`, this root, and
/// neither a terminal nor a network namespace of its own.
fn bundle(runtime: &str, root: &Path, place: &Place<'_>, has_network: bool) -> Outcome<PathBuf> {
    let kind = if has_network { "net" } else { "no-net" };
    let bundle = place.host.directory().join(format!("bundle-{runtime}-{kind}"));
    let file = bundle.join("config.json");
    if file.exists() {
        fs::remove_file(&file)?;
    }
    fs::create_dir_all(&bundle)?;
    call(Command::new(runtime).arg("spec").current_dir(&bundle))?;
    let mut spec: Value = serde_json::from_slice(&fs::read(&file)?)?;
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = json!(["/bin/true"]);
    spec["root"] = json!({ "path": root, "readonly": false });
    spec["linux"]["namespaces"] =
        ["pid", "ipc", "uts", "mount"].into_iter().map(|kind| json!({ "type": kind })).collect();
    // Its device filter takes the right to lock memory, which not every host gives.
    if runtime == "crun"
        && let Some(linux) = spec["linux"].as_object_mut()
    {
        linux.remove("resources");
    }
    fs::write(&file, spec.to_string())?;
    Ok(bundle)
}

fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}
