//! What is served over TLS is what is served without.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustls::version;
use tests::binary::python;
use tests::reply::{Value, show};
use tests::server::{eventually, outer_address};
use tests::tls::TlsServer;
use tests::{Options, SHARDS, Wire};

const TIME_MAX: Duration = Duration::from_secs(60);

const MB: usize = 1 << 20;

/// The most bytes of output that one record holds.
const RECORD_BYTES_MAX: usize = 16 * 1024;

#[test]
fn redis_cli_and_redis_py_work() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let identity = tls.authority.issue("a client");
        tls.write("client.crt", &identity.certificate);
        tls.write("client.key", &identity.key);
        let mut wire = tls.server.connect();
        for asks in ["no", "optional", "yes"] {
            wire.ask(&format!("CONFIG SET tls-auth-clients {asks}"));
            for shows in [false, true] {
                let mut command = Command::new("redis-cli");
                let port = tls.address.port().to_string();
                command.args(["-p", &port, "--tls", "--cacert", "ca.crt"]);
                if shows {
                    command.args(["--cert", "client.crt", "--key", "client.key"]);
                }
                let output = command
                    .arg("PING")
                    .current_dir(tls.server.directory())
                    .stdin(Stdio::null())
                    .output()
                    .expect("running redis-cli");
                let lets_in = shows || asks != "yes";
                let text = String::from_utf8_lossy(&output.stdout);
                assert_eq!(text == "PONG\n", lets_in, "{asks} {shows}: {output:?}");
            }
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/redis_py.py");
        let output = Command::new(python())
            .arg(script)
            .arg(tls.address.port().to_string())
            .current_dir(tls.server.directory())
            .output()
            .expect("running Python");
        assert_eq!(output.stdout, b"done\n", "{shards} shards: {output:?}");
    }
}

#[test]
fn large_values_go_both_ways() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        for versions in [[&version::TLS12], [&version::TLS13]] {
            let client = tls.authority.client_of(None, &versions);
            let mut wire = Wire::connect_tls(tls.address, &client).expect("a handshake");
            let mut value = vec![b'x'; MB];
            for (index, byte) in value.iter_mut().enumerate() {
                *byte = (index * 31 % 251) as u8;
            }
            for key in ["a", "b", "c"] {
                let reply = wire.command(&["SET".as_bytes(), key.as_bytes(), &value]);
                assert_eq!(reply.text(), b"OK");
            }
            let before = wire.encrypted().socket.records;
            for key in ["a", "b", "c"] {
                assert!(wire.command(&["GET", key]).text() == value);
            }
            let records = wire.encrypted().socket.records - before;
            let fewest = 3 * MB.div_ceil(RECORD_BYTES_MAX);
            assert!(records <= fewest + 8 * 3, "{records} for {fewest}");
            let reply = wire.command(&["MGET", "a", "none", "c"]);
            let Value::Array(values) = reply else {
                panic!("no array");
            };
            assert!(values[0].text() == value && values[2].text() == value);
        }
    }
}

#[test]
fn it_works_with_epoll_too() {
    let tls = TlsServer::start(Options::shards(2).flags("--io-driver epoll"));
    let mut wire = tls.connect();
    let value = "v".repeat(MB);
    for _ in 0..10 {
        assert_eq!(wire.command(&["SET", "key", &value]).text(), b"OK");
        wire.send(b"GET key\r\nPING\r\n");
        assert!(wire.value().text() == value.as_bytes());
        assert_eq!(wire.reply(), b"+PONG\r\n");
    }
    assert_eq!(wire.ask("QUIT").text(), b"OK");
    assert_eq!(wire.until_closed(), b"");
}

#[test]
fn keys_may_change_at_any_time() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let mut wire = tls.connect();
        for round in 0..100 {
            let changed = wire.encrypted().rustls.refresh_traffic_keys();
            changed.expect("TLS 1.3");
            wire.send(b"PING\r\nPING\r\n");
            if round % 3 == 0 {
                let changed = wire.encrypted().rustls.refresh_traffic_keys();
                changed.expect("TLS 1.3");
            }
            assert_eq!(wire.reply(), b"+PONG\r\n");
            assert_eq!(wire.reply(), b"+PONG\r\n");
        }
    }
}

#[test]
fn the_replies_of_a_pipeline_leave_in_few_records() {
    const PIPELINES: usize = 200;
    const DEPTH: usize = 16;
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        for versions in [[&version::TLS12], [&version::TLS13]] {
            let client = tls.authority.client_of(None, &versions);
            let mut wire = Wire::connect_tls(tls.address, &client).expect("a handshake");
            wire.ask("SET key value");
            let before = wire.encrypted().socket.records;
            for _ in 0..PIPELINES {
                wire.send("GET key\r\n".repeat(DEPTH).as_bytes());
                for _ in 0..DEPTH {
                    assert_eq!(wire.reply(), b"$5\r\nvalue\r\n");
                }
            }
            let records = wire.encrypted().socket.records - before;
            assert!(records < PIPELINES * 2, "{records} for {PIPELINES}");

            // Much at once fills its records, but for those at the end of a write.
            let value = "v".repeat(1_000);
            wire.command(&["SET", "key", &value]);
            let before = wire.encrypted().socket.records;
            wire.send("GET key\r\n".repeat(5_000).as_bytes());
            for _ in 0..5_000 {
                assert_eq!(wire.value().text(), value.as_bytes());
            }
            let records = wire.encrypted().socket.records - before;
            let fewest = 5_000 * 1_009 / RECORD_BYTES_MAX;
            assert!(records < fewest * 3, "{records} for {fewest}");
        }
    }
}

#[test]
fn messages_are_published_and_heard() {
    const MESSAGES: usize = 2_000;
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let mut subscribers: Vec<Wire> = (0..4).map(|_| tls.connect()).collect();
        for wire in &mut subscribers {
            assert_eq!(
                wire.ask("SUBSCRIBE news"),
                Value::parse(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
            );
        }
        let text = "m".repeat(4_000);
        thread::scope(|scope| {
            for wire in &mut subscribers {
                let text = &text;
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let Value::Array(parts) = wire.value() else {
                            panic!("no message");
                        };
                        let expected = format!("{number}{text}");
                        assert_eq!(parts[2].text(), expected.as_bytes());
                    }
                });
            }
            let mut publisher = tls.connect();
            for number in 0..MESSAGES {
                publisher.send_command(&["PUBLISH", "news", &format!("{number}{text}")]);
            }
            for _ in 0..MESSAGES {
                assert_eq!(publisher.reply(), b":4\r\n");
            }
        });
    }
}

#[test]
fn connections_are_known_as_any() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let mut wire = tls.connect();
        let mut plain = tls.server.connect();
        let info = plain.ask("INFO server");
        let info = String::from_utf8_lossy(info.text()).into_owned();
        let line = format!(
            "listener2:name=tls,bind=127.0.0.1,port={}",
            tls.address.port()
        );
        assert!(info.contains(&line), "{info}");
        plain.ask("SET key value");
        assert_eq!(wire.ask("GET key").text(), b"value");
        let own = String::from_utf8(wire.ask("CLIENT INFO").text().into()).expect("text");
        assert!(own.contains(&format!("laddr={}", tls.address)), "{own}");
        let all = plain.ask("CLIENT LIST");
        let all = String::from_utf8_lossy(all.text());
        let id = own.split(' ').next().expect("an id");
        assert!(all.lines().any(|line| line.starts_with(id)), "{all}");
        // Closed with a farewell, without which reading is an error.
        assert_eq!(wire.ask("QUIT").text(), b"OK");
        assert_eq!(wire.until_closed(), b"");
        let mut killed = tls.connect();
        let own = killed.ask("CLIENT ID");
        plain.ask(&format!("CLIENT KILL ID {}", own.integer()));
        assert_eq!(killed.until_closed(), b"");
        // What a client sent before it closed its side is answered.
        let mut half = tls.connect();
        half.send("GET key\r\n".repeat(100).as_bytes());
        half.finish_sending();
        for _ in 0..100 {
            assert_eq!(half.reply(), b"$5\r\nvalue\r\n");
        }
        assert_eq!(half.until_closed(), b"");
    }
}

#[test]
fn the_end_of_the_server_is_told() {
    for shards in SHARDS {
        let mut tls = TlsServer::start(Options::shards(shards));
        let mut wires: Vec<Wire> = (0..20).map(|_| tls.connect()).collect();
        for wire in &mut wires {
            wire.ask("SET key value");
        }
        let mut unfinished: Vec<Wire> = (0..20)
            .map(|_| Wire::connect(tls.address).expect("it listens"))
            .collect();
        for wire in &mut unfinished {
            wire.send(b"\x16\x03\x01\x02\x00\x01");
        }
        tls.server.signal("TERM");
        for wire in &mut wires {
            assert_eq!(wire.until_closed(), b"");
        }
        for wire in &mut unfinished {
            assert_eq!(wire.until_closed(), b"");
        }
        assert!(tls.server.wait().success());
    }
}

#[test]
fn protected_mode_is_told_behind_the_handshake() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards).flags("--bind 0.0.0.0"));
        let outside = tls.authority.issue_for("the server", outer_address());
        tls.write("outside.crt", &outside.certificate);
        tls.write("outside.key", &outside.key);
        let mut control = tls.server.connect();
        let reply = control.ask(
            "CONFIG SET tls-cert-file outside.crt tls-key-file outside.key protected-mode yes",
        );
        assert_eq!(reply.text(), b"OK");
        let outer = (outer_address(), tls.address.port()).into();
        let client = tls.authority.client(None);
        let mut wire = Wire::connect_tls(outer, &client).expect("a handshake");
        let told = wire.until_closed();
        assert!(told.starts_with(b"-DENIED "), "{}", show(&told));
        assert_eq!(control.figure("rejected_connections"), 1);
        control.ask("CONFIG SET protected-mode no");
        let mut wire = Wire::connect_tls(outer, &client).expect("a handshake");
        assert_eq!(wire.ask("PING").text(), b"PONG");
    }
}

#[test]
fn maxclients_counts_handshakes() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards).flags("--maxclients 4"));
        let mut control = tls.server.connect();
        let mut unfinished = vec![tls.connect()];
        unfinished.extend((0..2).map(|_| Wire::connect(tls.address).expect("it listens")));
        eventually("all are counted", TIME_MAX, || {
            control.figure("connected_clients") == 4
        });
        let client = tls.authority.client(None);
        Wire::connect_tls(tls.address, &client).expect_err("too many");
        assert_eq!(control.figure("rejected_connections"), 1);
        assert_eq!(unfinished[0].ask("PING").text(), b"PONG");
        unfinished.pop();
        eventually("one has gone", TIME_MAX, || {
            control.figure("connected_clients") == 3
        });
        assert_eq!(tls.connect().ask("PING").text(), b"PONG");
    }
}
