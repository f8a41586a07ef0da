//! Functions of Rust that raise errors as Lua's own libraries do: as strings. What mlua makes of an
//! error of Rust is an object of its own, which a script's `pcall` would see.

#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Result};

/// A function that calls `inner`, which returns true and its results, or false and the text of an
/// error. Where it runs, `inner` is one level of the stack deeper.
pub fn raising(lua: &Lua, inner: Function) -> Result<Function> {
    // SAFETY: one value is on the stack, which becomes the upvalue of the one that is left.
    unsafe { lua.exec_raw(inner, |state| ffi::lua_pushcclosure(state, call, 1)) }
}

// SAFETY: Lua calls this with a valid state and twenty free slots, and with the upvalue that
// `raising` has given it. It may leave by `longjmp`, and owns nothing.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    unsafe {
        let arguments = ffi::lua_gettop(state);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, arguments, ffi::LUA_MULTRET);
        if ffi::lua_toboolean(state, 1) == 0 {
            ffi::lua_settop(state, 2);
            ffi::lua_error(state);
        }
        ffi::lua_remove(state, 1);
        ffi::lua_gettop(state)
    }
}
