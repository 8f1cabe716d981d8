//! Ports of a bridge: what passes between a cable and the bridge that it is plugged into.

use crate::{Error, Result};

/// The VLAN ids that a port can be in.
const VLAN_IDS: std::ops::RangeInclusive<u16> = 1..=4094;

/// Where the host end of a cable is plugged in, and what passes there.
///
/// [`Port::new`] gives what a bridge does by itself; a port never sends a frame back where it came from (hairpin is
/// off).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Port {
    /// The ifindex of the bridge.
    pub bridge: u32,
    /// Nothing passes between this port and the other isolated ones of the bridge.
    pub isolated: bool,
    /// Only frames from the guest end's own address come in: the port is locked, learns nothing, and the bridge has one
    /// static entry for that address. No guest can then take another's frames or fill the bridge's table. With
    /// Linux 5.18 or newer.
    pub own_mac_only: bool,
    /// The bridge learns which addresses are behind the port. Without effect under `own_mac_only`, which turns it off.
    pub learning: bool,
    /// Frames to addresses that the bridge does not know go out there.
    pub flood_unknown: bool,
    /// Multicast that nobody was seen to have joined goes out there.
    pub flood_multicast: bool,
    /// Broadcasts go out there: without them a guest hears no ARP.
    pub flood_broadcast: bool,
    /// The VLAN, 1 to 4094, that all untagged frames of the guest are in; no other passes. Only where the bridge
    /// filters VLANs.
    pub vlan: Option<u16>,
}

impl Port {
    /// A port of the bridge with this ifindex, as bridges make them: everything passes.
    #[must_use]
    pub const fn new(bridge: u32) -> Self {
        Self {
            bridge,
            isolated: false,
            own_mac_only: false,
            learning: true,
            flood_unknown: true,
            flood_multicast: true,
            flood_broadcast: true,
            vlan: None,
        }
    }

    /// Whether the kernel makes it so by itself.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::new(self.bridge)
    }

    /// What the bridge's port is to be.
    pub(crate) fn state(&self) -> PortState {
        PortState {
            isolated: self.isolated,
            locked: self.own_mac_only,
            hairpin: false,
            learning: self.learning && !self.own_mac_only,
            flood_unknown: self.flood_unknown,
            flood_multicast: self.flood_multicast,
            flood_broadcast: self.flood_broadcast,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.vlan {
            Some(id) if !VLAN_IDS.contains(&id) => Err(Error::InvalidVlan { id }),
            _ => Ok(()),
        }
    }
}

impl From<u32> for Port {
    fn from(bridge: u32) -> Self {
        Self::new(bridge)
    }
}

/// How the bridge treats a port, as the kernel tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PortState {
    /// Nothing passes between this port and other isolated ones.
    pub isolated: bool,
    /// Only frames from addresses that the bridge knows to be behind it come in.
    pub locked: bool,
    /// Frames may go back where they came from.
    pub hairpin: bool,
    /// The bridge learns which addresses are behind it.
    pub learning: bool,
    /// Frames to unknown addresses go out there.
    pub flood_unknown: bool,
    /// Multicast that nobody joined goes out there.
    pub flood_multicast: bool,
    /// Broadcasts go out there.
    pub flood_broadcast: bool,
}
