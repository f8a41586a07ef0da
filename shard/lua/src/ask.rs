//! How a script asks: it stands still with a step until its driver has an answer, and goes on with
//! that or ends. It asks where it calls what needs somebody else, and by a hook after some
//! instructions.

use crate::context::{Context, Halt, Mode, Place};
use crate::errors;
use crate::state::State;
use crate::step::{Answer, Step};

/// What an answer makes a script do.
pub enum Next {
    /// It has its value on the stack; whether that is an error.
    Value(bool),
    Nothing,
    Halt,
}

/// Asks, and lets `take` make use of an answer that is neither Kill nor GiveUp.
#[inline]
pub fn ask(context: &Context, step: Step, take: impl FnOnce(Answer<'_>) -> Next) -> Next {
    context.port.ask(step, |answer| match answer {
        Answer::Kill(error) => {
            kill(context, error);
            Next::Halt
        }
        Answer::GiveUp => {
            context.halt.set(Halt::GivenUp);
            Next::Halt
        }
        answer => take(answer),
    })
}

/// Asks for what needs no answer.
pub fn tell(state: State, context: &Context, step: Step) {
    if !may_go_on(context, step) {
        raise_halt(state, context);
    }
}

/// Asks for what needs no answer; false where the script has to end.
pub fn may_go_on(context: &Context, step: Step) -> bool {
    !matches!(ask(context, step, |_| Next::Nothing), Next::Halt)
}

fn kill(context: &Context, error: &[u8]) {
    context.halt.set(Halt::Killed);
    let error = error.strip_prefix(b"-").unwrap_or(error);
    *context.halt_error.borrow_mut() = error.trim_ascii_end().to_vec();
}

/// The hook: some instructions have run.
pub fn on_instructions(state: State, context: &Context) {
    if context.halt.get() != Halt::No {
        raise_halt(state, context);
    }
    context.keep_within_memory(state);
    match context.mode.get() {
        Mode::Idle => {}
        Mode::Running => tell(state, context, Step::Tick),
        Mode::Loading => {
            let left = context.load_ticks_left.get();
            context.load_ticks_left.set(left.saturating_sub(1));
            if left == 0 {
                context.halt.set(Halt::LoadTimeout);
                raise_halt(state, context);
            }
        }
    }
}

/// Raises the error of a script that is to end, again and again: at each line, and at each
/// function of ours.
pub fn raise_halt(state: State, context: &Context) -> ! {
    let hooked = |state: State| state.set_hook(on_instructions, 1, true);
    hooked(state);
    if let Some(main) = context.main.get().filter(|main| !main.is(state)) {
        hooked(main);
    }
    note_place(state, context);
    match context.halt.get() {
        Halt::LoadTimeout => errors::push(state, b"FUNCTION LOAD timeout"),
        // Nothing in the script gets to see it; its client's error is made at the end.
        Halt::No | Halt::Killed | Halt::GivenUp => errors::push(state, b"the script has to end"),
    }
    state.raise()
}

/// Remembers where the script stood when it was halted first.
fn note_place(state: State, context: &Context) {
    let mut place = context.halt_place.borrow_mut();
    if !place.source.is_empty() {
        return;
    }
    if let Some(frame) = errors::origin(&state, 0) {
        *place = Place {
            source: frame.source.to_bytes().to_vec(),
            line: frame.line,
        };
    }
}
