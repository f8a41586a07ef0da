//! Values from RESP to Lua, and back.
//!
//! Of a command's reply: integers are numbers, bulk strings strings, arrays tables; a status is
//! `{ok=}`, an error `{err=}`, no value is false. In RESP3 also: no value is nil, booleans are
//! booleans, a map is `{map=}`, a set `{set=}` with its members as keys, a double `{double=}`, a
//! big number `{big_number=}`, a verbatim string `{verbatim_string={format=, string=}}`; attributes
//! are left out.

use std::ffi::c_int;

use protocol::number;
use protocol::reply::{Reply, Version};

use crate::context::Context;
use crate::errors::{self, c_text};
use crate::state::{Kind, State};

/// Pushes the value of one whole reply of this version; true where it is an error. May raise.
#[inline]
pub fn push_reply(state: State, reply: &[u8], version: Version) -> bool {
    push_element(state, reply, version);
    reply.first() == Some(&b'-')
}

/// One line's text without its kind, and what is behind it.
#[inline]
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|&byte| byte == b'\r')
        .unwrap_or(bytes.len());
    let rest = bytes.get(end + 2..).unwrap_or_default();
    (bytes.get(1..end).unwrap_or_default(), rest)
}

/// The length that a header has; None of -1.
#[inline]
fn length(text: &[u8]) -> Option<usize> {
    let mut length = 0usize;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        length = length
            .wrapping_mul(10)
            .wrapping_add(usize::from(byte - b'0'));
    }
    Some(length)
}

/// Pushes the first value in `bytes` and returns what is behind it. May raise.
fn push_element(state: State, bytes: &[u8], version: Version) -> &[u8] {
    let Some(&kind) = bytes.first() else {
        state.push_nil();
        return bytes;
    };
    let (text, rest) = line(bytes);
    match kind {
        b'$' => match length(text) {
            Some(length) => {
                state.push_bytes(rest.get(..length).unwrap_or_default());
                rest.get(length + 2..).unwrap_or_default()
            }
            None => {
                state.push_boolean(false);
                rest
            }
        },
        b':' => {
            let value = number::parse_int(text).unwrap_or_default();
            state.push_number(value as f64);
            rest
        }
        b'+' => push_field(state, c"ok", text, rest),
        b'-' => {
            errors::push_coded(state, text);
            state.push_boolean(true);
            state.set_field(-2, c"ignore_error_stats_update");
            rest
        }
        b'*' | b'>' => match length(text) {
            Some(length) => push_array(state, length, rest, version),
            None => {
                state.push_boolean(false);
                rest
            }
        },
        _ => push_resp3(state, kind, text, rest),
    }
}

/// Pushes a value of a kind that RESP3 alone has, and returns what is behind it. `text` is its
/// first line without the kind, `rest` what is behind that. May raise.
fn push_resp3<'a>(state: State, kind: u8, text: &[u8], mut rest: &'a [u8]) -> &'a [u8] {
    let count = || length(text).unwrap_or(0);
    match kind {
        b'%' => return push_map(state, count(), rest),
        b'~' => return push_set(state, count(), rest),
        b'|' => {
            for _ in 0..count().saturating_mul(2) {
                rest = push_element(state, rest, Version::Resp3);
                state.pop(1);
            }
            return push_element(state, rest, Version::Resp3);
        }
        b'(' => return push_field(state, c"big_number", text, rest),
        b'=' => return push_verbatim(state, count(), rest),
        b'!' => {
            errors::push_coded(state, rest.get(..count()).unwrap_or_default());
            return rest.get(count() + 2..).unwrap_or_default();
        }
        b'#' => state.push_boolean(text == b"t"),
        b',' => {
            state.push_table(0, 1);
            state.push_number(double(text));
            state.set_field(-2, c"double");
        }
        // `_`, and what is no kind.
        _ => state.push_nil(),
    }
    rest
}

/// A double as RESP3 has it.
fn double(text: &[u8]) -> f64 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().unwrap_or(0.0)
}

fn push_field<'a>(state: State, name: &std::ffi::CStr, text: &[u8], rest: &'a [u8]) -> &'a [u8] {
    state.push_table(0, 1);
    state.push_bytes(text);
    state.set_field(-2, name);
    rest
}

/// Raises where replies are nested too deep.
fn need_room(state: State) {
    if !state.room(8) {
        errors::raise(state, b"reached lua stack limit");
    }
}

fn push_array(state: State, length: usize, mut rest: &[u8], version: Version) -> &[u8] {
    need_room(state);
    // In RESP3 an element may be nil: where a table's border is then tells that Redis makes none
    // of them room.
    let room = match version {
        Version::Resp2 => length.min(rest.len()),
        Version::Resp3 => 0,
    };
    state.push_table(room, 0);
    for number in 1..=c_int::try_from(length).unwrap_or(c_int::MAX) {
        if rest.is_empty() {
            break;
        }
        rest = push_element(state, rest, version);
        state.raw_set_at(-2, number);
    }
    rest
}

fn push_map(state: State, pairs: usize, mut rest: &[u8]) -> &[u8] {
    need_room(state);
    state.push_table(0, 1);
    // No room, as in Redis: `pairs` shows in which order a table has grown.
    state.push_table(0, 0);
    for _ in 0..pairs {
        rest = push_element(state, rest, Version::Resp3);
        rest = push_element(state, rest, Version::Resp3);
        state.raw_set(-3);
    }
    state.set_field(-2, c"map");
    rest
}

fn push_set(state: State, members: usize, mut rest: &[u8]) -> &[u8] {
    need_room(state);
    state.push_table(0, 1);
    state.push_table(0, 0);
    for _ in 0..members {
        rest = push_element(state, rest, Version::Resp3);
        state.push_boolean(true);
        state.raw_set(-3);
    }
    state.set_field(-2, c"set");
    rest
}

fn push_verbatim(state: State, length: usize, rest: &[u8]) -> &[u8] {
    let text = rest.get(..length).unwrap_or_default();
    state.push_table(0, 1);
    state.push_table(0, 2);
    state.push_bytes(text.get(4..).unwrap_or_default());
    state.set_field(-2, c"string");
    state.push_bytes(text.get(..3).unwrap_or_default());
    state.set_field(-2, c"format");
    state.set_field(-2, c"verbatim_string");
    rest.get(length + 2..).unwrap_or_default()
}

/// Writes the reply that the value at the top stands for. May raise where that is a table.
pub fn write_reply(state: State, context: &Context) {
    context.reply.borrow_mut().clear();
    if state.kind(-1) != Kind::Table {
        write_scalar(state, context);
        return;
    }
    state.push_bytes(b"err");
    state.raw_get(-2);
    let is_error = state.kind(-1) == Kind::String;
    state.pop(1);
    if is_error {
        context.failed.set(true);
        state.push_bytes(b"ignore_error_stats_update");
        state.raw_get(-2);
        context.counted.set(state.boolean(-1));
        state.pop(1);
    }
    write_value(state, context);
}

/// Appends to the reply.
#[inline]
fn out(context: &Context, write: impl FnOnce(&mut Reply<'_>)) {
    let mut bytes = context.reply.borrow_mut();
    write(&mut Reply::new(&mut bytes, context.client_version.get()));
}

/// Its frame is small: it recurses.
fn write_value(state: State, context: &Context) {
    if !state.room(4) {
        out(context, |reply| reply.error(b"ERR reached lua stack limit"));
        state.pop(1);
        return;
    }
    if state.kind(-1) != Kind::Table {
        write_scalar(state, context);
    } else if !write_special(state, context) {
        match nested(state) {
            Nested::Array => write_array(state, context),
            Nested::Map => write_pairs(state, context, true),
            Nested::Set => write_pairs(state, context, false),
        }
    }
    state.pop(1);
}

#[inline(never)]
fn write_scalar(state: State, context: &Context) {
    match state.kind(-1) {
        Kind::String => {
            let text = state.bytes(-1).unwrap_or_default();
            out(context, |reply| reply.bulk(text));
        }
        Kind::Boolean => write_boolean(state.boolean(-1), context),
        Kind::Number => {
            let number = state.number(-1);
            out(context, |reply| reply.integer(truncate(number)));
        }
        _ => out(context, |reply| reply.null()),
    }
}

/// A boolean is one only for a script that has asked for RESP3; else true is 1, false no value.
fn write_boolean(value: bool, context: &Context) {
    out(context, |reply| match (context.version.get(), value) {
        (Version::Resp3, value) => reply.boolean(value),
        (Version::Resp2, true) => reply.integer(1),
        (Version::Resp2, false) => reply.null(),
    });
}

/// A number without its fraction, as C casts it: what does not fit is the smallest one.
pub fn truncate(number: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// Pushes a field of the table at `index`, and says what it is.
fn raw_field(state: State, index: c_int, name: &[u8]) -> Kind {
    state.push_bytes(name);
    state.raw_get(index);
    state.kind(-1)
}

/// Writes a table that stands for one value; false where it stands for a list.
#[inline(never)]
fn write_special(state: State, context: &Context) -> bool {
    let table = state.top();
    let written = write_special_above(state, context, table);
    state.set_top(table);
    written
}

/// Likewise, and leaves values above the table. It pushes at most three.
fn write_special_above(state: State, context: &Context, table: c_int) -> bool {
    let text = |state: &State, write: &dyn Fn(&[u8])| write(state.bytes(-1).unwrap_or_default());
    if raw_field(state, table, b"err") == Kind::String {
        text(&state, &|text| write_error(context, c_text(text)));
        return true;
    }
    state.pop(1);
    if raw_field(state, table, b"ok") == Kind::String {
        text(&state, &|text| write_line(context, b'+', c_text(text)));
        return true;
    }
    state.pop(1);
    if raw_field(state, table, b"double") == Kind::Number {
        let number = state.number(-1);
        out(context, |reply| reply.double(number));
        return true;
    }
    state.pop(1);
    if raw_field(state, table, b"big_number") == Kind::String {
        text(&state, &|digits| write_big_number(context, digits));
        return true;
    }
    state.pop(1);
    let verbatim = table + 1;
    if raw_field(state, table, b"verbatim_string") == Kind::Table
        && raw_field(state, verbatim, b"format") == Kind::String
        && raw_field(state, verbatim, b"string") == Kind::String
    {
        write_verbatim(&state, context);
        return true;
    }
    false
}

enum Nested {
    Array,
    Map,
    Set,
}

/// What list the table at the top is. A map or set is pushed.
#[inline(never)]
fn nested(state: State) -> Nested {
    let table = state.top();
    if raw_field(state, table, b"map") == Kind::Table {
        return Nested::Map;
    }
    state.pop(1);
    if raw_field(state, table, b"set") == Kind::Table {
        return Nested::Set;
    }
    state.set_top(table);
    Nested::Array
}

/// Writes the list at the top, up to its first nil.
fn write_array(state: State, context: &Context) {
    let count = array_length(state);
    out(context, |reply| reply.array(count));
    for number in 1..=count {
        state.raw_get_at(-1, number as c_int);
        write_value(state, context);
    }
}

#[inline(never)]
fn array_length(state: State) -> usize {
    let mut count = 0;
    loop {
        state.raw_get_at(-1, count + 1);
        let is_end = state.kind(-1) == Kind::Nil;
        state.pop(1);
        if is_end || count == c_int::MAX - 1 {
            return count as usize;
        }
        count += 1;
    }
}

/// Writes the map or set at the top, and pops it.
fn write_pairs(state: State, context: &Context, is_map: bool) {
    write_pairs_header(state, context, is_map);
    state.push_nil();
    while state.next(-2) {
        if is_map {
            state.push_value(-2);
            write_value(state, context);
            write_value(state, context);
        } else {
            state.pop(1);
            state.push_value(-1);
            write_value(state, context);
        }
    }
    state.pop(1);
}

#[inline(never)]
fn write_pairs_header(state: State, context: &Context, is_map: bool) {
    let mut count = 0;
    state.push_nil();
    while state.next(-2) {
        state.pop(1);
        count += 1;
    }
    out(context, |reply| {
        if is_map {
            reply.map(count);
        } else {
            reply.set(count);
        }
    });
}

/// Line ends become blanks.
fn one_line(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().map(|&byte| match byte {
        b'\r' | b'\n' => b' ',
        other => other,
    })
}

fn write_line(context: &Context, kind: u8, text: &[u8]) {
    let mut out = context.reply.borrow_mut();
    out.push(kind);
    out.extend(one_line(text));
    out.extend_from_slice(b"\r\n");
}

/// An error; line ends behind it fall away.
fn write_error(context: &Context, text: &[u8]) {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    write_line(context, b'-', &text[..end.map_or(0, |end| end + 1)]);
}

fn write_big_number(context: &Context, digits: &[u8]) {
    match context.client_version.get() {
        Version::Resp3 => write_line(context, b'(', digits),
        Version::Resp2 => {
            let mut bytes = context.reply.borrow_mut();
            Reply::new(&mut bytes, Version::Resp2).bulk_header(digits.len());
            bytes.extend(one_line(digits));
            bytes.extend_from_slice(b"\r\n");
        }
    }
}

/// With the format and the text at the top. A format of less than three letters is filled up.
fn write_verbatim(state: &State, context: &Context) {
    let [format, text] = [-2, -1].map(|index| state.bytes(index).unwrap_or_default());
    let mut bytes = context.reply.borrow_mut();
    match context.client_version.get() {
        Version::Resp2 => Reply::new(&mut bytes, Version::Resp2).bulk(text),
        Version::Resp3 => {
            let letters = c_text(format).iter().chain(std::iter::repeat(&b' '));
            bytes.push(b'=');
            bytes.extend_from_slice(itoa::Buffer::new().format(text.len() + 4).as_bytes());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend(letters.take(3));
            bytes.push(b':');
            bytes.extend_from_slice(text);
            bytes.extend_from_slice(b"\r\n");
        }
    }
}
