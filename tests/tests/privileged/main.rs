//! The built program on real images: each case on a host of its own, with the leak check at its end.

mod adopt;
mod apart;
mod autostart;
mod binds;
mod changes;
mod config_exec;
mod console;
mod cp;
mod create;
mod debian;
mod dhcp;
mod disks;
mod doctor;
mod errors;
mod escape;
mod events;
mod examples;
mod filesystems;
mod foreign;
mod forged;
mod fsck;
mod go;
mod heldup;
mod hostile;
mod howto;
mod hung;
mod idranges;
mod import;
mod include;
mod initctl;
mod inits;
mod isolation;
mod joining;
mod json;
mod kill;
mod lacking;
mod layers;
mod layers_diff;
mod leftovers;
mod life;
mod lifecycle;
mod limits;
mod linger;
mod linger_end;
mod linger_names;
mod logs;
mod look;
mod many;
mod mounts;
mod names;
mod network;
mod nodes;
mod orphans;
mod package;
mod paths;
mod pid1;
mod reading;
mod reboots;
mod refuse;
mod rescue;
mod resize;
mod restart;
mod run;
mod shared;
mod spying;
mod stop;
mod systemd;
mod terminals;
mod tiny;
mod told;
mod tour;
mod tricks;
mod unpack;
mod usage;
mod usage_machines;
mod usage_ssh;
mod usage_store;
mod usage_witness;

use std::process::ExitCode;

use subhost_tests::case::{self, Case};
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;

/// The bridge of every case.
const BRIDGE: &str = "br0";
/// The MAC address of a guest's first cable, as text and as bytes.
const MAC: &str = "06:a7:dd:b4:02:f2";
const MAC_BYTES: [u8; 6] = [0x06, 0xa7, 0xdd, 0xb4, 0x02, 0xf2];

fn main() -> ExitCode {
    if let Some(status) = subhost_tests::enemy::main() {
        return status;
    }
    let groups = [
        debian::CASES,
        dhcp::CASES,
        disks::CASES,
        doctor::CASES,
        filesystems::CASES,
        events::CASES,
        fsck::CASES,
        go::CASES,
        errors::CASES,
        escape::CASES,
        examples::CASES,
        foreign::CASES,
        forged::CASES,
        heldup::CASES,
        hostile::CASES,
        howto::CASES,
        autostart::CASES,
        adopt::CASES,
        apart::CASES,
        binds::CASES,
        changes::CASES,
        config_exec::CASES,
        console::CASES,
        cp::CASES,
        create::CASES,
        hung::CASES,
        idranges::CASES,
        import::CASES,
        include::CASES,
        initctl::CASES,
        isolation::CASES,
        joining::CASES,
        json::CASES,
        inits::CASES,
        kill::CASES,
        lacking::CASES,
        layers::CASES,
        layers_diff::CASES,
        life::CASES,
        leftovers::CASES,
        lifecycle::CASES,
        limits::CASES,
        linger::CASES,
        linger_end::CASES,
        linger_names::CASES,
        logs::CASES,
        look::CASES,
        names::CASES,
        nodes::CASES,
        orphans::CASES,
        package::CASES,
        paths::CASES,
        pid1::CASES,
        many::CASES,
        mounts::CASES,
        network::CASES,
        reading::CASES,
        reboots::CASES,
        refuse::CASES,
        rescue::CASES,
        resize::CASES,
        restart::CASES,
        run::CASES,
        shared::CASES,
        spying::CASES,
        stop::CASES,
        systemd::CASES,
        terminals::CASES,
        tiny::CASES,
        told::CASES,
        tour::CASES,
        tricks::CASES,
        unpack::CASES,
        usage::CASES,
        usage_machines::CASES,
        usage_ssh::CASES,
        usage_store::CASES,
    ];
    let cases: Vec<Case> = groups.concat();
    case::main(&cases)
}

/// Makes the bridge, with an address in the guests' network.
fn bridge(host: &Host) -> std::io::Result<()> {
    host.bridge(BRIDGE, "10.80.0.1/16")
}

/// Where the guest with [`MAC`] answers.
fn address(port: u16) -> std::net::SocketAddr {
    (subhost_tests::fixture::address_of(0, MAC_BYTES), port).into()
}

/// Boots, and comes back when rc 2 is done.
fn boot(host: &Host, name: &str) -> std::io::Result<Guest> {
    host.done(&["boot", name, "--detach"])?;
    host.running(name)
}
