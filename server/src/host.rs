//! What CONFIG SET changes about the process: its sockets, its title, its score for the kernel.

use std::sync::{Mutex, PoisonError};

use config::Config;
use shard::{Host, Refused, Sockets};
use tracing::warn;

use crate::Failure;
use crate::listeners::{self, Addresses, Port, UnixSocketFile};
use crate::oom::Oom;
use crate::title::Title;

const CANNOT_BIND: &str = "Failed to bind to specified addresses.";
const CANNOT_LISTEN: &str = "Unable to listen on this port. Check server logs.";
const CANNOT_OPEN: &str = "Unable to listen on this socket. Check server logs.";
const CANNOT_SCORE: &str = "Failed to apply new oom_score_adj configuration, check server logs.";

/// The process as the system sees it.
pub struct Process {
    title: Title,
    oom: Oom,
    /// What it listens on.
    addresses: Mutex<Addresses>,
    /// Removed at the end, or when another takes its place.
    socket_file: Mutex<Option<UnixSocketFile>>,
}

impl Process {
    /// Nothing is changed yet.
    pub fn new(title: Title, addresses: Addresses, socket_file: Option<UnixSocketFile>) -> Self {
        Self {
            title,
            oom: Oom::default(),
            addresses: Mutex::new(addresses),
            socket_file: Mutex::new(socket_file),
        }
    }

    /// Goes by what the server starts with. What the system does not allow is logged.
    pub fn begin(&self, config: &Config) {
        if let Err(error) = self.oom.follow(config) {
            warn!(%error, "cannot set oom-score-adj; it may need privileges");
        }
    }

    /// Removes the file of the Unix socket before, if another is kept in its place.
    fn keep_socket_file(&self, file: Option<UnixSocketFile>) {
        let mut kept = self
            .socket_file
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        drop(std::mem::replace(&mut *kept, file));
    }
}

impl Host for Process {
    fn change(&self, old: &Config, new: &Config) -> Result<Sockets, Refused> {
        let mut sockets = Sockets::default();
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let reopen = |port: Port| {
            let opened = listeners::reopen(old, new, &addresses, port);
            opened.map_err(|failure| {
                let moves = port.number(new) != port.number(old);
                let (parameter, why) = match port.parameter() {
                    parameter if moves => (parameter, CANNOT_LISTEN),
                    _ => ("bind", CANNOT_BIND),
                };
                refused(parameter, why)(failure)
            })
        };
        sockets.tcp = reopen(Port::Plain)?;
        sockets.tls = reopen(Port::Tls)?;
        let mut file = None;
        let moves = new.unixsocket != old.unixsocket;
        if moves {
            let opened = listeners::open_unix_socket(new);
            let (unix, its_file) = opened.map_err(refused("unixsocket", CANNOT_OPEN))?.unzip();
            sockets.unix = Some(unix);
            file = its_file;
        }
        self.oom.follow(new).map_err(|error| {
            warn!(%error, "cannot set oom-score-adj");
            Refused {
                parameter: "oom-score-adj",
                why: CANNOT_SCORE,
            }
        })?;
        // Nothing fails from here on.
        if moves {
            self.keep_socket_file(file);
        }
        if self.title.text(old) != self.title.text(new) {
            self.title.show(new);
        }
        addresses.follow(&sockets);
        Ok(sockets)
    }
}

fn refused(parameter: &'static str, why: &'static str) -> impl FnOnce(Failure) -> Refused {
    move |failure| {
        warn!(reason = %failure, "the configuration stays as it was");
        Refused { parameter, why }
    }
}
