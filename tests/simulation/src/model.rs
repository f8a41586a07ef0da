//! What must come of it: one engine with one shard, which runs every command at the instant at
//! which it took effect.

use engine::action::Action;
use engine::digest::Digest;
use engine::engine::Engine;
use engine::handler::{HANDLERS, Handler};
use engine::header::{Caller, ClientToken, Header, TransactionKey};
use engine::steps::script_exec::ScriptInExec;
use engine::task::TaskId;
use engine::transaction::coordinator::{Held, Scopes};
use engine::watch::Watched;
use protocol::args::OwnedArgs;
use protocol::reply::{Reply, Version};
use protocol::table::CommandId;
use storage::{DbIndex, UnixMillis};

use crate::client::Command;
use crate::outside::{Ticks, engines};

/// A key that a client watches, as the model saw it at that instant.
#[derive(Clone)]
pub struct ModelWatch {
    watched: Watched,
    /// What it held: the model does not only go by the engine's own word for a change.
    value: Option<String>,
}

/// The model.
pub struct Model {
    pub(crate) engine: Engine,
    /// What scripts have called of the outside.
    called: Vec<Vec<u8>>,
}

/// What a script that was killed is answered.
pub const KILLED: &[u8] = b"-ERR Script killed by user with SCRIPT KILL...\r\n";

impl Model {
    /// Of empty databases.
    pub fn new(now: UnixMillis) -> Self {
        let mut engines = engines(1, now, 0, 0, Ticks::Many);
        Self {
            engine: engines.remove(0),
            called: Vec::new(),
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
                if let Some(mut held) = self.hold_everything() {
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

    /// Runs a script on everything: nothing is missing, refused or undone. What it calls of the
    /// outside is kept.
    fn run_script(&mut self, header: Header, command: &Command, encoded: &mut Vec<u8>) {
        let args = command.args.borrow();
        let mut reply = Reply::new(encoded, Version::Resp2);
        if let Some(mut held) = self.hold_everything() {
            let run = self
                .engine
                .begin_script_held(&held, header, &args, &mut reply);
            if let Some(mut run) = run {
                while let ScriptInExec::Outside { command, args, .. } =
                    self.engine.drive_held(&mut held, &mut run)
                {
                    self.called.push(text_of_call(&args));
                    run.answer(&reply_of_outside(command, &args));
                }
                self.engine.end_script_held(run, &args, &mut reply);
            }
            self.engine.commit(*held);
        }
        self.engine.actions.clear();
    }

    /// Checks everything out.
    fn hold_everything(&mut self) -> Option<Box<Held>> {
        let (nobody, task) = (ClientToken::NOBODY, TaskId(0));
        self.engine
            .begin_outside(nobody, task, Scopes::default(), true);
        let actions = std::mem::take(&mut self.engine.actions);
        actions.into_iter().find_map(|action| match action {
            Action::Ready { held, .. } => Some(held),
            _ => None,
        })
    }

    /// Runs all commands of an EXEC, but for scripts that were killed.
    pub fn exec(&mut self, commands: &[Command], killed: &[usize]) -> Vec<u8> {
        let mut replies = format!("*{}\r\n", commands.len()).into_bytes();
        for (at, command) in commands.iter().enumerate() {
            if killed.contains(&at) {
                replies.extend_from_slice(KILLED);
            } else {
                replies.extend(self.run(command).unwrap_or_default());
            }
        }
        replies
    }

    /// What scripts have called of the outside since the last look.
    pub fn take_called(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.called)
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

/// What the outside answers to a command that a script calls.
pub fn reply_of_outside(command: CommandId, args: &OwnedArgs) -> Vec<u8> {
    match command.command().name {
        "ping" => b"+PONG\r\n".to_vec(),
        _ => format!(":{}\r\n", args.borrow().len()).into_bytes(),
    }
}

/// Such a call, to be compared.
pub fn text_of_call(args: &OwnedArgs) -> Vec<u8> {
    let mut text = Vec::new();
    args.borrow().encode_into(&mut text);
    text
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
