//! A `.nspawn` file of systemd-nspawn: sections of `Key=value`.

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::{Refused, disk, environment, text, yes, yes_no};

/// Where such images are, beside the file's own directory.
const MACHINES: &str = "/var/lib/machines";

/// Reads such a file; its name is that of the machine.
///
/// # Errors
/// A line is neither a section nor a setting.
pub fn read(bytes: &[u8], path: &Path, source: &str) -> Result<Draft, Refused> {
    let mut draft = Draft::new(source);
    let settings = settings(text(bytes)?)?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    root(&mut draft, path, &name);
    let mut boot = false;
    for (section, key, value) in &settings {
        let from = format!("{section}.{key}={value}");
        match (section.as_str(), key.as_str()) {
            // An empty value takes back what there was before, in this file or in the program's defaults.
            (_, _) if value.is_empty() => draft.leave(&from, "an empty value"),
            ("Exec", "Boot") => boot = yes_no(value).unwrap_or(false),
            ("Exec", "Ephemeral") => yes(&mut draft, "EPHEMERAL", value, &from),
            ("Exec", "Environment") => {
                words(value).iter().for_each(|variable| environment(&mut draft, variable, &from));
            }
            ("Exec", "Hostname") => draft.set("HOSTNAME", value, &from),
            ("Exec", "Capability") => capabilities(&mut draft, "CAPS_ADD", value, &from),
            ("Exec", "DropCapability") => capabilities(&mut draft, "CAPS_DROP", value, &from),
            ("Exec", "PrivateUsers") => private_users(&mut draft, value, &from),
            (
                "Exec",
                "LinkJournal" | "Timezone" | "ResolvConf" | "NotifyReady" | "ProcessTwo" | "KillSignal",
            ) => {
                draft.leave(&from, "a subhost does that in its own way");
            }
            ("Files", "Bind" | "BindReadOnly") => bind(&mut draft, value, key == "BindReadOnly", &from),
            ("Files", "ReadOnly") => yes(&mut draft, "READONLY", value, &from),
            ("Files", "Volatile") => match value.as_str() {
                "no" | "false" | "0" | "off" => {}
                "overlay" => yes(&mut draft, "EPHEMERAL", "yes", &from),
                _ => draft.leave(&from, "EPHEMERAL=yes is what comes near to it, for disks"),
            },
            ("Files", "PrivateUsersOwnership" | "PrivateUsersChown") => {
                draft.leave(&from, "a subhost maps ids when it mounts, and changes no file");
            }
            ("Network", "Bridge") => draft.add("BRIDGES", format!("{value}:"), &from),
            ("Network", "VirtualEthernet") => match yes_no(value) {
                Some(true) if !settings.iter().any(|(_, key, _)| key == "Bridge") => {
                    draft.add("BRIDGES", ":", &from);
                }
                Some(_) => {}
                None => draft.leave(&from, "is neither yes nor no"),
            },
            ("Network", "Private") => {
                if yes_no(value) == Some(false) {
                    draft.leave(&from, "a subhost always has a network of its own");
                }
            }
            _ => draft.leave(&from, "a subhost has nothing like it"),
        }
    }
    if boot {
        draft.set("INIT", "auto", "Exec.Boot");
        draft.leave(
            "Exec.Boot=yes",
            "if its init is systemd, that needs NESTING=yes, which opens more to the guest",
        );
    }
    if !draft.has("BRIDGES") {
        draft.leave(
            "network",
            "it may be the host's there; a subhost has its own, and BRIDGES=( BRIDGE:MAC ) plugs it in",
        );
    }
    Ok(draft)
}

/// Section, key and value, in order. A backslash at its end continues a line.
fn settings(text: &str) -> Result<Vec<(String, String, String)>, Refused> {
    let mut found = Vec::new();
    let (mut section, mut whole) = (String::new(), String::new());
    for (at, line) in text.lines().enumerate() {
        if whole.is_empty() && line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if let Some(line) = line.strip_suffix('\\') {
            whole.push_str(line);
            whole.push(' ');
            continue;
        }
        whole.push_str(line);
        let line = std::mem::take(&mut whole);
        let line = line.trim();
        if line.is_empty() {
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            found.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
        } else {
            return Err(format!("line {}: `{line}` is neither a section nor a setting", at + 1));
        }
    }
    Ok(found)
}

/// The image or directory of that name, where one is looked for.
fn root(draft: &mut Draft, path: &Path, name: &str) {
    let own = path.parent().unwrap_or(Path::new(""));
    let own = std::path::absolute(own).unwrap_or_else(|_| PathBuf::from(MACHINES));
    for directory in [own, PathBuf::from(MACHINES)] {
        let (tree, image) = (directory.join(name), directory.join(format!("{name}.raw")));
        if image.is_file() {
            return disk::add(draft, "vda", &image, &image.display().to_string());
        }
        if tree.is_dir() {
            draft.set(
                "ROOT",
                std::os::unix::ffi::OsStrExt::as_bytes(tree.as_os_str()),
                "the machine's directory",
            );
            return;
        }
    }
    let tree = format!("{MACHINES}/{name}");
    if draft.try_set("ROOT", &tree, "the machine's directory") {
        draft.leave(&tree, &format!("neither it nor {tree}.raw is there"));
    }
}

fn capabilities(draft: &mut Draft, setting: &'static str, value: &str, from: &str) {
    for name in value.split(|c: char| c.is_whitespace() || c == ',').filter(|name| !name.is_empty()) {
        if name == "all" {
            draft.leave(from, "capabilities are named one by one");
        } else {
            draft.add(setting, name, from);
        }
    }
}

fn private_users(draft: &mut Draft, value: &str, from: &str) {
    match value.split_once(':') {
        Some(_) => draft.set("USERNS", value, from),
        None if yes_no(value) == Some(false) => draft.leave(from, "a subhost always has a user namespace"),
        None if value.bytes().all(|byte| byte.is_ascii_digit()) && yes_no(value).is_none() => {
            draft.set("USERNS", format!("{value}:65536"), from);
        }
        // Any range is taken, as here without a setting.
        None if value == "pick" || yes_no(value) == Some(true) => {}
        None => draft.leave(from, "a subhost has no such range"),
    }
}

/// `HOST`, `HOST:GUEST` or `HOST:GUEST:OPTIONS`, a colon in a path with a backslash before it.
fn bind(draft: &mut Draft, value: &str, read_only: bool, from: &str) {
    let mut parts = vec![String::new()];
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            ('\\', Some(part)) if chars.next_if_eq(&':').is_some() => part.push(':'),
            (':', _) => parts.push(String::new()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    let host = &parts[0];
    let guest = parts.get(1).filter(|guest| !guest.is_empty()).unwrap_or(host);
    if host.starts_with(['+', '-']) || host.is_empty() {
        return draft.leave(from, "only a path that begins at the host's / can be bound");
    }
    if draft.try_add("BINDS", format!("{host}:{guest}:{}", if read_only { "ro" } else { "rw" }), from) {
        for option in
            parts.iter().skip(2).filter(|option| !["rbind", "norbind", ""].contains(&option.as_str()))
        {
            draft.leave(from, &format!("a bind has no option {option}"));
        }
    }
}

/// Words with blanks between them; quotes keep a word together.
fn words(value: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', _) => word.get_or_insert_default().extend(chars.next()),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::super::witness::{leaves, settings};
    use super::*;
    use std::fs;

    #[test]
    fn settings_of_nspawn_become_settings() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.nspawn");
        fs::create_dir(directory.path().join("web")).unwrap();
        let text = r#"
[Exec]
Boot=yes
Environment="A=b c" D=e
Hostname=web1
Capability=CAP_NET_ADMIN CAP_MKNOD
PrivateUsers=pick
SystemCallFilter=@keyring
[Files]
Bind=/srv/a\:b:/mnt/a
BindReadOnly=/srv/www:/var/www:norbind
Bind=+/inside
ReadOnly=yes
[Network]
Bridge=br0
Port=tcp:80
"#;
        let draft = read(text.as_bytes(), &path, "x").unwrap().settled();
        let root = directory.path().join("web");
        assert_eq!(
            settings(&draft),
            format!(
                "ROOT={}\nENVIRONMENT=(\n    'A=b c'\n    D=e\n)\nHOSTNAME=web1\nCAPS_ADD=(\n    CAP_NET_ADMIN\n    CAP_MKNOD\n)\n\
             BINDS=( /srv/www:/var/www:ro )\nBRIDGES=( br0: )\n",
                root.display()
            )
        );
        for left in
            ["INIT: has no", "READONLY: has no", "SystemCallFilter", "a\\:b", "+/inside", "Network.Port"]
        {
            assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
        }
        assert!(read(b"[Exec]\nnonsense\n", &path, "x").is_err());
    }
}
