//! Rounds that take turns, and what they took.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use subhost_tests::random::{Random, seed};

use crate::Outcome;
use crate::floor;

/// The clean-up of the one before is not charged to the next, and each finds the kernel at rest, as a host is.
pub(super) const QUIET: Duration = Duration::from_millis(60);

/// One way to do the work of a cell.
pub(super) struct Way<'a> {
    pub(super) name: String,
    pub(super) run: Box<dyn FnMut() -> Outcome + 'a>,
}

impl<'a> Way<'a> {
    pub(super) fn new(name: impl Into<String>, run: impl FnMut() -> Outcome + 'a) -> Way<'a> {
        Way { name: name.into(), run: Box::new(run) }
    }

    /// Commands, one after the other.
    pub(super) fn commands(name: impl Into<String>, mut commands: Vec<Command>) -> Way<'a> {
        Way::new(name, move || commands.iter_mut().try_for_each(call))
    }
}

/// What all rounds of one way took, in milliseconds.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) median_ms: f64,
    pub(super) min_ms: f64,
    /// Of this process and all that it has waited for: not what the kernel does later.
    pub(super) cpu_ms: f64,
    /// Why it could not be measured.
    pub(super) failure: Option<String>,
}

/// Runs them in turns, and `settle` after each.
pub(super) fn interleave(
    rounds: usize,
    mut ways: Vec<Way<'_>>,
    mut settle: impl FnMut() -> Outcome,
) -> Outcome<Vec<Row>> {
    let mut random = Random::new(seed());
    let mut samples: Vec<Result<Vec<[Duration; 2]>, String>> = ways.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..ways.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, random.index(last + 1));
        }
        for index in order {
            let Ok(taken) = &mut samples[index] else { continue };
            settle()?;
            thread::sleep(QUIET);
            let (cpu, started) = (floor::cpu_time()?, Instant::now());
            let result = (ways[index].run)();
            let (wall, cpu) = (started.elapsed(), floor::cpu_time()?.saturating_sub(cpu));
            match result {
                // The first round fills the caches.
                Ok(()) if round > 0 => taken.push([wall, cpu]),
                Ok(()) => {}
                Err(error) => samples[index] = Err(error.to_string()),
            }
        }
    }
    settle()?;
    Ok(ways.into_iter().zip(samples).map(|(way, samples)| Row::of(way.name, samples)).collect())
}

impl Row {
    pub(super) fn of(name: String, samples: Result<Vec<[Duration; 2]>, String>) -> Row {
        let (samples, failure) = match samples {
            Ok(samples) => (samples, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let sorted = |which: usize| {
            let mut times: Vec<f64> =
                samples.iter().map(|sample| sample[which].as_secs_f64() * 1e3).collect();
            times.sort_by(f64::total_cmp);
            times
        };
        let (wall, cpu) = (sorted(0), sorted(1));
        let median = |times: &[f64]| times.get(times.len() / 2).copied().unwrap_or_default();
        Row {
            name,
            median_ms: median(&wall),
            min_ms: wall.first().copied().unwrap_or_default(),
            cpu_ms: median(&cpu),
            failure,
        }
    }
}

/// Runs a command, which must succeed. One that does not is run again, to hear what it says.
pub(super) fn call(command: &mut Command) -> Outcome {
    let program = command.get_program().display().to_string();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(|error| format!("{program}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let output = command.stderr(Stdio::piped()).output()?;
    let said =
        String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().escape_debug().to_string();
    Err(format!("{program}: {status} {said}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_run_in_each_round_and_one_that_fails_no_more() {
        let (mut runs, mut failures, mut settled) = (0, 0, 0);
        let ways = vec![
            Way::new("works", || {
                runs += 1;
                Ok(())
            }),
            Way::new("fails", || {
                failures += 1;
                Err("it does not".into())
            }),
        ];
        let rows = interleave(3, ways, || {
            settled += 1;
            Ok(())
        });
        let rows = rows.unwrap();
        assert_eq!((runs, failures, settled), (4, 1, 6));
        assert_eq!(rows[0].failure, None);
        assert_eq!(rows[1].failure.as_deref(), Some("it does not"));
    }

    #[test]
    fn the_median_is_in_the_middle_and_the_least_in_front() {
        let samples = [5, 1, 3].map(|ms| [Duration::from_millis(ms), Duration::from_millis(2 * ms)]);
        let row = Row::of("it".to_owned(), Ok(samples.to_vec()));
        assert_eq!((row.median_ms, row.min_ms, row.cpu_ms), (3.0, 1.0, 6.0));
    }
}
