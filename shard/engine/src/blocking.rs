//! What blocked commands are made of.

pub mod ending;
pub mod fenced;
pub mod ticketed;
pub mod waiting;
