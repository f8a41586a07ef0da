//! What a library's function was called with, read as Lua's own libraries read it, and the errors
//! that it raises: with the texts of `luaL_error` and `luaL_argerror`, byte for byte.
//!
//! An error leaves as [`Raised`], whose text already names the place in the script; the script gets
//! it as a string.

use std::fmt;

use super::raise::raising;
use mlua::{Error, Lua, LuaString, MultiValue, Result, Table, Value};

/// The slots of Lua's stack that one function of a library may use (`LUAI_MAXCSTACK`). Redis's
/// libraries end with a stack overflow beyond that, and so do these, though they use few.
pub const STACK_SLOTS_MAX: usize = 8000;

/// The bytes of the largest string that one call makes. A table that holds itself many times over
/// packs to more than any memory; Redis ends with that.
const STRING_BYTES_MAX: usize = 512 << 20;

/// The slots that bringing results to Lua takes beside them.
const RESULT_SLOTS_SPARE: usize = 32;

/// An error for the script: a Lua string with these bytes, which need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised(pub Vec<u8>);

impl fmt::Display for Raised {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::error::Error for Raised {}

/// One call of a library's function. Arguments are counted from one.
pub struct Arguments<'a> {
    lua: &'a Lua,
    values: MultiValue,
}

impl<'a> Arguments<'a> {
    pub fn lua(&self) -> &'a Lua {
        self.lua
    }

    /// How many there are; a nil counts.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// An argument; none where the call has fewer.
    pub fn value(&self, index: usize) -> Option<&Value> {
        self.values.get(index.checked_sub(1)?)
    }

    /// A number, or a string that reads as one (`luaL_checknumber`).
    pub fn number(&self, index: usize) -> Result<f64> {
        let number = match self.value(index) {
            Some(value) => to_number(self.lua, value)?,
            None => None,
        };
        number.ok_or_else(|| self.wrong_type(index, "number"))
    }

    /// A number without its fraction (`luaL_checkinteger`).
    pub fn integer(&self, index: usize) -> Result<i64> {
        self.number(index).map(truncate)
    }

    /// Likewise; `default` where there is none, or a nil (`luaL_optinteger`).
    pub fn integer_or(&self, index: usize, default: i64) -> Result<i64> {
        match self.value(index) {
            None | Some(Value::Nil) => Ok(default),
            Some(_) => self.integer(index),
        }
    }

    /// A string, or the text of a number (`luaL_checklstring`).
    pub fn string(&self, index: usize) -> Result<LuaString> {
        match self.value(index) {
            Some(Value::String(string)) => Ok(string.clone()),
            Some(value @ (Value::Integer(_) | Value::Number(_))) => {
                let string = self.lua.coerce_string(value.clone())?;
                string.ok_or_else(|| self.wrong_type(index, "string"))
            }
            _ => Err(self.wrong_type(index, "string")),
        }
    }

    /// An error at the place of the script that called the function (`luaL_error`).
    pub fn error(&self, text: impl AsRef<[u8]>) -> Error {
        let mut whole = self.position().into_bytes();
        whole.extend_from_slice(text.as_ref());
        Error::external(Raised(whole))
    }

    /// An error about one argument (`luaL_argerror`).
    pub fn bad_argument(&self, index: usize, text: impl AsRef<[u8]>) -> Error {
        let (name, method) = self.called();
        let mut whole = if method && index == 1 {
            format!("calling '{name}' on bad self (")
        } else {
            // The object that a method is called on is no argument of it.
            let index = index as i64 - i64::from(method);
            format!("bad argument #{index} to '{name}' (")
        }
        .into_bytes();
        whole.extend_from_slice(text.as_ref());
        whole.push(b')');
        self.error(whole)
    }

    /// An error about the type of one argument (`luaL_typerror`).
    pub fn wrong_type(&self, index: usize, wanted: &str) -> Error {
        let got = self.value(index).map_or("no value", type_name);
        self.bad_argument(index, format!("{wanted} expected, got {got}"))
    }

    /// Whether this many slots of the stack are free beside those that are in use: an error where
    /// Redis's library would have found none (`luaL_checkstack`).
    pub fn check_stack(&self, used: usize, wanted: usize, text: &str) -> Result<()> {
        if used + wanted > STACK_SLOTS_MAX {
            Err(self.overflow(text))
        } else {
            Ok(())
        }
    }

    /// Whether this many results reach the script: an error like that of
    /// [`Arguments::check_stack`], [`RESULT_SLOTS_SPARE`] earlier than Redis's.
    pub fn check_results(&self, results: usize, text: &str) -> Result<()> {
        self.check_stack(self.count() + results, RESULT_SLOTS_SPARE, text)
    }

    /// The error of [`Arguments::check_stack`].
    pub fn overflow(&self, text: &str) -> Error {
        self.error(format!("stack overflow ({text})"))
    }

    /// "user_script:1: ", or nothing where no line of a script made the call (`luaL_where`).
    fn position(&self) -> String {
        let position = self.lua.inspect_stack(2, |caller| {
            let line = caller.current_line().filter(|&line| line > 0)?;
            let source = caller.source().short_src.unwrap_or_default().into_owned();
            Some(format!("{source}:{line}: "))
        });
        position.flatten().unwrap_or_default()
    }

    /// What the script calls the function, and whether as a method.
    fn called(&self) -> (String, bool) {
        let called = self.lua.inspect_stack(1, |function| {
            let names = function.names();
            let name = names
                .name
                .map_or_else(|| "?".to_owned(), |name| name.into_owned());
            (name, names.name_what == Some("method"))
        });
        called.unwrap_or_else(|| ("?".to_owned(), false))
    }
}

/// Puts a function into a library's table.
pub fn register(
    lua: &Lua,
    library: &Table,
    name: &str,
    function: fn(&Arguments<'_>) -> Result<MultiValue>,
) -> Result<()> {
    let inner = lua.create_function(move |lua, values: MultiValue| {
        match function(&Arguments { lua, values }) {
            Ok(mut results) => {
                results.push_front(Value::Boolean(true));
                Ok(results)
            }
            Err(error) => {
                let Some(Raised(text)) = error.downcast_ref::<Raised>() else {
                    return Err(error);
                };
                let text = Value::String(lua.create_string(text)?);
                Ok(MultiValue::from_iter([Value::Boolean(false), text]))
            }
        }
    })?;
    library.raw_set(name, raising(lua, inner)?)
}

/// Appends to a string that a call makes: an error where it is more than there is to be memory for.
pub fn append(string: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    if string.len() + bytes.len() > STRING_BYTES_MAX {
        return Err(Error::MemoryError("not enough memory".to_owned()));
    }
    string.extend_from_slice(bytes);
    Ok(())
}

/// A number, or what a string reads as; none where a value is no number (`lua_tonumber`).
pub fn to_number(lua: &Lua, value: &Value) -> Result<Option<f64>> {
    match value {
        Value::Integer(integer) => Ok(Some(*integer as f64)),
        Value::Number(number) => Ok(Some(*number)),
        Value::String(_) => lua.coerce_number(value.clone()),
        _ => Ok(None),
    }
}

/// A number without its fraction, as x86-64 converts it: what does not fit, a NaN too, is the least
/// integer.
pub fn truncate(number: f64) -> i64 {
    const BOUND: f64 = (1_u64 << 63) as f64;
    if (-BOUND..BOUND).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// What Lua calls a value's type.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}
