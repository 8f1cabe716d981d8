//! What a guest may ask of the kernel: system calls, capabilities, terminals; of its own and of whoever enters it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::{probe, program};

use crate::boot;

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "every_call_is_answered_as_the_table_of_its_profile_says", needs: NEEDS, body: table },
    Case { name: "nothing_inside_types_on_the_terminal_of_who_enters", needs: NEEDS, body: terminal },
    Case { name: "who_enters_has_no_more_than_pid_1", needs: NEEDS, body: no_more },
    Case { name: "set_user_id_programs_work_inside", needs: NEEDS, body: set_user_id },
    Case { name: "what_is_open_is_said_by_plan_and_status", needs: NEEDS, body: said },
];

/// The calls, each with what may be answered by default, with `NESTING=yes` and with `SECCOMP=no`.
const GOLDEN: &str = include_str!("../../golden/isolation.txt");

/// An image of the tiny guest with the probe in it, and a configuration with these lines more. The name.
fn guest(host: &Host, lines: &str) -> std::io::Result<String> {
    let tree = host.copy_of(Fixture::TinyTree)?;
    probe::write(&tree.join("bin/probe"))?;
    probe::write(&tree.join("bin/suid-probe"))?;
    std::fs::set_permissions(tree.join("bin/suid-probe"), PermissionsExt::from_mode(0o4755))?;
    let image = host.ext4_of(&tree, "root.ext4")?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{} )\n{lines}", image.display()))?;
    Ok(name)
}

/// What the probe says: a call and an answer a line.
fn answers(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(' ')).collect()
}

/// Holds what the probe says against the golden table; the profile is a column of it.
fn check(text: &str, profile: usize) {
    let said = answers(text);
    let mut wanted = 0;
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        // Only x86_64 has these.
        let elsewhere = ["iopl", "ioperm", "x32:", "i386:"].iter().any(|begin| cells[0].starts_with(begin));
        if elsewhere && !cfg!(target_arch = "x86_64") {
            continue;
        }
        wanted += 1;
        let answer = said.get(cells[0]).copied().unwrap_or("nothing");
        let may = cells[1 + profile];
        assert!(may == "*" || may.split('/').any(|one| one == answer), "{}: {answer}, not {may}", cells[0]);
    }
    assert_eq!(said.len(), wanted, "{text}");
}

/// Rows F5, N2 and calls of docs/security.md.
fn table(host: &Host) -> Verdict {
    for (profile, lines) in ["", "NESTING=yes\n", "SECCOMP=no\n"].into_iter().enumerate() {
        let name = guest(host, lines)?;
        boot(host, &name)?;
        check(&host.done(&["enter", &name, "--", "/bin/probe"])?, profile);
        host.done(&["stop", &name])?;
    }
    // A child of PID 1.
    let tree = host.copy_of(Fixture::TinyTree)?;
    probe::write(&tree.join("bin/probe"))?;
    let path = tree.to_string_lossy();
    check(&host.done(&["run", "--root", &path, "--", "/bin/probe"])?, 0);
    check(&host.done(&["run", "--nesting", "--root", &path, "--", "/bin/probe"])?, 1);
    Ok(())
}

/// Row T1 of docs/security.md.
fn terminal(host: &Host) -> Verdict {
    let name = guest(host, "")?;
    boot(host, &name)?;
    let outside = host.directory().join("probe");
    probe::write(&outside)?;
    let (outside, program) = (outside.display(), program::path()?);
    // script(1) is the terminal. The witness: where it is the own terminal, and no filter, something is typed.
    let line = format!(
        "{} --root-dir {} enter {name} -- /bin/probe terminal; {outside} waiting; \
         {outside} terminal >/dev/null; {outside} waiting",
        program.display(),
        host.root_dir().display()
    );
    let out = host.witness("script", &["-qec", &line, "/dev/null"])?;
    // What script(1) sends at the end of its own input is echoed between two lines.
    let lines: Vec<&str> =
        out.lines().map(|line| line.trim_end().trim_start_matches(['^', '@', 'D', '\u{8}', '\0'])).collect();
    let waiting: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("waiting ")).collect();
    assert!(waiting.len() == 2 && waiting[0] == "0" && waiting[1] != "0", "{out}");
    assert!(lines.contains(&"open:/dev/tty ok"), "{out}");
    for fd in ["0", "1", "2", "/dev/tty"] {
        for request in ["0x5412", "0x100005412", "0x8000000000005412"] {
            let refused = format!("{fd}:{request} EPERM");
            assert_eq!(lines.iter().filter(|line| **line == refused).count(), 2, "{refused}: {out}");
        }
    }
    host.done(&["stop", &name])?;
    Ok(())
}

/// Row C1 of docs/security.md.
fn no_more(host: &Host) -> Verdict {
    let name = guest(host, "CAPS_DROP=( net_raw sys_admin )\n")?;
    let running = boot(host, &name)?;
    // As the host sees PID 1: the guest's words would not do.
    let init = std::fs::read_to_string(format!("/proc/{}/status", running.init_pid()))?;
    let entered = host.done(&["enter", &name, "--", "cat", "/proc/self/status"])?;
    let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse()?;
    // By the kernel's numbers: those that go by default, and the two.
    let dropped = [16, 17, 25, 27, 30, 32, 33, 34, 35, 36, 37, 38, 39, 13, 21];
    let left = dropped.iter().fold((1_u64 << (last + 1)) - 1, |left, number| left & !(1 << number));
    for status in [&init, &entered] {
        for (field, value) in [("CapInh", 0), ("CapAmb", 0), ("CapPrm", left), ("CapBnd", left)] {
            assert!(status.contains(&format!("{field}:\t{value:016x}\n")), "{field}: {status}");
        }
        assert!(status.contains("Seccomp:\t2\n") && status.contains("NoNewPrivs:\t0\n"), "{status}");
    }
    host.done(&["stop", &name])?;
    Ok(())
}

fn set_user_id(host: &Host) -> Verdict {
    let name = guest(host, "")?;
    boot(host, &name)?;
    for (program, euid) in [("/bin/probe", "1000"), ("/bin/suid-probe", "0")] {
        let out = host.done(&["enter", &name, "--", "/bin/probe", "as-user", program, "euid"])?;
        assert_eq!(out, format!("setgid ok\nsetuid ok\n{euid}\neuid ok\n"), "{program}");
    }
    host.done(&["stop", &name])?;
    Ok(())
}

fn said(host: &Host) -> Verdict {
    let name = guest(host, "")?;
    let plan = host.done(&["plan", &name])?;
    assert!(!plan.contains("open to the guest") && plan.contains("system call filter"), "{plan}");
    boot(host, &name)?;
    assert!(!host.done(&["status", &name])?.lines().any(|line| line.starts_with("open ")));
    assert!(sys_is(host, &name, "ro")?);
    host.done(&["stop", &name])?;

    let name = guest(host, "NESTING=yes\nPROC_SYS=rw\nCAPS_ADD=( mknod )\nCAPS_DROP=( net_raw )\n")?;
    let plan = host.done(&["plan", &name])?;
    let running = boot(host, &name)?;
    let status = host.done(&["status", &name])?;
    for open in [
        "mounts and user namespaces inside (NESTING=yes)",
        "mknod (CAPS_ADD)",
        "/sys for writing (PROC_SYS=rw)",
    ] {
        assert!(plan.lines().any(|line| line.starts_with("# open") && line.contains(open)), "{plan}");
        assert!(status.lines().any(|line| line.starts_with("open ") && line.contains(open)), "{status}");
    }
    let isolation = running.field("isolation");
    assert_eq!((&isolation["seccomp"], &isolation["nesting"]), (&true.into(), &true.into()), "{isolation}");
    let dropped = isolation["dropped_capabilities"].to_string();
    assert!(dropped.contains("\"net_raw\"") && !dropped.contains("\"mknod\""), "{dropped}");
    assert!(sys_is(host, &name, "rw")?);
    host.done(&["stop", &name])?;
    Ok(())
}

/// Whether the guest's sysfs is mounted `ro` or `rw`.
fn sys_is(host: &Host, name: &str, how: &str) -> std::io::Result<bool> {
    let mounts = host.done(&["enter", name, "--", "cat", "/proc/mounts"])?;
    Ok(mounts.lines().any(|line| line.contains(&format!(" /sys sysfs {how},"))))
}
