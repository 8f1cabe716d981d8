//! The tree that is packed: each file where Debian wants it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::progress::Step;
use crate::workspace;

/// Where a file of the source goes, and its mode.
const FILES: &[(&str, &str, u32)] = &[
    ("packaging/61-subhost.rules", "usr/lib/udev/rules.d/61-subhost.rules", 0o644),
    ("packaging/debian/copyright", "usr/share/doc/subhost/copyright", 0o644),
    ("packaging/debian/lintian-overrides", "usr/share/lintian/overrides/subhost", 0o644),
    ("packaging/examples/tree.config", "usr/share/doc/subhost/examples/tree.config", 0o644),
    ("packaging/examples/web.config", "usr/share/doc/subhost/examples/web.config", 0o644),
    ("subhost-cli/init/subhost.openrc", "usr/share/doc/subhost/examples/subhost.openrc", 0o644),
    ("subhost-cli/init/subhost.service", "usr/lib/systemd/system/subhost.service", 0o644),
    ("subhost-cli/init/subhost.sysvinit", "etc/init.d/subhost", 0o755),
    ("subhost-cli/init/subhost@.service", "usr/lib/systemd/system/subhost@.service", 0o644),
];

/// Those that are compressed.
const COMPRESSED: &[(&str, &str)] = &[
    ("CHANGELOG.md", "usr/share/doc/subhost/NEWS.gz"),
    ("packaging/debian/changelog", "usr/share/doc/subhost/changelog.gz"),
];

/// What each shell asks, and where it looks for that.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/subhostctl"),
    ("zsh", "usr/share/zsh/vendor-completions/_subhostctl"),
    ("fish", "usr/share/fish/vendor_completions.d/subhostctl.fish"),
];

/// The names of the scripts that the program stands for.
const LINKS: [&str; 2] = ["control", "pretend-boot"];

pub(super) fn build(tree: &Path, program: &Path, sbom: &str, step: &Step) -> Outcome {
    // Nobody but root can use it: so sbin, and section 8 for its pages.
    put(tree, "usr/sbin/subhostctl", &fs::read(program)?, 0o755)?;
    for link in LINKS {
        symlink("subhostctl", tree.join("usr/sbin").join(link))?;
    }
    let source = workspace::root();
    for (from, to, mode) in FILES {
        put(tree, to, &fs::read(source.join(from))?, *mode)?;
    }
    for (shell, to) in COMPLETIONS {
        let output = Command::new(program).args(["completions", shell]).output()?;
        if !output.status.success() {
            return Err(format!("completions {shell}: {}", output.status).into());
        }
        // The program is asked by its name: where it was built is nobody's concern.
        let script = String::from_utf8(output.stdout)?.replace(&*program.to_string_lossy(), "subhostctl");
        put(tree, to, script.as_bytes(), 0o644)?;
    }
    for (from, to) in COMPRESSED {
        compressed(tree, to, &fs::read(source.join(from))?, step)?;
    }
    compressed(tree, "usr/share/doc/subhost/sbom.cdx.json.gz", sbom.as_bytes(), step)?;
    for page in super::files(&source.join("man"))? {
        let name = page.file_name().ok_or("a page without a name")?.to_string_lossy();
        let section = name.rsplit('.').next().unwrap_or_default();
        compressed(tree, &format!("usr/share/man/man{section}/{name}.gz"), &fs::read(&page)?, step)?;
    }
    for link in LINKS {
        symlink("subhostctl.8.gz", tree.join(format!("usr/share/man/man8/{link}.8.gz")))?;
    }
    Ok(())
}

/// Writes a file, and the directories above it, all with the modes that they are to be packed with.
fn put(tree: &Path, path: &str, bytes: &[u8], mode: u32) -> Outcome {
    let file = tree.join(path);
    let directory = file.parent().ok_or("a file without a directory")?;
    fs::create_dir_all(directory)?;
    for directory in directory.ancestors().take_while(|it| it.starts_with(tree)) {
        fs::set_permissions(directory, PermissionsExt::from_mode(0o755))?;
    }
    fs::write(&file, bytes)?;
    fs::set_permissions(&file, PermissionsExt::from_mode(mode))?;
    Ok(())
}

/// The same, compressed, without the time and name that gzip would add.
fn compressed(tree: &Path, path: &str, bytes: &[u8], step: &Step) -> Outcome {
    let plain = path.strip_suffix(".gz").ok_or("a compressed file is called .gz")?;
    put(tree, plain, bytes, 0o644)?;
    step.run(Command::new("gzip").args(["-9n"]).arg(tree.join(plain)))
}
