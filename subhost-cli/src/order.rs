//! Does things to several subhosts at once, each after those that it waits for.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::layout::Name;

/// What is to be done to one subhost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: Name,
    /// What has to be done before it, whether that succeeds or not. Names without a job do not count.
    pub after: Vec<Name>,
    /// How long to wait then.
    pub delay: Duration,
}

impl Job {
    /// One that waits for nothing.
    pub fn new(name: Name) -> Job {
        Job { name, after: Vec::new(), delay: Duration::ZERO }
    }
}

/// Takes away what makes jobs wait for each other in a circle. Gives each such pair: the first then does not wait for the second.
pub fn break_circles(jobs: &mut [Job]) -> Vec<(Name, Name)> {
    let mut broken = Vec::new();
    let mut settled = BTreeSet::new();
    for start in 0..jobs.len() {
        visit(jobs, start, &mut Vec::new(), &mut settled, &mut broken);
    }
    broken
}

/// Goes through what a job waits for; `path` are those that wait for it.
fn visit(
    jobs: &mut [Job],
    index: usize,
    path: &mut Vec<usize>,
    settled: &mut BTreeSet<usize>,
    broken: &mut Vec<(Name, Name)>,
) {
    if settled.contains(&index) {
        return;
    }
    path.push(index);
    for name in jobs[index].after.clone() {
        let Some(next) = jobs.iter().position(|job| job.name == name) else { continue };
        if path.contains(&next) {
            jobs[index].after.retain(|it| *it != name);
            broken.push((jobs[index].name.clone(), name));
        } else {
            visit(jobs, next, path, settled, broken);
        }
    }
    path.pop();
    settled.insert(index);
}

/// The same jobs the other way round: each waits for those that waited for it, and for no time.
pub fn reversed(jobs: &[Job]) -> Vec<Job> {
    let turned = |job: &Job| {
        let behind = jobs.iter().filter(|it| it.after.contains(&job.name));
        Job { after: behind.map(|it| it.name.clone()).collect(), ..Job::new(job.name.clone()) }
    };
    jobs.iter().map(turned).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Begun,
    Done,
}

/// How far each job is, and since when nothing keeps it back.
struct Progress {
    stages: Vec<Stage>,
    free_since: Vec<Option<Instant>>,
}

/// What a worker does next.
enum Next {
    Job(usize),
    Wait(Option<Duration>),
    Nothing,
}

impl Progress {
    fn next(&mut self, jobs: &[Job]) -> Next {
        let now = Instant::now();
        let mut wait: Option<Duration> = None;
        let waiting: Vec<usize> =
            (0..jobs.len()).filter(|index| self.stages[*index] == Stage::Waiting).collect();
        if waiting.is_empty() {
            return Next::Nothing;
        }
        for index in waiting {
            let held = |name: &Name| {
                let it = jobs.iter().position(|job| job.name == *name);
                it.is_some_and(|it| self.stages[it] != Stage::Done)
            };
            if jobs[index].after.iter().any(held) {
                continue;
            }
            let since = *self.free_since[index].get_or_insert(now);
            let left = (since + jobs[index].delay).saturating_duration_since(now);
            if left.is_zero() {
                self.stages[index] = Stage::Begun;
                return Next::Job(index);
            }
            wait = Some(wait.map_or(left, |wait| wait.min(left)));
        }
        Next::Wait(wait)
    }
}

/// Does all jobs, up to so many at once, the first ones first. There must be no circle: see [`break_circles`].
pub fn run(jobs: &[Job], at_once: usize, act: impl Fn(&Job) + Sync) {
    let progress =
        Mutex::new(Progress { stages: vec![Stage::Waiting; jobs.len()], free_since: vec![None; jobs.len()] });
    let changed = Condvar::new();
    let work = || {
        let mut now = progress.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match now.next(jobs) {
                Next::Nothing => return,
                Next::Wait(None) => now = changed.wait(now).unwrap_or_else(PoisonError::into_inner),
                Next::Wait(Some(time)) => {
                    now = changed.wait_timeout(now, time).unwrap_or_else(PoisonError::into_inner).0;
                }
                Next::Job(index) => {
                    drop(now);
                    act(&jobs[index]);
                    now = progress.lock().unwrap_or_else(PoisonError::into_inner);
                    now.stages[index] = Stage::Done;
                    changed.notify_all();
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..at_once.clamp(1, jobs.len().max(1)) {
            // With fewer threads than could be it is all done, too.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, after: &[&str]) -> Job {
        let after = after.iter().map(|name| name.parse().unwrap()).collect();
        Job { after, ..Job::new(name.parse().unwrap()) }
    }

    /// The order in which they are done, and how many at once at most.
    fn done(jobs: &[Job], at_once: usize) -> (Vec<String>, usize) {
        let state = Mutex::new((Vec::new(), 0_usize, 0_usize));
        run(jobs, at_once, |job| {
            {
                let mut state = state.lock().unwrap();
                state.1 += 1;
                state.2 = state.2.max(state.1);
            }
            std::thread::yield_now();
            let mut state = state.lock().unwrap();
            state.1 -= 1;
            state.0.push(job.name.to_string());
        });
        let (order, _, most) = state.into_inner().unwrap();
        (order, most)
    }

    #[test]
    fn each_comes_after_those_that_it_waits_for() {
        let jobs =
            [job("web", &["db", "dns"]), job("db", &["disk"]), job("dns", &[]), job("disk", &["elsewhere"])];
        for at_once in [1, 2, 8] {
            let (order, most) = done(&jobs, at_once);
            let at = |name: &str| order.iter().position(|it| it == name).unwrap();
            assert!(at("disk") < at("db") && at("db") < at("web") && at("dns") < at("web"), "{order:?}");
            assert!(order.len() == 4 && most <= at_once, "{order:?} {most}");
        }
        assert_eq!(done(&reversed(&jobs), 1).0, ["web", "db", "dns", "disk"]);
        assert!(done(&[], 3).0.is_empty());
    }

    #[test]
    fn a_delay_counts_from_when_nothing_keeps_it_back_and_holds_nobody_up() {
        let mut jobs = [job("slow", &[]), job("quick", &[]), job("last", &["slow"])];
        jobs[0].delay = Duration::from_millis(30);
        assert_eq!(done(&jobs, 1).0, ["quick", "slow", "last"]);
    }

    #[test]
    fn circles_are_broken_and_the_rest_stays() {
        let mut jobs = [job("a", &["b", "d"]), job("b", &["c"]), job("c", &["a"]), job("d", &["d"])];
        let broken = break_circles(&mut jobs);
        let broken: Vec<_> = broken.iter().map(|(one, other)| format!("{one} {other}")).collect();
        assert_eq!(broken, ["c a", "d d"]);
        assert_eq!(done(&jobs, 1).0, ["c", "b", "d", "a"]);
    }
}
