//! The libraries that Redis gives to scripts, each with the very behaviour of Redis's.

mod arguments;
mod bit;
mod cjson;
mod cmsgpack;
mod raise;
mod structs;

#[cfg(test)]
mod tests;

use crate::sandbox::Library;

/// All of them, in the order in which Redis opens them.
pub const ALL: &[Library] = &[
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
