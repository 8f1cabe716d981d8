//! The tour that the program gives of itself.

use std::path::Path;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::host::Host;
use subhost_tests::program;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_tour_is_what_its_page_shows", needs: &[Need::Program], body: whole },
    Case { name: "a_tour_that_is_broken_off_leaves_nothing", needs: &[Need::Program], body: broken_off },
    Case { name: "a_tour_refuses_what_it_cannot_show", needs: &[Need::Program], body: refused },
];

const PAGE: &str = include_str!("../../../docs/tour.md");
const PICTURE: &str = include_str!("../../../docs/img/tour.svg");

fn commands(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("$ ")).collect()
}

/// The text of a picture, in which a long line takes several rows.
fn text_of(svg: &str) -> String {
    let behind = svg.split('<').filter_map(|tag| tag.split_once('>'));
    behind.map(|(_, text)| text.trim_end_matches('\n').replace('\u{a0}', " ")).collect()
}

/// Beside the leak check: the log is not below a directory that it looks at.
fn is_gone(name: &str) {
    assert!(!Path::new("/run/subhost/tour").exists());
    assert!(!Path::new("/var/log/subhost").join(format!("{name}.log")).exists());
}

fn whole(host: &Host) -> Verdict {
    let name = host.name("tour");
    let outcome = host.subhostctl(&["tour", "--yes", "--name", &name])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    is_gone(&name);
    let shown = outcome.stdout.replace(&name, "tour");
    let typed = commands(&shown);
    assert!(typed.len() >= 9, "{outcome}");
    assert_eq!(typed, commands(PAGE), "left: the program, right: docs/tour.md; cargo xtask tour writes it");
    let picture = text_of(PICTURE);
    for line in &typed {
        assert!(picture.contains(line), "docs/img/tour.svg has no {line}");
    }
    for said in [": ok", "running", "PID   USER", "syslogd", "a subhost."] {
        assert!(shown.contains(said), "{said}: {outcome}");
    }
    Ok(())
}

fn broken_off(host: &Host) -> Verdict {
    let (program, name) = (program::path()?, host.name("tour"));
    // The fifth command boots it. script(1) types what it reads, and ends as the tour does; without
    // `exec`, some shells would be ended by the Ctrl-C before they could tell the status.
    let typed = format!(
        "{{ printf '\\n\\n\\n\\n\\n'; while [ ! -e /run/subhost/record/{name} ]; do sleep 0.05; done; printf '\\003'; sleep 1; }} \
         | script -qec 'exec {} tour --name {name}' /dev/null; echo status=$?",
        program.display()
    );
    let out = host.witness("sh", &["-c", &typed])?;
    assert!(out.contains("status=1"), "{out}");
    assert!(out.contains(" boot --detach ") && !out.contains(" logs "), "{out}");
    is_gone(&name);
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let name = host.name("tour");
    let outcome = host.subhostctl(&["tour", "--name", &name, "--busybox", "/bin/bash"])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    assert!(outcome.stderr.contains("/bin/bash: is not static"), "{outcome}");
    // It is no tour's, so it stays.
    std::fs::create_dir_all("/run/subhost/record")?;
    let record = Path::new("/run/subhost/record").join(&name);
    std::fs::write(&record, "torn")?;
    let outcome = host.subhostctl(&["tour", "--name", &name])?;
    assert_ne!(outcome.code, 0, "{outcome}");
    assert_eq!(std::fs::read(&record)?, b"torn");
    is_gone(&name);
    std::fs::remove_dir_all("/run/subhost")?;
    Ok(())
}
