//! The coordinator of commands whose keys live on several shards.
//!
//! A transaction locks its keys where they live; each owner then *lends* the entries, which move to the coordinator by pointer. There the
//! ordinary command runs, as if it had found all its keys at home, on databases that hold just what was lent; the entries go back with the
//! release of the locks. No command knows about it, so every command with several keys is atomic, and there is one mechanism to get right.
//!
//! Locks are first tried on all shards at once: one round trip. A shard that would have to queue refuses instead; then everything is given
//! back and the locks are taken one shard after the other in ascending order, waiting in each queue.
//!
//! Why nothing deadlocks: a transaction that waits holds locks only on lower shards than the one it waits on, and one that tries never
//! waits; on one shard see `locks`. Why nothing starves: the ordered pass queues first come, first served. Why it is strictly serializable:
//! between the last grant and the first release all locks are held (two-phase locking), the command runs at that instant, and it lies between
//! the call and the reply. The client may be answered before the entries are back home, because whoever asks for those keys meets the lock.
//!
//! A connection runs nothing else while its transaction is under way, which keeps its commands in order.

use protocol::args::{Args, OwnedArgs};
use protocol::reply::Reply;
use smallvec::SmallVec;
use storage::{Databases, DbIndex, Entry};

use crate::batch::{ClientToken, Facts, ReplyTo};
use crate::client::Client;
use crate::locks::{ItemId, LockName};
use crate::message::{
    Grant, LockRequest, Message, Parked, Release, TransactionId, TransactionKey, Work,
};
use crate::shard::Shard;
use crate::slot::ShardId;

/// One shard's share of a transaction.
struct Part {
    shard: ShardId,
    keys: Vec<TransactionKey>,
    granted: Option<ItemId>,
    lent: Vec<(DbIndex, Entry)>,
}

/// How it takes its locks.
enum Pass {
    /// On all shards at once; `missing` have not answered.
    Try { missing: usize, refused: bool },
    /// One after the other: this part waits.
    Ordered { at: usize },
}

/// A transaction under way, on its coordinator.
pub struct Transaction {
    to: ReplyTo,
    facts: Facts,
    args: OwnedArgs,
    /// In ascending order of their shards.
    parts: SmallVec<[Part; 4]>,
    pass: Pass,
}

impl Shard {
    /// Begins the transaction that runs `args` on `keys`, which live on several shards. The client stalls until it has its reply.
    pub fn begin_transaction(
        &mut self,
        client: &mut Client,
        facts: Facts,
        args: &Args<'_>,
        keys: Vec<(ShardId, TransactionKey)>,
    ) {
        let mut parts: SmallVec<[Part; 4]> = SmallVec::new();
        for (shard, key) in keys {
            let part = match parts.iter_mut().find(|part| part.shard == shard) {
                Some(part) => part,
                None => {
                    parts.push(Part {
                        shard,
                        keys: Vec::new(),
                        granted: None,
                        lent: Vec::new(),
                    });
                    parts.last_mut().expect("just pushed")
                }
            };
            if !part.keys.contains(&key) {
                part.keys.push(key);
            }
        }
        parts.sort_unstable_by_key(|part| part.shard);
        client.stalled = true;
        let to = ReplyTo {
            client: client.token,
            seq: client.wait(),
        };
        let pass = Pass::Try {
            missing: parts.len(),
            refused: false,
        };
        let index = self.transactions.insert(Transaction {
            to,
            facts,
            args: OwnedArgs::from(args),
            parts,
            pass,
        });
        let id = TransactionId {
            coordinator: self.id,
            index,
        };
        self.stats.transactions += 1;
        // The local part goes last: it may complete the pass at once.
        let count = self.transactions[index].parts.len();
        let mut local = None;
        for at in 0..count {
            match self.transactions[index].parts[at].shard == self.id {
                true => local = Some(at),
                false => self.request_locks(id, at, false),
            }
        }
        if let Some(at) = local {
            self.request_locks(id, at, false);
        }
    }

    fn request_locks(&mut self, id: TransactionId, at: usize, wait: bool) {
        let transaction = &self.transactions[id.index];
        let part = &transaction.parts[at];
        let shard = part.shard;
        let request = Box::new(LockRequest {
            transaction: id,
            client: transaction.to.client,
            keys: part.keys.clone(),
            wait,
        });
        match shard == self.id {
            true => self.lock(request),
            false => self.send(shard, Message::Lock(request)),
        }
    }

    /// On an owner: takes the locks of one part, or queues for them, or refuses.
    pub fn lock(&mut self, request: Box<LockRequest>) {
        let id = request.transaction;
        let client = LockName::Client(id.coordinator, request.client);
        if !request.wait
            && !self.locks.is_empty()
            && (self.locks.holds_client(id.coordinator, request.client)
                || request
                    .keys
                    .iter()
                    .any(|key| self.locks.holds_key(&key.key)))
        {
            match id.coordinator == self.id {
                true => self.refused(id),
                false => self.send(id.coordinator, Message::Refused(id)),
            }
            return;
        }
        let names: SmallVec<[LockName; 8]> = request
            .keys
            .iter()
            .map(|key| LockName::Key(key.key.clone()))
            .chain([client])
            .collect();
        if let (item, Some(Work::Lend(request))) = self.locks.enqueue(names, Work::Lend(request)) {
            let grant = self.lend(item, &request);
            match id.coordinator == self.id {
                true => self.granted(self.id, *grant),
                false => self.send(id.coordinator, Message::Granted(grant)),
            }
        }
    }

    /// On an owner: the locks are held, so the entries go to the coordinator.
    fn lend(&mut self, item: ItemId, request: &LockRequest) -> Box<Grant> {
        let mut entries = Vec::with_capacity(request.keys.len());
        for TransactionKey { db, key } in &request.keys {
            if let Some(entry) = self.databases.get_mut(*db).remove(key, self.now) {
                entries.push((*db, entry));
            }
        }
        Box::new(Grant {
            transaction: request.transaction,
            item,
            entries,
        })
    }

    /// On the coordinator: one part has its locks.
    pub fn granted(&mut self, from: ShardId, grant: Grant) {
        let id = grant.transaction;
        let transaction = &mut self.transactions[id.index];
        let part = transaction
            .parts
            .iter_mut()
            .find(|part| part.shard == from)
            .expect("only a part's shard grants");
        part.granted = Some(grant.item);
        part.lent = grant.entries;
        match &mut transaction.pass {
            Pass::Try { missing, .. } => {
                *missing -= 1;
                self.end_try(id);
            }
            Pass::Ordered { at } => {
                *at += 1;
                let at = *at;
                match at < transaction.parts.len() {
                    true => self.request_locks(id, at, true),
                    false => self.run_transaction(id),
                }
            }
        }
    }

    /// On the coordinator: one part would have had to wait.
    pub fn refused(&mut self, id: TransactionId) {
        if let Pass::Try { missing, refused } = &mut self.transactions[id.index].pass {
            *missing -= 1;
            *refused = true;
        }
        self.end_try(id);
    }

    fn end_try(&mut self, id: TransactionId) {
        match self.transactions[id.index].pass {
            Pass::Try {
                missing: 0,
                refused: false,
            } => self.run_transaction(id),
            Pass::Try {
                missing: 0,
                refused: true,
            } => {
                self.stats.transactions_retried += 1;
                self.transactions[id.index].pass = Pass::Ordered { at: 0 };
                for at in 0..self.transactions[id.index].parts.len() {
                    let part = &mut self.transactions[id.index].parts[at];
                    let entries = std::mem::take(&mut part.lent);
                    if let Some(item) = part.granted.take() {
                        let shard = part.shard;
                        self.give_back(shard, Release { item, entries });
                    }
                }
                self.request_locks(id, 0, true);
            }
            _ => {}
        }
    }

    /// All locks are held: the instant at which the transaction happens.
    fn run_transaction(&mut self, id: TransactionId) {
        let mut transaction = self.transactions.remove(id.index);
        let mut lent = Databases::new(self.databases.count(), self.databases.hasher());
        for part in &mut transaction.parts {
            for (db, entry) in part.lent.drain(..) {
                lent.get_mut(db).insert(entry);
            }
        }
        let mut encoded = Vec::new();
        std::mem::swap(&mut self.databases, &mut lent);
        let args = transaction.args.borrow();
        self.execute(
            transaction.facts,
            &args,
            &mut Reply::new(&mut encoded, transaction.facts.version),
        );
        std::mem::swap(&mut self.databases, &mut lent);
        for part in transaction.parts {
            let entries = part
                .keys
                .iter()
                .filter_map(|TransactionKey { db, key }| Some((*db, lent.get_mut(*db).take(key)?)))
                .collect();
            if let Some(item) = part.granted {
                self.give_back(part.shard, Release { item, entries });
            }
        }
        debug_assert!(
            lent.is_empty(),
            "a transaction wrote a key it had not locked"
        );
        self.complete(self.id, transaction.to, &encoded);
    }

    fn give_back(&mut self, shard: ShardId, release: Release) {
        match shard == self.id {
            true => self.release(release),
            false => self.send(shard, Message::Release(Box::new(release))),
        }
    }

    /// On an owner: the entries are home again and whoever waited goes on.
    pub fn release(&mut self, release: Release) {
        for (db, entry) in release.entries {
            self.databases.get_mut(db).insert(entry);
        }
        let mut freed = vec![release.item];
        while let Some(item) = freed.pop() {
            let mut ready: SmallVec<[(ItemId, Work); 4]> = SmallVec::new();
            self.locks
                .release(item, |item, work| ready.push((item, work)));
            for (item, work) in ready {
                match work {
                    // Through the queue even to this very shard: running it here would recurse once a waiting transaction.
                    Work::Lend(request) => {
                        let grant = self.lend(item, &request);
                        self.send(request.transaction.coordinator, Message::Granted(grant));
                    }
                    Work::Command(parked) => {
                        self.run_parked(*parked);
                        freed.push(item);
                    }
                }
            }
        }
    }

    /// Whether a command of this client on these keys must queue. Callers ask only where the table is not empty.
    #[cold]
    pub fn must_queue<'k>(
        &self,
        origin: ShardId,
        client: ClientToken,
        mut keys: impl Iterator<Item = &'k [u8]>,
    ) -> bool {
        self.locks.holds_client(origin, client) || keys.any(|key| self.locks.holds_key(key))
    }

    /// Queues a command until its keys are free; its reply comes through [`Shard::complete`].
    #[cold]
    pub fn park(&mut self, parked: Parked, keys: Vec<Box<[u8]>>) {
        let client = LockName::Client(parked.origin, parked.to.client);
        let names = keys.into_iter().map(LockName::Key).chain([client]);
        let (item, ready) = self.locks.enqueue(names, Work::Command(Box::new(parked)));
        if let Some(Work::Command(parked)) = ready {
            self.run_parked(*parked);
            self.release(Release {
                item,
                entries: Vec::new(),
            });
        }
    }

    fn run_parked(&mut self, parked: Parked) {
        let mut encoded = Vec::new();
        self.execute(
            parked.facts,
            &parked.args.borrow(),
            &mut Reply::new(&mut encoded, parked.version()),
        );
        self.complete(parked.origin, parked.to, &encoded);
    }
}
