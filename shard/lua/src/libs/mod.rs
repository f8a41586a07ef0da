//! The libraries that Redis gives to scripts, each with the very behaviour of Redis's.

// Until the sandbox opens it.
#[allow(dead_code, unused_imports)]
pub mod cjson;
