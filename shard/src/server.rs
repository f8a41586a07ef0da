//! Starts the shards and waits for their end.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;
use std::thread::{self, JoinHandle};

use tracing::{Instrument, info, info_span};

use crate::config::{Config, LogLevel};
use crate::executor::{self, Driver};
use crate::mailbox::{BellReader, Doorbell, Ends, mesh};
use crate::memory::Ledger;
use crate::message::Message;
use crate::process::Process;
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::stop::StopHandle;
use crate::undertaker::Undertaker;
use crate::{accept, blocking, cron, turn};

/// What the process brings along.
pub struct Setup {
    pub config: Config,
    /// The file it was started with, for CONFIG REWRITE and INFO.
    pub config_file: Option<String>,
    /// The listeners of each shard.
    pub tcp: Vec<Vec<TcpListener>>,
    pub unix: Option<UnixListener>,
    /// Bytes that the calling thread has allocated and not freed.
    pub used_memory: fn() -> isize,
    /// Changes the level of the log while running.
    pub log_level: Box<dyn Fn(LogLevel) + Send + Sync>,
}

/// A running server.
pub struct Server {
    process: Arc<Process>,
    bells: Vec<Arc<Doorbell>>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Starts one thread a shard; returns when all of them serve, or with what stopped one.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let driver = Driver::probe(setup.config.io_driver)?;
        let shards = setup.config.shards;
        let memory = Arc::new(Ledger::new(shards, setup.used_memory));
        let process = Arc::new(Process::new(
            setup.config,
            setup.config_file,
            driver,
            Undertaker::start(memory.clone())?,
            memory,
            setup.log_level,
        ));
        let ends = mesh::<Message>(shards, driver.is_uring())?;
        let bells: Vec<_> = ends.iter().map(|ends| ends.mailbox.bell()).collect();
        let (ready, started) = channel();
        let mut threads = Vec::with_capacity(shards);
        let mut tcp = setup.tcp.into_iter();
        for (index, ends) in ends.into_iter().enumerate() {
            let seat = Seat {
                id: ShardId::new(index),
                process: process.clone(),
                ends,
                tcp: tcp.next().unwrap_or_default(),
                unix: setup
                    .unix
                    .as_ref()
                    .map(UnixListener::try_clone)
                    .transpose()?,
            };
            let ready = ready.clone();
            threads.push(
                thread::Builder::new()
                    .name(format!("shard-{index}"))
                    .spawn(move || seat.run(ready))?,
            );
        }
        drop(ready);
        for _ in 0..shards {
            started
                .recv()
                .unwrap_or_else(|_| Err(io::Error::other("a shard ended before it served")))?;
        }
        info!(
            shards,
            driver = driver.name(),
            "ready to accept connections"
        );
        Ok(Self {
            process,
            bells,
            threads,
        })
    }

    /// The driver that the shards run on.
    pub fn driver(&self) -> Driver {
        self.process.driver
    }

    /// A way to end the server from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::new(self.process.clone(), self.bells[0].clone())
    }

    /// Waits until all shards have ended.
    pub fn wait(self) -> io::Result<()> {
        for thread in self.threads {
            thread
                .join()
                .map_err(|_| io::Error::other("a shard panicked"))??;
        }
        Ok(())
    }
}

/// What one shard's thread starts with.
struct Seat {
    id: ShardId,
    process: Arc<Process>,
    ends: Ends<Message>,
    tcp: Vec<TcpListener>,
    unix: Option<UnixListener>,
}

impl Seat {
    fn run(self, ready: Sender<io::Result<()>>) -> io::Result<()> {
        executor::pin_thread(self.id.index(), self.process.slots.shards());
        let driver = self.process.driver;
        let span = info_span!("shard", id = self.id.index());
        let result = executor::block_on(driver, self.serve(&ready).instrument(span));
        let result = result.and_then(|served| served);
        if let Err(error) = &result {
            // Before the shard served, this is what `start` reports; afterwards nobody listens.
            let _ = ready.send(Err(io::Error::new(error.kind(), error.to_string())));
        }
        result
    }

    async fn serve(self, ready: &Sender<io::Result<()>>) -> io::Result<()> {
        let Ends { mailbox, outlets } = self.ends;
        let bell = BellReader::new(&mailbox.bell(), self.process.driver.is_uring())?;
        let config = self.process.current_config();
        let shard = Rc::new(RefCell::new(Shard::new(
            self.id,
            config,
            self.process,
            mailbox,
            outlets,
        )));
        let mut turns = monoio::spawn(turn::run(shard.clone(), bell));
        drop(monoio::spawn(cron::run(shard.clone())));
        drop(monoio::spawn(blocking::run_timer(shard.clone())));
        for listener in self.tcp {
            listener.set_nonblocking(true)?;
            let listener = monoio::net::TcpListener::from_std(listener)?;
            drop(monoio::spawn(accept::accept_tcp(shard.clone(), listener)));
        }
        if let Some(listener) = self.unix {
            listener.set_nonblocking(true)?;
            let listener = monoio::net::UnixListener::from_std(listener)?;
            drop(monoio::spawn(accept::accept_unix(shard.clone(), listener)));
        }
        let _ = ready.send(Ok(()));
        poll_fn(|cx| {
            if let Poll::Ready(result) = std::pin::Pin::new(&mut turns).poll(cx) {
                return Poll::Ready(result);
            }
            let mut shard = shard.borrow_mut();
            match shard.has_stopped() {
                true => Poll::Ready(Ok(())),
                false => {
                    shard.stop_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
