//! Sets: integers packed while they are few, members packed while they are few and short, and else
//! a table.
//!
//! The table is a [`LinearHashSet`]: no SADD pays for the whole set, and a scan survives growing
//! and shrinking.

mod bucket;
mod linear_hash;

use crate::intset::Intset;
use crate::item::{Item, parse_int};
use crate::keyspace::{Position, SAMPLES};
use crate::listpack::Listpack;
use crate::prefetch::in_groups;
use linear_hash::LinearHashSet;

/// Up to where a set stays packed (`set-max-*` in the configuration).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetLimits {
    /// Integers of an intset.
    pub intset_entries: usize,
    /// Members of a listpack.
    pub listpack_entries: usize,
    /// Bytes of a member of a listpack.
    pub listpack_value: usize,
}

impl Default for SetLimits {
    fn default() -> Self {
        Self {
            intset_entries: 512,
            listpack_entries: 128,
            listpack_value: 64,
        }
    }
}

#[derive(Clone)]
enum Encoding {
    Ints(Intset),
    Packed(Listpack),
    Table(Box<LinearHashSet>),
}

/// A set of byte strings, in no order.
///
/// It is an intset while all members are integers, a [`Listpack`] while they are few and short (see
/// [`SetLimits`]), and a linear-hash set from then on: O(1) for a look-up or a change. It never
/// goes back. See <https://redis.io/docs/latest/develop/data-types/sets/>.
#[derive(Clone)]
pub struct Set(Encoding);

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Set {
    /// The empty set; what it holds first decides on its form.
    pub const fn new() -> Self {
        Self(Encoding::Ints(Intset::new()))
    }

    /// An empty set in the form that Redis gives `len` members of which `first` is one, whatever
    /// the others are.
    pub fn for_members(first: &[u8], len: usize, limits: SetLimits) -> Self {
        if len <= limits.intset_entries && parse_int(first).is_some() {
            Self::new()
        } else if len <= limits.listpack_entries {
            Self(Encoding::Packed(Listpack::new()))
        } else {
            Self(Encoding::Table(Box::new(LinearHashSet::new())))
        }
    }

    /// Becomes a table where so many members are about to be added that Redis makes it one, even
    /// should some be here already.
    pub fn expect(&mut self, len: usize, limits: SetLimits) {
        let fits = match &self.0 {
            Encoding::Ints(_) => len <= limits.intset_entries,
            Encoding::Packed(_) => len <= limits.listpack_entries,
            Encoding::Table(_) => true,
        };
        if !fits {
            self.become_table();
        }
    }

    /// Members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Encoding::Ints(ints) => ints.len(),
            Encoding::Packed(pack) => pack.len(),
            Encoding::Table(table) => table.len(),
        }
    }

    /// True where it has no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True where `member` is one.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Encoding::Ints(ints) => parse_int(member).is_some_and(|int| ints.contains(int)),
            Encoding::Packed(pack) => pack
                .first()
                .is_some_and(|first| pack.find(member, first, 0).is_some()),
            Encoding::Table(table) => table.contains(member),
        }
    }

    /// Adds a member. Returns whether it is new.
    pub fn insert(&mut self, member: &[u8], limits: SetLimits) -> bool {
        match &mut self.0 {
            Encoding::Ints(ints) => match parse_int(member) {
                Some(int) => {
                    if !ints.insert(int) {
                        return false;
                    }
                    if ints.len() > limits.intset_entries {
                        self.become_table();
                    }
                    true
                }
                None => {
                    self.leave_ints(limits, member.len());
                    self.insert(member, limits)
                }
            },
            Encoding::Packed(pack) => {
                if let Some(first) = pack.first()
                    && pack.find(member, first, 0).is_some()
                {
                    return false;
                }
                if pack.len() < limits.listpack_entries
                    && member.len() <= limits.listpack_value
                    && pack.has_room_for(member.len(), 1)
                {
                    pack.push_back(member);
                    return true;
                }
                self.become_table();
                self.insert(member, limits)
            }
            Encoding::Table(table) => table.insert(member),
        }
    }

    /// Adds members of another collection.
    pub fn insert_items<'a>(&mut self, items: impl Iterator<Item = Item<'a>>, limits: SetLimits) {
        in_groups(items, |_, texts| {
            if self.is_worth_fetching() {
                self.prefetch(texts.iter().copied());
            }
            for text in texts {
                self.insert(text, limits);
            }
            true
        });
    }

    /// Whether asking for members ahead is of use.
    pub fn is_worth_fetching(&self) -> bool {
        matches!(&self.0, Encoding::Table(table) if table.is_worth_fetching())
    }

    /// Lets what a command needs that names these members be on its way from memory.
    pub fn prefetch<'k>(&self, members: impl Iterator<Item = &'k [u8]>) {
        if let Encoding::Table(table) = &self.0 {
            table.prefetch(members);
        }
    }

    /// Gives the integers up: for a listpack where they and the text that comes fit, else for a
    /// table.
    fn leave_ints(&mut self, limits: SetLimits, more_bytes: usize) {
        let Encoding::Ints(ints) = &self.0 else {
            return;
        };
        let longest = |int: Option<i64>| int.map_or(0, |int| Item::Int(int).text_len());
        let widest = longest(ints.get(0)).max(longest(ints.iter().next_back()));
        if ints.len() < limits.listpack_entries && widest.max(more_bytes) <= limits.listpack_value {
            let mut pack = Listpack::new();
            for int in ints.iter() {
                pack.push_back(itoa::Buffer::new().format(int).as_bytes());
            }
            self.0 = Encoding::Packed(pack);
        } else {
            self.become_table();
        }
    }

    fn become_table(&mut self) {
        let mut table = Box::new(LinearHashSet::new());
        self.for_each(|item| {
            table.insert(item.text(&mut itoa::Buffer::new()));
        });
        self.0 = Encoding::Table(table);
    }

    /// Removes a member. Returns whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Encoding::Ints(ints) => parse_int(member).is_some_and(|int| ints.remove(int)),
            Encoding::Packed(pack) => {
                let found = pack.first().and_then(|first| pack.find(member, first, 0));
                if let Some(cursor) = found {
                    pack.remove(cursor);
                }
                found.is_some()
            }
            Encoding::Table(table) => table.remove(member),
        }
    }

    /// Shows every member.
    pub fn for_each(&self, mut show: impl FnMut(Item<'_>)) {
        self.iter().for_each(&mut show);
    }

    /// Every member.
    pub fn iter(&self) -> Box<dyn Iterator<Item = Item<'_>> + '_> {
        match &self.0 {
            Encoding::Ints(ints) => Box::new(ints.iter().map(Item::Int)),
            Encoding::Packed(pack) => Box::new(pack.iter()),
            Encoding::Table(table) => Box::new(table.iter()),
        }
    }

    /// Some member, each as likely as any other.
    pub fn random(&self, random: &mut fastrand::Rng) -> Option<Item<'_>> {
        if self.is_empty() {
            return None;
        }
        let index = random.usize(..self.len());
        match &self.0 {
            Encoding::Ints(ints) => ints.get(index).map(Item::Int),
            Encoding::Packed(pack) => pack.seek(index).map(|cursor| pack.get(cursor)),
            Encoding::Table(table) => table.random_spot(random).map(|spot| table.at(spot)),
        }
    }

    /// Takes some member out, chosen as [`Self::random`] does, once `show` has seen it.
    pub fn pop_random<T>(
        &mut self,
        random: &mut fastrand::Rng,
        show: impl FnOnce(Item<'_>) -> T,
    ) -> Option<T> {
        match &mut self.0 {
            Encoding::Ints(ints) => {
                let int = ints.get(random.usize(..ints.len().max(1)))?;
                ints.remove(int);
                Some(show(Item::Int(int)))
            }
            Encoding::Packed(pack) => {
                let cursor = pack.seek(random.usize(..pack.len().max(1)))?;
                let shown = show(pack.get(cursor));
                pack.remove(cursor);
                Some(shown)
            }
            Encoding::Table(table) => {
                let spot = table.random_spot(random)?;
                let shown = show(table.at(spot));
                table.remove_at(spot);
                Some(shown)
            }
        }
    }

    /// Shows about `count` members from `from` on; returns where to go on, or `None` at the end.
    /// Packed forms are shown whole. A member that stays throughout a scan is shown, whatever
    /// happens to the others.
    pub fn scan(
        &self,
        from: Position,
        count: usize,
        show: impl FnMut(Item<'_>),
    ) -> Option<Position> {
        match &self.0 {
            Encoding::Table(table) => table.scan(from, count, show),
            _ => {
                self.for_each(show);
                None
            }
        }
    }

    /// The intset, where it is one: a dump holds it as it is.
    pub fn as_intset(&self) -> Option<&Intset> {
        match &self.0 {
            Encoding::Ints(ints) => Some(ints),
            _ => None,
        }
    }

    /// The listpack, where it is one: a dump holds it as it is.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Encoding::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    /// The set of these members, as a dump holds it.
    pub fn from_pack(pack: Listpack) -> Self {
        Self(Encoding::Packed(pack))
    }

    /// The set of these integers, as a dump holds it.
    pub fn from_intset(ints: Intset) -> Self {
        Self(Encoding::Ints(ints))
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Encoding::Ints(_) => "intset",
            Encoding::Packed(_) => "listpack",
            Encoding::Table(_) => "hashtable",
        }
    }

    /// Bytes of heap memory; of a table an estimate from some of its entries.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes_by(SAMPLES)
    }

    /// Heap memory, in bytes; of a table as judged by `samples` of its members.
    pub fn memory_bytes_by(&self, samples: usize) -> usize {
        match &self.0 {
            Encoding::Ints(ints) => ints.memory_bytes(),
            Encoding::Packed(pack) => pack.memory_bytes(),
            Encoding::Table(table) => table.memory_bytes_by(samples),
        }
    }

    /// How many frees it takes to drop the set, about.
    pub fn effort_to_free(&self) -> usize {
        match &self.0 {
            Encoding::Ints(_) | Encoding::Packed(_) => 1,
            Encoding::Table(table) => table.block_count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SMALL: SetLimits = SetLimits {
        intset_entries: 8,
        listpack_entries: 6,
        listpack_value: 10,
    };

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => (0i64..30).prop_map(|int| int.to_string().into_bytes()),
            2 => "[a-f]{0,3}".prop_map(String::into_bytes),
            1 => "[a-c]{9,12}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn behaves_as_a_set(ops in proptest::collection::vec((0u8..5, member()), 0..120)) {
            let (mut set, mut model) = (Set::new(), BTreeSet::new());
            let mut rng = fastrand::Rng::with_seed(1);
            for (op, member) in ops {
                match op {
                    0 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                    1 => match set.pop_random(&mut rng, |item| item.to_vec()) {
                        Some(popped) => prop_assert!(model.remove(&popped)),
                        None => prop_assert!(model.is_empty()),
                    },
                    _ => prop_assert_eq!(set.insert(&member, SMALL), model.insert(member.clone())),
                }
                prop_assert_eq!(set.contains(&member), model.contains(&member));
                prop_assert_eq!(set.len(), model.len());
            }
            let all: BTreeSet<_> = set.iter().map(Item::to_vec).collect();
            prop_assert_eq!(&all, &model);
            let mut scanned = BTreeSet::new();
            let mut from = Some(Position::default());
            while let Some(at) = from {
                from = set.scan(at, 3, |item| { scanned.insert(item.to_vec()); });
            }
            prop_assert_eq!(&scanned, &model);
        }
    }

    #[test]
    fn forms_change_at_redis_limits() {
        let limits = SetLimits::default();
        let mut set = Set::new();
        for int in 0..512 {
            set.insert(int.to_string().as_bytes(), limits);
        }
        assert_eq!(set.encoding(), "intset");
        set.insert(b"512", limits);
        assert_eq!(set.encoding(), "hashtable");

        let mut set = Set::new();
        set.insert(b"1", limits);
        set.insert(b"a", limits);
        assert_eq!(set.encoding(), "listpack");
        set.insert(&[b'x'; 65], limits);
        assert_eq!(set.encoding(), "hashtable");

        let mut set = Set::new();
        for int in 0..128 {
            set.insert(int.to_string().as_bytes(), limits);
        }
        set.insert(b"a", limits);
        assert_eq!(
            set.encoding(),
            "hashtable",
            "129 members are too many for a listpack"
        );
    }
}
