//! Virtual machines of the host: processes of QEMU, named by their `-name`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::process::{self, Process, Processes};
use crate::sorted::sort_by_key;

/// The directory of cgroups that `usage --adopt` puts them into.
pub const PARENT: &str = "subhost-vm";

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// Its process.
    pub pid: u32,
    /// The same as it was found.
    pub process: Process,
    /// Its name; no other one has it.
    pub name: String,
}

/// Those there are, in the order of their numbers. What runs in a subhost is a part of that: its command line may even be such
/// that who reads it waits for ever.
pub fn all(processes: &Processes) -> Vec<Vm> {
    let own = process::own_namespace();
    let mut found: Vec<Vm> = Vec::new();
    for (pid, process) in processes.all.iter().filter(|(_, process)| process.pid_namespace == own) {
        let program = process::program(*pid).filter(|program| is_emulator(program));
        let Some(program) = program else { continue };
        let name = name_of(&process::arguments(*pid)).unwrap_or_else(|| file_name(&program));
        found.push(Vm { pid: *pid, process: *process, name });
    }
    sort_by_key(&mut found, |vm| vm.pid);
    tell_apart(&mut found);
    found
}

/// Two of one name are told apart by their numbers.
fn tell_apart(found: &mut [Vm]) {
    let mut count: HashMap<String, u32> = HashMap::new();
    for vm in found.iter() {
        *count.entry(vm.name.clone()).or_default() += 1;
    }
    for vm in found.iter_mut().filter(|vm| count[&vm.name] > 1) {
        vm.name = format!("{} ({})", vm.name, vm.pid);
    }
}

/// The kernel says so of a program that was replaced while it runs.
fn file_name(program: &Path) -> String {
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned()
}

fn is_emulator(program: &Path) -> bool {
    let name = file_name(program);
    name == "kvm" || name == "qemu-kvm" || name.starts_with("qemu-system-")
}

/// What `-name` says: a name, or `guest=NAME` among other things, a comma in which is written twice.
fn name_of(arguments: &[Vec<u8>]) -> Option<String> {
    let at = arguments.iter().rposition(|word| word == b"-name" || word == b"--name")?;
    let value = String::from_utf8_lossy(arguments.get(at + 1)?).replace(",,", "\0");
    let parts = value.split(',').enumerate();
    let names = parts.filter_map(|(at, part)| match part.strip_prefix("guest=") {
        Some(name) => Some(name),
        None => (at == 0 && !part.contains('=')).then_some(part),
    });
    names.last().map(|name| name.replace('\0', ",")).filter(|name| !name.is_empty())
}

/// The links of the host that its cards are plugged into, as far as they are of TUN/TAP.
pub fn links(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let infos = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let mut names: Vec<String> = infos
        .filter_map(|info| info.lines().find_map(|line| Some(line.strip_prefix("iff:")?.trim().to_owned())))
        .collect();
    // One with several queues is open several times.
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulators_are_known_by_their_file() {
        for program in [
            "/usr/bin/qemu-system-x86_64",
            "/usr/bin/kvm",
            "/usr/libexec/qemu-kvm",
            "/x/qemu-system-arm (deleted)",
        ] {
            assert!(is_emulator(Path::new(program)), "{program}");
        }
        for program in ["/usr/bin/qemu-img", "/usr/bin/kvm-ok", "/usr/bin/qemu-system", "/kvm/sh", "/"] {
            assert!(!is_emulator(Path::new(program)), "{program}");
        }
    }

    #[test]
    fn a_machine_is_called_as_its_command_line_says() {
        for (words, name) in [
            (&["kvm", "-name", "web"][..], Some("web")),
            (&["kvm", "-m", "1", "-name", "guest=web,debug-threads=on"], Some("web")),
            (&["kvm", "-name", "debug-threads=on,guest=we,,b"], Some("we,b")),
            (&["kvm", "--name", "web,process=x"], Some("web")),
            (&["kvm", "-name", "a", "-name", "b"], Some("b")),
            (&["kvm", "-name", "=\x1b[2J,\t"], None),
            (&["kvm", "-name", "\x1b[2J\n"], Some("\x1b[2J\n")),
            (&["kvm", "-name"], None),
            (&["kvm", "-name", ""], None),
            (&["kvm"], None),
        ] {
            let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            assert_eq!(name_of(&words).as_deref(), name, "{words:?}");
        }
    }

    #[test]
    fn two_of_one_name_are_told_apart() {
        let vm = |pid, name: &str| Vm { pid, process: Process::default(), name: name.to_owned() };
        let mut found = [vm(1, "a"), vm(2, "b"), vm(3, "a")];
        tell_apart(&mut found);
        assert_eq!(found.map(|vm| vm.name), ["a (1)", "b", "a (3)"]);
    }
}
