//! What looks like virtual machines, on the real kernel: found, named safely, and put into cgroups of their own.

use std::fs;

use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::host::Host;

use crate::limits::hierarchies;
use crate::usage_witness::{Result, cgroups_of, machine, machine_in, prometheus, real, row, usage, whole};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_virtual_machine_is_found_and_its_name_harms_nobody",
        needs: &[Need::Program],
        body: hostile_machine,
    },
    Case {
        name: "virtual_machines_are_adopted_once_and_keep_their_account",
        needs: &[Need::Program],
        body: adopted,
    },
];

/// What is nothing but a name: a formula, an end of a line, a tag, a colour, and what turns the writing around.
const EVIL: &str = "=1+1,\"'\t\n<b>\\\u{1b}[31m\u{202e}";

/// Reads what `usage --format tsv` says as csv of Python does, whose fields end at tabs and whose quotes mean nothing.
const READ_TSV: &str = "import csv, sys, json
rows = list(csv.DictReader(sys.stdin, delimiter='\\t', quoting=csv.QUOTE_NONE, strict=True))
assert all(None not in row and None not in row.values() for row in rows)
print(json.dumps(rows))";

fn hostile_machine(host: &Host) -> Verdict {
    let name = host.name(EVIL);
    let mut vm = machine(host, &name)?;
    let begun = row(&usage(host, &[])?, "vm", &name)?;
    let burnt = vm.burn(60)?;
    let shown = row(&usage(host, &[])?, "vm", &name)?;
    let listed: f64 = host.witness("ps", &["-o", "times=", &vm.pid().to_string()])?.trim().parse()?;
    let cpu = real(&shown, "cpu_seconds");
    assert!(
        cpu - real(&begun, "cpu_seconds") >= burnt - 0.05 && (cpu - listed).abs() <= 1.1,
        "{cpu} {listed} {burnt}"
    );
    let resident: u64 = host.witness("ps", &["-o", "rss=", &vm.pid().to_string()])?.trim().parse()?;
    assert!(whole(&shown, "memory_bytes").abs_diff(resident * 1024) < 1 << 20, "{shown:#} {resident}");
    // One that runs in a subhost is a part of that, as one in any other PID namespace.
    let inside = machine_in(host, "inside", &["unshare", "--pid", "--fork", "--kill-child"])?;
    assert!(row(&usage(host, &[])?, "vm", "inside").is_err());
    inside.end()?;
    let text = host.done(&["usage", "--format", "tsv"])?;
    assert!(
        text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()) && !text.contains('\u{202e}'),
        "{text:?}"
    );
    let python = format!("python3 -c \"$1\" <<'END'\n{text}END\n");
    let rows: Value = serde_json::from_str(&host.witness("bash", &["-c", &python, "bash", READ_TSV])?)?;
    let rows = rows.as_array().ok_or("no rows")?;
    let machines: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "vm").collect();
    assert_eq!(machines.len(), 1, "{rows:?}");
    let tag = name.strip_prefix(EVIL).unwrap_or_default();
    assert_eq!(
        machines[0]["name"],
        *format!("'=1+1,\"'\\t\\n<b>\\\\\\u001b[31m\\u202e{tag}"),
        "{machines:?}"
    );
    let metrics = prometheus(&host.done(&["usage", "--format", "prometheus"])?)?;
    let labelled = |(_, labels, _): &&(String, Vec<(String, String)>, f64)| {
        labels.iter().any(|(_, value)| value.ends_with(tag))
    };
    let labelled: Vec<_> = metrics.iter().filter(labelled).collect();
    assert!(labelled.len() > 3, "{metrics:?}");
    let safe = format!("=1+1,\"'\u{fffd}\u{fffd}<b>\\\u{fffd}[31m\u{fffd}{tag}");
    assert!(
        labelled.iter().all(|(_, labels, _)| labels.contains(&("name".to_owned(), safe.clone()))),
        "{labelled:?}"
    );
    let table = host.done(&["usage"])?;
    assert!(table.contains(&safe), "{table}");
    // A second one of that name has another.
    let twin = machine(host, &name)?;
    let sample = usage(host, &[])?;
    for pid in [vm.pid(), twin.pid()] {
        row(&sample, "vm", &format!("{name} ({pid})"))?;
    }
    prometheus(&host.done(&["usage", "--format", "prometheus"])?)?;
    twin.end()?;
    vm.end()?;
    Ok(())
}

fn adopted(host: &Host) -> Verdict {
    let name = host.name("we/b ");
    let mut vm = machine(host, &name)?;
    let own = format!("we_b_{}-{}", host.name(""), vm.pid());
    let before = cgroups_of(vm.pid())?;
    let would = host.done(&["usage", "--adopt", "--dry-run"])?;
    assert!(would.contains(&own) && cgroups_of(vm.pid())? == before, "{would}");
    assert_eq!(row(&usage(host, &[])?, "vm", &name)?["source"], "processes");
    let first = host.subhostctl(&["usage", "--adopt"])?;
    assert!(first.code == 0 && first.stderr.contains(&own), "{first}");
    let adopted = cgroups_of(vm.pid())?;
    assert!(adopted.iter().any(|path| path.ends_with(&own)), "{adopted:?}");
    let again = host.subhostctl(&["usage", "--adopt"])?;
    assert!(again.code == 0 && again.stderr.contains("is alone in its cgroup"), "{again}");
    assert_eq!(cgroups_of(vm.pid())?, adopted);
    let nothing = host.done(&["usage", "--adopt", "--dry-run"])?;
    assert_eq!(nothing, "");
    // The controllers that this host has of version 2 count for subhosts, too.
    let unified = hierarchies()?.into_iter().find(|point| point.join("cgroup.controllers").exists());
    let unified = unified.ok_or("no cgroups of version 2")?;
    let words = |path: &str| fs::read_to_string(unified.join(path));
    for controller in ["memory", "io"] {
        let has = words("cgroup.controllers")?.split_whitespace().any(|word| word == controller);
        let counts = words("subhost/cgroup.subtree_control").unwrap_or_default();
        assert_eq!(has, counts.split_whitespace().any(|word| word == controller), "{controller}: {counts}");
    }

    let files: Vec<_> = hierarchies()?.into_iter().map(|point| point.join("subhost-vm").join(&own)).collect();
    let stat = files.iter().map(|path| path.join("cpu.stat")).find(|path| path.exists());
    let stat = stat.ok_or("no cpu.stat: it is in no cgroup of version 2")?;
    let kernel = || -> Result<f64> {
        let text = fs::read_to_string(&stat)?;
        let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).ok_or("no usage_usec")?;
        Ok(micros.parse::<f64>()? / 1e6)
    };
    vm.burn(30)?;
    let (least, shown, most) = (kernel()?, row(&usage(host, &[])?, "vm", &name)?, kernel()?);
    let cpu = real(&shown, "cpu_seconds");
    assert!(shown["source"] == "cgroup" && least <= cpu && cpu <= most, "{least} {shown:#} {most}");
    vm.end()?;
    host.done(&["usage", "--adopt"])?;
    assert!(files.iter().all(|path| !path.exists()), "{files:?}");
    Ok(())
}
