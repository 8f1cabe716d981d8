//! `go`: a subhost is entered on whatever host it is, through a real sshd.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{self, Outcome, Running};

use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "go_enters_a_subhost_of_another_host_and_one_that_is_here",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: goes,
    },
    Case { name: "go_says_where_it_has_looked_and_never_chooses", needs: &[Need::Program], body: looks },
];

/// Where the other host listens.
const ADDRESS: &str = "10.80.0.1";

/// An sshd that lets root in with one key, and finds this program there.
fn sshd(host: &Host) -> Result<Running, Box<dyn std::error::Error>> {
    let at = |name: &str| host.directory().join(name).display().to_string();
    for key in ["host-key", "key"] {
        host.witness("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &at(key)])?;
    }
    fs::create_dir_all("/run/sshd")?;
    fs::create_dir(at("bin"))?;
    let inner = host.command(&[]);
    let words: Vec<String> = inner.get_args().map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let script =
        format!("#!/bin/sh\nexec '{}' {} \"$@\"\n", inner.get_program().to_string_lossy(), words.join(" "));
    fs::write(at("bin/subhostctl"), script)?;
    fs::set_permissions(at("bin/subhostctl"), PermissionsExt::from_mode(0o755))?;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let settings = format!(
        "ListenAddress {ADDRESS}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\nSetEnv PATH={}:{path}\n",
        at("host-key"),
        at("key.pub"),
        at("bin")
    );
    fs::write(at("sshd_config"), settings)?;
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-e", "-f", &at("sshd_config")]);
    let sshd = Running::start(sshd)?;
    let begin = Instant::now();
    while TcpStream::connect((ADDRESS, 22)).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(20), "sshd does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The client's own settings, in a mount namespace in which nothing of the subhost is seen.
    let known = format!("{ADDRESS} {}", fs::read_to_string(at("host-key.pub"))?);
    fs::write(at("known_hosts"), known)?;
    let client = format!(
        "IdentityFile {}\nUserKnownHostsFile {}\nBatchMode yes\nUser root\nIdentitiesOnly yes\n",
        at("key"),
        at("known_hosts")
    );
    fs::write(at("ssh_config"), client)?;
    Ok(sshd)
}

/// Runs `go` as another host would: with no subhosts of its own.
fn from_afar(host: &Host, terminal: bool, words: &[&str]) -> std::io::Result<Outcome> {
    let empty = host.directory().join("empty");
    fs::create_dir_all(&empty)?;
    let script = "mount --bind \"$0\" /etc/ssh/ssh_config && mount -t tmpfs tmpfs /run && exec \"$@\"";
    let inner = host.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(host.directory().join("ssh_config"));
    let (empty, inventory) =
        (empty.display().to_string(), host.directory().join("inventory").display().to_string());
    let program = inner.get_program().to_string_lossy().into_owned();
    let go = ["--root-dir", &empty, "--subhost-dir", &empty, "go", "--inventory", &inventory];
    if terminal {
        let line: Vec<String> =
            [&[program.as_str()], &go[..], words].concat().iter().map(|word| format!("'{word}'")).collect();
        command.args(["script", "-q", "-e", "-c", &line.join(" "), "/dev/null"]);
    } else {
        command.arg(program).args(go).args(words);
    }
    program::run(command, Duration::from_secs(60))
}

fn goes(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    boot(host, &name)?;
    let sshd = sshd(host)?;
    fs::write(
        host.directory().join("inventory"),
        format!("# one host\n{ADDRESS}: other {name}\nnowhere: none\n"),
    )?;
    let odd = ["it's", "$HOME `id` \"a  b\"", "*", "a\nb", ""];
    let show = [
        "sh",
        "-c",
        "for word in \"$0\" \"$@\"; do printf '<%s>' \"$word\"; done; cat /proc/sys/kernel/hostname",
    ];
    let outcome = from_afar(host, false, &[&[name.as_str()], &show[..], &odd].concat())?;
    let expected: String = odd.iter().map(|word| format!("<{word}>")).collect();
    assert_eq!((outcome.code, outcome.stdout), (0, format!("{expected}{name}\n")), "{}", outcome.stderr);
    // Its options are not ours, with or without `--`.
    let outcome = from_afar(host, false, &[&name, "--", "sh", "-c", "echo out; echo err >&2; exit 7"])?;
    assert_eq!((outcome.code, &*outcome.stdout), (7, "out\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("err"), "{}", outcome.stderr);
    let terminal = from_afar(host, true, &[&name, "sh", "-c", "test -t 0 && test -t 1 && echo a terminal"])?;
    assert!(terminal.code == 0 && terminal.stdout.contains("a terminal"), "{terminal}");
    // Here it needs neither ssh nor an inventory.
    let here = host.done(&["go", &name, "cat", "/proc/sys/kernel/hostname"])?;
    assert_eq!(here, format!("{name}\n"));
    let not_running = from_afar(host, false, &["other", "true"])?;
    assert!(not_running.code == 125 && not_running.stderr.contains("other: does not run"), "{not_running}");
    // On both.
    let inventory = host.directory().join("inventory").display().to_string();
    let outcome = host.subhostctl(&["go", "--inventory", &inventory, &name, "true"])?;
    assert_eq!(outcome.code, 125, "{outcome}");
    assert!(outcome.stderr.contains(&format!("this host, {ADDRESS}")), "{outcome}");
    host.done(&["stop", &name])?;
    drop(sshd);
    let gone = from_afar(host, false, &[&name, "true"])?;
    assert_eq!(gone.code, 255, "{gone}");
    Ok(())
}

fn looks(host: &Host) -> Verdict {
    let inventory = host.directory().join("inventory");
    let go = |text: &str, name: &str| {
        fs::write(&inventory, text)?;
        host.subhostctl(&["go", "--inventory", &inventory.to_string_lossy(), name, "true"])
    };
    for (text, words) in [
        ("one: a\ntwo: b\n", "none of these hosts: this host, one, two"),
        ("one: web\ntwo: web\n", "more than one host: one, two"),
        ("-oProxyCommand=reboot: web\n", "line 1: host \"-oProxyCommand=reboot\": begins with '-'"),
        ("one: a\n{\"host\": \"-v\", \"names\": [\"web\"]}\n", "line 2: host \"-v\": begins with '-'"),
        ("one: a\nnonsense\n", "line 2: does not begin with `HOST:`"),
    ] {
        let outcome = go(text, "web")?;
        assert!(outcome.code == 125 && outcome.stderr.contains(words), "{text}: {outcome}");
    }
    let outcome = host.subhostctl(&["go", "--inventory", "/nowhere", "web"])?;
    assert!(outcome.code == 125 && outcome.stderr.contains("/nowhere"), "{outcome}");
    let outcome = go("one: web\n", "-oProxyCommand=x")?;
    assert_eq!(outcome.code, 2, "{outcome}");
    Ok(())
}
