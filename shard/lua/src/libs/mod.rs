//! The libraries that Redis gives to scripts, each with the very behaviour of Redis's.

use crate::sandbox::Library;

/// All of them.
pub const ALL: &[Library] = &[];

/// The text that a script sees of an error which one of them has raised.
pub fn error_text(error: &mlua::Error) -> Vec<u8> {
    match error {
        mlua::Error::CallbackError { cause, .. } => error_text(cause),
        mlua::Error::RuntimeError(text) | mlua::Error::MemoryError(text) => text.clone().into(),
        other => other.to_string().into(),
    }
}
