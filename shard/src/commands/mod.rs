//! The commands, one file a family.

pub mod config;
pub mod copy;
pub mod expiry;
pub mod keys;
pub mod lcs;
pub mod list;
pub mod options;
pub mod string;
pub mod transaction;
