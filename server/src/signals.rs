//! SIGTERM and SIGINT end the server cleanly; a second one at once. SIGHUP is ignored, as Redis does: a terminal that closes ends nothing.
//! SIGXFSZ is ignored too: a file that may not grow any more is an error of the write, as on a full disk, and not the end.

use std::io;
use std::thread;

use shard::StopHandle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use signal_hook::iterator::Signals;
use tracing::{info, warn};

/// From here on signals do not kill the process; they wait for [`stop_on`].
pub fn catch() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ])
}

/// Lets signals, those that came already too, end the server that `stop` belongs to, for as long as the process lives.
pub fn stop_on(mut signals: Signals, stop: StopHandle) -> io::Result<()> {
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGHUP => info!("SIGHUP is ignored"),
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
