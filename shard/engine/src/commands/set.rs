//! Sets: members, random members, moves. What combines several sets is in [`super::set_algebra`].
//!
//! A set that loses its last member loses its key.

use std::collections::HashSet;

use protocol::args::Args;
use protocol::reply::Reply;
use storage::{Set, SetLimits};

use crate::commands::options;
use crate::commands::options::integer;
use crate::commands::scan::{ElementScan, cursor, write_cursor};
use crate::commands::string::write;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// Elements that SRANDMEMBER and HRANDFIELD repeat at the most: the reply to a short command stays
/// in memory.
pub const REPEATED_MAX: usize = 1 << 24;

/// Up to where sets stay packed.
pub fn limits(ctx: &Context<'_>) -> SetLimits {
    SetLimits {
        intset_entries: ctx.config.set_max_intset_entries,
        listpack_entries: ctx.config.set_max_listpack_entries,
        listpack_value: ctx.config.set_max_listpack_value,
    }
}

/// `SADD key member...`: how many were new.
pub fn sadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits) = (&args[1], limits(ctx));
    let count = args.len() - 2;
    let set = ctx.get_or_insert(key, || Set::for_members(&args[2], count, limits))?;
    set.expect(count, limits);
    let added = args
        .iter()
        .skip(2)
        .filter(|member| set.insert(member, limits))
        .count();
    if added > 0 {
        ctx.changed_by(added, key, Event::SADD);
    }
    reply.integer(added as i64);
    Ok(())
}

/// `SREM key member...`: how many were there.
pub fn srem(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let Some(set) = ctx.get_mut::<Set>(key)? else {
        reply.integer(0);
        return Ok(());
    };
    let count = args
        .iter()
        .skip(2)
        .filter(|member| set.remove(member))
        .count();
    let now_empty = set.is_empty();
    if count > 0 {
        ctx.lost(count, key, Event::SREM, now_empty);
    }
    reply.integer(count as i64);
    Ok(())
}

/// `SCARD key`
pub fn scard(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let len = ctx.get::<Set>(&args[1])?.map_or(0, Set::len);
    reply.integer(len as i64);
    Ok(())
}

/// `SISMEMBER key member`
pub fn sismember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = ctx.get::<Set>(&args[1])?;
    reply.integer(i64::from(set.is_some_and(|set| set.contains(&args[2]))));
    Ok(())
}

/// `SMISMEMBER key member...`
pub fn smismember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = ctx.get::<Set>(&args[1])?;
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

/// `SMEMBERS key`
pub fn smembers(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match ctx.get::<Set>(&args[1])? {
        None => reply.set(0),
        Some(set) => {
            reply.set(set.len());
            set.for_each(|item| write(reply, item));
        }
    }
    Ok(())
}

/// `SMOVE source destination member`: 1 where it was moved.
pub fn smove(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (source, destination, member) = (&args[1], &args[2], &args[3]);
    let limits = limits(ctx);
    if ctx.peek(source).is_none() {
        reply.integer(0);
        return Ok(());
    }
    ctx.peek_mut::<Set>(source)?;
    ctx.peek_mut::<Set>(destination)?;
    let Some(set) = ctx.get_mut::<Set>(source)? else {
        reply.integer(0);
        return Ok(());
    };
    if source == destination {
        reply.integer(i64::from(set.contains(member)));
        return Ok(());
    }
    if !set.remove(member) {
        ctx.find(destination);
        reply.integer(0);
        return Ok(());
    }
    let now_empty = set.is_empty();
    ctx.propagate_as(source, &[b"SREM", source, member]);
    ctx.propagate_as(destination, &[b"SADD", destination, member]);
    ctx.lost(1, source, Event::SREM, now_empty);
    let is_new = ctx
        .get_or_insert(destination, Set::new)?
        .insert(member, limits);
    if is_new {
        ctx.changed(destination, Event::SADD);
    }
    reply.integer(1);
    Ok(())
}

/// `SPOP key [count]`
pub fn spop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let count = match args.len() {
        2 => None,
        3 => Some(options::at_least(0, &args[2], Error::MUST_BE_POSITIVE)?),
        _ => return Err(Error::SYNTAX),
    };
    let logged = ctx.is_logged();
    let mut random = ctx.random.fork();
    let Some(set) = ctx.get_mut::<Set>(key)? else {
        match count {
            Some(_) => reply.set(0),
            None => reply.null(),
        }
        return Ok(());
    };
    let wanted = count.unwrap_or(1).min(set.len());
    if count.is_some() {
        reply.set(wanted);
    }
    if wanted == set.len() {
        set.for_each(|item| write(reply, item));
        if count.is_some() {
            // Redis reads the set then, and deletes it.
            ctx.looked_up(key, true);
        }
        ctx.lost(wanted, key, Event::SPOP, true);
        return Ok(());
    }
    // Which ones these are, chance decides: a log has to know.
    let mut popped: Vec<Vec<u8>> = Vec::new();
    for _ in 0..wanted {
        set.pop_random(&mut random, |member| {
            write(reply, member);
            if logged {
                popped.push(member.to_vec());
            }
        });
    }
    if wanted > 0 {
        if logged {
            let mut parts: Vec<&[u8]> = vec![b"SREM", key];
            parts.extend(popped.iter().map(Vec::as_slice));
            ctx.propagate_as(key, &parts);
        }
        ctx.lost(wanted, key, Event::SPOP, false);
    }
    Ok(())
}

/// `SRANDMEMBER key [count]`: different members, or, where `count` is negative, any as often as
/// they come.
pub fn srandmember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = match args.len() {
        2 => None,
        3 => {
            let count = integer(&args[2])?;
            if count < -i64::MAX {
                return Err(Error::beyond_long());
            }
            Some(count)
        }
        _ => return Err(Error::SYNTAX),
    };
    let mut random = ctx.random.fork();
    let set = ctx.get::<Set>(&args[1])?;
    let (set, count) = match (set, count) {
        (None, None) => {
            reply.null();
            return Ok(());
        }
        (None, Some(_)) => {
            reply.empty_array();
            return Ok(());
        }
        (Some(set), None) => {
            match set.random(&mut random) {
                Some(item) => write(reply, item),
                None => reply.null(),
            }
            return Ok(());
        }
        (Some(set), Some(count)) => (set, count),
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        if wanted > REPEATED_MAX {
            return Err(Error::OUT_OF_RANGE);
        }
        reply.array(wanted);
        for _ in 0..wanted {
            if let Some(item) = set.random(&mut random) {
                write(reply, item);
            }
        }
        return Ok(());
    }
    let wanted = wanted.min(set.len());
    reply.array(wanted);
    if is_few(wanted, set.len()) {
        draw_different(wanted, || {
            let item = set.random(&mut random)?;
            Some((item.to_vec(), item))
        })
        .for_each(|item| write(reply, item));
        return Ok(());
    }
    for item in sample(set.iter(), set.len(), wanted, &mut random) {
        write(reply, item);
    }
    Ok(())
}

/// Whether drawing so many different elements at random costs less than walking all of them.
pub fn is_few(wanted: usize, len: usize) -> bool {
    /// How much more a draw costs than a step.
    const COST: usize = 16;
    wanted.saturating_mul(COST) < len
}

/// `wanted` elements of many more, drawn one after the other; one whose name has come before is
/// drawn again.
pub fn draw_different<T>(
    wanted: usize,
    mut draw: impl FnMut() -> Option<(Vec<u8>, T)>,
) -> impl Iterator<Item = T> {
    let mut seen = HashSet::with_capacity(wanted);
    std::iter::from_fn(move || {
        loop {
            let (name, element) = draw()?;
            if seen.insert(name) {
                return Some(element);
            }
        }
    })
    .take(wanted)
}

/// `wanted` of `len` elements, in their order, every choice as likely as every other (Knuth's
/// selection sampling).
pub fn sample<'a, T: 'a>(
    elements: impl Iterator<Item = T> + 'a,
    len: usize,
    wanted: usize,
    random: &'a mut fastrand::Rng,
) -> impl Iterator<Item = T> + 'a {
    let (mut left, mut wanted) = (len, wanted);
    elements.filter(move |_| {
        let chosen = left > 0 && random.usize(..left) < wanted;
        left = left.saturating_sub(1);
        wanted -= usize::from(chosen);
        chosen
    })
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub fn sscan(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let from = cursor(&args[2])?;
    let Some(set) = ctx.get::<Set>(&args[1])? else {
        write_cursor(reply, None);
        reply.empty_array();
        return Ok(());
    };
    let scan = ElementScan::parse(from, args, false)?;
    let mut shown: Vec<Vec<u8>> = Vec::new();
    let next = scan.from.and_then(|from| {
        set.scan(from, scan.count, |item| {
            let member = item.to_vec();
            if scan.wants(&member) {
                shown.push(member);
            }
        })
    });
    write_cursor(reply, next);
    reply.array(shown.len());
    for member in shown {
        reply.bulk(&member);
    }
    Ok(())
}
