//! Libraries of functions: what their first line says, and what their code registers when it is
//! loaded.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Arc;

use protocol::args::Args;

use crate::ask::{on_instructions, raise_halt};
use crate::builtins;
use crate::context::{Context, Halt, Loaded, Mode};
use crate::errors;
use crate::library::{Function, Library};
use crate::script::{FirstLine, ScriptFlags, code_of, first_line, with_words};
use crate::state::{GLOBALS, Kind, State, Status};

/// The instructions that loading may take: about Redis's half a second.
const LOAD_TICKS_MAX: u32 = 500;
const LOAD_TICK_INSTRUCTIONS: u32 = 100_000;

/// The libraries that one machine keeps loaded.
const LIBRARIES_MAX: usize = 1000;

/// The name in a library's first line. The error is without a code.
pub fn name_of(source: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let line = match first_line(source) {
        FirstLine::None => return Err(b"Missing library metadata".to_vec()),
        FirstLine::Unended => return Err(b"Invalid library metadata".to_vec()),
        FirstLine::Line(line) => line,
    };
    with_words(line, read_name).unwrap_or_else(|| Err(b"Invalid library metadata".to_vec()))
}

fn read_name(words: Args<'_>) -> Result<Vec<u8>, Vec<u8>> {
    let mut name = None;
    for word in words.tail(1) {
        let value = match word.split_at_checked(5) {
            Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => value,
            _ => return Err([b"Invalid metadata value given: ", word].concat()),
        };
        if name.replace(value).is_some() {
            let text = b"Invalid metadata value, name argument was given multiple times";
            return Err(text.to_vec());
        }
    }
    let name = name.ok_or(b"Library name was not given")?;
    check_name(name)?;
    let engine = words
        .get(0)
        .unwrap_or_default()
        .get(2..)
        .unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"Engine '", engine, b"' not found"].concat());
    }
    Ok(name.to_vec())
}

/// Whether a library or function may have this name.
fn check_name(name: &[u8]) -> Result<(), &'static [u8]> {
    let is_valid = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && name.iter().all(is_valid) {
        return Ok(());
    }
    Err(
        b"Library names can only contain letters, numbers, or underscores(_) and must be at \
          least one character long",
    )
}

/// Loads a library into the registry, and returns what it is. The error is whole, with its code.
pub fn load(context: &Context, code: &[u8], generation: u64) -> Result<Arc<Library>, Vec<u8>> {
    let coded = |text: Vec<u8>| [b"ERR ", &text[..]].concat();
    let name = name_of(code).map_err(coded)?;
    let main = context.main.get().expect("a machine that was made");
    let before = main.memory_bytes();
    // The last call may have been ended.
    context.halt.set(Halt::No);
    context.registered.borrow_mut().clear();
    *context.refusal.borrow_mut() = None;
    if main.enter(0, &|state| run_code(state, context, code_of(code))) == Status::Failed {
        let text = main.bytes(-1).unwrap_or(b"not enough memory").to_vec();
        *context.refusal.borrow_mut() = Some(text);
        main.set_top(0);
    }
    // What was changed in the midst of an error, too.
    context.mode.set(Mode::Idle);
    context.halt.set(Halt::No);
    let refusal = context.refusal.borrow_mut().take();
    let registered = std::mem::take(&mut *context.registered.borrow_mut());
    let refusal = match refusal {
        Some(refusal) => Some(refusal),
        None if registered.is_empty() => Some(b"No functions registered".to_vec()),
        None => None,
    };
    if let Some(refusal) = refusal {
        registered
            .iter()
            .for_each(|(_, callback)| main.release(*callback));
        return Err(coded(refusal));
    }
    forget_one(context, &name, main);
    let callbacks = |(function, kept): &(Function, c_int)| (function.name.clone(), *kept);
    let loaded = Loaded {
        generation,
        callbacks: registered.iter().map(callbacks).collect::<HashMap<_, _>>(),
        // The collector may have freed more meanwhile.
        bytes: main.memory_bytes().saturating_sub(before).max(code.len()),
    };
    context.libraries.borrow_mut().insert(name.clone(), loaded);
    Ok(Arc::new(Library {
        name,
        code: code.into(),
        functions: registered
            .into_iter()
            .map(|(function, _)| function)
            .collect(),
        generation,
    }))
}

/// Makes place for a library: forgets the one of its name, and all where there are too many.
fn forget_one(context: &Context, name: &[u8], main: State) {
    let mut libraries = context.libraries.borrow_mut();
    let release = |loaded: Loaded| {
        loaded
            .callbacks
            .values()
            .for_each(|kept| main.release(*kept))
    };
    libraries.remove(name).into_iter().for_each(release);
    if libraries.len() >= LIBRARIES_MAX {
        libraries.drain().for_each(|(_, loaded)| release(loaded));
    }
}

/// Compiles and runs the code, which registers functions. May raise.
fn run_code(state: State, context: &Context, code: &[u8]) {
    let kept = context.kept.get();
    let look_at = |globals: c_int| {
        state.push_kept(kept.function_environment_meta);
        state.push_kept(globals);
        state.set_field(-2, c"__index");
        state.pop(1);
    };
    let live_in = |environment: c_int| {
        state.push_kept(environment);
        state.replace(GLOBALS);
    };
    look_at(kept.loading_globals);
    live_in(kept.function_environment);
    let mut before: &[u8] = b"Error compiling function: ";
    let mut status = state.load(code, c"@user_function");
    if status == Status::Done {
        before = b"Error registering functions: ";
        context.mode.set(Mode::Loading);
        context.load_ticks_left.set(LOAD_TICKS_MAX);
        state.set_hook(on_instructions, LOAD_TICK_INSTRUCTIONS, false);
        status = state.protected_call(0, 0, 0);
        context.mode.set(Mode::Idle);
        if status == Status::Failed {
            extract(state, context);
        }
    }
    if status == Status::Failed {
        let text = state.bytes(-1).unwrap_or_default();
        *context.refusal.borrow_mut() = Some([before, text].concat());
    }
    context.halt.set(Halt::No);
    look_at(kept.function_globals);
    live_in(kept.script_environment);
}

/// Replaces the error at the top by its text.
fn extract(state: State, context: &Context) {
    errors::describe(state, context);
    if state.kind(-1) == Kind::Table {
        state.push_bytes(b"err");
        state.raw_get(-2);
        if !state.is_string(-1) {
            state.push_bytes(b"ERR unknown error");
        }
        return;
    }
    if !state.is_string(-1) {
        state.push_bytes(b"unknown error");
    }
    state.push_bytes(b"ERR ");
    state.insert(-2);
    state.concat(2);
}

/// `redis.register_function(name, callback)` or `redis.register_function{...}`
pub fn register_function(state: State, context: &Context) -> c_int {
    if context.mode.get() != Mode::Loading {
        let text = b"redis.register_function can only be called on FUNCTION LOAD command";
        errors::raise(state, text);
    }
    if context.halt.get() != Halt::No {
        raise_halt(state, context);
    }
    match state.top() {
        1 => named(state, context),
        2 => positional(state, context),
        _ => errors::raise(
            state,
            b"wrong number of arguments to redis.register_function",
        ),
    }
    0
}

/// Where [`register`] finds what it needs.
const NAME: c_int = 2;
const DESCRIPTION: c_int = 3;
const CALLBACK: c_int = 4;

fn positional(state: State, context: &Context) {
    if !state.is_string(1) {
        let text = b"first argument to redis.register_function must be a string";
        errors::raise(state, text);
    }
    if state.kind(2) != Kind::Function {
        let text = b"second argument to redis.register_function must be a function";
        errors::raise(state, text);
    }
    state.push_nil();
    state.push_value(2);
    state.push_value(1);
    state.replace(NAME);
    register(state, context, ScriptFlags::default());
}

fn named(state: State, context: &Context) {
    if state.kind(1) != Kind::Table {
        let text = b"calling redis.register_function with a single argument is only applicable \
                     to Lua table (representing named arguments).";
        errors::raise(state, text);
    }
    builtins::look_through(state, context, 1);
    let mut flags = ScriptFlags::default();
    state.set_top(CALLBACK);
    state.push_nil();
    while state.next(1) {
        if !state.is_string(-2) {
            let text = b"named argument key given to redis.register_function is not a string";
            errors::raise(state, text);
        }
        // A number as a key stays one.
        state.push_value(-2);
        let key = state.bytes(-1).unwrap_or_default();
        let is = |name: &[u8]| key.eq_ignore_ascii_case(name);
        let (slot, error): (_, &[u8]) = if is(b"function_name") {
            let text = b"function_name argument given to redis.register_function must be a string";
            (NAME, text)
        } else if is(b"description") {
            let text = b"description argument given to redis.register_function must be a string";
            (DESCRIPTION, text)
        } else if is(b"callback") {
            let text = b"callback argument given to redis.register_function must be a function";
            (CALLBACK, text)
        } else if is(b"flags") {
            let text = b"flags argument to redis.register_function must be a table representing \
                         function flags";
            (0, text)
        } else {
            errors::raise(state, b"unknown argument given to redis.register_function");
        };
        state.pop(1);
        let is_right = match slot {
            0 => state.kind(-1) == Kind::Table,
            CALLBACK => state.kind(-1) == Kind::Function,
            _ => state.is_string(-1),
        };
        if !is_right {
            errors::raise(state, error);
        }
        if slot == 0 {
            flags = read_flags(state);
            state.pop(1);
        } else {
            state.replace(slot);
        }
    }
    if state.kind(NAME) == Kind::Nil {
        let text = b"redis.register_function must get a function name argument";
        errors::raise(state, text);
    }
    if state.kind(CALLBACK) == Kind::Nil {
        let text = b"redis.register_function must get a callback argument";
        errors::raise(state, text);
    }
    register(state, context, flags);
}

/// The flags that the list at the top names.
fn read_flags(state: State) -> ScriptFlags {
    let mut flags = ScriptFlags::default();
    for number in 1.. {
        state.raw_get_at(-1, number);
        if state.kind(-1) == Kind::Nil {
            state.pop(1);
            break;
        }
        let is_known =
            state.is_string(-1) && flags.set_any_case(state.bytes(-1).unwrap_or_default());
        state.pop(1);
        if !is_known {
            errors::raise(state, b"unknown flag given");
        }
    }
    flags
}

/// Registers the function that is in the three slots.
fn register(state: State, context: &Context, flags: ScriptFlags) {
    let name = state.bytes(NAME).unwrap_or_default();
    let description = match state.kind(DESCRIPTION) {
        Kind::Nil => None,
        _ => state.bytes(DESCRIPTION),
    };
    if let Err(text) = check_name(name) {
        errors::raise(state, text);
    }
    let is_taken = {
        let registered = context.registered.borrow();
        registered.iter().any(|(function, _)| function.name == name)
    };
    if is_taken {
        errors::raise(state, b"Function already exists in the library");
    }
    state.push_value(CALLBACK);
    let callback = state.keep();
    let function = Function {
        name: name.to_vec(),
        description: description.map(<[u8]>::to_vec),
        flags: ScriptFlags {
            declared: true,
            ..flags
        },
    };
    context.registered.borrow_mut().push((function, callback));
}
