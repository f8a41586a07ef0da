//! The replies a connection waits for, in the order of its commands.
//!
//! Every command whose reply is not at once at the end of the output takes the next sequence number
//! and a slot. Replies come back in any order; those at the front go straight into the output, the
//! others are held in one arena until those before them have come. The arena is emptied whenever
//! the ring is, so holding a reply costs no allocation of its own. Where much has left it before
//! that, it is packed.

use std::collections::VecDeque;

use engine::slot::ShardId;

/// Commands of one connection that may wait at a time; beyond it the connection stops running its
/// input.
pub const PENDING_SLOTS_MAX: usize = 4096;

/// Bytes of replies held out of order at a time; beyond it the connection stops running its input.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// An arena larger than this is freed when the ring empties.
const HELD_KEPT_BYTES_MAX: usize = 16 * 1024;

/// Bytes that have left the arena from which on it is packed, if they are also more than what is
/// left.
const PACKED_BYTES_MIN: usize = 64 * 1024;

/// One command's reply.
#[derive(Clone, Copy)]
enum PendingSlot {
    /// Not here yet, but on this shard or on its way from it.
    Waiting(ShardId),
    /// Its reply is to come, and the client does not want it (CLIENT REPLY).
    Muted(ShardId),
    /// Here, behind one that is not.
    Held { start: usize, len: usize },
}

/// The ring of slots.
#[derive(Default)]
pub struct Pending {
    slots: VecDeque<PendingSlot>,
    /// Sequence number of the slot at the front; it wraps.
    front_seq: u32,
    held: Vec<u8>,
    /// Bytes of `held` that have gone to the output already.
    left_bytes: usize,
}

impl Pending {
    /// Whether the next reply may go straight to the output.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Commands that wait.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The sequence number that comes next.
    pub fn end_seq(&self) -> u32 {
        self.front_seq.wrapping_add(self.slots.len() as u32)
    }

    /// Whether no slot before `seq` waits any more; `seq` was an end not long ago.
    pub fn is_past(&self, seq: u32) -> bool {
        seq.wrapping_sub(self.front_seq).cast_signed() <= 0
    }

    /// Whether the connection must let replies come in before it runs more.
    pub fn is_full(&self) -> bool {
        self.slots.len() >= PENDING_SLOTS_MAX || self.held_bytes() >= HELD_BYTES_MAX
    }

    /// Bytes of replies that wait for those before them.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        self.held.len() - self.left_bytes
    }

    /// The shard from which the first reply is to come.
    pub fn front_owner(&self) -> Option<ShardId> {
        match self.slots.front()? {
            PendingSlot::Waiting(owner) | PendingSlot::Muted(owner) => Some(*owner),
            PendingSlot::Held { .. } => None,
        }
    }

    /// Takes the next sequence number and its slot, for a reply that comes from `owner`.
    pub fn wait(&mut self, owner: ShardId, muted: bool) -> u32 {
        let seq = self.front_seq.wrapping_add(self.slots.len() as u32);
        self.slots.push_back(if muted {
            PendingSlot::Muted(owner)
        } else {
            PendingSlot::Waiting(owner)
        });
        seq
    }

    /// Holds a reply that is known already, behind those that wait: `write` appends it.
    pub fn hold(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(!self.slots.is_empty());
        let start = self.held.len();
        write(&mut self.held);
        self.slots.push_back(PendingSlot::Held {
            start,
            len: self.held.len() - start,
        });
    }

    /// Folds a reply into its slot and appends to `out` all that is complete at the front. False
    /// where no such slot waits.
    pub fn fold(&mut self, seq: u32, reply: &[u8], out: &mut Vec<u8>) -> bool {
        let position = seq.wrapping_sub(self.front_seq) as usize;
        let Some(slot) = self.slots.get_mut(position) else {
            return false;
        };
        let muted = match slot {
            PendingSlot::Waiting(_) => false,
            PendingSlot::Muted(_) => true,
            PendingSlot::Held { .. } => return false,
        };
        if position > 0 {
            let start = self.held.len();
            let len = if muted { 0 } else { reply.len() };
            self.held.extend_from_slice(&reply[..len]);
            *slot = PendingSlot::Held { start, len };
            return true;
        }
        if !muted {
            out.extend_from_slice(reply);
        }
        self.pop();
        while let Some(&PendingSlot::Held { start, len }) = self.slots.front() {
            out.extend_from_slice(&self.held[start..start + len]);
            self.left_bytes += len;
            self.pop();
        }
        if self.slots.is_empty() {
            self.held.clear();
            self.left_bytes = 0;
            if self.held.capacity() > HELD_KEPT_BYTES_MAX {
                self.held = Vec::new();
            }
        } else if self.left_bytes > PACKED_BYTES_MIN.max(self.held_bytes()) {
            self.pack();
        }
        true
    }

    /// Frees what has left the arena.
    #[cold]
    fn pack(&mut self) {
        let mut packed = Vec::with_capacity(self.held_bytes());
        for slot in &mut self.slots {
            if let PendingSlot::Held { start, len } = slot {
                let from = std::mem::replace(start, packed.len());
                packed.extend_from_slice(&self.held[from..from + *len]);
            }
        }
        self.held = packed;
        self.left_bytes = 0;
    }

    /// Writes something that is no reply behind the last reply that is here: into the arena, or
    /// into `out` where all that are here are there.
    pub fn push(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let is_held = |slot: &PendingSlot| matches!(slot, PendingSlot::Held { .. });
        let last = self.slots.iter().rposition(is_held);
        let Some(PendingSlot::Held { start, len }) = last.map(|at| &mut self.slots[at]) else {
            return write(out);
        };
        if *start + *len < self.held.len() {
            // Others have come into the arena behind it: it goes to the end, to grow there.
            let moved = self.held.len();
            self.held.extend_from_within(*start..*start + *len);
            self.left_bytes += *len;
            *start = moved;
        }
        write(&mut self.held);
        *len = self.held.len() - *start;
    }

    fn pop(&mut self) {
        self.slots.pop_front();
        self.front_seq = self.front_seq.wrapping_add(1);
    }

    /// Frees what an idle connection need not keep.
    pub fn shrink(&mut self) {
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
            self.held = Vec::new();
        }
    }

    /// Bytes of memory in use.
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<PendingSlot>() + self.held.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardId = ShardId::FIRST;

    #[test]
    fn what_is_pushed_comes_behind_the_replies_that_are_here() {
        let mut pending = Pending::default();
        let mut out = Vec::new();
        let push = |pending: &mut Pending, out: &mut Vec<u8>, text: &[u8]| {
            pending.push(out, |to| to.extend_from_slice(text));
        };
        push(&mut pending, &mut out, b"1");
        let a = pending.wait(SHARD, false);
        push(&mut pending, &mut out, b"2");
        assert_eq!(out, b"12", "nothing that waits holds it up");
        let b = pending.wait(SHARD, false);
        let c = pending.wait(SHARD, false);
        let d = pending.wait(SHARD, false);
        let e = pending.wait(SHARD, true);
        assert!(pending.fold(c, b"c", &mut out) && pending.fold(b, b"b", &mut out));
        push(&mut pending, &mut out, b"3");
        push(&mut pending, &mut out, b"4");
        assert!(pending.fold(e, b"e", &mut out));
        push(&mut pending, &mut out, b"5");
        assert_eq!(out, b"12");
        assert!(pending.fold(a, b"a", &mut out));
        assert_eq!(out, b"12abc34");
        push(&mut pending, &mut out, b"6");
        assert!(pending.fold(d, b"d", &mut out));
        assert_eq!(out, b"12abc34d56");
        assert!(pending.is_empty() && pending.held.is_empty());
    }

    #[test]
    fn replies_leave_in_the_order_of_their_commands() {
        let mut pending = Pending::default();
        let mut out = Vec::new();
        // The ring must survive the wrap of its sequence numbers.
        pending.front_seq = u32::MAX - 1;
        let a = pending.wait(SHARD, false);
        let b = pending.wait(SHARD, true);
        let c = pending.wait(SHARD, false);
        pending.hold(|held| held.extend_from_slice(b"d"));
        let e = pending.wait(SHARD, false);
        assert!(pending.fold(c, b"c", &mut out));
        assert!(pending.fold(b, b"b", &mut out));
        assert!(out.is_empty());
        assert!(!pending.fold(c, b"again", &mut out));
        assert!(pending.fold(a, b"a", &mut out));
        assert_eq!(out, b"acd");
        assert_eq!(pending.len(), 1);
        assert!(pending.fold(e, b"e", &mut out));
        assert_eq!(out, b"acde");
        assert!(pending.is_empty() && pending.held.is_empty());
        assert!(!pending.fold(e, b"late", &mut out));
    }

    #[test]
    fn what_has_left_the_arena_is_freed_while_others_wait() {
        const REPLY_BYTES: usize = 10_000;
        let mut pending = Pending::default();
        let mut out = Vec::new();
        let mut expected = Vec::new();
        let mut seqs: VecDeque<u32> = (0..8).map(|_| pending.wait(SHARD, false)).collect();
        for round in 0..100_u8 {
            // The later reply comes before the one in front, and the ring never empties.
            let reply = |which: u8| vec![which; REPLY_BYTES];
            let (first, second) = (seqs[0], seqs[1]);
            assert!(pending.fold(second, &reply(round), &mut out));
            assert_eq!(pending.held_bytes(), REPLY_BYTES);
            assert_eq!(pending.front_owner(), Some(SHARD));
            assert!(pending.fold(first, &reply(!round), &mut out));
            assert_eq!(pending.held_bytes(), 0);
            expected.extend(reply(!round).into_iter().chain(reply(round)));
            seqs.drain(..2);
            seqs.extend([pending.wait(SHARD, false), pending.wait(SHARD, false)]);
            assert!(pending.held.len() <= PACKED_BYTES_MIN + 2 * REPLY_BYTES);
        }
        assert!(out == expected);
    }
}
