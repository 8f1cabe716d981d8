//! Variables that mean something to bash itself.

/// Ordinary variables otherwise.
const ORDINARY: &[&str] = &["HOSTNAME", "HOSTTYPE", "MACHTYPE", "OSTYPE", "PATH", "PS4", "SHELL", "TERM"];

/// What bash sets IFS to before it reads the first line, whatever the environment holds.
pub(crate) const IFS: &[u8] = b" \t\n";

/// Set by bash before it reads the first line, with values that are no facts of the file.
pub(crate) fn is_set_by_bash(name: &str) -> bool {
    ORDINARY.contains(&name) || has_effect(name)
}

/// Whether some of these begin so.
pub(crate) fn any_has_prefix(prefix: &str) -> bool {
    ORDINARY.iter().chain(WITH_EFFECT).any(|name| name.starts_with(prefix))
        || "BASH_".starts_with(prefix)
        || prefix.starts_with("BASH_")
}

const WITH_EFFECT: &[&str] = &[
    "_",
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "COMP_WORDBREAKS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GLOBIGNORE",
    "GROUPS",
    "HISTCMD",
    "LC_ALL",
    "LINENO",
    "OLDPWD",
    "OPTERR",
    "OPTIND",
    "POSIXLY_CORRECT",
    "PPID",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
];

/// An assignment does something else than set a plain variable: it fails, changes how bash reads on, or
/// leaves attributes that the file does not give.
pub(crate) fn has_effect(name: &str) -> bool {
    WITH_EFFECT.contains(&name) || name.starts_with("BASH_")
}
