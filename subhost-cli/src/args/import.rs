//! What another program has of a system.

use std::ffi::OsString;

use clap::Args;

use crate::layout::Name;

/// Make a configuration from what another program has of a system
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl import libvirt /etc/libvirt/qemu/web.xml         on standard output
  virsh dumpxml web | subhostctl import libvirt --into web -  as /opt/sub/web/config
  subhostctl import qemu 4711                                 of a process
  subhostctl import qemu 'qemu-system-x86_64 -m 512 -hda /disks/web.raw'
  subhostctl import ganeti web.example.com                    as gnt-instance info has it
  subhostctl import ganeti --instance web instances.txt       as gnt-instance info or list said
  subhostctl import lxc /var/lib/lxc/web/config
  subhostctl import nspawn /etc/systemd/nspawn/web.nspawn
  subhostctl import oci /srv/bundle
  subhostctl import overlay-boot /opt/subhost/mta/mta.conf
SOURCE may be - for standard input. Nothing of it is executed. What cannot be carried over is said
on standard error, and in comments. Only raw images are disks; where one can be read, its file
systems are found. --into writes /opt/sub/NAME/config; for a directory /opt/subhost/NAME/config.")]
pub struct Import {
    /// Whose program has the system
    #[arg(value_enum, value_name = "FROM")]
    pub from: ImportFrom,
    /// A file, or - for standard input; also an instance of Ganeti, the pid or command line of a qemu, or a bundle
    #[arg(value_name = "SOURCE", value_hint = clap::ValueHint::AnyPath, allow_hyphen_values = true)]
    pub source: OsString,
    /// Write it as the configuration of this subhost
    #[arg(long, value_name = "NAME")]
    pub into: Option<Name>,
    /// Replace the one that is there
    #[arg(long, requires = "into")]
    pub force: bool,
    /// Which of several instances of Ganeti
    #[arg(long, value_name = "INSTANCE")]
    pub instance: Option<String>,
}

/// Programs whose systems can be carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ImportFrom {
    /// An instance, the environment of its OS's scripts, or what gnt-instance info or list says
    Ganeti,
    /// The XML of a domain
    Libvirt,
    /// A command line
    Qemu,
    /// Its configuration
    OverlayBoot,
    /// A .nspawn file
    Nspawn,
    /// A container's config
    Lxc,
    /// A bundle with its config.json
    Oci,
}
