//! Who among clients with caches has read which keys of this shard, and what they are to be told.

pub mod invalidations;
pub mod prefixes;
pub mod table;
