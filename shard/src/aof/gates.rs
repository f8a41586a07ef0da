//! Replies that wait for the log: of connections, and to other shards. Under `appendfsync always`
//! they wait for the disk; otherwise until the system has the records, which is mostly so at the
//! end of the turn.

use engine::engine::LogState;
use engine::slot::ShardId;

use crate::client::Client;
use crate::client::hold::OutputHold;
use crate::mailbox::message::Message;
use crate::shard::Shard;

/// What output waits for: bytes of the journal that are to be safe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gate {
    /// All that there was, and that it may tell of.
    all: u64,
    /// What it is the answer to: 0 where it only read.
    own: u64,
}

impl Shard {
    /// Lets the engine know how far the log has come.
    #[inline]
    pub(crate) fn refresh_log_state(&mut self) {
        if self.log.gates | self.engine.log.holds_replies {
            self.engine.log = LogState {
                holds_replies: self.log.gates && self.engine.effects.journal.has_log(),
                appends: self.log.appends(),
                has_unsettled: !self.log.unsettled.is_empty(),
                frontier: self.log.frontier(),
                fails: self.log.failed,
            };
        }
    }

    /// Whether answers that tell of what is here have to wait for the log when this turn is over.
    pub(crate) fn log_is_behind(&mut self) -> bool {
        self.refresh_log_state();
        self.engine.log_is_behind()
    }

    /// How far the log must have come.
    fn awaited(&self, gate: Gate) -> u64 {
        if self.engine.admission.a_log_fails() {
            gate.own
        } else {
            gate.all
        }
    }

    /// What replies must wait for now, if anything. `wrote` is how much of the journal has what
    /// they answer itself: 0 where that only read.
    #[inline]
    fn gate(&self, wrote: u64) -> Option<Gate> {
        let gate = Gate {
            all: self.engine.effects.journal.total(),
            own: wrote,
        };
        (self.awaited(gate) > self.log.frontier()).then_some(gate)
    }

    /// Keeps a connection's output back until what it may tell of is safe. So too where its replies
    /// stand behind one that another shard has yet to send.
    #[inline]
    pub(crate) fn gate_client(&mut self, client: &mut Client, wrote: u64) {
        if self.log.gates
            && let Some(gate) = self.gate(wrote)
            && (client.has_output() || !client.pending.is_empty())
        {
            match &mut client.gated {
                Some(before) => {
                    before.all = gate.all;
                    before.own = before.own.max(gate.own);
                }
                none => {
                    *none = Some(gate);
                    client.output_hold.insert(OutputHold::DURABILITY);
                    self.log.clients.push_back((gate.all, client.token));
                }
            }
        }
    }

    /// Sends a message with replies once what they may tell of is safe.
    #[inline]
    pub(crate) fn send_gated(&mut self, to: ShardId, message: Message, wrote: u64) {
        if self.log.gates
            && let Some(gate) = self.gate(wrote)
        {
            self.log.held.push_back((gate, to, message));
        } else {
            self.send(to, message);
        }
    }

    /// Sends a message that tells of changes behind all replies that were sent there before, also
    /// those that wait for the log.
    pub(crate) fn send_behind_replies(&mut self, to: ShardId, message: Message) {
        let told = self.engine.effects.journal.total();
        let gate = Gate {
            all: told,
            own: told,
        };
        if self.log.gates && told > self.log.frontier() {
            self.log.held.push_back((gate, to, message))
        } else {
            self.send(to, message)
        }
    }

    /// A log has just failed: what only read does not wait for it.
    pub(super) fn let_readers_go(&mut self) {
        self.engine.answer_readers();
        self.settle();
        let frontier = self.log.frontier();
        for (gate, to, message) in std::mem::take(&mut self.log.held) {
            if self.awaited(gate) > frontier {
                self.log.held.push_back((gate, to, message))
            } else {
                self.send_held(to, message)
            }
        }
        for (mark, token) in std::mem::take(&mut self.log.clients) {
            let Some(client) = self.client(token).cloned() else {
                continue;
            };
            let mut client = client.borrow_mut();
            match client.gated {
                Some(gate) if self.awaited(gate) > frontier => {
                    self.log.clients.push_back((mark, token));
                }
                _ => {
                    client.end_durability_wait();
                    client.wake();
                }
            }
        }
    }

    /// A message may go that was held. There may be news among such, which go first.
    fn send_held(&mut self, to: ShardId, message: Message) {
        self.turns.reply_fence.effects_sent = true;
        self.send(to, message);
    }

    /// More is safe, or settled: lets those go who waited for it. Returns whether there were any.
    pub(super) fn open_gates(&mut self) -> bool {
        let open_to = if self.log.gates {
            self.log.frontier()
        } else {
            u64::MAX
        };
        let mut any = false;
        while self.log.held.front().is_some_and(|it| it.0.all <= open_to)
            && let Some((_, to, message)) = self.log.held.pop_front()
        {
            self.send_held(to, message);
        }
        while self.log.clients.front().is_some_and(|it| it.0 <= open_to)
            && let Some((mark, token)) = self.log.clients.pop_front()
        {
            let Some(client) = self.client(token).cloned() else {
                continue;
            };
            let mut client = client.borrow_mut();
            match client.gated {
                // It has got more replies since.
                Some(later) if later.all > open_to => {
                    debug_assert!(later.all >= mark);
                    self.log.clients.push_back((later.all, token));
                }
                _ => {
                    client.end_durability_wait();
                    if client.has_output() {
                        any = true;
                        client.wake();
                    }
                }
            }
        }
        any
    }
}
