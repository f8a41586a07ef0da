//! Commands that are divided over shards: see [`crate::transaction::divided`].

use std::time::Duration;

use protocol::args::{Args, OwnedArgs};
use protocol::command::Flags;
use protocol::facts::Division;
use protocol::reply::Reply;
use smallvec::SmallVec;

use crate::engine::Engine;
use crate::header::{Header, ReplyTo};
use crate::message::{CheckedOut, Release, Scope};
use crate::slot::ShardId;
use crate::transaction::coordinator::Part;
use crate::transaction::divided::{Divided, Portion, Ran, When};

impl Engine {
    /// Begins a command whose keys live on several shards, if it can be divided. `owners` are those
    /// of its keys, in order.
    pub fn begin_if_divisible(
        &mut self,
        to: ReplyTo,
        header: Header,
        args: &Args<'_>,
        owners: SmallVec<[ShardId; 16]>,
    ) -> bool {
        let command = header.command.command();
        // A key without its value is for the command to refuse.
        let is_whole = |division: &Division| (args.len() - 1).is_multiple_of(division.step());
        let Some(division) = command.divides.filter(is_whole) else {
            return false;
        };
        let mut shards = owners.clone();
        shards.sort_unstable();
        shards.dedup();
        let is_of_two = shards.len() == 2 && shards.contains(&self.id);
        let writes = command.flags.contains(Flags::WRITE);
        // How many keys were deleted is known only when they are.
        let knows_too_late = writes && division != Division::Pairs && !is_of_two;
        // What a client with a cache reads is told to its owner with the keys.
        if self.effects.journal.is_on() || header.caller.tracks || knows_too_late {
            return false;
        }
        let divided = Divided {
            to,
            header,
            args: OwnedArgs::from(args),
            division,
            owners,
        };
        let when = |shard| match (is_of_two, writes) {
            (true, _) if shard != self.id => When::Last,
            (false, false) => When::Locked,
            _ => When::Released,
        };
        let parts = shards.into_iter();
        let parts = parts
            .map(|shard| divided.part(shard, when(shard)))
            .collect();
        self.begin_divided(to.client, parts, divided);
        true
    }

    /// On an owner whose keys are locked for it, or free: does a portion.
    pub(crate) fn run_portion(&mut self, portion: &Portion) -> Ran {
        let mut encoded = Vec::new();
        let Portion {
            header, args, step, ..
        } = portion;
        let args = args.borrow();
        self.interrupt_timing();
        let began = (self.timing.clock)();
        let keyspace = self.databases.get(header.db);
        if keyspace.is_worth_fetching() {
            keyspace.prefetch(args.iter().skip(1).step_by(*step));
        }
        let mut reply = Reply::new(&mut encoded, header.version);
        let outcome = self.perform(*header, &args, &mut reply);
        debug_assert!(outcome.is_ok(), "what can fail is not divided");
        let nanos = u64::try_from(
            (self.timing.clock)()
                .saturating_duration_since(began)
                .as_nanos(),
        )
        .unwrap_or(u64::MAX);
        Ran { encoded, nanos }
    }

    /// On the coordinator, when all locks are held: what is left to do is done, the locks go, and
    /// the client is answered.
    pub(crate) fn end_divided(&mut self, divided: Divided, parts: SmallVec<[Part; 4]>) {
        // Its instant was when the shard that was asked last did its portion.
        let had_last = parts.iter().any(|part| part.granted.is_none());
        let mut ran: SmallVec<[(ShardId, Ran); 4]> = SmallVec::new();
        let mut releases: SmallVec<[(ShardId, Release); 4]> = SmallVec::new();
        for part in parts {
            let (shard, item) = (part.shard, part.granted);
            let mut left = CheckedOut::Nothing;
            match (part.lent, part.scope) {
                (Some(CheckedOut::Ran(it)), _) => ran.push((shard, it)),
                (_, Scope::Portion(portion)) if shard == self.id => {
                    let item = item.expect("its keys are locked");
                    ran.push((shard, self.under(item, |it| it.run_portion(&portion))));
                }
                (_, Scope::Portion(portion)) => {
                    // Counted here, since the client is answered before the other shard has done it
                    // and may ask for the count.
                    self.effects.dirty += portion.keys() as u64;
                    left = CheckedOut::Portion(portion);
                }
                _ => {}
            }
            releases.extend(item.map(|item| (shard, Release::unused(item, left))));
        }
        let mut encoded = Vec::new();
        let Divided {
            to, header, args, ..
        } = &divided;
        if !had_last {
            self.trace.note(*header);
        }
        divided.join(&ran, &mut Reply::new(&mut encoded, header.version));
        let nanos = ran.iter().map(|(_, ran)| ran.nanos).sum();
        let now = (self.timing.clock)();
        let began = now.checked_sub(Duration::from_nanos(nanos));
        self.stats.calls[header.command.index()] += 1;
        self.timing.in_row = false;
        let began = began.unwrap_or(now);
        self.account(header.command, header.caller, &args.borrow(), began);
        self.interrupt_timing();
        let mut telling = self.begin_telling(None);
        for (shard, mut release) in releases {
            self.ask_to_tell(&mut telling, shard, &mut release);
            self.give_back(shard, release);
        }
        self.answer(telling.commit, *to, encoded);
    }
}

impl Divided {
    /// The part of one shard.
    fn part(&self, shard: ShardId, when: When) -> Part {
        let step = self.division.step();
        let of_shard = |(index, owner): (usize, &ShardId)| (*owner == shard).then_some(index);
        let keys = self.owners.iter().enumerate().filter_map(of_shard);
        let which = keys.flat_map(|index| 1 + index * step..1 + (index + 1) * step);
        let portion = Portion {
            header: self.header,
            args: OwnedArgs::select(&self.args.borrow(), std::iter::once(0).chain(which)),
            step,
            when,
        };
        Part::new(shard, Scope::Portion(Box::new(portion)))
    }
}
