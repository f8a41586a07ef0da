//! What a shard knows of its connections.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use acl::users::Users;
use engine::header::ClientToken;
use slab::Slab;

use crate::client::Client;
use crate::client::hold::HeldClients;
use crate::memory::client_eviction::Held;

/// A connection in its shard's register.
pub struct Registered {
    pub token: ClientToken,
    pub client: Rc<RefCell<Client>>,
}

/// A shard's connections.
#[derive(Default)]
pub struct Connections {
    pub clients: Slab<Registered>,
    /// Who there is and may do what, as this shard goes by it.
    pub users: Arc<Users>,
    /// Some have freed memory because they were idle, and the shard has kept it.
    pub(crate) rested: bool,
    /// One is beyond the soft limit of its output, and is closed when that has lasted.
    pub(crate) some_over_soft: bool,
    /// What they hold in memory.
    pub(crate) memory: Held,
    /// Those whose commands or output wait for something of the shard.
    pub(crate) held: HeldClients,
    /// How many have commands that other shards hold back.
    pub(crate) held_back: usize,
    /// Those whose EXECs stand still within a script that has run for long.
    pub(crate) paused: Vec<ClientToken>,
    /// Room to write the reply of a session command in.
    pub(crate) scratch: Vec<u8>,
}

impl Connections {
    /// None so far, and these users.
    pub fn of(users: Arc<Users>) -> Self {
        Self {
            users,
            ..Self::default()
        }
    }
}
