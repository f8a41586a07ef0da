//! Random rules, and random commands under them: taken, shown and applied as by Redis.
//!
//! `PERCORE_SEED=... PERCORE_SEQUENCES=1` draws again what failed.

use std::fmt::Write as _;

use fastrand::Rng;
use tests::conversation::VERSIONS;
use tests::duel::from_environment;
use tests::reply::show;
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::draw;
use crate::matrix;

/// Sequences, where the environment says nothing.
const SEQUENCES: u64 = 60;

/// Changes of a user in a sequence.
const CHANGES: usize = 12;

/// Commands that are tried after each.
const TRIED: usize = 12;

/// What a server says to one change, by what was asked.
type Heard = Vec<(String, String)>;

/// A change of the user, and the commands that are tried then.
struct Step {
    rules: Vec<String>,
    commands: Vec<String>,
}

impl Step {
    fn draw(rng: &mut Rng, commands: &[&str]) -> Step {
        let rules = draw::change(rng);
        let commands = (0..TRIED).map(|_| draw::command(rng, commands)).collect();
        Step { rules, commands }
    }

    fn hear(&self, admin: &mut Wire, user: &mut Wire) -> Heard {
        let mut change = vec!["ACL", "SETUSER", "u"];
        change.extend(self.rules.iter().map(String::as_str));
        admin.send_command(&change);
        let mut heard = vec![(format!("{change:?}"), show(&admin.reply()))];
        for ask in ["ACL GETUSER u", "ACL LIST"] {
            admin.send_words(ask);
            heard.push((ask.to_owned(), show(&admin.reply())));
        }
        let verdicts = matrix::try_all(admin, user, &self.commands);
        for (command, verdict) in self.commands.iter().zip(verdicts) {
            for (way, told) in ["DRYRUN ", "", "in a script: "].into_iter().zip(verdict) {
                heard.push((format!("{way}{command}"), told));
            }
        }
        heard
    }
}

/// What a server says to all steps, with a new user.
fn hear(server: &Server, version: &str, steps: &[Step]) -> Vec<Heard> {
    let (mut admin, mut user) = (server.connect(), server.connect());
    admin.command(&["HELLO", version]);
    admin.ask("ACL SETUSER u reset on nopass");
    user.ask("AUTH u x");
    let heard = steps.iter().map(|step| step.hear(&mut admin, &mut user));
    let heard = heard.collect();
    admin.ask("ACL DELUSER u");
    heard
}

/// The first answer that differs, and how the user became what it is.
fn difference(steps: &[Step], expected: &[Heard], found: &[Heard]) -> Option<String> {
    let mut report = String::new();
    for ((step, expected), found) in steps.iter().zip(expected).zip(found) {
        let _ = writeln!(report, "    ACL SETUSER u {:?}", step.rules);
        for ((asked, expected), (_, found)) in expected.iter().zip(found) {
            if expected != found {
                let _ = write!(report, "{asked}\n  Redis: {expected}\n  here:  {found}");
                return Some(report);
            }
        }
    }
    None
}

/// Says which seed it was, however the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("drawn from PERCORE_SEED={}", self.0);
        }
    }
}

#[test]
fn random_rules_mean_what_they_mean_to_redis() {
    let count = from_environment("PERCORE_SEQUENCES").unwrap_or(SEQUENCES);
    let first = from_environment("PERCORE_SEED").unwrap_or(1);
    let commands = matrix::lines(include_str!("commands.txt"));
    let oracle = Oracle::start();
    let servers = SHARDS.map(|shards| (shards, Server::start(Options::shards(shards))));
    for seed in first..first + count {
        let _says = Seed(seed);
        let mut rng = Rng::with_seed(seed);
        let steps: Vec<Step> = (0..CHANGES)
            .map(|_| Step::draw(&mut rng, &commands))
            .collect();
        let version = VERSIONS[usize::from(seed % 2 == 1)];
        let expected = hear(&oracle, version, &steps);
        for (shards, server) in &servers {
            let found = hear(server, version, &steps);
            if let Some(report) = difference(&steps, &expected, &found) {
                panic!("RESP{version}, {shards} shards, PERCORE_SEED={seed}:\n{report}");
            }
        }
    }
}
