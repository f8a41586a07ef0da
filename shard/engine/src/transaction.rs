//! What must happen at one instant on several shards. See `steps::coordination` for how.

pub mod answers;
pub mod commit;
pub mod coordinator;
pub mod divided;
pub mod forwarded;
pub mod global;
pub mod locks;
pub mod owner;
pub mod workspace;
