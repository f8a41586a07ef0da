//! An attempt to end: writes are held back, what is to be saved is saved, and then the server ends
//! or goes on as if nobody had asked.
//!
//! ```text
//! some shard    begins: is asked by SHUTDOWN or by a signal; gives up a snapshot or a rewrite that is being written
//! each shard    begins no command that changes something any more; waits until those before have had their replies, and its log is synced
//! the last      begins the last snapshot, where one is wanted
//! the last to   hear of that snapshot's end: ends every shard; or, where it failed, lets writes go on and answers SHUTDOWN with an error
//! ```
//!
//! Redis saves while it does nothing else. Here shards share the work, and reads are answered
//! meanwhile. What is acknowledged is in the snapshot: nothing changes between its instant and the
//! end.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use config::ShutdownFlags;
use engine::error::Error;
use engine::header::{ClientToken, ReplyTo};
use engine::slot::ShardId;
use tracing::{error, info, warn};

use crate::mailbox::message::Message;
use crate::shard::Shard;
use crate::snapshot::{NotBegun, lock};
use crate::stop::Stop;

/// Redis's answer to a SHUTDOWN that was refused or aborted.
pub(crate) const REFUSED: Error = Error::new("ERR Errors trying to SHUTDOWN. Check logs.");

/// How long commands that have begun may take, before saving begins beside them.
const QUIET_WITHIN: Duration = Duration::from_secs(10);

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// So many shards have still to say that nothing changes on them and their logs are synced.
    Quieting(usize),
    /// The last snapshot is to begin once the one before it has ended.
    SnapshotWaits,
    /// The last snapshot is being written.
    Saving,
}

/// An end that may still be refused.
pub(crate) struct Attempt {
    /// Tells it from those before: what was meant for those is over.
    number: u64,
    how: ShutdownFlags,
    stage: Stage,
    began: Instant,
    /// Who has sent SHUTDOWN, and is answered if it is refused.
    askers: Vec<(ShardId, ReplyTo)>,
}

impl Stop {
    /// Adds who asks for the end to the attempt under way, or begins one: then its number is
    /// returned.
    fn join(
        &self,
        how: ShutdownFlags,
        asker: Option<(ShardId, ReplyTo)>,
        shards: usize,
    ) -> Option<u64> {
        let mut attempt = self.attempt();
        if let Some(attempt) = &mut *attempt {
            attempt.askers.extend(asker);
            attempt.how.force |= how.force;
            return None;
        }
        let number = self.attempts.fetch_add(1, Ordering::Relaxed);
        *attempt = Some(Attempt {
            number,
            how,
            stage: Stage::Quieting(shards),
            began: Instant::now(),
            askers: asker.into_iter().collect(),
        });
        Some(number)
    }

    /// Whether this is the attempt under way.
    fn is_attempt(&self, number: u64) -> bool {
        let attempt = self.attempt();
        attempt.as_ref().is_some_and(|it| it.number == number)
    }
}

impl Shard {
    /// Tries to end the server, and answers `asker` if that is refused later. `Err` where it is
    /// refused at once.
    pub(crate) fn attempt_stop(
        &mut self,
        how: ShutdownFlags,
        asker: Option<ReplyTo>,
    ) -> Result<(), Error> {
        if self.stop.is_under_way {
            return Ok(());
        }
        if self.engine.admission.loading {
            // What is in memory is not all, and the files have it.
            warn!("asked to end while loading: ending at once");
            self.process.stop.exit(0);
        }
        let saves = how.saves(!self.engine.config.save.0.is_empty());
        let logs = self.engine.config.appendonly && !how.no_save;
        if !how.force && !self.could_end(saves, logs) {
            return Err(REFUSED);
        }
        let asker = asker.map(|to| (self.engine.id, to));
        let begun = self
            .process
            .stop
            .join(how, asker, self.engine.slots.shards());
        if how.no_save && self.engine.admission.admit_beside_scripts().is_err() {
            self.process
                .stop
                .gives_scripts_up
                .store(true, Ordering::Release);
        }
        if !(saves || logs) {
            self.end_for_certain();
        } else if let Some(number) = begun {
            self.quiet_everywhere(number);
        }
        Ok(())
    }

    /// Holds writes back on every shard, and looks to it that what was before them is done and in
    /// the log.
    fn quiet_everywhere(&mut self, number: u64) {
        self.process
            .stop
            .holds_writes
            .store(true, Ordering::Release);
        self.process.snapshots.give_up_for_the_end();
        let quiet = move |shard: &mut Shard| {
            shard.take_up_pause_and(Box::new(move |shard: &mut Shard| {
                if !shard.process.stop.is_attempt(number) {
                    return;
                }
                shard.stop.quiet_for = Some(number);
                shard.flush_log_at_stop();
                shard.look_whether_quiet();
            }));
        };
        for shard in self.engine.slots.all() {
            self.send(shard, Message::Visit(Box::new(quiet)));
        }
    }

    /// Whether saving has a chance, as far as can be told before; if not, says why.
    fn could_end(&self, saves: bool, logs: bool) -> bool {
        if saves
            && let Err(error) =
                persistence::snapshot_file::can_write(&self.process.disk, &self.engine.config)
        {
            let dir = self.engine.config.dir.display();
            error!(%error, %dir, "cannot write the last snapshot, so the server does not stop unless forced to");
            return false;
        }
        if logs && self.engine.admission.a_log_fails() {
            error!(
                "the append-only log cannot be written, so the server does not stop unless forced to"
            );
            return false;
        }
        if logs && !saves && lock(&self.process.manifest).parts.is_empty() {
            error!(
                "the append-only log is not written for the first time yet, so the server does not stop unless forced to"
            );
            return false;
        }
        true
    }

    /// Whether this connection waits for the end itself.
    pub(crate) fn asks_for_stop(&self, client: ClientToken) -> bool {
        let attempt = self.process.stop.attempt();
        let here =
            |(shard, to): &(ShardId, ReplyTo)| *shard == self.engine.id && to.client == client;
        attempt
            .as_ref()
            .is_some_and(|attempt| attempt.askers.iter().any(here))
    }

    /// Looks whether this shard is as it is to be saved: called when its connections are quiet, and
    /// whenever its log comes further.
    pub(crate) fn look_whether_quiet(&mut self) {
        let Some(number) = self.stop.quiet_for else {
            return;
        };
        if !(self.log_is_idle() || self.log.failed) {
            return;
        }
        self.stop.quiet_for = None;
        let all = match &mut *self.process.stop.attempt() {
            Some(attempt) if attempt.number == number => match &mut attempt.stage {
                Stage::Quieting(left) => {
                    *left -= 1;
                    *left == 0
                }
                Stage::SnapshotWaits | Stage::Saving => false,
            },
            _ => false,
        };
        if all {
            self.post(move |shard| shard.save_for_stop(number));
        }
    }

    /// By the clock: an attempt does not wait for ever for commands that have begun.
    pub(crate) fn look_at_stop(&mut self) {
        if !self.process.stop.holds_writes() {
            return;
        }
        let overdue = match &*self.process.stop.attempt() {
            Some(attempt)
                if matches!(attempt.stage, Stage::Quieting(_))
                    && attempt.began.elapsed() >= QUIET_WITHIN =>
            {
                attempt.number
            }
            _ => return,
        };
        warn!("commands are still under way; saving what there is before the end");
        self.save_for_stop(overdue);
    }

    /// Nothing changes any more: begins the last snapshot, where one is wanted.
    fn save_for_stop(&mut self, number: u64) {
        let how = match &mut *self.process.stop.attempt() {
            Some(attempt)
                if attempt.number == number && matches!(attempt.stage, Stage::Quieting(_)) =>
            {
                attempt.stage = Stage::SnapshotWaits;
                attempt.how
            }
            _ => return,
        };
        if self.engine.config.appendonly && self.engine.admission.a_log_fails() {
            error!("the append-only log cannot be written");
            if !how.force {
                return self.refuse_stop();
            }
        }
        if !how.saves(!self.engine.config.save.0.is_empty()) {
            return self.end_for_certain();
        }
        info!("writing the last snapshot");
        self.begin_last_snapshot();
    }

    /// Begins the last snapshot, if one is waited for and none before it is being written any more.
    pub(crate) fn begin_last_snapshot(&mut self) {
        let waits = |attempt: &Attempt| attempt.stage == Stage::SnapshotWaits;
        if !self.process.stop.attempt().as_ref().is_some_and(waits) {
            return;
        }
        match self.begin_snapshot_for_stop() {
            Ok(()) => {
                if let Some(attempt) = &mut *self.process.stop.attempt() {
                    attempt.stage = Stage::Saving;
                }
            }
            // Its end brings us back here.
            Err(NotBegun::UnderWay) => self.process.snapshots.give_up_for_the_end(),
            Err(NotBegun::Failed(error)) => {
                error!(%error, "cannot begin the last snapshot");
                self.end_if_saved(false);
            }
        }
    }

    /// The last snapshot is whole, or failed. If it was aborted nobody waits for it.
    pub(crate) fn last_snapshot_ended(&mut self, saved: bool) {
        let is_awaited = |attempt: &Attempt| attempt.stage == Stage::Saving;
        if self.process.stop.attempt().as_ref().is_some_and(is_awaited) {
            self.end_if_saved(saved);
        }
    }

    fn end_if_saved(&mut self, saved: bool) {
        let is_forced = |attempt: &Attempt| attempt.how.force;
        let forced = self.process.stop.attempt().as_ref().is_some_and(is_forced);
        if saved || forced {
            self.end_for_certain();
        } else {
            self.refuse_stop();
        }
    }

    /// Nothing is in the way of the end.
    fn end_for_certain(&mut self) {
        let attempt = self.process.stop.attempt().take();
        for (origin, to) in attempt.into_iter().flat_map(|attempt| attempt.askers) {
            // SHUTDOWN has no reply but the close.
            self.complete(origin, to, Vec::new());
        }
        self.stop_everywhere();
    }

    /// The server goes on serving. Returns whether there was an attempt to end it.
    pub(crate) fn give_stop_up(&mut self) -> bool {
        let Some(attempt) = self.process.stop.attempt().take() else {
            return false;
        };
        self.process
            .stop
            .holds_writes
            .store(false, Ordering::Release);
        if attempt.stage == Stage::Saving {
            self.process.snapshots.give_up_for_the_end();
        }
        self.tell_all(|shard| {
            shard.stop.quiet_for = None;
            shard.take_up_pause();
        });
        let error = format!("-{}\r\n", REFUSED.text());
        for (origin, to) in attempt.askers {
            self.complete(origin, to, error.as_bytes().to_vec());
        }
        true
    }

    fn refuse_stop(&mut self) {
        if self.give_stop_up() {
            error!(
                "the data could not be saved, so the server does not stop; make room, or end it with SHUTDOWN NOSAVE or SHUTDOWN FORCE"
            );
        }
    }
}
