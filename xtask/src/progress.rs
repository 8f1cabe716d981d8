//! Showing what is being done and how long it took: moving on a terminal, plain lines elsewhere.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::Outcome;

/// The steps of one task.
pub(crate) struct Steps {
    terminal: bool,
    /// Standard output is somebody's table.
    on_stderr: bool,
    taken: RefCell<Duration>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), on_stderr: false, taken: RefCell::default() }
    }

    pub(crate) fn on_stderr() -> Self {
        Self { on_stderr: true, ..Self::new() }
    }

    /// Does one step, and prints its name with the time that it took.
    pub(crate) fn step<T>(&self, name: &str, work: impl FnOnce(&Step) -> Outcome<T>) -> Outcome<T> {
        let bar = if self.terminal {
            let bar = ProgressBar::new_spinner().with_message(name.to_owned());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed} {prefix:.dim}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        } else {
            ProgressBar::hidden()
        };
        let started = Instant::now();
        let result = work(&Step { bar: bar.clone() });
        let took = started.elapsed();
        bar.finish_and_clear();
        *self.taken.borrow_mut() += took;
        let mark = if result.is_ok() { "ok" } else { "FAILED" };
        let line = format!("{name:<52} {:>10}  {mark}", in_words(took));
        if self.on_stderr {
            eprintln!("{line}")
        } else {
            println!("{line}")
        }
        result
    }

    /// The time of all steps so far.
    pub(crate) fn total(&self) -> Duration {
        *self.taken.borrow()
    }
}

/// One step that is being done.
pub(crate) struct Step {
    bar: ProgressBar,
}

impl Step {
    /// Runs a command. Its output is shown as it comes on a terminal, one line at a time, and whole when it fails.
    pub(crate) fn run(&self, command: &mut Command) -> Outcome {
        let what = command.get_program().to_string_lossy().into_owned();
        let (reader, writer) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().map_err(|error| format!("{what}: {error}"))?;
        // The command keeps the writing ends, and with them open the pipe would never end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut output = String::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            self.bar.set_prefix(line.trim().chars().take(100).collect::<String>());
            output.push_str(&line);
            output.push('\n');
        }
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("{what}: {status}\n{output}").into()) }
    }
}

/// A duration with three figures or so.
pub(crate) fn in_words(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        10.0..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_from_microseconds_to_minutes() {
        assert_eq!(in_words(Duration::from_micros(1234)), "1.23 ms");
        assert_eq!(in_words(Duration::from_micros(12_340)), "12 ms");
        assert_eq!(in_words(Duration::from_millis(1240)), "1.2 s");
        assert_eq!(in_words(Duration::from_secs(90)), "90.0 s");
    }

    #[test]
    fn a_failed_command_shows_its_output() {
        let steps = Steps::new();
        let result =
            steps.step("fails", |step| step.run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])));
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "sh: exit status: 3\nwhy\n");
    }
}
