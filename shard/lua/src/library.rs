//! A library of functions: its text, and what it registered when it was loaded.

use crate::script::ScriptFlags;

/// One library.
#[derive(Debug)]
pub struct Library {
    pub name: Vec<u8>,
    /// All of it, the first line too.
    pub code: Box<[u8]>,
    /// In the order in which they were registered.
    pub functions: Vec<Function>,
    /// Differs from that of every other library that was ever loaded: a machine that has loaded
    /// another one of this name loads this one.
    pub generation: u64,
}

/// One function of a library.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: Vec<u8>,
    pub description: Option<Vec<u8>>,
    pub flags: ScriptFlags,
}
