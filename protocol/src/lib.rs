//! The Redis protocol over bytes, and the command table. No I/O, no async.
//!
//! * [`resp`]: the codec of commands and replies, in both directions.
//! * [`args`]: the arguments of one command, borrowed or owned.
//! * [`number`]: how numbers read as text.
//! * [`table`]: what is known about each command.

#[macro_use]
mod rows;

pub mod args;
pub mod command;
pub mod docs;
pub mod facts;
pub mod glob;
pub mod grisu;
pub mod keys;
pub mod long_double;
pub mod number;
pub mod peek;
pub mod resp;
pub mod strtod;
pub mod syntax;
pub mod table;

pub use args::{Args, OwnedArgs, Span};
pub use command::{Command, Flags, KeyFlags, KeyShape};
pub use keys::{KeysError, key_positions};
pub use resp::parse::{LARGE_ARG_BYTES, LargeArg, Limits, Parsed, Parser, ProtocolError};
pub use resp::reply::{Reply, Version};
pub use resp::{inline, parse, reply};
pub use table::{COMMANDS, CommandId, lookup, lookup_sub};
