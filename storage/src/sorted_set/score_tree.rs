//! The score B+tree of a large sorted set: by score, then by name. It counts what lies under each
//! branch.
//!
//! ```text
//! branch   first, count, node | first, count, node | ...     up to BRANCH_LEN_MAX children
//!                         |
//! leaf     member member member ...            up to LEAF_LEN_MAX, with slack at either end
//!
//! member   score, block of its entry           16 bytes; names are read where scores are equal
//! ```
//!
//! Every operation goes down three or four nodes, of which all but the leaf stay in the processor's
//! caches; ranks are sums of counts on the way. A treap over one dense array of members was here
//! before: it took as much memory, missed the cache at each of some twenty steps, and its array was
//! copied as a whole when it grew. A set that fills in order has full leaves, one that fills at
//! random has them two thirds full.
//!
//! Names belong to the table beside the tree ([`super::index`]); the tree only points to them.
//! Hence the unsafe code: a [`Scored`] is good as long as its entry stands in the table, which
//! whoever inserts it promises.
//!
//! Invariants: no node is empty; a child's count is that of the members under it; its `first`
//! equals the first of these, but in the first child of a branch, whose `first` nobody looks at.

#![allow(unsafe_code)]

use std::slice;

use smallvec::SmallVec;

use super::score_leaf::{LEAF_LEN_MAX, Leaf, LeafWalk, Scored, count_before};
use super::{Direction, Score};
use crate::block_size::block_size;

/// Children of a branch.
const BRANCH_LEN_MAX: usize = 64;
/// A node with fewer than this looks for a neighbour to join.
const NODE_LEN_MIN: usize = 16;
/// Two nodes join when they have no more than this together, so that a few inserts do not part them
/// again.
const JOINED_LEN_MAX: usize = 48;

enum Node {
    Leaf(Leaf),
    Branch(Vec<Child>),
}

struct Child {
    first: Scored,
    /// Members under it.
    count: u32,
    node: Node,
}

/// Members by score and name. At most `u32::MAX` of them, which take more memory than a shard has.
#[derive(Default)]
pub(crate) struct ScoreTree {
    root: Vec<Child>,
}

impl Child {
    /// A leaf that is not empty.
    fn leaf(leaf: Leaf) -> Self {
        Self {
            first: leaf.members()[0],
            count: leaf.len() as u32,
            node: Node::Leaf(leaf),
        }
    }

    /// A branch of these children, whose first one's `first` is true.
    fn branch(children: Vec<Self>) -> Self {
        Self {
            first: children[0].first,
            count: children.iter().map(|child| child.count).sum(),
            node: Node::Branch(children),
        }
    }

    fn count(&self) -> usize {
        self.count as usize
    }

    /// How much stands in the node itself.
    fn node_len(&self) -> usize {
        match &self.node {
            Node::Leaf(leaf) => leaf.len(),
            Node::Branch(children) => children.len(),
        }
    }

    /// The first member under it.
    fn find_first(&self) -> Scored {
        match &self.node {
            Node::Leaf(leaf) => leaf.members()[0],
            Node::Branch(children) => children[0].find_first(),
        }
    }

    /// Takes over what stands in the node behind it.
    fn absorb(&mut self, next: Self) {
        self.count += next.count;
        match (&mut self.node, next.node) {
            (Node::Leaf(leaf), Node::Leaf(next)) => leaf.append(next.members()),
            (Node::Branch(children), Node::Branch(mut others)) => {
                others[0].first = next.first;
                children.append(&mut others);
            }
            _ => unreachable!("all leaves are as deep"),
        }
    }

    fn memory_bytes(&self) -> usize {
        match &self.node {
            Node::Leaf(_) => block_size(size_of::<[Scored; LEAF_LEN_MAX]>()),
            Node::Branch(children) => branch_bytes(children),
        }
    }
}

/// Memory of a branch and what is under it. All leaves of one branch are of one size.
fn branch_bytes(children: &Vec<Child>) -> usize {
    let own = block_size(children.capacity() * size_of::<Child>());
    let below = match children.first() {
        Some(child) if matches!(child.node, Node::Leaf(_)) => child.memory_bytes() * children.len(),
        _ => children.iter().map(Child::memory_bytes).sum(),
    };
    own + below
}

/// The child in which a member of this score and name stands or would.
#[inline]
fn child_for(children: &[Child], score: Score, name: &[u8]) -> usize {
    let later = children.get(1..).unwrap_or_default();
    let at = later.partition_point(|child| child.first.score.get() < score.get());
    match later.get(at) {
        Some(child) if child.first.score == score => {
            let equal = &later[at..];
            at + equal
                .partition_point(|child| child.first.score == score && child.first.name() <= name)
        }
        _ => at,
    }
}

/// The child that holds the member of this rank, and the rank in it.
#[inline]
fn child_of_rank(children: &[Child], mut rank: usize) -> Option<(usize, usize)> {
    for (at, child) in children.iter().enumerate() {
        if rank < child.count() {
            return Some((at, rank));
        }
        rank -= child.count();
    }
    None
}

/// Returns what does not fit any more, which stands behind all the rest.
fn insert_below(children: &mut Vec<Child>, scored: Scored, name: &[u8]) -> Option<Child> {
    let at = child_for(children, scored.score, name);
    let child = &mut children[at];
    child.count += 1;
    let parted = match &mut child.node {
        Node::Leaf(leaf) => insert_into(leaf, scored, name),
        Node::Branch(below) => insert_below(below, scored, name),
    };
    let later = parted?;
    child.count -= later.count;
    children.insert(at + 1, later);
    if children.len() <= BRANCH_LEN_MAX {
        return None;
    }
    // One that grows at its end stays full.
    let kept = if at + 2 == children.len() {
        BRANCH_LEN_MAX
    } else {
        BRANCH_LEN_MAX / 2
    };
    Some(Child::branch(children.split_off(kept)))
}

fn insert_into(leaf: &mut Leaf, scored: Scored, name: &[u8]) -> Option<Child> {
    let at = count_before(leaf.members(), scored.score, name);
    if leaf.len() < LEAF_LEN_MAX {
        leaf.insert(at, scored);
        return None;
    }
    // One that grows at an end stays full, and the next one has room where it will grow.
    if at == LEAF_LEN_MAX {
        return Some(Child::leaf(Leaf::new(&[scored], 0)));
    }
    if at == 0 {
        let full = std::mem::replace(leaf, Leaf::new(&[scored], LEAF_LEN_MAX - 1));
        return Some(Child::leaf(full));
    }
    let half = LEAF_LEN_MAX / 2;
    let mut later = leaf.split_off(half);
    if at <= half {
        leaf.insert(at, scored)
    } else {
        later.insert(at - half, scored)
    }
    Some(Child::leaf(later))
}

/// Removes a member. Returns whether it was the first of all under these children.
fn remove_below(children: &mut Vec<Child>, score: Score, name: &[u8]) -> bool {
    let at = child_for(children, score, name);
    let child = &mut children[at];
    let first_went = match &mut child.node {
        Node::Leaf(leaf) => {
            let at = count_before(leaf.members(), score, name);
            debug_assert!(leaf.members()[at].name() == name);
            leaf.remove(at..at + 1);
            at == 0
        }
        Node::Branch(below) => remove_below(below, score, name),
    };
    child.count -= 1;
    if child.count == 0 {
        children.remove(at);
        return at == 0;
    }
    if first_went && at > 0 {
        child.first = child.find_first();
    }
    join_small(children, at);
    first_went && at == 0
}

/// Removes `count` members from the rank `start` on, each of which is shown. Returns whether the
/// first of all under these children was among them.
fn remove_range_below(
    children: &mut Vec<Child>,
    start: usize,
    count: usize,
    removed: &mut impl FnMut(Scored),
) -> bool {
    let Some((from, mut start)) = child_of_rank(children, start) else {
        return false;
    };
    let first_went = from == 0 && start == 0;
    let (mut at, mut left) = (from, count);
    while let Some(child) = children.get_mut(at).filter(|_| left > 0) {
        let here = left.min(child.count() - start);
        let child_lost_first = match &mut child.node {
            Node::Leaf(leaf) => {
                let members = leaf.members()[start..start + here].iter();
                members.copied().for_each(&mut *removed);
                leaf.remove(start..start + here);
                start == 0
            }
            Node::Branch(below) => remove_range_below(below, start, here, removed),
        };
        child.count -= here as u32;
        if child_lost_first && child.count > 0 {
            child.first = child.find_first();
        }
        left -= here;
        start = 0;
        at += 1;
    }
    let emptied = |child: &Child| child.count == 0;
    let begin = from + usize::from(!emptied(&children[from]));
    let end = at - usize::from(!emptied(&children[at - 1]));
    if begin < end {
        children.drain(begin..end);
    }
    for at in [begin, begin.wrapping_sub(1)] {
        if at < children.len() {
            join_small(children, at);
        }
    }
    first_went
}

/// Joins a node that has become small with the one behind it or before it, where the two fit in
/// one.
fn join_small(children: &mut Vec<Child>, at: usize) {
    if children[at].node_len() >= NODE_LEN_MIN {
        return;
    }
    let fit = |a: usize, b: usize| {
        let len = |at: usize| children.get(at).map_or(usize::MAX, Child::node_len);
        len(a).saturating_add(len(b)) <= JOINED_LEN_MAX
    };
    let first = match at {
        at if fit(at, at + 1) => at,
        at if at > 0 && fit(at - 1, at) => at - 1,
        _ => return,
    };
    let next = children.remove(first + 1);
    children[first].absorb(next);
}

/// Takes the member at an end out.
fn pop_below(children: &mut Vec<Child>, from: Direction) -> Option<Scored> {
    let at = match from {
        Direction::Forward => 0,
        Direction::Backward => children.len().checked_sub(1)?,
    };
    let child = children.get_mut(at)?;
    let scored = match &mut child.node {
        Node::Branch(below) => pop_below(below, from),
        Node::Leaf(leaf) => {
            let at = match from {
                Direction::Forward => 0,
                Direction::Backward => leaf.len() - 1,
            };
            let scored = leaf.members()[at];
            leaf.remove(at..at + 1);
            Some(scored)
        }
    };
    child.count -= 1;
    if child.count == 0 {
        children.remove(at);
    }
    scored
}

impl ScoreTree {
    /// Heap memory, in bytes. Looks at the branches, of which there is one for some forty leaves.
    pub(crate) fn memory_bytes(&self) -> usize {
        branch_bytes(&self.root)
    }

    /// Adds a member that is not there.
    ///
    /// # Safety
    /// The entry lives, under the same key, until the member is removed or the tree is dropped.
    pub(crate) unsafe fn insert(&mut self, scored: Scored) {
        if self.root.is_empty() {
            self.root
                .push(Child::leaf(Leaf::new(&[scored], LEAF_LEN_MAX / 2)));
            return;
        }
        if let Some(later) = insert_below(&mut self.root, scored, scored.name()) {
            let earlier = Child::branch(std::mem::take(&mut self.root));
            self.root = vec![earlier, later];
        }
    }

    /// Removes a member that is there, with this score.
    pub(crate) fn remove(&mut self, score: Score, name: &[u8]) {
        remove_below(&mut self.root, score, name);
        self.lower();
    }

    /// Removes `count` members from the rank `start` on, as many as there are, and shows each.
    pub(crate) fn remove_range(
        &mut self,
        start: usize,
        count: usize,
        mut removed: impl FnMut(Scored),
    ) {
        remove_range_below(&mut self.root, start, count, &mut removed);
        self.lower();
    }

    /// Removes the first member (forward) or the last.
    pub(crate) fn pop(&mut self, from: Direction) -> Option<Scored> {
        let scored = pop_below(&mut self.root, from);
        self.lower();
        scored
    }

    /// Gives up a root with one branch under it.
    fn lower(&mut self) {
        while let [only] = &mut self.root[..]
            && let Node::Branch(below) = &mut only.node
        {
            self.root = std::mem::take(below);
        }
    }

    /// How many members stand before the one of this score and name, which need not be there.
    pub(crate) fn rank(&self, score: Score, name: &[u8]) -> usize {
        let (mut children, mut rank) = (&self.root[..], 0);
        loop {
            let at = child_for(children, score, name);
            rank += children.iter().take(at).map(Child::count).sum::<usize>();
            match children.get(at).map(|child| &child.node) {
                None => return rank,
                Some(Node::Branch(below)) => children = below,
                Some(Node::Leaf(leaf)) => return rank + count_before(leaf.members(), score, name),
            }
        }
    }

    /// How many members, from the first on, `is_before` holds for; it holds for none after one that
    /// it does not hold for.
    pub(crate) fn partition_point(&self, mut is_before: impl FnMut(&Scored) -> bool) -> usize {
        let (mut children, mut rank) = (&self.root[..], 0);
        loop {
            let later = children.get(1..).unwrap_or_default();
            let at = later.partition_point(|child| is_before(&child.first));
            rank += children.iter().take(at).map(Child::count).sum::<usize>();
            match children.get(at).map(|child| &child.node) {
                None => return rank,
                Some(Node::Branch(below)) => children = below,
                Some(Node::Leaf(leaf)) => return rank + leaf.members().partition_point(is_before),
            }
        }
    }

    /// The members from that rank on, in either direction; none where there is no such rank.
    pub(crate) fn iter_from(&self, rank: usize, direction: Direction) -> Walk<'_> {
        let mut walk = Walk {
            path: SmallVec::new(),
            leaf: LeafWalk::default(),
            direction,
        };
        let (mut children, mut rank) = (&self.root[..], rank);
        while let Some((at, rest)) = child_of_rank(children, rank) {
            rank = rest;
            walk.path.push(match direction {
                Direction::Forward => children[at + 1..].iter(),
                Direction::Backward => children[..at].iter(),
            });
            match &children[at].node {
                Node::Branch(below) => children = below,
                Node::Leaf(leaf) => {
                    walk.leaf = LeafWalk::of(match direction {
                        Direction::Forward => leaf.members()[rank..].iter(),
                        Direction::Backward => leaf.members()[..=rank].iter(),
                    });
                    break;
                }
            }
        }
        walk
    }
}

/// The members of a tree from some rank on.
pub(crate) struct Walk<'a> {
    /// Under each node on the way down, the children that come later.
    path: SmallVec<[slice::Iter<'a, Child>; 6]>,
    leaf: LeafWalk<'a>,
    direction: Direction,
}

impl<'a> Walk<'a> {
    /// The next member, whose name is not looked at.
    pub(crate) fn next_scored(&mut self) -> Option<&'a Scored> {
        loop {
            if let Some(scored) = self.leaf.next(self.direction) {
                return Some(scored);
            }
            let later = self.path.last_mut()?;
            let child = match self.direction {
                Direction::Forward => later.next(),
                Direction::Backward => later.next_back(),
            };
            match child.map(|child| &child.node) {
                None => {
                    self.path.pop();
                }
                Some(Node::Branch(below)) => self.path.push(below.iter()),
                Some(Node::Leaf(leaf)) => self.leaf = LeafWalk::of(leaf.members().iter()),
            }
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a [u8], Score);

    fn next(&mut self) -> Option<Self::Item> {
        let scored = self.next_scored()?;
        Some((scored.name(), scored.score))
    }
}

#[cfg(test)]
impl ScoreTree {
    pub(crate) fn len(&self) -> usize {
        self.root.iter().map(Child::count).sum()
    }

    pub(crate) fn assert_sound(&self) {
        fn check(children: &[Child], depth: usize) -> (usize, usize) {
            let (mut total, mut depths) = (0, depth);
            assert!(children.len() <= BRANCH_LEN_MAX);
            for (at, child) in children.iter().enumerate() {
                assert!(child.node_len() > 0);
                if at > 0 {
                    let (first, found) = (child.first, child.find_first());
                    assert!(first.score == found.score && first.name() == found.name());
                }
                let count = match &child.node {
                    Node::Leaf(leaf) => {
                        assert!(leaf.len() <= LEAF_LEN_MAX);
                        leaf.len()
                    }
                    Node::Branch(below) => {
                        let (count, depth) = check(below, depth + 1);
                        assert!(at == 0 || depth == depths);
                        depths = depth;
                        count
                    }
                };
                assert_eq!(count, child.count());
                total += count;
            }
            (total, depths)
        }
        let (total, _) = check(&self.root, 0);
        assert_eq!(total, self.len());
    }
}
