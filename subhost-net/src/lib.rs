//! subhost-net
