//! What reads bytes from outside, as functions of any bytes: requests, snapshots, logs, rules of
//! users. They panic where a reader breaks a promise.
//!
//! `cargo +nightly fuzz run resp --features libfuzzer` looks for such bytes; `corpus/` holds what
//! it begins with, and what once was found. `cargo test -p fuzz` feeds the corpus, and each of its
//! inputs cut short anywhere, without any of that.

mod acl;
mod log;
mod rdb;
mod resp;

pub use acl::acl;
pub use log::log;
pub use rdb::rdb;
pub use resp::resp;
