//! What people are told of commands: in the slow log, by MONITOR, in the server's log.

use acl::selector::Denied;
use lua::machine::LogLevel;
use protocol::args::OwnedArgs;
use protocol::table::CommandId;
use storage::DbIndex;

use crate::header::Caller;

/// One thing to tell. Of a script's calls it is told once the script is over.
pub enum Told {
    /// A command took long.
    Slow {
        command: CommandId,
        caller: Caller,
        args: OwnedArgs,
        nanos: u64,
    },
    /// A script has called a command, which monitors are shown.
    Called(CommandId, DbIndex, OwnedArgs),
    /// A script has called what its user may not.
    Denied {
        caller: Caller,
        denied: Denied,
        /// The command, key or channel.
        object: Box<[u8]>,
    },
    /// A script has a line for the server's log.
    Log(LogLevel, Vec<u8>),
}
