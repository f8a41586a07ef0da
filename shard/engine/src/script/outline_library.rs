//! What a library's text shows of the keys that its functions touch.
//!
//! A function's keys are its first parameter. A library is plain where all of its functions name
//! keys only by that, as a script does by KEYS (see [`outline`](super::outline)), and where nobody
//! but Redis calls them:
//!
//! - Each is registered at the top level, by a name in quotes: written there, or a `local function`
//!   whose name stands nowhere else.
//! - All give their first parameter the same name, and nothing else has it. It is only read, and in
//!   the function itself: not in one within it, which may outlive the call.
//! - A local that is one of the keys is used in the function that has it, and nowhere else.
//!
//! All else is taken for a library whose functions may touch anything.

use std::collections::{HashMap, HashSet};

use crate::script::outline::{Keys, Outline, is_read};
use crate::script::tokens::{Token, tokens};

/// Words of the language, which name nothing.
const WORDS: [&[u8]; 21] = [
    b"and",
    b"break",
    b"do",
    b"else",
    b"elseif",
    b"end",
    b"false",
    b"for",
    b"function",
    b"if",
    b"in",
    b"local",
    b"nil",
    b"not",
    b"or",
    b"repeat",
    b"return",
    b"then",
    b"true",
    b"until",
    b"while",
];

impl Outline {
    /// Looks at a library.
    pub fn of_library(code: &[u8]) -> Self {
        let found = tokens(code).and_then(|tokens| look(&tokens));
        found
            .filter(|outline| outline.is_plain)
            .unwrap_or_else(Self::of_function)
    }
}

fn look(tokens: &[Token<'_>]) -> Option<Outline> {
    let owners = owners(tokens)?;
    let registered = registered(tokens, &owners)?;
    let table = table_of(tokens, &registered.functions)?;
    let reads_keys = |at: usize| {
        let owner = owners[at]?;
        (registered.functions.contains(&owner) && is_read(tokens, at)).then_some(())
    };
    for (at, token) in tokens.iter().enumerate() {
        let is_parameter = registered
            .functions
            .iter()
            .any(|it| parameter(tokens, *it) == Some(at));
        if *token == Token::Name(table) && !is_parameter {
            reads_keys(at)?;
        }
    }
    let mut keys = Keys::find(tokens, table)?;
    keys.retain(|local| stays_in_function(tokens, &owners, local));
    let mut outline = Outline {
        is_plain: true,
        ..Outline::default()
    };
    outline.look_at_calls(tokens, &keys, &registered.places);
    Some(outline)
}

/// What a library registers.
#[derive(Default)]
struct Registered {
    /// Where the word `function` stands of each that is registered.
    functions: HashSet<usize>,
    /// Where `redis` stands of each `redis.register_function`.
    places: HashSet<usize>,
}

fn registered<'a>(tokens: &[Token<'a>], owners: &[Option<usize>]) -> Option<Registered> {
    let mut found = Registered::default();
    let mut by_name: HashMap<&'a [u8], usize> = HashMap::new();
    for (at, token) in tokens.iter().enumerate() {
        let rest = &tokens[at + 1..];
        let [
            Token::Sign(b'.'),
            Token::Name(b"register_function"),
            call @ ..,
        ] = rest
        else {
            continue;
        };
        if *token != Token::Name(b"redis") || owners[at].is_some() {
            return None;
        }
        found.places.insert(at);
        let begin = at + 3;
        let callback = match call {
            [Token::Sign(b'('), Token::Text(_), Token::Sign(b','), ..] => begin + 3,
            [Token::Sign(b'('), Token::Sign(b'{'), ..] => begin + callback_in(&call[1..])? + 1,
            [Token::Sign(b'{'), ..] => begin + callback_in(call)?,
            _ => return None,
        };
        match tokens.get(callback..)? {
            [Token::Name(b"function"), Token::Sign(b'('), ..] => {
                found.functions.insert(callback);
            }
            [
                Token::Name(name),
                Token::Sign(b')' | b'}' | b',' | b';'),
                ..,
            ] if is_name(name) => {
                *by_name.entry(name).or_default() += 1;
            }
            _ => return None,
        }
    }
    for (name, uses) in by_name {
        let all = tokens.iter().filter(|it| **it == Token::Name(name)).count();
        let definition = [
            Token::Name(b"local"),
            Token::Name(b"function"),
            Token::Name(name),
        ];
        let at = tokens.windows(3).position(|it| it == definition)?;
        if all != uses + 1 || owners[at].is_some() {
            return None;
        }
        found.functions.insert(at + 1);
    }
    Some(found)
}

/// Where in a table of arguments the callback stands. `tokens` begin with its `{`.
fn callback_in(tokens: &[Token<'_>]) -> Option<usize> {
    let mut callback = None;
    let mut at = 1;
    loop {
        let [Token::Name(field), Token::Sign(b'='), value @ ..] = tokens.get(at..)? else {
            return None;
        };
        at += 2;
        at += match (*field, value) {
            (b"callback", [Token::Name(b"function"), Token::Sign(b'('), ..]) => {
                callback = Some(at);
                end_of_function(value)?
            }
            (b"callback", _) => {
                callback = Some(at);
                1
            }
            (b"flags", [Token::Sign(b'{'), ..]) => {
                let end = value.iter().position(|it| *it == Token::Sign(b'}'))?;
                let is_list = value[1..end]
                    .iter()
                    .all(|it| matches!(it, Token::Text(_) | Token::Sign(b',')));
                is_list.then_some(end + 1)?
            }
            (b"function_name" | b"description", [Token::Text(_) | Token::Value, ..]) => 1,
            _ => return None,
        };
        match tokens.get(at..)? {
            [Token::Sign(b'}'), ..] | [Token::Sign(b',' | b';'), Token::Sign(b'}'), ..] => {
                return callback;
            }
            [Token::Sign(b',' | b';'), ..] => at += 1,
            _ => return None,
        }
    }
}

/// Behind the `end` of the function with which `tokens` begin.
fn end_of_function(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Name(b"function" | b"do" | b"if" | b"repeat") => depth += 1,
            Token::Name(b"end" | b"until") => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Of each token the innermost function that it stands in, by the place of its word `function`.
/// None of all where blocks do not end.
fn owners(tokens: &[Token<'_>]) -> Option<Vec<Option<usize>>> {
    let mut blocks: Vec<Option<usize>> = Vec::new();
    let mut found = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let owner = blocks.iter().rev().find_map(|block| *block);
        match token {
            Token::Name(b"function") => blocks.push(Some(at)),
            Token::Name(b"do" | b"if" | b"repeat") => blocks.push(None),
            Token::Name(b"end" | b"until") => {
                blocks.pop()?;
            }
            _ => {}
        }
        found.push(owner);
    }
    blocks.is_empty().then_some(found)
}

/// Where the first parameter of a function stands, whose word `function` stands at a place.
fn parameter(tokens: &[Token<'_>], function: usize) -> Option<usize> {
    let open = match tokens.get(function + 1)? {
        Token::Sign(b'(') => function + 1,
        _ => function + 2,
    };
    match tokens.get(open..)? {
        [Token::Sign(b'('), Token::Name(_), ..] => Some(open + 1),
        _ => None,
    }
}

/// The name that all functions give their first parameter.
fn table_of<'a>(tokens: &[Token<'a>], functions: &HashSet<usize>) -> Option<&'a [u8]> {
    let mut table = None;
    for function in functions {
        let Some(at) = parameter(tokens, *function) else {
            // It has none.
            let open = tokens[*function..]
                .iter()
                .position(|it| *it == Token::Sign(b'('))?;
            let close = tokens.get(function + open + 1);
            (close == Some(&Token::Sign(b')'))).then_some(())?;
            continue;
        };
        match (tokens[at], table) {
            (Token::Name(name), None) => table = Some(name),
            (Token::Name(name), Some(table)) if name == table => {}
            _ => return None,
        }
    }
    // A name that stands nowhere.
    Some(table.unwrap_or_default())
}

/// Whether a name stands in one function only.
fn stays_in_function(tokens: &[Token<'_>], owners: &[Option<usize>], name: &[u8]) -> bool {
    let places = tokens.iter().zip(owners);
    let mut of_name = places.filter(|(token, _)| **token == Token::Name(name));
    let first = of_name.next();
    of_name.all(|(_, owner)| first.is_some_and(|(_, first)| first == owner))
}

fn is_name(name: &[u8]) -> bool {
    !WORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain(code: &str) -> bool {
        Outline::of_library(format!("#!lua name=l\n{code}").as_bytes()).is_plain
    }

    #[test]
    fn what_names_only_its_keys_is_plain() {
        for code in [
            "redis.register_function('f', function(keys, args) return redis.call('get', keys[1]) end)",
            "redis.register_function('f', function() return 1 end)",
            "local function f(keys, args)
                local key = keys[1]
                if #keys > 1 then redis.call('del', keys[2]) end
                for i = 1, 2 do redis.call('incr', key) end
                repeat local n = redis.call('incr', key) until n > 10
                return redis.call('set', key, args[1])
            end
            redis.register_function('f', f)
            redis.register_function{function_name = 'g', callback = f, flags = {'no-writes'}}",
            "redis.register_function({
                function_name = 'f',
                description = 'x',
                callback = function(keys, args) return redis.call('llen', keys[1]) end,
            })",
            "local function double(n) return n * 2 end
            redis.register_function('f', function(k, a)
                return double(redis.call('strlen', k[1]))
            end)
            redis.register_function('g', function(k) return redis.call('del', k[1]) end)",
            "redis.register_function('f', function(keys)
                local ok = pcall(function() return 1 end)
                return redis.call('get', keys[1])
            end)",
        ] {
            assert!(is_plain(code), "{code}");
        }
    }

    #[test]
    fn what_may_name_others_is_not() {
        for code in [
            "redis.register_function('f', function(keys, args) return redis.call('get', args[1]) end)",
            "redis.register_function('f', function(...) return redis.call('get', 'x') end)",
            // Another calls it.
            "local function f(keys) return redis.call('get', keys[1]) end
            redis.register_function('f', f)
            redis.register_function('g', function(keys, args) return f({'x'}) end)",
            "local function f(keys) return redis.call('get', keys[1]) end
            local g = f
            redis.register_function('f', f)
            redis.register_function('g', function(keys, args) return g({'x'}) end)",
            // A function within it outlives the call.
            "local saved
            redis.register_function('f', function(keys)
                saved = function() return redis.call('get', keys[1]) end
            end)
            redis.register_function('g', function(keys) return saved() end)",
            "local saved
            redis.register_function('f', function(keys)
                local key = keys[1]
                saved = function() return redis.call('get', key) end
            end)",
            // Not the first parameter, or that of another.
            "redis.register_function('f', function(a, keys) return redis.call('get', keys[1]) end)",
            "local function help(keys) return redis.call('get', keys[1]) end
            redis.register_function('f', function(keys) return help({'x'}) end)",
            "redis.register_function('f', function(keys) return redis.call('get', keys[1]) end)
            redis.register_function('g', function(names) return redis.call('get', names[1]) end)",
            // Changed, or handed on.
            "redis.register_function('f', function(keys)
                keys[1] = 'x' return redis.call('get', keys[1])
            end)",
            "redis.register_function('f', function(keys)
                keys = {'x'} return redis.call('get', keys[1])
            end)",
            "redis.register_function('f', function(keys)
                table.insert(keys, 1, 'x') return redis.call('get', keys[1])
            end)",
            "redis.register_function('f', function(keys)
                local keys = {'x'} return redis.call('get', keys[1])
            end)",
            "redis.register_function('f', function(keys)
                for keys in pairs({}) do redis.call('get', keys[1]) end
            end)",
            // What is registered is something else than what stands there.
            "redis.register_function('f', (function(keys) return redis.call('get', keys[1]) end))",
            "local t = {f = function(keys) return redis.call('get', keys[1]) end}
            redis.register_function('f', t.f)",
            "local register = redis.register_function
            register('f', function(keys) return redis.call('get', keys[1]) end)",
            "local function f(keys) return redis.call('get', keys[1]) end
            local function g() redis.register_function('f', f) end g()",
            "redis.register_function{callback = f(function(keys) return 1 end), function_name = 'f'}",
            "redis.register_function{function_name = 'f', ['callback'] = function(keys) end}",
            "redis.register_function('f', function(keys) return redis.call('keys', '*') end)",
            "redis.register_function('f', function(keys) return redis.call('publish', keys[1], 1) end)",
            "redis.register_function('f', function(keys, redis) return redis.call('get', 'x') end)",
            "x = 'unended",
            "redis.register_function('f', function(keys) return 1 end) end",
        ] {
            assert!(!is_plain(code), "{code}");
        }
    }
}
