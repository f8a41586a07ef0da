//! A machine with somebody who answers its steps.

use std::sync::Arc;

use protocol::args::{Args, OwnedArgs};
use protocol::reply::Version;

use crate::library::Library;
use crate::machine::{Answer, Call, Chunk, Ending, LogLevel, Machine, Settings, Step};
use crate::script::Script;

pub struct Driver {
    pub machine: Machine,
    pub ending: Ending,
    pub ticks: usize,
    /// The tick at which the script is told to end, and with what error; without one it is given
    /// up.
    pub ends_at: Option<(usize, Option<&'static [u8]>)>,
    pub logged: Vec<(LogLevel, Vec<u8>)>,
    pub propagated: Vec<(bool, bool)>,
    pub commands: Vec<Vec<Vec<u8>>>,
    /// Commands that are not kept.
    pub forgets: bool,
}

pub fn settings() -> Settings {
    Settings {
        memory_max: 32 << 20,
        redis_version: "7.4.1",
        tick_instructions: 10_000,
    }
}

impl Driver {
    pub fn new() -> Self {
        Self::with(&settings())
    }

    pub fn with(settings: &Settings) -> Self {
        Driver {
            machine: Machine::new(settings),
            ending: Ending::Returned,
            ticks: 0,
            ends_at: None,
            logged: Vec::new(),
            propagated: Vec::new(),
            commands: Vec::new(),
            forgets: false,
        }
    }

    /// The reply to a script, escaped, with `SHA` for its SHA.
    pub fn eval(&mut self, source: &str) -> String {
        self.eval_with(source, &[], &[], Version::Resp2)
    }

    pub fn eval_with(
        &mut self,
        source: &str,
        keys: &[&str],
        args: &[&str],
        version: Version,
    ) -> String {
        self.ticks = 0;
        let script = match Script::parse(source.as_bytes()) {
            Ok(script) => script,
            Err(error) => return format!("-{}\\r\\n", error.escape_ascii()),
        };
        let reply = self.call(Chunk::Script(&script), keys, args, version);
        let sha = std::str::from_utf8(&script.sha).expect("digits");
        reply.replace(sha, "SHA")
    }

    pub fn fcall(&mut self, library: &Arc<Library>, name: &str) -> String {
        let name = name.as_bytes();
        self.call(
            Chunk::Function { library, name },
            &["k"],
            &["a", "b"],
            Version::Resp2,
        )
    }

    fn call(&mut self, chunk: Chunk<'_>, keys: &[&str], args: &[&str], version: Version) -> String {
        let keys = OwnedArgs::from_parts(keys.iter().map(|key| key.as_bytes()));
        let args = OwnedArgs::from_parts(args.iter().map(|arg| arg.as_bytes()));
        self.machine.begin(&Call {
            chunk,
            keys: keys.borrow(),
            args: args.borrow(),
            version,
        });
        drop((keys, args));
        let mut step = self.machine.resume(Answer::Go);
        while let Some(next) = self.answer(step) {
            step = next;
        }
        self.machine.reply().escape_ascii().to_string()
    }

    /// Answers one step; None where the script is over.
    fn answer(&mut self, step: Step) -> Option<Step> {
        match step {
            Step::Done(ending) => {
                self.ending = ending;
                return None;
            }
            Step::Tick => self.ticks += 1,
            Step::Log(level, line) => self.logged.push((level, line)),
            Step::Propagate { log, replicas } => self.propagated.push((log, replicas)),
            Step::Command => {
                let args = self.machine.command();
                if !self.forgets {
                    self.commands
                        .push(args.iter().map(<[u8]>::to_vec).collect());
                }
                let reply = reply_to(&args, self.machine.version());
                return Some(self.machine.resume(Answer::Reply(&reply)));
            }
            Step::MayRun => {
                let allowed = match &self.machine.command()[0] {
                    b"get" => Some(true),
                    b"flushall" => Some(false),
                    _ => None,
                };
                return Some(self.machine.resume(Answer::Allowed(allowed)));
            }
        }
        Some(match self.ends_at {
            Some((at, Some(error))) if self.ticks >= at => self.machine.resume(Answer::Kill(error)),
            Some((at, None)) if self.ticks >= at => self.machine.resume(Answer::GiveUp),
            _ => self.machine.resume(Answer::Go),
        })
    }
}

/// The command `reply` gets its argument as the reply; `get` a value; `echo` its argument.
fn reply_to(args: &Args<'_>, version: Version) -> Vec<u8> {
    let bulk = |value: &[u8]| {
        let header = format!("${}\r\n", value.len());
        [header.as_bytes(), value, b"\r\n"].concat()
    };
    match &args[0] {
        b"reply" => args[1].to_vec(),
        b"get" => bulk(b"value"),
        b"echo" => bulk(args.get(1).unwrap_or_default()),
        b"ping" => b"+PONG\r\n".to_vec(),
        b"none" if version == Version::Resp3 => b"_\r\n".to_vec(),
        b"none" => b"$-1\r\n".to_vec(),
        b"fail" => b"-WRONGTYPE Operation against a key\r\n".to_vec(),
        _ => b"-ERR Unknown Redis command called from script\r\n".to_vec(),
    }
}

/// Checks scripts against replies of Redis.
pub fn check(version: Version, cases: &[(&str, &str)]) {
    let mut driver = Driver::new();
    for (script, expected) in cases {
        let reply = driver.eval_with(script, &[], &[], version);
        assert_eq!(&reply, expected, "{script}");
    }
}
