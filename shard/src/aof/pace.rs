//! Which shard's log syncs when, under `appendfsync always`: one with little to write lets another's sync end first.
//!
//! Two syncs at a time take a disk nearly as long as one after the other, and each costs switches between threads. A shard that syncs as soon as
//! one answer waits does so for that one alone, while the rest of its clients' commands arrive: with two shards and 50 unpipelined clients,
//! nine answers shared a sync where Redis's one log has thirty. So while another shard is at it, a shard waits until as many commands have come
//! as its last syncs were for, or the other's sync ends; and never longer than what it gathers for otherwise, should that one's disk hang.
//! A lone client waits for nobody: its syncs are for one command each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use engine::slot::ShardId;

/// What all shards know of it.
pub struct Pace {
    /// Shards that write and sync now.
    under_way: AtomicUsize,
    /// Who waits for one of them.
    waits: Box<[AtomicBool]>,
}

impl Pace {
    pub fn new(shards: usize) -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            waits: (0..shards).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Whether some shard is at it; not the one that asks.
    pub fn others_are_at_it(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) > 0
    }

    /// A shard is going to wait. It has to look once more after that: a sync may have ended meanwhile.
    pub fn waits(&self, shard: ShardId) {
        self.waits[shard.index()].store(true, Ordering::SeqCst);
    }

    pub fn begins(&self) {
        self.under_way.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns who has waited for it.
    pub fn ends(&self) -> impl Iterator<Item = ShardId> {
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let waited = |it: &(usize, &AtomicBool)| it.1.swap(false, Ordering::SeqCst);
        let all = self.waits.iter().enumerate();
        all.filter(waited).map(|(index, _)| ShardId::new(index))
    }
}

/// For how many commands the last two syncs of a shard were.
#[derive(Default)]
pub struct Groups([usize; 2]);

impl Groups {
    pub fn note(&mut self, commands: usize) {
        self.0 = [self.0[1], commands];
    }

    /// Whether so many are less than usual: a full one and one of what came too late for it take turns.
    pub fn is_few(&self, commands: usize) -> bool {
        2 * commands < self.0[0] + self.0[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_hears_of_the_next_end_once() {
        let pace = Pace::new(3);
        assert!(!pace.others_are_at_it());
        pace.begins();
        assert!(pace.others_are_at_it());
        pace.waits(ShardId::new(2));
        assert_eq!(pace.ends().collect::<Vec<_>>(), [ShardId::new(2)]);
        assert!(!pace.others_are_at_it());
        pace.begins();
        assert_eq!(pace.ends().count(), 0);
    }

    #[test]
    fn a_lone_client_never_has_few_commands() {
        let mut groups = Groups::default();
        assert!(!groups.is_few(1));
        groups.note(1);
        groups.note(1);
        assert!(!groups.is_few(1));
        groups.note(24);
        assert!(groups.is_few(12));
        assert!(!groups.is_few(13));
        groups.note(1);
        groups.note(1);
        assert!(!groups.is_few(1));
    }
}
