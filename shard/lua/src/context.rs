//! What a machine and the functions that Lua calls share: the script that runs, the command it
//! has called, the reply it makes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use protocol::args::{Args, Span};
use protocol::parse::LARGE_ARG_BYTES;
use protocol::reply::Version;

use crate::fiber::Port;
use crate::library::{Function, Library};
use crate::random::Random;
use crate::script::Sha;
use crate::state::State;

/// What a machine is made with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes that its values may take, 0 for any number; a script that wants more ends with an
    /// error.
    pub memory_max: usize,
    /// `redis.REDIS_VERSION`, as "7.4.1".
    pub redis_version: &'static str,
    /// Instructions from one [`Step::Tick`](crate::step::Step::Tick) to the next.
    pub tick_instructions: u32,
}

/// What Lua's code may do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing runs, or the machine makes ready: nobody answers steps.
    Idle,
    /// A library's code, which registers functions.
    Loading,
    /// A script or function.
    Running,
}

/// Whether the code that runs must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    No,
    /// With the error in [`Context::halt_error`].
    Killed,
    GivenUp,
    /// A library that takes too long to load.
    LoadTimeout,
}

/// Where a halted script stood.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub source: Vec<u8>,
    pub line: i32,
}

/// Values of Lua that the machine keeps, by their number in the registry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    pub error_handler: c_int,
    pub tostring: c_int,
    /// Makes a string of an error that a library in Rust has raised.
    pub describe: c_int,
    /// The table that holds KEYS and ARGV, and all else that scripts see.
    pub script_globals: c_int,
    /// The read-only view of it, which is the scripts' `_G`.
    pub script_environment: c_int,
    /// Of functions, while they run.
    pub function_globals: c_int,
    /// Of functions, while their library is loaded.
    pub loading_globals: c_int,
    /// The read-only view of either.
    pub function_environment: c_int,
    /// Its metatable, whose `__index` says of which.
    pub function_environment_meta: c_int,
    /// A table of a function's two arguments.
    pub arguments: c_int,
    /// What `getmetatable` of a string shows.
    pub string_meta_view: c_int,
}

/// A read-only view of a table: an empty one whose metatable leads to the other.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub identity: *const c_void,
    /// The table itself, kept.
    pub table: c_int,
    /// What `getmetatable` of the view shows, kept; nil where that is none.
    pub meta: Option<c_int>,
}

/// The arguments of the command that a script calls. The buffers are used again.
#[derive(Debug, Default)]
pub struct Command {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    large: Vec<Bytes>,
}

/// The bytes that [`Command`] keeps for the next one.
const COMMAND_KEPT_BYTES: usize = 64 * 1024;

impl Command {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(COMMAND_KEPT_BYTES);
        self.spans.clear();
        self.large.clear();
    }

    #[inline]
    pub fn push(&mut self, argument: &[u8]) {
        let span = match Span::within(self.bytes.len(), argument.len()) {
            Some(span) if argument.len() < LARGE_ARG_BYTES => {
                self.bytes.extend_from_slice(argument);
                span
            }
            _ => {
                self.large.push(Bytes::copy_from_slice(argument));
                // Lua's stack bounds the number of arguments.
                Span::large(self.large.len() - 1).expect("fewer large arguments than u32::MAX")
            }
        };
        self.spans.push(span);
    }

    #[inline]
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans, &self.large)
    }
}

/// SHAs are hashes already.
#[derive(Default)]
pub struct ShaHasher(u64);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(8).take(2) {
            let digits = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
            // Each digit is half a byte of the hash.
            self.0 = self.0.rotate_left(4) ^ digits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A library whose functions are in the registry.
pub struct Loaded {
    pub generation: u64,
    pub callbacks: HashMap<Vec<u8>, c_int>,
    /// Bytes that loading it took.
    pub bytes: usize,
}

/// What one machine shares with the functions that Lua calls.
pub struct Context {
    pub settings: Settings,
    pub port: Port,
    /// The machine's main thread of Lua.
    pub main: Cell<Option<State>>,
    pub kept: Cell<Kept>,
    pub views: RefCell<Vec<View>>,

    pub mode: Cell<Mode>,
    pub halt: Cell<Halt>,
    pub halt_error: RefCell<Vec<u8>>,
    pub halt_place: RefCell<Place>,
    /// `redis.setresp`.
    pub version: Cell<Version>,
    pub client_version: Cell<Version>,
    pub random: Cell<Random>,
    /// A function's environment was changed, perhaps that of a kept one.
    pub environment_touched: Cell<bool>,
    pub collector_touched: Cell<bool>,
    /// The bytes from which on all garbage is collected at once: Lua's collector would wait until
    /// the values take twice what they took, beyond what they may.
    pub collect_above: Cell<usize>,

    /// While a script stands still, the machine has it.
    pub command: Cell<Option<Box<Command>>>,
    pub reply: RefCell<Vec<u8>>,
    /// The error of what made ready, or of a load: whole, with its code.
    pub refusal: RefCell<Option<Vec<u8>>>,
    /// What a load has come to.
    pub loaded: RefCell<Option<Result<Arc<Library>, Vec<u8>>>>,
    /// The function to run, in the registry.
    pub function: Cell<c_int>,
    /// What the script is called in errors: its SHA, or the function's name.
    pub name: RefCell<Vec<u8>>,
    pub counted: Cell<bool>,
    pub failed: Cell<bool>,

    pub scripts: RefCell<HashMap<Sha, c_int, BuildHasherDefault<ShaHasher>>>,
    pub libraries: RefCell<HashMap<Vec<u8>, Loaded>>,
    /// The functions that the library which is being loaded has registered, and their callbacks.
    pub registered: RefCell<Vec<(Function, c_int)>>,
    pub load_ticks_left: Cell<u32>,
}

impl AsRef<Port> for Context {
    #[inline]
    fn as_ref(&self) -> &Port {
        &self.port
    }
}

impl Context {
    pub fn new(settings: &Settings) -> Self {
        Context {
            settings: *settings,
            port: Port::default(),
            main: Cell::new(None),
            kept: Cell::default(),
            views: RefCell::default(),
            mode: Cell::new(Mode::Idle),
            halt: Cell::new(Halt::No),
            halt_error: RefCell::default(),
            halt_place: RefCell::default(),
            version: Cell::default(),
            client_version: Cell::default(),
            random: Cell::default(),
            environment_touched: Cell::new(false),
            collector_touched: Cell::new(false),
            collect_above: Cell::new(usize::MAX),
            command: Cell::default(),
            reply: RefCell::default(),
            refusal: RefCell::default(),
            loaded: RefCell::default(),
            function: Cell::new(0),
            name: RefCell::default(),
            counted: Cell::new(false),
            failed: Cell::new(false),
            scripts: RefCell::default(),
            libraries: RefCell::default(),
            registered: RefCell::default(),
            load_ticks_left: Cell::new(0),
        }
    }

    /// The view that a value is, if it is one.
    #[inline]
    pub fn view(&self, state: State, index: c_int) -> Option<View> {
        if !state.metatable(index) {
            return None;
        }
        state.pop(1);
        let identity = state.identity(index);
        let views = self.views.borrow();
        views.iter().find(|view| view.identity == identity).copied()
    }

    /// The bytes that values may take.
    pub fn memory_max(&self) -> usize {
        match self.settings.memory_max {
            0 => usize::MAX,
            bytes => bytes,
        }
    }

    /// Collects all garbage where memory gets short. No finalizer of a script's runs.
    #[inline]
    pub fn keep_within_memory(&self, state: State) {
        if state.memory_bytes() > self.collect_above.get() {
            state.collect();
            let most = self.memory_max();
            let left = most.saturating_sub(state.memory_bytes());
            self.collect_above.set((most - left / 2).max(most / 2));
        }
    }
}
