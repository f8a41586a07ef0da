//! Clients that write until the server is gone, note what was answered, and hold what they find
//! after the next start against it.
//!
//! Each kind is about one promise: a command over all shards, a transaction over all shards, a
//! script over all shards, an element that moves between shards, one that a waiting client is
//! given, what time takes, what chance takes, and what a reader was shown.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tests::{Server, Wire};

use crate::scripts;
use crate::sent::{Loss, Sent, call, integer, integers};

/// Clients of each kind.
const CLIENTS: usize = 3;

/// Keys that one MSET writes: over all shards.
const WIDTH: usize = 4;

/// Members of a bag that chance takes from.
const BAG: usize = 3_000;

/// How long a key with a short life lives.
const BRIEF: Duration = Duration::from_millis(10);

/// Keys that are only there to give snapshots and rewrites something to do.
const BALLAST: usize = 20_000;

/// One client and what it knows.
enum Client {
    /// MSET over all shards; EXEC over all shards; LMOVE from one to another.
    Writer { name: usize, sent: Sent },
    /// A script writes keys of all shards that it has not declared, alone or within EXEC.
    Scripter { name: usize, sent: Sent },
    /// An element is pushed, and a waiting client moves it to another shard.
    Mover {
        name: usize,
        pushed: Sent,
        moved: Sent,
    },
    /// An element is pushed, and a client that waits for two keys takes it.
    Taker {
        name: usize,
        pushed: Sent,
        taken: Vec<(i64, Instant)>,
    },
    /// Keys that end by themselves, soon and late.
    Mortal {
        name: usize,
        sent: Sent,
        deadlines: Vec<i64>,
    },
    /// Chance takes members of a set.
    Drawer {
        name: usize,
        drawn: Vec<(Vec<u8>, Instant)>,
    },
    /// One key changes, and another client reads it together with keys of all shards.
    Onlooker {
        name: usize,
        sent: Sent,
        seen: Vec<(i64, Instant)>,
    },
    /// What a reader was shown of a writer's keys.
    Reader {
        of: usize,
        seen: Vec<(i64, Instant)>,
    },
}

/// All of them.
pub struct Workload(Vec<Client>);

impl Workload {
    pub fn new() -> Self {
        let of_each = |name| {
            [
                Client::Writer {
                    name,
                    sent: Sent::default(),
                },
                Client::Scripter {
                    name,
                    sent: Sent::default(),
                },
                Client::Mover {
                    name,
                    pushed: Sent::default(),
                    moved: Sent::default(),
                },
                Client::Taker {
                    name,
                    pushed: Sent::default(),
                    taken: Vec::new(),
                },
                Client::Mortal {
                    name,
                    sent: Sent::default(),
                    deadlines: Vec::new(),
                },
                Client::Drawer {
                    name,
                    drawn: Vec::new(),
                },
                Client::Onlooker {
                    name,
                    sent: Sent::default(),
                    seen: Vec::new(),
                },
                Client::Reader {
                    of: name,
                    seen: Vec::new(),
                },
            ]
        };
        Self((0..CLIENTS).flat_map(of_each).collect())
    }

    /// Lays out what is there from the beginning.
    pub fn prepare(wire: &mut Wire) {
        for from in (0..BALLAST).step_by(1_000) {
            let pairs: Vec<String> = (from..from + 1_000)
                .map(|n| format!("ballast:{n} {n}"))
                .collect();
            assert_eq!(wire.ask(&format!("MSET {}", pairs.join(" "))).text(), b"OK");
        }
        for name in 0..CLIENTS {
            fill_bag(wire, name);
        }
    }

    /// Runs all of them until the server is gone, which `end` sees to. Returns when it had
    /// returned.
    pub fn run(&mut self, server: &Server, end: impl FnOnce()) -> Instant {
        std::thread::scope(|scope| {
            for client in &mut self.0 {
                let (one, other) = (server.connect(), server.connect());
                scope.spawn(move || client.run(one, other));
            }
            end();
            Instant::now()
        })
    }

    /// Holds what is there against what they know, and begins anew.
    pub fn check(&mut self, wire: &mut Wire, loss: Loss, told: &str) {
        let ballast = wire.ask(&format!("GET ballast:{}", BALLAST - 1));
        assert_eq!(integer(&ballast), BALLAST as i64 - 1, "{told}");
        for client in &self.0 {
            client.check(wire, loss, told);
        }
        scripts::check_total(wire, CLIENTS, told);
        for name in 0..CLIENTS {
            let mut keys: Vec<String> = (0..WIDTH).map(|at| format!("pair:{name}:{at}")).collect();
            for key in [
                "list:a", "list:b", "moved", "count", "queue", "done", "jobs", "late", "brief",
                "alone",
            ] {
                keys.push(format!("{key}:{name}"));
            }
            keys.extend(scripts::keys(name));
            wire.ask(&format!("DEL {}", keys.join(" ")));
            fill_bag(wire, name);
        }
        *self = Self::new();
    }
}

fn fill_bag(wire: &mut Wire, name: usize) {
    let members: Vec<String> = (0..BAG).map(|n| format!("m{n}")).collect();
    wire.ask(&format!("SADD bag:{name} {}", members.join(" ")));
}

fn pairs(name: usize) -> Vec<String> {
    (0..WIDTH).map(|at| format!("pair:{name}:{at}")).collect()
}

impl Client {
    fn run(&mut self, mut wire: Wire, mut other: Wire) {
        // Ends with the server.
        let _ended: Option<()> = match self {
            Client::Writer { name, sent } => write(&mut wire, *name, sent),
            Client::Scripter { name, sent } => scripts::run(&mut wire, *name, sent),
            Client::Mover {
                name,
                pushed,
                moved,
            } => std::thread::scope(|scope| {
                let push = scope.spawn(|| push(&mut wire, &format!("queue:{name}"), pushed));
                let words = format!("BLMOVE queue:{name} done:{name} LEFT RIGHT 0");
                while call(&mut other, &words).is_some() {
                    moved.next();
                    moved.answered();
                }
                push.join().ok()?
            }),
            Client::Taker {
                name,
                pushed,
                taken,
            } => std::thread::scope(|scope| {
                let push = scope.spawn(|| push(&mut wire, &format!("jobs:{name}"), pushed));
                let words = format!("BLPOP none:{name} jobs:{name} 0");
                while let Some(pair) = call(&mut other, &words) {
                    let pair = pair.elements().expect("a key and its element");
                    taken.push((integer(&pair[1]), Instant::now()));
                }
                push.join().ok()?
            }),
            Client::Mortal {
                name,
                sent,
                deadlines,
            } => live(&mut wire, *name, sent, deadlines),
            Client::Drawer { name, drawn } => draw(&mut wire, *name, drawn),
            Client::Onlooker { name, sent, seen } => std::thread::scope(|scope| {
                let set = scope.spawn(|| set(&mut wire, &format!("alone:{name}"), sent));
                let others: Vec<String> = (0..WIDTH).map(|n| format!("nothing:{n}")).collect();
                let words = format!("MGET alone:{name} {}", others.join(" "));
                while let Some(values) = call(&mut other, &words) {
                    let values = values.elements().expect("an array");
                    seen.push((integer(&values[0]), Instant::now()));
                }
                set.join().ok()?
            }),
            Client::Reader { of, seen } => read(&mut wire, *of, seen),
        };
    }

    fn check(&self, wire: &mut Wire, loss: Loss, told: &str) {
        match self {
            Client::Writer { name, sent } => check_writer(wire, *name, sent, loss, told),
            Client::Scripter { name, sent } => scripts::check(wire, *name, sent, loss, told),
            Client::Mover {
                name,
                pushed,
                moved,
            } => {
                let done = integers(wire, &format!("LRANGE done:{name} 0 -1"));
                let queue = integers(wire, &format!("LRANGE queue:{name} 0 -1"));
                let all = [&done[..], &queue[..]].concat();
                let whole: Vec<i64> = (1..=all.len() as i64).collect();
                assert_eq!(
                    all, whole,
                    "an element lost, doubled or out of turn: {told}"
                );
                pushed.assert_plausible(all.len() as i64, loss, "pushed and moved", told);
                // One may have been moved and not answered.
                let least = moved.least(loss);
                assert!(
                    done.len() as i64 >= least,
                    "{} moved, {least} answered: {told}",
                    done.len()
                );
            }
            Client::Taker {
                name,
                pushed,
                taken,
            } => {
                let jobs = integers(wire, &format!("LRANGE jobs:{name} 0 -1"));
                let first = jobs.first().copied();
                let whole = first.map(|first| (first..first + jobs.len() as i64).collect());
                assert_eq!(Some(&jobs), whole.as_ref().or(Some(&jobs)), "{told}");
                let in_turn = taken.iter().map(|it| it.0).eq(1..=taken.len() as i64);
                assert!(in_turn, "taken out of turn: {told}");
                let spared = taken.iter().filter(|it| loss.spares(it.1)).count() as i64;
                if let Some(first) = first {
                    assert!(
                        first > spared,
                        "{first} was answered to one who waited, and is back: {told}"
                    );
                    pushed.assert_plausible(jobs[jobs.len() - 1], loss, "pushed to be taken", told);
                    // One may have been taken and not answered.
                    assert!(
                        first <= taken.len() as i64 + 2,
                        "{first} is the first, {} taken: {told}",
                        taken.len()
                    );
                } else {
                    // All there were are taken, one of them perhaps without an answer.
                    let least = pushed.least(loss);
                    assert!(
                        least <= taken.len() as i64 + 1,
                        "{least} pushed, {} taken: {told}",
                        taken.len()
                    );
                }
            }
            Client::Mortal {
                name,
                sent,
                deadlines,
            } => {
                assert_eq!(
                    integer(&wire.ask(&format!("EXISTS brief:{name}"))),
                    0,
                    "{told}"
                );
                let found = integer(&wire.ask(&format!("GET late:{name}")));
                sent.assert_plausible(found, loss, "with a deadline", told);
                let deadline = integer(&wire.ask(&format!("PEXPIRETIME late:{name}")));
                if let Some(known) = deadlines.get(found as usize - usize::from(found > 0)) {
                    assert!(
                        found == 0 || deadline == *known,
                        "another deadline than was told: {told}"
                    );
                }
            }
            Client::Drawer { name, drawn } => {
                let left = wire.ask(&format!("SMEMBERS bag:{name}"));
                let left: HashSet<Vec<u8>> = left
                    .elements()
                    .expect("members")
                    .iter()
                    .map(|it| it.text().to_vec())
                    .collect();
                let spared: Vec<_> = drawn.iter().filter(|it| loss.spares(it.1)).collect();
                for (member, _) in &spared {
                    assert!(
                        !left.contains(member),
                        "a member that was drawn is back: {told}"
                    );
                }
                let most = BAG - spared.len();
                let least = BAG - drawn.len() - 1;
                assert!(
                    (least..=most).contains(&left.len()),
                    "{} are left: {told}",
                    left.len()
                );
            }
            Client::Onlooker { name, sent, seen } => {
                let found = integer(&wire.ask(&format!("GET alone:{name}")));
                sent.assert_plausible(found, loss, "SET", told);
                assert_shown(found, seen, loss, told);
            }
            Client::Reader { of, seen } => {
                let found = integers(wire, &format!("MGET {}", pairs(*of).join(" ")))[0];
                assert_shown(found, seen, loss, told);
            }
        }
    }
}

/// What was shown is there, or something later.
fn assert_shown(found: i64, seen: &[(i64, Instant)], loss: Loss, told: &str) {
    let spared = seen.iter().filter(|it| loss.spares(it.1));
    let most = spared.map(|it| it.0).max().unwrap_or(0);
    assert!(
        found >= most,
        "{found} is there, and {most} was shown: {told}"
    );
}

fn write(wire: &mut Wire, name: usize, sent: &mut Sent) -> Option<()> {
    loop {
        let next = sent.next();
        let words: Vec<String> = pairs(name)
            .iter()
            .map(|key| format!("{key} {next}"))
            .collect();
        call(wire, &format!("MSET {}", words.join(" ")))?;
        call(wire, "MULTI")?;
        call(wire, &format!("RPUSH list:a:{name} {next}"))?;
        call(wire, &format!("RPUSH list:b:{name} {next}"))?;
        call(wire, &format!("INCR count:{name}"))?;
        call(wire, "EXEC")?;
        call(
            wire,
            &format!("LMOVE list:b:{name} moved:{name} LEFT RIGHT"),
        )?;
        sent.answered();
    }
}

fn check_writer(wire: &mut Wire, name: usize, sent: &Sent, loss: Loss, told: &str) {
    let values = integers(wire, &format!("MGET {}", pairs(name).join(" ")));
    let value = values[0];
    assert!(
        values.iter().all(|it| *it == value),
        "half an MSET: {values:?} {told}"
    );
    sent.assert_plausible(value, loss, "MSET", told);
    let mut length = |key: &str| integer(&wire.ask(&format!("LLEN {key}:{name}")));
    let (pushed, left, moved) = (length("list:a"), length("list:b"), length("moved"));
    let count = integer(&wire.ask(&format!("GET count:{name}")));
    assert_eq!(pushed, left + moved, "half an EXEC or LMOVE: {told}");
    assert_eq!(pushed, count, "half an EXEC: {told}");
    assert!(left <= 1, "{left} elements wait to be moved: {told}");
    sent.assert_plausible(pushed, loss, "EXEC", told);
    assert!(moved >= sent.least(loss), "LMOVE: {told}");
    if loss == Loss::Nothing {
        // In a connection's order: the EXEC comes after the MSET.
        assert!(
            pushed == value || pushed == value - 1,
            "{pushed} after {value}: {told}"
        );
    }
}

fn push(wire: &mut Wire, key: &str, pushed: &mut Sent) -> Option<()> {
    loop {
        let next = pushed.next();
        call(wire, &format!("RPUSH {key} {next}"))?;
        pushed.answered();
    }
}

fn set(wire: &mut Wire, key: &str, sent: &mut Sent) -> Option<()> {
    loop {
        let next = sent.next();
        call(wire, &format!("SET {key} {next}"))?;
        sent.answered();
    }
}

fn live(wire: &mut Wire, name: usize, sent: &mut Sent, deadlines: &mut Vec<i64>) -> Option<()> {
    loop {
        let next = sent.next();
        call(
            wire,
            &format!("SET brief:{name} {next} PX {}", BRIEF.as_millis()),
        )?;
        call(wire, &format!("SET late:{name} {next} PX 3600000"))?;
        let deadline = call(wire, &format!("PEXPIRETIME late:{name}"))?;
        deadlines.push(integer(&deadline));
        sent.answered();
    }
}

fn draw(wire: &mut Wire, name: usize, drawn: &mut Vec<(Vec<u8>, Instant)>) -> Option<()> {
    while drawn.len() < BAG - 1 {
        let member = call(wire, &format!("SPOP bag:{name}"))?;
        drawn.push((member.text().to_vec(), Instant::now()));
    }
    Some(())
}

fn read(wire: &mut Wire, of: usize, seen: &mut Vec<(i64, Instant)>) -> Option<()> {
    loop {
        let reply = call(wire, &format!("MGET {}", pairs(of).join(" ")))?;
        let values: Vec<i64> = reply
            .elements()
            .expect("an array")
            .iter()
            .map(integer)
            .collect();
        assert!(
            values.iter().all(|it| *it == values[0]),
            "half an MSET was shown: {values:?}"
        );
        seen.push((values[0], Instant::now()));
        let reply = call(wire, &format!("GET {}", pairs(of)[0]))?;
        seen.push((integer(&reply), Instant::now()));
    }
}
