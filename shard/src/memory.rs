//! What memory goes to, and what is closed or freed when it is short: see [`engine::ledger`] and
//! [`engine::eviction`].

pub mod client_eviction;
pub mod footprint;
pub mod lazyfree;
