//! Where a transaction's commands run: what was lent, put together in the place of the shard's own databases, so that the ordinary command
//! finds it there.

use protocol::args::Args;
use protocol::command::Flags;
use protocol::reply::Reply;
use storage::{Databases, DbIndex, UnixMillis, aof};

use crate::action::Action;
use crate::commands::sort;
use crate::effects::{Effect, EffectList, What};
use crate::engine::Engine;
use crate::error::Outcome;
use crate::header::Facts;
use crate::journal::Away;
use crate::message::{Lending, TransactionKey};
use crate::slot::{ShardId, SlotMap};
use crate::tracking::invalidations::FlushId;
use crate::transaction::world::{Lent, World};

/// Where a transaction's commands run: what was lent, put together.
pub struct Workspace {
    /// The keys lent one by one, of all shards.
    entries: Databases,
    /// The shards lent as a whole.
    pub world: Vec<(ShardId, Box<Lent>)>,
    /// What the commands did to keys.
    effects: EffectList,
    /// What the commands did, for the logs.
    pub(crate) away: Vec<Away>,
}

impl Engine {
    /// Runs a data command on what was lent.
    pub fn run_on(
        &mut self,
        workspace: &mut Workspace,
        facts: Facts,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) {
        let borrowed = match workspace.world.is_empty() {
            true => Vec::new(),
            false => workspace.borrow_keys(self, facts, args),
        };
        workspace.open(self);
        self.interrupt_timing();
        self.execute(facts, args, reply);
        workspace.close(self);
        workspace.return_keys(self, &borrowed);
    }

    /// Runs a command on the databases of all shards. Returns whether an empty snapshot is to follow,
    /// since what was flushed must not be back after a crash: see [`Action::Flushed`].
    pub fn run_whole(
        &mut self,
        workspace: &mut Workspace,
        facts: Facts,
        run: impl FnOnce(&mut World<'_>, &Args<'_>, &mut Reply<'_>) -> Outcome,
        in_exec: bool,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        let start = reply.written();
        self.interrupt_timing();
        let began = self.begin_timing(facts.command);
        self.stats.calls[facts.command.index()] += 1;
        self.trace.note(facts);
        let mut world = World {
            shards: workspace
                .world
                .iter_mut()
                .map(|(_, lent)| lent.as_mut())
                .collect(),
            selected: facts.db,
            now: self.now,
            config: &self.config,
            in_exec,
            discarded: Vec::new(),
            frees_lazily: false,
            dirty: 0,
            hits: 0,
            all_changed: false,
            swapped: None,
            gives_up_dump: false,
        };
        let result = run(&mut world, args, reply);
        let (discarded, dirty, all_changed) = (world.discarded, world.dirty, world.all_changed);
        let swapped = world.swapped;
        let lazily = world.frees_lazily;
        if world.gives_up_dump {
            self.actions.push(Action::GiveUpDump);
        }
        self.effects.keyspace_hits += world.hits;
        if all_changed {
            let id = self.next_flush();
            workspace.note_flush(self.slots, id, swapped);
        }
        self.account(facts.command, facts.caller, args, began);
        self.effects.dirty += dirty;
        // One that is refused has done nothing, and a log that has it could not be loaded.
        let writes = facts.command.command().flags.contains(Flags::WRITE);
        if self.effects.journal.is_on() && writes && result.is_ok() {
            workspace.note_whole(&self.databases, self.now, facts, args);
        }
        if !discarded.is_empty() {
            self.actions.push(Action::FreeKeyspaces(discarded, lazily));
        }
        if let Err(error) = result {
            reply.truncate(start);
            error.write(reply);
            self.stats.failed(facts.command.index(), &error);
            return false;
        }
        facts.command.command().name == "flushall" && !self.config.save.0.is_empty()
    }
}

impl Workspace {
    /// An empty one, of databases like these, or of an emptied one's.
    pub(crate) fn new(like: &Databases, spare: Option<Databases>) -> Self {
        Self {
            entries: spare.unwrap_or_else(|| Databases::new(like.count(), like.hasher())),
            world: Vec::new(),
            effects: EffectList::default(),
            away: Vec::new(),
        }
    }

    /// Its databases for the next one, where nothing is left in them.
    pub(crate) fn into_spare(self) -> Option<Databases> {
        self.is_clear().then_some(self.entries)
    }

    /// Puts what one shard has lent on it.
    pub(crate) fn put(&mut self, owner: ShardId, lent: Lending) {
        match lent {
            Lending::Entries(entries) => {
                for (db, entry) in entries {
                    self.entries.get_mut(db).insert_new(entry);
                }
            }
            Lending::World(lent) => self.world.push((owner, lent)),
            Lending::Nothing | Lending::Ran(_) | Lending::Portion(_) => {}
        }
    }

    /// Whether nothing is left on it that must go home.
    pub(crate) fn is_clear(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts what was lent in the shard's place for its databases: the next command finds it there.
    pub(crate) fn open(&mut self, engine: &mut Engine) {
        debug_assert!(!engine.effects.is_away && engine.effects.list.is_empty());
        std::mem::swap(&mut engine.databases, &mut self.entries);
        std::mem::swap(&mut engine.effects.list, &mut self.effects);
        engine.effects.is_away = true;
        engine.effects.journal.away = std::mem::take(&mut self.away);
    }

    /// Undoes [`Self::open`].
    pub(crate) fn close(&mut self, engine: &mut Engine) {
        std::mem::swap(&mut engine.effects.list, &mut self.effects);
        engine.effects.is_away = false;
        self.away = std::mem::take(&mut engine.effects.journal.away);
        std::mem::swap(&mut engine.databases, &mut self.entries);
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
    pub(crate) fn return_to_owner(&mut self, keys: &[TransactionKey]) -> Lending {
        let exists = |TransactionKey { db, key }: &TransactionKey| {
            Some((*db, self.entries.get_mut(*db).take(key)?))
        };
        Lending::Entries(keys.iter().filter_map(exists).collect())
    }

    /// Notes for every shard that all keys went or came, in the order in which things happened:
    /// what has been noted in a database before it was `swapped` is noted of it under its old
    /// number. What was read before is not valid in any case.
    fn note_flush(
        &mut self,
        slots: SlotMap,
        id: Option<FlushId>,
        swapped: Option<(DbIndex, DbIndex)>,
    ) {
        self.effects.extract(|effect| effect.what == What::Read);
        for (shard, lent) in &mut self.world {
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
    fn note_whole(&mut self, like: &Databases, now: UnixMillis, facts: Facts, args: &Args<'_>) {
        let mut record = Vec::new();
        aof::command(&mut record, args.iter());
        let db = facts.db;
        self.away.push(Away::Everywhere { db, now, record });
        let number = |at| {
            let text = args.get(at)?;
            let number = storage::item::parse_int(text)?;
            like.index(u16::try_from(number).ok()?)
        };
        if facts.command.command().name == "swapdb"
            && let (Some(a), Some(b)) = (number(1), number(2))
        {
            self.away.push(Away::Swapped(a, b));
        }
    }

    fn lent_by(&mut self, owner: ShardId) -> Option<&mut Lent> {
        self.world
            .iter_mut()
            .find(|(shard, _)| *shard == owner)
            .map(|(_, lent)| lent.as_mut())
    }

    /// Takes the keys of one command out of the whole shards, for it to find them in one place. Returns which keys these are.
    fn borrow_keys(
        &mut self,
        engine: &Engine,
        facts: Facts,
        args: &Args<'_>,
    ) -> Vec<TransactionKey> {
        let mut keys = engine.keys_of(facts, args);
        self.borrow_each(engine, &keys);
        // The listed keys are here now, and with them the elements that say which keys are computed.
        let here = self.entries.get(facts.db);
        let computed = sort::computed_keys(facts.command.command(), args, here);
        let computed = computed
            .into_iter()
            .map(|key| TransactionKey { db: facts.db, key });
        let listed = keys.len();
        keys.extend(computed);
        self.borrow_each(engine, &keys[listed..]);
        keys
    }

    fn borrow_each(&mut self, engine: &Engine, keys: &[TransactionKey]) {
        for key in keys {
            if let Some(lent) = self.lent_by(engine.slots.owner(&key.key))
                && let Some(entry) = lent.databases.get_mut(key.db).take(&key.key)
            {
                self.entries.get_mut(key.db).insert_new(entry);
            }
        }
    }

    fn return_keys(&mut self, engine: &Engine, keys: &[TransactionKey]) {
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key.db).take(&key.key)
                && let Some(lent) = self.lent_by(engine.slots.owner(&key.key))
            {
                lent.databases.get_mut(key.db).insert_new(entry);
            }
        }
    }
}
