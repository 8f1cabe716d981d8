//! From a file and an environment to the settings.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use subhost_config::schema::{
    BindSpec, CableSpec, Capability, DeviceSpec, DiskSpec, Environment, InitChoice, Origin, PowerOff,
    ProcSys, Restart, SETTINGS, Seccomp, Setting, SubhostConfig, UserNs, Written,
};
use subhost_config::{Diagnostic, Evaluator, IncludePolicy, Location, Source, parse};

fn read(text: &str, environment: &[(&str, &str)]) -> (Option<SubhostConfig>, Vec<Diagnostic>, Source) {
    let source = Source::new("config", text);
    let (script, mut diagnostics) = parse(&source);
    let (variables, more) = Evaluator::new().run(&script);
    diagnostics.extend(more);
    assert!(!diagnostics.iter().any(Diagnostic::is_error), "{diagnostics:?}");
    let environment: Environment =
        environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let (config, more) = SubhostConfig::from_variables(&variables, &environment);
    diagnostics.extend(more);
    (config, diagnostics, source)
}

/// Code, place and message of each diagnostic.
fn complaints(text: &str, environment: &[(&str, &str)]) -> Vec<(&'static str, String, String)> {
    let (_, diagnostics, source) = read(text, environment);
    let place = |diagnostic: &Diagnostic| match diagnostic.span {
        Some(span) => String::from_utf8_lossy(&source.text()[span.start()..span.end()]).into_owned(),
        None => "-".to_owned(),
    };
    diagnostics.iter().map(|it| (it.code, place(it), it.message.clone())).collect()
}

#[track_caller]
fn config(text: &str, environment: &[(&str, &str)]) -> SubhostConfig {
    let (config, diagnostics, _) = read(text, environment);
    config.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

#[test]
fn nothing_set_is_the_defaults() {
    let config = config("", &[]);
    assert_eq!(config, SubhostConfig::default());
    assert_eq!(config.disks.value, []);
    assert_eq!(config.runlevel.value, '2');
    assert_eq!(config.stop_timeout.value, Duration::from_secs(30));
    assert_eq!(config.stop_timeout.origin, Origin::Default);
    assert_eq!(config.skip_scripts.value.first().map(String::as_str), Some("checkroot.sh"));
    assert_eq!(config.skip_scripts.value.len(), 11);
}

#[test]
fn reads_every_setting_with_its_line() {
    let config = config(
        "DISKS=(\n  vda:1:/disks/a.raw # root\n  vdb::'/disks/b c.raw'\n)\n\
         BRIDGES=( homenet:06:a7:dd:b4:02:f2 : )\n\
         HOSTNAME=web1 INIT=/sbin/init\nRUNLEVEL=3\nSTOP_TIMEOUT=2m\nPOWEROFF=immediate\n\
         SKIP_SCRIPTS=(udev)\nUSERNS=524288:65536\n",
        &[],
    );
    let disk = |spec: &str| DiskSpec::parse(spec.as_bytes()).unwrap();
    assert_eq!(config.disks.value, [disk("vda:1:/disks/a.raw"), disk("vdb:0:/disks/b c.raw")]);
    let line = |origin: &Origin| match origin {
        Origin::File(place) => (place.line, place.column),
        other => panic!("{other:?}"),
    };
    assert_eq!(line(&config.disks.origin), (1, 1));
    assert_eq!(
        config.cables.value,
        [
            CableSpec { bridge: Some("homenet".to_owned()), mac: Some([0x06, 0xa7, 0xdd, 0xb4, 0x02, 0xf2]) },
            CableSpec { bridge: None, mac: None },
        ]
    );
    assert_eq!(line(&config.cables.origin), (5, 1));
    assert_eq!((config.hostname.value.as_deref(), line(&config.hostname.origin)), (Some("web1"), (6, 1)));
    assert_eq!(config.init.value, InitChoice::Path("/sbin/init".to_owned()));
    assert_eq!(line(&config.init.origin), (6, 15));
    assert_eq!((config.runlevel.value, line(&config.runlevel.origin)), ('3', (7, 1)));
    assert_eq!(
        (config.stop_timeout.value, line(&config.stop_timeout.origin)),
        (Duration::from_secs(120), (8, 1))
    );
    assert_eq!((config.poweroff.value, line(&config.poweroff.origin)), (PowerOff::Immediate, (9, 1)));
    assert_eq!(config.skip_scripts.value, ["udev"]);
    assert_eq!(config.userns.value, UserNs::Range { first: 524_288, count: 65_536 });
    assert_eq!(line(&config.userns.origin), (11, 1));
}

#[test]
fn a_setting_of_an_included_file_has_its_place_there() {
    let directory = tempfile::tempdir().unwrap();
    let common = directory.path().join("common");
    std::fs::write(&common, "RUNLEVEL=3\n  DISKS=( vda:1:/a.raw )\nINIT=auto\n").unwrap();
    let text = format!("HOSTNAME=web\n. {}\nDISKS+=( vdb:1:/b.raw )\n", common.display());
    let (script, refused) = parse(&Source::new("config", text));
    let policy = IncludePolicy::directories([directory.path()]).by_anybody();
    let (variables, found) = Evaluator::new().includes(policy).run(&script);
    assert_eq!((refused, found), (vec![], vec![]));
    let (config, found) = SubhostConfig::from_variables(&variables, &Environment::empty());
    assert_eq!(found, []);
    let config = config.unwrap();
    let common = common.display();
    assert_eq!(config.hostname.origin.to_string(), "config:1:1");
    assert_eq!(config.runlevel.origin.to_string(), format!("{common}:1:1"));
    assert_eq!(config.init.origin.to_string(), format!("{common}:3:1"));
    let Origin::File(place) = &config.disks.origin else { panic!("{:?}", config.disks.origin) };
    assert_eq!((place.file.as_str(), place.line, place.column), ("config", 3, 1));
    let elements = place.elements.iter().map(|&span| {
        let source = variables.sources().of(span);
        format!("{}:{:?}", source.name(), source.location(span.start()))
    });
    let at = |name: &str, line, column| format!("{name}:{:?}", Location { line, column });
    assert_eq!(elements.collect::<Vec<_>>(), [at(&common.to_string(), 2, 11), at("config", 3, 10)]);
}

#[test]
fn reads_every_setting_that_has_no_effect_yet() {
    let text = "BASE=( /base/top /base/bottom )\nROOT=/srv/web/root\nWORK=/srv/web/work\nCMDLINE='quiet ro'\n\
                BINDS=( /a:/b:ro )\nDEVICES=( /dev/fuse )\n\
                ADDRESSES=( 192.0.2.7/24 eth1=2001:db8::7/64 )\nROUTES=10.8.0.0/16=192.0.2.1\n\
                GATEWAY=192.0.2.1\nDNS=( 192.0.2.53 )\nMTU=1400\nRESTART=on-failure\nAUTOSTART=on\n\
                AFTER=( db )\nSTART_DELAY=500ms\nLOG_SIZE=1M\nENVIRONMENT=( $'A=b\\xff c' )\n";
    let config = config(text, &[]);
    assert_eq!(config.base.value, [Path::new("/base/top"), Path::new("/base/bottom")]);
    assert_eq!(config.root.value.as_deref(), Some(Path::new("/srv/web/root")));
    assert_eq!(config.work.value.as_deref(), Some(Path::new("/srv/web/work")));
    assert_eq!(config.cmdline.value, Some("quiet ro".into()));
    assert_eq!(config.binds.value, [BindSpec::parse(b"/a:/b:ro").unwrap()]);
    assert_eq!(config.devices.value, [DeviceSpec::parse(b"/dev/fuse").unwrap()]);
    assert_eq!(config.addresses.value[1].to_string(), "eth1=2001:db8::7/64");
    assert_eq!(config.routes.value[0].to_string(), "10.8.0.0/16=192.0.2.1");
    assert_eq!(config.gateway.value, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(config.dns.value, ["192.0.2.53".parse::<IpAddr>().unwrap()]);
    assert_eq!((config.mtu.value, config.log_bytes.value), (Some(1400), 1 << 20));
    assert_eq!((config.restart.value, config.autostart.value), (Restart::OnFailure, Some(true)));
    assert_eq!(config.after.value, ["db"]);
    assert_eq!(config.start_delay.value, Some(Duration::from_millis(500)));
    assert_eq!(config.environment.value[0].value, OsString::from_vec(b"b\xff c".to_vec()));
}

#[test]
fn isolation_is_closed_until_it_is_opened() {
    let closed = config("", &[]);
    assert_eq!((closed.seccomp.value, closed.proc_sys.value), (Seccomp::Default, ProcSys::ReadOnly));
    assert!(!closed.nesting.value && closed.caps_add.value.is_empty() && closed.caps_drop.value.is_empty());
    let open = config("SECCOMP=no\nPROC_SYS=rw\nNESTING=on\nCAPS_ADD=mknod\nCAPS_DROP=( net_raw )\n", &[]);
    assert_eq!((open.seccomp.value, open.proc_sys.value), (Seccomp::Off, ProcSys::Writable));
    assert!(open.nesting.value);
    assert_eq!(open.caps_add.value, [Capability::parse(b"CAP_MKNOD").unwrap()]);
    assert_eq!(open.caps_drop.value, [Capability::parse(b"CAP_NET_RAW").unwrap()]);
}

#[test]
fn elements_have_their_places() {
    let text = "DISKS=(vda:1:/a)\nDISKS+=( 'vdb:1:/b' )\n";
    let config = config(text, &[]);
    let Origin::File(place) = &config.disks.origin else { panic!("{:?}", config.disks.origin) };
    let texts: Vec<&str> = place.elements.iter().map(|span| &text[span.start()..span.end()]).collect();
    assert_eq!(texts, ["vda:1:/a", "'vdb:1:/b'"]);
    assert_eq!(&text[place.span.start()..place.span.end()], "DISKS+=( 'vdb:1:/b' )");
}

#[test]
fn a_capability_is_not_added_and_dropped() {
    let found: Vec<_> = complaints("CAPS_ADD=( kill chown )\nCAPS_DROP=( fowner CAP_CHOWN )\n", &[])
        .into_iter()
        .filter(|(code, ..)| *code == "E1008")
        .map(|(_, place, message)| (place, message))
        .collect();
    assert_eq!(found, [("CAP_CHOWN".to_owned(), "CAPS_DROP: chown is in CAPS_ADD as well".to_owned())]);
}

#[test]
fn a_scalar_counts_as_a_list_of_one() {
    assert_eq!(config("BRIDGES=br0:", &[]).cables.value.len(), 1);
    assert_eq!(config("BRIDGES='br0 br1'", &[("BRIDGES", "x:")]).cables.value.len(), 1);
    assert_eq!(config("DISKS=\nSKIP_SCRIPTS=()", &[]).skip_scripts.value, [""; 0]);
    assert_eq!(complaints("BRIDGES='br0: br1:'", &[])[0].0, "E1003");
}

#[test]
fn environment_comes_before_file() {
    let environment = [
        ("DISKS", "vda:1:/e/a.raw vdb:1:/e/b.raw"),
        ("SUBHOST_RUNLEVEL", "4"),
        ("SUBHOST_SKIP_SCRIPTS", "udev  hwclock.sh"),
        ("HOSTNAME", "the-shell-s"),
        ("RUNLEVEL", "5"),
        ("SUBHOST_INIT", ""),
    ];
    let text = "DISKS=(vda:1:/f/a.raw)\nRUNLEVEL=3\nINIT=auto\n";
    let config = config(text, &environment);
    assert_eq!(config.disks.value.len(), 2);
    assert_eq!(config.disks.origin.to_string(), "environment DISKS");
    assert_eq!(
        config.runlevel,
        Setting { value: '4', origin: Origin::Environment("SUBHOST_RUNLEVEL".to_owned()) }
    );
    assert_eq!(config.skip_scripts.value, ["udev", "hwclock.sh"]);
    assert_eq!(config.hostname.value, None, "plain HOSTNAME is the shell's");
    assert_eq!(config.init.origin.to_string(), "config:3:1", "an empty variable counts as not set");
    let codes: Vec<_> = complaints(text, &environment).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["W1103", "W1103"]);
}

#[test]
fn finds_all_errors_at_their_places() {
    let text = "DISKS=(vda:1:a.raw vda:x:/b 'null::/c')\nBRIDGES=(br0:01:00:00:00:00:00)\n\
                HOSTNAME=(a b)\nINIT=init\nRUNLEVEL=0\nSTOP_TIMEOUT=soon\nPOWEROFF=no\n\
                SKIP_SCRIPTS=(/etc/init.d/udev)\nUSERNS=no\n";
    let found: Vec<_> = complaints(text, &[("SUBHOST_USERNS", "1:1")])
        .into_iter()
        .map(|(code, place, _)| format!("{code} {place}"))
        .collect();
    assert_eq!(
        found,
        [
            "E1005 -",
            "E1001 vda:1:a.raw",
            "E1001 vda:x:/b",
            "E1001 'null::/c'",
            "E1003 br0:01:00:00:00:00:00",
            "E1006 HOSTNAME=(a b)",
            "E1005 INIT=init",
            "E1005 RUNLEVEL=0",
            "E1005 STOP_TIMEOUT=soon",
            "E1005 POWEROFF=no",
            "E1005 /etc/init.d/udev",
        ]
    );
}

#[test]
fn names_what_it_refuses() {
    let message = |text: &str| complaints(text, &[]).remove(0).2;
    assert_eq!(message("DISKS=(vda:1:a.raw)"), "DISKS: `a.raw` is a relative path");
    assert_eq!(message("USERNS=no"), "USERNS: a subhost without a user namespace is not supported yet");
    assert_eq!(
        message("DISKS=(vda:1:/a vda:1:/b)"),
        "DISKS: /dev/vda1 is the device of disk 0 and of disk 1"
    );
    assert_eq!(
        complaints("", &[("SUBHOST_RUNLEVEL", "\x1b[31m")]).remove(0).2,
        "SUBHOST_RUNLEVEL in the environment: `\\x1b[31m` is not a runlevel"
    );
}

#[test]
fn conflicts_point_at_the_later_element() {
    let text = "DISKS=(vda:1:/a)\nDISKS+=(vda:1:/b)\nBRIDGES=(a:06:a7:dd:b4:02:f2 b:06:a7:dd:b4:02:f2)";
    let found: Vec<_> =
        complaints(text, &[]).into_iter().map(|(code, place, _)| format!("{code} {place}")).collect();
    assert_eq!(found, ["E1002 vda:1:/b", "E1004 b:06:a7:dd:b4:02:f2"]);
}

#[test]
fn warns_about_names() {
    let environment = [("SUBHOST_RUNLEVL", "3"), ("SUBHOST_LOG", "debug")];
    let text = "DISK=(vda:1:/a)\nOWNER=me\nhostname=x\n";
    assert!(config(text, &environment).disks.value.is_empty());
    let found: Vec<_> =
        complaints(text, &environment).into_iter().map(|(code, _, message)| (code, message)).collect();
    let expected = [
        ("W1101", "SUBHOST_RUNLEVL is not a setting; did you mean SUBHOST_RUNLEVEL?"),
        ("W1101", "DISK is not a setting; did you mean DISKS?"),
    ];
    assert_eq!(found, expected.map(|(code, message)| (code, message.to_owned())));
}

#[test]
fn every_example_of_the_table_is_accepted_without_a_word() {
    for setting in SETTINGS {
        let text = format!("{}={}\n", setting.name, setting.example);
        let codes: Vec<_> = complaints(&text, &[]).into_iter().map(|(code, ..)| code).collect();
        assert!(codes.is_empty(), "{text}: {codes:?}");
    }
}

#[test]
fn the_table_and_the_typed_settings_are_the_same() {
    let config = SubhostConfig::default();
    let entries = config.entries();
    let names: Vec<&str> = entries.iter().map(|entry| entry.info.name).collect();
    assert_eq!(names, SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>());
    for entry in &entries {
        let name = entry.info.name;
        let is_list = matches!(entry.value, Written::Words(_));
        assert_eq!(entry.info.kind.starts_with("list of "), is_list, "{name}: {}", entry.info.kind);
        let value = match &entry.value {
            Written::Word(word) => String::from_utf8(word.clone()).unwrap(),
            Written::Words(words) => String::from_utf8(words.join(&b' ')).unwrap(),
            _ => String::new(),
        };
        // A default that is no value of the setting is said in words.
        let shown = entry.info.default.strip_prefix('`').and_then(|it| it.strip_suffix('`'));
        assert_eq!(shown.unwrap_or_default(), value, "default of {name}");
    }
}

/// Whatever a configuration says, its entries say the same.
mod round_trip {
    use super::*;
    use proptest::prelude::*;

    fn path() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![8 => Just(b'a'), 2 => Just(b':'), 1 => Just(b' '), 2 => 1..=255u8];
        proptest::collection::vec(byte, 1..12).prop_map(|name| [b"/", name.as_slice(), b"x"].concat())
    }

    fn disk() -> impl Strategy<Value = Vec<u8>> {
        let node = proptest::sample::select(vec!["vda", "sdz", "nvme0n1", "mmcblk0"]);
        let named = (proptest::sample::select(vec!["LABEL", "UUID", "PARTTYPE"]), "[ -9;-~é]{1,9}");
        let partition = prop_oneof![
            (0..=255u32).prop_map(|number| number.to_string()),
            named.prop_map(|(key, value)| format!("{key}={value}")),
        ];
        (node, partition, path())
            .prop_map(|(node, partition, path)| [format!("{node}:{partition}:").as_bytes(), &path].concat())
    }

    fn cable() -> impl Strategy<Value = String> {
        let bridge = proptest::sample::select(vec!["", "br0", "br-lan.10", "é", "a=b"]);
        let mac =
            proptest::option::of(any::<[u8; 5]>().prop_map(|mac| {
                mac.iter().fold("06".to_owned(), |text, octet| format!("{text}:{octet:02X}"))
            }));
        (bridge, mac).prop_map(|(bridge, mac)| format!("{bridge}:{}", mac.unwrap_or_default()))
    }

    /// A word that the setting of this index is likely to take.
    fn word() -> impl Strategy<Value = Vec<u8>> {
        let bind = (path(), path(), proptest::sample::select(vec!["", ":ro", ":rw"]))
            .prop_map(|(host, guest, access)| [&host, &b":"[..], &guest, access.as_bytes()].concat());
        let words = vec![
            "yes",
            "no",
            "ro",
            "rw",
            "default",
            "always",
            "on-failure",
            "1.25",
            "0.01",
            "1500",
            "100",
            "512M",
            "1025",
            "4097K",
            "2g",
            "7bit",
            "1500kbit",
            "2gbit",
            "90s",
            "1500ms",
            "24h",
            "net_raw",
            "CAP_CHOWN",
            "web1",
            "auto",
            "/sbin/init",
            "immediate",
            "524288:65536",
            "A=b c=d",
            "eth3=192.0.2.7/24",
            "2001:db8::7/64",
            "10.8.0.0/16=192.0.2.1",
            "192.0.2.1",
            "/dev/fuse:ro",
            "/dev/net/tun",
            "3",
        ];
        prop_oneof![
            5 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
            1 => path(),
            1 => disk(),
            1 => cable().prop_map(String::into_bytes),
            1 => bind,
        ]
    }

    fn evaluate(text: &[u8]) -> Option<SubhostConfig> {
        let source = Source::new("config", text);
        let (variables, diagnostics) = Evaluator::new().run(&parse(&source).0);
        assert_eq!(diagnostics, [], "{}", String::from_utf8_lossy(text));
        let (config, _) = SubhostConfig::from_variables(&variables, &Environment::empty());
        config
    }

    fn assignments(config: &SubhostConfig) -> Vec<(&'static str, String)> {
        config.entries().iter().map(|entry| (entry.info.name, entry.to_bash())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

        #[test]
        fn an_entry_is_read_as_the_same_value(setting in proptest::sample::select(SETTINGS), word in word()) {
            // What is refused for being without effect is read all the same, and cannot be seen here.
            let text = [setting.name.as_bytes(), b"=", &subhost_config::quote(&word)].concat();
            let Some(config) = evaluate(&text) else { return Ok(()) };
            let shown = assignments(&config);
            // An IFS of its own would be another file: a control byte that bash garbles is refused, not changed.
            let again: String = shown
                .iter()
                .filter(|(name, value)| *name == setting.name && !value.is_empty())
                .map(|(name, value)| format!("{name}={value}\n"))
                .collect();
            let source = Source::new("config", again.as_bytes());
            let (variables, garbled) = Evaluator::new().run(&parse(&source).0);
            if !garbled.is_empty() {
                prop_assert!(garbled.iter().all(|it| it.code == "E0306"), "{garbled:?}");
                return Ok(());
            }
            let (config_again, _) = SubhostConfig::from_variables(&variables, &Environment::empty());
            prop_assert_eq!(config_again.as_ref().map(assignments), Some(shown), "{}", again);
        }

        #[test]
        fn a_disk_is_read_as_the_same(text in disk()) {
            if let Ok(disk) = DiskSpec::parse(&text) {
                prop_assert_eq!(DiskSpec::parse(&disk.to_os_string().into_vec()), Ok(disk.clone()));
                let shown = disk.to_string();
                if subhost_config::visible(disk.image.to_string_lossy().as_bytes()).as_bytes() == disk.image.as_os_str().as_encoded_bytes() {
                    prop_assert_eq!(DiskSpec::parse(shown.as_bytes()), Ok(disk));
                }
            }
        }

        #[test]
        fn a_cable_is_read_as_the_same(text in cable()) {
            let cable = CableSpec::parse(text.as_bytes(), b':').unwrap();
            prop_assert_eq!(CableSpec::parse(cable.to_string().as_bytes(), b':'), Ok(cable));
        }
    }
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Vec<u8>> {
        let specs = [
            "vda",
            "1",
            ":",
            "=",
            "/a",
            "06:a7:dd:b4:02:f2",
            "br0",
            "65536",
            "\n",
            " ",
            "auto",
            "4294967295",
            "ms",
        ];
        let token = prop_oneof![
            proptest::sample::select(specs.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
            proptest::collection::vec(1..=255u8, 0..4),
        ];
        proptest::collection::vec(token, 0..8).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

        #[test]
        fn no_value_makes_it_panic(name in proptest::sample::select(SETTINGS), value in value(), list in any::<bool>()) {
            let quoted = subhost_config::quote(&value);
            let mut text = format!("{}=", name.name).into_bytes();
            let (open, close) = if list { (&b"("[..], &b" x)"[..]) } else { (&b""[..], &b""[..]) };
            text.extend([open, &quoted, close].concat());
            let source = Source::new("config", text);
            let (variables, _) = Evaluator::new().run(&parse(&source).0);
            let in_environment = (format!("SUBHOST_{}", name.name).into(), OsString::from_vec(value.clone()));
            for environment in [Environment::empty(), [in_environment].into_iter().collect()] {
                let (config, diagnostics) = SubhostConfig::from_variables(&variables, &environment);
                prop_assert_eq!(config.is_none(), diagnostics.iter().any(Diagnostic::is_error));
            }
            if let Ok(disk) = DiskSpec::parse(&value) {
                prop_assert!(disk.image.is_absolute() && !disk.node_name().contains('/'));
            }
            let _ = (CableSpec::parse(&value, b':'), CableSpec::parse(&value, b'='));
        }
    }
}
