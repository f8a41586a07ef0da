//! Calls into C Lua: one of the two modules with unsafe code, and the only one that sees a
//! `lua_State`.
//!
//! Lua raises an error by a long jump to the innermost protected call. So the invariant of this
//! module, which its callers keep:
//!
//! - A [`State`] is used only while the virtual machine it came from lives, by the thread that owns
//!   it, and (but for the very first set-up) below a [`State::protected_call`] or
//!   [`State::enter`].
//! - Where a function here *may raise*, its callers up to that protected call hold nothing that
//!   needs dropping: no vector of their own, no borrow of a cell.
//! - A native function may push twenty values; whoever pushes more, or recurses, asks
//!   [`State::room`] first. Bytes that were read are used while their string is on the stack.
//! - A *context* is what the functions that Lua calls get besides their arguments: a value of any
//!   type, which outlives the machine. The hooks of a machine take the type of its
//!   [`State::set_context`].
#![allow(unsafe_code)]

mod compile;

use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;

use mlua::ffi;

/// The registry's pseudo-index.
pub const REGISTRY: c_int = ffi::LUA_REGISTRYINDEX;
/// The pseudo-index of a thread's table of globals.
pub const GLOBALS: c_int = ffi::LUA_GLOBALSINDEX;
/// All results of a call.
pub const ALL: c_int = ffi::LUA_MULTRET;

/// The pseudo-index of a native function's upvalue; the first one is the context.
pub const fn upvalue(number: c_int) -> c_int {
    ffi::lua_upvalueindex(number + 1)
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value: an index past the top.
    None,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

/// How a protected call ended; where it failed, the error is at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    Failed,
}

/// What debug information says of one level of the stack.
pub struct Frame<'a> {
    pub is_native: bool,
    pub source: &'a CStr,
    pub line: i32,
}

/// One thread of Lua: a stack of values.
#[derive(Clone, Copy)]
pub struct State(*mut ffi::lua_State);

/// The key of the context in the registry, by its address.
static CONTEXT_KEY: u8 = 0;

/// What is native to Lua.
type Entry = unsafe extern "C-unwind" fn(*mut ffi::lua_State) -> c_int;

/// A function item as C calls it. It has no size: the type alone says which function it is.
unsafe extern "C-unwind" fn entry<C, F>(state: *mut ffi::lua_State) -> c_int
where
    F: Fn(State, &C) -> c_int + Copy + 'static,
{
    // SAFETY: `F` has no size, and the first upvalue is the `C` of `push_native`, which outlives
    // the machine.
    unsafe {
        let function = std::ptr::NonNull::<F>::dangling().read();
        let context = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast::<C>();
        function(State(state), &*context)
    }
}

/// Likewise for a hook, which has no upvalues.
unsafe extern "C-unwind" fn hook_entry<C, F>(state: *mut ffi::lua_State, _: *mut ffi::lua_Debug)
where
    F: Fn(State, &C) + Copy + 'static,
{
    // SAFETY: as in `entry`; the context is in the registry since the set-up, and it is a `C`.
    unsafe {
        let function = std::ptr::NonNull::<F>::dangling().read();
        function(State(state), &*State(state).context::<C>());
    }
}

/// Where [`run_entered`] is in the registry: below all numbers that are given out.
const ENTER: c_int = -1;

/// What [`State::enter`] calls.
unsafe extern "C-unwind" fn run_entered(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: `enter` hands in a function, which outlives the call.
    unsafe {
        let function = ffi::lua_touserdata(raw, 1).cast::<&dyn Fn(State)>();
        ffi::lua_remove(raw, 1);
        (*function)(State(raw));
    }
    0
}

// SAFETY, of all that follows: the pointer is that of a live thread of Lua (the module's
// invariant), and the indices are those of values that the caller has put there.
impl State {
    /// The main thread of a machine, which has `values` on its stack within `build`.
    ///
    /// # Panics
    /// Where `build` raises, or leaves anything on the stack.
    pub fn main(lua: &mlua::Lua, values: mlua::MultiValue, build: impl FnOnce(State)) -> Self {
        let mut main = std::ptr::null_mut();
        let built = unsafe {
            lua.exec_raw::<()>(values, |raw| {
                main = raw;
                build(State(raw));
            })
        };
        built.expect("memory for an empty machine");
        State(main)
    }

    /// Puts the context where hooks find it, and makes [`State::enter`] work. May raise.
    pub fn set_context<C>(self, context: *const C) {
        unsafe {
            ffi::lua_pushcclosure(self.0, run_entered, 0);
            ffi::lua_rawseti_(self.0, REGISTRY, ENTER);
            let key = (&raw const CONTEXT_KEY).cast_mut().cast();
            ffi::lua_pushlightuserdata(self.0, key);
            ffi::lua_pushlightuserdata(self.0, context.cast_mut().cast());
            ffi::lua_rawset(self.0, REGISTRY);
        }
    }

    fn context<C>(self) -> *const C {
        unsafe {
            let key = (&raw const CONTEXT_KEY).cast_mut().cast();
            ffi::lua_pushlightuserdata(self.0, key);
            ffi::lua_rawget_(self.0, REGISTRY);
            let context = ffi::lua_touserdata(self.0, -1).cast::<C>();
            self.pop(1);
            context
        }
    }

    // ------------------------------------------------------------------- the stack

    /// How many values are on the stack.
    #[inline]
    pub fn top(self) -> c_int {
        unsafe { ffi::lua_gettop(self.0) }
    }

    /// Cuts the stack, or fills it with nils.
    #[inline]
    pub fn set_top(self, top: c_int) {
        unsafe { ffi::lua_settop(self.0, top) }
    }

    #[inline]
    pub fn pop(self, count: c_int) {
        self.set_top(-count - 1);
    }

    /// Whether `count` more values have room: not beyond the 8000 that one function may have. May
    /// raise where memory is short.
    #[inline]
    pub fn room(self, count: c_int) -> bool {
        unsafe { ffi::lua_checkstack(self.0, count) != 0 }
    }

    #[inline]
    pub fn push_value(self, index: c_int) {
        unsafe { ffi::lua_pushvalue(self.0, index) }
    }

    pub fn insert(self, index: c_int) {
        unsafe { ffi::lua_insert(self.0, index) }
    }

    pub fn remove(self, index: c_int) {
        unsafe { ffi::lua_remove(self.0, index) }
    }

    pub fn replace(self, index: c_int) {
        unsafe { ffi::lua_replace(self.0, index) }
    }

    // -------------------------------------------------------------- values, read

    #[inline]
    pub fn kind(self, index: c_int) -> Kind {
        match unsafe { ffi::lua_type(self.0, index) } {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::Userdata,
            ffi::LUA_TTHREAD => Kind::Thread,
            _ => Kind::None,
        }
    }

    /// A boolean; everything but nil and false is true.
    #[inline]
    pub fn boolean(self, index: c_int) -> bool {
        unsafe { ffi::lua_toboolean(self.0, index) != 0 }
    }

    /// A number, or a string that reads as one; else 0.
    #[inline]
    pub fn number(self, index: c_int) -> f64 {
        unsafe { ffi::lua_tonumber(self.0, index) }
    }

    /// Whether it is a number, or a string that reads as one.
    pub fn is_number(self, index: c_int) -> bool {
        unsafe { ffi::lua_isnumber(self.0, index) != 0 }
    }

    /// Whether it is a string or a number.
    pub fn is_string(self, index: c_int) -> bool {
        matches!(self.kind(index), Kind::String | Kind::Number)
    }

    /// The bytes of a string. A number there becomes a string, which may raise; None of all else.
    #[inline]
    pub fn bytes(&self, index: c_int) -> Option<&[u8]> {
        unsafe {
            let mut length = 0;
            let start = ffi::lua_tolstring(self.0, index, &mut length);
            if start.is_null() {
                return None;
            }
            Some(std::slice::from_raw_parts(start.cast(), length))
        }
    }

    /// Which table, function, thread or userdata it is.
    #[inline]
    pub fn identity(self, index: c_int) -> *const c_void {
        unsafe { ffi::lua_topointer(self.0, index) }
    }

    // -------------------------------------------------------------- values, made

    pub fn push_nil(self) {
        unsafe { ffi::lua_pushnil(self.0) }
    }

    pub fn push_boolean(self, value: bool) {
        unsafe { ffi::lua_pushboolean(self.0, c_int::from(value)) }
    }

    #[inline]
    pub fn push_number(self, value: f64) {
        unsafe { ffi::lua_pushnumber(self.0, value) }
    }

    /// May raise.
    #[inline]
    pub fn push_bytes(self, bytes: &[u8]) {
        unsafe { ffi::lua_pushlstring_(self.0, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// An empty table with room. May raise.
    #[inline]
    pub fn push_table(self, list: usize, fields: usize) {
        let size = |wanted: usize| c_int::try_from(wanted).unwrap_or(c_int::MAX);
        unsafe { ffi::lua_createtable(self.0, size(list), size(fields)) }
    }

    /// A function of ours; it takes `upvalues` values off the stack. May raise.
    pub fn push_native<C, F>(self, context: *const C, function: F, upvalues: c_int)
    where
        F: Fn(State, &C) -> c_int + Copy + 'static,
    {
        const { assert!(size_of::<F>() == 0) }
        let _ = function;
        unsafe {
            ffi::lua_pushlightuserdata(self.0, context.cast_mut().cast());
            self.insert(-1 - upvalues);
            ffi::lua_pushcclosure(self.0, entry::<C, F>, upvalues + 1);
        }
    }

    /// The C function at `index`, as a value that [`State::call_original`] calls.
    pub fn push_original(self, index: c_int) {
        unsafe {
            match ffi::lua_tocfunction(self.0, index) {
                Some(function) => {
                    ffi::lua_pushlightuserdata(self.0, function as Entry as *mut c_void);
                }
                None => ffi::lua_pushnil(self.0),
            }
        }
    }

    /// Calls the C function of [`State::push_original`] in upvalue `number` in the caller's place:
    /// it has the caller's arguments, and its errors name the caller. It must be one without
    /// upvalues. May raise.
    pub fn call_original(self, number: c_int) -> c_int {
        unsafe {
            let function = ffi::lua_touserdata(self.0, upvalue(number));
            assert!(!function.is_null(), "a C function");
            std::mem::transmute::<*mut c_void, Entry>(function)(self.0)
        }
    }

    /// Makes one string of the `count` strings at the top. May raise.
    pub fn concat(self, count: c_int) {
        unsafe { ffi::lua_concat(self.0, count) }
    }

    /// The length of a table or string (`lua_objlen`).
    pub fn length(self, index: c_int) -> usize {
        unsafe { ffi::lua_objlen(self.0, index) }
    }

    // -------------------------------------------------------------------- tables

    /// Pushes the field of the table at `index`, by its metatable too. May raise.
    pub fn get_field(self, index: c_int, name: &CStr) {
        unsafe { ffi::lua_getfield_(self.0, index, name.as_ptr()) }
    }

    /// Takes a value off the stack into a field, by the metatable too. May raise.
    pub fn set_field(self, index: c_int, name: &CStr) {
        unsafe { ffi::lua_setfield(self.0, index, name.as_ptr()) }
    }

    /// Replaces the key at the top by its value.
    #[inline]
    pub fn raw_get(self, index: c_int) {
        unsafe { ffi::lua_rawget_(self.0, index) }
    }

    /// Takes a key and a value off the stack. May raise.
    pub fn raw_set(self, index: c_int) {
        unsafe { ffi::lua_rawset(self.0, index) }
    }

    #[inline]
    pub fn raw_get_at(self, index: c_int, number: c_int) {
        unsafe { ffi::lua_rawgeti_(self.0, index, number) }
    }

    /// May raise.
    #[inline]
    pub fn raw_set_at(self, index: c_int, number: c_int) {
        unsafe { ffi::lua_rawseti_(self.0, index, number) }
    }

    /// Replaces the key at the top by the next key and its value; false at the end. May raise.
    pub fn next(self, index: c_int) -> bool {
        unsafe { ffi::lua_next(self.0, index) != 0 }
    }

    /// Pushes a value's metatable; nothing and false where it has none.
    #[inline]
    pub fn metatable(self, index: c_int) -> bool {
        unsafe { ffi::lua_getmetatable(self.0, index) != 0 }
    }

    /// Takes a table or nil off the stack.
    pub fn set_metatable(self, index: c_int) {
        unsafe {
            ffi::lua_setmetatable(self.0, index);
        }
    }

    /// Takes a table off the stack, which a function has its globals in from now on.
    pub fn set_environment(self, index: c_int) {
        unsafe {
            ffi::lua_setfenv(self.0, index);
        }
    }

    /// Takes a value off the stack and keeps it. May raise.
    pub fn keep(self) -> c_int {
        unsafe { ffi::luaL_ref(self.0, REGISTRY) }
    }

    /// Pushes what was kept.
    #[inline]
    pub fn push_kept(self, kept: c_int) {
        self.raw_get_at(REGISTRY, kept);
    }

    /// Lets go of what was kept.
    pub fn release(self, kept: c_int) {
        unsafe { ffi::luaL_unref(self.0, REGISTRY, kept) }
    }

    // ------------------------------------------------------------------- calls

    /// Calls the function below its arguments. May raise.
    pub fn call(self, arguments: c_int, results: c_int) {
        unsafe { ffi::lua_call(self.0, arguments, results) }
    }

    /// Likewise, and errors end here. The handler's index, or 0, is where a function is that makes
    /// of the error what is left.
    pub fn protected_call(self, arguments: c_int, results: c_int, handler: c_int) -> Status {
        match unsafe { ffi::lua_pcall(self.0, arguments, results, handler) } {
            ffi::LUA_OK => Status::Done,
            _ => Status::Failed,
        }
    }

    /// Runs a function of ours, which gets `arguments` values off the stack as its own stack;
    /// errors end here. It leaves nothing but, at the top, the error where it failed. Nothing that
    /// `function` owns is dropped then.
    pub fn enter(self, arguments: c_int, function: &dyn Fn(State)) -> Status {
        let mut function = function;
        unsafe {
            self.push_kept(ENTER);
            self.insert(-1 - arguments);
            ffi::lua_pushlightuserdata(self.0, (&raw mut function).cast());
            self.insert(-1 - arguments);
        }
        self.protected_call(arguments + 1, 0, 0)
    }

    // ------------------------------------------------------------------- errors

    /// Raises the value at the top.
    pub fn raise(self) -> ! {
        unsafe { ffi::lua_error(self.0) }
    }

    /// Raises a text, with the place of the function's caller before it (`luaL_error`).
    pub fn fail(self, text: &[u8]) -> ! {
        unsafe {
            ffi::luaL_where(self.0, 1);
            self.push_bytes(text);
            ffi::lua_concat(self.0, 2);
        }
        self.raise()
    }

    /// Raises an error about an argument (`luaL_argerror`).
    pub fn bad_argument(self, number: c_int, text: &CStr) -> ! {
        unsafe {
            ffi::luaL_argerror(self.0, number, text.as_ptr());
        }
        unreachable!("luaL_argerror returns")
    }

    /// Raises unless the argument is a table.
    pub fn check_table(self, number: c_int) {
        unsafe { ffi::luaL_checktype(self.0, number, ffi::LUA_TTABLE) }
    }

    /// Raises unless the argument is a function.
    pub fn check_function(self, number: c_int) {
        unsafe { ffi::luaL_checktype(self.0, number, ffi::LUA_TFUNCTION) }
    }

    /// Raises where there is no such argument.
    pub fn check_any(self, number: c_int) {
        unsafe { ffi::luaL_checkany(self.0, number) }
    }

    /// Raises unless the argument is a string or number; a number becomes a string.
    pub fn check_string(self, number: c_int) {
        unsafe {
            ffi::luaL_checklstring(self.0, number, std::ptr::null_mut());
        }
    }

    /// The argument as a C int. Raises unless it is a number or reads as one.
    pub fn check_int(self, number: c_int) -> c_int {
        unsafe { ffi::luaL_checkinteger(self.0, number) as c_int }
    }

    // ------------------------------------------------------ debugging and memory

    /// What is at a level of the stack: 0 is the running function. None past the outermost.
    pub fn frame(&self, level: c_int) -> Option<Frame<'_>> {
        let mut info = MaybeUninit::<ffi::lua_Debug>::zeroed();
        unsafe {
            if ffi::lua_getstack(self.0, level, info.as_mut_ptr()) == 0 {
                return None;
            }
            ffi::lua_getinfo(self.0, c"Sl".as_ptr(), info.as_mut_ptr());
            let info = info.assume_init();
            Some(Frame {
                is_native: *info.what.cast::<u8>() == b'C',
                source: CStr::from_ptr(info.source),
                line: info.currentline,
            })
        }
    }

    /// Calls `hook` every `count` instructions; where `always`, at each line and backward jump too.
    pub fn set_hook<C, F>(self, hook: F, count: u32, always: bool)
    where
        F: Fn(State, &C) + Copy + 'static,
    {
        const { assert!(size_of::<F>() == 0) }
        let _ = hook;
        let mask = ffi::LUA_MASKCOUNT | if always { ffi::LUA_MASKLINE } else { 0 };
        let count = c_int::try_from(count).unwrap_or(c_int::MAX);
        unsafe {
            ffi::lua_sethook(self.0, Some(hook_entry::<C, F>), mask, count);
        }
    }

    /// Whether it is the same thread.
    pub fn is(self, other: State) -> bool {
        std::ptr::eq(self.0, other.0)
    }

    /// Bytes that all values take.
    pub fn memory_bytes(self) -> usize {
        let count = unsafe { ffi::lua_gc(self.0, ffi::LUA_GCCOUNT, 0) };
        usize::try_from(count).unwrap_or(0) * 1024
    }

    /// Collects all garbage.
    pub fn collect(self) {
        unsafe {
            ffi::lua_gc(self.0, ffi::LUA_GCCOLLECT, 0);
        }
    }

    /// Brings the garbage collector back to how it was when the machine was made.
    pub fn reset_collector(self) {
        unsafe {
            ffi::lua_gc(self.0, ffi::LUA_GCRESTART, 0);
            ffi::lua_gc(self.0, ffi::LUA_GCSETPAUSE, 200);
            ffi::lua_gc(self.0, ffi::LUA_GCSETSTEPMUL, 200);
        }
    }

    /// Opens Lua's own libraries into the globals: base, string, table, math and os. May raise.
    pub fn open_libraries(self) {
        unsafe {
            for open in [
                ffi::luaopen_base,
                ffi::luaopen_string,
                ffi::luaopen_table,
                ffi::luaopen_math,
                ffi::luaopen_os,
            ] {
                ffi::lua_pushcclosure(self.0, open, 0);
                self.call(0, 0);
            }
        }
    }
}
