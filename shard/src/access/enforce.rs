//! Who may do what: asked of each command of a restricted user; and how a change of the users comes
//! into force.
//!
//! A change is made to a copy under the process's lock; then every shard is visited and takes the
//! newest, and with it every connection that it has. The client is answered when all have done so:
//! from then on the rule holds, on whichever shard a connection is. What a shard has begun before
//! it was visited goes on as what came before the change; but a command that waits is ended where
//! its user may not send it any more, and who hears of channels that are no longer allowed is
//! closed.

use std::sync::Arc;

use acl::log::{Context, Reason, Refusal};
use acl::selector::Denied;
use engine::blocking::ending::{CancelMode, End};
use engine::error::Error;
use engine::header::Caller;
use engine::restricted;
use protocol::args::Args;
use protocol::reply::Reply;
use protocol::table::CommandId;
use tracing::warn;

use crate::blocking::cancel_mode_of;
use crate::client::close_reason::CloseReason;
use crate::client::refused_wait::RefusedWait;
use crate::client::{Client, Closing};
use crate::commands::client::line;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;
use crate::transaction::gather::PartOf;

/// Bytes of a refused command's name, key or channel that the log keeps.
const OBJECT_BYTES_MAX: usize = 1024;

impl Shard {
    /// Brings a change of the users, which has been made, into force on all shards, and answers
    /// with `finish` then. The connection that asked is closed behind its answer if at all.
    pub(crate) fn enforce_users(
        &mut self,
        client: &mut Client,
        finish: impl FnOnce(&mut Reply<'_>) + 'static,
    ) -> Answer {
        let (by, mode) = (client.session.id, cancel_mode_of(client));
        let shards = self.engine.slots.all();
        let visit = move |shard: &mut Shard, part: PartOf<()>| {
            shard.adopt_users(by, mode, move |shard| part.tell(shard, ()));
        };
        self.gather_told(client, shards, visit, move |_, _, reply| {
            finish(reply);
            Ok(())
        })
    }

    /// Takes the newest users, for connections to come and for those that are there. `by` is the
    /// connection that changed them. Does `then` when nothing can serve a wait any more that the
    /// change has ended.
    pub(crate) fn adopt_users(
        &mut self,
        by: u64,
        mode: CancelMode,
        then: impl FnOnce(&mut Shard) + Send + 'static,
    ) {
        let users = self.process.access.users();
        let before = std::mem::replace(&mut self.connections.users, users.clone());
        let (mut waits, mut closed) = (Vec::new(), Vec::new());
        for (_, known) in &self.connections.clients {
            let Ok(mut client) = known.client.try_borrow_mut() else {
                debug_assert!(false, "visits come when no connection is in use");
                continue;
            };
            let client = &mut *client;
            let old = client.session.identity.user().clone();
            let is_there = client.session.identity.renew(&users);
            let new = client.session.identity.user();
            if !is_there || !Arc::ptr_eq(&old, new) {
                if is_there && hears_only_allowed(client) {
                    let restricted = client.session.identity.restricted_user();
                    self.engine.restricted.set(known.token, restricted);
                    client.refused_wait = refused_wait(client);
                } else {
                    let how = if client.session.id == by {
                        Closing::AfterReplies
                    } else {
                        Closing::Now
                    };
                    client.close_for(CloseReason::Revoked, how);
                    closed.push(known.client.clone());
                }
            }
            // Also what an earlier change ends, which may have been answered no more than this one.
            if client.closing.is_some() || client.refused_wait.is_some() {
                waits.extend(client.blocked.map(|at| (known.token, at)));
            }
        }
        drop(before);
        for client in closed {
            // Nothing is counted as heard by it from here on.
            self.drop_subscriptions(&mut client.borrow_mut());
        }
        self.end_waits(waits, End::Gone, mode, then);
    }

    /// The reply to a wait that has ended since the connection's user may not send the command any
    /// more.
    pub(crate) fn refusal_of_wait(&mut self, client: &Client, refused: &RefusedWait) -> Vec<u8> {
        let RefusedWait {
            command,
            denied,
            object,
        } = refused;
        self.note_denied(client, *denied, Context::TopLevel, object);
        let user = client.session.identity.user();
        let error = restricted::error_of(*denied, user, command.command());
        self.engine.stats.rejected(Some(command.index()), &error);
        let mut encoded = Vec::new();
        error.write(&mut Reply::new(&mut encoded, client.session.version));
        encoded
    }

    /// Whether a connection may use a command in the state that it is in, and its user with these
    /// arguments.
    pub(crate) fn permit(
        &mut self,
        client: &mut Client,
        id: CommandId,
        args: &Args<'_>,
    ) -> Result<(), Error> {
        let (session, command) = (&client.session, id.command());
        if !session.is_logged_in_for(command) {
            return Err(Error::NO_AUTH);
        }
        if !session.identity.is_free()
            && let Err(denied) = session.identity.user().check(id, args)
        {
            return Err(self.deny(client, denied, id, args));
        }
        session.admits(command)
    }

    /// Notes that a connection's user may not run a command, and says what the user is told.
    #[cold]
    pub(crate) fn deny(
        &mut self,
        client: &mut Client,
        denied: Denied,
        id: CommandId,
        args: &Args<'_>,
    ) -> Error {
        let context = if client.session.queue.is_some() {
            Context::Multi
        } else {
            Context::TopLevel
        };
        let object = restricted::object_of(denied, id.command(), args).to_vec();
        client.session.last_command = id.command().name;
        self.note_denied(client, denied, context, &object);
        restricted::error_of(denied, client.session.identity.user(), id.command())
    }

    /// The error for a queued command that a connection's user may not run any more.
    pub(crate) fn denied_in_exec(
        &mut self,
        client: &Client,
        id: CommandId,
        args: &Args<'_>,
    ) -> Option<Error> {
        let identity = &client.session.identity;
        if identity.is_free() {
            return None;
        }
        let denied = identity.user().check(id, args).err()?;
        let object = restricted::object_of(denied, id.command(), args);
        self.note_denied(client, denied, Context::Multi, object);
        let error = Error::from_text(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the \
             EXEC call. This command is no longer allowed for the following reason: {}",
            match denied {
                Denied::Command => "no permission to execute the command or subcommand",
                Denied::Key(_) => "no permission to touch the specified keys",
                Denied::Channel(_) => {
                    "no permission to access one of the channels used as arguments"
                }
            }
        ));
        self.engine.stats.rejected(None, &error);
        Some(error)
    }

    /// A script has called what its user may not.
    pub(crate) fn tell_denied(&mut self, caller: Caller, denied: Denied, object: &[u8]) {
        let Some(address) = caller.address() else {
            return;
        };
        let Some(client) = self.client(address.token).cloned() else {
            return;
        };
        match client.try_borrow() {
            Ok(client) => self.note_denied(&client, denied, Context::Script, object),
            // It is in use, as its script runs in place: this turn's next thing.
            Err(_) => {
                let object = object.to_vec();
                self.post(move |shard| shard.tell_denied(caller, denied, &object));
            }
        };
    }

    /// Notes that a connection's user may not do something.
    pub(crate) fn note_denied(
        &mut self,
        client: &Client,
        denied: Denied,
        context: Context,
        object: &[u8],
    ) {
        let stats = &mut self.engine.stats;
        let reason = match denied {
            Denied::Command => {
                stats.denied_commands += 1;
                Reason::Command
            }
            Denied::Key(_) => {
                stats.denied_keys += 1;
                Reason::Key
            }
            Denied::Channel(_) => {
                stats.denied_channels += 1;
                Reason::Channel
            }
        };
        let username = &client.session.identity.user().name;
        self.log_refusal(client, reason, context, object, username);
        if let Some(left_out) = self.measured.log_limits.denied.admit(self.second()) {
            let object = object.escape_ascii().to_string();
            let user = username.escape_ascii().to_string();
            let (client, address) = (client.session.id, &*client.peer.address);
            warn!(
                client,
                address,
                user,
                reason = reason.name(),
                object,
                left_out,
                "a user may not do this (ACL LOG has more)"
            );
        }
    }

    /// Adds an entry to ACL LOG.
    pub(crate) fn log_refusal(
        &self,
        client: &Client,
        reason: Reason,
        context: Context,
        object: &[u8],
        username: &[u8],
    ) {
        let refusal = Refusal {
            reason,
            context,
            object: object[..object.len().min(OBJECT_BYTES_MAX)].into(),
            username: username[..username.len().min(OBJECT_BYTES_MAX)].into(),
            client_info: line(client, self.clock.instant).into_bytes().into(),
            at_ms: self.engine.now.ms(),
        };
        let max = usize::try_from(self.engine.config.acllog_max_len).unwrap_or(usize::MAX);
        self.process.access.log().add(refusal, max);
    }
}

/// Whether everything that a connection subscribes to is allowed to its user.
fn hears_only_allowed(client: &Client) -> bool {
    let user = client.session.identity.user();
    let Some(subscriptions) = &client.session.subscriptions else {
        return true;
    };
    subscriptions.all(|name, is_pattern| user.may_hear(name, is_pattern))
}

/// What a connection waits for that its user may not send any more.
fn refused_wait(client: &Client) -> Option<RefusedWait> {
    client.blocked?;
    let (id, args) = client.blocked_command.as_deref()?;
    let args = args.borrow();
    let denied = client.session.identity.user().check(*id, &args).err()?;
    Some(RefusedWait {
        command: *id,
        denied,
        object: restricted::object_of(denied, id.command(), &args).into(),
    })
}
