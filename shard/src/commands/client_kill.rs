//! CLIENT KILL: closes connections, on whichever shard they are.
//!
//! The killer may be among the killed: it gets its reply first. The others are closed at once.

use std::time::{Duration, Instant};

use acl::users::Users;
use engine::blocking::ending::{CancelMode, End};
use engine::commands::options::is;
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use storage::item::parse_int;
use tracing::info;

use crate::blocking::cancel_mode_of;
use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing};
use crate::commands::client::ClientType;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;
use crate::transaction::gather::PartOf;

/// Which connections are to be closed: those that everything given fits.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Filter {
    id: Option<u64>,
    kind: Option<ClientType>,
    address: Option<Box<str>>,
    local_address: Option<Box<str>>,
    age_min: Option<Duration>,
    user: Option<Box<[u8]>>,
    /// This one is spared.
    spared: Option<u64>,
}

impl Filter {
    /// Reads the options from argument 2 on, for the connection `own_id`.
    fn parse(args: &Args<'_>, own_id: u64, users: &Users) -> Result<Self, Error> {
        let mut filter = Self {
            spared: Some(own_id),
            ..Self::default()
        };
        if !args.len().is_multiple_of(2) {
            return Err(Error::SYNTAX);
        }
        for at in (2..args.len()).step_by(2) {
            let (option, value) = (&args[at], &args[at + 1]);
            let address = || Some(String::from_utf8_lossy(value).into());
            if is(option, "id") {
                filter.id = Some(
                    positive(value).ok_or(Error::new("ERR client-id should be greater than 0"))?,
                );
            } else if is(option, "maxage") {
                let age = parse_int(value)
                    .ok_or(Error::new("ERR maxage is not an integer or out of range"))?;
                let age = u64::try_from(age).ok().filter(|&age| age > 0);
                filter.age_min = Some(Duration::from_secs(
                    age.ok_or(Error::new("ERR maxage should be greater than 0"))?,
                ));
            } else if is(option, "type") {
                filter.kind = Some(ClientType::parse(value)?);
            } else if is(option, "addr") {
                filter.address = address();
            } else if is(option, "laddr") {
                filter.local_address = address();
            } else if is(option, "user") {
                if users.get(value).is_none() {
                    let value = &value[..value.len().min(USER_BYTES_MAX)];
                    return Err(Error::from_bytes(
                        [b"ERR No such user '", value, b"'"].concat(),
                    ));
                }
                filter.user = Some(value.into());
            } else if is(option, "skipme") && is(value, "yes") {
                filter.spared = Some(own_id);
            } else if is(option, "skipme") && is(value, "no") {
                filter.spared = None;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(filter)
    }

    fn fits(&self, client: &Client, now: Instant) -> bool {
        let id = client.session.id;
        self.spared != Some(id)
            && self.id.is_none_or(|wanted| wanted == id)
            && self
                .kind
                .is_none_or(|wanted| ClientType::of(client) == wanted)
            && self
                .address
                .as_ref()
                .is_none_or(|wanted| *wanted == client.peer.address)
            && self
                .local_address
                .as_ref()
                .is_none_or(|wanted| *wanted == client.peer.local_address)
            && self
                .user
                .as_ref()
                .is_none_or(|wanted| *wanted == client.session.identity.user().name)
            && self
                .age_min
                .is_none_or(|age| now.saturating_duration_since(client.connected_at) >= age)
    }
}

/// Bytes of a user's name that an error repeats at the most.
const USER_BYTES_MAX: usize = 128;

fn positive(text: &[u8]) -> Option<u64> {
    parse_int(text)
        .and_then(|number| u64::try_from(number).ok())
        .filter(|&number| number > 0)
}

/// `CLIENT KILL ip:port`: OK, or an error where there is no such connection. `CLIENT KILL option
/// value ...`: how many were closed.
pub fn kill(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let own_id = client.session.id;
    let old_form = args.len() == 3;
    let filter = if old_form {
        Filter {
            address: Some(String::from_utf8_lossy(&args[2]).into()),
            ..Filter::default()
        }
    } else {
        Filter::parse(args, own_id, &shard.connections.users)?
    };
    let shards = shard.engine.slots.all();
    let mode = cancel_mode_of(client);
    let visit = move |shard: &mut Shard, part| shard.kill_clients(&filter, own_id, mode, part);
    let finish = move |_: &mut Shard, parts: Vec<i64>, reply: &mut Reply<'_>| {
        let killed = parts.iter().sum::<i64>();
        if killed > 0 {
            info!(by = own_id, killed, "clients were killed");
        }
        match (killed, old_form) {
            (0, true) => return Err(Error::new("ERR No such client")),
            (_, true) => reply.ok(),
            (killed, false) => reply.integer(killed),
        }
        Ok(())
    };
    Ok(shard.gather_told(client, shards, visit, finish))
}

impl Shard {
    /// Closes those of this shard's connections that fit. Tells how many once none of them can be
    /// served with an element any more.
    fn kill_clients(&mut self, filter: &Filter, own_id: u64, mode: CancelMode, part: PartOf<i64>) {
        let (mut killed, mut waits) = (0, Vec::new());
        for (_, known) in &self.connections.clients {
            if let Ok(mut client) = known.client.try_borrow_mut()
                && filter.fits(&client, self.clock.instant)
            {
                let how = if client.session.id == own_id {
                    Closing::AfterReplies
                } else {
                    Closing::Now
                };
                client.close_for(CloseReason::Killed, how);
                waits.extend(client.blocked.map(|at| (client.token, at)));
                killed += 1;
            }
        }
        self.end_waits(waits, End::Gone, mode, move |shard| {
            part.tell(shard, killed)
        });
    }
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;

    use crate::client::Peer;
    use crate::client::identity::Identity;
    use engine::header::ClientToken;

    use super::*;

    fn parse(words: &str) -> Result<Filter, String> {
        let parts = ["client", "kill"].into_iter().chain(words.split(' '));
        let args = OwnedArgs::from_parts(parts.map(str::as_bytes));
        Filter::parse(&args.borrow(), 5, &Users::default())
            .map_err(|error| error.text().into_owned())
    }

    fn client(id: u64, address: &str) -> Client {
        let token = ClientToken {
            index: 0,
            generation: 1,
        };
        let peer = Peer {
            address: address.into(),
            local_address: "127.0.0.1:6379".into(),
            unix: false,
            socket: 9,
        };
        Client::new(
            token,
            id,
            peer,
            Identity::new(&Users::default()),
            Instant::now(),
        )
    }

    #[test]
    fn everything_given_must_fit() {
        let (own, other) = (client(5, "1.1.1.1:1"), client(6, "1.1.1.1:2"));
        for (words, kills_own, kills_other) in [
            ("type normal", false, true),
            ("type normal skipme no", true, true),
            ("ID 6", false, true),
            ("id 5", false, false),
            ("id 5 SKIPME NO", true, false),
            ("addr 1.1.1.1:2 user default", false, true),
            ("addr 1.1.1.1:2 id 7", false, false),
            ("laddr 127.0.0.1:6379", false, true),
            ("type pubsub skipme no", false, false),
            ("maxage 3600", false, false),
        ] {
            let filter = parse(words).expect("well formed");
            let now = Instant::now();
            assert_eq!(filter.fits(&own, now), kills_own, "{words}");
            assert_eq!(filter.fits(&other, now), kills_other, "{words}");
        }
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(
            parse("maxage 3600")
                .expect("well formed")
                .fits(&other, later)
        );
    }

    #[test]
    fn refusals_are_in_the_words_of_redis() {
        for (words, error) in [
            ("id 0", "ERR client-id should be greater than 0"),
            ("id x", "ERR client-id should be greater than 0"),
            ("type odd", "ERR Unknown client type 'odd'"),
            ("user bob", "ERR No such user 'bob'"),
            ("skipme maybe", "ERR syntax error"),
            ("id 1 addr", "ERR syntax error"),
            ("maxage 0", "ERR maxage should be greater than 0"),
            ("maxage x", "ERR maxage is not an integer or out of range"),
        ] {
            assert_eq!(parse(words).expect_err("refused"), error, "{words}");
        }
    }
}
