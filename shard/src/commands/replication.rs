//! REPLICAOF, ROLE, and what replicas send: see [`crate::replication`].

use std::sync::atomic::Ordering;
use std::time::Instant;

use engine::commands::options::{integer, is};
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use storage::item::parse_int;
use tracing::info;

use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing};
use crate::dispatch::handler::Answer;
use crate::replication::link::{KnownState, Link, State};
use crate::shard::Shard;
use crate::snapshot;

const NO_MASTER: Error = Error::new(
    "ERR percore cannot be a replica yet. To have a server's data, load its dump.rdb at the start",
);

/// `SYNC`: all data, and then every change, for replicas that know no offsets.
pub fn sync(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(begin(shard, client, false))
}

/// `PSYNC replicationid offset`: every change from there on, if the backlog has it; else all data
/// first.
pub fn psync(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let id = (shard.engine.id, client.token);
    let is_new = client.session.replica.as_ref().is_none_or(|it| it.greets());
    let from = parse_int(&args[2]).and_then(|offset| offset.checked_sub(1));
    let from = from.and_then(|from| u64::try_from(from).ok());
    let process = shard.process.clone();
    let (backlog, counts) = (&process.replication.backlog, &process.replication.counts);
    if is_new
        && let Some(from) = from
        && backlog.resume(id, &args[1], from)
    {
        reply.simple(&format!("CONTINUE {}", backlog.id()));
        let link = client.session.replica.get_or_insert_default();
        (link.state, link.knows_offsets) = (State::Follows(from), true);
        link.acknowledged = from;
        client.session.subscriptions.get_or_insert_default();
        counts.partial.fetch_add(1, Ordering::Relaxed);
        shard.note_replica(client, KnownState::Online);
        shard.post(Shard::feed_replicas);
        info!(
            client = client.session.id,
            address = &*client.peer.address,
            from,
            "a replica is back"
        );
        return Ok(Answer::Now);
    }
    if from.is_some() {
        counts.refused.fetch_add(1, Ordering::Relaxed);
    }
    Ok(begin(shard, client, true))
}

/// A replica is to get all data.
fn begin(shard: &mut Shard, client: &mut Client, knows_offsets: bool) -> Answer {
    let link = client.session.replica.get_or_insert_default();
    if !link.greets() {
        return Answer::None;
    }
    link.knows_offsets = knows_offsets;
    if link.wants_functions_only {
        return send_functions(shard, client);
    }
    // It is refused data commands from here on.
    client.session.subscriptions.get_or_insert_default();
    shard.note_replica(client, KnownState::WaitsForSnapshot);
    let counts = &shard.process.replication.counts;
    counts.full.fetch_add(1, Ordering::Relaxed);
    info!(
        client = client.session.id,
        address = &*client.peer.address,
        "a replica asks for all data"
    );
    let size = shard.engine.config.repl_backlog_size;
    shard.process.replication.backlog.open(size);
    let token = client.token;
    // No shard is asked for its data before it says what it does.
    shard.gather(client, Shard::open_stream, move |shard, _, _| {
        shard.post(move |shard| {
            if let Some(client) = shard.client(token).cloned() {
                shard.wait_for_snapshot(&mut client.borrow_mut());
            }
        });
        Ok(())
    })
}

/// `redis-cli --functions-rdb` wants the libraries alone, which need no snapshot.
fn send_functions(shard: &Shard, client: &mut Client) -> Answer {
    let file = snapshot::file::functions_alone(&shard.process, &shard.engine.config);
    let greeting = match &client.session.replica {
        Some(link) if link.knows_offsets => {
            let backlog = &shard.process.replication.backlog;
            format!("+FULLRESYNC {} {}\r\n", backlog.id(), backlog.end())
        }
        _ => String::new(),
    };
    let header = format!("{greeting}${}\r\n", file.len());
    client.out.extend_from_slice(header.as_bytes());
    client.out.extend_from_slice(&file);
    client.close_for(CloseReason::Replication, Closing::AfterReplies);
    Answer::None
}

/// `REPLCONF [option value ...]`: what a replica tells of itself, and how far it has come.
pub fn replconf(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if args.len().is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    for at in (1..args.len()).step_by(2) {
        let (option, value) = (&args[at], &args[at + 1]);
        if is(option, "ack") {
            let is_fack = args.get(at + 2).is_some_and(|word| is(word, "fack"));
            let synced = args.get(at + 3).filter(|_| is_fack);
            acknowledge(shard, client, value, synced);
            return Ok(Answer::None);
        }
        if is(option, "getack") {
            // Only a master asks.
            return Ok(Answer::None);
        }
        let link: &mut Link = client.session.replica.get_or_insert_default();
        if is(option, "listening-port") {
            let port = integer(value)?;
            link.port = u16::try_from(port).map_err(|_| Error::SYNTAX)?;
        } else if is(option, "ip-address") {
            link.address = Some(String::from_utf8_lossy(value).into());
        } else if is(option, "rdb-only") {
            link.wants_snapshot_only = integer(value)? == 1;
        } else if is(option, "rdb-filter-only") {
            link.wants_functions_only = match value {
                b"" => false,
                b"functions" => true,
                other => {
                    let text = [b"ERR Unsupported rdb-filter-only option: ", other].concat();
                    return Err(Error::from_bytes(text));
                }
            };
        } else if !["capa", "version"].iter().any(|known| is(option, known)) {
            let text = [b"ERR Unrecognized REPLCONF option: ", option].concat();
            return Err(Error::from_bytes(text));
        }
    }
    reply.ok();
    Ok(Answer::Now)
}

fn acknowledge(shard: &mut Shard, client: &mut Client, offset: &[u8], synced: Option<&[u8]>) {
    let number = |text| parse_int(text).and_then(|offset| u64::try_from(offset).ok());
    let (Some(offset), Some(link)) = (number(offset), &mut client.session.replica) else {
        return;
    };
    link.acknowledged = link.acknowledged.max(offset);
    if let Some(synced) = synced.and_then(number) {
        link.synced = link.synced.max(synced);
    }
    if matches!(link.state, State::Follows(_)) {
        shard.note_replica(client, KnownState::Online);
        if shard.process.replication.ack_waits.load(Ordering::Acquire) > 0 {
            shard.tell_all(Shard::look_at_acks);
        }
    }
}

/// `REPLICAOF host port | NO ONE`: a master is one already.
pub fn replicaof(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if is(&args[1], "no") && is(&args[2], "one") {
        reply.ok();
        return Ok(Answer::Now);
    }
    let port = integer(&args[2]).ok();
    if port.is_some_and(|port| (0..=65_535).contains(&port)) {
        Err(NO_MASTER)
    } else {
        Err(Error::new("ERR Invalid master port"))
    }
}

/// `ROLE`: a master, the end of its stream, and for each replica that follows its address, its port
/// and what it has acknowledged.
pub fn role(
    shard: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let replication = &shard.process.replication;
    let replicas = replication.replicas();
    let online = replicas.iter().filter(|it| it.state == KnownState::Online);
    let online: Vec<_> = online.collect();
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(i64::try_from(replication.backlog.end()).unwrap_or(i64::MAX));
    reply.array(online.len());
    for replica in online {
        reply.array(3);
        reply.bulk(replica.address.as_bytes());
        reply.bulk(replica.port.to_string().as_bytes());
        reply.bulk(replica.acknowledged.to_string().as_bytes());
    }
    Ok(Answer::Now)
}

/// Seconds since a replica was last heard of.
pub fn lag_s(heard_at: Instant) -> u64 {
    heard_at.elapsed().as_secs()
}
