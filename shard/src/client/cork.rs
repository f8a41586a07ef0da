//! Output that waits for what comes behind it.
//!
//! The commands of one pipeline that go to several shards are answered at different times. Written as they come, 16 GETs over two shards take two
//! writes, and 16 MSETs sixteen: a write is several microseconds of the kernel's time, for both sides. So while replies of a connection are
//! under way, those before them wait, but never long: they leave when nothing is under way any more, when they are many, when the shard has nothing
//! else to do before it sleeps, and after some turns in any case. A client that waits for an element waits for nobody else: its output leaves at once.

use std::collections::VecDeque;

use crate::client::Client;
use crate::executor::thread_group;
use crate::mailbox::batch::ClientToken;
use crate::shard::Shard;

/// Output from here on leaves as it is.
const CORKED_BYTES_MAX: usize = 16 * 1024;

/// Turns of the shard after which output leaves in any case.
const CORKED_TURNS_MAX: u64 = 16;

/// Whether a connection's output may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cork {
    /// It may, and its shard does not know of any that does.
    #[default]
    No,
    /// It stands in its shard's line.
    Noted,
    /// It has waited long enough.
    Overdue,
}

/// The connections of a shard whose output waits.
#[derive(Default)]
pub struct CorkedOutput {
    /// With the turns in which they came, in their order.
    queue: VecDeque<(u64, ClientToken)>,
    turns: u64,
    /// All were let go because there was nothing else to do.
    went: bool,
    /// The shard has nothing else to do, but others of its thread have.
    lingers: bool,
}

impl CorkedOutput {
    /// Whether anything waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the last turn ended with letting all go; asked once.
    #[inline]
    pub fn just_went(&mut self) -> bool {
        std::mem::take(&mut self.went)
    }
}

impl Client {
    /// Whether what is due to it waits for the replies behind it.
    #[inline]
    pub fn is_corked(&self) -> bool {
        !self.pending.is_empty()
            && self.cork != Cork::Overdue
            && self.out.len() < CORKED_BYTES_MAX
            && self.blocked.is_none()
            && self.closing.is_none()
            && self.chain.as_ref().is_none_or(|chain| chain.is_empty())
    }
}

impl Shard {
    /// Called when a connection's task has run: if its output waits, the shard has to know.
    #[inline]
    pub(crate) fn note_corked(&mut self, client: &mut Client) {
        if client.cork == Cork::No && client.has_output() && client.is_corked() {
            client.cork = Cork::Noted;
            self.corked
                .queue
                .push_back((self.corked.turns, client.token));
            if !self.awake {
                // Somebody has to let it go.
                self.begin_turn();
            }
        }
    }

    /// A turn begins: what has waited for too many of them leaves.
    #[inline]
    pub(crate) fn age_corked_output(&mut self) {
        self.corked.turns += 1;
        if std::mem::take(&mut self.corked.lingers) {
            thread_group::spun();
        }
        while let Some(&(since, _)) = self.corked.queue.front()
            && self.corked.turns - since > CORKED_TURNS_MAX
        {
            self.uncork_first();
        }
    }

    /// There is nothing else to do, but others of this thread may answer: it has another look.
    pub(crate) fn linger(&mut self) {
        self.corked.lingers = true;
        thread_group::spins();
    }

    /// There is nothing else to do: all that waits leaves.
    pub(crate) fn uncork_all(&mut self) {
        self.corked.went = true;
        while !self.corked.queue.is_empty() {
            self.uncork_first();
        }
    }

    fn uncork_first(&mut self) {
        let Some((_, token)) = self.corked.queue.pop_front() else {
            return;
        };
        if let Some(client) = self.client(token) {
            let client = &mut *client.borrow_mut();
            client.cork = match client.has_output() {
                true => Cork::Overdue,
                false => Cork::No,
            };
            // Its state may have changed meanwhile without that anybody has told its task.
            client.wake();
        }
    }
}
