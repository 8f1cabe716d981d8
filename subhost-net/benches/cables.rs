//! How long cables take, against `ip -batch` doing the same in one process (but for router advertisements, which it
//! cannot refuse, and queues and state, which nobody tells it), and against the bare system calls for all of it, their messages built beforehand.
//!
//! Needs root; everything happens in namespaces of its own. Medians of rounds in turn, each after a pause, as a warm
//! kernel is up to four times as fast: `cargo bench -p subhost-net`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use subhost_net::Result;
use subhost_net::bridge::{self, Settings};
use subhost_net::cable::{Cable, create_all, wait_gone};
use subhost_net::name::LinkName;
use subhost_net::netns::Netns;

const ROUNDS: usize = 15;
const PAUSE: Duration = Duration::from_millis(80);

fn main() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIP: needs root");
        return Ok(());
    }
    Netns::create(None)?.run_inside(|| {
        let homenet = bridge::create("homenet", &Settings::default())?;
        println!("| cables | ours, ms | per cable | bare calls, ms | ratio | ip -batch, ms | ratio |");
        println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        for count in [1, 4, 16, 64, 500] {
            let (mut ours, mut bare, mut peer) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..if count > 64 { 3 } else { ROUNDS } {
                ours.push(timed(count, |guest| {
                    create_all(guest.as_fd(), &cables(count, homenet)).map(drop)
                })?);
                let messages = bare_messages(count, homenet);
                bare.push(timed(count, |guest| {
                    let socket = bare_socket();
                    send_bare(&socket, &messages, guest);
                    bring_up_bare(&socket, count);
                    Ok(())
                })?);
                peer.push(timed(count, |guest| {
                    ip_batch(count, guest);
                    Ok(())
                })?);
            }
            let (ours, bare, peer) = (median(ours), median(bare), median(peer));
            let (each, to_bare, to_peer) = (ours / f64::from(count), ours / bare, ours / peer);
            println!(
                "| {count} | {ours:.2} | {each:.3} | {bare:.2} | {to_bare:.2} | {peer:.2} | {to_peer:.2} |"
            );
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
            port: Some(bridge.into()),
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

fn bare_socket() -> netlink_sys::Socket {
    let mut socket =
        netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE).expect("netlink is there");
    socket.bind_auto().expect("the kernel finds a port");
    socket.set_cap_ack(true).expect("every kernel has it");
    socket
}

/// The messages for these cables, the descriptor of the namespace still to be put in.
fn bare_messages(count: u32, bridge: u32) -> Vec<Vec<u8>> {
    let pad = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let attribute = |kind: u16, value: &[u8]| {
        let length = u16::try_from(4 + value.len()).expect("short");
        pad([&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat())
    };
    let message = |number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        let mac = |first| [first, 0xa7, 0xdd, 0xb4, high, low];
        let name = |name: &str| attribute(3, format!("{name}{number}\0").as_bytes());
        // One queue each way, at both ends; the host end dormant.
        let queues = [attribute(31, &1_u32.to_ne_bytes()), attribute(32, &1_u32.to_ne_bytes())].concat();
        let peer = [vec![0; 16], attribute(28, &[0; 4]), name("eth"), attribute(1, &mac(6)), queues.clone()]
            .concat();
        let info = [attribute(1, b"veth\0"), attribute(2, &attribute(1, &peer))].concat();
        let master = attribute(10, &bridge.to_ne_bytes());
        let host = [name("web"), attribute(1, &mac(0xfe)), master, queues, attribute(16, &[5])].concat();
        let body = [vec![0; 16], host, attribute(18, &info)].concat();
        let length = u32::try_from(16 + body.len()).expect("short").to_ne_bytes();
        [&length[..], &16_u16.to_ne_bytes(), &0x605_u16.to_ne_bytes(), &[0; 8], &body].concat()
    };
    (0..count).map(message).collect()
}

fn send_bare(socket: &netlink_sys::Socket, messages: &[Vec<u8>], guest: &Netns) {
    let descriptor = guest.as_fd().as_raw_fd().to_ne_bytes();
    let netns_fd_attribute = [&8_u16.to_ne_bytes()[..], &28_u16.to_ne_bytes()].concat();
    for chunk in messages.chunks(64) {
        let mut bytes = Vec::new();
        for message in chunk {
            let at =
                message.windows(4).position(|window| window == netns_fd_attribute).expect("put in above") + 4;
            bytes.extend(&message[..at]);
            bytes.extend(descriptor);
            bytes.extend(&message[at + 4..]);
        }
        send_and_hear(socket, &bytes, chunk.len());
    }
}

/// What the creating message cannot say: no router advertisements, no IPv6 address, and up.
fn bring_up_bare(socket: &netlink_sys::Socket, count: u32) {
    let numbers: Vec<u32> = (0..count).collect();
    for chunk in numbers.chunks(64) {
        let mut bytes = Vec::new();
        for number in chunk {
            let name = format!("web{number}");
            let index = nix::net::if_::if_nametoindex(name.as_str()).expect("just made");
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_ra"), "0").expect("there is IPv6");
            let up = 1_u32.to_ne_bytes();
            // NEWLINK by ifindex: up, and in AF_SPEC, AF_INET6: ADDR_GEN_MODE none.
            let header = [&[0; 4][..], &index.to_ne_bytes(), &up, &up].concat();
            let words: [u16; 8] = [16, 26, 12, 10, 5, 8, 1, 0];
            let attributes: Vec<u8> = words.into_iter().flat_map(u16::to_ne_bytes).collect();
            let length = 48_u32.to_ne_bytes();
            bytes.extend(
                [&length[..], &16_u16.to_ne_bytes(), &5_u16.to_ne_bytes(), &[0; 8], &header, &attributes]
                    .concat(),
            );
        }
        send_and_hear(socket, &bytes, chunk.len());
    }
}

fn send_and_hear(socket: &netlink_sys::Socket, bytes: &[u8], count: usize) {
    socket.send_to(bytes, &netlink_sys::SocketAddr::new(0, 0), 0).expect("sent");
    for _ in 0..count {
        let mut answer = [0; 64];
        socket.recv(&mut &mut answer[..], 0).expect("acknowledged");
        assert_eq!(&answer[16..20], &[0; 4], "refused");
    }
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
