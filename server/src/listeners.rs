//! The sockets: for each address one listener a shard, which share the port through SO_REUSEPORT so
//! that the kernel spreads connections, and one Unix socket for all.
//!
//! SO_REUSEPORT would let a second percore of the same user take half of the connections unnoticed.
//! So each address is first bound without it.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use config::Config;
use rustix::io::Errno;
use shard::{Sockets, Tcp};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tracing::{info, warn};

use crate::Failure;
use crate::leftovers;

/// Scrapers that may wait to be served.
const METRICS_BACKLOG: i32 = 16;

/// Everything that clients may connect to.
pub struct Listeners {
    /// Of each shard, one an address.
    pub tcp: Vec<Vec<TcpListener>>,
    /// Of each shard, too, for TLS.
    pub tls: Vec<Vec<TcpListener>>,
    pub unix: Option<(UnixListener, UnixSocketFile)>,
}

/// A TCP port that commands come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    Plain,
    Tls,
}

impl Port {
    /// Its number; 0 where there is none.
    pub fn number(self, config: &Config) -> u16 {
        match self {
            Self::Plain => config.port,
            Self::Tls => config.tls_port,
        }
    }

    pub fn parameter(self) -> &'static str {
        match self {
            Self::Plain => "port",
            Self::Tls => "tls-port",
        }
    }
}

/// Where the server listens.
#[derive(Default)]
pub struct Addresses {
    plain: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
}

impl Addresses {
    /// Those of all shards' listeners, which are those of the first one.
    pub fn of(plain: &[Vec<TcpListener>], tls: &[Vec<TcpListener>]) -> Self {
        let addresses = |of: &[Vec<TcpListener>]| {
            let first = of.first().into_iter().flatten();
            let addresses = first.flat_map(|listener| listener.local_addr());
            addresses.collect()
        };
        Self {
            plain: addresses(plain),
            tls: addresses(tls),
        }
    }

    fn on(&self, port: Port) -> &[SocketAddr] {
        match port {
            Port::Plain => &self.plain,
            Port::Tls => &self.tls,
        }
    }

    /// Notes what has changed.
    pub fn follow(&mut self, sockets: &Sockets) {
        if let Some(tcp) = &sockets.tcp {
            self.plain.clone_from(&tcp.addresses);
        }
        if let Some(tls) = &sockets.tls {
            self.tls.clone_from(&tls.addresses);
        }
        let changes = sockets.tcp.is_some() || sockets.tls.is_some();
        if changes && self.plain.is_empty() && self.tls.is_empty() {
            info!("listening on no port any more");
        }
    }
}

/// The Unix socket's file, which is removed when this is dropped, and when the process ends.
pub struct UnixSocketFile(PathBuf);

impl UnixSocketFile {
    fn new(path: PathBuf) -> Self {
        leftovers::add(path.clone());
        Self(path)
    }
}

impl Drop for UnixSocketFile {
    fn drop(&mut self) {
        leftovers::remove_one(&self.0);
    }
}

/// Opens what the configuration asks for.
pub fn open(config: &Config) -> Result<Listeners, Failure> {
    if config.port == config.tls_port && config.port != 0 {
        return Err(the_same(config.port));
    }
    let open = |port: Port| {
        let addresses = match port.number(config) {
            0 => Vec::new(),
            number => bindable(config, number, port.parameter())?,
        };
        listen_each(config, addresses.into_iter(), port)
    };
    let (tcp, tls) = (open(Port::Plain)?, open(Port::Tls)?);
    let unix = open_unix_socket(config)?;
    if tcp.iter().chain(&tls).all(Vec::is_empty) && unix.is_none() {
        return Err(Failure(
            "there is nothing to listen on; give a --port, a --tls-port, a --bind address or a --unixsocket"
                .into(),
        ));
    }
    Ok(Listeners { tcp, tls, unix })
}

/// Opens one listener a shard for each address.
fn listen_each(
    config: &Config,
    addresses: impl Iterator<Item = SocketAddr>,
    port: Port,
) -> Result<Vec<Vec<TcpListener>>, Failure> {
    let mut of_shards: Vec<Vec<TcpListener>> = (0..config.shards).map(|_| Vec::new()).collect();
    for address in addresses {
        for listeners in &mut of_shards {
            listeners.push(
                listen(address, config.tcp_backlog, true)
                    .map_err(|error| refused(address, &error, port.parameter()))?,
            );
        }
        match port {
            Port::Plain => info!(%address, "listening"),
            Port::Tls => info!(%address, "listening, with TLS"),
        }
    }
    Ok(of_shards)
}

fn the_same(port: u16) -> Failure {
    Failure(format!(
        "port and tls-port are both {port}; choose another one with --tls-port, or --port 0"
    ))
}

/// Opens the listeners of `new` on one of its ports, all or none, for a server that listens by
/// `old`: the addresses `now` that stay are left alone. `None` where all stay.
pub fn reopen(
    old: &Config,
    new: &Config,
    now: &Addresses,
    port: Port,
) -> Result<Option<Tcp<Vec<Vec<TcpListener>>>>, Failure> {
    let number = port.number(new);
    if (&new.bind, number) == (&old.bind, port.number(old)) {
        return Ok(None);
    }
    if new.port == new.tls_port && number != 0 {
        return Err(the_same(number));
    }
    // On a port of this server whether another has an address, too, cannot be asked.
    let shared = [old.port, old.tls_port].contains(&number);
    let now = now.on(port);
    let free = |address: SocketAddr| {
        if now.contains(&address) {
            Ok(())
        } else {
            bound(address, shared).map(drop)
        }
    };
    let addresses = match number {
        0 => Vec::new(),
        number => available(new, number, port.parameter(), free)?,
    };
    let others = addresses.iter().filter(|address| !now.contains(address));
    let opened = listen_each(new, others.copied(), port)?;
    Ok(Some(Tcp {
        addresses,
        new: opened,
    }))
}

/// Opens the Unix socket that the configuration names, if it names one.
pub fn open_unix_socket(
    config: &Config,
) -> Result<Option<(UnixListener, UnixSocketFile)>, Failure> {
    let path = config.unixsocket.as_ref();
    path.map(|path| open_unix(config, &config.dir.join(path)))
        .transpose()
}

/// Opens what scrapers of metrics connect to: the addresses of `bind`, where there is a port for
/// it.
pub fn open_metrics(config: &Config) -> Result<Vec<TcpListener>, Failure> {
    const FLAG: &str = "metrics-port";
    let addresses = match config.metrics_port {
        0 => Vec::new(),
        port => bindable(config, port, FLAG)?,
    };
    let open = |address: &SocketAddr| {
        let listener = listen(*address, METRICS_BACKLOG, false)
            .map_err(|error| refused(*address, &error, FLAG))?;
        info!(%address, "metrics at http://{address}/metrics");
        Ok(listener)
    };
    addresses.iter().map(open).collect()
}

/// The addresses of `bind` that can be had, when the server starts.
fn bindable(config: &Config, port: u16, flag: &str) -> Result<Vec<SocketAddr>, Failure> {
    available(config, port, flag, |address| {
        bind_patiently(address).map(drop)
    })
}

/// The addresses of `bind` that are `free`. Those with a `-` may be missing, and so may those of a
/// family that this machine lacks.
fn available(
    config: &Config,
    port: u16,
    flag: &str,
    free: impl Fn(SocketAddr) -> io::Result<()>,
) -> Result<Vec<SocketAddr>, Failure> {
    let mut found = Vec::new();
    for text in &config.bind.0 {
        let (optional, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text.as_str()),
        };
        for address in resolve(name, port, optional)? {
            match free(address) {
                Ok(()) => found.push(address),
                Err(error) if is_missing(&error, optional) => {
                    info!(%address, %error, "this address is not on this machine, doing without");
                }
                Err(error) => return Err(refused(address, &error, flag)),
            }
        }
    }
    if found.is_empty() && !config.bind.0.is_empty() {
        return Err(Failure(format!(
            "none of the addresses '{}' is on this machine; choose others with --bind",
            config.bind.0.join(" ")
        )));
    }
    Ok(found)
}

fn resolve(name: &str, port: u16, optional: bool) -> Result<Vec<SocketAddr>, Failure> {
    let ip: Option<IpAddr> = match name {
        "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
        "::*" => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => name.parse().ok(),
    };
    if let Some(ip) = ip {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    match (name, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) if optional => Ok(Vec::new()),
        Err(error) => Err(Failure(format!(
            "cannot find the address '{name}' to listen on: {error}; correct --bind"
        ))),
    }
}

fn is_missing(error: &io::Error, optional: bool) -> bool {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRNOTAVAIL) => optional,
        Some(
            Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::PFNOSUPPORT | Errno::NOPROTOOPT,
        ) => true,
        _ => false,
    }
}

fn refused(address: SocketAddr, error: &io::Error, flag: &str) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            &format!("another server has it; stop that one or choose another port with --{flag}")
        }
        ErrorKind::AddrNotAvailable => {
            "it is not an address of this machine; correct --bind, or put a - before it if it may be missing"
        }
        ErrorKind::PermissionDenied => {
            &format!("ports below 1024 need privileges; choose another with --{flag}")
        }
        _ => "choose others with --bind and --port",
    };
    Failure(format!("cannot listen on {address}: {error}; {advice}"))
}

/// Looks whether an address is free. The kernel closes a dead server's io_uring a moment after the
/// process has gone, and its listeners with it, so a taken address gets a second chance for a
/// while.
///
/// It is bound and not listened on: whoever connected to that would be thrown out again.
fn bind_patiently(address: SocketAddr) -> io::Result<Socket> {
    const PATIENCE: Duration = Duration::from_millis(1500);
    const PAUSE: Duration = Duration::from_millis(20);
    let begun = Instant::now();
    loop {
        match bound(address, false) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && begun.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn listen(address: SocketAddr, backlog: i32, shared: bool) -> io::Result<TcpListener> {
    let socket = bound(address, shared)?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A socket with this address, which another may have, too, until somebody listens on it.
fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // `*` and `::*` are two addresses, as in Redis.
        socket.set_only_v6(true)?;
    }
    // A port that closed connections still linger on is free.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn open_unix(config: &Config, path: &Path) -> Result<(UnixListener, UnixSocketFile), Failure> {
    remove_stale(path)?;
    let failed = |what: &str, error: io::Error| {
        Failure(format!(
            "cannot {what} the Unix socket {}: {error}; choose another path with --unixsocket",
            path.display()
        ))
    };
    let socket =
        Socket::new(Domain::UNIX, Type::STREAM, None).map_err(|error| failed("create", error))?;
    let address = SockAddr::unix(path).map_err(|error| failed("name", error))?;
    socket
        .bind(&address)
        .map_err(|error| failed("bind", error))?;
    let file = UnixSocketFile::new(path.into());
    if config.unixsocketperm.0 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(config.unixsocketperm.0))
            .map_err(|error| failed("set the access rights of", error))?;
    }
    // Only now, so that nobody connects before the access rights are right.
    socket
        .listen(config.tcp_backlog)
        .map_err(|error| failed("listen on", error))?;
    info!(path = %path.display(), "listening");
    Ok((socket.into(), file))
}

/// Removes what is in the way, as Redis does: the socket that a server left which did not end
/// cleanly, or another file. The socket of a living server, and a directory, are left alone.
fn remove_stale(path: &Path) -> Result<(), Failure> {
    let advice = "choose another path with --unixsocket";
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(found) if found.is_dir() => {
            return Err(Failure(format!("{shown} is a directory; {advice}")));
        }
        Ok(found) if !found.file_type().is_socket() => {
            warn!(path = %shown, "removing a file where the Unix socket is to be");
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(Failure(format!(
                "another server listens on {shown}; stop that one or {advice}"
            )));
        }
        Ok(_) => warn!(path = %shown, "removing the socket of a server that is gone"),
    }
    fs::remove_file(path)
        .map_err(|error| Failure(format!("cannot remove the old {shown}: {error}; {advice}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(bind: &str, port: u16) -> Config {
        let mut config = Config {
            shards: 2,
            port,
            ..Config::default()
        };
        config.set("bind", bind).expect("allowed");
        config
    }

    fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    }

    #[test]
    fn each_shard_gets_a_listener_of_each_address_and_a_second_server_none() {
        let config = on("127.0.0.1 -203.0.113.7", free_port());
        let first = open(&config).expect("free");
        assert_eq!(first.tcp.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        let error = open(&config).err().expect("taken").to_string();
        assert!(
            error.contains("--port") && error.contains("another server"),
            "{error}"
        );
        drop(first);
        open(&config).expect("free again");
    }

    #[test]
    fn an_address_that_must_be_there_is_missed() {
        let error = open(&on("203.0.113.7", free_port()))
            .err()
            .expect("missing");
        assert!(
            error.to_string().contains("not an address of this machine"),
            "{error}"
        );
    }

    #[test]
    fn port_zero_is_no_port() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = on("*", 0);
        assert!(open(&config).is_err());
        config.dir = dir.path().into();
        config.set("unixsocket", "percore.sock").expect("allowed");
        config.set("unixsocketperm", "700").expect("allowed");
        let path = dir.path().join("percore.sock");

        // A socket that nobody listens on any more does not hinder.
        drop(UnixListener::bind(&path).expect("bound"));
        let first = open(&config).expect("free");
        assert!(first.tcp.iter().all(Vec::is_empty));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let error = open(&config).err().expect("taken").to_string();
        assert!(error.contains("another server"), "{error}");
        drop(first);
        assert!(!path.exists());

        fs::create_dir(&path).expect("a directory");
        let error = open(&config).err().expect("in the way").to_string();
        assert!(error.contains("is a directory"), "{error}");
        fs::remove_dir(&path).expect("there");
        // Anything else gives way, and what a link leads to stays.
        let other = dir.path().join("other");
        fs::write(&other, "a file").expect("written");
        std::os::unix::fs::symlink(&other, &path).expect("a link");
        drop(open(&config).expect("in its place"));
        assert_eq!(fs::read(&other).expect("there"), b"a file");
        fs::rename(&other, &path).expect("moved");
        let first = open(&config).expect("in its place");
        let found = fs::symlink_metadata(&path).expect("there");
        assert!(found.file_type().is_socket());
        drop(first);
        assert!(!path.exists());
    }
}
