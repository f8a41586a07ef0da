//! What happens when: the outside of every engine.

mod calls;
mod checks;
mod outside;
mod scripts;
mod text;

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

use engine::batch::Batch;
use engine::engine::Engine;
use engine::header::ReplyTo;
use engine::message::Message;
use engine::script::scripting::{Scouting, Scripting, new_machine};
use engine::slot::{ShardId, SlotMap};
use engine::task::TaskId;
use engine::watch::Watched;
use fastrand::Rng;
use lua::libraries::Libraries;
use scripts::Exec;
use storage::{DbIndex, UnixMillis};
use text::text_of;

use crate::client::{Ask, Client};
use crate::clock::{self, Pace};
use crate::draw::Draw;
use crate::model::{Model, ModelWatch, digest};
use crate::outside::{BUSY_MS, Ticks, engines};
use crate::scripts::{SCRIPTS, library};

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
    /// Clients run scripts, too.
    pub scripts: bool,
    /// How often these look at the clock.
    pub ticks: Ticks,
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
            scripts: rng.u32(..4) > 0,
            ticks: rng.choice([Ticks::Few, Ticks::Many]).unwrap_or(Ticks::Few),
        }
    }
}

/// What has happened.
#[derive(Clone, Copy, Default, Debug)]
pub struct Report {
    pub calls: usize,
    pub transactions: u64,
    pub steps: usize,
    pub scripts: ScriptCounts,
}

/// What has happened to scripts.
#[derive(Clone, Copy, Default, Debug)]
pub struct ScriptCounts {
    /// Times that one wanted more keys.
    pub widened: u64,
    /// Times that one was undone, to run again.
    pub run_again: u64,
    /// Turns that those got which have run for long.
    pub went_on: u64,
    pub killed: u64,
    /// Calls of the outside that had been made already when the script ran again.
    pub repeated_calls: usize,
}

impl Report {
    /// Adds what has happened in another world.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.transactions += other.transactions;
        self.steps += other.steps;
        let (all, other) = (&mut self.scripts, &other.scripts);
        all.widened += other.widened;
        all.run_again += other.run_again;
        all.went_on += other.went_on;
        all.killed += other.killed;
        all.repeated_calls += other.repeated_calls;
    }
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
    /// The reply to a command of the outside that a script has called, as this transaction.
    Called(usize, Vec<u8>),
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
    /// EXECs whose scripts stand still.
    paused: Vec<Exec>,
    /// Scripts that run for long, as far as is known here.
    busy: usize,
}

impl Shard {
    fn new(engine: Engine) -> Self {
        Self {
            engine,
            tasks: HashMap::new(),
            last_task: 0,
            paused: Vec::new(),
            busy: 0,
        }
    }

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
    asks: Option<Vec<VecDeque<Ask>>>,
    /// Whether the story is written.
    tells: bool,
    /// What the engines do not count of scripts.
    counts: ScriptCounts,
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
    /// A shard's scripts go on that have run for long.
    GoOn(usize),
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
        clock::set_pace(Pace::Jumps(Rng::with_seed(seed ^ 0xc10c)));
        let shards = engines(size.shards, now, seed, BUSY_MS, size.ticks)
            .into_iter()
            .map(|mut engine| {
                engine.effects.journal.turn(size.logged);
                engine.log.holds_replies = size.logged;
                engine.log.appends = size.logged;
                Shard::new(engine)
            });
        let mut world = Self {
            size,
            rng: Rng::with_seed(seed ^ 0x5eed),
            draw: Draw::new(seed, size.scripts),
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
            asks: None,
            tells: false,
            counts: ScriptCounts::default(),
            story: VecDeque::new(),
        };
        if size.scripts {
            world.learn_scripts();
        }
        for index in 0..size.clients {
            let client = world.new_client(index);
            world.clients.push(client);
        }
        world
    }

    /// A world in which each client asks what is listed for it, one after the other. Where it
    /// `pauses`, scripts stand still whenever they look at the clock.
    pub fn of_asks(shards: usize, asks: &[Vec<Ask>], pauses: bool, scouting: Scouting) -> Self {
        let size = Size {
            shards,
            clients: asks.len(),
            calls: 0,
            logged: false,
            scripts: false,
            ticks: if pauses { Ticks::Few } else { Ticks::Many },
        };
        let mut world = Self::new(1, size);
        for shard in &mut world.shards {
            shard.engine.scripting.limits.scouting = scouting;
        }
        clock::set_pace(if pauses { Pace::Runs } else { Pace::Still });
        for (index, client) in world.clients.iter_mut().enumerate() {
            client.home = ShardId::new(index % shards);
            client.db = world.model.database(0);
        }
        let asks = asks.iter().map(|asks| asks.iter().cloned().collect());
        world.asks = Some(asks.collect());
        world
    }

    /// What the engines keep of scripts, for the next world: machines take long to make.
    pub fn into_scripting(self) -> Vec<Scripting> {
        let engines = self.shards.into_iter().map(|shard| shard.engine);
        let engines = engines.chain([self.model.engine]);
        engines.map(|engine| engine.scripting).collect()
    }

    /// Takes over what an earlier world kept.
    pub fn adopt_scripting(&mut self, kept: Vec<Scripting>) {
        let engines = self.shards.iter_mut().map(|shard| &mut shard.engine);
        for (engine, kept) in engines.chain([&mut self.model.engine]).zip(kept) {
            engine.scripting = kept;
        }
    }

    /// All that may happen next.
    pub fn choices(&self) -> Vec<Choice> {
        let asks = self.asks.iter().flatten().enumerate();
        let asks = asks.filter(|(at, asks)| !asks.is_empty() && self.clients[*at].call.is_none());
        let asks = asks.map(|(at, _)| Choice::Ask(at));
        let links = self.links.iter().enumerate();
        let delivers = links.filter(|(_, link)| !link.is_empty());
        let delivers = delivers.map(|(at, _)| Choice::Deliver(at));
        let shards = self.shards.iter().enumerate();
        let decides = shards.filter(|(_, shard)| !shard.engine.tries().is_empty());
        let decides = decides.map(|(at, _)| Choice::Decide(at));
        let paused = (0..self.shards.len()).filter(|at| self.has_paused(*at));
        let goes_on = paused.map(Choice::GoOn);
        asks.chain(delivers).chain(decides).chain(goes_on).collect()
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// What is wrong then.
    pub fn take(&mut self, choice: Choice) -> Result<(), String> {
        match choice {
            Choice::Ask(at) => {
                let asks = self.asks.as_mut().and_then(|asks| asks.get_mut(at));
                match asks.and_then(VecDeque::pop_front) {
                    Some(ask) => self.ask(at, ask),
                    None => Err("there is nothing left to ask".into()),
                }
            }
            Choice::Deliver(at) => self.deliver_from(at).map(|_| ()),
            Choice::Decide(at) => self.decide_on(at).map(|_| ()),
            Choice::GoOn(at) => self.go_on(at).map(|_| ()),
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

    /// Makes the scripts known, so that they can be called by their SHA1.
    fn learn_scripts(&mut self) {
        for script in SCRIPTS {
            let text = script.text.as_bytes();
            for engine in [&mut self.shards[0].engine, &mut self.model.engine] {
                engine
                    .learn_script(text, true)
                    .expect("a script that compiles");
            }
        }
        for engine in [&self.shards[0].engine, &self.model.engine] {
            let (code, store) = (library(), &engine.environment.scripts().libraries);
            let load = |all: &mut Libraries| all.load(&mut new_machine(), code.as_bytes(), false);
            store.change(load).expect("a library that compiles");
        }
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
        report.scripts = self.counts;
        for shard in &self.shards {
            let stats = &shard.engine.stats;
            report.scripts.widened += stats.scripts_widened;
            report.scripts.run_again += stats.scripts_run_again;
        }
        self.check_end()?;
        report.calls = self.calls;
        Ok(report)
    }

    fn transactions(&self) -> u64 {
        let shards = self.shards.iter();
        shards.map(|it| it.engine.stats.transactions).sum()
    }

    fn digest(&mut self) -> String {
        let engines: Vec<Engine> = self.shards.drain(..).map(|shard| shard.engine).collect();
        let digest = digest(&engines);
        self.shards = engines.into_iter().map(Shard::new).collect();
        digest
    }

    fn is_busy(&self) -> bool {
        !self.is_quiet() || self.clients.iter().any(|it| it.call.is_some())
    }

    /// Whether nothing is on its way.
    fn is_quiet(&self) -> bool {
        self.links.iter().all(VecDeque::is_empty)
            && self.shards.iter().all(|it| it.engine.tries().is_empty())
            && (0..self.shards.len()).all(|at| !self.has_paused(at))
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
            40..=43 => {
                let at = self.rng.usize(..self.shards.len());
                self.go_on(at)
            }
            44 if self.rng.u32(..4) == 0 => {
                let at = self.rng.usize(..self.shards.len());
                let functions = self.rng.u32(..4) == 0;
                self.kill(at, functions).map(|()| false)
            }
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

    fn owner(&self, key: &[u8]) -> ShardId {
        SlotMap::new(self.size.shards).owner(key)
    }

    /// Time goes on: not while transactions are under way, whose parts go by their shards' clocks.
    fn advance(&mut self) -> Result<bool, String> {
        let is_idle =
            |shard: &Shard| !shard.engine.coordinator.has_transactions() && shard.paused.is_empty();
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
}
