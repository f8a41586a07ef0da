//! How long a snapshot takes, and how long loading it and loading a log of as many SETs take,
//! beside Redis.
//!
//! Each server is filled once with its log on; then SAVE, and starts from the log alone and from
//! the snapshot alone, by turns. All servers may use both cores: Redis saves and loads with one
//! thread all the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::durable::Size;
use crate::process::Cores;
use crate::report::Table;
use crate::series::Spread;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, percore};
use crate::{Error, Result};

const SUBJECTS: &[Subject] = &[REDIS, percore(2)];

/// Of all servers here, and of their clients.
pub const CORES: Cores = "0,1";

/// percore's time is to be Redis's over this, at most.
const SPEED_MIN: f64 = 1.5;

/// After this, everything under `everysec` is in the file.
const WRITTEN_AFTER: Duration = Duration::from_millis(1_500);

/// A server with data, running or not.
pub struct Store {
    pub subject: Subject,
    directory: Arc<TempDir>,
    server: Option<Server>,
}

impl Store {
    /// Starts it anew from its log, or from its snapshot, and returns the seconds until it
    /// answered.
    fn restart(&mut self, selection: &Selection, from_log: bool, keys: u64) -> Result<f64> {
        self.server = None;
        let began = Instant::now();
        let server = start(selection, self.subject, &self.directory, from_log)?;
        let took = began.elapsed().as_secs_f64();
        let loaded: u64 = server.connect()?.ask(&[b"DBSIZE"])?.parse()?;
        self.server = Some(server);
        if loaded == keys {
            Ok(took)
        } else {
            let subject = self.subject;
            Err(format!("{subject} has {loaded} keys of {keys} after a start").into())
        }
    }

    /// The server, as it runs with its log on.
    pub fn with_log(&mut self, selection: &Selection, keys: u64) -> Result<&Server> {
        if self.server.is_none() {
            self.restart(selection, true, keys)?;
        }
        let server = self.server.as_ref();
        server.ok_or_else(|| Error::from("a server that was started is gone"))
    }
}

fn start(
    selection: &Selection,
    subject: Subject,
    directory: &Arc<TempDir>,
    with_log: bool,
) -> Result<Server> {
    let log = if with_log { "yes" } else { "no" };
    let flags =
        format!("--appendonly {log} --appendfsync everysec --auto-aof-rewrite-percentage 0");
    let flags: Vec<String> = flags.split(' ').map(str::to_owned).collect();
    Server::start_in(selection, subject, CORES, directory.clone(), &flags)
}

/// Servers that have `keys` keys each, and a log of as many SETs.
pub fn fill(selection: &Selection, keys: u64) -> Result<(Vec<Store>, Table)> {
    let title = format!("Saving and loading {keys} keys of 16 bytes with 16-byte values");
    let figures = [
        ("redis s", 2),
        ("percore-2 s", 2),
        ("ratio", 2),
        ("least", 2),
        ("most", 2),
        ("bound", 2),
    ];
    let mut table = Table::new(title, "what verdict", &figures);
    let mut stores = Vec::new();
    for subject in selection.subjects(SUBJECTS, &mut table)? {
        eprintln!("filling {subject}");
        let directory = Arc::new(tempfile::tempdir()?);
        let server = start(selection, subject, &directory, true)?;
        server.connect()?.fill(keys)?;
        std::thread::sleep(WRITTEN_AFTER);
        stores.push(Store {
            subject,
            directory,
            server: Some(server),
        });
    }
    Ok((stores, table))
}

/// Saves and loads so many times, by turns. Leaves the servers running, loaded from their logs.
pub fn measure(
    selection: &Selection,
    stores: &mut [Store],
    mut table: Table,
    size: &Size,
) -> Result<Vec<Table>> {
    const WHAT: [&str; 3] = ["SAVE", "loading the snapshot", "loading the log"];
    let mut took = vec![Vec::new(); WHAT.len() * SUBJECTS.len()];
    for repeat in 1..=size.repeats {
        for store in &mut *stores {
            let subject = store.subject;
            let Some(of) = SUBJECTS.iter().position(|it| *it == subject) else {
                continue;
            };
            eprintln!("saving and loading {repeat}/{}: {subject}", size.repeats);
            let mut connection = store.with_log(selection, size.keys)?.connect()?;
            let began = Instant::now();
            connection.ask(&[b"SAVE"])?;
            took[of].push(began.elapsed().as_secs_f64());
            for (at, from_log) in [(1, false), (2, true)] {
                let seconds = store.restart(selection, from_log, size.keys)?;
                took[at * SUBJECTS.len() + of].push(seconds);
            }
        }
    }
    for (at, what) in WHAT.iter().enumerate() {
        let [redis, ours] = [0, 1].map(|of| &took[at * SUBJECTS.len() + of]);
        let ratio = Spread::of(redis.iter().zip(ours).map(|(redis, ours)| redis / ours));
        let verdict = match ratio.median {
            ratio if ratio.is_nan() => "-",
            ratio if ratio >= SPEED_MIN => "holds",
            _ => "BROKEN",
        };
        let figures = [
            Spread::of(redis.iter().copied()).median,
            Spread::of(ours.iter().copied()).median,
            ratio.median,
            ratio.least,
            ratio.most,
            SPEED_MIN,
        ];
        table.row(&[what, &verdict], &figures);
    }
    table.note("seconds, medians; loading is from the start of the process to its first PONG; the files are in the system's cache");
    Ok(vec![table])
}
