//! Commands that other shards have sent, on the owner of their keys.

use std::ops::Range;

use protocol::args::{Args, OwnedArgs};
use protocol::peek::Seen;
use protocol::reply::Reply;
use smallvec::SmallVec;
use storage::prefetch::GROUP_LEN_MAX;

use crate::action::Action;
use crate::backpressure::Answered;
use crate::batch::{Batch, Ran};
use crate::engine::Engine;
use crate::error::Error;
use crate::handler::{HANDLERS, Handler};
use crate::header::{Header, ReplyTo};
use crate::keys::lock_names;
use crate::lookahead;
use crate::message::Parked;
use crate::slot::ShardId;
use crate::timing::SHORT_BYTES_MAX;
use crate::transaction::locks::LockName;

impl Engine {
    /// On the owner of its keys: runs a command that came alone.
    pub fn run_command(&mut self, parked: Parked) {
        if !self.owner.locks.is_empty() {
            let client = parked.to.client;
            let keys = self.keys_of(parked.header, &parked.args.borrow());
            let keys: SmallVec<[LockName; 4]> =
                keys.iter().map(|key| LockName::of_key(&key.key)).collect();
            if self.must_queue(parked.origin, client, &keys) {
                return self.park(parked, &keys);
            }
        }
        self.run_or_refuse(parked, usize::MAX);
        self.serve_ready();
    }

    /// Runs a command that no lock is in the way of. Its client is held back where its reply is
    /// longer than `room`. Returns how long it is.
    pub fn run_or_refuse(&mut self, parked: Parked, room: usize) -> usize {
        let command = parked.header.command;
        let refusal = if self.admission.any {
            self.admission.admit_forwarded(command.command()).err()
        } else {
            None
        };
        let refusal =
            refusal.or_else(|| (!self.has_room_for(command)).then_some(Error::OUT_OF_MEMORY));
        let Some(error) = refusal else {
            return self.run_parked(parked, room);
        };
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, parked.header.version);
        self.answer_refusal(parked.header, &error, &mut reply);
        let bytes = encoded.len();
        self.answer_parked(parked.origin, parked.to, encoded, room, 0);
        bytes
    }

    /// On the owner of its keys: answers a command that may not run.
    #[cold]
    fn answer_refusal(&mut self, header: Header, error: &Error, reply: &mut Reply<'_>) {
        self.stats.rejected(Some(header.command.index()), error);
        error.write(reply);
    }

    /// Runs what another shard's connections sent.
    pub fn run_batch(&mut self, origin: ShardId, batch: &mut Batch) {
        self.interrupt_timing();
        let mut answered = Answered::default();
        let mut begin = 0;
        while begin < batch.count() {
            let group = begin..batch.count().min(begin + GROUP_LEN_MAX);
            begin = group.end;
            if group.len() > 1 {
                let seen: SmallVec<[Seen<'_>; GROUP_LEN_MAX]> = batch.seen(group.clone()).collect();
                lookahead::fetch_group(self.databases.get(batch.db(group.start)), &seen);
            }
            self.run_group(origin, batch, group, &mut answered);
        }
        batch.note_held_back(answered.end());
        self.interrupt_timing();
    }

    fn run_group(
        &mut self,
        origin: ShardId,
        batch: &mut Batch,
        group: Range<usize>,
        answered: &mut Answered,
    ) {
        batch.run(group, |to, header, args, reply| {
            // Where it came from this may not be known yet.
            if self.admission.any
                && let Err(error) = self.admission.admit_forwarded(header.command.command())
            {
                self.answer_refusal(header, &error, reply);
                return Ran::Answered;
            }
            let parked = || Parked {
                origin,
                to,
                header,
                args: OwnedArgs::from(args),
            };
            if !self.held_back.is_empty() && self.is_held_back(origin, to.client) {
                self.hold_back(parked());
                return Ran::Deferred;
            }
            if !self.owner.locks.is_empty()
                && self.meets_lock(origin, to.client, header.command, args)
            {
                let keys = lock_names(header.command, args);
                self.park(parked(), &keys);
                return Ran::Deferred;
            }
            self.timing.in_row = is_short(args);
            if is_script(header) {
                if let Some(unfinished) = self.run_script(header, args, reply) {
                    self.suspend_script(unfinished, parked());
                    return Ran::Deferred;
                }
                self.serve_ready();
            } else if self.has_room_for(header.command) {
                self.execute(header, args, reply);
                self.serve_ready();
            } else {
                self.answer_refusal(header, &Error::OUT_OF_MEMORY, reply)
            }
            if answered.looks_large(reply.written(), to.client) {
                self.held_back.begin(origin, to.client);
            }
            Ran::Answered
        });
    }

    /// Runs a command that came alone, or had to wait. A client of another shard is held back where
    /// its reply is longer than `room`. Returns how long it is.
    pub fn run_parked(&mut self, parked: Parked, room: usize) -> usize {
        let mut encoded = Vec::new();
        let args = parked.args.borrow();
        let mut reply = Reply::new(&mut encoded, parked.header.version);
        self.interrupt_timing();
        let told = self.effects.journal.told();
        if is_script(parked.header) {
            if let Some(unfinished) = self.run_script(parked.header, &args, &mut reply) {
                self.suspend_script(unfinished, parked);
                return 0;
            }
        } else {
            self.execute(parked.header, &args, &mut reply);
        }
        let wrote = self.wrote_since(told);
        let bytes = encoded.len();
        match self.effects.wait.take() {
            None => self.answer_parked(parked.origin, parked.to, encoded, room, wrote),
            Some(wait) => self.enroll_here(parked.origin, parked.to, parked.header, &args, wait),
        }
        bytes
    }

    /// Brings the reply of such a command to its connection.
    pub fn answer_parked(
        &mut self,
        origin: ShardId,
        to: ReplyTo,
        reply: Vec<u8>,
        room: usize,
        wrote: u64,
    ) {
        if origin == self.id {
            return self.complete(origin, to, reply, wrote);
        }
        let holds_back = reply.len() > room;
        if holds_back {
            self.held_back.begin(origin, to.client);
        }
        self.actions.push(Action::Reply {
            origin,
            to,
            reply,
            holds_back,
            wrote,
        });
    }
}

/// Whether a command runs a script.
#[inline]
pub(crate) fn is_script(header: Header) -> bool {
    matches!(HANDLERS[header.command.index()], Handler::Script(_))
}

/// Whether a command of another connection may be timed in a row with others.
#[inline]
fn is_short(args: &Args<'_>) -> bool {
    /// Arguments of a short command.
    const ARGS_MAX: usize = 8;
    args.len() <= ARGS_MAX && args.iter().map(<[u8]>::len).sum::<usize>() <= SHORT_BYTES_MAX
}
