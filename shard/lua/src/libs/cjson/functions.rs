//! What scripts call: the functions of the table `cjson`.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::{ptr, slice};

use mlua::ffi::{self, lua_CFunction, lua_State};
use mlua::{Lua, Result, Table};

use super::decode::Decoder;
use super::encode::Encoder;
use super::stack::{Ending, protect, worker};
use super::{Fault, INVALID_AS_IS, Settings};

/// A function's upvalues: the settings of its table, and for two of them what they run protected.
const SETTINGS: c_int = 1;
const WORKER: c_int = 2;

/// The members in the order in which they are set. `pairs` gives them in an order that follows from
/// it, which scripts see.
const FUNCTIONS: [(&CStr, lua_CFunction, Option<lua_CFunction>); 10] = [
    (c"encode", encode, Some(worker::<Encoder>)),
    (c"decode", decode, Some(worker::<Decoder>)),
    (c"encode_sparse_array", encode_sparse_array, None),
    (c"encode_max_depth", encode_max_depth, None),
    (c"decode_max_depth", decode_max_depth, None),
    (c"encode_number_precision", encode_number_precision, None),
    (c"encode_keep_buffer", encode_keep_buffer, None),
    (c"encode_invalid_numbers", encode_invalid_numbers, None),
    (c"decode_invalid_numbers", decode_invalid_numbers, None),
    (c"new", new, None),
];

/// A new table `cjson` with the settings that Redis starts with.
pub fn open(lua: &Lua) -> Result<Table> {
    // SAFETY: `new` leaves one value, and owns nothing where Lua has no memory for it.
    unsafe {
        lua.exec_raw((), |state| {
            new(state);
        })
    }
}

// SAFETY, of all that follows: Lua calls these functions with a valid state and twenty free slots,
// and their upvalues are those that `new` has given them. They may leave by `longjmp` at any error
// of Lua, so none owns anything at such a place.

/// `cjson.new()`: another table, with settings of its own.
unsafe extern "C-unwind" fn new(state: *mut lua_State) -> c_int {
    unsafe {
        ffi::lua_createtable(state, 0, 0);
        let settings = ffi::lua_newuserdata(state, size_of::<Settings>()).cast::<Settings>();
        settings.write(Settings::default());
        for (name, function, worker) in FUNCTIONS {
            ffi::lua_pushvalue(state, -1);
            if let Some(worker) = worker {
                ffi::lua_pushcclosure(state, worker, 0);
            }
            ffi::lua_pushcclosure(state, function, 1 + c_int::from(worker.is_some()));
            ffi::lua_setfield(state, -3, name.as_ptr());
        }
        ffi::lua_pop(state, 1);
        ffi::lua_pushlightuserdata(state, ptr::null_mut());
        ffi::lua_setfield(state, -2, c"null".as_ptr());
        ffi::lua_pushstring(state, c"cjson".as_ptr());
        ffi::lua_setfield(state, -2, c"_NAME".as_ptr());
        ffi::lua_pushstring(state, c"2.1.0".as_ptr());
        ffi::lua_setfield(state, -2, c"_VERSION".as_ptr());
        1
    }
}

/// `cjson.encode(value)`: the value as JSON.
unsafe extern "C-unwind" fn encode(state: *mut lua_State) -> c_int {
    unsafe {
        check_one_argument(state);
        let settings = *settings(state);
        let ending = protect(state, WORKER, Encoder::new(settings));
        finish(state, ending)
    }
}

/// `cjson.decode(text)`: the value that is JSON in the text.
unsafe extern "C-unwind" fn decode(state: *mut lua_State) -> c_int {
    unsafe {
        check_one_argument(state);
        let settings = *settings(state);
        let mut length = 0;
        let bytes = ffi::luaL_checklstring(state, 1, &raw mut length);
        // The text is the argument of the protected call, and stands on its stack all the while.
        let text = slice::from_raw_parts(bytes.cast::<u8>(), length);
        let ending = protect(state, WORKER, Decoder::new(settings, text));
        finish(state, ending)
    }
}

unsafe fn check_one_argument(state: *mut lua_State) {
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            ffi::luaL_argerror(state, 1, c"expected 1 argument".as_ptr());
        }
    }
}

/// Gives the result, or raises the error.
unsafe fn finish(state: *mut lua_State, ending: Ending) -> c_int {
    unsafe {
        match ending {
            Ending::Done => 1,
            Ending::Failed(fault) => raise(state, fault),
            Ending::Raised => ffi::lua_error(state),
        }
    }
}

unsafe fn raise(state: *mut lua_State, fault: Fault) -> c_int {
    unsafe {
        match fault {
            Fault::Serialise { kind, reason } => ffi::luaL_error(
                state,
                c"Cannot serialise %s: %s".as_ptr(),
                ffi::lua_typename(state, kind),
                reason.as_ptr(),
            ),
            Fault::TooDeep { depth } => ffi::luaL_error(
                state,
                c"Cannot serialise, excessive nesting (%d)".as_ptr(),
                depth as c_int,
            ),
            Fault::TooLong => ffi::luaL_error(state, c"not enough memory".as_ptr()),
            Fault::TooNested { depth, at } => ffi::luaL_error(
                state,
                c"Found too many nested data structures (%d) at character %d".as_ptr(),
                depth as c_int,
                at as c_int,
            ),
            Fault::Expected { wanted, found, at } => ffi::luaL_error(
                state,
                c"Expected %s but found %s at character %d".as_ptr(),
                wanted.as_ptr(),
                found.as_ptr(),
                at as c_int + 1,
            ),
            Fault::Utf16 => ffi::luaL_error(
                state,
                c"JSON parser does not support UTF-16 or UTF-32".as_ptr(),
            ),
        }
    }
}

/// `cjson.encode_sparse_array([convert, ratio, safe])`: what happens to arrays with many holes.
unsafe extern "C-unwind" fn encode_sparse_array(state: *mut lua_State) -> c_int {
    unsafe {
        let settings = arguments(state, 3);
        switch_option(state, 1, &raw mut (*settings).sparse_convert);
        integer_option(state, 2, &raw mut (*settings).sparse_ratio, 0, c_int::MAX);
        integer_option(state, 3, &raw mut (*settings).sparse_safe, 0, c_int::MAX);
    }
    3
}

/// `cjson.encode_max_depth([depth])`.
unsafe extern "C-unwind" fn encode_max_depth(state: *mut lua_State) -> c_int {
    unsafe {
        let setting = &raw mut (*arguments(state, 1)).encode_max_depth;
        integer_option(state, 1, setting, 1, c_int::MAX);
    }
    1
}

/// `cjson.decode_max_depth([depth])`.
unsafe extern "C-unwind" fn decode_max_depth(state: *mut lua_State) -> c_int {
    unsafe {
        let setting = &raw mut (*arguments(state, 1)).decode_max_depth;
        integer_option(state, 1, setting, 1, c_int::MAX);
    }
    1
}

/// `cjson.encode_number_precision([digits])`.
unsafe extern "C-unwind" fn encode_number_precision(state: *mut lua_State) -> c_int {
    unsafe {
        let setting = &raw mut (*arguments(state, 1)).encode_number_precision;
        integer_option(state, 1, setting, 1, 14);
    }
    1
}

/// `cjson.encode_keep_buffer([keep])`.
unsafe extern "C-unwind" fn encode_keep_buffer(state: *mut lua_State) -> c_int {
    unsafe {
        let setting = &raw mut (*arguments(state, 1)).encode_keep_buffer;
        switch_option(state, 1, setting);
    }
    1
}

/// `cjson.encode_invalid_numbers([false | true | "null"])`.
unsafe extern "C-unwind" fn encode_invalid_numbers(state: *mut lua_State) -> c_int {
    unsafe {
        let setting = &raw mut (*arguments(state, 1)).encode_invalid_numbers;
        let null = c"null".as_ptr();
        enum_option(state, 1, setting, &[OFF, ON, null, ptr::null()]);
    }
    1
}

/// `cjson.decode_invalid_numbers([allowed])`.
unsafe extern "C-unwind" fn decode_invalid_numbers(state: *mut lua_State) -> c_int {
    unsafe {
        let setting = &raw mut (*arguments(state, 1)).decode_invalid_numbers;
        switch_option(state, 1, setting);
    }
    1
}

unsafe fn settings(state: *mut lua_State) -> *mut Settings {
    unsafe { ffi::lua_touserdata(state, ffi::lua_upvalueindex(SETTINGS)).cast() }
}

/// The settings, and `count` arguments on the stack: those that are missing are nil.
unsafe fn arguments(state: *mut lua_State, count: c_int) -> *mut Settings {
    unsafe {
        if ffi::lua_gettop(state) > count {
            ffi::luaL_argerror(state, count + 1, c"found too many arguments".as_ptr());
        }
        ffi::lua_settop(state, count);
        settings(state)
    }
}

/// Sets a setting to an argument that is not nil, and puts its value on the stack.
unsafe fn integer_option(
    state: *mut lua_State,
    argument: c_int,
    setting: *mut c_int,
    min: c_int,
    max: c_int,
) {
    unsafe {
        if !is_nil(state, argument) {
            // A number beyond 32 bits wraps around, as in C.
            let value = ffi::luaL_checkinteger(state, argument) as c_int;
            if value < min || value > max {
                let message = c"expected integer between %d and %d".as_ptr();
                let message = ffi::lua_pushfstring(state, message, min, max);
                // It is always the first argument that is named.
                ffi::luaL_argerror(state, 1, message);
            }
            *setting = value;
        }
        ffi::lua_pushinteger(state, ffi::lua_Integer::from(*setting));
    }
}

const OFF: *const c_char = c"off".as_ptr();
const ON: *const c_char = c"on".as_ptr();

unsafe fn switch_option(state: *mut lua_State, argument: c_int, setting: *mut c_int) {
    unsafe { enum_option(state, argument, setting, &[OFF, ON, ptr::null()]) }
}

/// Likewise, with a setting that is one of `names`, of which the last is null. The first two are
/// booleans, too.
unsafe fn enum_option(
    state: *mut lua_State,
    argument: c_int,
    setting: *mut c_int,
    names: &[*const c_char],
) {
    unsafe {
        if !is_nil(state, argument) {
            *setting = if ffi::lua_type(state, argument) == ffi::LUA_TBOOLEAN {
                ffi::lua_toboolean(state, argument)
            } else {
                ffi::luaL_checkoption(state, argument, ptr::null(), names.as_ptr())
            };
        }
        if *setting <= INVALID_AS_IS {
            ffi::lua_pushboolean(state, *setting);
        } else {
            ffi::lua_pushstring(state, names[*setting as usize]);
        }
    }
}

unsafe fn is_nil(state: *mut lua_State, argument: c_int) -> bool {
    unsafe { ffi::lua_type(state, argument) == ffi::LUA_TNIL }
}
