//! The library `cjson`: JSON for scripts, as lua-cjson 2.1.0 has it in Redis 7.4, error texts and
//! the order of a table's members included.
//!
//! [`encode`] and [`decode`] do the work on a [`stack::Stack`] and hold nothing of Lua;
//! [`functions`] is what scripts call. These are C functions to Lua: the error of a Rust function
//! that `mlua` wraps would reach a script's `pcall` as an object, and must be a string.
//!
//! Nothing here recurses: the settings decide how deep values may nest, not the thread's stack.

mod decode;
mod encode;
mod functions;
mod number;
mod stack;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_int};

pub use functions::open;

/// The settings of one table `cjson`. `cjson.new` makes another table with its own.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// A sparse array becomes an object where it would be an error.
    sparse_convert: c_int,
    /// An array is sparse that has this many times more slots than values; 0: none is.
    sparse_ratio: c_int,
    /// No array up to this many slots is sparse.
    sparse_safe: c_int,
    encode_max_depth: c_int,
    /// Whether NaN and infinities are encoded: [`INVALID_ERROR`], [`INVALID_AS_IS`] or
    /// [`INVALID_AS_NULL`].
    encode_invalid_numbers: c_int,
    /// Significant digits.
    encode_number_precision: c_int,
    /// Read and set by scripts, and otherwise without effect: a buffer is kept in any case.
    encode_keep_buffer: c_int,
    decode_max_depth: c_int,
    /// Whether hexadecimal numbers, leading zeros, NaN and infinities are read.
    decode_invalid_numbers: c_int,
}

const INVALID_ERROR: c_int = 0;
const INVALID_AS_IS: c_int = 1;
const INVALID_AS_NULL: c_int = 2;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sparse_convert: 0,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1000,
            encode_invalid_numbers: INVALID_ERROR,
            encode_number_precision: 14,
            encode_keep_buffer: 1,
            decode_max_depth: 1000,
            decode_invalid_numbers: 1,
        }
    }
}

/// Why a value cannot be encoded, or a text not be decoded. It owns no memory: Lua jumps over the
/// frame that raises it.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A value of this Lua type has no JSON.
    Serialise { kind: c_int, reason: &'static CStr },
    /// Tables are nested deeper than the setting, or Lua's stack, allows.
    TooDeep { depth: usize },
    /// The JSON would take more than [`encode::OUTPUT_MAX`] bytes.
    TooLong,
    /// The text nests deeper than the setting, or Lua's stack, allows. `at` counts bytes from 0.
    TooNested { depth: usize, at: usize },
    /// The text has something else than what must stand there. `at` counts bytes from 0.
    Expected {
        wanted: &'static CStr,
        found: &'static CStr,
        at: usize,
    },
    /// One of the first two bytes is zero.
    Utf16,
}
