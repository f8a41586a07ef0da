//! What a shard keeps of the transactions that it coordinates: see `steps::coordination` for how
//! they run.

use std::collections::BTreeMap;

use protocol::args::OwnedArgs;
use slab::Slab;
use smallvec::SmallVec;
use storage::Databases;

use crate::blocking::on_several::BlockedOnSeveral;
use crate::blocking::waiting::{BlockedId, WaiterId};
use crate::handler::WholeCommand;
use crate::header::{ClientToken, Header, ReplyTo, TransactionKey};
use crate::message::{CheckedOut, Scope};
use crate::script::run::ScriptRun;
use crate::slot::ShardId;
use crate::task::TaskId;
use crate::transaction::answers::Answers;
use crate::transaction::divided::Divided;
use crate::transaction::locks::ItemId;
use crate::transaction::workspace::Workspace;
use crate::watch::Watched;

/// What a shard knows of the transactions that it coordinates.
pub struct Coordinator {
    pub(crate) transactions: Slab<Transaction>,
    /// What clients of those wait for that have happened.
    pub(crate) answers: Answers,
    /// Blocked commands of this shard's connections with keys on several shards.
    pub(crate) blocked_ids: BTreeMap<BlockedId, BlockedOnSeveral>,
    pub(crate) last_ticket: u64,
    /// Transactions that this shard has named for the logs.
    pub(crate) last_logged: u64,
    /// Part of their names: Unix milliseconds.
    pub(crate) started_unix_ms: u64,
    /// Emptyings of databases that this shard has named.
    pub(crate) last_flush: u64,
    /// The emptied databases of a workspace, for the next one.
    pub(crate) spare: Option<Databases>,
}

impl Coordinator {
    /// One of a process that began at a time: Unix milliseconds.
    pub(crate) fn new(started_unix_ms: u64) -> Self {
        Self {
            transactions: Slab::new(),
            answers: Answers::default(),
            blocked_ids: BTreeMap::new(),
            last_ticket: 0,
            last_logged: 0,
            started_unix_ms,
            last_flush: 0,
            spare: None,
        }
    }

    /// Whether transactions are under way.
    pub fn has_transactions(&self) -> bool {
        !self.transactions.is_empty()
    }

    /// Whether no transaction is under way, and no command waits for keys of several shards.
    pub fn is_idle(&self) -> bool {
        self.transactions.is_empty() && self.blocked_ids.is_empty()
    }
}

/// One shard's part in a transaction.
pub struct Part {
    pub(crate) shard: ShardId,
    /// What it locks; its shard has that while it is asked.
    pub(crate) scope: Scope,
    pub(crate) granted: Option<ItemId>,
    pub(crate) lent: Option<CheckedOut>,
    /// What is lent may not be on disk, and answers wait for that.
    pub(crate) behind: bool,
    /// It began with this waiter's turn here: those behind it have theirs when it is over.
    pub(crate) claimed_by: Option<WaiterId>,
}

/// How it takes its locks.
pub(crate) enum Pass {
    /// On all shards at once; `missing` have not answered.
    Try { missing: usize, refused: bool },
    /// One after the other: this part waits.
    Ordered { at: usize },
    /// All are held, and a script runs.
    Running,
    /// The script has named more keys; `missing` shards have not answered.
    Widening {
        missing: usize,
        refused: bool,
        /// It has scouted them, and runs from its beginning.
        anew: bool,
    },
}

/// What runs once all locks are held.
pub(crate) enum Job {
    /// A command on its keys.
    Command {
        to: ReplyTo,
        header: Header,
        args: OwnedArgs,
    },
    /// A command that each shard does a portion of.
    Divided(Divided),
    /// A command on everything.
    Whole {
        to: ReplyTo,
        header: Header,
        args: OwnedArgs,
        run: WholeCommand,
    },
    /// What the outside runs on what is lent: an EXEC, or the instant of a snapshot.
    Outside(TaskId),
    /// A blocked command, one of whose keys is ready.
    Retry(BlockedId),
    /// A script; not there while it is being run.
    Script(Option<Box<ScriptRun>>),
}

/// What the owners are told at the end besides.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Plain,
    /// It found nothing and waits from now on.
    Enroll(BlockedId),
    /// It waits no longer.
    Leave(BlockedId),
}

/// A transaction under way, on its coordinator.
pub struct Transaction {
    pub(crate) client: ClientToken,
    /// The shard of the connection.
    pub(crate) home: ShardId,
    /// In ascending order of their shards.
    pub(crate) parts: SmallVec<[Part; 4]>,
    pub(crate) pass: Pass,
    /// This part is asked for when all others have been granted.
    pub(crate) last: Option<usize>,
    /// All watched keys are unchanged, as far as is known.
    pub(crate) unchanged: bool,
    pub(crate) job: Job,
}

/// Collects what a transaction locks, shard by shard.
#[derive(Default)]
pub struct Scopes {
    pub(crate) keys: Vec<(ShardId, TransactionKey)>,
    pub(crate) watched: Vec<(ShardId, Watched)>,
}

impl Scopes {
    pub fn key(&mut self, owner: ShardId, key: TransactionKey) {
        self.keys.push((owner, key));
    }

    /// A watched key is locked too, so that it stays as it is until the end.
    pub fn watched(&mut self, owner: ShardId, watched: Watched) {
        self.keys.push((owner, watched.key.clone()));
        self.watched.push((owner, watched));
    }

    pub(crate) fn into_parts(mut self) -> SmallVec<[Part; 4]> {
        self.keys.sort_unstable();
        self.keys.dedup();
        let mut parts: SmallVec<[Part; 4]> = SmallVec::new();
        for (shard, key) in self.keys {
            match parts.last_mut() {
                Some(Part {
                    shard: last,
                    scope: Scope::Keys { keys, .. },
                    ..
                }) if *last == shard => keys.push(key),
                _ => parts.push(Part::new(
                    shard,
                    Scope::Keys {
                        keys: vec![key],
                        watched: Vec::new(),
                    },
                )),
            }
        }
        assign_watched(&mut parts, self.watched);
        parts
    }

    /// Every shard as a whole.
    pub(crate) fn into_whole(self, shards: usize) -> SmallVec<[Part; 4]> {
        let whole = || Scope::Whole {
            watched: Vec::new(),
            logged: false,
        };
        let mut parts = (0..shards)
            .map(|index| Part::new(ShardId::new(index), whole()))
            .collect();
        assign_watched(&mut parts, self.watched);
        parts
    }
}

pub(crate) fn assign_watched(parts: &mut SmallVec<[Part; 4]>, watched: Vec<(ShardId, Watched)>) {
    for (shard, item) in watched {
        if let Some(part) = parts.iter_mut().find(|part| part.shard == shard)
            && let Scope::Keys { watched, .. } | Scope::Whole { watched, .. } = &mut part.scope
        {
            watched.push(item);
        }
    }
}

impl Transaction {
    pub(crate) fn part_of(&mut self, shard: ShardId) -> &mut Part {
        let mut parts = self.parts.iter_mut();
        let part = parts.find(|part| part.shard == shard);
        part.expect("only a part's shard answers")
    }
}

impl Part {
    pub(crate) fn new(shard: ShardId, scope: Scope) -> Self {
        Self {
            shard,
            scope,
            granted: None,
            lent: None,
            behind: false,
            claimed_by: None,
        }
    }
}

/// A transaction's locks and what they hold, while the outside runs it.
pub struct Held {
    pub workspace: Workspace,
    pub(crate) parts: SmallVec<[Part; 4]>,
}
