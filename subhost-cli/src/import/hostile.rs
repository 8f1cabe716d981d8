//! Descriptions such as nobody should give.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use subhost_config::{Source, overlay_boot};

use super::draft::Draft;
use super::witness::round_trip;
use super::{ganeti, libvirt, lxc, nspawn, oci, overlay_boot as of_overlay_boot, qemu};

#[test]
fn what_is_large_or_no_text_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large");
    fs::File::create(&large).unwrap().set_len(100 << 20).unwrap();
    assert!(super::read(&large).unwrap_err().to_string().contains("larger than"));
    assert!(
        super::read(Path::new("/dev/zero")).unwrap_err().to_string().contains("neither a file nor a pipe")
    );
    assert!(super::read(directory.path()).is_err());
    for (bytes, reason) in [(&b"a\0b"[..], "NUL byte at byte 1"), (b"ab\xff", "no UTF-8 at byte 2")] {
        assert!(super::text(bytes).unwrap_err().contains(reason));
        for refused in [
            ganeti::read(bytes, None, ""),
            libvirt::read(bytes, ""),
            lxc::read(bytes, ""),
            nspawn::read(bytes, Path::new("/x/a"), ""),
            oci::read(bytes, Path::new("/"), ""),
        ] {
            assert!(refused.is_err());
        }
    }
}

/// Anything, and what a shell would love.
fn hostile() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "$(touch x)",
        "`touch x`",
        "'",
        "\"",
        "\\",
        "\n",
        ";touch x;",
        "#",
        "(",
        ")",
        "${x:=1}",
        "*",
        "~",
        "a",
        " ",
        "=",
        ":",
        "\u{202e}",
        "\x1b[2J",
        "\r",
        "&lt;",
        "]]>",
        ",",
        "!",
        "\u{e9}",
        "/",
        "-",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(words, 0..12).prop_map(|words| words.concat())]
}

fn escaped(text: &str) -> String {
    let of = |c: char| match c {
        '<' | '>' | '&' | '\'' | '"' => format!("&#{};", u32::from(c)),
        // What XML cannot hold.
        c if c.is_control() && !"\t\n\r".contains(c) || "\u{fffe}\u{ffff}".contains(c) => "?".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(30) })]

    #[test]
    fn any_bytes_survive_bash(bytes in prop::collection::vec(1_u8.., 0..60), text in hostile()) {
        let mut draft = Draft::new(text.as_str());
        draft.set("CMDLINE", text.replace(['\n', '\0'], ""), &text);
        draft.set("HOSTNAME", &text, &text);
        draft.add("ENVIRONMENT", [b"A=".as_slice(), &bytes].concat(), "");
        draft.add("DISKS", [b"vda:1:/".as_slice(), &bytes].concat(), &text);
        draft.add("BINDS", [b"/".as_slice(), &bytes, b":/x:ro"].concat(), "");
        draft.set("ROOT", [b"/".as_slice(), &bytes].concat(), "");
        draft.add("BRIDGES", &bytes, &String::from_utf8_lossy(&bytes));
        draft.leave(&text, &text);
        round_trip(&draft);
    }

    #[test]
    fn no_field_of_any_format_gets_to_a_shell(one in hostile(), two in hostile()) {
        let (a, b) = (escaped(&one), escaped(&two));
        let xml = format!(
            "<domain type='lxc'><name>{a}</name><memory unit='{b}'>{a}</memory><os><cmdline>{b}</cmdline><init>{a}</init>\
             <initenv name='A'>{b}</initenv></os><devices><disk><source file='/{a}'/><target dev='{b}'/></disk>\
             <interface type='bridge'><source bridge='{a}'/><mac address='{b}'/></interface>\
             <filesystem><source dir='/{b}'/><target dir='/{a}'/></filesystem></devices></domain>"
        );
        round_trip(&libvirt::read(xml.as_bytes(), &one).unwrap());
        let words = ["qemu", "-hda", &one, "-append", &two, "-name", &one, "-m", &two, "-nic", &two, "-x", &one];
        let words: Vec<String> = words.map(str::to_owned).to_vec();
        let nul = |text: &str| text.contains('\0');
        if !nul(&one) && !nul(&two) {
            round_trip(&qemu::read(&words, Path::new("/"), "").unwrap());
        }
        let (line, other) = (one.replace(['\n', '\r', '\0'], ""), two.replace(['\n', '\r', '\0'], ""));
        let ganeti = format!(
            "INSTANCE_NAME={line}\nDISK_COUNT=1\nDISK_0_PATH=/{other}\nNIC_COUNT=1\nNIC_0_LINK={line}\nNIC_0_MAC={other}\n\
             INSTANCE_BE_maxmem={line}\n{line}={other}\n"
        );
        round_trip(&ganeti::read(ganeti.as_bytes(), None, "").unwrap());
        let lxc = format!("lxc.uts.name={line}\nlxc.rootfs.path={other}\nlxc.net.0.link={line}\nlxc.net.0.hwaddr={other}\n\
                           lxc.environment=A={line}\nlxc.mount.entry={other} x none bind\nlxc.cgroup2.{line}={other}\n");
        round_trip(&lxc::read(lxc.as_bytes(), "").unwrap());
        let nspawn = format!("[Exec]\nHostname={line}\nEnvironment={other}\nCapability={line}\n[Files]\nBind={other}\nX={line}");
        if let Ok(draft) = nspawn::read(nspawn.as_bytes(), &PathBuf::from(format!("/x/{line}.nspawn")), "") {
            round_trip(&draft);
        }
        let oci = serde_json::json!({
            "ociVersion": "1", "hostname": one, "root": { "path": two }, two.clone(): one,
            "process": { "args": [one, two], "env": [two, format!("A={one}")] },
            "mounts": [{ "type": "bind", "source": one, "destination": two }],
            "linux": { "devices": [{ "path": format!("/dev/{one}") }] },
        });
        round_trip(&oci::read(oci.to_string().as_bytes(), Path::new("/"), "").unwrap());
        let text = format!("BASE= {line}\nNAME= {other}\nLOWER= {line}\nSHARE= {other}\nCABLES= {line}={other}\n");
        let (variables, _) = overlay_boot::read(&Source::new("x", text));
        round_trip(&of_overlay_boot::draft_of(&variables, Path::new("/x"), ""));
    }
}
