//! Packed forms that Redis wrote before version 7: read only, into listpacks.
//!
//! ```text
//! ziplist  bytes(4, LE) tail(4, LE) count(2, LE) entry* FF
//! entry    length-before(1, or FE and 4, LE) (
//!            00nnnnnn | 01nnnnnn n(1) | 10000000 n(4, BE)      and n bytes
//!          | C0 int16 | D0 int32 | E0 int64 | F0 int24 | FE int8, all LE
//!          | 1111nnnn                                          n - 1, n in 1..=13 )
//!
//! zipmap   count(1) (length field length free(1) value free-bytes)* FF
//! length   n(1) up to 253 | FE n(4, LE)
//! ```

use crate::listpack::Listpack;

const END: u8 = 0xff;
const WIDE: u8 = 0xfe;

/// What is wrong with it, for the message.
type Wrong = &'static str;

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of `len` bytes, least significant first, with its sign.
    fn int(&mut self, len: usize) -> Option<i64> {
        let bytes = self.take(len)?;
        let mut wide = [0; 8];
        wide.get_mut(8 - len..)?.copy_from_slice(bytes);
        Some(i64::from_le_bytes(wide) >> (8 * (8 - len)))
    }

    fn u32_le(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn u32_be(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    }
}

fn push(pack: &mut Listpack, text: &[u8]) -> Option<()> {
    if !pack.has_room_for(text.len(), 1) {
        return None;
    }
    pack.push_back(text);
    Some(())
}

/// The elements of a ziplist.
pub(super) fn ziplist(bytes: &[u8]) -> Result<Listpack, Wrong> {
    const WRONG: Wrong = "a malformed ziplist";
    let mut pack = Listpack::new();
    let mut rest = Bytes(bytes);
    let total = rest.u32_le().ok_or(WRONG)?;
    rest.take(6).ok_or(WRONG)?;
    if total != bytes.len() {
        return Err("a ziplist of another length than it says");
    }
    loop {
        match rest.byte().ok_or(WRONG)? {
            END if rest.0.is_empty() => return Ok(pack),
            END => return Err(WRONG),
            WIDE => rest.take(4).map(|_| ()).ok_or(WRONG)?,
            _ => {}
        }
        ziplist_entry(&mut rest, &mut pack).ok_or(WRONG)?;
    }
}

fn ziplist_entry(rest: &mut Bytes<'_>, pack: &mut Listpack) -> Option<()> {
    let first = rest.byte()?;
    let low = usize::from(first & 0x3f);
    let int = match first {
        ..0x40 => return push(pack, rest.take(low)?),
        0x40..0x80 => {
            let len = low << 8 | usize::from(rest.byte()?);
            return push(pack, rest.take(len)?);
        }
        0x80..0xc0 => {
            let len = rest.u32_be()?;
            return push(pack, rest.take(len)?);
        }
        0xc0 => rest.int(2)?,
        0xd0 => rest.int(4)?,
        0xe0 => rest.int(8)?,
        0xf0 => rest.int(3)?,
        0xfe => rest.int(1)?,
        0xf1..=0xfd => i64::from(first & 0xf) - 1,
        _ => return None,
    };
    push(pack, itoa::Buffer::new().format(int).as_bytes())
}

/// The pairs of a zipmap.
pub(super) fn zipmap(bytes: &[u8]) -> Result<Listpack, Wrong> {
    const WRONG: Wrong = "a malformed zipmap";
    let mut pack = Listpack::new();
    let mut rest = Bytes(bytes);
    rest.byte().ok_or(WRONG)?;
    loop {
        let first = rest.byte().ok_or(WRONG)?;
        if first == END {
            return if rest.0.is_empty() {
                Ok(pack)
            } else {
                Err(WRONG)
            };
        }
        zipmap_pair(first, &mut rest, &mut pack).ok_or(WRONG)?;
    }
}

fn zipmap_pair(first: u8, rest: &mut Bytes<'_>, pack: &mut Listpack) -> Option<()> {
    let length = |first: u8, rest: &mut Bytes<'_>| match first {
        WIDE => rest.u32_le(),
        END => None,
        short => Some(usize::from(short)),
    };
    let len = length(first, rest)?;
    push(pack, rest.take(len)?)?;
    let first = rest.byte()?;
    let len = length(first, rest)?;
    let free = usize::from(rest.byte()?);
    push(pack, rest.take(len)?)?;
    rest.take(free)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pack: &Listpack) -> Vec<String> {
        let text = |item: crate::item::Item<'_>| String::from_utf8_lossy(&item.to_vec()).into();
        pack.iter().map(text).collect()
    }

    #[test]
    fn a_ziplist_of_every_kind_of_entry() {
        let entries: &[&[u8]] = &[
            b"\x03abc",
            b"\x40\x03xyz",
            b"\x80\x00\x00\x00\x02hi",
            b"\xc0\xff\x7f",
            b"\xd0\x00\x00\x00\x80",
            b"\xe0\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\xf0\xff\xff\xff",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
        ];
        let mut bytes = vec![0; 10];
        for entry in entries {
            bytes.push(9);
            bytes.extend_from_slice(entry);
        }
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        let pack = ziplist(&bytes).unwrap();
        assert_eq!(
            texts(&pack),
            [
                "abc",
                "xyz",
                "hi",
                "32767",
                "-2147483648",
                "9223372036854775807",
                "-1",
                "-128",
                "0",
                "12"
            ]
        );
        for cut in 0..bytes.len() {
            assert!(ziplist(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn a_zipmap() {
        let bytes = b"\x02\x03foo\x03\x01bar.\x05hello\x05\x00world\xff";
        assert_eq!(
            texts(&zipmap(bytes).unwrap()),
            ["foo", "bar", "hello", "world"]
        );
        for cut in 0..bytes.len() {
            assert!(zipmap(&bytes[..cut]).is_err());
        }
    }
}
