//! The lock table of one shard, reduced to its law: an item runs when nothing before it shares a name with it.
//!
//! (The table itself keeps a queue for each name and counts instead of looking; its own tests show that it comes to the same.)

/// A set of names: a bit for each key and each client, all of them for a whole shard.
pub type Names = u32;

/// Every name there is.
pub const EVERYTHING: Names = Names::MAX;

/// The number of an item; given again when the item has gone.
pub type ItemId = u8;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Item<W> {
    id: ItemId,
    names: Names,
    /// Taken out when it runs.
    work: Option<W>,
}

/// Items in order of arrival; `W` is what they wait to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LockTable<W> {
    items: Vec<Item<W>>,
}

impl<W> Default for LockTable<W> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<W> LockTable<W> {
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether somebody holds or waits for one of these.
    pub fn holds(&self, names: Names) -> bool {
        self.items.iter().any(|item| item.names & names != 0)
    }

    /// Queues an item. Returns its work where it may run at once.
    pub fn enqueue(&mut self, names: Names, work: W) -> (ItemId, Option<W>) {
        let id = (0..).find(|id| self.items.iter().all(|item| item.id != *id));
        let id = id.expect("fewer items than numbers");
        let (work, now) = if self.holds(names) {
            (Some(work), None)
        } else {
            (None, Some(work))
        };
        self.items.push(Item { id, names, work });
        (id, now)
    }

    /// Ends a running item. Returns those that may run now.
    pub fn release(&mut self, id: ItemId) -> Vec<(ItemId, W)> {
        let at = self.items.iter().position(|item| item.id == id);
        let ended = self.items.remove(at.expect("an item is released once"));
        assert!(ended.work.is_none(), "only a running item is released");
        let mut before = 0;
        let mut ready = Vec::new();
        for item in &mut self.items {
            if item.names & before == 0
                && let Some(work) = item.work.take()
            {
                ready.push((item.id, work));
            }
            before |= item.names;
        }
        ready
    }
}
