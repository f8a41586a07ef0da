//! What users may do, as the engine must know it: scripts call commands that their text does not
//! show.
//!
//! The outside says which of this shard's connections belong to a user who may not do everything.
//! Whatever such a connection's script calls is checked when it is called. That a command may be
//! sent at all is checked before it comes here.

use std::sync::Arc;

use acl::selector::Denied;
use acl::user::User;
use hashbrown::HashMap;
use protocol::args::Args;
use protocol::command::Command;

use crate::error::Error;
use crate::header::{Caller, ClientToken};
use crate::slot::ShardId;

/// Connections of this shard whose users may not do everything.
#[derive(Default)]
pub struct Restricted {
    by_token: HashMap<ClientToken, Arc<User>, foldhash::fast::RandomState>,
}

impl Restricted {
    /// A connection has this user now; none where that one may do everything, or it has gone.
    pub fn set(&mut self, client: ClientToken, user: Option<&Arc<User>>) {
        match user {
            Some(user) => drop(self.by_token.insert(client, user.clone())),
            None => drop(self.by_token.remove(&client)),
        }
    }

    /// The user of a caller, where that is a connection of the shard `here`, which this is, and the
    /// user may not do everything.
    pub(crate) fn user_of(&self, caller: &Caller, here: ShardId) -> Option<&Arc<User>> {
        if self.by_token.is_empty() {
            return None;
        }
        let address = caller.address().filter(|it| it.home == here)?;
        self.by_token.get(&address.token)
    }
}

/// What was refused: the command's name, or the key or channel.
pub fn object_of<'a>(denied: Denied, command: &'static Command, args: &'a Args<'_>) -> &'a [u8] {
    match denied {
        Denied::Command => command.name.as_bytes(),
        Denied::Key(at) | Denied::Channel(at) => &args[at],
    }
}

/// What a user is told who may not do something, without the code.
pub fn text_of(denied: Denied, user: &User, command: &Command) -> Vec<u8> {
    match denied {
        Denied::Command => {
            let name = command.name.as_bytes();
            let parts: [&[u8]; 5] = [
                b"User ",
                &user.name,
                b" has no permissions to run the '",
                name,
                b"' command",
            ];
            parts.concat()
        }
        Denied::Key(_) => b"No permissions to access a key".to_vec(),
        Denied::Channel(_) => b"No permissions to access a channel".to_vec(),
    }
}

/// The error for a command that a user may not run.
pub fn error_of(denied: Denied, user: &User, command: &Command) -> Error {
    Error::from_bytes([b"NOPERM ", &text_of(denied, user, command)[..]].concat())
}
