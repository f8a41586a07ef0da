//! What happens when: the outside of every engine.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

use engine::action::Action;
use engine::batch::Batch;
use engine::blocking::ending::{CancelMode, End};
use engine::engine::Engine;
use engine::handler::{HANDLERS, Handler};
use engine::header::ReplyTo;
use engine::header::TransactionKey;
use engine::message::{EndWait, Message, Parked};
use engine::routing::Route;
use engine::slot::{ShardId, SlotMap};
use engine::task::TaskId;
use engine::transaction::commit::{Awaited, CommitId};
use engine::transaction::coordinator::{Held, Scopes};
use engine::transaction::forwarded::Forwarded;
use engine::transaction::locks::ItemId;
use engine::watch::Watched;
use fastrand::Rng;
use protocol::args::OwnedArgs;
use protocol::command::Flags;
use protocol::reply::{Reply, Version};
use storage::{DbIndex, UnixMillis};

use crate::client::{Ask, BlockedAt, Call, Client, Command};
use crate::draw::Draw;
use crate::model::{Model, ModelWatch, digest};
use crate::outside::engines;

/// Steps without any progress after which the world is taken to be stuck.
const STUCK_AFTER: usize = 100_000;

/// How large a world is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub shards: usize,
    pub clients: usize,
    /// Calls in all.
    pub calls: usize,
    /// Shards keep a log, and replies wait until that is durable.
    pub logged: bool,
}

impl Size {
    /// A size that goes with a seed: all of them come round.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            shards: rng.usize(1..5),
            clients: rng.usize(2..9),
            calls: rng.usize(20..400),
            logged: rng.u32(..3) == 0,
        }
    }
}

/// What has happened.
#[derive(Clone, Copy, Default, Debug)]
pub struct Report {
    pub calls: usize,
    pub transactions: u64,
    pub steps: usize,
}

/// What is on its way from one shard to another.
enum Letter {
    Engine(Message),
    Batch(Box<Batch>),
    Replies(Box<Batch>),
    Reply(ReplyTo, Vec<u8>),
    /// A client begins to watch these keys of the shard.
    Watch(u64, DbIndex, Vec<Vec<u8>>),
    Watched(u64, Vec<(Watched, ModelWatch)>),
    Durable(usize),
}

/// What an engine was promised to be done.
enum Task {
    Exec(u64),
    Watch {
        home: ShardId,
        client: u64,
        db: DbIndex,
        keys: Vec<Vec<u8>>,
    },
}

struct Shard {
    engine: Engine,
    tasks: HashMap<u32, Task>,
    last_task: u32,
}

impl Shard {
    fn promise(&mut self, task: Task) -> TaskId {
        self.last_task += 1;
        self.tasks.insert(self.last_task, task);
        TaskId(self.last_task)
    }
}

/// A world under way.
pub struct World {
    size: Size,
    rng: Rng,
    draw: Draw,
    now: u64,
    shards: Vec<Shard>,
    links: Vec<VecDeque<Letter>>,
    clients: Vec<Client>,
    /// Those that have gone with a call that may yet take effect.
    gone: HashMap<u64, Client>,
    last_client: u64,
    model: Model,
    commits: HashMap<(usize, usize), usize>,
    /// Calls since the beginning.
    calls: usize,
    /// What each client still asks, where that is not drawn.
    scripts: Option<Vec<VecDeque<Ask>>>,
    /// Whether the story is written.
    tells: bool,
    /// The latest happenings, for who must understand a failure.
    story: VecDeque<String>,
}

type Checked = Result<(), String>;

/// What may happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// A client asks what its script says.
    Ask(usize),
    /// The first message on a link comes.
    Deliver(usize),
    /// A shard decides what has met a lock.
    Decide(usize),
}

/// Runs a world of this size from a seed to its end. An error tells what was wrong, and what
/// happened before.
pub fn run(seed: u64, size: Size) -> Result<Report, String> {
    World::new(seed, size).run().map_err(|what| {
        // Once more, with its story: the seed decides everything.
        let mut world = World::new(seed, size);
        world.tells = true;
        let again = world.run().err().unwrap_or_default();
        let mut text = format!("seed {seed}, {size:?}: {what}\n");
        if again != what {
            let _ = writeln!(text, "  the second time: {again}");
        }
        for line in &world.story {
            let _ = writeln!(text, "  {line}");
        }
        text
    })
}

impl World {
    fn new(seed: u64, size: Size) -> Self {
        let now = UnixMillis::new(1_000_000);
        let shards = engines(size.shards, now, seed)
            .into_iter()
            .map(|mut engine| {
                engine.effects.journal.turn(size.logged);
                engine.log.holds_replies = size.logged;
                engine.log.appends = size.logged;
                Shard {
                    engine,
                    tasks: HashMap::new(),
                    last_task: 0,
                }
            });
        let mut world = Self {
            size,
            rng: Rng::with_seed(seed ^ 0x5eed),
            draw: Draw::new(seed),
            now: now.ms(),
            shards: shards.collect(),
            links: (0..size.shards * size.shards)
                .map(|_| VecDeque::new())
                .collect(),
            clients: Vec::new(),
            gone: HashMap::new(),
            last_client: 0,
            model: Model::new(now),
            commits: HashMap::new(),
            calls: 0,
            scripts: None,
            tells: false,
            story: VecDeque::new(),
        };
        for index in 0..size.clients {
            let client = world.new_client(index);
            world.clients.push(client);
        }
        world
    }

    /// A world in which each client asks what its script says, one after the other.
    pub fn of_scripts(shards: usize, scripts: &[Vec<Ask>]) -> Self {
        let size = Size {
            shards,
            clients: scripts.len(),
            calls: 0,
            logged: false,
        };
        let mut world = Self::new(1, size);
        for (index, client) in world.clients.iter_mut().enumerate() {
            client.home = ShardId::new(index % shards);
            client.db = world.model.database(0);
        }
        let scripts = scripts
            .iter()
            .map(|script| script.iter().cloned().collect());
        world.scripts = Some(scripts.collect());
        world
    }

    /// All that may happen next.
    pub fn choices(&self) -> Vec<Choice> {
        let scripts = self.scripts.iter().flatten().enumerate();
        let asks =
            scripts.filter(|(at, script)| !script.is_empty() && self.clients[*at].call.is_none());
        let asks = asks.map(|(at, _)| Choice::Ask(at));
        let links = self.links.iter().enumerate();
        let delivers = links.filter(|(_, link)| !link.is_empty());
        let delivers = delivers.map(|(at, _)| Choice::Deliver(at));
        let shards = self.shards.iter().enumerate();
        let decides = shards.filter(|(_, shard)| !shard.engine.tries().is_empty());
        let decides = decides.map(|(at, _)| Choice::Decide(at));
        asks.chain(delivers).chain(decides).collect()
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// What is wrong then.
    pub fn take(&mut self, choice: Choice) -> Result<(), String> {
        match choice {
            Choice::Ask(at) => {
                let script = self
                    .scripts
                    .as_mut()
                    .and_then(|scripts| scripts.get_mut(at));
                match script.and_then(VecDeque::pop_front) {
                    Some(ask) => self.ask(at, ask),
                    None => Err("there is nothing left to ask".into()),
                }
            }
            Choice::Deliver(at) => self.deliver_from(at).map(|_| ()),
            Choice::Decide(at) => self.decide_on(at).map(|_| ()),
        }
    }

    /// Nothing more can happen: whoever is left waiting is right to wait.
    ///
    /// # Errors
    /// What is wrong in the end.
    pub fn end(&mut self) -> Result<(), String> {
        self.check_blocked()?;
        self.release_blocked()?;
        while let Some(choice) = self.choices().first().copied() {
            self.take(choice)?;
        }
        self.check_end()
    }

    fn new_client(&mut self, index: usize) -> Client {
        self.last_client += 1;
        let home = ShardId::new(self.rng.usize(..self.size.shards));
        let db = self.model.database(u16::from(self.rng.u32(..5) == 0));
        Client::new(self.last_client, index, home, db)
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.tells {
            self.story.push_back(line());
            if self.story.len() > 60 {
                self.story.pop_front();
            }
        }
    }

    fn run(&mut self) -> Result<Report, String> {
        let mut report = Report::default();
        let mut idle = 0;
        while self.calls < self.size.calls || self.is_busy() {
            report.steps += 1;
            let calls = self.calls;
            let did = self.step()?;
            idle = if did || self.calls > calls {
                0
            } else {
                idle + 1
            };
            if self.is_quiet() {
                self.check_blocked()?;
                if self.calls >= self.size.calls {
                    self.release_blocked()?;
                }
            }
            if idle > STUCK_AFTER {
                return Err(format!("nothing goes on any more: {}", self.waiting()));
            }
        }
        report.transactions = self.transactions();
        self.check_end()?;
        report.calls = self.calls;
        Ok(report)
    }

    fn transactions(&self) -> u64 {
        let shards = self.shards.iter();
        shards.map(|it| it.engine.stats.transactions).sum()
    }

    /// The data is the model's, and nothing is left of what was under way.
    fn check_end(&mut self) -> Checked {
        for shard in &self.shards {
            let engine = &shard.engine;
            if !engine.owner.locks.is_empty() || !engine.coordinator.is_idle() {
                return Err(format!("shard {:?} is not idle in the end", engine.id));
            }
            if !engine.effects.waits.is_empty() || !shard.tasks.is_empty() {
                return Err(format!("shard {:?} has waiters in the end", engine.id));
            }
        }
        let (real, model) = (self.digest(), self.model.digest());
        if real != model {
            return Err(format!("the data is not the model's: {real} and {model}"));
        }
        Ok(())
    }

    fn digest(&mut self) -> String {
        let engines: Vec<Engine> = self.shards.drain(..).map(|shard| shard.engine).collect();
        let digest = digest(&engines);
        let shard = |engine| Shard {
            engine,
            tasks: HashMap::new(),
            last_task: 0,
        };
        self.shards = engines.into_iter().map(shard).collect();
        digest
    }

    fn is_busy(&self) -> bool {
        !self.is_quiet() || self.clients.iter().any(|it| it.call.is_some())
    }

    /// Whether nothing is on its way.
    fn is_quiet(&self) -> bool {
        self.links.iter().all(VecDeque::is_empty)
            && self.shards.iter().all(|it| it.engine.tries().is_empty())
    }

    fn waiting(&self) -> String {
        let waiting = self.clients.iter().filter_map(|client| {
            let call = client.call.as_ref()?;
            Some(format!("client {} in {}", client.id, text_of(&call.ask)))
        });
        waiting.collect::<Vec<_>>().join("; ")
    }

    /// Something happens. False where what was drawn could not.
    fn step(&mut self) -> Result<bool, String> {
        match self.rng.u32(..100) {
            0..=29 => self.call_one(),
            30 => self.advance(),
            31 if self.rng.u32(..4) == 0 => self.vanish(),
            32..=39 => self.decide(),
            _ => self.deliver(),
        }
    }

    fn link(&mut self, from: ShardId, to: ShardId) -> &mut VecDeque<Letter> {
        &mut self.links[from.index() * self.size.shards + to.index()]
    }

    fn deliver(&mut self) -> Result<bool, String> {
        let first = self.rng.usize(..self.links.len());
        let count = self.links.len();
        let mut all = (0..count).map(|step| (first + step) % count);
        match all.find(|at| !self.links[*at].is_empty()) {
            Some(at) => self.deliver_from(at),
            None => Ok(false),
        }
    }

    fn deliver_from(&mut self, at: usize) -> Result<bool, String> {
        let shards = self.size.shards;
        let (from, to) = (ShardId::new(at / shards), ShardId::new(at % shards));
        let Some(letter) = self.links[at].pop_front() else {
            return Ok(false);
        };
        self.receive(from, to, letter)?;
        Ok(true)
    }

    fn receive(&mut self, from: ShardId, to: ShardId, letter: Letter) -> Checked {
        match letter {
            Letter::Engine(message) => {
                self.tell(|| format!("{from:?} -> {to:?} {}", name_of(&message)));
                self.shards[to.index()].engine.handle(from, message);
                self.settle(to)
            }
            Letter::Batch(mut batch) => {
                self.tell(|| format!("{from:?} -> {to:?} batch of {}", batch.count()));
                self.shards[to.index()].engine.run_batch(from, &mut batch);
                self.settle(to)?;
                self.link(to, from).push_back(Letter::Replies(batch));
                Ok(())
            }
            Letter::Replies(mut batch) => {
                let mut replies = Vec::new();
                batch.fold(|to, reply| replies.push((to, reply.to_vec())));
                replies
                    .into_iter()
                    .try_for_each(|(to, reply)| self.answer(to, reply))
            }
            Letter::Reply(reply_to, reply) => self.answer(reply_to, reply),
            Letter::Durable(index) => {
                self.shards[to.index()].engine.durable(index);
                self.settle(to)
            }
            Letter::Watch(client, db, keys) => {
                let home = from;
                let task = Task::Watch {
                    home,
                    client,
                    db,
                    keys: keys.clone(),
                };
                let shard = &mut self.shards[to.index()];
                let task = shard.promise(task);
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                if shard.engine.when_home(&keys, task) {
                    self.run_task(to, task)?;
                }
                self.settle(to)
            }
            Letter::Watched(client, watched) => self.watching(client, watched),
        }
    }

    /// Does what an engine wants done, and has the model do what has taken effect.
    fn settle(&mut self, id: ShardId) -> Checked {
        loop {
            self.note_effects(id)?;
            let actions = std::mem::take(&mut self.shards[id.index()].engine.actions);
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.act(id, action)?;
                self.note_effects(id)?;
            }
        }
        assert!(self.shards[id.index()].engine.is_settled());
        Ok(())
    }

    /// The model does what has taken effect on a shard since the last look.
    fn note_effects(&mut self, id: ShardId) -> Checked {
        let effective = self.shards[id.index()].engine.trace.take();
        let mut effective = effective.into_iter();
        effective.try_for_each(|client| self.took_effect(client))
    }

    fn act(&mut self, id: ShardId, action: Action) -> Checked {
        match action {
            Action::Send(to, message) | Action::SendBehindReplies(to, message) => {
                self.link(id, to).push_back(Letter::Engine(message));
            }
            Action::Reply {
                origin, to, reply, ..
            } => self.link(id, origin).push_back(Letter::Reply(to, reply)),
            Action::Blocked(token, blocked_id) => {
                let is_it = |client: &&mut Client| client.token == token && client.call.is_some();
                match self.clients.iter_mut().find(is_it) {
                    Some(client) => client.blocked = Some(BlockedAt::BlockedId(blocked_id)),
                    None => {
                        let engine = &mut self.shards[id.index()].engine;
                        engine.cancel_blocked(
                            blocked_id,
                            End::Gone,
                            CancelMode::AtOnce,
                            TaskId::NONE,
                        );
                    }
                }
            }
            Action::Ready {
                task,
                unchanged,
                held,
            } => return self.run_exec(id, task, unchanged, *held),
            Action::Run { task, under } => {
                let before = self.under(id, under);
                self.run_task(id, task)?;
                self.shards[id.index()].engine.owner.runs_under = before;
                if let Some(item) = under {
                    self.shards[id.index()].engine.unlock(item);
                }
            }
            Action::RecordLogged { awaited, .. } => {
                self.note_durable(id, awaited);
            }
            Action::ReadLogged(awaited, _) => self.note_durable(id, Some(awaited)),
            Action::CheckOutWhenWritten(item, request) => {
                self.shards[id.index()]
                    .engine
                    .check_out_by_message(item, *request);
            }
            Action::Flushed(answer) => {
                if let Some((to, reply)) = answer {
                    self.link(id, id).push_back(Letter::Reply(to, reply));
                }
            }
            Action::WaitEnded(..)
            | Action::CameHome(..)
            | Action::GiveUpDump
            | Action::TellReaders
            | Action::Slow { .. }
            | Action::Evicted { .. }
            | Action::FreeKeyspaces(..)
            | Action::Timer
            | Action::Turn => {}
        }
        self.shards[id.index()].engine.effects.notices.take();
        Ok(())
    }

    fn under(&mut self, id: ShardId, under: Option<ItemId>) -> Option<ItemId> {
        std::mem::replace(&mut self.shards[id.index()].engine.owner.runs_under, under)
    }

    /// A shard has logged its part of a transaction: once all have, it is durable.
    fn note_durable(&mut self, _: ShardId, awaited: Option<Awaited>) {
        let Some(Awaited { id, parts }) = awaited else {
            return;
        };
        let CommitId { coordinator, index } = id;
        let left = self
            .commits
            .entry((coordinator.index(), index))
            .or_insert(parts);
        *left -= 1;
        if *left == 0 {
            self.commits.remove(&(coordinator.index(), index));
            let letter = Letter::Durable(index);
            self.link(coordinator, coordinator).push_back(letter);
        }
    }

    fn run_task(&mut self, id: ShardId, task: TaskId) -> Checked {
        let Some(Task::Watch {
            home,
            client,
            db,
            keys,
        }) = self.shards[id.index()].tasks.remove(&task.0)
        else {
            return Err("a task that nobody has promised".into());
        };
        let engine = &mut self.shards[id.index()].engine;
        let mut watched = Vec::new();
        for key in keys {
            let was_hidden = engine.expire_if_due(db, &key);
            let version = engine.effects.watches.watch(db, &key);
            let real = Watched {
                key: TransactionKey {
                    db,
                    key: key.as_slice().into(),
                },
                version,
                was_hidden,
            };
            watched.push((real, self.model.watch(db, &key)));
        }
        self.link(id, home)
            .push_back(Letter::Watched(client, watched));
        Ok(())
    }

    fn watching(&mut self, id: u64, watched: Vec<(Watched, ModelWatch)>) -> Checked {
        let Some(at) = self.clients.iter().position(|it| it.id == id) else {
            return self.forget_watched(watched);
        };
        let client = &mut self.clients[at];
        client.watched.extend(watched);
        if let Some(call) = &mut client.call {
            call.missing -= 1;
            if call.missing == 0 {
                client.call = None;
            }
        }
        Ok(())
    }

    fn forget_watched(&mut self, watched: Vec<(Watched, ModelWatch)>) -> Checked {
        for (real, model) in watched {
            let owner = self.owner(&real.key.key);
            self.shards[owner.index()].engine.unwatch(vec![real]);
            self.model.unwatch(model);
            self.settle(owner)?;
        }
        Ok(())
    }

    fn owner(&self, key: &[u8]) -> ShardId {
        SlotMap::new(self.size.shards).owner(key)
    }

    /// A client asks something.
    fn call_one(&mut self) -> Result<bool, String> {
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

    fn ask(&mut self, at: usize, ask: Ask) -> Checked {
        self.calls += 1;
        let client = &mut self.clients[at];
        client.seq += 1;
        client.call = Some(Call {
            ask: ask.clone(),
            expected: None,
            missing: 0,
        });
        let (id, home) = (client.id, client.home);
        self.tell(|| format!("client {id} of {home:?} asks {}", text_of(&ask)));
        match ask {
            Ask::Command(command) => self.ask_command(at, &command)?,
            Ask::Exec(commands) => self.ask_exec(at, commands)?,
            Ask::Watch(db, keys) => self.ask_watch(at, db, keys),
        }
        self.settle(home)
    }

    fn ask_command(&mut self, at: usize, command: &Command) -> Checked {
        let client = &self.clients[at];
        let (home, to, header) = (client.home, client.reply_to(), client.header(command));
        let args = command.args.borrow();
        let engine = &mut self.shards[home.index()].engine;
        if let Handler::Whole(run) = HANDLERS[command.id.index()] {
            engine.begin_whole(to, header, &args, run);
            return Ok(());
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
            Route::At(owner) => {
                let joins = self.scripts.is_none() && self.rng.bool();
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
            Route::Several(owners) => engine.begin_on_several(to, header, &args, owners),
            Route::Anywhere => engine.begin_computed(to, header, &args),
        }
        Ok(())
    }

    fn run_here(&mut self, at: usize, command: &Command) -> Checked {
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

    fn ask_watch(&mut self, at: usize, db: DbIndex, mut keys: Vec<Vec<u8>>) {
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

    fn ask_exec(&mut self, at: usize, commands: Vec<Command>) -> Checked {
        let client = &self.clients[at];
        let (home, to, id) = (client.home, client.reply_to(), client.id);
        let watched: Vec<Watched> = client.watched.iter().map(|it| it.0.clone()).collect();
        let header: Vec<_> = commands.iter().map(|it| client.header(it)).collect();
        let engine = &self.shards[home.index()].engine;
        let is_whole = |command: &Command| {
            let computes = engine::commands::sort::reads_computed_keys(
                command.id.command(),
                &command.args.borrow(),
            );
            computes || matches!(HANDLERS[command.id.index()], Handler::Whole(_))
        };
        let whole = commands.iter().any(is_whole);
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
        if !whole && owners.len() == 1 && owners[0] != home {
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

    /// All locks of an EXEC are held.
    fn run_exec(&mut self, id: ShardId, task: TaskId, unchanged: bool, mut held: Held) -> Checked {
        let Some(Task::Exec(client)) = self.shards[id.index()].tasks.remove(&task.0) else {
            return Err("a transaction that nobody has promised".into());
        };
        let caller = self.clients.iter().find(|it| it.id == client);
        let caller = caller.or_else(|| self.gone.get(&client));
        let Some(caller) = caller else {
            return Err("an EXEC of nobody".into());
        };
        let Some(Call {
            ask: Ask::Exec(commands),
            ..
        }) = &caller.call
        else {
            return Err("an EXEC that nobody has asked for".into());
        };
        let (to, commands) = (caller.reply_to(), commands.clone());
        let header: Vec<_> = commands.iter().map(|it| caller.header(it)).collect();
        let watched: Vec<Watched> = caller.watched.iter().map(|it| it.0.clone()).collect();
        let engine = &mut self.shards[id.index()].engine;
        engine.unwatch(watched);
        let mut replies = b"*-1\r\n".to_vec();
        if unchanged {
            replies = format!("*{}\r\n", commands.len()).into_bytes();
            for (command, header) in commands.iter().zip(header) {
                let mut reply = Reply::new(&mut replies, Version::Resp2);
                let args = command.args.borrow();
                match HANDLERS[command.id.index()] {
                    Handler::Whole(run) => {
                        let workspace = &mut held.workspace;
                        engine.run_whole(workspace, header, run, true, &args, &mut reply);
                    }
                    _ => engine.run_on(&mut held.workspace, header, &args, &mut reply),
                }
            }
        }
        // Its commands have taken effect together.
        engine.trace.take();
        if unchanged {
            self.took_effect(client)?;
        }
        let engine = &mut self.shards[id.index()].engine;
        let commit = engine.commit(held);
        engine.answer(commit, to, replies);
        Ok(())
    }

    /// What a client has asked takes effect: at this instant the model does it, too.
    fn took_effect(&mut self, id: u64) -> Checked {
        let at = self.clients.iter().position(|it| it.id == id);
        let call = match at {
            Some(at) => self.clients[at].call.as_ref(),
            None => self.gone.get(&id).and_then(|it| it.call.as_ref()),
        };
        let Some(call) = call else {
            return Err(format!(
                "client {id} has asked for nothing that could take effect"
            ));
        };
        let ask = call.ask.clone();
        if call.expected.is_some() {
            return match ask {
                Ask::Exec(_) => Ok(()),
                _ => Err(format!(
                    "{} of client {id} took effect twice",
                    text_of(&ask)
                )),
            };
        }
        let reply = match &ask {
            Ask::Command(command) => self.model.run(command).ok_or_else(|| {
                format!(
                    "{} of client {id} took effect, and the model's would wait",
                    text_of(&ask)
                )
            })?,
            Ask::Exec(commands) => {
                let watched: Vec<ModelWatch> = match at {
                    Some(at) => &self.clients[at],
                    None => &self.gone[&id],
                }
                .watched
                .iter()
                .map(|it| it.1.clone())
                .collect();
                if !watched.iter().all(|it| self.model.is_unchanged(it)) {
                    return Err(format!("EXEC of client {id} ran on a key that had changed"));
                }
                self.model.exec(commands)
            }
            Ask::Watch(..) => return Err("WATCH is no command of the engine".into()),
        };
        self.tell(|| {
            let text = text_of(&ask);
            format!("client {id}: {text} takes effect, {}", reply.escape_ascii())
        });
        let client = match at {
            Some(at) => Some(&mut self.clients[at]),
            None => self.gone.get_mut(&id),
        };
        if let Some(Client {
            call: Some(call), ..
        }) = client
        {
            call.expected = Some(reply);
        }
        Ok(())
    }

    /// A reply is home.
    fn answer(&mut self, to: ReplyTo, reply: Vec<u8>) -> Checked {
        let Some(at) = self.clients.iter().position(|it| it.token == to.client) else {
            return Ok(());
        };
        let client = &mut self.clients[at];
        let id = client.id;
        if client.seq != to.seq {
            return Err(format!("client {id} is answered twice"));
        }
        let Some(call) = client.call.take() else {
            return Err(format!("client {id} is answered twice"));
        };
        client.blocked = None;
        let may_time_out = std::mem::take(&mut client.may_time_out);
        let watched = match call.ask {
            Ask::Exec(_) => std::mem::take(&mut client.watched),
            _ => Vec::new(),
        };
        let ask = text_of(&call.ask);
        let shown = reply.escape_ascii().to_string();
        self.tell(|| format!("client {id}: {ask} is answered {shown}"));
        let is_exec = matches!(call.ask, Ask::Exec(_));
        match call.expected {
            Some(expected) if same(&call.ask, &expected, &reply) => {}
            Some(expected) => {
                let expected = expected.escape_ascii();
                return Err(format!(
                    "client {id}: {ask} is answered {shown}, not {expected}"
                ));
            }
            None if is_exec && reply == b"*-1\r\n" => {
                let mut model = watched.iter().map(|it| it.1.clone());
                if model.all(|it| self.model.is_unchanged(&it)) {
                    return Err(format!(
                        "client {id}: {ask} is refused, and nothing has changed"
                    ));
                }
            }
            None if may_time_out && reply == b"*-1\r\n" => {}
            None => {
                return Err(format!(
                    "client {id}: {ask} is answered {shown} and has not happened"
                ));
            }
        }
        for (_, model) in watched {
            self.model.unwatch(model);
        }
        Ok(())
    }

    /// Time goes on: not while transactions are under way, whose parts go by their shards' clocks.
    fn advance(&mut self) -> Result<bool, String> {
        let is_idle = |shard: &Shard| !shard.engine.coordinator.has_transactions();
        if !self.shards.iter().all(is_idle) {
            return Ok(false);
        }
        self.now += self.rng.u64(1..10);
        let now = UnixMillis::new(self.now);
        self.model.set_now(now);
        for at in 0..self.shards.len() {
            self.shards[at].engine.now = now;
            let due = self.shards[at].engine.next_timeout();
            if due.is_some_and(|due| due <= now) {
                let waiting = self.clients.iter_mut().filter(|it| it.blocked.is_some());
                waiting.for_each(|client| client.may_time_out = true);
                self.shards[at].engine.time_out();
            }
            if self.rng.u32(..4) == 0 {
                self.shards[at].engine.expire_step();
            }
            self.settle(ShardId::new(at))?;
        }
        Ok(false)
    }

    fn decide(&mut self) -> Result<bool, String> {
        let at = self.rng.usize(..self.shards.len());
        self.decide_on(at)
    }

    fn decide_on(&mut self, at: usize) -> Result<bool, String> {
        let count = self.shards[at].engine.tries().len();
        if count == 0 {
            return Ok(false);
        }
        self.shards[at].engine.decide_tries(count);
        self.settle(ShardId::new(at))?;
        Ok(true)
    }

    /// A client is gone, whatever it has asked, and another one comes in its place.
    fn vanish(&mut self) -> Result<bool, String> {
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

    fn end_wait(&mut self, client: &Client, end: End) -> Checked {
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

    /// Nothing is on its way: whoever is not blocked has its reply, and whoever is has nothing to
    /// be served with.
    fn check_blocked(&mut self) -> Checked {
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            let Some(call) = &client.call else {
                continue;
            };
            let ask = call.ask.clone();
            let (id, is_blocked) = (client.id, client.blocked.is_some());
            let blocks = match &ask {
                Ask::Command(command) => command.id.command().flags.contains(Flags::BLOCKING),
                _ => false,
            };
            if !blocks || !is_blocked {
                return Err(format!("client {id} is never answered: {}", text_of(&ask)));
            }
            if let Ask::Command(command) = &ask
                && self.model.run(command).is_some()
            {
                let text = text_of(&ask);
                return Err(format!("client {id} sleeps, though {text} could be served"));
            }
        }
        Ok(())
    }

    /// In the end nobody is left waiting.
    fn release_blocked(&mut self) -> Checked {
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

/// Whether a reply is the one that was to be expected. Sets and sorts without an order may differ.
fn same(ask: &Ask, expected: &[u8], reply: &[u8]) -> bool {
    let is_unordered = match ask {
        Ask::Command(command) => is_unordered(command),
        Ask::Exec(commands) => commands.iter().any(is_unordered),
        Ask::Watch(..) => false,
    };
    if !is_unordered {
        return expected == reply;
    }
    let sorted = |reply: &[u8]| {
        let mut bytes = reply.to_vec();
        bytes.sort_unstable();
        bytes
    };
    sorted(expected) == sorted(reply)
}

fn is_unordered(command: &Command) -> bool {
    matches!(command.id.command().name, "sort" | "keys")
}

fn text_of(ask: &Ask) -> String {
    match ask {
        Ask::Command(command) => command.text(),
        Ask::Exec(commands) => {
            let texts: Vec<String> = commands.iter().map(Command::text).collect();
            format!("EXEC [{}]", texts.join(", "))
        }
        Ask::Watch(db, keys) => {
            let keys: Vec<String> = keys
                .iter()
                .map(|it| it.escape_ascii().to_string())
                .collect();
            format!("{}> WATCH {}", db.number(), keys.join(" "))
        }
    }
}

fn name_of(message: &Message) -> &'static str {
    match message {
        Message::Resume(_) => "resume",
        Message::Lock(request) if request.wait => "lock, waiting",
        Message::Lock(_) => "lock",
        Message::Granted(_) => "granted",
        Message::Refused(_) => "refused",
        Message::Command(_) => "command",
        Message::Exec(_) => "exec",
        Message::Claim(_) => "claim",
        Message::Release(_) => "release",
        Message::Told(_) => "told",
        Message::EndWait(_) => "end wait",
        Message::WaitEnded(..) => "wait ended",
        Message::Leave(_) => "leave",
        Message::FenceFrom(..) | Message::FenceAt(..) | Message::FencePassed(_) => "fence",
        Message::Unwatch(_) => "unwatch",
        Message::PayDebt => "pay debt",
    }
}
