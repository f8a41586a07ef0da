//! A Lua value to JSON.

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use mlua::ffi;

use super::stack::{Job, Stack};
use super::{Fault, INVALID_AS_IS, INVALID_AS_NULL, INVALID_ERROR, Settings, number};

/// The most bytes that a JSON text may take: as many as a string of Redis. Lua does not count them
/// before they are a string of its own.
pub const OUTPUT_MAX: usize = 512 << 20;
/// The most bytes that are kept for the next call.
const SPARE_MAX: usize = 64 << 10;

/// Slots of Lua's stack that a table takes: its key, its value, and one to walk on.
const TABLE_SLOTS: c_int = 3;

/// A table that is being written. Its next value follows those of the tables within it.
#[derive(Debug)]
enum Level {
    Array { written: c_int, length: c_int },
    Object,
}

/// What one call writes into.
#[derive(Default)]
struct Buffers {
    json: Vec<u8>,
    levels: Vec<Level>,
}

thread_local! {
    /// Those of the last call, empty: most need no new memory.
    static SPARE: Cell<Option<Buffers>> = const { Cell::new(None) };
}

/// Writes one value.
pub struct Encoder {
    settings: Settings,
    json: Vec<u8>,
    /// The tables that are being written, the innermost last.
    levels: Vec<Level>,
}

impl Encoder {
    pub fn new(settings: Settings) -> Self {
        let Buffers { json, levels } = SPARE.take().unwrap_or_default();
        Encoder {
            settings,
            json,
            levels,
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let mut json = std::mem::take(&mut self.json);
        let mut levels = std::mem::take(&mut self.levels);
        if json.capacity() <= SPARE_MAX && levels.capacity() <= SPARE_MAX / size_of::<Level>() {
            json.clear();
            levels.clear();
            SPARE.set(Some(Buffers { json, levels }));
        }
    }
}

impl Job for Encoder {
    fn run(&mut self, stack: &mut Stack) -> Result<(), Fault> {
        loop {
            self.begin(stack)?;
            if !self.advance(stack)? {
                break;
            }
        }
        stack.push_text(&self.json);
        Ok(())
    }
}

impl Encoder {
    /// Writes the value on top of the stack, or the beginning of the table there.
    fn begin(&mut self, stack: &mut Stack) -> Result<(), Fault> {
        let kind = stack.kind();
        match kind {
            ffi::LUA_TSTRING => append_string(&mut self.json, stack.text()),
            ffi::LUA_TNUMBER => self.append_number(stack.number())?,
            ffi::LUA_TBOOLEAN if stack.boolean() => self.json.extend_from_slice(b"true"),
            ffi::LUA_TBOOLEAN => self.json.extend_from_slice(b"false"),
            ffi::LUA_TNIL => self.json.extend_from_slice(b"null"),
            ffi::LUA_TLIGHTUSERDATA if stack.is_null_pointer() => {
                self.json.extend_from_slice(b"null");
            }
            ffi::LUA_TTABLE => self.begin_table(stack)?,
            _ => return Err(cannot(kind, c"type not supported")),
        }
        Ok(())
    }

    fn begin_table(&mut self, stack: &mut Stack) -> Result<(), Fault> {
        let depth = self.levels.len() + 1;
        if depth > self.settings.encode_max_depth as usize || !stack.room(TABLE_SLOTS) {
            return Err(Fault::TooDeep { depth });
        }
        match self.array_length(stack)? {
            Some(length) => {
                self.json.push(b'[');
                let written = 0;
                self.levels.push(Level::Array { written, length });
            }
            None => {
                self.json.push(b'{');
                self.levels.push(Level::Object);
            }
        }
        // What `advance` takes for the value before the first.
        stack.push_nil();
        Ok(())
    }

    /// Leaves what has been written, ends the tables that end with it, and puts the value that
    /// follows on top of the stack, with its key written. Whether there is one.
    fn advance(&mut self, stack: &mut Stack) -> Result<bool, Fault> {
        if self.json.len() > OUTPUT_MAX {
            return Err(Fault::TooLong);
        }
        while let Some(level) = self.levels.last_mut() {
            // No value ends with an opening bracket: a string ends with its quote.
            let is_first = matches!(self.json.last(), Some(b'[' | b'{'));
            match level {
                Level::Array { written, length } => {
                    stack.pop(1);
                    if *written < *length {
                        *written += 1;
                        stack.push_item(*written);
                        if !is_first {
                            self.json.push(b',');
                        }
                        return Ok(true);
                    }
                    self.json.push(b']');
                }
                Level::Object => {
                    // Only the first value, which is none, has no key below it.
                    if !is_first {
                        stack.pop(1);
                    }
                    if stack.next() {
                        if !is_first {
                            self.json.push(b',');
                        }
                        self.append_key(stack)?;
                        return Ok(true);
                    }
                    self.json.push(b'}');
                }
            }
            self.levels.pop();
        }
        Ok(false)
    }

    fn append_key(&mut self, stack: &Stack) -> Result<(), Fault> {
        match stack.key_kind() {
            ffi::LUA_TSTRING => append_string(&mut self.json, stack.key_text()),
            ffi::LUA_TNUMBER => {
                self.json.push(b'"');
                self.append_number(stack.key_number())?;
                self.json.push(b'"');
            }
            kind => return Err(cannot(kind, c"table key must be a number or string")),
        }
        self.json.push(b':');
        Ok(())
    }

    fn append_number(&mut self, value: f64) -> Result<(), Fault> {
        if !value.is_finite() {
            match self.settings.encode_invalid_numbers {
                INVALID_ERROR => {
                    return Err(cannot(ffi::LUA_TNUMBER, c"must not be NaN or Inf"));
                }
                // Without its sign.
                INVALID_AS_IS if value.is_nan() => self.json.extend_from_slice(b"nan"),
                INVALID_AS_IS if value > 0.0 => self.json.extend_from_slice(b"inf"),
                INVALID_AS_IS => self.json.extend_from_slice(b"-inf"),
                INVALID_AS_NULL.. => self.json.extend_from_slice(b"null"),
                _ => unreachable!("a setting is one of three"),
            }
            return Ok(());
        }
        let precision = self.settings.encode_number_precision as usize;
        number::append_general(&mut self.json, value, precision);
        Ok(())
    }

    /// How many slots the table on top has as an array, or none where it is an object: it is empty,
    /// or a key is no positive whole number, or it is too sparse.
    ///
    /// The arithmetic is C's with `int`, up to what becomes of keys beyond it.
    fn array_length(&self, stack: &mut Stack) -> Result<Option<c_int>, Fault> {
        let mut max: c_int = 0;
        let mut values: c_int = 0;
        stack.push_nil();
        while stack.next() {
            if stack.key_kind() != ffi::LUA_TNUMBER {
                stack.pop(2);
                return Ok(None);
            }
            let key = stack.key_number();
            if key < 1.0 || key.floor() != key {
                stack.pop(2);
                return Ok(None);
            }
            if key > f64::from(max) {
                max = truncate(key);
            }
            values = values.wrapping_add(1);
            stack.pop(1);
        }
        let ratio = self.settings.sparse_ratio;
        let is_sparse =
            ratio > 0 && max > values.wrapping_mul(ratio) && max > self.settings.sparse_safe;
        if is_sparse {
            if self.settings.sparse_convert == 0 {
                return Err(cannot(ffi::LUA_TTABLE, c"excessively sparse array"));
            }
            return Ok(None);
        }
        Ok((max > 0).then_some(max))
    }
}

fn cannot(kind: c_int, reason: &'static CStr) -> Fault {
    Fault::Serialise { kind, reason }
}

/// A double as C's `int`, on the processors that Redis runs on: what does not fit is the least one.
fn truncate(value: f64) -> c_int {
    if value > f64::from(c_int::MAX) {
        c_int::MIN
    } else {
        value as c_int
    }
}

/// How each byte stands in a string: as it is (0), as a code (1), or as this letter behind a
/// backslash.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        escapes[control] = 1;
        control += 1;
    }
    escapes[0x7f] = 1;
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'/' as usize] = b'/';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Appends a text in quotes. Bytes beyond ASCII stand as they are, UTF-8 or not.
fn append_string(json: &mut Vec<u8>, text: &[u8]) {
    json.reserve(text.len() + 2);
    json.push(b'"');
    let mut rest = text;
    while let Some(plain) = rest
        .iter()
        .position(|&byte| ESCAPES[usize::from(byte)] != 0)
    {
        let byte = rest[plain];
        json.extend_from_slice(&rest[..plain]);
        match ESCAPES[usize::from(byte)] {
            1 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                json.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            letter => json.extend_from_slice(&[b'\\', letter]),
        }
        rest = &rest[plain + 1..];
    }
    json.extend_from_slice(rest);
    json.push(b'"');
}
