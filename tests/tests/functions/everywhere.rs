//! A library that is loaded through one connection is there for every other, at once.

use tests::{Options, SHARDS, Server, Wire};

use crate::{library, load, names};

/// Connections, enough that every shard has some.
const CONNECTIONS: usize = 12;

const ROUNDS: usize = 40;

fn connections(server: &Server) -> Vec<Wire> {
    (0..CONNECTIONS).map(|_| server.connect()).collect()
}

#[test]
fn every_connection_sees_a_change_once_it_is_answered() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wires = connections(&server);
        for round in 0..ROUNDS {
            let name = format!("v{round}");
            let code = format!(
                "#!lua name=lib\nredis.register_function('f', function() return '{name}' end)"
            );
            wires[round % CONNECTIONS].command(&["FUNCTION", "LOAD", "REPLACE", &code]);
            for wire in &mut wires {
                assert_eq!(
                    wire.ask("FCALL f 0").text(),
                    name.as_bytes(),
                    "{shards} shards"
                );
            }
            if round % 5 == 0 {
                wires[(round + 1) % CONNECTIONS].ask("FUNCTION DELETE lib");
                for wire in &mut wires {
                    let reply = wire.ask("FCALL f 0");
                    assert!(reply.is_error(), "{shards} shards: {reply:?}");
                }
            }
        }
    }
}

/// A pipeline finds what it has loaded itself.
#[test]
fn a_pipeline_finds_what_it_has_loaded() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        for mut wire in connections(&server) {
            let code = library("lib", &["f"]);
            wire.send_command(&["FUNCTION", "LOAD", "REPLACE", &code]);
            wire.send(b"FCALL f 0\r\nFUNCTION FLUSH\r\nFCALL f 0\r\nPING\r\n");
            assert_eq!(wire.value().text(), b"lib");
            assert_eq!(wire.value().text(), b"f");
            assert_eq!(wire.value().text(), b"OK");
            assert!(wire.value().is_error());
            assert_eq!(wire.value().text(), b"PONG");
        }
    }
}

/// Of several that load libraries with a function of the same name one succeeds.
#[test]
fn one_of_many_takes_a_name() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wires = connections(&server);
        for _ in 0..ROUNDS / 4 {
            wires[0].ask("FUNCTION FLUSH");
            for (number, wire) in wires.iter_mut().enumerate() {
                let code = library(&format!("lib{number}"), &["f"]);
                wire.send_command(&["FUNCTION", "LOAD", &code]);
            }
            let answers = wires.iter_mut().map(Wire::value);
            let loaded = answers.filter(|answer| !answer.is_error()).count();
            assert_eq!(loaded, 1, "{shards} shards");
            assert_eq!(names(&mut wires[0]).len(), 1);
        }
    }
}

/// A function works on keys of any shard, and those that it names only when it runs.
#[test]
fn functions_reach_keys_of_all_shards() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        load(&mut wire, "idle", &["nothing"]);
        let code = "#!lua name=copy\nredis.register_function('copy', function(keys, args) \
             redis.call('set', keys[2], redis.call('get', keys[1])) \
             return redis.call('set', args[1], 'named') end)";
        assert_eq!(wire.command(&["FUNCTION", "LOAD", code]).text(), b"copy");
        for number in 0..20 {
            wire.ask(&format!("SET from{number} value{number}"));
            let call = format!("FCALL copy 2 from{number} to{number} other{number}");
            assert_eq!(wire.ask(&call).text(), b"OK", "{shards} shards");
            let copied = wire.ask(&format!("GET to{number}"));
            assert_eq!(copied.text(), format!("value{number}").as_bytes());
            assert_eq!(wire.ask(&format!("GET other{number}")).text(), b"named");
        }
    }
}

/// A function that names only its keys runs where they are. One that takes its place meanwhile, and
/// names others and publishes, is run all the same.
#[test]
fn a_function_changes_while_it_is_called() {
    const CALLS: usize = 300;
    let incr = "redis.register_function('f', function(keys, args)
        return redis.call('INCR', keys[1]) end)";
    let publish = "redis.register_function('f', function(keys, args)
        redis.call('PUBLISH', 'c', 'x') return redis.call('INCR', args[1]) end)";
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        let mut change = |text: &str| {
            let code = format!("#!lua name=lib\n{text}");
            let reply = control.command(&["FUNCTION", "LOAD", "REPLACE", &code]);
            assert_eq!(reply.text(), b"lib");
        };
        change(incr);
        std::thread::scope(|scope| {
            let callers: Vec<_> = connections(&server)
                .into_iter()
                .enumerate()
                .map(|(number, mut wire)| {
                    scope.spawn(move || {
                        for call in 0..CALLS {
                            let key = format!("k{}", (number + call) % 7);
                            let reply = wire.command(&["FCALL", "f", "1", &key, &key]);
                            assert!(!reply.is_error(), "{shards} shards: {reply:?}");
                        }
                    })
                })
                .collect();
            while callers.iter().any(|caller| !caller.is_finished()) {
                change(publish);
                change(incr);
            }
        });
        let counts = control.ask("MGET k0 k1 k2 k3 k4 k5 k6");
        let count = |value: &tests::reply::Value| {
            let text = String::from_utf8_lossy(value.text()).into_owned();
            text.parse::<usize>().expect("a number")
        };
        let sum: usize = counts.elements().expect("an array").iter().map(count).sum();
        assert_eq!(sum, CALLS * CONNECTIONS, "{shards} shards");
    }
}
