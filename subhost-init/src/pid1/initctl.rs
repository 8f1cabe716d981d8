//! The requests that sysvinit's tools write to `/run/initctl`, out of the bytes that were read there.
//!
//! A request is 384 bytes, in the machine's byte order: magic, command, runlevel, sleep time (32 bits each) and
//! 368 bytes of data (sysvinit, `initreq.h`). The tools write it with one `write`, which a FIFO keeps whole up to
//! `PIPE_BUF`; so what is left over when the FIFO is empty was never the start of a request.

/// Length of a request, in bytes.
pub const REQUEST: usize = 384;

/// The first four bytes of a request.
pub const MAGIC: u32 = 0x0309_1969;

const DATA: usize = 16;

/// One thing that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// A request that concerns the state of the guest.
    Order(Order),
    /// Set or unset variables for the scripts; see [`super::environment::Kept::apply`].
    Variables(&'a [u8]),
    /// A request with the right magic that asks for nothing here.
    Ignored,
}

/// What a request orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Change to this runlevel: an ASCII digit, or `S`.
    Level(u8),
    /// The power is failing.
    PowerFail,
    /// Bytes that are no request.
    Stray,
}

/// Cuts the byte stream into requests.
#[derive(Debug)]
pub struct Decoder {
    buffer: [u8; REQUEST],
    filled: usize,
    any_byte: bool,
}

impl Decoder {
    /// A decoder; with `any_byte`, whatever is written is [`Order::Stray`].
    #[must_use]
    pub const fn new(any_byte: bool) -> Self {
        Self { buffer: [0; REQUEST], filled: 0, any_byte }
    }

    /// Takes the next bytes and calls `each` for every request that is complete with them. After stray bytes the
    /// rest of `bytes` is dropped: nothing can be in step there.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Request<'_>)) {
        if self.any_byte && !bytes.is_empty() {
            return each(Request::Order(Order::Stray));
        }
        while !bytes.is_empty() {
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let n = free.len().min(bytes.len());
            let (head, tail) = bytes.split_at(n);
            free.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
            self.filled += n;
            bytes = tail;
            let known = self.filled.min(4);
            if self.buffer.get(..known) != MAGIC.to_ne_bytes().get(..known) {
                self.filled = 0;
                return each(Request::Order(Order::Stray));
            }
            if self.filled == REQUEST {
                self.filled = 0;
                each(read(&self.buffer));
            }
        }
    }

    /// Tells that the FIFO is empty; bytes left over are then [`Order::Stray`].
    pub fn drained(&mut self) -> Option<Order> {
        let left = core::mem::take(&mut self.filled);
        (left > 0).then_some(Order::Stray)
    }
}

fn read(request: &[u8; REQUEST]) -> Request<'_> {
    let word = |at: usize| {
        request.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes).unwrap_or(0)
    };
    let level = u8::try_from(word(8)).unwrap_or(0);
    match (word(4), level) {
        (1, b'0'..=b'9') => Request::Order(Order::Level(level)),
        (1, b'S' | b's') => Request::Order(Order::Level(b'S')),
        (2 | 3, _) => Request::Order(Order::PowerFail),
        (6 | 7, _) => Request::Variables(request.get(DATA..).unwrap_or_default()),
        // `q` and `u` ask to read inittab again or to execute init again, `a` to `c` for on-demand entries: there is
        // nothing of the kind here. Later commands of sysvinit must not end a guest either.
        _ => Request::Ignored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(cmd: u32, level: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [MAGIC, cmd, u32::from(level), 3] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(data);
        bytes.resize(REQUEST, 0);
        bytes
    }

    /// What a reader sees that gets the stream in these pieces and then finds the FIFO empty.
    fn decode(any_byte: bool, pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::new(any_byte);
        let mut seen = Vec::new();
        for piece in pieces {
            decoder.push(piece, |request| {
                seen.push(match request {
                    Request::Variables(data) => {
                        let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
                        format!("{} of {}", String::from_utf8_lossy(&data[..end]), data.len())
                    }
                    Request::Order(Order::Level(level)) => format!("level {}", char::from(level)),
                    other => format!("{other:?}"),
                });
            });
        }
        seen.extend(decoder.drained().map(|order| format!("left {order:?}")));
        seen
    }

    #[test]
    fn requests_mean_what_sysvinit_means() {
        let table = [
            (1, b'0', "level 0"),
            (1, b'6', "level 6"),
            (1, b'1', "level 1"),
            (1, b'S', "level S"),
            (1, b's', "level S"),
            (1, b'3', "level 3"),
            (1, b'9', "level 9"),
            (1, b'q', "Ignored"),
            (1, b'Q', "Ignored"),
            (1, b'u', "Ignored"),
            (1, b'U', "Ignored"),
            (1, b'a', "Ignored"),
            (1, 0, "Ignored"),
            (0, b'0', "Ignored"),
            (2, 0, "Order(PowerFail)"),
            (3, 0, "Order(PowerFail)"),
            (4, 0, "Ignored"),
            (5, b'0', "Ignored"),
            (12345, b'0', "Ignored"),
        ];
        for (cmd, level, seen) in table {
            assert_eq!(decode(false, &[&request(cmd, level, b"")]), [seen], "{cmd} {level}");
        }
    }

    #[test]
    fn poweroff_is_a_variable_and_a_level() {
        let mut bytes = request(6, 0, b"INIT_HALT=POWEROFF");
        bytes.extend(request(1, b'0', b""));
        assert_eq!(decode(false, &[&bytes]), ["INIT_HALT=POWEROFF of 368", "level 0"]);
    }

    #[test]
    fn anything_else_is_stray() {
        for bytes in [&b"x\n"[..], b"x", b"\0", b"0", b"i\n", &[0xff; 384], &[0; 4096]] {
            assert_eq!(decode(false, &[bytes]), ["Order(Stray)"], "{bytes:?}");
        }
        // The first bytes of the magic, and no more.
        for bytes in [&MAGIC.to_ne_bytes()[..1], &MAGIC.to_ne_bytes(), &request(1, b'q', b"")[..383]] {
            assert_eq!(decode(false, &[bytes]), ["left Stray"], "{bytes:?}");
        }
    }

    #[test]
    fn a_stray_byte_behind_a_request_is_seen() {
        let mut bytes = request(1, b'q', b"");
        bytes.push(b'x');
        assert_eq!(decode(false, &[&bytes]), ["Ignored", "Order(Stray)"]);
    }

    #[test]
    fn any_byte_is_stray_where_it_is_set_so() {
        assert_eq!(decode(true, &[&request(1, b'q', b"")]), ["Order(Stray)"]);
        assert_eq!(decode(true, &[b"i"]), ["Order(Stray)"]);
        assert_eq!(decode(true, &[b""]), [""; 0]);
    }

    #[test]
    fn a_level_beyond_a_byte_is_ignored() {
        let mut bytes = request(1, 0, b"");
        bytes[8..12].copy_from_slice(&0x130_u32.to_ne_bytes());
        assert_eq!(decode(false, &[&bytes]), ["Ignored"]);
    }

    proptest! {
        #[test]
        fn a_stream_split_anywhere_gives_the_same_requests(
            sent in prop::collection::vec((0_u32..8, prop::sample::select(&b"0123456789SsQqUuaxz"[..])), 0..30),
            cuts in prop::collection::vec(0_usize..12_000, 0..12),
        ) {
            let stream: Vec<u8> = sent.iter().flat_map(|(cmd, level)| request(*cmd, *level, b"INIT_A=1")).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(false, &pieces), decode(false, &[&stream]));
            prop_assert_eq!(decode(false, &pieces).len(), sent.len());
        }

        #[test]
        fn any_bytes_are_taken_without_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..900), 0..8)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            decode(false, &pieces);
        }

        #[test]
        fn bytes_that_are_no_request_are_always_seen(bytes in prop::collection::vec(any::<u8>(), 1..REQUEST)) {
            prop_assert_eq!(decode(false, &[&bytes]).len(), 1);
        }
    }
}
