//! What a guest is told of itself: its environment, and the kernel's command line.

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;

const MBR: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "the_environment_of_the_configuration_is_that_of_pid_1", needs: MBR, body: environment },
    Case { name: "the_command_line_of_the_configuration_is_what_the_guest_reads", needs: MBR, body: cmdline },
];

fn environment(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let text = format!(
        "DISKS=( vda:1:{} )\nENVIRONMENT=( LANG=C.UTF-8 'OPTIONS=a b' TERM=dumb )\n",
        image.display()
    );
    host.config(&name, &text)?;
    let plan = host.done(&["plan", &name])?;
    assert!(plan.contains("export LANG=C.UTF-8 'OPTIONS=a b' TERM=dumb "), "{plan}");
    let told = host.subhostctl(&["-v", "boot", "--detach", &name])?;
    let said = plan.lines().all(|line| told.stderr.contains(&format!("+ {line}\n")));
    assert!(told.code == 0 && said, "{told}");
    let environ = host.done(&["enter", &name, "--", "cat", "/proc/1/environ"])?;
    let words: Vec<&str> = environ.split_terminator('\0').collect();
    for word in ["LANG=C.UTF-8", "OPTIONS=a b", "TERM=dumb", "container=subhost"] {
        assert_eq!(words.iter().filter(|it| **it == word).count(), 1, "{words:?}");
    }
    assert!(!words.contains(&"TERM=linux"), "{words:?}");
    host.done(&["stop", &name])?;
    Ok(())
}

fn cmdline(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let disks = format!("DISKS=( vda:1:{} )\n", image.display());
    let read = || host.done(&["enter", &name, "--", "cat", "/proc/cmdline"]);
    host.config(&name, &disks)?;
    boot(host, &name)?;
    assert_eq!(read()?, std::fs::read_to_string("/proc/cmdline")?);
    host.done(&["stop", &name])?;

    host.config(&name, &format!("{disks}CMDLINE='quiet  ro it'\\''s=$x'\n"))?;
    boot(host, &name)?;
    assert_eq!(read()?, "quiet  ro it's=$x\n");
    let written = host.subhostctl(&["enter", &name, "--", "sh", "-c", "echo other >/proc/cmdline"])?;
    assert_ne!(written.code, 0, "{written}");
    assert_eq!(read()?, "quiet  ro it's=$x\n");
    // Of its own proc alone.
    assert_ne!(std::fs::read_to_string("/proc/cmdline")?, read()?);
    host.done(&["stop", &name])?;
    Ok(())
}
