//! What is used, on the real kernel: by subhosts, with cgroups and without, and by the host.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program;

use crate::adopt::{kill_supervisor, last_event};
use crate::limits::hierarchies;
use crate::linger::Started;
use crate::logs::{eventually, tiny};
use crate::usage_witness::{Result, Shell, cgroup_cpu, prometheus, real, row, usage, whole};
use crate::{BRIDGE, MAC, address, bridge};

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "usage_of_a_subhost_is_what_the_kernel_has_counted", needs: NEEDS, body: counted },
    Case { name: "usage_without_cgroups_is_that_of_the_processes", needs: NEEDS, body: uncounted },
    Case {
        name: "usage_with_cgroups_of_version_1_alone_is_theirs_and_the_processes",
        needs: NEEDS,
        body: legacy,
    },
    Case { name: "usage_with_limits_is_that_of_their_cgroups", needs: NEEDS, body: limited },
    Case { name: "usage_of_the_host_is_what_others_say", needs: &[Need::Program], body: whole_host },
    Case { name: "the_last_figures_of_a_subhost_outlive_it", needs: NEEDS, body: ended },
    Case {
        name: "the_last_figures_of_what_was_started_or_run_by_name_outlive_it",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: commands_ended,
    },
    Case { name: "top_gives_the_terminal_back_as_it_was", needs: &[Need::Program], body: top },
];

/// A subhost with a cable.
fn cabled(host: &Host, more: &str) -> Result<String> {
    bridge(host)?;
    Ok(tiny(host, &format!("BRIDGES=( {BRIDGE}:{MAC} )\n{more}"))?.0)
}

fn counted(host: &Host) -> Verdict {
    let name = cabled(host, "")?;
    let mut shell = Shell::inside(host, &name)?;
    let look = || row(&usage(host, &[])?, "subhost", &name);
    let (begun, least) = (look()?, cgroup_cpu(&name)?);
    let burnt = shell.burn(60)?;
    let before = cgroup_cpu(&name)?;
    let shown = look()?;
    let after = cgroup_cpu(&name)?;
    assert_eq!(shown["source"], "cgroup");
    let cpu = real(&shown, "cpu_seconds");
    assert!(
        before <= cpu && cpu <= after && cpu - least >= burnt - 0.05,
        "{least} {before} {cpu} {after} {burnt}"
    );
    assert_eq!(begun["id"], shown["id"]);
    let pressure = crate::limits::value(&name, &["cpu.pressure"]).ok();
    assert_eq!(shown["cpu_pressure_seconds"].is_null(), pressure.is_none());

    // Memory that nobody else has, and processes.
    let memory = real(&shown, "memory_bytes");
    shell.run("text=$(head -c 30000000 /dev/zero | tr '\\0' x)")?;
    let more = look()?;
    assert!(real(&more, "memory_bytes") - memory >= 25e6, "{shown:#} {more:#}");
    let namespace = fs::read_link(format!("/proc/{}/ns/pid", host.running(&name)?.init_pid()))?;
    let namespace = namespace.to_string_lossy().replace(|c: char| !c.is_ascii_digit(), "");
    let listed = host.witness("ps", &["-e", "-o", "pidns="])?;
    let count = listed.lines().filter(|line| line.trim() == namespace).count();
    assert_eq!(whole(&more, "processes"), u64::try_from(count)?, "{listed}");

    // What a process inside has written, and what of its children it knows.
    shell.run("dd if=/dev/zero of=/written bs=65536 count=16 conv=fsync 2>/dev/null")?;
    let written = look()?;
    assert!(whole(&written, "written_bytes") - whole(&more, "written_bytes") >= 16 << 16, "{written:#}");

    // What the guest has got is what the host's end has sent.
    let counters = || -> Result<(u64, u64)> {
        let links: Value = serde_json::from_str(
            &host.witness("ip", &["-s", "-j", "link", "show", "dev", &format!("{name}0")])?,
        )?;
        let bytes = |way: &str| links[0]["stats64"][way]["bytes"].as_u64().ok_or("no counter");
        Ok((bytes("tx")?, bytes("rx")?))
    };
    let page = subhost_tests::wire::page(address(80), crate::logs::PATIENCE)?;
    assert!(!page.is_empty());
    let (least, shown, most) = (counters()?, look()?, counters()?);
    let got = (whole(&shown, "received_bytes"), whole(&shown, "sent_bytes"));
    assert!(
        least.0 <= got.0 && got.0 <= most.0 && least.1 <= got.1 && got.1 <= most.1,
        "{least:?} {got:?} {most:?}"
    );
    assert!(got.0 > 0 && got.1 > 0);
    shell.end()?;
    host.done(&["stop", &name])?;
    let gone = usage(host, &[])?;
    assert!(row(&gone, "subhost", &name).is_err(), "{gone:#}");
    Ok(())
}

/// Puts these cgroups out of reach, and sees to it that those of version 2 cannot be mounted anew.
fn hide(host: &Host, places: &[PathBuf]) -> Result<()> {
    for place in places {
        host.witness("mount", &["-t", "tmpfs", "none", &place.to_string_lossy()])?;
    }
    fs::DirBuilder::new().mode(0o700).create("/run/subhost")?;
    Ok(fs::write("/run/subhost/cgroup", "")?)
}

fn show(host: &Host, places: &[PathBuf]) -> Result<()> {
    for place in places {
        host.witness("umount", &[&place.to_string_lossy()])?;
    }
    Ok(fs::remove_file("/run/subhost/cgroup")?)
}

fn uncounted(host: &Host) -> Verdict {
    let places: Vec<PathBuf> = hierarchies()?.into_iter().collect();
    hide(host, &places)?;
    let name = cabled(host, "")?;
    let mut shell = Shell::inside(host, &name)?;
    let begun = row(&usage(host, &[])?, "subhost", &name)?;
    let burnt = shell.burn(60)?;
    let shown = row(&usage(host, &[])?, "subhost", &name)?;
    assert_eq!((&shown["source"], &shown["cpu_pressure_percent"]), (&"processes".into(), &Value::Null));
    let (least, most) = (real(&begun, "cpu_seconds"), real(&shown, "cpu_seconds"));
    assert!(most - least >= burnt - 0.05, "{least} {most} {burnt}");
    // The same as ps adds it up, while the shell stands still.
    host.witness("kill", &["-STOP", &shell_inside(host, &name)?])?;
    let (least, _) = ps_seconds(host, &name)?;
    let still = real(&row(&usage(host, &[])?, "subhost", &name)?, "cpu_seconds");
    let (listed, processes) = ps_seconds(host, &name)?;
    assert!(least <= still + 0.02 && still < listed + processes, "{least} {still} {listed} {processes}");
    host.witness("kill", &["-CONT", &shell_inside(host, &name)?])?;
    shell.end()?;
    let running = row(&usage(host, &[])?, "subhost", &name)?;
    host.done(&["stop", &name])?;
    let event = last_event(host, &name, "ended")?;
    let used = &event["usage"];
    // PID 1 has started what runs at a start, and it has heard of the end of that.
    assert_eq!((&used["by_cgroup"], &used["id"]), (&false.into(), &running["id"]), "{used:#}");
    assert!(whole(used, "read_bytes") > 0, "{used:#}");
    show(host, &places)
}

fn legacy(host: &Host) -> Verdict {
    let is_unified = |place: &PathBuf| place.join("cgroup.controllers").exists();
    let places: Vec<PathBuf> = hierarchies()?.into_iter().filter(is_unified).collect();
    hide(host, &places)?;
    let name = cabled(host, "MEMORY=100M")?;
    let mut shell = Shell::inside(host, &name)?;
    let begun = row(&usage(host, &[])?, "subhost", &name)?;
    shell.run("text=$(head -c 20000000 /dev/zero | tr '\\0' x)")?;
    let burnt = shell.burn(30)?;
    let shown = row(&usage(host, &[])?, "subhost", &name)?;
    // The cgroup that MEMORY made knows of memory alone.
    let counted = crate::limits::value(&name, &["memory.max_usage_in_bytes"]);
    assert_eq!(shown["memory_peak_bytes"].is_null(), counted.is_err(), "{shown:#}");
    if let Ok(counted) = counted {
        let (shown, counted) = (whole(&shown, "memory_peak_bytes"), counted.parse::<u64>()?);
        assert!(20_000_000 <= shown && shown <= counted, "{shown} {counted}");
    }
    assert!(whole(&shown, "memory_bytes") >= 20_000_000, "{shown:#}");
    assert_eq!(shown["source"], "processes");
    let worked = real(&shown, "cpu_seconds") - real(&begun, "cpu_seconds");
    assert!(worked >= burnt - 0.05, "{worked} {burnt}");
    shell.end()?;
    host.done(&["stop", &name])?;
    show(host, &places)
}

/// The host's number of the shell that was entered last.
fn shell_inside(host: &Host, name: &str) -> Result<String> {
    let namespace = fs::read_link(format!("/proc/{}/ns/pid", host.running(name)?.init_pid()))?;
    let namespace = namespace.to_string_lossy().replace(|c: char| !c.is_ascii_digit(), "");
    let listed = host.witness("ps", &["-e", "-o", "pidns=,pid=,comm="])?;
    let mut shells = listed.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.len() == 3 && words[0] == namespace && words[2] == "sh").then(|| words[1].to_owned())
    });
    Ok(shells.next_back().ok_or("no shell inside")?)
}

/// What ps says that the processes of a subhost have worked, with those whose end they have heard of, in whole seconds of each; and
/// how many there are.
fn ps_seconds(host: &Host, name: &str) -> Result<(f64, f64)> {
    let namespace = fs::read_link(format!("/proc/{}/ns/pid", host.running(name)?.init_pid()))?;
    let namespace = namespace.to_string_lossy().replace(|c: char| !c.is_ascii_digit(), "");
    let listed = host.witness("ps", &["-e", "S", "-o", "pidns=,times="])?;
    let seconds = listed.lines().filter_map(|line| {
        let (pidns, seconds) = line.trim().split_once(' ')?;
        (pidns == namespace).then(|| seconds.trim().parse::<f64>().ok())?
    });
    Ok(seconds.fold((0.0, 0.0), |(sum, count), seconds| (sum + seconds, count + 1.0)))
}

fn limited(host: &Host) -> Verdict {
    let name = cabled(host, "MEMORY=200M")?;
    let mut shell = Shell::inside(host, &name)?;
    shell.run("text=$(head -c 30000000 /dev/zero | tr '\\0' x)")?;
    let kernel =
        |files: &[&str]| Ok::<u64, Box<dyn std::error::Error>>(crate::limits::value(&name, files)?.parse()?);
    let peak = || kernel(&["memory.peak", "memory.max_usage_in_bytes"]);
    let (least, shown, most) = (peak()?, row(&usage(host, &[])?, "subhost", &name)?, peak()?);
    let shown = (whole(&shown, "memory_peak_bytes"), whole(&shown, "memory_bytes"));
    assert!(least <= shown.0 && shown.0 <= most && least >= 30_000_000, "{least} {shown:?} {most}");
    // What the guest does meanwhile is little.
    let now = kernel(&["memory.current", "memory.usage_in_bytes"])?;
    assert!(now.abs_diff(shown.1) < 8 << 20, "{now} {shown:?}");
    shell.end()?;
    let peak = peak()?;
    host.done(&["stop", &name])?;
    let used = last_event(host, &name, "ended")?;
    assert!(whole(&used["usage"], "memory_peak_bytes") >= peak, "{used:#}");
    Ok(())
}

fn whole_host(host: &Host) -> Verdict {
    let ticks = || -> Result<f64> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().ok_or("empty")?;
        let fields: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        Ok((fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / 100.0)
    };
    let (least, sample, most) = (ticks()?, usage(host, &[])?, ticks()?);
    let name = host.witness("uname", &["-n"])?.trim().to_owned();
    let shown = row(&sample, "host", &name)?;
    let cpu = real(&shown, "cpu_seconds");
    assert!(least - 0.01 <= cpu && cpu <= most + 0.01, "{least} {cpu} {most}");
    assert_eq!(sample["host"], *name);
    assert_eq!(sample["boot_id"], fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim());
    assert_eq!(sample["processors"].to_string(), host.witness("nproc", &["--all"])?.trim());
    let total = fs::read_to_string("/proc/meminfo")?;
    let total: u64 = total.split_whitespace().nth(1).ok_or("no memory")?.parse()?;
    assert!((1..=total * 1024).contains(&whole(&shown, "memory_bytes")), "{shown:#}");
    // All formats tell the same, and the rest is the difference.
    let metrics = prometheus(&host.done(&["usage", "--format", "prometheus"])?)?;
    assert!(metrics.iter().any(|(metric, labels, _)| {
        metric == "subhost_cpu_seconds_total"
            && labels[..]
                == [("host", &*name), ("kind", "host"), ("name", &*name)]
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    }));
    let rest = row(&sample, "rest", "rest")?;
    assert_eq!(real(&rest, "cpu_seconds"), cpu);
    // Again and again, with shares of the time between; its end is that of who reads it.
    let line = format!(
        "{} usage --watch 1 --json | head -n 2; echo ${{PIPESTATUS[*]}}",
        program::path().map_err(io::Error::other)?.display()
    );
    let lines = host.witness("bash", &["-c", &line])?;
    let samples: Vec<&str> = lines.lines().collect();
    assert_eq!((samples.len(), samples[2]), (3, "0 0"), "{lines}");
    let (first, second): (Value, Value) =
        (serde_json::from_str(samples[0])?, serde_json::from_str(samples[1])?);
    assert_eq!(first["interval_seconds"], Value::Null);
    let (interval, share) = (real(&second, "interval_seconds"), real(&second["rows"][0], "cpu_share"));
    let worked = real(&second["rows"][0], "cpu_seconds") - real(&first["rows"][0], "cpu_seconds");
    let expected = worked / interval / real(&second, "processors");
    assert!((share - expected).abs() < 1e-9, "{share} {expected}");
    for words in
        [&["usage", "--json", "--format", "tsv"][..], &["usage", "--ended", "--format", "prometheus"]]
    {
        assert_eq!(host.subhostctl(words)?.code, 2);
    }
    Ok(())
}

fn ended(host: &Host) -> Verdict {
    let name = cabled(host, "")?;
    let mut shell = Shell::inside(host, &name)?;
    let burnt = shell.burn(40)?;
    subhost_tests::wire::page(address(80), crate::logs::PATIENCE)?;
    shell.end()?;
    let running = row(&usage(host, &[])?, "subhost", &name)?;
    let least = cgroup_cpu(&name)?;
    host.done(&["stop", &name])?;
    let event = last_event(host, &name, "ended")?;
    let used = &event["usage"];
    assert!(real(used, "cpu_seconds") >= least && least >= burnt - 0.05, "{used:#} {least} {burnt}");
    assert_eq!(used["id"], running["id"]);
    assert!(whole(used, "received_bytes") >= whole(&running, "received_bytes"), "{used:#}");
    assert!(whole(used, "written_bytes") >= whole(&running, "written_bytes"), "{used:#} {running:#}");
    let status: Value = serde_json::from_str(&host.done(&["--json", "status", &name])?)?;
    assert_eq!(status["last_end"]["usage"], *used);
    assert!(host.done(&["status", &name])?.contains(" s of processor time"));
    let kept = row(&usage(host, &["--ended"])?, "subhost", &name)?;
    assert_eq!((&kept["cpu_seconds"], &kept["ended"]), (&used["cpu_seconds"], &event["time"]));
    assert!(host.done(&["usage", "--ended"])?.contains(&name));
    let time = event["time"].as_str().ok_or("no time")?;
    // Not since it has ended.
    assert!(row(&usage(host, &["--ended", "--since", time])?, "subhost", &name).is_err());
    assert!(row(&usage(host, &["--since", "1h"])?, "subhost", &name).is_ok());

    // Nobody was there to see it: the cgroup still knows.
    let guest = crate::boot(host, &name)?;
    kill_supervisor(&guest)?;
    let least = cgroup_cpu(&name)?;
    guest.signal_init(rustix::process::Signal::KILL)?;
    assert!(guest.ends(crate::logs::PATIENCE)?);
    host.done(&["recover", &name])?;
    let event = last_event(host, &name, "ended")?;
    assert_eq!(event["cause"], "unknown");
    assert!(real(&event["usage"], "cpu_seconds") >= least, "{event:#}");
    Ok(())
}

fn commands_ended(host: &Host) -> Verdict {
    bridge(host)?;
    let started = Started::new(host, "fig", "")?.with_tree()?;
    let named = host.name("once");
    let tree = started.directory().join("root").display().to_string();
    let burn = "i=0; while [ $i -lt 40000 ]; do i=$((i + 1)); done; cat /proc/$$/stat; exit 3";
    let words = ["--", "sh", "-c", burn];
    for (name, head) in [
        (&started.name, vec!["start", &started.name]),
        (&named, vec!["run", "--name", &named, "--root", &tree]),
    ] {
        let outcome = host.subhostctl(&[&head[..], &words].concat())?;
        assert_eq!(outcome.code, 3, "{outcome}");
        // utime and stime, in hundredths of a second.
        let ticks: f64 =
            outcome.stdout.split(' ').skip(13).take(2).filter_map(|it| it.parse::<f64>().ok()).sum();
        let begun = last_event(host, name, "boot")?;
        let event = last_event(host, name, "ended")?;
        assert_eq!((&event["cause"], &event["status"]), (&"exit".into(), &3.into()), "{event:#}");
        assert_eq!(begun["init_pid"], event["init_pid"]);
        assert!(ticks > 0.0 && real(&event["usage"], "cpu_seconds") >= ticks / 100.0, "{event:#} {ticks}");
        assert_eq!(row(&usage(host, &["--ended"])?, "subhost", name)?["ended"], event["time"]);
    }
    let lingering: Value = serde_json::from_str(&host.done(&["--json", "status", &started.name])?)?;
    assert_eq!((&lingering["state"], &lingering["last_end"]["status"]), (&"lingering".into(), &3.into()));
    // A command without a name of its own is no subhost that anybody would ask for.
    let before = host.done(&["events"])?;
    host.done(&["run", "--root", &tree, "--", "true"])?;
    assert_eq!(host.done(&["events"])?, before);
    started.stop()
}

fn top(host: &Host) -> Verdict {
    let program = program::path().map_err(io::Error::other)?;
    let refused = host.subhostctl(&["top"])?;
    assert!(refused.code == 2 && refused.stderr.contains("usage --watch"), "{refused}");
    let shown = host.directory().join("shown");
    // Once by a key, once by the key that is a signal elsewhere, once by a signal.
    for end in ["printf q", "printf '\\003'", "kill $(cat pid)"] {
        let line = format!(
            "stty rows 5 cols 40; stty -g >before; sh -c 'echo $$ >pid; exec {} top --every 1'; echo status=$? >>before; \
             stty -g >after",
            program.display()
        );
        let typed = format!(
            "cd $0 && rm -f shown && {{ until grep -q CPU shown; do sleep 0.05; done; {end}; sleep 1; }} 2>/dev/null | \
             script -qefc \"$1\" shown >/dev/null"
        );
        let directory = host.directory().to_string_lossy().into_owned();
        let mut script = Command::new("bash");
        script.args(["-c", &typed, &directory, &line]);
        program::run(script, crate::logs::PATIENCE)?;
        let (before, after) = (
            fs::read_to_string(host.directory().join("before"))?,
            fs::read_to_string(host.directory().join("after"))?,
        );
        assert_eq!(before, format!("{after}status=0\n"), "{end}");
        let text = fs::read_to_string(&shown)?;
        let screen = text.split("\x1b[?1049h").nth(1).ok_or("no other screen")?;
        let (frames, back) =
            screen.split_once("\x1b[?25h\x1b[?1049l").ok_or("the screen is not given back")?;
        assert!(!back.contains('\x1b'), "{text:?}");
        for line in frames.split("\x1b[H").skip(1).flat_map(|frame| frame.split("\r\n")) {
            let line = line.trim_end_matches("\x1b[J").trim_end_matches("\x1b[K");
            assert!(line.chars().count() <= 40 && !line.contains('\x1b'), "{line:?}");
        }
    }
    eventually("nothing of it runs", || {
        Ok(!host.witness("ps", &["-e", "-o", "args="])?.contains("top --every"))
    })?;
    Ok(())
}
