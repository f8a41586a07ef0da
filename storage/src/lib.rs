//! One shard's data: synchronous, single-threaded, without I/O.
//!
//! Bottom up: an [`entry`] is a key with its value in one heap block; a `segment` holds some dozens
//! of entries whose hashes begin alike; a `directory` finds the segment of a hash; [`prefetch`]
//! warms several at once; a [`keyspace`] is a database over such directories; [`databases`] are a
//! shard's numbered databases. [`eviction`] chooses what goes when memory is short. Values that are
//! not strings are registered in [`value`]; the small ones are a [`listpack`] over [`thin_bytes`].
//! Time comes in as an argument ([`clock`]).

pub mod access;
pub mod aof;
pub mod bits;
pub mod block_size;
pub mod clock;
pub mod cut;
pub mod databases;
mod directory;
pub mod entry;
pub mod eviction;
pub mod geo_cells;
pub mod geohash;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod item;
pub mod keyspace;
pub mod list;
pub mod listpack;
pub mod prefetch;
pub mod rdb;
pub mod read_at;
mod segment;
pub mod set;
mod slabs;
pub mod sorted_set;
pub mod stream;
pub mod stream_group;
pub mod stream_id;
pub mod stream_log;
mod stream_node;
pub mod thin_bytes;
pub mod value;

pub use access::AccessPolicy;
pub use block_size::block_size;
pub use clock::UnixMillis;
pub use cut::{Piece, Terms};
pub use databases::{Databases, DbIndex};
pub use entry::Entry;
pub use eviction::{EvictionPolicy, Pool, Preference, Victim};
pub use hash::{FieldDeadline, Hash, HashLimits};
pub use item::Item;
pub use keyspace::{Eligible, Expired, KeyHasher, Keyspace, Looked, Position, Spot};
pub use list::{List, ListLimits};
pub use listpack::{End, Listpack};
pub use set::{Set, SetLimits};
pub use sorted_set::{Score, SortedSet, SortedSetLimits};
pub use stream::Stream;
pub use stream_id::{NewId, StreamId};
pub use value::{Kind, Object, Value, WrongType};
