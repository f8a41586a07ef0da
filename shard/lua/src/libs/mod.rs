//! The libraries that Redis gives to scripts, each with the very behaviour of Redis's.

#![allow(dead_code, reason = "the sandbox that opens them is to come")]

pub mod arguments;
pub mod bit;
#[allow(unused_imports)]
pub mod cjson;
pub mod cmsgpack;
mod raise;
pub mod structs;

#[cfg(test)]
mod tests;
