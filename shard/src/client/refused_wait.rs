//! What a connection waits for and may not any more, since its user's rights have changed.

use acl::selector::Denied;
use protocol::table::CommandId;

/// A refused wait: it is being ended, wherever it is.
pub struct RefusedWait {
    pub command: CommandId,
    pub denied: Denied,
    /// The command, key or channel.
    pub object: Box<[u8]>,
}
