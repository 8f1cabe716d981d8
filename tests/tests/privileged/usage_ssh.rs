//! Samples of several hosts, by a real sshd on this one.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{self, Running};

use crate::joining::Scripted;
use crate::logs::{PATIENCE, eventually};
use crate::usage_store::{report, text};
use crate::usage_witness::{Result, machine, row, usage};

pub(crate) const CASES: &[Case] = &[Case {
    name: "other_hosts_are_sampled_by_ssh",
    needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
    body: by_ssh,
}];

/// An sshd of this host alone, with its keys in a directory.
fn sshd(host: &Host) -> Result<(Running, PathBuf)> {
    let directory = host.directory().join("ssh");
    fs::create_dir(&directory)?;
    fs::create_dir_all("/run/sshd")?;
    for key in ["host", "client"] {
        host.witness("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &text(&directory.join(key))])?;
    }
    let path = directory.display();
    symlink(program::path()?, directory.join("subhostctl"))?;
    let config = format!(
        "Port 2222\nListenAddress 127.0.0.1\nHostKey {path}/host\nAuthorizedKeysFile {path}/client.pub\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n\
         SetEnv PATH={path}:/usr/sbin:/usr/bin:/sbin:/bin\n"
    );
    fs::write(directory.join("sshd_config"), config)?;
    // ssh reads no HOME, but the configuration of the system, which is this one here alone.
    let config = format!(
        "Host alpha beta\n HostName 127.0.0.1\n Port 2222\n IdentityFile {path}/client\n IdentitiesOnly yes\n \
         StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n\
         Host nobody\n HostName 127.0.0.1\n Port 2223\n"
    );
    fs::write(directory.join("ssh_config"), config)?;
    host.witness("mount", &["--bind", &text(&directory.join("ssh_config")), "/etc/ssh/ssh_config"])?;
    let mut daemon = Command::new("/usr/sbin/sshd");
    daemon.args(["-D", "-e", "-f", &text(&directory.join("sshd_config"))]);
    let daemon = Running::start(daemon)?;
    eventually("sshd listens", || Ok(TcpStream::connect("127.0.0.1:2222").is_ok()))?;
    Ok((daemon, directory))
}

fn by_ssh(host: &Host) -> Verdict {
    let (mut daemon, directory) = sshd(host)?;
    let store = host.directory().join("store");
    let mut vm = machine(host, &host.name("vm"))?;
    let hosts = ["--host", "root@alpha", "--host", "beta", "--local"];
    let place = text(&store);
    let words = [&["collect", "--every", "1", "--count", "2", "--store", &*place], &hosts[..]].concat();
    let outcome = host.subhostctl(&words)?;
    assert_eq!((outcome.code, &*outcome.stderr), (0, ""), "{outcome}");
    let all = report(host, &store)?;
    let own = host.witness("uname", &["-n"])?.trim().to_owned();
    let names: Vec<&Value> =
        all["hosts"].as_array().into_iter().flatten().map(|host| &host["host"]).collect();
    let mut expected = ["alpha", "beta", &own];
    expected.sort_unstable();
    assert_eq!(names, expected, "{all:#}");
    assert!(
        all["hosts"].as_array().is_some_and(|hosts| hosts.iter().all(|host| host["samples"] == 2)),
        "{all:#}"
    );
    // It is the same machine, whichever way one comes.
    let accounts: Vec<&Value> =
        all["accounts"].as_array().into_iter().flatten().filter(|it| it["kind"] == "vm").collect();
    assert_eq!(accounts.len(), 3, "{all:#}");
    row(&usage(host, &[])?, "vm", &host.name("vm"))?;
    vm.run(":")?;
    vm.end()?;

    // Which host has what, for `go`; what is said of one that is not asked stays.
    let guest = Scripted::start(host, &host.copy_of(Fixture::TinyTree)?, "")?;
    let inventory = text(&host.directory().join("inventory"));
    fs::write(&inventory, "gamma: kept\nbeta: gone\n")?;
    let words = ["collect", "--count", "1", "--store", &*place, "--inventory", &*inventory];
    let outcome = host.subhostctl(&[&words[..], &hosts[..]].concat())?;
    assert_eq!((outcome.code, &*outcome.stderr), (0, ""), "{outcome}");
    let name = host.name("join");
    let expected = format!("gamma: kept\nbeta: {name}\nroot@alpha: {name}\n{own}: {name}\n");
    let kept = fs::read_to_string(&inventory)?;
    assert_eq!(kept.lines().skip(1).collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>());
    guest.finish(host)?;

    // One that does not answer, or answers nonsense, is told, and the others go on.
    fs::remove_file(directory.join("subhostctl"))?;
    fs::write(directory.join("subhostctl"), "#!/bin/sh\necho '{\"rows\": 5}'\n")?;
    fs::set_permissions(directory.join("subhostctl"), PermissionsExt::from_mode(0o755))?;
    let words = [
        "collect",
        "--count",
        "1",
        "--store",
        &text(&store),
        "--host",
        "nobody",
        "--host",
        "beta",
        "--local",
    ];
    let outcome = host.subhostctl(&words)?;
    assert_eq!(outcome.code, 1, "{outcome}");
    for what in
        ["take a sample of nobody: ssh: ", "take a sample of beta: what it has answered is not a sample"]
    {
        assert!(outcome.stderr.contains(what), "{outcome}");
    }
    let all = report(host, &store)?;
    let count = |name: &str| {
        let hosts = all["hosts"].as_array().into_iter().flatten();
        hosts.filter(|host| host["host"] == name).map(|host| host["samples"].clone()).next()
    };
    assert_eq!((count("beta"), count(&own)), (Some(3.into()), Some(4.into())), "{all:#}");
    for host_name in ["-oProxyCommand=touch${IFS}/run/harm", "root@-oX", "a;b", "$(id)"] {
        let outcome = host.subhostctl(&["collect", "--count", "1", &format!("--host={host_name}")])?;
        assert_eq!(outcome.code, 2, "{outcome}");
    }
    assert!(!Path::new("/run/harm").exists());
    for twice in [["--host=a", "--host=root@a"], ["--local", &format!("--host={own}")]] {
        let outcome = host.subhostctl(&[&["collect", "--count", "1"], &twice[..]].concat())?;
        assert!(outcome.code == 2 && outcome.stderr.contains("is asked twice"), "{outcome}");
    }
    daemon.terminate()?;
    daemon.finish(PATIENCE)?;
    host.witness("umount", &["/etc/ssh/ssh_config"])?;
    fs::remove_dir("/run/sshd")?;
    Ok(())
}
