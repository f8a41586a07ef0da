//! What scripts may call: see [`crate::restricted`].

use std::sync::Arc;

use acl::selector::Denied;
use acl::user::User;
use protocol::args::Args;
use protocol::table::CommandId;

use crate::engine::Engine;
use crate::header::Caller;
use crate::script::run::RunState;

impl Engine {
    /// The user of a command's caller, where that is a connection of this shard and the user may
    /// not do everything.
    pub(crate) fn restricted_user(&self, caller: &Caller) -> Option<&Arc<User>> {
        self.restricted.user_of(caller, self.id)
    }
}

impl RunState {
    /// Whether what it calls may read keys that are not named.
    pub(crate) fn reads_all_keys(&self, id: CommandId) -> bool {
        let user = self.user.as_ref();
        user.is_none_or(|user| user.reads_all_keys(id))
    }

    /// Why it may not call this, if so.
    pub(crate) fn denied(&self, id: CommandId, args: &Args<'_>) -> Option<Denied> {
        self.user.as_ref()?.check(id, args).err()
    }
}
