//! The commands, one file a family.

pub mod copy;
pub mod expiry;
pub mod keys;
pub mod lcs;
pub mod options;
pub mod string;
