//! Hashes: fields, counters, random fields. When fields expire is in [`super::hash_expire`].
//!
//! A hash that loses its last field loses its key.

use protocol::args::Args;
use protocol::long_double::{LongDouble, NoNumber};
use protocol::reply::{Reply, Version};
use storage::hash::Field;
use storage::{FieldDeadline, Hash, HashLimits, Item};

use crate::commands::exact;
use crate::commands::options::{integer, is};
use crate::commands::scan::{ElementScan, cursor, write_cursor};
use crate::commands::set::{REPEATED_MAX, draw_different, is_few, sample};
use crate::commands::string::{add_floats, write, write_or_null};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// Up to where hashes stay packed.
pub fn limits(ctx: &Context<'_>) -> HashLimits {
    HashLimits {
        entries: ctx.config.hash_max_listpack_entries,
        value: ctx.config.hash_max_listpack_value,
    }
}

/// `HSET key (field value)...`: sets fields of the hash at `key`, which is created where missing,
/// and clears their deadlines. How many fields were new; WRONGTYPE where it is not a hash. Errors:
/// a field without a value.
pub fn hset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let added = set_pairs(ctx, args, "hset")?;
    reply.integer(added);
    Ok(())
}

/// `HMSET key (field value)...`: sets fields of the hash at `key` as HSET does, whose older form it
/// is. OK; WRONGTYPE where it is not a hash. Errors: a field without a value.
pub fn hmset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_pairs(ctx, args, "hmset")?;
    reply.ok();
    Ok(())
}

fn set_pairs(ctx: &mut Context<'_>, args: &Args<'_>, command: &str) -> Result<i64, Error> {
    if args.len() % 2 == 1 {
        return Err(Error::arity(command));
    }
    let (key, limits, now) = (&args[1], limits(ctx), ctx.now);
    let hash = ctx.get_or_insert(key, Hash::new)?;
    hash.expect((args.len() - 2) / 2, limits);
    let mut added = 0;
    for at in (2..args.len()).step_by(2) {
        let clear = FieldDeadline::Clear;
        added += i64::from(hash.set(&args[at], &args[at + 1], clear, limits, now));
    }
    ctx.changed_by((args.len() - 2) / 2, key, Event::HSET);
    Ok(added)
}

/// `HSETNX key field value`: sets a field that is not there. 1 where it did, else 0; WRONGTYPE
/// where `key` is not a hash.
pub fn hsetnx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits, now) = (&args[1], limits(ctx), ctx.now);
    let taken = ctx
        .get_mut::<Hash>(key)?
        .is_some_and(|hash| hash.get(&args[2], now).is_some());
    if !taken {
        let hash = ctx.get_or_insert(key, Hash::new)?;
        hash.set(&args[2], &args[3], FieldDeadline::Clear, limits, now);
        ctx.changed(key, Event::HSET);
    }
    reply.integer(i64::from(!taken));
    Ok(())
}

/// `HGET key field`: the value of a field of the hash at `key`. Nil where there is none; WRONGTYPE
/// where it is not a hash.
pub fn hget(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = ctx.now;
    let hash = ctx.get::<Hash>(&args[1])?;
    let value = hash.and_then(|hash| hash.get(&args[2], now));
    write_or_null(reply, value);
    if value.is_none() && hash.is_some_and(Hash::may_expire) {
        ctx.expire_fields(&args[1], args.iter().skip(2));
    }
    Ok(())
}

/// `HMGET key field...`: an array with the value of each field, nil for what is missing. WRONGTYPE
/// where `key` is not a hash.
pub fn hmget(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = ctx.now;
    let hash = ctx.get::<Hash>(&args[1])?;
    reply.array(args.len() - 2);
    let mut all = true;
    for name in args.iter().skip(2) {
        let value = hash.and_then(|hash| hash.get(name, now));
        write_or_null(reply, value);
        all &= value.is_some();
    }
    if !all && hash.is_some_and(Hash::may_expire) {
        ctx.expire_fields(&args[1], args.iter().skip(2));
    }
    Ok(())
}

/// `HGETALL key`: all fields and values of the hash at `key`: a map in RESP3, else an array of
/// field, value, field, value. Empty where there is no hash; WRONGTYPE where it is not a hash.
pub fn hgetall(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = ctx.now;
    let hash = ctx.get::<Hash>(&args[1])?;
    let mark = reply.begin();
    let mut pairs = 0;
    for field in hash.into_iter().flat_map(|hash| hash.live(now)) {
        write(reply, field.name);
        write(reply, field.value);
        pairs += 1;
    }
    match reply.version() {
        Version::Resp2 => reply.finish_array(mark, 2 * pairs),
        Version::Resp3 => reply.finish_map(mark, pairs),
    }
    Ok(())
}

/// `HKEYS key`: an array of the fields of the hash at `key`. Empty where there is none; WRONGTYPE
/// where it is not a hash.
pub fn hkeys(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    each_field(ctx, args, reply, |field| field.name)
}

/// `HVALS key`: an array of the values of the hash at `key`. Empty where there is none; WRONGTYPE
/// where it is not a hash.
pub fn hvals(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    each_field(ctx, args, reply, |field| field.value)
}

fn each_field(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    part: impl for<'f> Fn(Field<'f>) -> Item<'f>,
) -> Outcome {
    let now = ctx.now;
    let hash = ctx.get::<Hash>(&args[1])?;
    let mark = reply.begin();
    let mut count = 0;
    for field in hash.into_iter().flat_map(|hash| hash.live(now)) {
        write(reply, part(field));
        count += 1;
    }
    reply.finish_array(mark, count);
    Ok(())
}

/// `HLEN key`: how many fields the hash at `key` has, those included whose time has come and that
/// nobody has removed yet. 0 where there is none; WRONGTYPE where it is not a hash.
pub fn hlen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let len = ctx.get::<Hash>(&args[1])?.map_or(0, Hash::len);
    reply.integer(len as i64);
    Ok(())
}

/// `HSTRLEN key field`: the bytes of a field's value. 0 where there is none; WRONGTYPE where `key`
/// is not a hash.
pub fn hstrlen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = ctx.now;
    let hash = ctx.get::<Hash>(&args[1])?;
    let value = hash.and_then(|hash| hash.get(&args[2], now));
    reply.integer(value.map_or(0, Item::text_len) as i64);
    if value.is_none() && hash.is_some_and(Hash::may_expire) {
        ctx.expire_fields(&args[1], args.iter().skip(2));
    }
    Ok(())
}

/// `HEXISTS key field`: 1 where the hash at `key` has the field, else 0; WRONGTYPE where it is not
/// a hash.
pub fn hexists(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = ctx.now;
    let hash = ctx.get::<Hash>(&args[1])?;
    let there = hash.is_some_and(|hash| hash.get(&args[2], now).is_some());
    reply.integer(i64::from(there));
    if !there && hash.is_some_and(Hash::may_expire) {
        ctx.expire_fields(&args[1], args.iter().skip(2));
    }
    Ok(())
}

/// `HDEL key field...`: deletes fields of the hash at `key`, and it with the last one. How many
/// were there, those included whose time has come and that nobody has removed yet, as in Redis;
/// WRONGTYPE where it is not a hash.
pub fn hdel(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let Some(hash) = ctx.get_mut::<Hash>(key)? else {
        reply.integer(0);
        return Ok(());
    };
    let count = args
        .iter()
        .skip(2)
        .filter(|name| hash.remove_stored(name))
        .count();
    let now_empty = hash.is_empty();
    if count > 0 {
        ctx.lost(count, key, Event::HDEL, now_empty);
    }
    reply.integer(count as i64);
    Ok(())
}

/// `HINCRBY key field increment`: adds to the integer of a field, 0 where there is none. The sum;
/// WRONGTYPE where `key` is not a hash. Errors: a value or an increment that is no 64-bit integer,
/// a sum that is none.
pub fn hincrby(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (&args[1], &args[2]);
    let increment = integer(&args[3])?;
    let (limits, now) = (limits(ctx), ctx.now);
    let old = match ctx
        .peek_mut::<Hash>(key)?
        .and_then(|hash| hash.get(name, now))
    {
        None => 0,
        Some(value) => value
            .as_int()
            .ok_or(Error::new("ERR hash value is not an integer"))?,
    };
    let sum = old.checked_add(increment).ok_or(Error::OVERFLOW)?;
    let hash = ctx.get_or_insert(key, Hash::new)?;
    let mut digits = itoa::Buffer::new();
    let text = digits.format(sum).as_bytes();
    hash.set(name, text, FieldDeadline::Keep, limits, now);
    ctx.changed(key, Event::HINCRBY);
    reply.integer(sum);
    Ok(())
}

/// `HINCRBYFLOAT key field increment`: adds to the number of a field, 0 where there is none. The
/// sum as text; WRONGTYPE where `key` is not a hash. Errors: a value or an increment that is no
/// number, a sum that is not finite.
pub fn hincrbyfloat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (&args[1], &args[2]);
    match LongDouble::parse(&args[3]) {
        Err(NoNumber::Malformed) => return Err(Error::NOT_A_FLOAT),
        Err(NoNumber::Infinite) => return Err(Error::new("ERR value is NaN or Infinity")),
        Ok(_) => {}
    }
    let (limits, now) = (limits(ctx), ctx.now);
    let old = match ctx
        .peek_mut::<Hash>(key)?
        .and_then(|hash| hash.get(name, now))
    {
        None => Ok(LongDouble::ZERO),
        Some(value) => LongDouble::parse(value.text(&mut itoa::Buffer::new())),
    };
    let not_a_float = Error::new("ERR hash value is not a float");
    let text = add_floats(old, &args[3], not_a_float)?;
    let hash = ctx.get_or_insert(key, Hash::new)?;
    hash.set(name, text.as_bytes(), FieldDeadline::Keep, limits, now);
    exact::field_changed(ctx, key, name, text.as_bytes());
    ctx.changed(key, Event::HINCRBYFLOAT);
    reply.bulk(text.as_bytes());
    Ok(())
}

/// `HRANDFIELD key [count [WITHVALUES]]`: a field drawn at random, nil where there is no hash. With
/// `count` an array of so many different fields, or, where it is negative, of any as often as they
/// come; empty where there is no hash. WITHVALUES adds the values, as pairs in RESP3. WRONGTYPE
/// where it is not a hash. What has expired is removed first, so that none is drawn in vain.
pub fn hrandfield(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut random = ctx.random.fork();
    let now = ctx.now;
    if args.len() == 2 {
        ctx.expire_due_fields(&args[1]);
        let hash = ctx.get::<Hash>(&args[1])?;
        let field = hash.and_then(|hash| hash.random(&mut random, now));
        write_or_null(reply, field.map(|field| field.name));
        return Ok(());
    }
    let count = integer(&args[2])?;
    if count == i64::MIN {
        return Err(Error::beyond_long());
    }
    let with_values = match args.get(3) {
        None => false,
        Some(word) if args.len() == 4 && is(word, "WITHVALUES") => true,
        Some(_) => return Err(Error::SYNTAX),
    };
    if with_values && count.abs() > i64::MAX / 2 {
        return Err(Error::OUT_OF_RANGE);
    }
    ctx.expire_due_fields(&args[1]);
    let Some(hash) = ctx.get::<Hash>(&args[1])? else {
        reply.empty_array();
        return Ok(());
    };
    let live = hash.live_len(now);
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let wanted = match count < 0 {
        true if live == 0 => 0,
        true => wanted,
        false => wanted.min(live),
    };
    if wanted > REPEATED_MAX {
        return Err(Error::OUT_OF_RANGE);
    }
    let as_pairs = with_values && reply.version() == Version::Resp3;
    reply.array(if with_values && !as_pairs {
        wanted.saturating_mul(2)
    } else {
        wanted
    });
    let mut show = |field: Field<'_>| {
        if as_pairs {
            reply.array(2);
        }
        write(reply, field.name);
        if with_values {
            write(reply, field.value);
        }
    };
    if count < 0 {
        for _ in 0..wanted {
            if let Some(field) = hash.random(&mut random, now) {
                show(field);
            }
        }
    } else if is_few(wanted, live) && live == hash.len() {
        draw_different(wanted, || {
            let field = hash.random(&mut random, now)?;
            Some((field.name.to_vec(), field))
        })
        .for_each(show);
    } else {
        sample(hash.live(now), live, wanted, &mut random).for_each(show);
    }
    Ok(())
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`: the next cursor, `0` at the end,
/// and an array of some fields, with their values unless told otherwise. Empty where there is no
/// hash; WRONGTYPE where it is not a hash. Errors: a cursor that is no number, a count that is not
/// positive.
pub fn hscan(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let from = cursor(&args[2])?;
    let now = ctx.now;
    let Some(hash) = ctx.get::<Hash>(&args[1])? else {
        write_cursor(reply, None);
        reply.empty_array();
        return Ok(());
    };
    let scan = ElementScan::parse(from, args, true)?;
    let mut shown: Vec<Vec<u8>> = Vec::new();
    let next = scan.from.and_then(|from| {
        hash.scan(from, scan.count, now, |field| {
            let name = field.name.to_vec();
            if scan.wants(&name) {
                shown.push(name);
                if !scan.no_values {
                    shown.push(field.value.to_vec());
                }
            }
        })
    });
    write_cursor(reply, next);
    reply.array(shown.len());
    for text in shown {
        reply.bulk(&text);
    }
    Ok(())
}
