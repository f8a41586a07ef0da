//! `struct`: packs values into the bytes of C structures, and unpacks them.
//!
//! A format is a string of options:
//!
//! ```text
//! >  big endian         b B  char, signed and not      d   double
//! <  little endian      h H  short                     x   a zero byte
//! !n aligned to n       l L  long                      s   a string that a zero ends
//!    (a space: nothing) T    size_t                    cn  n bytes; c0: as the number before says
//!                       in In an integer of n bytes    f   float
//! ```

use mlua::{Lua, MultiValue, Result, Table, Value};

use super::arguments::{Arguments, append, register, to_number, truncate};

/// The most bytes of an integer.
const INTEGER_SIZE_MAX: usize = 32;
/// The alignment of `!` alone.
const ALIGNMENT_MAX: usize = 8;

const TOO_MANY_RESULTS: &str = "too many results";

/// The library's table.
pub fn open(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    register(lua, &library, "pack", pack)?;
    register(lua, &library, "unpack", unpack)?;
    register(lua, &library, "size", size)?;
    Ok(library)
}

/// A format that is read from left to right.
struct Format<'a> {
    call: &'a Arguments<'a>,
    rest: &'a [u8],
    big_endian: bool,
    alignment: usize,
}

/// An option, with the size that it has in itself; none of its own for control options.
struct Item {
    option: u8,
    size: usize,
}

impl<'a> Format<'a> {
    /// A format ends at its first zero byte, as a string in C.
    fn new(call: &'a Arguments<'a>, text: &'a [u8]) -> Self {
        let rest = text.split(|&byte| byte == 0).next().unwrap_or_default();
        Self {
            call,
            rest,
            big_endian: cfg!(target_endian = "big"),
            alignment: 1,
        }
    }

    /// The next option. What it means for those after it is for [`Format::control`].
    fn next(&mut self) -> Result<Option<Item>> {
        let Some((&option, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_SIZE_MAX {
                    return Err(self.call.error(format!(
                        "integral size {size} is larger than limit of {INTEGER_SIZE_MAX}"
                    )));
                }
                size
            }
            _ => 0,
        };
        Ok(Some(Item { option, size }))
    }

    /// The number that follows an option.
    fn number(&mut self, default: usize) -> Result<usize> {
        let mut number = None;
        while let Some((&digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            let longer = number.unwrap_or(0) * 10 + usize::from(digit - b'0');
            if longer > i32::MAX as usize {
                return Err(self.call.error("integral size overflow"));
            }
            number = Some(longer);
            self.rest = rest;
        }
        Ok(number.unwrap_or(default))
    }

    /// Zero bytes before an item at this position.
    fn padding(&self, position: usize, item: &Item) -> usize {
        if item.size == 0 || item.option == b'c' {
            return 0;
        }
        // Sizes that are no powers of two go through the same arithmetic as in Redis.
        let size = item.size.min(self.alignment);
        (size - (position & (size - 1))) & (size - 1)
    }

    /// Applies an option that holds no value; an error where there is none of that name.
    fn control(&mut self, option: u8) -> Result<()> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT_MAX)?;
                if !alignment.is_power_of_two() {
                    let text = format!("alignment {alignment} is not a power of 2");
                    return Err(self.call.error(text));
                }
                self.alignment = alignment;
            }
            _ => {
                let text = [b"invalid format option '", &[option][..], b"'"].concat();
                return Err(self.call.bad_argument(1, text));
            }
        }
        Ok(())
    }

    /// Bytes of the machine's order in the format's, or the other way round.
    fn order<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if self.big_endian != cfg!(target_endian = "big") {
            bytes.reverse();
        }
        bytes
    }
}

/// `pack(format, values...)`.
fn pack(call: &Arguments<'_>) -> Result<MultiValue> {
    let text = call.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(call, &text);
    let mut packed = Vec::new();
    let mut index = 2;
    while let Some(item) = format.next()? {
        packed.resize(packed.len() + format.padding(packed.len(), &item), 0);
        match item.option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = packed_number(call, index)?;
                put_integer(&mut packed, number, &item, format.big_endian);
                index += 1;
            }
            b'x' => packed.push(0),
            b'f' => {
                let number = packed_number(call, index)? as f32;
                packed.extend(format.order(number.to_ne_bytes()));
                index += 1;
            }
            b'd' => {
                let number = packed_number(call, index)?;
                packed.extend(format.order(number.to_ne_bytes()));
                index += 1;
            }
            b'c' | b's' => {
                if index > call.count() {
                    return Err(missing(call, index, "string"));
                }
                let string = call.string(index)?;
                index += 1;
                let string = string.as_bytes();
                let size = if item.size == 0 {
                    string.len()
                } else {
                    item.size
                };
                let Some(string) = string.get(..size) else {
                    // The argument after the one that is too short: Redis counts so.
                    return Err(call.bad_argument(index, "string too short"));
                };
                append(&mut packed, string)?;
                if item.option == b's' {
                    packed.push(0);
                }
            }
            option => format.control(option)?,
        }
    }
    let packed = call.lua().create_string(&packed)?;
    Ok(MultiValue::from_iter([Value::String(packed)]))
}

fn packed_number(call: &Arguments<'_>, index: usize) -> Result<f64> {
    if index > call.count() {
        return Err(missing(call, index, "number"));
    }
    call.number(index)
}

/// The error about an argument that `pack` was not given. Redis finds a nil of its own there.
fn missing(call: &Arguments<'_>, index: usize, wanted: &str) -> mlua::Error {
    call.bad_argument(index, format!("{wanted} expected, got nil"))
}

/// Appends the low bytes of an integer; those beyond its eight are zeros, even of a negative one.
fn put_integer(packed: &mut Vec<u8>, number: f64, item: &Item, big_endian: bool) {
    let mut bytes = [0; INTEGER_SIZE_MAX];
    bytes[..8].copy_from_slice(&unsigned(number).to_le_bytes());
    let bytes = &mut bytes[..item.size];
    if big_endian {
        bytes.reverse();
    }
    packed.extend_from_slice(bytes);
}

/// The 64 bits of a number without its fraction, as x86-64 converts it to an unsigned integer.
fn unsigned(number: f64) -> u64 {
    const HALF: f64 = (1_u64 << 63) as f64;
    if number >= HALF {
        truncate(number - HALF).cast_unsigned() ^ (1 << 63)
    } else {
        truncate(number).cast_unsigned()
    }
}

/// `unpack(format, data [, position])`: the values, and the position after them.
fn unpack(call: &Arguments<'_>) -> Result<MultiValue> {
    match unpack_values(call) {
        // Values that are held take references, of which there are as many as slots in Redis.
        Err(mlua::Error::StackError) => Err(call.overflow(TOO_MANY_RESULTS)),
        other => other,
    }
}

fn unpack_values(call: &Arguments<'_>) -> Result<MultiValue> {
    let text = call.string(1)?;
    let text = text.as_bytes();
    let data = call.string(2)?;
    let data = data.as_bytes();
    // Negative positions are large ones, which lie behind the end.
    let mut position = call.integer_or(3, 1)?.cast_unsigned() as usize;
    if position == 0 {
        return Err(call.bad_argument(3, "offset must be 1 or greater"));
    }
    position -= 1;
    let mut format = Format::new(call, &text);
    let mut values = Vec::new();
    while let Some(mut item) = format.next()? {
        position = position.wrapping_add(format.padding(position, &item));
        let mut rest = tail(call, &data, position, item.size)?;
        call.check_stack(call.count() + values.len(), 2, TOO_MANY_RESULTS)?;
        match item.option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = item.option.is_ascii_lowercase();
                let number = get_integer(&rest[..item.size], format.big_endian, signed);
                values.push(Value::Number(number));
            }
            b'x' => {}
            b'f' => {
                let bytes = format.order(*rest.first_chunk().expect("four bytes"));
                values.push(Value::Number(f32::from_ne_bytes(bytes).into()));
            }
            b'd' => {
                let bytes = format.order(*rest.first_chunk().expect("eight bytes"));
                values.push(Value::Number(f64::from_ne_bytes(bytes)));
            }
            b'c' => {
                if item.size == 0 {
                    item.size = size_before(call, &mut values)?;
                    rest = tail(call, &data, position, item.size)?;
                }
                values.push(Value::String(call.lua().create_string(&rest[..item.size])?));
            }
            b's' => {
                let Some(end) = rest.iter().position(|&byte| byte == 0) else {
                    return Err(call.error("unfinished string in data"));
                };
                values.push(Value::String(call.lua().create_string(&rest[..end])?));
                item.size = end + 1;
            }
            option => format.control(option)?,
        }
        position = position.wrapping_add(item.size);
    }
    values.push(Value::Integer(position.wrapping_add(1).cast_signed() as i64));
    call.check_results(values.len(), TOO_MANY_RESULTS)?;
    Ok(MultiValue::from_vec(values))
}

/// The data from a position on, at least `size` bytes of it.
fn tail<'d>(
    call: &Arguments<'_>,
    data: &'d [u8],
    position: usize,
    size: usize,
) -> Result<&'d [u8]> {
    let rest = data.get(position..).filter(|rest| rest.len() >= size);
    rest.ok_or_else(|| call.bad_argument(2, "data string too short"))
}

/// The size of a `c0`: the value before it, which is no result then.
fn size_before(call: &Arguments<'_>, values: &mut Vec<Value>) -> Result<usize> {
    let size = match values.last() {
        Some(value) => to_number(call.lua(), value)?,
        None => None,
    };
    let size = size.ok_or_else(|| call.error("format 'c0' needs a previous size"))?;
    values.pop();
    Ok(unsigned(size) as usize)
}

/// An integer of so many bytes. Those beyond the eighth from the low end are left out.
fn get_integer(bytes: &[u8], big_endian: bool, signed: bool) -> f64 {
    let append = |value: u64, &byte: &u8| (value << 8) | u64::from(byte);
    let value = if big_endian {
        bytes.iter().fold(0, append)
    } else {
        bytes.iter().rev().fold(0, append)
    };
    if !signed {
        return value as f64;
    }
    // Of more than eight bytes, x86-64 takes the sign's place modulo 64, and so does this.
    let place = (bytes.len() as u32).wrapping_mul(8).wrapping_sub(1);
    let mask = u64::MAX.wrapping_shl(place);
    let value = if value & mask == 0 {
        value
    } else {
        value | mask
    };
    value.cast_signed() as f64
}

/// `size(format)`: how many bytes it packs to.
fn size(call: &Arguments<'_>) -> Result<MultiValue> {
    let text = call.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(call, &text);
    let mut position = 0_usize;
    while let Some(item) = format.next()? {
        position += format.padding(position, &item);
        match item.option {
            b's' => return Err(call.bad_argument(1, "option 's' has no fixed size")),
            b'c' if item.size == 0 => {
                return Err(call.bad_argument(1, "option 'c0' has no fixed size"));
            }
            // Redis takes any letter and digit here, and holds those that are no options for empty.
            option if option.is_ascii_alphanumeric() => {}
            option => format.control(option)?,
        }
        position += item.size;
    }
    Ok(MultiValue::from_iter([Value::Number(position as f64)]))
}
