//! Starts system containers: a static PID 1, fresh namespaces around it, and commands run inside them later.
//!
//! The kernel's own rules make this harder than it looks, and this crate follows them:
//!
//! * Whatever needs power is done by a child between its clone and its exec ([`launch`]): the program starts sealed.
//! * The child waits for a go-ahead. Until then it lives and dies with the caller, however that ends; afterwards, or
//!   once a record of it has been linked, it goes on ([`launch::Launch::record`]).
//! * What fails in the child reaches the caller as [`Error::LaunchStep`]: the [`Step`], the object, the errno.
//! * The caller may have threads, and its own namespaces, children and signals are not touched.
//! * Processes are held by pidfd, and found again by an identity that no other process can have ([`process`]).
//!
//! # A command in a tree
//!
//! On a thread of its own, as the mount namespace of the calling thread is the one that the guest's is copied from:
//!
//! ```no_run
//! use std::path::Path;
//! use subhost_init::launch::{Ended, Launch, Program};
//! use subhost_init::userns::{IdMap, UserNamespace};
//! # use std::os::fd::AsFd;
//!
//! let ids = UserNamespace::create(IdMap { first: 524_288, count: 65_536 })?;
//! let mut guest = Launch::new(Path::new("/mnt/tree")) // a mount point, its files owned by the range
//!     .user_namespace(ids.as_fd())
//!     .hostname("guest")
//!     .program(Program::Guest { path: c"/bin/sh".into(), argv: vec![c"sh".into(), c"-c".into(), c"id".into()] })
//!     .start()?
//!     .go()?;
//! assert_eq!(guest.wait()?, Ended::Exited(0));
//! # Ok::<(), subhost_init::Error>(())
//! ```
//!
//! # A system, and a command in it
//!
//! Our own PID 1 runs the start scripts of the tree, on a console; then a shell is put beside them.
//!
//! ```no_run
//! use std::path::Path;
//! use subhost_init::console::Pty;
//! use subhost_init::enter::Enter;
//! use subhost_init::handoff::Pid1Args;
//! use subhost_init::launch::{Launch, Program};
//! # use std::os::fd::{AsFd, OwnedFd};
//! # fn boot(user_namespace: OwnedFd, network_namespace: OwnedFd, record: OwnedFd) -> Result<(), Box<dyn std::error::Error>> {
//!
//! let console = Pty::open()?;
//! let slave = console.slave;
//! let prepared = Launch::new(Path::new("/opt/sub/web1/live"))
//!     .user_namespace(user_namespace.as_fd())
//!     .network_namespace(network_namespace.as_fd())
//!     .hostname("web1")
//!     .program(Program::Subhost(Pid1Args { tty: true, ..Pid1Args::default() }.to_argv()))
//!     .stdio([slave.try_clone()?, slave.try_clone()?, slave])
//!     .console_master(Some(console.master.try_clone()?))
//!     .record(record)
//!     .start()?;
//! // The pid is known, and nothing runs: now write the record, give it its name, pin other names.
//! let guest = prepared.go()?;
//!
//! let terminal = Pty::open()?;
//! let slave = terminal.slave;
//! let mut shell = Enter::new(guest.pidfd())
//!     .argv(vec![c"sh".into(), c"-l".into()])
//!     .stdio([slave.try_clone()?, slave.try_clone()?, slave])
//!     .controlling_terminal(true)
//!     .start()?;
//! subhost_init::console::relay_terminal(
//!     terminal.master.as_fd(),
//!     std::io::stdin().as_fd(),
//!     std::io::stdout().as_fd(),
//!     shell.pidfd(),
//! )?;
//! println!("the shell ended with {}", shell.wait()?);
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! Linux 6.1 or later, on x86_64 and aarch64, and root. Mounting the tree, cables and ids are the caller's. Without a
//! user namespace a guest's root is the host's, with less capabilities, and that is no isolation to speak of.
#![deny(unsafe_code)]
#![deny(missing_docs)]

pub mod account;
pub mod adopt;
pub mod capability;
pub mod cgroup;
mod child;
pub mod console;
pub mod enter;
mod error;
pub mod force;
pub mod handoff;
pub mod kernel;
pub mod launch;
pub mod layout;
pub mod limits;
pub mod pid1;
pub mod process;
pub mod seccomp;
mod sys;
pub mod userns;

pub use error::{Error, Result, Step};

/// The examples of the README, which are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
