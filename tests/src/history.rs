//! Decides whether what concurrent clients saw could have happened one command at a time.
//!
//! A history says for every operation when it was called, when its reply was there, and what the
//! reply was. It is *linearizable* where the operations can be put in one order that keeps real
//! time (what returned before another was called comes before it) and in which a model that does
//! one at a time gives the same replies. The whole keyspace is one object here, so that this is
//! strict serializability.
//!
//! The search is Wing and Gong's, with Lowe's memory: a set of operations that leads to a state
//! which was seen with that set already is not tried again, and a look that fits is taken at once:
//! had it come later, it could as well have come now. Operations that are done stand in one word,
//! which bounds a history at [`OPERATIONS_MAX`]; many short histories find more than few long ones
//! anyway, as each starts a new race.
//!
//! Clients may send several commands together. Those overlap in time; [`Model::in_order`] says
//! which of them must take effect in their order nevertheless.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// Most operations of one history.
pub const OPERATIONS_MAX: usize = 64;

/// Most states that one search visits before it gives up, which needs some hundred megabytes.
const VISITED_MAX: usize = 2_000_000;

/// What one operation after the other would do.
pub trait Model: Clone + Eq + Hash {
    /// What a client asks for.
    type Call: Debug;
    /// What it sees.
    type Reply: Debug;

    /// The state after `call` if it can answer `reply` in this state.
    fn accept(&self, call: &Self::Call, reply: &Self::Reply) -> Option<Self>;

    /// Whether this call, answered so, has changed nothing, whatever the state was.
    fn is_look(call: &Self::Call, reply: &Self::Reply) -> bool;

    /// Whether two calls that one client sends together must take effect in their order.
    fn in_order(first: &Self::Call, second: &Self::Call) -> bool;
}

/// One operation of a history. Times are nanoseconds since any one instant, by one clock.
#[derive(Debug, Clone)]
pub struct Operation<C, R> {
    /// Who called.
    pub client: usize,
    /// What for.
    pub call: C,
    /// What came back.
    pub reply: R,
    /// Before the call's first byte was sent.
    pub called: u64,
    /// After the reply's last byte was there.
    pub returned: u64,
}

/// What a search says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order: here is one, as indices of the history.
    Linearizable(Vec<usize>),
    /// There is none. Here is an order as long as any that was found; everything that could come
    /// next contradicts its reply.
    Torn(Vec<usize>),
    /// The search visited more states than it may: the history has too much at once.
    Undecided,
}

/// Looks for an order of `history` that begins with the state `start`. Operations of one client
/// stand in the order of their calls.
///
/// # Panics
/// Where the history has more than [`OPERATIONS_MAX`] operations.
pub fn check<M: Model>(start: &M, history: &[Operation<M::Call, M::Reply>]) -> Verdict {
    assert!(history.len() <= OPERATIONS_MAX, "a history too long");
    let mut search = Search {
        history,
        before: (0..history.len())
            .map(|at| before::<M>(history, at))
            .collect(),
        visited: HashSet::new(),
        order: Vec::new(),
        longest: Vec::new(),
    };
    match search.extend(0, start) {
        Some(true) => Verdict::Linearizable(search.order),
        Some(false) => Verdict::Torn(search.longest),
        None => Verdict::Undecided,
    }
}

/// Leaves out of a torn history what it is torn without, for people to read: looks, and what came
/// after all the rest.
///
/// # Panics
/// As [`check`].
pub fn shrink<M: Model>(
    start: &M,
    history: &[Operation<M::Call, M::Reply>],
) -> Vec<Operation<M::Call, M::Reply>>
where
    M::Call: Clone,
    M::Reply: Clone,
{
    let mut kept = history.to_vec();
    let latest_first = |kept: &[Operation<M::Call, M::Reply>]| {
        let mut all: Vec<usize> = (0..kept.len()).collect();
        all.sort_by_key(|at| std::cmp::Reverse(kept[*at].called));
        all
    };
    'again: loop {
        for at in latest_first(&kept) {
            let this = &kept[at];
            let others = || kept.iter().enumerate().filter(|(other, _)| *other != at);
            let is_last = others().all(|(_, other)| other.returned < this.called);
            if is_last || M::is_look(&this.call, &this.reply) {
                let fewer: Vec<_> = others().map(|(_, other)| other.clone()).collect();
                if matches!(check(start, &fewer), Verdict::Torn(_)) {
                    kept = fewer;
                    continue 'again;
                }
            }
        }
        return kept;
    }
}

/// Which operations must come before the one at `at`.
fn before<M: Model>(history: &[Operation<M::Call, M::Reply>], at: usize) -> u64 {
    let this = &history[at];
    let precedes = |(index, other): (usize, &Operation<M::Call, M::Reply>)| {
        let together =
            index < at && other.client == this.client && M::in_order(&other.call, &this.call);
        index != at && (other.returned < this.called || together)
    };
    let each = history.iter().enumerate();
    each.map(|(index, other)| u64::from(precedes((index, other))) << index)
        .fold(0, |all, one| all | one)
}

struct Search<'a, M: Model> {
    history: &'a [Operation<M::Call, M::Reply>],
    /// For each operation, those that must be done first.
    before: Vec<u64>,
    visited: HashSet<(u64, M)>,
    /// What is done, in its order.
    order: Vec<usize>,
    longest: Vec<usize>,
}

impl<M: Model> Search<'_, M> {
    /// Whether `done` in `state` can be extended to everything. It recurses once an operation.
    /// `None` where that takes too long to say.
    fn extend(&mut self, done: u64, state: &M) -> Option<bool> {
        if self.order.len() > self.longest.len() {
            self.longest.clone_from(&self.order);
        }
        if self.order.len() == self.history.len() {
            return Some(true);
        }
        let mut nexts = Vec::new();
        for at in 0..self.history.len() {
            if done & (1 << at) != 0 || self.before[at] & !done != 0 {
                continue;
            }
            let operation = &self.history[at];
            if let Some(next) = state.accept(&operation.call, &operation.reply) {
                nexts.push((at, next));
                if M::is_look(&operation.call, &operation.reply) {
                    nexts.drain(..nexts.len() - 1);
                    break;
                }
            }
        }
        for (at, next) in nexts {
            let bit = 1 << at;
            if self.visited.len() == VISITED_MAX {
                return None;
            }
            if !self.visited.insert((done | bit, next.clone())) {
                continue;
            }
            self.order.push(at);
            if self.extend(done | bit, &next)? {
                return Some(true);
            }
            self.order.pop();
        }
        Some(false)
    }
}

/// A history for people: in order of the calls, times in microseconds; what an order in vain has
/// reached is marked.
pub fn show<C: Debug, R: Debug>(history: &[Operation<C, R>], order: &[usize]) -> String {
    let mut by_call: Vec<usize> = (0..history.len()).collect();
    by_call.sort_by_key(|at| history[*at].called);
    let line = |at: usize| {
        let operation = &history[at];
        let place = order.iter().position(|done| *done == at);
        format!(
            "{:>4} client {} {:>8}..{:<8} {:?} -> {:?}\n",
            place.map_or_else(|| "-".to_owned(), |place| place.to_string()),
            operation.client,
            operation.called / 1_000,
            operation.returned / 1_000,
            operation.call,
            operation.reply,
        )
    };
    by_call.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two registers.
    #[derive(Clone, PartialEq, Eq, Hash, Default)]
    struct Registers([i32; 2]);

    #[derive(Debug, Clone)]
    enum Call {
        Write(usize, i32),
        WriteBoth(i32),
        Read(usize),
        ReadBoth,
    }

    impl Model for Registers {
        type Call = Call;
        type Reply = Vec<i32>;

        fn accept(&self, call: &Call, reply: &Vec<i32>) -> Option<Self> {
            let mut next = self.clone();
            let answer = match call {
                Call::Write(at, value) => {
                    next.0[*at] = *value;
                    vec![]
                }
                Call::WriteBoth(value) => {
                    next.0 = [*value; 2];
                    vec![]
                }
                Call::Read(at) => vec![self.0[*at]],
                Call::ReadBoth => self.0.to_vec(),
            };
            (answer == *reply).then_some(next)
        }

        fn is_look(call: &Call, _: &Vec<i32>) -> bool {
            matches!(call, Call::Read(_) | Call::ReadBoth)
        }

        fn in_order(first: &Call, second: &Call) -> bool {
            match (first, second) {
                (Call::Write(a, _) | Call::Read(a), Call::Write(b, _) | Call::Read(b)) => a == b,
                _ => true,
            }
        }
    }

    /// Client, call, reply, and the times of both.
    fn judge(history: &[(usize, Call, &[i32], u64, u64)]) -> Verdict {
        let history: Vec<_> = history
            .iter()
            .map(|(client, call, reply, called, returned)| Operation {
                client: *client,
                call: call.clone(),
                reply: reply.to_vec(),
                called: *called,
                returned: *returned,
            })
            .collect();
        check(&Registers::default(), &history)
    }

    fn is_torn(history: &[(usize, Call, &[i32], u64, u64)]) -> bool {
        matches!(judge(history), Verdict::Torn(_))
    }

    use Call::{Read, ReadBoth, Write, WriteBoth};

    #[test]
    fn what_overlaps_may_have_any_order() {
        let history = [
            (0, Write(0, 1), &[][..], 0, 100),
            (1, Read(0), &[1], 10, 20),
            (2, Read(0), &[1], 30, 40),
        ];
        assert_eq!(judge(&history), Verdict::Linearizable(vec![0, 1, 2]));
        let history = [
            (0, Write(0, 1), &[][..], 0, 100),
            (1, Read(0), &[0], 10, 20),
        ];
        assert_eq!(judge(&history), Verdict::Linearizable(vec![1, 0]));
    }

    #[test]
    fn a_write_that_happens_to_change_nothing_is_no_look() {
        // Taken at once, as it fits the beginning, the second would leave nothing to overwrite the
        // first.
        let history = [
            (0, Write(0, 1), &[][..], 0, 100),
            (1, Write(0, 0), &[], 0, 100),
            (2, Read(0), &[0], 101, 102),
            (3, Read(0), &[1], 50, 60),
        ];
        assert_eq!(judge(&history), Verdict::Linearizable(vec![0, 3, 1, 2]));
    }

    #[test]
    fn an_old_value_after_a_new_one_is_wrong() {
        assert!(is_torn(&[
            (0, Write(0, 1), &[], 0, 100),
            (1, Read(0), &[1], 10, 20),
            (2, Read(0), &[0], 30, 40),
        ]));
    }

    #[test]
    fn a_stale_read_after_the_write_returned_is_wrong() {
        assert!(is_torn(&[
            (0, Write(0, 1), &[], 0, 10),
            (1, Read(0), &[0], 11, 20),
        ]));
    }

    #[test]
    fn a_value_nobody_wrote_is_wrong() {
        assert!(is_torn(&[
            (0, Write(0, 1), &[], 0, 9),
            (1, Read(0), &[7], 0, 9)
        ]));
    }

    #[test]
    fn half_of_a_write_is_wrong() {
        assert!(is_torn(&[
            (0, WriteBoth(1), &[], 0, 100),
            (1, ReadBoth, &[1, 0], 10, 20),
        ]));
        assert!(!is_torn(&[
            (0, WriteBoth(1), &[], 0, 100),
            (1, ReadBoth, &[1, 1], 10, 20),
        ]));
    }

    #[test]
    fn two_readers_that_disagree_on_the_order_of_two_writes_are_wrong() {
        // Each register by itself is fine; together they are not.
        assert!(is_torn(&[
            (0, Write(0, 1), &[], 0, 100),
            (1, Write(1, 1), &[], 0, 100),
            (2, ReadBoth, &[1, 0], 0, 100),
            (3, ReadBoth, &[0, 1], 0, 100),
        ]));
    }

    #[test]
    fn what_one_client_sends_together_keeps_its_order_where_it_must() {
        // The same register: in order.
        assert!(is_torn(&[
            (0, Write(0, 1), &[], 0, 50),
            (0, Read(0), &[0], 0, 60),
        ]));
        // Different ones: any order.
        let history = [
            (0, Write(0, 1), &[][..], 0, 50),
            (0, Write(1, 1), &[], 0, 60),
            (1, ReadBoth, &[0, 1], 10, 20),
        ];
        assert_eq!(judge(&history), Verdict::Linearizable(vec![1, 2, 0]));
    }

    #[test]
    fn the_longest_order_is_shown_with_what_contradicts_it() {
        let history = [(0, Write(0, 1), &[][..], 0, 10), (1, Read(0), &[2], 11, 20)];
        assert_eq!(judge(&history), Verdict::Torn(vec![0]));
    }

    #[test]
    fn a_torn_history_shrinks_to_what_tears_it() {
        let operation = |call: Call, reply: &[i32], called| Operation {
            client: 0,
            call,
            reply: reply.to_vec(),
            called,
            returned: called + 9,
        };
        let history = [
            operation(Read(0), &[0], 0),
            operation(Write(0, 1), &[], 10),
            operation(Read(1), &[0], 20),
            operation(Read(0), &[0], 30),
            operation(Write(0, 2), &[], 40),
            operation(Write(0, 3), &[], 50),
        ];
        let shrunk = shrink(&Registers::default(), &history);
        let called: Vec<u64> = shrunk.iter().map(|operation| operation.called).collect();
        assert_eq!(called, [10, 30]);
    }

    #[test]
    fn many_at_once_are_searched_in_time() {
        // 2^40 sets of reads, and 16! orders of writes.
        let mut history: Vec<_> = (0..40).map(|at| (at, Read(0), &[0][..], 0, 100)).collect();
        history.push((40, Read(1), &[9], 101, 102));
        assert_eq!(judge(&history), Verdict::Torn((0..40).collect()));
        let mut history: Vec<_> = (0..16)
            .map(|at| (at, WriteBoth(at as i32 % 2 + 1), &[][..], 0, 100))
            .collect();
        history.push((16, Read(1), &[9], 101, 102));
        assert!(is_torn(&history));
    }
}
