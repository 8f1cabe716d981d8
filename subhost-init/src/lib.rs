//! subhost-init
