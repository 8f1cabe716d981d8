//! The types that say what a partition is for, named as sfdisk knows them.

use subhost_mount::partition::discoverable_name;

use crate::harness::Case;
use crate::output;

pub(crate) fn case() -> Case {
    Case {
        name: "types_are_named_as_sfdisk_names_them".to_owned(),
        needs_root: false,
        programs: &[],
        run: Box::new(compare),
    }
}

fn compare() {
    let text = output("sfdisk", &["--label", "gpt", "--list-types"]);
    let mut named = 0;
    for line in text.lines() {
        let Some((guid, description)) = line.split_once("  ") else { continue };
        let expected = name_of(description.trim());
        assert_eq!(discoverable_name(guid), expected.as_deref(), "{line}");
        assert_eq!(discoverable_name(&guid.to_lowercase()), expected.as_deref(), "{line}");
        named += u32::from(expected.is_some());
    }
    assert_eq!(named, 36, "{text}");
}

fn name_of(description: &str) -> Option<String> {
    let name = match description {
        "EFI System" => "esp",
        "Linux extended boot" => "xbootldr",
        "Linux swap" => "swap",
        "Linux home" => "home",
        "Linux server data" => "srv",
        "Linux variable data" => "var",
        "Linux temporary data" => "tmp",
        "Linux filesystem" => "linux-generic",
        _ => {
            let (kind, architecture) = description.strip_suffix(')')?.split_once(" (")?;
            let kind = match kind {
                "Linux root" => "root",
                "Linux /usr" => "usr",
                _ => return None,
            };
            let architecture = match architecture {
                "x86" | "x86-64" => architecture,
                "ARM" => "arm",
                "ARM-64" => "arm64",
                "LoongArch-64" => "loongarch64",
                "MIPS-32 LE" => "mips-le",
                "MIPS-64 LE" => "mips64-le",
                "PPC" => "ppc",
                "PPC64" => "ppc64",
                "PPC64LE" => "ppc64-le",
                "RISC-V-32" => "riscv32",
                "RISC-V-64" => "riscv64",
                "S390" => "s390",
                "S390X" => "s390x",
                _ => return None,
            };
            return Some(format!("{kind}-{architecture}"));
        }
    };
    Some(name.to_owned())
}
