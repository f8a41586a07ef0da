//! CONFIG: the parameters, asked for and changed while the server runs.
//!
//! A change is made to a copy of the configuration under the process's lock, all of it or nothing;
//! then every shard is visited and takes the newest. A visit does not carry a configuration of its
//! own, because two changes on two shards may overtake one another on the way. The client is
//! answered when all shards have it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::kind::plain;
use config::{Config, ConfigError, Flag, LogLevel, Parameter, Section};
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use rustls::ServerConfig;
use tracing::{debug, info, warn};

use crate::blocking::cancel_mode_of;
use crate::client::{Client, Peer};
use crate::dispatch::handler::Answer;
use crate::redact::REDACTED;
use crate::shard::Shard;
use crate::tls::InForce;
use crate::tls::settings::Unusable;
use crate::transaction::gather::PartOf;

/// The parameter that is the default user's password.
const PASSWORD: &str = "requirepass";

/// The parameter that says where the log's file is.
const LOG_FILE: &str = "logfile";

const TLS_PORT: &str = "tls-port";

/// Redis's words where the certificates or ciphers are of no use.
const CANNOT_USE: &str = "Unable to update TLS configuration. Check server logs.";

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

/// `CONFIG GET pattern...`: a map of names and values; each parameter once, whichever patterns it
/// matches.
pub fn get(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let found = found(&shard.engine.config, args);
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(Answer::Now)
}

/// From the OK to `appendfsync always` on, all that was answered is safe. A shard that had not
/// heard of it may have answered a transaction whose shares are on their way to others. So each
/// shard tells each other, behind these, that it has heard; what has been said when all have, is
/// synced.
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
        let own = self.0[shard.engine.id.index()].part.lock();
        *own.unwrap_or_else(PoisonError::into_inner) = Some(part);
        let told = self.clone();
        shard.tell_others(move |other| told.note(other));
        self.note(shard);
    }

    fn note(&self, shard: &mut Shard) {
        let own = &self.0[shard.engine.id.index()];
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
        let old = current.clone();
        let new = changed(&old, args, is_local(&client.peer))?;
        process
            .data_locks
            .take(&new, Duration::ZERO)
            .map_err(|held| Error::from_text(format!("ERR CONFIG SET failed - {held}")))?;
        let named: Vec<&Parameter> = named(args).collect();
        let settings = read_tls(&old, &new, &named)?;
        let sets_log_file = named.iter().any(|row| row.name == LOG_FILE);
        let set_log_file = &process.log_control.set_file;
        if sets_log_file {
            // The same file is opened anew.
            set_log_file(new.log_path().as_deref())
                .map_err(|error| refused(LOG_FILE, &ConfigError::Argument(plain(&error).into())))?;
        }
        // Before anything listens: a shard may see the sockets of this change with one before it.
        let settings_before = settings.map(|settings| process.tls.replace(Some(settings)));
        if let Err(refusal) = process.listening.change(&old, &new) {
            if let Some(before) = settings_before {
                process.tls.replace(before);
            }
            if sets_log_file {
                // It was open until now.
                let _ = set_log_file(old.log_path().as_deref());
            }
            return Err(refused(refusal.parameter, &ConfigError::from(refusal.why)));
        }
        if named.iter().any(|row| row.name == PASSWORD) {
            let password = new.requirepass.as_deref().map(str::as_bytes);
            let Ok(()) = process.access.change(|users| {
                users.set_default_password(password);
                Ok::<(), Infallible>(())
            });
        }
        *current = Arc::new(new);
        tell_changes(shard, client, &named, &old, &current);
    }
    tell_without_effect(args);
    let shards = shard.engine.slots.all();
    let heard = Arc::new(Heard::new(shards.len()));
    let (by, mode) = (client.session.id, cancel_mode_of(client));
    let adopt = move |shard: &mut Shard, part: PartOf<()>| {
        shard.adopt_config();
        shard.adopt_users(by, mode, move |shard| heard.tell_all(shard, part));
    };
    Ok(shard.gather_told(client, shards, adopt, |_, _, reply| {
        reply.ok();
        Ok(())
    }))
}

/// Reads what TLS goes by from now on. `None` where that stays as it is. A parameter that is set to
/// what it was counts: its file may be another by now.
fn read_tls(
    old: &Config,
    new: &Config,
    named: &[&Parameter],
) -> Result<Option<Arc<ServerConfig>>, Error> {
    let mut of_tls = named.iter().filter(|row| row.section == Section::Tls);
    let Some(first) = of_tls.find(|row| row.name != TLS_PORT || old.tls_port == 0) else {
        return Ok(None);
    };
    InForce::read(new).map_err(|unusable| {
        let Unusable { parameter, why } = unusable;
        warn!(parameter, why, "the configuration of TLS stays as it was");
        refused(first.name, &ConfigError::from(CANNOT_USE))
    })
}

/// The parameters that CONFIG SET names.
fn named(args: &Args<'_>) -> impl Iterator<Item = &'static Parameter> {
    let names = args.iter().skip(2).step_by(2);
    names.filter_map(|name| Parameter::find(std::str::from_utf8(name).ok()?))
}

/// Logs what has changed since `old`, secrets aside. A level takes effect where this shows still:
/// before, or behind it.
fn tell_changes(shard: &Shard, client: &Client, named: &[&Parameter], old: &Config, new: &Config) {
    let set_level = || {
        if new.loglevel != old.loglevel {
            (shard.process.log_control.set_level)(new.loglevel);
        }
    };
    let is_shown = matches!(
        new.loglevel,
        LogLevel::Debug | LogLevel::Verbose | LogLevel::Notice
    );
    if is_shown {
        set_level();
    }
    let (client, address) = (client.session.id, &*client.peer.address);
    for row in named {
        let (parameter, to) = (row.name, shown(row, new));
        if row.show(old) == row.show(new) {
            // Libraries set what they need with each connection that they open.
            debug!(
                client,
                address, parameter, to, "configuration set to what it was"
            );
            continue;
        }
        let from = shown(row, old);
        info!(
            client,
            address, parameter, from, to, "configuration changed"
        );
    }
    if !is_shown {
        set_level();
    }
}

/// A value as the log may show it.
fn shown(row: &Parameter, config: &Config) -> String {
    /// Letters of a value.
    const LETTERS_MAX: usize = 256;
    let value = row.show(config);
    if row.is(Flag::Sensitive) && !value.is_empty() {
        return String::from_utf8_lossy(REDACTED).into_owned();
    }
    match value.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value,
    }
}

/// Says which of the parameters that CONFIG SET names change nothing.
fn tell_without_effect(args: &Args<'_>) {
    let names = args.iter().skip(2).step_by(2);
    let rows = names.filter_map(|name| Parameter::find(std::str::from_utf8(name).ok()?));
    let inert = rows.filter(|row| row.is(Flag::Inert));
    let names: Vec<&str> = inert.map(|row| row.name).collect();
    if !names.is_empty() {
        info!(
            ?names,
            "these parameters of Redis are kept and have no effect in percore"
        );
    }
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
    let process = &shard.process;
    let rewritten = process.access.save(|users| {
        let config = process.current_config();
        config.rewrite(Path::new(file), users)
    });
    rewritten.map_err(|error| {
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
        self.engine.config = self.process.current_config();
        self.tls.adopt(&self.process.tls);
        self.take_fresh_sockets();
        self.engine.admission.settle(&self.engine.config.clone());
        self.engine.access = self.engine.config.access_policy();
        self.heed_appendonly();
        self.engine.evicting.candidates.clear();
        self.engine.publish_memory();
        self.weigh_all();
        self.engine.evict_soon();
        self.engine.timing.adopt(&self.engine.config);
        self.turns.idle_policy.adopt(&self.engine.config);
        let tracked_max = self.engine.config.tracked_keys_max(self.engine.id.index());
        self.engine.effects.invalidations.table.limit(tracked_max);
        self.engine
            .effects
            .notices
            .want(self.engine.config.notify_keyspace_events);
    }
}

/// What the patterns from the third word on match, in the order of the table.
fn found(config: &Config, args: &Args<'_>) -> Vec<(Cow<'static, str>, String)> {
    let mut found: Vec<(Cow<'static, str>, String)> = Vec::new();
    let mut names = HashSet::new();
    for pattern in args.iter().skip(2) {
        for (name, value) in config.matching(pattern) {
            if names.insert(name.clone()) {
                found.push((name, value));
            }
        }
    }
    found
}

/// `config` with the pairs from the third word on. As in Redis all names are judged before any
/// value.
fn changed(config: &Config, args: &Args<'_>, local: bool) -> Result<Config, Error> {
    let words: Vec<&[u8]> = args.iter().skip(2).collect();
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Error::SYNTAX);
    }
    let mut names: Vec<&str> = Vec::with_capacity(pairs.len());
    for [name, value] in pairs {
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
        match config.may_change(known, local) {
            // The same path opens the file anew, which harms nobody. Another one could be anything
            // that percore may write.
            Err(ConfigError::Protected) if known == LOG_FILE && is_value(config, known, value) => {}
            may => may.map_err(|error| refused(known, &error))?,
        }
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

fn is_value(config: &Config, name: &str, value: &[u8]) -> bool {
    config
        .get(name)
        .is_some_and(|current| current.as_bytes() == value)
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
                "hz|20|databases|1",
                "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
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
