//! One change of a value that is too large to be copied, as it is undone.
//!
//! What a step keeps is enough only because the steps of a key are undone in the reverse order, and
//! because no command that has a step empties the value: it has more elements than the command can
//! take.

use protocol::args::Args;
use protocol::facts::Changes;
use protocol::number::parse_int;
use storage::{
    End, Entry, FieldDeadline, Hash, List, Score, Set, SortedSet, Stream, UnixMillis, rdb,
};

use crate::header::TransactionKey;

/// Elements that one step keeps.
const ELEMENTS_MAX: usize = 128;

/// No field of a hash that has a step has a deadline.
const EARLIEST: UnixMillis = UnixMillis::new(0);

/// Elements by their names, and what there was of each.
type Named<T> = Vec<(Box<[u8]>, Option<T>)>;

/// A command of a script that is about to change a key.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) key: &'a TransactionKey,
    pub(crate) what: Changes,
    pub(crate) args: &'a Args<'a>,
    pub(crate) now: UnixMillis,
}

/// How a change is undone.
pub(crate) enum Step {
    /// The key held this, or nothing.
    Whole(Option<Entry>),
    /// The list had so many elements before more were pushed.
    Pushed {
        end: End,
        before: usize,
    },
    /// The list had so many elements before these were popped, in this order.
    Popped {
        end: End,
        before: usize,
        elements: Vec<Vec<u8>>,
    },
    Scores(Named<Score>),
    Members(Named<()>),
    Fields(Named<Vec<u8>>),
    /// The stream keeps itself what changes.
    Entries,
    /// The command cannot change what the key holds: it is of another type.
    Nothing,
}

impl Step {
    /// All that the key holds.
    pub(crate) fn whole(entry: Option<&mut Entry>, key: &TransactionKey) -> Self {
        Self::Whole(entry.map(|entry| {
            let mut copy = entry.duplicate(&key.key);
            copy.set_access(entry.access());
            copy
        }))
    }

    /// What a command changes of a large value. None where that is too much, or unknown.
    pub(crate) fn before(change: Change<'_>, entry: &mut Entry) -> Option<Self> {
        if entry.is_expired(change.now) {
            return None;
        }
        match change.what {
            Changes::Anything => None,
            Changes::Named => named(change.args, entry),
            Changes::Entries => Some(match entry.get_mut::<Box<Stream>>() {
                Ok(stream) => {
                    stream.log.keep_changes();
                    Self::Entries
                }
                Err(_) => Self::Nothing,
            }),
            _ => match entry.get::<List>() {
                Ok(list) => ends(change, list),
                Err(_) => Some(Self::Nothing),
            },
        }
    }

    /// At which end of a list a command pushes to this key, and does nothing else with it.
    pub(crate) fn pushes_at(change: Change<'_>) -> Option<End> {
        match change.what {
            Changes::PushesFront => Some(End::Front),
            Changes::PushesBack => Some(End::Back),
            Changes::Moves if change.args[1] != change.args[2] => {
                let is_source = change.args[1] == *change.key.key;
                (!is_source)
                    .then(|| ends_of_move(change.args))
                    .flatten()
                    .map(|(_, to)| to)
            }
            _ => None,
        }
    }

    /// Undoes the change.
    pub(crate) fn undo(self, entry: &mut Entry, limits: &rdb::Limits) {
        match self {
            Self::Whole(_) | Self::Nothing => {}
            Self::Pushed { end, before } => {
                if let Ok(list) = entry.get_mut::<List>() {
                    while list.len() > before {
                        list.pop(end, limits.list);
                    }
                }
            }
            Self::Popped {
                end,
                before,
                mut elements,
            } => {
                if let Ok(list) = entry.get_mut::<List>() {
                    // It may have popped none.
                    elements.truncate(before - list.len().min(before));
                    for element in elements.iter().rev() {
                        list.push(end, element, limits.list);
                    }
                }
            }
            Self::Scores(members) => {
                if let Ok(set) = entry.get_mut::<SortedSet>() {
                    for (member, score) in members {
                        match score {
                            Some(score) => drop(set.insert(&member, score, limits.sorted_set)),
                            None => drop(set.remove(&member)),
                        }
                    }
                }
            }
            Self::Members(members) => {
                if let Ok(set) = entry.get_mut::<Set>() {
                    for (member, was_there) in members {
                        match was_there {
                            Some(()) => set.insert(&member, limits.set),
                            None => set.remove(&member),
                        };
                    }
                }
            }
            Self::Fields(fields) => {
                if let Ok(hash) = entry.get_mut::<Hash>() {
                    for (field, value) in fields {
                        match value {
                            Some(value) => {
                                let deadline = FieldDeadline::Clear;
                                hash.set(&field, &value, deadline, limits.hash, EARLIEST)
                            }
                            None => hash.remove_stored(&field),
                        };
                    }
                }
            }
            Self::Entries => {
                if let Ok(stream) = entry.get_mut::<Box<Stream>>() {
                    stream.log.undo_changes();
                }
            }
        }
    }

    /// Bytes that it keeps of the value.
    pub(crate) fn bytes(&self) -> usize {
        fn of_names<T>(named: &Named<T>) -> usize {
            named.iter().map(|(name, _)| name.len()).sum()
        }
        match self {
            Self::Popped { elements, .. } => elements.iter().map(Vec::len).sum(),
            Self::Scores(members) => of_names(members),
            Self::Members(members) => of_names(members),
            Self::Fields(fields) => {
                let values = fields
                    .iter()
                    .map(|(_, value)| value.as_ref().map_or(0, Vec::len));
                of_names(fields) + values.sum::<usize>()
            }
            Self::Whole(_) | Self::Pushed { .. } | Self::Entries | Self::Nothing => 0,
        }
    }

    /// The change has happened, and will not be undone.
    pub(crate) fn settle(self, entry: &mut Entry) {
        if let (Self::Entries, Ok(stream)) = (self, entry.get_mut::<Box<Stream>>()) {
            stream.log.forget_changes();
        }
    }
}

/// What a command changes at a list's ends.
fn ends(change: Change<'_>, list: &List) -> Option<Step> {
    let before = list.len();
    if let Some(end) = Step::pushes_at(change) {
        return Some(Step::Pushed { end, before });
    }
    let (end, count) = match change.what {
        Changes::PopsFront => (End::Front, count_of_pop(change.args)?),
        Changes::PopsBack => (End::Back, count_of_pop(change.args)?),
        // One list that is both is turned round.
        Changes::Moves if change.args[1] != change.args[2] => (ends_of_move(change.args)?.0, 1),
        _ => return None,
    };
    if count > ELEMENTS_MAX || count >= before {
        return None;
    }
    let first = match end {
        End::Front => 0,
        End::Back => before - 1,
    };
    let elements = list.iter_from(first, end).take(count);
    Some(Step::Popped {
        end,
        before,
        elements: elements.map(|item| item.to_vec()).collect(),
    })
}

/// How many elements a command pops, if it does: a number that is none is refused.
fn count_of_pop(args: &Args<'_>) -> Option<usize> {
    match args.get(2) {
        None => Some(1),
        Some(count) => parse_int(count).and_then(|count| usize::try_from(count).ok()),
    }
}

/// The end from which a command moves an element, and that to which it does.
fn ends_of_move(args: &Args<'_>) -> Option<(End, End)> {
    let end = |text: &[u8]| match text {
        text if text.eq_ignore_ascii_case(b"LEFT") => Some(End::Front),
        text if text.eq_ignore_ascii_case(b"RIGHT") => Some(End::Back),
        _ => None,
    };
    match (args.get(3), args.get(4)) {
        (Some(from), Some(to)) => Some((end(from)?, end(to)?)),
        _ => Some((End::Back, End::Front)),
    }
}

/// What there is of each argument that may be an element.
fn named(args: &Args<'_>, entry: &Entry) -> Option<Step> {
    if args.len() > ELEMENTS_MAX {
        return None;
    }
    let names = || args.iter().skip(2).map(Box::<[u8]>::from);
    if let Ok(set) = entry.get::<SortedSet>() {
        let scores = names().map(|name| {
            let score = set.score(&name);
            (name, score)
        });
        return (set.len() > args.len()).then(|| Step::Scores(scores.collect()));
    }
    if let Ok(set) = entry.get::<Set>() {
        let members = names().map(|name| {
            let was_there = set.contains(&name).then_some(());
            (name, was_there)
        });
        // The order of a packed one shows.
        let is_table = set.as_listpack().is_none() && set.as_intset().is_none();
        return (is_table && set.len() > args.len()).then(|| Step::Members(members.collect()));
    }
    if let Ok(hash) = entry.get::<Hash>() {
        let fields = names().map(|name| {
            let value = hash.get(&name, EARLIEST).map(|value| value.to_vec());
            (name, value)
        });
        let is_table = hash.as_listpack().is_none() && !hash.may_expire();
        return (is_table && hash.len() > args.len()).then(|| Step::Fields(fields.collect()));
    }
    Some(Step::Nothing)
}
