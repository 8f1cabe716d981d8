//! Witnesses of what is used: made-up virtual machines, and strict readers of what is shown.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use subhost_tests::host::Host;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A shell that is told what to do, line by line, and answers.
pub(crate) struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    /// Starts one that reads its commands.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = (input.ok_or("no input")?, BufReader::new(output.ok_or("no output")?));
        Ok(Self { child, input, output })
    }

    /// One inside a subhost.
    pub(crate) fn inside(host: &Host, name: &str) -> Result<Self> {
        Self::start(host.command(&["enter", name, "--", "sh"]))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do something, and comes back when that is done, with the last line that it said.
    pub(crate) fn run(&mut self, script: &str) -> Result<String> {
        writeln!(self.input, "{script}; echo; echo done")?;
        let mut last = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                return Err(format!("the shell has ended in: {script}").into());
            }
            match line.trim_end() {
                "done" => return Ok(last),
                "" => {}
                line => line.clone_into(&mut last),
            }
        }
    }

    /// Has it work until it has used so many ticks more of processor time itself; gives how much that was, in seconds.
    pub(crate) fn burn(&mut self, ticks: u64) -> Result<f64> {
        let work = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done";
        let look = "read -r line </proc/self/stat; set -- ${line##*) }; used=$((${12} + ${13}))";
        let until = format!("until [ $((used - first)) -ge {ticks} ]; do {work}; {look}; done");
        let script = format!("{look}; first=$used; {until}; echo $((used - first))");
        // A hundred ticks are a second, on all that Linux runs on.
        Ok(self.run(&script)?.parse::<f64>()? / 100.0)
    }

    /// Its end, by that of its input.
    pub(crate) fn end(mut self) -> io::Result<()> {
        drop(self.input);
        self.child.wait().map(drop)
    }
}

/// A virtual machine to all who look at its program and its arguments; in truth a shell.
pub(crate) fn machine(host: &Host, name: &str) -> Result<Shell> {
    machine_in(host, name, &["env"])
}

/// The same, started by a command that takes a command.
pub(crate) fn machine_in(host: &Host, name: &str, starter: &[&str]) -> Result<Shell> {
    let program = host.directory().join("qemu-system-made-up");
    if !program.exists() {
        fs::copy("/bin/bash", &program)?;
    }
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).arg(program).args([
        "-s",
        "--",
        "-m",
        "1",
        "-name",
        &format!("guest={},debug-threads=on", name.replace(',', ",,")),
    ]);
    let mut shell = Shell::start(command)?;
    // It is one when it is executed, and then it answers.
    shell.run(":")?;
    Ok(shell)
}

/// `usage --json`.
pub(crate) fn usage(host: &Host, more: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&host.done(&[&["usage", "--json"], more].concat())?)?)
}

/// The only row of a kind and a name.
pub(crate) fn row(sample: &Value, kind: &str, name: &str) -> Result<Value> {
    let rows = sample["rows"].as_array().ok_or("no rows")?;
    let mut found = rows.iter().filter(|row| row["kind"] == kind && row["name"] == name);
    let row = found.next().ok_or_else(|| format!("no {kind} {name} in {sample:#}"))?;
    assert!(found.next().is_none(), "two of {kind} {name}: {sample:#}");
    Ok(row.clone())
}

pub(crate) fn real(row: &Value, field: &str) -> f64 {
    row[field].as_f64().unwrap_or_else(|| panic!("{field} of {row:#}"))
}

pub(crate) fn whole(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("{field} of {row:#}"))
}

/// What the kernel says that a subhost's cgroup of version 2 has worked, in seconds.
pub(crate) fn cgroup_cpu(name: &str) -> Result<f64> {
    let text = crate::limits::value(name, &["cpu.stat"])?;
    let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).ok_or("no usage_usec")?;
    let seconds = micros.parse::<f64>()? / 1e6;
    Ok(seconds)
}

/// The cgroups that a process is in, as paths of directories.
pub(crate) fn cgroups_of(pid: u32) -> Result<BTreeSet<PathBuf>> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    Ok(text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).map(PathBuf::from).collect())
}

/// One sample of the text format of Prometheus: its name, its labels, its value.
pub(crate) type Metric = (String, Vec<(String, String)>, f64);

/// Reads that format as its documentation has it (Exposition formats, text format details), and refuses everything else: a
/// metric without HELP and TYPE before it, lines of one that do not stand together, a series that is there twice, what is
/// escaped without need.
pub(crate) fn prometheus(text: &str) -> Result<Vec<Metric>> {
    assert!(text.ends_with('\n'), "the last line has no end");
    let (mut metrics, mut seen, mut begun) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut current: Option<(String, bool)> = None;
    let mut helped = None;
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    for line in text.split_terminator('\n') {
        let wrong = |what: &str| format!("{what}: {line:?}");
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').ok_or_else(|| wrong("no help"))?;
            assert!(is_name(name) && !words.contains('\\') && begun.insert(name.to_owned()), "{line:?}");
            helped = Some(name.to_owned());
            current = None;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or_else(|| wrong("no type"))?;
            assert_eq!(helped.as_deref(), Some(name), "{line:?}");
            assert!(["counter", "gauge"].contains(&kind), "{line:?}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line:?}");
            current = Some((name.to_owned(), kind == "counter"));
        } else {
            let (name, rest) = line.split_once('{').ok_or_else(|| wrong("no labels"))?;
            let (own, is_counter) = current.as_ref().ok_or_else(|| wrong("no type before it"))?;
            assert_eq!(name, own, "{line:?}");
            let (labels, value) = labels(rest)?;
            let value: f64 = value.parse()?;
            assert!(value.is_finite() && (!is_counter || value >= 0.0), "{line:?}");
            assert!(labels.iter().all(|(name, _)| is_name(name)), "{line:?}");
            assert!(seen.insert((name.to_owned(), labels.clone())), "twice: {line:?}");
            metrics.push((name.to_owned(), labels, value));
        }
    }
    Ok(metrics)
}

/// Labels up to their `}`, and what stands behind the blank after that.
fn labels(text: &str) -> Result<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        let (name, value) = rest.split_once("=\"").ok_or_else(|| format!("no value: {rest:?}"))?;
        let mut text = String::new();
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().ok_or("a label has no end")? {
                (at, '"') => break at,
                (_, '\\') => text.push(match chars.next() {
                    Some((_, c @ ('\\' | '"'))) => c,
                    Some((_, 'n')) => '\n',
                    other => return Err(format!("is no escape: {other:?}").into()),
                }),
                (_, c) => text.push(c),
            }
        };
        labels.push((name.to_owned(), text));
        rest = &value[end + 1..];
        match rest.split_at_checked(1) {
            Some((",", more)) => rest = more,
            Some(("}", more)) => {
                return Ok((labels, more.strip_prefix(' ').ok_or("no blank before the value")?));
            }
            _ => return Err(format!("neither , nor }}: {rest:?}").into()),
        }
    }
}
