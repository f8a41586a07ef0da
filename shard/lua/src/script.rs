//! A script's text, and what its first line says of it.

use std::sync::Arc;

/// The 40 hexadecimal digits of a script's SHA1, in small letters.
pub type Sha = [u8; 40];

/// What the line `#!lua flags=...` allows or forbids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags {
    /// It has such a line. A script without one is in compatibility mode: what it may do is
    /// decided command by command.
    pub declared: bool,
    /// `no-writes`
    pub no_writes: bool,
    /// `allow-oom`
    pub allow_oom: bool,
    /// `allow-stale`
    pub allow_stale: bool,
    /// `no-cluster`
    pub no_cluster: bool,
    /// `allow-cross-slot-keys`
    pub allow_cross_slot_keys: bool,
}

/// A script as EVAL and SCRIPT LOAD have it.
#[derive(Debug)]
pub struct Script {
    pub sha: Sha,
    /// All of it, the first line too.
    pub source: Box<[u8]>,
    pub flags: ScriptFlags,
}

impl Script {
    /// Reads a script's first line. The error is a whole one, with its code: an unknown engine or
    /// flag, no line end.
    pub fn parse(_source: &[u8]) -> Result<Arc<Script>, Vec<u8>> {
        todo!()
    }
}

/// The SHA1 of a script.
pub fn sha_of(_source: &[u8]) -> Sha {
    todo!()
}
