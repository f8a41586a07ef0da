//! Errors: tables `{err=, source=, line=, ignore_error_stats_update=}` in a script, a line of RESP
//! for its client.

use std::ffi::c_int;

use protocol::reply::{Reply, Version};

use crate::context::{Context, Halt};
use crate::state::{Frame, Kind, State};

/// The characters of an error that is no table which its client gets to see.
const FOREIGN_ERROR_MAX: usize = 100;

/// Pushes an error table. `text` is without a code: it gets `ERR`. May raise.
pub fn push(state: State, text: &[u8]) {
    state.push_table(0, 3);
    state.push_bytes(b"ERR ");
    state.push_bytes(text);
    state.concat(2);
    state.set_field(-2, c"err");
}

/// Pushes the table of an error that has a code, if it has two words. May raise.
pub fn push_coded(state: State, line: &[u8]) {
    if line.contains(&b' ') {
        state.push_table(0, 3);
        state.push_bytes(line);
        state.set_field(-2, c"err");
    } else {
        push(state, line);
    }
}

/// Raises an error table.
pub fn raise(state: State, text: &[u8]) -> ! {
    push(state, text);
    state.raise()
}

/// The frame of the function that raised an error, or of the one that called it where that is a
/// native one. `level` is that of the function that raised it.
pub fn origin(state: &State, level: c_int) -> Option<Frame<'_>> {
    match state.frame(level) {
        Some(frame) if frame.is_native => state.frame(level + 1),
        other => other,
    }
}

/// Lua's error handler: makes a table of the error, and notes where it was raised.
pub fn handle(state: State, context: &Context) -> c_int {
    state.set_top(1);
    describe(state, context);
    if state.kind(1) != Kind::Table {
        state.push_table(0, 3);
        state.push_bytes(b"ERR ");
        state.push_kept(context.kept.get().tostring);
        state.push_value(1);
        state.call(1, 1);
        state.concat(2);
        state.set_field(-2, c"err");
        state.replace(1);
    }
    if context.view(state, 1).is_some() {
        push_handler_error(state);
        return 1;
    }
    if let Some(frame) = origin(&state, 1) {
        state.push_bytes(frame.source.to_bytes());
        state.set_field(1, c"source");
        state.push_number(f64::from(frame.line));
        state.set_field(1, c"line");
    }
    1
}

/// Pushes the error of Redis's handler, which notes the place in the table that was raised, where
/// that one is read-only.
fn push_handler_error(state: State) {
    push(
        state,
        b"err_handler_def:10: Attempt to modify a readonly table",
    );
    state.push_bytes(b"@err_handler_def");
    state.set_field(-2, c"source");
    state.push_number(10.0);
    state.set_field(-2, c"line");
}

/// Replaces the error at the top, where a library in Rust has raised it, by its text. May raise.
pub fn describe(state: State, context: &Context) {
    if state.kind(-1) == Kind::Userdata {
        state.push_kept(context.kept.get().describe);
        state.insert(-2);
        state.call(1, 1);
    }
}

/// Writes the reply of a script that ended with the error at the top. May raise.
pub fn finish(state: State, context: &Context) {
    describe(state, context);
    if state.kind(-1) != Kind::Table {
        let text = state.bytes(-1).unwrap_or(b"execution failure");
        finish_foreign(context, text);
        return;
    }
    let at = state.top();
    state.push_bytes(b"ignore_error_stats_update");
    state.raw_get(at);
    context.counted.set(state.boolean(-1));
    state.push_bytes(b"err");
    state.raw_get(at);
    if !state.is_string(-1) {
        state.pop(1);
        state.push_bytes(b"ERR unknown error");
    }
    state.push_bytes(b"source");
    state.raw_get(at);
    state.push_bytes(b"line");
    state.raw_get(at);
    if state.is_string(-1) && state.is_string(-2) {
        // Number to string may raise, so before anything is borrowed.
        state.bytes(-1);
        state.bytes(-2);
        state.bytes(-3);
        finish_placed(&state, context);
    } else if let Some(text) = state.bytes(-3) {
        write(context, &[c_text(text)]);
    }
    state.set_top(at - 1);
}

/// With `err`, `source` and `line` at the top.
fn finish_placed(state: &State, context: &Context) {
    let [text, source, line] =
        [-3, -2, -1].map(|index| c_text(state.bytes(index).unwrap_or_default()));
    let name = context.name.borrow();
    let parts = [
        text,
        b" script: ",
        &name,
        b", on ",
        source,
        b":",
        line,
        b".",
    ];
    write(context, &parts);
}

/// Writes the reply of a script that had to end.
pub fn finish_halted(context: &Context) {
    let error = context.halt_error.borrow();
    let text: &[u8] = match context.halt.get() {
        Halt::Killed => &error,
        _ => b"ERR The script was given up",
    };
    let place = context.halt_place.borrow();
    let name = context.name.borrow();
    if place.source.is_empty() {
        return write(context, &[text]);
    }
    let line = place.line.to_string();
    let line = line.as_bytes();
    let parts = [
        text,
        b" script: ",
        &name,
        b", on ",
        &place.source,
        b":",
        line,
        b".",
    ];
    write(context, &parts);
}

/// Writes the reply of a call that was refused before it ran.
pub fn finish_refused(context: &Context) {
    let refusal = context.refusal.borrow();
    write(context, &[refusal.as_deref().unwrap_or_default()]);
}

/// Makes the error at the top, of a script that does not compile, the refusal.
pub fn refuse_script(state: State, context: &Context) {
    let text = state.bytes(-1).unwrap_or(b"not enough memory");
    let whole = [b"ERR Error compiling script (new function): ", text].concat();
    *context.refusal.borrow_mut() = Some(trim(whole));
}

/// Writes the reply of an error that is no table: memory that is short, an error in an error
/// handler.
pub fn finish_foreign(context: &Context, text: &[u8]) {
    let text = &text[..text.len().min(FOREIGN_ERROR_MAX)];
    let name = context.name.borrow();
    let parts = [b"ERR Error running script ".as_slice(), &name, b", ", text];
    write(context, &parts);
}

/// A text as far as C reads it.
pub fn c_text(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(text.len());
    &text[..end]
}

/// Writes an error of several pieces; line ends become blanks.
fn write(context: &Context, parts: &[&[u8]]) {
    let mut out = context.reply.borrow_mut();
    out.clear();
    Reply::new(&mut out, Version::Resp2).error(trim(parts.concat()));
}

/// Without line ends behind it.
fn trim(mut text: Vec<u8>) -> Vec<u8> {
    while matches!(text.last(), Some(b'\r' | b'\n')) {
        text.pop();
    }
    text
}
