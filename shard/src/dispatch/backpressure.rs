//! Backpressure on a connection's own shard: see [`engine::backpressure`].

use engine::batch::Batch;
use engine::commands::sort;
use engine::header::ClientToken;
use engine::keys::key_positions;
use engine::message::Resume;
use engine::slot::ShardId;
use protocol::args::Args;
use protocol::command::{Flags, KeyShape};
use protocol::table::CommandId;

use crate::client::{Client, Closing};
use crate::mailbox::message::Message;
use crate::shard::Shard;

impl Shard {
    /// Replies of a batch have come.
    pub(crate) fn fold_replies(&mut self, from: ShardId, mut batch: Box<Batch>) {
        let looks = self.connections.held_back > 0 || batch.has_large_replies();
        let held_back = batch.take_held_back();
        if looks {
            batch.fold(|to, reply| {
                if let Some(client) = self.client(to.client).cloned() {
                    let client = &mut *client.borrow_mut();
                    client.fold(to.seq, reply);
                    self.look_at_room(client);
                }
            })
        } else {
            batch.fold(|to, reply| {
                if let Some(client) = self.client(to.client) {
                    client.borrow_mut().fold(to.seq, reply);
                }
            })
        }
        for client in held_back {
            self.note_held_back(from, client);
        }
        self.recycle(batch);
    }

    /// A connection has got a reply that may be large, or one for which others have waited.
    #[cold]
    pub(crate) fn look_at_room(&mut self, client: &mut Client) {
        self.limit_replies(client);
        self.resume_if_room(client);
    }

    /// Another shard has held a connection back.
    #[cold]
    pub(crate) fn note_held_back(&mut self, owner: ShardId, token: ClientToken) {
        let Some(client) = self.client(token).cloned() else {
            return self.send_resume(owner, token, true);
        };
        let client = &mut *client.borrow_mut();
        self.connections.held_back += usize::from(client.held_back_at.is_empty());
        client.held_back_at.push(owner);
        self.settle_output_max(client);
        self.resume_if_room(client);
    }

    /// Lets a connection go on where it is held back, as far as it has room.
    pub(crate) fn resume_if_room(&mut self, client: &mut Client) {
        if client.held_back_at.is_empty() || client.closing == Some(Closing::Now) {
            return;
        }
        let room = self.output_room(client);
        // Whoever pauses the process waits for all that is under way.
        let resumes_all = client.owed_bytes() < room || !self.pausing.draining.is_empty();
        if resumes_all {
            return self.resume_everywhere(client, false);
        }
        // What is here may be behind what is not.
        let front = client.pending.front_owner();
        if client.unsent_bytes() < room
            && let Some(at) = client.held_back_at.iter().position(|it| Some(*it) == front)
        {
            let owner = client.held_back_at.swap_remove(at);
            self.send_resume(owner, client.token, false);
            self.settle_held_back(client);
        }
    }

    /// Lets all connections go on that are held back, whether or not they have room.
    pub(crate) fn resume_all_clients(&mut self) {
        if self.connections.held_back == 0 {
            return;
        }
        let all: Vec<_> = self
            .connections
            .clients
            .iter()
            .map(|(_, it)| it.client.clone())
            .collect();
        for client in all {
            if let Ok(mut client) = client.try_borrow_mut() {
                self.resume_everywhere(&mut client, false);
            }
        }
    }

    /// Lets one connection go on wherever it is held back; it may have gone.
    pub(crate) fn resume_everywhere(&mut self, client: &mut Client, is_gone: bool) {
        if client.held_back_at.is_empty() {
            return;
        }
        for owner in std::mem::take(&mut client.held_back_at) {
            self.send_resume(owner, client.token, is_gone);
        }
        self.settle_held_back(client);
    }

    fn settle_held_back(&mut self, client: &mut Client) {
        self.connections.held_back -= usize::from(client.held_back_at.is_empty());
        self.settle_output_max(client);
        client.wake();
    }

    fn send_resume(&mut self, owner: ShardId, client: ClientToken, is_gone: bool) {
        let resume = Box::new(Resume { client, is_gone });
        let resume = engine::message::Message::Resume(resume);
        self.send(owner, Message::Engine(resume));
    }

    /// Whether a command asks more than one shard, or may wait: then what its connection has been
    /// held back for runs before it, so that must be little.
    #[cold]
    pub(crate) fn asks_several(&self, client: &Client, id: CommandId, args: &Args<'_>) -> bool {
        let command = id.command();
        if client.session.queue.is_some() && !command.executes() {
            return false;
        }
        match command.shape {
            _ if command.flags.contains(Flags::BLOCKING) => true,
            KeyShape::None => true,
            KeyShape::One => false,
            KeyShape::Range { .. } | KeyShape::Other => {
                let mut owners = key_positions(command, args)
                    .into_iter()
                    .map(|at| self.engine.slots.owner(&args[at]));
                let first = owners.next();
                owners.any(|owner| Some(owner) != first) || sort::reads_computed_keys(command, args)
            }
        }
    }
}
