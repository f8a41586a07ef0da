//! What the shards listen on, and how that changes while the server runs.
//!
//! The binary opens sockets, because it knows addresses, rights and files; a shard only accepts
//! from them. When CONFIG SET changes `bind`, `port`, `tls-port` or `unixsocket`, the new sockets
//! listen before anything old is given up, so a change that fails leaves everything as it was. Each
//! shard then takes its own, and what it accepted from before is closed. Connections stay.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;

use config::Config;

use crate::accept::{self, Via};
use crate::executor::thread_group;
use crate::local_waker::LocalWaker;
use crate::shard::Shard;

/// A change that the machine did not allow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The parameter that is to blame.
    pub parameter: &'static str,
    /// Redis's words for it.
    pub why: &'static str,
}

/// What the binary does for CONFIG SET.
pub trait Host: Send + Sync {
    /// Makes the process go by `new` in place of `old`: its sockets, its title, what the kernel
    /// knows of it. On an error nothing has changed.
    fn change(&self, old: &Config, new: &Config) -> Result<Sockets, Refused>;
}

/// What is listened on from now on.
#[derive(Default)]
pub struct Sockets {
    /// `None` where that stays as it is.
    pub tcp: Option<Tcp<Vec<Vec<TcpListener>>>>,
    /// The TLS port's.
    pub tls: Option<Tcp<Vec<Vec<TcpListener>>>>,
    /// The Unix socket, which all shards share, if there is one. `None` where it stays as it is.
    pub unix: Option<Option<UnixListener>>,
}

/// The addresses that are listened on, and what is new among them. Those that stay are not opened
/// anew: who connects there meanwhile would be lost with the old socket.
pub struct Tcp<New> {
    pub addresses: Vec<SocketAddr>,
    /// Listeners: of each shard where it is for all.
    pub new: New,
}

impl Tcp<Vec<TcpListener>> {
    /// A shard's first listeners.
    pub(crate) fn first(listeners: Vec<TcpListener>) -> io::Result<Self> {
        let addresses = listeners.iter().map(TcpListener::local_addr);
        Ok(Self {
            addresses: addresses.collect::<io::Result<_>>()?,
            new: listeners,
        })
    }

    /// Adds a later change to one that nobody has taken yet.
    fn follow_with(this: &mut Option<Self>, later: Option<Self>) {
        if let Some(mut later) = later {
            if let Some(before) = this.take() {
                later.new.extend(before.new);
            }
            *this = Some(later);
        }
    }
}

impl Tcp<Vec<Vec<TcpListener>>> {
    /// Takes the next shard's part.
    fn next_part(&mut self) -> Tcp<Vec<TcpListener>> {
        Tcp {
            addresses: self.addresses.clone(),
            new: self.new.pop().unwrap_or_default(),
        }
    }
}

/// One shard's part of that.
#[derive(Default)]
pub(crate) struct Fresh {
    pub(crate) tcp: Option<Tcp<Vec<TcpListener>>>,
    pub(crate) tls: Option<Tcp<Vec<TcpListener>>>,
    pub(crate) unix: Option<Option<UnixListener>>,
}

impl Sockets {
    /// Each shard's part.
    fn divide(mut self, shards: usize) -> io::Result<Vec<Fresh>> {
        let part = |_| {
            let unix = self.unix.as_ref().map(|unix| {
                let unix = unix.as_ref().map(UnixListener::try_clone);
                unix.transpose()
            });
            Ok(Fresh {
                tcp: self.tcp.as_mut().map(Tcp::next_part),
                tls: self.tls.as_mut().map(Tcp::next_part),
                unix: unix.transpose()?,
            })
        };
        (0..shards).map(part).collect()
    }
}

impl Fresh {
    /// Adds a later change to one that nobody has taken yet.
    fn follow_with(&mut self, later: Self) {
        Tcp::follow_with(&mut self.tcp, later.tcp);
        Tcp::follow_with(&mut self.tls, later.tls);
        if later.unix.is_some() {
            self.unix = later.unix;
        }
    }
}

/// The way from CONFIG SET to the shards.
#[derive(Default)]
pub struct Exchange {
    host: OnceLock<Arc<dyn Host>>,
    /// Each shard's part of the last change, until it takes it.
    parts: Mutex<Vec<Fresh>>,
}

impl Exchange {
    /// Called once, before the shards begin.
    pub(crate) fn set_host(&self, host: Arc<dyn Host>) {
        let _ = self.host.set(host);
    }

    /// Makes the process go by `new`. Shards are still to be told. Called under the lock of the
    /// configuration, so one change follows another.
    pub(crate) fn change(&self, old: &Config, new: &Config) -> Result<(), Refused> {
        let Some(host) = self.host.get() else {
            return Ok(());
        };
        let sockets = host.change(old, new)?;
        if sockets.tcp.is_none() && sockets.tls.is_none() && sockets.unix.is_none() {
            return Ok(());
        }
        let fresh = sockets.divide(old.shards).map_err(|_| Refused {
            parameter: "port",
            why: "Unable to listen on this port. Check server logs.",
        })?;
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.resize_with(old.shards, Fresh::default);
        for (part, fresh) in parts.iter_mut().zip(fresh) {
            part.follow_with(fresh);
        }
        Ok(())
    }

    fn take(&self, shard: usize) -> Option<Fresh> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = parts.get_mut(shard).map(std::mem::take)?;
        let has_some = fresh.tcp.is_some() || fresh.tls.is_some() || fresh.unix.is_some();
        has_some.then_some(fresh)
    }
}

/// What one shard accepts from, and what it is to accept from next, until its task has seen it.
#[derive(Default)]
pub(crate) struct Listening {
    open: Vec<Open>,
    fresh: Option<Fresh>,
    waker: LocalWaker,
}

/// A listener that a task accepts from.
struct Open {
    /// `None` is the Unix socket.
    address: Option<(SocketAddr, Via)>,
    socket: OwnedFd,
    /// The task ends at the next error.
    over: Rc<Cell<bool>>,
}

impl Open {
    /// From here on nobody connects there, and its task ends.
    ///
    /// A ring that has an operation on a listener keeps it open until the kernel has taken the ring
    /// apart, some milliseconds after the process has gone: clients would connect to nobody, and be
    /// reset. Shutting it down takes effect at once.
    fn close(self) {
        self.over.set(true);
        // It fails only where it is shut already: the Unix socket, by another shard.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

impl Listening {
    /// Accepts no connection any more.
    pub(crate) fn end(&mut self) {
        self.open.drain(..).for_each(Open::close);
    }

    fn close_where(&mut self, gone: impl Fn(&Open) -> bool) {
        self.open
            .extract_if(.., |open| gone(open))
            .for_each(Open::close);
    }
}

impl Shard {
    /// Takes this shard's part of a change, if there was one.
    pub(crate) fn take_fresh_sockets(&mut self) {
        if let Some(fresh) = self.process.listening.take(self.engine.id.index()) {
            let pending = self.listening.fresh.get_or_insert_default();
            pending.follow_with(fresh);
            self.listening.waker.wake();
        }
    }
}

/// Accepts from what is new, and no more from what it replaces.
fn follow(shard: &Rc<RefCell<Shard>>, fresh: Fresh) -> io::Result<()> {
    for (via, tcp) in [(Via::Plain, fresh.tcp), (Via::Tls, fresh.tls)] {
        if let Some(tcp) = tcp {
            follow_tcp(shard, via, tcp)?;
        }
    }
    if let Some(listener) = fresh.unix {
        let is_unix = |open: &Open| open.address.is_none();
        shard.borrow_mut().listening.close_where(is_unix);
        if let Some(listener) = listener {
            let over = note_open(shard, None, listener.try_clone()?.into());
            let is_uring = shard.borrow().process.driver.is_uring();
            let listener = accept::Unix::new(listener, is_uring)?;
            drop(thread_group::spawn(accept::accept_unix(
                shard.clone(),
                listener,
                over,
            )));
        }
    }
    Ok(())
}

fn follow_tcp(
    shard: &Rc<RefCell<Shard>>,
    via: Via,
    Tcp { addresses, new }: Tcp<Vec<TcpListener>>,
) -> io::Result<()> {
    for listener in new {
        let address = listener.local_addr()?;
        let over = note_open(shard, Some((address, via)), listener.try_clone()?.into());
        let is_uring = shard.borrow().process.driver.is_uring();
        let listener = accept::Tcp::new(listener, is_uring)?;
        drop(thread_group::spawn(accept::accept_tcp(
            shard.clone(),
            listener,
            via,
            over,
        )));
    }
    let is_gone = |open: &Open| {
        open.address
            .is_some_and(|(address, of)| of == via && !addresses.contains(&address))
    };
    shard.borrow_mut().listening.close_where(is_gone);
    Ok(())
}

/// Keeps what ends a listener's task. Returns what says to that task that it is to end.
fn note_open(
    shard: &RefCell<Shard>,
    address: Option<(SocketAddr, Via)>,
    socket: OwnedFd,
) -> Rc<Cell<bool>> {
    let over = Rc::new(Cell::new(false));
    shard.borrow_mut().listening.open.push(Open {
        address,
        socket,
        over: over.clone(),
    });
    over
}

/// Lets a shard accept from `first`, and from what comes later in its place.
pub(crate) fn begin(shard: &Rc<RefCell<Shard>>, first: Fresh) -> io::Result<()> {
    follow(shard, first)?;
    drop(thread_group::spawn(follow_changes(shard.clone())));
    Ok(())
}

async fn follow_changes(shard: Rc<RefCell<Shard>>) {
    loop {
        let fresh = poll_fn(|cx| {
            let listening = &mut shard.borrow_mut().listening;
            match listening.fresh.take() {
                Some(fresh) => Poll::Ready(fresh),
                None => {
                    listening.waker.register(cx.waker());
                    Poll::Pending
                }
            }
        })
        .await;
        if let Err(error) = follow(&shard, fresh) {
            tracing::error!(%error, "cannot accept connections any more");
            return;
        }
    }
}
