//! New connections: every shard accepts on listeners of its own and keeps what it accepts.

mod aside;
mod encrypted;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use acl::user::Passwords;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Split, Splitable};
use monoio::net::TcpStream;
use tracing::{Instrument, debug, debug_span, warn};

pub use self::aside::{Tcp, Unix};
use crate::client::identity::Identity;
use crate::client::{Client, Peer};
use crate::connection::{Served, serve};
use crate::executor::thread_group;
use crate::loading;
use crate::shard::Shard;

/// Pause after a failed accept (no descriptors left, say), so that it does not spin.
const RETRY_AFTER: Duration = Duration::from_millis(100);

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

const PROTECTED: &[u8] = b"-DENIED percore is running in protected mode because no password is set for the default user. In this mode \
connections are only accepted from the loopback interface. To connect from another host, set a password (--requirepass), or turn the \
protection off (--protected-mode no, or CONFIG SET protected-mode no from this host) if no untrusted network can reach it.\r\n";

/// What is spoken on a TCP port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// RESP.
    Plain,
    /// RESP within TLS.
    Tls,
}

/// Accepts TCP connections until `over`, or the server stops.
pub async fn accept_tcp(shard: Rc<RefCell<Shard>>, listener: Tcp, via: Via, over: Rc<Cell<bool>>) {
    loading::finished_or_long(&shard).await;
    loop {
        let accepted = listener.accept().await;
        if shard.borrow().stop.is_under_way {
            return;
        }
        match accepted {
            Ok((stream, address)) => match via {
                Via::Plain => admit_plain(&shard, stream, address),
                Via::Tls => encrypted::admit(&shard, stream, address),
            },
            Err(_) if over.get() => return,
            Err(error) => pause(&shard, &error).await,
        }
    }
}

/// Accepts connections of the Unix socket until `over`, or the server stops.
pub async fn accept_unix(shard: Rc<RefCell<Shard>>, listener: Unix, over: Rc<Cell<bool>>) {
    loading::finished_or_long(&shard).await;
    let path = shard
        .borrow()
        .engine
        .config
        .unixsocket
        .as_ref()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    loop {
        let accepted = listener.accept().await;
        if shard.borrow().stop.is_under_way {
            return;
        }
        match accepted {
            Err(_) if over.get() => return,
            Ok(stream) => {
                let name: Box<str> = format!("{path}:0").into();
                let peer = Peer {
                    address: name.clone(),
                    local_address: name,
                    unix: true,
                    socket: stream.as_raw_fd(),
                };
                match open(&shard, peer) {
                    Some(client) => {
                        begin(shard.clone(), client, stream);
                    }
                    None => drop(thread_group::spawn(turn_away(stream, TOO_MANY))),
                }
            }
            Err(error) => pause(&shard, &error).await,
        }
    }
}

async fn pause(shard: &RefCell<Shard>, error: &io::Error) {
    shard.borrow().tell_failed_accept(error);
    monoio::time::sleep(RETRY_AFTER).await;
}

fn admit_plain(shard: &Rc<RefCell<Shard>>, stream: TcpStream, address: SocketAddr) {
    if shard.borrow().is_protected_from(address) {
        let from = address.to_string();
        shard.borrow_mut().note_turned_away("protected-mode", &from);
        drop(thread_group::spawn(turn_away(stream, PROTECTED)));
        return;
    }
    match open(shard, peer(shard, &stream, address)) {
        Some(client) => begin(shard.clone(), client, stream),
        None => drop(thread_group::spawn(turn_away(stream, TOO_MANY))),
    }
}

/// Sets a socket's options. Returns what is known of its other end.
fn peer(shard: &RefCell<Shard>, stream: &TcpStream, address: SocketAddr) -> Peer {
    let keepalive_s = shard.borrow().engine.config.tcp_keepalive_s;
    let _ = stream.set_nodelay(true);
    if keepalive_s > 0 {
        let time = Duration::from_secs(u64::from(keepalive_s));
        let interval = Duration::from_secs(u64::from((keepalive_s / 3).max(1)));
        let _ = stream.set_tcp_keepalive(Some(time), Some(interval), Some(3));
    }
    let local_address = stream
        .local_addr()
        .map(|address| address.to_string())
        .unwrap_or_default()
        .into();
    Peer {
        address: address.to_string().into(),
        local_address,
        unix: false,
        socket: stream.as_raw_fd(),
    }
}

/// Begins a connection's task.
fn begin<S>(shard: Rc<RefCell<Shard>>, client: Rc<RefCell<Client>>, stream: S)
where
    S: AsyncReadRent + AsyncWriteRent + Split + 'static,
{
    let (read_half, write_half) = stream.into_split();
    let nothing = std::future::ready(());
    let served = Served {
        shard,
        client: client.clone(),
    };
    spawn(&client, serve(served, read_half, write_half, nothing));
}

/// Runs a connection's task, whose log lines name it.
fn spawn(client: &RefCell<Client>, task: impl Future<Output = ()> + 'static) {
    let id = client.borrow().session.id;
    let span = match debug_span!("client", id) {
        span if span.is_disabled() => thread_group::span(),
        span => span,
    };
    drop(monoio::spawn(task.instrument(span)));
}

/// Registers a connection, unless there are as many as there may be.
fn open(shard: &Rc<RefCell<Shard>>, peer: Peer) -> Option<Rc<RefCell<Client>>> {
    let mut shard = shard.borrow_mut();
    if shard.process.connections.fetch_add(1, Ordering::Relaxed)
        >= shard.engine.config.maxclients as usize
    {
        shard.process.connections.fetch_sub(1, Ordering::Relaxed);
        shard.note_turned_away("maxclients", &peer.address);
        return None;
    }
    shard.engine.stats.connections += 1;
    let identity = Identity::new(&shard.connections.users);
    let restricted = identity.restricted_user().cloned();
    let client = shard.register(|token, id| Client::new(token, id, peer, identity, Instant::now()));
    if let Some(user) = restricted {
        let token = client.borrow().token;
        shard.engine.restricted.set(token, Some(&user));
    }
    debug!(client = client.borrow().session.id, address = %client.borrow().peer.address, "connection opened");
    Some(client)
}

async fn turn_away<S: monoio::io::AsyncWriteRent>(mut stream: S, why: &'static [u8]) {
    // The client is leaving either way.
    let _ = stream.write_all(why).await;
}

impl Shard {
    fn tell_failed_accept(&self, error: &io::Error) {
        if let Some(left_out) = self.measured.log_limits.limits.admit(self.second()) {
            warn!(%error, left_out, "could not accept a connection");
        }
    }

    /// A connection is not let in, because of this parameter.
    fn note_turned_away(&mut self, parameter: &str, address: &str) {
        self.engine.stats.rejected_connections += 1;
        if let Some(left_out) = self.measured.log_limits.limits.admit(self.second()) {
            warn!(parameter, address, left_out, "turning a connection away");
        }
    }

    /// Protected mode: without a password, only this host may connect.
    fn is_protected_from(&self, address: SocketAddr) -> bool {
        self.engine.config.protected_mode
            && self.connections.users.default_user().passwords == Passwords::Any
            && !address.ip().to_canonical().is_loopback()
    }
}
