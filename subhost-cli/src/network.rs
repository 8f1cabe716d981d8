//! The network of a subhost: what is asked for, what is planned, and how it is made.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use serde::Serialize;
use subhost_config::SubhostConfig;
use subhost_config::schema::{AddressSpec, CableSpec, RouteSpec};
use subhost_net::address::{Prefixed, Route, Setup, configure};
use subhost_net::cable::{Cable, CreatedCable, create_all_waiting};
use subhost_net::guard::{allow_all, allow_only};
use subhost_net::limit::{Limits, Rate, lift, limit};
use subhost_net::mac::Mac;
use subhost_net::name::{HostName, LinkName, host_end};
use subhost_net::netns::Netns;
use subhost_net::port::Port;
use subhost_net::replug::renew;

use crate::error::{Complaint, Context, Error};
use crate::observe::{LinkOwner, Observed};
use crate::shell;
use crate::state::CableRecord;

/// How long the name of a host end that is still dying is waited for. One worker of the kernel ends all network namespaces of the
/// machine: where many end at once it takes seconds.
const WAIT_FOR_LINK: Duration = Duration::from_secs(20);

/// What a person asked for, beside the cables themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Addresses of the guest's ends.
    pub addresses: Vec<AddressSpec>,
    /// Routes of the guest.
    pub routes: Vec<RouteSpec>,
    /// Its default gateways, one of each family.
    pub gateways: Vec<IpAddr>,
    /// Its name servers.
    pub name_servers: Vec<IpAddr>,
    /// The MTU of its cables.
    pub mtu: Option<u32>,
    /// Nothing passes between it and others that are isolated, and nothing comes from a foreign MAC address.
    pub isolated: bool,
    /// How fast each cable is in either direction, in bits per second.
    pub rate_bits: Option<u64>,
}

/// A cable: a veth pair with its guest end in the subhost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedCable {
    /// Name of the host end, at most 15 bytes.
    pub host: String,
    /// Its full name, if that is longer.
    pub altname: Option<String>,
    /// MAC address of the host end.
    pub host_mac: String,
    /// Name of the guest end.
    pub guest: String,
    /// MAC address of the guest end.
    pub guest_mac: String,
    /// Bridge that the host end is a port of.
    pub bridge: Option<String>,
    /// Interface index of the bridge.
    #[serde(skip)]
    pub bridge_ifindex: Option<u32>,
    /// MTU of both ends, in bytes.
    pub mtu: Option<u32>,
    /// True if the bridge keeps it from other isolated ports, and takes frames from its own MAC address only.
    pub isolated: bool,
    /// The only addresses that it may send from, where it is isolated and has some.
    pub only_from: Vec<IpAddr>,
    /// How fast it is in either direction, in bits per second.
    pub rate_bits: Option<u64>,
}

/// An address of a guest's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedAddress {
    /// The guest's end.
    pub guest: String,
    /// The address with its prefix.
    pub address: String,
}

/// A route of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedRoute {
    /// The network, or `default`.
    pub to: String,
    /// Who forwards.
    pub via: String,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PlannedNetwork {
    /// Cables, in order.
    pub cables: Vec<PlannedCable>,
    /// Addresses, in order.
    pub addresses: Vec<PlannedAddress>,
    /// Routes, in order.
    pub routes: Vec<PlannedRoute>,
    /// The guest's name servers.
    pub name_servers: Vec<IpAddr>,
}

impl Wanted {
    /// What a configuration asks for.
    pub fn from_config(config: &SubhostConfig) -> Wanted {
        Wanted {
            addresses: config.addresses.value.clone(),
            routes: config.routes.value.clone(),
            gateways: config.gateway.value.clone(),
            name_servers: config.dns.value.clone(),
            mtu: config.mtu.value,
            isolated: config.isolated.value.unwrap_or_default(),
            rate_bits: config.rate_bits.value,
        }
    }
}

/// Plans the network of the subhost `name`.
pub fn plan(
    name: &str,
    specs: &[CableSpec],
    wanted: &Wanted,
    observed: &Observed,
    complaints: &mut Vec<Complaint>,
    notes: &mut Vec<String>,
) -> PlannedNetwork {
    let cables = plan_cables(name, specs, wanted, observed, complaints, notes);
    check_addresses(specs.len(), wanted, complaints);
    let default = |via: &IpAddr| PlannedRoute { to: "default".to_owned(), via: via.to_string() };
    let route = |route: &RouteSpec| PlannedRoute {
        to: format!("{}/{}", route.destination, route.prefix_len),
        via: route.gateway.to_string(),
    };
    let address = |address: &AddressSpec| PlannedAddress {
        guest: format!("eth{}", address.cable),
        address: format!("{}/{}", address.address, address.prefix_len),
    };
    PlannedNetwork {
        cables,
        addresses: wanted.addresses.iter().map(address).collect(),
        routes: wanted.gateways.iter().map(default).chain(wanted.routes.iter().map(route)).collect(),
        name_servers: wanted.name_servers.clone(),
    }
}

/// Who has no cable for its address, and who forwards without being reachable.
fn check_addresses(cables: usize, wanted: &Wanted, complaints: &mut Vec<Complaint>) {
    for address in &wanted.addresses {
        if usize::try_from(address.cable).is_ok_and(|cable| cable >= cables) {
            complaints.push(Complaint::new(format!(
                "ADDRESSES: {}/{} is for eth{}, and there is no such cable",
                address.address, address.prefix_len, address.cable
            )));
        }
    }
    let gateways = wanted.gateways.iter().map(|gateway| ("GATEWAY", gateway));
    for (setting, gateway) in gateways.chain(wanted.routes.iter().map(|route| ("ROUTES", &route.gateway))) {
        // The kernel would take a link-local one only together with its cable.
        if !wanted.addresses.iter().any(|address| is_in_network(*gateway, address)) {
            complaints.push(
                Complaint::new(format!("{setting}: {gateway} is in the network of none of ADDRESSES"))
                    .hint("a guest that gets its addresses by DHCP gets its gateway there, too"),
            );
        }
    }
}

fn is_in_network(ip: IpAddr, network: &AddressSpec) -> bool {
    let prefix = u32::from(network.prefix_len);
    match (ip, network.address) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u32::from(one) ^ u32::from(other)).checked_shr(32 - prefix).unwrap_or(0) == 0
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (u128::from(one) ^ u128::from(other)).checked_shr(128 - prefix).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn plan_cables(
    subhost: &str,
    specs: &[CableSpec],
    wanted: &Wanted,
    observed: &Observed,
    complaints: &mut Vec<Complaint>,
    notes: &mut Vec<String>,
) -> Vec<PlannedCable> {
    let mut cables: Vec<PlannedCable> = Vec::new();
    for (index, spec) in (0_u32..).zip(specs) {
        let HostName { name, altname } = match host_end(subhost, index) {
            Ok(host) => host,
            Err(error) => {
                complaints.push(Complaint::new(error.to_string()));
                continue;
            }
        };
        let there = |owner| format!("cable {index}: an interface {name} exists already: {owner}");
        match observed.link_owner(subhost, name.as_str(), altname.as_deref()) {
            None => {}
            Some(LinkOwner::Unknown(owner)) => notes.push(there(owner)),
            Some(LinkOwner::Other(owner)) => complaints.push(
                Complaint::new(there(owner)).hint("give the subhost another name, or remove the interface"),
            ),
        }
        let guest_mac = spec.mac.map_or_else(|| Mac::stable(&observed.machine_id, subhost, index), Mac::new);
        let same = |other: &&PlannedCable| other.guest_mac == guest_mac.to_string();
        if let Some(other) = cables.iter().find(same) {
            complaints.push(Complaint::new(format!(
                "cable {index}: {guest_mac} is the MAC address of {} as well",
                other.guest
            )));
        }
        let mut bridge_ifindex = None;
        if let Some(bridge) = &spec.bridge {
            match observed.bridge(bridge) {
                Ok(ifindex) => bridge_ifindex = Some(ifindex),
                Err(complaint) => complaints.push(complaint),
            }
        }
        let isolated = wanted.isolated && spec.bridge.is_some();
        let own = wanted.addresses.iter().filter(|address| isolated && address.cable == index);
        cables.push(PlannedCable {
            host: name.to_string(),
            altname,
            host_mac: Mac::host_end(guest_mac).to_string(),
            guest: format!("eth{index}"),
            guest_mac: guest_mac.to_string(),
            bridge: spec.bridge.clone(),
            bridge_ifindex,
            mtu: wanted.mtu,
            isolated,
            only_from: own.map(|address| address.address).collect(),
            rate_bits: wanted.rate_bits,
        });
    }
    cables
}

impl PlannedNetwork {
    /// As the commands that do the same by hand, a line each.
    pub fn commands(&self, netns: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for cable in &self.cables {
            let PlannedCable { host, host_mac, guest, guest_mac, .. } = cable;
            let bridge = cable.bridge.as_ref().map(shell::quote);
            let port = bridge.as_ref().map_or(String::new(), |bridge| format!(" master {bridge}"));
            let mtu = cable.mtu.map_or(String::new(), |mtu| format!(" mtu {mtu}"));
            lines.push(format!(
                "ip link add {host} address {host_mac}{mtu}{port} type veth peer name {guest} address {guest_mac}{mtu} netns {netns}"
            ));
            if let Some(altname) = &cable.altname {
                lines.push(format!("ip link property add dev {host} altname {altname}"));
            }
            if cable.isolated {
                lines.push(format!("bridge link set dev {host} isolated on locked on learning off"));
                lines.push(format!("bridge fdb add {guest_mac} dev {host} master static"));
            }
            for address in &cable.only_from {
                let (table, family) =
                    (format!("netdev subhost-{host}"), if address.is_ipv4() { "ip" } else { "ip6" });
                lines.push(format!(
                    "nft add rule {table} from-guest {family} saddr {address} accept  # drops all else"
                ));
            }
            lines.push(format!("sysctl -w net.ipv6.conf.{host}.accept_ra=0"));
            lines.push(format!("ip link set {host} up addrgenmode none"));
            if let Some(rate) = cable.rate_bits {
                lines.push(format!(
                    "tc qdisc add dev {host} root tbf rate {rate}bit  # and by an ifb what comes in"
                ));
            }
        }
        for PlannedAddress { guest, address } in &self.addresses {
            lines.push(format!(
                "ip -n {netns} address add {address} dev {guest}; ip -n {netns} link set {guest} up"
            ));
        }
        for PlannedRoute { to, via } in &self.routes {
            lines.push(format!("ip -n {netns} route add {to} via {via}"));
        }
        lines
    }

    /// Makes the cables and gives the guest its addresses and routes. All of it goes with the netns.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn make(&self, netns: &Netns) -> Result<Vec<CableRecord>, Error> {
        let mut cables = Vec::new();
        for cable in &self.cables {
            cables.push(cable.to_cable().step(format!("cable {}", cable.host))?);
        }
        let created = match cables.is_empty() {
            true => Vec::new(),
            false => create_all_waiting(netns.as_fd(), &cables, WAIT_FOR_LINK).step("make the cables")?,
        };
        self.configure(netns)?;
        let record = |(cable, created): (&PlannedCable, CreatedCable)| CableRecord {
            host: cable.host.clone(),
            host_ifindex: created.host_ifindex,
            guest: cable.guest.clone(),
            mac: cable.guest_mac.clone(),
            bridge: cable.bridge.clone(),
            isolated: cable.isolated,
            limited: cable.rate_bits.is_some(),
            guarded: !cable.only_from.is_empty(),
        };
        Ok(self.cables.iter().zip(created).map(record).collect())
    }

    /// Whether a netns that lingers has these cables.
    pub fn has_cables(&self, records: &[CableRecord]) -> bool {
        let is_planned = |(cable, record): (&PlannedCable, &CableRecord)| {
            (&cable.host, &cable.guest_mac, &cable.bridge) == (&record.host, &record.mac, &record.bridge)
        };
        self.cables.len() == records.len() && self.cables.iter().zip(records).all(is_planned)
    }

    /// The cables of a netns that lingers, to be limited as is planned.
    pub fn as_they_linger(&self, records: &[CableRecord]) -> Vec<CableRecord> {
        let mut cables = records.to_vec();
        for (cable, record) in self.cables.iter().zip(&mut cables) {
            record.limited |= cable.rate_bits.is_some();
            record.guarded |= !cable.only_from.is_empty();
        }
        cables
    }

    /// Makes a netns with these cables, whose processes have ended, as good as new. Returns false if it was spoilt.
    ///
    /// # Errors
    /// The guest cannot be given its addresses.
    pub fn renew(&self, netns: &Netns, records: &[CableRecord]) -> Result<bool, Error> {
        let mut cables = Vec::new();
        for (cable, record) in self.cables.iter().zip(records) {
            cables.push((record.host_ifindex, cable.to_cable().step(format!("cable {}", cable.host))?));
        }
        if !matches!(renew(netns, &cables), Ok(true)) {
            return Ok(false);
        }
        self.configure(netns)?;
        Ok(true)
    }

    /// Limits the cables to their rates and addresses. What does that does not go with the netns: the record has to be
    /// there before, for [`lift_limits`].
    ///
    /// # Errors
    /// The first cable that cannot be limited.
    pub fn limit(&self, records: &[CableRecord]) -> Result<(), Error> {
        for (cable, record) in self.cables.iter().zip(records) {
            let step = || format!("limit cable {}", cable.host);
            let name = cable.host.parse::<LinkName>().step(step())?;
            if !cable.only_from.is_empty() {
                allow_only(&name, &cable.only_from).step(step())?;
            }
            if let Some(bits_per_second) = cable.rate_bits {
                let rate = Some(Rate { bits_per_second, burst_bytes: None });
                let limits = Limits { to_guest: rate, from_guest: rate };
                limit(record.host_ifindex, &name, &limits).step(step())?;
            }
        }
        Ok(())
    }

    fn configure(&self, netns: &Netns) -> Result<(), Error> {
        if self.addresses.is_empty() && self.routes.is_empty() {
            return Ok(());
        }
        let step = "give the guest its addresses and routes";
        let mut setup = Setup::default();
        for PlannedAddress { guest, address } in &self.addresses {
            setup.addresses.push((guest.parse().step(step)?, address.parse::<Prefixed>().step(step)?));
        }
        for PlannedRoute { to, via } in &self.routes {
            let to = if to == "default" { None } else { Some(to.parse().step(step)?) };
            setup.routes.push(Route { to, via: Some(via.parse().step(step)?), interface: None });
        }
        configure(netns, &setup).step(step)
    }
}

impl PlannedCable {
    fn to_cable(&self) -> Result<Cable, subhost_net::Error> {
        let port =
            |bridge| Port { isolated: self.isolated, own_mac_only: self.isolated, ..Port::new(bridge) };
        Ok(Cable {
            host_name: self.host.parse()?,
            altname: self.altname.clone(),
            host_mac: Some(self.host_mac.parse()?),
            guest_name: self.guest.parse()?,
            guest_mac: self.guest_mac.parse()?,
            mtu: self.mtu,
            port: self.bridge_ifindex.map(port),
        })
    }
}

/// What `/etc/resolv.conf` says of these name servers.
pub fn resolv_conf(servers: &[IpAddr]) -> String {
    servers.iter().map(|server| format!("nameserver {server}\n")).collect()
}

/// Takes the limits of cables away: the only part of them that does not go with the netns. Returns what is left.
pub fn lift_limits(cables: &[CableRecord]) -> Vec<Complaint> {
    let mut left = Vec::new();
    for cable in cables {
        let lifted = cable.host.parse::<LinkName>().and_then(|name| {
            let rates = if cable.limited { lift(cable.host_ifindex, &name).map(drop) } else { Ok(()) };
            let addresses = if cable.guarded { allow_all(&name) } else { Ok(()) };
            rates.and(addresses)
        });
        if let Err(error) = lifted {
            left.push(Complaint::new(format!("limit of cable {}: {error}", cable.host)));
        }
    }
    left
}
