//! What scripts may call: see [`crate::restricted`].

use std::sync::Arc;

use acl::selector::Denied;
use acl::user::User;
use protocol::args::Args;
use protocol::table::CommandId;

use crate::engine::Engine;
use crate::header::Caller;

impl Engine {
    /// The user of a command's caller, where that is a connection of this shard and the user may
    /// not do everything.
    pub(crate) fn restricted_user(&self, caller: &Caller) -> Option<&Arc<User>> {
        self.restricted.user_of(caller, self.id)
    }

    /// Whether what the caller of a script calls may read keys that are not named.
    pub(crate) fn reads_all_keys(&self, caller: &Caller, id: CommandId) -> bool {
        let user = self.restricted_user(caller);
        user.is_none_or(|user| user.reads_all_keys(id))
    }

    /// Why the caller of a script may not call this, if so.
    pub(crate) fn denied_in_script(
        &self,
        caller: &Caller,
        id: CommandId,
        args: &Args<'_>,
    ) -> Option<Denied> {
        self.restricted_user(caller)?.check(id, args).err()
    }
}
