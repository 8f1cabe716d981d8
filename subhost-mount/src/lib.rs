//! subhost-mount
