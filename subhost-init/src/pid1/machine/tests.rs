//! Every pair of state and event, and the ways through.

use super::*;
use proptest::prelude::*;

const BOOT: Policy = Policy {
    runlevel: b'2',
    boot_ms: 300_000,
    stop_ms: 30_000,
    grace_ms: 5_000,
    immediate: false,
    boot: false,
    stays: false,
    payload: false,
};

const EVENTS: [(&str, Event); 25] = [
    ("start", Event::Start),
    ("spawned", Event::Spawned(99)),
    ("not-spawned", Event::NotSpawned(2)),
    ("exited", Event::ChildExited { pid: 10, status: 7 }),
    ("orphan", Event::ChildExited { pid: 77, status: 7 }),
    ("init-0", Event::Initctl(Order::Level(b'0'))),
    ("init-6", Event::Initctl(Order::Level(b'6'))),
    ("init-2", Event::Initctl(Order::Level(b'2'))),
    ("init-3", Event::Initctl(Order::Level(b'3'))),
    ("init-S", Event::Initctl(Order::Level(b'S'))),
    ("powerfail", Event::Initctl(Order::PowerFail)),
    ("stray", Event::Initctl(Order::Stray)),
    ("INT", Event::Interrupt),
    ("USR2", Event::PowerSignal),
    ("TERM", Event::Terminate),
    ("USR1-held", Event::User1 { held: true }),
    ("USR1-lost", Event::User1 { held: false }),
    ("host-off", Event::Host(Request::PowerOff)),
    ("host-reboot", Event::Host(Request::Reboot)),
    ("host-kill", Event::Host(Request::Kill)),
    ("host-signal", Event::Host(Request::Signal(1))),
    ("host-adopt", Event::Host(Request::Adopt)),
    ("host-gone", Event::HostGone),
    ("deadline", Event::Deadline),
    ("nobody", Event::NobodyLeft),
];

/// State, events, and what comes of each: the state after it, when its deadline is, the effects. `-` for nothing.
const TABLE: &str = "
Start | start | SystemInit @300000: utmp boot, utmp NS, spawn rcS NS
Start | spawned not-spawned exited orphan init-2 init-3 init-S USR1-held USR1-lost host-signal deadline nobody | -
Start | init-0 powerfail | ShuttingDown @29500: stopping PowerOff Initctl, utmp N0, spawn rc 0 N0
Start | init-6 | ShuttingDown @29500: stopping Reboot Initctl, utmp N6, spawn rc 6 N6
Start | stray | ShuttingDown @29500: stopping PowerOff StrayBytes, utmp N0, spawn rc 0 N0
Start | INT TERM | ShuttingDown @29500: stopping Reboot Signal, utmp N6, spawn rc 6 N6
Start | USR2 | ShuttingDown @29500: stopping PowerOff Signal, utmp N0, spawn rc 0 N0
Start | host-off | ShuttingDown @29500: stopping PowerOff Host, utmp N0, spawn rc 0 N0
Start | host-reboot | ShuttingDown @29500: stopping Reboot Host, utmp N6, spawn rc 6 N6
Start | host-kill | Killing @500: stopping PowerOff Host, all 9
Start | host-adopt | Start: end offer, leave, adopted false None
Start | host-gone | Start: drain, offer
SystemInit | start orphan init-2 init-3 init-S USR1-held USR1-lost host-signal nobody | -
SystemInit | spawned | SystemInit @300000: started rcS
SystemInit | not-spawned | Runlevel @300000: skipped rcS 2, renew, utmp boot, utmp N2, spawn rc 2 N2
SystemInit | exited | Runlevel @300000: ended rcS 7, renew, utmp boot, utmp N2, spawn rc 2 N2
SystemInit | init-0 powerfail | ShuttingDown @29500: stopping PowerOff Initctl, group 10 15, utmp N0, spawn rc 0 N0
SystemInit | init-6 | ShuttingDown @29500: stopping Reboot Initctl, group 10 15, utmp N6, spawn rc 6 N6
SystemInit | stray | ShuttingDown @29500: stopping PowerOff StrayBytes, group 10 15, utmp N0, spawn rc 0 N0
SystemInit | INT TERM | ShuttingDown @29500: stopping Reboot Signal, group 10 15, utmp N6, spawn rc 6 N6
SystemInit | USR2 | ShuttingDown @29500: stopping PowerOff Signal, group 10 15, utmp N0, spawn rc 0 N0
SystemInit | host-off | ShuttingDown @29500: stopping PowerOff Host, group 10 15, utmp N0, spawn rc 0 N0
SystemInit | host-reboot | ShuttingDown @29500: stopping Reboot Host, group 10 15, utmp N6, spawn rc 6 N6
SystemInit | host-kill | Killing @500: stopping PowerOff Host, all 9
SystemInit | host-adopt | SystemInit @300000: end offer, leave, adopted false None
SystemInit | host-gone | SystemInit @300000: drain, offer
SystemInit | deadline | SystemInit: late rcS 10
Runlevel | start orphan init-2 init-3 init-S USR1-held USR1-lost host-signal nobody | -
Runlevel | spawned | Runlevel @300000: started rc 2
Runlevel | not-spawned | Running: skipped rc 2 2, renew, ready 0
Runlevel | exited | Running: ended rc 2 7, renew, ready 7
Runlevel | init-0 powerfail | ShuttingDown @29500: stopping PowerOff Initctl, group 10 15, utmp 20, spawn rc 0 20
Runlevel | init-6 | ShuttingDown @29500: stopping Reboot Initctl, group 10 15, utmp 26, spawn rc 6 26
Runlevel | stray | ShuttingDown @29500: stopping PowerOff StrayBytes, group 10 15, utmp 20, spawn rc 0 20
Runlevel | INT TERM | ShuttingDown @29500: stopping Reboot Signal, group 10 15, utmp 26, spawn rc 6 26
Runlevel | USR2 | ShuttingDown @29500: stopping PowerOff Signal, group 10 15, utmp 20, spawn rc 0 20
Runlevel | host-off | ShuttingDown @29500: stopping PowerOff Host, group 10 15, utmp 20, spawn rc 0 20
Runlevel | host-reboot | ShuttingDown @29500: stopping Reboot Host, group 10 15, utmp 26, spawn rc 6 26
Runlevel | host-kill | Killing @500: stopping PowerOff Host, all 9
Runlevel | host-adopt | Runlevel @300000: end offer, leave, adopted false None
Runlevel | host-gone | Runlevel @300000: drain, offer
Runlevel | deadline | Runlevel: late rc 2 10
Running | start spawned not-spawned exited orphan init-2 USR1-lost host-signal deadline nobody | -
Running | init-0 powerfail | ShuttingDown @29500: stopping PowerOff Initctl, utmp 20, spawn rc 0 20
Running | init-6 | ShuttingDown @29500: stopping Reboot Initctl, utmp 26, spawn rc 6 26
Running | init-3 | Runlevel: utmp 23, spawn rc 3 23
Running | init-S | Runlevel: utmp 2S, spawn sulogin 2S
Running | stray | ShuttingDown @29500: stopping PowerOff StrayBytes, utmp 20, spawn rc 0 20
Running | INT TERM | ShuttingDown @29500: stopping Reboot Signal, utmp 26, spawn rc 6 26
Running | USR2 USR1-held | ShuttingDown @29500: stopping PowerOff Signal, utmp 20, spawn rc 0 20
Running | host-off | ShuttingDown @29500: stopping PowerOff Host, utmp 20, spawn rc 0 20
Running | host-reboot | ShuttingDown @29500: stopping Reboot Host, utmp 26, spawn rc 6 26
Running | host-kill | Killing @500: stopping PowerOff Host, all 9
Running | host-adopt | Running: end offer, leave, adopted true None
Running | host-gone | Running: drain, offer
Payload | start orphan init-2 init-3 init-S USR1-lost deadline nobody | -
Payload | spawned | Payload: started payload
Payload | not-spawned | Terminating @5000: skipped payload 2, stopping Exit(125) Payload, all 15, all 18
Payload | exited | Terminating @5000: payload exited 7, stopping Exit(7) Payload, all 15, all 18
Payload | init-0 powerfail | Terminating @5000: stopping PowerOff Initctl, all 15, all 18
Payload | init-6 | Terminating @5000: stopping Reboot Initctl, all 15, all 18
Payload | stray | Terminating @5000: stopping PowerOff StrayBytes, all 15, all 18
Payload | INT TERM | Terminating @5000: stopping Reboot Signal, all 15, all 18
Payload | USR2 USR1-held | Terminating @5000: stopping PowerOff Signal, all 15, all 18
Payload | host-off | Terminating @5000: stopping PowerOff Host, all 15, all 18
Payload | host-reboot | Terminating @5000: stopping Reboot Host, all 15, all 18
Payload | host-kill | Killing @500: stopping PowerOff Host, all 9
Payload | host-signal | Payload: group 10 1
Payload | host-adopt | Payload: end offer, leave, adopted false None
Payload | host-gone | Payload: drain, offer
ShuttingDown | start orphan init-0 init-6 init-2 init-3 init-S powerfail stray INT USR2 TERM USR1-held USR1-lost host-off host-reboot host-signal nobody | -
ShuttingDown | spawned | ShuttingDown @29500: started rc 0
ShuttingDown | not-spawned | Terminating @5000: skipped rc 0 2, all 15, all 18
ShuttingDown | exited | Terminating @5000: ended rc 0 7, all 15, all 18
ShuttingDown | host-kill | Killing @500: all 9
ShuttingDown | host-adopt | ShuttingDown @29500: end offer, leave, adopted true Some(PowerOff)
ShuttingDown | host-gone | ShuttingDown @29500: drain, offer
ShuttingDown | deadline | ShuttingDown @30000: late rc 0 10
Terminating | start spawned not-spawned exited orphan init-0 init-6 init-2 init-3 init-S powerfail stray INT USR2 TERM USR1-held USR1-lost host-off host-reboot host-signal | -
Terminating | host-kill deadline | Killing @500: all 9
Terminating | host-adopt | Terminating @5000: end offer, leave, adopted true Some(PowerOff)
Terminating | host-gone | Terminating @5000: drain, offer
Terminating | nobody | Done: sync, ending PowerOff, finish PowerOff
Killing | start spawned not-spawned exited orphan init-0 init-6 init-2 init-3 init-S powerfail stray INT USR2 TERM USR1-held USR1-lost host-off host-reboot host-kill host-signal | -
Killing | host-adopt | Killing @500: end offer, leave, adopted true Some(PowerOff)
Killing | host-gone | Killing @500: drain, offer
Killing | deadline nobody | Done: sync, ending PowerOff, finish PowerOff
Done | start spawned not-spawned exited orphan init-0 init-6 init-2 init-3 init-S powerfail stray INT USR2 TERM USR1-held USR1-lost host-off host-reboot host-kill host-signal host-adopt host-gone deadline nobody | -
";

/// A machine in each state at time 0; the program that is waited for has pid 10.
fn in_state(state: State) -> Machine {
    let policy = Policy { payload: state == State::Payload, ..BOOT };
    let mut machine = Machine::new(policy);
    let way = [
        Event::Start,
        Event::Spawned(10),
        Event::ChildExited { pid: 10, status: 0 },
        Event::Spawned(10),
        Event::ChildExited { pid: 10, status: 0 },
        Event::Host(Request::PowerOff),
        Event::Spawned(10),
        Event::ChildExited { pid: 10, status: 0 },
        Event::Deadline,
        Event::Deadline,
    ];
    let steps = match state {
        State::Start => 0,
        State::SystemInit | State::Payload => 2,
        State::Runlevel => 4,
        State::Running => 5,
        State::ShuttingDown => 7,
        State::Terminating => 8,
        State::Killing => 9,
        State::Done => 10,
    };
    for event in &way[..steps] {
        machine.handle(0, *event);
    }
    assert_eq!(machine.state(), state);
    machine
}

fn name(effect: Effect) -> String {
    let program = |program| match program {
        Program::SystemInit => "rcS".to_owned(),
        Program::Boot => "boot".to_owned(),
        Program::Runlevel(level) => format!("rc {}", char::from(level)),
        Program::Single => "sulogin".to_owned(),
        Program::Payload => "payload".to_owned(),
    };
    match effect {
        Effect::Spawn { program: which, level, previous } => {
            format!("spawn {} {}{}", program(which), char::from(previous), char::from(level))
        }
        Effect::SignalAll(signal) => format!("all {signal}"),
        Effect::SignalGroup { pid, signal } => format!("group {pid} {signal}"),
        Effect::RenewInitctl => "renew".to_owned(),
        Effect::RecordBoot => "utmp boot".to_owned(),
        Effect::RecordLevel { level, previous } => {
            format!("utmp {}{}", char::from(previous), char::from(level))
        }
        Effect::Tell(message) => match message {
            Message::Started(which) => format!("started {}", program(which)),
            Message::Ended { program: which, status } => format!("ended {} {status}", program(which)),
            Message::Skipped { program: which, errno } => format!("skipped {} {errno}", program(which)),
            Message::Ready { status } => format!("ready {status}"),
            Message::Late { program: which, pid } => format!("late {} {pid}", program(which)),
            Message::PayloadExited { status } => format!("payload exited {status}"),
            Message::Stopping { end, why } => format!("stopping {end:?} {why:?}"),
            Message::TimedOut(which) => format!("timed out {}", program(which)),
            Message::Ending(end) => format!("ending {end:?}"),
            Message::Adopted { ready, end } => format!("adopted {ready} {end:?}"),
            Message::Failed { .. } => unreachable!("not of the machine"),
        },
        Effect::DrainConsole => "drain".to_owned(),
        Effect::LeaveConsole => "leave".to_owned(),
        Effect::OfferSocket => "offer".to_owned(),
        Effect::EndOffer => "end offer".to_owned(),
        Effect::Sync => "sync".to_owned(),
        Effect::Finish(end) => format!("finish {end:?}"),
    }
}

fn outcome(before: State, machine: &Machine, effects: &Effects) -> String {
    let effects: Vec<String> = effects.iter().map(name).collect();
    let deadline = machine.deadline().map(|at| format!(" @{at}")).unwrap_or_default();
    if machine.state() == before && effects.is_empty() {
        return "-".to_owned();
    }
    format!("{:?}{deadline}: {}", machine.state(), effects.join(", "))
}

const STATES: [State; 9] = [
    State::Start,
    State::SystemInit,
    State::Runlevel,
    State::Running,
    State::Payload,
    State::ShuttingDown,
    State::Terminating,
    State::Killing,
    State::Done,
];

#[test]
fn every_pair_of_state_and_event_does_what_the_table_says() {
    let mut told = String::from("\n");
    for state in STATES {
        let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, event) in EVENTS {
            let mut machine = in_state(state);
            let effects = machine.handle(0, event);
            let outcome = outcome(state, &machine, &effects);
            match rows.iter_mut().find(|(row, _)| *row == outcome) {
                Some((_, names)) => names.push(name),
                None => rows.push((outcome, vec![name])),
            }
        }
        for (outcome, names) in rows {
            told += &format!("{state:?} | {} | {outcome}\n", names.join(" "));
        }
    }
    assert_eq!(told, TABLE, "\n{told}");
}

/// Goes a way of events, each at its time, and tells the outcomes.
fn way(policy: Policy, events: &[(u64, Event)]) -> Vec<String> {
    let mut machine = Machine::new(policy);
    let mut told = Vec::new();
    for (now, event) in events {
        let before = machine.state();
        let effects = machine.handle(*now, *event);
        told.push(outcome(before, &machine, &effects));
    }
    told
}

fn exited(pid: i32, status: u8) -> Event {
    Event::ChildExited { pid, status }
}

#[test]
fn a_guest_boots_and_powers_off_in_order() {
    let told = way(
        BOOT,
        &[
            (0, Event::Start),
            (1, Event::Spawned(2)),
            (500, exited(2, 0)),
            (501, Event::Spawned(50)),
            (600, exited(50, 1)),
            (9_000, Event::Initctl(Order::Level(b'0'))),
            (9_001, Event::Spawned(90)),
            (10_000, exited(90, 0)),
            (10_100, Event::NobodyLeft),
        ],
    );
    assert_eq!(
        told,
        [
            "SystemInit @300000: utmp boot, utmp NS, spawn rcS NS",
            "SystemInit @300000: started rcS",
            "Runlevel @300000: ended rcS 0, renew, utmp boot, utmp N2, spawn rc 2 N2",
            "Runlevel @300000: started rc 2",
            "Running: ended rc 2 1, renew, ready 1",
            "ShuttingDown @38500: stopping PowerOff Initctl, utmp 20, spawn rc 0 20",
            "ShuttingDown @38500: started rc 0",
            "Terminating @15000: ended rc 0 0, all 15, all 18",
            "Done: sync, ending PowerOff, finish PowerOff",
        ]
    );
}

#[test]
fn the_end_of_no_child_matters_while_no_script_runs() {
    for state in [
        State::Start,
        State::SystemInit,
        State::Runlevel,
        State::Running,
        State::Payload,
        State::ShuttingDown,
        State::Terminating,
        State::Killing,
        State::Done,
    ] {
        assert_eq!(in_state(state).awaits_nobody(), state == State::Running, "{state:?}");
    }
    let mut stays = Machine::new(Policy { stays: true, ..BOOT });
    for event in [Event::Start, Event::Spawned(10), exited(10, 0), Event::Spawned(11)] {
        stays.handle(0, event);
    }
    assert_eq!((stays.state(), stays.awaits_nobody()), (State::Running, false));
}

#[test]
fn the_whole_end_is_bounded_by_the_stop_time_and_two_seconds() {
    let told = way(
        BOOT,
        &[
            (0, Event::Host(Request::Reboot)),
            (0, Event::Spawned(9)),
            (29_500, Event::Deadline),
            (30_000, Event::Deadline),
            (31_000, Event::Deadline),
            (31_500, Event::Deadline),
        ],
    );
    assert_eq!(
        told[2..],
        [
            "ShuttingDown @30000: late rc 6 9",
            "Terminating @31000: timed out rc 6, all 15, all 18",
            "Killing @31500: all 9",
            "Done: sync, ending Reboot, finish Reboot",
        ]
    );
}

#[test]
fn what_runs_behind_the_start_script_runs_before_the_level() {
    let told = way(
        Policy { boot: true, ..BOOT },
        &[
            (0, Event::Start),
            (0, Event::Spawned(2)),
            (0, exited(2, 0)),
            (0, Event::Spawned(3)),
            (0, exited(3, 0)),
        ],
    );
    assert_eq!(
        told[2..],
        [
            "SystemInit @300000: ended rcS 0, renew, spawn boot NS",
            "SystemInit @300000: started boot",
            "Runlevel @300000: ended boot 0, renew, utmp boot, utmp N2, spawn rc 2 N2",
        ]
    );
}

#[test]
fn a_program_that_stays_makes_the_guest_ready_and_ends_it() {
    let stays = Policy { stays: true, ..BOOT };
    let up = [(0, Event::Start), (0, Event::Spawned(2)), (0, exited(2, 0)), (0, Event::Spawned(3))];
    let events =
        [&up[..], &[(9, Event::Initctl(Order::Level(b'3'))), (9, exited(3, 1)), (9, Event::Spawned(4))]]
            .concat();
    assert_eq!(
        way(stays, &events)[3..],
        [
            "Running: started rc 2, renew, ready 0",
            "-",
            "ShuttingDown @29509: ended rc 2 1, stopping PowerOff Payload, utmp 20, spawn rc 0 20",
            "ShuttingDown @29509: started rc 0",
        ]
    );
    let events = [&up[..], &[(9, Event::Initctl(Order::Level(b'6')))]].concat();
    assert_eq!(
        way(stays, &events)[4],
        "ShuttingDown @29509: stopping Reboot Initctl, group 3 15, utmp 26, spawn rc 6 26"
    );
}

#[test]
fn a_script_that_is_late_is_told_of_once_and_waited_for() {
    let events = [
        (0, Event::Start),
        (0, Event::Spawned(2)),
        (300_000, Event::Deadline),
        (900_000, exited(2, 0)),
        (900_000, Event::Spawned(3)),
        (900_000, Event::Deadline),
        (900_000, exited(3, 0)),
    ];
    assert_eq!(
        way(BOOT, &events)[2..],
        [
            "SystemInit: late rcS 2",
            "Runlevel: ended rcS 0, renew, utmp boot, utmp N2, spawn rc 2 N2",
            "Runlevel: started rc 2",
            "Runlevel: late rc 2 3",
            "Running: ended rc 2 0, renew, ready 0",
        ]
    );
    let patient = Policy { boot_ms: 0, ..BOOT };
    assert_eq!(way(patient, &events[..1]), ["SystemInit: utmp boot, utmp NS, spawn rcS NS"]);
}

#[test]
fn stray_bytes_skip_rc_where_power_off_is_immediate() {
    let running = [(0, Event::Start), (0, Event::Spawned(2)), (0, exited(2, 0)), (0, Event::Spawned(3))];
    let immediate = Policy { immediate: true, ..BOOT };
    let events = [&running[..], &[(7, Event::Initctl(Order::Stray))]].concat();
    assert_eq!(
        way(immediate, &events).last().unwrap(),
        "Terminating @1007: stopping PowerOff StrayBytes, all 15, all 18"
    );
    let events = [&running[..], &[(7, Event::Host(Request::PowerOff))]].concat();
    assert_eq!(
        way(immediate, &events).last().unwrap(),
        "ShuttingDown @29507: stopping PowerOff Host, group 3 15, utmp 20, spawn rc 0 20"
    );
}

#[test]
fn a_level_asked_for_while_a_script_runs_comes_after_it() {
    let told = way(
        BOOT,
        &[
            (0, Event::Start),
            (0, Event::Spawned(2)),
            (0, Event::Initctl(Order::Level(b'3'))),
            (0, exited(2, 0)),
            (0, Event::Spawned(3)),
            (0, Event::Initctl(Order::Level(b'4'))),
            (0, Event::Initctl(Order::Level(b'5'))),
            (0, exited(3, 0)),
        ],
    );
    assert_eq!(
        told[3..],
        [
            "Runlevel @300000: ended rcS 0, renew, utmp boot, utmp N3, spawn rc 3 N3",
            "Runlevel @300000: started rc 3",
            "-",
            "-",
            "Runlevel: ended rc 3 0, renew, ready 0, utmp 35, spawn rc 5 35",
        ]
    );
}

#[test]
fn single_user_ends_in_the_runlevel_that_was_booted_to() {
    let told = way(
        BOOT,
        &[
            (0, Event::Start),
            (0, Event::NotSpawned(2)),
            (0, Event::NotSpawned(2)),
            (0, Event::Initctl(Order::Level(b'1'))),
            (0, Event::Spawned(4)),
            // Debian's `single` in rc 1 ends with `init -t1 S`.
            (0, Event::Initctl(Order::Level(b'S'))),
            (0, exited(4, 0)),
            (0, Event::Spawned(5)),
            (0, exited(5, 0)),
        ],
    );
    assert_eq!(
        told[2..],
        [
            "Running: skipped rc 2 2, renew, ready 0",
            "Runlevel: utmp 21, spawn rc 1 21",
            "Runlevel: started rc 1",
            "-",
            "Runlevel: ended rc 1 0, renew, utmp 1S, spawn sulogin 1S",
            "Runlevel: started sulogin",
            "Runlevel: ended sulogin 0, renew, utmp S2, spawn rc 2 S2",
        ]
    );
}

#[test]
fn a_payload_that_ends_ends_the_subhost_with_its_status() {
    let policy = Policy { payload: true, ..BOOT };
    let told = way(
        policy,
        &[(0, Event::Start), (0, Event::Spawned(2)), (5, exited(2, 137)), (5, Event::NobodyLeft)],
    );
    assert_eq!(
        told,
        [
            "Payload: spawn payload NN",
            "Payload: started payload",
            "Terminating @5005: payload exited 137, stopping Exit(137) Payload, all 15, all 18",
            "Done: ending Exit(137), finish Exit(137)",
        ]
    );
}

#[test]
fn a_payload_that_is_told_to_end_is_still_reported() {
    let policy = Policy { payload: true, ..BOOT };
    let told = way(
        policy,
        &[
            (0, Event::Start),
            (0, Event::Spawned(2)),
            (5, Event::Host(Request::PowerOff)),
            (6, exited(2, 143)),
            (6, Event::NobodyLeft),
        ],
    );
    assert_eq!(
        told[2..],
        [
            "Terminating @5005: stopping PowerOff Host, all 15, all 18",
            "Terminating @5005: payload exited 143",
            "Done: sync, ending PowerOff, finish PowerOff",
        ]
    );
}

#[test]
fn a_host_that_wants_it_off_overrides_a_restart() {
    let told = way(
        BOOT,
        &[
            (0, Event::Start),
            (0, Event::Interrupt),
            (0, Event::Host(Request::PowerOff)),
            (0, Event::NotSpawned(2)),
            (0, Event::NobodyLeft),
        ],
    );
    assert_eq!(
        told[2..],
        [
            "-",
            "Terminating @5000: skipped rc 6 2, all 15, all 18",
            "Done: sync, ending PowerOff, finish PowerOff"
        ]
    );
}

proptest! {
    #[test]
    fn whatever_happens_the_end_comes_in_time_and_once(
        payload: bool, immediate: bool, grace_ms in 0_u64..100_000, stop_ms in 0_u64..100_000,
        events in prop::collection::vec(prop::sample::select(&EVENTS[..]), 0..40),
    ) {
        let mut machine = Machine::new(Policy { payload, immediate, grace_ms, stop_ms, ..BOOT });
        let mut finished = 0;
        let mut take = |machine: &mut Machine, now, event| {
            let effects: Vec<_> = machine.handle(now, event).iter().collect();
            finished += effects.iter().filter(|effect| matches!(effect, Effect::Finish(_))).count();
            // The program runs one program an event, and the list has room.
            let spawns = effects.iter().rposition(|effect| matches!(effect, Effect::Spawn { .. }));
            assert!(spawns.is_none_or(|at| at + 1 == effects.len()) && effects.len() < 8, "{effects:?}");
        };
        for (_, event) in events {
            take(&mut machine, 0, event);
        }
        take(&mut machine, 0, Event::Host(Request::PowerOff));
        let mut now = 0;
        while let Some(deadline) = machine.deadline() {
            now = deadline;
            take(&mut machine, now, Event::Deadline);
        }
        prop_assert_eq!(machine.state(), State::Done);
        prop_assert_eq!(finished, 1);
        prop_assert!(now <= stop_ms + LAST_GRACE_MS + KILL_MS);
    }
}
