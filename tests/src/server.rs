//! Servers that belong to one test: each on a free port, in a directory of its own, ended when the
//! value is dropped.
//!
//! When a test fails, the end of the log of each of its servers is printed.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::binary::binary;
use crate::disk::{self, Disk};
use crate::reference::Reference;
use crate::wire::Wire;

/// How long a server may take from its start to its first PONG, and from a signal to its end.
pub const START_TIME_MAX: Duration = Duration::from_secs(20);

/// Between two looks at something that has no event to wait for.
pub const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// How many ports are tried when others take them at the last moment.
const PORT_TRIES_MAX: usize = 5;

/// Threads of a server under test.
const THREADS_MAX: u16 = 3;

const LOG_LINES_SHOWN: usize = 40;

/// The name of a server's configuration file, where it has one.
pub const CONFIG_FILE: &str = "server.conf";

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Shards, each with a part of the keys.
    pub shards: u16,
    /// More flags, as on the command line.
    pub flags: Vec<String>,
    /// The save points, as `3600 1`; none if empty.
    pub save: String,
    /// What lies in its directory when it starts for the first time: names and contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// Whether it starts with [`CONFIG_FILE`], which is among `files`.
    pub has_config: bool,
    /// Whether to listen on a Unix socket too.
    pub unix_socket: bool,
    /// The disk that fails, below it: see [`crate::disk`].
    pub disk: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            shards: 2,
            flags: Vec::new(),
            save: String::new(),
            files: Vec::new(),
            has_config: false,
            unix_socket: false,
            disk: None,
        }
    }
}

impl Options {
    /// Nothing special, with so many shards.
    pub fn shards(shards: u16) -> Options {
        Options {
            shards,
            ..Options::default()
        }
    }

    /// With these flags too: words with blanks between.
    #[must_use]
    pub fn flags(mut self, words: &str) -> Options {
        self.flags
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// With these save points, as `3600 1`.
    #[must_use]
    pub fn save(mut self, points: &str) -> Options {
        points.clone_into(&mut self.save);
        self
    }

    /// Finding a file of this name in its directory; one with a slash lies in a folder there.
    #[must_use]
    pub fn file(mut self, name: &str, contents: &[u8]) -> Options {
        self.files.push((name.to_owned(), contents.to_vec()));
        self
    }

    /// Starting with a configuration file of these lines, [`CONFIG_FILE`].
    #[must_use]
    pub fn config(self, lines: &str) -> Options {
        let mut options = self.file(CONFIG_FILE, lines.as_bytes());
        options.has_config = true;
        options
    }

    /// On a disk that fails when it is told to.
    #[must_use]
    pub fn disk(mut self, disk: &Disk) -> Options {
        self.disk = Some(disk.path());
        self
    }

    /// Listening on a Unix socket too.
    #[must_use]
    pub fn unix_socket(mut self) -> Options {
        self.unix_socket = true;
        self
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    options: Options,
    program: Program,
    /// Held for its drop, which removes it.
    directory: TempDir,
}

/// A server that percore is compared with, Redis 7.4 where nothing else is said: what it answers is
/// right.
#[derive(Debug)]
pub struct Oracle(Server);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    UnderTest,
    Reference(Reference),
}

impl Program {
    fn path(self) -> PathBuf {
        match self {
            Program::UnderTest => binary().path.clone(),
            Program::Reference(reference) => reference.path(),
        }
    }

    fn is_redis(self) -> bool {
        match self {
            Program::UnderTest => binary().is_redis,
            Program::Reference(_) => true,
        }
    }
}

impl Oracle {
    /// Starts the reference server.
    ///
    /// # Panics
    /// Where there is none to start: a comparison with nothing would pass.
    pub fn start() -> Oracle {
        Oracle::start_with(Options::shards(1))
    }

    /// Starts it with options, of which the number of shards says nothing to it.
    ///
    /// # Panics
    /// Where there is none to start.
    pub fn start_with(options: Options) -> Oracle {
        Oracle::of(Reference::Redis74, options)
    }

    /// Starts the reference server with flags of its own: words with blanks between.
    ///
    /// # Panics
    /// Where there is none to start.
    pub fn with_flags(words: &str) -> Oracle {
        Oracle::start_with(Options::shards(1).flags(words))
    }

    /// Starts one of the servers that percore is compared with; the number of shards says nothing
    /// to it.
    ///
    /// # Panics
    /// Where it is missing, or does not start.
    pub fn of(reference: Reference, options: Options) -> Oracle {
        Oracle(Server::launch(Program::Reference(reference), options))
    }
}

impl std::ops::Deref for Oracle {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl std::ops::DerefMut for Oracle {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl Server {
    /// Starts the binary under test, and returns when it answers.
    ///
    /// # Panics
    /// Where it does not; the panic has its log.
    pub fn start(options: Options) -> Server {
        Server::launch(Program::UnderTest, options)
    }

    fn launch(program: Program, options: Options) -> Server {
        let mut directory = tempfile::tempdir().expect("a temporary directory");
        for (name, contents) in &options.files {
            let path = directory.path().join(name);
            let folder = path.parent().expect("the directory, or one in it");
            std::fs::create_dir_all(folder).expect("making a directory");
            std::fs::write(path, contents).expect("writing a file");
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let port = free_port();
            let child = spawn(program, &options, port, directory.path());
            let mut server = Server {
                child,
                port,
                options: options.clone(),
                program,
                directory,
            };
            match server.wait_until_ready() {
                Ok(()) => return server,
                Err(reason) if tries == PORT_TRIES_MAX || !server.port_was_taken() => {
                    panic!("{}: {reason}", program.path().display())
                }
                Err(_) => {
                    directory = std::mem::replace(
                        &mut server.directory,
                        tempfile::tempdir().expect("a temporary directory"),
                    );
                }
            }
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_TIME_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("asking after a child") {
                return Err(format!("ended with {status} before it answered"));
            }
            if let Ok(mut wire) = Wire::connect(self.address())
                && wire.try_send(b"*1\r\n$4\r\nPING\r\n").is_ok()
                && matches!(wire.try_reply(), Ok(Some(reply)) if is_ready(&reply))
            {
                // A test that counts clients is not to find this one among them: whoever has been
                // closed is counted no more.
                let _ = wire.try_send(b"QUIT\r\n");
                while matches!(wire.try_reply(), Ok(Some(_))) {}
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("does not answer within {START_TIME_MAX:?}"));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn port_was_taken(&self) -> bool {
        let log = self.log().to_lowercase();
        log.contains("in use") || log.contains("eaddrinuse")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The port where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its working directory, where its files lie.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its Unix socket, if it was asked for one.
    pub fn unix_socket(&self) -> PathBuf {
        unix_socket(self.directory.path())
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(self.directory.path())).unwrap_or_default()
    }

    /// A new connection.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address())
            .unwrap_or_else(|error| panic!("connecting to port {}: {error}", self.port))
    }

    /// Sends a signal by its name, as `TERM`.
    ///
    /// # Panics
    /// Where it cannot be sent.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status()
            .expect("running kill");
        assert!(status.success(), "kill -{name} {}", self.pid());
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    /// Where it does not within [`START_TIME_MAX`].
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child).unwrap_or_else(|| panic!("still running after {START_TIME_MAX:?}"))
    }

    /// Kills it without warning, and returns when it is gone.
    ///
    /// # Panics
    /// Where it cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("killing a child");
        self.child.wait().expect("waiting for a child");
    }

    /// Waits for it to be gone after a signal that nothing survives.
    ///
    /// # Panics
    /// Where it cannot be waited for.
    pub fn until_gone(&mut self) {
        self.child.wait().expect("waiting for a child");
    }

    /// Kills it without warning, and starts it again on the same port and directory.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Starts it again after its end, on the same port and directory and with other options, whose
    /// files are not laid there.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart_with(&mut self, options: Options) {
        self.options = options;
        self.restart();
    }

    /// Starts it again after its end, on the same port and directory.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&mut self) {
        let ended = self.child.try_wait().expect("asking after a child");
        assert!(
            ended.is_some(),
            "it runs still: whoever asks now asks the old one"
        );
        self.child = spawn(
            self.program,
            &self.options,
            self.port,
            self.directory.path(),
        );
        if let Err(reason) = self.wait_until_ready() {
            panic!("restarting: {reason}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            // What went wrong stands before its backtrace.
            let from = lines
                .iter()
                .position(|line| line.contains("panicked"))
                .unwrap_or(lines.len().saturating_sub(LOG_LINES_SHOWN));
            eprintln!(
                "--- log of {} on port {}, its last lines:\n{}\n---",
                self.program.path().display(),
                self.port,
                lines[from..].join("\n")
            );
        }
    }
}

/// Whether a server that has answered this to PING answers all else, too. It may want to know who
/// asks.
fn is_ready(reply: &[u8]) -> bool {
    let ready = [&b"+PONG"[..], b"-NOAUTH", b"-NOPERM"];
    ready.iter().any(|start| reply.starts_with(start))
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}

fn unix_socket(directory: &Path) -> PathBuf {
    directory.join("socket")
}

fn spawn(program: Program, options: &Options, port: u16, directory: &Path) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_path(directory))
        .expect("a log file");
    let mut command = Command::new(program.path());
    if options.has_config {
        command.arg(directory.join(CONFIG_FILE));
    }
    command
        .args(["--port", &port.to_string()])
        .args(["--bind", "127.0.0.1"])
        .args(["--save", &options.save])
        .arg("--dir")
        .arg(directory);
    if program.is_redis() {
        // It looks at blocked clients' times once a tick: with ten ticks a second a test would
        // mostly wait.
        command.args(["--hz", "500"]);
    } else {
        command.args(["--shards", &options.shards.to_string()]);
        // With more shards some share a thread and some do not.
        command.args(["--threads", &options.shards.min(THREADS_MAX).to_string()]);
    }
    if let Some(disk) = &options.disk {
        // What goes through io_uring does not pass the library.
        command
            .args(["--io-driver", "epoll"])
            .envs(disk::environment(disk, directory));
    }
    if options.unix_socket {
        command.arg("--unixsocket").arg(unix_socket(directory));
    }
    command
        .args(&options.flags)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle on the log"))
        .stderr(log);
    match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("{} does not start: {error}", program.path().display()),
    }
}

/// Waits for a child's end, `None` where it is still running after [`START_TIME_MAX`].
///
/// # Panics
/// Where the child cannot be asked after.
pub fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + START_TIME_MAX;
    loop {
        if let Some(status) = child.try_wait().expect("asking after a child") {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// A port nobody listens on.
///
/// Below the range from which the system gives ports to outgoing connections, of which some tests
/// open thousands.
///
/// # Panics
/// Where a thousand in a row are taken.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries run beside one another: each begins somewhere else.
    let start = u16::try_from(std::process::id() * 37 % u32::from(COUNT)).expect("below COUNT");
    for _ in 0..1_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (u32::from(start) + u32::from(step)).rem_euclid(u32::from(COUNT)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port in a thousand");
}

/// Polls until `done` holds.
///
/// # Panics
/// Where it does not within `limit`, saying what was waited for.
pub fn eventually(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// An address of this machine that is not the loopback's.
///
/// # Panics
/// Where it has none.
pub fn outer_address() -> Ipv4Addr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    // Nothing is sent.
    let connected = socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9));
    match (connected, socket.local_addr()) {
        (Ok(()), Ok(SocketAddr::V4(address))) => *address.ip(),
        other => panic!("this test needs a network interface beside the loopback: {other:?}"),
    }
}
