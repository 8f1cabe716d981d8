//! Memory grows as the text does, whatever it is made of, and stays below ten times the size of a long list. What a
//! short text asks for is held by the budgets.
//!
//! Counted, not timed. The times are shown by `cargo xtask proof speed`.

mod sys;

use subhost_config::{Diagnostic, Evaluator, Source, parse};
use sys::{Cost, cost_of};

#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;

/// A text of that many pieces.
type Text = fn(usize) -> String;

const TEXTS: &[(&str, Text)] = &[
    ("a list", |count| format!("DISKS=(\n{})\n", "vda:1:/disks/a.raw\n".repeat(count))),
    ("a list in quotes", |count| format!("A=(\n{})\n", "'a b' \"c d\"\n".repeat(count))),
    ("a list by subscripts", |count| {
        let elements: String = (0..count).map(|index| format!("[{index}]=x\n")).collect();
        format!("A=(\n{elements})\n")
    }),
    ("appended elements", |count| "A+=(vda:1:/disks/a.raw)\n".repeat(count)),
    ("an appended string", |count| "A+=abcdefgh\n".repeat(count)),
    ("many variables", |count| (0..count).map(|number| format!("NAME_{number}='x y'\n")).collect()),
    ("comments", |count| "# a comment that says nothing\n".repeat(count)),
    ("references", |count| format!("B=x\n{}", "A=\"$B$B\"\n".repeat(count))),
    ("a long line", |count| format!("A={}\n", "x".repeat(count))),
    ("refused commands", |count| "echo hi\n".repeat(count)),
    ("unset variables", |count| "A=$B\n".repeat(count)),
];

fn cost(text: &str) -> Cost {
    cost_within(text, &Evaluator::new())
}

fn cost_within(text: &str, evaluator: &Evaluator) -> Cost {
    let source = Source::new("text", text);
    cost_of(|| {
        let (script, diagnostics) = parse(&source);
        let (variables, more) = evaluator.run(&script);
        // All of it held at once.
        (variables, diagnostics.iter().chain(&more).filter(|it: &&Diagnostic| it.is_error()).count(), script)
    })
    .1
}

/// What a loop does with a list and a string that are large.
const TURNS: &[&str] = &[
    "B=${#A[@]}",
    "B=${A[@]:5:2}",
    "B=(\"${A[@]: -1}\")",
    "B=${A[@]:+x}",
    "for j in \"${A[@]}\"; do break; done",
    "f \"${A[@]}\"",
    "B=${#V}",
    "B=${V:5:1}",
    "B=${V@Q}",
    "B=${V#*y}",
    "[ \"$V\" = y ]",
];

// One test, since nothing else may run while it is counted.
#[test]
fn memory_is_held_by_the_text_and_by_the_budgets() {
    ten_times_the_text_costs_ten_times_the_memory();
    budgets_hold_what_a_loop_asks_for();
    braces_are_held_by_the_memory_budget();
}

fn budgets_hold_what_a_loop_asks_for() {
    let (list, string) = ("x ".repeat(10_000), "x".repeat(500_000));
    let evaluator = Evaluator::new().memory_budget(16 << 20).step_budget(100_000);
    for turn in TURNS {
        let text =
            format!("f() {{ :; }}\nA=({list})\nV={string}\nfor ((i=0; i<2000; i++)); do {turn}; done\n");
        let cost = cost_within(&text, &evaluator);
        assert!(cost.total < 100 << 20, "{turn}: {cost:?}");
    }
}

fn braces_are_held_by_the_memory_budget() {
    let text = format!("A=({}{})\n", "{a,b}".repeat(12), "x".repeat(10_000));
    let cost = cost_within(&text, &Evaluator::new().memory_budget(1 << 20));
    assert!(cost.peak < 20 << 20, "{cost:?}");
}

fn ten_times_the_text_costs_ten_times_the_memory() {
    for &(what, text) in TEXTS {
        let (small, large) = (cost(&text(3_000)), cost(&text(30_000)));
        assert!(large.peak <= small.peak * 12 + 4096, "{what}: {small:?}, ten times the text {large:?}");
        assert!(large.calls <= small.calls * 12 + 100, "{what}: {small:?}, ten times the text {large:?}");
    }

    let list = TEXTS[0].1(100_000);
    let cost = cost(&list);
    assert!(cost.peak < 10 * list.len(), "{cost:?} for a list of {} bytes", list.len());
}
