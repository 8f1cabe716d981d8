//! A subhost beside many others.

use std::fs;
use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::stepper::{self, name};

use crate::{BRIDGE, MAC};

pub(crate) const CASES: &[Case] = &[Case {
    name: "beside_many_others_a_subhost_takes_no_more_system_calls",
    needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
    body: many,
}];

const FEW: usize = 5;
const MANY: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);

/// How often these are called depends on who is first.
const WAITING: &[&str] =
    &["epoll_pwait", "futex", "poll", "ppoll", "restart_syscall", "sched_yield", "wait4", "waitid"];

/// The calls that each of these takes that is not a wait; the least of some tries.
fn calls(host: &Host, name_of: &str) -> Result<[usize; 3], Box<dyn std::error::Error>> {
    let words =
        [vec!["boot", "--detach", name_of], vec!["exec", name_of, "--", "true"], vec!["kill", name_of]];
    let mut least = [usize::MAX; 3];
    for _ in 0..3 {
        for (least, words) in least.iter_mut().zip(&words) {
            let walk = stepper::walk(&host.command(words), None, PATIENCE)?;
            assert!(walk.code == 0 && !walk.hung, "{words:?}: {walk}");
            let calls = walk.calls.iter().flatten().filter(|call| !WAITING.contains(&name(**call).as_str()));
            *least = calls.count().min(*least);
        }
    }
    Ok(least)
}

fn many(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    for script in ["rcS", "rc"] {
        fs::write(tree.join("etc/init.d").join(script), "#!/bin/sh\n")?;
    }
    let image = host.ext4_of(&tree, "idle.ext4")?;
    host.bridge(BRIDGE, "10.80.0.1/16")?;
    let config = |name: &str, mac: &str| {
        let disk = format!("DISKS=( vda:0:{} )\nREADONLY=yes\n", image.display());
        host.config(name, &format!("{disk}BRIDGES=( {BRIDGE}:{mac} )\n"))
    };
    let name = host.name("one");
    config(&name, MAC)?;
    let mut counted = Vec::new();
    for number in 0..MANY {
        if number == FEW {
            counted.push(calls(host, &name)?);
        }
        let other = host.name(&format!("n{number}-"));
        config(&other, "")?;
        host.done(&["boot", "--detach", &other])?;
    }
    counted.push(calls(host, &name)?);
    host.done(&["kill", "n*"])?;
    host.take_down()?;
    let [few, many] = counted[..] else { return Err("not counted twice".into()) };
    for (what, (few, many)) in ["boot", "exec", "kill"].iter().zip(few.iter().zip(many)) {
        // Longer lists take some more reads; a single call for each of the others would be twice as many.
        assert!(many < few + (MANY - FEW) / 2, "{what}: {few} calls beside {FEW}, {many} beside {MANY}");
    }
    Ok(())
}
