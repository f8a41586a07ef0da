//! The replies a connection waits for, in the order of its commands.
//!
//! Every command whose reply is not at once at the end of the output takes the next sequence number and a slot. Replies come back in any
//! order; those at the front go straight into the output, the others are held in one arena until those before them have come. The arena
//! is emptied whenever the ring is, so holding a reply costs no allocation of its own.

use std::collections::VecDeque;

/// Commands of one connection that may wait at a time; beyond it the connection stops running its input.
pub const PENDING_SLOTS_MAX: usize = 4096;

/// Bytes of replies held out of order at a time; beyond it the connection stops running its input.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// An arena larger than this is freed when the ring empties.
const HELD_KEPT_BYTES_MAX: usize = 16 * 1024;

/// One command's reply.
#[derive(Clone, Copy)]
enum PendingSlot {
    /// Not here yet.
    Waiting,
    /// Not here yet, and the client does not want it (CLIENT REPLY).
    Muted,
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
        self.slots.len() >= PENDING_SLOTS_MAX || self.held.len() >= HELD_BYTES_MAX
    }

    /// Takes the next sequence number and its slot.
    pub fn wait(&mut self, muted: bool) -> u32 {
        let seq = self.front_seq.wrapping_add(self.slots.len() as u32);
        self.slots.push_back(if muted {
            PendingSlot::Muted
        } else {
            PendingSlot::Waiting
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

    /// Folds a reply into its slot and appends to `out` all that is complete at the front. False where no such slot waits.
    pub fn fold(&mut self, seq: u32, reply: &[u8], out: &mut Vec<u8>) -> bool {
        let position = seq.wrapping_sub(self.front_seq) as usize;
        let Some(slot) = self.slots.get_mut(position) else {
            return false;
        };
        let muted = match slot {
            PendingSlot::Waiting => false,
            PendingSlot::Muted => true,
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
            self.pop();
        }
        if self.slots.is_empty() {
            self.held.clear();
            if self.held.capacity() > HELD_KEPT_BYTES_MAX {
                self.held = Vec::new();
            }
        }
        true
    }

    /// Writes something that is no reply behind the last reply that is here: into the arena, or into `out` where all that are here are there.
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

    #[test]
    fn what_is_pushed_comes_behind_the_replies_that_are_here() {
        let mut pending = Pending::default();
        let mut out = Vec::new();
        let push = |pending: &mut Pending, out: &mut Vec<u8>, text: &[u8]| {
            pending.push(out, |to| to.extend_from_slice(text));
        };
        push(&mut pending, &mut out, b"1");
        let a = pending.wait(false);
        push(&mut pending, &mut out, b"2");
        assert_eq!(out, b"12", "nothing that waits holds it up");
        let b = pending.wait(false);
        let c = pending.wait(false);
        let d = pending.wait(false);
        let e = pending.wait(true);
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
        let a = pending.wait(false);
        let b = pending.wait(true);
        let c = pending.wait(false);
        pending.hold(|held| held.extend_from_slice(b"d"));
        let e = pending.wait(false);
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
}
