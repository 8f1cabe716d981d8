//! What the console has said, on disk: kept, bounded, shown safely, and no reason for the guest to wait.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;

use crate::boot;
use crate::initctl::booted_again;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_console_is_kept_and_shown_safely_and_survives_the_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: kept,
    },
    Case {
        name: "a_log_stays_below_its_size_whatever_a_guest_says",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: bounded,
    },
    Case {
        name: "a_guest_that_floods_its_console_costs_its_supervisor_no_memory",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: flood,
    },
    Case {
        name: "a_full_disk_of_the_log_does_not_stop_the_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: full,
    },
    Case {
        name: "a_log_is_followed_over_a_reboot",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: followed,
    },
    Case {
        name: "a_log_that_is_a_link_is_not_written",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: link,
    },
];

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A subhost of the tiny image with more lines in its configuration; it runs when this comes back.
pub(crate) fn tiny(host: &Host, more: &str) -> Result<(String, Guest), Box<dyn std::error::Error>> {
    let name = host.name("tiny");
    let image = host.copy_of(Fixture::TinyMbr)?;
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{more}\n", image.display()))?;
    let guest = boot(host, &name)?;
    Ok((name, guest))
}

/// Waits until something is so; what it is is said where it does not become so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() >= deadline {
            return Err(io::Error::other(format!("not so after {PATIENCE:?}: {what}")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Has a command inside write to the console.
pub(crate) fn say(host: &Host, name: &str, script: &str) -> io::Result<()> {
    host.done(&["enter", name, "--", "sh", "-c", &format!("({script}) >/dev/console")]).map(drop)
}

pub(crate) fn log(name: &str) -> PathBuf {
    Path::new("/var/log/subhost").join(format!("{name}.log"))
}

/// Waits until the log has this.
pub(crate) fn logged(name: &str, text: &str) -> io::Result<()> {
    shows(&log(name), text)
}

/// Starts the program with a file as its standard output and nothing on its standard input.
pub(crate) fn into_file(host: &Host, args: &[&str], file: &Path) -> io::Result<std::process::Child> {
    host.command(args).stdin(Stdio::null()).stdout(fs::File::create(file)?).spawn()
}

/// Waits until a file has this.
pub(crate) fn shows(file: &Path, text: &str) -> io::Result<()> {
    eventually(&format!("{text:?} in {}", file.display()), || {
        Ok(String::from_utf8_lossy(&fs::read(file)?).contains(text))
    })
}

fn kept(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "")?;
    say(host, &name, "printf 'plain\\n\\033[2Jcleared\\n\\303\\251 \\233 end\\n'")?;
    logged(&name, "end\r\n")?;
    host.done(&["stop", &name])?;
    let mode = |path: &Path| fs::metadata(path).map(|meta| meta.permissions().mode() & 0o7777);
    assert_eq!((mode(&log(&name))?, mode(Path::new("/var/log/subhost"))?), (0o600, 0o700));
    let safe = host.done(&["logs", "-n", "3", &name])?;
    assert_eq!(safe, "plain\n\u{fffd}[2Jcleared\n\u{e9} \u{fffd} end\n");
    let raw = host.done(&["logs", "--raw", "-n", "2", &name])?;
    assert!(raw.starts_with("\u{1b}[2Jcleared\r\n"), "{raw:?}");
    let json = host.done(&["--json", "logs", "-n", "3", &name])?;
    assert!(!json.contains('\u{1b}') && json.lines().count() == 3, "{json}");
    let line: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap_or_default())?;
    assert_eq!(line, serde_json::json!({ "version": 1, "text": "\u{1b}[2Jcleared", "complete": true }));
    let outcome = host.subhostctl(&["--json", "logs", "--raw", &name])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    assert!(outcome.stderr.contains("--json and --raw exclude each other"), "{outcome}");
    // The next run goes on behind it.
    boot(host, &name)?;
    say(host, &name, "echo second run")?;
    logged(&name, "second run")?;
    let all = host.done(&["logs", &name])?;
    assert!(all.contains("plain\n") && all.ends_with("second run\n"), "{all}");
    host.done(&["stop", &name])?;
    let outcome = host.subhostctl(&["logs", &host.name("nobody")])?;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome}");
    Ok(())
}

/// Memory that a process has written and that is no part of a file, in KiB. Pages of the program, which the loader has written,
/// come and go as others share them.
pub(crate) fn kept_kib(pid: u64) -> io::Result<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let (mut is_kept, mut sum) = (false, 0);
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Private_Dirty:", kib, _] if is_kept => sum += kib.parse::<u64>().map_err(io::Error::other)?,
            // Addresses, rights, offset, device and inode.
            [addresses, _, _, _, inode, ..] if addresses.contains('-') => is_kept = inode == "0",
            _ => {}
        }
    }
    Ok(sum)
}

/// Row T2 of docs/security.md.
fn flood(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "LOG_SIZE=64K")?;
    let supervisor = guest.field("supervisor_pid").as_u64().ok_or("no supervisor")?;
    let before = kept_kib(supervisor)?;
    // A viewer that never reads, too.
    let _viewer = crate::console::silent_viewer(&name)?;
    say(
        host,
        &name,
        "dd if=/dev/zero bs=64k count=512 2>/dev/null | tr '\\000' x; echo; echo the end of it",
    )?;
    logged(&name, "the end of it")?;
    let after = kept_kib(supervisor)?;
    eprintln!(
        "figure: 32 MiB said; private memory of the supervisor {before} KiB before, {after} KiB behind it"
    );
    assert!(after < before + 256, "{before} KiB before, {after} KiB behind it");
    host.done(&["exec", &name, "--", "true"])?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn bounded(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "LOG_SIZE=8K")?;
    say(host, &name, "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i + 1)); done")?;
    logged(&name, "line 2999\r\n")?;
    let older = log(&name).with_extension("log.1");
    let sizes = [fs::metadata(log(&name))?.len(), fs::metadata(older)?.len()];
    assert!(sizes.iter().all(|size| *size <= 4096), "{sizes:?}");
    let text = host.done(&["logs", &name])?;
    let numbers: Vec<u32> =
        text.lines().skip(1).filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    assert!(numbers.len() > 300 && numbers.last() == Some(&2999), "{text}");
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{text}");
    host.done(&["stop", &name])?;
    Ok(())
}

/// A tmpfs takes the place of a small disk.
fn full(host: &Host) -> Verdict {
    fs::create_dir("/var/log/subhost")?;
    host.witness("mount", &["-t", "tmpfs", "-o", "size=64k,mode=700", "small", "/var/log/subhost"])?;
    let (name, _guest) = tiny(host, "LOG_SIZE=1M")?;
    say(host, &name, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done")?;
    let free = fs::write("/var/log/subhost/filler", [0; 4096]).map_err(|error| error.kind());
    assert_eq!(free, Err(io::ErrorKind::StorageFull));
    // The guest is as before, and so is its supervisor.
    assert_eq!(host.done(&["enter", &name, "--", "echo", "there"])?, "there\n");
    host.running(&name)?.supervisor()?;
    host.witness("mount", &["-o", "remount,size=4m", "/var/log/subhost"])?;
    say(host, &name, "echo there is room again")?;
    logged(&name, "there is room again")?;
    let text = host.done(&["logs", &name])?;
    assert!(text.contains(" bytes could not be written here]\n"), "{}", &text[text.len() - 200..]);
    host.done(&["stop", &name])?;
    host.witness("umount", &["/var/log/subhost"])?;
    fs::remove_dir("/var/log/subhost")?;
    Ok(())
}

fn followed(host: &Host) -> Verdict {
    let (name, first) = tiny(host, "")?;
    say(host, &name, "echo before")?;
    logged(&name, "before")?;
    let shown = host.directory().join("shown");
    let mut follower = into_file(host, &["logs", "-f", "-n", "1", &name], &shown)?;
    say(host, &name, "echo of the first run")?;
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    booted_again(host, &name, &first)?;
    say(host, &name, "echo of the second run")?;
    host.done(&["stop", &name])?;
    shows(&shown, "of the second run\n")?;
    assert!(follower.try_wait()?.is_none(), "it goes on until it is ended");
    follower.kill()?;
    follower.wait()?;
    let text = fs::read_to_string(&shown)?;
    assert!(text.starts_with("before\n"), "{text}");
    assert!(text.find("of the first run\n") < text.find("of the second run\n"), "{text}");
    Ok(())
}

fn link(host: &Host) -> Verdict {
    let target = host.directory().join("target");
    fs::write(&target, "")?;
    fs::create_dir("/var/log/subhost")?;
    fs::set_permissions("/var/log/subhost", PermissionsExt::from_mode(0o700))?;
    let name = host.name("tiny");
    std::os::unix::fs::symlink(&target, log(&name))?;
    let (name, _guest) = tiny(host, "")?;
    say(host, &name, "echo nothing of this")?;
    host.done(&["stop", &name])?;
    assert_eq!(fs::read_to_string(&target)?, "");
    // Nor is anything written where others may put things.
    fs::set_permissions("/var/log/subhost", PermissionsExt::from_mode(0o777))?;
    fs::remove_file(log(&name))?;
    boot(host, &name)?;
    say(host, &name, "echo nothing of this")?;
    host.done(&["stop", &name])?;
    assert!(!log(&name).exists());
    Ok(())
}
