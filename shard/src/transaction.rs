//! Transactions as their connections see them: MULTI and EXEC, and what asks several shards.

pub mod exec;
pub mod gather;
