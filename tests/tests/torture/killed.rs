//! Each process of a command is killed at each of its system calls: one further command then makes all whole.

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::size::Size;
use subhost_tests::stepper::{Fault, Harm, name};

use crate::Torture;
use crate::acts::{Act, Count, Made, Scene, all_made, change};

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

const POINTS: Size = Size { unit: "of 10 calls", short: 1, long: 10 };

pub(crate) const CASES: &[Torture] = &[
    of("killed_at_any_call_a_boot_can_be_done_again", |host| killed(host, Act::Boot)),
    of("killed_at_any_call_a_start_can_be_done_again", |host| killed(host, Act::Start)),
    of("killed_at_any_call_a_stop_can_be_done_again", |host| killed(host, Act::StopBooted)),
    of("killed_at_any_call_a_stop_of_what_lingers_can_be_done_again", |host| {
        killed(host, Act::StopLingering)
    }),
    of("killed_at_any_call_an_exec_can_be_done_again", |host| killed(host, Act::Exec)),
    of("killed_at_any_call_a_recover_can_be_done_again", |host| killed(host, Act::Recover)),
];

const fn of(name: &'static str, body: fn(&Host) -> Verdict) -> Torture {
    Torture { case: Case { name, needs: NEEDS, body }, size: POINTS }
}

fn killed(host: &Host, act: Act) -> Verdict {
    let scene = Scene::new(host, act)?;
    let all = all_made(&scene.calls()?);
    let size = usize::try_from(POINTS.now())?;
    let first = change();
    let mut count = Count::default();
    for (index, Made { at, name: call, .. }) in all.iter().enumerate() {
        if (index + first) % 10 >= size {
            continue;
        }
        scene.prepare()?;
        let walk = scene.walk(Some(Harm::at(*at, Fault::Kill)))?;
        count.add("calls");
        if walk.harmed.is_none() {
            count.add("not reached");
        }
        let call = walk.harmed.map_or_else(|| call.clone(), name);
        if walk.hung {
            // What is left of it may hold up all that comes.
            return Err(format!("{act:?} killed at {at} ({call}) hangs: {walk}").into());
        }
        if let Err(error) = scene.mend().and_then(|()| scene.end()) {
            count.add("failures");
            scene.failed(format!("{act:?} killed at {at} ({call}): {error}\n--- itself: {walk}"))?;
        }
    }
    count.show(act, all.len());
    scene.close()
}
