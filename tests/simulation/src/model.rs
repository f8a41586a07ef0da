//! What must come of it: one engine with one shard, which runs every command at the instant at which
//! it took effect.

use engine::action::Action;
use engine::digest::Digest;
use engine::engine::Engine;
use engine::handler::{HANDLERS, Handler};
use engine::header::TransactionKey;
use engine::header::{Caller, Header};
use engine::header::{ClientToken, ReplyTo};
use engine::task::TaskId;
use engine::transaction::coordinator::Scopes;
use engine::watch::Watched;
use protocol::reply::{Reply, Version};
use storage::{DbIndex, UnixMillis};

use crate::client::Command;
use crate::outside::engines;

/// The model.
pub struct Model {
    engine: Engine,
}

impl Model {
    /// Of empty databases.
    pub fn new(now: UnixMillis) -> Self {
        let mut engines = engines(1, now, 0);
        Self {
            engine: engines.remove(0),
        }
    }

    /// Time goes on.
    pub fn set_now(&mut self, now: UnixMillis) {
        self.engine.now = now;
    }

    /// Its databases, by their numbers.
    pub fn database(&self, number: u16) -> DbIndex {
        self.engine.databases.index(number).unwrap_or_default()
    }

    /// Runs a command. Nothing where it would wait.
    pub fn run(&mut self, command: &Command) -> Option<Vec<u8>> {
        let header = Header {
            command: command.id,
            db: command.db,
            version: Version::Resp2,
            caller: Caller::NOBODY,
        };
        let mut encoded = Vec::new();
        match HANDLERS[command.id.index()] {
            Handler::Keyed(_) => {
                let mut reply = Reply::new(&mut encoded, Version::Resp2);
                self.engine
                    .execute(header, &command.args.borrow(), &mut reply);
                self.engine.serve_ready();
                self.engine.actions.clear();
                if self.engine.effects.wait.take().is_some() {
                    return None;
                }
            }
            Handler::Whole(run) => {
                let task = TaskId(0);
                let nobody = ClientToken::NOBODY;
                self.engine
                    .begin_outside(nobody, task, Scopes::default(), true);
                let actions = std::mem::take(&mut self.engine.actions);
                for action in actions {
                    let Action::Ready { mut held, .. } = action else {
                        continue;
                    };
                    let mut reply = Reply::new(&mut encoded, Version::Resp2);
                    let args = command.args.borrow();
                    let workspace = &mut held.workspace;
                    self.engine
                        .run_whole(workspace, header, run, false, &args, &mut reply);
                    self.engine.commit(*held);
                }
                self.engine.actions.clear();
            }
            Handler::Outside => unreachable!("the outside runs nothing here"),
        }
        self.engine.trace.take();
        Some(encoded)
    }

    /// Runs all commands of an EXEC.
    pub fn exec(&mut self, commands: &[Command]) -> Vec<u8> {
        let mut replies = format!("*{}\r\n", commands.len()).into_bytes();
        for command in commands {
            replies.extend(self.run(command).unwrap_or_default());
        }
        replies
    }

    /// Begins to watch a key.
    pub fn watch(&mut self, db: DbIndex, key: &[u8]) -> Watched {
        let was_hidden = self.engine.expire_if_due(db, key);
        let version = self.engine.effects.watches.watch(db, key);
        Watched {
            key: TransactionKey {
                db,
                key: key.into(),
            },
            version,
            was_hidden,
        }
    }

    /// Whether a key is as it was.
    pub fn is_unchanged(&mut self, watched: &Watched) -> bool {
        self.engine.is_unchanged(watched)
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, watched: Watched) {
        self.engine.unwatch(vec![watched]);
    }

    /// All data.
    pub fn digest(&self) -> String {
        digest(std::slice::from_ref(&self.engine))
    }

    /// Where a reply of the model's would go: nowhere.
    pub const NOWHERE: ReplyTo = ReplyTo {
        client: ClientToken::NOBODY,
        seq: 0,
    };
}

/// All data of some shards.
pub fn digest(engines: &[Engine]) -> String {
    let now = engines[0].now;
    let numbers = engines[0].databases.indices();
    let databases = numbers.map(|db| {
        let parts = engines.iter().map(move |engine| engine.databases.get(db));
        (db.number(), parts)
    });
    Digest::of_databases(databases, now).to_string()
}
