//! A child between its clone and the execution of a program: what launching and entering have in common.
//!
//! The child runs on a copy of the memory of a process that may have other threads, so nothing in it allocates or
//! locks: everything is made ready before, and only system calls are done after.

mod credentials;
mod files;
pub(crate) mod limits;
mod report;
mod spawn;
mod wait;

pub(crate) use credentials::Credentials;
pub(crate) use files::{Stdio, join_cgroups, keep_list, null_stdio, raise};
pub(crate) use report::{Channel, Failure, Report, at};
pub(crate) use spawn::{Spawned, spawn};
pub(crate) use wait::{Status, wait, wait_if_ended};
