//! CLIENT TRACKING and what belongs to it: whether a client with a cache hears of changes, and of
//! which. See [`crate::tracking`].

use bytes::Bytes;
use engine::commands::options::{Options, integer, is};
use engine::error::Error;
use engine::header::ClientAddress;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::{Client, Closing, Session};
use crate::dispatch::handler::Answer;
use crate::shard::Shard;
use crate::tracking::{Mode, Redirect, Tracking};

const NO_SUCH_CLIENT: Error = Error::new("ERR The client ID you want redirect to does not exist");

/// What CLIENT TRACKING asks for.
#[derive(Default, PartialEq, Eq, Debug)]
struct Request {
    on: bool,
    /// The id of a client. It has to exist even where tracking goes off, and before anything else
    /// is refused that comes behind it.
    redirect: Option<i64>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    noloop: bool,
    prefixes: Vec<Bytes>,
}

impl Request {
    /// Reads the options, and then the word in front of them, as Redis does. What went well before
    /// an error is in `self`.
    fn parse(&mut self, args: &Args<'_>) -> Result<(), Error> {
        let mut options = Options::new(args, 3);
        while let Some(word) = options.next() {
            let has_value = options.left() > 0;
            if is(word, "redirect") && has_value {
                let id = options.value()?;
                if self.redirect.is_some() {
                    return Err(Error::new(
                        "ERR A client can only redirect to a single other client",
                    ));
                }
                self.redirect = Some(integer(id)?);
            } else if is(word, "bcast") {
                self.broadcast = true;
            } else if is(word, "optin") {
                self.opt_in = true;
            } else if is(word, "optout") {
                self.opt_out = true;
            } else if is(word, "noloop") {
                self.noloop = true;
            } else if is(word, "prefix") && has_value {
                self.prefixes.push(Bytes::copy_from_slice(options.value()?));
            } else {
                return Err(Error::SYNTAX);
            }
        }
        self.on = is(&args[2], "on");
        if self.on || is(&args[2], "off") {
            Ok(())
        } else {
            Err(Error::SYNTAX)
        }
    }

    /// Whether the options go together, and with what is on already.
    fn check(&self, session: &Session) -> Result<(), Error> {
        if !self.on {
            return Ok(());
        }
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(Error::new(
                "ERR PREFIX option requires BCAST mode to be enabled",
            ));
        }
        if session.tracking.is_some() && session.broadcasts() != self.broadcast {
            return Err(Error::new(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
            ));
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(Error::new(
                "ERR OPTIN and OPTOUT are not compatible with BCAST",
            ));
        }
        if self.opt_in && self.opt_out {
            return Err(Error::new(
                "ERR You can't specify both OPTIN mode and OPTOUT mode",
            ));
        }
        let mode = session.tracking.as_ref().map(|tracking| tracking.mode);
        if (self.opt_in && mode == Some(Mode::OptOut))
            || (self.opt_out && mode == Some(Mode::OptIn))
        {
            return Err(Error::new(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
            ));
        }
        self.check_prefixes(session)
    }

    /// No key may begin with two prefixes of one client. (The empty prefix that stands for none is
    /// not looked at.)
    fn check_prefixes(&self, session: &Session) -> Result<(), Error> {
        for (at, prefix) in self.prefixes.iter().enumerate() {
            let tracking = session.tracking.as_ref();
            let mut known = tracking.into_iter().flat_map(|it| &it.prefixes);
            if let Some(known) = known.find(|known| overlap(known, prefix)) {
                return Err(overlapping(prefix, "an existing", known));
            }
            let mut later = self.prefixes[at + 1..].iter();
            if let Some(later) = later.find(|later| overlap(prefix, later)) {
                return Err(overlapping(prefix, "another provided", later));
            }
        }
        Ok(())
    }

    fn into_tracking(self, to: Option<ClientAddress>) -> Tracking {
        let mode = match self {
            Self {
                broadcast: true, ..
            } => Mode::Broadcast,
            Self { opt_in: true, .. } => Mode::OptIn,
            Self { opt_out: true, .. } => Mode::OptOut,
            _ => Mode::Reads,
        };
        let id = self.redirect.map_or(0, i64::cast_unsigned);
        Tracking {
            mode,
            noloop: self.noloop,
            redirect: to.map(|to| Redirect { id, to }),
            redirect_is_broken: false,
            prefixes: self.prefixes.into_iter().collect(),
        }
    }
}

fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// Redis shows prefixes up to the first zero byte.
fn overlapping(prefix: &[u8], which: &str, other: &[u8]) -> Error {
    let shown = |text: &[u8]| {
        let shown = text.split(|&byte| byte == 0).next();
        shown.unwrap_or_default().to_vec()
    };
    Error::from_bytes(
        [
            b"ERR Prefix '".as_slice(),
            &shown(prefix),
            b"' overlaps with ",
            which.as_bytes(),
            b" prefix '",
            &shown(other),
            b"'. Prefixes for a single client must not overlap.",
        ]
        .concat(),
    )
}

/// `CLIENT TRACKING ON | OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`
///
/// OK in broadcast mode once every shard knows the prefixes: no change that comes later is missed.
pub fn tracking(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let mut request = Request::default();
    let checked = request.parse(args);
    let checked = checked.and_then(|()| request.check(&client.session));
    let refused = checked.err();
    let broadcasts = refused.is_none() && request.on && request.broadcast;
    if request.redirect.is_none() && !broadcasts {
        if let Some(error) = refused {
            return Err(error);
        }
        apply(shard, client, request, None);
        reply.ok();
        return Ok(Answer::Now);
    }
    if broadcasts {
        if request.prefixes.is_empty() {
            request.prefixes.push(Bytes::new());
        }
        for prefix in &request.prefixes {
            let audience = &mut shard.hearers.trackers.audience;
            audience.join(prefix.clone(), client.token);
        }
    }
    let (token, home) = (client.token, shard.engine.id);
    let id = request.redirect;
    let prefixes = if broadcasts {
        request.prefixes.clone()
    } else {
        Vec::new()
    };
    let announced = prefixes.clone();
    let visit = move |shard: &mut Shard| {
        let known = &mut shard.engine.effects.invalidations.prefixes;
        prefixes.iter().for_each(|prefix| known.add(prefix, home));
        id.and_then(|id| shard.client_with_id(id))
    };
    Ok(shard.gather(client, visit, move |shard, found, reply| {
        let to = found.into_iter().flatten().next();
        let refused = match (id, to) {
            (Some(_), None) => Some(NO_SUCH_CLIENT),
            _ => refused,
        };
        let client = shard.client(token).cloned();
        match (client, refused) {
            (Some(client), None) => {
                apply(shard, &mut client.borrow_mut(), request, to);
                reply.ok();
                Ok(())
            }
            (client, refused) => {
                // What it tracks already stays.
                let kept = |prefix: &Bytes| {
                    client.as_ref().is_some_and(|client| {
                        let tracking = &client.borrow().session.tracking;
                        tracking
                            .as_ref()
                            .is_some_and(|it| it.prefixes.contains(prefix))
                    })
                };
                let left = announced.into_iter().filter(|prefix| !kept(prefix));
                shard.leave_audience(token, left.collect());
                refused.map_or(Ok(()), Err)
            }
        }
    }))
}

fn apply(shard: &mut Shard, client: &mut Client, request: Request, to: Option<ClientAddress>) {
    if request.on {
        shard.track(client, request.into_tracking(to))
    } else {
        shard.untrack(client)
    }
}

/// `CLIENT CACHING YES | NO`: about the command behind it, or the transaction.
pub fn caching(
    _: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let Some(tracking) = &client.session.tracking else {
        return Err(Error::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    let word = &args[2];
    let (mode, refusal) = if is(word, "yes") {
        (
            Mode::OptIn,
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        )
    } else if is(word, "no") {
        (
            Mode::OptOut,
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        )
    } else {
        return Err(Error::SYNTAX);
    };
    if tracking.mode != mode {
        return Err(Error::new(refusal));
    }
    client.session.set_caching(true);
    reply.ok();
    Ok(Answer::Now)
}

/// `CLIENT GETREDIR`: the id of the client that hears in this one's place, 0 where this one does,
/// -1 where none does.
pub fn getredir(
    _: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.integer(redirect_id(&client.session));
    Ok(Answer::Now)
}

/// What `CLIENT GETREDIR` answers.
pub fn redirect_id(session: &Session) -> i64 {
    let tracking = session.tracking.as_ref();
    tracking.map_or(-1, |tracking| tracking.redirect_id().cast_signed())
}

/// `CLIENT TRACKINGINFO`: a map of `flags`, `redirect` and `prefixes`.
pub fn trackinginfo(
    _: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let session = &client.session;
    let flags = flags(session);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect_id(session));
    reply.bulk(b"prefixes");
    let prefixes = session.tracking.iter().flat_map(|it| &it.prefixes);
    reply.array(prefixes.clone().count());
    prefixes.for_each(|prefix| reply.bulk(prefix));
    Ok(Answer::Now)
}

fn flags(session: &Session) -> Vec<&'static str> {
    let Some(tracking) = &session.tracking else {
        return vec!["off"];
    };
    let caching = session.caching;
    let flags = [
        (true, "on"),
        (tracking.mode == Mode::Broadcast, "bcast"),
        (tracking.mode == Mode::OptIn, "optin"),
        (tracking.mode == Mode::OptIn && caching, "caching-yes"),
        (tracking.mode == Mode::OptOut, "optout"),
        (tracking.mode == Mode::OptOut && caching, "caching-no"),
        (tracking.noloop, "noloop"),
        (tracking.redirect_is_broken, "broken_redirect"),
    ];
    let set = flags.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, name)| name).collect()
}

impl Shard {
    /// The connection of this shard with an id, if it is here.
    fn client_with_id(&self, id: i64) -> Option<ClientAddress> {
        let id = u64::try_from(id).ok()?;
        let token = self.connections.clients.iter().find_map(|(_, known)| {
            let client = known.client.try_borrow().ok()?;
            let is_it = client.session.id == id && client.closing != Some(Closing::Now);
            is_it.then_some(client.token)
        })?;
        Some(ClientAddress {
            home: self.engine.id,
            token,
        })
    }
}
