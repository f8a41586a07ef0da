//! The libraries that Redis gives to scripts, each with the very behaviour of Redis's.

#![allow(dead_code, reason = "the sandbox that opens them is to come")]

pub mod arguments;
pub mod bit;
#[allow(unused_imports)]
pub mod cjson;
pub mod cmsgpack;
mod raise;
pub mod structs;

#[cfg(test)]
mod tests;

/// All of them.
pub const ALL: &[crate::sandbox::Library] = &[];

/// The text that a script sees of an error which one of them has raised.
pub fn error_text(error: &mlua::Error) -> Vec<u8> {
    match error {
        mlua::Error::CallbackError { cause, .. } => error_text(cause),
        mlua::Error::RuntimeError(text) | mlua::Error::MemoryError(text) => text.clone().into(),
        other => other.to_string().into(),
    }
}
