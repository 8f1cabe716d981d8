//! Traffic, as the host's ends of cables have counted it.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use subhost_net::observe::Observed;

use crate::state::CableRecord;

/// What came in and went out, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Came in.
    pub received: u64,
    /// Went out.
    pub sent: u64,
}

impl Traffic {
    /// The same as the other end has it.
    fn turned(self) -> Traffic {
        Traffic { received: self.sent, sent: self.received }
    }

    fn plus(self, other: Traffic) -> Traffic {
        Traffic {
            received: self.received.saturating_add(other.received),
            sent: self.sent.saturating_add(other.sent),
        }
    }
}

/// The links of the host.
#[derive(Debug, Default)]
pub struct Links {
    /// By their names.
    counters: HashMap<String, Traffic>,
    /// What names are asked by.
    socket: Option<OwnedFd>,
}

impl Links {
    /// Looks at them, without the lock that the kernel holds while it takes links away.
    pub fn observe() -> Links {
        let text = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
        Links { counters: counters_of(&text), socket: socket.ok() }
    }

    /// What a subhost has got and sent; `None` where it has no cable whose end is still there.
    pub fn of_cables(&self, cables: &[CableRecord]) -> Option<Traffic> {
        // Somebody may have given it another name.
        let end = |cable: &CableRecord| {
            let name = index_to_name(self.socket.as_ref()?, cable.host_ifindex).ok()?;
            self.counters.get(&name).copied()
        };
        sum(cables.iter().filter_map(end)).map(Traffic::turned)
    }

    /// The same by names of links, as of a virtual machine.
    pub fn of_names(&self, names: &[String]) -> Option<Traffic> {
        sum(names.iter().filter_map(|name| self.counters.get(name).copied())).map(Traffic::turned)
    }

    /// What the host has got and sent: by its physical interfaces.
    pub fn of_host(&self) -> Option<Traffic> {
        let links = Observed::read().unwrap_or_default().links;
        let physical = links.iter().filter(|link| link.kind.is_none() && !link.loopback);
        sum(physical.filter_map(|link| self.counters.get(&link.name).copied()))
    }
}

fn sum(traffic: impl Iterator<Item = Traffic>) -> Option<Traffic> {
    traffic.reduce(Traffic::plus)
}

/// Reads `/proc/net/dev`. No name has a colon or a space in it.
fn counters_of(text: &str) -> HashMap<String, Traffic> {
    let line = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let counters: Vec<u64> =
            counters.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        Some((name.trim().to_owned(), Traffic { received: *counters.first()?, sent: *counters.get(8)? }))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_got_what_the_host_has_sent() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets\n  web0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n\
                    eth0:5 1 0 0 0 0 0 0 6 2 0 0 0 0 0 0\nbroken: 1 2\n";
        let links = Links { counters: counters_of(text), ..Links::default() };
        assert_eq!(links.counters.len(), 2);
        let (web, gone) = ("web0".to_owned(), "gone".to_owned());
        assert_eq!(links.of_names(&[web, gone.clone()]), Some(Traffic { received: 20, sent: 10 }));
        assert_eq!(links.of_names(&[gone]), None);
    }
}
