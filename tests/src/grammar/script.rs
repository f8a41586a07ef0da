//! EVAL and its kin: scripts put together from the other families' commands, loops, conversions
//! and the libraries that scripts have.
//!
//! A command's keys are declared or not, by chance. Only what has one reply stands in a script:
//! what comes in any order, or tells the time, could not be compared within what a script returns.

use super::{
    Command, Draw, bitmap, command, geo, hash, hyperloglog, keys, list, set, sorted_set, stream,
    string,
};
use crate::compare::Compare;

/// Draws until a command is found that has one reply.
const DRAWS_MAX: usize = 20;

const STATEMENTS_MAX: usize = 5;

/// A value as text, without a table's address, nor line ends, which Redis leaves in errors.
const TEXT: &str = "local function text(v) return type(v) == 'table' and 'table' or (tostring(v):gsub('%c', '')) end\n";

/// Scripts that EVALSHA finds once SCRIPT LOAD has brought them.
const LOADED: [(&str, &str); 3] = [
    (
        "return redis.call('get', KEYS[1])",
        "4e6d8fc8bb01276962cce5371fa795a7763657ae",
    ),
    (
        "return redis.call('append', KEYS[1], ARGV[1])",
        "b2f9e208649373dfbe8c03d7e2bb80f97e1b210a",
    ),
    (
        "#!lua flags=no-writes\nreturn redis.call('exists', unpack(KEYS))",
        "71f329b7e0b382a906edf7a7d176c7f584b9d772",
    ),
];

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..24) {
        0..17 => eval(draw),
        17 => of_loaded(draw, "SCRIPT LOAD", |text, _| text).rigid(),
        18..20 => {
            let verb = draw.pick(&["EVALSHA", "EVALSHA", "EVALSHA_RO"]);
            let call = of_loaded(draw, verb, |_, sha| sha);
            call.args(draw.counted_keys(2)).arg(draw.value())
        }
        20 => of_loaded(draw, "SCRIPT EXISTS", |_, sha| sha),
        21 => command(draw.pick(&["MULTI", "EXEC", "EXEC", "DISCARD"])),
        22 => command("MGET").args(draw.keys(6)),
        _ => match draw.random.u8(..8) {
            0 => command(draw.pick(&["SCRIPT FLUSH", "SCRIPT FLUSH SYNC", "SCRIPT FLUSH x"])),
            1 => command(draw.pick(&["SCRIPT KILL", "SCRIPT KILL x"])),
            2 => {
                // Redis reads a count that is none as C's atoi does.
                let keys = draw.keys(3);
                let count = keys.len() + draw.random.usize(..2);
                let ask = command("COMMAND GETKEYS EVAL x").arg(count.to_string());
                ask.args(keys).rigid()
            }
            3 => command("SELECT").arg(draw.pick(&["0", "1"])),
            _ => command("WATCH").args(draw.keys(2)),
        },
    }
}

fn of_loaded(
    draw: &mut Draw,
    verb: &str,
    which: fn(&'static str, &'static str) -> &'static str,
) -> Command {
    let (text, sha) = draw.pick(&LOADED);
    command(verb).arg(which(text, sha))
}

/// A script under way, with the keys and arguments that it is given.
#[derive(Default)]
struct Draft {
    text: String,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

fn eval(draw: &mut Draw) -> Command {
    let verb = draw.pick(&["EVAL", "EVAL", "EVAL", "EVAL", "EVAL", "EVAL_RO"]);
    let mut draft = Draft::default();
    if draw.one_in(8) {
        let line = draw.pick(&[
            "#!lua",
            "#!lua flags=no-writes",
            "#!lua flags=allow-oom,allow-cross-slot-keys",
            "#!lua flags=",
            "#!lua flags=whatever",
            "#!lua whatever=1",
            "#!luajit",
        ]);
        draft.text += line;
        draft.text += "\n";
    }
    if draw.one_in(4) {
        draft.text += "redis.setresp(3) ";
    }
    draft.text += "local r = {} ";
    draft.text += TEXT;
    for _ in 0..draw.random.usize(1..=STATEMENTS_MAX) {
        statement(draw, &mut draft);
        draft.text += "\n";
    }
    draft.text += draw.pick(&[
        "return r",
        "return r",
        "return r",
        "return r",
        "return r[1]",
        "return r[#r]",
        "return #r",
        "return {r, 1, 'x'}",
        "return {set = {x = true}}",
        "return {map = {r = r}}",
        "return cjson.encode(r)",
        "return cjson.encode(cjson.decode(cjson.encode(r)))",
        "return cmsgpack.unpack(cmsgpack.pack(r))",
        "return cmsgpack.pack(r)",
        "return text(r[1])",
        "error(type(r[1]) == 'table' and r[1].err and r[1] or 'x')",
        "error(text(r[1]))",
        "error({err = text(r[1])})",
        "return",
        "",
    ]);
    let call = command(verb).arg(&draft.text);
    let count = if draw.one_in(30) {
        draw.integer()
    } else {
        draft.keys.len().to_string()
    };
    call.arg(count).args(&draft.keys).args(&draft.args)
}

fn statement(draw: &mut Draw, draft: &mut Draft) {
    let text = match draw.random.u8(..24) {
        0..9 => format!("r[#r + 1] = {}", call(draw, draft)),
        9 => call(draw, draft),
        10 => format!("local v = {} r[#r + 1] = type(v)", call(draw, draft)),
        11 => format!(
            "r[#r + 1] = {{pcall(function() return {} end)}}",
            call(draw, draft)
        ),
        12 => format!(
            "local e = {} if type(e) == 'table' then r[#r + 1] = e.err or e.ok or e.double or e.map or e.set or 'list' else r[#r + 1] = tostring(e) end",
            call(draw, draft)
        ),
        13 => {
            let key = key(draw, draft);
            let verb = draw.pick(&["incr", "decr", "append", "rpush", "get", "sadd"]);
            format!("for i = 1, 4 do r[#r + 1] = redis.pcall('{verb}', {key} .. i % 2, i) end")
        }
        14 => {
            let key = key(draw, draft);
            let by = draw.pick(&["1", "0.1", "1e17", "-3", "1/3", "2^53"]);
            format!(
                "local n = redis.pcall('get', {key}) n = type(n) == 'string' and tonumber(n) or 7 r[#r + 1] = n * 3 + {by} r[#r + 1] = tostring(n / 7) redis.pcall('set', {key}, n + {by})"
            )
        }
        which @ 15..20 => with_a_library(draw, which),
        20 => format!(
            "redis.call('select', {})",
            draw.pick(&["0", "1", "1", "99"])
        ),
        21 => draw
            .pick(&[
                "r[#r + 1] = redis.error_reply('MY error')",
                "r[#r + 1] = redis.status_reply('fine')",
                "r[#r + 1] = {double = 1 / 3}",
                "r[#r + 1] = {big_number = '12345678901234567890'}",
                "r[#r + 1] = {verbatim_string = {format = 'txt', string = 'text'}}",
                "r[#r + 1] = #KEYS r[#r + 1] = ARGV",
                "r[#r + 1] = redis.pcall('nosuch')",
                "r[#r + 1] = redis.pcall('eval', 'return 1', 0)",
                "r[#r + 1] = redis.pcall('get')",
                "r[#r + 1] = redis.call('echo', 'x')",
                "r[#r + 1] = redis.call('ping')",
                "r[#r + 1] = redis.call('publish', 'nobody', 'x')",
                "r[#r + 1] = redis.call('time')[1] == redis.call('time')[1]",
                "x = 1",
                "r[#r + 1] = y",
                "table.sort(r, function(a, b) return tostring(a) < tostring(b) end) r = {#r}",
                "math.randomseed(7) r[#r + 1] = math.random(1000)",
                "redis.setresp(3)",
                "redis.setresp(2)",
                "r[#r + 1] = redis.call('dbsize')",
                "local k = redis.call('keys', '*') table.sort(k) r[#r + 1] = k",
                "r[#r + 1] = redis.pcall('blpop', 'never', 0)",
            ])
            .to_owned(),
        22 => format!(
            "local c = coroutine.wrap(function(...) coroutine.yield({}) return ... end) r[#r + 1] = c(5) r[#r + 1] = c()",
            call(draw, draft)
        ),
        _ => format!(
            "if {} then r[#r + 1] = {} end",
            call(draw, draft),
            call(draw, draft)
        ),
    };
    draft.text += &text;
}

/// A statement that tries one of the libraries on random values.
fn with_a_library(draw: &mut Draw, which: u8) -> String {
    match which {
        15 => {
            let value = literal(&draw.value());
            format!(
                "r[#r + 1] = cjson.encode({{{value}, {{a = {value}}}, {}}})",
                number(draw)
            )
        }
        16 => {
            let json = draw.pick(&[
                "[1,2,3]",
                "{\"a\":[1.5,null,true]}",
                "[1,",
                "nul",
                "\"\\u20ac\"",
                "[1e300]",
                "{\"a\":{\"b\":{}}}",
                "",
                " 5 ",
            ]);
            format!(
                "local ok, v = pcall(cjson.decode, {}) r[#r + 1] = ok r[#r + 1] = v == cjson.null or v",
                literal(json.as_bytes())
            )
        }
        17 => {
            let value = literal(&draw.value());
            let number = number(draw);
            format!(
                "local p = cmsgpack.pack({value}, {number}, {{{number}, {value}}}) r[#r + 1] = p r[#r + 1] = {{cmsgpack.unpack(p)}}"
            )
        }
        18 => {
            let format = draw.pick(&[">I4hd", "<bBs", "i2!4l", ">f", "c0", "q", "", "Bc3x"]);
            let value = literal(&draw.value());
            let number = number(draw);
            format!(
                "local ok, p = pcall(struct.pack, '{format}', {number}, {number}, {value}) r[#r + 1] = ok r[#r + 1] = p if ok then r[#r + 1] = {{pcall(struct.unpack, '{format}', p)}} end"
            )
        }
        _ => {
            let value = literal(&draw.value());
            let work = draw.pick(&[
                "string.len(v)",
                "string.rep(v, 3)",
                "string.sub(v, -2)",
                "string.upper(v)",
                "string.format('%q %5.1f %s', v, 1.25, v)",
                "string.gsub(v, '%d', 'n')",
                "{string.find(v, '(%a+)')}",
                "{string.byte(v, 1, -1)}",
                "string.reverse(v)",
                "redis.sha1hex(v)",
                "tonumber(v)",
                "tonumber(v, 16)",
                "#v",
                "v < 'm'",
                "v .. 1",
                "v + 1",
                "-v",
                "bit.bxor(tonumber(v) or 1, 255)",
                "bit.tohex(tonumber(v) or 1)",
                "math.floor(tonumber(v) or 1.5)",
                "{math.modf(tonumber(v) or 1.5)}",
            ]);
            format!("local v = {value} r[#r + 1] = {work}")
        }
    }
}

/// A call of a command that has one reply.
fn call(draw: &mut Draw, draft: &mut Draft) -> String {
    let family = draw.pick(&[
        string::draw,
        list::draw,
        hash::draw,
        set::draw,
        sorted_set::draw,
        stream::draw,
        bitmap::draw,
        hyperloglog::draw,
        geo::draw,
        keys::draw,
    ]);
    let drawn = (0..DRAWS_MAX)
        .map(|_| family(draw))
        .find(|command| command.compare == Compare::Exact)
        .unwrap_or_else(|| command("PING"));
    let drawn = if !drawn.rigid && draw.one_in(20) {
        draw.bent(drawn)
    } else {
        drawn
    };
    let words: Vec<String> = drawn
        .arguments
        .iter()
        .enumerate()
        .map(|(at, word)| argument(draw, draft, word, at > 0))
        .collect();
    let how = draw.pick(&["call", "pcall", "pcall", "pcall"]);
    format!("redis.{how}({})", words.join(", "))
}

/// A key, as a script names it.
fn key(draw: &mut Draw, draft: &mut Draft) -> String {
    let key = draw.key();
    argument(draw, draft, key.as_bytes(), true)
}

/// What stands for a word of a command: the text itself, or what was given with the script.
fn argument(draw: &mut Draw, draft: &mut Draft, word: &[u8], may_be_given: bool) -> String {
    let is_key = super::KEYS.iter().any(|key| key.as_bytes() == word);
    if may_be_given && is_key && draw.one_in(2) {
        let word = String::from_utf8_lossy(word).into_owned();
        let at = draft.keys.iter().position(|key| *key == word);
        let at = at.unwrap_or_else(|| {
            draft.keys.push(word);
            draft.keys.len() - 1
        });
        return format!("KEYS[{}]", at + 1);
    }
    if may_be_given && draw.one_in(6) {
        draft.args.push(word.to_vec());
        return format!("ARGV[{}]", draft.args.len());
    }
    let text = std::str::from_utf8(word).unwrap_or_default();
    if may_be_given && text.parse::<f64>().is_ok_and(f64::is_finite) && draw.one_in(2) {
        // A number is one, as Lua writes it.
        return format!("({})", text.trim_start_matches('+'));
    }
    literal(word)
}

/// A string of Lua.
fn literal(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            other => text += &format!("\\{other:03}"),
        }
    }
    text.push('\'');
    text
}

fn number(draw: &mut Draw) -> &'static str {
    draw.pick(&[
        "0", "1", "-1", "3.5", "-0.25", "255", "256", "-129", "65536", "2^31", "2^32", "2^53",
        "1e15", "1e300", "1/3", "-2^63", "0x7f",
    ])
}
