//! The partition types that say what a partition is for (the Discoverable Partitions Specification of the UAPI group).

/// Name and GUID of each. Root and usr have one for each architecture, as the programs in them do.
const TYPES: [(&str, &str); 36] = [
    ("esp", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
    ("xbootldr", "BC13C2FF-59E6-4262-A352-B275FD6F7172"),
    ("swap", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"),
    ("home", "933AC7E1-2EB4-4F13-B844-0E14E2AEF915"),
    ("srv", "3B8F8425-20E0-4F3B-907F-1A25A76F98E8"),
    ("var", "4D21B016-B534-45C2-A9FB-5C16E091FD2D"),
    ("tmp", "7EC6F557-3BC5-4ACA-B293-16EF5DF639D1"),
    ("linux-generic", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    ("root-x86", "44479540-F297-41B2-9AF7-D131D5F0458A"),
    ("root-x86-64", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"),
    ("root-arm", "69DAD710-2CE4-4E3C-B16C-21A1D49ABED3"),
    ("root-arm64", "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"),
    ("root-loongarch64", "77055800-792C-4F94-B39A-98C91B762BB6"),
    ("root-mips-le", "37C58C8A-D913-4156-A25F-48B1B64E07F0"),
    ("root-mips64-le", "700BDA43-7A34-4507-B179-EEB93D7A7CA3"),
    ("root-ppc", "1DE3F1EF-FA98-47B5-8DCD-4A860A654D78"),
    ("root-ppc64", "912ADE1D-A839-4913-8964-A10EEE08FBD2"),
    ("root-ppc64-le", "C31C45E6-3F39-412E-80FB-4809C4980599"),
    ("root-riscv32", "60D5A7FE-8E7D-435C-B714-3DD8162144E1"),
    ("root-riscv64", "72EC70A6-CF74-40E6-BD49-4BDA08E8F224"),
    ("root-s390", "08A7ACEA-624C-4A20-91E8-6E0FA67D23F9"),
    ("root-s390x", "5EEAD9A9-FE09-4A1E-A1D7-520D00531306"),
    ("usr-x86", "75250D76-8CC6-458E-BD66-BD47CC81A812"),
    ("usr-x86-64", "8484680C-9521-48C6-9C11-B0720656F69E"),
    ("usr-arm", "7D0359A3-02B3-4F0A-865C-654403E70625"),
    ("usr-arm64", "B0E01050-EE5F-4390-949A-9101B17104E9"),
    ("usr-loongarch64", "E611C702-575C-4CBE-9A46-434FA0BF7E3F"),
    ("usr-mips-le", "0F4868E9-9952-4706-979F-3ED3A473E947"),
    ("usr-mips64-le", "C97C1F32-BA06-40B4-9F22-236061B08AA8"),
    ("usr-ppc", "7D14FEC5-CC71-415D-9D6C-06BF0B3C3EAF"),
    ("usr-ppc64", "2C9739E2-F068-46B3-9FD0-01C5A9AFBCCA"),
    ("usr-ppc64-le", "15BB03AF-77E7-4D4A-B12B-C0D084F7491C"),
    ("usr-riscv32", "B933FB22-5C3F-4F91-AF90-E2BB0FA50702"),
    ("usr-riscv64", "BEAEC34B-8442-439B-A40B-984381ED097D"),
    ("usr-s390", "CD0F869B-D0FB-4CA0-B141-9EA87CC78D66"),
    ("usr-s390x", "8A4F5770-50AA-4ED3-874A-99B710DB6FEA"),
];

/// What a partition of type `code` is for, as `root-x86-64` or `esp`; `None` if the type does not say.
///
/// ```
/// use subhost_mount::partition::discoverable_name;
///
/// assert_eq!(discoverable_name("933AC7E1-2EB4-4F13-B844-0E14E2AEF915"), Some("home"));
/// assert_eq!(discoverable_name("83"), None);
/// ```
#[must_use]
pub fn discoverable_name(code: &str) -> Option<&'static str> {
    TYPES.iter().find(|(_, guid)| guid.eq_ignore_ascii_case(code)).map(|(name, _)| *name)
}

/// The type of that name. `root` and `usr` alone are those of the architecture that this is compiled for.
pub(super) fn code_of(name: &str) -> Option<&'static str> {
    let name = match name {
        "root" | "usr" => format!("{name}-{}", architecture()),
        _ => name.to_owned(),
    };
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, guid)| *guid)
}

fn architecture() -> &'static str {
    let is_little = cfg!(target_endian = "little");
    match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        "aarch64" => "arm64",
        "powerpc" => "ppc",
        "powerpc64" if is_little => "ppc64-le",
        "powerpc64" => "ppc64",
        "mips" if is_little => "mips-le",
        "mips64" if is_little => "mips64-le",
        other => other,
    }
}
