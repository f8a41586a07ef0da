//! What blocked commands are made of.

pub mod ending;
pub mod fenced;
pub mod on_several;
pub mod waiting;
