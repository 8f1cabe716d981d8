//! What holds for any bytes. The fuzz targets run it on what libFuzzer makes up, `tests/corpus.rs` on what was kept.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use subhost_init::account::Account;
use subhost_init::cgroup::Hierarchies;
use subhost_init::handoff::{Message, Pid1Args, Request};
use subhost_init::layout::Scripts;
use subhost_init::pid1::command::Command;
use subhost_init::pid1::config::Config;
use subhost_init::pid1::environment::{self, Kept};
use subhost_init::pid1::initctl::{self, Decoder, MAGIC, Order, REQUEST};
use subhost_init::pid1::machine::{Effect, Event, KILL_MS, LAST_GRACE_MS, Machine, Policy, State};

/// What a guest writes to `/run/initctl`, cut anywhere, is the same requests; none brings the decoder, the variables or
/// the machine out of order, and an end that is asked for comes in time and once.
///
/// As bytes: how PID 1 was started and what becomes of its programs, how many bytes are read at a time (2 bytes,
/// little-endian), and then what is written.
pub(crate) fn initctl(bytes: &[u8]) {
    let Some((&[how, low, high], written)) = bytes.split_first_chunk::<3>() else { return };
    let at_a_time = usize::from(u16::from_le_bytes([low, high])).max(1);
    let mut guest = Guest::new(how);
    let mut decoder = Decoder::new(guest.policy.immediate);
    let mut kept = Kept::new();
    let mut seen = Vec::new();
    for piece in written.chunks(at_a_time) {
        decoder.push(piece, |request| {
            seen.push(Seen::from(&request));
            match request {
                initctl::Request::Order(order) => guest.take(Event::Initctl(order)),
                initctl::Request::Variables(data) => kept.apply(data),
                initctl::Request::Ignored => {}
            }
        });
        guest.time_goes_by();
    }
    if let Some(order) = decoder.drained() {
        seen.push(Seen::Order(order));
        guest.take(Event::Initctl(order));
    }
    assert_eq!(decoder.drained(), None);

    // What is read behind stray bytes may be in step by chance, or not.
    let stray = Seen::Order(Order::Stray);
    if let Some(at) = seen.iter().position(|one| *one == stray) {
        seen.truncate(at + 1);
    }
    let expected =
        if guest.policy.immediate && !written.is_empty() { vec![stray] } else { requests(written) };
    assert_eq!(seen, expected);

    let variables: Vec<&[u8]> = kept.iter().map(CStr::to_bytes).collect();
    assert!(variables.iter().all(|one| one.starts_with(b"INIT_") && one.contains(&b'=')), "{variables:?}");
    let names: BTreeSet<&[u8]> = variables.iter().map(|one| environment::name(one)).collect();
    assert!(names.len() == variables.len() && names.len() <= 16, "{variables:?}");

    let ends = |one: &Seen| {
        let Seen::Order(order) = one else { return false };
        matches!(order, Order::Level(b'0' | b'6') | Order::PowerFail | Order::Stray)
    };
    if expected.iter().any(ends) {
        assert!(guest.machine.is_ending());
    }
    guest.end_in_time();
}

/// A request of `/run/initctl`, owned.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Order(Order),
    Variables(Vec<u8>),
    Ignored,
}

impl From<&initctl::Request<'_>> for Seen {
    fn from(request: &initctl::Request<'_>) -> Seen {
        match *request {
            initctl::Request::Order(order) => Seen::Order(order),
            initctl::Request::Variables(data) => Seen::Variables(data.to_vec()),
            initctl::Request::Ignored => Seen::Ignored,
        }
    }
}

/// The requests in a stream, up to the first stray byte: as the decoder finds them, in the simplest way.
fn requests(stream: &[u8]) -> Vec<Seen> {
    let mut found = Vec::new();
    for chunk in stream.chunks(REQUEST) {
        let magic = MAGIC.to_ne_bytes();
        let words: Vec<u32> = chunk
            .chunks_exact(4)
            .take(3)
            .map(|word| u32::from_ne_bytes([0, 1, 2, 3].map(|at| word[at])))
            .collect();
        found.push(match (chunk.len(), words.as_slice()) {
            (REQUEST, [MAGIC, 1, level @ 0x30..=0x39]) => Seen::Order(Order::Level(level.to_le_bytes()[0])),
            (REQUEST, [MAGIC, 1, 0x53 | 0x73]) => Seen::Order(Order::Level(b'S')),
            (REQUEST, [MAGIC, 2 | 3, _]) => Seen::Order(Order::PowerFail),
            (REQUEST, [MAGIC, 6 | 7, _]) => Seen::Variables(chunk[16..].to_vec()),
            (REQUEST, [MAGIC, ..]) => Seen::Ignored,
            _ => Seen::Order(Order::Stray),
        });
        if !chunk.starts_with(&magic) {
            break;
        }
    }
    found
}

/// PID 1's mind, and a guest around it whose programs end or hang.
struct Guest {
    policy: Policy,
    machine: Machine,
    how: u8,
    now: u64,
    pid: i32,
    asked: Option<u64>,
    ended: Vec<u64>,
}

impl Guest {
    /// Bits: any byte ends, payload, stays, boot script, no time to stop; programs cannot be started, end, fail.
    fn new(how: u8) -> Guest {
        let is = |bit: u8| how & 1 << bit != 0;
        let policy = Policy {
            runlevel: b'2',
            boot_ms: 300_000,
            stop_ms: if is(4) { 0 } else { 30_000 },
            grace_ms: 5_000,
            immediate: is(0),
            boot: is(3),
            stays: is(2),
            payload: is(1),
        };
        let mut guest = Guest {
            policy,
            machine: Machine::new(policy),
            how,
            now: 0,
            pid: 1,
            asked: None,
            ended: Vec::new(),
        };
        guest.take(Event::Start);
        guest
    }

    fn take(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            self.now += 1;
            let effects: Vec<Effect> = self.machine.handle(self.now, event).iter().collect();
            // The list has room for eight.
            assert!(effects.len() < 8, "{effects:?}");
            for (at, effect) in effects.iter().enumerate() {
                match effect {
                    Effect::Spawn { level, previous, .. } => {
                        assert_eq!(at + 1, effects.len(), "{effects:?}");
                        assert!([level, previous].iter().all(|level| b"0123456789SN".contains(level)));
                        self.pid += 1;
                        let is_started = self.how & 1 << 5 == 0;
                        next = Some(if is_started { Event::Spawned(self.pid) } else { Event::NotSpawned(2) });
                    }
                    Effect::Finish(_) => self.ended.push(self.now),
                    _ => {}
                }
            }
            if self.machine.is_ending() {
                self.asked.get_or_insert(self.now);
            }
            let is_due = self.machine.deadline().is_some_and(|deadline| deadline <= self.now);
            next = next.or(is_due.then_some(Event::Deadline));
        }
    }

    /// The program that runs ends, if programs do.
    fn time_goes_by(&mut self) {
        if self.how & 1 << 6 != 0 {
            self.take(Event::ChildExited { pid: self.pid, status: self.how >> 7 });
        }
    }

    /// Of a guest whose processes never end.
    fn end_in_time(mut self) {
        let mut looks = 0;
        while let Some(deadline) = self.machine.deadline() {
            self.now = self.now.max(deadline);
            self.take(Event::Deadline);
            looks += 1;
            assert!(looks < 8, "{:?}", self.machine);
        }
        if let Some(asked) = self.asked {
            assert_eq!(self.machine.state(), State::Done);
            let [ended] = self.ended[..] else { panic!("ended at {:?}", self.ended) };
            let longest = self.policy.stop_ms + LAST_GRACE_MS + KILL_MS;
            // A few more, as each event takes one here.
            assert!(ended - asked <= longest + 8, "{} ms", ended - asked);
        }
    }
}

/// What comes over the sockets between PID 1 and its supervisor, and the words that PID 1 is started with: they are
/// understood or refused, and what is understood comes back as it was.
///
/// As bytes: how PID 1 was started, and then packets of eight bytes; and words that end in NUL; and one packet.
pub(crate) fn packets(bytes: &[u8]) {
    packet(bytes);
    words(bytes);
    let Some((&how, packets)) = bytes.split_first() else { return };
    let mut guest = Guest::new(how);
    for bytes in packets.chunks(8) {
        packet(bytes);
        if let Some(request) = Request::decode(bytes) {
            guest.take(Event::Host(request));
        }
        guest.time_goes_by();
    }
    guest.end_in_time();
}

fn packet(bytes: &[u8]) {
    // What is not looked at is sent as zero.
    let carries = |packet: [u8; 8]| {
        assert_eq!(bytes.len(), packet.len());
        packet.iter().zip(bytes).all(|(sent, came)| sent == came || *sent == 0)
    };
    if let Some(message) = Message::decode(bytes) {
        assert!(carries(message.encode()), "{message:?}");
        assert_eq!(Message::decode(&message.encode()), Some(message));
    }
    if let Some(request) = Request::decode(bytes) {
        assert!(carries(request.encode()), "{request:?}");
        assert_eq!(Request::decode(&request.encode()), Some(request));
    }
}

fn words(bytes: &[u8]) {
    let words: Vec<&CStr> = bytes
        .split_inclusive(|byte| *byte == 0)
        .filter_map(|word| CStr::from_bytes_with_nul(word).ok())
        .collect();
    let Ok(config) = Config::parse(words.iter().copied()) else { return };
    let [rcs, boot, rc, rc0, rc1, rc6] =
        [config.rcs, config.boot, config.rc, config.rc0, config.rc1, config.rc6]
            .map(|line| line.map(CStr::to_owned));
    let scripts = Scripts {
        start: rcs,
        boot,
        level: rc,
        single: rc1,
        power_off: rc0,
        reboot: rc6,
        stays: config.stays,
    };
    let payload: Option<Vec<CString>> =
        config.payload.map(|at| words[at..].iter().map(|word| CString::from(*word)).collect());
    let args = Pid1Args {
        runlevel: config.runlevel,
        boot: Duration::from_millis(config.boot_ms),
        stop: Duration::from_millis(config.stop_ms),
        grace: Duration::from_millis(config.grace_ms),
        immediate: config.immediate,
        scripts,
        tty: config.tty,
        umask: config.umask,
        cwd: config.cwd.map(CStr::to_owned),
        payload: payload.clone(),
    };
    let argv = args.to_argv();
    let again = Config::parse(argv[1..].iter().map(AsRef::as_ref)).expect("it is our own");
    assert_eq!(again.payload.map(|at| argv[1 + at..].to_vec()), payload);
    assert_eq!(Config { payload: None, ..again }, Config { payload: None, ..config });

    for line in [config.rcs, config.boot, config.rc, config.rc0, config.rc1, config.rc6].into_iter().flatten()
    {
        let expected: Vec<&[u8]> =
            line.to_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
        let Some(command) = Command::new(line, b'3') else {
            assert!(expected.is_empty() || line.count_bytes() >= 512, "{line:?}");
            continue;
        };
        let level: &[u8] = b"3";
        let expected: Vec<&[u8]> =
            expected.into_iter().map(|word| if word == b"%" { level } else { word }).collect();
        assert_eq!(command.words().map(CStr::to_bytes).collect::<Vec<_>>(), expected);
        assert_eq!(command.path().to_bytes(), expected[0]);
    }
}

/// Whatever is mounted where, each controller is in one hierarchy; and a table of just what was found says the same.
///
/// As bytes: `/proc/self/mountinfo`.
pub(crate) fn hierarchies(bytes: &[u8]) {
    let found = Hierarchies::parse(bytes);
    let mut table = Vec::new();
    for legacy in &found.legacy {
        let controllers = legacy.controllers.join(",");
        assert!(!legacy.controllers.is_empty(), "{found:?}");
        assert_eq!(found.legacy_with(&legacy.controllers[0]), Some(legacy));
        mount(&mut table, &legacy.mount_point, &format!("cgroup x rw,{controllers}"));
    }
    if let Some(unified) = &found.unified {
        assert!(unified.controllers.is_empty(), "{found:?}");
        mount(&mut table, &unified.mount_point, "cgroup2 x rw");
    }
    assert_eq!(Hierarchies::parse(&table), found);
}

/// A line of `/proc/self/mountinfo`, with every byte of the path as the kernel may write it.
fn mount(table: &mut Vec<u8>, point: &Path, rest: &str) {
    table.extend_from_slice(b"1 1 0:1 / ");
    for byte in point.as_os_str().as_bytes() {
        table.extend_from_slice(format!("\\{byte:03o}").as_bytes());
    }
    table.extend_from_slice(format!(" rw - {rest}\n").as_bytes());
}

/// What separates the parts of what [`account`] is given.
const PART: u8 = 0xff;

/// A user is found in a line of the guest's files or is a number, whatever else stands in them; a refusal can be shown.
///
/// As bytes: `USER` or `USER:GROUP`, the `passwd`, the `group`, with [`PART`] between them.
pub(crate) fn account(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == PART);
    let mut part = || parts.next().unwrap_or_default();
    let (user, passwd, group) = (part(), part(), part());
    let Ok(asked) = std::str::from_utf8(user) else { return };
    let account = match Account::find(asked, passwd, group) {
        Ok(account) => account,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
            return;
        }
    };
    let (user, given) = asked.split_once(':').map_or((asked, None), |(user, group)| (user, Some(group)));
    assert!(account.uid != u32::MAX && !account.groups.contains(&u32::MAX), "{account:?}");
    assert_eq!(account.groups[0], account.gid);
    assert_eq!(account.groups.iter().collect::<BTreeSet<_>>().len(), account.groups.len(), "{account:?}");
    for path in [&account.home, &account.shell] {
        assert!(path.to_bytes().starts_with(b"/"), "{account:?}");
    }
    // Fields of a line with this one in this place.
    let has = |text: &[u8], at: usize, wanted: &[u8], number: u32| {
        text.split(|byte| *byte == b'\n').any(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            fields.get(at) == Some(&wanted) && fields.get(2) == Some(&number.to_string().as_bytes())
        })
    };
    match user.parse::<u32>() {
        Ok(number) => assert_eq!(account.uid, number),
        Err(_) => assert!(has(passwd, 0, user.as_bytes(), account.uid), "{account:?}"),
    }
    match given.map(|given| (given, given.parse::<u32>())) {
        Some((_, Ok(number))) => assert_eq!(account.gid, number),
        Some((given, Err(_))) => assert!(has(group, 0, given.as_bytes(), account.gid), "{account:?}"),
        None => {}
    }
    if given.is_some() {
        assert_eq!(account.groups.len(), 1);
    }
    for further in account.groups.iter().skip(1) {
        let number = further.to_string();
        assert!(has(group, 2, number.as_bytes(), *further), "{account:?}");
    }
}
