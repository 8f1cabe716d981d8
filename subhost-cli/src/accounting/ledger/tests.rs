//! Made-up samples, and the sums that they have to come to.

use super::super::sample::Row;
use super::*;

/// A line at a second: who, which run, processor seconds, how long it runs.
fn line(second: i64, boot: &str, kind: Kind, name: &str, id: &str, cpu: f64, age: f64) -> Line {
    Line {
        time: Time(second * 1_000).text(),
        host: "alpha".to_owned(),
        boot_id: boot.to_owned(),
        processors: 2,
        row: Row {
            cpu_seconds: Some(cpu),
            age_seconds: Some(age),
            memory_bytes: Some(100),
            source: Source::Cgroup,
            ..Row::new(kind, name, id)
        },
    }
}

fn report(from: i64, to: i64, lines: &[Line]) -> (Vec<Account>, Vec<HostSeen>) {
    let mut ledger = Ledger::new(Time(from * 1_000), Time(to * 1_000));
    lines.iter().for_each(|line| ledger.take(line));
    ledger.finish()
}

fn cpu(accounts: &[Account], name: &str) -> f64 {
    accounts.iter().filter(|account| account.name == name).map(|account| account.cpu_seconds).sum()
}

#[test]
fn what_was_there_before_counts_from_then_on_and_what_is_new_from_its_beginning() {
    let lines = [
        line(100, "b", Kind::Host, "alpha", "b", 1_000.0, 500.0),
        line(100, "b", Kind::Subhost, "old", "b/1", 70.0, 90.0),
        line(160, "b", Kind::Host, "alpha", "b", 1_100.0, 560.0),
        line(160, "b", Kind::Subhost, "old", "b/1", 75.0, 150.0),
        line(160, "b", Kind::Subhost, "new", "b/2", 20.0, 30.0),
        // Seen for the first time, and not new.
        line(160, "b", Kind::Vm, "found", "b/3", 5_000.0, 400.0),
        line(160, "b", Kind::Rest, "rest", "b", 9.0, 560.0),
    ];
    let (accounts, hosts) = report(0, 1_000, &lines);
    let sums = ["alpha", "old", "new", "found", "rest"].map(|name| cpu(&accounts, name));
    assert_eq!(sums, [100.0, 5.0, 20.0, 0.0, 75.0]);
    assert_eq!((hosts.len(), hosts[0].samples, hosts[0].reboots), (1, 2, 0));
    let new = accounts.iter().find(|account| account.name == "new").unwrap();
    assert_eq!((new.seconds, new.runs, new.memory_mean_bytes), (30.0, 1, Some(100)));
}

#[test]
fn a_reboot_begins_all_counters_anew_and_none_runs_backwards() {
    let lines = [
        line(0, "b", Kind::Host, "alpha", "b", 1_000.0, 500.0),
        line(0, "b", Kind::Subhost, "web", "b/1", 70.0, 90.0),
        line(60, "b", Kind::Host, "alpha", "b", 1_010.0, 560.0),
        line(60, "b", Kind::Subhost, "web", "b/1", 77.0, 150.0),
        // Booted 40 seconds ago. It was stopped before, in order, and is told of still.
        line(120, "c", Kind::Host, "alpha", "c", 4.0, 40.0),
        line(120, "c", Kind::Subhost, "web", "c/1", 3.0, 30.0),
        Line {
            row: Row {
                ended: Some("t".to_owned()),
                ..line(0, "c", Kind::Subhost, "web", "b/1", 78.0, 170.0).row
            },
            ..line(120, "c", Kind::Subhost, "web", "b/1", 0.0, 0.0)
        },
        line(180, "c", Kind::Host, "alpha", "c", 14.0, 100.0),
        line(180, "c", Kind::Subhost, "web", "c/1", 8.0, 90.0),
    ];
    let (accounts, hosts) = report(-1, 1_000, &lines);
    assert_eq!((cpu(&accounts, "alpha"), cpu(&accounts, "web")), (10.0 + 4.0 + 10.0, 7.0 + 3.0 + 1.0 + 5.0));
    assert_eq!(hosts[0].reboots, 1);
}

#[test]
fn a_subhost_that_restarts_is_another_run_of_the_same_account() {
    let lines = [
        line(0, "b", Kind::Subhost, "web", "b/1", 70.0, 90.0),
        line(60, "b", Kind::Subhost, "web", "b/2", 3.0, 30.0),
        line(120, "b", Kind::Subhost, "web", "b/2", 4.0, 90.0),
    ];
    let (accounts, _) = report(-1, 1_000, &lines);
    assert_eq!((cpu(&accounts, "web"), accounts[0].runs), (4.0, 2));
}

#[test]
fn the_end_of_a_run_counts_once_also_of_one_that_no_sample_has_seen() {
    let ended = |second, name: &str, id: &str, cpu, age| {
        let mut line = line(second, "b", Kind::Subhost, name, id, cpu, age);
        line.row.ended = Some("t".to_owned());
        line.row.memory_bytes = None;
        line.row.memory_peak_bytes = Some(500);
        line
    };
    let lines = [
        line(0, "b", Kind::Host, "alpha", "b", 0.0, 500.0),
        line(0, "b", Kind::Subhost, "web", "b/1", 70.0, 90.0),
        line(60, "b", Kind::Host, "alpha", "b", 50.0, 560.0),
        ended(60, "web", "b/1", 75.0, 110.0),
        ended(60, "short", "b/2", 2.0, 5.0),
        line(60, "b", Kind::Rest, "rest", "b", 0.0, 500.0),
        // Told again.
        ended(120, "web", "b/1", 75.0, 110.0),
        ended(120, "short", "b/2", 2.0, 5.0),
    ];
    let (accounts, _) = report(-1, 1_000, &lines);
    assert_eq!(["web", "short", "rest"].map(|name| cpu(&accounts, name)), [5.0, 2.0, 43.0]);
    let peak = |name: &str| accounts.iter().find(|account| account.name == name).unwrap().memory_peak_bytes;
    // The peak of all its life is no peak of this time.
    assert_eq!((peak("web"), peak("short")), (Some(100), Some(500)));
}

#[test]
fn the_sums_of_two_times_are_the_sum_of_both_together() {
    let lines: Vec<Line> = (0..10)
        .map(|at| line(at * 60, "b", Kind::Vm, "v", "b/1", f64::from(u8::try_from(at * at).unwrap()), 600.0))
        .collect();
    let parts =
        [(-1, 250), (250, 300), (300, 10_000)].map(|(from, to)| cpu(&report(from, to, &lines).0, "v"));
    assert_eq!((parts, cpu(&report(-1, 10_000, &lines).0, "v")), ([16.0, 9.0, 56.0], 81.0));
}

#[test]
fn a_counter_that_falls_or_is_counted_by_somebody_else_adds_nothing() {
    let processes = |second, cpu| {
        let mut line = line(second, "b", Kind::Vm, "v", "b/1", cpu, 900.0);
        line.row.source = Source::Processes;
        line
    };
    let lines = [
        processes(0, 500.0),
        processes(60, 510.0),
        // A process has ended that nobody waited for.
        processes(120, 505.0),
        processes(180, 511.0),
        // It was adopted: the cgroup counts from then on.
        line(240, "b", Kind::Vm, "v", "b/1", 1.0, 1_140.0),
        line(300, "b", Kind::Vm, "v", "b/1", 4.0, 1_200.0),
        processes(360, 900.0),
        processes(420, f64::NAN),
    ];
    assert_eq!(cpu(&report(-1, 1_000, &lines).0, "v"), 10.0 + 1.0 + 3.0);
}

#[test]
fn memory_is_weighed_by_time_and_its_peak_is_the_most_that_was_seen() {
    let memory = |second, bytes| {
        let mut line = line(second, "b", Kind::Vm, "v", "b/1", 0.0, 900.0);
        line.row.memory_bytes = Some(bytes);
        line
    };
    let (accounts, _) = report(-1, 1_000, &[memory(0, 999), memory(10, 100), memory(40, 200)]);
    assert_eq!((accounts[0].memory_mean_bytes, accounts[0].memory_peak_bytes), (Some(175), Some(999)));
    assert_eq!(report(-1, 5, &[memory(0, 999)]).0[0].memory_mean_bytes, Some(999));
}

#[test]
fn hosts_are_kept_apart_also_where_their_samples_are_mixed() {
    let other = |second, cpu| Line {
        host: "beta".to_owned(),
        ..line(second, "x", Kind::Subhost, "web", "b/1", cpu, 900.0)
    };
    let lines = [
        line(0, "b", Kind::Subhost, "web", "b/1", 1.0, 900.0),
        other(1, 100.0),
        line(60, "b", Kind::Subhost, "web", "b/1", 2.0, 960.0),
        other(61, 150.0),
    ];
    let sums: Vec<_> =
        report(-1, 1_000, &lines).0.into_iter().map(|account| (account.host, account.cpu_seconds)).collect();
    assert_eq!(sums, [("alpha".to_owned(), 1.0), ("beta".to_owned(), 50.0)]);
}

#[test]
fn a_long_time_has_a_bounded_number_of_points_with_the_same_mean() {
    let lines: Vec<Line> = (0..10_000)
        .map(|at| line(at * 60, "b", Kind::Vm, "v", "b/1", f64::from(i32::try_from(at).unwrap()) * 30.0, 1e6))
        .collect();
    let (accounts, _) = report(-1, i64::MAX / 1_000, &lines);
    let points = &accounts[0].points;
    assert!((1_000..POINTS).contains(&points.len()), "{}", points.len());
    assert!(
        points.iter().all(|point| (point.processors - 0.5).abs() < 1e-9 && point.memory_bytes == Some(100))
    );
}

#[test]
fn no_counter_is_so_large_that_there_is_no_sum() {
    let lines: Vec<Line> = [0.0, 1e308, f64::INFINITY, -1e308, 5.0]
        .into_iter()
        .zip(0..)
        .map(|(cpu, at)| line(at * 60, "b", Kind::Vm, "v", "b/1", cpu, 1e6))
        .collect();
    assert_eq!(cpu(&report(-1, 1_000, &lines).0, "v"), 5.0);
}
