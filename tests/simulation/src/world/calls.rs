//! What clients ask, and how they go.

use engine::batch::Batch;
use engine::blocking::ending::{CancelMode, End};
use engine::handler::{HANDLERS, Handler};
use engine::header::{Header, ReplyTo};
use engine::message::{EndWait, Message, Parked};
use engine::routing::Route;
use engine::slot::ShardId;
use engine::task::TaskId;
use engine::transaction::coordinator::Scopes;
use engine::transaction::forwarded::Forwarded;
use engine::watch::Watched;
use protocol::args::OwnedArgs;
use protocol::command::Flags;
use protocol::reply::{Reply, Version};
use storage::DbIndex;

use super::text::text_of;
use super::{Checked, Letter, Task, World};
use crate::client::{Ask, BlockedAt, Call, Client, Command, Fate};

impl World {
    /// A client asks something.
    pub(super) fn call_one(&mut self) -> Result<bool, String> {
        if self.calls >= self.size.calls {
            return Ok(false);
        }
        let first = self.rng.usize(..self.clients.len());
        let count = self.clients.len();
        let mut all = (0..count).map(|step| (first + step) % count);
        let Some(at) = all.find(|at| self.clients[*at].call.is_none()) else {
            return Ok(false);
        };
        let client = &self.clients[at];
        let ask = self.draw.ask(client.db, !client.watched.is_empty());
        self.ask(at, ask)?;
        Ok(true)
    }

    pub(super) fn ask(&mut self, at: usize, ask: Ask) -> Checked {
        self.calls += 1;
        let client = &mut self.clients[at];
        client.seq += 1;
        client.call = Some(Call {
            ask: ask.clone(),
            expected: None,
            missing: 0,
            fate: Fate::default(),
        });
        let (id, home) = (client.id, client.home);
        self.tell(|| format!("client {id} of {home:?} asks {}", text_of(&ask)));
        match ask {
            Ask::Command(command) => self.ask_command(at, &command)?,
            Ask::Exec(commands) => self.ask_exec(at, commands)?,
            Ask::Watch(db, keys) => self.ask_watch(at, db, keys),
            Ask::Kill => {
                self.clients[at].call = None;
                (0..self.shards.len()).try_for_each(|at| self.kill(at, false))?;
            }
        }
        self.settle(home)
    }

    pub(super) fn ask_command(&mut self, at: usize, command: &Command) -> Checked {
        let client = &self.clients[at];
        let (home, to, header) = (client.home, client.reply_to(), client.header(command));
        let args = command.args.borrow();
        let engine = &mut self.shards[home.index()].engine;
        if let Handler::Whole(run) = HANDLERS[command.id.index()] {
            engine.begin_whole(to, header, &args, run);
            return Ok(());
        }
        if let Handler::Script(_) = HANDLERS[command.id.index()] {
            return self.ask_script(at, command);
        }
        let route = engine.route(command.id, &args);
        if command.id.command().flags.contains(Flags::BLOCKING) {
            let owner = match route {
                Route::Here | Route::Anywhere => home,
                Route::At(owner) => owner,
                Route::Several(_) => {
                    let scopes = engine.scopes_of(header, &args);
                    engine.begin_transaction(to, header, &args, scopes);
                    return Ok(());
                }
            };
            self.clients[at].blocked = Some(BlockedAt::Owner(owner));
            let parked = Parked {
                origin: home,
                to,
                header,
                args: OwnedArgs::from(&args),
            };
            let message = Message::Command(Box::new(parked));
            self.link(home, owner).push_back(Letter::Engine(message));
            return Ok(());
        }
        match route {
            Route::Here => return self.run_here(at, command),
            Route::At(owner) => self.forward(home, owner, to, header, command),
            Route::Several(owners) => engine.begin_on_several(to, header, &args, owners),
            Route::Anywhere => engine.begin_computed(to, header, &args),
        }
        Ok(())
    }

    /// Sends a command to the owner of its keys, in a batch.
    pub(super) fn forward(
        &mut self,
        home: ShardId,
        owner: ShardId,
        to: ReplyTo,
        header: Header,
        command: &Command,
    ) {
        let joins = self.asks.is_none() && self.rng.bool();
        let args = command.args.borrow();
        let link = self.link(home, owner);
        match link.back_mut() {
            Some(Letter::Batch(batch)) if joins => batch.push(to, header, &args),
            _ => {
                let mut batch = Box::<Batch>::default();
                batch.push(to, header, &args);
                link.push_back(Letter::Batch(batch));
            }
        }
    }

    pub(super) fn run_here(&mut self, at: usize, command: &Command) -> Checked {
        let client = &self.clients[at];
        let (home, to, header) = (client.home, client.reply_to(), client.header(command));
        let args = command.args.borrow();
        let engine = &mut self.shards[home.index()].engine;
        let locks = &engine.owner.locks;
        if !locks.is_empty() && engine.meets_lock(home, to.client, command.id, &args) {
            let keys = engine::keys::lock_names(command.id, &args);
            let parked = Parked {
                origin: home,
                to,
                header,
                args: OwnedArgs::from(&args),
            };
            engine.park(parked, &keys);
            return Ok(());
        }
        let mut encoded = Vec::new();
        engine.execute(header, &args, &mut Reply::new(&mut encoded, Version::Resp2));
        engine.serve_ready();
        self.settle(home)?;
        self.answer(to, encoded)
    }

    pub(super) fn ask_watch(&mut self, at: usize, db: DbIndex, mut keys: Vec<Vec<u8>>) {
        keys.sort();
        keys.dedup();
        let client = &self.clients[at];
        let (id, home) = (client.id, client.home);
        keys.retain(|key| client.watched.iter().all(|it| *it.0.key.key != **key));
        let mut of_owners: Vec<(ShardId, Vec<Vec<u8>>)> = Vec::new();
        for key in keys {
            let owner = self.owner(&key);
            match of_owners.iter_mut().find(|it| it.0 == owner) {
                Some((_, keys)) => keys.push(key),
                None => of_owners.push((owner, vec![key])),
            }
        }
        let client = &mut self.clients[at];
        match &mut client.call {
            Some(call) if !of_owners.is_empty() => call.missing = of_owners.len(),
            _ => client.call = None,
        }
        for (owner, keys) in of_owners {
            self.link(home, owner)
                .push_back(Letter::Watch(id, db, keys));
        }
    }

    pub(super) fn ask_exec(&mut self, at: usize, commands: Vec<Command>) -> Checked {
        let client = &self.clients[at];
        let (home, to, id) = (client.home, client.reply_to(), client.id);
        let watched: Vec<Watched> = client.watched.iter().map(|it| it.0.clone()).collect();
        let header: Vec<_> = commands.iter().map(|it| client.header(it)).collect();
        let engine = &mut self.shards[home.index()].engine;
        let is_whole = |command: &Command| {
            let computes = engine::commands::sort::reads_computed_keys(
                command.id.command(),
                &command.args.borrow(),
            );
            computes || matches!(HANDLERS[command.id.index()], Handler::Whole(_))
        };
        let may_touch_all = |(command, header): (&Command, &Header)| {
            if is_script(command) {
                !engine.stays_plain(*header, &command.args.borrow())
            } else {
                is_whole(command)
            }
        };
        let whole = commands.iter().zip(&header).any(may_touch_all);
        let runs_scripts = commands.iter().any(is_script);
        let engine = &self.shards[home.index()].engine;
        let mut scopes = Scopes::default();
        let mut owners = Vec::new();
        for (command, header) in commands.iter().zip(&header) {
            for key in engine.keys_of(*header, &command.args.borrow()) {
                let owner = self.owner(&key.key);
                owners.push(owner);
                scopes.key(owner, key);
            }
        }
        for watched in &watched {
            let owner = self.owner(&watched.key.key);
            owners.push(owner);
            scopes.watched(owner, watched.clone());
        }
        owners.sort_unstable();
        owners.dedup();
        if !whole && !runs_scripts && owners.len() == 1 && owners[0] != home {
            let forwarded = Forwarded {
                origin: home,
                to,
                version: Version::Resp2,
                commands: header
                    .into_iter()
                    .zip(commands.into_iter().map(|it| it.args))
                    .collect(),
                watched,
            };
            let message = Message::Exec(Box::new(forwarded));
            self.link(home, owners[0])
                .push_back(Letter::Engine(message));
            return Ok(());
        }
        let shard = &mut self.shards[home.index()];
        let task = shard.promise(Task::Exec(id));
        if !whole && owners.is_empty() {
            return Err("an EXEC without keys".into());
        }
        shard.engine.begin_outside(to.client, task, scopes, whole);
        Ok(())
    }

    /// A client is gone, whatever it has asked, and another one comes in its place.
    pub(super) fn vanish(&mut self) -> Result<bool, String> {
        let at = self.rng.usize(..self.clients.len());
        let new = self.new_client(at);
        let old = std::mem::replace(&mut self.clients[at], new);
        self.tell(|| format!("client {} is gone", old.id));
        self.end_wait(&old, End::Gone)?;
        let is_exec = matches!(
            old.call,
            Some(Call {
                ask: Ask::Exec(_),
                ..
            })
        );
        let mut old = old;
        if !is_exec {
            let watched = std::mem::take(&mut old.watched);
            self.forget_watched(watched)?;
        }
        if old.call.is_some() {
            self.gone.insert(old.id, old);
        }
        Ok(false)
    }

    pub(super) fn end_wait(&mut self, client: &Client, end: End) -> Checked {
        let (home, token) = (client.home, client.token);
        match client.blocked {
            None => {}
            Some(BlockedAt::BlockedId(blocked_id)) => {
                let engine = &mut self.shards[home.index()].engine;
                engine.cancel_blocked(blocked_id, end, CancelMode::AtOnce, TaskId::NONE);
                self.settle(home)?;
            }
            Some(BlockedAt::Owner(owner)) => {
                let asked = EndWait {
                    client: token,
                    end,
                    task: TaskId::NONE,
                };
                let message = Message::EndWait(Box::new(asked));
                self.link(home, owner).push_back(Letter::Engine(message));
            }
        }
        Ok(())
    }

    /// In the end nobody is left waiting.
    pub(super) fn release_blocked(&mut self) -> Checked {
        for at in 0..self.clients.len() {
            if self.clients[at].blocked.is_some() {
                self.clients[at].may_time_out = true;
                let (token, blocked) = (self.clients[at].token, self.clients[at].blocked);
                let mut client = Client::new(0, at, self.clients[at].home, DbIndex::default());
                (client.token, client.blocked) = (token, blocked);
                self.end_wait(&client, End::TimedOut)?;
            }
        }
        Ok(())
    }
}

fn is_script(command: &Command) -> bool {
    matches!(HANDLERS[command.id.index()], Handler::Script(_))
}
