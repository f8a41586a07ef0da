//! MULTI and EXEC: commands that queue, and then run as one transaction.
//!
//! Where every queued command works on keys of one shard, EXEC runs them there in one go: in place, or on the other shard that owns them, as a single
//! command would. Otherwise it is a transaction over all their keys. Commands about the connection or the process run in between; where one of them must ask other shards, the transaction waits
//! for the answer with its locks held and goes on from there.

use std::cell::RefCell;
use std::mem::take;
use std::sync::Arc;

use protocol::args::{Args, OwnedArgs};
use protocol::command::{Command, Flags};
use protocol::facts::InMulti;
use protocol::reply::{Reply, Version};
use protocol::table::CommandId;
use smallvec::SmallVec;
use storage::UnixMillis;

use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing};
use crate::commands::options::is;
use crate::commands::sort;
use crate::dispatch::handler::{Answer, HANDLERS, Handler, SessionCommand};
use crate::dispatch::{key_positions, lock_names};
use crate::error::Error;
use crate::mailbox::batch::{ClientToken, Facts, ReplyTo};
use crate::mailbox::message::{Message, TransactionKey, Work};
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::transaction::gather::Until;
use crate::transaction::locks::LockName;
use crate::transaction::watch::Watched;
use crate::transaction::{Held, Scopes};

const EXEC: CommandId = CommandId::named("exec");

/// A command between MULTI and EXEC.
struct Queued {
    id: CommandId,
    args: OwnedArgs,
}

/// What a connection has queued since MULTI.
#[derive(Default)]
pub struct Queue {
    commands: Vec<Queued>,
    bytes: usize,
    /// A command was refused when it came: EXEC will refuse all.
    aborted: bool,
}

/// An EXEC under way.
pub struct Exec {
    to: ReplyTo,
    version: Version,
    /// EXEC itself, for the monitors.
    args: OwnedArgs,
    commands: Vec<Queued>,
    /// How many of them have run.
    done: usize,
    /// The instant at which all of it happens: for its commands time stands still while it waits
    /// for an answer, and nothing expires.
    now: UnixMillis,
    replies: Vec<u8>,
}

/// An EXEC all of whose keys are another shard's, on its way there.
pub struct Forwarded {
    origin: ShardId,
    to: ReplyTo,
    version: Version,
    commands: Vec<(Facts, OwnedArgs)>,
    watched: Vec<Watched>,
}

impl Forwarded {
    /// The shard of its connection.
    pub fn origin(&self) -> ShardId {
        self.origin
    }

    /// Its connection.
    pub fn client(&self) -> ClientToken {
        self.to.client
    }
}

/// Whether a connection has an EXEC that is not over: all of it happens, or nothing, whatever becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExecState {
    None,
    UnderWay,
    /// The connection has closed meanwhile and is forgotten at the end.
    LastWish,
}

/// An EXEC that waits for the reply of one of its commands.
pub struct Suspended {
    exec: Box<Exec>,
    held: Held,
}

impl Queue {
    /// Refuses the whole transaction when EXEC comes.
    pub fn abort(&mut self) {
        self.aborted = true;
    }

    /// Whether some command of it is refused when memory is short.
    pub fn takes_memory(&self) -> bool {
        let mut ids = self.commands.iter().map(|queued| queued.id);
        ids.any(|id| id.command().flags.contains(Flags::DENYOOM))
    }

    /// How many commands are queued.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Which commands are queued, in order.
    pub fn ids(&self) -> impl Iterator<Item = CommandId> {
        self.commands.iter().map(|queued| queued.id)
    }

    /// What is queued, in order.
    pub fn commands(&self) -> impl Iterator<Item = &'static Command> {
        self.commands.iter().map(|queued| queued.id.command())
    }

    /// What they take.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }
}

/// CLIENT REPLY OFF or SKIP: the reply to EXEC would have fewer elements than it says.
fn mutes_replies(command: &Command, args: &Args<'_>) -> bool {
    command.in_multi == InMulti::Mutes
        && args
            .get(2)
            .is_some_and(|mode| is(mode, "OFF") || is(mode, "SKIP"))
}

impl Shard {
    /// Queues a command where its connection is between MULTI and EXEC. Returns whether it did.
    pub(crate) fn queue_for_exec(
        &mut self,
        client: &mut Client,
        id: CommandId,
        args: &Args<'_>,
    ) -> bool {
        if client.session.queue.is_none() {
            return false;
        }
        let command = id.command();
        if command.in_multi.runs_at_once() {
            return false;
        }
        if command.flags.contains(Flags::NO_MULTI) || mutes_replies(command, args) {
            let error = Error::new("ERR Command not allowed inside a transaction");
            self.refuse(client, Some(id), &error);
            return true;
        }
        let Some(queue) = &mut client.session.queue else {
            return false;
        };
        let args = OwnedArgs::from(args);
        queue.bytes += args.memory_bytes();
        if queue.bytes > self.config.client_query_buffer_limit {
            self.note_input_limit(client);
            client.close_for(CloseReason::InputLimit, Closing::Now);
            return true;
        }
        queue.commands.push(Queued { id, args });
        if !client.next_reply_is_muted() {
            client.reply(|reply| reply.simple("QUEUED"));
        }
        true
    }

    /// EXEC.
    pub fn exec(
        &mut self,
        client: &mut Client,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<Answer, Error> {
        let Some(queue) = client.session.queue.take() else {
            return Err(Error::new("ERR EXEC without MULTI"));
        };
        let watched = client.session.watched.take();
        if queue.aborted {
            self.unwatch(watched);
            return Err(Error::new(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        if self.may_exec_here(client, &queue, &watched) {
            self.exec_here(client, queue.commands, &watched, reply);
            self.unwatch(watched);
            return Ok(Answer::Now);
        }
        let tracks = client.facts(EXEC).caller.tracks;
        if !tracks && let Some(owner) = self.owner_of_all(&queue, &watched) {
            self.forward_exec(client, owner, *queue, watched);
            return Ok(Answer::Later);
        }
        let mut scopes = Scopes::default();
        let mut whole = false;
        let mut db = client.session.db;
        for queued in &queue.commands {
            let args = queued.args.borrow();
            if queued.id.command().in_multi == InMulti::Selects
                && let Some(selected) = args.get(1).and_then(|text| self.database_named(text))
            {
                db = selected;
            }
            let facts = Facts {
                db,
                ..client.facts(queued.id)
            };
            for key in self.keys_of(facts, &args) {
                scopes.key(self.slots.owner(&key.key), key);
            }
            whole |= matches!(
                HANDLERS[queued.id.index()],
                Handler::Whole(_) | Handler::Roaming(..)
            ) || sort::reads_computed_keys(queued.id.command(), &args);
        }
        for watched in &watched {
            scopes.watched(self.slots.owner(&watched.key.key), watched.clone());
        }
        let to = client.stall();
        let exec = Box::new(Exec {
            to,
            version: client.session.version,
            args: OwnedArgs::from(args),
            commands: queue.commands,
            done: 0,
            now: self.now,
            replies: Vec::new(),
        });
        client.session.exec_watched = watched;
        client.exec = ExecState::UnderWay;
        self.begin_exec(client.token, exec, scopes, whole);
        Ok(Answer::Later)
    }

    fn database_named(&self, text: &[u8]) -> Option<storage::DbIndex> {
        let number = storage::item::parse_int(text)?;
        self.databases.index(u16::try_from(number).ok()?)
    }

    /// Whether everything is on this shard, and free.
    fn may_exec_here(&self, client: &Client, queue: &Queue, watched: &[Watched]) -> bool {
        let free = self.locks.is_empty() || !self.locks.holds_client(self.id, client.token);
        let is_mine = |key: &[u8]| {
            self.slots.owner(key) == self.id
                && (self.locks.is_empty() || !self.locks.holds_key(key))
        };
        free && !self.locks.holds_all()
            && watched.iter().all(|watched| is_mine(&watched.key.key))
            && queue.commands.iter().all(|queued| {
                let computes =
                    sort::reads_computed_keys(queued.id.command(), &queued.args.borrow());
                matches!(HANDLERS[queued.id.index()], Handler::Keyed(_))
                    && (!computes || self.has_all_keys())
                    && self
                        .keys_of(client.facts(queued.id), &queued.args.borrow())
                        .iter()
                        .all(|key| is_mine(&key.key))
            })
    }

    /// The other shard that owns every key of these commands, where they need nothing else.
    fn owner_of_all(&self, queue: &Queue, watched: &[Watched]) -> Option<ShardId> {
        if self.monitors.watched {
            // They are shown where they are known.
            return None;
        }
        let mut owner = None;
        let mut is_of_one = |key: &[u8]| {
            let its = self.slots.owner(key);
            its != self.id && *owner.get_or_insert(its) == its
        };
        let is_plain = queue.commands.iter().all(|queued| {
            let args = queued.args.borrow();
            let command = queued.id.command();
            matches!(HANDLERS[queued.id.index()], Handler::Keyed(_))
                && !sort::reads_computed_keys(command, &args)
                && key_positions(command, &args)
                    .into_iter()
                    .all(|at| is_of_one(&args[at]))
        });
        let is_plain = is_plain && watched.iter().all(|it| is_of_one(&it.key.key));
        owner.filter(|_| is_plain)
    }

    fn forward_exec(
        &mut self,
        client: &mut Client,
        owner: ShardId,
        queue: Queue,
        watched: Vec<Watched>,
    ) {
        let commands = queue.commands.into_iter();
        let exec = Forwarded {
            origin: self.id,
            to: client.stall(),
            version: client.session.version,
            commands: commands
                .map(|queued| (client.facts(queued.id), queued.args))
                .collect(),
            watched,
        };
        client.session.set_caching(false);
        self.send(owner, Message::Exec(Box::new(exec)));
    }

    /// On the owner of all its keys: runs an EXEC, as soon as nobody holds one of them.
    pub(crate) fn run_forwarded(&mut self, exec: Box<Forwarded>) {
        if !self.locks.is_empty() {
            let mut names: SmallVec<[LockName; 8]> = exec
                .watched
                .iter()
                .map(|it| LockName::of_key(&it.key.key))
                .collect();
            for (facts, args) in &exec.commands {
                names.extend(lock_names(facts.command, &args.borrow()));
            }
            if self.must_queue(exec.origin, exec.to.client, &names) {
                names.push(LockName::Client(exec.origin, exec.to.client));
                let queued = self.locks.enqueue(names, Work::Exec(exec));
                debug_assert!(queued.1.is_none(), "somebody holds a key");
                return;
            }
        }
        self.run_forwarded_now(*exec);
        self.serve_ready();
    }

    /// The same, where they are free.
    pub(crate) fn run_forwarded_now(&mut self, exec: Forwarded) {
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, exec.version);
        self.interrupt_timing();
        match exec.watched.iter().all(|it| self.is_unchanged(it)) {
            false => reply.null_array(),
            true => {
                reply.array(exec.commands.len());
                let group = self.effects.journal.begin_group();
                for (facts, args) in exec.commands {
                    self.execute_at_once(facts, &args.borrow(), &mut reply);
                }
                self.effects.journal.end_group(group);
            }
        }
        self.interrupt_timing();
        self.unwatch(exec.watched);
        self.complete(exec.origin, exec.to, &encoded);
    }

    fn exec_here(
        &mut self,
        client: &Client,
        commands: Vec<Queued>,
        watched: &[Watched],
        reply: &mut Reply<'_>,
    ) {
        if !watched.iter().all(|watched| self.is_unchanged(watched)) {
            reply.null_array();
            return;
        }
        reply.array(commands.len());
        let group = self.effects.journal.begin_group();
        for queued in commands {
            let facts = client.facts(queued.id);
            self.execute_at_once(facts, &queued.args.borrow(), reply);
            if self.monitors.watched {
                self.show_to_monitors(client, queued.id, &queued.args.borrow());
            }
        }
        self.effects.journal.end_group(group);
        self.serve_ready();
    }

    /// All locks are held.
    pub(crate) fn run_exec(&mut self, mut exec: Box<Exec>, unchanged: bool, held: Held) {
        let Some(client) = self.client(exec.to.client).cloned() else {
            debug_assert!(false, "a connection is known until its EXEC is over");
            held.end(self);
            return;
        };
        let watched = take(&mut client.borrow_mut().session.exec_watched);
        self.unwatch(watched);
        let mut reply = Reply::new(&mut exec.replies, exec.version);
        if !unchanged {
            client.borrow_mut().session.set_caching(false);
            reply.null_array();
            self.show_exec(&client.borrow(), &exec);
            held.end(self);
            self.complete(self.id, exec.to, &exec.replies);
            return self.end_exec(&mut client.borrow_mut());
        }
        reply.array(exec.commands.len());
        exec.now = self.now;
        self.continue_exec(exec, held);
    }

    /// Runs what is left of it, until the end or until a command has to wait for its reply.
    fn continue_exec(&mut self, mut exec: Box<Exec>, mut held: Held) {
        let Some(client) = self.client(exec.to.client).cloned() else {
            held.end(self);
            return;
        };
        self.look_for_monitors();
        let outside = std::mem::replace(&mut self.now, exec.now);
        let is_over = self.run_queued(&client, &mut exec, &mut held);
        self.now = outside;
        if !is_over {
            client.borrow_mut().suspended = Some(Box::new(Suspended { exec, held }));
            return;
        }
        self.show_exec(&client.borrow(), &exec);
        {
            let session = &mut client.borrow_mut().session;
            session.in_exec = false;
            session.set_caching(false);
        }
        let commit = held.end(self);
        self.answer(commit, exec.to, exec.replies);
        let client = &mut *client.borrow_mut();
        self.flush_pushes(client);
        self.end_exec(client);
    }

    /// Runs the commands that are left. Returns false where one of them is answered later.
    fn run_queued(&mut self, client: &RefCell<Client>, exec: &mut Exec, held: &mut Held) -> bool {
        while let Some(queued) = exec.commands.get(exec.done) {
            exec.done += 1;
            let args = queued.args.borrow();
            let id = queued.id;
            let mut reply = Reply::new(&mut exec.replies, exec.version);
            let facts = client.borrow().facts(id);
            let mut is_answered = true;
            match HANDLERS[id.index()] {
                Handler::Keyed(_) => {
                    self.run_on(&mut held.stage, facts, &args, &mut reply);
                    if let Some(wait) = self.effects.wait.take() {
                        self.count_in_vain(facts.command);
                        wait.null.write(&mut reply);
                    }
                }
                Handler::Whole(run) | Handler::Roaming(_, run) => {
                    if self.run_whole(&mut held.stage, facts, run, true, &args, &mut reply) {
                        self.save_what_was_flushed(None);
                    }
                }
                Handler::Session(run) => {
                    let client = &mut *client.borrow_mut();
                    is_answered = self.run_session_queued(client, id, run, &args, &mut reply);
                    exec.version = client.session.version;
                }
                Handler::Container => Error::arity(id.command().name).write(&mut reply),
            }
            if self.monitors.watched {
                self.show_to_monitors(&client.borrow(), id, &args);
            }
            if !is_answered {
                return false;
            }
        }
        true
    }

    /// Runs a command about the connection or the process. Returns false where it is answered
    /// later.
    fn run_session_queued(
        &mut self,
        client: &mut Client,
        id: CommandId,
        run: SessionCommand,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        client.session.in_exec = true;
        let start = reply.written();
        self.interrupt_timing();
        match self.run_timed(client, id, run, args, reply) {
            Ok(Answer::Now | Answer::None) => {}
            Ok(Answer::Later) => return false,
            Err(error) => {
                self.stats.failed(id.index(), &error);
                reply.truncate(start);
                error.write(reply);
            }
        }
        true
    }

    fn end_exec(&mut self, client: &mut Client) {
        if std::mem::replace(&mut client.exec, ExecState::None) == ExecState::LastWish {
            self.forget(client);
        }
    }

    /// An EXEC that was answered later is over.
    fn show_exec(&mut self, client: &Client, exec: &Exec) {
        self.look_for_monitors();
        if self.monitors.watched {
            self.show_to_monitors(client, EXEC, &exec.args.borrow());
        }
    }

    /// The reply that a suspended EXEC waits for. It goes on as this turn's next thing.
    pub(crate) fn resume_exec(&mut self, mut suspended: Box<Suspended>, reply: &[u8]) {
        suspended.exec.replies.extend_from_slice(reply);
        let go_on = move |shard: &mut Shard| shard.continue_exec(suspended.exec, suspended.held);
        self.post(go_on);
    }

    /// DISCARD, and what ends a connection's wish to EXEC in other ways.
    pub fn discard_queue(&mut self, client: &mut Client) -> bool {
        let watched = client.session.watched.take();
        self.unwatch(watched);
        client.session.queue.take().is_some()
    }

    /// WATCH: notes each key's state where it lives.
    pub fn watch(&mut self, client: &mut Client, args: &Args<'_>) -> Answer {
        let db = client.session.db;
        let keys: Arc<[Box<[u8]>]> = args.iter().skip(1).map(Into::into).collect();
        let owners = self.slots.owners(&keys);
        let token = client.token;
        let until = Until::Home(keys.clone());
        let visit = move |shard: &mut Shard| -> Vec<Watched> {
            let own: Vec<&[u8]> = shard.slots.owned(shard.id, &keys).collect();
            let watch = |key: &[u8]| {
                let was_hidden = shard.expire_if_due(db, key);
                let version = shard.effects.watches.watch(db, key);
                let key = TransactionKey {
                    db,
                    key: key.into(),
                };
                Watched {
                    key,
                    version,
                    was_hidden,
                }
            };
            own.into_iter().map(watch).collect()
        };
        self.gather_when(client, owners, until, visit, move |shard, parts, reply| {
            let watched = parts.into_iter().flatten();
            let not_watched = match shard.client(token).cloned() {
                Some(client) => client.borrow_mut().session.watched.extend(watched),
                None => watched.collect(),
            };
            shard.unwatch(not_watched);
            reply.ok();
            Ok(())
        })
    }

    /// Ends the watch on these keys, wherever they live.
    pub fn unwatch(&mut self, watched: Vec<Watched>) {
        for Watched { key, .. } in watched {
            let owner = self.slots.owner(&key.key);
            let end = move |shard: &mut Shard| shard.effects.watches.unwatch(key.db, &key.key);
            match owner == self.id {
                true => end(self),
                false => self.send(owner, Message::Visit(Box::new(end))),
            }
        }
    }
}
