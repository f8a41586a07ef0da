//! The metrics over HTTP: a thread of its own answers `GET /metrics`, so that a scraper costs no
//! shard more than a visit.
//!
//! Scrapers come a few times a minute. One connection is served at a time, each has one request,
//! and everything is bounded: the request's bytes, the time until it is here, until the shards have
//! answered, until the answer is sent.
//!
//! This machine's scrapers are always answered. Others have to give the password where there is
//! one, as Prometheus's `basic_auth` or as a bearer's token; where there is none, protected mode
//! keeps them out.

mod accept;
mod authorization;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use shard::log_limiter::LogLimiter;
use shard::{Exposition, Metrics};
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
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
const WORDS: &str = "text/plain; charset=utf-8";

/// Answers scrapers for as long as the process runs.
pub fn serve(listeners: Vec<TcpListener>, metrics: Metrics) -> io::Result<()> {
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    thread::Builder::new()
        .name("metrics".into())
        .spawn(move || {
            let scrapers = Scrapers {
                metrics,
                began: Instant::now(),
                wrong_passwords: LogLimiter::default(),
            };
            loop {
                if let Err(error) = scrapers.serve_waiting(&listeners) {
                    warn!(%error, "could not accept a connection for metrics");
                    thread::sleep(RETRY_AFTER);
                }
            }
        })
        .map(drop)
}

/// What scrapers are answered with and by.
struct Scrapers {
    metrics: Metrics,
    began: Instant,
    /// What the log has been told of wrong passwords.
    wrong_passwords: LogLimiter,
}

impl Scrapers {
    /// Waits for scrapers and serves those that are there.
    fn serve_waiting(&self, listeners: &[TcpListener]) -> io::Result<()> {
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
                Ok((stream, address)) => drop(self.answer(stream, address)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn answer(&self, mut stream: TcpStream, address: SocketAddr) -> io::Result<()> {
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
        let (answer, without_body) = match request {
            Request::Scrape(scrape) => (
                self.refusal(address, scrape.password.as_deref())
                    .unwrap_or_else(|| self.scraped(scrape.exposition)),
                scrape.without_body,
            ),
            Request::Other(status, why) => (Answer::words(status, why), false),
            Request::Partial => return Ok(()),
        };
        send(&mut stream, &answer, without_body)
    }

    fn scraped(&self, exposition: Exposition) -> Answer {
        match self.metrics.text(exposition, SHARDS_TIME_MAX) {
            Ok(body) => Answer {
                status: "200 OK",
                kind: match exposition {
                    Exposition::OpenMetrics => OPEN_METRICS,
                    Exposition::Plain => PLAIN,
                },
                challenge: "",
                body,
            },
            Err(_) => Answer::words("503 Service Unavailable", "a shard does not answer"),
        }
    }

    /// What a scraper that may not have the metrics is told.
    fn refusal(&self, address: SocketAddr, given: Option<&[u8]>) -> Option<Answer> {
        if address.ip().to_canonical().is_loopback() {
            return None;
        }
        let config = self.metrics.config();
        if config.requirepass.as_deref().is_none_or(str::is_empty) {
            return config.protected_mode.then(|| {
                Answer::words(
                    "403 Forbidden",
                    "protected mode: set a password, or protected-mode no",
                )
            });
        }
        if given.is_some_and(|given| self.metrics.is_password(given)) {
            return None;
        }
        if given.is_some()
            && let Some(left_out) = self.wrong_passwords.admit(self.began.elapsed().as_secs())
        {
            warn!(%address, left_out, "a scraper of metrics gave a wrong password");
        }
        Some(Answer {
            challenge: "WWW-Authenticate: Basic realm=\"percore\", charset=\"UTF-8\"\r\n",
            ..Answer::words(
                "401 Unauthorized",
                "the password is asked for: as user 'default' by basic_auth, or as a bearer's token",
            )
        })
    }
}

/// What a request is answered with.
struct Answer {
    status: &'static str,
    kind: &'static str,
    /// A header line that asks for the password.
    challenge: &'static str,
    body: String,
}

impl Answer {
    fn words(status: &'static str, body: &str) -> Self {
        Self {
            status,
            kind: WORDS,
            challenge: "",
            body: format!("{body}\n"),
        }
    }
}

/// What was asked for.
#[derive(PartialEq, Eq, Debug)]
enum Request {
    Scrape(Scrape),
    /// Not whole yet.
    Partial,
    /// Something else: the status and what to say.
    Other(&'static str, &'static str),
}

/// A request for the metrics.
#[derive(PartialEq, Eq, Debug)]
struct Scrape {
    exposition: Exposition,
    /// HEAD: everything but the body.
    without_body: bool,
    password: Option<Vec<u8>>,
}

fn send(stream: &mut TcpStream, answer: &Answer, without_body: bool) -> io::Result<()> {
    let mut bytes = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.kind,
        answer.challenge,
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
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
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
        Ok(httparse::Status::Complete(_)) => asked_for(&request),
    }
}

fn asked_for(request: &httparse::Request<'_, '_>) -> Request {
    let path = request.path.unwrap_or_default();
    match (request.method, path.split('?').next()) {
        (Some(method @ ("GET" | "HEAD")), Some("/metrics")) => {
            let values = |name: &'static str| {
                let of_name = request.headers.iter();
                let of_name = of_name.filter(move |it| it.name.eq_ignore_ascii_case(name));
                of_name.map(|it| it.value)
            };
            Request::Scrape(Scrape {
                exposition: accept::exposition(values("accept")),
                without_body: method == "HEAD",
                password: values("authorization")
                    .next()
                    .and_then(authorization::password),
            })
        }
        (Some("GET" | "HEAD"), _) => Request::Other("404 Not Found", "the metrics are at /metrics"),
        _ => Request::Other("405 Method Not Allowed", "GET it"),
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
        let wanted = |without_body| {
            Request::Scrape(Scrape {
                exposition: Exposition::Plain,
                without_body,
                password: None,
            })
        };
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
        let Request::Scrape(scrape) = parse(
            b"GET /metrics HTTP/1.1\r\nACCEPT: application/openmetrics-text\r\nauthorization: Bearer x\r\n\r\n",
        ) else {
            panic!("no scrape");
        };
        assert_eq!(scrape.exposition, Exposition::OpenMetrics);
        assert_eq!(scrape.password.as_deref(), Some(b"x".as_slice()));
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        let many = format!("GET /metrics HTTP/1.1\r\n{many}\r\n");
        assert_eq!(status(many.as_bytes()), "431");
    }
}
