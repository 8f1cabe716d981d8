//! `cp`: files out of, and into, a subhost that is stopped; the guest has made them to trick us.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::linger::{Started, copy};
use crate::tiny::insert;
use crate::{BRIDGE, MAC, boot, bridge};

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "cp_takes_files_out_and_puts_them_in", needs: NEEDS, body: both_ways },
    Case { name: "cp_follows_no_link_of_the_guest_out_of_it", needs: NEEDS, body: hostile },
    Case {
        name: "cp_knows_what_a_started_subhost_is_made_of",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: trees,
    },
    Case { name: "cp_is_refused_with_the_reason", needs: NEEDS, body: refused },
];

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn debugfs(host: &Host, image: &Path, request: &str) -> std::io::Result<String> {
    host.witness("debugfs", &["-w", "-R", request, &format!("{}?offset=1048576", image.display())])
}

/// A subhost whose bridge is not there, which is no matter here.
fn configured(host: &Host) -> Result<(String, std::path::PathBuf), Box<dyn std::error::Error>> {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    Ok((name, image))
}

fn both_ways(host: &Host) -> Verdict {
    let (name, image) = configured(host)?;
    let here = |file: &str| text(&host.directory().join(file));
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(here("made"), &bytes)?;
    fs::set_permissions(here("made"), fs::Permissions::from_mode(0o4750))?;
    host.done(&["cp", &here("made"), &format!("{name}:/etc/made")])?;
    let stat = debugfs(host, &image, "stat /etc/made")?;
    assert!(stat.contains("Mode:  0750") && stat.contains("User:     0 "), "{stat}");
    // Into a directory, over what is there, under its own name, and back.
    host.done(&["cp", &here("made"), &format!("{name}:/etc")])?;
    fs::create_dir(here("back"))?;
    host.done(&["cp", &format!("{name}:/etc/made"), &here("back")])?;
    assert!(fs::read(here("back/made"))? == bytes);
    assert_eq!(fs::metadata(here("back/made"))?.permissions().mode() & 0o7777, 0o750);
    host.done(&["cp", &format!("{name}:/etc/made"), &here("again")])?;
    assert!(fs::read(here("again"))? == bytes);
    // By streams.
    host.witness("bash", &["-c", &format!("echo hello | {} cp - {name}:/etc/said", words(host))])?;
    assert_eq!(host.done(&["cp", &format!("{name}:/etc/said"), "-"])?, "hello\n");
    let full = format!("{} cp {name}:/etc/said - >/dev/full; echo $?", words(host));
    assert_eq!(host.witness("bash", &["-c", &full])?, "1\n");
    host.witness("e2fsck", &["-f", "-n", &format!("{}?offset=1048576", image.display())])?;
    Ok(())
}

/// The program with its options, for a shell.
fn words(host: &Host) -> String {
    let command = host.command(&[]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Row P4 of docs/security.md.
fn hostile(host: &Host) -> Verdict {
    let (name, image) = configured(host)?;
    let canary = Canary::plant(host)?;
    let directory = text(canary.directory());
    let secret = format!("{directory}/secret");
    for request in [
        format!("symlink /etc/leak {secret}"),
        format!("symlink /etc/up ../../../../../../..{secret}"),
        "symlink /etc/self /proc/self/root/etc/hostname".to_owned(),
        format!("symlink /etc/resolv.conf {secret}"),
        format!("symlink /directory {directory}"),
        "mknod /etc/fifo p".to_owned(),
        "mknod /etc/device c 1 9".to_owned(),
    ] {
        debugfs(host, &image, &request)?;
    }
    let out = text(&host.directory().join("out"));
    for path in [
        "/etc/leak",
        "/etc/up",
        "/etc/self",
        "/etc/fifo",
        "/etc/device",
        "/directory/secret",
        "/etc",
        "../../etc/leak",
    ] {
        let outcome = host.subhostctl(&["cp", &format!("{name}:{path}"), &out])?;
        assert_eq!(outcome.code, 1, "{path}: {outcome}");
        assert!(!Path::new(&out).exists(), "{path}");
    }
    // A link at the end is replaced; one on the way stays inside, where it leads nowhere.
    fs::write(&out, "mine")?;
    host.done(&["cp", &out, &format!("{name}:/etc/resolv.conf")])?;
    assert_eq!(debugfs(host, &image, "cat /etc/resolv.conf")?, "mine");
    assert_eq!(host.subhostctl(&["cp", &out, &format!("{name}:/directory/new")])?.code, 1);
    canary.unharmed()?;
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let (name, image) = configured(host)?;
    let guest = format!("{name}:/etc/hosts");
    for (words, word) in [
        (["a", "b"], "one of the two paths has to be in a subhost"),
        ([&*guest, &*guest], "one of the two paths has to be in a subhost"),
        (["nobody:/x", "y"], "nobody"),
        (["/no/such/file", &*guest], "/no/such/file"),
        (["/etc", &*guest], "is not a file"),
    ] {
        let outcome = host.subhostctl(&["cp", words[0], words[1]])?;
        assert!(outcome.code != 0 && outcome.stderr.contains(word), "{words:?}: {outcome}");
    }
    // While it runs it has its disk for itself, in either direction.
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    fs::write(host.directory().join("file"), "x")?;
    insert(host, &image, "file", "/etc/hosts", 0o100_644)?;
    boot(host, &name)?;
    let out = text(&host.directory().join("out"));
    for words in [[&*guest, &*out], [&*text(&host.directory().join("file")), &*guest]] {
        let outcome = host.subhostctl(&["cp", words[0], words[1]])?;
        assert!(
            outcome.code == 2 && outcome.stderr.contains(&format!("stop {name} gives it back")),
            "{outcome}"
        );
    }
    host.done(&["stop", &name])?;
    host.done(&["cp", &guest, &out])?;
    assert_eq!(fs::read_to_string(out)?, "x");
    Ok(())
}

/// A directory, one over a base, and an image with and without.
fn trees(host: &Host) -> Verdict {
    bridge(host)?;
    let base = host.copy_of(Fixture::TinyTree)?;
    let content = host.directory().join("content");
    fs::create_dir_all(content.join("work"))?;
    copy(host, &base, &content.join("root"))?;
    let (given, out) = (text(&host.directory().join("given")), text(&host.directory().join("out")));
    fs::write(&given, "given\n")?;
    for (short, has_base, has_image) in
        [("plain", false, false), ("based", true, false), ("image", false, true), ("both", true, true)]
    {
        let config = if has_base { format!("BASE={}", base.display()) } else { String::new() };
        let started = Started::new(host, short, &config)?;
        let image = started.directory().join(format!("{}.img", started.name));
        if has_image {
            fs::rename(host.ext4_of(&content, "content.ext4")?, &image)?;
        } else {
            copy(host, &base, &started.directory().join("root"))?;
        }
        let name = &started.name;
        for words in [&["check", name][..], &["config", "show", name], &["plan", name]] {
            host.done(words)?;
        }
        host.done(&["cp", &given, &format!("{name}:/etc/given")])?;
        assert_eq!(
            started.run("cat /etc/given; echo said >/etc/said; rm /etc/passwd; stat -c %u /etc/given")?,
            "given\n0\n"
        );
        let refused = host.subhostctl(&["cp", &format!("{name}:/etc/said"), &out])?;
        assert!(refused.code == 2 && refused.stderr.contains("stop"), "{refused}");
        started.stop()?;
        let before = if has_image { Some(fs::read(&image)?) } else { None };
        host.done(&["cp", &format!("{name}:/etc/said"), &out])?;
        assert_eq!(fs::read_to_string(&out)?, "said\n");
        let gone = host.subhostctl(&["cp", &format!("{name}:/etc/passwd"), &out])?;
        assert!(gone.code == 1 && gone.stderr.contains("No such file"), "{short}: {gone}");
        if let Some(before) = before {
            assert!(fs::read(&image)? == before, "{short}: the image has changed");
        }
        let restart = host.subhostctl(&["restart", name])?;
        assert!(
            restart.code == 2 && restart.stderr.contains(&format!("subhostctl start {name}")),
            "{restart}"
        );
    }
    assert!(base.join("etc/passwd").is_file() && !base.join("etc/given").exists());
    Ok(())
}
