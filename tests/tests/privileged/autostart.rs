//! Subhosts that start with the host: their order, and the scripts of each init that call for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{self, Outcome};

const MBR: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "autostart_boots_each_after_those_that_it_names", needs: MBR, body: in_order },
    Case { name: "autostart_goes_on_after_one_that_does_not_become_ready", needs: MBR, body: goes_on },
    Case { name: "the_sysvinit_script_boots_and_stops", needs: MBR, body: sysvinit },
    Case {
        name: "a_debian_guest_takes_the_script_as_its_own_and_it_says_what_cannot_be_nested",
        needs: &[Need::Program, Need::Made(Fixture::DebianBare)],
        body: nested,
    },
    Case {
        name: "openrc_takes_its_script_and_runs_it",
        needs: &[Need::Program, Need::Made(Fixture::DebianOpenRc)],
        body: openrc,
    },
    Case { name: "the_scripts_and_units_are_sound", needs: &[Need::Program], body: sound },
];

const PATIENCE: Duration = Duration::from_secs(60);

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../subhost-cli/init")
}

/// Three names, of which the last in the alphabet is to be first; each with its own copy of the image.
fn three(host: &Host, more: &str) -> Result<[String; 3], Box<dyn std::error::Error>> {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let names = ["app", "mid", "zdb"].map(|short| host.name(short));
    let [app, mid, zdb] = &names;
    for (name, after) in [(app, format!("( {mid} nowhere )")), (mid, zdb.clone()), (zdb, String::new())] {
        let text =
            format!("DISKS=( vda:1:{} )\nEPHEMERAL=yes\nAUTOSTART=yes\nAFTER={after}\n", image.display());
        host.config(name, &text)?;
    }
    host.config(&host.name("not"), &format!("DISKS=( vda:1:{} )\nAUTOSTART=no\n{more}", image.display()))?;
    Ok(names)
}

/// The names at the beginnings of the lines that say this, in order.
fn said(told: &Outcome, what: &str) -> Vec<String> {
    let lines = told.stderr.lines().filter(|line| line.ends_with(what));
    lines.filter_map(|line| line.split(": ").nth(1).map(str::to_owned)).collect()
}

fn in_order(host: &Host) -> Verdict {
    let [app, mid, zdb] = three(host, "")?;
    let plan = host.done(&["autostart", "--dry-run"])?;
    let order: Vec<&str> = plan.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(order, [&zdb, &mid, &app], "{plan}");

    let told = host.subhostctl(&["autostart"])?;
    assert_eq!(told.code, 0, "{told}");
    assert_eq!(said(&told, ": ready"), [&zdb, &mid, &app].map(String::as_str), "{told}");
    assert!(told.stderr.contains(&format!("{app}: is not kept back for nowhere")), "{told}");
    assert!(host.running(&host.name("not")).is_err());
    let init = host.running(&mid)?.init_pid();
    // A second time there is nothing to do.
    host.done(&["autostart"])?;
    assert_eq!(host.running(&mid)?.init_pid(), init);

    let told = host.subhostctl(&["stop", "--all"])?;
    assert_eq!(told.code, 0, "{told}");
    assert_eq!(said(&told, ": stopped"), [&app, &mid, &zdb].map(String::as_str), "{told}");
    Ok(())
}

fn goes_on(host: &Host) -> Verdict {
    let [app, mid, zdb] = three(host, "BRIDGES=( x:y:z )\n")?;
    // One that cannot be booted, one in a circle, and one that cannot be read.
    host.config(&zdb, &format!("DISKS=( vda:1:/no/such/image )\nAUTOSTART=yes\nAFTER={app}\n"))?;
    let told = host.subhostctl(&["autostart"])?;
    assert_eq!(told.code, 1, "{told}");
    assert!(told.stderr.contains("/no/such/image"), "{told}");
    assert!(told.stderr.contains("which waits for it itself"), "{told}");
    let mut ready = said(&told, ": ready");
    ready.sort();
    assert_eq!(ready, [&app, &mid].map(String::as_str), "{told}");
    host.done(&["stop", "--all"])?;
    Ok(())
}

/// Where the script looks.
const COVERED: [&str; 2] = ["/usr/local/sbin", "/etc/default"];

/// Runs the script as init would, with the program where it looks for it.
fn sysvinit(host: &Host) -> Verdict {
    let [app, mid, zdb] = three(host, "")?;
    for directory in COVERED {
        mount(c"tests", directory, c"tmpfs", MountFlags::empty(), None)?;
    }
    symlink(program::path()?, "/usr/local/sbin/subhostctl")?;
    fs::write(
        "/etc/default/subhost",
        format!("SUBHOST_OPTIONS='--root-dir {}'\n", host.root_dir().display()),
    )?;
    let script = |action: &str| {
        let mut command = Command::new("sh");
        command.arg(scripts().join("subhost.sysvinit")).arg(action).env_clear();
        program::run(command, PATIENCE)
    };
    let told = script("start")?;
    assert!(told.code == 0 && told.stdout.contains("Booting subhosts"), "{told}");
    let inits = [&app, &mid, &zdb].map(|name| host.running(name).map(|guest| guest.init_pid()).ok());
    assert!(inits.iter().all(Option::is_some), "{inits:?}");
    let told = script("status")?;
    assert!(
        told.code == 0 && told.stdout.lines().filter(|line| line.contains("running")).count() == 3,
        "{told}"
    );
    let told = script("restart")?;
    assert_eq!(told.code, 0, "{told}");
    assert_ne!(host.running(&mid)?.init_pid(), inits[1].unwrap_or_default());
    let told = script("stop")?;
    assert_eq!(told.code, 0, "{told}");
    assert!(!host.done(&["list"])?.contains("running"));
    // Once more is no failure, as at a shutdown after a stop.
    assert_eq!(script("stop")?.code, 0);
    assert_eq!(script("nonsense")?.code, 2);
    // The package is removed, and its script is still there.
    fs::remove_file("/usr/local/sbin/subhostctl")?;
    assert_eq!(script("start")?.code, 0);
    for directory in COVERED {
        unmount(directory, UnmountFlags::empty())?;
    }
    Ok(())
}

/// The real tools of sysvinit take it, and run it. What it runs has no loop devices there, nor ids to give away.
fn nested(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::DebianBare)?;
    let name = host.name("deb");
    host.config(&name, &format!("DISKS=( vda:0:{} )\nNESTING=yes\n", image.display()))?;
    let program = program::path()?;
    let script = scripts().join("subhost.sysvinit");
    for (from, to) in [(&program, "/usr/local/sbin/subhostctl"), (&script, "/etc/init.d/subhost")] {
        host.done(&["cp", &from.to_string_lossy(), &format!("{name}:{to}")])?;
    }
    host.done(&["boot", "--detach", &name])?;
    let inside = |script: &str| host.subhostctl(&["exec", &name, "--", "sh", "-c", script]);
    let told = inside("update-rc.d subhost defaults && ls -d /etc/rc2.d/S??subhost /etc/rc0.d/K??subhost")?;
    assert!(told.code == 0 && told.stdout.lines().count() == 2, "{told}");
    let told = inside("invoke-rc.d subhost start")?;
    assert_eq!(told.code, 0, "{told}");

    let config = "DISKS=( vda:0:/dev/null )\\nAUTOSTART=yes\\n";
    let told = inside(&format!("mkdir -pm 700 /opt/sub/in && printf '{config}' >/opt/sub/in/config"))?;
    assert_eq!(told.code, 0, "{told}");
    let told = inside("invoke-rc.d subhost start")?;
    assert!(told.code != 0 && told.stderr.contains("boot in: it did not become ready"), "{told}");
    let told = inside("subhostctl run --overlay / -- true")?;
    assert!(told.code == 125 && told.stderr.contains("make the user namespace"), "{told}");
    assert_eq!(inside("invoke-rc.d subhost stop")?.code, 0);
    host.done(&["stop", &name])?;
    Ok(())
}

/// In a guest with OpenRC, whose own tools read and run it.
fn openrc(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::DebianOpenRc)?;
    let name = host.name("rc");
    host.config(&name, &format!("DISKS=( vda:0:{} )\n", image.display()))?;
    let script = scripts().join("subhost.openrc");
    for (from, to) in [(&program::path()?, "/usr/local/sbin/subhostctl"), (&script, "/etc/init.d/subhost")] {
        host.done(&["cp", &from.to_string_lossy(), &format!("{name}:{to}")])?;
    }
    host.done(&["boot", "--detach", &name])?;
    let inside = |script: &str| host.subhostctl(&["exec", &name, "--", "sh", "-c", script]);
    let told =
        inside("rc-update add subhost default && rc-service subhost start && rc-service subhost status")?;
    assert!(told.code == 0 && told.stdout.contains("Booting subhosts"), "{told}");
    let config = "DISKS=( vda:0:/dev/null )\\nAUTOSTART=yes\\n";
    let told = inside(&format!("mkdir -pm 700 /opt/sub/in && printf '{config}' >/opt/sub/in/config"))?;
    assert_eq!(told.code, 0, "{told}");
    let told = inside("rc-service subhost restart")?;
    let said = format!("{}{}", told.stdout, told.stderr);
    assert!(told.code != 0 && said.contains("Some have not become ready"), "{told}");
    host.done(&["stop", &name])?;
    Ok(())
}

fn sound(host: &Host) -> Verdict {
    let text = |name: &str| scripts().join(name).to_string_lossy().into_owned();
    host.witness("shellcheck", &["-s", "sh", &text("subhost.sysvinit")])?;
    // The variables that openrc-run itself reads are not used in the script.
    host.witness("shellcheck", &["-s", "sh", "-e", "SC2034", &text("subhost.openrc")])?;
    for (unit, instance) in
        [("subhost.service", "subhost.service"), ("subhost@.service", "subhost@web.service")]
    {
        let unit = fs::read_to_string(scripts().join(unit))?;
        // Each command that is called is one.
        for words in
            unit.lines().filter_map(|line| line.strip_prefix("Exec")?.split_once("=/usr/sbin/subhostctl "))
        {
            let words: Vec<&str> =
                words.1.split(' ').map(|word| if word == "%i" { "web" } else { word }).collect();
            host.done(&[&words[..], &["--help"]].concat())?;
        }
        let program = program::path()?.to_string_lossy().into_owned();
        let path = host.directory().join(instance);
        fs::write(&path, unit.replace("/usr/sbin/subhostctl", &program))?;
        let mut verify = Command::new("systemd-analyze");
        let told = program::run(
            {
                verify.args(["verify", "--man=no"]).arg(&path);
                verify
            },
            PATIENCE,
        )?;
        // Of what it does not know it only warns.
        assert!(told.code == 0 && told.stderr.is_empty(), "{told}");
    }
    Ok(())
}
