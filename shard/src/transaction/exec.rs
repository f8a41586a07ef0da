//! MULTI and EXEC: commands that queue, and then run as one transaction.
//!
//! Where every queued command works on keys of one shard, EXEC runs them there in one go: in place,
//! or on the other shard that owns them, as a single command would. Otherwise it is a transaction
//! over all their keys. Commands about the connection or the process run in between; where one of
//! them must ask other shards, the transaction waits for the answer with its locks held and goes on
//! from there.

mod script;

use std::cell::RefCell;
use std::mem::take;
use std::sync::Arc;

use engine::commands::options::is;
use engine::commands::sort;
use engine::error::Error;
use engine::handler::WholeCommand;
use engine::header::{Header, ReplyTo, TransactionKey};
use engine::keys::key_positions;
use engine::script::run::ScriptRun;
use engine::slot::ShardId;
use engine::transaction::coordinator::{Held, Scopes};
use engine::transaction::forwarded::Forwarded;
use engine::watch::Watched;
use protocol::args::{Args, OwnedArgs};
use protocol::command::{Command, Flags};
use protocol::facts::InMulti;
use protocol::reply::{Reply, Version};
use protocol::table::CommandId;
use storage::UnixMillis;

use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing};
use crate::dispatch::handler::{Answer, HANDLERS, Handler, SessionCommand};
use crate::mailbox::message::Message;
use crate::shard::Shard;
use crate::transaction::gather::Until;

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
    /// Some command of it is refused when memory is short.
    takes_memory: bool,
    /// Some command of it may change what a replica has.
    is_replicated: bool,
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
    /// The script among them that has begun.
    script: Option<Box<ScriptRun>>,
}

/// Whether a connection has an EXEC that is not over: all of it happens, or nothing, whatever
/// becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExecState {
    None,
    UnderWay,
    /// The connection has closed meanwhile and is forgotten at the end.
    Orphaned,
}

/// What waits for the reply of one of its commands, or for a turn.
#[allow(clippy::large_enum_variant, reason = "it is kept in a box")]
pub enum Suspended {
    Exec {
        exec: Box<Exec>,
        held: Held,
    },
    /// A script, as the transaction with this number.
    Script(usize),
}

impl Queue {
    /// Refuses the whole transaction when EXEC comes.
    pub fn abort(&mut self) {
        self.aborted = true;
    }

    /// Whether some command of it is refused when memory is short.
    pub fn takes_memory(&self) -> bool {
        self.takes_memory
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

    /// Whether some of them may change what a replica has.
    pub fn is_replicated(&self) -> bool {
        self.is_replicated
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
        let takes_memory = self.takes_memory(client.header(id), args);
        let is_replicated = self.is_replicated(client.header(id), args);
        let Some(queue) = &mut client.session.queue else {
            return false;
        };
        queue.takes_memory |= takes_memory;
        queue.is_replicated |= is_replicated;
        let args = OwnedArgs::from(args);
        queue.bytes += args.memory_bytes();
        if queue.bytes > self.engine.config.client_query_buffer_limit {
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
            self.engine.unwatch(watched);
            return Err(Error::new(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        let is_denied = is_denied_in_part(client, &queue);
        if !is_denied && self.may_exec_here(client, &queue, &watched) {
            self.exec_here(client, queue.commands, &watched, reply);
            self.engine.unwatch(watched);
            return Ok(Answer::Now);
        }
        let tracks = client.header(EXEC).caller.tracks;
        if !tracks
            && !is_denied
            && let Some(owner) = self.owner_of_all(&queue, &watched)
        {
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
            let header = Header {
                db,
                ..client.header(queued.id)
            };
            for key in self.engine.keys_of(header, &args) {
                scopes.key(self.engine.slots.owner(&key.key), key);
            }
            whole |= match HANDLERS[queued.id.index()] {
                Handler::Whole | Handler::Roaming(_) => true,
                Handler::Script => !self.runs_plain_script(header, &args),
                _ => sort::reads_computed_keys(queued.id.command(), &args),
            };
        }
        for watched in &watched {
            scopes.watched(self.engine.slots.owner(&watched.key.key), watched.clone());
        }
        let to = client.stall();
        let exec = Box::new(Exec {
            to,
            version: client.session.version,
            args: OwnedArgs::from(args),
            commands: queue.commands,
            done: 0,
            now: self.engine.now,
            replies: Vec::new(),
            script: None,
        });
        client.session.exec_watched = watched;
        client.exec = ExecState::UnderWay;
        // It needs its connection, which is in use now and may be when all is locked.
        let run = move |shard: &mut Self, unchanged, held: Box<Held>| {
            shard.post_local(move |shard| shard.run_exec(exec, unchanged, *held));
        };
        let task = self.tasks.transaction(Box::new(run));
        self.engine.begin_outside(client.token, task, scopes, whole);
        self.settle();
        Ok(Answer::Later)
    }

    fn database_named(&self, text: &[u8]) -> Option<storage::DbIndex> {
        let number = storage::item::parse_int(text)?;
        self.engine.databases.index(u16::try_from(number).ok()?)
    }

    /// Whether everything is on this shard, and free.
    fn may_exec_here(&self, client: &Client, queue: &Queue, watched: &[Watched]) -> bool {
        let free = self.engine.owner.locks.is_empty()
            || !self
                .engine
                .owner
                .locks
                .holds_client(self.engine.id, client.token);
        let is_mine = |key: &[u8]| {
            self.engine.slots.owner(key) == self.engine.id
                && (self.engine.owner.locks.is_empty() || !self.engine.owner.locks.holds_key(key))
        };
        free && !self.engine.owner.locks.holds_all()
            && watched.iter().all(|watched| is_mine(&watched.key.key))
            && queue.commands.iter().all(|queued| {
                let computes =
                    sort::reads_computed_keys(queued.id.command(), &queued.args.borrow());
                matches!(HANDLERS[queued.id.index()], Handler::Keyed)
                    && (!computes || self.engine.has_all_keys())
                    && self
                        .engine
                        .keys_of(client.header(queued.id), &queued.args.borrow())
                        .iter()
                        .all(|key| is_mine(&key.key))
            })
    }

    /// The other shard that owns every key of these commands, where they need nothing else.
    fn owner_of_all(&self, queue: &Queue, watched: &[Watched]) -> Option<ShardId> {
        if self.hearers.monitors.watched {
            // They are shown where they are known.
            return None;
        }
        let mut owner = None;
        let mut is_of_one = |key: &[u8]| {
            let its = self.engine.slots.owner(key);
            its != self.engine.id && *owner.get_or_insert(its) == its
        };
        let is_plain = queue.commands.iter().all(|queued| {
            let args = queued.args.borrow();
            let command = queued.id.command();
            matches!(HANDLERS[queued.id.index()], Handler::Keyed)
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
            origin: self.engine.id,
            to: client.stall(),
            version: client.session.version,
            commands: commands
                .map(|queued| (client.header(queued.id), queued.args))
                .collect(),
            watched,
        };
        client.session.set_caching(false);
        let message = engine::message::Message::Exec(Box::new(exec));
        self.send(owner, Message::Engine(message));
    }

    fn exec_here(
        &mut self,
        client: &Client,
        commands: Vec<Queued>,
        watched: &[Watched],
        reply: &mut Reply<'_>,
    ) {
        if !watched
            .iter()
            .all(|watched| self.engine.is_unchanged(watched))
        {
            reply.null_array();
            return;
        }
        reply.array(commands.len());
        let group = self.engine.effects.journal.begin_group();
        for queued in commands {
            let header = client.header(queued.id);
            self.engine
                .execute_at_once(header, &queued.args.borrow(), reply);
            if self.hearers.monitors.watched {
                self.show_to_monitors(client, queued.id, &queued.args.borrow());
            }
        }
        self.engine.effects.journal.end_group(group);
        self.engine.serve_ready();
    }

    /// All locks are held.
    pub(crate) fn run_exec(&mut self, mut exec: Box<Exec>, unchanged: bool, held: Held) {
        let Some(client) = self.client(exec.to.client).cloned() else {
            debug_assert!(false, "a connection is known until its EXEC is over");
            self.engine.commit(held);
            return self.settle();
        };
        let watched = take(&mut client.borrow_mut().session.exec_watched);
        self.engine.unwatch(watched);
        let mut reply = Reply::new(&mut exec.replies, exec.version);
        if !unchanged {
            client.borrow_mut().session.set_caching(false);
            reply.null_array();
            self.show_exec(&client.borrow(), &exec);
            self.engine.commit(held);
            self.settle();
            self.complete(self.engine.id, exec.to, exec.replies);
            return self.end_exec(&mut client.borrow_mut());
        }
        reply.array(exec.commands.len());
        exec.now = self.engine.now;
        self.continue_exec(exec, held);
    }

    /// Runs what is left of it, until the end or until a command has to wait for its reply.
    fn continue_exec(&mut self, mut exec: Box<Exec>, mut held: Held) {
        let Some(client) = self.client(exec.to.client).cloned() else {
            self.engine.commit(held);
            return self.settle();
        };
        self.look_for_monitors();
        let outside = std::mem::replace(&mut self.engine.now, exec.now);
        let is_over = self.run_queued(&client, &mut exec, &mut held);
        self.engine.now = outside;
        if !is_over {
            client.borrow_mut().suspended = Some(Box::new(Suspended::Exec { exec, held }));
            return;
        }
        self.show_exec(&client.borrow(), &exec);
        {
            let session = &mut client.borrow_mut().session;
            session.in_exec = false;
            session.set_caching(false);
        }
        let commit = self.engine.commit(held);
        self.engine.answer(commit, exec.to, exec.replies);
        self.settle();
        let client = &mut *client.borrow_mut();
        self.flush_pushes(client);
        self.end_exec(client);
    }

    /// Runs the commands that are left. Returns false where one of them is answered later.
    fn run_queued(&mut self, client: &RefCell<Client>, exec: &mut Exec, held: &mut Held) -> bool {
        if !self.go_on_with_script(client, exec, held) {
            return false;
        }
        while let Some(queued) = exec.commands.get(exec.done) {
            exec.done += 1;
            let args = queued.args.borrow();
            let id = queued.id;
            let mut reply = Reply::new(&mut exec.replies, exec.version);
            if let Some(error) = self.denied_in_exec(&client.borrow(), id, &args) {
                error.write(&mut reply);
                continue;
            }
            let header = client.borrow().header(id);
            let mut is_answered = true;
            match HANDLERS[id.index()] {
                Handler::Keyed => {
                    self.engine
                        .run_on(&mut held.workspace, header, &args, &mut reply);
                    if let Some(wait) = self.engine.effects.wait.take() {
                        self.engine.count_in_vain(header.command);
                        wait.null.write(&mut reply);
                    }
                }
                Handler::Whole | Handler::Roaming(_) => {
                    let run = whole_command(id);
                    if self.engine.run_whole(
                        &mut held.workspace,
                        header,
                        run,
                        true,
                        &args,
                        &mut reply,
                    ) {
                        self.save_what_was_flushed(None);
                    }
                }
                Handler::Session(run) => {
                    let client = &mut *client.borrow_mut();
                    is_answered = self.run_session_queued(client, id, run, &args, &mut reply);
                    exec.version = client.session.version;
                }
                Handler::Script => {
                    if self.hearers.monitors.watched {
                        self.show_script_to_monitors(&client.borrow(), id, &args);
                    }
                    exec.script = self
                        .engine
                        .begin_script_held(held, header, &args, &mut reply);
                }
                Handler::Container => Error::arity(id.command().name).write(&mut reply),
            }
            if self.hearers.monitors.watched {
                self.show_to_monitors(&client.borrow(), id, &args);
            }
            if !is_answered || !self.go_on_with_script(client, exec, held) {
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
        self.run_session_within(client, id, run, args, reply)
    }

    /// Runs such a command as a part of what its connection runs already. Returns false where it is
    /// answered later.
    pub(crate) fn run_session_within(
        &mut self,
        client: &mut Client,
        id: CommandId,
        run: SessionCommand,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        let start = reply.written();
        self.engine.interrupt_timing();
        match self.run_timed(client, id, run, args, reply) {
            Ok(Answer::Now | Answer::None) => {}
            Ok(Answer::Later) => return false,
            Err(error) => {
                self.engine.stats.failed(id.index(), &error);
                reply.truncate(start);
                error.write(reply);
            }
        }
        true
    }

    pub(crate) fn end_exec(&mut self, client: &mut Client) {
        if std::mem::replace(&mut client.exec, ExecState::None) == ExecState::Orphaned {
            self.forget(client);
        }
    }

    /// An EXEC that was answered later is over.
    fn show_exec(&mut self, client: &Client, exec: &Exec) {
        self.look_for_monitors();
        if self.hearers.monitors.watched {
            self.show_to_monitors(client, EXEC, &exec.args.borrow());
        }
    }

    /// DISCARD, and what ends a connection's wish to EXEC in other ways.
    pub fn discard_queue(&mut self, client: &mut Client) -> bool {
        let watched = client.session.watched.take();
        self.engine.unwatch(watched);
        client.session.queue.take().is_some()
    }

    /// WATCH: notes each key's state where it lives.
    pub fn watch(&mut self, client: &mut Client, args: &Args<'_>) -> Answer {
        let db = client.session.db;
        let keys: Arc<[Box<[u8]>]> = args.iter().skip(1).map(Into::into).collect();
        let owners = self.engine.slots.owners(&keys);
        let token = client.token;
        let until = Until::Home(keys.clone());
        let visit = move |shard: &mut Shard| -> Vec<Watched> {
            let own: Vec<&[u8]> = shard.engine.slots.owned(shard.engine.id, &keys).collect();
            let watch = |key: &[u8]| {
                let was_hidden = shard.engine.expire_if_due(db, key);
                let version = shard.engine.effects.watches.watch(db, key);
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
            shard.engine.unwatch(not_watched);
            reply.ok();
            Ok(())
        })
    }
}

/// Whether some queued command may not be run any more by the connection's user: then each is asked
/// when its turn comes.
fn is_denied_in_part(client: &Client, queue: &Queue) -> bool {
    let identity = &client.session.identity;
    let mut commands = queue.commands.iter();
    !identity.is_free()
        && commands.any(|it| identity.user().check(it.id, &it.args.borrow()).is_err())
}

/// What a command on the whole keyspace runs inside EXEC.
fn whole_command(id: CommandId) -> WholeCommand {
    match engine::handler::HANDLERS[id.index()] {
        engine::handler::Handler::Whole(run) => run,
        _ => unreachable!("both tables are made of the same rows"),
    }
}
