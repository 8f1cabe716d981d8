//! Errors: what was attempted, on which object, and what the kernel said.

use std::fmt;
use std::io;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. The text reads like a line of strace: operation, object, errno.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call of the calling process failed.
    #[error("{operation} {object}: {source}")]
    System {
        /// What was attempted, as an imperative phrase: `write uid map of`.
        operation: &'static str,
        /// What it was attempted on: a path, a name or a pid.
        object: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A step inside the child failed: between its clone and the execution of the program.
    #[error("{step} {object}: {source}")]
    LaunchStep {
        /// Which step.
        step: Step,
        /// What the step worked on: a path or a name.
        object: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The child ended before it reported anything, as when somebody killed it.
    #[error("launch of {object}: the child ended before it was ready")]
    ChildEnded {
        /// What was being started.
        object: String,
    },
    /// The child did not come to its program in time, and was killed: something of the guest, or its cgroup, keeps it.
    #[error("launch of {object}: the guest holds it up, or stands still")]
    HeldUp {
        /// What was being started.
        object: String,
    },
    /// Something that is there is not what it has to be.
    #[error("{object}: {reason}")]
    Refused {
        /// What was looked at.
        object: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Error {
    /// The exit status that a shell gives for a program that could not be executed: 127 when it is not there, 126 when
    /// it is but cannot be executed. `None` for every other error.
    #[must_use]
    pub fn exit_status(&self) -> Option<i32> {
        match self {
            Error::LaunchStep { step: Step::Execute, source, .. } => {
                Some(if source.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
            }
            _ => None,
        }
    }
}

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal;)+) => {
        /// The steps of the child, in about the order in which they are done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Step {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Step {
            #[allow(dead_code)]
            pub(crate) fn from_byte(byte: u8) -> Option<Step> {
                match byte {
                    $($number => Some(Step::$name),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for Step {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Step::$name => $text,)+
                })
            }
        }
    };
}

steps! {
    /// Making the own memory unreadable for the guest.
    Seal = 1, "seal the memory of";
    /// `setns` into the user namespace.
    JoinUserNamespace = 2, "join the user namespace of";
    /// `setns` into the network namespace.
    JoinNetworkNamespace = 3, "join the network namespace of";
    /// `setns` into all namespaces of a running guest.
    JoinNamespaces = 4, "join the namespaces of";
    /// `clone3` of the child.
    Clone = 5, "clone a child for";
    /// Closing what was inherited.
    CloseInherited = 6, "close inherited files of";
    /// Making all mounts private.
    PrivateMounts = 7, "make mounts private under";
    /// A new instance of the proc file system.
    MountProc = 8, "mount a new proc for";
    /// A new instance of the sysfs file system.
    MountSys = 9, "mount a new sysfs for";
    /// A recursive clone of the prepared tree.
    CloneRoot = 10, "clone the mounts of";
    /// Attaching that clone, as pivot_root wants a mount point.
    AttachRoot = 11, "attach the cloned mounts on";
    /// `pivot_root`.
    PivotRoot = 12, "pivot into";
    /// Detaching the old root.
    DetachOldRoot = 13, "detach the old root of";
    /// Attaching proc inside the guest's tree.
    AttachProc = 14, "attach proc on the guest's";
    /// Attaching sysfs inside the guest's tree.
    AttachSys = 15, "attach sysfs on the guest's";
    /// `sethostname`.
    HostName = 16, "set the host name";
    /// Bringing up `lo`.
    Loopback = 17, "bring up";
    /// Dropping capabilities from the bounding set.
    DropCapabilities = 18, "drop capabilities of";
    /// Emptying or setting the supplementary groups.
    Groups = 19, "set the groups of";
    /// Taking the group and user id.
    Ids = 20, "take the ids of";
    /// Emptying the ambient and inheritable capabilities.
    ClearCapabilities = 21, "clear capabilities of";
    /// Leaving the caller's keyring.
    Keyring = 22, "leave the session keyring for";
    /// `setsid`.
    Session = 23, "start a session for";
    /// Making the terminal the controlling one.
    ControllingTerminal = 24, "take the controlling terminal for";
    /// Putting the files in place as 0, 1, 2 and so on.
    PlaceFiles = 25, "place the files of";
    /// Changing into the working directory.
    WorkingDirectory = 26, "change directory to";
    /// Reading the go-ahead.
    AwaitGo = 27, "wait for the go-ahead of";
    /// Executing the program.
    Execute = 28, "execute";
    /// Setting the resource limits.
    Limits = 31, "set the resource limits of";
    /// Loading the system call filter.
    Filter = 32, "load the system call filter of";
    /// Covering `/proc/cmdline`.
    CommandLine = 33, "cover the guest's";
    /// Being killed with the caller.
    DeathSignal = 34, "tie to its caller";
    /// `unshare` of the time namespace, and setting its clocks.
    TimeNamespace = 35, "start the clocks of";
    /// Entering the cgroups of version 1.
    JoinCgroups = 40, "enter the cgroups of";
}
