//! A configuration of overlay-boot(8), whose variables are read already.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use subhost_config::Variables;

use super::draft::Draft;

/// Carries its variables over; relative paths start from the directory of the file.
pub fn draft_of(variables: &Variables, directory: &Path, source: &str) -> Draft {
    let mut draft = Draft::new(source);
    let get = |name: &str| variables.get(name).and_then(|variable| variable.value.first());
    let text = |name: &str| get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let base = directory.join(as_path(get("BASE").unwrap_or(b".")));
    let below =
        |name: &str, default: &str| clean(&base.join(as_path(get(name).unwrap_or(default.as_bytes()))));
    if let Some(name) = text("NAME") {
        draft.set("HOSTNAME", name, "NAME");
    }
    for layer in get("LOWER").unwrap_or(b"/").split(|byte| *byte == b':') {
        match clean(&base.join(as_path(layer))) {
            host if host == Path::new("/") => {
                draft.leave(
                    "LOWER= /",
                    "no guest is given the host's own files; BASE has a system of its own",
                );
            }
            layer => draft.add("BASE", layer.as_os_str().as_bytes(), "LOWER"),
        }
    }
    draft.set("ROOT", below("UPPER", "root").as_os_str().as_bytes(), "UPPER");
    draft.set("WORK", below("WORK", "work").as_os_str().as_bytes(), "WORK");
    for cable in text("CABLES").unwrap_or_default().split_whitespace() {
        match cable.split_once('=') {
            Some((_, tag)) if tag.starts_with('.') => draft.leave(
                &format!("cable {cable}"),
                "a VLAN on the cable before it; the guest can make that itself",
            ),
            Some((bridge, mac)) => draft.add("BRIDGES", format!("{bridge}:{mac}"), &format!("cable {cable}")),
            None => draft.leave(&format!("cable {cable}"), "it has no `=`"),
        }
    }
    match text("INIT") {
        Some(init) if init.starts_with('/') => draft.set("INIT", init, "INIT"),
        Some(init) => draft.leave(&format!("INIT= {init}"), "subhost's own PID 1 takes its place"),
        None => {}
    }
    match text("RAM_SIZE") {
        Some(size) if size != "none" => {
            draft.set("TMPFS_SIZE", size.to_ascii_uppercase(), "RAM_SIZE");
        }
        _ => {}
    }
    let shares = variables.get("SHARE").map(|variable| variable.value.elements()).unwrap_or_default();
    for share in shares {
        let colon = share.iter().position(|byte| *byte == b':');
        let (host, guest) = colon.map_or((share, share), |at| (&share[..at], &share[at + 1..]));
        let host = clean(&base.join(as_path(host)));
        let word = [host.as_os_str().as_bytes(), b":", guest, b":rw"].concat();
        draft.add("BINDS", word, &format!("SHARE= {}", String::from_utf8_lossy(share)));
    }
    for (name, why) in [
        ("START", "start gives a shell, or runs a command; boot runs what the guest's own scripts start"),
        ("LIVE", "the host sees the guest at `live` in the subhost's directory"),
        ("LOG", "subhostctl logs shows what a console has said"),
        ("PREMOUNT", "no script of the host's is run"),
        ("POSTMOUNT", "no script of the host's is run"),
    ] {
        if let Some(value) = text(name) {
            draft.leave(&format!("{name}= {value}"), why);
        }
    }
    for (name, _) in variables.iter() {
        if !subhost_config::overlay_boot::NAMES.contains(&name.as_str()) {
            draft.leave(name, "overlay-boot has no such variable");
        }
    }
    draft
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Without `.` in it.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != std::path::Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::super::witness::{leaves, settings};
    use super::*;
    use subhost_config::{Source, overlay_boot};

    #[test]
    fn a_configuration_of_overlay_boot_becomes_settings() {
        let text = "# a mail server\nBASE= .\nNAME= mta\nCABLES= lan0=06:a7:dd:b4:02:f2 =.302 =\nSTART= networking ssh\n\
                SHARE= /srv/mail\nSHARE= www:/var/www\nRAM_SIZE= 50m\nLOWER= /srv/base\nINIT= /sbin/init\nPOSTMOUNT= x\n";
        let (variables, diagnostics) = overlay_boot::read(&Source::new("mta.conf", text));
        assert!(diagnostics.iter().all(|it| !it.is_error()));
        let draft = draft_of(&variables, Path::new("/opt/subhost/mta"), "x").settled();
        assert_eq!(
            settings(&draft),
            "HOSTNAME=mta\nBASE=( /srv/base )\nROOT=/opt/subhost/mta/root\nWORK=/opt/subhost/mta/work\n\
         BRIDGES=(\n    lan0:06:a7:dd:b4:02:f2\n    :\n)\nTMPFS_SIZE=50M\n\
         BINDS=(\n    /srv/mail:/srv/mail:rw\n    /opt/subhost/mta/www:/var/www:rw\n)\n"
        );
        let (variables, _) = overlay_boot::read(&Source::new("x", "BASE= /srv/x\n"));
        let bare = draft_of(&variables, Path::new("/"), "x");
        assert_eq!(settings(&bare), "ROOT=/srv/x/root\nWORK=/srv/x/work\n");
        assert!(leaves(&bare, "host's own files"));
        for left in ["=.302", "START= networking ssh", "POSTMOUNT", "INIT: has no"] {
            assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
        }
    }
}
