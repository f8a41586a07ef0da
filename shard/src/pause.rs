//! CLIENT PAUSE: commands that wait for a time before they begin.
//!
//! What is paused is the truth of the process, under a lock; a visit to every shard makes it take
//! the newest, because two changes on their way may overtake one another. A paused command stays
//! unread in its connection's input and is looked at again at the end of the pause. So nothing
//! paused holds a lock or a slot.
//!
//! Whoever asked for the pause is answered once every shard goes by it and all that their
//! connections had sent before has had its reply: from then on nothing changes any key. What has
//! expired is hidden and stays until the end of the pause, and nothing is evicted.

use std::sync::PoisonError;

use engine::header::ClientToken;
use protocol::args::Args;
use protocol::command::Command;
use storage::UnixMillis;

use crate::blocking::BlockedAt;
use crate::client::Client;
use crate::client::hold::CommandHold;
use crate::dispatch::resolve;
use crate::mailbox::message::{Message, Visit};
use crate::shard::Shard;

/// Which commands a pause holds back. The later holds back more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Paused {
    /// Those that may change a key or reach a replica.
    Writes,
    /// All.
    All,
}

/// A pause, until its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    pub what: Paused,
    pub until: UnixMillis,
}

impl Pause {
    /// What an attempt to end the server holds back, until it is called off.
    const UNTIL_THE_END: Self = Self {
        what: Paused::Writes,
        until: UnixMillis::new(i64::MAX as u64),
    };

    /// What holds where a pause is called for during another: the stricter of both, until the later
    /// end.
    fn join(self, other: Option<Self>, now: UnixMillis) -> Self {
        match other.filter(|other| other.until > now) {
            None => self,
            Some(other) => Self {
                what: self.what.max(other.what),
                until: self.until.max(other.until),
            },
        }
    }

    /// Whether a command waits that may change what a replica has, or does not.
    fn holds_back(self, command: &Command, is_replicated: bool, client: &Client) -> bool {
        let queue = client.session.queue.as_ref();
        self.what == Paused::All
            || is_replicated
            || command.executes() && queue.is_some_and(|queue| queue.is_replicated())
    }
}

/// Something to do once connections have the replies to what they had sent.
pub struct Draining {
    number: u64,
    /// Each connection with the sequence number of the first reply that need not be there.
    waits_for: Vec<(ClientToken, u32)>,
    /// Shards that have still to say that what blocked clients had sent has run there, or waits.
    owners: usize,
    then: Visit,
}

/// What a shard has paused.
#[derive(Default)]
pub struct Pausing {
    /// Which commands wait for now.
    pub pause: Option<Pause>,
    pub(crate) draining: Vec<Draining>,
    pub(crate) last_draining: u64,
}

impl Shard {
    /// Pauses the process from here on; each shard has yet to take it up.
    pub fn call_pause(&self, pause: Pause) {
        let mut known = self.known_pause();
        *known = Some(pause.join(*known, self.engine.now));
    }

    /// Ends the pause of the process.
    pub fn call_off_pause(&self) {
        *self.known_pause() = None;
    }

    fn known_pause(&self) -> std::sync::MutexGuard<'_, Option<Pause>> {
        self.process
            .pause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes by what is paused now.
    pub fn take_up_pause(&mut self) {
        let now = self.engine.now;
        let called = self.known_pause().filter(|pause| pause.until > now);
        let known = if self.process.stop.holds_writes() {
            Some(Pause::UNTIL_THE_END.join(called, now))
        } else {
            called
        };
        self.set_pause(known);
        match known {
            Some(_) => self.wake_timer(),
            None => self.let_go_on(),
        }
    }

    /// Goes by what is paused now, and does `then` once all that connections of this shard had sent
    /// before has had its reply.
    pub fn take_up_pause_and(&mut self, then: Visit) {
        self.take_up_pause();
        self.resume_all_clients();
        let (mut waits_for, mut owners) = (Vec::new(), Vec::new());
        for (_, known) in &self.connections.clients {
            if let Ok(client) = known.client.try_borrow()
                && !client.pending.is_empty()
            {
                let end = client.pending.end_seq();
                // What waits for all shards (this pause, say) or for an element is the last that
                // its connection has sent.
                let is_held = client.blocked.is_some()
                    || client.suspended.is_some()
                    || self.asks_for_stop(client.token)
                    || self.is_gathering(client.token);
                waits_for.push((client.token, end.wrapping_sub(u32::from(is_held))));
                if let Some(BlockedAt::Owner(owner)) = client.blocked {
                    owners.push(owner);
                }
            }
        }
        owners.sort_unstable();
        owners.dedup();
        self.pausing.last_draining += 1;
        let number = self.pausing.last_draining;
        self.pausing.draining.push(Draining {
            number,
            waits_for,
            owners: owners.len(),
            then,
        });
        let origin = self.engine.id;
        for owner in owners {
            // Behind the command itself, and behind what it may have met locked.
            let home = move |shard: &mut Shard| shard.owner_is_past(number);
            let there = move |shard: &mut Shard| shard.send(origin, Message::Visit(Box::new(home)));
            let arrive = move |shard: &mut Shard| shard.when_all_home(Box::new(there));
            self.send(owner, Message::Visit(Box::new(arrive)));
        }
        self.schedule_turn();
    }

    fn owner_is_past(&mut self, number: u64) {
        let draining = self
            .pausing
            .draining
            .iter_mut()
            .find(|it| it.number == number);
        if let Some(draining) = draining {
            draining.owners -= 1;
        }
    }

    /// Does what was to be done after the replies that are there now. Returns whether there was
    /// something.
    pub(crate) fn look_at_draining(&mut self) -> bool {
        let mut done = Vec::new();
        for mut draining in std::mem::take(&mut self.pausing.draining) {
            draining.waits_for.retain(|&(token, seq)| {
                let Some(client) = self.client(token) else {
                    return false;
                };
                let client = client.borrow();
                // A command on several shards may have begun to wait for an element meanwhile.
                let waits = client.blocked.is_some() && client.pending.len() == 1;
                !waits && !client.pending.is_past(seq)
            });
            if draining.waits_for.is_empty() && draining.owners == 0 {
                done.push(draining.then)
            } else {
                self.pausing.draining.push(draining)
            }
        }
        let any = !done.is_empty();
        done.into_iter().for_each(|then| then(self));
        any
    }

    /// Whether a command must wait for the end of the pause.
    #[cold]
    pub(crate) fn postpones(&mut self, client: &mut Client, args: &Args<'_>) -> bool {
        self.end_pause_if_due();
        let (Some(pause), Ok(id)) = (self.pausing.pause, resolve(args)) else {
            return false;
        };
        let command = id.command();
        // A refusal is told at once.
        let is_replicated = self.is_replicated(client.header(id), args);
        let waits = client.session.admits(command).is_ok()
            && pause.holds_back(command, is_replicated, client);
        if waits {
            self.hold_commands(client, CommandHold::PAUSED);
        }
        waits
    }

    pub(crate) fn end_pause_if_due(&mut self) {
        if self
            .pausing
            .pause
            .is_some_and(|pause| pause.until <= self.engine.now)
        {
            self.set_pause(None);
            self.let_go_on();
        }
    }

    fn set_pause(&mut self, pause: Option<Pause>) {
        self.pausing.pause = pause;
        self.engine.effects.is_paused = pause.is_some();
    }

    fn let_go_on(&mut self) {
        self.release_commands(CommandHold::PAUSED);
    }

    /// Connections of this shard whose next command is held back.
    pub fn postponed_clients(&self) -> usize {
        let is_postponed = |client: &Client| client.command_hold.contains(CommandHold::PAUSED);
        self.connections
            .clients
            .iter()
            .filter(|(_, known)| known.client.try_borrow().is_ok_and(|it| is_postponed(&it)))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_holds_until_the_later_end() {
        let pause = |what, until| Pause {
            what,
            until: UnixMillis::new(until),
        };
        let now = UnixMillis::new(10);
        let (writes, all) = (pause(Paused::Writes, 50), pause(Paused::All, 20));
        let both = pause(Paused::All, 50);
        assert_eq!(writes.join(Some(all), now), both);
        assert_eq!(all.join(Some(writes), now), both);
        assert_eq!(writes.join(None, now), writes);
        assert_eq!(writes.join(Some(pause(Paused::All, 10)), now), writes);
    }
}
