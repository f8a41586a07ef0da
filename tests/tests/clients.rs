//! Real clients, as people have them: redis-cli in a shell, the `redis` crate, redis-py.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use redis::{Commands, ConnectionLike};
use tests::binary::python;
use tests::{Options, Oracle, SHARDS, Server};

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

/// What one line of shell prints with redis-cli at this server.
fn typed(server: &Server, line: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", line])
        .env("CLI", format!("redis-cli -p {}", server.port()))
        .stdin(Stdio::null())
        .output()
        .expect("running a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn redis_cli_prints_the_same() {
    let session = std::fs::read_to_string(script("session.sh")).expect("the session");
    let oracle = Oracle::start();
    let lines = session
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let expected: Vec<(&str, String)> = lines.map(|line| (line, typed(&oracle, line))).collect();
    assert_eq!(expected[0].1, "PONG\n", "redis-cli must be installed");
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        for (line, expected) in &expected {
            assert_eq!(
                typed(&server, line),
                *expected,
                "{line} with {shards} shards"
            );
        }
    }
}

#[test]
fn redis_py_works() {
    run_python("redis_py.py");
}

#[test]
fn redis_py_keeps_a_cache() {
    run_python("redis_py_cache.py");
}

fn run_python(program: &str) {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let output = Command::new(python())
            .arg(script(program))
            .arg(server.port().to_string())
            .output()
            .expect("running Python");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success() && text(&output.stdout) == "done\n",
            "with {shards} shards: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    }
}

fn client(server: &Server, parameters: &str) -> redis::Connection {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/{parameters}", server.port()))
        .expect("an address");
    let connection = client.get_connection().expect("a connection");
    let limit = Some(Duration::from_secs(20));
    connection.set_read_timeout(limit).expect("a time limit");
    connection
}

#[test]
fn the_redis_crate_works() -> redis::RedisResult<()> {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        for parameters in ["", "?protocol=resp3"] {
            let mut connection = client(&server, parameters);
            redis::cmd("FLUSHALL").exec(&mut connection)?;
            commands(&mut connection)?;
            pipelines(&mut connection)?;
            scans(&mut connection)?;
            assert!(connection.check_connection());
        }
        databases(&server)?;
        transfers(&server)?;
        messages(&server)?;
    }
    Ok(())
}

fn commands(connection: &mut redis::Connection) -> redis::RedisResult<()> {
    connection.set::<_, _, ()>("number", 42)?;
    assert_eq!(connection.get::<_, i64>("number")?, 42);
    assert_eq!(connection.get::<_, Option<String>>("nothing")?, None);
    assert_eq!(connection.incr::<_, _, i64>("number", 8)?, 50);
    connection.mset::<_, _, ()>(&[("a", "1"), ("b", "2"), ("c", "3")])?;
    let many: Vec<Option<String>> = connection.mget(&["a", "b", "c", "none"])?;
    assert_eq!(
        many,
        [Some("1".into()), Some("2".into()), Some("3".into()), None]
    );
    connection.hset_multiple::<_, _, _, ()>("hash", &[("x", 1), ("y", 2)])?;
    let hash: BTreeMap<String, i64> = connection.hgetall("hash")?;
    assert_eq!(hash, BTreeMap::from([("x".into(), 1), ("y".into(), 2)]));
    connection.rpush::<_, _, ()>("list", &[1, 2, 3])?;
    assert_eq!(connection.lrange::<_, Vec<i64>>("list", 0, -1)?, [1, 2, 3]);
    connection.zadd_multiple::<_, _, _, ()>("board", &[(1.5, "one"), (2.0, "two")])?;
    let board: Vec<(String, f64)> = connection.zrange_withscores("board", 0, -1)?;
    assert_eq!(board, [("one".into(), 1.5), ("two".into(), 2.0)]);
    let error = connection
        .incr::<_, _, i64>("list", 1)
        .expect_err("a list does not count");
    assert_eq!(error.code(), Some("WRONGTYPE"));
    let removed: i64 = connection.del(&["a", "b", "c", "none"])?;
    assert_eq!(removed, 3);
    Ok(())
}

fn pipelines(connection: &mut redis::Connection) -> redis::RedisResult<()> {
    let mut pipeline = redis::pipe();
    for index in 0..500 {
        pipeline.set(format!("p{index}"), index).ignore();
        pipeline.get(format!("p{index}"));
    }
    let replies: Vec<i64> = pipeline.query(connection)?;
    assert_eq!(replies, (0..500).collect::<Vec<i64>>());
    let (first, second): (i64, i64) = redis::pipe()
        .atomic()
        .incr("t1", 1)
        .incr("t2", 2)
        .query(connection)?;
    assert_eq!((first, second), (1, 2));
    Ok(())
}

fn scans(connection: &mut redis::Connection) -> redis::RedisResult<()> {
    let found = connection
        .scan_match::<_, String>("p*")?
        .collect::<redis::RedisResult<HashSet<String>>>()?;
    assert_eq!(found.len(), 500);
    Ok(())
}

fn databases(server: &Server) -> redis::RedisResult<()> {
    let (mut zero, mut five) = (client(server, "0"), client(server, "5"));
    zero.set::<_, _, ()>("where", "zero")?;
    five.set::<_, _, ()>("where", "five")?;
    assert_eq!(zero.get::<_, String>("where")?, "zero");
    assert_eq!(five.get::<_, String>("where")?, "five");
    Ok(())
}

/// Threads move units between accounts with WATCH, MULTI and EXEC: whoever looks sees the same sum.
fn transfers(server: &Server) -> redis::RedisResult<()> {
    const ACCOUNTS: usize = 6;
    const TRANSFERS: usize = 40;
    let accounts: Vec<String> = (0..ACCOUNTS)
        .map(|index| format!("account:{index}"))
        .collect();
    let mut connection = client(server, "");
    for account in &accounts {
        connection.set::<_, _, ()>(account, 100)?;
    }
    std::thread::scope(|scope| {
        for start in 0..3 {
            let accounts = &accounts;
            scope.spawn(move || {
                let mut connection = client(server, "");
                for step in 0..TRANSFERS {
                    let (from, to) = (
                        &accounts[(start + step) % ACCOUNTS],
                        &accounts[(start + 2 * step + 1) % ACCOUNTS],
                    );
                    if from == to {
                        continue;
                    }
                    redis::transaction(&mut connection, &[from, to], |connection, pipeline| {
                        let (left, right): (i64, i64) =
                            (connection.get(from)?, connection.get(to)?);
                        pipeline
                            .set(from, left - 1)
                            .ignore()
                            .set(to, right + 1)
                            .ignore();
                        pipeline.query::<Option<()>>(connection)
                    })
                    .expect("a transfer");
                }
            });
        }
        for _ in 0..200 {
            let amounts: Vec<i64> = connection.mget(&accounts).expect("amounts");
            assert_eq!(
                amounts.iter().sum::<i64>(),
                100 * ACCOUNTS as i64,
                "{amounts:?}"
            );
        }
    });
    Ok(())
}

fn messages(server: &Server) -> redis::RedisResult<()> {
    let mut subscriber = client(server, "");
    let mut publisher = client(server, "");
    let mut channel = subscriber.as_pubsub();
    channel.subscribe("news")?;
    channel.psubscribe("w*")?;
    channel.set_read_timeout(Some(Duration::from_secs(20)))?;
    assert_eq!(publisher.publish::<_, _, i64>("news", "hello")?, 1);
    assert_eq!(publisher.publish::<_, _, i64>("weather", "rain")?, 1);
    assert_eq!(publisher.publish::<_, _, i64>("nobody", "hears")?, 0);
    let first = channel.get_message()?;
    assert_eq!(
        (first.get_channel_name(), first.get_payload::<String>()?),
        ("news", "hello".into())
    );
    let second = channel.get_message()?;
    assert_eq!(
        (second.get_channel_name(), second.get_payload::<String>()?),
        ("weather", "rain".into())
    );
    Ok(())
}
