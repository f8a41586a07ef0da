//! The metrics over HTTP: a thread of its own answers `GET /metrics`, so that a scraper costs no shard more than a visit.
//!
//! Scrapers come a few times a minute. One connection is served at a time, each has one request, and everything is bounded: the request's
//! bytes, the time until it is here, until the shards have answered, until the answer is sent. Protected mode holds here, too: there is no
//! password to ask for.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use shard::Metrics;
use shard::config::Config;
use tracing::warn;

/// Bytes of a request, with its headers.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 32;

/// Until a request is whole, and until its answer is sent.
const TRANSFER_TIME_MAX: Duration = Duration::from_secs(2);

/// Until the shards have answered. Prometheus itself waits ten seconds.
const SHARDS_TIME_MAX: Duration = Duration::from_secs(3);

/// Pause after a failed accept (no descriptors left, say), so that it does not spin.
const RETRY_AFTER: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers scrapers for as long as the process runs.
pub fn serve(listeners: Vec<TcpListener>, metrics: Metrics) -> io::Result<()> {
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    thread::Builder::new()
        .name("metrics".into())
        .spawn(move || {
            loop {
                if let Err(error) = serve_waiting(&listeners, &metrics) {
                    warn!(%error, "could not accept a connection for metrics");
                    thread::sleep(RETRY_AFTER);
                }
            }
        })
        .map(drop)
}

/// Waits for scrapers and serves those that are there.
fn serve_waiting(listeners: &[TcpListener], metrics: &Metrics) -> io::Result<()> {
    let mut ready: Vec<PollFd<'_>> = listeners
        .iter()
        .map(|listener| PollFd::new(listener, PollFlags::IN))
        .collect();
    match poll(&mut ready, None) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    for (listener, ready) in listeners.iter().zip(&ready) {
        if ready.revents().is_empty() {
            continue;
        }
        match listener.accept() {
            // A scraper that leaves early, or is too slow, is its own trouble.
            Ok((stream, _)) => drop(answer(stream, metrics)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a request is answered with.
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn plain(status: &'static str, body: &str) -> Self {
        Self {
            status,
            kind: PLAIN,
            body: format!("{body}\n"),
        }
    }
}

/// What was asked for.
#[derive(PartialEq, Eq, Debug)]
enum Request {
    Metrics {
        /// HEAD: everything but the body.
        without_body: bool,
    },
    /// Not whole yet.
    Partial,
    /// Something else: the status and what to say.
    Other(&'static str, &'static str),
}

fn answer(mut stream: TcpStream, metrics: &Metrics) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let deadline = Instant::now() + TRANSFER_TIME_MAX;
    let mut bytes = [0; REQUEST_BYTES_MAX];
    let mut len = 0;
    let request = loop {
        match parse(&bytes[..len]) {
            Request::Partial if len == bytes.len() => {
                break Request::Other("431 Request Header Fields Too Large", "too long");
            }
            Request::Partial => {}
            request => break request,
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut bytes[len..])? {
            0 => return Ok(()),
            count => len += count,
        }
    };
    let refused = is_protected(&metrics.config(), &stream);
    let answer = match &request {
        _ if refused => Answer::plain(
            "403 Forbidden",
            "protected mode: set a password, or protected-mode no",
        ),
        Request::Metrics { .. } => match metrics.text(SHARDS_TIME_MAX) {
            Ok(body) => Answer {
                status: "200 OK",
                kind: OPEN_METRICS,
                body,
            },
            Err(_) => Answer::plain("503 Service Unavailable", "a shard does not answer"),
        },
        Request::Other(status, why) => Answer::plain(status, why),
        Request::Partial => return Ok(()),
    };
    let without_body = request == Request::Metrics { without_body: true };
    send(&mut stream, &answer, without_body)
}

fn send(stream: &mut TcpStream, answer: &Answer, without_body: bool) -> io::Result<()> {
    let mut bytes = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.kind,
        answer.body.len()
    );
    if !without_body {
        bytes.push_str(&answer.body);
    }
    let deadline = Instant::now() + TRANSFER_TIME_MAX;
    let mut rest = bytes.as_bytes();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(rest)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => rest = rest.get(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// The time until `deadline`, which has not come yet.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

fn is_protected(config: &Config, stream: &TcpStream) -> bool {
    let is_local = |stream: &TcpStream| {
        stream
            .peer_addr()
            .is_ok_and(|address| address.ip().to_canonical().is_loopback())
    };
    config.protected_mode && config.requirepass.is_none() && !is_local(stream)
}

fn parse(bytes: &[u8]) -> Request {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => Request::Partial,
        Err(httparse::Error::TooManyHeaders) => {
            Request::Other("431 Request Header Fields Too Large", "too many headers")
        }
        Err(_) => Request::Other("400 Bad Request", "not a request of HTTP"),
        Ok(httparse::Status::Complete(_)) => {
            let path = request.path.unwrap_or_default();
            match (request.method, path.split('?').next()) {
                (Some(method @ ("GET" | "HEAD")), Some("/metrics")) => Request::Metrics {
                    without_body: method == "HEAD",
                },
                (Some("GET" | "HEAD"), _) => {
                    Request::Other("404 Not Found", "the metrics are at /metrics")
                }
                _ => Request::Other("405 Method Not Allowed", "GET it"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(bytes: &[u8]) -> &'static str {
        match parse(bytes) {
            Request::Other(status, _) => &status[..3],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_path_is_served() {
        let wanted = |without_body| Request::Metrics { without_body };
        assert_eq!(parse(b"GET /metrics HTTP/1.1\r\n\r\n"), wanted(false));
        assert_eq!(
            parse(b"HEAD /metrics?a=b HTTP/1.0\r\nHost: x\r\n\r\n"),
            wanted(true)
        );
        assert_eq!(parse(b"GET /metr"), Request::Partial);
        assert_eq!(parse(b""), Request::Partial);
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(status(b"POST /metrics HTTP/1.1\r\n\r\n"), "405");
        assert_eq!(status(b"*1\r\n$4\r\nPING\r\n"), "400");
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        let many = format!("GET /metrics HTTP/1.1\r\n{many}\r\n");
        assert_eq!(status(many.as_bytes()), "431");
    }
}
