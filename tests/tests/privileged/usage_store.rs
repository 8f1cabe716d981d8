//! Samples that are kept: read by others' programs, reported, torn, locked, of a stranger.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program;

use crate::adopt::last_event;
use crate::boot;
use crate::logs::{PATIENCE, eventually};
use crate::usage_witness::{Result, Shell, machine, real, whole};

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_report_is_the_sum_of_what_the_kernel_has_counted", needs: NEEDS, body: reported },
    Case {
        name: "a_store_is_read_by_programs_that_know_nothing_of_it",
        needs: &[Need::Program],
        body: read_by_others,
    },
    Case { name: "a_torn_store_is_read_on_and_told", needs: &[Need::Program], body: torn },
    Case {
        name: "a_store_is_locked_for_a_while_and_bounded_in_its_files",
        needs: &[Need::Program],
        body: locked,
    },
    Case { name: "a_store_of_somebody_else_is_refused", needs: &[Need::Program], body: strangers },
];

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Takes one sample into a store.
pub(crate) fn collect(host: &Host, store: &Path) -> Result<()> {
    let outcome = host.subhostctl(&["collect", "--count", "1", "--store", &text(store)])?;
    assert_eq!((outcome.code, &*outcome.stderr), (0, ""), "{outcome}");
    Ok(())
}

pub(crate) fn report(host: &Host, store: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&host.done(&["report", "--json", "--store", &text(store)])?)?)
}

fn account(report: &Value, kind: &str, name: &str) -> Result<Value> {
    let accounts = report["accounts"].as_array().ok_or("no accounts")?;
    let found = accounts.iter().find(|account| account["kind"] == kind && account["name"] == name);
    Ok(found.ok_or_else(|| format!("no {kind} {name} in {report:#}"))?.clone())
}

fn python(host: &Host, script: &str, args: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&host.witness("python3", &[&["-c", script], args].concat())?)?)
}

fn reported(host: &Host) -> Verdict {
    let store = host.directory().join("store");
    let name = host.name("tiny");
    let image = host.copy_of(Fixture::TinyMbr)?;
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    collect(host, &store)?;
    // It begins and ends between samples: one of them sees it run, none the second run.
    boot(host, &name)?;
    let mut shell = Shell::inside(host, &name)?;
    shell.burn(30)?;
    collect(host, &store)?;
    shell.burn(30)?;
    shell.end()?;
    host.done(&["stop", &name])?;
    let first = last_event(host, &name, "ended")?["usage"].clone();
    boot(host, &name)?;
    host.done(&["stop", &name])?;
    let second = last_event(host, &name, "ended")?["usage"].clone();
    assert_ne!(first["id"], second["id"]);
    collect(host, &store)?;
    // What has ended is told for a while, and counts once.
    collect(host, &store)?;
    let all = report(host, &store)?;
    let own = account(&all, "subhost", &name)?;
    let expected = real(&first, "cpu_seconds") + real(&second, "cpu_seconds");
    assert!((real(&own, "cpu_seconds") - expected).abs() < 1e-6, "{own:#} {expected}");
    assert_eq!(own["runs"], 2);
    assert_eq!(
        whole(&own, "written_bytes"),
        whole(&first, "written_bytes") + whole(&second, "written_bytes"),
        "{own:#} {first:#} {second:#}"
    );
    let machine = host.witness("uname", &["-n"])?.trim().to_owned();
    let (whole_host, rest) = (account(&all, "host", &machine)?, account(&all, "rest", "rest")?);
    let sum = real(&own, "cpu_seconds") + real(&rest, "cpu_seconds");
    // More than nothing is left for the rest, which is this test.
    assert!(
        real(&rest, "cpu_seconds") > 0.0 && (sum - real(&whole_host, "cpu_seconds")).abs() < 1e-6,
        "{all:#}"
    );
    assert_eq!((all["hosts"][0]["samples"].as_u64(), &all["hosts"][0]["reboots"]), (Some(4), &0.into()));
    // The sums of both halves are that of all.
    let middle = all["hosts"][0]["first"].as_str().ok_or("no first sample")?;
    let part = |words: &[&str]| -> Result<f64> {
        let store = text(&store);
        let words = [&["report", "--json", "--store", &*store], words].concat();
        let part: Value = serde_json::from_str(&host.done(&words)?)?;
        let accounts = part["accounts"].as_array().ok_or("no accounts")?;
        Ok(accounts.iter().filter(|it| it["kind"] == "host").map(|it| real(it, "cpu_seconds")).sum())
    };
    let halves = part(&["--to", middle])? + part(&["--from", middle])?;
    assert!((halves - real(&whole_host, "cpu_seconds")).abs() < 1e-6, "{halves}");
    assert_eq!(
        host.subhostctl(&["report", "--from", "now", "--to", "1h", "--store", &text(&store)])?.code,
        2
    );
    Ok(())
}

/// Adds up the JSON lines in SQLite, as the documentation shows.
const SQLITE: &str = "import json, sqlite3, sys
db = sqlite3.connect(':memory:')
db.execute('CREATE TABLE usage (line TEXT)')
db.executemany('INSERT INTO usage VALUES (?)', [(line,) for line in open(sys.argv[1])])
rows = db.execute('''SELECT json_extract(line, '$.kind'), count(*) FROM usage
    GROUP BY 1 ORDER BY 1''').fetchall()
print(json.dumps(rows))";

const CSV: &str = "import csv, json, sys
rows = list(csv.DictReader(sys.stdin, strict=True))
assert all(None not in row and None not in row.values() for row in rows)
print(json.dumps(rows))";

/// What a browser makes of the page: its elements, their attributes, and its text.
const HTML: &str = "import html.parser, json, sys
class Page(html.parser.HTMLParser):
    tags, texts, wrong = {}, [], []
    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.wrong += [name for name, _ in attrs if name.startswith('on') or name in ('src', 'href')]
    def handle_data(self, data):
        self.texts.append(data)
page = Page()
page.feed(sys.stdin.read())
print(json.dumps([page.tags, page.texts, page.wrong]))";

fn read_by_others(host: &Host) -> Verdict {
    let store = host.directory().join("store");
    let evil = host.name("=cmd|'/C calc'!A0,\"<script>alert(1)</script>\n");
    let mut vm = machine(host, &evil)?;
    for _ in 0..3 {
        collect(host, &store)?;
        vm.burn(5)?;
    }
    let file = text(&store.join("usage.jsonl"));
    let stored = fs::read_to_string(&file)?;
    assert_eq!(stored.lines().count(), 9, "{stored}");
    assert!(stored.chars().all(|c| c == '\n' || !c.is_control()), "{stored:?}");
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let shown = account(&report(host, &store)?, "vm", &evil)?;
    let jq = host.witness("jq", &["-s", "[.[] | select(.kind == \"vm\").cpu_seconds] | max - min", &file])?;
    assert!((jq.trim().parse::<f64>()? - real(&shown, "cpu_seconds")).abs() < 1e-6, "{jq} {shown:#}");
    let names: Value = serde_json::from_str(&host.witness("jq", &["-s", "[.[].name] | unique", &file])?)?;
    assert!(names.as_array().ok_or("no names")?.contains(&evil.clone().into()), "{names}");
    let rows = python(host, SQLITE, &[&file])?;
    let kinds: Vec<(&Value, &Value)> =
        rows.as_array().into_iter().flatten().map(|row| (&row[0], &row[1])).collect();
    let three = Value::from(3);
    assert_eq!(kinds, [(&"host".into(), &three), (&"rest".into(), &three), (&"vm".into(), &three)], "{rows}");

    let piped = |format: &str, script: &str| -> Result<Value> {
        let line = format!(
            "set -o pipefail; {} report --store {} --format {format} | python3 -c \"$0\"",
            program::path()?.display(),
            store.display()
        );
        Ok(serde_json::from_str(&host.witness("bash", &["-c", &line, script])?)?)
    };
    let rows = piped("csv", CSV)?;
    let rows: Vec<&Value> = rows.as_array().into_iter().flatten().filter(|row| row["kind"] == "vm").collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let name = rows[0]["name"].as_str().ok_or("no name")?;
    assert_eq!(name, format!("'{}", evil.replace('\n', "\u{fffd}")), "{rows:?}");
    assert_eq!(
        rows[0]["cpu_seconds"].as_str().ok_or("no number")?.parse::<f64>()?,
        real(&shown, "cpu_seconds")
    );
    let page = piped("html", HTML)?;
    assert_eq!((page[0].get("script"), &page[2]), (None, &Value::Array(Vec::new())), "{page}");
    assert!(page[0]["svg"].as_u64() == Some(2) && page[0]["polyline"].as_u64() >= Some(2), "{page}");
    assert!(page[1].to_string().contains("<script>alert(1)</script>"), "{page}");
    vm.end()?;
    Ok(())
}

fn torn(host: &Host) -> Verdict {
    let store = host.directory().join("store");
    collect(host, &store)?;
    collect(host, &store)?;
    let file = store.join("usage.jsonl");
    let bytes = fs::read(&file)?;
    fs::write(&file, &bytes[..bytes.len() - 9])?;
    let place = format!("{} line 4: is torn or no sample, and is passed over", file.display());
    let told = |n: usize| -> Result<()> {
        let outcome = host.subhostctl(&["report", "--store", &text(&store)])?;
        assert!(outcome.code == 0 && outcome.stderr.matches(&place).count() == n, "{outcome}");
        Ok(())
    };
    told(1)?;
    let outcome = host.subhostctl(&["collect", "--count", "1", "--store", &text(&store)])?;
    assert!(outcome.code == 0 && outcome.stderr.contains("its last line was torn"), "{outcome}");
    told(1)?;
    assert_eq!(report(host, &store)?["hosts"][0]["samples"], 3);
    // What is torn is so where it stands, and nothing else.
    fs::write(&file, &bytes)?;
    told(0)?;
    Ok(())
}

fn locked(host: &Host) -> Verdict {
    let store = host.directory().join("store");
    collect(host, &store)?;
    let mut holder = Command::new("flock");
    holder.args([&text(&store), "sh", "-s"]);
    let mut holder = Shell::start(holder)?;
    holder.run(":")?;
    let words = ["collect", "--count", "1", "--store", &text(&store)];
    let mut waiting = host.start(&words)?;
    // Until it has looked for it in vain.
    eventually("it waits for the lock", || {
        let wchan = fs::read_to_string(format!("/proc/{}/wchan", waiting.pid()))?;
        Ok(wchan.contains("sleep"))
    })?;
    assert!(waiting.wait(Duration::ZERO)?.is_none());
    holder.end()?;
    let outcome = waiting.finish(PATIENCE)?;
    assert_eq!(outcome.code, 0, "{outcome}");
    // For too long.
    let mut holder = Command::new("flock");
    holder.args([&text(&store), "sh", "-s"]);
    let mut holder = Shell::start(holder)?;
    holder.run(":")?;
    let outcome = host.subhostctl(&words)?;
    assert!(outcome.code == 1 && outcome.stderr.contains("another process has it locked"), "{outcome}");
    holder.end()?;

    // A file that is large enough is the older one from then on.
    let file = store.join("usage.jsonl");
    let lines = fs::read_to_string(&file)?;
    let mut grown = fs::File::options().append(true).open(&file)?;
    while grown.metadata()?.len() < 1 << 20 {
        grown.write_all(lines.as_bytes())?;
    }
    host.done(&["collect", "--count", "1", "--store", &text(&store), "--max-size", "1"])?;
    let mut names: Vec<String> = fs::read_dir(&store)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    assert!(names.len() == 2 && names[0].starts_with("usage-20") && names[1] == "usage.jsonl", "{names:?}");
    assert_eq!(report(host, &store)?["passed_over"], Value::Array(Vec::new()));
    assert_eq!(fs::read_to_string(&file)?.lines().count(), 2);
    Ok(())
}

fn strangers(host: &Host) -> Verdict {
    let store = host.directory().join("store");
    let file = store.join("usage.jsonl");
    collect(host, &store)?;
    let refused = |why: &str| -> Result<()> {
        for words in [&["collect", "--count", "1"][..], &["report"]] {
            let outcome = host.subhostctl(&[words, &["--store", &text(&store)]].concat())?;
            assert!(outcome.code == 1 && outcome.stderr.contains(why), "{words:?}: {outcome}");
        }
        Ok(())
    };
    chown(&file, Some(1000), None)?;
    refused("is not of its user's alone")?;
    chown(&file, Some(0), None)?;
    fs::set_permissions(&file, PermissionsExt::from_mode(0o666))?;
    refused("is not of its user's alone")?;
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600))?;
    chown(&store, Some(1000), None)?;
    refused("is not of its user's alone")?;
    chown(&store, Some(0), None)?;
    fs::hard_link(&file, host.directory().join("other"))?;
    refused("is not of its user's alone")?;
    fs::remove_file(&file)?;
    symlink(host.directory().join("other"), &file)?;
    refused("usage.jsonl")?;
    fs::remove_file(&file)?;
    fs::create_dir(&file)?;
    refused("usage.jsonl")?;
    fs::remove_dir(&file)?;
    collect(host, &store)?;
    let none = host.subhostctl(&["report", "--store", &text(&host.directory().join("none"))])?;
    assert!(none.code == 2 && none.stderr.contains("subhostctl collect makes it"), "{none}");
    Ok(())
}
