//! Variables that mean something to bash itself.

/// Set by bash before it reads the first line, with values that are no facts of the file.
pub(crate) fn is_set_by_bash(name: &str) -> bool {
    const ORDINARY: &[&str] = &["HOSTNAME", "HOSTTYPE", "MACHTYPE", "OSTYPE", "PATH", "PS4", "SHELL", "TERM"];
    ORDINARY.contains(&name) || has_effect(name)
}

/// An assignment does something else than set a plain variable: it fails, changes how bash reads on, or
/// leaves attributes that the file does not give.
pub(crate) fn has_effect(name: &str) -> bool {
    const NAMES: &[&str] = &[
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
        "IFS",
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
    NAMES.contains(&name) || name.starts_with("BASH_")
}
