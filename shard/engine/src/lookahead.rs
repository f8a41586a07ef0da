//! Looking ahead: the keys, members and fields that the next commands of a pipeline name are asked
//! for before those commands run.
//!
//! A lookup in a large table mostly waits for memory, three times in a row. A group of commands
//! that stands in a buffer waits three times in all ([`storage::prefetch`]). Where neighbours in
//! the group work on one large collection, the same is done for the elements that they name.

use protocol::peek::{Peek, Seen};
use smallvec::SmallVec;
use storage::prefetch::GROUP_LEN_MAX;
use storage::{Entry, Keyspace, Object};

type Group<'a> = SmallVec<[Seen<'a>; GROUP_LEN_MAX]>;

/// How far ahead of the command that runs a connection's input has been looked at.
#[derive(Default)]
pub struct Lookahead {
    ahead: usize,
    /// There was nothing more to see.
    over: bool,
}

impl Lookahead {
    /// Called before the command at `at` runs: when the last group has run, looks at the next one.
    #[inline]
    pub fn fetch(&mut self, keyspace: &Keyspace, input: &[u8], at: usize) {
        if self.ahead == 0 && !self.over {
            self.ahead = look(keyspace, input, at);
            self.over = self.ahead == 0;
        }
        self.ahead = self.ahead.saturating_sub(1);
    }
}

/// Looks at the next group. Returns how many commands it has.
fn look(keyspace: &Keyspace, input: &[u8], at: usize) -> usize {
    let mut peek = Peek::new(at);
    let Some(first) = peek.next(input) else {
        return 0;
    };
    if !keyspace.is_worth_fetching() && collection(keyspace, &first).is_none() {
        // What follows is most often of the same kind: it is looked at again a group later.
        return GROUP_LEN_MAX;
    }
    let mut group = Group::new();
    group.push(first);
    while group.len() < GROUP_LEN_MAX
        && let Some(seen) = peek.next(input)
    {
        group.push(seen);
    }
    fetch_group(keyspace, &group);
    group.len()
}

/// Lets what these commands name be on its way from memory.
pub fn fetch_group(keyspace: &Keyspace, group: &[Seen<'_>]) {
    if keyspace.is_worth_fetching() {
        keyspace.prefetch(group.iter().map(Seen::key));
    }
    let in_a_row = |a: &Seen<'_>, b: &Seen<'_>| a.element().is_some() && a.key() == b.key();
    for row in group.chunk_by(in_a_row) {
        if let [first, _, ..] = row
            && let Some(collection) = collection(keyspace, first)
        {
            collection.prefetch(row.iter().filter_map(Seen::element));
        }
    }
}

/// The large table in which a command is to look an element up.
fn collection<'k>(keyspace: &'k Keyspace, seen: &Seen<'_>) -> Option<&'k Object> {
    seen.element()?;
    let object = keyspace.get(seen.key()).and_then(Entry::as_object)?;
    object.is_worth_fetching().then_some(object)
}
