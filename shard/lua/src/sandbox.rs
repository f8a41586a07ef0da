//! What scripts may touch: two tables of globals, one for scripts and one for functions, and
//! read-only views of all tables in them.
//!
//! Lua 5.1 has no read-only tables. A script sees an empty table instead, whose metatable leads
//! reads to the true one and refuses writes; those of Lua's functions that pass metatables by know
//! these views ([`crate::builtins`]).

use std::ffi::{CStr, c_int};

use mlua::{Lua, MultiValue};

use crate::context::{Context, Kept, View};
use crate::state::{GLOBALS, REGISTRY, State};
use crate::{api, builtins, errors, libs, load};

/// Lua's own functions that both kinds of globals have as they are.
const BASE: [&CStr; 12] = [
    c"_VERSION",
    c"assert",
    c"error",
    c"gcinfo",
    c"getfenv",
    c"ipairs",
    c"newproxy",
    c"rawequal",
    c"select",
    c"tonumber",
    c"tostring",
    c"type",
];

/// The values that [`build`] finds on its stack.
pub fn ingredients(lua: &Lua) -> mlua::Result<MultiValue> {
    let mut values = MultiValue::new();
    let describe = lua.create_function(|lua, error: mlua::Value| match error {
        mlua::Value::Error(error) => lua.create_string(libs::error_text(&error)),
        _ => lua.create_string("unknown error"),
    })?;
    values.push_back(mlua::Value::Function(describe));
    for (_, open) in libs::ALL {
        values.push_back(mlua::Value::Table(open(lua)?));
    }
    Ok(values)
}

/// Makes both kinds of globals. The stack has [`ingredients`]; it is empty afterwards. May raise.
pub fn build(state: State, context: &Context) {
    let mut kept = Kept::default();
    state.open_libraries();
    state.get_field(GLOBALS, c"tostring");
    kept.tostring = state.keep();
    state.push_native(context, errors::handle, 0);
    kept.error_handler = state.keep();

    // What both kinds have: base functions and the views of libraries.
    state.push_table(0, 64);
    let shared = state.top();
    for name in BASE {
        state.get_field(GLOBALS, name);
        state.set_field(shared, name);
    }
    base_functions(state, context, shared);
    let string = own_libraries(state, context, shared);
    kept.string_meta_view = string;
    for (number, (name, _)) in (2..).zip(libs::ALL) {
        state.push_value(number);
        push_view(state, context, None);
        state.set_field(shared, name);
    }
    state.push_value(1);
    kept.describe = state.keep();
    state.set_top(shared);
    state.insert(1);
    state.set_top(1);

    // Scripts.
    push_copy(state, 1);
    push_api(state, context, true);
    push_view(state, context, None);
    state.set_field(2, c"redis");
    state.push_kept(kept.error_handler);
    state.set_field(2, c"__redis__err__handler");
    (kept.script_globals, kept.script_environment) = finish_globals(state, context);

    // Functions: what is loaded sees little, what runs all but KEYS and ARGV.
    push_copy(state, 1);
    push_api(state, context, false);
    push_view(state, context, None);
    state.set_field(2, c"redis");
    let shown;
    (kept.function_globals, shown) = finish_globals(state, context);
    state.push_table(0, 1);
    push_loading_api(state, context);
    set_nonexistent(state, context);
    push_view(state, context, None);
    state.set_field(2, c"redis");
    set_nonexistent(state, context);
    kept.loading_globals = state.keep();
    (kept.function_environment, kept.function_environment_meta) =
        function_environment(state, context, kept.function_globals, shown);

    state.push_table(2, 0);
    kept.arguments = state.keep();
    state.push_kept(kept.script_environment);
    state.replace(GLOBALS);
    state.set_top(0);
    context.kept.set(kept);
    // What Lua's libraries have besides is not referenced any more, but by the table of modules.
    state.push_table(0, 0);
    state.set_field(REGISTRY, c"_LOADED");
    state.collect();
}

/// Lua's functions in their read-only-respecting forms.
fn base_functions(state: State, context: &Context, into: c_int) {
    macro_rules! native {
        ($($name:expr => $function:path),*) => {
            $(state.push_native(context, $function, 0); state.set_field(into, $name);)*
        };
    }
    native!(
        c"load" => builtins::load,
        c"loadstring" => builtins::loadstring,
        c"next" => builtins::next,
        c"pcall" => builtins::pcall,
        c"rawget" => builtins::rawget,
        c"rawset" => builtins::rawset,
        c"xpcall" => builtins::xpcall
    );
    state.get_field(into, c"next");
    state.push_native(context, builtins::pairs, 1);
    state.set_field(into, c"pairs");
    macro_rules! around {
        ($($name:expr => $function:path),*) => {$(
            state.get_field(GLOBALS, $name);
            push_around(state, context, $function);
            state.set_field(into, $name);
        )*};
    }
    around!(
        c"collectgarbage" => builtins::collectgarbage,
        c"getmetatable" => builtins::getmetatable,
        c"setfenv" => builtins::setfenv,
        c"setmetatable" => builtins::setmetatable,
        c"unpack" => builtins::unpack
    );
}

/// Replaces the C function at the top by one of ours around it.
fn push_around<F>(state: State, context: &Context, function: F)
where
    F: Fn(State, &Context) -> c_int + Copy + 'static,
{
    state.push_original(-1);
    state.remove(-2);
    state.push_native(context, function, 1);
}

/// Puts Lua's libraries into the table `into`; what shows strings' metatable is kept.
fn own_libraries(state: State, context: &Context, into: c_int) -> c_int {
    macro_rules! around {
        ($library:expr, $($name:expr => $function:path),*) => {
            state.get_field(GLOBALS, $library);
            $(
                state.get_field(-1, $name);
                push_around(state, context, $function);
                state.set_field(-2, $name);
            )*
            push_view(state, context, None);
            state.set_field(into, $library);
        };
    }
    around!(
        c"string",
        c"find" => builtins::matching,
        c"gfind" => builtins::matching,
        c"gmatch" => builtins::matching,
        c"gsub" => builtins::matching,
        c"match" => builtins::matching
    );
    around!(
        c"table",
        c"foreach" => builtins::table_read,
        c"insert" => builtins::table_insert,
        c"maxn" => builtins::table_read
    );
    around!(c"coroutine", c"resume" => builtins::resume);
    state.get_field(GLOBALS, c"math");
    state.push_native(context, builtins::random, 0);
    state.set_field(-2, c"random");
    state.push_native(context, builtins::randomseed, 0);
    state.set_field(-2, c"randomseed");
    push_view(state, context, None);
    state.set_field(into, c"math");
    state.push_table(0, 1);
    state.get_field(GLOBALS, c"os");
    state.get_field(-1, c"clock");
    state.remove(-2);
    state.set_field(-2, c"clock");
    push_view(state, context, None);
    state.set_field(into, c"os");

    state.push_table(0, 1);
    state.get_field(into, c"string");
    state.set_field(-2, c"__index");
    push_view(state, context, None);
    state.keep()
}

/// Pushes a copy of the table at `index`, which is at 2 then.
fn push_copy(state: State, index: c_int) {
    state.push_table(0, 64);
    state.push_nil();
    while state.next(index) {
        state.push_value(-2);
        state.insert(-2);
        state.raw_set(-4);
    }
}

/// Replaces the table at the top by a read-only view of it. `meta` is what `getmetatable` of the
/// view shows, kept.
fn push_view(state: State, context: &Context, meta: Option<c_int>) {
    state.push_table(0, 0);
    state.push_table(0, 2);
    state.push_value(-3);
    state.set_field(-2, c"__index");
    state.push_native(context, builtins::refuse, 0);
    state.set_field(-2, c"__newindex");
    state.set_metatable(-2);
    state.push_value(-2);
    let table = state.keep();
    let identity = state.identity(-1);
    state.remove(-2);
    context.views.borrow_mut().push(View {
        identity,
        table,
        meta,
    });
}

/// Lets the table at the top raise for what it has not.
fn set_nonexistent(state: State, context: &Context) {
    state.push_table(0, 1);
    state.push_native(context, builtins::nonexistent, 0);
    state.set_field(-2, c"__index");
    state.set_metatable(-2);
}

/// Makes globals of the table at the top, and pops it. Returns them and their view, kept.
fn finish_globals(state: State, context: &Context) -> (c_int, c_int) {
    set_nonexistent(state, context);
    // A view of the metatable, as `getmetatable(_G)` shows it.
    assert!(state.metatable(-1), "it was set above");
    push_view(state, context, None);
    let meta = state.keep();
    state.push_value(-1);
    push_view(state, context, Some(meta));
    state.push_value(-1);
    state.set_field(-3, c"_G");
    let view = state.keep();
    (state.keep(), view)
}

/// The environment of functions: a view of an empty table that leads on to one of two others, while
/// functions run to `globals`, whose view is `shown`. Returns it and its metatable, kept.
fn function_environment(
    state: State,
    context: &Context,
    globals: c_int,
    shown: c_int,
) -> (c_int, c_int) {
    state.push_table(0, 1);
    state.push_kept(shown);
    state.set_field(-2, c"__index");
    push_view(state, context, None);
    let shown_meta = state.keep();
    state.push_table(0, 0);
    push_view(state, context, Some(shown_meta));
    assert!(state.metatable(-1), "a view has one");
    state.push_kept(globals);
    state.set_field(-2, c"__index");
    let meta = state.keep();
    (state.keep(), meta)
}

/// Sets fields of the table at the top to functions of ours.
macro_rules! set_functions {
    ($state:expr, $context:expr, $($name:expr => $function:path),*) => {
        $($state.push_native($context, $function, 0); $state.set_field(-2, $name);)*
    };
}

/// Pushes the table `redis`.
fn push_api(state: State, context: &Context, is_for_scripts: bool) {
    state.push_table(0, 32);
    set_functions!(
        state, context,
        c"acl_check_cmd" => api::acl_check_cmd,
        c"call" => api::call,
        c"error_reply" => api::error_reply,
        c"log" => api::log,
        c"pcall" => api::pcall,
        c"set_repl" => api::set_repl,
        c"setresp" => api::setresp,
        c"sha1hex" => api::sha1hex,
        c"status_reply" => api::status_reply
    );
    if is_for_scripts {
        set_functions!(
            state, context,
            c"breakpoint" => api::breakpoint,
            c"debug" => api::debug,
            c"replicate_commands" => api::replicate_commands
        );
    }
    for (name, value) in api::REPL_FLAGS {
        state.push_number(value);
        state.set_field(-2, name);
    }
    set_facts(state, context);
}

/// Pushes the table `redis` as a library sees it while it is loaded.
fn push_loading_api(state: State, context: &Context) {
    state.push_table(0, 8);
    set_functions!(
        state, context,
        c"log" => api::log,
        c"register_function" => load::register_function
    );
    set_facts(state, context);
}

/// The version and the levels of the log.
fn set_facts(state: State, context: &Context) {
    for (name, value) in api::LOG_LEVELS {
        state.push_number(value);
        state.set_field(-2, name);
    }
    let version = context.settings.redis_version;
    state.push_bytes(version.as_bytes());
    state.set_field(-2, c"REDIS_VERSION");
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0) & 0xff;
    let number = part() << 16 | part() << 8 | part();
    state.push_number(f64::from(number));
    state.set_field(-2, c"REDIS_VERSION_NUM");
}
