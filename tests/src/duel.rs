//! The same commands to the reference and to the server under test, in one pipeline each, and the
//! replies side by side.
//!
//! Where two replies differ the sequence is shrunk to few commands before it is reported, with the
//! seed that draws it again: `PERCORE_SEED=... PERCORE_SEQUENCES=1 cargo test -p tests --test
//! differential FAMILY`. Without those variables the seeds are the same in every run: a test that
//! was green stays green until the code changes. `PERCORE_SEQUENCES=10000` looks further.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::differences;
use crate::grammar::{self, Command, Draw, Family};
use crate::reference::Reference;
use crate::reply::show;
use crate::server::{Options, Oracle, Server};
use crate::wire::{Wire, encode};

/// Commands a sequence.
const LENGTH: usize = 60;

/// A shrinking sequence is run so often at most.
const SHRINKS_MAX: usize = 300;

/// For one reply. Nothing drawn blocks for longer than hundredths of a second.
const REPLY_TIME_MAX: Duration = Duration::from_secs(5);

/// The version of RESP a sequence begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Replies of RESP2.
    Resp2,
    /// Replies of RESP3.
    Resp3,
}

impl Protocol {
    fn hello(self) -> Option<&'static [&'static str]> {
        match self {
            Protocol::Resp2 => None,
            Protocol::Resp3 => Some(&["HELLO", "3"]),
        }
    }
}

/// The reference and the servers under test, all running.
#[derive(Debug)]
pub struct Duel {
    reference: Reference,
    oracle: Oracle,
    tested: Vec<(u16, Server)>,
}

/// The first reply of a sequence that differs.
#[derive(Debug)]
struct Mismatch {
    /// Which command.
    at: usize,
    reference: String,
    tested: String,
}

impl Duel {
    /// Starts a reference, and a server under test with each of these numbers of shards.
    ///
    /// # Panics
    /// Where one does not start.
    pub fn start(reference: Reference, shards: &[u16]) -> Duel {
        Duel {
            reference,
            oracle: Oracle::of(reference, Options::shards(1)),
            tested: shards
                .iter()
                .map(|&shards| (shards, Server::start(Options::shards(shards))))
                .collect(),
        }
    }

    /// Runs so many sequences of a family, or as many as the environment says.
    ///
    /// # Errors
    /// The first reply that differs and that nothing explains, with a short sequence that shows it.
    /// Where all the usual sequences are run, also a listed difference that is not met.
    ///
    /// # Panics
    /// Where the environment says no number.
    pub fn family(&self, family: &Family, sequences: u64) -> Result<(), String> {
        let count = from_environment("PERCORE_SEQUENCES");
        let first = from_environment("PERCORE_SEED");
        let seeds = first.unwrap_or(1)..first.unwrap_or(1) + count.unwrap_or(sequences);
        let mut met = BTreeSet::new();
        for seed in seeds {
            let mut draw = Draw::new(seed);
            let sequence: Vec<Command> = (0..LENGTH).map(|_| draw.command(family)).collect();
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                let reference = replies(&self.oracle, protocol, &sequence);
                for (shards, tested) in &self.tested {
                    let heard = replies(tested, protocol, &sequence);
                    let found = self.compare(&sequence, &reference, &heard, &mut met);
                    let Some(mismatch) = found else {
                        continue;
                    };
                    let (sequence, mismatch) = self.shrink(tested, protocol, sequence, mismatch);
                    return Err(format!(
                        "{} differs from {} with {shards} shards in {protocol:?}, PERCORE_SEED={seed}:\n{}",
                        family.name,
                        self.reference.name(),
                        report(&sequence, &mismatch)
                    ));
                }
            }
        }
        if first.is_none() && count.is_none_or(|count| count >= sequences) {
            let gone = differences::met_in(self.reference, family.name)
                .filter(|difference| !met.contains(difference.name))
                .map(|difference| difference.name);
            let gone: Vec<&str> = gone.collect();
            if !gone.is_empty() {
                return Err(format!(
                    "{} and {}: there is no such difference any more: {gone:?}",
                    family.name,
                    self.reference.name()
                ));
            }
        }
        Ok(())
    }

    /// Runs the examples of differences, and returns the names of those that do not show theirs.
    pub fn examples_in_vain(&self) -> Vec<&'static str> {
        let differences = differences::with_examples(self.reference);
        let in_vain = differences.filter(|difference| {
            let words = difference.example.iter();
            let sequence: Vec<Command> = words
                .map(|words| {
                    let mut command = grammar::command(words);
                    // A word that is empty is written as two quotes.
                    let empty = command.arguments.iter_mut().filter(|word| *word == b"\"\"");
                    empty.for_each(Vec::clear);
                    command
                })
                .collect();
            let reference = replies(&self.oracle, Protocol::Resp2, &sequence);
            let shows = |tested: &Server| {
                let tested = replies(tested, Protocol::Resp2, &sequence);
                let last = (sequence.last(), reference.last(), tested.last());
                let (Some(command), Some(Ok(reference)), Some(Ok(tested))) = last else {
                    return false;
                };
                let known = differences::explanation(self.reference, command, reference, tested);
                reference != tested && known.is_some_and(|known| known.name == difference.name)
            };
            !self.tested.iter().all(|(_, tested)| shows(tested))
        });
        in_vain.map(|difference| difference.name).collect()
    }

    /// The shortest sequence found that still differs: pieces are left out, large ones first.
    fn shrink(
        &self,
        tested: &Server,
        protocol: Protocol,
        mut sequence: Vec<Command>,
        mut mismatch: Mismatch,
    ) -> (Vec<Command>, Mismatch) {
        sequence.truncate(mismatch.at + 1);
        let mut runs = 0;
        let mut piece = sequence.len().div_ceil(2);
        loop {
            let mut start = 0;
            let before = sequence.len();
            while start < sequence.len() && runs < SHRINKS_MAX {
                let end = (start + piece).min(sequence.len());
                let rest = [&sequence[..start], &sequence[end..]].concat();
                runs += 1;
                let reference = replies(&self.oracle, protocol, &rest);
                let heard = replies(tested, protocol, &rest);
                match self.compare(&rest, &reference, &heard, &mut BTreeSet::new()) {
                    Some(smaller) => {
                        sequence = rest;
                        sequence.truncate(smaller.at + 1);
                        mismatch = smaller;
                    }
                    None => start = end,
                }
            }
            if runs >= SHRINKS_MAX || (piece == 1 && sequence.len() == before) {
                return (sequence, mismatch);
            }
            piece = piece.div_ceil(2);
        }
    }

    /// The first reply that nothing explains. The names of differences on the way to it are added
    /// to `met`.
    fn compare(
        &self,
        sequence: &[Command],
        reference: &[Result<Vec<u8>, String>],
        tested: &[Result<Vec<u8>, String>],
        met: &mut BTreeSet<&'static str>,
    ) -> Option<Mismatch> {
        for (at, command) in sequence.iter().enumerate() {
            let pair = (reference.get(at), tested.get(at));
            let same = match pair {
                (Some(Ok(reference)), Some(Ok(tested))) => {
                    command.compare.same(reference, tested) || {
                        let known =
                            differences::explanation(self.reference, command, reference, tested);
                        met.extend(known.map(|known| known.name));
                        if known.is_some_and(|known| known.parts) {
                            return None;
                        }
                        known.is_some()
                    }
                }
                // Both have closed: on QUIT, say.
                (Some(Err(_)), Some(Err(_))) => return None,
                _ => false,
            };
            if !same {
                let text = |reply: Option<&Result<Vec<u8>, String>>| match reply {
                    Some(Ok(reply)) => show(reply),
                    Some(Err(reason)) => format!("no reply: {reason}"),
                    None => "no reply".to_owned(),
                };
                return Some(Mismatch {
                    at,
                    reference: text(pair.0),
                    tested: text(pair.1),
                });
            }
        }
        None
    }
}

/// The replies of a server, whose data is removed before, each or the reason why there is none;
/// after one such there are no more.
fn replies(
    server: &Server,
    protocol: Protocol,
    sequence: &[Command],
) -> Vec<Result<Vec<u8>, String>> {
    let mut all = Vec::with_capacity(sequence.len());
    let pipeline = || -> Result<Wire, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut wire = Wire::connect(server.address()).map_err(text)?;
        wire.time_limit(REPLY_TIME_MAX).map_err(text)?;
        let before = [Some(&["FLUSHALL"][..]), protocol.hello()];
        for command in before.into_iter().flatten() {
            let mut bytes = Vec::new();
            encode(command, &mut bytes);
            wire.try_send(&bytes).map_err(text)?;
            let reply = wire.try_reply().map_err(text)?.ok_or("closed")?;
            if reply.starts_with(b"-") {
                return Err(format!("{command:?}: {}", show(&reply)));
            }
        }
        let mut bytes = Vec::new();
        for command in sequence {
            encode(&command.arguments, &mut bytes);
        }
        wire.try_send(&bytes).map_err(text)?;
        Ok(wire)
    };
    let mut wire = match pipeline() {
        Ok(wire) => wire,
        Err(reason) => return vec![Err(reason)],
    };
    for _ in sequence {
        match wire.try_reply() {
            Ok(Some(reply)) => all.push(Ok(reply)),
            Ok(None) => {
                all.push(Err("closed".to_owned()));
                break;
            }
            Err(error) => {
                all.push(Err(error.to_string()));
                break;
            }
        }
    }
    all
}

fn report(sequence: &[Command], mismatch: &Mismatch) -> String {
    let mut text = String::new();
    for command in sequence {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    {command:?}");
    }
    let _ = write!(
        text,
        "the last one is answered\n    by the reference: {}\n    here:             {}",
        mismatch.reference, mismatch.tested
    );
    text
}

/// A number from the environment.
///
/// # Panics
/// Where it is set to something else.
pub fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}
