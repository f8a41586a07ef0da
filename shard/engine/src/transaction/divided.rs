//! Commands that can be divided: what they do with the keys of one shard does not depend on those
//! of another. Each shard does its *portion* where the keys are, and nothing is lent.
//!
//! Such a command is a transaction like any other (see `transaction`), and happens at an instant at
//! which all its locks are held:
//!
//! - Where the keys are this shard's and one other's, this one's are locked first. Then the other
//!   does its portion as soon as it gets it: that is the instant, so it need not lock anything. It
//!   answers, this shard does its own portion, and the locks here go. Two messages in all.
//! - Otherwise all shards are asked for locks at once. What only reads is read as soon as they are
//!   locked, and stays so until the release; what writes is written with the release, before the
//!   lock is free.
//! - A shard where somebody holds a key, or which keeps a log (there a transaction is a group of
//!   records), refuses. Then the command goes on as one whose keys are lent.
//!
//! OwnerDatabases, each of ten keys of an MGET cost six look-ups.

use protocol::args::OwnedArgs;
use protocol::facts::Division;
use protocol::reply::Reply;
use protocol::resp::element::{self, Element};
use smallvec::SmallVec;

use crate::header::{Header, ReplyTo};
use crate::slot::ShardId;

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
    pub header: Header,
    /// A command of its own, on the keys of this shard.
    pub args: OwnedArgs,
    /// Arguments from one key to the next.
    pub(crate) step: usize,
    pub when: When,
}

impl Portion {
    /// How many keys it names, each as often as it is named.
    pub(crate) fn keys(&self) -> usize {
        (self.args.borrow().len() - 1) / self.step
    }
}

/// What a portion came to.
pub struct Ran {
    pub(crate) encoded: Vec<u8>,
    /// How long it took.
    pub(crate) nanos: u64,
}

/// A divided command, on its coordinator.
pub struct Divided {
    pub to: ReplyTo,
    pub header: Header,
    pub args: OwnedArgs,
    pub(crate) division: Division,
    /// Of each key, in their order.
    pub(crate) owners: SmallVec<[ShardId; 16]>,
}

impl Divided {
    /// The reply, of what the shards' portions came to.
    pub(crate) fn join(&self, ran: &[(ShardId, Ran)], reply: &mut Reply<'_>) {
        match self.division {
            Division::Pairs => reply.ok(),
            Division::Sum => reply.integer(ran.iter().map(|(_, ran)| integer(&ran.encoded)).sum()),
            Division::Each => {
                reply.array(self.owners.len());
                // Behind the header of each portion's array.
                let elements = |(shard, ran): &'_ (ShardId, Ran)| (*shard, element(&ran.encoded).1);
                let mut at: SmallVec<[(ShardId, usize); 4]> = ran.iter().map(elements).collect();
                for owner in &self.owners {
                    let place = at.iter().position(|(shard, _)| shard == owner);
                    let place = place.expect("every owner has done its portion");
                    let rest = &ran[place].1.encoded[at[place].1..];
                    let len = element(rest).1;
                    reply.raw(&rest[..len]);
                    at[place].1 += len;
                }
            }
        }
    }
}

/// The first element of a reply of ours, and how many bytes it takes.
fn element(encoded: &[u8]) -> (Element<'_>, usize) {
    element::first(encoded).expect("a whole reply, which we wrote")
}

/// The number that is a whole reply.
fn integer(encoded: &[u8]) -> i64 {
    match element(encoded).0 {
        Element::Integer(number) => number,
        _ => 0,
    }
}
