//! `docs/howto.md`, typed as it stands there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::mount::mount_bind;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program;

pub(crate) const CASES: &[Case] = &[Case {
    name: "howto_does_what_it_says",
    needs: &[Need::Program, Need::Made(Fixture::DebianBare)],
    body: howto,
}];

const PAGE: &str = include_str!("../../../docs/howto.md");

/// What the page asks the network for, which these tests have none of.
const FROM_PACKAGES: &str = "--suite bookworm --include \
    sysvinit-core,sysv-rc,ifupdown,iproute2,procps,openssh-server,nginx-light \\\n";

/// Directories of the host that it writes to.
const WRITTEN: [&str; 4] = ["/opt", "/srv", "/root", "/usr/local/sbin"];

/// What each of these blocks says, among other things: they are known by a line of theirs.
const SAID: &[(&str, &str)] = &[
    ("partitions /srv", "ext4"),
    ("check web", ""),
    ("boot --detach", "hello from web"),
    ("boot --detach", "\nweb\n"),
    ("enter web", "www-data"),
    ("apt-get", "hello from web"),
    ("autostart --dry-run", "running"),
];

fn howto(host: &Host) -> Verdict {
    for (number, directory) in WRITTEN.iter().enumerate() {
        let own = host.directory().join(format!("written-{number}"));
        fs::create_dir(&own)?;
        mount_bind(&own, *directory)?;
    }
    let checkout = host.directory().join("checkout");
    let built = checkout.join("target/static/some/release");
    fs::create_dir_all(&built)?;
    fs::copy(program::path()?, built.join("subhostctl"))?;
    let archive = archive(host)?;
    let create = PAGE.replace(FROM_PACKAGES, &format!("--tar {} \\\n", archive.display()));
    assert_ne!(create, PAGE, "the page asks for other packages");

    let mut seen = vec![false; SAID.len()];
    for block in blocks(&create) {
        let mut shell = Command::new("bash");
        shell.args(["-eu", "-o", "pipefail", "-c", block]).current_dir(&checkout);
        let outcome = shell.output()?;
        let said = String::from_utf8_lossy(&outcome.stdout);
        let complained = String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.success(), "{block}\n--- said\n{said}\n--- complained\n{complained}");
        for (seen, (_, wanted)) in seen.iter_mut().zip(SAID).filter(|(_, (line, _))| block.contains(line)) {
            assert!(said.contains(wanted), "{block}\n--- said\n{said}\n--- complained\n{complained}");
            *seen = true;
        }
    }
    assert!(seen.iter().all(|seen| *seen), "the page has lost a block: {seen:?}");
    // What the page makes on the host, to stay.
    host.witness("ip", &["link", "delete", "br0"])?;
    for directory in WRITTEN {
        host.witness("umount", &[directory])?;
    }
    Ok(())
}

/// The blocks of commands.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block))
}

/// Debian, as `mmdebstrap` packs it.
fn archive(host: &Host) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let image = host.copy_of(Fixture::DebianBare)?;
    let tree = host.directory().join("tree");
    fs::create_dir(&tree)?;
    let [image, tree_path] = [image.to_string_lossy(), tree.to_string_lossy()];
    host.witness("mount", &["-o", "ro,loop", &image, &tree_path])?;
    let archive = host.directory().join("debian.tar");
    host.witness("tar", &["-C", &tree_path, "--numeric-owner", "-cf", &archive.to_string_lossy(), "."])?;
    host.witness("umount", &[&tree_path])?;
    fs::remove_dir(&tree)?;
    Ok(archive)
}
