//! Whatever concurrent clients see could have happened one command at a time, in an order that
//! keeps real time.
//!
//! Unlike in `atomic`, where every reader checks one thing that must hold, nothing is foretold
//! here: clients send random commands to few keys on many shards, everything that was sent and
//! answered is written down with its times, and a search looks for an order (see `tests::history`).
//! Rounds are short and many: each begins with an empty server and all clients at once.
//!
//! Variables: `PERCORE_SEED` begins elsewhere or repeats a failure's commands, if not their timing;
//! `PERCORE_ROUNDS` for each number of shards.

use std::sync::Barrier;
use std::time::Instant;

use fastrand::Rng;
use tests::history::{self, Operation, Verdict, check, shrink};
use tests::miniature::{Call, Key, Miniature};
use tests::reply::Value;
use tests::wire::encode;
use tests::{Options, Oracle, SEVERAL_SHARDS, Server, Wire};

const ROUNDS: u64 = 200;
const CLIENTS: usize = 6;
/// Operations of a client in a round.
const CALLS: usize = 8;
/// Most that it sends together.
const TOGETHER_MAX: usize = 3;
/// Rounds in a hundred in which nothing is sent together: every client's order is checked then,
/// whatever the keys.
const ALONE_PERCENT: u8 = 50;

type Seen = Operation<Call, Value>;

fn variable(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")),
        Err(_) => otherwise,
    }
}

/// One connection and what it saw in this round.
struct Client {
    number: usize,
    wire: Wire,
    random: Rng,
    written: i64,
    /// The instant from which all clients count.
    epoch: Instant,
    seen: Vec<Seen>,
}

impl Client {
    fn new(server: &Server, number: usize, epoch: Instant) -> Client {
        Client {
            number,
            wire: server.connect(),
            random: Rng::new(),
            written: 0,
            epoch,
            seen: Vec::new(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).expect("centuries")
    }

    fn call(&mut self) -> Call {
        self.written += 1;
        let number = self.number as i64 * 1_000 + self.written * 10;
        Call::random(&mut self.random, number)
    }

    /// A round's commands.
    fn run(&mut self, seed: u64) {
        self.random = Rng::with_seed(seed * CLIENTS as u64 + self.number as u64);
        self.written = 0;
        self.seen.clear();
        let alone = Rng::with_seed(seed).u8(..100) < ALONE_PERCENT;
        let mut left = CALLS;
        while left > 0 {
            if left >= 2 && self.random.u8(..8) == 0 {
                self.watch();
                left -= 2;
                continue;
            }
            let count = if alone {
                1
            } else {
                self.random.usize(1..=TOGETHER_MAX.min(left))
            };
            let calls = (0..count).map(|_| self.call()).collect();
            self.send(calls);
            left -= count;
        }
    }

    /// Sends some commands together and reads their replies.
    fn send(&mut self, calls: Vec<Call>) {
        let mut bytes = Vec::new();
        let mut replies = Vec::new();
        for call in &calls {
            let mut commands = Vec::new();
            call.commands(&mut commands);
            for command in &commands {
                encode(command, &mut bytes);
            }
            replies.push(commands.len());
        }
        let called = self.now();
        self.wire.send(&bytes);
        for (call, replies) in calls.into_iter().zip(replies) {
            // Of a transaction, EXEC's is last.
            let all: Vec<Value> = (0..replies).map(|_| self.wire.value()).collect();
            let reply = all.into_iter().next_back().expect("a reply each");
            self.seen.push(Operation {
                client: self.number,
                call,
                reply,
                called,
                returned: self.now(),
            });
        }
    }

    /// Watches a key, looks at it, and changes it with others if nobody else did meanwhile.
    fn watch(&mut self) {
        let key: Key = self.random.usize(..4);
        self.wire.command(&["WATCH", tests::miniature::KEYS[key]]);
        self.send(vec![Call::Get(key)]);
        let seen = self.seen[self.seen.len() - 1].reply.clone();
        let other = (key + 1) % 4;
        self.written += 1;
        let number = self.number as i64 * 1_000 + self.written * 10;
        let then = vec![Call::Set(key, number), Call::Get(other), Call::Incr(other)];
        self.send(vec![Call::Watched { key, seen, then }]);
    }
}

/// Runs rounds and judges each.
fn judge(server: &Server, shards: u16, rounds: u64) {
    let first = variable("PERCORE_SEED", 1);
    let epoch = Instant::now();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| Client::new(server, number, epoch))
        .collect();
    let mut cleaner = server.connect();
    for seed in first..first + rounds {
        cleaner.ask("FLUSHALL");
        let start = Barrier::new(CLIENTS);
        std::thread::scope(|scope| {
            for client in &mut clients {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    client.run(seed);
                });
            }
        });
        let history: Vec<Seen> = clients
            .iter_mut()
            .flat_map(|client| client.seen.drain(..))
            .collect();
        match check(&Miniature::default(), &history) {
            Verdict::Linearizable(_) => {}
            Verdict::Torn(_) => {
                let least = shrink(&Miniature::default(), &history);
                let order = match check(&Miniature::default(), &least) {
                    Verdict::Linearizable(order) | Verdict::Torn(order) => order,
                    Verdict::Undecided => Vec::new(),
                };
                panic!(
                    "no order explains this, with {shards} shards and PERCORE_SEED={seed}; the longest found is numbered:\n{}\nof\n{}",
                    history::show(&least, &order),
                    history::show(&history, &[])
                )
            }
            Verdict::Undecided => panic!(
                "too much at once to judge, with {shards} shards and PERCORE_SEED={seed}:\n{}",
                history::show(&history, &[])
            ),
        }
    }
}

#[test]
fn every_history_has_an_order() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        judge(&server, shards, variable("PERCORE_ROUNDS", ROUNDS));
    }
}

/// The model itself is held against Redis: what one client alone sees has one order only.
#[test]
fn the_miniature_is_redis() {
    let oracle = Oracle::start();
    let epoch = Instant::now();
    let mut client = Client::new(&oracle, 0, epoch);
    for seed in 1..=500 {
        client.wire.ask("FLUSHALL");
        client.run(seed);
        let verdict = check(&Miniature::default(), &client.seen);
        assert!(
            matches!(verdict, Verdict::Linearizable(_)),
            "with seed {seed}: {verdict:?}\n{}",
            history::show(&client.seen, &[])
        );
    }
}
