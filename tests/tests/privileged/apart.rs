//! Hosts whose root is several file systems.

use std::fs;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

pub(crate) const CASES: &[Case] = &[Case {
    name: "run_overlay_shows_a_usr_that_is_a_file_system_of_its_own",
    needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
    body: usr,
}];

fn usr(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let image = host.directory().join("usr.ext4").display().to_string();
    host.witness("truncate", &["-s", "16M", &image])?;
    host.witness("mkfs.ext4", &["-q", "-F", &image])?;
    let usr = tree.join("usr");
    fs::create_dir_all(&usr)?;
    fs::write(usr.join("mark"), "below\n")?;
    let at = |path: &str| usr.join(path).display().to_string();
    host.witness("mount", &["-o", "loop", &image, &at("")])?;
    fs::create_dir(at("local"))?;
    host.witness("mount", &["-t", "ramfs", "none", &at("local")])?;
    fs::write(at("mark"), "apart\n")?;
    fs::write(at("secret"), "mine\n")?;
    host.witness("chmod", &["600", &at("secret")])?;

    let path = tree.display().to_string();
    let run = |script: &str| host.subhostctl(&["run", "--overlay", &path, "--", "sh", "-c", script]);
    // What cannot be shown is said, and not left out.
    let refused = run("true")?;
    assert!(refused.code == 125 && refused.stderr.contains("/usr/local: idmap"), "{refused}");
    host.witness("umount", &[&at("local")])?;
    let said = run(
        "cat /usr/mark; echo changed >/usr/mark; touch /usr/new; cat /usr/mark; ls /usr; stat -c %u /usr/mark",
    )?;
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (0, "apart\nchanged\nlocal\nlost+found\nmark\nnew\n0\n"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(at("mark"))?, "apart\n");
    assert!(!usr.join("new").exists());
    // Another one on it, as of a file system for what is not of the distribution.
    let files = host.directory().join("files");
    fs::create_dir(&files)?;
    fs::write(files.join("mark"), "further\n")?;
    let other = host.ext4_of(&files, "local.ext4")?.display().to_string();
    host.witness("mount", &["-o", "loop", &other, &at("local")])?;
    let said = run("cat /usr/local/mark; touch /usr/local/new; ls /usr/local")?;
    assert_eq!((said.code, said.stdout.as_str()), (0, "further\nlost+found\nmark\nnew\n"), "{said}");
    host.witness("umount", &[&at("local")])?;
    host.witness("umount", &[&at("")])?;
    Ok(())
}
