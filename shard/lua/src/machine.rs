//! One virtual machine: it runs one script at a time, and stands still at each command.

use std::rc::Rc;
use std::sync::Arc;

use mlua::{Lua, LuaOptions, StdLib};
use protocol::args::Args;
use protocol::reply::Version;

pub use crate::context::Settings;
pub use crate::step::{Answer, Call, Chunk, Ending, LogLevel, Step};

use crate::context::{Command, Context};
use crate::fiber::{Fiber, Job};
use crate::library::Library;
use crate::run;
use crate::sandbox;
use crate::script::Script;
use crate::state::State;

/// One virtual machine.
pub struct Machine {
    fiber: Fiber,
    phase: Phase,
    command: Option<Box<Command>>,
    reply: Vec<u8>,
    /// It owns Lua's memory. The fiber, which runs in it, is dropped before.
    lua: Lua,
    context: Rc<Context>,
}

/// What a machine's fiber does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The call was made ready, or refused with the reply that is there.
    Begun(Option<Ending>),
    Running,
}

/// The bytes of a reply's buffer that are kept for the next one.
const REPLY_KEPT_BYTES: usize = 64 * 1024;

impl Machine {
    /// A machine with nothing loaded.
    pub fn new(settings: &Settings) -> Self {
        let options = LuaOptions::new().catch_rust_panics(false);
        let lua = Lua::new_with(StdLib::NONE, options).expect("no library is asked for");
        let context = Rc::new(Context::new(settings));
        let values = sandbox::ingredients(&lua).expect("memory for the libraries");
        let main = State::main(&lua, values, |state| {
            state.set_context(&raw const *context);
            sandbox::build(state, &context);
        });
        context.main.set(Some(main));
        lua.set_memory_limit(settings.memory_max)
            .expect("Lua's memory is ours");
        Machine {
            fiber: Fiber::new(Rc::clone(&context), run::work),
            phase: Phase::Idle,
            command: None,
            reply: Vec::new(),
            lua,
            context,
        }
    }

    /// Whether a script compiles. The error is a whole one, with its code.
    pub fn compile(&mut self, script: &Arc<Script>) -> Result<(), Vec<u8>> {
        assert_eq!(self.phase, Phase::Idle, "another call is not over");
        self.fiber.start(Job::Compile(script));
        match self.context.refusal.borrow_mut().take() {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Loads a library and says what it has registered. The error is a whole one, with its code.
    pub fn load_library(&mut self, code: &[u8], generation: u64) -> Result<Arc<Library>, Vec<u8>> {
        assert_eq!(self.phase, Phase::Idle, "another call is not over");
        self.fiber.start(Job::Load { code, generation });
        self.context
            .loaded
            .borrow_mut()
            .take()
            .expect("a load has an outcome")
    }

    /// Begins a call. [`Machine::resume`] with [`Answer::Go`] runs it up to its first step.
    ///
    /// # Panics
    /// Where another one is not over.
    pub fn begin(&mut self, call: &Call<'_>) {
        assert_eq!(self.phase, Phase::Idle, "another call is not over");
        self.phase = Phase::Begun(match self.fiber.start(Job::Call(call)) {
            Step::Done(ending) => Some(ending),
            _ => None,
        });
    }

    /// Goes on to the next step.
    ///
    /// # Panics
    /// Where there is no call.
    pub fn resume(&mut self, answer: Answer<'_>) -> Step {
        let step = match self.phase {
            Phase::Begun(Some(ending)) => Step::Done(ending),
            Phase::Begun(None) | Phase::Running => {
                self.context.command.set(self.command.take());
                self.fiber.resume(answer)
            }
            Phase::Idle => panic!("no call has begun"),
        };
        self.phase = Phase::Running;
        self.command = self.context.command.take();
        if let Step::Done(_) = step {
            self.phase = Phase::Idle;
            self.reply.shrink_to(REPLY_KEPT_BYTES);
            std::mem::swap(&mut self.reply, &mut self.context.reply.borrow_mut());
        }
        step
    }

    /// The command that was called, verb first; at least that.
    pub fn command(&self) -> Args<'_> {
        match &self.command {
            Some(command) => command.args(),
            None => Args::new(&[], &[], &[]),
        }
    }

    /// The protocol in which the script wants the replies of commands: `redis.setresp`.
    pub fn version(&self) -> Version {
        self.context.version.get()
    }

    /// The reply of what is over, in its client's protocol; an error is one, too.
    pub fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// Bytes that its values take.
    pub fn memory_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Bytes that the libraries it has loaded took then.
    pub fn library_bytes(&self) -> usize {
        let libraries = self.context.libraries.borrow();
        libraries.values().map(|loaded| loaded.bytes).sum()
    }

    /// Forgets all scripts: SCRIPT FLUSH.
    ///
    /// # Panics
    /// Where a call is not over.
    pub fn forget_scripts(&mut self) {
        assert_eq!(self.phase, Phase::Idle, "a call is not over");
        run::forget_scripts(&self.context);
    }
}
