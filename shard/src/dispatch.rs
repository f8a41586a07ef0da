//! From bytes to the place where a command runs: parse, look the verb up once, then here, on its
//! owner, or through the coordinator.

pub mod backpressure;
pub mod handler;
pub mod order;
mod script;

use engine::error::Error;
use engine::eviction::Room;
use engine::header::Header;
use engine::keys::lock_names;
use engine::lookahead::Lookahead;
use engine::message::Parked;
use engine::routing::Route;
use engine::timing::SHORT_BYTES_MAX;
use protocol::args::{Args, OwnedArgs};
use protocol::command::{Command, Flags, KeyShape};
use protocol::facts::{Subscribers, Traits};
use protocol::parse::{LargeArg, Limits, Parsed, ProtocolError};
use protocol::reply::Reply;
use protocol::table::{CommandId, lookup, lookup_sub};
use tracing::{debug, warn};

use crate::blocking::BlockedAt;
use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing};
use crate::commands::debug::{NOT_ALLOWED, may_debug};
use crate::dispatch::handler::{Answer, HANDLERS, Handler, SessionCommand};
use crate::mailbox::message::Message;
use crate::shard::Shard;

/// Room for a reply that is kept for the next one: an EXEC may have needed much.
const SCRATCH_KEPT_BYTES_MAX: usize = 64 * 1024;

impl Shard {
    /// Runs what stands whole in the client's input, as far as it may run now.
    pub fn run_input(&mut self, client: &mut Client) {
        if client.input.is_empty() || client.large.is_some() {
            return;
        }
        self.settle_output_max(client);
        if !client.settle_commands() {
            return;
        }
        self.turns.idle_policy.speaks(client.active_at);
        client.touch(self.clock.instant);
        if client.session.is_told() && !self.hears_first(client) {
            return;
        }
        let looks = Looks {
            crowded: self.process.underway.is_too_much(),
            renamed: !self.engine.config.renames.is_empty(),
        };
        let told = self.engine.effects.journal.told();
        let mut limits = self.limits_of(client);
        let mut input = std::mem::take(&mut client.input);
        let mut parser = std::mem::take(&mut client.parser);
        let mut at = 0;
        self.engine.interrupt_timing();
        self.look_for_monitors();
        let mut lookahead = Lookahead::default();
        while client.settle_commands() {
            if self.engine.slots.shards() == 1 {
                lookahead.fetch(self.engine.databases.get(client.session.db), &input, at);
            }
            limits.authenticated = client.session.identity.is_authenticated();
            match parser.parse(&input[at..], &limits) {
                Ok(Parsed::Command { consumed }) => {
                    let args = parser.args(&input[at..at + consumed]);
                    let more_follows = at + consumed < input.len();
                    let in_row = more_follows && consumed <= SHORT_BYTES_MAX;
                    let taken = match resolve(&args) {
                        Err(unknown) if looks.renamed => {
                            self.take_renamed(client, &args, unknown, looks, in_row)
                        }
                        resolved => self.take_command(client, &args, resolved, looks, in_row),
                    };
                    if !taken {
                        parser.hold_back(consumed);
                        break;
                    }
                    at += consumed;
                }
                Ok(Parsed::Skip { consumed }) => at += consumed,
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Large { have_from, len }) => {
                    client.large = Some(LargeArg::begin(len, &input[at + have_from..]));
                    input.truncate(at + have_from);
                    break;
                }
                Err(error) => {
                    self.engine.stats.protocol_errors += 1;
                    self.refuse_input(client, &error);
                }
            }
        }
        self.engine.interrupt_timing();
        if at == input.len() {
            input.clear()
        } else {
            drop(input.drain(..at))
        }
        client.input = input;
        client.parser = parser;
        self.settle();
        self.hold_behind_fence(client);
        let wrote = self.engine.wrote_since(told);
        self.gate_client(client, wrote);
        self.limit_replies(client);
    }

    /// Runs one command of a client's input, or begins to. False where it cannot run before
    /// something else has happened.
    #[inline(always)]
    fn take_command(
        &mut self,
        client: &mut Client,
        args: &Args<'_>,
        mut resolved: Resolved,
        looks: Looks,
        in_row: bool,
    ) -> bool {
        if self.must_wait(client, &resolved, args, looks.crowded) {
            return false;
        }
        if looks.renamed {
            self.hide(&mut resolved, args);
        }
        self.engine.stats.commands += 1;
        self.engine.timing.in_row = in_row;
        self.route(client, args, resolved);
        true
    }

    /// Runs a command whose verb the table does not know: it may be a new name.
    #[cold]
    fn take_renamed(
        &mut self,
        client: &mut Client,
        args: &Args<'_>,
        unknown: (Option<CommandId>, Error),
        looks: Looks,
        in_row: bool,
    ) -> bool {
        let Some(original) = self.engine.config.renames.original(args) else {
            return self.take_command(client, args, Err(unknown), looks, in_row);
        };
        let args = original.borrow();
        let looks = Looks {
            renamed: false,
            ..looks
        };
        self.take_command(client, &args, resolve(&args), looks, in_row)
    }

    /// Lets a command be unknown that its own name does not call any more.
    #[cold]
    fn hide(&self, resolved: &mut Resolved, args: &Args<'_>) {
        let id = match &*resolved {
            Ok(id) => Some(*id),
            Err((id, _)) => *id,
        };
        // A sub-command that there is not is told about as one of a container that there is.
        let container = lookup(&args[0]);
        let name = id.or(container).map(|id| id.command().name);
        if name.is_some_and(|name| self.engine.config.renames.hides(name)) {
            let error = Error::unknown_command(&args[0], args.iter().skip(1));
            *resolved = Err((None, error));
        }
    }

    /// What a client may send.
    fn limits_of(&self, client: &Client) -> Limits {
        Limits {
            bulk_len_max: self.engine.config.proto_max_bulk_len,
            query_len_max: self.engine.config.client_query_buffer_limit,
            authenticated: client.session.identity.is_authenticated(),
            ..Limits::default()
        }
    }

    /// Whether the next command runs only later: when replies of what came before are here, after a
    /// pause, or when subscribers have got some of what is published.
    #[inline]
    fn must_wait(
        &mut self,
        client: &mut Client,
        resolved: &Resolved,
        args: &Args<'_>,
        crowded: bool,
    ) -> bool {
        let comes_behind_all = match resolved {
            Ok(id) => self.comes_behind_all(client, *id, args),
            Err(_) => false,
        };
        client.comes_behind(comes_behind_all)
            || self.pausing.pause.is_some() && self.postpones(client, args)
            || crowded && self.crowds(client, resolved)
    }

    /// What a client has sent is no command, or too long: it is told so, and closed.
    #[cold]
    fn refuse_input(&mut self, client: &mut Client, error: &ProtocolError) {
        let too_long = *error == ProtocolError::QueryTooLong;
        let reason = error.text();
        let text = Error::from_bytes([b"ERR ".as_slice(), &reason].concat());
        self.engine.stats.rejected(None, &text);
        if too_long {
            self.note_input_limit(client);
        } else {
            let (id, address) = (client.session.id, &*client.peer.address);
            debug!(client = id, address, reason = %reason.escape_ascii(), "closing a client that does not keep to the protocol");
        }
        client.reply(|reply| text.write(reply));
        let why = if too_long {
            CloseReason::InputLimit
        } else {
            CloseReason::ProtocolError
        };
        client.close_for(why, Closing::AfterReplies);
    }

    /// A client is closed because it has sent more than `client-query-buffer-limit` allows.
    pub(crate) fn note_input_limit(&mut self, client: &Client) {
        self.engine.stats.input_limit_closes += 1;
        if let Some(left_out) = self.measured.log_limits.limits.admit(self.second()) {
            warn!(
                client = client.session.id,
                address = &*client.peer.address,
                left_out,
                "closing a client that sent too long a command (client-query-buffer-limit)"
            );
        }
    }

    /// A web page has a browser talk to this port, and what it posts would be run as commands:
    /// nothing behind this is, nor is anything answered.
    #[cold]
    fn end_http(&mut self, client: &mut Client) {
        if let Some(left_out) = self.measured.log_limits.attacks.admit(self.second()) {
            warn!(
                client = client.session.id,
                address = &*client.peer.address,
                left_out,
                "Possible SECURITY ATTACK detected: POST or Host: sent as a command, closing the connection"
            );
        }
        client.close(Closing::Now);
    }

    /// Brings one command to where it runs. Its reply is written, or a slot waits for it, when this
    /// returns.
    // Always inlined, here and below: left to the compiler it was a call, for the sake of renamed
    // commands, and a GET took 5 % more of the CPU.
    #[inline(always)]
    fn route(&mut self, client: &mut Client, args: &Args<'_>, resolved: Resolved) {
        let id = match &resolved {
            Ok(id) => Some(*id),
            Err((id, _)) => *id,
        };
        match resolved {
            Ok(id) => self.route_resolved(client, id, args),
            Err((None, _)) if is_of_http(&args[0]) => return self.end_http(client),
            Err((id, error)) => self.refuse(client, id, &error),
        }
        if client.session.has_passing_state() {
            client.end_of_passing(id.map(CommandId::command));
        }
    }

    #[inline(always)]
    fn route_resolved(&mut self, client: &mut Client, id: CommandId, args: &Args<'_>) {
        let command = id.command();
        if command.traits.contains(Traits::DEBUGS) && !may_debug(self, client) {
            return self.refuse(client, Some(id), &NOT_ALLOWED);
        }
        if self.engine.admission.any
            && let Err(error) = self.admit(command)
        {
            return self.refuse(client, Some(id), &error);
        }
        if client.session.is_plain() {
            // The common case, with nothing to ask: it may do everything, replies are on.
        } else if let Err(error) = self.permit(client, id, args) {
            return self.refuse(client, Some(id), &error);
        } else if self.is_multi_short_of_memory(client, id, args) {
            return self.refuse(client, Some(id), &Error::OUT_OF_MEMORY);
        } else if self.queue_for_exec(client, id, args) {
            return;
        }
        match HANDLERS[id.index()] {
            Handler::Keyed => self.route_keyed(client, id, command, args),
            Handler::Session(run) | Handler::Roaming(run) => {
                self.run_session(client, id, run, args);
            }
            Handler::Whole => self.begin_whole(client, client.header(id), args),
            Handler::Script => self.route_script(client, client.header(id), args),
            Handler::Container => self.refuse(client, Some(id), &Error::arity(command.name)),
        }
        // An EXEC that takes longer is shown at its end.
        if self.hearers.monitors.watched && !(client.unfinished().is_some() && command.executes()) {
            self.show_to_monitors(client, id, args);
        }
        client.session.last_command = command.name;
    }

    #[inline(always)]
    fn route_keyed(
        &mut self,
        client: &mut Client,
        id: CommandId,
        command: &'static Command,
        args: &Args<'_>,
    ) {
        let header = client.header(id);
        if command.flags.contains(Flags::BLOCKING) {
            return self.route_blocking(client, header, args);
        }
        match command.shape {
            KeyShape::One => match self.engine.slots.owner(&args[1]) {
                owner if owner == self.engine.id => self.run_here(client, header, args),
                owner => {
                    let to = client.send_on(owner, command);
                    self.forward(owner, to, header, args);
                }
            },
            KeyShape::None => self.run_here(client, header, args),
            _ => self.route_many(client, command, header, args),
        }
    }

    /// Begins a command on the whole keyspace.
    fn begin_whole(&mut self, client: &mut Client, header: Header, args: &Args<'_>) {
        let engine::handler::Handler::Whole(run) =
            engine::handler::HANDLERS[header.command.index()]
        else {
            unreachable!("both tables are made of the same rows");
        };
        let to = client.stall();
        self.engine.begin_whole(to, header, args, run);
        self.settle();
    }

    /// A command that may wait. Its connection runs nothing else until it has its reply.
    #[cold]
    fn route_blocking(&mut self, client: &mut Client, header: Header, args: &Args<'_>) {
        client.blocked_command = Some(Box::new((header.command, OwnedArgs::from(args))));
        let owner = match self.engine.route(header.command, args) {
            Route::Here | Route::Anywhere => self.engine.id,
            Route::At(owner) => owner,
            Route::Several(_) => {
                if !self.engine.has_room_for(header.command) {
                    return self.refuse(client, Some(header.command), &Error::OUT_OF_MEMORY);
                }
                let scopes = self.engine.scopes_of(header, args);
                let to = client.stall();
                self.engine.begin_transaction(to, header, args, scopes);
                return self.settle();
            }
        };
        client.blocked = Some(BlockedAt::Owner(owner));
        let parked = Parked {
            origin: self.engine.id,
            to: client.stall(),
            header,
            args: OwnedArgs::from(args),
        };
        let message = engine::message::Message::Command(Box::new(parked));
        self.send(owner, Message::Engine(message));
    }

    /// Whether memory is too short for what a connection between MULTI and EXEC sends: a command
    /// that takes some, or an EXEC with one.
    fn is_multi_short_of_memory(
        &mut self,
        client: &Client,
        id: CommandId,
        args: &Args<'_>,
    ) -> bool {
        let refusable = match &client.session.queue {
            None => false,
            Some(queue) if id.command().executes() => queue.takes_memory(),
            Some(_) => self.takes_memory(client.header(id), args),
        };
        refusable && self.engine.make_room() == Room::None
    }

    /// A command that may have any number of keys.
    fn route_many(
        &mut self,
        client: &mut Client,
        command: &'static Command,
        header: Header,
        args: &Args<'_>,
    ) {
        let route = self.engine.route(header.command, args);
        let asks_several = matches!(route, Route::Several(_) | Route::Anywhere);
        if asks_several && !self.engine.has_room_for(header.command) {
            return self.refuse(client, Some(header.command), &Error::OUT_OF_MEMORY);
        }
        match route {
            Route::Here => return self.run_here(client, header, args),
            Route::At(owner) => {
                let to = client.send_on(owner, command);
                return self.forward(owner, to, header, args);
            }
            Route::Several(owners) => {
                let to = client.stall();
                self.engine.begin_on_several(to, header, args, owners);
            }
            Route::Anywhere => {
                let to = client.stall();
                self.engine.begin_computed(to, header, args);
            }
        }
        self.settle();
    }

    /// Runs a data command whose keys are all on this shard, for a connection of this shard.
    #[inline]
    fn run_here(&mut self, client: &mut Client, header: Header, args: &Args<'_>) {
        if !self.engine.owner.locks.is_empty() && self.queue_local(client, header, args) {
            return;
        }
        if self.engine.config.maxmemory > 0 && !self.has_room_here(client, header.command) {
            return self.refuse(client, Some(header.command), &Error::OUT_OF_MEMORY);
        }
        if client.takes_direct_replies() {
            self.engine.execute(
                header,
                args,
                &mut Reply::new(&mut client.out, header.version),
            );
        } else if client.next_reply_is_muted() {
            self.engine.execute(
                header,
                args,
                &mut Reply::new(&mut Vec::new(), header.version),
            );
        } else {
            client.reply(|reply| {
                self.engine.execute(header, args, reply);
            });
        }
        self.engine.serve_ready();
        self.settle();
        self.end_command(client);
    }

    /// Makes room for a command of this shard's connection. What is evicted for it has gone before
    /// it: clients hear so before its reply.
    fn has_room_here(&mut self, client: &mut Client, id: CommandId) -> bool {
        let has_room = self.engine.has_room_for(id);
        self.settle();
        if self.engine.effects.invalidations.is_for_here() {
            self.tell_readers_here(Some(client));
        }
        has_room
    }

    #[cold]
    pub(crate) fn queue_local(
        &mut self,
        client: &mut Client,
        header: Header,
        args: &Args<'_>,
    ) -> bool {
        let waits = self
            .engine
            .meets_lock(self.engine.id, client.token, header.command, args);
        if waits {
            let keys = lock_names(header.command, args);
            let to = client.send_on(self.engine.id, header.command.command());
            self.engine.park(
                Parked {
                    origin: self.engine.id,
                    to,
                    header,
                    args: OwnedArgs::from(args),
                },
                &keys,
            );
            self.settle();
        }
        waits
    }

    /// Runs a command about the connection or the process.
    fn run_session(
        &mut self,
        client: &mut Client,
        id: CommandId,
        run: SessionCommand,
        args: &Args<'_>,
    ) {
        let mut encoded = std::mem::take(&mut self.connections.scratch);
        encoded.clear();
        let mut reply = Reply::new(&mut encoded, client.session.version);
        match self.run_timed(client, id, run, args, &mut reply) {
            Ok(Answer::Now) => {}
            Ok(Answer::None) => encoded.clear(),
            Ok(Answer::Later) => {
                debug_assert!(
                    encoded.is_empty(),
                    "a reply that comes later is not begun now"
                );
                encoded.clear();
            }
            Err(error) => {
                self.engine.stats.failed(id.index(), &error);
                reply.truncate(0);
                error.write(&mut reply);
            }
        }
        // Asked now and not before: CLIENT REPLY ON and RESET are answered though replies were off.
        // What a subscription is told is no reply.
        let is_told =
            !client.next_reply_is_muted() || id.command().subscribers == Subscribers::Changed;
        if !encoded.is_empty() && is_told {
            client.reply(|reply| reply.raw(&encoded));
        }
        if encoded.capacity() <= SCRATCH_KEPT_BYTES_MAX {
            self.connections.scratch = encoded;
        }
        self.settle();
        self.end_command(client);
        self.flush_pushes(client);
    }

    /// Answers with an error that stands before any command has run.
    #[cold]
    pub(crate) fn refuse(&mut self, client: &mut Client, id: Option<CommandId>, error: &Error) {
        let index = id.map(CommandId::index);
        if id.is_some_and(|id| id.command().executes()) {
            // A bad EXEC ends the transaction.
            self.discard_queue(client);
            self.engine.stats.refused_for_memory += u64::from(*error == Error::OUT_OF_MEMORY);
            let error = error.of_exec();
            self.engine.stats.rejected(index, &error);
            return client.reply_unless_muted(&error);
        }
        if let Some(queue) = &mut client.session.queue {
            queue.abort();
        }
        self.engine.stats.rejected(index, error);
        client.reply_unless_muted(error);
    }
}

/// What is rarely so, and looked at once for all the commands in a client's input.
#[derive(Clone, Copy)]
struct Looks {
    /// Too much is on its way to subscribers.
    crowded: bool,
    /// Some commands are not called by their own names.
    renamed: bool,
}

/// Whether a verb that is none is how an HTTP request begins, or its header names the host. To
/// Redis the text ends at a zero byte.
#[cold]
fn is_of_http(verb: &[u8]) -> bool {
    let end = memchr::memchr(0, verb).unwrap_or(verb.len());
    let text = &verb[..end];
    text.eq_ignore_ascii_case(b"post") || text.eq_ignore_ascii_case(b"host:")
}

/// The command, or why there is none; its row, where there is one.
pub(crate) type Resolved = Result<CommandId, (Option<CommandId>, Error)>;

/// Finds the command and checks the number of its arguments.
#[inline]
pub(crate) fn resolve(args: &Args<'_>) -> Resolved {
    let Some(mut id) = lookup(&args[0]) else {
        let error = Error::unknown_command(&args[0], args.iter().skip(1));
        return Err((None, error));
    };
    if id.is_container()
        && let Some(sub) = args.get(1)
    {
        let name = id.command().name;
        id = lookup_sub(id, sub).ok_or_else(|| (None, Error::unknown_subcommand(name, sub)))?;
    }
    let command = id.command();
    if command.accepts(args.len()) {
        Ok(id)
    } else {
        Err((Some(id), Error::arity(command.name)))
    }
}
