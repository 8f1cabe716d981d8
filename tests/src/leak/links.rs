//! The links of a host and their addresses, seen twice: by `ip`, and by the library that the program itself sees them with.
//! The two have to agree, so that what one of them does not see is no absence.

use std::collections::BTreeSet;
use std::io;

use serde_json::Value;
use subhost_net::observe::{Link, Observed};

use super::{Kind, Thing};

/// How often both look before what they see differently is no change in between.
const TRIES: u32 = 20;

type View = BTreeSet<Thing>;

/// What both see.
pub(super) fn all() -> io::Result<View> {
    agreed(|| Ok((by_ip()?, by_library()?)))
}

fn agreed(mut look: impl FnMut() -> io::Result<(View, View)>) -> io::Result<View> {
    let mut differing = None;
    for _ in 0..TRIES {
        let (ip, library) = look()?;
        if ip == library {
            return Ok(ip);
        }
        differing = Some((ip, library));
    }
    let lines = |one: &View, other: &View| {
        let lines: Vec<String> = one.difference(other).map(|(kind, line)| format!("{kind} {line}")).collect();
        lines.join(", ")
    };
    let text = differing.map(|(ip, library)| {
        format!("only ip sees [{}], only the library sees [{}]", lines(&ip, &library), lines(&library, &ip))
    });
    Err(io::Error::other(text.unwrap_or_default()))
}

fn by_ip() -> io::Result<View> {
    let mut things = View::new();
    for link in crate::wire::links()? {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let altnames = link["altnames"].as_array().into_iter().flatten();
        let info = &link["linkinfo"];
        let flag = |name: &str| info["info_slave_data"][name] == true;
        let is_port = info["info_slave_kind"] == "bridge";
        let index = link["ifindex"].as_u64().unwrap_or_default();
        let name = text(&link["ifname"]).unwrap_or_default();
        for address in link["addr_info"].as_array().into_iter().flatten() {
            let local = text(&address["local"]).unwrap_or_default();
            things.extend(address_line(index, &name, &local, &address["prefixlen"].to_string()));
        }
        let line = Line {
            index,
            name,
            kind: text(&info["info_kind"]),
            altnames: altnames.filter_map(text).collect(),
            controller: text(&link["master"]),
            up: link["flags"].as_array().is_some_and(|flags| flags.contains(&"UP".into())),
            isolated: is_port && flag("isolated"),
            locked: is_port && flag("locked"),
        };
        things.insert(line.thing());
    }
    Ok(things)
}

fn by_library() -> io::Result<View> {
    let observed = Observed::read().map_err(io::Error::other)?;
    let mut things = View::new();
    let name = |link: &Link| link.name.clone();
    for address in &observed.addresses {
        let name = observed.by_index(address.link).map(name).unwrap_or_default();
        let (ip, length) = (address.address.address(), address.address.length());
        things.extend(address_line(address.link.into(), &name, &ip.to_string(), &length.to_string()));
    }
    for link in &observed.links {
        let line = Line {
            index: link.index.into(),
            name: link.name.clone(),
            kind: link.kind.clone(),
            altnames: link.altnames.clone(),
            controller: link.controller.and_then(|index| observed.by_index(index)).map(name),
            up: link.up,
            isolated: link.port.is_some_and(|port| port.isolated),
            locked: link.port.is_some_and(|port| port.locked),
        };
        things.insert(line.thing());
    }
    Ok(things)
}

/// What either sees of a link.
struct Line {
    index: u64,
    name: String,
    kind: Option<String>,
    altnames: Vec<String>,
    controller: Option<String>,
    up: bool,
    isolated: bool,
    locked: bool,
}

impl Line {
    fn thing(self) -> Thing {
        let Self { index, name, .. } = self;
        let mut line = format!("{index} {name}");
        if let Some(kind) = self.kind {
            line += &format!(" ({kind})");
        }
        for altname in self.altnames {
            line += &format!(" altname {altname}");
        }
        if let Some(controller) = self.controller {
            line += &format!(" on {controller}");
        }
        for (word, is) in [(" isolated", self.isolated), (" locked", self.locked), (" down", !self.up)] {
            line += if is { word } else { "" };
        }
        (Kind::Link, line)
    }
}

/// A link-local address comes with the first carrier, whenever that is.
fn address_line(index: u64, name: &str, ip: &str, length: &str) -> Option<Thing> {
    (!ip.starts_with("fe80:")).then(|| (Kind::Address, format!("{ip}/{length} of {index} {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(lines: &[&str]) -> View {
        lines.iter().map(|line| (Kind::Link, (*line).to_owned())).collect()
    }

    #[test]
    fn views_that_agree_in_the_end_are_one() {
        let mut looks =
            [(view(&["1 lo", "2 web0"]), view(&["1 lo"])), (view(&["1 lo"]), view(&["1 lo"]))].into_iter();
        let both = agreed(|| looks.next().ok_or_else(|| io::Error::other("looked once more"))).unwrap();
        assert_eq!(both, view(&["1 lo"]));
    }

    #[test]
    fn views_that_never_agree_are_an_error_that_says_in_what() {
        let error = agreed(|| Ok((view(&["1 lo", "2 web0"]), view(&["1 lo", "3 web1"])))).unwrap_err();
        assert_eq!(error.to_string(), "only ip sees [link 2 web0], only the library sees [link 3 web1]");
    }
}
