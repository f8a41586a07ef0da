//! The protocol from outside: what is malformed, inline commands, pipelines cut anywhere, large
//! arguments, versions of RESP.
//!
//! Where the bytes are Redis's to decide, they are asked of Redis.

use std::io::ErrorKind;

use tests::reply::{Value, show};
use tests::server::{START_TIME_MAX, eventually};
use tests::wire::encode;
use tests::{FEW_SHARDS, Options, Oracle, SHARDS, Server};

/// What is sent, and answered with an error and a close, or by waiting for more: as Redis does it.
const MALFORMED: &[&[u8]] = &[
    b"*1\r\n+PING\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n\r\nPING\r\n",
    b"*x\r\n",
    b"*1x\r\n",
    b"*9223372036854775808\r\n",
    b"*1048577\r\n",
    b"*2147483648\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$9223372036854775808\r\n",
    b"*1\r\n$\r\n",
    b"*2\r\n$4\r\nECHO\r\n:1\r\n",
    b"GET \"unbalanced\r\n",
    b"GET 'unbalanced\r\n",
    b"GET \"a\"b\r\n",
    // A line with a zero byte has no end: what follows is not run. The last one is how TLS begins.
    b"PING\0\r\nPING\r\n",
    b"\0\r\nPING\r\n",
    b"ECHO \"a\0b\"\r\nPING\r\n",
    b"\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03\r\nPING\r\n",
];

/// What is sent, and answered on a connection that stays.
const TOLERATED: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"   \r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*-10\r\n",
    b"PING\r\n",
    b"PING\n",
    b"  ping   hello  \r\n",
    b"ECHO \"a\\x41\\n\\\"b\"\r\n",
    b"ECHO 'single \\' quoted'\r\n",
    b"ECHO \"\"\r\n",
    b"QUUX\r\n",
    b"QUUX 'an argument' and \"another\\r\\n\"\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\necho\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n",
    b"*1\r\n$4\r\nECHO\r\n",
    b"*3\r\n$3\r\nGET\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"*1\r\n$12\r\nline\r\nbreak\r\r\n",
];

const AFTER: &[u8] = b"*2\r\n$4\r\nECHO\r\n$9\r\nstill on!\r\n";

#[test]
fn malformed_input_is_answered_and_closed_as_by_redis() {
    let (oracle, server) = (Oracle::start(), Server::start(Options::default()));
    for bytes in MALFORMED {
        let replies = [&*oracle, &server].map(|server| {
            let mut wire = server.connect();
            wire.send(&[b"PING\r\n", *bytes].concat());
            wire.finish_sending();
            wire.until_closed()
        });
        assert!(
            replies[0] == replies[1],
            "{}: Redis {}, here {}",
            show(bytes),
            show(&replies[0]),
            show(&replies[1])
        );
    }
}

#[test]
fn commands_before_a_malformed_one_are_done_and_none_after() {
    let server = Server::start(Options::default());
    let mut wire = server.connect();
    wire.send(b"SET done 1\r\n*1\r\n:1\r\nSET undone 1\r\n");
    let replies = wire.until_closed();
    assert!(
        replies.starts_with(b"+OK\r\n-ERR Protocol error"),
        "{}",
        show(&replies)
    );
    assert_eq!(
        replies.iter().filter(|byte| **byte == b'\n').count(),
        2,
        "{}",
        show(&replies)
    );
    let mut wire = server.connect();
    assert_eq!(wire.ask("EXISTS done"), Value::Integer(1));
    assert_eq!(wire.ask("EXISTS undone"), Value::Integer(0));
}

#[test]
fn odd_but_legal_input_is_answered_as_by_redis() {
    let (oracle, server) = (Oracle::start(), Server::start(Options::default()));
    for bytes in TOLERATED {
        let replies = [&*oracle, &server].map(|server| {
            let mut wire = server.connect();
            wire.send(&[bytes, AFTER].concat());
            let mut replies = Vec::new();
            loop {
                let reply = wire.reply();
                let last = reply == b"$9\r\nstill on!\r\n";
                replies.extend(reply);
                if last {
                    return replies;
                }
            }
        });
        assert!(
            replies[0] == replies[1],
            "{}: Redis {}, here {}",
            show(bytes),
            show(&replies[0]),
            show(&replies[1])
        );
    }
}

#[test]
fn an_inline_line_without_end_is_refused() {
    let server = Server::start(Options::default());
    let mut wire = server.connect();
    // The server may close before all is sent.
    match wire.try_send(&[b'x'; 128 * 1024]) {
        Ok(()) => {}
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ),
            "{error}"
        ),
    }
    let replies = wire.until_closed();
    assert!(
        replies.is_empty() || replies == b"-ERR Protocol error: too big inline request\r\n",
        "{}",
        show(&replies)
    );
}

#[test]
fn announced_sizes_cost_nothing_until_they_arrive() {
    let server = Server::start(Options::default());
    let before = resident_bytes(server.pid());
    let idle: Vec<_> = (0..50)
        .map(|_| {
            let mut wire = server.connect();
            wire.send(b"*1048576\r\n$536870912\r\n");
            wire
        })
        .collect();
    assert_eq!(
        server.connect().ask("PING"),
        Value::Simple(b"PONG".to_vec())
    );
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    assert!(
        grown < 64 << 20,
        "{} connections took {grown} bytes",
        idle.len()
    );
}

/// The pages a process holds in memory.
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    let kilobytes: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    kilobytes * 1024
}

#[test]
fn a_pipeline_may_be_cut_at_every_byte() {
    let server = Server::start(Options::shards(4));
    let mut pipeline = Vec::new();
    let mut expected = Vec::new();
    for index in 0..4 {
        let (key, value) = (format!("key{index}"), format!("value\r\n{index}"));
        encode(&["SET", &key, &value], &mut pipeline);
        expected.extend_from_slice(b"+OK\r\n");
        encode(&["GET", &key], &mut pipeline);
        expected.extend_from_slice(format!("${}\r\n{value}\r\n", value.len()).as_bytes());
    }
    pipeline.extend_from_slice(b"PING\r\n*1\r\n$4\r\nPING\r\nECHO \"in line\"\r\n");
    expected.extend_from_slice(b"+PONG\r\n+PONG\r\n$7\r\nin line\r\n");

    let mut wire = server.connect();
    for cut in 1..pipeline.len() {
        wire.send(&pipeline[..cut]);
        wire.send(&pipeline[cut..]);
        let mut replies = Vec::new();
        while replies.len() < expected.len() {
            replies.extend(wire.reply());
        }
        assert!(replies == expected, "cut at {cut}: {}", show(&replies));
    }
    // And byte by byte.
    for byte in &pipeline {
        wire.send(std::slice::from_ref(byte));
    }
    let mut replies = Vec::new();
    while replies.len() < expected.len() {
        replies.extend(wire.reply());
    }
    assert!(replies == expected, "{}", show(&replies));
}

#[test]
fn a_unix_socket_answers_too() {
    let server = Server::start(Options::default().unix_socket());
    let mut wire = tests::Wire::connect_unix(&server.unix_socket()).expect("the socket is there");
    assert_eq!(wire.ask("SET a 1"), Value::Simple(b"OK".to_vec()));
    assert_eq!(server.connect().ask("GET a"), Value::Bulk(b"1".to_vec()));
}

#[test]
fn arguments_of_a_megabyte_and_of_64() {
    let server = Server::start(Options::default());
    let mut wire = server.connect();
    for (key, megabytes) in [("one", 1), ("sixty-four", 64)] {
        let length = megabytes << 20;
        let value: Vec<u8> = (0..length)
            .map(|index: usize| (index.wrapping_mul(31) >> 3) as u8)
            .collect();
        let set = wire.command(&[b"SET".as_slice(), key.as_bytes(), &value]);
        assert_eq!(set, Value::Simple(b"OK".to_vec()));
        assert_eq!(
            wire.ask(&format!("STRLEN {key}")),
            Value::Integer(i64::try_from(length).expect("small"))
        );
        let got = wire.ask(&format!("GET {key}"));
        assert!(got.text() == value, "{key} came back otherwise");
    }
}

/// What waits behind a command that blocks is read and not run: a large argument begins in the
/// middle of what has been read by then.
#[test]
fn a_large_argument_may_begin_behind_a_command_that_waits() {
    const LEN: usize = 100_000;
    let value: Vec<u8> = (0..LEN).map(|at| b'a' + (at % 26) as u8).collect();
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        for cut in [1, 100, 300, 20_000, LEN - 1] {
            let mut wire = server.connect();
            let set = [
                format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${LEN}\r\n").as_bytes(),
                &value,
                b"\r\nPING\r\n",
            ]
            .concat();
            let cut = set.len() - LEN - 8 + cut;
            wire.send(b"BLPOP list 0\r\n");
            wire.send(&set[..cut]);
            eventually("it waits", START_TIME_MAX, || {
                let list = control.ask("CLIENT LIST TYPE normal");
                String::from_utf8_lossy(list.text()).contains("flags=b")
            });
            control.ask("RPUSH list element");
            assert!(wire.value().elements().is_some());
            wire.send(&set[cut..]);
            assert_eq!(wire.value().text(), b"OK");
            assert_eq!(wire.value().text(), b"PONG");
            assert!(wire.ask("GET large").text() == value, "cut at {cut}");
        }
    }
}

#[test]
fn a_command_of_a_hundred_thousand_arguments() {
    let server = Server::start(Options::shards(4));
    let mut wire = server.connect();
    let mut set = vec!["MSET".to_owned()];
    let mut get = vec!["MGET".to_owned()];
    for index in 0..50_000 {
        set.extend([format!("key:{index}"), index.to_string()]);
        get.push(format!("key:{index}"));
    }
    assert_eq!(wire.command(&set), Value::Simple(b"OK".to_vec()));
    let Value::Array(all) = wire.command(&get) else {
        panic!("MGET answers with an array")
    };
    assert_eq!(all.len(), 50_000);
    for (index, value) in all.iter().enumerate() {
        assert_eq!(value.text(), index.to_string().as_bytes());
    }
}

#[test]
fn a_reply_has_the_shape_of_its_commands_moment() {
    let server = Server::start(Options::shards(4));
    let mut wire = server.connect();
    let mut pipeline = Vec::new();
    let mut expected = Vec::new();
    // Keys of all shards, so that replies that come from afar are told in the version of before.
    for round in 0..20 {
        for key in 0..8 {
            encode(&["GET", &format!("none{key}")], &mut pipeline);
            expected.push(match round % 2 {
                0 => b"$-1\r\n".as_slice(),
                _ => b"_\r\n".as_slice(),
            });
        }
        encode(
            &["HELLO", if round % 2 == 0 { "3" } else { "2" }],
            &mut pipeline,
        );
        expected.push(if round % 2 == 0 { b"%" } else { b"*" });
    }
    wire.send(&pipeline);
    for (index, start) in expected.iter().enumerate() {
        let reply = wire.reply();
        assert!(
            reply.starts_with(start),
            "reply {index}: {} should begin with {}",
            show(&reply),
            show(start)
        );
    }
}

#[test]
fn hello_tells_who_answers() {
    let server = Server::start(Options::default());
    let mut wire = server.connect();
    let Value::Map(fields) = wire.ask("HELLO 3") else {
        panic!("HELLO 3 answers with a map")
    };
    let names: Vec<String> = fields
        .iter()
        .map(|(name, _)| String::from_utf8_lossy(name.text()).into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "server", "version", "proto", "id", "mode", "role", "modules"
        ]
    );
    assert_eq!(fields[0].1.text(), b"redis");
    assert_eq!(fields[2].1, Value::Integer(3));
}

#[test]
fn quit_answers_and_closes_after_what_came_before() {
    let server = Server::start(Options::shards(4));
    let mut wire = server.connect();
    wire.send(b"SET a 1\r\nSET b 2\r\nGET a\r\nQUIT\r\nSET a 3\r\n");
    assert_eq!(wire.until_closed(), b"+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n");
    assert_eq!(server.connect().ask("GET a"), Value::Bulk(b"1".to_vec()));
}

/// What COMMAND tells about commands that are the same in every version, in both protocols.
#[test]
fn command_answers_in_the_shapes_of_redis() {
    let (oracle, server) = (Oracle::start(), Server::start(Options::default()));
    for version in ["2", "3"] {
        for request in [
            "COMMAND INFO nope",
            "COMMAND INFO get nope",
            "COMMAND INFO config|get",
            "COMMAND LIST FILTERBY PATTERN getde*",
            "COMMAND GETKEYS MSET a 1 b 2",
            "COMMAND GETKEYSANDFLAGS LMOVE a b LEFT LEFT",
            "COMMAND GETKEYS GET",
            "COMMAND nothing",
        ] {
            let replies = [&*oracle, &server].map(|server| {
                let mut wire = server.connect();
                wire.send(format!("HELLO {version}\r\n{request}\r\n").as_bytes());
                wire.reply();
                wire.reply()
            });
            assert!(
                replies[0] == replies[1],
                "{request} in RESP{version}: Redis {}, here {}",
                show(&replies[0]),
                show(&replies[1])
            );
        }
    }
}

/// What is refused is a command, too: CLIENT REPLY SKIP is for the next one, whatever becomes of
/// it.
#[test]
fn replies_are_skipped_as_by_redis() {
    const SENT: &[&str] = &[
        "CLIENT REPLY SKIP|PING|PING",
        "CLIENT REPLY SKIP|NONSENSE|PING",
        "CLIENT REPLY SKIP|GET|PING",
        "CLIENT REPLY SKIP|CLIENT NONSENSE|PING",
        "CLIENT REPLY SKIP|CLIENT REPLY SKIP|PING|PING",
        "CLIENT REPLY SKIP|CLIENT REPLY OFF|PING|CLIENT REPLY ON|PING",
        "CLIENT REPLY OFF|NONSENSE|CLIENT REPLY SKIP|PING|CLIENT REPLY ON|PING",
        "CLIENT REPLY SKIP|MULTI|GET a|EXEC",
        "MULTI|GET a|EXEC|CLIENT REPLY SKIP|EXEC|PING",
        "CLIENT REPLY OFF|MULTI|GET a|EXEC|MULTI|GET a|DISCARD|CLIENT REPLY ON|PING",
        "CLIENT REPLY OFF|MULTI|GET a|MONITOR|EXEC|CLIENT REPLY ON|PING",
    ];
    let heard = |server: &Server, sent: &str| -> Vec<String> {
        let mut wire = server.connect();
        for command in sent.split('|') {
            wire.send(format!("{command}\r\n").as_bytes());
        }
        wire.send(AFTER);
        let mut heard = Vec::new();
        loop {
            let reply = wire.reply();
            if reply.ends_with(b"still on!\r\n") {
                return heard;
            }
            heard.push(show(&reply));
        }
    };
    let oracle = Oracle::start();
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        for sent in SENT {
            assert_eq!(heard(&oracle, sent), heard(&server, sent), "{sent}");
        }
    }
}

#[test]
fn a_client_that_never_reads_is_closed_where_there_is_a_limit() {
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let set = [
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "normal 1mb 0 0",
        ];
        assert_eq!(wire.command(&set).text(), b"OK");
        wire.command(&["SET".to_owned(), "large".into(), "x".repeat(1 << 20)]);
        let mut mute = server.connect();
        mute.ask("CLIENT SETNAME mute");
        for _ in 0..32 {
            // The server may close at any of them.
            if mute
                .try_send(b"*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n")
                .is_err()
            {
                break;
            }
        }
        eventually("the client is closed", START_TIME_MAX, || {
            let list = wire.ask("CLIENT LIST");
            !String::from_utf8_lossy(list.text()).contains("name=mute")
        });
        // Nobody else noticed.
        assert_eq!(wire.ask("STRLEN large"), Value::Integer(1 << 20));
    }
}
