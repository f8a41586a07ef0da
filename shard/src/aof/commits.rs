//! Which transactions over several shards are certain: no crash can take them, whatever recovery
//! has to cut (see `tails`). What is answered under `appendfsync always` waits for that.
//!
//! That all shares of a transaction are on disk is not enough. Recovery cuts a file before the
//! first share that has lost a fellow, and everything behind it goes: another transaction's share
//! perhaps, whose fellows are then lost in their files, and so on. So a transaction is certain when
//! all its shares are on disk and so are those of every transaction before it in one of its files,
//! and before those in theirs. Two that stand in two files in different orders are before each
//! other, and become certain together: it is the greatest set that is closed in this way.
//!
//! What a transaction only read counts, too: the shard that had it has no share in its file, but
//! the answer tells of what may not be on disk yet. There the transaction has a *mark* at the end
//! of the file, which is treated as a share of no bytes.
//!
//! Shards share nothing else that they write; this they do, behind a lock, because a word from each
//! to each would cost every transaction another round trip. The lock is taken once for each share
//! or mark, and once for each sync that some wait for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use engine::slot::ShardId;
use engine::transaction::commit::{Awaited, CommitId};

/// What one shard is to know when transactions have become certain.
#[derive(PartialEq, Eq, Debug)]
pub struct Settled {
    pub shard: ShardId,
    /// No share is uncertain that ends here, or before, in the shard's file.
    pub up_to: u64,
    /// Of those that it coordinates, which are certain now.
    pub commits: Vec<usize>,
}

/// A transaction that is not certain yet.
struct Pending {
    parts: usize,
    /// Shares that are not on disk, or not said yet.
    missing: usize,
    /// Shares that stand where nothing uncertain is before them, while that is looked for.
    reached: usize,
}

/// A share in one shard's file.
struct Share {
    id: CommitId,
    /// On disk when so many bytes of the shard's journal are.
    end: u64,
    is_safe: bool,
}

struct State {
    pending: HashMap<CommitId, Pending, foldhash::fast::RandomState>,
    /// The shares of each shard that are not certain, in the order of its file.
    files: Vec<VecDeque<Share>>,
}

/// What all shards know of it.
pub struct Commits(Mutex<State>);

impl Commits {
    pub fn new(shards: usize) -> Self {
        Self(Mutex::new(State {
            pending: HashMap::default(),
            files: (0..shards).map(|_| VecDeque::new()).collect(),
        }))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A shard has said its share, up to `end` of its journal, or that is where its mark is. Ends
    /// never go back.
    pub fn said(&self, shard: ShardId, awaited: Awaited, end: u64) {
        let Awaited { id, parts } = awaited;
        self.with(|state| {
            state.pending.entry(id).or_insert_with(|| Pending {
                parts,
                missing: parts,
                reached: 0,
            });
            state.files[shard.index()].push_back(Share {
                id,
                end,
                is_safe: false,
            });
        });
    }

    /// So much of a shard's journal is on disk. Returns whom it concerns, where something is
    /// certain now that was not.
    pub fn synced(&self, shard: ShardId, up_to: u64) -> Vec<Settled> {
        self.with(|state| {
            if state.note_synced(shard, up_to) {
                state.take_certain()
            } else {
                Vec::new()
            }
        })
    }
}

impl State {
    /// Returns whether some transaction has its last share on disk now.
    fn note_synced(&mut self, shard: ShardId, up_to: u64) -> bool {
        let mut whole = false;
        let new = self.files[shard.index()]
            .iter_mut()
            .take_while(|share| share.end <= up_to)
            .filter(|share| !share.is_safe);
        for share in new {
            share.is_safe = true;
            if let Some(pending) = self.pending.get_mut(&share.id) {
                pending.missing -= 1;
                whole |= pending.missing == 0;
            }
        }
        whole
    }

    /// Takes the greatest set that is closed.
    fn take_certain(&mut self) -> Vec<Settled> {
        let ends = self.certain_ends();
        let mut settled: Vec<Settled> = (0..self.files.len())
            .map(|index| Settled {
                shard: ShardId::new(index),
                up_to: 0,
                commits: Vec::new(),
            })
            .collect();
        for (at, (file, end)) in self.files.iter_mut().zip(ends).enumerate() {
            for share in file.drain(..end) {
                settled[at].up_to = share.end;
                if self.pending.remove(&share.id).is_some() {
                    let coordinator = share.id.coordinator.index();
                    settled[coordinator].commits.push(share.id.index);
                }
            }
        }
        settled.retain(|it| it.up_to > 0 || !it.commits.is_empty());
        settled
    }

    /// How many shares of each file are in it.
    fn certain_ends(&mut self) -> Vec<usize> {
        // As far as all is on disk, in each file; then back to where what stands there does so in
        // all its files.
        let mut ends: Vec<usize> = Vec::with_capacity(self.files.len());
        self.pending.values_mut().for_each(|it| it.reached = 0);
        for file in &self.files {
            let mut end = 0;
            for share in file {
                match self.pending.get_mut(&share.id) {
                    Some(pending) if pending.missing == 0 => pending.reached += 1,
                    _ => break,
                }
                end += 1;
            }
            ends.push(end);
        }
        loop {
            let mut moved = false;
            for (file, end) in self.files.iter().zip(&mut ends) {
                let is_lonely = |share: &Share| {
                    let pending = self.pending.get(&share.id);
                    pending.is_none_or(|it| it.reached < it.parts)
                };
                let Some(first) = file.range(..*end).position(is_lonely) else {
                    continue;
                };
                for share in file.range(first..*end) {
                    if let Some(pending) = self.pending.get_mut(&share.id) {
                        pending.reached -= 1;
                    }
                }
                *end = first;
                moved = true;
            }
            if !moved {
                return ends;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use fastrand::Rng;

    use super::*;

    fn id(index: usize) -> CommitId {
        CommitId {
            coordinator: ShardId::new(0),
            index,
        }
    }

    fn say(commits: &Commits, shard: usize, index: usize, parts: usize, end: u64) {
        let id = id(index);
        commits.said(ShardId::new(shard), Awaited { id, parts }, end);
    }

    fn certain(commits: &Commits, shard: usize, up_to: u64) -> Vec<usize> {
        let settled = commits.synced(ShardId::new(shard), up_to);
        let mut indices: Vec<usize> = settled.into_iter().flat_map(|it| it.commits).collect();
        indices.sort_unstable();
        indices
    }

    #[test]
    fn nothing_is_certain_behind_what_is_not() {
        let commits = Commits::new(3);
        let say = |shard, index, parts, end| say(&commits, shard, index, parts, end);
        // Shard 1 has said its share of the first, and not written it.
        say(0, 1, 2, 10);
        say(1, 1, 2, 10);
        say(0, 2, 2, 20);
        say(2, 2, 2, 10);
        say(0, 3, 1, 30);
        assert_eq!(certain(&commits, 0, 30), []);
        assert_eq!(certain(&commits, 2, 10), []);
        assert_eq!(certain(&commits, 1, 10), [1, 2, 3]);
    }

    #[test]
    fn each_shard_hears_how_far_its_file_is_settled() {
        let commits = Commits::new(3);
        let other = CommitId {
            coordinator: ShardId::new(2),
            index: 7,
        };
        let awaited = Awaited {
            id: other,
            parts: 2,
        };
        commits.said(ShardId::new(0), awaited, 10);
        commits.said(ShardId::new(1), awaited, 20);
        say(&commits, 0, 1, 1, 30);
        assert_eq!(commits.synced(ShardId::new(0), 10), []);
        let settled = |shard, up_to, commits: &[usize]| Settled {
            shard: ShardId::new(shard),
            up_to,
            commits: commits.to_vec(),
        };
        assert_eq!(
            commits.synced(ShardId::new(1), 25),
            [
                settled(0, 10, &[]),
                settled(1, 20, &[]),
                settled(2, 0, &[7])
            ]
        );
        assert_eq!(commits.synced(ShardId::new(0), 30), [settled(0, 30, &[1])]);
    }

    #[test]
    fn two_that_are_before_each_other_are_certain_together() {
        let commits = Commits::new(2);
        for (shard, order) in [(0, [1, 2]), (1, [2, 1])] {
            for (at, index) in order.into_iter().enumerate() {
                let end = 10 * (at as u64 + 1);
                say(&commits, shard, index, 2, end);
            }
        }
        assert_eq!(certain(&commits, 0, 20), []);
        assert_eq!(certain(&commits, 1, 10), []);
        assert_eq!(certain(&commits, 1, 20), [1, 2]);
    }

    /// What recovery leaves of these files, each a list of transactions and how many of them are on
    /// disk.
    fn left(files: &[Vec<usize>], on_disk: &[usize], participants: &[Vec<usize>]) -> Vec<usize> {
        let mut ends = on_disk.to_vec();
        loop {
            let has = |shard: usize, index| files[shard][..ends[shard]].contains(&index);
            let cuts: Vec<usize> = (0..files.len())
                .map(|shard| {
                    let lonely =
                        |index: &usize| !participants[*index].iter().all(|it| has(*it, *index));
                    let first = files[shard][..ends[shard]].iter().position(lonely);
                    first.unwrap_or(ends[shard])
                })
                .collect();
            if cuts == ends {
                return ends;
            }
            ends = cuts;
        }
    }

    /// Random transactions are said in random orders and written bit by bit; at every moment,
    /// whatever a crash leaves, what was certain stays.
    #[test]
    fn no_crash_takes_what_is_certain() {
        for seed in 0..3_000 {
            let random = &mut Rng::with_seed(seed);
            let count = random.usize(2..5);
            let participants: Vec<Vec<usize>> = (0..random.usize(1..9))
                .map(|_| {
                    let mut of: Vec<usize> = (0..count).filter(|_| random.bool()).collect();
                    if of.is_empty() {
                        of.push(random.usize(..count));
                    }
                    of
                })
                .collect();
            let mut unsaid: Vec<(usize, usize)> = participants
                .iter()
                .enumerate()
                .flat_map(|(index, of)| of.iter().map(move |shard| (*shard, index)))
                .collect();
            random.shuffle(&mut unsaid);
            let commits = Commits::new(count);
            let mut files: Vec<Vec<usize>> = vec![Vec::new(); count];
            let mut synced = vec![0; count];
            let mut known = HashSet::new();
            while known.len() < participants.len() {
                match random.u8(..3) {
                    0 if !unsaid.is_empty() => {
                        let (shard, index) = unsaid.pop().expect("one");
                        files[shard].push(index);
                        let end = files[shard].len() as u64;
                        say(&commits, shard, index, participants[index].len(), end);
                    }
                    _ => {
                        let shard = random.usize(..count);
                        synced[shard] = random.usize(synced[shard]..=files[shard].len());
                        known.extend(certain(&commits, shard, synced[shard] as u64));
                    }
                }
                // The least that a crash can leave, and something more.
                let more: Vec<usize> = (0..count)
                    .map(|shard| random.usize(synced[shard]..=files[shard].len()))
                    .collect();
                for on_disk in [&synced, &more] {
                    let ends = left(&files, on_disk, &participants);
                    for index in &known {
                        for shard in &participants[*index] {
                            let is_there = files[*shard][..ends[*shard]].contains(index);
                            assert!(is_there, "seed {seed}: {index} is gone from {shard}");
                        }
                    }
                    // Nor is anything held back that is as certain.
                    if on_disk == &synced {
                        for (index, of) in participants.iter().enumerate() {
                            let stays =
                                |shard: &usize| files[*shard][..ends[*shard]].contains(&index);
                            let stays = of.iter().all(stays);
                            assert_eq!(known.contains(&index), stays, "seed {seed}: {index}");
                        }
                    }
                }
            }
        }
    }
}
