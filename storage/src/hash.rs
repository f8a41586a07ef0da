//! Hashes: pairs of field and value, packed while they are few and short, else a table; fields may
//! expire.
//!
//! ```text
//! listpack     field value field value ...
//! listpackex   field value deadline ...     from the first HEXPIRE on
//! hashtable    a Keyspace: an entry for each field, with its value and deadline
//! ```
//!
//! Deadlines are Unix milliseconds, 0 for none. A listpackex has the soonest first, and those
//! without one last: Redis relies on that order.
//!
//! The table is the keyspace's own: segments split one at a time, the scan survives growing and
//! shrinking, and expired fields are found without walking over the others. An expired field is no
//! field to readers; it is still counted until it is removed, as in Redis.

use crate::block_size::block_size;
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::item::Item;
use crate::keyspace::SAMPLES;
use crate::keyspace::{KeyHasher, Keyspace, Position};
use crate::listpack::{Cursor, Listpack};

/// Up to where a hash stays packed (`hash-max-listpack-*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashLimits {
    /// Fields.
    pub entries: usize,
    /// Bytes of a field or a value.
    pub value: usize,
}

impl Default for HashLimits {
    fn default() -> Self {
        Self {
            entries: 512,
            value: 64,
        }
    }
}

/// What writing a field does to its deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldDeadline {
    /// It stays.
    Keep,
    /// It goes.
    Clear,
}

#[derive(Clone)]
enum Encoding {
    Packed(Listpack),
    /// With deadlines.
    PackedEx(Listpack),
    Table(Box<Keyspace>),
}

/// A map from fields to values, both byte strings; a field may have a deadline in Unix
/// milliseconds.
///
/// It is a [`Listpack`] while both limits of [`HashLimits`] hold, and a [`Keyspace`] of fields from
/// then on: O(1) for a look-up or a change. A field whose deadline has passed is hidden from who
/// gives the time, and stays until it is removed. See
/// <https://redis.io/docs/latest/develop/data-types/hashes/>.
#[derive(Clone)]
pub struct Hash(Encoding);

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

/// A field as it stands in the hash.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: Item<'a>,
    /// Its value.
    pub value: Item<'a>,
    /// When it expires, if ever.
    pub deadline: Option<UnixMillis>,
}

impl Field<'_> {
    /// Whether its time has not come.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.deadline
            .is_none_or(|deadline| !deadline.has_passed(now))
    }
}

/// The deadline that an element of a listpack stands for.
fn deadline_of(item: Item<'_>) -> Option<UnixMillis> {
    let ms = u64::try_from(item.as_int()?).ok()?;
    (ms > 0).then(|| UnixMillis::new(ms))
}

/// Its opposite.
fn deadline_text(deadline: Option<UnixMillis>, digits: &mut itoa::Buffer) -> &[u8] {
    let ms = deadline.map_or(0, UnixMillis::ms);
    digits
        .format(i64::try_from(ms).unwrap_or(i64::MAX))
        .as_bytes()
}

/// Gives the field at `at` another deadline, and moves it to its place in the order of these.
fn place(pack: &mut Listpack, at: Cursor, deadline: Option<UnixMillis>) {
    let field = Hash::read(pack, 3, at);
    let (name, value) = (field.name.to_vec(), field.value.to_vec());
    let mut next = Some(at);
    for _ in 0..3 {
        next = next.and_then(|at| pack.remove(at));
    }
    let mut digits = itoa::Buffer::new();
    let parts = [&name[..], &value, deadline_text(deadline, &mut digits)];
    let mut later = pack.first().filter(|_| deadline.is_some());
    while let Some(at) = later {
        let other = Hash::read(pack, 3, at).deadline;
        if other.is_none() || other > deadline {
            break;
        }
        later = pack
            .next(at)
            .and_then(|at| pack.next(at))
            .and_then(|at| pack.next(at));
    }
    match later {
        // Each goes before what stood there, so the last goes first.
        Some(at) => parts.iter().rev().for_each(|part| {
            pack.insert_before(at, part);
        }),
        None => parts.iter().for_each(|part| pack.push_back(part)),
    }
}

fn of_entry(entry: &Entry) -> Field<'_> {
    Field {
        name: Item::Bytes(entry.key()),
        value: entry.as_string().unwrap_or(Item::Bytes(b"")),
        deadline: entry.deadline(),
    }
}

impl Hash {
    /// No fields.
    pub const fn new() -> Self {
        Self(Encoding::Packed(Listpack::new()))
    }

    /// Becomes a table where so many fields are about to be written that Redis makes it one, even
    /// should some be here already.
    pub fn expect(&mut self, fields: usize, limits: HashLimits) {
        if fields > limits.entries && !matches!(self.0, Encoding::Table(_)) {
            self.become_table();
        }
    }

    /// Elements that a field takes in a listpack.
    fn stride(&self) -> usize {
        match self.0 {
            Encoding::PackedEx(_) => 3,
            _ => 2,
        }
    }

    /// Fields, expired ones that are still here included.
    pub fn len(&self) -> usize {
        match &self.0 {
            Encoding::Packed(pack) | Encoding::PackedEx(pack) => pack.len() / self.stride(),
            Encoding::Table(table) => table.len(),
        }
    }

    /// True where it has no field, not even an expired one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(pack: &Listpack, stride: usize, name: &[u8]) -> Option<Cursor> {
        pack.find(name, pack.first()?, stride - 1)
    }

    /// The field at `at` of a listpack.
    fn read(pack: &Listpack, stride: usize, at: Cursor) -> Field<'_> {
        let value_at = pack.next(at);
        let deadline_at = value_at
            .filter(|_| stride == 3)
            .and_then(|at| pack.next(at));
        Field {
            name: pack.get(at),
            value: value_at.map_or(Item::Bytes(b""), |at| pack.get(at)),
            deadline: deadline_at.and_then(|at| deadline_of(pack.get(at))),
        }
    }

    /// The field, expired or not.
    fn field(&self, name: &[u8]) -> Option<Field<'_>> {
        let stride = self.stride();
        match &self.0 {
            Encoding::Packed(pack) | Encoding::PackedEx(pack) => {
                let at = Self::find(pack, stride, name)?;
                Some(Self::read(pack, stride, at))
            }
            Encoding::Table(table) => table.get(name).map(of_entry),
        }
    }

    /// The value of a field.
    pub fn get(&self, name: &[u8], now: UnixMillis) -> Option<Item<'_>> {
        self.field(name)
            .filter(|field| field.is_live(now))
            .map(|field| field.value)
    }

    /// Whether the field is here still although its time has come.
    pub fn has_expired(&self, name: &[u8], now: UnixMillis) -> bool {
        self.may_expire() && self.field(name).is_some_and(|field| !field.is_live(now))
    }

    /// Whether fields of it have deadlines, or had.
    #[inline]
    pub fn may_expire(&self) -> bool {
        match &self.0 {
            Encoding::Packed(_) => false,
            Encoding::PackedEx(_) => true,
            Encoding::Table(table) => table.volatile_len() > 0,
        }
    }

    /// When a field expires; `None` where there is no such field.
    pub fn deadline(&self, name: &[u8], now: UnixMillis) -> Option<Option<UnixMillis>> {
        self.field(name)
            .filter(|field| field.is_live(now))
            .map(|field| field.deadline)
    }

    /// Writes a field. Returns whether there was none; an expired one counts as none, and its
    /// deadline is gone.
    pub fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        deadline: FieldDeadline,
        limits: HashLimits,
        now: UnixMillis,
    ) -> bool {
        if let Encoding::Packed(pack) | Encoding::PackedEx(pack) = &self.0 {
            let longest = name.len().max(value.len());
            if longest > limits.value || !pack.has_room_for(name.len() + value.len(), 3) {
                self.become_table();
            }
        }
        let stride = self.stride();
        match &mut self.0 {
            Encoding::Packed(pack) | Encoding::PackedEx(pack) => {
                let Some(at) = Self::find(pack, stride, name) else {
                    if pack.len() / stride >= limits.entries {
                        self.become_table();
                        return self.set(name, value, deadline, limits, now);
                    }
                    pack.push_back(name);
                    pack.push_back(value);
                    if stride == 3 {
                        pack.push_back(b"0");
                    }
                    return true;
                };
                let old = Self::read(pack, stride, at);
                let was_live = old.is_live(now);
                let clears =
                    old.deadline.is_some() && (deadline == FieldDeadline::Clear || !was_live);
                if let Some(value_at) = pack.next(at) {
                    pack.replace(value_at, value);
                    if clears {
                        place(pack, at, None);
                    }
                }
                !was_live
            }
            Encoding::Table(table) => {
                let hash = table.hash_of(name);
                let Some(spot) = table.locate(hash, name) else {
                    table.insert_at(hash, Entry::string(name, value, None));
                    return true;
                };
                let entry = table.at_mut(spot);
                let was_live = of_entry(entry).is_live(now);
                let clears =
                    entry.deadline().is_some() && (deadline == FieldDeadline::Clear || !was_live);
                entry.set_string(value);
                if clears {
                    table.set_deadline(name, None);
                }
                !was_live
            }
        }
    }

    /// Whether asking for fields ahead is of use.
    pub fn is_worth_fetching(&self) -> bool {
        matches!(&self.0, Encoding::Table(table) if table.is_worth_fetching())
    }

    /// Lets what a command needs that names these fields be on its way from memory.
    pub fn prefetch<'k>(&self, names: impl Iterator<Item = &'k [u8]>) {
        if let Encoding::Table(table) = &self.0 {
            table.prefetch(names);
        }
    }

    /// Removes a field. Returns whether it was there and live; an expired one stays for
    /// [`Self::remove_expired`].
    pub fn remove(&mut self, name: &[u8], now: UnixMillis) -> bool {
        self.remove_where(name, |field| field.is_live(now))
    }

    /// Removes a field, expired or not. Returns whether it was there.
    pub fn remove_stored(&mut self, name: &[u8]) -> bool {
        self.remove_where(name, |_| true)
    }

    /// Removes a field whose time has come. Returns whether there was one.
    pub fn remove_expired(&mut self, name: &[u8], now: UnixMillis) -> bool {
        self.may_expire() && self.remove_where(name, |field| !field.is_live(now))
    }

    fn remove_where(&mut self, name: &[u8], wanted: impl Fn(Field<'_>) -> bool) -> bool {
        let stride = self.stride();
        match &mut self.0 {
            Encoding::Packed(pack) | Encoding::PackedEx(pack) => {
                let found = Self::find(pack, stride, name);
                let found = found.filter(|at| wanted(Self::read(pack, stride, *at)));
                let mut next = found;
                for _ in 0..stride {
                    next = next.and_then(|at| pack.remove(at));
                }
                found.is_some()
            }
            Encoding::Table(table) => {
                let spot = table.locate(table.hash_of(name), name);
                let spot = spot.filter(|spot| wanted(of_entry(table.at(*spot))));
                spot.map(|spot| table.take_at(spot)).is_some()
            }
        }
    }

    /// Makes room for deadlines in a packed hash.
    pub fn expect_deadlines(&mut self) {
        if let Encoding::Packed(pack) = &self.0 {
            let mut with_deadlines = Listpack::new();
            for (index, item) in pack.iter().enumerate() {
                with_deadlines.push_back(item.text(&mut itoa::Buffer::new()));
                if index % 2 == 1 {
                    with_deadlines.push_back(b"0");
                }
            }
            self.0 = Encoding::PackedEx(with_deadlines);
        }
    }

    /// Changes when a field expires. Returns whether there is such a field.
    pub fn set_deadline(&mut self, name: &[u8], deadline: Option<UnixMillis>) -> bool {
        if deadline.is_some() {
            self.expect_deadlines();
        }
        match &mut self.0 {
            Encoding::Packed(pack) => Self::find(pack, 2, name).is_some(),
            Encoding::PackedEx(pack) => {
                let found = Self::find(pack, 3, name);
                if let Some(at) = found {
                    place(pack, at, deadline);
                }
                found.is_some()
            }
            Encoding::Table(table) => table.set_deadline(name, deadline),
        }
    }

    /// When the next field may expire: no later than any does. `None` where none does.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        match &self.0 {
            Encoding::Packed(_) => None,
            Encoding::PackedEx(_) => self.fields().filter_map(|field| field.deadline).min(),
            Encoding::Table(table) if table.volatile_len() == 0 => None,
            Encoding::Table(table) => table.next_deadline(),
        }
    }

    /// Removes expired fields, at most `budget`, and shows each one's name. Returns how many.
    pub fn expire(&mut self, now: UnixMillis, budget: usize, mut show: impl FnMut(&[u8])) -> usize {
        if let Encoding::Table(table) = &mut self.0 {
            return table
                .expire_some(now, budget, |entry| show(entry.key()))
                .removed;
        }
        let due: Vec<Vec<u8>> = self
            .fields()
            .filter(|field| !field.is_live(now))
            .take(budget)
            .map(|field| field.name.to_vec())
            .collect();
        for name in &due {
            self.remove_expired(name, now);
            show(name);
        }
        due.len()
    }

    fn become_table(&mut self) {
        let mut table = Box::new(Keyspace::new(KeyHasher::random()));
        for field in self.fields() {
            let (mut name, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
            table.insert_new(Entry::string(
                field.name.text(&mut name),
                field.value.text(&mut value),
                field.deadline,
            ));
        }
        self.0 = Encoding::Table(table);
    }

    /// All fields, expired ones included.
    pub fn fields(&self) -> Box<dyn Iterator<Item = Field<'_>> + '_> {
        match &self.0 {
            Encoding::Packed(pack) => {
                let mut items = pack.iter();
                Box::new(std::iter::from_fn(move || {
                    Some(Field {
                        name: items.next()?,
                        value: items.next()?,
                        deadline: None,
                    })
                }))
            }
            Encoding::PackedEx(pack) => {
                let mut items = pack.iter();
                Box::new(std::iter::from_fn(move || {
                    Some(Field {
                        name: items.next()?,
                        value: items.next()?,
                        deadline: deadline_of(items.next()?),
                    })
                }))
            }
            Encoding::Table(table) => Box::new(table.iter().map(of_entry)),
        }
    }

    /// The fields that have not expired.
    pub fn live(&self, now: UnixMillis) -> impl Iterator<Item = Field<'_>> {
        self.fields().filter(move |field| field.is_live(now))
    }

    /// How many they are.
    pub fn live_len(&self, now: UnixMillis) -> usize {
        match &self.0 {
            Encoding::Table(table) if table.volatile_len() == 0 => table.len(),
            _ => self.live(now).count(),
        }
    }

    /// Some live field, each as likely as any other (nearly so in a table).
    pub fn random(&self, random: &mut fastrand::Rng, now: UnixMillis) -> Option<Field<'_>> {
        /// Expired fields drawn in a row before looking at all.
        const TRIES: usize = 32;
        if let Encoding::Table(table) = &self.0 {
            for _ in 0..TRIES {
                let field = of_entry(table.random(random)?);
                if field.is_live(now) {
                    return Some(field);
                }
            }
        }
        let count = self.live(now).count();
        match count {
            0 => None,
            _ => self.live(now).nth(random.usize(..count)),
        }
    }

    /// Shows about `count` fields from `from` on; returns where to go on, or `None` at the end.
    /// Packed forms are shown whole.
    pub fn scan(
        &self,
        from: Position,
        count: usize,
        now: UnixMillis,
        mut show: impl FnMut(Field<'_>),
    ) -> Option<Position> {
        match &self.0 {
            Encoding::Table(table) => table.scan(from, count, |entry| {
                let field = of_entry(entry);
                if field.is_live(now) {
                    show(field);
                }
            }),
            _ => {
                self.live(now).for_each(show);
                None
            }
        }
    }

    /// The listpack of pairs, where it is one: a dump holds it as it is.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Encoding::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    /// The listpack of triples, soonest deadline first.
    pub fn as_listpack_ex(&self) -> Option<&Listpack> {
        match &self.0 {
            Encoding::PackedEx(pack) => Some(pack),
            _ => None,
        }
    }

    /// The hash of these pairs, as a dump holds it: an even number of elements.
    pub fn from_pack(pack: Listpack) -> Self {
        debug_assert!(pack.len().is_multiple_of(2));
        Self(Encoding::Packed(pack))
    }

    /// The hash of these triples, in the order of their deadlines.
    pub fn from_pack_ex(pack: Listpack) -> Self {
        debug_assert!(pack.len().is_multiple_of(3));
        Self(Encoding::PackedEx(pack))
    }

    /// Gives the hash its large form.
    pub fn make_table(&mut self) {
        if !matches!(self.0, Encoding::Table(_)) {
            self.become_table();
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Encoding::Packed(_) => "listpack",
            Encoding::PackedEx(_) => "listpackex",
            Encoding::Table(_) => "hashtable",
        }
    }

    /// Bytes of heap memory; of a table an estimate from some of its entries.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes_by(SAMPLES)
    }

    /// Heap memory, in bytes; of a table as judged by `samples` of its fields.
    pub fn memory_bytes_by(&self, samples: usize) -> usize {
        match &self.0 {
            Encoding::Packed(pack) | Encoding::PackedEx(pack) => pack.memory_bytes(),
            Encoding::Table(table) => {
                block_size(size_of::<Keyspace>()) + table.memory_bytes_by(samples)
            }
        }
    }

    /// How many frees it takes to drop the hash, about.
    pub fn effort_to_free(&self) -> usize {
        match &self.0 {
            Encoding::Packed(_) | Encoding::PackedEx(_) => 1,
            Encoding::Table(table) => table.len(),
        }
    }
}

#[cfg(test)]
mod tests;
