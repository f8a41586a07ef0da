//! What must come of it: one engine with one shard, which runs every command at the instant at
//! which it took effect.

use engine::action::Action;
use engine::digest::Digest;
use engine::engine::Engine;
use engine::handler::{HANDLERS, Handler};
use engine::header::{Caller, ClientToken, Header, ReplyTo, TransactionKey};
use engine::message::Parked;
use engine::task::TaskId;
use engine::transaction::coordinator::Scopes;
use engine::watch::Watched;
use protocol::args::OwnedArgs;
use protocol::reply::{Reply, Version};
use storage::{DbIndex, UnixMillis};

use crate::client::Command;
use crate::outside::engines;

/// A key that a client watches, as the model saw it at that instant.
#[derive(Clone)]
pub struct ModelWatch {
    watched: Watched,
    /// What it held: the model does not only go by the engine's own word for a change.
    value: Option<String>,
}

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
            Handler::Script(_) => self.run_script(header, command, &mut encoded),
            Handler::Outside => unreachable!("the outside runs nothing here"),
        }
        self.engine.trace.take();
        Some(encoded)
    }

    /// Runs a script, to its end.
    fn run_script(&mut self, header: Header, command: &Command, encoded: &mut Vec<u8>) {
        let args = command.args.borrow();
        let mut reply = Reply::new(encoded, Version::Resp2);
        if let Some(unfinished) = self.engine.run_script(header, &args, &mut reply) {
            let to = ReplyTo {
                client: ClientToken::NOBODY,
                seq: 0,
            };
            let parked = Parked {
                origin: self.engine.id,
                to,
                header,
                args: OwnedArgs::from(args),
            };
            self.engine.suspend_script(unfinished, parked);
        }
        self.engine.serve_ready();
        for action in std::mem::take(&mut self.engine.actions) {
            if let Action::Reply { reply, .. } = action {
                encoded.extend(reply);
            }
        }
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
    pub fn watch(&mut self, db: DbIndex, key: &[u8]) -> ModelWatch {
        let was_hidden = self.engine.expire_if_due(db, key);
        let version = self.engine.effects.watches.watch(db, key);
        let watched = Watched {
            key: TransactionKey {
                db,
                key: key.into(),
            },
            version,
            was_hidden,
        };
        let value = self.value(db, key);
        ModelWatch { watched, value }
    }

    /// What a key holds; nothing where there is none.
    fn value(&self, db: DbIndex, key: &[u8]) -> Option<String> {
        let entry = self.engine.databases.get(db).get(key)?;
        let now = self.engine.now;
        let is_there = !entry.is_expired(now);
        is_there.then(|| Digest::of_value(entry, now).to_string())
    }

    /// Whether a key is as it was: nobody has touched it, and it holds the same.
    pub fn is_unchanged(&mut self, watch: &ModelWatch) -> bool {
        let key = &watch.watched.key;
        let is_same = self.value(key.db, &key.key) == watch.value;
        self.engine.is_unchanged(&watch.watched) && is_same
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, watch: ModelWatch) {
        self.engine.unwatch(vec![watch.watched]);
    }

    /// All data.
    pub fn digest(&self) -> String {
        digest(std::slice::from_ref(&self.engine))
    }
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
