//! What a machine's fiber does: it compiles, loads, and runs calls.

use std::ffi::c_int;

use protocol::args::Args;
use protocol::reply::Version;

use crate::ask::{may_go_on, on_instructions};
use crate::context::{Context, Halt, Mode};
use crate::convert;
use crate::errors;
use crate::fiber::Job;
use crate::load;
use crate::script::Script;
use crate::state::{GLOBALS, Kind, State, Status};
use crate::step::{Call, Chunk, Ending, Step};

/// Does one job. A call asks [`Step::Tick`] when it is ready to run, before its first step.
pub fn work(context: &Context, job: Job<'_>) -> Step {
    let ending = match job {
        Job::Compile(script) => {
            compile(context, script);
            Ending::Returned
        }
        Job::Load { code, generation } => {
            let loaded = load::load(context, code, generation);
            *context.loaded.borrow_mut() = Some(loaded);
            Ending::Returned
        }
        Job::Call(call) => run(context, call),
    };
    Step::Done(ending)
}

/// The compiled scripts that a machine keeps; beyond that it forgets all.
const SCRIPTS_MAX: usize = 1000;

/// Forgets all compiled scripts.
pub fn forget_scripts(context: &Context) {
    let main = context.main.get().expect("a machine that was made");
    for (_, kept) in context.scripts.borrow_mut().drain() {
        main.release(kept);
    }
}

/// Compiles a script, where it is not kept already. An error is left as the refusal.
fn compile(context: &Context, script: &Script) -> Option<c_int> {
    if let Some(kept) = context.scripts.borrow().get(&script.sha) {
        return Some(*kept);
    }
    if context.scripts.borrow().len() >= SCRIPTS_MAX {
        forget_scripts(context);
    }
    let main = context.main.get().expect("a machine that was made");
    *context.refusal.borrow_mut() = None;
    let status = main.enter(0, &|state| {
        if state.load(script.code(), c"@user_script") == Status::Done {
            context.function.set(state.keep());
        } else {
            errors::refuse_script(state, context);
        }
    });
    if status == Status::Failed {
        errors::refuse_script(main, context);
        main.set_top(0);
    }
    if context.refusal.borrow().is_some() {
        return None;
    }
    context
        .scripts
        .borrow_mut()
        .insert(script.sha, context.function.get());
    Some(context.function.get())
}

/// The function that a call is to run, kept. An error is left as the refusal.
fn function_of(context: &Context, chunk: &Chunk<'_>) -> Option<c_int> {
    let (library, name) = match chunk {
        Chunk::Script(script) => return compile(context, script),
        Chunk::Function { library, name } => (library, *name),
    };
    let find = || {
        let libraries = context.libraries.borrow();
        let loaded = libraries.get(&library.name[..])?;
        (loaded.generation == library.generation).then(|| loaded.callbacks.get(name).copied())
    };
    let found = match find() {
        Some(found) => found,
        None => match load::load(context, &library.code, library.generation) {
            Ok(_) => find().flatten(),
            Err(refusal) => {
                *context.refusal.borrow_mut() = Some(refusal);
                return None;
            }
        },
    };
    if found.is_none() {
        *context.refusal.borrow_mut() = Some(b"ERR Function not found".to_vec());
    }
    found
}

/// Runs one call from its beginning to its reply.
fn run(context: &Context, call: &Call<'_>) -> Ending {
    reset(context, call);
    let Some(function) = function_of(context, &call.chunk) else {
        errors::finish_refused(context);
        return Ending::Failed { counted: false };
    };
    context.function.set(function);
    let main = context.main.get().expect("a machine that was made");
    // The call itself is gone when the script has asked.
    let is_function = matches!(call.chunk, Chunk::Function { .. });
    let mut status = main.enter(0, &|state| take_arguments(state, context, call));
    if status == Status::Done {
        main.set_hook(on_instructions, context.settings.tick_instructions, false);
        if may_go_on(context, Step::Tick) {
            status = call_in(main, context, is_function);
        }
    }
    if status == Status::Failed {
        // Memory, which was short outside of the script itself.
        context.failed.set(true);
        errors::finish_foreign(context, main.bytes(-1).unwrap_or(b"execution failure"));
    }
    main.set_top(0);
    if context.halt.get() != Halt::No {
        context.failed.set(true);
        errors::finish_halted(context);
    }
    clean(context, main, is_function);
    if context.failed.get() {
        Ending::Failed {
            counted: context.counted.get(),
        }
    } else {
        Ending::Returned
    }
}

/// Calls the function and writes its reply. It is the outermost one on the stack of Lua.
fn call_in(main: State, context: &Context, is_function: bool) -> Status {
    const HANDLER: c_int = 1;
    let kept = context.kept.get();
    main.push_kept(kept.error_handler);
    main.push_kept(context.function.get());
    let mut arguments = 0;
    if is_function {
        main.push_kept(kept.function_environment);
        main.replace(GLOBALS);
        main.push_kept(kept.arguments);
        main.raw_get_at(-1, 1);
        main.raw_get_at(-2, 2);
        main.remove(-3);
        arguments = 2;
    }
    context.mode.set(Mode::Running);
    let status = main.protected_call(arguments, 1, HANDLER);
    context.mode.set(Mode::Idle);
    // One value raises nothing. With a table the handler goes along: a reply may be as deep as
    // there is room above it.
    match (context.halt.get(), status) {
        (Halt::No, Status::Done) if main.kind(-1) != Kind::Table => {
            convert::write_reply(main, context);
            Status::Done
        }
        (Halt::No, Status::Done) => main.enter(2, &|state| convert::write_reply(state, context)),
        (Halt::No, Status::Failed) => {
            context.failed.set(true);
            main.enter(2, &|state| errors::finish(state, context))
        }
        _ => Status::Done,
    }
}

/// Nothing of the call before is left.
fn reset(context: &Context, call: &Call<'_>) {
    context.halt.set(Halt::No);
    context.halt_place.borrow_mut().source.clear();
    context.halt_error.borrow_mut().clear();
    context.version.set(Version::Resp2);
    context.client_version.set(call.version);
    context.failed.set(false);
    context.counted.set(false);
    let mut name = context.name.borrow_mut();
    name.clear();
    name.extend_from_slice(match &call.chunk {
        Chunk::Script(script) => &script.sha,
        Chunk::Function { name, .. } => name,
    });
}

/// Makes KEYS and ARGV, or a function's arguments. May raise.
fn take_arguments(state: State, context: &Context, call: &Call<'_>) {
    let kept = context.kept.get();
    match call.chunk {
        Chunk::Script(_) => {
            state.push_kept(kept.script_globals);
            push_list(state, &call.keys);
            state.set_field(-2, c"KEYS");
            push_list(state, &call.args);
            state.set_field(-2, c"ARGV");
        }
        Chunk::Function { .. } => {
            state.push_kept(kept.arguments);
            push_list(state, &call.keys);
            state.raw_set_at(-2, 1);
            push_list(state, &call.args);
            state.raw_set_at(-2, 2);
        }
    }
}

/// Pushes a list of strings. May raise.
fn push_list(state: State, strings: &Args<'_>) {
    state.push_table(strings.len(), 0);
    for (number, string) in (1..).zip(strings.iter()) {
        state.push_bytes(string);
        state.raw_set_at(-2, number);
    }
}

/// Undoes what a call has changed beyond its own values.
fn clean(context: &Context, main: State, is_function: bool) {
    let is_touched = context.environment_touched.take();
    if is_touched || is_function {
        let environment = context.kept.get().script_environment;
        main.push_kept(environment);
        main.replace(GLOBALS);
        if !is_function {
            main.push_kept(context.function.get());
            main.push_kept(environment);
            main.set_environment(-2);
            main.pop(1);
        }
    }
    if context.collector_touched.take() {
        main.reset_collector();
    }
    context.collect_above.set(context.memory_max() / 2);
    context.keep_within_memory(main);
}
