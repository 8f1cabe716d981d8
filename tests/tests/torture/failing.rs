//! At each system call of a command an error: it then fails cleanly and says of what, or has done its work all the same.

use std::error::Error;
use std::io;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::size::Size;
use subhost_tests::stepper::{Fault, Harm, Walk, name};

use crate::Torture;
use crate::acts::{Act, Count, Scene, change, points};

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

/// One of the errors at a tenth of the calls, or all at all.
const FAULTS: Size = Size { unit: "of 70 errors", short: 1, long: 70 };

const ERRORS: [i32; 7] =
    [libc::ENOMEM, libc::EMFILE, libc::ENOSPC, libc::EIO, libc::EBUSY, libc::EINTR, libc::ENOSYS];

pub(crate) const CASES: &[Torture] = &[
    of("whichever_call_fails_a_boot_ends_cleanly", |host| failing(host, Act::Boot)),
    of("whichever_call_fails_a_start_ends_cleanly", |host| failing(host, Act::Start)),
    of("whichever_call_fails_a_stop_ends_cleanly", |host| failing(host, Act::StopBooted)),
    of("whichever_call_fails_a_stop_of_what_lingers_ends_cleanly", |host| failing(host, Act::StopLingering)),
    of("whichever_call_fails_an_exec_ends_cleanly", |host| failing(host, Act::Exec)),
    of("whichever_call_fails_a_recover_ends_cleanly", |host| failing(host, Act::Recover)),
];

const fn of(name: &'static str, body: fn(&Host) -> Verdict) -> Torture {
    Torture { case: Case { name, needs: NEEDS, body }, size: FAULTS }
}

fn failing(host: &Host, act: Act) -> Verdict {
    let scene = Scene::new(host, act)?;
    let all = points(&scene.calls()?);
    let size = usize::try_from(FAULTS.now())?;
    let first = change();
    let mut count = Count::default();
    for (index, (at, number)) in all.iter().enumerate() {
        for (nth, errno) in ERRORS.into_iter().enumerate() {
            // A tenth of the calls, each of which has another one of the errors.
            if ((index + first) % 10 + 10 * ((nth + index / 10 + first / 10) % 7)) >= size {
                continue;
            }
            scene.prepare()?;
            let walk = scene.walk(Some(Harm { at: *at, fault: Fault::Fail(errno) }))?;
            count.add("errors");
            match (walk.harmed, walk.code) {
                (None, _) => count.add("not reached"),
                (_, 0) => count.add("of no consequence"),
                _ => count.add("told"),
            }
            let verdict = judge(&scene, &walk, errno).and_then(|()| scene.end());
            if let Err(error) = verdict {
                count.add("failures");
                let call = name(walk.harmed.unwrap_or(*number));
                let text = io::Error::from_raw_os_error(errno);
                scene.failed(format!(
                    "{act:?} with an error at {at} ({call}): {text}: {error}\n--- itself: {walk}"
                ))?;
            }
        }
    }
    count.show(act, 7 * all.len());
    scene.close()
}

/// What has to hold of any error.
fn judge(scene: &Scene<'_>, walk: &Walk, errno: i32) -> Result<(), Box<dyn Error>> {
    if walk.hung {
        return Err("hangs".into());
    }
    if walk.stderr.contains("panicked") {
        return Err("panics".into());
    }
    if walk.code >= 128 {
        return Err("ends of a signal".into());
    }
    if walk.code == 0 {
        return if scene.is_whole(walk)? { Ok(()) } else { Err("says that it is done, and is not".into()) };
    }
    let cause = io::Error::from_raw_os_error(errno).to_string();
    let cause = cause.split(" (os error").next().unwrap_or_default();
    if !walk.stderr.contains(cause) {
        return Err("does not say why".into());
    }
    match scene.act {
        // Undone.
        Act::Boot | Act::Start => scene.nothing_left(),
        // Can be done again.
        _ => scene.mend(),
    }
}
