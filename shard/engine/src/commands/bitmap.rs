//! Bitmaps: single bits, counts, searches, combinations and integer fields of strings.

use std::ops::Range;

use protocol::args::Args;
use protocol::reply::Reply;
use storage::bits::{self, Combine, FieldType, Overflow};

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::context::{Context, Deadline};
use crate::error::{Error, Outcome};
use crate::event::Event;

const BAD_OFFSET: Error = Error::new("ERR bit offset is not an integer or out of range");
const BAD_BIT: Error = Error::new("ERR bit is not an integer or out of range");
const BAD_FIELD_TYPE: Error = Error::new(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);

/// The bit offset in `text`; with `field_bits`, `#n` is that of the n-th field of this width.
fn offset(ctx: &Context<'_>, text: &[u8], field_bits: Option<u8>) -> Result<u64, Error> {
    let (text, scale) = match (text, field_bits) {
        ([b'#', text @ ..], Some(bits)) => (text, u64::from(bits)),
        _ => (text, 1),
    };
    let number = options::integer(text).map_err(|_| BAD_OFFSET)?;
    u64::try_from(number)
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .filter(|offset| offset / 8 < ctx.config.proto_max_bulk_len as u64)
        .ok_or(BAD_OFFSET)
}

/// Lets `edit` change the string at `key`, made where there is none and padded with zeros up to the
/// bit `last`. It is told whether it grew.
fn edit<R>(
    ctx: &mut Context<'_>,
    key: &[u8],
    last: u64,
    edit: impl FnOnce(&mut Vec<u8>, bool) -> R,
) -> Result<R, Error> {
    let len = usize::try_from(last / 8 + 1).map_err(|_| BAD_OFFSET)?;
    if ctx.find(key).is_none() {
        ctx.set_string(key, b"", Deadline::Clear);
    }
    // It is there: it was made just now where it was not.
    let entry = ctx.peek(key).ok_or(Error::NO_SUCH_KEY)?;
    let result = entry.edit_string(|text| {
        let grown = len > text.len();
        if grown {
            text.resize(len, 0);
        }
        edit(text, grown)
    })?;
    Ok(result)
}

/// `SETBIT key offset value`: the bit that was there.
pub fn setbit(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let offset = offset(ctx, &args[2], None)?;
    let bit = match options::integer(&args[3]) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(BAD_BIT),
    };
    let (was, grown) = edit(ctx, key, offset, |text, grown| {
        (bits::set(text, offset, bit), grown)
    })?;
    if grown || was != bit {
        ctx.changed(key, Event::SETBIT);
    }
    reply.integer(i64::from(was));
    Ok(())
}

/// `GETBIT key offset`
pub fn getbit(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let offset = offset(ctx, &args[2], None)?;
    let mut digits = itoa::Buffer::new();
    let text = ctx.string(&args[1])?;
    let text = text.map_or(&[][..], |item| item.text(&mut digits));
    reply.integer(i64::from(bits::get(text, offset)));
    Ok(())
}

/// The range that BITCOUNT and BITPOS take: `start end [BYTE | BIT]`, both included and counted
/// from the back where negative.
struct Interval {
    start: i64,
    end: Option<i64>,
    in_bits: bool,
}

impl Interval {
    /// `None` where no argument is left. Whether `end` may be left out is the caller's to say.
    fn parse(args: &Args<'_>, from: usize) -> Result<Option<Interval>, Error> {
        let Some(start) = args.get(from) else {
            return Ok(None);
        };
        if args.len() > from + 3 {
            return Err(Error::SYNTAX);
        }
        let start = options::integer(start)?;
        let in_bits = match args.get(from + 2) {
            None => false,
            Some(unit) if is(unit, "BIT") => true,
            Some(unit) if is(unit, "BYTE") => false,
            Some(_) => return Err(Error::SYNTAX),
        };
        let end = args.get(from + 1).map(options::integer).transpose()?;
        Ok(Some(Interval {
            start,
            end,
            in_bits,
        }))
    }

    /// Both ends count from the back, the first from further ahead. BITCOUNT finds nothing then,
    /// while BITPOS, where both lie before the string, looks at its beginning.
    fn is_reversed(&self) -> bool {
        let end = self.end.unwrap_or(-1);
        self.start < 0 && end < 0 && self.start > end
    }

    /// The bits it means in a string of `len` bytes; `None` where there are none.
    fn bits(&self, len: usize) -> Option<Range<u64>> {
        let unit = if self.in_bits { 1 } else { 8 };
        let total = i64::try_from(len).ok()?.checked_mul(8 / unit)?;
        let end = self.end.unwrap_or(-1);
        let from_back = |at: i64| {
            if at < 0 {
                at.saturating_add(total).max(0)
            } else {
                at
            }
        };
        let (start, end) = (from_back(self.start), from_back(end).min(total - 1));
        if start > end {
            return None;
        }
        Some((start * unit) as u64..((end + 1) * unit) as u64)
    }
}

/// `BITCOUNT key [start end [BYTE | BIT]]`
pub fn bitcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() == 3 {
        return Err(Error::SYNTAX);
    }
    let interval = Interval::parse(args, 2)?;
    let mut digits = itoa::Buffer::new();
    let text = ctx.string(&args[1])?;
    let text = text.map_or(&[][..], |item| item.text(&mut digits));
    let count = match interval {
        None => bits::count(text),
        Some(interval) if interval.is_reversed() => 0,
        Some(interval) => match interval.bits(text.len()) {
            None => 0,
            Some(range) => bits::count_bits(text, range),
        },
    };
    reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`: -1 where there is none. Behind a string without a
/// given end stand clear bits.
pub fn bitpos(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let bit = match options::integer(&args[2])? {
        0 => false,
        1 => true,
        _ => return Err(Error::new("ERR The bit argument must be 1 or 0.")),
    };
    let interval = Interval::parse(args, 3)?.unwrap_or(Interval {
        start: 0,
        end: None,
        in_bits: false,
    });
    let mut digits = itoa::Buffer::new();
    let Some(item) = ctx.string(&args[1])? else {
        reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let text = item.text(&mut digits);
    let found = interval.bits(text.len()).and_then(|range| {
        let beyond = (!bit && interval.end.is_none()).then_some(range.end);
        bits::find(text, bit, range).or(beyond)
    });
    reply.integer(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1));
    Ok(())
}

/// `BITOP AND | OR | XOR | NOT destination key [key ...]`: the length of the result.
pub fn bitop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let how = [
        ("AND", Combine::And),
        ("OR", Combine::Or),
        ("XOR", Combine::Xor),
        ("NOT", Combine::Not),
    ];
    let how = how.into_iter().find(|(name, _)| is(&args[1], name));
    let (_, how) = how.ok_or(Error::SYNTAX)?;
    if how == Combine::Not && args.len() != 4 {
        return Err(Error::new(
            "ERR BITOP NOT must be called with a single source key.",
        ));
    }
    // Each must be a string before any is looked into, and only one can be borrowed at a time to
    // note its use.
    for key in args.tail(3) {
        ctx.string(key)?;
    }
    let db = ctx.db();
    let items: Vec<_> = args
        .tail(3)
        .iter()
        .map(|key| db.get(key).and_then(|entry| entry.as_string().ok()))
        .collect();
    let mut digits = vec![itoa::Buffer::new(); items.len()];
    let inputs: Vec<&[u8]> = items
        .iter()
        .zip(&mut digits)
        .map(|(item, digits)| item.map_or(&[][..], |item| item.text(digits)))
        .collect();
    let result = bits::combine(how, &inputs);
    let (destination, len) = (&args[2], result.len());
    if result.is_empty() {
        if ctx.delete(destination) {
            ctx.changed(destination, Event::DEL);
        }
    } else {
        ctx.set_computed_string(destination, result);
        ctx.changed(destination, Event::SET);
    }
    reply.integer(len as i64);
    Ok(())
}

/// One operation of BITFIELD.
struct FieldOp {
    field: FieldType,
    offset: u64,
    action: Action,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

/// Every operation, and the last bit that one of them writes.
fn parse_fields(ctx: &Context<'_>, args: &Args<'_>) -> Result<(Vec<FieldOp>, Option<u64>), Error> {
    let mut ops = Vec::new();
    let mut last = None;
    let mut overflow = Overflow::Wrap;
    let mut options = Options::new(args, 2);
    while let Some(word) = options.next() {
        if is(word, "OVERFLOW") && options.left() >= 1 {
            let how = options.value()?;
            let hows = [
                ("WRAP", Overflow::Wrap),
                ("SAT", Overflow::Saturate),
                ("FAIL", Overflow::Fail),
            ];
            let found = hows.into_iter().find(|(name, _)| is(how, name));
            (_, overflow) = found.ok_or(Error::new("ERR Invalid OVERFLOW type specified"))?;
            continue;
        }
        let writes = is(word, "SET") || is(word, "INCRBY");
        let wants = if writes { 3 } else { 2 };
        if !(writes || is(word, "GET")) || options.left() < wants {
            return Err(Error::SYNTAX);
        }
        let field = FieldType::parse(options.value()?).ok_or(BAD_FIELD_TYPE)?;
        let offset = offset(ctx, options.value()?, Some(field.bits()))?;
        let action = if writes {
            let end = offset + u64::from(field.bits()) - 1;
            last = last.max(Some(end));
            let value = options::integer(options.value()?)?;
            if is(word, "SET") {
                Action::Set(value, overflow)
            } else {
                Action::Add(value, overflow)
            }
        } else {
            Action::Get
        };
        ops.push(FieldOp {
            field,
            offset,
            action,
        });
    }
    Ok((ops, last))
}

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET type offset value | INCRBY
/// type offset increment]...`: of each, the value read, before, or after; nil where it overflowed
/// and was to fail.
pub fn bitfield(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let (ops, last) = parse_fields(ctx, args)?;
    let Some(last) = last else {
        return read_fields(ctx, key, &ops, reply);
    };
    let changes = edit(ctx, key, last, |text, grown| {
        let mut changes = 0;
        reply.array(ops.len());
        for op in &ops {
            let old = bits::get_field(text, op.field, op.offset);
            let (answer, new) = match op.action {
                Action::Get => (Some(old), None),
                Action::Set(value, overflow) => {
                    let new = op.field.fit_given(value, overflow);
                    (new.map(|_| old), new)
                }
                Action::Add(by, overflow) => {
                    let new = op.field.fit(i128::from(old) + i128::from(by), overflow);
                    (new, new)
                }
            };
            if let Some(new) = new {
                bits::set_field(text, op.field, op.offset, new);
                changes += usize::from(grown || new != old);
            }
            match answer {
                Some(value) => reply.integer(value),
                None => reply.null(),
            }
        }
        changes
    })?;
    if changes > 0 {
        ctx.changed_by(changes, key, Event::BITFIELD);
    }
    Ok(())
}

/// `BITFIELD_RO key [GET type offset]...`
pub fn bitfield_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (ops, last) = parse_fields(ctx, args)?;
    if last.is_some() {
        return Err(Error::new(
            "ERR BITFIELD_RO only supports the GET subcommand",
        ));
    }
    read_fields(ctx, &args[1], &ops, reply)
}

fn read_fields(
    ctx: &mut Context<'_>,
    key: &[u8],
    ops: &[FieldOp],
    reply: &mut Reply<'_>,
) -> Outcome {
    let mut digits = itoa::Buffer::new();
    let text = ctx.string(key)?;
    let text = text.map_or(&[][..], |item| item.text(&mut digits));
    reply.array(ops.len());
    for op in ops {
        reply.integer(bits::get_field(text, op.field, op.offset));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;

    use super::*;

    fn bits_of(words: &str, len: usize) -> Option<Range<u64>> {
        let args = OwnedArgs::from_parts(words.split(' ').map(str::as_bytes));
        let interval = Interval::parse(&args.borrow(), 0).ok().flatten();
        interval.and_then(|interval| interval.bits(len))
    }

    #[test]
    fn intervals_count_bytes_or_bits_from_both_ends() {
        for (words, expected) in [
            ("0 -1", Some(0..24)),
            ("1", Some(8..24)),
            ("-2 -2 BYTE", Some(8..16)),
            ("5 9 bit", Some(5..10)),
            ("-3 100 BIT", Some(21..24)),
            ("2 1", None),
            ("3 9", None),
            ("-9223372036854775808 9223372036854775807", Some(0..24)),
            ("0 1 NIBBLE", None),
        ] {
            assert_eq!(bits_of(words, 3), expected, "{words}");
        }
        assert_eq!(bits_of("0 -1", 0), None);
    }
}
