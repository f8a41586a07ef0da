//! Lua's own functions, where Redis's differ: they respect read-only tables, take no compiled code,
//! show errors as texts, and draw random numbers from a generator of Redis's.

use std::ffi::c_int;

use crate::context::{Context, Halt, Mode};
use crate::errors;
use crate::random::Random;
use crate::state::{ALL, Kind, State, Status, upvalue};

/// The error of whoever writes to a read-only table.
const READ_ONLY: &[u8] = b"Attempt to modify a readonly table";

/// The longest pattern. Matching recurses for each item of one.
const PATTERN_BYTES_MAX: usize = 10_000;

/// More results than one function's stack takes.
const UNPACKED_MAX: i64 = 8000;

/// `__newindex` of a read-only view.
pub fn refuse(state: State, _: &Context) -> c_int {
    state.fail(READ_ONLY)
}

/// Raises as Redis's C functions do: without a place.
fn raise_read_only(state: State) -> ! {
    state.push_bytes(READ_ONLY);
    state.raise()
}

/// `__index` of globals.
pub fn nonexistent(state: State, _: &Context) -> c_int {
    let name = state.bytes(2).unwrap_or(b"(null)");
    state.push_bytes(b"Script attempted to access nonexistent global variable '");
    state.push_bytes(name);
    state.push_bytes(b"'");
    state.concat(3);
    let text = state.bytes(-1).unwrap_or_default();
    state.fail(text)
}

/// Puts the table in the place of its view, where the argument is one.
#[inline]
pub fn look_through(state: State, context: &Context, argument: c_int) {
    if let Some(view) = context.view(state, argument) {
        state.push_kept(view.table);
        state.replace(argument);
    }
}

/// `next(table [, key])`
pub fn next(state: State, context: &Context) -> c_int {
    state.check_table(1);
    state.set_top(2);
    look_through(state, context, 1);
    if state.next(1) {
        2
    } else {
        state.push_nil();
        1
    }
}

/// `pairs(table)`; the upvalue is [`next`].
pub fn pairs(state: State, _: &Context) -> c_int {
    state.check_table(1);
    state.push_value(upvalue(1));
    state.push_value(1);
    state.push_nil();
    3
}

/// `rawget(table, key)`
pub fn rawget(state: State, context: &Context) -> c_int {
    state.check_table(1);
    state.check_any(2);
    state.set_top(2);
    look_through(state, context, 1);
    state.raw_get(1);
    1
}

/// `rawset(table, key, value)`
pub fn rawset(state: State, context: &Context) -> c_int {
    state.check_table(1);
    state.check_any(2);
    state.check_any(3);
    state.set_top(3);
    if context.view(state, 1).is_some() {
        raise_read_only(state);
    }
    state.raw_set(1);
    1
}

/// `setmetatable(table, metatable)`
pub fn setmetatable(state: State, context: &Context) -> c_int {
    state.check_table(1);
    if context.view(state, 1).is_some() {
        if !matches!(state.kind(2), Kind::Nil | Kind::Table) {
            state.bad_argument(2, c"nil or table expected");
        }
        raise_read_only(state);
    }
    state.call_original(1)
}

/// `getmetatable(value)`
pub fn getmetatable(state: State, context: &Context) -> c_int {
    state.check_any(1);
    match state.kind(1) {
        Kind::String => {
            state.push_kept(context.kept.get().string_meta_view);
            1
        }
        // Finalizers would run in the midst of other scripts.
        Kind::Userdata => {
            state.push_nil();
            1
        }
        _ => match context.view(state, 1) {
            Some(view) => {
                match view.meta {
                    Some(meta) => state.push_kept(meta),
                    None => state.push_nil(),
                }
                1
            }
            None => state.call_original(1),
        },
    }
}

/// `table.insert(table, [at,] value)`
pub fn table_insert(state: State, context: &Context) -> c_int {
    if matches!(state.top(), 2 | 3) && context.view(state, 1).is_some() {
        raise_read_only(state);
    }
    state.call_original(1)
}

/// A function of the library `table` that only reads.
pub fn table_read(state: State, context: &Context) -> c_int {
    if state.kind(1) == Kind::Table {
        look_through(state, context, 1);
    }
    state.call_original(1)
}

/// An argument as a C int, or `default` where there is none.
fn int_or(state: State, argument: c_int, default: impl FnOnce() -> i64) -> i64 {
    match state.kind(argument) {
        Kind::None | Kind::Nil => default(),
        _ => i64::from(state.check_int(argument)),
    }
}

/// `unpack(list [, from [, to]])`
pub fn unpack(state: State, _: &Context) -> c_int {
    state.check_table(1);
    let from = int_or(state, 2, || 1);
    let to = int_or(state, 3, || state.length(1) as i64);
    if to - from >= UNPACKED_MAX {
        state.fail(b"too many results to unpack");
    }
    state.call_original(1)
}

/// A function of the library `string` that matches a pattern, its second argument.
pub fn matching(state: State, _: &Context) -> c_int {
    if state.kind(2) == Kind::String && state.length(2) > PATTERN_BYTES_MAX {
        state.fail(b"pattern too complex");
    }
    state.call_original(1)
}

/// `pcall(function, ...)`: as Lua's, but of an error table the text alone is shown.
pub fn pcall(state: State, context: &Context) -> c_int {
    if state.top() == 0 {
        state.push_boolean(false);
        state.push_bytes(b"attempt to call a boolean value");
        return 2;
    }
    let arguments = state.top() - 1;
    // Results may fill the stack, so that the place of the first is taken before.
    state.push_boolean(true);
    state.insert(1);
    if state.protected_call(arguments, ALL, 0) == Status::Done {
        return state.top();
    }
    state.remove(1);
    // The error may be that memory is short.
    context.keep_within_memory(state);
    errors::describe(state, context);
    if state.kind(-1) == Kind::Table {
        state.get_field(-1, c"err");
        if state.is_string(-1) {
            state.remove(-2);
        }
    }
    state.push_boolean(false);
    state.insert(1);
    state.top()
}

/// `xpcall(function, handler)`: the handler sees errors of Rust libraries as texts.
pub fn xpcall(state: State, context: &Context) -> c_int {
    state.check_any(2);
    state.set_top(2);
    state.push_native(context, handle_described, 1);
    state.insert(1);
    state.push_boolean(true);
    state.insert(2);
    if state.protected_call(0, ALL, 1) == Status::Failed {
        state.push_boolean(false);
        state.replace(2);
    }
    state.remove(1);
    state.top()
}

/// The handler in the upvalue, which sees no userdata. It does not run in a script that has to end:
/// there no hook could end the handler, since it is called by a hook.
fn handle_described(state: State, context: &Context) -> c_int {
    state.set_top(1);
    if context.halt.get() != Halt::No {
        return 1;
    }
    errors::describe(state, context);
    state.push_value(upvalue(1));
    state.insert(1);
    state.call(1, 1);
    1
}

/// `coroutine.resume(coroutine, ...)`
pub fn resume(state: State, context: &Context) -> c_int {
    let results = state.call_original(1);
    if results == 2 && !state.boolean(-2) {
        errors::describe(state, context);
    }
    results
}

/// What `load` and `loadstring` return: the function, or nil and the error.
fn loaded(state: State, status: Status) -> c_int {
    match status {
        Status::Done => 1,
        Status::Failed => {
            state.push_nil();
            state.insert(-2);
            2
        }
    }
}

/// `loadstring(text [, name])`
pub fn loadstring(state: State, _: &Context) -> c_int {
    state.check_string(1);
    if matches!(state.kind(2), Kind::None | Kind::Nil) {
        state.set_top(1);
        state.push_value(1);
    }
    state.check_string(2);
    let status = state.load_at();
    loaded(state, status)
}

/// `load(function [, name])`
pub fn load(state: State, _: &Context) -> c_int {
    let is_named = !matches!(state.kind(2), Kind::None | Kind::Nil);
    if is_named {
        state.check_string(2);
    }
    state.check_function(1);
    state.set_top(3);
    if !is_named {
        state.push_bytes(b"=(load)");
        state.replace(2);
    }
    let status = state.load_pieces();
    loaded(state, status)
}

/// `setfenv(function, table)`
pub fn setfenv(state: State, context: &Context) -> c_int {
    context.environment_touched.set(true);
    state.call_original(1)
}

/// `collectgarbage(what [, number])`
pub fn collectgarbage(state: State, context: &Context) -> c_int {
    context.collector_touched.set(true);
    state.call_original(1)
}

/// `math.random([m [, n]])`
pub fn random(state: State, context: &Context) -> c_int {
    if context.mode.get() != Mode::Running {
        state.fail(b"math.random can only be called inside a script invocation");
    }
    let mut random = context.random.get();
    let fraction = f64::from(random.next() % i32::MAX) / f64::from(i32::MAX);
    context.random.set(random);
    match state.top() {
        0 => state.push_number(fraction),
        1 => {
            let upper = state.check_int(1);
            if upper < 1 {
                state.bad_argument(1, c"interval is empty");
            }
            state.push_number((fraction * f64::from(upper)).floor() + 1.0);
        }
        2 => {
            let lower = state.check_int(1);
            let upper = state.check_int(2);
            if lower > upper {
                state.bad_argument(2, c"interval is empty");
            }
            let width = upper.wrapping_sub(lower).wrapping_add(1);
            state.push_number((fraction * f64::from(width)).floor() + f64::from(lower));
        }
        _ => state.fail(b"wrong number of arguments"),
    }
    1
}

/// `math.randomseed(x)`
pub fn randomseed(state: State, context: &Context) -> c_int {
    if context.mode.get() != Mode::Running {
        state.fail(b"math.randomseed can only be called inside a script invocation");
    }
    context.random.set(Random::seeded(state.check_int(1)));
    0
}
