//! Plugs a cable into a bridge, looks at both of its ends, and lets it go with its namespace.
//!
//! Needs root, and `ip` to look with:
//!
//!     cargo build -p subhost-net --example cable && sudo target/debug/examples/cable
//!
//! It makes a namespace that plays the host first, so that nothing of the real one is touched.

use std::error::Error;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use subhost_net::bridge::{self, Settings};
use subhost_net::cable::{self, Cable};
use subhost_net::name;
use subhost_net::netns::Netns;

fn main() -> Result<(), Box<dyn Error>> {
    Netns::create(None)?.run_inside(|| on_host().map_err(|error| error.to_string()))??;
    Ok(())
}

fn on_host() -> Result<(), Box<dyn Error>> {
    let homenet = bridge::create("homenet", &Settings::default())?;
    let guest = Netns::create(None)?;
    let host_end = name::host_end("web", 0)?;
    let host_name = host_end.name.clone();

    let start = Instant::now();
    let cable = Cable {
        host_name: host_end.name,
        altname: host_end.altname,
        host_mac: None,
        guest_name: "eth0".parse()?,
        guest_mac: "06:a7:dd:b4:02:f2".parse()?,
        mtu: None,
        port: Some(homenet.into()),
    };
    let made = cable::create_all(guest.as_fd(), &[cable])?;
    println!("made in {:?}: {made:?}", start.elapsed());

    println!("\non the host:");
    Command::new("ip").args(["-br", "link", "show", "master", "homenet"]).status()?;
    println!("\nin the guest:");
    guest.run_inside(|| Command::new("ip").args(["-br", "link", "show", "eth0"]).status())??;

    let start = Instant::now();
    drop(guest);
    cable::wait_gone(&[host_name], Duration::from_secs(5))?;
    println!("\ngone with its namespace after {:?}", start.elapsed());
    Ok(())
}
