//! Which shard's log syncs when, under `appendfsync always`: one with little to write lets
//! another's sync end first.
//!
//! Two syncs at a time take a disk nearly as long as one after the other, and each costs switches
//! between threads. A shard that syncs as soon as one answer waits does so for that one alone,
//! while the rest of its clients' commands arrive: with two shards and 50 unpipelined clients, nine
//! answers shared a sync where Redis's one log has thirty. So while another shard syncs, a shard
//! waits until as many commands have come as its last syncs were for, or the other's sync ends; and
//! never longer than what it gathers for otherwise, should that one's disk hang. A lone client
//! waits for nobody: its syncs are for one command each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Who writes and syncs, and who waits for that: one for all shards of the process.
#[derive(Debug)]
pub struct FsyncScheduler {
    /// Shards that write and sync now.
    syncing: AtomicUsize,
    /// Whether each shard waits for one of them.
    waits: Box<[AtomicBool]>,
}

impl FsyncScheduler {
    /// Nobody of so many shards syncs or waits.
    pub fn new(shards: usize) -> Self {
        Self {
            syncing: AtomicUsize::new(0),
            waits: (0..shards).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Whether some shard writes and syncs now. A shard that asks while it does not hears of
    /// others.
    pub fn is_syncing(&self) -> bool {
        self.syncing.load(Ordering::SeqCst) > 0
    }

    /// The shard of this number is going to wait for the next end. It has to ask
    /// [`Self::is_syncing`] once more after that: a sync may have ended meanwhile.
    pub fn wait(&self, shard: usize) {
        self.waits[shard].store(true, Ordering::SeqCst);
    }

    /// A shard begins to write and sync.
    pub fn begin(&self) {
        self.syncing.fetch_add(1, Ordering::SeqCst);
    }

    /// A shard has written and synced. Returns the numbers of the shards that have waited for that;
    /// they wait no more.
    pub fn end(&self) -> impl Iterator<Item = usize> {
        self.syncing.fetch_sub(1, Ordering::SeqCst);
        let waited = |it: &(usize, &AtomicBool)| it.1.swap(false, Ordering::SeqCst);
        let all = self.waits.iter().enumerate();
        all.filter(waited).map(|(shard, _)| shard)
    }
}

/// For how many commands the last two syncs of a shard were.
#[derive(Default, Debug)]
pub struct GroupSizes([usize; 2]);

impl GroupSizes {
    /// A sync for so many commands begins.
    pub fn note(&mut self, commands: usize) {
        self.0 = [self.0[1], commands];
    }

    /// Whether so many are less than usual: a full group and one of what came too late for it take
    /// turns.
    pub fn is_few(&self, commands: usize) -> bool {
        2 * commands < self.0[0] + self.0[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_hears_of_the_next_end_once() {
        let scheduler = FsyncScheduler::new(3);
        assert!(!scheduler.is_syncing());
        scheduler.begin();
        assert!(scheduler.is_syncing());
        scheduler.wait(2);
        assert_eq!(scheduler.end().collect::<Vec<_>>(), [2]);
        assert!(!scheduler.is_syncing());
        scheduler.begin();
        assert_eq!(scheduler.end().count(), 0);
    }

    #[test]
    fn a_lone_client_never_has_few_commands() {
        let mut sizes = GroupSizes::default();
        assert!(!sizes.is_few(1));
        sizes.note(1);
        sizes.note(1);
        assert!(!sizes.is_few(1));
        sizes.note(24);
        assert!(sizes.is_few(12));
        assert!(!sizes.is_few(13));
        sizes.note(1);
        sizes.note(1);
        assert!(!sizes.is_few(1));
    }
}
