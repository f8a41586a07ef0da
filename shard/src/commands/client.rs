//! CLIENT: connections, this one and the others.
//!
//! Connections live on all shards, so LIST and KILL (in `client_kill`) ask each of them, and LIST
//! puts the lines in the order of the ids.

use std::time::Instant;

use engine::commands::options::is;
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use storage::item::parse_int;

use crate::client::attribute::Attribute;
use crate::client::hold::CommandHold;
use crate::client::{Client, Closing, ReplyMode};
use crate::commands::connection::version_number;
use crate::commands::tracking::redirect_id;
use crate::dispatch::handler::Answer;
use crate::pubsub::Topic;
use crate::shard::Shard;

pub use crate::commands::client_kill::kill;
pub use crate::commands::client_pause::{pause, unpause};
pub use crate::commands::tracking::{caching, getredir, tracking, trackinginfo};

/// Output up to here is told as a buffer, what is beyond it as a list, since Redis keeps it so and
/// people look for what clients do not read in `omem`.
const OUTPUT_BUFFER_BYTES: usize = 16 * 1024;

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Whether the keys of the next command are tracked, in the OPTIN and OPTOUT modes.",
    "GETNAME",
    "    The name of this connection.",
    "GETREDIR",
    "    The number of the connection that is told which keys have changed in this one's place.",
    "ID",
    "    The number of this connection.",
    "INFO",
    "    This connection as LIST shows it.",
    "KILL <ip:port>",
    "    Close the connection from this address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close the connections that all options fit. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "    * USER <username>",
    "    * SKIPME (YES|NO)",
    "    * ID <client-id>",
    "    * MAXAGE <seconds>",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [...]]",
    "    The open connections, one a line.",
    "NO-EVICT (ON|OFF)",
    "    Spare this connection when clients are evicted.",
    "NO-TOUCH (ON|OFF)",
    "    Leave the access times of keys alone when this connection reads them.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Hold back the commands of all connections, or those that write, for so many milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Whether this connection's commands are answered.",
    "SETINFO (LIB-NAME|LIB-VER) <text>",
    "    Record the name or version of the client library.",
    "SETNAME <name>",
    "    Name this connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Whether this connection is told when keys change that it has read.",
    "TRACKINGINFO",
    "    How this connection tracks keys.",
    "UNPAUSE",
    "    End the pause.",
    "HELP",
    "    Show this help.",
];

/// The kinds of connection that LIST and KILL tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientType {
    Normal,
    Master,
    Replica,
    Pubsub,
}

impl ClientType {
    /// The type of this name, in any case.
    pub fn parse(name: &[u8]) -> Result<Self, Error> {
        [
            ("normal", Self::Normal),
            ("slave", Self::Replica),
            ("replica", Self::Replica),
            ("pubsub", Self::Pubsub),
            ("master", Self::Master),
        ]
        .into_iter()
        .find(|(known, _)| is(name, known))
        .map(|(_, found)| found)
        .ok_or_else(|| {
            let name = &name[..name.len().min(ECHOED_BYTES_MAX)];
            Error::from_bytes([b"ERR Unknown client type '", name, b"'"].concat())
        })
    }

    /// What `client` is. There are no masters yet.
    pub fn of(client: &Client) -> Self {
        if client.session.is_replica() {
            Self::Replica
        } else if client.session.is_subscriber() {
            Self::Pubsub
        } else {
            Self::Normal
        }
    }
}

/// Bytes of an argument that an error repeats at the most.
const ECHOED_BYTES_MAX: usize = 128;

/// `CLIENT ID`
pub fn id(
    _: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.integer(client.session.id.cast_signed());
    Ok(Answer::Now)
}

/// `CLIENT GETNAME`: nil where it has none.
pub fn getname(
    _: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    match &client.session.name {
        Some(name) => reply.bulk(name.as_bytes()),
        None => reply.null(),
    }
    Ok(Answer::Now)
}

/// `CLIENT SETNAME name`: an empty one takes the name away.
pub fn setname(
    _: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    client.session.name = Attribute::parse("Client names", &args[2])?;
    reply.ok();
    Ok(Answer::Now)
}

/// `CLIENT SETINFO LIB-NAME name | LIB-VER version`
pub fn setinfo(
    _: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let option = &args[2];
    if is(option, "lib-name") {
        client.session.lib_name = Attribute::parse("lib-name", &args[3])?;
    } else if is(option, "lib-ver") {
        client.session.lib_ver = Attribute::parse("lib-ver", &args[3])?;
    } else {
        let option = &option[..option.len().min(ECHOED_BYTES_MAX)];
        return Err(Error::from_bytes(
            [b"ERR Unrecognized option '", option, b"'"].concat(),
        ));
    }
    reply.ok();
    Ok(Answer::Now)
}

/// `CLIENT INFO`
pub fn info(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    client.session.last_command = "client|info";
    let mut text = line(client, shard.clock.instant);
    text.push('\n');
    reply.verbatim("txt", text.as_bytes());
    Ok(Answer::Now)
}

/// `CLIENT LIST [TYPE type | ID id ...]`
pub fn list(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let mut wanted_type = None;
    let mut wanted_ids = None;
    match args.get(2) {
        None => {}
        Some(word) if is(word, "TYPE") && args.len() == 4 => {
            wanted_type = Some(ClientType::parse(&args[3])?);
        }
        Some(word) if is(word, "ID") && args.len() > 3 => {
            let parse = |text: &[u8]| {
                parse_int(text)
                    .map(i64::cast_unsigned)
                    .ok_or(Error::new("ERR Invalid client ID"))
            };
            let ids: Result<Vec<u64>, Error> = args.iter().skip(3).map(parse).collect();
            wanted_ids = Some(ids?);
        }
        Some(_) => return Err(Error::SYNTAX),
    }
    let visit = move |shard: &mut Shard| {
        let wanted = |client: &Client| {
            wanted_type.is_none_or(|wanted| ClientType::of(client) == wanted)
                && wanted_ids
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&client.session.id))
        };
        let mut lines = Vec::new();
        for (_, known) in &shard.connections.clients {
            if let Ok(client) = known.client.try_borrow()
                && wanted(&client)
            {
                lines.push((client.session.id, line(&client, shard.clock.instant)));
            }
        }
        lines
    };
    Ok(shard.gather(client, visit, |_, parts, reply| {
        let mut lines: Vec<(u64, String)> = parts.into_iter().flatten().collect();
        lines.sort_unstable_by_key(|(id, _)| *id);
        let mut text = String::new();
        for (_, line) in lines {
            text.push_str(&line);
            text.push('\n');
        }
        reply.verbatim("txt", text.as_bytes());
        Ok(())
    }))
}

/// A connection as LIST and INFO show it, in the fields and the order of Redis 7.4.
pub(crate) fn line(client: &Client, now: Instant) -> String {
    let session = &client.session;
    let since = |then: Instant| now.saturating_duration_since(then).as_secs();
    let text =
        |text: &Option<Attribute>| text.as_ref().map_or(String::new(), |it| it.shown().into());
    let subscriptions = |topic| {
        let known = session.subscriptions.as_ref();
        known.map_or(0, |subscriptions| subscriptions.count(topic))
    };
    let list_bytes = client.unsent_bytes().saturating_sub(OUTPUT_BUFFER_BYTES);
    let (multi, multi_bytes) = match &session.queue {
        Some(queue) => (queue.len() as i64, queue.memory_bytes()),
        None => (-1, 0),
    };
    format!(
        "id={id} addr={addr} laddr={laddr} fd={fd} name={name} age={age} idle={idle} flags={flags} db={db} sub={sub} psub={psub} ssub={ssub} \
         multi={multi} watch={watch} qbuf={qbuf} qbuf-free={qbuf_free} argv-mem={argv} multi-mem={multi_bytes} rbs={rbs} rbp={rbs} obl={obl} \
         oll={oll} omem={omem} tot-mem={total} events={events} cmd={cmd} user={user} redir={redir} resp={resp} lib-name={lib_name} lib-ver={lib_ver}",
        id = session.id,
        addr = client.peer.address,
        laddr = client.peer.local_address,
        fd = client.peer.socket,
        name = text(&session.name),
        age = since(client.connected_at),
        idle = since(client.active_at),
        flags = flags(client),
        db = session.db.number(),
        sub = subscriptions(Topic::Channel),
        psub = subscriptions(Topic::Pattern),
        ssub = subscriptions(Topic::ShardChannel),
        watch = session.watched.len(),
        argv = client.parser.memory_bytes(),
        qbuf = client.input.len(),
        qbuf_free = client.input.capacity() - client.input.len(),
        rbs = client.out.capacity(),
        obl = client.unsent_bytes().min(OUTPUT_BUFFER_BYTES),
        oll = list_bytes.div_ceil(OUTPUT_BUFFER_BYTES),
        omem = list_bytes,
        total = client.memory_bytes(),
        events = if client.unsent_bytes() > 0 { "rw" } else { "r" },
        cmd = session.last_command,
        user = String::from_utf8_lossy(&session.identity.user().name),
        redir = redirect_id(session),
        resp = version_number(session.version),
        lib_name = text(&session.lib_name),
        lib_ver = text(&session.lib_ver),
    )
}

/// The letters of a connection's state; `N` where there is nothing to say.
fn flags(client: &Client) -> String {
    let session = &client.session;
    let tracking = session.tracking.as_ref();
    let is_paused = client.command_hold.contains(CommandHold::PAUSED);
    let flags: String = [
        (session.is_replica(), 'S'),
        (session.is_monitor(), 'O'),
        (session.is_subscriber(), 'P'),
        (session.queue.is_some(), 'x'),
        (client.blocked.is_some() || is_paused, 'b'),
        (session.tracking.is_some(), 't'),
        (tracking.is_some_and(|it| it.redirect_is_broken), 'R'),
        (session.broadcasts(), 'B'),
        (client.closing == Some(Closing::AfterReplies), 'c'),
        (client.closing == Some(Closing::Now), 'A'),
        (client.peer.unix, 'U'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ]
    .into_iter()
    .filter_map(|(holds, letter)| holds.then_some(letter))
    .collect();
    if flags.is_empty() { "N".into() } else { flags }
}

/// `CLIENT NO-EVICT ON | OFF`
pub fn no_evict(
    _: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    client.session.no_evict = switch(&args[2])?;
    reply.ok();
    Ok(Answer::Now)
}

/// `CLIENT NO-TOUCH ON | OFF`
pub fn no_touch(
    _: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    client.session.no_touch = switch(&args[2])?;
    reply.ok();
    Ok(Answer::Now)
}

fn switch(word: &[u8]) -> Result<bool, Error> {
    match word {
        word if is(word, "on") => Ok(true),
        word if is(word, "off") => Ok(false),
        _ => Err(Error::SYNTAX),
    }
}

/// `CLIENT REPLY ON | OFF | SKIP`: only ON is answered. SKIP while replies are off changes nothing.
pub fn reply(
    _: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let mode = &mut client.session.reply_mode;
    if is(&args[2], "on") {
        *mode = ReplyMode::On;
        reply.ok();
        return Ok(Answer::Now);
    }
    if is(&args[2], "off") {
        *mode = ReplyMode::Off;
    } else if !is(&args[2], "skip") {
        return Err(Error::SYNTAX);
    } else if *mode != ReplyMode::Off {
        *mode = ReplyMode::SkipNext;
    }
    Ok(Answer::None)
}

/// `CLIENT HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}

/// The answer of a HELP sub-command: one simple string a line.
pub fn write_help(lines: &[&str], reply: &mut Reply<'_>) {
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.simple(line));
}

#[cfg(test)]
mod tests {
    use crate::client::Peer;
    use crate::client::identity::Identity;
    use acl::users::Users;
    use engine::header::ClientToken;

    use super::*;

    fn client() -> Client {
        let token = ClientToken {
            index: 0,
            generation: 7,
        };
        let peer = Peer {
            address: "127.0.0.1:50000".into(),
            local_address: "127.0.0.1:6379".into(),
            unix: false,
            socket: 9,
        };
        let identity = Identity::new(&Users::default());
        Client::new(token, 7, peer, identity, Instant::now())
    }

    #[test]
    fn a_line_has_the_fields_of_redis_in_their_order() {
        let mut client = client();
        client.session.name = Attribute::parse("name", b"worker").expect("it is one");
        client.session.lib_name = Attribute::parse("name", b"lib").expect("it is one");
        let line = line(&client, client.connected_at);
        let names: Vec<_> = line
            .split(' ')
            .filter_map(|field| field.split('=').next())
            .collect();
        let expected = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll \
                        omem tot-mem events cmd user redir resp lib-name lib-ver";
        assert_eq!(names, expected.split_ascii_whitespace().collect::<Vec<_>>());
        assert!(line.starts_with("id=7 addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=9 name=worker age=0 idle=0 flags=N db=0 "));
        assert!(line.ends_with(" resp=2 lib-name=lib lib-ver="));
    }

    #[test]
    fn flags_tell_the_state() {
        let mut client = client();
        client.session.queue = Some(Box::default());
        client.session.no_touch = true;
        client.close(Closing::AfterReplies);
        assert_eq!(flags(&client), "xcT");
    }
}
