//! The libraries that Redis gives to scripts, each with the very behaviour of Redis's.

mod arguments;
mod bit;
mod cjson;
mod cmsgpack;
mod raise;
mod structs;

#[cfg(test)]
mod tests;

use std::ffi::CStr;

use mlua::{Lua, Table};

/// A library's name in scripts, and what makes its table.
pub type Opener = (&'static CStr, fn(&Lua) -> mlua::Result<Table>);

/// All of them, in the order in which Redis opens them.
pub const ALL: &[Opener] = &[
    (c"cjson", cjson::open),
    (c"struct", structs::open),
    (c"cmsgpack", cmsgpack::open),
    (c"bit", bit::open),
];

/// The text that a script sees of an error which one of them has raised.
pub fn error_text(error: &mlua::Error) -> Vec<u8> {
    match error {
        mlua::Error::CallbackError { cause, .. } => error_text(cause),
        mlua::Error::RuntimeError(text) | mlua::Error::MemoryError(text) => text.clone().into(),
        other => other.to_string().into(),
    }
}
