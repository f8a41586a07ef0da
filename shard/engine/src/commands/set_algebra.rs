//! What combines sets: SINTER, SUNION, SDIFF, their STORE forms, SINTERCARD.

use protocol::args::Args;
use protocol::reply::Reply;
use storage::prefetch::in_groups;
use storage::{Item, Set, SetLimits};

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::commands::set::limits;
use crate::commands::string::write;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// How sets are combined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Combination {
    Intersection,
    Union,
    Difference,
}

/// The sets at `keys`, each looked up as a read is; a missing key is an empty set.
fn sets<'c>(
    ctx: &'c mut Context<'_>,
    keys: impl Iterator<Item = &'c [u8]> + Clone,
) -> Result<Vec<Option<&'c Set>>, Error> {
    for key in keys.clone() {
        ctx.get::<Set>(key)?;
    }
    let keyspace = ctx.databases.get(ctx.selected);
    let set = |key| keyspace.get(key).and_then(|entry| entry.get::<Set>().ok());
    Ok(keys.map(set).collect())
}

/// Shows every member of the combination, once, until `show` says that it has enough.
fn combine(how: Combination, sets: &[Option<&Set>], mut show: impl FnMut(Item<'_>) -> bool) {
    match how {
        Combination::Intersection => {
            let Some(mut present) = sets.iter().copied().collect::<Option<Vec<&Set>>>() else {
                return;
            };
            // Walking the smallest asks the others the fewest questions.
            present.sort_by_key(|set| set.len());
            let Some((smallest, others)) = present.split_first() else {
                return;
            };
            ask(smallest, others, |item, member| {
                !others.iter().all(|set| set.contains(member)) || show(item)
            });
        }
        Combination::Union => {
            for (index, set) in sets.iter().enumerate() {
                let earlier: Vec<&Set> = sets[..index].iter().copied().flatten().collect();
                let all_wanted = set.is_none_or(|set| {
                    ask(set, &earlier, |item, member| {
                        earlier.iter().any(|set| set.contains(member)) || show(item)
                    })
                });
                if !all_wanted {
                    return;
                }
            }
        }
        Combination::Difference => {
            let Some((Some(first), others)) = sets.split_first() else {
                return;
            };
            let others: Vec<&Set> = others.iter().copied().flatten().collect();
            ask(first, &others, |item, member| {
                others.iter().any(|set| set.contains(member)) || show(item)
            });
        }
    }
}

/// Shows the members of `set` with their texts, until `visit` has enough; returns whether it has
/// seen all. It will ask `others` for each: what they need for an answer is fetched for a group of
/// members at once.
fn ask<'s>(set: &'s Set, others: &[&Set], mut visit: impl FnMut(Item<'s>, &[u8]) -> bool) -> bool {
    in_groups(set.iter(), |items, texts| {
        for other in others.iter().filter(|set| set.is_worth_fetching()) {
            other.prefetch(texts.iter().copied());
        }
        items
            .iter()
            .zip(texts)
            .all(|(item, text)| visit(*item, text))
    })
}

/// The union as a set of its own: a copy of the largest set, where that is a table whatever comes
/// to it, and the members of the others.
fn united(sets: &[Option<&Set>], limits: SetLimits) -> Set {
    let packed_max = limits.intset_entries.max(limits.listpack_entries);
    let largest = sets
        .iter()
        .enumerate()
        .max_by_key(|(_, set)| set.map_or(0, Set::len));
    let (mut result, taken) = match largest {
        Some((index, Some(largest))) if largest.len() > packed_max => {
            let mut copy = (*largest).clone();
            copy.expect(largest.len(), limits);
            (copy, Some(index))
        }
        _ => (Set::new(), None),
    };
    for (index, set) in sets.iter().enumerate() {
        if let Some(set) = set
            && taken != Some(index)
        {
            result.insert_items(set.iter(), limits);
        }
    }
    result
}

fn answer(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    how: Combination,
) -> Outcome {
    let sets = sets(ctx, args.iter().skip(1))?;
    let mark = reply.begin();
    let mut count = 0;
    combine(how, &sets, |item| {
        write(reply, item);
        count += 1;
        true
    });
    reply.finish_set(mark, count);
    Ok(())
}

fn store(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    how: Combination,
    event: Event,
) -> Outcome {
    let limits = limits(ctx);
    let sets = sets(ctx, args.iter().skip(2))?;
    let result = match how {
        Combination::Union => united(&sets, limits),
        _ => {
            let mut result = Set::new();
            combine(how, &sets, |item| {
                result.insert(item.text(&mut itoa::Buffer::new()), limits);
                true
            });
            result
        }
    };
    let key = &args[1];
    let len = result.len();
    if len > 0 {
        ctx.set_value(key, result);
        ctx.changed(key, event);
    } else if ctx.delete(key) {
        ctx.changed(key, Event::DEL);
    }
    reply.integer(len as i64);
    Ok(())
}

/// `SINTER key...`
pub fn sinter(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(ctx, args, reply, Combination::Intersection)
}

/// `SUNION key...`
pub fn sunion(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(ctx, args, reply, Combination::Union)
}

/// `SDIFF key...`: what the first has and no other.
pub fn sdiff(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(ctx, args, reply, Combination::Difference)
}

/// `SINTERSTORE destination key...`
pub fn sinterstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    store(
        ctx,
        args,
        reply,
        Combination::Intersection,
        Event::SINTERSTORE,
    )
}

/// `SUNIONSTORE destination key...`
pub fn sunionstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    store(ctx, args, reply, Combination::Union, Event::SUNIONSTORE)
}

/// `SDIFFSTORE destination key...`
pub fn sdiffstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    store(ctx, args, reply, Combination::Difference, Event::SDIFFSTORE)
}

/// `SINTERCARD numkeys key... [LIMIT limit]`
pub fn sintercard(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let numkeys_error = Error::new("ERR numkeys should be greater than 0");
    let numkeys = options::at_least(1, &args[1], numkeys_error)?;
    if numkeys > args.len() - 2 {
        return Err(Error::new(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let mut limit = 0;
    let mut options = Options::new(args, 2 + numkeys);
    while let Some(word) = options.next() {
        if !is(word, "LIMIT") || options.left() == 0 {
            return Err(Error::SYNTAX);
        }
        let negative = Error::new("ERR LIMIT can't be negative");
        limit = options::at_least(0, options.value()?, negative)?;
    }
    let sets = sets(ctx, args.iter().skip(2).take(numkeys))?;
    let mut count = 0;
    combine(Combination::Intersection, &sets, |_| {
        count += 1;
        count != limit
    });
    reply.integer(count as i64);
    Ok(())
}
