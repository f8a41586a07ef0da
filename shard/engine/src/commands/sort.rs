//! SORT: the elements of a list, a set or a sorted set in order, by themselves or by what other
//! keys say of them.
//!
//! `BY weight_*` and `GET user_*->name` name keys that only the elements complete, so no table can
//! tell which. On its own shard the command simply finds them. Where they may live on several
//! shards, the transaction locks all of them, and [`computed_keys`] tells it which keys to lay
//! beside the listed ones before the command runs, which is why it and [`Pattern::find`] must agree
//! on what a pattern means.
//!
//! Texts are compared by their bytes. Elements whose numbers are equal stand in the order of their
//! texts; where elements go whose BY texts are equal is told in [`sorting`].

use std::cmp::Ordering;
use std::ops::Range;

use protocol::args::Args;
use protocol::command::{Command, Flags};
use protocol::facts::Traits;
use protocol::reply::Reply;
use protocol::strtod;
use storage::sorted_set::Direction;
use storage::{End, Item, Keyspace, List, ListLimits, Object};

use crate::commands::options::{Options, is};
use crate::commands::sort_pattern::Pattern;
use crate::commands::string::write;
use crate::commands::{list, options, sorting};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const BY_DENIED: Error =
    Error::new("ERR BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: Error =
    Error::new("ERR GET option of SORT denied due to insufficient ACL permissions.");
const NOT_A_NUMBER: Error = Error::new("ERR One or more scores can't be converted into double");

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern]... [ASC|DESC] [ALPHA] [STORE
/// destination]`
pub fn sort(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    run(ctx, args, true, reply)
}

/// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern]... [ASC|DESC] [ALPHA]`
pub fn sort_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    run(ctx, args, false, reply)
}

/// Whether this is a SORT that reads keys which its arguments do not name in full.
pub fn reads_computed_keys(command: &Command, args: &Args<'_>) -> bool {
    request_of(command, args).is_some_and(|request| request.foreign_patterns().next().is_some())
}

/// The keys that a SORT reads besides those its arguments name, when `db` holds what it sorts.
/// Empty for every other command.
pub fn computed_keys(command: &Command, args: &Args<'_>, db: &Keyspace) -> Vec<Box<[u8]>> {
    let (Some(request), Some(key)) = (request_of(command, args), args.get(1)) else {
        return Vec::new();
    };
    let object = db.get(key).and_then(|entry| entry.as_object());
    let elements: Vec<Vec<u8>> = object
        .and_then(elements)
        .map_or(Vec::new(), |elements| elements.map(Item::to_vec).collect());
    request
        .foreign_patterns()
        .flat_map(|pattern| elements.iter().map(move |element| pattern.key(element)))
        .map(Vec::into_boxed_slice)
        .collect()
}

fn request_of<'a>(command: &Command, args: &Args<'a>) -> Option<Request<'a>> {
    if !command.traits.contains(Traits::COMPUTED_KEYS) {
        return None;
    }
    let may_store = command.flags.contains(Flags::WRITE);
    Request::parse(args, may_store, true).ok()
}

/// A SORT's options.
#[derive(Default)]
struct Request<'a> {
    by: Option<Pattern<'a>>,
    /// BY with a pattern that names no key: the elements stay as they are.
    unsorted: bool,
    get: Vec<Pattern<'a>>,
    descending: bool,
    alpha: bool,
    /// Offset and count; a negative count is no bound.
    limit: Option<(i64, i64)>,
    store: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Reads the options, of which those that read other keys are refused where `reads_all_keys`
    /// says that the user may not.
    fn parse(args: &Args<'a>, may_store: bool, reads_all_keys: bool) -> Result<Self, Error> {
        let mut request = Self::default();
        let mut options = Options::new(args, 2);
        while let Some(word) = options.next() {
            let left = options.left();
            if is(word, "ASC") {
                request.descending = false;
            } else if is(word, "DESC") {
                request.descending = true;
            } else if is(word, "ALPHA") {
                request.alpha = true;
            } else if is(word, "LIMIT") && left >= 2 {
                let offset = options::integer(options.value()?)?;
                request.limit = Some((offset, options::integer(options.value()?)?));
            } else if is(word, "STORE") && may_store && left >= 1 {
                request.store = Some(options.value()?);
            } else if is(word, "BY") && left >= 1 {
                let text = options.value()?;
                request.by = Some(Pattern::parse(text));
                let is_constant = !text.contains(&b'*');
                if !is_constant && !reads_all_keys {
                    return Err(BY_DENIED);
                }
                request.unsorted |= is_constant;
            } else if is(word, "GET") && left >= 1 {
                request.get.push(Pattern::parse(options.value()?));
                if !reads_all_keys {
                    return Err(GET_DENIED);
                }
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(request)
    }

    /// The patterns that name keys.
    fn foreign_patterns(&self) -> impl Iterator<Item = Pattern<'a>> {
        let by = self.by.filter(|_| !self.unsorted);
        let all = by.into_iter().chain(self.get.iter().copied());
        all.filter(|pattern| matches!(pattern, Pattern::Key { .. }))
    }

    /// The part of `len` elements that LIMIT leaves.
    fn range(&self, len: usize) -> Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset.max(0)).unwrap_or(len).min(len);
        match usize::try_from(count) {
            Ok(count) => start..start.saturating_add(count).min(len),
            Err(_) => start..len,
        }
    }
}

/// The elements of a value that can be sorted, in their own order. None for other types.
fn elements(object: &Object) -> Option<Box<dyn Iterator<Item = Item<'_>> + '_>> {
    match object {
        Object::List(list) => Some(Box::new(list.iter())),
        Object::Set(set) => Some(set.iter()),
        Object::SortedSet(set) => Some(Box::new(set.iter().map(|(item, _)| item))),
        Object::Hash(_) | Object::Stream(_) => None,
    }
}

/// How many elements a value has that can be sorted.
fn len(object: &Object) -> Option<usize> {
    match object {
        Object::List(list) => Some(list.len()),
        Object::Set(set) => Some(set.len()),
        Object::SortedSet(set) => Some(set.len()),
        Object::Hash(_) | Object::Stream(_) => None,
    }
}

/// The elements of `range` in their own order, or in the opposite one of what has an order. Costs
/// what is asked for, but for a set's LIMIT, which is counted off.
fn as_they_are(object: &Object, descending: bool, range: Range<usize>) -> Vec<Item<'_>> {
    let (start, count) = (range.start, range.len());
    match object {
        _ if count == 0 => Vec::new(),
        Object::List(list) => {
            let elements = if descending {
                list.iter_from(list.len() - 1 - start, End::Back)
            } else {
                list.iter_from(start, End::Front)
            };
            elements.take(count).collect()
        }
        Object::SortedSet(set) => {
            let entries = if descending {
                set.iter_from(set.len() - 1 - start, Direction::Backward)
            } else {
                set.iter_from(start, Direction::Forward)
            };
            entries.take(count).map(|(item, _)| item).collect()
        }
        other => elements(other).map_or(Vec::new(), |it| it.skip(start).take(count).collect()),
    }
}

/// What a SORT comes to.
enum Sorted<'a> {
    /// Written already.
    Shown,
    /// A list for this key.
    Stored(&'a [u8], List),
    /// Patterns have yet to be looked up for these.
    Elements(Vec<Vec<u8>>),
}

fn run(ctx: &mut Context<'_>, args: &Args<'_>, may_store: bool, reply: &mut Reply<'_>) -> Outcome {
    let mut request = Request::parse(args, may_store, ctx.caller.reads_all_keys)?;
    let key = &args[1];
    let limits = list::limits(ctx);
    let in_script = ctx.caller.in_script;
    let mut sorted = Sorted::Elements(Vec::new());
    if let Some(entry) = ctx.read(key) {
        let object = entry.as_object_mut().ok_or(Error::WRONG_TYPE)?;
        if let Object::SortedSet(set) = object {
            // As Redis does, even for SORT_RO: OBJECT ENCODING tells.
            set.make_large();
        }
        let len = len(object).ok_or(Error::WRONG_TYPE)?;
        let must_repeat = request.store.is_some() || in_script;
        if request.unsorted && must_repeat && matches!(object, Object::Set(_)) {
            // What is stored, or a script does, must not depend on how a set happens to be laid
            // out.
            request.unsorted = false;
            request.alpha = true;
            request.by = None;
        }
        let range = request.range(len);
        sorted = if request.unsorted {
            let items = as_they_are(object, request.descending, range);
            finish(&items, &request, limits, reply)
        } else if request.by.is_none() {
            let items = elements(object).ok_or(Error::WRONG_TYPE)?;
            let items = order_by_themselves(items, len, &request, range)?;
            finish(&items, &request, limits, reply)
        } else {
            let items = elements(object).ok_or(Error::WRONG_TYPE)?;
            let items = items.map(Item::to_vec).collect();
            let mut ordered = order_by_pattern(ctx, items, &request, range.clone())?;
            ordered.truncate(range.end);
            ordered.drain(..range.start);
            Sorted::Elements(ordered)
        };
    }
    match sorted {
        Sorted::Shown => {}
        Sorted::Stored(destination, list) => store(ctx, destination, list, reply),
        Sorted::Elements(shown) => match request.store {
            None => show(ctx, &shown, &request.get, reply),
            Some(destination) => {
                let list = list_of(ctx, &shown, &request.get, limits);
                store(ctx, destination, list, reply);
            }
        },
    }
    Ok(())
}

/// Shows or gathers elements while they stand in their collection, where no pattern asks for other
/// keys: nothing is copied that need not be.
fn finish<'a>(
    items: &[Item<'_>],
    request: &Request<'a>,
    limits: ListLimits,
    reply: &mut Reply<'_>,
) -> Sorted<'a> {
    match request.store {
        _ if !request.get.is_empty() => {
            Sorted::Elements(items.iter().map(|item| item.to_vec()).collect())
        }
        Some(destination) => {
            let mut list = List::new();
            list.push_items(End::Back, items.iter().copied(), limits);
            Sorted::Stored(destination, list)
        }
        None => {
            reply.array(items.len());
            items.iter().for_each(|item| write(reply, *item));
            Sorted::Shown
        }
    }
}

/// Elements of `range` when all `len` of them are ordered by their own numbers or texts. Equal ones
/// stay as they were.
fn order_by_themselves<'o>(
    elements: impl Iterator<Item = Item<'o>>,
    len: usize,
    request: &Request<'_>,
    range: Range<usize>,
) -> Result<Vec<Item<'o>>, Error> {
    let directed = |order: Ordering| {
        if request.descending {
            order.reverse()
        } else {
            order
        }
    };
    if request.alpha {
        let stores = request.store.is_some();
        let mut placed: Vec<(Item<'o>, usize)> = Vec::with_capacity(len);
        placed.extend(elements.zip(0..));
        return Ok(part_in_order(placed, range, |(a, i), (b, j)| {
            directed(collate_items(*a, *b, stores)).then(i.cmp(j))
        }));
    }
    let mut weighed: Vec<(Item<'o>, f64)> = Vec::with_capacity(len);
    for element in elements {
        let weight = match element {
            // What `strtod` reads from its digits.
            Item::Int(int) => int as f64,
            Item::Bytes(text) => number(text).ok_or(NOT_A_NUMBER)?,
        };
        weighed.push((element, weight));
    }
    Ok(part_in_order(weighed, range, |(x, a), (y, b)| {
        let by_weight = a.partial_cmp(b).unwrap_or(Ordering::Equal);
        // Elements equal in both are the same text: which of them comes first is nothing that
        // anybody could see.
        directed(by_weight.then_with(|| collate_items(*x, *y, true)))
    }))
}

/// How the texts of two elements compare.
fn collate_items(a: Item<'_>, b: Item<'_>, stores: bool) -> Ordering {
    let (mut x, mut y) = (itoa::Buffer::new(), itoa::Buffer::new());
    match (a, b) {
        (Item::Int(a), Item::Int(b)) if a == b => Ordering::Equal,
        _ => collate(a.text(&mut x), b.text(&mut y), stores),
    }
}

/// The items that stand in `range` when all are in this order, which is a total one. Only the range
/// is sorted.
fn part_in_order<'o, T>(
    mut items: Vec<(Item<'o>, T)>,
    range: Range<usize>,
    order: impl Fn(&(Item<'o>, T), &(Item<'o>, T)) -> Ordering,
) -> Vec<Item<'o>> {
    if range.is_empty() {
        return Vec::new();
    }
    if range.end < items.len() {
        items.select_nth_unstable_by(range.end, &order);
        items.truncate(range.end);
    }
    if range.start > 0 {
        items.select_nth_unstable_by(range.start, &order);
    }
    let wanted = items.get_mut(range.start..).unwrap_or_default();
    wanted.sort_unstable_by(&order);
    wanted.iter().map(|(item, _)| *item).collect()
}

/// The elements ordered by what BY finds for them, at least those of `range`.
fn order_by_pattern(
    ctx: &mut Context<'_>,
    elements: Vec<Vec<u8>>,
    request: &Request<'_>,
    range: Range<usize>,
) -> Result<Vec<Vec<u8>>, Error> {
    let directed = |order: Ordering| {
        if request.descending {
            order.reverse()
        } else {
            order
        }
    };
    let part = (range != (0..elements.len())).then_some(range);
    let stores = request.store.is_some();
    let by = request.by.unwrap_or(Pattern::Element);
    if request.alpha {
        let weigh = |element: Vec<u8>| (by.find(ctx, &element), element);
        let mut weighed: Vec<_> = elements.into_iter().map(weigh).collect();
        arrange(&mut weighed, part, |(a, _), (b, _)| {
            directed(match (a, b) {
                (Some(a), Some(b)) => collate(a, b, stores),
                // One without a text comes before all that have one, as `None` does.
                _ => a.is_some().cmp(&b.is_some()),
            })
        });
        Ok(weighed.into_iter().map(|(_, element)| element).collect())
    } else {
        let mut weighed = Vec::with_capacity(elements.len());
        for element in elements {
            let weight = by
                .find(ctx, &element)
                .map_or(Some(0.0), |text| number(&text));
            weighed.push((weight.ok_or(NOT_A_NUMBER)?, element));
        }
        arrange(&mut weighed, part, |(a, x), (b, y)| {
            let by_weight = a.partial_cmp(b).unwrap_or(Ordering::Equal);
            directed(by_weight.then_with(|| x.cmp(y)))
        });
        Ok(weighed.into_iter().map(|(_, element)| element).collect())
    }
}

/// Sorts all, or just so much that a part is in order.
fn arrange<T>(
    items: &mut Vec<T>,
    part: Option<Range<usize>>,
    order: impl Fn(&T, &T) -> Ordering + Copy,
) {
    match part {
        None => sorting::sort(items, order),
        Some(part) => sorting::sort_part(items, part, order),
    }
}

/// How two texts compare: what is only shown is compared as C strings are, up to a zero byte.
fn collate(a: &[u8], b: &[u8], stores: bool) -> Ordering {
    if stores {
        a.cmp(b)
    } else {
        strtod::c_string(a).cmp(strtod::c_string(b))
    }
}

/// The number that C's `strtod` reads from all of `text`: an empty one is zero, space in front is
/// skipped, and what no double can hold is none.
fn number(text: &[u8]) -> Option<f64> {
    let text = strtod::c_string(text);
    let read = strtod::strtod(text);
    let is_whole = read.len == text.len() && !read.out_of_range;
    (is_whole && !read.value.is_nan()).then_some(read.value)
}

fn show(ctx: &mut Context<'_>, elements: &[Vec<u8>], get: &[Pattern<'_>], reply: &mut Reply<'_>) {
    let get = if get.is_empty() {
        &[Pattern::Element]
    } else {
        get
    };
    reply.array(elements.len().saturating_mul(get.len()));
    for element in elements {
        for pattern in get {
            match pattern.find(ctx, element) {
                Some(text) => reply.bulk(&text),
                None => reply.null(),
            }
        }
    }
}

/// The list of these elements, or of what GET finds for them.
fn list_of(
    ctx: &mut Context<'_>,
    elements: &[Vec<u8>],
    get: &[Pattern<'_>],
    limits: ListLimits,
) -> List {
    let mut list = List::new();
    if get.is_empty() {
        let texts = elements.iter().map(Vec::as_slice);
        list.push_all(End::Back, texts, limits);
    }
    for element in elements {
        for pattern in get {
            let text = pattern.find(ctx, element).unwrap_or_default();
            list.push(End::Back, &text, limits);
        }
    }
    list
}

fn store(ctx: &mut Context<'_>, destination: &[u8], list: List, reply: &mut Reply<'_>) {
    let len = list.len();
    if len == 0 {
        if ctx.delete(destination) {
            ctx.changed(destination, Event::DEL);
        }
        return reply.integer(0);
    }
    ctx.set_value(destination, list);
    ctx.changed_by(len, destination, Event::SORT_STORE);
    reply.integer(i64::try_from(len).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_strtod() {
        for (text, value) in [
            ("", Some(0.0)),
            (" 1", Some(1.0)),
            ("1 ", None),
            (" ", None),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("1e400", None),
            ("1e-400", None),
            ("0e-400", Some(0.0)),
            ("nan", None),
            ("0x10", Some(16.0)),
            ("1\0x", Some(1.0)),
        ] {
            assert_eq!(number(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn limits_stay_within_the_elements() {
        let range = |limit| {
            let request = Request {
                limit,
                ..Request::default()
            };
            request.range(5)
        };
        assert_eq!(range(None), 0..5);
        assert_eq!(range(Some((-3, 2))), 0..2);
        assert_eq!(range(Some((4, i64::MAX))), 4..5);
        assert_eq!(range(Some((i64::MAX, -1))), 5..5);
        assert_eq!(range(Some((1, 0))), 1..1);
    }
}
