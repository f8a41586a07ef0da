//! `idle-policy`: whatever it says, all commands are answered, and all messages come.

use std::thread;

use tests::wire::encode;
use tests::{Options, SHARDS, Server, Wire};

use crate::TIME_MAX;

/// Connections that send pipelines.
const CONNECTIONS: usize = 6;
const PIPELINES: usize = 150;
const SUBSCRIBERS: usize = 20;
const MESSAGES: usize = 300;
const ELEMENTS: usize = 100;

/// How a server's policy is while clients speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Policy {
    Default,
    Off,
    /// It changes again and again.
    Switched,
}

fn set(wire: &mut Wire, policy: &str) {
    let set = wire.ask(&format!("CONFIG SET idle-policy {policy}"));
    assert_eq!(set.text(), b"OK");
}

/// Sets and reads keys of its own on all shards, many commands at a time.
fn speak_in_pipelines(mut wire: Wire, number: usize) {
    for round in 0..PIPELINES {
        let commands = 1 + round % 16;
        let mut pipeline = Vec::new();
        for at in 0..commands {
            let (key, value) = (format!("{number}:{at}"), format!("value {round}"));
            encode(&["SET", &key, &value], &mut pipeline);
            encode(&["GET", &key], &mut pipeline);
        }
        wire.send(&pipeline);
        for at in 0..commands {
            assert_eq!(wire.value().text(), b"OK");
            let value = wire.value();
            assert_eq!(
                value.text(),
                format!("value {round}").as_bytes(),
                "key {at}"
            );
        }
    }
}

/// Hears all messages in their order.
fn listen(mut wire: Wire) {
    for number in 0..MESSAGES {
        let message = wire.value();
        let payload = message.elements().expect("a message")[2].text().to_vec();
        assert_eq!(payload, number.to_string().as_bytes());
    }
}

/// Waits for each element, and says that it has come.
fn pop(mut wire: Wire) {
    for number in 0..ELEMENTS {
        let popped = wire.ask("BLPOP queue 0");
        let element = popped.elements().expect("an element")[1].text().to_vec();
        assert_eq!(element, number.to_string().as_bytes());
        wire.ask(&format!("RPUSH heard {number}"));
    }
}

fn converse(server: &Server, policy: Policy) {
    let connect = || {
        let wire = server.connect();
        wire.time_limit(TIME_MAX).expect("a socket");
        wire
    };
    let subscribed = || {
        let mut wire = connect();
        wire.ask("SUBSCRIBE channel");
        wire
    };
    let subscribers: Vec<Wire> = (0..SUBSCRIBERS).map(|_| subscribed()).collect();
    let speakers: Vec<Wire> = (0..CONNECTIONS).map(|_| connect()).collect();
    let (mut publisher, mut pusher, mut operator) = (connect(), connect(), connect());
    let popper = connect();
    thread::scope(|scope| {
        for wire in subscribers {
            scope.spawn(|| listen(wire));
        }
        for (number, wire) in speakers.into_iter().enumerate() {
            scope.spawn(move || speak_in_pipelines(wire, number));
        }
        scope.spawn(|| pop(popper));
        scope.spawn(move || {
            for number in 0..MESSAGES {
                let heard = publisher.ask(&format!("PUBLISH channel {number}"));
                assert_eq!(heard.integer(), SUBSCRIBERS as i64);
            }
        });
        scope.spawn(move || {
            for number in 0..ELEMENTS {
                pusher.ask(&format!("RPUSH queue {number}"));
                pusher.ask("BLPOP heard 0");
            }
        });
        if policy == Policy::Switched {
            for _ in 0..100 {
                set(&mut operator, "off");
                set(&mut operator, "default");
            }
        }
    });
}

#[test]
fn everybody_is_answered_whatever_the_policy() {
    for driver in ["auto", "epoll"] {
        for shards in SHARDS {
            let server =
                Server::start(Options::shards(shards).flags(&format!("--io-driver {driver}")));
            converse(&server, Policy::Default);
            set(&mut server.connect(), "off");
            converse(&server, Policy::Off);
            converse(&server, Policy::Switched);
        }
    }
}

/// Several shards of one thread answer one another while each may spin for the others.
#[test]
fn shards_that_share_a_thread_answer_whatever_the_policy() {
    for policy in [Policy::Default, Policy::Off, Policy::Switched] {
        let server = Server::start(Options::shards(4).flags("--threads 1"));
        if policy == Policy::Off {
            set(&mut server.connect(), "off");
        }
        converse(&server, policy);
    }
}

#[test]
fn it_is_a_parameter_as_others_are() {
    let server = Server::start(Options::shards(2).flags("--idle-policy off"));
    let mut wire = server.connect();
    let mut shown = || {
        let pair = wire.ask("CONFIG GET idle-policy");
        let value = pair.elements().expect("a pair")[1].text().to_vec();
        String::from_utf8(value).expect("text")
    };
    assert_eq!(shown(), "off");
    set(&mut server.connect(), "default");
    assert_eq!(shown(), "default");
    let refused = server.connect().ask("CONFIG SET idle-policy sometimes");
    assert!(refused.is_error());
}
