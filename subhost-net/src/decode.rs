//! Netlink answers as slices: messages in a datagram, attributes in a message. Nothing here can fail or panic:
//! reading ends at the first length that makes no sense.
//!
//! By hand because answers grow: a newer kernel sends longer and more attributes, and a decoder that wants to know
//! all of them fails where one is needed.

const MESSAGE_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// NLA_F_NESTED and NLA_F_NET_BYTEORDER are flags in the type.
const ATTRIBUTE_TYPE_MASK: u16 = 0x3fff;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages of a datagram, in order.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
        let payload = datagram.get(MESSAGE_HEADER..length)?;
        let message = Message {
            kind: u16_at(datagram, 4)?,
            flags: u16_at(datagram, 6)?,
            sequence: u32_at(datagram, 8)?,
            payload,
        };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in these bytes, in order, each as its type and its value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & ATTRIBUTE_TYPE_MASK;
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A string attribute, with or without its final zero.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

pub(crate) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().copied().map(i32::from_ne_bytes)
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_messages_and_skips_padding() {
        let datagram = [
            17, 0, 0, 0, 2, 0, 3, 0, 7, 0, 0, 0, 9, 9, 9, 9, 0xaa, 0, 0, 0, // 17 bytes, padded to 20
            16, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
        ];
        let read: Vec<_> = messages(&datagram).collect();
        assert_eq!(
            read,
            [
                Message { kind: 2, flags: 3, sequence: 7, payload: &[0xaa] },
                Message { kind: 5, flags: 0, sequence: 8, payload: &[] },
            ]
        );
    }

    #[test]
    fn reads_attributes_without_their_flags() {
        let bytes = [5, 0, 3, 0x80, b'x', 0, 0, 0, 4, 0, 1, 0x40];
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(3, &b"x"[..]), (1, &[][..])]);
    }

    #[test]
    fn stops_at_lengths_that_make_no_sense() {
        for bytes in [&[0, 0, 1, 0][..], &[3, 0, 1, 0], &[9, 0, 1, 0, 1, 2, 3, 4], &[4, 0, 1]] {
            assert_eq!(attributes(bytes).count(), 0);
        }
        assert_eq!(messages(&[0; 16]).count(), 0);
        assert_eq!(messages(&[255; 16]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(messages(&bytes).count() <= 300 / 16);
            prop_assert!(attributes(&bytes).count() <= 300 / 4);
        }
    }
}
