//! Starts the shards and waits for their end.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use acl::users::Users;
use config::Config;
use engine::ledger::Ledger;
use engine::slot::ShardId;
use persistence::data_lock;
use persistence::manifest::Folder;
use tracing::{Instrument, info};

use crate::executor::{self, Driver, thread_group};
use crate::listening::{self, Fresh, Host, Tcp};
use crate::mailbox::doorbell::Doorbell;
use crate::mailbox::links::Links;
use crate::mailbox::message::Message;
use crate::mailbox::{Ends, mesh};
use crate::memory::lazyfree::Lazyfree;
use crate::metrics::Metrics;
use crate::permitted::Permitted;
use crate::process::{Outside, Process};
use crate::shard::Shard;
use crate::stop::StopHandle;
use crate::tls::InForce;
use crate::{aof, blocking, cron, loading, snapshot, stop, turn};

/// Between two looks whether the log has been read.
const DELIVERY_AWAITED: Duration = Duration::from_millis(5);

/// What the process brings along.
pub struct Setup {
    pub config: Config,
    /// Who there is at first, and may do what.
    pub users: Users,
    /// The file it was started with, for CONFIG REWRITE and INFO.
    pub config_file: Option<String>,
    /// The listeners of each shard.
    pub tcp: Vec<Vec<TcpListener>>,
    /// Those of the TLS port.
    pub tls: Vec<Vec<TcpListener>>,
    pub unix: Option<UnixListener>,
    /// What CONFIG SET changes about the process.
    pub host: Arc<dyn Host>,
    pub outside: Outside,
}

/// A running server.
pub struct Server {
    process: Arc<Process>,
    bells: Vec<Arc<Doorbell>>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Starts the threads; returns when all shards serve, or with what stopped one.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let permitted = Permitted::find();
        let driver = Driver::probe(setup.config.io_driver, permitted.ring)?;
        let shards = setup.config.shards;
        let memory = Arc::new(Ledger::new(shards, setup.outside.allocator.used_bytes));
        let process = Arc::new(Process::new(
            setup.config,
            setup.users,
            setup.config_file,
            (driver, permitted),
            Lazyfree::start(memory.clone())?,
            memory,
            setup.outside,
        ));
        process.listening.set_host(setup.host);
        // Before anything is read: a log that another writes is not to be mended.
        process
            .data_locks
            .take(&process.current_config(), data_lock::AT_START)
            .map_err(unusable)?;
        let settings = InForce::read(&process.current_config());
        process.tls.replace(settings.map_err(|error| {
            unusable(io::Error::other(format!(
                "Failed to configure TLS. {error}"
            )))
        })?);
        let ends = mesh::<Message>(shards, driver.is_uring())?;
        let bells: Vec<_> = ends.iter().map(Ends::bell).collect();
        // Set once, here.
        let _ = process.first_bell.set(bells[0].clone());
        let (ready, started) = channel();
        let some = |listeners: &[Vec<TcpListener>]| listeners.iter().any(|it| !it.is_empty());
        let listens_on = [
            ("tcp", some(&setup.tcp)),
            ("unix", setup.unix.is_some()),
            ("tls", some(&setup.tls)),
        ];
        let (mut tcp, mut tls) = (setup.tcp.into_iter(), setup.tls.into_iter());
        let inits = ends.into_iter().enumerate().map(|(index, ends)| {
            let unix = setup.unix.as_ref().map(UnixListener::try_clone);
            Ok(ShardInit {
                id: ShardId::new(index),
                process: process.clone(),
                ends,
                tcp: tcp.next().unwrap_or_default(),
                tls: tls.next().unwrap_or_default(),
                unix: unix.transpose()?,
                ready: ready.clone(),
            })
        });
        let mut inits = inits.collect::<io::Result<Vec<_>>>()?.into_iter();
        drop(ready);
        let groups = process.thread_groups;
        let mut threads = Vec::with_capacity(groups.threads());
        for thread in 0..groups.threads() {
            let shards = groups.of_thread(thread);
            let group: Vec<ShardInit> = inits.by_ref().take(shards.len()).collect();
            let process = process.clone();
            let run = move || run_group(&process, thread, group);
            let name = format!("shard-{}", shards.start);
            threads.push(thread::Builder::new().name(name).spawn(run)?);
        }
        if process.current_config().appendonly {
            let delivered = aof::start::load(&process).map_err(unusable)?;
            *lock(&process.delivered) = delivered.into_iter().map(Some).collect();
        }
        for _ in 0..shards {
            started
                .recv()
                .unwrap_or_else(|_| Err(io::Error::other("a shard ended before it served")))?;
        }
        // Redis's words, which people's scripts and test helpers wait for.
        let (on, driver) = (groups.threads(), driver.name());
        for (name, _) in listens_on.into_iter().filter(|(_, listens)| *listens) {
            info!(
                shards,
                threads = on,
                driver,
                "Ready to accept connections {name}"
            );
        }
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

    /// A way to ask for the metrics from any thread.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.process.clone())
    }

    /// Waits until all shards have ended. What was to be saved is saved by then.
    pub fn wait(self) -> io::Result<()> {
        for thread in self.threads {
            let joined = thread.join();
            joined.map_err(|_| io::Error::other("a shard panicked"))??;
        }
        self.process.snapshots.give_up();
        self.process.data_locks.remove_files();
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What there is cannot be used, and says why.
fn unusable(why: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Reads the data files, while connections are told to wait.
async fn load(shard: &Rc<RefCell<Shard>>) -> io::Result<()> {
    let (config, process, id) = {
        let shard = shard.borrow();
        (
            shard.engine.config.clone(),
            shard.process.clone(),
            shard.engine.id,
        )
    };
    if config.appendonly {
        // Another thread reads the log for all; this one tells clients so meanwhile.
        let databases = loop {
            let delivered = lock(&process.delivered)
                .get_mut(id.index())
                .and_then(Option::take);
            match delivered {
                Some(databases) => break databases,
                None => monoio::time::sleep(DELIVERY_AWAITED).await,
            }
        };
        let mut shard = shard.borrow_mut();
        for (db, key) in aof::replay::hashes_with_deadlines(&databases) {
            shard.engine.effects.fields.note(db, &key);
        }
        shard.engine.databases = databases;
        let part = lock(&process.manifest).parts.last().copied();
        if let Some(part) = part {
            let folder = Folder::new(&process.disk, &config);
            shard.open_log(folder.part(part.sequence, id.index()));
        }
    } else {
        let path = config.dir.join(&config.dbfilename);
        loading::load(shard, &path).await.map_err(unusable)?;
    }
    shard.borrow_mut().loaded();
    loading::finished(shard).await;
    Ok(())
}

/// Runs the shards of one thread until they have ended.
fn run_group(process: &Process, thread: usize, inits: Vec<ShardInit>) -> io::Result<()> {
    if process.permitted.affinity {
        executor::pin_thread(thread, process.thread_groups.threads());
    }
    let ready = inits.first().map(|init| init.ready.clone());
    let mark = match &*inits {
        [alone] => Some(thread_group::mark_thread(alone.id)),
        _ => None,
    };
    let is_marked = mark.is_some();
    let serve = async {
        let shards: Vec<_> = inits
            .into_iter()
            .map(|init| {
                let span = if is_marked {
                    thread_group::span()
                } else {
                    thread_group::span_of(init.id)
                };
                monoio::spawn(init.run().instrument(span))
            })
            .collect();
        for shard in shards {
            shard.await?;
        }
        Ok(())
    };
    executor::block_on(process.driver, serve).unwrap_or_else(|error| {
        // There is no executor.
        let told = ready.map(|ready| ready.send(Err(same(&error))));
        drop(told);
        Err(error)
    })
}

/// An error to hand on.
fn same(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// What one shard starts with.
struct ShardInit {
    id: ShardId,
    process: Arc<Process>,
    ends: Ends<Message>,
    tcp: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    unix: Option<UnixListener>,
    /// Where it says that it serves, or what keeps it from that.
    ready: Sender<io::Result<()>>,
}

impl ShardInit {
    async fn run(self) -> io::Result<()> {
        let ready = self.ready.clone();
        let result = self.serve().await;
        if let Err(error) = &result {
            // Before the shard served, this is what `start` reports; afterwards nobody listens.
            let _ = ready.send(Err(same(error)));
        }
        result
    }

    async fn serve(self) -> io::Result<()> {
        let (inbox, outlets) = self.ends.open(self.process.driver.is_uring())?;
        let links = Links::new(inbox.incoming(), outlets, self.process.slots.shards());
        let config = self.process.current_config();
        let shard = Rc::new(RefCell::new(Shard::new(
            self.id,
            config,
            self.process,
            links,
        )));
        {
            let shard = shard.borrow();
            let startup_memory = &shard.process.startup_memory;
            startup_memory.fetch_add(shard.used_by_thread(), Ordering::Relaxed);
        }
        {
            let mut shard = shard.borrow_mut();
            shard.engine.admission.loading = true;
            let config = shard.engine.config.clone();
            shard.engine.admission.settle(&config);
        }
        let mut turns = thread_group::spawn(turn::run(shard.clone(), inbox));
        drop(thread_group::spawn(cron::run(shard.clone())));
        drop(thread_group::spawn(blocking::run_timer(shard.clone())));
        drop(thread_group::spawn(snapshot::walk::walk(shard.clone())));
        drop(thread_group::spawn(aof::writer::run(shard.clone())));
        let sockets = Fresh {
            tcp: Some(Tcp::first(self.tcp)?),
            tls: Some(Tcp::first(self.tls)?),
            unix: Some(self.unix),
        };
        listening::begin(&shard, sockets)?;
        self::load(&shard).await?;
        let _ = self.ready.send(Ok(()));
        let ended: io::Result<()> = poll_fn(|cx| {
            if let Poll::Ready(result) = std::pin::Pin::new(&mut turns).poll(cx) {
                return Poll::Ready(result);
            }
            let mut shard = shard.borrow_mut();
            if shard.has_stopped() {
                Poll::Ready(Ok(()))
            } else {
                shard.stop.waker.register(cx.waker());
                Poll::Pending
            }
        })
        .await;
        stop::sockets_closed().await;
        // The process ends: to free every key would take seconds, and the system does it at once.
        mem::forget(shard);
        ended
    }
}
