//! Directories of the host whose names are made to be misread.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use subhost_tests::canary::{Facts, facts};
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program;

pub(crate) const CASES: &[Case] = &[Case {
    name: "fifty_boots_in_directories_of_misleading_names_leave_those_that_look_alike_alone",
    needs: &[Need::Program, Need::Made(Fixture::TinyTree), Need::Made(Fixture::TinyBare)],
    body: names,
}];

const ROUNDS: usize = 50;

/// What stands for another in a mount table, and what it stands for.
fn misleading() -> Vec<PathBuf> {
    let names: [&[u8]; 11] = [
        b"a",
        b"a b",
        b"a\\040b",
        b"a\\134040b",
        b"x",
        b"x (deleted)",
        b"x\\040(deleted)",
        b"line\nbreak 1 1 0:1 / /etc rw - tmpfs x rw",
        b"not \xff\xfe text",
        b"not \\377\\376 text",
        b"$(touch hit)'`\";#",
    ];
    let deep: PathBuf = std::iter::repeat_n("d", 200).collect();
    names.iter().map(|name| PathBuf::from(OsStr::from_bytes(name))).chain([deep]).collect()
}

/// Runs `tool`, which must be done. The words of a [`Host`] are text, and these need not be.
fn done(tool: &Path, args: &[&dyn AsRef<OsStr>]) -> Result<String, Box<dyn std::error::Error>> {
    let mut command = Command::new(tool);
    command.args(args.iter().map(|word| word.as_ref()));
    let outcome = program::run(command, Duration::from_secs(60))?;
    if outcome.code == 0 { Ok(outcome.stdout) } else { Err(format!("{tool:?}: {outcome}").into()) }
}

/// Bytes as the configuration has them, whatever they are.
fn quoted(path: &Path) -> String {
    path.as_os_str().as_bytes().iter().fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"))
}

/// All mounts of this namespace and, of the directory, all files that are there to stay.
fn look(directory: &Path) -> std::io::Result<(Vec<u8>, Facts)> {
    Ok((fs::read("/proc/self/mountinfo")?, facts(directory)?))
}

/// The least that a command runs in.
fn small_tree(host: &Host) -> std::io::Result<PathBuf> {
    let tree = host.directory().join("tree");
    for directory in ["bin", "dev", "proc", "run", "sys"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    fs::copy(
        Fixture::TinyTree.path().map_err(std::io::Error::other)?.join("bin/busybox"),
        tree.join("bin/busybox"),
    )?;
    Ok(tree)
}

/// Row L9 of docs/security.md.
fn names(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyBare)?;
    let tree = small_tree(host)?;
    let names = misleading();
    let name = host.name("tiny");
    // In each a directory of subhosts and an image, and beside it mounts of others that look like them.
    let place = |path: &Path| host.directory().join("names").join(path);
    let alike = host.directory().join("alike");
    for path in &names {
        let place = place(path);
        fs::create_dir_all(place.join(&name))?;
        done(Path::new("cp"), &[&"--sparse=always", &image, &place.join("disk.raw")])?;
        done(Path::new("cp"), &[&"-a", &tree, &place])?;
        let disk = quoted(&place.join("disk.raw"));
        fs::write(place.join(&name).join("config"), format!("DISKS=( $'vda:0:{disk}' )\n"))?;
        for at in [place.join("mounted"), alike.join(path)] {
            fs::create_dir_all(&at)?;
            done(Path::new("mount"), &[&"-t", &"tmpfs", &"other", &at])?;
            fs::write(at.join("file"), "untouched")?;
        }
    }
    let before = look(&alike)?;
    let program = program::path()?;
    for (round, path) in names.iter().cycle().take(ROUNDS).enumerate() {
        let place = place(path);
        let run = |words: &[&dyn AsRef<OsStr>]| {
            let root_dir: [&dyn AsRef<OsStr>; 2] = [&"--root-dir", &place];
            done(&program, &[&root_dir, words].concat())
        };
        run(&[&"boot", &"--detach", &name])?;
        assert!(run(&[&"list"])?.contains(&name));
        run(&[&"stop", &name])?;
        // The first time, in all other ways too.
        if round < names.len() {
            let disk = [OsStr::new("vda:0:"), place.join("disk.raw").as_os_str()].join(OsStr::new(""));
            let tree = place.join("tree").into_os_string();
            for (option, from) in [("--disk", &disk), ("--root", &tree), ("--overlay", &tree)] {
                let said = run(&[&"run", &option, from, &"--", &"/bin/busybox", &"echo", &"inside"])?;
                assert_eq!(said, "inside\n");
            }
        }
    }
    assert!(look(&alike)? == before, "mounts of others have changed");
    for path in names.iter().rev() {
        for at in [place(path).join("mounted"), alike.join(path)] {
            assert_eq!(fs::read_to_string(at.join("file"))?, "untouched");
            rustix::mount::unmount(&at, rustix::mount::UnmountFlags::empty())?;
        }
    }
    Ok(())
}
