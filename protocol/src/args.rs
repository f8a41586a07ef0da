//! The arguments of one command, verb first.
//!
//! An argument is a [`Span`] of the command's own bytes, as they came off the wire, so that a local
//! command copies nothing and a command for another shard travels as one memcpy of bytes and spans.
//! A large argument has a buffer of its own ([`Bytes`]), which is shared from the socket to the
//! keyspace; its span names that buffer by index.
//!
//! Invariant: every span of an [`Args`] lies inside its bytes or names one of its large buffers.
//! The parser makes them so, and [`OwnedArgs::from_parts`] too.

use std::ops::Index;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::resp::encode;
use crate::resp::parse::LARGE_ARG_BYTES;

/// Where one argument lies: in the command's own bytes, or in a buffer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The offset from the command's first byte, or [`Span::LARGE`].
    start: u32,
    /// The length in bytes; of a large argument, its index among the large ones.
    len: u32,
}

impl Span {
    /// The start that marks an argument in a buffer of its own. No argument starts so far into a
    /// command's own bytes.
    const LARGE: u32 = u32::MAX;

    /// The largest offset at which an argument in a command's own bytes may end.
    pub const END_MAX: usize = (u32::MAX - 1) as usize;

    /// `len` bytes at offset `start` of the command. None where the end lies beyond
    /// [`Span::END_MAX`].
    #[inline]
    pub fn within(start: usize, len: usize) -> Option<Self> {
        if start.checked_add(len)? > Self::END_MAX {
            return None;
        }
        // Both fit: their sum does.
        Some(Span {
            start: u32::try_from(start).ok()?,
            len: u32::try_from(len).ok()?,
        })
    }

    /// The large argument number `index`. None where there can be no so many.
    #[inline]
    pub fn large(index: usize) -> Option<Self> {
        Some(Span {
            start: Self::LARGE,
            len: u32::try_from(index).ok()?,
        })
    }

    /// The index among the large arguments; None where the argument lies in the command's own
    /// bytes.
    #[inline]
    fn large_index(self) -> Option<usize> {
        (self.start == Self::LARGE).then_some(self.len as usize)
    }
}

/// The arguments of one command, verb first, borrowed: most often straight from a connection's read
/// buffer.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    large: &'a [Bytes],
}

impl<'a> Args<'a> {
    /// The arguments that `spans` mark in `bytes` and `large`. A span outside of them reads as
    /// absent.
    #[inline]
    pub fn new(bytes: &'a [u8], spans: &'a [Span], large: &'a [Bytes]) -> Self {
        Args {
            bytes,
            spans,
            large,
        }
    }

    /// How many arguments, the verb included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True of no command that the parser hands out.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`, where 0 is the verb; None past the last.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.resolve(*self.spans.get(i)?)
    }

    /// All arguments in order, verb first.
    #[inline]
    pub fn iter(&self) -> Iter<'a> {
        Iter {
            args: *self,
            next: 0,
        }
    }

    /// The arguments from number `from` on, as a list of their own: what stands behind a
    /// container's word, say. Empty where `from` lies past the last.
    #[inline]
    pub fn tail(&self, from: usize) -> Args<'a> {
        Args {
            spans: self.spans.get(from..).unwrap_or_default(),
            ..*self
        }
    }

    /// The first `len` arguments, as a list of their own. All where there are fewer.
    #[inline]
    pub fn head(&self, len: usize) -> Args<'a> {
        Args {
            spans: self.spans.get(..len).unwrap_or(self.spans),
            ..*self
        }
    }

    /// An owned copy of argument `i`; a large one is shared and not copied.
    ///
    /// # Panics
    /// Where there is no argument `i`, as indexing does: the arity was checked before.
    pub fn to_bytes(&self, i: usize) -> Bytes {
        match self.spans[i].large_index() {
            Some(index) => self.large[index].clone(),
            None => Bytes::copy_from_slice(&self[i]),
        }
    }

    /// True where [`Args::to_bytes`] of argument `i` shares the buffer and copies nothing.
    #[inline]
    pub fn is_large(&self, i: usize) -> bool {
        self.spans
            .get(i)
            .is_some_and(|span| span.large_index().is_some())
    }

    /// The command's own bytes, to ship it elsewhere whole.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The spans, verb first.
    #[inline]
    pub fn spans(&self) -> &'a [Span] {
        self.spans
    }

    /// The buffers of large arguments.
    #[inline]
    pub fn large(&self) -> &'a [Bytes] {
        self.large
    }

    /// Appends the command to `out` as a client would send it: an array of bulk strings.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        encode::command(out, self.iter());
    }

    #[inline]
    fn resolve(&self, span: Span) -> Option<&'a [u8]> {
        match span.large_index() {
            None => {
                let start = span.start as usize;
                self.bytes.get(start..start + span.len as usize)
            }
            Some(index) => self.large.get(index).map(|bytes| &bytes[..]),
        }
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    /// Argument `i`. The arity was checked before a handler runs, so that it may index what the
    /// arity promises.
    #[inline]
    fn index(&self, i: usize) -> &[u8] {
        match self.get(i) {
            Some(arg) => arg,
            None => panic!("argument {i} of a command with {}", self.len()),
        }
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|arg| arg.escape_ascii().to_string()))
            .finish()
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The arguments of a command in order.
#[derive(Clone)]
pub struct Iter<'a> {
    args: Args<'a>,
    next: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        Some(arg)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.args.len().saturating_sub(self.next);
        (left, Some(left))
    }

    #[inline]
    fn nth(&mut self, n: usize) -> Option<&'a [u8]> {
        self.next = self.next.saturating_add(n);
        self.next()
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// A command that outlives the buffer it came in: queued by MULTI, or waiting for a locked key.
#[derive(Clone)]
pub struct OwnedArgs {
    bytes: Box<[u8]>,
    spans: SmallVec<[Span; 4]>,
    large: Vec<Bytes>,
}

impl OwnedArgs {
    /// The arguments, to run the command.
    #[inline]
    pub fn borrow(&self) -> Args<'_> {
        Args {
            bytes: &self.bytes,
            spans: &self.spans,
            large: &self.large,
        }
    }

    /// A command of these arguments, verb first.
    pub fn from_parts<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut bytes = Vec::new();
        let mut spans = SmallVec::new();
        let mut large = Vec::new();
        for part in parts {
            let span = match Span::within(bytes.len(), part.len()) {
                Some(span) if part.len() < LARGE_ARG_BYTES => {
                    bytes.extend_from_slice(part);
                    span
                }
                _ => {
                    large.push(Bytes::copy_from_slice(part));
                    // Four thousand million buffers do not fit a machine.
                    Span::large(large.len() - 1).expect("fewer large arguments than u32::MAX")
                }
            };
            spans.push(span);
        }
        OwnedArgs {
            bytes: bytes.into_boxed_slice(),
            spans,
            large,
        }
    }

    /// A command of some of these arguments; large ones are shared.
    ///
    /// # Panics
    /// Where there is no argument of such a number.
    pub fn select(args: &Args<'_>, which: impl Iterator<Item = usize> + Clone) -> Self {
        let is_small = |at: &usize| !args.is_large(*at);
        let length = which.clone().filter(is_small).map(|at| args[at].len());
        let mut bytes = Vec::with_capacity(length.sum());
        let mut spans = SmallVec::with_capacity(which.clone().count());
        let mut large = Vec::new();
        for at in which {
            let span = if args.is_large(at) {
                large.push(args.to_bytes(at));
                Span::large(large.len() - 1)
            } else {
                let start = bytes.len();
                bytes.extend_from_slice(&args[at]);
                Span::within(start, bytes.len() - start)
            };
            // They fitted before, and no argument is named more often than it was then.
            spans.push(span.expect("no longer than it was"));
        }
        OwnedArgs {
            bytes: bytes.into_boxed_slice(),
            spans,
            large,
        }
    }

    /// Bytes of memory this command holds, for the bound on what a connection may queue.
    pub fn memory_bytes(&self) -> usize {
        let spans = if self.spans.spilled() {
            self.spans.capacity() * size_of::<Span>()
        } else {
            0
        };
        let large: usize = self.large.iter().map(Bytes::len).sum();
        size_of::<Self>()
            + self.bytes.len()
            + spans
            + self.large.capacity() * size_of::<Bytes>()
            + large
    }
}

impl From<&Args<'_>> for OwnedArgs {
    fn from(args: &Args<'_>) -> Self {
        OwnedArgs {
            bytes: args.bytes.into(),
            spans: SmallVec::from_slice(args.spans),
            large: args.large.to_vec(),
        }
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        OwnedArgs::from(&args)
    }
}

impl std::fmt::Debug for OwnedArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.borrow().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back_and_large_ones_are_shared() {
        let big = vec![7u8; LARGE_ARG_BYTES];
        let owned = OwnedArgs::from_parts([b"SET".as_slice(), b"", &big]);
        let args = owned.borrow();
        assert_eq!(args.len(), 3);
        assert_eq!(&args[0], b"SET");
        assert_eq!(&args[1], b"");
        assert_eq!(args.get(2), Some(&big[..]));
        assert_eq!(args.get(3), None);
        assert!(args.is_large(2) && !args.is_large(1) && !args.is_large(3));
        assert_eq!(args.to_bytes(2).as_ptr(), args[2].as_ptr());
        assert_ne!(args.to_bytes(0).as_ptr(), args[0].as_ptr());
        let copy = OwnedArgs::from(&args);
        assert_eq!(copy.borrow().to_bytes(2).as_ptr(), args[2].as_ptr());
        assert!(copy.memory_bytes() > LARGE_ARG_BYTES);
    }

    #[test]
    fn some_arguments_are_a_command_of_their_own() {
        let big = vec![7u8; LARGE_ARG_BYTES];
        let owned = OwnedArgs::from_parts([b"MSET".as_slice(), b"a", &big, b"b", b"x", b"c", b""]);
        let args = owned.borrow();
        let part = OwnedArgs::select(&args, [0, 1, 2, 5, 6].into_iter());
        let part = part.borrow();
        assert!(part.iter().eq([b"MSET".as_slice(), b"a", &big, b"c", b""]));
        assert_eq!(part.to_bytes(2).as_ptr(), args[2].as_ptr());
    }

    #[test]
    fn iterates_with_an_exact_length() {
        let owned = OwnedArgs::from_parts([b"a".as_slice(), b"b", b"c"]);
        let args = owned.borrow();
        let mut iter = args.iter();
        assert_eq!(iter.len(), 3);
        assert_eq!(iter.nth(1), Some(&b"b"[..]));
        assert_eq!(iter.clone().collect::<Vec<_>>(), [b"c"]);
        assert_eq!(iter.len(), 1);
        assert_eq!(args.tail(1).iter().collect::<Vec<_>>(), [b"b", b"c"]);
        assert!(args.tail(9).is_empty());
    }

    #[test]
    fn spans_know_their_bounds() {
        assert!(Span::within(Span::END_MAX, 0).is_some());
        assert!(Span::within(Span::END_MAX, 1).is_none());
        assert!(Span::within(usize::MAX, 1).is_none());
        let args = Args::new(b"ab", &[Span { start: 1, len: 9 }], &[]);
        assert_eq!(args.get(0), None);
    }

    #[test]
    fn encodes_as_a_client_would() {
        let mut out = Vec::new();
        OwnedArgs::from_parts([b"GET".as_slice(), b"k"])
            .borrow()
            .encode_into(&mut out);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
