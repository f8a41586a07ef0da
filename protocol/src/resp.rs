//! The one codec for RESP, Redis's protocol, in both directions.
//!
//! | | reads | writes |
//! |---|---|---|
//! | commands | [`parse`], with [`inline`] for those typed by hand | [`encode`] |
//! | replies | [`element`], [`scan`], [`value`] | [`reply`] |
//!
//! Everything on the wire is made of lines such as `$16\r\n`: see [`header`]. Readers take what has
//! arrived so far and answer with what is whole, that more is needed, or what is wrong. None of
//! them allocates for a length that was only promised.
//!
//! The format: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

pub mod element;
pub mod encode;
pub mod header;
pub mod inline;
pub mod parse;
pub mod reply;
pub mod scan;
pub mod value;

pub use element::{Bounds, Element, Malformed};
pub use scan::Scan;
pub use value::Value;
