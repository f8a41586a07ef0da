//! A long list: packed nodes of a few kilobytes, found by index through two levels of arrays that
//! know how many elements they lead to.
//!
//! ```text
//! Quicklist -> chunk | chunk | chunk       at most CHUNK_NODES_MAX nodes a chunk
//!                |
//!                +-> node | node | node    at most ListLimits, or one larger element
//!                      |
//!                      +-> Listpack
//! ```
//!
//! Redis chains its nodes, so an index in the middle of n elements costs a pointer chase over half
//! the nodes. Here it costs a scan of the chunks' counts and one of a chunk's nodes' counts, both
//! dense and from the nearer end: a million short elements are some 700 nodes in 3 chunks (0.7 us
//! measured, most of it inside the node), and a million nodes are 4,000 chunks (0.9 us). A balanced
//! tree would be logarithmic but makes every push and pop, which is what lists are used for, walk
//! its height; here they touch one chunk at the end. No array is longer than the chunks', so that
//! growing one never copies more than 40 bytes per 256 nodes.
//!
//! A node that was a packed list of its own may exceed the limit by its entries' overhead: what was
//! added at once counted as bare text.
//!
//! Invariants: no chunk and no node is empty; the counts of nodes, chunks and list agree;
//! `heap_bytes` is the sum over the nodes. Every change of a node goes through [`Quicklist::edit`],
//! which keeps the sums.

mod elements;

use crate::block_size::block_size;
use std::collections::VecDeque;

use crate::item::Item;
use crate::list::ListLimits;
use crate::listpack::{self, End, Listpack};

pub use elements::Elements;

/// Nodes of a chunk: a scan of four kilobytes at most.
const CHUNK_NODES_MAX: usize = 256;

#[derive(Clone)]
struct Node {
    pack: Listpack,
    len: u32,
}

impl Node {
    fn new(pack: Listpack) -> Self {
        // A listpack counts in 32 bits itself.
        let len = pack.len() as u32;
        Self { pack, len }
    }

    fn single(element: &[u8]) -> Self {
        let mut pack = Listpack::new();
        pack.push_back(element);
        Self::new(pack)
    }

    /// Whether the element may join it.
    #[inline]
    fn admits(&self, element: &[u8], limits: ListLimits) -> bool {
        let bytes = self.pack.byte_len() + element.len() + ENTRY_OVERHEAD;
        !limits.is_large(element.len()) && !limits.exceeded(bytes, self.len as usize + 1)
    }
}

#[derive(Clone, Default)]
struct Chunk {
    nodes: VecDeque<Node>,
    /// Elements of all of them.
    len: usize,
}

/// Which node.
#[derive(Clone, Copy, Debug)]
struct NodeIndex {
    chunk: usize,
    node: usize,
}

/// A long list, as packed nodes in chunks. Limits come with each call, since CONFIG SET changes
/// them under a list.
#[derive(Clone, Default)]
pub struct Quicklist {
    chunks: VecDeque<Chunk>,
    len: usize,
    nodes: usize,
    heap_bytes: usize,
}

impl Quicklist {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many nodes it has.
    pub fn node_count(&self) -> usize {
        self.nodes
    }

    /// Heap memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.heap_bytes + self.chunks_bytes() + block_size(size_of::<Self>())
    }

    /// Memory of the chunks: the first and the last are looked at, those between are taken to be
    /// like the first.
    fn chunks_bytes(&self) -> usize {
        let of = |chunk: &Chunk| block_size(chunk.nodes.capacity() * size_of::<Node>());
        let first = self.chunks.front().map_or(0, of);
        let last = self.chunks.back().map_or(0, of);
        let table = block_size(self.chunks.capacity() * size_of::<Chunk>());
        match self.chunks.len() {
            0 => table,
            1 => table + first,
            len => table + first.max(last) * (len - 2) + first + last,
        }
    }

    /// The nodes' packs, in order.
    pub fn packs(&self) -> impl Iterator<Item = &Listpack> {
        let nodes = self.chunks.iter().flat_map(|chunk| &chunk.nodes);
        nodes.map(|node| &node.pack)
    }

    /// Adds a whole node at the back; an empty pack adds none.
    pub fn push_pack(&mut self, pack: Listpack) {
        if !pack.is_empty() {
            self.push_node(End::Back, Node::new(pack));
        }
    }

    /// Takes the only node's pack out, where there is but one.
    pub fn into_pack(mut self) -> Option<Listpack> {
        if self.nodes != 1 {
            return None;
        }
        let node = self.chunks.front_mut()?.nodes.pop_front()?;
        Some(node.pack)
    }

    pub fn push(&mut self, end: End, element: &[u8], limits: ListLimits) {
        if let Some((chunk_len, node)) = end_node(&mut self.chunks, end)
            && node.admits(element, limits)
        {
            *chunk_len += 1;
            node.len += 1;
            let before = node.pack.memory_bytes();
            match end {
                End::Front => node.pack.push_front(element),
                End::Back => node.pack.push_back(element),
            }
            self.heap_bytes = self.heap_bytes - before + node.pack.memory_bytes();
            self.len += 1;
            return;
        }
        self.push_node(end, Node::single(element));
    }

    pub fn pop_with<T>(&mut self, end: End, read: impl FnOnce(Item<'_>) -> T) -> Option<T> {
        let (chunk_len, node) = end_node(&mut self.chunks, end)?;
        if node.len == 1 {
            let place = self.end_place(end)?;
            return self.edit(place, |pack| pack.pop_with(end, read));
        }
        *chunk_len -= 1;
        node.len -= 1;
        let before = node.pack.memory_bytes();
        let result = node.pack.pop_with(end, read);
        self.heap_bytes = self.heap_bytes - before + node.pack.memory_bytes();
        self.len -= 1;
        result
    }

    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        let (place, offset) = self.find(index)?;
        let pack = &self.node(place)?.pack;
        pack.seek(offset).map(|cursor| pack.get(cursor))
    }

    /// Whether there was an element at `index` to replace.
    pub fn set(&mut self, index: usize, element: &[u8], limits: ListLimits) -> bool {
        let Some((place, offset)) = self.find(index) else {
            return false;
        };
        let Some(node) = self.node(place) else {
            return false;
        };
        let bytes = node.pack.byte_len() + Listpack::entry_len(element);
        let fits = !limits.is_large(element.len()) && !limits.exceeded(bytes, node.pack.len());
        if fits || node.len == 1 {
            self.edit(place, |pack| {
                if let Some(cursor) = pack.seek(offset) {
                    pack.replace(cursor, element);
                }
            });
        } else {
            self.remove_range(index, 1);
            self.insert(index, element, limits);
        }
        true
    }

    /// Puts an element before the one at `index`; at the back if there is none.
    pub fn insert(&mut self, index: usize, element: &[u8], limits: ListLimits) {
        let Some((place, offset)) = self.find(index) else {
            return self.push(End::Back, element, limits);
        };
        if self.admits(place, element, limits) {
            return self.edit(place, |pack| {
                if let Some(cursor) = pack.seek(offset) {
                    pack.insert_before(cursor, element);
                }
            });
        }
        if offset == 0 {
            return match self.before(place) {
                Some(before) if self.admits(before, element, limits) => {
                    self.edit(before, |pack| pack.push_back(element));
                }
                Some(_) => self.insert_node(place, Node::single(element)),
                None => self.push_node(End::Front, Node::single(element)),
            };
        }
        // The node is full: its later part becomes a node of its own, and the element joins the
        // earlier part or stands between.
        let later = self.edit(place, |pack| pack.split_off(offset));
        self.insert_after(place, Node::new(later));
        if self.admits(place, element, limits) {
            self.edit(place, |pack| pack.push_back(element));
        } else {
            self.insert_after(place, Node::single(element));
        }
        self.merge_around(index, limits);
    }

    /// Removes up to `count` elements from `index` on.
    pub fn remove_range(&mut self, index: usize, count: usize) {
        let mut left = count.min(self.len.saturating_sub(index));
        while left > 0 {
            let Some((place, offset)) = self.find(index) else {
                return;
            };
            let before = self.len;
            if offset == 0
                && self
                    .node(place)
                    .is_some_and(|node| node.len as usize <= left)
            {
                self.remove_node(place);
            } else {
                self.edit(place, |pack| pack.remove_range(offset, left));
            }
            left -= before - self.len;
        }
    }

    /// Removes elements equal to `needle`, the first `max` of them from this end; how many.
    pub fn remove_equal(&mut self, needle: &[u8], end: End, max: usize) -> usize {
        let mut removed = 0;
        let mut at = self.end_place(end);
        while let Some(place) = at {
            if removed == max {
                break;
            }
            let nodes = self.nodes;
            removed += self.edit(place, |pack| pack.remove_equal(needle, end, max - removed));
            // A node that vanished lets the next one forward slide into its place, or the next
            // chunk's first.
            at = match end {
                End::Front if self.nodes < nodes => self.settle(place),
                End::Front => self.after(place),
                End::Back => self.before(place),
            };
        }
        removed
    }

    /// The elements from `index` on, towards the other end than `from`.
    pub fn iter_from(&self, index: usize, from: End) -> Elements<'_> {
        let (pack, place) = match self.find(index) {
            Some((place, offset)) => (self.rest_of(place, offset, from), Some(place)),
            None => (EMPTY.iter(), None),
        };
        Elements {
            pack,
            from,
            rest: place.map(|place| (self, place)),
        }
    }

    fn rest_of(&self, place: NodeIndex, offset: usize, from: End) -> listpack::Iter<'_> {
        match (self.node(place), from) {
            (None, _) => EMPTY.iter(),
            (Some(node), End::Front) => node.pack.range(offset..usize::MAX),
            (Some(node), End::Back) => node.pack.range(0..offset.saturating_add(1)),
        }
    }

    fn node(&self, place: NodeIndex) -> Option<&Node> {
        self.chunks.get(place.chunk)?.nodes.get(place.node)
    }

    /// The node of the element at `index`, and the element's index in it.
    fn find(&self, index: usize) -> Option<(NodeIndex, usize)> {
        if index >= self.len {
            return None;
        }
        let lens = self.chunks.iter().map(|chunk| chunk.len);
        let (chunk, index) = descend(lens, index, self.len)?;
        let nodes = &self.chunks.get(chunk)?.nodes;
        let lens = nodes.iter().map(|node| node.len as usize);
        let (node, index) = descend(lens, index, self.chunks.get(chunk)?.len)?;
        Some((NodeIndex { chunk, node }, index))
    }

    fn end_place(&self, end: End) -> Option<NodeIndex> {
        Some(match end {
            End::Front => {
                self.chunks.front()?;
                NodeIndex { chunk: 0, node: 0 }
            }
            End::Back => NodeIndex {
                chunk: self.chunks.len().checked_sub(1)?,
                node: self.chunks.back()?.nodes.len().checked_sub(1)?,
            },
        })
    }

    fn before(&self, place: NodeIndex) -> Option<NodeIndex> {
        if let Some(node) = place.node.checked_sub(1) {
            return Some(NodeIndex { node, ..place });
        }
        let chunk = place.chunk.checked_sub(1)?;
        let node = self.chunks.get(chunk)?.nodes.len().checked_sub(1)?;
        Some(NodeIndex { chunk, node })
    }

    fn after(&self, place: NodeIndex) -> Option<NodeIndex> {
        self.settle(NodeIndex {
            node: place.node + 1,
            ..place
        })
    }

    /// This place, or the next chunk's first where it is one past the end of its chunk.
    fn settle(&self, place: NodeIndex) -> Option<NodeIndex> {
        if self.node(place).is_some() {
            return Some(place);
        }
        // A chunk that vanished has been followed into its own index by the next.
        let chunk = place.chunk + usize::from(place.node > 0);
        let first = NodeIndex { chunk, node: 0 };
        self.node(first).is_some().then_some(first)
    }

    fn admits(&self, place: NodeIndex, element: &[u8], limits: ListLimits) -> bool {
        let node = self.node(place);
        node.is_some_and(|node| node.admits(element, limits))
    }

    /// Changes a node and brings the sums up to date; an emptied node goes. The place must exist.
    fn edit<T>(&mut self, place: NodeIndex, change: impl FnOnce(&mut Listpack) -> T) -> T {
        let chunk = &mut self.chunks[place.chunk];
        let node = &mut chunk.nodes[place.node];
        let (len, bytes) = (node.len as usize, node.pack.memory_bytes());
        let result = change(&mut node.pack);
        let new_len = node.pack.len();
        node.len = new_len as u32;
        chunk.len = chunk.len - len + new_len;
        self.len = self.len - len + new_len;
        self.heap_bytes = self.heap_bytes - bytes + node.pack.memory_bytes();
        if new_len == 0 {
            self.remove_node(place);
        }
        result
    }

    fn remove_node(&mut self, place: NodeIndex) -> Option<Node> {
        let chunk = self.chunks.get_mut(place.chunk)?;
        let node = chunk.nodes.remove(place.node)?;
        chunk.len -= node.len as usize;
        self.len -= node.len as usize;
        self.heap_bytes -= node.pack.memory_bytes();
        self.nodes -= 1;
        if chunk.nodes.is_empty() {
            self.chunks.remove(place.chunk);
        }
        Some(node)
    }

    fn push_node(&mut self, end: End, node: Node) {
        let chunk = match end {
            End::Front => self.chunks.front(),
            End::Back => self.chunks.back(),
        };
        // A full chunk at an end is left full: splitting it would leave a queue with half-filled
        // chunks all along.
        if chunk.is_none_or(|chunk| chunk.nodes.len() == CHUNK_NODES_MAX) {
            match end {
                End::Front => self.chunks.push_front(Chunk::default()),
                End::Back => self.chunks.push_back(Chunk::default()),
            }
        }
        let place = match end {
            End::Front => NodeIndex { chunk: 0, node: 0 },
            End::Back => {
                let chunk = self.chunks.len() - 1;
                let node = self.chunks[chunk].nodes.len();
                NodeIndex { chunk, node }
            }
        };
        self.insert_node(place, node);
    }

    /// Puts a node after the one at `place`, which stays where it is.
    fn insert_after(&mut self, place: NodeIndex, node: Node) {
        let Some(chunk) = self.chunks.get_mut(place.chunk) else {
            return;
        };
        if chunk.nodes.len() == CHUNK_NODES_MAX {
            let nodes = chunk.nodes.split_off(place.node + 1);
            let len = nodes.iter().map(|node| node.len as usize).sum();
            chunk.len -= len;
            if !nodes.is_empty() {
                self.chunks.insert(place.chunk + 1, Chunk { nodes, len });
            }
        }
        if place.node + 1 == CHUNK_NODES_MAX {
            // The chunk is still full: the node starts the next one, or one between.
            self.chunks.insert(place.chunk + 1, Chunk::default());
            let place = NodeIndex {
                chunk: place.chunk + 1,
                node: 0,
            };
            return self.insert_node(place, node);
        }
        let place = NodeIndex {
            node: place.node + 1,
            ..place
        };
        self.insert_node(place, node);
    }

    /// Puts a node before the one at `place`, or behind the last of its chunk.
    fn insert_node(&mut self, mut place: NodeIndex, node: Node) {
        if self.chunks[place.chunk].nodes.len() == CHUNK_NODES_MAX {
            let half = CHUNK_NODES_MAX / 2;
            let chunk = &mut self.chunks[place.chunk];
            let nodes = chunk.nodes.split_off(half);
            let len = nodes.iter().map(|node| node.len as usize).sum();
            chunk.len -= len;
            self.chunks.insert(place.chunk + 1, Chunk { nodes, len });
            if place.node > half {
                place = NodeIndex {
                    chunk: place.chunk + 1,
                    node: place.node - half,
                };
            }
        }
        let chunk = &mut self.chunks[place.chunk];
        chunk.len += node.len as usize;
        self.len += node.len as usize;
        self.heap_bytes += node.pack.memory_bytes();
        self.nodes += 1;
        chunk.nodes.insert(place.node, node);
    }

    /// Joins the node of `index` with the one after and the one before it, where two fit in one.
    fn merge_around(&mut self, index: usize, limits: ListLimits) {
        for _ in 0..2 {
            let Some((place, _)) = self.find(index) else {
                return;
            };
            if !self.merge_with_next(place, limits)
                && let Some(before) = self.before(place)
            {
                self.merge_with_next(before, limits);
            }
        }
    }

    fn merge_with_next(&mut self, place: NodeIndex, limits: ListLimits) -> bool {
        let Some(next) = self.after(place) else {
            return false;
        };
        let (Some(a), Some(b)) = (self.node(place), self.node(next)) else {
            return false;
        };
        let bytes = a.pack.byte_len() + b.pack.byte_len() - Listpack::FRAME;
        if limits.exceeded(bytes, a.pack.len() + b.pack.len()) {
            return false;
        }
        let Some(second) = self.remove_node(next) else {
            return false;
        };
        self.edit(place, |first| first.append(second.pack));
        true
    }

    #[cfg(test)]
    pub(crate) fn assert_sound(&self, limits: ListLimits) {
        let mut totals = (0, 0, 0);
        for chunk in &self.chunks {
            assert!((1..=CHUNK_NODES_MAX).contains(&chunk.nodes.len()));
            let len: usize = chunk.nodes.iter().map(|node| node.len as usize).sum();
            assert_eq!(chunk.len, len);
            totals.0 += len;
            totals.1 += chunk.nodes.len();
            for node in &chunk.nodes {
                assert!(node.len > 0);
                assert_eq!(node.len as usize, node.pack.len());
                totals.2 += node.pack.memory_bytes();
                let text = node.pack.iter().map(Item::text_len).sum();
                let fits = !limits.exceeded(text, node.pack.len());
                assert!(fits || node.len == 1);
            }
        }
        assert_eq!(totals, (self.len, self.nodes, self.heap_bytes));
    }
}

/// The node at an end, and the count of its chunk. The list's own counts are yet to be brought up
/// to date by whoever changes it.
#[inline]
fn end_node(chunks: &mut VecDeque<Chunk>, end: End) -> Option<(&mut usize, &mut Node)> {
    let chunk = match end {
        End::Front => chunks.front_mut(),
        End::Back => chunks.back_mut(),
    }?;
    let node = match end {
        End::Front => chunk.nodes.front_mut(),
        End::Back => chunk.nodes.back_mut(),
    }?;
    Some((&mut chunk.len, node))
}

/// What Redis takes an entry to need beside its text when it judges whether a node has room.
const ENTRY_OVERHEAD: usize = 8;

static EMPTY: Listpack = Listpack::new();

/// Which of the parts holds the element at `index` of `len`, and its index in that part, counting
/// from the nearer end.
fn descend(
    lens: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator,
    index: usize,
    len: usize,
) -> Option<(usize, usize)> {
    if index < len / 2 {
        let mut index = index;
        for (part, part_len) in lens.enumerate() {
            if index < part_len {
                return Some((part, index));
            }
            index -= part_len;
        }
    } else {
        let mut start = len;
        for (part, part_len) in lens.enumerate().rev() {
            start -= part_len;
            if index >= start {
                return Some((part, index - start));
            }
        }
    }
    None
}
