//! Where a transaction's commands run: what was lent, put together in the place of the shard's own
//! databases, so that the ordinary command finds it there.

use protocol::args::Args;
use protocol::facts;
use storage::{Databases, DbIndex, UnixMillis, aof};

use crate::effect::{Effect, EffectList, What};
use crate::header::{FlushId, Header, TransactionKey};
use crate::journal::Away;
use crate::message::CheckedOut;
use crate::slot::{ShardId, SlotMap};
use crate::transaction::global::OwnerDatabases;

/// Where a transaction's commands run: what was lent, put together.
pub struct Workspace {
    /// The keys lent one by one, of all shards.
    pub(crate) entries: Databases,
    /// The shards lent as a whole.
    pub global: Vec<(ShardId, Box<OwnerDatabases>)>,
    /// What the commands did to keys.
    pub(crate) effects: EffectList,
    /// What the commands did, for the logs.
    pub(crate) away: Vec<Away>,
    /// Nothing was lent: its commands run on the shard's own databases.
    pub(crate) is_in_place: bool,
}

impl Workspace {
    /// An empty one, of databases like these, or of an emptied one's.
    pub(crate) fn new(like: &Databases, spare: Option<Databases>) -> Self {
        Self {
            entries: spare.unwrap_or_else(|| Databases::new(like.count(), like.hasher())),
            global: Vec::new(),
            effects: EffectList::default(),
            away: Vec::new(),
            is_in_place: false,
        }
    }

    /// One for what runs on a shard's own databases.
    pub(crate) fn in_place(like: &Databases) -> Self {
        let mut workspace = Self::new(like, Some(Databases::new(1, like.hasher())));
        workspace.is_in_place = true;
        workspace
    }

    /// Its databases for the next one, where nothing is left in them.
    pub(crate) fn into_spare(self) -> Option<Databases> {
        self.is_clear().then_some(self.entries)
    }

    /// Puts what one shard has lent on it.
    pub(crate) fn put(&mut self, owner: ShardId, lent: CheckedOut) {
        match lent {
            CheckedOut::Entries(entries) => {
                for (db, entry) in entries {
                    self.entries.get_mut(db).insert_new(entry);
                }
            }
            CheckedOut::Databases(lent) => self.global.push((owner, lent)),
            CheckedOut::Nothing | CheckedOut::Ran(_) | CheckedOut::Portion(_) => {}
        }
    }

    /// Whether nothing is left on it that must go home.
    pub(crate) fn is_clear(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes out what was done to the keys of one owner, which is to hear of it.
    pub(crate) fn take_effects(&mut self, is_owned: impl Fn(&Effect<'_>) -> bool) -> EffectList {
        if self.effects.is_empty() {
            return EffectList::default();
        }
        self.effects
            .extract(|effect| effect.what != What::PropagateAs && is_owned(effect))
    }

    /// Those of `keys` that exist now.
    pub(crate) fn return_to_owner(&mut self, keys: &[TransactionKey]) -> CheckedOut {
        let exists = |TransactionKey { db, key }: &TransactionKey| {
            Some((*db, self.entries.get_mut(*db).take(key)?))
        };
        CheckedOut::Entries(keys.iter().filter_map(exists).collect())
    }

    /// Notes for every shard that all keys went or came, in the order in which things happened:
    /// what has been noted in a database before it was `swapped` is noted of it under its old
    /// number. What was read before is not valid in any case.
    pub(crate) fn note_flush(
        &mut self,
        slots: SlotMap,
        id: Option<FlushId>,
        swapped: Option<(DbIndex, DbIndex)>,
    ) {
        self.effects.extract(|effect| effect.what == What::Read);
        for (shard, lent) in &mut self.global {
            let owned = self
                .effects
                .extract(|effect| slots.owner(effect.key) == *shard);
            let mut effects = std::mem::take(&mut lent.effects).followed_by(owned);
            if let Some((a, b)) = swapped {
                effects.push_keyless(What::Swapped(a, b));
            }
            effects.push_keyless(What::Flushed(id));
            lent.effects = effects;
        }
    }

    /// Notes a command on whole databases for every log.
    pub(crate) fn note_whole(
        &mut self,
        like: &Databases,
        now: UnixMillis,
        header: Header,
        args: &Args<'_>,
    ) {
        let mut record = Vec::new();
        aof::command(&mut record, args.iter());
        let db = header.db;
        self.away.push(Away::Everywhere { db, now, record });
        let number = |at| {
            let text = args.get(at)?;
            let number = storage::item::parse_int(text)?;
            like.index(u16::try_from(number).ok()?)
        };
        if header.command.command().databases == facts::Databases::Swapped
            && let (Some(a), Some(b)) = (number(1), number(2))
        {
            self.away.push(Away::Swapped(a, b));
        }
    }

    pub(crate) fn lent_by(&mut self, owner: ShardId) -> Option<&mut OwnerDatabases> {
        self.global
            .iter_mut()
            .find(|(shard, _)| *shard == owner)
            .map(|(_, lent)| lent.as_mut())
    }
}
