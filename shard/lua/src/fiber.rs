//! The stack on which scripts run. It stands still at each step, in the midst of whatever C and
//! Rust functions Lua has called, and goes on with the answer.
//!
//! Invariants, which make the unsafe code here sound:
//!
//! - The yielder in a [`Port`] is that of the one fiber whose context has this port. It is used
//!   only on the fiber's stack ([`Port::ask`] is called by what Lua has called), and so while it
//!   lives.
//! - What a [`Job`] borrows is used only until the fiber stands still for the first time after it
//!   was handed in. A call asks first when all of it is in Lua.
//! - What an [`Answer`] borrows is used only within the closure of [`Port::ask`]. The fiber does
//!   not stand still again in there.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::script::Script;
use crate::step::{Answer, Call, Step};

/// The bytes of the stack. They are taken from the system only as far as they are used. Lua bounds
/// nested C calls at 200; the largest are those of `gsub`, whose buffers are 8 KiB each.
const STACK_BYTES: usize = 4 << 20;

/// What the fiber is to do.
#[derive(Clone, Copy)]
pub enum Job<'a> {
    /// To compile a script.
    Compile(&'a Arc<Script>),
    /// To load a library.
    Load { code: &'a [u8], generation: u64 },
    /// To make a call ready, to ask, and to run it.
    Call(&'a Call<'a>),
}

enum Message {
    Job(Job<'static>),
    Answer(Answer<'static>),
    Quit,
}

/// The fiber's end of the line to the machine.
#[derive(Default)]
pub struct Port {
    yielder: Cell<Option<*const Yielder<Message, Step>>>,
}

/// The machine's end.
pub struct Fiber {
    coroutine: Coroutine<Message, Step, (), DefaultStack>,
    /// It stands still in the midst of a job.
    suspended: bool,
}

impl Fiber {
    /// A fiber that does jobs by `work`, whose last step is a [`Step::Done`]. The context has the
    /// port of this fiber alone.
    ///
    /// # Panics
    /// Where the system has no memory for the stack.
    pub fn new<C>(context: Rc<C>, work: fn(&C, Job<'_>) -> Step) -> Self
    where
        C: AsRef<Port> + 'static,
    {
        let stack = DefaultStack::new(STACK_BYTES).expect("memory for the stack of scripts");
        let coroutine = Coroutine::with_stack(stack, move |yielder, mut message| {
            let port: &Port = (*context).as_ref();
            port.yielder.set(Some(yielder));
            while let Message::Job(job) = message {
                let step = work(&context, job);
                message = yielder.suspend(step);
            }
        });
        Fiber {
            coroutine,
            suspended: false,
        }
    }

    /// Begins a job and runs it to its first step.
    pub fn start(&mut self, job: Job<'_>) -> Step {
        assert!(!self.suspended, "the job before is not over");
        // SAFETY: the invariant on what a job borrows.
        let job = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        self.go_on(Message::Job(job))
    }

    /// Runs the job to its next step.
    pub fn resume(&mut self, answer: Answer<'_>) -> Step {
        assert!(self.suspended, "a job that has asked");
        // SAFETY: the invariant on what an answer borrows.
        let answer = unsafe { std::mem::transmute::<Answer<'_>, Answer<'static>>(answer) };
        self.go_on(Message::Answer(answer))
    }

    fn go_on(&mut self, message: Message) -> Step {
        match self.coroutine.resume(message) {
            CoroutineResult::Yield(step) => {
                self.suspended = !matches!(step, Step::Done(_));
                step
            }
            CoroutineResult::Return(()) => unreachable!("only Quit ends the fiber"),
        }
    }
}

impl Drop for Fiber {
    /// Lets the fiber end by itself: nothing is unwound.
    fn drop(&mut self) {
        while self.suspended && !self.coroutine.done() {
            self.resume(Answer::GiveUp);
        }
        if !self.coroutine.done() {
            self.coroutine.resume(Message::Quit);
        }
    }
}

impl Port {
    /// Stands still with `step` until the machine has an answer, and hands it to `take`.
    pub fn ask<R>(&self, step: Step, take: impl FnOnce(Answer<'_>) -> R) -> R {
        let yielder = self.yielder.get().expect("a fiber runs");
        // SAFETY: the invariant on the yielder.
        let message = unsafe { &*yielder }.suspend(step);
        match message {
            Message::Answer(answer) => take(answer),
            Message::Job(_) | Message::Quit => unreachable!("a suspended job gets answers"),
        }
    }
}
