//! subhost-config
