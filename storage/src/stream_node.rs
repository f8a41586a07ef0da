//! A run of consecutive stream entries packed into one buffer.
//!
//! ```text
//! node   [count: varint] [name: text]*count            the master fields: those of the first entry
//!        entry*
//! entry  [n: varint] [body: n bytes] [n: varint, its bytes reversed]
//! body   [flags: u8] [ms - master.ms: varint] [seq: varint, less master.seq where ms are equal]
//!        SAME:  [value: text]*count                    the names are the master's
//!        else:  [fields: varint] ([name: text] [value: text])*fields
//! text   varint h; h even: h/2 bytes follow
//!                  h odd: the integer whose zigzag form is h/2, in its decimal spelling
//! ```
//!
//! The length at both ends lets a reader step either way without looking inside. Redis keeps a
//! length behind every single string and a count behind every entry; here an entry of two short
//! numeric values takes 8 bytes where it takes 13 there.
//!
//! Invariants: entries stand in id order; at least one lives, or the owner drops the node; `head`
//! is where the first living entry stands; dead entries never take more than half of the buffer for
//! long: `bury` squeezes them out.

use crate::block_size::block_size;
use crate::stream_id::StreamId;

/// The entry was deleted and only takes room.
const DEAD: u8 = 1;
/// The entry's field names are the node's master fields.
const SAME: u8 = 2;
/// Integers packed as numbers are below this in magnitude, so that zigzag and the tag bit fit in 64
/// bits.
const PACKED_INT_MAX: i64 = 1 << 61;
/// Fewer dead bytes than this are not worth a squeeze.
const SQUEEZE_BYTES_MIN: u32 = 512;
/// Longest varint of 64 bits.
const VARINT_BYTES_MAX: usize = 10;

/// A packed run of entries. Its first id, the master id, is known to the owner and passed in.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    bytes: Vec<u8>,
    head: u32,
    live: u32,
    dead: u32,
    dead_bytes: u32,
}

/// An entry in place: where it stands and what it says.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    pub start: usize,
    pub end: usize,
    pub dead: bool,
    pub id: StreamId,
    same: bool,
    rest: &'a [u8],
}

impl Node {
    /// An empty node whose master fields are `names`.
    pub fn new<'f>(names: impl Iterator<Item = &'f [u8]> + Clone) -> Node {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, names.clone().count() as u64);
        for name in names {
            put_text(&mut bytes, name);
        }
        Node {
            head: bytes.len() as u32,
            bytes,
            live: 0,
            dead: 0,
            dead_bytes: 0,
        }
    }

    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// Living and dead.
    pub fn held(&self) -> usize {
        self.live as usize + self.dead as usize
    }

    pub fn bytes_used(&self) -> usize {
        self.bytes.len()
    }

    /// Heap bytes.
    pub fn memory_bytes(&self) -> usize {
        block_size(self.bytes.capacity())
    }

    /// No more entries will come: give back what was reserved for them.
    pub fn seal(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Adds an entry, which must be above all others.
    pub fn push<'f>(
        &mut self,
        master: StreamId,
        id: StreamId,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) {
        debug_assert!(id >= master);
        let same = self.has_master_names(fields.clone().map(|(name, _)| name));
        let mut body: smallvec::SmallVec<[u8; 256]> = smallvec::SmallVec::new();
        body.push(if same { SAME } else { 0 });
        put_varint(&mut body, id.ms.wrapping_sub(master.ms));
        let seq_base = if id.ms == master.ms { master.seq } else { 0 };
        put_varint(&mut body, id.seq.wrapping_sub(seq_base));
        if !same {
            put_varint(&mut body, fields.clone().count() as u64);
        }
        for (name, value) in fields {
            if !same {
                put_text(&mut body, name);
            }
            put_text(&mut body, value);
        }
        put_varint(&mut self.bytes, body.len() as u64);
        self.bytes.extend_from_slice(&body);
        let tail = self.bytes.len();
        put_varint(&mut self.bytes, body.len() as u64);
        if let Some(length) = self.bytes.get_mut(tail..) {
            length.reverse();
        }
        self.live += 1;
    }

    fn has_master_names<'f>(&self, mut names: impl Iterator<Item = &'f [u8]>) -> bool {
        let mut mine = self.master_names();
        loop {
            match (mine.next(), names.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if *a == *b => {}
                _ => return false,
            }
        }
    }

    fn master_names(&self) -> Texts<'_> {
        let mut rest = &self.bytes[..];
        let left = take_varint(&mut rest);
        Texts { rest, left }
    }

    /// Marks the entry at `start` dead. Positions are void afterwards: the buffer may have been
    /// squeezed.
    pub fn bury(&mut self, master: StreamId, start: usize) {
        let Some(entry) = self.at(master, start) else {
            return;
        };
        if entry.dead {
            return;
        }
        let (start, end) = (entry.start, entry.end);
        let flags = start + varint_len(&self.bytes[start..]);
        if let Some(flags) = self.bytes.get_mut(flags) {
            *flags |= DEAD;
        }
        self.live = self.live.saturating_sub(1);
        self.dead += 1;
        self.dead_bytes += (end - start) as u32;
        if start == self.head as usize {
            let next = self.live_from(master, end).map(|e| e.start);
            self.head = next.unwrap_or(self.bytes.len()) as u32;
        }
        if self.dead_bytes >= SQUEEZE_BYTES_MIN && self.dead_bytes as usize > self.bytes.len() / 2 {
            self.squeeze(master);
        }
    }

    /// Rewrites the buffer without its dead. Entries are relative to the master only, so they move
    /// as they are.
    fn squeeze(&mut self, master: StreamId) {
        let first = self.bytes.len() - self.master_names().skipped().len();
        let mut kept = Vec::with_capacity(self.bytes.len() - self.dead_bytes as usize);
        kept.extend_from_slice(&self.bytes[..first]);
        let mut at = self.head as usize;
        while let Some(entry) = self.live_from(master, at) {
            kept.extend_from_slice(&self.bytes[entry.start..entry.end]);
            at = entry.end;
        }
        self.bytes = kept;
        self.head = first as u32;
        self.dead = 0;
        self.dead_bytes = 0;
    }

    /// The entry that begins at `start`; `None` at the end.
    fn at(&self, master: StreamId, start: usize) -> Option<Packed<'_>> {
        let mut rest = self.bytes.get(start..).filter(|r| !r.is_empty())?;
        let length = usize::try_from(take_varint(&mut rest)).ok()?;
        let length_bytes = self.bytes.len() - start - rest.len();
        let body = rest.get(..length)?;
        Some(decode(
            master,
            start,
            start + length + 2 * length_bytes,
            body,
        ))
    }

    /// The entry that ends at `end`; `None` at the beginning, which is `head`.
    fn ending_at(&self, master: StreamId, end: usize) -> Option<Packed<'_>> {
        if end <= self.head as usize {
            return None;
        }
        let before = self.bytes.get(..end)?;
        let mut length = 0u64;
        let mut length_bytes = 0;
        for &byte in before.iter().rev().take(VARINT_BYTES_MAX) {
            length |= u64::from(byte & 0x7f) << (7 * length_bytes);
            length_bytes += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body_end = end.checked_sub(length_bytes)?;
        let body_start = body_end.checked_sub(usize::try_from(length).ok()?)?;
        let start = body_start.checked_sub(length_bytes)?;
        Some(decode(
            master,
            start,
            end,
            self.bytes.get(body_start..body_end)?,
        ))
    }

    /// The first living entry at or after the position `at`.
    pub fn live_from(&self, master: StreamId, mut at: usize) -> Option<Packed<'_>> {
        at = at.max(self.head as usize);
        loop {
            let entry = self.at(master, at)?;
            if !entry.dead {
                return Some(entry);
            }
            at = entry.end;
        }
    }

    /// The last living entry that ends at or before the position `end`.
    pub fn live_before(&self, master: StreamId, mut end: usize) -> Option<Packed<'_>> {
        loop {
            let entry = self.ending_at(master, end)?;
            if !entry.dead {
                return Some(entry);
            }
            end = entry.start;
        }
    }

    /// Where the first living entry stands.
    pub fn head(&self) -> usize {
        self.head as usize
    }

    /// Where the last entry ends.
    pub fn tail(&self) -> usize {
        self.bytes.len()
    }

    /// The living entry named `id`.
    pub fn find(&self, master: StreamId, id: StreamId) -> Option<Packed<'_>> {
        let mut at = self.head();
        while let Some(entry) = self.live_from(master, at) {
            if entry.id >= id {
                return (entry.id == id).then_some(entry);
            }
            at = entry.end;
        }
        None
    }

    /// The fields of one of this node's entries.
    pub fn fields<'a>(&'a self, entry: &Packed<'a>) -> Fields<'a> {
        let mut rest = entry.rest;
        if entry.same {
            let names = self.master_names();
            Fields {
                left: names.left,
                names: Some(names),
                rest,
            }
        } else {
            let left = take_varint(&mut rest);
            Fields {
                names: None,
                left,
                rest,
            }
        }
    }
}

fn decode(master: StreamId, start: usize, end: usize, body: &[u8]) -> Packed<'_> {
    let (flags, mut rest) = match body.split_first() {
        Some((flags, rest)) => (*flags, rest),
        None => (DEAD, body),
    };
    let ms_delta = take_varint(&mut rest);
    let seq = take_varint(&mut rest);
    let seq_base = if ms_delta == 0 { master.seq } else { 0 };
    Packed {
        start,
        end,
        dead: flags & DEAD != 0,
        same: flags & SAME != 0,
        id: StreamId::new(master.ms.wrapping_add(ms_delta), seq.wrapping_add(seq_base)),
        rest,
    }
}

/// Names and values of one entry, in the order they were given.
#[derive(Clone)]
pub struct Fields<'a> {
    names: Option<Texts<'a>>,
    rest: &'a [u8],
    left: u64,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Text<'a>, Text<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.names {
            Some(names) => names.next()?,
            None => take_text(&mut self.rest),
        };
        Some((name, take_text(&mut self.rest)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Fields<'_> {}

#[derive(Clone)]
struct Texts<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Texts<'a> {
    /// What stands behind the texts.
    fn skipped(mut self) -> &'a [u8] {
        while self.next().is_some() {}
        self.rest
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = Text<'a>;
    fn next(&mut self) -> Option<Text<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(take_text(&mut self.rest))
    }
}

/// A field's name or value. Derefs to its bytes.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// Bytes as they lie in the node.
    Bytes(&'a [u8]),
    /// A number, which lies packed in the node, spelled out again.
    Digits { text: [u8; 20], len: u8 },
}

impl std::ops::Deref for Text<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Text::Bytes(bytes) => bytes,
            Text::Digits { text, len } => text.get(..usize::from(*len)).unwrap_or(&[]),
        }
    }
}

impl Text<'_> {
    fn number(value: i64) -> Text<'static> {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value).as_bytes();
        let mut text = [0; 20];
        for (to, from) in text.iter_mut().zip(digits) {
            *to = *from;
        }
        Text::Digits {
            text,
            len: digits.len() as u8,
        }
    }
}

/// The integer that `text` is the one canonical spelling of, if it packs.
fn packable(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let negative = digits.len() != text.len();
    if digits.is_empty() || digits.len() > 18 || (digits[0] == b'0' && text.len() > 1) {
        return None;
    }
    let magnitude = digits.iter().try_fold(0i64, |sum, &b| {
        b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0'))
    })?;
    (magnitude < PACKED_INT_MAX).then_some(if negative { -magnitude } else { magnitude })
}

fn put_text(out: &mut impl Extend<u8>, text: &[u8]) {
    match packable(text) {
        Some(value) => {
            let zigzag = ((value << 1) ^ (value >> 63)) as u64;
            put_varint(out, zigzag << 1 | 1);
        }
        None => {
            put_varint(out, (text.len() as u64) << 1);
            out.extend(text.iter().copied());
        }
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Text<'a> {
    let head = take_varint(rest);
    if head & 1 == 1 {
        let zigzag = head >> 1;
        return Text::number((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
    }
    let length = usize::try_from(head >> 1).unwrap_or(usize::MAX);
    let (text, after) = rest.split_at(length.min(rest.len()));
    *rest = after;
    Text::Bytes(text)
}

fn put_varint(out: &mut impl Extend<u8>, mut value: u64) {
    while value >= 0x80 {
        out.extend([value as u8 | 0x80]);
        value >>= 7;
    }
    out.extend([value as u8]);
}

fn take_varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let Some((&byte, after)) = rest.split_first() else {
            break;
        };
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn varint_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| **b & 0x80 != 0).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_were() {
        for text in [
            &b""[..],
            b"0",
            b"-0",
            b"00",
            b"-1",
            b"1234567",
            b"-999999999999999999",
            b"999999999999999999",
            b"9223372036854775807",
            b"-",
            b"1a",
            b"hello",
            &[b'x'; 5000],
        ] {
            let mut packed = Vec::new();
            put_text(&mut packed, text);
            let mut rest = &packed[..];
            assert_eq!(&*take_text(&mut rest), text);
            assert!(rest.is_empty());
        }
        let mut packed = Vec::new();
        put_text(&mut packed, b"31");
        assert_eq!(packed.len(), 1);
    }

    #[test]
    fn both_directions_agree_and_the_dead_are_skipped() {
        let master = StreamId::new(1000, 7);
        let mut node = Node::new([&b"a"[..], b"b"].into_iter());
        let ids: Vec<StreamId> = (0..90)
            .map(|i| StreamId::new(1000 + i / 3, 7 + i % 3))
            .collect();
        for (i, id) in ids.iter().enumerate() {
            let value = vec![b'v'; i * 3];
            let names = if i % 4 == 3 {
                [&b"x"[..], b"y"]
            } else {
                [&b"a"[..], b"b"]
            };
            node.push(
                master,
                *id,
                [(names[0], &value[..]), (names[1], b"12")].into_iter(),
            );
        }
        for (i, id) in ids.iter().enumerate() {
            if i % 5 != 0 {
                let at = node.find(master, *id).map(|e| e.start).unwrap();
                node.bury(master, at);
            }
        }
        let kept: Vec<StreamId> = ids.iter().copied().step_by(5).collect();
        let mut forward = Vec::new();
        let mut at = node.head();
        while let Some(e) = node.live_from(master, at) {
            assert_eq!(node.fields(&e).len(), 2);
            assert_eq!(node.fields(&e).count(), 2);
            forward.push(e.id);
            at = e.end;
        }
        let mut backward = Vec::new();
        let mut end = node.tail();
        while let Some(e) = node.live_before(master, end) {
            backward.push(e.id);
            end = e.start;
        }
        backward.reverse();
        assert_eq!(forward, kept);
        assert_eq!(backward, kept);
        assert_eq!(node.live(), kept.len());
        assert!(node.dead_bytes as usize <= node.bytes.len() / 2);
    }
}
