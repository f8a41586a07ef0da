//! The table `redis`.

use std::ffi::c_int;

use protocol::number;
use protocol::reply::Version;
use sha1::{Digest, Sha1};

use crate::ask::{Next, ask, raise_halt, tell};
use crate::context::{Context, Halt, Mode};
use crate::convert;
use crate::errors;
use crate::script::hex;
use crate::state::{Kind, State};
use crate::step::{Answer, LogLevel, Step};

/// The levels of `redis.log`.
pub const LOG_LEVELS: [(&std::ffi::CStr, f64); 4] = [
    (c"LOG_DEBUG", 0.0),
    (c"LOG_VERBOSE", 1.0),
    (c"LOG_NOTICE", 2.0),
    (c"LOG_WARNING", 3.0),
];

/// The flags of `redis.set_repl`: 1 is the log, 2 the replicas.
pub const REPL_FLAGS: [(&std::ffi::CStr, f64); 5] = [
    (c"REPL_NONE", 0.0),
    (c"REPL_AOF", 1.0),
    (c"REPL_SLAVE", 2.0),
    (c"REPL_REPLICA", 2.0),
    (c"REPL_ALL", 3.0),
];

/// Raises unless a script runs, and is to go on.
fn need_running(state: State, context: &Context, name: &[u8]) {
    if context.halt.get() != Halt::No {
        raise_halt(state, context);
    }
    if context.mode.get() != Mode::Running {
        state.push_bytes(b"ERR redis.");
        state.push_bytes(name);
        state.push_bytes(b" can only be called inside a script invocation");
        state.concat(3);
        state.push_table(0, 3);
        state.insert(-2);
        state.set_field(-2, c"err");
        state.raise();
    }
}

/// `redis.call(...)`: the reply; raises where that is an error.
pub fn call(state: State, context: &Context) -> c_int {
    run(state, context, true)
}

/// `redis.pcall(...)`: the reply.
pub fn pcall(state: State, context: &Context) -> c_int {
    run(state, context, false)
}

#[inline]
fn run(state: State, context: &Context, raises: bool) -> c_int {
    need_running(state, context, b"call");
    let failed = match take_command(&state, context) {
        Err(text) => {
            errors::push(state, text);
            true
        }
        Ok(()) => {
            state.set_top(0);
            let version = context.version.get();
            let next = ask(context, Step::Command, |answer| match answer {
                Answer::Reply(reply) => Next::Value(convert::push_reply(state, reply, version)),
                _ => Next::Value(convert::push_reply(state, b"-ERR no reply\r\n", version)),
            });
            match next {
                Next::Value(is_error) => is_error,
                Next::Nothing | Next::Halt => raise_halt(state, context),
            }
        }
    };
    if failed && raises {
        state.raise();
    }
    1
}

/// Makes the function's arguments the command. Raises nothing.
fn take_command(state: &State, context: &Context) -> Result<(), &'static [u8]> {
    let count = state.top();
    if count == 0 {
        return Err(b"Please specify at least one argument for this redis lib call");
    }
    let mut command = context.command.take().unwrap_or_default();
    command.clear();
    let mut is_whole = true;
    for index in 1..=count {
        match state.kind(index) {
            Kind::String => command.push(state.bytes(index).unwrap_or_default()),
            Kind::Number => push_number(state.number(index), |text| command.push(text)),
            _ => {
                is_whole = false;
                break;
            }
        }
    }
    context.command.set(Some(command));
    if is_whole {
        Ok(())
    } else {
        Err(b"Lua redis lib command arguments must be strings or integers")
    }
}

/// A number as the text of an argument: whole ones up to half of the 64-bit range have all their
/// digits.
fn push_number(value: f64, push: impl FnOnce(&[u8])) {
    const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;
    if value.abs() <= WHOLE_MAX && value.trunc() == value {
        push(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if value.is_nan() && value.is_sign_negative() {
        push(b"-nan");
    } else {
        push(number::format_shortest(value).as_bytes());
    }
}

/// `redis.acl_check_cmd(...)`: whether the client may run a command.
pub fn acl_check_cmd(state: State, context: &Context) -> c_int {
    need_running(state, context, b"acl_check_cmd");
    if let Err(text) = take_command(&state, context) {
        errors::raise(state, text);
    }
    state.set_top(0);
    let next = ask(context, Step::MayRun, |answer| match answer {
        Answer::Allowed(Some(allowed)) => {
            state.push_boolean(allowed);
            Next::Value(false)
        }
        _ => {
            errors::push(state, b"Invalid command passed to redis.acl_check_cmd()");
            Next::Value(true)
        }
    });
    match next {
        Next::Value(false) => 1,
        Next::Value(true) => state.raise(),
        Next::Nothing | Next::Halt => raise_halt(state, context),
    }
}

/// Whether the function has one argument, a string; else it gets an error table instead.
fn one_string(state: State) -> bool {
    let is_one = state.top() == 1 && state.kind(1) == Kind::String;
    if !is_one {
        errors::push(state, b"wrong number or type of arguments");
    }
    is_one
}

/// `redis.status_reply(text)`: `{ok=text}`
pub fn status_reply(state: State, _: &Context) -> c_int {
    if one_string(state) {
        state.push_table(0, 1);
        state.push_value(1);
        state.set_field(-2, c"ok");
    }
    1
}

/// `redis.error_reply(text)`: `{err=text}`, with `ERR` before a text of one word.
pub fn error_reply(state: State, _: &Context) -> c_int {
    if one_string(state) {
        let text = errors::c_text(state.bytes(1).unwrap_or_default());
        let text = text.strip_prefix(b"-").unwrap_or(text);
        let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        errors::push_coded(state, &text[..end.map_or(0, |end| end + 1)]);
    }
    1
}

/// `redis.sha1hex(text)`
pub fn sha1hex(state: State, _: &Context) -> c_int {
    if state.top() != 1 {
        errors::raise(state, b"wrong number of arguments");
    }
    let digest = Sha1::digest(state.bytes(1).unwrap_or_default());
    state.push_bytes(&hex(&digest.into()));
    1
}

/// `redis.log(level, text, ...)`
pub fn log(state: State, context: &Context) -> c_int {
    let count = state.top();
    if count < 2 {
        errors::raise(state, b"redis.log() requires two arguments or more.");
    }
    if !state.is_number(1) {
        errors::raise(state, b"First argument must be a number (log level).");
    }
    let level = match convert::truncate(state.number(1)) {
        0 => LogLevel::Debug,
        1 => LogLevel::Verbose,
        2 => LogLevel::Notice,
        3 => LogLevel::Warning,
        _ => errors::raise(state, b"Invalid log level."),
    };
    for index in 2..=count {
        // Numbers become strings, which may raise, before anything is gathered.
        state.bytes(index);
    }
    if context.mode.get() == Mode::Running {
        need_running(state, context, b"log");
        let step = Step::Log(level, log_line(&state, count));
        tell(state, context, step);
    }
    0
}

/// The arguments but the first, with spaces between.
fn log_line(state: &State, count: c_int) -> Vec<u8> {
    let mut line = Vec::new();
    for index in 2..=count {
        if let Some(text) = state.bytes(index) {
            if index != 2 {
                line.push(b' ');
            }
            line.extend_from_slice(text);
        }
    }
    line
}

/// `redis.setresp(2 or 3)`
pub fn setresp(state: State, context: &Context) -> c_int {
    need_running(state, context, b"setresp");
    if state.top() != 1 {
        errors::raise(state, b"redis.setresp() requires one argument.");
    }
    context
        .version
        .set(match convert::truncate(state.number(1)) {
            2 => Version::Resp2,
            3 => Version::Resp3,
            _ => errors::raise(state, b"RESP version must be 2 or 3."),
        });
    0
}

/// `redis.set_repl(flags)`
pub fn set_repl(state: State, context: &Context) -> c_int {
    need_running(state, context, b"set_repl");
    if state.top() != 1 {
        errors::raise(state, b"redis.set_repl() requires one argument.");
    }
    let flags = convert::truncate(state.number(1));
    if flags & !3 != 0 {
        let text = b"Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        errors::raise(state, text);
    }
    let step = Step::Propagate {
        log: flags & 1 != 0,
        replicas: flags & 2 != 0,
    };
    tell(state, context, step);
    0
}

/// `redis.replicate_commands()`: true; effects are replicated always.
pub fn replicate_commands(state: State, _: &Context) -> c_int {
    state.push_boolean(true);
    1
}

/// `redis.breakpoint()`: false; there is no debugger.
pub fn breakpoint(state: State, _: &Context) -> c_int {
    state.push_boolean(false);
    1
}

/// `redis.debug(...)`: nothing; there is no debugger.
pub fn debug(_: State, _: &Context) -> c_int {
    0
}
