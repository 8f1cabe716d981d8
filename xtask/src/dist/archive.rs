//! The tree as a Debian package and as an archive, the same bytes each time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{NAME, VERSION, files};
use crate::Outcome;
use crate::progress::Step;
use crate::workspace;

/// An archive of the tree.
pub(super) fn tar(tree: &Path, out: &Path, epoch: &str, step: &Step) -> Outcome {
    let file = out.join(format!("{NAME}-{VERSION}-{}.tar", std::env::consts::ARCH));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
    tar.arg(format!("--mtime=@{epoch}")).arg("-C").arg(tree).arg("-cf").arg(&file).arg(".");
    step.run(&mut tar)?;
    step.run(Command::new("gzip").arg("-9n").arg(&file))
}

/// A package of the tree, and of the scripts that install it.
pub(super) fn debian(tree: &Path, out: &Path, epoch: &str, step: &Step) -> Outcome {
    let architecture = Command::new("dpkg").arg("--print-architecture").output()?.stdout;
    let architecture = String::from_utf8(architecture)?.trim().to_owned();
    let source = workspace::root().join("packaging/debian");
    let control = tree.join("DEBIAN");
    let sums = sums(tree, "md5sum", "etc usr")?;
    let kibibytes = size(tree)?.div_ceil(1024);
    fs::create_dir(&control)?;
    fs::set_permissions(&control, PermissionsExt::from_mode(0o755))?;
    let text = fs::read_to_string(source.join("control"))?
        .replace("@VERSION@", VERSION)
        .replace("@ARCHITECTURE@", &architecture)
        .replace("@SIZE@", &kibibytes.to_string());
    let put = |name: &str, bytes: &[u8], mode| {
        fs::write(control.join(name), bytes)?;
        fs::set_permissions(control.join(name), PermissionsExt::from_mode(mode))
    };
    put("control", text.as_bytes(), 0o644)?;
    put("md5sums", sums.as_bytes(), 0o644)?;
    put("conffiles", &fs::read(source.join("conffiles"))?, 0o644)?;
    for script in ["postinst", "postrm", "prerm"] {
        put(script, &fs::read(source.join(script))?, 0o755)?;
    }
    let file = out.join(format!("{NAME}_{VERSION}_{architecture}.deb"));
    let mut dpkg = Command::new("dpkg-deb");
    // With several threads, the bytes would depend on how many there are.
    dpkg.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"]).arg(tree).arg(file);
    step.run(dpkg.env("SOURCE_DATE_EPOCH", epoch))
}

/// `SHA256SUMS` of what is in the directory.
pub(super) fn checksums(out: &Path) -> Outcome {
    let names = files(out)?;
    let names: Vec<_> = names.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    let sums = sums(out, "sha256sum", &names.join(" "))?;
    Ok(fs::write(out.join("SHA256SUMS"), sums)?)
}

/// What a tool like `md5sum` says of all files below these.
fn sums(directory: &Path, tool: &str, below: &str) -> Outcome<String> {
    let command = format!("find {below} -type f -print0 | LC_ALL=C sort -z | xargs -0 {tool}");
    let output = Command::new("sh").args(["-euc", &command]).current_dir(directory).output()?;
    if !output.status.success() {
        return Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// All bytes in a tree.
fn size(tree: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for path in files(tree)? {
        let meta = path.symlink_metadata()?;
        bytes += if meta.is_dir() { size(&path)? } else { meta.len() };
    }
    Ok(bytes)
}
