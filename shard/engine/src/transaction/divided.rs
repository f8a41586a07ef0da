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
use smallvec::SmallVec;

use crate::header::Header;
use crate::header::ReplyTo;
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
pub(crate) fn line_end(encoded: &[u8]) -> usize {
    let end = encoded.iter().position(|byte| *byte == b'\n');
    end.map_or(encoded.len(), |at| at + 1)
}

/// The number in the first line, behind the type.
pub(crate) fn integer(encoded: &[u8]) -> i64 {
    let text = encoded[..line_end(encoded)].trim_ascii_end();
    text.get(1..)
        .and_then(storage::item::parse_int)
        .unwrap_or_default()
}

/// Where the string or null ends with which this begins.
pub(crate) fn element_end(encoded: &[u8]) -> usize {
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
