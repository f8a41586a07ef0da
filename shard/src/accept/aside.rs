//! Listeners that no ring holds.
//!
//! An operation in flight keeps its file open until the kernel has taken its ring apart, which it
//! begins when the process has gone: a killed server's port took connections for some milliseconds
//! more, and reset them. So the ring waits for an epoll instance that watches the listener, and
//! holds that alone; the listener closes with the process. A connection costs one system call more.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use monoio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use rustix::event::epoll;

/// A listener, and who tells that somebody is there.
pub struct Aside<L> {
    listener: L,
    /// The epoll instance, as something whose readiness the executor waits for.
    readiness: UnixStream,
}

impl<L: AsFd> Aside<L> {
    /// Must be called on the shard's own executor, with a listener that does not block.
    fn new(listener: L) -> io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // All shards have the same Unix socket: one of them is enough for a connection.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
        epoll::add(&poll, &listener, epoll::EventData::new_u64(0), flags)?;
        let readiness = UnixStream::from_std(StdUnixStream::from(poll))?;
        Ok(Self {
            listener,
            readiness,
        })
    }

    async fn accept<S>(&self, accept: impl Fn(&L) -> io::Result<S>) -> io::Result<S> {
        loop {
            self.readiness.readable(false).await?;
            match accept(&self.listener) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return accepted,
            }
        }
    }
}

/// Where TCP connections come from.
pub enum Tcp {
    /// With io_uring.
    Aside(Aside<std::net::TcpListener>),
    /// The epoll driver holds nothing.
    Driver(TcpListener),
}

impl Tcp {
    /// Must be called on the shard's own executor.
    pub fn new(listener: std::net::TcpListener, uring: bool) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(if uring {
            Self::Aside(Aside::new(listener)?)
        } else {
            Self::Driver(TcpListener::from_std(listener)?)
        })
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, std::net::SocketAddr)> {
        match self {
            Self::Driver(listener) => listener.accept().await,
            Self::Aside(aside) => {
                let (stream, address) = aside.accept(std::net::TcpListener::accept).await?;
                Ok((TcpStream::from_std(stream)?, address))
            }
        }
    }
}

/// Where connections of the Unix socket come from.
pub enum Unix {
    Aside(Aside<std::os::unix::net::UnixListener>),
    Driver(UnixListener),
}

impl Unix {
    /// Must be called on the shard's own executor.
    pub fn new(listener: std::os::unix::net::UnixListener, uring: bool) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(if uring {
            Self::Aside(Aside::new(listener)?)
        } else {
            Self::Driver(UnixListener::from_std(listener)?)
        })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        match self {
            Self::Driver(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Aside(aside) => {
                let accept = std::os::unix::net::UnixListener::accept;
                let (stream, _) = aside.accept(accept).await?;
                UnixStream::from_std(stream)
            }
        }
    }
}
