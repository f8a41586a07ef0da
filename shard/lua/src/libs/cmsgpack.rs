//! `cmsgpack`: MessagePack. Binary and extension types are not read; strings are written as such.

use mlua::{Error, Lua, MultiValue, Result, Table, Value};

use super::arguments::{Arguments, Raised, STACK_SLOTS_MAX, append, register, truncate};

/// The tables within one another that are packed; those deeper are nils.
const DEPTH_MAX: usize = 16;

const TOO_MANY_VALUES: &str =
    "too many return values at once; use unpack_one or unpack_limit instead.";

/// The library's table.
pub fn open(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    register(lua, &library, "pack", pack)?;
    register(lua, &library, "unpack", |call| {
        unpack(call, call.count(), 0, 0)
    })?;
    register(lua, &library, "unpack_one", |call| {
        let offset = call.integer_or(2, 0)?;
        unpack(call, 1, 1, offset)
    })?;
    register(lua, &library, "unpack_limit", |call| {
        let limit = call.integer(2)?;
        let offset = call.integer_or(3, 0)?;
        unpack(call, 1, limit, offset)
    })?;
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(library)
}

/// `pack(values...)`: their bytes, one after the other.
fn pack(call: &Arguments<'_>) -> Result<MultiValue> {
    let count = call.count();
    if count == 0 {
        return Err(call.bad_argument(0, "MessagePack pack needs input."));
    }
    // Redis holds each argument and its packed bytes.
    if 2 * count > STACK_SLOTS_MAX {
        return Err(call.bad_argument(0, "Too many arguments for MessagePack pack."));
    }
    let mut packer = Packer { packed: Vec::new() };
    for index in 1..=count {
        packer.value(call.value(index).unwrap_or(&Value::Nil), 0)?;
    }
    let packed = call.lua().create_string(&packer.packed)?;
    Ok(MultiValue::from_iter([Value::String(packed)]))
}

/// What packs values.
struct Packer {
    packed: Vec<u8>,
}

impl Packer {
    fn put(&mut self, head: u8, bytes: &[u8]) -> Result<()> {
        self.packed.push(head);
        append(&mut self.packed, bytes)
    }

    /// A value; functions and the like are nils.
    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        match value {
            Value::String(string) => self.string(&string.as_bytes()),
            Value::Boolean(boolean) => self.put(if *boolean { 0xc3 } else { 0xc2 }, &[]),
            Value::Integer(integer) => self.integer(*integer),
            Value::Number(number) => self.number(*number),
            Value::Table(table) if depth < DEPTH_MAX => self.table(table, depth),
            _ => self.put(0xc0, &[]),
        }
    }

    fn string(&mut self, string: &[u8]) -> Result<()> {
        let length = string.len();
        if length < 32 {
            self.put(0xa0 | length as u8, &[])?;
        } else if let Ok(length) = u8::try_from(length) {
            self.put(0xd9, &[length])?;
        } else if let Ok(length) = u16::try_from(length) {
            self.put(0xda, &length.to_be_bytes())?;
        } else {
            self.put(0xdb, &(length as u32).to_be_bytes())?;
        }
        append(&mut self.packed, string)
    }

    /// The shortest form; unsigned ones where it is not negative.
    fn integer(&mut self, integer: i64) -> Result<()> {
        match integer {
            -32..=127 => self.put(integer as u8, &[]),
            128..=0xff => self.put(0xcc, &[integer as u8]),
            0x100..=0xffff => self.put(0xcd, &(integer as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.put(0xce, &(integer as u32).to_be_bytes()),
            0x1_0000_0000.. => self.put(0xcf, &integer.to_be_bytes()),
            -0x80.. => self.put(0xd0, &[integer as u8]),
            -0x8000.. => self.put(0xd1, &(integer as i16).to_be_bytes()),
            -0x8000_0000.. => self.put(0xd2, &(integer as i32).to_be_bytes()),
            _ => self.put(0xd3, &integer.to_be_bytes()),
        }
    }

    /// An integer where it is one, or else the shorter of the floats that hold it.
    fn number(&mut self, number: f64) -> Result<()> {
        let integer = truncate(number);
        if integer as f64 == number {
            return self.integer(integer);
        }
        let short = number as f32;
        if f64::from(short) == number {
            self.put(0xca, &short.to_be_bytes())
        } else {
            self.put(0xcb, &number.to_be_bytes())
        }
    }

    /// A table: an array where its keys are 1, 2 and so on without a hole, or else a map.
    fn table(&mut self, table: &Table, depth: usize) -> Result<()> {
        let mut count = 0_usize;
        let mut largest = 0_i32;
        let mut array = true;
        table.for_each(|key: Value, _: bool| {
            count += 1;
            match array_index(&key) {
                Some(index) => largest = largest.max(index),
                None => array = false,
            }
            Ok(())
        })?;
        if array && largest as usize == count {
            let length = table.raw_len();
            self.length(length, [0x90, 0xdc, 0xdd])?;
            for index in 1..=length {
                let element: Value = table.get(index as f64)?;
                self.value(&element, depth + 1)?;
            }
            Ok(())
        } else {
            self.length(count, [0x80, 0xde, 0xdf])?;
            table.for_each(|key: Value, value: Value| {
                self.value(&key, depth + 1)?;
                self.value(&value, depth + 1)
            })
        }
    }

    /// The head of an array or map, in its three forms.
    fn length(&mut self, length: usize, [fix, short, long]: [u8; 3]) -> Result<()> {
        if length < 16 {
            self.put(fix | length as u8, &[])
        } else if let Ok(length) = u16::try_from(length) {
            self.put(short, &length.to_be_bytes())
        } else {
            self.put(long, &(length as u32).to_be_bytes())
        }
    }
}

/// The place in an array that a key stands for.
fn array_index(key: &Value) -> Option<i32> {
    match key {
        Value::Integer(index) => i32::try_from(*index).ok().filter(|&index| index > 0),
        _ => None,
    }
}

/// The values from an offset on. Where `limit` and `offset` are zero it is all of them; or else at
/// most `limit`, after the offset of the next, which is -1 at the end.
fn unpack(call: &Arguments<'_>, slots: usize, limit: i64, offset: i64) -> Result<MultiValue> {
    match unpack_values(call, slots, limit, offset) {
        // Values that are held take references, of which there are as many as slots in Redis.
        Err(Error::StackError) => Err(call.overflow(TOO_MANY_VALUES)),
        other => other,
    }
}

fn unpack_values(
    call: &Arguments<'_>,
    slots: usize,
    limit: i64,
    offset: i64,
) -> Result<MultiValue> {
    let input = call.string(1)?;
    let input = input.as_bytes();
    if offset < 0 || limit < 0 {
        // What Redis calls the limit here is the length.
        return Err(call.error(format!(
            "Invalid request to unpack with offset of {} and limit of {}.",
            offset as i32,
            input.len() as i32
        )));
    }
    let Some(rest) = usize::try_from(offset)
        .ok()
        .and_then(|offset| input.get(offset..))
    else {
        return Err(call.error(format!(
            "Start offset {} greater than input length {}.",
            offset as i32,
            input.len() as i32
        )));
    };
    let all = limit == 0 && offset == 0;
    let limit = if all { i32::MAX.into() } else { limit };
    let mut unpacker = Unpacker { call, rest };
    let mut values = Vec::new();
    while !unpacker.rest.is_empty() && (values.len() as i64) < limit {
        let value = unpacker.value(slots + values.len())?;
        values.push(value);
    }
    if !all {
        call.check_stack(slots + values.len(), 1, "in function mp_unpack_full")?;
        let left = unpacker.rest.len();
        let next = if left == 0 {
            -1
        } else {
            (input.len() - left) as i64
        };
        values.insert(0, Value::Integer(next));
    }
    call.check_results(values.len(), TOO_MANY_VALUES)?;
    Ok(MultiValue::from_vec(values))
}

/// What unpacks values. It keeps tables that are not whole in a list instead of recursing: input
/// nests as deep as it likes.
struct Unpacker<'a> {
    call: &'a Arguments<'a>,
    rest: &'a [u8],
}

/// A value as far as it can be read at once.
enum Head {
    /// All of it.
    Whole(Value),
    /// An array of so many elements, which follow.
    Array(usize),
    /// A map of so many pairs, which follow.
    Map(usize),
}

/// A table that is being filled.
struct Open {
    table: Table,
    /// Elements or pairs to come.
    left: usize,
    state: Filling,
}

enum Filling {
    /// An array; the next goes here.
    Array(i64),
    /// A map; a key comes next.
    Key,
    /// A map; the value of this key comes next.
    Value(Value),
}

impl Open {
    /// Slots of Lua's stack that Redis holds for it: the table and the key.
    fn slots(&self) -> usize {
        if matches!(self.state, Filling::Key) {
            1
        } else {
            2
        }
    }
}

impl Unpacker<'_> {
    /// The next value, while so many slots of the stack are in use.
    fn value(&mut self, mut slots: usize) -> Result<Value> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let (left, state, text) = match self.head(slots)? {
                Head::Whole(value) => {
                    match self.fill(&mut open, value, &mut slots)? {
                        Some(whole) => return Ok(whole),
                        None => continue,
                    };
                }
                Head::Array(length) => (
                    length,
                    Filling::Array(1),
                    "in function mp_decode_to_lua_array",
                ),
                Head::Map(length) => (length, Filling::Key, TOO_MANY_VALUES),
            };
            let table = self.call.lua().create_table()?;
            self.call.check_stack(slots + 1, 1, text)?;
            if left > 0 {
                let table = Open { table, left, state };
                slots += table.slots();
                open.push(table);
            } else if let Some(whole) = self.fill(&mut open, Value::Table(table), &mut slots)? {
                return Ok(whole);
            }
        }
    }

    /// Puts a value into the table that waits for it, and each table that is full into the next.
    /// Returns what nothing waits for.
    fn fill(
        &self,
        open: &mut Vec<Open>,
        mut value: Value,
        slots: &mut usize,
    ) -> Result<Option<Value>> {
        loop {
            let Some(last) = open.last_mut() else {
                return Ok(Some(value));
            };
            *slots -= last.slots();
            match std::mem::replace(&mut last.state, Filling::Key) {
                Filling::Array(index) => {
                    last.table.raw_set(index, value)?;
                    last.state = Filling::Array(index + 1);
                    last.left -= 1;
                }
                Filling::Key => last.state = Filling::Value(value),
                Filling::Value(key) => {
                    check_key(&key)?;
                    last.table.raw_set(key, value)?;
                    last.left -= 1;
                }
            }
            if last.left > 0 {
                *slots += last.slots();
                return Ok(None);
            }
            let Some(full) = open.pop() else {
                return Ok(None);
            };
            value = Value::Table(full.table);
        }
    }

    /// Reads a value up to where tables begin.
    fn head(&mut self, slots: usize) -> Result<Head> {
        let &first = self.rest.first().ok_or_else(|| self.missing())?;
        self.call.check_stack(slots, 1, TOO_MANY_VALUES)?;
        self.rest = &self.rest[1..];
        let value = match first {
            0..=0x7f => Value::Integer(first.into()),
            0x80..=0x8f => return Ok(Head::Map((first & 0x0f).into())),
            0x90..=0x9f => return Ok(Head::Array((first & 0x0f).into())),
            0xa0..=0xbf => self.string((first & 0x1f).into())?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f32::from_be_bytes(self.take()?).into()),
            0xcb => Value::Number(f64::from_be_bytes(self.take()?)),
            0xcc => Value::Integer(u8::from_be_bytes(self.take()?).into()),
            0xcd => Value::Integer(u16::from_be_bytes(self.take()?).into()),
            0xce => Value::Integer(u32::from_be_bytes(self.take()?).into()),
            // Unsigned ones of eight bytes are read as signed.
            0xcf | 0xd3 => Value::Integer(i64::from_be_bytes(self.take()?)),
            0xd0 => Value::Integer(i8::from_be_bytes(self.take()?).into()),
            0xd1 => Value::Integer(i16::from_be_bytes(self.take()?).into()),
            0xd2 => Value::Integer(i32::from_be_bytes(self.take()?).into()),
            0xd9 => {
                let length = u8::from_be_bytes(self.take()?);
                self.string(length.into())?
            }
            0xda => {
                let length = u16::from_be_bytes(self.take()?);
                self.string(length.into())?
            }
            0xdb => {
                let length = u32::from_be_bytes(self.take()?);
                self.string(length as usize)?
            }
            0xdc => return Ok(Head::Array(u16::from_be_bytes(self.take()?).into())),
            0xdd => return Ok(Head::Array(u32::from_be_bytes(self.take()?) as usize)),
            0xde => return Ok(Head::Map(u16::from_be_bytes(self.take()?).into())),
            0xdf => return Ok(Head::Map(u32::from_be_bytes(self.take()?) as usize)),
            0xe0.. => Value::Integer(first.cast_signed().into()),
            0xc1 | 0xc4..=0xc9 | 0xd4..=0xd8 => {
                return Err(self.call.error("Bad data format in input."));
            }
        };
        Ok(Head::Whole(value))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| self.missing())?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn string(&mut self, length: usize) -> Result<Value> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.missing())?;
        self.rest = rest;
        self.call.lua().create_string(bytes).map(Value::String)
    }

    fn missing(&self) -> Error {
        self.call.error("Missing bytes in input.")
    }
}

/// Whether a value can be a key. Lua's own error, which names no place.
fn check_key(key: &Value) -> Result<()> {
    let text = match key {
        Value::Nil => "table index is nil",
        Value::Number(number) if number.is_nan() => "table index is NaN",
        _ => return Ok(()),
    };
    Err(Error::external(Raised(text.into())))
}
