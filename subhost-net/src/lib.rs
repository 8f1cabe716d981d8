//! Network namespaces and veth cables to bridges, synchronously.
//!
//! A *cable* is a veth pair: its guest end is born in a network namespace, its host end here, up and on a bridge.
//! Both ends live as long as the namespace: nothing has to be cleaned up after a crash. All of it is netlink over one
//! blocking socket; no program is started, no thread of the caller changes its namespaces, nothing is printed.
//!
//! One cable to a bridge that must exist:
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use subhost_net::{bridge, cable, cable::Cable, netns::Netns};
//!
//! let guest = Netns::create(None)?;
//! let cable = Cable {
//!     host_name: "web0".parse()?,
//!     altname: None,
//!     host_mac: None,
//!     guest_name: "eth0".parse()?,
//!     guest_mac: "06:a7:dd:b4:02:f2".parse()?,
//!     mtu: None,
//!     port: Some(bridge::find("homenet")?.into()),
//! };
//! cable::create_all(guest.as_fd(), &[cable])?;
//! # Ok::<(), subhost_net::Error>(())
//! ```
//!
//! All the cables of a guest, whose root may configure them, in a namespace that `ip netns exec web` enters, though
//! the one before it may still be going away:
//!
//! ```no_run
//! use std::{fs::File, os::fd::AsFd, path::Path, time::Duration};
//! use subhost_net::netns::{self, Netns};
//! use subhost_net::{bridge, cable, cable::Cable, mac::Mac, name};
//!
//! let user_namespace = File::open("/proc/4711/ns/user")?;
//! let guest = Netns::create(Some(user_namespace.as_fd()))?;
//!
//! let machine_id = std::fs::read("/etc/machine-id")?;
//! let mut cables = Vec::new();
//! for (index, bridge) in (0..).zip(["homenet", "dmz"]) {
//!     let host_end = name::host_end("web", index)?;
//!     cables.push(Cable {
//!         host_name: host_end.name,
//!         altname: host_end.altname,
//!         host_mac: None,
//!         guest_name: format!("eth{index}").parse()?,
//!         guest_mac: Mac::stable(&machine_id, "web", index),
//!         mtu: Some(9000),
//!         port: Some(bridge::find(bridge)?.into()),
//!     });
//! }
//! cable::create_all_waiting(guest.as_fd(), &cables, Duration::from_secs(2))?;
//!
//! let pin = guest.pin(Path::new(netns::RUN_NETNS), "web")?;
//! // … and in the end:
//! netns::unpin(Path::new(netns::RUN_NETNS), "web", pin.inode)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a guest may do with its cable is said in [`port::Port`] (isolation, its own hardware address only, a VLAN),
//! [`limit`] (rates) and [`guard`] (IP addresses); what its interfaces are given before it starts, in [`address`]. Two
//! ways without a bridge are in [`uplink`]; how a guest that restarts keeps all this is in [`replug`].
//!
//! # Limits
//! Linux 6.1 or newer. Names, ifindexes and bridges are those of the calling thread's network namespace; to work in
//! another one, see [`netns::Netns::run_inside`]. Making things needs CAP_NET_ADMIN (cables, bridges) or CAP_SYS_ADMIN
//! (namespaces, pins); looking needs no privilege. Guest ends are left down, as the guest's own start scripts bring
//! them up, unless [`address::configure`] does.
#![deny(unsafe_code)]
#![deny(missing_docs)]

pub mod address;
pub mod bridge;
pub mod cable;
mod decode;
mod error;
pub mod guard;
pub mod limit;
pub mod mac;
mod message;
pub mod name;
pub mod netns;
pub mod observe;
pub mod port;
pub mod replug;
#[cfg(feature = "serde")]
mod serialized;
mod socket;
#[expect(unsafe_code, reason = "the one place for it")]
mod sys;
pub mod uplink;

pub use error::{Error, Result};

/// The examples of the README, which are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
