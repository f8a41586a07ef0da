//! A connection's session: what its commands may read and change of it.

use engine::error::Error;
use engine::watch::{Watched, Watching};
use protocol::command::{Command, Flags};
use protocol::facts::Subscribers;
use protocol::reply::Version;
use storage::DbIndex;

use crate::client::attribute::Attribute;
use crate::client::identity::Identity;
use crate::pubsub::Subscriptions;
use crate::replication::link::Link;
use crate::tracking::Tracking;
use crate::transaction::exec::Queue;

/// What happens to replies (CLIENT REPLY).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    #[default]
    On,
    /// Until CLIENT REPLY ON.
    Off,
    /// This command's reply is dropped (CLIENT REPLY SKIP itself), and then the next one's.
    SkipNext,
    /// This command's reply is dropped.
    Skip,
}

/// What commands may read and change of their connection.
pub struct Session {
    pub id: u64,
    pub db: DbIndex,
    pub version: Version,
    /// Who it is.
    pub identity: Identity,
    pub reply_mode: ReplyMode,
    pub no_evict: bool,
    pub no_touch: bool,
    pub name: Option<Attribute>,
    pub lib_name: Option<Attribute>,
    pub lib_ver: Option<Attribute>,
    pub last_command: &'static str,
    /// How it tracks keys for a cache of its own.
    pub tracking: Option<Box<Tracking>>,
    /// What the next command reads is remembered: see [`Session::settle_tracking`].
    pub tracks_reads: bool,
    /// CLIENT CACHING was called just before.
    pub caching: bool,
    /// It is a replica's.
    pub replica: Option<Box<Link>>,
    /// What it subscribes to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// Commands since MULTI.
    pub queue: Option<Box<Queue>>,
    /// Keys since WATCH.
    pub watched: Watching,
    /// The keys it watched, while EXEC takes its locks.
    pub exec_watched: Vec<Watched>,
    /// A command of EXEC is running: it takes no slot of its own for its reply.
    pub in_exec: bool,
    /// A command that a script has called is running.
    pub in_script: bool,
}

/// What a monitor may not use. Redis counts monitors among the replicas, and says so.
fn touches_data(command: &Command) -> bool {
    command.flags.contains(Flags::READONLY) || command.is_replicated()
}

impl Session {
    /// The session of a connection that has just been accepted.
    pub fn new(id: u64, identity: Identity) -> Self {
        Self {
            id,
            db: DbIndex::default(),
            version: Version::Resp2,
            identity,
            reply_mode: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            name: None,
            lib_name: None,
            lib_ver: None,
            last_command: "NULL",
            tracking: None,
            tracks_reads: false,
            caching: false,
            replica: None,
            subscriptions: None,
            queue: None,
            watched: Watching::default(),
            exec_watched: Vec::new(),
            in_exec: false,
            in_script: false,
        }
    }

    /// Whether commands need no further question: it may do everything, replies are on.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.identity.is_free()
            && self.reply_mode == ReplyMode::On
            && self.queue.is_none()
            && self.subscriptions.is_none()
    }

    /// Whether something is on that ends with a command: CLIENT REPLY SKIP, CLIENT CACHING.
    /// (Replies that are off are looked at too.)
    #[inline]
    pub fn has_passing_state(&self) -> bool {
        (self.reply_mode != ReplyMode::On) | self.caching
    }

    /// Whether it subscribes to something in RESP2, where messages and replies look alike.
    pub fn is_restricted(&self) -> bool {
        self.version == Version::Resp2 && self.is_subscriber()
    }

    /// Whether it subscribes to anything.
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions.as_ref().is_some_and(|it| it.is_any())
    }

    /// Whether others may have something to tell it: messages, or what it has cached and is stale.
    #[inline]
    pub fn is_told(&self) -> bool {
        self.subscriptions.is_some() | self.tracking.is_some()
    }

    /// Whether it is a replica's, which has asked for data.
    pub fn is_replica(&self) -> bool {
        self.replica.as_ref().is_some_and(|it| !it.greets())
    }

    /// Whether it is shown every command.
    pub fn is_monitor(&self) -> bool {
        self.subscriptions.as_ref().is_some_and(|it| it.is_monitor)
    }

    /// Whether this connection need not log in before it uses `command`.
    pub fn is_logged_in_for(&self, command: &Command) -> bool {
        self.identity.is_authenticated() || command.flags.contains(Flags::NO_AUTH)
    }

    /// Whether this connection may use `command` in the state it is in.
    pub fn admits(&self, command: &Command) -> Result<(), Error> {
        if (self.is_monitor() || self.is_replica()) && touches_data(command) {
            return Err(Error::new("ERR Replica can't interact with the keyspace"));
        }
        if self.is_restricted() && command.subscribers == Subscribers::Refused {
            return Err(Error::not_while_subscribed(command.name));
        }
        Ok(())
    }
}

impl ReplyMode {
    /// The mode after a command has run in this one.
    pub fn after_command(self) -> Self {
        match self {
            Self::SkipNext => Self::Skip,
            Self::Skip => Self::On,
            same => same,
        }
    }
}
