//! A connection's own state: who it is (AUTH, HELLO), which protocol it speaks (HELLO), which
//! database it works on (SELECT), and its end.
//!
//! Passwords are compared in a time that tells nothing of where they differ.

use std::hint::black_box;

use acl::log::{Context, Reason};
use acl::user::Passwords;
use engine::commands::options::{Options, is, small_integer};
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::{Reply, Version};
use protocol::strtod::c_string;
use storage::DbIndex;
use storage::item::parse_int;
use tracing::{debug, warn};

use crate::client::attribute::Attribute;
use crate::client::close_reason::CloseReason;
use crate::client::identity::Identity;
use crate::client::{Client, Closing, ReplyMode};
use crate::dispatch::handler::Answer;
use crate::process::REDIS_VERSION;
use crate::shard::Shard;

const NO_PASSWORD: Error = Error::new(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
);
const HELLO_NO_AUTH: Error = Error::new(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
);

/// `PING [message]`
pub fn ping(
    _: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if client.session.is_restricted() && args.len() <= 2 {
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(args.get(1).unwrap_or_default());
        return Ok(Answer::Now);
    }
    match (args.get(1), args.len()) {
        (None, _) => reply.simple("PONG"),
        (Some(message), 2) => reply.bulk(message),
        _ => return Err(Error::arity("ping")),
    }
    Ok(Answer::Now)
}

/// `ECHO message`
pub fn echo(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.bulk(&args[1]);
    Ok(Answer::Now)
}

/// `AUTH [username] password`
pub fn auth(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let (user, password) = match args.len() {
        2 if shard.connections.users.default_user().passwords == Passwords::Any => {
            return Err(NO_PASSWORD);
        }
        2 => (b"default".as_slice(), &args[1]),
        3 => (&args[1], &args[2]),
        _ => return Err(Error::SYNTAX),
    };
    client.session.last_command = "auth";
    authenticate(shard, client, &args[0], user, password)?;
    reply.ok();
    Ok(Answer::Now)
}

/// `HELLO [version [AUTH username password] [SETNAME name]]`: a map that describes the server, in
/// the version just chosen. Where anything in it is refused, nothing is changed but a login that
/// went well.
pub fn hello(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let version = args.get(1).map(parse_version).transpose()?;
    let mut login = None;
    let mut name = None;
    let mut options = Options::new(args, 2);
    while let Some(word) = options.next() {
        if is(word, "AUTH") && options.left() >= 2 {
            login = Some((options.value()?, options.value()?));
        } else if is(word, "SETNAME") && options.left() >= 1 {
            name = Some(Attribute::parse("Client names", options.value()?)?);
        } else {
            let word = c_string(&word[..word.len().min(OPTION_BYTES_MAX)]);
            return Err(Error::from_bytes(
                [b"ERR Syntax error in HELLO option '", word, b"'"].concat(),
            ));
        }
    }
    if let Some((user, password)) = login {
        client.session.last_command = "hello";
        authenticate(shard, client, &args[0], user, password)?;
    }
    if !client.session.identity.is_authenticated() {
        return Err(HELLO_NO_AUTH);
    }
    if let Some(name) = name {
        client.session.name = name;
    }
    if let Some(version) = version {
        client.session.version = version;
        reply.set_version(version);
    }
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(version_number(client.session.version));
    reply.bulk(b"id");
    reply.integer(client.session.id.cast_signed());
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.empty_array();
    Ok(Answer::Now)
}

/// Bytes of an unknown option that an error repeats at the most.
const OPTION_BYTES_MAX: usize = 128;

fn parse_version(text: &[u8]) -> Result<Version, Error> {
    match parse_int(text) {
        Some(2) => Ok(Version::Resp2),
        Some(3) => Ok(Version::Resp3),
        Some(_) => Err(Error::new("NOPROTO unsupported protocol version")),
        None => Err(Error::new(
            "ERR Protocol version is not an integer or out of range",
        )),
    }
}

/// The number that clients know a version by.
pub fn version_number(version: Version) -> i64 {
    match version {
        Version::Resp2 => 2,
        Version::Resp3 => 3,
    }
}

/// `SELECT index`
pub fn select(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let number = small_integer(&args[1])?;
    client.session.db = u16::try_from(number)
        .ok()
        .and_then(|number| shard.engine.databases.index(number))
        .ok_or(Error::DB_OUT_OF_RANGE)?;
    reply.ok();
    Ok(Answer::Now)
}

/// `QUIT`: OK, and then the end. What the client has sent behind it is not run.
pub fn quit(
    _: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.ok();
    client.close_for(CloseReason::Quit, Closing::AfterReplies);
    Ok(Answer::Now)
}

/// `RESET`: the connection as it was when it opened. The library's name and version stay: it is
/// still the same library.
pub fn reset(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    shard.discard_queue(client);
    shard.drop_subscriptions(client);
    shard.untrack(client);
    let session = &mut client.session;
    session.db = DbIndex::default();
    session.version = Version::Resp2;
    session.identity = Identity::new(&shard.connections.users);
    session.reply_mode = ReplyMode::On;
    session.no_evict = false;
    session.no_touch = false;
    session.name = None;
    shard.note_identity(client);
    reply.set_version(Version::Resp2);
    reply.simple("RESET");
    Ok(Answer::Now)
}

/// Makes the connection a user, by that user's password.
fn authenticate(
    shard: &mut Shard,
    client: &mut Client,
    verb: &[u8],
    user: &[u8],
    given: &[u8],
) -> Result<(), Error> {
    let known = shard.connections.users.get(user).cloned();
    let Some(known) = known.filter(|known| known.authenticates(given)) else {
        shard.engine.stats.denied_auth += 1;
        let context = if client.session.queue.is_some() {
            Context::Multi
        } else {
            Context::TopLevel
        };
        shard.log_refusal(client, Reason::Auth, context, verb, user);
        if let Some(left_out) = shard.measured.log_limits.denied.admit(shard.second()) {
            let (client, address) = (client.session.id, &*client.peer.address);
            warn!(client, address, left_out, "a client gave a wrong password");
        }
        return Err(Error::WRONG_PASS);
    };
    client.session.identity.log_in(known);
    shard.note_identity(client);
    // What it has sent behind its password need not wait for the socket.
    shard.settle_output_max(client);
    debug!(client = client.session.id, "authenticated");
    Ok(())
}

impl Shard {
    /// A connection is somebody else now.
    fn note_identity(&mut self, client: &Client) {
        let restricted = client.session.identity.restricted_user();
        self.engine.restricted.set(client.token, restricted);
    }
}

/// Whether two texts are the same, in a time that depends on the length of the given one only.
pub(crate) fn same_bytes(given: &[u8], wanted: &[u8]) -> bool {
    let mut different = given.len() ^ wanted.len();
    for (at, byte) in given.iter().enumerate() {
        let other = wanted.get(at).copied().unwrap_or(0);
        different |= usize::from(black_box(byte ^ other));
    }
    black_box(different) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_the_same_only_whole() {
        for (given, wanted, same) in [
            ("", "", true),
            ("secret", "secret", true),
            ("secret", "Secret", false),
            ("secre", "secret", false),
            ("secret\0", "secret", false),
            ("", "secret", false),
        ] {
            assert_eq!(same_bytes(given.as_bytes(), wanted.as_bytes()), same);
        }
    }

    #[test]
    fn protocol_versions() {
        assert_eq!(parse_version(b"3"), Ok(Version::Resp3));
        assert_eq!(
            parse_version(b"4").expect_err("unknown").text(),
            "NOPROTO unsupported protocol version"
        );
        assert!(parse_version(b"three").is_err());
    }
}
