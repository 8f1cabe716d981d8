//! How long cables take, against `ip -batch` doing the same in one process, and one message as bare as can be.
//!
//! Needs root; everything happens in namespaces of its own. Medians of rounds in turn, each after a pause, as a warm
//! kernel is up to four times as fast: `cargo bench -p subhost-net`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use subhost_net::cable::{Cable, create_all, wait_gone};
use subhost_net::name::LinkName;
use subhost_net::netns::Netns;
use subhost_net::{Result, bridge};

const ROUNDS: usize = 15;
const PAUSE: Duration = Duration::from_millis(80);

fn main() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIP: needs root");
        return Ok(());
    }
    Netns::create(None)?.run_inside(|| {
        let homenet = bridge::create("homenet")?;
        println!("| cables | ours, ms | per cable | ip -batch, ms | ratio |");
        println!("| ---: | ---: | ---: | ---: | ---: |");
        for count in [1, 4, 16, 64, 500] {
            let (mut ours, mut peer) = (Vec::new(), Vec::new());
            for _ in 0..if count > 64 { 3 } else { ROUNDS } {
                ours.push(timed(count, |guest| {
                    create_all(guest.as_fd(), &cables(count, homenet)).map(drop)
                })?);
                peer.push(timed(count, |guest| {
                    ip_batch(count, guest);
                    Ok(())
                })?);
            }
            let (ours, peer) = (median(ours), median(peer));
            let each = ours / f64::from(count);
            println!("| {count} | {ours:.2} | {each:.3} | {peer:.2} | {:.2} |", ours / peer);
        }
        let mut made: Vec<f64> = Vec::new();
        for _ in 0..ROUNDS {
            std::thread::sleep(PAUSE);
            let start = Instant::now();
            let netns = Netns::create(None)?;
            made.push(start.elapsed().as_secs_f64() * 1000.0);
            drop(netns);
        }
        println!("\nnetns made: {:.2} ms", median(made));
        Ok(())
    })?
}

fn name(number: u32) -> LinkName {
    format!("web{number}").parse().expect("short and plain")
}

fn cables(count: u32, bridge: u32) -> Vec<Cable> {
    let cable = |number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        Cable {
            host_name: name(number),
            altname: None,
            host_mac: None,
            guest_name: format!("eth{number}").parse().expect("short and plain"),
            guest_mac: [6, 0xa7, 0xdd, 0xb4, high, low].into(),
            mtu: None,
            bridge: Some(bridge),
        }
    };
    (0..count).map(cable).collect()
}

/// The time that `make` takes, in ms; what it made is gone when this returns.
fn timed(count: u32, make: impl FnOnce(&Netns) -> Result<()>) -> Result<f64> {
    let guest = Netns::create(None)?;
    std::thread::sleep(PAUSE);
    let start = Instant::now();
    make(&guest)?;
    let time = start.elapsed().as_secs_f64() * 1000.0;
    drop(guest);
    wait_gone(&(0..count).map(name).collect::<Vec<_>>(), Duration::from_secs(60))?;
    Ok(time)
}

/// The same cables, and as few requests as `ip` can say it in.
fn ip_batch(count: u32, guest: &Netns) {
    // `ip` takes a namespace by the pid of a process in it, or by name; a thread's id does as well.
    let (thread_id, hold) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    std::thread::scope(|scope| {
        let (tell, end) = (thread_id.0, hold.1);
        scope.spawn(move || {
            let stay = move || {
                tell.send(nix::unistd::gettid()).expect("the other end waits");
                end.recv().expect_err("nothing is ever sent");
            };
            guest.run_inside(stay).expect("made by us");
        });
        let inside = thread_id.1.recv().expect("sent first thing");
        let mut batch = String::new();
        for number in 0..count {
            let [_, _, high, low] = number.to_be_bytes();
            let tail = format!("a7:dd:b4:{high:02x}:{low:02x}");
            writeln!(
                batch,
                "link add name web{number} address fe:{tail} up master homenet type veth \
                 peer name eth{number} address 06:{tail} netns {inside}\n\
                 link set dev web{number} addrgenmode none"
            )
            .expect("a string takes all");
        }
        let mut ip =
            Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip is installed");
        ip.stdin.take().expect("piped").write_all(batch.as_bytes()).expect("ip reads");
        assert!(ip.wait().expect("started").success());
        drop(hold.0);
    });
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
