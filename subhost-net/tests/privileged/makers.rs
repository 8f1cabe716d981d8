//! Many makers of cables at once, each killed at some moment.

use std::env;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use subhost_net::bridge::{self, Settings};
use subhost_net::cable::create_all;
use subhost_net::netns::Netns;

use crate::host::{Test, cable, link_names, on_fresh_host};

pub(crate) const TESTS: &[Test] = &[("killed_makers_leave_no_link", killed_makers_leave_no_link)];

/// Says which maker this process is.
const MAKER: &str = "SUBHOST_NET_MAKER";

const MAKERS: u32 = 200;

/// Makes cables without end, if this process was started for that.
pub(crate) fn plays() -> bool {
    let Ok(number) = env::var(MAKER) else { return false };
    let homenet = bridge::find("homenet").unwrap();
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    loop {
        let guest = Netns::create(None).unwrap();
        let cables: Vec<_> =
            (0..4).map(|index| cable(&format!("w{number}-{index}"), index, Some(homenet))).collect();
        // Its own cables of a moment ago may still be going away.
        create_all(guest.as_fd(), &cables).ok();
    }
}

fn start(number: u32) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(MAKER, number.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 6]).unwrap();
    child
}

fn killed_makers_leave_no_link() {
    on_fresh_host(|| {
        bridge::create("homenet", &Settings::default()).unwrap();
        let mut makers: Vec<Child> = (0..MAKERS).map(start).collect();
        // All at once, and each ends at another moment of what it does.
        makers.iter_mut().for_each(|maker| drop(maker.stdin.take()));
        std::thread::sleep(Duration::from_millis(100));
        let links = link_names().len();
        for (number, maker) in (0_u64..).zip(&mut makers) {
            std::thread::sleep(Duration::from_micros(100 + 137 * (number * 7919 % 31)));
            maker.kill().unwrap();
        }
        for maker in &mut makers {
            maker.wait().unwrap();
        }
        assert!(links > 10, "only {links} links were seen");
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while link_names() != ["homenet"] {
            assert!(std::time::Instant::now() < deadline, "{:?}", link_names());
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}
