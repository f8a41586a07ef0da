//! HyperLogLogs: counting different elements. They are strings; see `storage::hyperloglog` for
//! their bytes.

use protocol::args::Args;
use protocol::reply::Reply;
use protocol::strtod::c_string;
use storage::hyperloglog::{self as hll, Corrupt, Encoding, NotHyperLogLog, Registers};

use crate::commands::options::is;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

impl From<NotHyperLogLog> for Error {
    fn from(_: NotHyperLogLog) -> Self {
        Self::new("WRONGTYPE Key is not a valid HyperLogLog string value.")
    }
}

impl From<Corrupt> for Error {
    fn from(_: Corrupt) -> Self {
        Self::new("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// A HyperLogLog's bytes, and how they are encoded.
type Encoded<'c> = (&'c [u8], Encoding);

/// The HyperLogLog at `key`, to read it.
fn read<'c>(ctx: &'c mut Context<'_>, key: &[u8]) -> Result<Option<Encoded<'c>>, Error> {
    ctx.string(key)?.map(checked).transpose()
}

/// The HyperLogLog at `key`, to change it.
fn find<'c>(ctx: &'c mut Context<'_>, key: &[u8]) -> Result<Option<Encoded<'c>>, Error> {
    let string = ctx.find(key).map(|entry| entry.as_string()).transpose()?;
    string.map(checked).transpose()
}

fn checked(string: storage::Item<'_>) -> Result<Encoded<'_>, Error> {
    match string {
        storage::Item::Bytes(bytes) => Ok((bytes, hll::encoding(bytes)?)),
        storage::Item::Int(_) => Err(NotHyperLogLog.into()),
    }
}

/// `PFADD key [element ...]`: 1 where a register changed or the key is new.
pub fn pfadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let sparse_bytes_max = ctx.config.hll_sparse_max_bytes;
    let found = find(ctx, key)?.is_some();
    if !found {
        let mut empty = hll::empty();
        hll::mark_stale(&mut empty);
        ctx.set_computed_string(key, empty);
    }
    let mut changes = usize::from(!found);
    if let Some(entry) = ctx.peek(key).filter(|_| args.len() > 2) {
        let added = entry.edit_string(|value| {
            let mut added = 0;
            let result = args.tail(2).iter().try_for_each(|element| {
                added += usize::from(hll::add(value, element, sparse_bytes_max)?);
                Ok::<_, Corrupt>(())
            });
            (added, result)
        })?;
        changes += added.0;
        if added.1.is_err() && changes > 0 {
            // What was added before the damage was met stays. The log cannot have a command that
            // fails.
            let value = entry.as_string()?.to_vec();
            ctx.propagate_as(key, &[b"SET", key, &value, b"KEEPTTL"]);
            ctx.effects.dirty += 1;
        }
        added.1?;
    }
    if changes > 0 {
        ctx.changed_by(changes, key, Event::PFADD);
    }
    reply.integer(i64::from(changes > 0));
    Ok(())
}

/// `PFCOUNT key [key ...]`: about how many different elements they have seen together. The count of
/// a single one is kept in its header.
pub fn pfcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    if args.len() > 2 {
        let mut all = Registers::default();
        for key in args.tail(1) {
            if let Some((value, _)) = read(ctx, key)? {
                all.merge(value)?;
            }
        }
        reply.integer(all.count() as i64);
        return Ok(());
    }
    let Some((value, _)) = read(ctx, key)? else {
        reply.integer(0);
        return Ok(());
    };
    let count = match hll::cached_count(value) {
        Some(count) => count,
        None => {
            let count = hll::count(value)?;
            if let Some(entry) = ctx.peek(key) {
                entry.edit_string(|value| hll::cache_count(value, count))?;
            }
            // GET shows the cache, so data files must; but nobody is notified of a count.
            ctx.effects.dirty += 1;
            count
        }
    };
    reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

/// `PFMERGE destination [source ...]`: the destination has seen what all of them have.
pub fn pfmerge(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let mut all = Registers::default();
    let mut dense = false;
    for key in args.tail(1) {
        if let Some((value, encoding)) = read(ctx, key)? {
            dense |= encoding == Encoding::Dense;
            all.merge(value)?;
        }
    }
    let sparse_bytes_max = ctx.config.hll_sparse_max_bytes;
    let raise = |value: &mut Vec<u8>| {
        if dense {
            hll::make_dense(value)?;
        }
        hll::raise_all(value, &all, sparse_bytes_max)
    };
    match ctx.peek(key) {
        Some(entry) => entry.edit_string(raise)??,
        None => {
            let mut value = hll::empty();
            raise(&mut value)?;
            ctx.set_computed_string(key, value);
        }
    }
    ctx.changed(key, Event::PFADD);
    reply.ok();
    Ok(())
}

/// `PFDEBUG GETREG | DECODE | ENCODING | TODENSE key`
pub fn pfdebug(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (what, key) = (&args[1], &args[2]);
    let (value, encoding) =
        find(ctx, key)?.ok_or(Error::new("ERR The specified key does not exist"))?;
    if is(what, "GETREG") {
        let mut registers = Registers::default();
        registers.merge(value)?;
        make_dense(ctx, key)?;
        reply.array(hll::REGISTERS);
        for register in registers.values() {
            reply.integer(i64::from(*register));
        }
    } else if is(what, "DECODE") {
        if encoding == Encoding::Dense {
            return Err(Error::new("ERR HLL encoding is not sparse"));
        }
        reply.bulk(describe(value).as_bytes());
    } else if is(what, "ENCODING") {
        reply.simple(match encoding {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        });
    } else if is(what, "TODENSE") {
        let converted = make_dense(ctx, key)?;
        reply.integer(i64::from(converted));
    } else {
        return Err(Error::from_bytes(
            [b"ERR Unknown PFDEBUG subcommand '", c_string(what), b"'"].concat(),
        ));
    }
    Ok(())
}

/// Turns the value at `key` dense; true where it was not.
fn make_dense(ctx: &mut Context<'_>, key: &[u8]) -> Result<bool, Error> {
    let Some(entry) = ctx.peek(key) else {
        return Ok(false);
    };
    let converted = entry.edit_string(|value| {
        let sparse = hll::encoding(value) == Ok(Encoding::Sparse);
        hll::make_dense(value).map(|()| sparse)
    })??;
    if converted {
        ctx.effects.dirty += 1;
    }
    Ok(converted)
}

/// The runs of a sparse string: `z:n` and `Z:n` zeros in one or two bytes, `v:value,n` values.
fn describe(value: &[u8]) -> String {
    let mut words = Vec::new();
    for run in hll::runs(value) {
        words.push(match run.value {
            0 if run.is_long() => format!("Z:{}", run.length),
            0 => format!("z:{}", run.length),
            value => format!("v:{value},{}", run.length),
        });
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_names_every_run() {
        let mut value = hll::empty();
        assert_eq!(describe(&value), "Z:16384");
        // The register and value that Redis finds for this element too.
        hll::add(&mut value, b"a", 3000).unwrap();
        assert_eq!(describe(&value), "Z:12711 v:2,1 Z:3672");
    }
}
