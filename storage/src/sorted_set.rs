//! The sorted set type: pairs of member and score in one [`Listpack`] while small, a
//! [`SortedSetIndex`] from then on.
//!
//! Entries stand by score, and by their bytes where scores are equal. Ranks, ranges of scores and
//! ranges of names all come down to two ranks, so that whoever walks or removes a range first asks
//! [`SortedSet::partition_by_score`] (or one of its kin) for its ends.
//!
//! The packed form is Redis's own, so that an RDB file holds it as it is: member, score, member,
//! score; a whole score is an integer there, and any other its shortest decimal text. A set never
//! goes back to the packed form, as in Redis.

use crate::keyspace::SAMPLES;
mod index;
mod score_leaf;
mod score_tree;

use std::cmp::Ordering;
use std::io::Write;
use std::ops::Range;

use fastrand::Rng;

use crate::item::Item;
use crate::keyspace::Position;
use crate::listpack::{self, Listpack};

use index::SortedSetIndex;
use score_tree::Walk;

/// A score: any double but NaN. The two zeros are equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score(f64);

impl Score {
    /// The score 0.
    pub const ZERO: Self = Self(0.0);

    /// The score, unless it is NaN.
    pub fn new(value: f64) -> Option<Self> {
        (!value.is_nan()).then_some(Self(value))
    }

    /// The number, which is never NaN.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The score as an integer of the same bits.
    pub(crate) fn bits(self) -> i64 {
        self.0.to_bits().cast_signed()
    }

    /// What [`Self::bits`] came from.
    pub(crate) fn of_bits(bits: i64) -> Self {
        Self(f64::from_bits(bits.cast_unsigned()))
    }

    /// Whether the packed form may hold it as a score.
    fn is_told_by(item: Item<'_>) -> bool {
        match item {
            Item::Int(_) => true,
            Item::Bytes(text) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok())
                .is_some_and(|value: f64| !value.is_nan()),
        }
    }

    /// As the packed form holds it. What cannot be read, which only a damaged file could bring, is
    /// zero.
    fn of(item: Item<'_>) -> Self {
        match item {
            Item::Int(int) => Self(int as f64),
            Item::Bytes(text) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok())
                .and_then(Self::new)
                .unwrap_or_default(),
        }
    }

    /// What the packed form holds: an integer up to 2^52, as Redis does, else the shortest decimal.
    fn packed(self) -> PackedScore {
        const WHOLE_MAX: f64 = (1u64 << 52) as f64;
        let mut packed = PackedScore {
            bytes: [0; PackedScore::BYTES_MAX],
            len: 0,
        };
        let mut room = &mut packed.bytes[..];
        // The longest, a sign, 17 digits, a point and an exponent, fits.
        let _ = if self.0.abs() < WHOLE_MAX && self.0.trunc() == self.0 {
            write!(room, "{}", self.0 as i64)
        } else {
            write!(room, "{:e}", self.0)
        };
        packed.len = PackedScore::BYTES_MAX - room.len();
        packed
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        // There is no NaN, so there is always an order.
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

struct PackedScore {
    bytes: [u8; Self::BYTES_MAX],
    len: usize,
}

impl PackedScore {
    const BYTES_MAX: usize = 32;

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Which way a walk goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From low to high.
    Forward,
    /// From high to low.
    Backward,
}

/// How large the packed form may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SortedSetLimits {
    /// Members: `zset-max-listpack-entries`.
    pub entries: usize,
    /// Bytes of a member: `zset-max-listpack-value`.
    pub value: usize,
}

impl Default for SortedSetLimits {
    fn default() -> Self {
        Self {
            entries: 128,
            value: 64,
        }
    }
}

/// What [`SortedSet::insert`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// The member was not there.
    New,
    /// It was, with this other score.
    Rescored(Score),
    /// It was, with an equal score.
    Same,
}

#[derive(Clone)]
enum Encoding {
    Packed(Listpack),
    Indexed(Box<SortedSetIndex>),
}

/// A sorted set: members with scores, by score and, where these are equal, by the bytes of the
/// member.
///
/// It is a [`Listpack`] of members and scores while both limits of [`SortedSetLimits`] hold, and a
/// table with a counted B+tree beside it from then on: O(log n) for a rank, a range or a change.
/// Ranks begin with 0. See <https://redis.io/docs/latest/develop/data-types/sorted-sets/>.
#[derive(Clone)]
pub struct SortedSet {
    encoding: Encoding,
}

impl Default for SortedSet {
    fn default() -> Self {
        Self::new()
    }
}

impl SortedSet {
    /// The longest member, in bytes: whoever inserts refuses longer ones.
    pub const MEMBER_BYTES_MAX: usize = 512 << 20;

    /// The empty sorted set, without a block.
    pub const fn new() -> Self {
        Self {
            encoding: Encoding::Packed(Listpack::new()),
        }
    }

    /// An empty set about to take `members`, none longer than `member_bytes`: at once in the form
    /// that they will need.
    pub fn for_members(members: usize, member_bytes: usize, limits: SortedSetLimits) -> Self {
        if members <= limits.entries && member_bytes <= limits.value {
            return Self::new();
        }
        Self {
            encoding: Encoding::Indexed(Box::new(SortedSetIndex::new())),
        }
    }

    /// Members.
    pub fn len(&self) -> usize {
        match &self.encoding {
            Encoding::Packed(pack) => pack.len() / 2,
            Encoding::Indexed(index) => index.len(),
        }
    }

    /// True where it has no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self.encoding {
            Encoding::Packed(_) => "listpack",
            Encoding::Indexed(_) => "skiplist",
        }
    }

    /// The packed form, as an RDB file holds it.
    pub fn pack(&self) -> Option<&Listpack> {
        match &self.encoding {
            Encoding::Packed(pack) => Some(pack),
            Encoding::Indexed(_) => None,
        }
    }

    /// The set of these pairs, as a dump holds it. `None` unless every second element is a score
    /// and the pairs stand in order.
    pub fn from_pack(pack: Listpack) -> Option<Self> {
        let whole = pack.len().is_multiple_of(2);
        let scored = pack.iter().skip(1).step_by(2).all(Score::is_told_by);
        let set = Self {
            encoding: Encoding::Packed(pack),
        };
        let mut digits = itoa::Buffer::new();
        let in_order = set.iter().is_sorted_by(|(a, low), (b, high)| {
            low.cmp(high).then_with(|| compare(*a, b.text(&mut digits))) == Ordering::Less
        });
        (whole && scored && in_order).then_some(set)
    }

    /// Heap memory, in bytes; estimated where the set is large.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes_by(SAMPLES)
    }

    /// Heap memory, in bytes, as judged by `samples` members.
    pub fn memory_bytes_by(&self, samples: usize) -> usize {
        match &self.encoding {
            Encoding::Packed(pack) => pack.memory_bytes(),
            Encoding::Indexed(index) => index.memory_bytes(samples),
        }
    }

    /// How many frees it takes to drop the set, about.
    pub fn effort_to_free(&self) -> usize {
        match &self.encoding {
            Encoding::Packed(_) => 1,
            Encoding::Indexed(index) => index.len() + 3,
        }
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<Score> {
        match &self.encoding {
            Encoding::Packed(pack) => position(pack, member).map(|(_, score)| score),
            Encoding::Indexed(index) => index.score(member),
        }
    }

    /// Puts a member at that score, wherever it was.
    pub fn insert(&mut self, member: &[u8], score: Score, limits: SortedSetLimits) -> Inserted {
        let before = match &mut self.encoding {
            Encoding::Packed(pack) => {
                let found = position(pack, member);
                if let Some((_, before)) = found
                    && before == score
                {
                    return Inserted::Same;
                }
                if let Some((index, before)) = found {
                    pack.remove_range(index * 2, 2);
                    insert_packed(pack, member, score);
                    Some(before)
                } else {
                    let fits = pack.len() / 2 < limits.entries
                        && member.len() <= limits.value
                        && pack.has_room_for(member.len() + PackedScore::BYTES_MAX, 2);
                    if fits {
                        insert_packed(pack, member, score);
                    } else {
                        self.unpack().insert(member, score);
                    }
                    None
                }
            }
            Encoding::Indexed(index) => index.insert(member, score),
        };
        match before {
            None => Inserted::New,
            Some(before) if before == score => Inserted::Same,
            Some(before) => Inserted::Rescored(before),
        }
    }

    /// Removes a member. Returns its score, nothing where it is not there.
    pub fn remove(&mut self, member: &[u8]) -> Option<Score> {
        match &mut self.encoding {
            Encoding::Packed(pack) => {
                let (index, score) = position(pack, member)?;
                pack.remove_range(index * 2, 2);
                Some(score)
            }
            Encoding::Indexed(index) => index.remove(member),
        }
    }

    /// Removes the members of these ranks, as far as there are such.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        let end = ranks.end.min(self.len());
        let count = end.saturating_sub(ranks.start);
        if count == 0 {
            return;
        }
        match &mut self.encoding {
            Encoding::Packed(pack) => pack.remove_range(ranks.start * 2, count * 2),
            Encoding::Indexed(index) => index.remove_range(ranks.start, count),
        }
    }

    /// Takes the first entry out (forward) or the last (backward), once `show` has seen it.
    pub fn pop_with<T>(
        &mut self,
        from: Direction,
        show: impl FnOnce(Item<'_>, Score) -> T,
    ) -> Option<T> {
        match &mut self.encoding {
            Encoding::Indexed(index) => {
                index.pop(from, |name, score| show(Item::Bytes(name), score))
            }
            Encoding::Packed(pack) => {
                let rank = match from {
                    Direction::Forward => 0,
                    Direction::Backward => pack.len().checked_sub(2)? / 2,
                };
                let member = pack.seek(rank * 2)?;
                let score = Score::of(pack.get(pack.next(member)?));
                let shown = show(pack.get(member), score);
                pack.remove_range(rank * 2, 2);
                Some(shown)
            }
        }
    }

    /// How many members stand before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match &self.encoding {
            Encoding::Packed(pack) => position(pack, member).map(|(index, _)| index),
            Encoding::Indexed(index) => index.rank(member),
        }
    }

    /// How many members, from the first on, have a score that `is_before` holds for; it must hold
    /// for none after one that it does not hold for.
    pub fn partition_by_score(&self, mut is_before: impl FnMut(Score) -> bool) -> usize {
        match &self.encoding {
            Encoding::Packed(_) => self.iter().take_while(|&(_, it)| is_before(it)).count(),
            Encoding::Indexed(index) => index.partition_point(|scored| is_before(scored.score)),
        }
    }

    /// How many members, from the first on, `is_before` holds for by their names, where all scores
    /// are equal. It holds for none after one that it does not hold for.
    pub fn partition_by_name(&self, mut is_before: impl FnMut(Item<'_>) -> bool) -> usize {
        match &self.encoding {
            Encoding::Packed(_) => self.iter().take_while(|&(it, _)| is_before(it)).count(),
            Encoding::Indexed(index) => {
                index.partition_point(|scored| is_before(Item::Bytes(scored.name())))
            }
        }
    }

    /// The rank of the first member whose score is at least `score`.
    pub fn first_from_score(&self, score: Score) -> usize {
        self.partition_by_score(|other| other < score)
    }

    /// All entries in order.
    pub fn iter(&self) -> Entries<'_> {
        self.iter_from(0, Direction::Forward)
    }

    /// The entries from that rank on; none where there is no such rank.
    pub fn iter_from(&self, rank: usize, direction: Direction) -> Entries<'_> {
        Entries(match &self.encoding {
            Encoding::Packed(pack) => {
                let (start, end) = (rank.saturating_mul(2), pack.len());
                match direction {
                    _ if start >= end => Source::Forward(pack.range(end..end)),
                    Direction::Forward => Source::Forward(pack.range(start..end)),
                    Direction::Backward => Source::Backward(pack.range(0..start + 2)),
                }
            }
            Encoding::Indexed(index) => Source::Indexed(index.iter_from(rank, direction)),
        })
    }

    /// An entry, each as likely as any other.
    pub fn random(&self, rng: &mut Rng) -> Option<(Item<'_>, Score)> {
        let len = self.len();
        if len == 0 {
            return None;
        }
        let index = rng.usize(..len);
        match &self.encoding {
            Encoding::Packed(_) => self.iter_from(index, Direction::Forward).next(),
            Encoding::Indexed(index) => index
                .random(rng)
                .map(|(member, score)| (Item::Bytes(member), score)),
        }
    }

    /// Shows about `count` entries from `from` on; all of them in the packed form. Returns where to
    /// go on, or `None` at the end. Entries that stay in the set throughout a scan are all shown.
    pub fn scan(
        &self,
        from: Position,
        count: usize,
        mut show: impl FnMut(Item<'_>, Score),
    ) -> Option<Position> {
        match &self.encoding {
            Encoding::Packed(_) => {
                self.iter().for_each(|(member, score)| show(member, score));
                None
            }
            Encoding::Indexed(index) => index.scan(from, count, |member, score| {
                show(Item::Bytes(member), score);
            }),
        }
    }

    /// Whether asking for members ahead is of use.
    pub fn is_worth_fetching(&self) -> bool {
        matches!(&self.encoding, Encoding::Indexed(index) if index.is_worth_fetching())
    }

    /// Lets what a command needs that names these members be on its way from memory.
    pub fn prefetch<'k>(&self, members: impl Iterator<Item = &'k [u8]>) {
        if let Encoding::Indexed(index) = &self.encoding {
            index.prefetch(members);
        }
    }

    /// Gives the set its large form, before more members come than the packed form may hold.
    pub fn make_large(&mut self) {
        self.unpack();
    }

    /// The set in its large form from here on.
    fn unpack(&mut self) -> &mut SortedSetIndex {
        if let Encoding::Packed(_) = self.encoding {
            let mut index = Box::new(SortedSetIndex::new());
            let mut digits = itoa::Buffer::new();
            for (member, score) in self.iter() {
                index.insert(member.text(&mut digits), score);
            }
            self.encoding = Encoding::Indexed(index);
        }
        match &mut self.encoding {
            Encoding::Indexed(index) => index,
            Encoding::Packed(_) => unreachable!("it was given its large form above"),
        }
    }
}

/// How the text of an item compares with other text.
pub fn compare(item: Item<'_>, text: &[u8]) -> Ordering {
    item.text(&mut itoa::Buffer::new()).cmp(text)
}

/// The rank and score of a member in the packed form.
fn position(pack: &Listpack, member: &[u8]) -> Option<(usize, Score)> {
    let wanted = Item::parse(member);
    let mut items = pack.iter();
    let mut rank = 0;
    while let (Some(item), Some(score)) = (items.next(), items.next()) {
        if item == wanted {
            return Some((rank, Score::of(score)));
        }
        rank += 1;
    }
    None
}

/// Puts a pair where its order wants it.
fn insert_packed(pack: &mut Listpack, member: &[u8], score: Score) {
    let packed = score.packed();
    let mut next = pack.first();
    while let Some(cursor) = next {
        let Some(score_at) = pack.next(cursor) else {
            break;
        };
        let order = Score::of(pack.get(score_at)).cmp(&score);
        if order.then_with(|| compare(pack.get(cursor), member)) == Ordering::Greater {
            pack.insert_before(cursor, packed.text());
            pack.insert_before(cursor, member);
            return;
        }
        next = pack.next(score_at);
    }
    pack.push_back(member);
    pack.push_back(packed.text());
}

enum Source<'a> {
    Forward(listpack::Iter<'a>),
    Backward(listpack::Iter<'a>),
    Indexed(Walk<'a>),
}

/// Entries of a sorted set, one after the other.
pub struct Entries<'a>(Source<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (Item<'a>, Score);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Forward(items) => {
                let member = items.next()?;
                Some((member, Score::of(items.next()?)))
            }
            Source::Backward(items) => {
                let score = Score::of(items.next_back()?);
                Some((items.next_back()?, score))
            }
            Source::Indexed(walk) => walk
                .next()
                .map(|(member, score)| (Item::Bytes(member), score)),
        }
    }
}

#[cfg(test)]
impl SortedSet {
    fn assert_sound(&self) {
        if let Encoding::Indexed(index) = &self.encoding {
            index.assert_sound();
        }
    }
}

const _: () = assert!(size_of::<SortedSet>() <= 16);

#[cfg(test)]
mod tests;
