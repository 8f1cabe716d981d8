//! Which hosts have which subhosts: a file that is written by hand or by a program.
//!
//! Each line is `HOST: NAME NAME …`, or an object of JSON, `{"host": "HOST", "names": ["NAME", …]}`. Empty lines and those
//! that begin with `#` are passed over. A host may have several lines.

use serde::Deserialize;

use crate::layout::Name;

/// Where it is, unless another file is given.
pub const PATH: &str = "/etc/subhost/inventory";

/// Larger ones are refused.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The hosts in the order of the file, each with its subhosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Each host once.
    pub hosts: Vec<(Host, Vec<Name>)>,
}

/// What ssh is given to find a host: a name, an address or an alias, with a user before it or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// Takes what neither ssh nor a shell could take for anything but a host.
    ///
    /// # Errors
    /// It begins with `-`, or holds something else than letters, digits and `. _ - : % [ ] @`.
    pub fn new(text: &str) -> Result<Host, String> {
        let parts = text.split('@');
        let reason = if text.is_empty() || parts.clone().any(str::is_empty) {
            "is empty, or has an empty part"
        } else if parts.clone().any(|part| part.starts_with('-')) {
            "begins with '-'"
        } else if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:%[]@".contains(&byte)) {
            "holds something else than letters, digits and . _ - : % [ ] @"
        } else {
            return Ok(Host(text.to_owned()));
        };
        Err(format!("host {text:?}: {reason}"))
    }

    /// As ssh takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the machine of that name.
    pub fn is_called(&self, hostname: &str) -> bool {
        let own = self.0.rsplit('@').next().unwrap_or_default();
        let first = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        // A name without a domain may be any with one, but two domains are two machines.
        let same = own.eq_ignore_ascii_case(hostname);
        let one_is_short = own.contains('.') != hostname.contains('.');
        let is_address = own.parse::<std::net::IpAddr>().is_ok();
        !hostname.is_empty() && (same || one_is_short && !is_address && first(own) == first(hostname))
    }
}

#[derive(Deserialize)]
struct Line {
    host: String,
    names: Vec<String>,
}

impl Inventory {
    /// Reads it.
    ///
    /// # Errors
    /// The first line that is wrong, with its number.
    pub fn parse(text: &str) -> Result<Inventory, String> {
        let mut inventory = Inventory::default();
        for (number, line) in (1..).zip(text.lines()) {
            inventory.line(line.trim()).map_err(|reason| format!("line {number}: {reason}"))?;
        }
        Ok(inventory)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (host, names) = if line.starts_with('{') {
            let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
            (line.host, line.names)
        } else {
            let mut words = line.split_whitespace();
            // An address of IPv6 has more colons than the last.
            let host = words.next().and_then(|word| word.strip_suffix(':'));
            let host = host.ok_or("does not begin with `HOST:`")?;
            (host.to_owned(), words.map(str::to_owned).collect())
        };
        let host = Host::new(&host)?;
        let names = names.iter().map(|name| name.parse::<Name>().map_err(|error| error.to_string()));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        match self.hosts.iter_mut().find(|(other, _)| *other == host) {
            Some((_, all)) => all.extend(names),
            None => self.hosts.push((host, names)),
        }
        Ok(())
    }

    /// Puts what a host has in the place of what it had.
    pub fn set(&mut self, host: Host, names: Vec<Name>) {
        match self.hosts.iter_mut().find(|(other, _)| *other == host) {
            Some((_, all)) => *all = names,
            None => self.hosts.push((host, names)),
        }
    }

    /// The lines of a file.
    pub fn text(&self) -> String {
        let mut text = String::from("# Kept by subhostctl collect.\n");
        for (host, names) in &self.hosts {
            let names: String = names.iter().map(|name| format!(" {name}")).collect();
            text += &format!("{}:{names}\n", host.as_str());
        }
        text
    }

    /// The hosts that have a subhost of that name.
    pub fn hosts_of(&self, name: &Name) -> Vec<&Host> {
        self.hosts.iter().filter(|(_, names)| names.contains(name)).map(|(host, _)| host).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_only_what_is_new_is_new() {
        let mut inventory = Inventory::parse("a: web db\nb: mail\n").unwrap();
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<Name>>();
        inventory.set(Host::new("a").unwrap(), names(&["db", "new"]));
        inventory.set(Host::new("root@2001:db8::1").unwrap(), Vec::new());
        assert_eq!(Inventory::parse(&inventory.text()).unwrap(), inventory);
        assert_eq!(hosts_of(&inventory, "new"), ["a"]);
        assert_eq!(hosts_of(&inventory, "mail"), ["b"]);
        assert_eq!(hosts_of(&inventory, "web"), Vec::<String>::new());
    }

    fn hosts_of(inventory: &Inventory, name: &str) -> Vec<String> {
        let hosts = inventory.hosts_of(&name.parse().unwrap());
        hosts.iter().map(|host| host.as_str().to_owned()).collect()
    }

    #[test]
    fn both_forms_are_read_and_may_be_mixed() {
        let text = "# by hand\n\nhost-a: web db\n  2001:db8::1: mail\n\
                    {\"host\": \"ann@host-b.lan\", \"names\": [\"web\", \"dns\"], \"when\": 1}\nhost-a: more\nempty:\n";
        let inventory = Inventory::parse(text).unwrap();
        assert_eq!(inventory.hosts.len(), 4);
        assert_eq!(hosts_of(&inventory, "web"), ["host-a", "ann@host-b.lan"]);
        assert_eq!(hosts_of(&inventory, "more"), ["host-a"]);
        assert_eq!(hosts_of(&inventory, "mail"), ["2001:db8::1"]);
        assert_eq!(hosts_of(&inventory, "none"), Vec::<String>::new());
    }

    #[test]
    fn what_ssh_or_a_shell_would_take_for_something_else_is_refused_with_its_line() {
        for line in [
            "-oProxyCommand=x: web",
            "ann@-host: web",
            "a b",
            "host",
            "ho`st: web",
            "h$(x): web",
            "@host: web",
            ": web",
            "host: -rf",
            "host: a/b",
            "{\"host\": \"-x\", \"names\": []}",
            "{\"host\": \"x\"}",
            "{",
            "h\u{e9}: web",
        ] {
            let error = Inventory::parse(&format!("a: b\n{line}\n")).unwrap_err();
            assert!(error.starts_with("line 2: "), "{line}: {error}");
        }
    }

    #[test]
    fn a_host_knows_its_own_name() {
        let is = |host: &str, own: &str| Host::new(host).unwrap().is_called(own);
        assert!(
            is("web", "web") && is("root@WEB.lan", "web") && is("web", "web.lan") && is("web.lan", "web.lan")
        );
        assert!(!is("web.lan", "web.other") && !is("web1", "web") && !is("10.0.0.1", "10") && !is("web", ""));
    }
}
