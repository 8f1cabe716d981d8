//! What a DHCP server has to know of subhosts: which MAC address is whose, and which addresses it gets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use subhost_config::SubhostConfig;
use subhost_net::mac::Mac;

use crate::error::Complaint;
use crate::layout::Name;

/// One card of one subhost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Card {
    /// The subhost.
    pub name: String,
    /// The card in it.
    pub card: String,
    /// Its host name: with the card's name behind the first label, but for the first card.
    pub hostname: String,
    /// Its hardware address.
    pub mac: String,
    /// The bridge that it is plugged into.
    pub bridge: Option<String>,
    /// The addresses that it is to have.
    pub addresses: Vec<IpAddr>,
    /// The configuration that says so.
    #[serde(serialize_with = "crate::json::path")]
    pub file: PathBuf,
}

/// Languages of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `dhcp-host=` lines for dnsmasq
    Dnsmasq,
    /// `host` blocks for ISC dhcpd
    Isc,
    /// An array of reservations for Kea's DHCPv4
    Kea,
    /// /etc/ethers
    Ethers,
    /// /etc/hosts
    Hosts,
}

/// The cards of a subhost, as a boot would make them.
pub fn cards(name: &Name, file: &Path, config: &SubhostConfig, machine_id: &[u8]) -> Vec<Card> {
    let hostname = config.hostname.value.as_deref().unwrap_or(name.as_str());
    let card = |(index, spec): (u32, &subhost_config::schema::CableSpec)| {
        let addresses = config.addresses.value.iter().filter(|address| address.cable == index);
        let mac = spec.mac.map_or_else(|| Mac::stable(machine_id, name.as_str(), index), Mac::new);
        Card {
            name: name.to_string(),
            card: format!("eth{index}"),
            hostname: if index == 0 { hostname.to_owned() } else { of_card(hostname, index) },
            mac: mac.to_string(),
            bridge: spec.bridge.clone(),
            addresses: addresses.map(|address| address.address).collect(),
            file: file.to_owned(),
        }
    };
    (0_u32..).zip(&config.cables.value).map(card).collect()
}

/// `web.lan` becomes `web-eth1.lan`.
fn of_card(hostname: &str, index: u32) -> String {
    let (first, rest) = hostname.find('.').map_or((hostname, ""), |dot| hostname.split_at(dot));
    format!("{first}-eth{index}{rest}")
}

/// One MAC address, IP address or host name of two cards. A subhost that has two configurations may say the same in both.
pub fn conflicts(cards: &mut Vec<Card>) -> Vec<Complaint> {
    let mut seen = BTreeSet::new();
    cards.retain(|card| {
        let Card { name, card, hostname, mac, bridge, addresses, file: _ } = card.clone();
        seen.insert((name, card, hostname, mac, bridge, addresses))
    });
    let mut owners = BTreeMap::<String, &Card>::new();
    let mut found = Vec::new();
    for card in &*cards {
        let addresses = card.addresses.iter().map(|address| format!("address {address}"));
        let hostname = format!("host name {}", card.hostname.to_ascii_lowercase());
        for what in [format!("MAC address {}", card.mac), hostname].into_iter().chain(addresses) {
            if let Some(other) = owners.get(&what) {
                let places = [*other, card].map(|card| format!("{} of {}", card.card, card.file.display()));
                found.push(Complaint::new(format!("{what} is that of two: {} and {}", places[0], places[1])));
            } else {
                owners.insert(what, card);
            }
        }
    }
    found
}

/// The cards in a server's language, and what it cannot say.
pub fn render(cards: &[Card], format: Format) -> (String, Vec<String>) {
    let (mut text, mut notes) = (String::new(), Vec::new());
    let mut reservations = Vec::new();
    for card in cards {
        let Card { hostname, mac, addresses, .. } = card;
        let of_family = |v4: bool| addresses.iter().filter(move |address| address.is_ipv4() == v4);
        let v4: Vec<&IpAddr> = of_family(true).collect();
        let mut say = |what: &str| notes.push(format!("{} {}: {what}", card.name, card.card));
        let _ = match format {
            Format::Dnsmasq => {
                let mut words = vec![mac.clone()];
                words.extend(v4.first().map(ToString::to_string));
                words.extend(of_family(false).map(|address| format!("[{address}]")));
                if is_misread_by_dnsmasq(hostname) {
                    say(&format!(
                        "dnsmasq would take the host name {hostname} for something else; it is left out"
                    ));
                } else {
                    words.push(hostname.clone());
                }
                if v4.len() > 1 {
                    say("dnsmasq gives one IPv4 address, the first");
                }
                writeln!(text, "dhcp-host={}", words.join(","))
            }
            Format::Isc => {
                if addresses.len() > v4.len() {
                    say("IPv6 addresses are none of DHCPv4");
                }
                let fixed: Vec<String> = v4.iter().map(ToString::to_string).collect();
                let fixed = match &*fixed {
                    [] => String::new(),
                    fixed => format!("    fixed-address {};\n", fixed.join(", ")),
                };
                writeln!(
                    text,
                    "host subhost-{}-{} {{\n    hardware ethernet {mac};\n{fixed}    option host-name \"{hostname}\";\n}}",
                    card.name, card.card
                )
            }
            Format::Kea => {
                if addresses.len() > v4.len() || v4.len() > 1 {
                    say("Kea's DHCPv4 gives one IPv4 address");
                }
                let mut reservation = serde_json::json!({ "hw-address": mac, "hostname": hostname });
                if let Some(address) = v4.first() {
                    reservation["ip-address"] = address.to_string().into();
                }
                reservations.push(reservation);
                Ok(())
            }
            Format::Ethers => writeln!(text, "{mac} {hostname}"),
            Format::Hosts => {
                if addresses.is_empty() {
                    say("it has no address");
                }
                let short =
                    hostname.split_once('.').map(|(short, _)| format!(" {short}")).unwrap_or_default();
                addresses.iter().try_for_each(|address| writeln!(text, "{address} {hostname}{short}"))
            }
        };
    }
    if format == Format::Kea {
        let array = serde_json::Value::from(reservations);
        let _ = writeln!(text, "{array:#}");
    }
    (text, notes)
}

/// A word that is a lease time, an address or a command to dnsmasq, and no name.
fn is_misread_by_dnsmasq(hostname: &str) -> bool {
    let number =
        hostname.strip_suffix(['s', 'm', 'h', 'd', 'w', 'S', 'M', 'H', 'D', 'W']).unwrap_or(hostname);
    let is_time = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_time || ["ignore", "infinite"].contains(&hostname) || hostname.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use subhost_config::schema::Environment;
    use subhost_config::{Evaluator, Source, parse};

    fn cards_of(name: &str, directory: &str, text: &str) -> Vec<Card> {
        let (script, _) = parse(&Source::new("config", text));
        let (variables, _) = Evaluator::new().run(&script);
        let (config, found) = SubhostConfig::from_variables(&variables, &Environment::empty());
        let file = PathBuf::from(format!("{directory}/{name}/config"));
        cards(&name.parse().unwrap(), &file, &config.unwrap_or_else(|| panic!("{found:?}")), b"an id")
    }

    fn web() -> Vec<Card> {
        let text = "HOSTNAME=web.lan\nBRIDGES=( br0:06:a7:dd:b4:02:f2 br1: )\n\
                    ADDRESSES=( 192.0.2.7/24 2001:db8::7/64 eth1=198.51.100.7/24 eth1=198.51.100.8/24 )";
        cards_of("web", "/opt/sub", text)
    }

    #[test]
    fn each_card_is_told_in_each_language() {
        let cards = web();
        let other = cards[1].mac.clone();
        assert_eq!(other.len(), 17);
        let render = |format| render(&cards, format);
        let (text, notes) = render(Format::Dnsmasq);
        assert_eq!(
            text,
            format!(
                "dhcp-host=06:a7:dd:b4:02:f2,192.0.2.7,[2001:db8::7],web.lan\n\
                 dhcp-host={other},198.51.100.7,web-eth1.lan\n"
            )
        );
        assert_eq!(notes, ["web eth1: dnsmasq gives one IPv4 address, the first"]);
        let (text, notes) = render(Format::Isc);
        assert!(text.starts_with(
            "host subhost-web-eth0 {\n    hardware ethernet 06:a7:dd:b4:02:f2;\n    fixed-address 192.0.2.7;\n    \
             option host-name \"web.lan\";\n}\n"
        ));
        assert!(text.contains("fixed-address 198.51.100.7, 198.51.100.8;"), "{text}");
        assert_eq!(notes.len(), 1);
        let (text, notes) = render(Format::Kea);
        let array: serde_json::Value = serde_json::from_str(&text).unwrap();
        let first = serde_json::json!({
            "hw-address": "06:a7:dd:b4:02:f2", "ip-address": "192.0.2.7", "hostname": "web.lan"
        });
        assert_eq!((&array[0], notes.len()), (&first, 2));
        assert_eq!(render(Format::Ethers).0, format!("06:a7:dd:b4:02:f2 web.lan\n{other} web-eth1.lan\n"));
        let hosts = "192.0.2.7 web.lan web\n2001:db8::7 web.lan web\n198.51.100.7 web-eth1.lan web-eth1\n\
                     198.51.100.8 web-eth1.lan web-eth1\n";
        assert_eq!(render(Format::Hosts), (hosts.to_owned(), vec![]));
    }

    #[test]
    fn what_two_have_is_found_and_both_are_named() {
        let mut cards = web();
        cards.extend(cards_of(
            "db",
            "/opt/sub",
            "BRIDGES=br0:06:a7:dd:b4:02:f2\nADDRESSES=192.0.2.7/24\nHOSTNAME=WEB.lan",
        ));
        let found: Vec<String> = conflicts(&mut cards).into_iter().map(|it| it.message).collect();
        let places = "eth0 of /opt/sub/web/config and eth0 of /opt/sub/db/config";
        let expected = ["MAC address 06:a7:dd:b4:02:f2", "host name web.lan", "address 192.0.2.7"];
        assert_eq!(found, expected.map(|what| format!("{what} is that of two: {places}")));
    }

    #[test]
    fn one_that_can_be_booted_and_started_is_one() {
        let text = "BRIDGES=br0:06:a7:dd:b4:02:f2";
        let mut cards = [cards_of("web", "/opt/sub", text), cards_of("web", "/opt/subhost", text)].concat();
        assert_eq!(conflicts(&mut cards), []);
        assert_eq!(cards.len(), 1);
        cards.extend(cards_of("web", "/x", &format!("{text}\nADDRESSES=192.0.2.7/24")));
        assert_eq!(conflicts(&mut cards).len(), 2);
    }

    #[test]
    fn no_name_becomes_something_else() {
        for name in ["5m", "12", "infinite", "ignore", "10.0.0.1"] {
            let cards = cards_of("x", "/", &format!("BRIDGES=br0:06:a7:dd:b4:02:f2\nHOSTNAME={name}"));
            let (text, notes) = render(&cards, Format::Dnsmasq);
            assert_eq!((text.as_str(), notes.len()), ("dhcp-host=06:a7:dd:b4:02:f2\n", 1), "{name}");
        }
    }
}
