//! What travels with a command, so that nobody need ask its connection.

use engine::header::{Caller, Header};
use protocol::table::CommandId;

use crate::client::Client;

impl Client {
    /// What travels with a command of this connection.
    #[inline]
    pub fn header(&self, command: CommandId) -> Header {
        let session = &self.session;
        Header {
            command,
            db: session.db,
            version: session.version,
            caller: Caller {
                client_id: session.id,
                home: self.home,
                index: self.token.index,
                no_touch: session.no_touch,
                tracks: session.tracks_reads,
                in_script: session.in_script,
                reads_all_keys: session.identity.reads_all_keys(command),
            },
        }
    }
}
