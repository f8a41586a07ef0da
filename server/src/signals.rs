//! SIGTERM and SIGINT end the server as `shutdown-on-sigterm` and `shutdown-on-sigint` say, and a
//! second SIGINT at once, as in Redis. SIGHUP opens the log's file anew and ends nothing: a
//! terminal that closes sends it. SIGXFSZ is ignored: a file that may not grow any more is an error
//! of the write, as on a full disk, and not the end.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;

use shard::{EndSignal, StopHandle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use signal_hook::iterator::Signals;
use tracing::{info, warn};

use crate::leftovers;
use crate::logs::Reopen;

/// What signals end, once there is something to end in good order.
#[derive(Clone, Default)]
pub struct Ends(Arc<OnceLock<StopHandle>>);

impl Ends {
    /// From now on the server that `stop` belongs to is ended in good order.
    pub fn in_order(&self, stop: StopHandle) {
        // There is one server.
        let _ = self.0.set(stop);
    }
}

/// From here on signals do not kill the process. While it starts, and reads its files, they end it
/// at once: what is in memory is not all, and the files have it.
pub fn catch(log_file: Reopen) -> io::Result<Ends> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ])?;
    let ends = Ends::default();
    let known = ends.clone();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGHUP => reopen(&log_file),
                    SIGXFSZ => warn!("a file has reached the limit of its size (ulimit -f)"),
                    SIGINT => end(known.0.get(), EndSignal::Interrupt),
                    _ => end(known.0.get(), EndSignal::Term),
                }
            }
        })?;
    Ok(ends)
}

fn end(stop: Option<&StopHandle>, signal: EndSignal) {
    let name = match signal {
        EndSignal::Term => "SIGTERM",
        EndSignal::Interrupt => "SIGINT",
    };
    let Some(stop) = stop else {
        info!(
            signal = name,
            "asked to stop while starting: ending at once"
        );
        return leftovers::exit(0);
    };
    if !stop.is_asked_for() {
        info!(signal = name, "asked to stop");
        stop.stop(signal);
    } else if signal == EndSignal::Interrupt {
        warn!("asked to stop a second time: ending at once");
        leftovers::exit(1);
    } else {
        info!(signal = name, "asked to stop while stopping");
    }
}

fn reopen(log_file: &Reopen) {
    match log_file.reopen() {
        Ok(true) => info!(signal = "SIGHUP", "opened the log file anew"),
        Ok(false) => info!("SIGHUP is ignored: there is no log file to open anew"),
        Err(error) => {
            warn!(%error, "cannot open the log file anew: lines go where they went");
        }
    }
}
