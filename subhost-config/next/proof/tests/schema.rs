//! From a file and an environment to the settings.

use std::ffi::OsString;
use std::time::Duration;

use subhost_config::schema::{
    CableSpec, DiskSpec, Environment, InitChoice, Origin, PowerOff, SETTINGS, Setting, SubhostConfig,
    Support, UserNs,
};
use subhost_config::{Diagnostic, Evaluator, Source, parse};

fn read(text: &str, environment: &[(&str, &str)]) -> (Option<SubhostConfig>, Vec<Diagnostic>, Source) {
    let source = Source::new("config", text);
    let (script, mut diagnostics) = parse(&source);
    let (variables, more) = Evaluator::new().run(&script);
    diagnostics.extend(more);
    assert!(!diagnostics.iter().any(Diagnostic::is_error), "{diagnostics:?}");
    let environment: Environment =
        environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let (config, more) = SubhostConfig::from_variables(&variables, &source, &environment);
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
    assert_eq!(config.disks.origin, Origin::File { line: 1 });
    assert_eq!(
        config.cables.value,
        [
            CableSpec { bridge: Some("homenet".to_owned()), mac: Some([0x06, 0xa7, 0xdd, 0xb4, 0x02, 0xf2]) },
            CableSpec { bridge: None, mac: None },
        ]
    );
    assert_eq!(config.cables.origin, Origin::File { line: 5 });
    let at = |line| Origin::File { line };
    assert_eq!(config.hostname, Setting { value: Some("web1".to_owned()), origin: at(6) });
    assert_eq!(config.init, Setting { value: InitChoice::Path("/sbin/init".to_owned()), origin: at(6) });
    assert_eq!(config.runlevel, Setting { value: '3', origin: at(7) });
    assert_eq!(config.stop_timeout, Setting { value: Duration::from_secs(120), origin: at(8) });
    assert_eq!(config.poweroff, Setting { value: PowerOff::Immediate, origin: at(9) });
    assert_eq!(config.skip_scripts, Setting { value: vec!["udev".to_owned()], origin: at(10) });
    assert_eq!(
        config.userns,
        Setting { value: UserNs::Range { first: 524_288, count: 65_536 }, origin: at(11) }
    );
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
    assert_eq!(config.init.origin.to_string(), "line 3", "an empty variable counts as not set");
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
        "SUBHOST_RUNLEVEL in the environment: `\\x1b[31m` is no runlevel"
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
    let environment = [("SUBHOST_AUTOSTART", "yes"), ("SUBHOST_RUNLEVL", "3"), ("SUBHOST_LOG", "debug")];
    let text = "DISK=(vda:1:/a)\nAUTOSTART=no\nOWNER=me\nhostname=x\n";
    assert!(config(text, &environment).disks.value.is_empty());
    let found: Vec<_> =
        complaints(text, &environment).into_iter().map(|(code, _, message)| (code, message)).collect();
    let expected = [
        ("W1102", "SUBHOST_AUTOSTART has no effect yet"),
        ("W1101", "SUBHOST_RUNLEVL is no setting; did you mean SUBHOST_RUNLEVEL?"),
        ("W1101", "DISK is no setting; did you mean DISKS?"),
        ("W1102", "AUTOSTART has no effect yet"),
    ];
    assert_eq!(found, expected.map(|(code, message)| (code, message.to_owned())));
}

#[test]
fn every_example_of_the_table_is_accepted_without_a_word() {
    for setting in SETTINGS.iter().filter(|setting| setting.support == Support::Full) {
        let text = format!("{}={}\n", setting.name, setting.example);
        assert_eq!(complaints(&text, &[]), [], "{text}");
    }
}

#[test]
fn every_name_of_the_table_is_known() {
    for setting in SETTINGS {
        let text = format!("{}=''\n", setting.name);
        let codes: Vec<_> = complaints(&text, &[]).into_iter().map(|(code, ..)| code).collect();
        let support = match codes.as_slice() {
            ["W1102"] => Support::Ignored,
            ["E1007"] => Support::Refused,
            _ => Support::Full,
        };
        assert_eq!(support, setting.support, "{}: {codes:?}", setting.name);
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
            use std::os::unix::ffi::OsStringExt;
            let quoted = subhost_config::quote(&value);
            let mut text = format!("{}=", name.name).into_bytes();
            let (open, close) = if list { (&b"("[..], &b" x)"[..]) } else { (&b""[..], &b""[..]) };
            text.extend([open, &quoted, close].concat());
            let source = Source::new("config", text);
            let (variables, _) = Evaluator::new().run(&parse(&source).0);
            let in_environment = (format!("SUBHOST_{}", name.name).into(), OsString::from_vec(value.clone()));
            for environment in [Environment::empty(), [in_environment].into_iter().collect()] {
                let (config, diagnostics) = SubhostConfig::from_variables(&variables, &source, &environment);
                prop_assert_eq!(config.is_none(), diagnostics.iter().any(Diagnostic::is_error));
            }
            if let Ok(disk) = DiskSpec::parse(&value) {
                prop_assert!(disk.image.is_absolute() && !disk.node_name().contains('/'));
            }
            let _ = (CableSpec::parse(&value, b':'), CableSpec::parse(&value, b'='));
        }
    }
}
