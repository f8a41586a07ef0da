//! Commands that can be divided: what they do with the keys of one shard does not depend on those of another. Each shard does its *portion* where
//! the keys are, and nothing is lent.
//!
//! Such a command is a transaction like any other (see `transaction`), and happens at an instant at which all its locks are held:
//!
//! - Where the keys are this shard's and one other's, this one's are locked first. Then the other does its portion as soon as it gets it: that is the
//!   instant, so it need not lock anything. It answers, this shard does its own portion, and the locks here go. Two messages in all.
//! - Otherwise all shards are asked for locks at once. What only reads is read as soon as they are locked, and stays so until the release; what
//!   writes is written with the release, before the lock is free.
//! - A shard where somebody holds a key, or which keeps a log (there a transaction is a group of records), refuses. Then the command goes on as one
//!   whose keys are lent.
//!
//! Lent, each of ten keys of an MGET cost six look-ups.

use protocol::args::{Args, OwnedArgs};
use protocol::command::Flags;
use protocol::reply::Reply;
use smallvec::SmallVec;
use std::time::Duration;

use crate::engine::Engine;
use crate::header::{Facts, ReplyTo};
use crate::message::{Lending, Release, Scope};
use crate::slot::ShardId;
use crate::transaction::coordinator::Part;

/// How the portions' replies come together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Division {
    /// A reply for each key, in the order of the keys (MGET).
    Each,
    /// How many keys it was true of (EXISTS, TOUCH, DEL, UNLINK).
    Sum,
    /// Keys with values, and always OK (MSET).
    Pairs,
}

/// When a portion is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// As soon as its keys are locked: it only reads.
    Locked,
    /// At the end, while its keys are locked.
    Released,
    /// As soon as nobody holds its keys. All others are locked, so that these need not be.
    Last,
}

/// What one shard does of a divided command.
pub struct Portion {
    pub facts: Facts,
    /// A command of its own, on the keys of this shard.
    pub args: OwnedArgs,
    /// Arguments from one key to the next.
    step: usize,
    pub when: When,
}

impl Portion {
    /// How many keys it names, each as often as it is named.
    fn keys(&self) -> usize {
        (self.args.borrow().len() - 1) / self.step
    }
}

/// What a portion came to.
pub struct Ran {
    encoded: Vec<u8>,
    /// How long it took.
    nanos: u64,
}

/// A divided command, on its coordinator.
pub struct Divided {
    pub to: ReplyTo,
    pub facts: Facts,
    pub args: OwnedArgs,
    division: Division,
    /// Of each key, in their order.
    owners: SmallVec<[ShardId; 16]>,
}

impl Division {
    /// Whether a command can be divided, and how.
    fn of(name: &str, args: &Args<'_>) -> Option<Self> {
        match name {
            "mget" => Some(Self::Each),
            "exists" | "touch" | "del" | "unlink" => Some(Self::Sum),
            "mset" if args.len() % 2 == 1 => Some(Self::Pairs),
            _ => None,
        }
    }

    /// Arguments from one key to the next.
    fn step(self) -> usize {
        match self {
            Self::Pairs => 2,
            Self::Each | Self::Sum => 1,
        }
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
            facts: self.facts,
            args: OwnedArgs::select(&self.args.borrow(), std::iter::once(0).chain(which)),
            step,
            when,
        };
        Part::new(shard, Scope::Portion(Box::new(portion)))
    }

    /// The reply, of what the shards' portions came to.
    fn join(&self, ran: &[(ShardId, Ran)], reply: &mut Reply<'_>) {
        match self.division {
            Division::Pairs => reply.ok(),
            Division::Sum => reply.integer(ran.iter().map(|(_, ran)| integer(&ran.encoded)).sum()),
            Division::Each => {
                reply.array(self.owners.len());
                let elements = |(shard, ran): &'_ (ShardId, Ran)| (*shard, line_end(&ran.encoded));
                let mut at: SmallVec<[(ShardId, usize); 4]> = ran.iter().map(elements).collect();
                for owner in &self.owners {
                    let place = at.iter().position(|(shard, _)| shard == owner);
                    let place = place.expect("every owner has done its portion");
                    let rest = &ran[place].1.encoded[at[place].1..];
                    let element = &rest[..element_end(rest)];
                    reply.raw(element);
                    at[place].1 += element.len();
                }
            }
        }
    }
}

/// Where the first line ends, its end included.
fn line_end(encoded: &[u8]) -> usize {
    let end = encoded.iter().position(|byte| *byte == b'\n');
    end.map_or(encoded.len(), |at| at + 1)
}

/// The number in the first line, behind the type.
fn integer(encoded: &[u8]) -> i64 {
    let text = encoded[..line_end(encoded)].trim_ascii_end();
    text.get(1..)
        .and_then(storage::item::parse_int)
        .unwrap_or_default()
}

/// Where the string or null ends with which this begins.
fn element_end(encoded: &[u8]) -> usize {
    let line = line_end(encoded);
    let text = match encoded.first() {
        Some(b'$') => integer(encoded),
        _ => -1,
    };
    match usize::try_from(text) {
        Ok(length) => line + length + b"\r\n".len(),
        Err(_) => line,
    }
}

impl Engine {
    /// Begins a command whose keys live on several shards, if it can be divided. `owners` are those of its keys, in order.
    pub fn begin_if_divisible(
        &mut self,
        to: ReplyTo,
        facts: Facts,
        args: &Args<'_>,
        owners: SmallVec<[ShardId; 16]>,
    ) -> bool {
        let command = facts.command.command();
        let Some(division) = Division::of(command.name, args) else {
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
        if self.effects.journal.is_on() || facts.caller.tracks || knows_too_late {
            return false;
        }
        let divided = Divided {
            to,
            facts,
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
            facts, args, step, ..
        } = portion;
        let args = args.borrow();
        self.interrupt_timing();
        let began = (self.timing.clock)();
        let keyspace = self.databases.get(facts.db);
        if keyspace.is_worth_fetching() {
            keyspace.prefetch(args.iter().skip(1).step_by(*step));
        }
        let mut reply = Reply::new(&mut encoded, facts.version);
        let outcome = self.perform(*facts, &args, &mut reply);
        debug_assert!(outcome.is_ok(), "what can fail is not divided");
        let nanos = u64::try_from(
            (self.timing.clock)()
                .saturating_duration_since(began)
                .as_nanos(),
        )
        .unwrap_or(u64::MAX);
        Ran { encoded, nanos }
    }

    /// On the coordinator, when all locks are held: what is left to do is done, the locks go, and the client is answered.
    pub(crate) fn end_divided(&mut self, divided: Divided, parts: SmallVec<[Part; 4]>) {
        // Its instant was when the shard that was asked last did its portion.
        let had_last = parts.iter().any(|part| part.granted.is_none());
        let mut ran: SmallVec<[(ShardId, Ran); 4]> = SmallVec::new();
        let mut releases: SmallVec<[(ShardId, Release); 4]> = SmallVec::new();
        for part in parts {
            let (shard, item) = (part.shard, part.granted);
            let mut left = Lending::Nothing;
            match (part.lent, part.scope) {
                (Some(Lending::Ran(it)), _) => ran.push((shard, it)),
                (_, Scope::Portion(portion)) if shard == self.id => {
                    let item = item.expect("its keys are locked");
                    ran.push((shard, self.under(item, |it| it.run_portion(&portion))));
                }
                (_, Scope::Portion(portion)) => {
                    // Counted here, since the client is answered before the other shard has done it and may ask for the count.
                    self.effects.dirty += portion.keys() as u64;
                    left = Lending::Portion(portion);
                }
                _ => {}
            }
            releases.extend(item.map(|item| (shard, Release::unused(item, left))));
        }
        let mut encoded = Vec::new();
        let Divided {
            to, facts, args, ..
        } = &divided;
        if !had_last {
            self.trace.note(*facts);
        }
        divided.join(&ran, &mut Reply::new(&mut encoded, facts.version));
        let nanos = ran.iter().map(|(_, ran)| ran.nanos).sum();
        let now = (self.timing.clock)();
        let began = now.checked_sub(Duration::from_nanos(nanos));
        self.stats.calls[facts.command.index()] += 1;
        self.timing.in_row = false;
        let began = began.unwrap_or(now);
        self.account(facts.command, facts.caller, &args.borrow(), began);
        self.interrupt_timing();
        let mut telling = self.begin_telling(None);
        for (shard, mut release) in releases {
            self.ask_to_tell(&mut telling, shard, &mut release);
            self.give_back(shard, release);
        }
        self.answer(telling.commit, *to, encoded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_end_where_they_end() {
        assert_eq!(element_end(b"$3\r\nabc\r\n$1\r\nx\r\n"), 9);
        assert_eq!(element_end(b"$0\r\n\r\n"), 6);
        assert_eq!(element_end(b"$-1\r\n$1\r\nx\r\n"), 5);
        assert_eq!(element_end(b"_\r\n_\r\n"), 3);
        assert_eq!(integer(b":12\r\n"), 12);
    }
}
