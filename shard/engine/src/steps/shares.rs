//! What each shard's log says of a transaction.

use std::sync::Arc;

use storage::rdb::{self, Compression};
use storage::{DbIndex, Entry, aof};

use crate::action::Action;
use crate::engine::Engine;
use crate::header::TransactionKey;
use crate::journal::{Away, Journal, Share, Shares, TransactionRecord, shares};
use crate::slot::ShardId;
use crate::transaction::commit::Awaited;

impl Engine {
    /// On the coordinator: what each log will say of what was done. The answer tells of what these
    /// shards have not on disk yet: it waits for them, too.
    pub(crate) fn shares(&mut self, away: Vec<Away>, behind: &[ShardId]) -> Shares {
        let mut participants = Vec::new();
        let mut of_shards = Vec::new();
        let mut id = Arc::from("");
        if !away.is_empty() {
            of_shards = shares(away, self.slots);
            let with_one =
                |(index, share): (usize, &Share)| (!share.is_empty()).then(|| ShardId::new(index));
            participants.extend(of_shards.iter().enumerate().filter_map(with_one));
            self.coordinator.last_logged += 1;
            let start = self.coordinator.started_unix_ms;
            id = format!(
                "{start}-{}-{}",
                self.id.index(),
                self.coordinator.last_logged
            )
            .into();
        }
        let marks = behind.iter().filter(|it| !participants.contains(it));
        let parts = participants.len() + marks.count();
        let waits = self.log.holds_replies && parts > 0;
        Shares {
            awaited: waits.then(|| Awaited {
                id: self.begin_commit(participants.is_empty()),
                parts,
            }),
            id,
            participants: participants.into(),
            shares: of_shards,
        }
    }

    /// On an owner, when all is home: says its share of a transaction.
    pub(crate) fn log_record(&mut self, it: &TransactionRecord) {
        let begins = self.effects.journal.total();
        let TransactionRecord {
            awaited,
            id,
            participants,
            share,
        } = it;
        let (databases, journal) = (&self.databases, &mut self.effects.journal);
        let group = journal.begin_log_group();
        if participants.len() > 1 {
            let shards: Vec<String> = participants
                .iter()
                .map(|shard| shard.index().to_string())
                .collect();
            let mut parts = vec![aof::TRANSACTION, id.as_bytes()];
            parts.extend(shards.iter().map(String::as_bytes));
            journal.mark(&parts);
        }
        for (db, now, record) in &share.commands {
            journal.repeat(*db, *now, record);
        }
        for TransactionKey { db, key } in &share.values {
            match databases.get(*db).get(key) {
                None => journal.say_to_log(*db, &[b"DEL", key]),
                Some(entry) => say_value(journal, *db, entry),
            }
        }
        journal.end_log_group(group);
        let end = journal.total();
        journal.commands += 1;
        journal.told = end;
        self.log.has_unsettled |= awaited.is_some();
        self.actions.push(Action::RecordLogged {
            begins,
            end,
            awaited: *awaited,
        });
    }
}

/// Says what a key holds: readably, where it is a string.
fn say_value(journal: &mut Journal, db: DbIndex, entry: &Entry) {
    let deadline = entry.deadline().map(|at| at.ms().to_string());
    let key = entry.key();
    match (entry.as_string(), &deadline) {
        (Ok(text), None) => journal.say_to_log(db, &[b"SET", key, &text.to_vec()]),
        (Ok(text), Some(at)) => {
            journal.say_to_log(db, &[b"SET", key, &text.to_vec(), b"PXAT", at.as_bytes()]);
        }
        (Err(_), _) => {
            let at = deadline.as_deref().unwrap_or("0");
            let value = rdb::dump(entry, Compression::Off);
            let parts: [&[u8]; 6] = [
                b"RESTORE",
                key,
                at.as_bytes(),
                &value,
                b"REPLACE",
                b"ABSTTL",
            ];
            journal.say_to_log(db, &parts);
        }
    }
}
