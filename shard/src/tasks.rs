//! What this shard does when its engine says so.

use engine::task::TaskId;
use engine::transaction::coordinator::Held;
use slab::Slab;

use crate::mailbox::message::Visit;
use crate::shard::Shard;

/// Somebody who wants to know whether a wait was ended, or was over already.
pub type WaitEnded = Box<dyn FnOnce(&mut Shard, bool) + Send>;

/// What runs once all locks of a transaction are held, on what is lent; it ends the transaction.
/// The flag says that no watched key has changed.
pub type Transaction = Box<dyn FnOnce(&mut Shard, bool, Box<Held>)>;

enum Task {
    Visit(Visit),
    WaitEnded(WaitEnded),
    Transaction(Transaction),
    Local(Local),
}

/// Something that stays on this shard.
type Local = Box<dyn FnOnce(&mut Shard)>;

/// What has been promised to the engine, by its number.
#[derive(Default)]
pub struct Tasks(Slab<Task>);

impl Tasks {
    fn add(&mut self, task: Task) -> TaskId {
        TaskId(self.0.insert(task) as u32)
    }

    /// Something to be done.
    pub fn visit(&mut self, visit: Visit) -> TaskId {
        self.add(Task::Visit(visit))
    }

    /// Somebody to be told of the end of a wait.
    pub fn wait_ended(&mut self, told: WaitEnded) -> TaskId {
        self.add(Task::WaitEnded(told))
    }

    /// A transaction to be run.
    pub fn transaction(&mut self, run: Transaction) -> TaskId {
        self.add(Task::Transaction(run))
    }

    fn take(&mut self, id: TaskId) -> Task {
        self.0.remove(id.0 as usize)
    }
}

impl Shard {
    /// The engine says that something may be done now.
    pub(crate) fn run_task(&mut self, id: TaskId) {
        match self.tasks.take(id) {
            Task::Visit(visit) => visit(self),
            Task::Local(work) => work(self),
            _ => unreachable!("a task is done as what it was promised"),
        }
    }

    /// Does something as this turn's next thing, when no connection is in use. What it needs stays
    /// on this shard.
    pub(crate) fn post_local(&mut self, work: impl FnOnce(&mut Shard) + 'static) {
        let task = self.tasks.add(Task::Local(Box::new(work)));
        self.post(move |shard| shard.run_task(task));
    }

    /// The engine says how it went with a wait.
    pub(crate) fn run_wait_ended(&mut self, id: TaskId, ended: bool) {
        match self.tasks.take(id) {
            Task::WaitEnded(told) => told(self, ended),
            _ => unreachable!("a task is done as what it was promised"),
        }
    }

    /// The engine says that all locks of a transaction are held.
    pub(crate) fn run_held(&mut self, id: TaskId, unchanged: bool, held: Box<Held>) {
        match self.tasks.take(id) {
            Task::Transaction(run) => run(self, unchanged, held),
            _ => unreachable!("a task is done as what it was promised"),
        }
    }

    /// Does something on this shard as soon as none of `keys` is lent away.
    pub fn when_home(&mut self, keys: &[&[u8]], visit: Visit) {
        if self.engine.owner.locks.is_empty() {
            return visit(self);
        }
        let task = self.tasks.visit(visit);
        if self.engine.when_home(keys, task) {
            self.run_task(task);
        }
    }

    /// Does something on this shard as soon as nothing at all is lent away.
    pub fn when_all_home(&mut self, visit: Visit) {
        if self.engine.owner.locks.is_empty() {
            return visit(self);
        }
        let task = self.tasks.visit(visit);
        if self.engine.when_all_home(task) {
            self.run_task(task);
        }
    }
}
