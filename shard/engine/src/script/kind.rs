//! The six commands that run a script, by what their first argument is and what they may do.

/// What the first argument names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// It is the script.
    Text,
    /// A known script, by its SHA1.
    Sha,
    /// A function of a library.
    Function,
}

/// What a command runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptKind {
    pub source: Source,
    /// It may only read: EVAL_RO and its kind.
    pub reads_only: bool,
}

const fn kind(source: Source, reads_only: bool) -> ScriptKind {
    ScriptKind { source, reads_only }
}

/// `EVAL script numkeys [key ...] [arg ...]`: what the script returns; an error where it fails.
pub const EVAL: ScriptKind = kind(Source::Text, false);

/// `EVAL_RO script numkeys [key ...] [arg ...]`: like EVAL, and its writes are refused.
pub const EVAL_RO: ScriptKind = kind(Source::Text, true);

/// `EVALSHA sha1 numkeys [key ...] [arg ...]`: what the known script returns; NOSCRIPT where it is
/// not known.
pub const EVALSHA: ScriptKind = kind(Source::Sha, false);

/// `EVALSHA_RO sha1 numkeys [key ...] [arg ...]`: like EVALSHA, and its writes are refused.
pub const EVALSHA_RO: ScriptKind = kind(Source::Sha, true);

/// `FCALL function numkeys [key ...] [arg ...]`: what the function returns; an error where there is
/// none of this name.
pub const FCALL: ScriptKind = kind(Source::Function, false);

/// `FCALL_RO function numkeys [key ...] [arg ...]`: like FCALL, and its writes are refused.
pub const FCALL_RO: ScriptKind = kind(Source::Function, true);
