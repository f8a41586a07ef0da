//! The entries of a stream, and the counters about them that outlive the entries.
//!
//! Entries lie packed in nodes, and the nodes in a B-tree by the id of the entry that opened them.
//! A deque of nodes would be a little smaller and as quick at the ends, but a deletion in the
//! middle of a stream of a million nodes would move megabytes; here nothing is ever worse than one
//! node and the tree's height.
//!
//! Invariants: no node without a living entry; `len` is the sum of what lives; every id is at most
//! `last_id`; `bytes` is the sum of the nodes'.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::stream_id::{NewId, StreamId};
use crate::stream_node::{Fields, Node};

/// No node, and no entry, grows beyond this, whatever the configuration says.
pub const NODE_BYTES_CAP: usize = 1 << 30;
/// What a node costs in the tree besides its buffer: key, value and the tree's slack.
const NODE_OVERHEAD_BYTES: usize = 80;

/// How full a node gets. Zero means unlimited, up to [`NODE_BYTES_CAP`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// `stream-node-max-bytes`
    pub node_bytes_max: usize,
    /// `stream-node-max-entries`
    pub node_entries_max: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits {
            node_bytes_max: 4096,
            node_entries_max: 100,
        }
    }
}

/// Why an entry was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// `0-0` is below every entry.
    IdZero,
    /// The id is not above the last one.
    IdNotGreater,
    /// The last id is the greatest there can be.
    Exhausted,
    /// The fields would not fit a node.
    TooLarge,
}

/// What trimming keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The newest so many.
    Newest(u64),
    /// Those at or above an id.
    From(StreamId),
}

/// How hard trimming tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// To the entry.
    Exact,
    /// Whole nodes only, and no more than so many entries; 0 is no limit.
    Nodes { entries_max: u64 },
}

/// The figures of a stream that groups reckon with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries there are.
    pub len: u64,
    /// The lowest entry's id, or `0-0`.
    pub first_id: StreamId,
    /// The greatest id ever given.
    pub last_id: StreamId,
    /// The greatest id ever deleted by name, or `0-0`.
    pub max_deleted_id: StreamId,
    /// Entries ever appended.
    pub entries_added: u64,
}

/// One entry, read in place.
#[derive(Clone)]
pub struct StreamEntry<'a> {
    /// Its ID.
    pub id: StreamId,
    /// Names and values, in the order in which they were added.
    pub fields: Fields<'a>,
}

/// The entries of a stream by ID, packed in nodes: O(log n) to find one, O(1) to append.
#[derive(Debug, Default)]
pub struct StreamLog {
    nodes: BTreeMap<StreamId, Node>,
    len: u64,
    bytes: usize,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    /// What has changed is kept in there, where somebody may want it back.
    before: Option<Box<Before>>,
}

/// What a log was at a moment, as far as it has changed since.
#[derive(Debug)]
struct Before {
    len: u64,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    /// The nodes that are not as they were; nothing where there was none.
    nodes: BTreeMap<StreamId, Option<Node>>,
}

impl Clone for StreamLog {
    fn clone(&self) -> Self {
        let nodes = self.nodes.clone();
        StreamLog {
            // A copied buffer has no slack, so its memory is another.
            bytes: nodes.values().map(Node::memory_bytes).sum(),
            nodes,
            before: None,
            ..*self
        }
    }
}

/// Changes that can be taken back.
impl StreamLog {
    /// Keeps what changes from now on, for [`Self::undo_changes`]: a copy of each node before its
    /// first change, and those that are trimmed off.
    pub fn keep_changes(&mut self) {
        let before = Before {
            len: self.len,
            last_id: self.last_id,
            max_deleted_id: self.max_deleted_id,
            entries_added: self.entries_added,
            nodes: BTreeMap::new(),
        };
        self.before.get_or_insert_with(|| Box::new(before));
    }

    /// Makes the log what it was when [`Self::keep_changes`] was called, if it was.
    pub fn undo_changes(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        for (master, node) in before.nodes {
            let added = node.as_ref().map_or(0, Node::memory_bytes);
            let now = match node {
                Some(node) => self.nodes.insert(master, node),
                None => self.nodes.remove(&master),
            };
            self.bytes = self.bytes + added - now.as_ref().map_or(0, Node::memory_bytes);
        }
        self.len = before.len;
        self.last_id = before.last_id;
        self.max_deleted_id = before.max_deleted_id;
        self.entries_added = before.entries_added;
    }

    /// Keeps changes no longer.
    pub fn forget_changes(&mut self) {
        self.before = None;
    }
}

/// Keeps a node that is to change, where that is wanted and it is as it was.
fn keep_node(before: &mut Option<Box<Before>>, master: StreamId, node: &Node) {
    if let Some(before) = before {
        let kept = before.nodes.entry(master);
        kept.or_insert_with(|| Some(node.clone()));
    }
}

impl StreamLog {
    /// Entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True where it has no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The greatest id ever given.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest id deleted by name.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// Entries ever appended.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Nodes, which is what freeing costs.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Heap bytes, slack included.
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.nodes.len() * NODE_OVERHEAD_BYTES
    }

    /// For XSETID and loading. The caller sees to it that no entry is above.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.last_id = id;
    }

    /// For XSETID and loading.
    pub fn set_max_deleted_id(&mut self, id: StreamId) {
        self.max_deleted_id = id;
    }

    /// For XSETID and loading.
    pub fn set_entries_added(&mut self, count: u64) {
        self.entries_added = count;
    }

    /// The entry with the least ID.
    pub fn first(&self) -> Option<StreamEntry<'_>> {
        self.range(StreamId::MIN..=StreamId::MAX).next()
    }

    /// The entry with the greatest ID.
    pub fn last(&self) -> Option<StreamEntry<'_>> {
        self.range_back(StreamId::MIN..=StreamId::MAX).next()
    }

    /// The counters, free of any borrow.
    pub fn counts(&self) -> Counts {
        Counts {
            len: self.len,
            first_id: self.first().map_or(StreamId::MIN, |e| e.id),
            last_id: self.last_id,
            max_deleted_id: self.max_deleted_id,
            entries_added: self.entries_added,
        }
    }

    /// The id that `new` comes to now.
    pub fn resolve(&self, new: NewId, now_ms: u64) -> Result<StreamId, AppendError> {
        if self.last_id == StreamId::MAX {
            return Err(AppendError::Exhausted);
        }
        match new {
            NewId::Auto if now_ms > self.last_id.ms => Ok(StreamId::new(now_ms, 0)),
            NewId::Auto => self.last_id.next().ok_or(AppendError::Exhausted),
            NewId::AutoSeq(ms) if ms == self.last_id.ms => {
                let seq = self.last_id.seq.checked_add(1);
                seq.map(|seq| StreamId::new(ms, seq))
                    .ok_or(AppendError::IdNotGreater)
            }
            NewId::AutoSeq(ms) if ms > self.last_id.ms => Ok(StreamId::new(ms, 0)),
            NewId::AutoSeq(_) => Err(AppendError::IdNotGreater),
            NewId::Exact(StreamId::MIN) => Err(AppendError::IdZero),
            NewId::Exact(id) if id <= self.last_id => Err(AppendError::IdNotGreater),
            NewId::Exact(id) => Ok(id),
        }
    }

    /// Adds an entry at the end, counts it, and answers its id. `fields` are pairs of name and
    /// value, at least one.
    pub fn append<'f>(
        &mut self,
        limits: &StreamLimits,
        new: NewId,
        now_ms: u64,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) -> Result<StreamId, AppendError> {
        let id = self.resolve(new, now_ms)?;
        let added_bytes = fields.clone().fold(0usize, |sum, (n, v)| {
            sum.saturating_add(n.len()).saturating_add(v.len())
        });
        if added_bytes > NODE_BYTES_CAP {
            return Err(AppendError::TooLarge);
        }
        let bytes_max = match limits.node_bytes_max {
            0 => NODE_BYTES_CAP,
            max => max.min(NODE_BYTES_CAP),
        };
        let entries_max = match limits.node_entries_max {
            0 => usize::MAX,
            max => max,
        };
        let mut last = self.nodes.last_entry();
        let full = last.as_mut().is_none_or(|last| {
            let node = last.get_mut();
            let full = node.held() >= entries_max
                || node.bytes_used().saturating_add(added_bytes) >= bytes_max;
            if full {
                self.bytes -= node.memory_bytes();
                node.seal();
                self.bytes += node.memory_bytes();
            }
            full
        });
        match last {
            Some(mut last) if !full => {
                let master = *last.key();
                let node = last.get_mut();
                keep_node(&mut self.before, master, node);
                self.bytes -= node.memory_bytes();
                node.push(master, id, fields);
                self.bytes += node.memory_bytes();
            }
            _ => {
                let mut node = Node::new(fields.clone().map(|(name, _)| name));
                node.push(id, id, fields);
                self.bytes += node.memory_bytes();
                self.nodes.insert(id, node);
                if let Some(before) = &mut self.before {
                    before.nodes.entry(id).or_insert(None);
                }
            }
        }
        self.len += 1;
        self.entries_added = self.entries_added.saturating_add(1);
        self.last_id = id;
        Ok(id)
    }

    /// The entry named `id`.
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        let (master, node) = self.nodes.range(..=id).next_back()?;
        let entry = node.find(*master, id)?;
        Some(StreamEntry {
            id,
            fields: node.fields(&entry),
        })
    }

    /// True where an entry has this ID.
    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// Deletes the entry named `id` and remembers the greatest id so deleted. False where there is
    /// none.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((&master, node)) = self.nodes.range_mut(..=id).next_back() else {
            return false;
        };
        let Some(start) = node.find(master, id).map(|e| e.start) else {
            return false;
        };
        keep_node(&mut self.before, master, node);
        self.bytes -= node.memory_bytes();
        node.bury(master, start);
        if node.live() == 0 {
            self.nodes.remove(&master);
        } else {
            self.bytes += node.memory_bytes();
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        true
    }

    /// Cuts entries off the old end. Answers how many.
    pub fn trim(&mut self, keep: Keep, precision: Precision) -> u64 {
        let before = self.len;
        while let Some(mut first) = self.nodes.first_entry() {
            let master = *first.key();
            let node = first.get_mut();
            let live = node.live() as u64;
            if let Precision::Nodes { entries_max } = precision
                && entries_max > 0
                && before - self.len + live > entries_max
            {
                break;
            }
            let whole = match keep {
                Keep::Newest(count) => self.len - live >= count,
                Keep::From(id) => node
                    .live_before(master, node.tail())
                    .is_none_or(|e| e.id < id),
            };
            if whole {
                self.bytes -= node.memory_bytes();
                self.len -= live;
                let node = first.remove();
                if let Some(before) = &mut self.before {
                    before.nodes.entry(master).or_insert(Some(node));
                }
                continue;
            }
            if precision == Precision::Exact {
                keep_node(&mut self.before, master, node);
                self.bytes -= node.memory_bytes();
                while let Some(entry) = node.live_from(master, node.head()) {
                    let go = match keep {
                        Keep::Newest(count) => self.len > count,
                        Keep::From(id) => entry.id < id,
                    };
                    if !go {
                        break;
                    }
                    let start = entry.start;
                    node.bury(master, start);
                    self.len -= 1;
                }
                self.bytes += node.memory_bytes();
            }
            break;
        }
        before - self.len
    }

    /// The entries with ids in `ids`, lowest first.
    pub fn range(&self, ids: RangeInclusive<StreamId>) -> Forward<'_> {
        let (from, to) = ids.into_inner();
        let mut range = Forward {
            nodes: None,
            at: None,
            from,
            to,
        };
        if from <= to {
            // The node that may hold `from` opened at or before it.
            let opened = self
                .nodes
                .range(..=from)
                .next_back()
                .map_or(from, |(id, _)| *id);
            let mut nodes = self.nodes.range(opened..=to);
            range.at = nodes
                .next()
                .map(|(master, node)| (*master, node, node.head()));
            range.nodes = Some(nodes);
        }
        range
    }

    /// The entries with ids in `ids`, highest first.
    pub fn range_back(&self, ids: RangeInclusive<StreamId>) -> Backward<'_> {
        let (from, to) = ids.into_inner();
        let mut nodes = self.nodes.range(..=to);
        Backward {
            at: nodes
                .next_back()
                .map(|(master, node)| (*master, node, node.tail())),
            nodes,
            from,
            to,
        }
    }
}

type Nodes<'a> = std::collections::btree_map::Range<'a, StreamId, Node>;

/// Entries of a range, lowest first.
#[derive(Clone)]
pub struct Forward<'a> {
    nodes: Option<Nodes<'a>>,
    at: Option<(StreamId, &'a Node, usize)>,
    from: StreamId,
    to: StreamId,
}

impl<'a> Iterator for Forward<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let (master, node, at) = self.at?;
            match node.live_from(master, at) {
                None => self.at = self.nodes.as_mut()?.next().map(|(m, n)| (*m, n, n.head())),
                Some(entry) if entry.id > self.to => self.at = None,
                Some(entry) => {
                    self.at = Some((master, node, entry.end));
                    if entry.id >= self.from {
                        return Some(StreamEntry {
                            id: entry.id,
                            fields: node.fields(&entry),
                        });
                    }
                }
            }
        }
    }
}

/// Entries of a range, highest first.
#[derive(Clone)]
pub struct Backward<'a> {
    nodes: Nodes<'a>,
    at: Option<(StreamId, &'a Node, usize)>,
    from: StreamId,
    to: StreamId,
}

impl<'a> Iterator for Backward<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let (master, node, end) = self.at?;
            match node.live_before(master, end) {
                None => self.at = self.nodes.next_back().map(|(m, n)| (*m, n, n.tail())),
                Some(entry) if entry.id < self.from => self.at = None,
                Some(entry) => {
                    self.at = Some((master, node, entry.start));
                    if entry.id <= self.to {
                        return Some(StreamEntry {
                            id: entry.id,
                            fields: node.fields(&entry),
                        });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
