//! Random rules of users, most of them right, and random commands for them.

use fastrand::Rng;

/// Names of keys and channels, and the patterns that fit some of them.
const NAMES: &[&str] = &["a", "b", "ab", "abc", "k:1", "k:2", "ch:1", "x"];
const PATTERNS: &[&str] = &[
    "*", "a", "b", "a*", "*b", "k:*", "k:?", "[ab]", "[^a]", "ch:*", "ch:1", "x", "a\\b", "", "**",
];

const COMMANDS: &[&str] = &[
    "get",
    "set",
    "del",
    "mget",
    "mset",
    "copy",
    "rename",
    "sort",
    "sort_ro",
    "lpush",
    "lmove",
    "hset",
    "hget",
    "sadd",
    "smove",
    "zadd",
    "zunionstore",
    "xadd",
    "xread",
    "xreadgroup",
    "bitfield",
    "geoadd",
    "georadius",
    "pfcount",
    "pfmerge",
    "publish",
    "spublish",
    "subscribe",
    "psubscribe",
    "eval",
    "eval_ro",
    "fcall",
    "watch",
    "multi",
    "exec",
    "discard",
    "ping",
    "echo",
    "select",
    "auth",
    "hello",
    "info",
    "keys",
    "scan",
    "dbsize",
    "flushall",
    "swapdb",
    "object",
    "config",
    "client",
    "acl",
    "command",
    "memory",
    "xinfo",
    "xgroup",
    "script",
    "function",
    "debug",
    "slowlog",
    "latency",
    "pubsub",
    "cluster",
    "module",
];

const SUBCOMMANDS: &[&str] = &[
    "config|get",
    "config|set",
    "config|resetstat",
    "client|id",
    "client|kill",
    "client|list",
    "acl|whoami",
    "acl|list",
    "acl|setuser",
    "command|count",
    "command|docs",
    "memory|usage",
    "xinfo|stream",
    "xgroup|create",
    "xgroup|destroy",
    "script|load",
    "script|exists",
    "function|list",
    "object|encoding",
    "object|freq",
    "slowlog|get",
    "latency|latest",
    "pubsub|channels",
    "pubsub|numsub",
];

/// A first argument that is allowed of a command that has no sub-commands.
const FIRST_ARGUMENTS: &[&str] = &["select|0", "select|1", "get|a", "publish|ch:1", "set|AB"];

const CATEGORIES: &[&str] = &[
    "all",
    "all",
    "all",
    "all",
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// What no selector may have.
const OF_USERS: &[&str] = &[
    "on",
    "off",
    "nopass",
    ">one",
    ">two",
    ">one",
    "<one",
    "<two",
    "resetpass",
    "reset",
    "sanitize-payload",
    "skip-sanitize-payload",
    "clearselectors",
    "#7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
    "!7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
];

const SWITCHES: &[&str] = &[
    "allkeys",
    "resetkeys",
    "allchannels",
    "resetchannels",
    "allcommands",
    "nocommands",
];

/// What takes the place of a character in a rule that is bent. No blank: Redis 7.4.1 ends where one
/// stands in the first argument of a rule, as in `+publish|a b`, and a further rule comes.
const CHARACTERS: &[u8] = b"+-@|~&%RW()<>#!aZ0*";

/// Most rules of one change.
const RULES_MAX: usize = 6;

/// Rules in a selector.
const SELECTOR_RULES_MAX: usize = 4;

/// One in so many rules is bent.
const BENT: usize = 40;

/// The rules of one change: the words behind the user's name.
pub fn change(rng: &mut Rng) -> Vec<String> {
    let count = rng.usize(1..=RULES_MAX);
    (0..count).flat_map(|_| words(rng)).collect()
}

/// One rule, which is several words where a selector is written so.
fn words(rng: &mut Rng) -> Vec<String> {
    let words = match rng.u8(..20) {
        0..4 => vec![one(rng, OF_USERS).to_owned()],
        4..7 => selector(rng),
        _ => vec![rule(rng)],
    };
    let bend_word = |word: String| {
        if rng.usize(..BENT) == 0 {
            bend(rng, &word)
        } else {
            word
        }
    };
    words.into_iter().map(bend_word).collect()
}

fn selector(rng: &mut Rng) -> Vec<String> {
    let count = rng.usize(..=SELECTOR_RULES_MAX);
    let rules: Vec<String> = (0..count).map(|_| rule(rng)).collect();
    let text = format!("({})", rules.join(" "));
    if rng.bool() {
        return vec![text];
    }
    text.split(' ').map(str::to_owned).collect()
}

/// A rule that a selector may have, too.
fn rule(rng: &mut Rng) -> String {
    let sign = if rng.u8(..3) == 0 { '-' } else { '+' };
    match rng.u8(..16) {
        0 | 1 => format!("~{}", one(rng, PATTERNS)),
        2 | 3 => format!(
            "{}~{}",
            one(rng, &["%R", "%W", "%RW", "%wr"]),
            one(rng, PATTERNS)
        ),
        4 | 5 => format!("&{}", one(rng, PATTERNS)),
        6 => one(rng, SWITCHES).to_owned(),
        7..10 => format!("{sign}@{}", one(rng, CATEGORIES)),
        10 | 11 => format!("{sign}{}", one(rng, SUBCOMMANDS)),
        12 => format!("{sign}{}", one(rng, FIRST_ARGUMENTS)),
        _ => format!("{sign}{}", one(rng, COMMANDS)),
    }
}

/// A rule with a character changed, taken away or added.
fn bend(rng: &mut Rng, word: &str) -> String {
    let mut bytes = word.as_bytes().to_vec();
    let at = rng.usize(..=bytes.len());
    let new = CHARACTERS[rng.usize(..CHARACTERS.len())];
    match rng.u8(..3) {
        0 => bytes.insert(at, new),
        1 if at < bytes.len() => bytes[at] = new,
        _ if at < bytes.len() => drop(bytes.remove(at)),
        _ => bytes.push(new),
    }
    let bent = String::from_utf8_lossy(&bytes).into_owned();
    if crashes_redis(&bent) {
        word.to_owned()
    } else {
        bent
    }
}

/// Whether Redis 7.4.1 reads beyond the end of a rule in it: one of access without a pattern.
fn crashes_redis(word: &str) -> bool {
    let rules = word.split(|character: char| " ()".contains(character));
    let mut accesses = rules.filter_map(|rule| rule.strip_prefix('%'));
    accesses.any(|access| access.chars().all(|letter| "RWrw".contains(letter)))
}

/// A command of the list, with other names in place of its own.
pub fn command(rng: &mut Rng, list: &[&str]) -> String {
    let line = one(rng, list);
    let rename = |word: &str| match word {
        "a" | "b" | "ro" | "wo" | "c" | "ch:1" | "other" => one(rng, NAMES).to_owned(),
        "ch:*" => one(rng, PATTERNS).to_owned(),
        word => word.to_owned(),
    };
    // Text in quotes stays as it is.
    let words: Vec<String> = if line.contains('"') {
        vec![line.to_owned()]
    } else {
        line.split(' ')
            .map(rename)
            .filter(|word| !word.is_empty())
            .collect()
    };
    words.join(" ")
}

fn one<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.usize(..all.len())]
}
