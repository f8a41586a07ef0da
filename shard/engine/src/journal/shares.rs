//! What a transaction over several shards did, as its coordinator knows it, and what each shard's
//! log says of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use storage::{DbIndex, UnixMillis};

use crate::header::TransactionKey;
use crate::slot::{ShardId, SlotMap};
use crate::transaction::commit::{Awaited, CommitId};

/// A command that ran in a transaction over several shards, as one log will have it.
pub enum Away {
    /// All its keys are this shard's.
    Command {
        owner: ShardId,
        db: DbIndex,
        /// The coordinator's time, by which it ran.
        now: UnixMillis,
        keys: Vec<TransactionKey>,
        record: Vec<u8>,
        /// What it changed.
        changed: Vec<TransactionKey>,
    },
    /// Its keys are of several shards; these changed.
    Keys {
        keys: Vec<TransactionKey>,
        /// All of it in one command, for replicas.
        whole: Option<(DbIndex, Vec<u8>)>,
    },
    /// It concerned whole databases, on every shard.
    Everywhere {
        db: DbIndex,
        now: UnixMillis,
        record: Vec<u8>,
    },
    /// Two databases were exchanged.
    Swapped(DbIndex, DbIndex),
}

/// What one shard's log says of a transaction.
#[derive(Default)]
pub struct Share {
    /// Commands, each with its database and time.
    pub(crate) commands: Vec<(DbIndex, UnixMillis, Vec<u8>)>,
    /// Keys whose values, as they come home, end it.
    pub(crate) values: BTreeSet<TransactionKey>,
}

impl Share {
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.values.is_empty()
    }
}

/// The shares of all shards in what a transaction did.
pub fn shares(away: Vec<Away>, slots: SlotMap) -> Vec<Share> {
    let mut shares: Vec<Share> = (0..slots.shards()).map(|_| Share::default()).collect();
    let mut by_value: BTreeSet<TransactionKey> = BTreeSet::new();
    for step in away {
        match step {
            Away::Command {
                owner,
                db,
                now,
                keys,
                record,
                changed,
            } => {
                if keys.iter().any(|key| by_value.contains(key)) {
                    by_value.extend(changed)
                } else {
                    shares[owner.index()].commands.push((db, now, record))
                }
            }
            Away::Keys { keys, .. } => by_value.extend(keys),
            Away::Everywhere { db, now, record } => {
                for share in &mut shares {
                    share.commands.push((db, now, record.clone()));
                }
            }
            Away::Swapped(a, b) => {
                let swap = |db| match db {
                    _ if db == a => b,
                    _ if db == b => a,
                    other => other,
                };
                let swapped = std::mem::take(&mut by_value).into_iter();
                by_value = swapped
                    .map(|TransactionKey { db, key }| TransactionKey { db: swap(db), key })
                    .collect();
            }
        }
    }
    for key in by_value {
        shares[slots.owner(&key.key).index()].values.insert(key);
    }
    shares
}

/// A transaction as one shard's log will have it.
pub struct TransactionRecord {
    /// Who waits for it to be on disk.
    pub(crate) awaited: Option<Awaited>,
    /// Names it in the logs of all who take part.
    pub(crate) id: Arc<str>,
    /// The shards whose logs have a share.
    pub(crate) participants: Arc<[ShardId]>,
    pub(crate) share: Share,
}

impl TransactionRecord {
    /// That of a transaction on one shard.
    pub(crate) fn of_one(shard: ShardId, share: Share) -> Self {
        Self {
            awaited: None,
            id: Arc::from(""),
            participants: Arc::from([shard]),
            share,
        }
    }
}

/// The shares of a transaction that ends.
pub struct Shares {
    pub(crate) awaited: Option<Awaited>,
    pub(crate) id: Arc<str>,
    pub(crate) participants: Arc<[ShardId]>,
    pub(crate) shares: Vec<Share>,
}

impl Shares {
    /// What the answer has to wait for.
    pub fn commit(&self) -> Option<CommitId> {
        self.awaited.map(|it| it.id)
    }

    /// How a shard is told of it that was only read.
    pub fn mark(&self, shard: ShardId) -> Option<Awaited> {
        self.awaited.filter(|_| !self.participants.contains(&shard))
    }

    /// The share of one shard, if it has one.
    pub fn take(&mut self, shard: ShardId) -> Option<Box<TransactionRecord>> {
        let share = std::mem::take(self.shares.get_mut(shard.index())?);
        (!share.is_empty()).then(|| {
            Box::new(TransactionRecord {
                awaited: self.awaited,
                id: self.id.clone(),
                participants: self.participants.clone(),
                share,
            })
        })
    }
}
