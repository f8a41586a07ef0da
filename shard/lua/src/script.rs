//! A script's text, and what its first line says of it.

use std::sync::Arc;

use protocol::args::{Args, Span};
use protocol::inline;
use sha1::{Digest, Sha1};

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

impl ScriptFlags {
    /// Whether it says that it may need more memory: what does not write needs none.
    pub fn takes_memory(self) -> bool {
        self.declared && !self.allow_oom && !self.no_writes
    }

    /// Sets the flag of this name; false where there is none.
    fn set(&mut self, name: &[u8]) -> bool {
        self.set_where(|flag| flag == name)
    }

    /// Likewise, with letters small or large.
    pub(crate) fn set_any_case(&mut self, name: &[u8]) -> bool {
        self.set_where(|flag| flag.eq_ignore_ascii_case(name))
    }

    fn set_where(&mut self, is_meant: impl Fn(&[u8]) -> bool) -> bool {
        let flags: [(&[u8], &mut bool); 5] = [
            (b"no-writes", &mut self.no_writes),
            (b"allow-oom", &mut self.allow_oom),
            (b"allow-stale", &mut self.allow_stale),
            (b"no-cluster", &mut self.no_cluster),
            (b"allow-cross-slot-keys", &mut self.allow_cross_slot_keys),
        ];
        match flags.into_iter().find(|(name, _)| is_meant(name)) {
            Some((_, flag)) => {
                *flag = true;
                true
            }
            None => false,
        }
    }
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
    pub fn parse(source: &[u8]) -> Result<Arc<Script>, Vec<u8>> {
        let flags = match first_line(source) {
            FirstLine::None => ScriptFlags::default(),
            FirstLine::Unended => return Err(b"ERR Invalid script shebang".to_vec()),
            FirstLine::Line(line) => read_flags(line)?,
        };
        Ok(Arc::new(Script {
            sha: sha_of(source),
            source: source.into(),
            flags,
        }))
    }

    /// What is compiled: all but the first line, whose end stays, so that lines count.
    pub(crate) fn code(&self) -> &[u8] {
        code_of(&self.source)
    }
}

/// The line that names an engine, `#!lua ...`, of a script or library.
pub(crate) enum FirstLine<'a> {
    None,
    /// It does not end.
    Unended,
    /// Without its end.
    Line(&'a [u8]),
}

/// The line of a text that names an engine.
pub(crate) fn first_line(source: &[u8]) -> FirstLine<'_> {
    if !source.starts_with(b"#!") {
        return FirstLine::None;
    }
    match source.iter().position(|&byte| byte == b'\n') {
        Some(end) => FirstLine::Line(&source[..end]),
        None => FirstLine::Unended,
    }
}

/// A script's or library's text behind its first line, whose end stays, so that lines count.
pub(crate) fn code_of(source: &[u8]) -> &[u8] {
    match first_line(source) {
        FirstLine::Line(line) => &source[line.len()..],
        FirstLine::None | FirstLine::Unended => source,
    }
}

/// Calls `each` with the words of a line, quotes removed; false where quotes are not balanced.
pub(crate) fn with_words<R>(line: &[u8], each: impl FnOnce(Args<'_>) -> R) -> Option<R> {
    let mut bytes = Vec::new();
    let mut spans: Vec<Span> = Vec::new();
    inline::split(line, &mut bytes, &mut spans).ok()?;
    Some(each(Args::new(&bytes, &spans, &[])))
}

fn read_flags(line: &[u8]) -> Result<ScriptFlags, Vec<u8>> {
    let read = |words: Args<'_>| {
        let engine = words.get(0).unwrap_or_default();
        if engine != b"#!lua" {
            return Err([b"ERR Unexpected engine in script shebang: ", engine].concat());
        }
        let mut flags = ScriptFlags {
            declared: true,
            ..ScriptFlags::default()
        };
        for word in words.tail(1) {
            let Some(names) = word.strip_prefix(b"flags=") else {
                return Err([b"ERR Unknown lua shebang option: ", word].concat());
            };
            // No names at all are no flags, but an empty name is one too many.
            for name in names.split(|&byte| byte == b',') {
                if !names.is_empty() && !flags.set(name) {
                    return Err([b"ERR Unexpected flag in script shebang: ", name].concat());
                }
            }
        }
        Ok(flags)
    };
    let unread = || Err(b"ERR Invalid engine in script shebang".to_vec());
    with_words(line, read).unwrap_or_else(unread)
}

/// The SHA1 of a script.
pub fn sha_of(source: &[u8]) -> Sha {
    hex(&Sha1::digest(source).into())
}

/// The hexadecimal digits of a SHA1.
pub(crate) fn hex(digest: &[u8; 20]) -> Sha {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}
