//! `start`: what it shows, what lingers of it, and that it is entered again and not made anew.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use subhost_tests::canary::{Canary, facts};
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program;

use crate::{BRIDGE, MAC, bridge};

const TREE: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_tree_that_was_started_lingers_and_is_entered_again", needs: TREE, body: tree },
    Case { name: "an_overlay_that_was_started_lingers_and_is_entered_again", needs: TREE, body: overlay },
    Case { name: "an_image_that_was_started_lingers_and_is_entered_again", needs: TREE, body: image },
    Case {
        name: "debian_is_started_as_a_base_with_a_shell_of_its_own",
        needs: &[Need::Program, Need::Made(Fixture::DebianBare)],
        body: debian,
    },
    Case { name: "other_users_of_the_host_reach_nothing_of_what_lingers", needs: TREE, body: others },
    Case { name: "an_image_that_was_started_cannot_lead_out_of_itself", needs: TREE, body: leading_out },
];

/// One subhost below the host's directory of trees.
pub(crate) struct Started<'a> {
    pub(crate) host: &'a Host,
    pub(crate) name: String,
}

/// What has to be the same when it is entered again.
#[derive(Debug, PartialEq)]
pub(crate) struct Identity {
    /// Ids and options of the mounts on the host.
    pub(crate) mounts: Vec<String>,
    netns: u64,
    ifindex: u64,
    pub(crate) first_id: Value,
}

impl<'a> Started<'a> {
    /// Makes its directory with this configuration.
    pub(crate) fn new(host: &'a Host, short: &str, config: &str) -> io::Result<Started<'a>> {
        let started = Started { host, name: host.name(short) };
        fs::create_dir_all(started.directory())?;
        fs::write(started.directory().join("config"), format!("{config}\nBRIDGES=( {BRIDGE}:{MAC} )\n"))?;
        Ok(started)
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.host.subhost_dir().join(&self.name)
    }

    pub(crate) fn live(&self, path: &str) -> PathBuf {
        self.directory().join("live").join(path)
    }

    /// Gives it the busybox guest as `root`.
    pub(crate) fn with_tree(self) -> io::Result<Started<'a>> {
        let tree = Fixture::TinyTree.path().map_err(io::Error::other)?;
        copy(self.host, &tree, &self.directory().join("root"))?;
        Ok(self)
    }

    /// Runs a script in it, which must succeed.
    pub(crate) fn run(&self, script: &str) -> io::Result<String> {
        self.host.done(&["start", &self.name, "--", "sh", "-c", script])
    }

    pub(crate) fn stop(&self) -> Verdict {
        self.host.done(&["stop", &self.name])?;
        // What is done already is done.
        self.host.done(&["stop", &self.name])?;
        assert!(self.mounts()?.is_empty(), "{:?}", self.mounts()?);
        Ok(())
    }

    /// The mounts in its directory, as findmnt has them.
    pub(crate) fn mounts(&self) -> io::Result<Vec<String>> {
        let columns = "ID,TARGET,FSTYPE,VFS-OPTIONS,FSROOT";
        let table = self.host.witness("findmnt", &["--noheadings", "--raw", "-o", columns])?;
        Ok(table
            .lines()
            .filter(|line| line.contains(&format!("/{}/", self.name)))
            .map(str::to_owned)
            .collect())
    }

    /// What `list` says of it. Its processes may have ended since.
    pub(crate) fn row(&self) -> io::Result<Value> {
        Ok(serde_json::from_str::<Vec<Value>>(&self.host.done(&["list", "--json", &self.name])?)?.remove(0))
    }

    pub(crate) fn identity(&self) -> Result<Identity, Box<dyn std::error::Error>> {
        let row = self.row()?;
        assert_eq!(row["state"], "lingering");
        let names = self.host.witness("ip", &["netns", "list"])?;
        assert!(names.lines().any(|line| line.split(' ').next() == Some(&self.name)), "{names}");
        let netns = fs::metadata(Path::new("/run/netns").join(&self.name))?.ino();
        let link = self.host.witness("ip", &["-json", "link", "show", &format!("{}0", self.name)])?;
        let link: Value = serde_json::from_str(&link)?;
        assert_eq!(row["netns_inode"], netns);
        Ok(Identity {
            mounts: self.mounts()?,
            netns,
            ifindex: link[0]["ifindex"].as_u64().ok_or("its cable is not there")?,
            first_id: row["isolation"]["first_id"].clone(),
        })
    }
}

pub(crate) fn copy(host: &Host, from: &Path, to: &Path) -> io::Result<()> {
    host.witness("cp", &["-a", &from.to_string_lossy(), &to.to_string_lossy()]).map(drop)
}

/// What is asserted of any kind: it lingers without a process, and is entered as it is.
fn lingers(started: &Started<'_>, kinds: &[(&str, &str)]) -> Verdict {
    let host = started.host;
    let outcome = host.subhostctl(&[
        "start",
        &started.name,
        "--",
        "sh",
        "-c",
        "ip addr add 10.80.0.2/16 dev eth0; ip link set eth0 up; echo kept >/kept; sleep 1000 & echo $(hostname) >&2; exit 7",
    ])?;
    assert_eq!(outcome.code, 7, "{outcome}");
    assert!(outcome.stderr.ends_with(&format!("{}\n", started.name)), "{outcome}");
    let sleeping = host.witness("ps", &["-eo", "args"])?;
    assert!(!sleeping.contains("sleep 1000"), "{sleeping}");
    let before = started.identity()?;
    let mut found = Vec::new();
    for line in &before.mounts {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words[3].contains("nosuid") && words[3].contains("nodev"), "{line}");
        // What is under each is the directory itself.
        let is_screen =
            ["live", "mnt"].iter().any(|it| words[4].ends_with(&format!("{}/{it}", started.name)));
        found.extend((!is_screen).then_some((words[1], words[2])));
    }
    let place = |place: &str| started.directory().join(place).to_string_lossy().into_owned();
    let expected: Vec<_> = kinds.iter().map(|(at, kind)| (place(at), *kind)).collect();
    assert!(found.iter().copied().eq(expected.iter().map(|(at, kind)| (&**at, *kind))), "{before:?}");
    assert_eq!(fs::read_to_string(started.live("kept"))?, "kept\n");
    for round in 0..2 {
        let said = started.run(
            "cat /kept; ip addr show eth0 | grep -c 10.80.0.2; grep ' / ' /proc/self/mounts | grep -c nosuid; true",
        )?;
        assert_eq!(said, "kept\n1\n0\n", "round {round}");
        assert_eq!(started.identity()?, before, "round {round}");
    }
    let status: Value = serde_json::from_str(&host.done(&["status", "--json", &started.name])?)?;
    assert_eq!((&status["state"], &status["init_pid"]), (&"lingering".into(), &Value::Null), "{status}");
    let doctor = host.subhostctl(&["doctor"])?;
    assert!(!doctor.stdout.contains(&started.name), "{doctor}");
    Ok(())
}

fn tree(host: &Host) -> Verdict {
    bridge(host)?;
    let started = Started::new(host, "tree", "")?.with_tree()?;
    // What is mounted in it comes along.
    let below = started.directory().join("root/mnt");
    let content = host.directory().join("below");
    fs::create_dir(&content)?;
    fs::write(content.join("file"), "below\n")?;
    let image = host.ext4_of(&content, "below.ext4")?;
    host.witness("mount", &["-o", "loop", &image.to_string_lossy(), &below.to_string_lossy()])?;
    assert_eq!(started.run("cat /mnt/file; stat -c %u /mnt/file")?, "below\n0\n");
    host.done(&["stop", &started.name])?;
    assert_eq!(started.mounts()?.len(), 1, "what is mounted in the tree itself stays");
    host.witness("umount", &[&below.to_string_lossy()])?;
    let at = started.directory();
    let kind = host.witness("findmnt", &["--noheadings", "-o", "FSTYPE", "-T", &at.to_string_lossy()])?;
    lingers(&started, &[("live", kind.trim())])?;
    // The host's root can write there, and it is the guest's.
    fs::write(started.live("from-host"), "hello\n")?;
    assert_eq!(started.run("cat /from-host; stat -c %u /from-host")?, "hello\n0\n");
    let meta = fs::metadata(started.directory().join("root/kept"))?;
    assert_eq!((meta.uid(), meta.gid()), (0, 0));
    started.stop()?;
    // And it can be started from the beginning.
    assert_eq!(started.run("cat /kept")?, "kept\n");
    started.stop()
}

fn overlay(host: &Host) -> Verdict {
    bridge(host)?;
    let (base, top) = (host.copy_of(Fixture::TinyTree)?, host.directory().join("top layer"));
    fs::create_dir_all(top.join("etc"))?;
    fs::write(top.join("etc/layer"), "top\n")?;
    fs::write(base.join("etc/layer"), "bottom\n")?;
    let layers = format!("BASE=( '{}' {} )", top.display(), base.display());
    let config = format!("{layers}\nBINDS=( '{}:/mnt:ro' )\nTASKS=50\nADDRESSES=10.80.0.9/16", top.display());
    let started = Started::new(host, "over", &config)?;
    let before = (facts(&base)?, facts(&top)?);
    lingers(&started, &[("live", "overlay")])?;
    let said = started.run("cat /etc/layer; rm /etc/layer; echo changed >/etc/passwd; stat -c '%u %a' /")?;
    assert_eq!(said, "top\n0 755\n");
    assert!(host.done(&["check", "--start", &started.name])?.ends_with("ok\n"));
    assert!(host.done(&["plan", "--start", &started.name])?.contains("mount -t overlay"));
    // The rest of the configuration is as for boot.
    let said =
        started.run("cat /mnt/etc/layer; touch /mnt/x 2>/dev/null; ip addr show eth0 | grep -c 10.80.0.9")?;
    assert_eq!(said, "top\n1\n");
    let status: Value = serde_json::from_str(&host.done(&["status", "--json", &started.name])?)?;
    assert_eq!(status["cgroup"]["limits"][0], "TASKS=50", "{status}");
    assert_eq!(status["mounts"][0]["place"], started.live("").to_string_lossy().trim_end_matches('/'));
    assert!((facts(&base)?, facts(&top)?) == before, "a layer that is only read has changed");
    let own = started.directory().join("root");
    assert_eq!(fs::read_to_string(own.join("etc/passwd"))?, "changed\n");
    assert_eq!(fs::metadata(own.join("kept"))?.uid(), 0);
    // The same upper layer is not given to a second one.
    let config = format!(
        "BASE={}\nROOT={}\nWORK={}/work",
        base.display(),
        own.display(),
        started.directory().display()
    );
    let second = Started::new(host, "second", &config)?;
    let outcome = host.subhostctl(&["start", &second.name, "--", "true"])?;
    assert_eq!(outcome.code, 125, "{outcome}");
    assert!(outcome.stderr.contains("in use by another overlay"), "{outcome}");
    started.stop()?;
    assert_eq!(second.run("cat /etc/passwd")?, "changed\n");
    second.stop()
}

fn image(host: &Host) -> Verdict {
    bridge(host)?;
    let tree = Fixture::TinyTree.path()?;
    let content = host.directory().join("content");
    fs::create_dir(&content)?;
    copy(host, &tree, &content.join("root"))?;
    for (short, config, kind) in [
        ("plain", String::new(), "ext4"),
        ("based", format!("BASE={}", host.copy_of(Fixture::TinyTree)?.display()), "overlay"),
    ] {
        let started = Started::new(host, short, &config)?;
        let made = host.ext4_of(&content, &format!("{short}.ext4"))?;
        let image = started.directory().join(format!("{}.img", started.name));
        fs::rename(made, &image)?;
        lingers(&started, &[("mnt", "ext4"), ("live", kind)])?;
        assert!(started.directory().join("mnt/root/kept").is_file());
        // It is nobody else's.
        let other = host.name("other");
        host.config(&other, &format!("DISKS=( vda:0:{} )\n", image.display()))?;
        let outcome = host.subhostctl(&["boot", &other])?;
        let whose = format!("it is a disk of subhost {}", started.name);
        assert!(outcome.code == 2 && outcome.stderr.contains(&whose), "{outcome}");
        // The root is made again of the image, where somebody has unmounted it.
        let count = started.mounts()?.len();
        host.witness("umount", &[&started.live("").to_string_lossy()])?;
        assert_eq!(started.run("cat /kept")?, "kept\n");
        assert_eq!(started.mounts()?.len(), count);
        started.stop()?;
        let devices = host.witness("losetup", &["--list", "--noheadings", "-O", "BACK-FILE"])?;
        assert!(!devices.contains(&*image.to_string_lossy()), "{devices}");
    }
    Ok(())
}

fn debian(host: &Host) -> Verdict {
    bridge(host)?;
    let base = host.directory().join("debian");
    fs::create_dir(&base)?;
    let fixture = Fixture::DebianBare.path()?;
    let at = base.to_string_lossy();
    host.witness("mount", &["-o", "loop,ro,noload", &fixture.to_string_lossy(), &at])?;
    let started = Started::new(host, "deb", &format!("BASE={at}"))?;
    // Its shell is bash, and takes what is typed.
    let mut command = Command::new("sh");
    let typed = "echo 'echo ${BASH_VERSION%%.*}; su nobody -s /bin/sh -c id; dpkg --status bash | grep -c installed; exit 3' | \"$@\"";
    let start = host.command(&["start", &started.name]);
    command.args(["-c", typed, "sh"]).arg(start.get_program()).args(start.get_args());
    let outcome = program::run(command, Duration::from_secs(60))?;
    assert_eq!(outcome.code, 3, "{outcome}");
    assert_eq!(outcome.stdout, "5\nuid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n1\n");
    started.identity()?;
    let said = started.run("dpkg --purge --force-all nano >/dev/null 2>&1; touch /var/x; ls -d /var/x")?;
    assert_eq!(said, "/var/x\n");
    started.stop()?;
    host.witness("umount", &[&at])?;
    Ok(())
}

/// Row C6 of docs/security.md.
fn others(host: &Host) -> Verdict {
    bridge(host)?;
    let started = Started::new(host, "tree", "")?.with_tree()?;
    fs::set_permissions(started.directory(), PermissionsExt::from_mode(0o755))?;
    let outcome = host.subhostctl(&["start", &started.name, "--", "sh", "-c", "chmod 4755 /bin/busybox"])?;
    assert!(outcome.code == 0 && outcome.stderr.contains("for root alone"), "{outcome}");
    for place in ["live", "root"] {
        let file = started.directory().join(place).join("bin/busybox");
        assert_eq!(fs::metadata(&file)?.mode() & 0o7777, 0o4755);
        let tried = host.witness(
            "setpriv",
            &["--reuid=65534", "--clear-groups", "--", "sh", "-c", "exec $0 id", &file.to_string_lossy()],
        );
        let said = tried.err().ok_or("a user of the host has run a program of the guest")?.to_string();
        assert!(said.contains("Permission denied"), "{said}");
    }
    started.stop()
}

fn leading_out(host: &Host) -> Verdict {
    bridge(host)?;
    let canary = Canary::plant(host)?;
    let base = host.copy_of(Fixture::TinyTree)?;
    let content = host.directory().join("content");
    for link in ["root", "work"] {
        fs::create_dir(&content)?;
        for own in ["root", "work"] {
            let place = content.join(own);
            if own == link { symlink(canary.directory(), place)? } else { fs::create_dir(place)? }
        }
        let started = Started::new(host, link, &format!("BASE={}", base.display()))?;
        let made = host.ext4_of(&content, "content.ext4")?;
        fs::rename(made, started.directory().join(format!("{}.img", started.name)))?;
        let outcome = host.subhostctl(&["start", &started.name, "--", "touch", "/x"])?;
        assert_eq!(outcome.code, 125, "{outcome}");
        canary.unharmed()?;
        started.stop()?;
        fs::remove_dir_all(&content)?;
    }
    Ok(())
}
