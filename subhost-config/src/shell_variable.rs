//! Variables that mean something to bash itself.

/// Ordinary variables otherwise.
const ORDINARY: &[&str] = &["HOSTNAME", "HOSTTYPE", "MACHTYPE", "OSTYPE", "PATH", "PS4", "SHELL", "TERM"];

/// What bash sets IFS to before it reads the first line, whatever the environment holds.
pub(crate) const IFS: &[u8] = b" \t\n";

/// Set by bash before it reads the first line, with values that are no facts of the file.
pub(crate) fn is_set_by_bash(name: &str) -> bool {
    ORDINARY.contains(&name) || is_special_to_bash(name)
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
    "FUNCNEST",
    "GLOBIGNORE",
    "GROUPS",
    "HISTCMD",
    "LC_ALL",
    "LINENO",
    "OLDPWD",
    "OPTERR",
    "OPTIND",
    "PIPESTATUS",
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

/// Whether a variable of this name is no plain one to bash: an assignment fails, changes how bash reads on, or leaves
/// attributes that the file does not give; or bash changes the value by itself.
pub fn is_special_to_bash(name: &str) -> bool {
    WITH_EFFECT.contains(&name) || name.starts_with("BASH_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_a_bash_that_did_nothing_is_known() {
        let mut bash = std::process::Command::new("bash");
        bash.args(["--norc", "--noprofile", "-c", "compgen -v"]).env_clear().env("LC_ALL", "C.UTF-8");
        let output = bash.output().expect("bash runs");
        let names = String::from_utf8(output.stdout).expect("names are letters");
        let unknown: Vec<&str> =
            names.lines().filter(|&name| !is_set_by_bash(name) && name != "IFS").collect();
        assert_eq!(unknown, [] as [&str; 0]);
        assert!(names.lines().count() > 20, "{names}");
    }
}
