//! CONFIG: the parameters, asked for and changed while the server runs.
//!
//! A change is made to a copy of the configuration under the process's lock, all of it or nothing; then every shard is visited and takes
//! the newest. A visit does not carry a configuration of its own, because two changes on two shards may overtake one another on the way.
//! The client is answered when all shards have it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::args::Args;
use protocol::reply::Reply;
use tracing::{info, warn};

use crate::client::{Client, Peer};
use crate::config::{Config, ConfigError, Parameter};
use crate::dispatch::handler::Answer;
use crate::error::Error;
use crate::shard::Shard;
use crate::transaction::gather::PartOf;

const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern> [<pattern> ...]",
    "    Show the parameters whose names match, and their values.",
    "SET <parameter> <value> [<parameter> <value> ...]",
    "    Change parameters: all of them, or none where one is refused.",
    "RESETSTAT",
    "    Set the statistics that INFO shows back to zero.",
    "REWRITE",
    "    Bring the configuration file up to the values in force.",
    "HELP",
    "    Show this help.",
];

/// `CONFIG GET pattern...`: a map of names and values; each parameter once, whichever patterns it matches.
pub fn get(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let found = found(&shard.config, args);
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(Answer::Now)
}

/// From the OK to `appendfsync always` on, all that was answered is safe. A shard that had not heard of it may have answered a transaction whose shares
/// are on their way to others. So each shard tells each other, behind these, that it has heard; what has been said when all have, is synced.
struct Heard(Box<[HeardBy]>);

/// One shard's part.
struct HeardBy {
    /// Shards, this one included, that it does not know to have heard.
    missing: AtomicUsize,
    part: Mutex<Option<PartOf<()>>>,
}

impl Heard {
    fn new(shards: usize) -> Self {
        let by = |_| HeardBy {
            missing: AtomicUsize::new(shards),
            part: Mutex::default(),
        };
        Self((0..shards).map(by).collect())
    }

    /// On a shard that has heard.
    fn tell_all(self: Arc<Self>, shard: &mut Shard, part: PartOf<()>) {
        let own = self.0[shard.id.index()].part.lock();
        *own.unwrap_or_else(PoisonError::into_inner) = Some(part);
        let told = self.clone();
        shard.tell_others(move |other| told.note(other));
        self.note(shard);
    }

    fn note(&self, shard: &mut Shard) {
        let own = &self.0[shard.id.index()];
        if own.missing.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        let part = own
            .part
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(part) = part {
            part.tell_when_synced(shard, ());
        }
    }
}

/// `CONFIG SET parameter value...`: OK once every shard goes by the new values.
pub fn set(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    {
        let process = shard.process.clone();
        let mut current = process
            .config
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let new = changed(&current, args, is_local(&client.peer))?;
        process
            .data_locks
            .take(&new, Duration::ZERO)
            .map_err(|held| Error::from_text(format!("ERR CONFIG SET failed - {held}")))?;
        if new.loglevel != current.loglevel {
            (process.set_log_level)(new.loglevel);
        }
        *current = Arc::new(new);
    }
    // Values may be secret; names are not.
    let names: Vec<_> = args
        .iter()
        .skip(2)
        .step_by(2)
        .map(String::from_utf8_lossy)
        .collect();
    info!(client = client.session.id, ?names, "configuration changed");
    let shards = shard.slots.all();
    let heard = Arc::new(Heard::new(shards.len()));
    let adopt = move |shard: &mut Shard, part: PartOf<()>| {
        shard.adopt_config();
        heard.tell_all(shard, part);
    };
    Ok(shard.gather_told(client, shards, adopt, |_, _, reply| {
        reply.ok();
        Ok(())
    }))
}

/// `CONFIG RESETSTAT`: OK once every shard counts from zero.
pub fn resetstat(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(shard.gather(client, Shard::reset_stats, |_, _, reply| {
        reply.ok();
        Ok(())
    }))
}

/// `CONFIG REWRITE`: OK once the file is whole on disk.
pub fn rewrite(
    shard: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let Some(file) = &shard.process.config_file else {
        return Err(Error::new(
            "ERR The server is running without a config file",
        ));
    };
    shard
        .process
        .current_config()
        .rewrite(Path::new(file))
        .map_err(|error| {
            warn!(%error, "could not rewrite the configuration file");
            Error::from_text(format!("ERR Rewriting config file: {}", error.fault))
        })?;
    info!(file, "rewrote the configuration file");
    reply.ok();
    Ok(Answer::Now)
}

/// `CONFIG HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.array(HELP.len());
    HELP.iter().for_each(|line| reply.simple(line));
    Ok(Answer::Now)
}

impl Shard {
    /// Goes by the configuration in force from now on.
    fn adopt_config(&mut self) {
        self.config = self.process.current_config();
        self.refusals.settle(&self.config.clone());
        self.access = self.config.access_policy();
        self.heed_appendonly();
        self.candidates.clear();
        self.publish_memory();
        self.weigh_all();
        self.evict_soon();
        self.timing.adopt(&self.config);
        let tracked_max = self.config.tracked_keys_max(self.id);
        self.effects.invalidations.table.limit(tracked_max);
        self.effects
            .notices
            .want(self.config.notify_keyspace_events);
    }
}

/// What the patterns from the third word on match, in the order of the table.
fn found(config: &Config, args: &Args<'_>) -> Vec<(Cow<'static, str>, String)> {
    let mut found: Vec<(Cow<'static, str>, String)> = Vec::new();
    for pattern in args.iter().skip(2) {
        for (name, value) in config.matching(pattern) {
            if !found.iter().any(|(known, _)| *known == name) {
                found.push((name, value));
            }
        }
    }
    found
}

/// `config` with the pairs from the third word on. As in Redis all names are judged before any value.
fn changed(config: &Config, args: &Args<'_>, local: bool) -> Result<Config, Error> {
    let words: Vec<&[u8]> = args.iter().skip(2).collect();
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Error::SYNTAX);
    }
    let mut names: Vec<&str> = Vec::with_capacity(pairs.len());
    for [name, _] in pairs {
        let known = std::str::from_utf8(name).ok().and_then(|name| {
            Parameter::find(name)?
                .names()
                .find(|known| known.eq_ignore_ascii_case(name))
        });
        let Some(known) = known else {
            return Err(Error::from_bytes(
                [
                    b"ERR Unknown option or number of arguments for CONFIG SET - '",
                    &name[..name.len().min(UNKNOWN_NAME_BYTES_MAX)],
                    b"'",
                ]
                .concat(),
            ));
        };
        config
            .may_change(known, local)
            .map_err(|error| refused(known, &error))?;
        if names.contains(&known) {
            return Err(refused(known, &ConfigError::from("duplicate parameter")));
        }
        names.push(known);
    }
    let mut new = config.clone();
    for (name, [_, value]) in names.into_iter().zip(pairs) {
        std::str::from_utf8(value)
            .map_err(|_| ConfigError::from("argument must be UTF-8 text"))
            .and_then(|value| new.set(name, value))
            .map_err(|error| refused(name, &error))?;
    }
    Ok(new)
}

/// Bytes of an unknown name that an error repeats at the most.
const UNKNOWN_NAME_BYTES_MAX: usize = 128;

fn refused(name: &str, error: &ConfigError) -> Error {
    Error::from_text(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {error}"
    ))
}

/// Whether the client is on this machine.
pub fn is_local(peer: &Peer) -> bool {
    peer.unix
        || peer
            .address
            .parse::<SocketAddr>()
            .is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;

    use super::*;

    fn set(words: &str) -> Result<Config, String> {
        let parts = ["config", "set"].into_iter().chain(words.split('|'));
        let args = OwnedArgs::from_parts(parts.map(str::as_bytes));
        changed(&Config::default(), &args.borrow(), true).map_err(|error| error.text().into_owned())
    }

    #[test]
    fn several_parameters_change_at_once() {
        let config = set("maxmemory|1mb|HZ|50|save|").expect("allowed");
        assert_eq!(
            (config.maxmemory, config.hz, config.save.0.len()),
            (1 << 20, 50, 0)
        );
    }

    #[test]
    fn refusals_are_in_the_words_of_redis() {
        for (words, error) in [
            ("maxmemory|1|port", "ERR syntax error"),
            (
                "hz|20|foo|1",
                "ERR Unknown option or number of arguments for CONFIG SET - 'foo'",
            ),
            (
                "hz|20|port|1",
                "ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config",
            ),
            (
                "dir|/",
                "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
            ),
            (
                "maxmemory|1|MAXMEMORY|2",
                "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter",
            ),
            (
                "hz|20|maxmemory|foo",
                "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
            ),
        ] {
            assert_eq!(set(words).expect_err("refused"), error);
        }
    }

    #[test]
    fn each_parameter_is_found_once() {
        let parts = ["config", "get", "maxmem*", "maxmemory", "nonsense", "HZ"];
        let args = OwnedArgs::from_parts(parts.into_iter().map(str::as_bytes));
        let names: Vec<_> = found(&Config::default(), &args.borrow())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let expected = [
            "maxmemory",
            "maxmemory-clients",
            "maxmemory-policy",
            "maxmemory-samples",
            "maxmemory-eviction-tenacity",
            "HZ",
        ];
        assert_eq!(names, expected);
    }
}
