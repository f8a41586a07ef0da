//! The Redis protocol over bytes, and the command table. No I/O, no async: bytes in, commands out; replies in, bytes out.
//!
//! * [`parse`]: the incremental command parser; [`inline`] the quoting rules of a command typed by hand.
//! * [`args`]: the arguments of one command, borrowed or owned.
//! * [`reply`]: writes replies in the shape of RESP2 or RESP3; [`number`] how numbers read as text.

#[macro_use]
mod rows;

pub mod args;
pub mod command;
pub mod docs;
pub mod facts;
pub mod glob;
pub mod grisu;
pub mod inline;
pub mod keys;
pub mod long_double;
pub mod number;
pub mod parse;
pub mod peek;
pub mod reply;
pub mod strtod;
pub mod syntax;
pub mod table;

pub use args::{Args, OwnedArgs, Span};
pub use command::{Command, Flags, KeyFlags, KeyShape};
pub use keys::{KeysError, key_positions};
pub use parse::{LARGE_ARG_BYTES, LargeArg, Limits, Parsed, Parser, ProtocolError};
pub use reply::{Reply, Version};
pub use table::{COMMANDS, CommandId, lookup, lookup_sub};
