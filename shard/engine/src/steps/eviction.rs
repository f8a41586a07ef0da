//! `maxmemory`: what a shard does before a command when the process uses too much.
//!
//! Memory is one for the process and keys are many shards'. Whoever is about to run a command and
//! finds too much in use draws the shard that is to give a key up, each with the chance of its
//! share of the keys: so a shard that is written to much does not lose its keys while others keep
//! old ones for ever. It evicts its own at once; others it *charges* with the bytes (see `memory`),
//! and counts them as freed. A charged shard evicts before its own next command, or when it is
//! called. Nobody waits: what a command takes too much is bounded by [`OWED_MAX`] a shard, and so
//! is what races between shards evict too much.
//!
//! Inside a shard the pool decides, see `storage::eviction`. Work is bounded by time, as
//! `maxmemory-eviction-tenacity` says; what is left is done before the next commands, and by the
//! clock.
//!
//! A command is refused when no shard has a key that may go and none owes anything; or when those
//! that owe do not come to it, in the middle of a long command, and memory is [far](OVERDRAFT)
//! beyond its limit. Keys lent to a transaction may not; nothing is evicted while the whole
//! keyspace is lent.
//!
//! Why no common order of all keys: it would be a lock, or messages, at every use of a key.

use protocol::command::Flags;
use protocol::table::CommandId;
use storage::{EvictionPolicy, Victim};

use crate::action::Action;
use crate::engine::Engine;
use crate::eviction::{
    OVERDRAFT, Room, SEARCHES_MAX, VICTIMS_OF_MEAN, VICTIMS_PER_LOOK, time_allowed,
};
use crate::ledger::{OWED_MAX, PUBLISHED_STEP};
use crate::message::Message;
use crate::slot::ShardId;

impl Engine {
    /// Whether a command may run, as far as memory goes; makes room for it first. Called where its
    /// keys are.
    #[inline]
    pub fn has_room_for(&mut self, id: CommandId) -> bool {
        self.config.maxmemory == 0
            || self.make_room() != Room::None
            || !id.command().flags.contains(Flags::DENYOOM)
    }

    /// Evicts until memory is within `maxmemory`, as far as time allows.
    #[inline]
    pub fn make_room(&mut self) -> Room {
        if self.config.maxmemory == 0 || self.effects.is_paused {
            return Room::Enough;
        }
        self.publish_moved();
        let owes = self.environment.ledger().account(self.id).owed() > 0;
        if owes || self.bytes_beyond_limit() > 0 {
            self.evict_down()
        } else {
            Room::Enough
        }
    }

    /// Bytes in use above `maxmemory`, less those that are about to be freed.
    fn bytes_beyond_limit(&self) -> i64 {
        self.environment
            .ledger()
            .used_in_the_end(self.evicting.first_of_thread)
            - self.memory_limit()
    }

    fn memory_limit(&self) -> i64 {
        i64::try_from(self.config.maxmemory).unwrap_or(i64::MAX)
    }

    /// How far that may be for some time.
    fn overdraft(&self) -> i64 {
        (self.memory_limit() / OVERDRAFT).max(OWED_MAX * self.slots.shards() as i64)
    }

    #[cold]
    fn evict_down(&mut self) -> Room {
        debug_assert!(
            !self.effects.is_away,
            "a transaction's workspace is no place to evict from"
        );
        if self.owner.locks.holds_all() {
            return Room::Elsewhere;
        }
        if self.effects.is_paused {
            // Nothing changes while clients are paused.
            return Room::Enough;
        }
        let is_measured = self.config.latency_monitor_threshold_ms > 0;
        let clock = self.timing.clock;
        let began = is_measured.then(clock);
        let room = self.evict_while_time_allows();
        let environment = self.environment.clone();
        let ledger = environment.ledger();
        let now_ms = self.now.ms();
        match room {
            Room::Enough => ledger.is_within_limit(now_ms),
            Room::Unfinished | Room::Elsewhere | Room::None => {
                ledger.is_beyond_limit(now_ms);
            }
        }
        self.free_discarded();
        self.publish_moved();
        self.serve_ready();
        if let Some(began) = began {
            let ms = u64::try_from(clock().saturating_duration_since(began).as_millis())
                .unwrap_or(u64::MAX);
            self.actions.push(Action::Evicted { ms });
        }
        room
    }

    /// Evicts here, and charges others, until there is room or the time is up.
    fn evict_while_time_allows(&mut self) -> Room {
        let clock = self.timing.clock;
        let environment = self.environment.clone();
        let ledger = environment.ledger();
        let account = ledger.account(self.id);
        let policy = self.config.eviction_policy();
        let until = time_allowed(self.config.maxmemory_eviction_tenacity);
        let until = until.map(|time| clock() + time);
        let (mut victims, mut searches) = (0usize, 0usize);
        loop {
            let owed = account.owed();
            let over = self.bytes_beyond_limit();
            if over <= 0 && owed <= 0 {
                break Room::Enough;
            }
            let own = policy.map_or(0, |policy| policy.eligible_len(&self.databases));
            if own == 0 {
                account.set_evictable(0);
                account.default_on_debt();
            }
            if owed <= 0 || own == 0 {
                match self.draw(own) {
                    Some(shard) if shard == self.id => {}
                    Some(shard) => {
                        // As much as this shard would have given up itself: with more, whoever
                        // draws less often would shrink.
                        self.charge(shard, self.evicting.victim_bytes_mean.max(1));
                        continue;
                    }
                    None if ledger.is_owed() && over <= self.overdraft() => {
                        break Room::Elsewhere;
                    }
                    None if over <= 0 => break Room::Enough,
                    None => break Room::None,
                }
            }
            let Some(policy) = policy else {
                break Room::None;
            };
            match self.evict_one(policy) {
                Some(freed) if owed > 0 => {
                    let speaker = ledger.account(self.evicting.first_of_thread);
                    speaker.set_used(ledger.used_here());
                    account.pay(freed);
                }
                Some(_) => {}
                None => searches += 1,
            }
            victims += 1;
            let time_is_up = victims.is_multiple_of(VICTIMS_PER_LOOK)
                && until.is_some_and(|until| clock() >= until);
            if time_is_up || searches == SEARCHES_MAX {
                break Room::Unfinished;
            }
        }
    }

    /// Takes one key out. Returns the bytes that are free then, or soon.
    fn evict_one(&mut self, policy: EvictionPolicy) -> Option<i64> {
        let victim = self.evicting.candidates.evict(
            &mut self.databases,
            policy,
            self.access,
            self.now,
            &mut self.random,
        );
        let Victim::Taken(db, entry) = victim else {
            return None;
        };
        let bytes = i64::try_from(entry.memory_bytes()).unwrap_or(i64::MAX);
        self.evicting.victim_bytes_mean +=
            (bytes - self.evicting.victim_bytes_mean) / VICTIMS_OF_MEAN;
        self.effects
            .evicted(db, entry, self.config.lazyfree_lazy_eviction);
        self.effects.hand_out();
        self.free_discarded();
        Some(bytes)
    }

    /// Draws the shard that is to give a key up: each has the chance of its share of the keys, of
    /// which this one has `own`.
    fn draw(&mut self, own: usize) -> Option<ShardId> {
        let environment = self.environment.clone();
        let ledger = environment.ledger();
        let here = self.id.index();
        let weight = |(index, account): (usize, &crate::ledger::Account)| match index == here {
            true => own,
            false if account.owed() >= OWED_MAX => 0,
            false => account.evictable(),
        };
        let accounts = || ledger.accounts().iter().enumerate();
        let all: usize = accounts().map(weight).sum();
        if all == 0 {
            return None;
        }
        let mut nth = self.random.usize(..all);
        let drawn = accounts().position(|account| {
            let len = weight(account);
            let here = nth < len;
            nth = nth.saturating_sub(len);
            here
        });
        // The others' accounts may have changed between the two looks.
        Some(drawn.map_or(self.id, ShardId::new))
    }

    /// Asks another shard to evict so many bytes.
    fn charge(&mut self, shard: ShardId, bytes: i64) {
        if self.environment.ledger().account(shard).charge(bytes) {
            self.send(shard, Message::PayDebt);
            self.actions.push(Action::Turn);
        }
    }

    /// Somebody has charged this shard.
    pub fn pay_debt(&mut self) {
        self.environment.ledger().account(self.id).answer_call();
        self.evict_soon();
    }

    /// Makes room now; what time does not allow is done in the next turns, between which
    /// connections have theirs.
    pub fn evict_soon(&mut self) {
        let room = self.make_room();
        if room == Room::Enough {
            self.environment.ledger().is_within_limit(self.now.ms());
        }
        self.evicting.is_unfinished = room == Room::Unfinished;
        if self.evicting.is_unfinished {
            self.actions.push(Action::Turn);
        }
    }

    /// Tells the process how much memory this shard's thread has in use, and what of it may go.
    pub fn publish_memory(&self) {
        let memory = self.environment.ledger();
        memory
            .account(self.evicting.first_of_thread)
            .set_used(memory.used_here());
        let account = memory.account(self.id);
        // What is lent as a whole comes back, and a transaction's stage is not this shard's.
        let at_home = !self.owner.locks.holds_all() && !self.effects.is_away;
        if self.config.maxmemory != 0 && at_home {
            let policy = self.config.eviction_policy();
            let keys = policy.map_or(0, |policy| policy.eligible_len(&self.databases));
            account.set_evictable(keys);
        }
    }

    /// Tells the process of the memory in use where it has changed by much, or by all.
    #[inline]
    pub fn publish_moved(&self) {
        if self.config.maxmemory == 0 {
            return;
        }
        let memory = self.environment.ledger();
        let account = memory.account(self.id);
        let moved = memory.used_here() - memory.account(self.evicting.first_of_thread).used();
        if moved.abs() >= PUBLISHED_STEP || account.evictable() == 0 {
            self.publish_memory();
        }
    }
}
