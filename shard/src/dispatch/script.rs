//! Where a script runs: see `engine::steps::script`.

use std::mem::take;

use engine::action::OutsideCall;
use engine::error::Error;
use engine::header::Header;
use engine::message::Parked;
use engine::routing::ScriptRoute;
use engine::script::known::Program;
use protocol::args::{Args, OwnedArgs};
use protocol::command::Flags;
use protocol::reply::{Reply, Version};
use protocol::table::CommandId;
use storage::DbIndex;

use crate::client::Client;
use crate::dispatch::SCRATCH_KEPT_BYTES_MAX;
use crate::dispatch::handler::{HANDLERS, Handler};
use crate::shard::Shard;
use crate::transaction::exec::{ExecState, Suspended};

/// What a script calls where its connection has gone.
const NOBODY_THERE: &[u8] = b"-ERR the connection of this script has closed\r\n";

impl Shard {
    /// Whether a script touches only the keys that it declares.
    pub(crate) fn runs_plain_script(&mut self, header: Header, args: &Args<'_>) -> bool {
        self.engine.stays_plain(header, args)
    }

    /// Whether a command is refused when memory is short. Of scripts those that say so.
    pub(crate) fn takes_memory(&mut self, header: Header, args: &Args<'_>) -> bool {
        let command = header.command.command();
        command.flags.contains(Flags::DENYOOM)
            || (matches!(HANDLERS[header.command.index()], Handler::Script)
                && self.engine.flags_of_script(header, args).takes_memory())
    }

    /// Whether a command may change what a replica has. Scripts may say that they do not.
    pub(crate) fn is_replicated(&mut self, header: Header, args: &Args<'_>) -> bool {
        let reads_only = |shard: &mut Self| {
            matches!(HANDLERS[header.command.index()], Handler::Script)
                && shard.engine.flags_of_script(header, args).no_writes
        };
        header.command.command().is_replicated() && !reads_only(self)
    }

    /// Brings a script to where it begins.
    pub(crate) fn route_script(&mut self, client: &mut Client, header: Header, args: &Args<'_>) {
        if self.hearers.monitors.watched {
            self.show_script_to_monitors(client, header.command, args);
        }
        let program = match self.engine.program_of(header, args) {
            Ok(program) => program,
            Err(error) => {
                self.engine.count_failed_script(header, args, &error);
                client.reply_unless_muted(&error);
                return self.settle();
            }
        };
        match self.engine.route_script(header, args, program.outline()) {
            ScriptRoute::Here => self.run_script_here(client, header, args, program),
            // Where monitors look on, it runs here: what two shards show is in no order.
            ScriptRoute::At(owner) if !self.hearers.monitors.watched => {
                let to = client.send_on(owner, header.command.command());
                self.forward(owner, to, header, args);
            }
            ScriptRoute::Sent(owner) if !self.hearers.monitors.watched => {
                let parked = self.park_script(client, header, args);
                self.engine.stats.forwarded += 1;
                self.engine.send_script(owner, parked);
                self.settle();
            }
            ScriptRoute::At(_) | ScriptRoute::Sent(_) | ScriptRoute::Locked => {
                let parked = self.park_script(client, header, args);
                self.engine.begin_script_on_several(parked);
                self.settle();
            }
        }
    }

    /// A script that its connection waits for: nothing else of it runs meanwhile.
    fn park_script(&mut self, client: &mut Client, header: Header, args: &Args<'_>) -> Parked {
        // It happens whole, even if its connection closes.
        client.exec = ExecState::UnderWay;
        Parked {
            origin: self.engine.id,
            to: client.stall(),
            header,
            args: OwnedArgs::from(args),
        }
    }

    fn run_script_here(
        &mut self,
        client: &mut Client,
        header: Header,
        args: &Args<'_>,
        program: Program,
    ) {
        if !self.engine.owner.locks.is_empty() && self.queue_local(client, header, args) {
            return;
        }
        let mut encoded = take(&mut self.connections.scratch);
        encoded.clear();
        let mut reply = Reply::new(&mut encoded, header.version);
        let unfinished = self
            .engine
            .run_program(Ok(program), header, args, &mut reply);
        match unfinished {
            None => {
                if !client.next_reply_is_muted() {
                    client.reply(|reply| reply.raw(&encoded));
                }
            }
            Some(unfinished) => {
                let parked = self.park_script(client, header, args);
                self.engine.suspend_script(unfinished, parked);
            }
        }
        if encoded.capacity() <= SCRATCH_KEPT_BYTES_MAX {
            self.connections.scratch = encoded;
        }
        self.engine.serve_ready();
        self.settle();
        self.end_command(client);
    }

    /// A script has called a command that is not about data. It needs its connection, which may be
    /// in use now.
    pub(crate) fn call_outside(&mut self, call: Box<OutsideCall>) {
        self.post_local(move |shard| shard.run_outside_call(*call));
    }

    fn run_outside_call(&mut self, call: OutsideCall) {
        let Some(client) = self.client(call.client).cloned() else {
            self.engine.answer_script(call.transaction, NOBODY_THERE);
            return self.settle();
        };
        let mut client = client.borrow_mut();
        let what = (call.command, call.version, call.db);
        match self.run_call_of_script(&mut client, what, &call.args.borrow()) {
            Some(reply) => {
                drop(client);
                self.engine.answer_script(call.transaction, &reply);
                self.settle();
            }
            None => client.suspended = Some(Box::new(Suspended::Script(call.transaction))),
        }
    }

    /// Runs a command that a script has called, for the script's connection. Nothing comes back
    /// where the reply comes later.
    pub(crate) fn run_call_of_script(
        &mut self,
        client: &mut Client,
        (id, version, db): (CommandId, Version, DbIndex),
        args: &Args<'_>,
    ) -> Option<Vec<u8>> {
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, version);
        let (Handler::Session(run) | Handler::Roaming(run)) = HANDLERS[id.index()] else {
            Error::arity(id.command().name).write(&mut reply);
            return Some(encoded);
        };
        let session = &mut client.session;
        let before = (session.version, session.db, session.in_exec);
        (session.version, session.db, session.in_exec) = (version, db, true);
        session.in_script = true;
        let is_answered = self.run_session_within(client, id, run, args, &mut reply);
        let session = &mut client.session;
        (session.version, session.db, session.in_exec) = before;
        session.in_script = false;
        is_answered.then_some(encoded)
    }

    /// Scripts go on in a turn that comes behind all that is ready from outside: a turn that
    /// follows at once would keep connections waiting.
    pub(crate) fn pause_for_others(&self) {
        self.links.incoming.call_receiver_behind_input();
    }

    /// Whether scripts stand still here that have run for long.
    pub(crate) fn has_paused_scripts(&self) -> bool {
        self.engine.has_paused_scripts() || !self.connections.paused.is_empty()
    }
}
