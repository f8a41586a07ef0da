//! `supervised systemd`: tells the service manager when clients may come, as its units of type
//! `notify` wait for.
//!
//! What is said is a datagram to the socket that `NOTIFY_SOCKET` names (sd_notify(3)).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use config::{Config, Supervised};
use tracing::warn;

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Says that connections are accepted, where somebody wants to know.
pub fn tell_ready(config: &Config) {
    let told = match (config.supervised, std::env::var_os(NOTIFY_SOCKET)) {
        (Supervised::No, _) | (Supervised::Auto, None) => Ok(()),
        (_, Some(path)) => tell(&path, "STATUS=Ready to accept connections\nREADY=1\n"),
        (_, None) => Err(io::Error::other("NOTIFY_SOCKET is not set")),
    };
    if let Err(error) = told {
        warn!(%error, "cannot tell the service manager that percore is ready; is the unit of Type=notify?");
    }
}

fn tell(path: &OsStr, text: &str) -> io::Result<()> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(text.as_bytes(), &address)
        .map(|_| ())
}
