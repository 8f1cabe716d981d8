//! The library behind `subhostctl`: names, state, plan and life cycle of subhosts.
//!
//! A command first observes what is there, makes a plan as plain data, and applies it. Everything that a boot
//! makes hangs on file descriptors, so the kernel frees it whatever becomes of us; the few names come last.
#![forbid(unsafe_code)]

#[cfg(feature = "accounting")]
pub mod accounting;
pub mod adopt;
pub mod advice;
pub mod args;
pub mod boot;
pub mod cgroup;
pub mod claim;
pub mod commands;
pub mod completion;
pub mod config;
pub mod config_exec;
pub mod console_log;
pub mod control;
pub mod culprit;
pub mod dhcp;
pub mod error;
pub mod events;
pub mod follow;
pub mod fsck;
pub mod fstab;
pub mod guest;
pub mod handover;
pub mod idindex;
pub mod idrange;
#[cfg(feature = "images")]
pub mod images;
#[cfg(feature = "import")]
pub mod import;
pub mod inventory;
pub mod isolation;
pub mod json;
pub mod layout;
pub mod linger;
pub mod lock;
pub mod names;
pub mod network;
pub mod observe;
pub mod order;
pub mod origin;
pub mod overlay;
pub mod plan;
pub mod report;
pub mod request;
pub mod shell;
pub mod shutdown;
pub mod sorted;
pub mod stage;
pub mod state;
pub mod subid;
pub mod supervise;
pub mod supervisor;
#[cfg(feature = "images")]
pub mod tour;
pub mod tree;
