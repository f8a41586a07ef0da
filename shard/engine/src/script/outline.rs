//! What a script's text shows of the keys that it touches, before it runs.
//!
//! Most scripts name their keys only as `KEYS[n]`, or by locals that are just that. Such a script
//! needs nothing but what it has declared: it runs where its keys are, in the middle of a pipeline,
//! as any command does, and nothing need be kept to undo it. This look is cautious: what it does
//! not understand is taken for a script that may touch anything. Whoever runs a script checks every
//! key all the same.

use std::collections::{HashMap, HashSet};

use protocol::command::{Command, Flags, KeyShape};
use protocol::facts::{Behind, Elsewhere, InScripts};
use protocol::table::{CommandId, lookup, lookup_sub};

use crate::script::tokens::{Token, tokens};

/// What may be said of a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outline {
    /// It calls nothing but commands on keys that it has declared.
    pub is_plain: bool,
    /// It may call a command that has to come behind what its connection wrote before, as others
    /// hear of it.
    pub tells: bool,
    /// It surely names a command on the whole keyspace.
    pub asks_whole: bool,
}

/// What may be taken from the table `redis` without harm.
const HARMLESS: [&[u8]; 11] = [
    b"error_reply",
    b"status_reply",
    b"sha1hex",
    b"log",
    b"LOG_DEBUG",
    b"LOG_VERBOSE",
    b"LOG_NOTICE",
    b"LOG_WARNING",
    b"setresp",
    b"REDIS_VERSION",
    b"REDIS_VERSION_NUM",
];

/// Names by which a script could reach anything unseen.
const BACK_DOORS: [&[u8]; 6] = [
    b"_G",
    b"loadstring",
    b"load",
    b"getfenv",
    b"setfenv",
    b"server",
];

impl Outline {
    /// Looks at a script.
    pub fn of(text: &[u8]) -> Self {
        let mut outline = Self {
            is_plain: true,
            ..Self::default()
        };
        match tokens(text) {
            Some(tokens) => outline.look(&tokens),
            None => outline.is_plain = false,
        }
        outline.tells |= !outline.is_plain;
        outline
    }

    /// Of a function nothing is known.
    pub fn of_function() -> Self {
        Self {
            tells: true,
            ..Self::default()
        }
    }

    fn look(&mut self, tokens: &[Token<'_>]) {
        let is_keys = |(_, token): &(usize, &Token<'_>)| **token == Token::Name(b"KEYS");
        let mut places = tokens.iter().enumerate().filter(is_keys);
        let is_only_read = places.all(|(at, _)| is_read(tokens, at));
        let keys = is_only_read.then(|| Keys::find(tokens, b"KEYS")).flatten();
        self.is_plain = keys.is_some();
        self.look_at_calls(tokens, &keys.unwrap_or_default(), &HashSet::new());
    }

    /// Looks at all that is called by `redis`, but for that at the places of `known` ones.
    pub(super) fn look_at_calls(
        &mut self,
        tokens: &[Token<'_>],
        keys: &Keys<'_>,
        known: &HashSet<usize>,
    ) {
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Name(name) if BACK_DOORS.contains(name) => self.is_plain = false,
                Token::Name(b"redis") if !known.contains(&at) => {
                    self.look_at_redis(&tokens[at + 1..], keys);
                }
                _ => {}
            }
        }
    }

    /// What stands behind the name `redis`.
    fn look_at_redis(&mut self, rest: &[Token<'_>], keys: &Keys<'_>) {
        match rest {
            [
                Token::Sign(b'.'),
                Token::Name(b"call" | b"pcall"),
                Token::Sign(b'('),
                call @ ..,
            ] => {
                self.look_at_call(&arguments(call), keys);
            }
            [Token::Sign(b'.'), Token::Name(name), ..] if HARMLESS.contains(name) => {}
            _ => self.is_plain = false,
        }
    }

    fn look_at_call(&mut self, args: &[&[Token<'_>]], keys: &Keys<'_>) {
        let Some(id) = command_of(args) else {
            self.is_plain = false;
            return;
        };
        let command = id.command();
        let touches_data = command.flags.intersects(Flags::WRITE.with(Flags::READONLY));
        self.asks_whole |= command.shape == KeyShape::None && touches_data;
        self.tells |= matches!(command.behind, Behind::Writes | Behind::Everything);
        let names_declared = command.in_scripts == InScripts::Time
            || key_places(command, args).is_some_and(|mut at| at.all(|at| keys.names(args[at])));
        self.is_plain &= names_declared && stays_in_database(command, args);
    }
}

/// The arguments of a call whose `(` stands before `tokens`.
fn arguments<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut found = Vec::new();
    let (mut depth, mut begin) = (0usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign(b'(' | b'[' | b'{') => depth += 1,
            Token::Sign(b')' | b']' | b'}') if depth > 0 => depth -= 1,
            Token::Sign(b')') => {
                found.push(&tokens[begin..at]);
                break;
            }
            Token::Sign(b',') if depth == 0 => {
                found.push(&tokens[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// The command that a call names by a string.
fn command_of(args: &[&[Token<'_>]]) -> Option<CommandId> {
    let literal = |at: usize| match args.get(at) {
        Some([Token::Text(text)]) => Some(*text),
        _ => None,
    };
    let id = lookup(literal(0)?)?;
    if id.is_container() {
        lookup_sub(id, literal(1)?)
    } else {
        Some(id)
    }
}

/// Which arguments are keys, where the text shows it.
fn key_places(
    command: &Command,
    args: &[&[Token<'_>]],
) -> Option<impl Iterator<Item = usize> + use<>> {
    let (first, last, step) = match command.shape {
        KeyShape::One => (1, 1, 1),
        KeyShape::Range { first, last, step } if last >= 0 => (
            usize::from(first),
            usize::from(last.unsigned_abs()),
            usize::from(step),
        ),
        KeyShape::Range { first, last, step } if !may_be_many(args.last()?) => {
            let last = args.len().checked_sub(usize::from(last.unsigned_abs()))?;
            (usize::from(first), last, usize::from(step))
        }
        _ => return None,
    };
    let are_there = last < args.len() && first <= last && step > 0;
    are_there.then(|| (first..=last).step_by(step))
}

/// Whether a command works on no key of another database: that is not among the declared ones.
fn stays_in_database(command: &Command, args: &[&[Token<'_>]]) -> bool {
    match command.elsewhere {
        Elsewhere::Nothing => true,
        Elsewhere::Argument { .. } => false,
        Elsewhere::Option { from, .. } => args.len() <= usize::from(from),
    }
}

/// Whether an argument may come to several: `...`, or a call that returns them.
fn may_be_many(arg: &[Token<'_>]) -> bool {
    matches!(arg.last(), Some(Token::Sign(b')' | b'*')) | None)
}

/// By what a script may name a key that it has declared.
#[derive(Default)]
pub(super) struct Keys<'a> {
    /// The table that has them all.
    table: &'a [u8],
    /// Locals that are one of KEYS, and nothing else.
    locals: Vec<&'a [u8]>,
}

impl<'a> Keys<'a> {
    /// The names of keys that stand in a table, which nobody changes. None where a function has no
    /// end.
    pub(super) fn find(tokens: &[Token<'a>], table: &'a [u8]) -> Option<Self> {
        let mut bound: HashMap<&[u8], (usize, bool)> = HashMap::new();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Name(b"local") => {
                    let names = names_from(tokens, at + 1);
                    let values = tokens.get(at + 2 * names.len());
                    let mut value = at + 2 * names.len() + 1;
                    let mut is_key = values == Some(&Token::Sign(b'='));
                    for name in names {
                        let end = is_key.then(|| end_of_key(tokens, value, table)).flatten();
                        is_key = end.is_some();
                        let it = bound.entry(name).or_default();
                        it.0 += 1;
                        it.1 |= is_key;
                        if let Some(end) = end {
                            is_key = tokens.get(end) == Some(&Token::Sign(b','));
                            value = end + 1;
                        }
                    }
                }
                Token::Name(b"for") => {
                    for name in names_from(tokens, at + 1) {
                        bound.entry(name).or_default().0 += 1;
                    }
                }
                Token::Name(b"function") => {
                    let open = tokens[at..].iter().position(|it| *it == Token::Sign(b'('));
                    for name in names_from(tokens, at + open? + 1) {
                        bound.entry(name).or_default().0 += 1;
                    }
                }
                Token::Sign(b'=') => {
                    for name in assigned_before(tokens, at) {
                        bound.entry(name).or_default().0 += 1;
                    }
                }
                _ => {}
            }
        }
        let locals = bound.into_iter().filter(|(_, it)| *it == (1, true));
        Some(Self {
            table,
            locals: locals.map(|(name, _)| name).collect(),
        })
    }

    /// Forgets locals that are not worth being kept.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&[u8]) -> bool) {
        self.locals.retain(|local| is_kept(local));
    }

    /// Whether an argument is a declared key.
    fn names(&self, arg: &[Token<'_>]) -> bool {
        match arg {
            [Token::Name(name)] => self.locals.contains(name),
            _ => end_of_key(arg, 0, self.table) == Some(arg.len()),
        }
    }
}

/// The names that stand at `from`, parted by commas.
fn names_from<'a>(tokens: &[Token<'a>], from: usize) -> Vec<&'a [u8]> {
    let mut names = Vec::new();
    let mut at = from;
    while let Some(Token::Name(name)) = tokens.get(at) {
        names.push(*name);
        if tokens.get(at + 1) != Some(&Token::Sign(b',')) {
            break;
        }
        at += 2;
    }
    names
}

/// The names that the `=` at a place assigns to, but those of a `local`, which are counted there.
fn assigned_before<'a>(tokens: &[Token<'a>], at: usize) -> Vec<&'a [u8]> {
    let mut names = Vec::new();
    let mut end = at;
    while let Some(Token::Name(name)) = end.checked_sub(1).map(|at| tokens[at]) {
        names.push(name);
        match end.checked_sub(2).map(|at| tokens[at]) {
            Some(Token::Sign(b',')) => end -= 2,
            Some(Token::Name(b"local" | b"for")) => return Vec::new(),
            _ => break,
        }
    }
    names
}

/// Where `KEYS[...]` ends that stands at `from`, or that of another table.
fn end_of_key(tokens: &[Token<'_>], from: usize, table: &[u8]) -> Option<usize> {
    let [Token::Name(name), Token::Sign(b'['), ..] = tokens.get(from..)? else {
        return None;
    };
    if *name != table {
        return None;
    }
    let end = end_of_index(tokens, from + 1)?;
    // Nothing is done with it.
    let goes_on = match tokens.get(end) {
        Some(Token::Name(name)) => matches!(*name, b"and" | b"or"),
        Some(Token::Sign(sign)) => !matches!(sign, b',' | b')' | b';' | b'}'),
        Some(_) => true,
        None => false,
    };
    (!goes_on).then_some(end)
}

/// Behind the `]` that belongs to the `[` at a place.
fn end_of_index(tokens: &[Token<'_>], from: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token {
            Token::Sign(b'[') => depth += 1,
            Token::Sign(b']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether the name KEYS at a place is only read: its length, or one of it.
pub(super) fn is_read(tokens: &[Token<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| tokens[at]);
    if before == Some(Token::Sign(b'#')) {
        return true;
    }
    let begins_expression = match before {
        Some(Token::Sign(sign)) => matches!(
            sign,
            b'(' | b','
                | b'='
                | b'{'
                | b'['
                | b'c'
                | b'+'
                | b'<'
                | b'>'
                | b'-'
                | b'*'
                | b'/'
                | b'%'
                | b'^'
                | b'#'
        ),
        Some(Token::Name(word)) => matches!(
            word,
            b"return" | b"and" | b"or" | b"not" | b"if" | b"while" | b"until" | b"elseif" | b"in"
        ),
        _ => false,
    };
    let end = match tokens.get(at + 1) {
        Some(Token::Sign(b'[')) => end_of_index(tokens, at + 1),
        _ => None,
    };
    begins_expression && end.is_some_and(|end| tokens.get(end) != Some(&Token::Sign(b'=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain(text: &str) -> bool {
        Outline::of(text.as_bytes()).is_plain
    }

    #[test]
    fn what_names_only_its_keys_is_plain() {
        for text in [
            "return redis.call('get', KEYS[1])",
            "return redis.call('GET',KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0",
            "local a = KEYS[1] local n = redis.call('incr', a) if n == 1 then redis.pcall('expire', a, ARGV[1]) end return n",
            "local a, b = KEYS[1], KEYS[2]; redis.call('rpoplpush', a, b)",
            "for i = 1, #KEYS do redis.call('del', KEYS[i]) end",
            "return redis.call('mget', KEYS[1], KEYS[2])",
            "return redis.call('object', 'encoding', KEYS[1])",
            "local t = redis.call('TIME') return redis.error_reply(t[1])",
            "return 1",
            "redis.call('zadd', KEYS[1], unpack(ARGV))",
            "redis.call('copy', KEYS[1], KEYS[2])",
        ] {
            assert!(is_plain(text), "{text}");
        }
    }

    #[test]
    fn what_may_name_others_is_not() {
        for text in [
            "return redis.call('get', ARGV[1])",
            "return redis.call('get', KEYS[1] .. ':x')",
            "local a = KEYS[1] .. ':x' return redis.call('get', a)",
            "local a = KEYS[1] a = ARGV[1] return redis.call('get', a)",
            "local a = KEYS[1] local function f(a) redis.call('get', a) end f('x')",
            "local a = KEYS[1] for _, a in ipairs(ARGV) do redis.call('get', a) end",
            "local a, b = KEYS[1], 1 b, a = 2, 'x' redis.call('get', a)",
            "local call = redis.call return call('get', KEYS[1])",
            "local r = redis return r.call('get', 'x')",
            "return redis['call']('get', 'x')",
            "KEYS[1] = 'x' return redis.call('get', KEYS[1])",
            "rawset(KEYS, 1, 'x') return redis.call('get', KEYS[1])",
            "redis.call(ARGV[1], KEYS[1])",
            "redis.call('del', KEYS[1], 'x')",
            "redis.call('del', unpack(KEYS))",
            "redis.call('del', KEYS[1], unpack(ARGV))",
            "redis.call('publish', KEYS[1], 'x')",
            "redis.call('keys', '*')",
            "redis.call('zunionstore', KEYS[1], 1, KEYS[2])",
            "redis.call('sort', KEYS[1], 'by', 'x*')",
            "loadstring('x')()",
            "_G['redis'].call('get', 'x')",
            "redis.call 'get'",
            "redis.call('copy', KEYS[1], KEYS[2], 'DB', 1)",
            "redis.call('move', KEYS[1], 1)",
            "x = 'unended",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn what_others_hear_of_and_what_asks_for_everything() {
        assert!(!Outline::of(b"redis.call('incr', KEYS[1])").tells);
        assert!(Outline::of(b"redis.call('rpush', KEYS[1], 1)").tells);
        assert!(Outline::of(b"return redis.call('dbsize')").asks_whole);
        assert!(!Outline::of(b"return redis.call('ping')").asks_whole);
    }
}
