//! SIGTERM and SIGINT end the server cleanly; a second one at once. SIGHUP opens the log's file
//! anew and ends nothing: a terminal that closes sends it. SIGXFSZ is ignored too: a file that may
//! not grow any more is an error of the write, as on a full disk, and not the end.

use std::io;
use std::thread;

use shard::StopHandle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use signal_hook::iterator::Signals;
use tracing::{info, warn};

use crate::logs::Reopen;

/// From here on signals do not kill the process; they wait for [`stop_on`].
pub fn catch() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ])
}

/// Lets signals, those that came already too, end the server that `stop` belongs to, or rotate its
/// log, for as long as the process lives.
pub fn stop_on(mut signals: Signals, stop: StopHandle, log_file: Reopen) -> io::Result<()> {
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGHUP => reopen(&log_file),
                    SIGXFSZ => warn!("a file has reached the limit of its size (ulimit -f)"),
                    _ if stop.is_asked_for() => {
                        warn!("asked to stop a second time: ending at once");
                        std::process::exit(1);
                    }
                    _ => {
                        let name = if signal == SIGINT {
                            "SIGINT"
                        } else {
                            "SIGTERM"
                        };
                        info!(signal = name, "asked to stop");
                        stop.stop();
                    }
                }
            }
        })?;
    Ok(())
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
