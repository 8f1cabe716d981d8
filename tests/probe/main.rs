//! Asks the kernel for what a guest should not get, and says what it answers: a line a call, `ok` or the errno.
//!
//! `probe` alone goes through the table. `probe terminal` types on every terminal in reach, and `probe waiting` says how
//! many bytes have been typed on this one. `probe as-user CMD…` runs a program as user 1000, `probe euid` says who it is.
//! `probe orphans N` leaves N children to PID 1. `probe deaf DIR` mounts a FUSE file system that never answers, and
//! `probe deaf-child DIR` has a child that asks itself. The arguments of the table are such that nothing happens where a call is not
//! refused, and that the answer then is another one wherever the kernel lets us.

use std::ffi::{CString, c_long};

mod sys;

/// A call with its number on x86_64 and on aarch64.
type Number = (c_long, c_long);

const SOCKET: Number = (41, 198);
const SOCKETPAIR: Number = (53, 199);
const MOUNT: Number = (165, 40);
const UMOUNT2: Number = (166, 39);
const UNSHARE: Number = (272, 97);
const CLONE: Number = (56, 220);
const IOCTL: Number = (16, 29);
const OPENAT: Number = (257, 56);

/// No file, and as flags: all of them.
const NONE: usize = usize::MAX;
const NEW_USER: usize = 0x1000_0000;
const NEW_MOUNTS: usize = 0x2_0000;
const TERMINAL_INPUT: usize = 0x5412;
const TERMINAL_LINUX: usize = 0x541c;
const HIGH: usize = 1 << 32;

fn number((x86_64, aarch64): Number) -> c_long {
    if cfg!(target_arch = "x86_64") { x86_64 } else { aarch64 }
}

fn call(which: Number, arguments: [usize; 6]) -> Result<c_long, i32> {
    sys::call(number(which), arguments)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => table(),
        ["terminal"] => terminal(),
        ["waiting"] => waiting(),
        ["directories", place] => directories(place),
        ["orphans", count] => orphans(count.parse().expect("orphans takes a number")),
        ["deaf", place] => deaf(place, false),
        ["deaf-child", place] => deaf(place, true),
        ["as-user", command @ ..] => as_user(command),
        ["euid"] => say("euid", call((107, 175), [0; 6]).map(|euid| println!("{euid}"))),
        other => panic!("no such probe: {other:?}"),
    }
}

fn say(name: &str, result: Result<impl Sized, i32>) {
    match result {
        Ok(_) => println!("{name} ok"),
        Err(errno) => println!("{name} {}", errno_name(errno)),
    }
}

fn table() {
    // The time since 1970 and the like: larger than any structure that is read or written.
    let mut zeros = [0_usize; 64];
    let zeros = zeros.as_mut_ptr() as usize;
    // A handle of eight bytes and kind 1: inode 2, which is the root of an ext4.
    let handle = [8_u32, 1, 2, 0];
    let root_fd = call(OPENAT, [0, c"/".as_ptr() as usize, 0, 0, 0, 0]).map_or(NONE, |fd| fd as usize);
    // To set the tick of the clock.
    let mut tick = [0_usize; 64];
    tick[0] = 0x4000;

    let simple: &[(&str, Number, [usize; 6])] = &[
        ("acct", (163, 89), [0; 6]),
        ("swapon", (167, 224), [0; 6]),
        ("swapoff", (168, 225), [0; 6]),
        ("settimeofday", (164, 170), [1, 1, 0, 0, 0, 0]),
        ("clock_settime", (227, 112), [0; 6]),
        ("adjtimex:read", (159, 171), [zeros, 0, 0, 0, 0, 0]),
        ("adjtimex:set", (159, 171), [tick.as_mut_ptr() as usize, 0, 0, 0, 0, 0]),
        ("init_module", (175, 105), [0; 6]),
        ("finit_module", (313, 273), [NONE, 0, 0, 0, 0, 0]),
        ("delete_module", (176, 106), [0; 6]),
        ("kexec_load", (246, 104), [0; 6]),
        ("kexec_file_load", (320, 294), [NONE, NONE, 0, 0, 0, 0]),
        ("bpf", (321, 280), [0xffff, 0, 0, 0, 0, 0]),
        ("perf_event_open", (298, 241), [0, 0, 0, NONE, NONE, 0]),
        ("userfaultfd", (323, 282), [NONE, 0, 0, 0, 0, 0]),
        ("add_key", (248, 217), [0; 6]),
        ("request_key", (249, 218), [0; 6]),
        ("keyctl", (250, 219), [NONE, 0, 0, 0, 0, 0]),
        ("open_by_handle_at", (304, 265), [root_fd, handle.as_ptr() as usize, 0, 0, 0, 0]),
        ("syslog", (103, 116), [10, 0, 0, 0, 0, 0]),
        ("io_uring_setup", (425, 425), [1, 0, 0, 0, 0, 0]),
        ("io_uring_enter", (426, 426), [NONE, 0, 0, 0, 0, 0]),
        ("io_uring_register", (427, 427), [NONE, 0, 0, 0, 0, 0]),
        ("socket:unix", SOCKET, [1, 1, 0, 0, 0, 0]),
        ("socket:inet", SOCKET, [2, 1, 0, 0, 0, 0]),
        ("socket:inet6", SOCKET, [10, 1, 0, 0, 0, 0]),
        ("socket:netlink", SOCKET, [16, 3, 0, 0, 0, 0]),
        ("socket:packet", SOCKET, [17, 3, 0, 0, 0, 0]),
        ("socket:key", SOCKET, [15, 3, 2, 0, 0, 0]),
        ("socket:rds", SOCKET, [21, 5, 0, 0, 0, 0]),
        ("socket:can", SOCKET, [29, 3, 1, 0, 0, 0]),
        ("socket:tipc", SOCKET, [30, 2, 0, 0, 0, 0]),
        ("socket:bluetooth", SOCKET, [31, 3, 1, 0, 0, 0]),
        ("socket:alg", SOCKET, [38, 5, 0, 0, 0, 0]),
        ("socket:vsock", SOCKET, [40, 1, 0, 0, 0, 0]),
        ("socket:vsock+high", SOCKET, [40 | HIGH, 1, 0, 0, 0, 0]),
        ("socket:xdp", SOCKET, [44, 3, 0, 0, 0, 0]),
        ("socketpair:unix", SOCKETPAIR, [1, 1, 0, zeros, 0, 0]),
        ("socketpair:tipc", SOCKETPAIR, [30, 2, 0, zeros, 0, 0]),
        ("mount", MOUNT, [0; 6]),
        ("umount2", UMOUNT2, [0; 6]),
        ("pivot_root", (155, 41), [0; 6]),
        ("open_tree", (428, 428), [NONE, 0, 0, 0, 0, 0]),
        ("move_mount", (429, 429), [NONE, 0, NONE, 0, NONE, 0]),
        ("fsopen", (430, 430), [0; 6]),
        ("fsconfig", (431, 431), [NONE, 0, 0, 0, 0, 0]),
        ("fsmount", (432, 432), [NONE, 0, 0, 0, 0, 0]),
        ("fspick", (433, 433), [NONE, 0, 0, 0, 0, 0]),
        ("mount_setattr", (442, 442), [NONE, 0, NONE, 0, 0, 0]),
        ("open_tree_attr", (467, 467), [NONE, 0, NONE, 0, 0, 0]),
        ("clone3", (435, 435), [0; 6]),
        ("ioctl:sti", IOCTL, [NONE, TERMINAL_INPUT, 0, 0, 0, 0]),
        ("ioctl:sti+high", IOCTL, [NONE, TERMINAL_INPUT | HIGH, 0, 0, 0, 0]),
        ("ioctl:linux", IOCTL, [NONE, TERMINAL_LINUX, 0, 0, 0, 0]),
        ("ioctl:linux+high", IOCTL, [NONE, TERMINAL_LINUX | HIGH, 0, 0, 0, 0]),
        ("ioctl:other", IOCTL, [NONE, 0x5413, 0, 0, 0, 0]),
        ("chroot", (161, 51), [c"/".as_ptr() as usize, 0, 0, 0, 0, 0]),
        ("reboot:wrong", (169, 142), [0; 6]),
        ("number:4095", (4095, 4095), [0; 6]),
    ];
    for (name, which, arguments) in simple {
        say(name, call(*which, *arguments));
    }
    say("mount:tmpfs", mount_tmpfs());
    for (name, flags) in [("unshare:user", NEW_USER), ("unshare:mount", NEW_MOUNTS)] {
        say(name, child(|| call(UNSHARE, [flags, 0, 0, 0, 0, 0]).map(drop)));
    }
    say("clone:user", sys::clone(number(CLONE), NEW_USER));
    say("clone", sys::clone(number(CLONE), 0));
    say("ptrace:traceme", child(|| call((101, 117), [0; 6]).map(drop)));
    if cfg!(target_arch = "x86_64") {
        say("iopl", call((172, 0), [3, 0, 0, 0, 0, 0]));
        say("ioperm", call((173, 0), [0x80, 1, 1, 0, 0, 0]));
        // Numbers of x32: getpid, and mount.
        say("x32:getpid", call((0x4000_0000 | 39, 0), [0; 6]));
        say("x32:mount", call((0x4000_0000 | 165, 0), [0; 6]));
    }
    #[cfg(target_arch = "x86_64")]
    println!("i386:getpid {}", outcome(sys::in_child(|| if sys::getpid_of_i386() > 0 { 0 } else { 1 })));
}

fn mount_tmpfs() -> Result<(), i32> {
    let [kind, at] = [c"tmpfs", c"/mnt"].map(|text| text.as_ptr() as usize);
    call(MOUNT, [kind, at, kind, 0, 0, 0])?;
    call(UMOUNT2, [at, 0, 0, 0, 0, 0]).map(drop)
}

/// In a child, so that it does not change what comes after.
fn child(body: impl FnOnce() -> Result<(), i32>) -> Result<(), i32> {
    match sys::in_child(|| body().err().unwrap_or(0)) >> 8 {
        0 => Ok(()),
        errno => Err(errno),
    }
}

/// How a child ended: `ok` for 0, or the signal.
fn outcome(status: i32) -> String {
    match (status & 0x7f, status >> 8) {
        (0, 0) => "ok".to_owned(),
        (0, code) => format!("exit-{code}"),
        (signal, _) => format!("signal-{signal}"),
    }
}

/// Types a line on everything that may be a terminal, by each of the numbers that mean it.
fn terminal() {
    let terminal = call(OPENAT, [0, c"/dev/tty".as_ptr() as usize, 2, 0, 0, 0]);
    say("open:/dev/tty", terminal);
    let terminal = terminal.map_or(NONE, |fd| fd as usize);
    for (name, fd) in [("0", 0), ("1", 1), ("2", 2), ("/dev/tty", terminal)] {
        for request in [TERMINAL_INPUT, TERMINAL_INPUT | HIGH, TERMINAL_INPUT | HIGH << 31] {
            for byte in [c"x", c"\n"] {
                say(&format!("{name}:{request:#x}"), call(IOCTL, [fd, request, byte.as_ptr() as usize, 0, 0, 0]));
            }
        }
    }
}

/// How much there is to be read from standard input.
fn waiting() {
    let mut count = 0_u32;
    say("FIONREAD", call(IOCTL, [0, 0x541b, &raw mut count as usize, 0, 0, 0]));
    println!("waiting {count}");
}

/// Five directories, by five calls.
fn directories(place: &str) {
    for number in 0..5 {
        let path = CString::new(format!("{place}/{number}")).expect("no zero byte");
        say(&number.to_string(), call((258, 34), [NONE, path.as_ptr() as usize, 0o755, 0, 0, 0]));
    }
}

/// As fast as it can: children that have ended when their parent does, four at a time.
fn orphans(count: usize) {
    let (mut made, mut refused) = (0, 0);
    while made < count {
        let four = || (0..4).filter(|_| sys::clone(number(CLONE), 0).is_ok()).count();
        let left = sys::in_child(|| i32::try_from(four()).unwrap_or(0)) >> 8;
        made += usize::try_from(left).unwrap_or(0);
        refused += usize::from(left != 4);
    }
    println!("orphans {made} refused {refused}");
}

/// A FUSE server that takes every request, and answers the first alone, without which there would be no others. With a child
/// that asks it for something: that one has the server's end open too, so that the server's death is not the end of it.
fn deaf(place: &str, with_child: bool) {
    let device = call(OPENAT, [0, c"/dev/fuse".as_ptr() as usize, 2, 0, 0, 0]);
    say("open:/dev/fuse", device);
    let Ok(device) = device else { return };
    let fd = usize::try_from(device).unwrap_or(NONE);
    let text = |text: &str| CString::new(text).expect("no zero byte");
    let (place, kind) = (text(place), c"fuse");
    let options = text(&format!("fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"));
    let [kind, place] = [kind, &place].map(|text| text.as_ptr() as usize);
    say("mount:fuse", call(MOUNT, [kind, place, kind, 0, options.as_ptr() as usize, 0]));
    let mut request = vec![0_u8; 1 << 17];
    let mut take = || call((0, 63), [fd, request.as_mut_ptr() as usize, request.len(), 0, 0, 0]).map(|_| request[8..16].to_vec());
    // FUSE_INIT: a header with the request's own number, then version 7.23 and no wish.
    let Ok(unique) = take() else { return };
    let mut answer = [0_u8; 80];
    answer[0] = 80;
    answer[8..16].copy_from_slice(&unique);
    answer[16] = 7;
    answer[20] = 23;
    say("answer", call((1, 64), [fd, answer.as_ptr() as usize, answer.len(), 0, 0, 0]));
    let ask = || call(OPENAT, [0, place, 0, 0, 0, 0]).err().unwrap_or(0);
    if with_child && sys::clone_and(number(CLONE), ask).is_err() {
        return;
    }
    while take().is_ok() {
        println!("asked");
    }
}

fn as_user(command: &[&str]) {
    say("setgid", call((106, 144), [1000, 0, 0, 0, 0, 0]));
    say("setuid", call((105, 146), [1000, 0, 0, 0, 0, 0]));
    let words: Vec<CString> = command.iter().filter_map(|word| CString::new(*word).ok()).collect();
    let mut pointers: Vec<usize> = words.iter().map(|word| word.as_ptr() as usize).collect();
    pointers.push(0);
    let arguments = [pointers[0], pointers.as_ptr() as usize, 0, 0, 0, 0];
    say("execve", call((59, 221), arguments));
}

fn errno_name(errno: i32) -> String {
    const NAMES: [(i32, &str); 16] = [
        (1, "EPERM"),
        (2, "ENOENT"),
        (5, "EIO"),
        (9, "EBADF"),
        (13, "EACCES"),
        (14, "EFAULT"),
        (16, "EBUSY"),
        (19, "ENODEV"),
        (22, "EINVAL"),
        (25, "ENOTTY"),
        (28, "ENOSPC"),
        (38, "ENOSYS"),
        (93, "EPROTONOSUPPORT"),
        (94, "ESOCKTNOSUPPORT"),
        (95, "EOPNOTSUPP"),
        (97, "EAFNOSUPPORT"),
    ];
    let name = NAMES.iter().find(|(number, _)| *number == errno);
    name.map_or_else(|| format!("errno-{errno}"), |(_, name)| (*name).to_owned())
}
