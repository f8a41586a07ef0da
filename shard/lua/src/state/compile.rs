//! Compiling texts. Lua would run compiled code unchecked: whatever begins like such is parsed as a
//! text, as Redis does.

use std::ffi::{CStr, c_char, c_void};

use mlua::ffi;

use super::{Kind, State, Status};

/// What `lua_load` reads: a space before a text that begins like compiled code, so that it is
/// parsed, as Redis does; then the text.
struct Source<'a> {
    pieces: [&'a [u8]; 2],
    next: usize,
}

unsafe extern "C-unwind" fn read_source(
    _: *mut ffi::lua_State,
    data: *mut c_void,
    size: *mut usize,
) -> *const c_char {
    // SAFETY: `load` hands in a `Source` that lives until it returns.
    unsafe {
        let source = &mut *data.cast::<Source<'_>>();
        while let Some(piece) = source.pieces.get(source.next) {
            source.next += 1;
            if !piece.is_empty() {
                *size = piece.len();
                return piece.as_ptr().cast();
            }
        }
        *size = 0;
        std::ptr::null()
    }
}

/// The reader of `load(f)`: the function is at 1, the piece read last at 3. It reserves the top.
unsafe extern "C-unwind" fn read_pieces(
    raw: *mut ffi::lua_State,
    data: *mut c_void,
    size: *mut usize,
) -> *const c_char {
    // SAFETY: `load_pieces` hands in the flag; the stack is as it says.
    unsafe {
        let state = State(raw);
        let begun = &mut *data.cast::<bool>();
        ffi::luaL_checkstack_(raw, 2, c"too many nested functions".as_ptr());
        state.push_value(1);
        state.call(0, 1);
        match state.kind(-1) {
            Kind::Nil => {
                state.pop(1);
                *size = 0;
                return std::ptr::null();
            }
            Kind::String | Kind::Number => {}
            _ => {
                state.fail(b"reader function must return a string");
            }
        }
        if !*begun
            && state
                .bytes(-1)
                .is_some_and(|piece| piece.first() == Some(&0x1b))
        {
            state.push_bytes(b" ");
            state.insert(-2);
            ffi::lua_concat(raw, 2);
        }
        *begun = true;
        state.replace(3);
        ffi::lua_tolstring(raw, 3, size)
    }
}

// SAFETY, of all that follows: as in the module above.
impl State {
    /// Pushes the function that a text compiles to, or the error.
    pub fn load(self, text: &[u8], name: &CStr) -> Status {
        let before: &[u8] = if text.first() == Some(&0x1b) {
            b" "
        } else {
            b""
        };
        let mut source = Source {
            pieces: [before, text],
            next: 0,
        };
        let data = (&raw mut source).cast();
        match unsafe { ffi::lua_load(self.0, read_source, data, name.as_ptr()) } {
            ffi::LUA_OK => Status::Done,
            _ => Status::Failed,
        }
    }

    /// Likewise with the text at 1 and the name at 2, which is cut at its first zero byte.
    pub fn load_at(self) -> Status {
        unsafe {
            let mut length = 0;
            let start = ffi::lua_tolstring(self.0, 1, &mut length);
            let name = ffi::lua_tolstring(self.0, 2, std::ptr::null_mut());
            // What the parser makes of the name stays referenced while it parses.
            ffi::lua_pushstring_(self.0, name);
            self.load(
                std::slice::from_raw_parts(start.cast(), length),
                CStr::from_ptr(name),
            )
        }
    }

    /// Likewise with a function at 1 that gives piece by piece, and the name at 2. The stack has
    /// three values, and gets one.
    pub fn load_pieces(self) -> Status {
        unsafe {
            let name = ffi::lua_tolstring(self.0, 2, std::ptr::null_mut());
            ffi::lua_pushstring_(self.0, name);
            let mut begun = false;
            let data = (&raw mut begun).cast();
            match ffi::lua_load(self.0, read_pieces, data, name) {
                ffi::LUA_OK => Status::Done,
                _ => Status::Failed,
            }
        }
    }
}
