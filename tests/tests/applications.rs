//! Applications that people run on Redis, most of them made of scripts: each has a program under
//! `applications/`, and what that prints with percore is what it prints with Redis 7.4.
//!
//! `tests/run --slow applications` installs what they need, Node and Ruby too, and runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::{Options, Oracle, Server};

/// Enough for an application's keys to lie on several.
const SHARDS: u16 = 4;

/// Where `tests/run` has laid out the libraries.
fn libraries() -> PathBuf {
    let path = std::env::var_os("PERCORE_APPLICATIONS");
    path.map(PathBuf::from)
        .expect("PERCORE_APPLICATIONS: use tests/run --slow applications")
}

fn program(file: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/applications");
    folder.join(file)
}

/// What runs programs of this ending.
fn interpreter(file: &str) -> PathBuf {
    match Path::new(file)
        .extension()
        .and_then(|ending| ending.to_str())
    {
        Some("py") => libraries().join("python/bin/python"),
        Some("mjs") => "node".into(),
        Some("rb") => "ruby".into(),
        other => panic!("nothing runs programs that end in {other:?}"),
    }
}

/// What an application prints with this server. Each program limits its own time.
fn outcome(file: &str, server: &Server) -> String {
    let path = match file.strip_prefix("node/") {
        // Node looks for libraries beside the program.
        Some(name) => libraries().join("node").join(name),
        None => program(file),
    };
    let output = Command::new(interpreter(file))
        .arg(path)
        .arg(server.port().to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("running {file}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && printed.ends_with("done\n"),
        "{file} fails with port {}: {printed}{}",
        server.port(),
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

fn same_as_with_redis(file: &str) {
    let expected = outcome(file, &Oracle::start());
    let found = outcome(file, &Server::start(Options::shards(SHARDS)));
    assert_eq!(found, expected, "{file}");
}

macro_rules! applications {
    ($($name:ident: $file:literal;)*) => {$(
        #[test]
        #[ignore = "slow: tests/run --slow applications"]
        fn $name() {
            same_as_with_redis($file);
        }
    )*};
}

applications! {
    bee_queue: "node/bee_queue.mjs";
    bull: "node/bull.mjs";
    bullmq: "node/bullmq.mjs";
    ioredis: "node/ioredis_commands.mjs";
    node_redis: "node/node_redis.mjs";
    node_redis_functions: "node/node_redis_functions.mjs";
    rate_limiter_flexible: "node/limiters.mjs";
    redlock: "node/locks.mjs";
    socket_io: "node/socketio.mjs";
    celery: "python/celery_works.py";
    channels: "python/channels_work.py";
    dramatiq: "python/dramatiq_works.py";
    huey: "python/huey_works.py";
    limits: "python/limits_work.py";
    locks: "python/locks_work.py";
    pottery: "python/structures.py";
    redis_py: "python/redis_py.py";
    rq: "python/rq_works.py";
    saq: "python/saq_works.py";
    sidekiq: "ruby/sidekiq.rb";
}
