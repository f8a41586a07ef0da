//! Lua's stack as the encoder and the decoder see it, and the protected call in which they run.
//!
//! Lua leaves a function by `longjmp` where it has no memory left. A frame that owns memory must
//! not be jumped over, so a [`Job`] is owned by the frame that makes the protected call, and what
//! runs inside the call only borrows it. Methods that can jump say so; a job holds nothing of its
//! own across them.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::{ptr, slice};

use mlua::ffi::{self, lua_State};

use super::Fault;

/// What is done with the argument of a call. It starts with that argument alone on the stack, and
/// leaves its result on top.
pub trait Job {
    /// Must own nothing across a method of [`Stack`] that can jump.
    fn run(&mut self, stack: &mut Stack) -> Result<(), Fault>;
}

/// How a protected call has ended.
pub enum Ending {
    /// The result is on top of the stack.
    Done,
    Failed(Fault),
    /// Lua raised an error of its own, which is on top of the stack.
    Raised,
}

struct Task<J> {
    job: J,
    fault: Option<Fault>,
}

/// Runs a job on the only value on the stack, in a protected call. No error of Lua leaves it.
///
/// # Safety
/// Called in a C function with one value on its stack. Its upvalue `upvalue` is `worker::<J>`.
pub unsafe fn protect<J: Job>(state: *mut lua_State, upvalue: c_int, job: J) -> Ending {
    let mut task = Task { job, fault: None };
    // SAFETY: a C function has twenty slots. The task outlives the call.
    let status = unsafe {
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(upvalue));
        ffi::lua_insert(state, 1);
        ffi::lua_pushlightuserdata(state, (&raw mut task).cast());
        ffi::lua_pcall(state, 2, 1, 0)
    };
    match (status, task.fault) {
        (ffi::LUA_OK, None) => Ending::Done,
        (ffi::LUA_OK, Some(fault)) => Ending::Failed(fault),
        _ => Ending::Raised,
    }
}

/// The function that a protected call calls.
///
/// # Safety
/// Called by [`protect`] with the same `J`.
pub unsafe extern "C-unwind" fn worker<J: Job>(state: *mut lua_State) -> c_int {
    // SAFETY: the second argument is the task of `protect`, which waits for this call and does not
    // touch the task meanwhile.
    unsafe {
        let task = &mut *ffi::lua_touserdata(state, 2).cast::<Task<J>>();
        ffi::lua_settop(state, 1);
        task.fault = task.job.run(&mut Stack { state }).err();
    }
    1
}

/// The stack of a protected call. Whoever uses it keeps count of what he has pushed, and asks for
/// [`room`](Stack::room) before he pushes beyond the slots that every C function has.
pub struct Stack {
    state: *mut lua_State,
}

// SAFETY, of all that follows: `state` is that of the running call, and the indices are of values
// that the job has put there. None of the calls runs a metamethod. A text that is borrowed stays on
// the stack as long as the borrow: whatever pops takes `&mut self`.
impl Stack {
    /// Whether this many more values fit.
    ///
    /// Can jump.
    pub fn room(&mut self, slots: c_int) -> bool {
        unsafe { ffi::lua_checkstack(self.state, slots) != 0 }
    }

    /// The type of the value on top.
    pub fn kind(&self) -> c_int {
        unsafe { ffi::lua_type(self.state, -1) }
    }

    /// The type of the key below the value.
    pub fn key_kind(&self) -> c_int {
        unsafe { ffi::lua_type(self.state, -2) }
    }

    /// The number on top.
    pub fn number(&self) -> f64 {
        unsafe { ffi::lua_tonumber(self.state, -1) }
    }

    /// The number below the value.
    pub fn key_number(&self) -> f64 {
        unsafe { ffi::lua_tonumber(self.state, -2) }
    }

    /// Whether the value on top is true.
    pub fn boolean(&self) -> bool {
        unsafe { ffi::lua_toboolean(self.state, -1) != 0 }
    }

    /// Whether the userdata on top is the null pointer.
    pub fn is_null_pointer(&self) -> bool {
        unsafe { ffi::lua_touserdata(self.state, -1).is_null() }
    }

    /// The string on top.
    pub fn text(&self) -> &[u8] {
        self.text_at(-1)
    }

    /// The string below the value.
    pub fn key_text(&self) -> &[u8] {
        self.text_at(-2)
    }

    fn text_at(&self, index: c_int) -> &[u8] {
        debug_assert_eq!(
            unsafe { ffi::lua_type(self.state, index) },
            ffi::LUA_TSTRING
        );
        let mut length = 0;
        unsafe {
            let bytes = ffi::lua_tolstring(self.state, index, &raw mut length);
            slice::from_raw_parts(bytes.cast(), length)
        }
    }

    /// Begins a walk over the table on top.
    pub fn push_nil(&mut self) {
        unsafe { ffi::lua_pushnil(self.state) }
    }

    /// Takes the key on top and puts the next one of the table below it, with its value. At the
    /// table's end it puts nothing.
    pub fn next(&mut self) -> bool {
        unsafe { ffi::lua_next(self.state, -2) != 0 }
    }

    pub fn pop(&mut self, values: c_int) {
        unsafe { ffi::lua_pop(self.state, values) }
    }

    /// Puts what the table on top has at `index`.
    pub fn push_item(&mut self, index: c_int) {
        unsafe { ffi::lua_rawgeti_(self.state, -1, index) }
    }

    pub fn push_number(&mut self, value: f64) {
        unsafe { ffi::lua_pushnumber(self.state, value) }
    }

    pub fn push_boolean(&mut self, value: bool) {
        unsafe { ffi::lua_pushboolean(self.state, c_int::from(value)) }
    }

    /// Puts `cjson.null`.
    pub fn push_null_pointer(&mut self) {
        unsafe { ffi::lua_pushlightuserdata(self.state, ptr::null_mut()) }
    }

    /// Can jump.
    pub fn push_text(&mut self, text: &[u8]) {
        unsafe { ffi::lua_pushlstring_(self.state, text.as_ptr().cast::<c_char>(), text.len()) }
    }

    /// Can jump.
    pub fn push_table(&mut self) {
        unsafe { ffi::lua_createtable(self.state, 0, 0) }
    }

    /// Takes the value on top into the table below it.
    ///
    /// Can jump.
    pub fn set_item(&mut self, index: c_int) {
        unsafe { ffi::lua_rawseti_(self.state, -2, index) }
    }

    /// Takes the key and the value on top into the table below them.
    ///
    /// Can jump.
    pub fn set_member(&mut self) {
        unsafe { ffi::lua_rawset(self.state, -3) }
    }
}
