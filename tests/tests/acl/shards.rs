//! Users on many shards: a change that was answered is in force everywhere, and none is lost.

use std::thread;
use std::time::Duration;

use tests::reply::{Value, show};
use tests::server::eventually;
use tests::{Options, SEVERAL_SHARDS, Server, Wire};

/// Connections of a user: some on each shard.
const CONNECTIONS: usize = 8;

const TIME_MAX: Duration = Duration::from_secs(10);

/// Changes, each seen by all of them.
const CHANGES: usize = 100;

/// Users at once.
const USERS: usize = 1_000;

/// Threads that change one user, and how often each.
const WRITERS: usize = 6;
const WRITES: usize = 60;

fn login(server: &Server, user: &str, password: &str) -> Wire {
    let mut wire = server.connect();
    assert_eq!(wire.ask(&format!("AUTH {user} {password}")).text(), b"OK");
    wire
}

fn set_user(wire: &mut Wire, rules: &str) {
    let set = wire.ask(&format!("ACL SETUSER {rules}"));
    assert!(!set.is_error(), "{rules}: {set:?}");
}

/// The text of a field of GETUSER.
fn field(wire: &mut Wire, user: &str, name: &str) -> String {
    let fields = wire.ask(&format!("ACL GETUSER {user}"));
    let fields = fields.elements().expect("a user");
    let at = fields
        .iter()
        .position(|field| matches!(field, Value::Bulk(text) if text == name.as_bytes()));
    let value = &fields[at.expect("the field") + 1];
    String::from_utf8_lossy(value.text()).into_owned()
}

/// Keys of all shards.
fn key(number: usize) -> String {
    format!("key:{}", number % 64)
}

#[test]
fn a_change_that_was_answered_is_in_force_everywhere() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admins: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        set_user(&mut admins[0], "bob on nopass +@all ~* &*");
        let mut wires: Vec<Wire> = (0..CONNECTIONS)
            .map(|_| login(&server, "bob", "x"))
            .collect();
        for change in 0..CHANGES {
            let allowed = change % 2 == 1;
            let rules = match (change / 2 % 4, allowed) {
                (0, true) => "bob +get",
                (0, false) => "bob -get",
                (1, true) => "bob allkeys",
                (1, false) => "bob resetkeys",
                (2, true) => "bob +@all",
                (2, false) => "bob nocommands",
                (_, true) => "bob clearselectors +@all allkeys",
                (_, false) => "bob -get resetkeys (+set ~*)",
            };
            set_user(&mut admins[change % CONNECTIONS], rules);
            for (at, wire) in wires.iter_mut().enumerate() {
                wire.send_words(&format!("GET {}", key(change + at)));
            }
            for wire in &mut wires {
                let reply = wire.value();
                assert_eq!(
                    !reply.is_error(),
                    allowed,
                    "{shards} shards, {rules}: {reply:?}"
                );
            }
        }
    }
}

#[test]
fn a_password_that_was_answered_counts_everywhere() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admins: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        for change in 0..CHANGES {
            let admin = &mut admins[change % CONNECTIONS];
            let right = format!("p{change}");
            set_user(admin, &format!("bob reset on >{right}"));
            if change % 4 == 0 {
                set_user(admin, "bob off");
            }
            for (at, wire) in wires.iter_mut().enumerate() {
                let password = if at % 2 == 0 { &right } else { "p" };
                wire.send_words(&format!("AUTH bob {password}"));
            }
            for (at, wire) in wires.iter_mut().enumerate() {
                let is_in = at % 2 == 0 && change % 4 != 0;
                assert_eq!(
                    !wire.value().is_error(),
                    is_in,
                    "{shards} shards, change {change}"
                );
            }
        }
    }
}

#[test]
fn requirepass_counts_everywhere_at_once() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admins: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        // Who has been let in before there is a password stays in.
        for admin in &mut admins {
            admin.ask("PING");
        }
        for change in 0..CHANGES / 4 {
            let password = format!("p{change}");
            let admin = &mut admins[change % CONNECTIONS];
            let set = admin.command(&["CONFIG", "SET", "requirepass", &password]);
            assert_eq!(set.text(), b"OK");
            let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
            for wire in &mut wires {
                assert!(wire.ask("PING").is_error(), "{shards} shards");
                assert!(wire.ask("AUTH p").is_error(), "{shards} shards");
                assert_eq!(wire.ask(&format!("AUTH {password}")).text(), b"OK");
            }
            let set = admin.command(&["CONFIG", "SET", "requirepass", ""]);
            assert_eq!(set.text(), b"OK");
            for _ in 0..CONNECTIONS {
                assert_eq!(
                    server.connect().ask("PING").text(),
                    b"PONG",
                    "{shards} shards"
                );
            }
        }
    }
}

#[test]
fn who_is_deleted_is_gone_everywhere() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admins: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        for round in 0..20 {
            let admin = &mut admins[round % CONNECTIONS];
            set_user(admin, "bob on nopass +@all ~* &*");
            let mut wires: Vec<Wire> = (0..CONNECTIONS)
                .map(|_| login(&server, "bob", "x"))
                .collect();
            wires[0].ask("SUBSCRIBE c");
            wires[1].send_words("BLPOP none 0");
            wires[2].ask("MULTI");
            wires[2].ask("SET written 1");
            // What they send afterwards may still be read, and must not be run.
            assert_eq!(admin.ask("ACL DELUSER bob").integer(), 1);
            for wire in &mut wires[3..] {
                let _ = wire.try_send(b"SET written 1\r\n");
            }
            let _ = wires[2].try_send(b"EXEC\r\n");
            for wire in &mut wires {
                let last = wire.until_closed();
                assert!(last.is_empty(), "{shards} shards: {}", show(&last));
            }
            assert_eq!(admin.ask("EXISTS written").integer(), 0, "{shards} shards");
            for _ in 0..CONNECTIONS {
                assert!(
                    server.connect().ask("AUTH bob x").is_error(),
                    "{shards} shards"
                );
            }
        }
    }
}

#[test]
fn channels_that_are_taken_close_subscribers_of_all_shards() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admin = server.connect();
        set_user(&mut admin, "bob on nopass +@all &keep &go*");
        let mut wires: Vec<Wire> = (0..2 * CONNECTIONS)
            .map(|_| login(&server, "bob", "x"))
            .collect();
        for (at, wire) in wires.iter_mut().enumerate() {
            wire.ask(["SUBSCRIBE keep", "PSUBSCRIBE go*"][at % 2]);
        }
        set_user(&mut admin, "bob resetchannels &keep");
        for wire in wires.iter_mut().skip(1).step_by(2) {
            wire.until_closed();
        }
        assert_eq!(admin.ask("PUBLISH keep m").integer(), 8, "{shards} shards");
        assert_eq!(admin.ask("PUBLISH go m").integer(), 0, "{shards} shards");
        for wire in wires.iter_mut().step_by(2) {
            assert!(show(&wire.reply()).contains("keep"), "{shards} shards");
        }
    }
}

#[test]
fn a_thousand_users() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admins: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        for number in 0..USERS {
            let rules = format!("user:{number} on >p{number} ~{number}:* +get +set +ping");
            admins[number % CONNECTIONS].send_words(&format!("ACL SETUSER {rules}"));
        }
        for number in 0..USERS {
            let set = admins[number % CONNECTIONS].value();
            assert_eq!(set.text(), b"OK", "{shards} shards");
        }
        let users = admins[0].ask("ACL USERS").elements().expect("a list");
        assert_eq!(users.len(), USERS + 1, "{shards} shards");
        let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        for number in 0..USERS {
            let wire = &mut wires[number % CONNECTIONS];
            let other = (number + 1) % USERS;
            assert!(wire.ask(&format!("AUTH user:{number} p{other}")).is_error());
            assert_eq!(
                wire.ask(&format!("AUTH user:{number} p{number}")).text(),
                b"OK"
            );
            assert_eq!(wire.ask(&format!("SET {number}:k v")).text(), b"OK");
            let refused = show(format!("{:?}", wire.ask(&format!("GET {other}:k"))).as_bytes());
            assert!(refused.contains("NOPERM"), "{shards} shards: {refused}");
        }
        let names: Vec<String> = (0..USERS).map(|number| format!("user:{number}")).collect();
        let mut words = vec!["ACL", "DELUSER"];
        words.extend(names.iter().map(String::as_str));
        assert_eq!(
            admins[1].command(&words).integer(),
            1_000,
            "{shards} shards"
        );
        let users = admins[2].ask("ACL USERS").elements().expect("a list");
        assert_eq!(users.len(), 1, "{shards} shards");
    }
}

#[test]
fn changes_at_once_are_all_kept() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        set_user(&mut server.connect(), "bob on");
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let server = &server;
                scope.spawn(move || {
                    let mut wire = server.connect();
                    for write in 0..WRITES {
                        let rules = format!("bob ~{writer}:{write} &{writer}:{write}");
                        if write % 3 == 0 {
                            wire.ask("MULTI");
                            wire.ask(&format!("ACL SETUSER {rules}"));
                            wire.ask("EXEC");
                        } else {
                            set_user(&mut wire, &rules);
                        }
                        // A failing change beside it takes nothing back.
                        assert!(wire.ask("ACL SETUSER bob resetkeys nosuch").is_error());
                        set_user(&mut wire, &format!("own:{writer}:{write} on"));
                        if write % 2 == 0 {
                            let removed = wire.ask(&format!("ACL DELUSER own:{writer}:{write}"));
                            assert_eq!(removed.integer(), 1);
                        }
                    }
                });
            }
        });
        let mut wire = server.connect();
        let mut expected: Vec<String> = (0..WRITERS)
            .flat_map(|writer| (0..WRITES).map(move |write| format!("{writer}:{write}")))
            .collect();
        expected.sort();
        for (name, sign) in [("keys", '~'), ("channels", '&')] {
            let text = field(&mut wire, "bob", name);
            let patterns = text
                .split(' ')
                .map(|pattern| pattern.trim_start_matches(sign));
            let mut patterns: Vec<String> = patterns.map(str::to_owned).collect();
            patterns.sort();
            assert_eq!(patterns, expected, "{shards} shards");
        }
        let users = wire.ask("ACL USERS").elements().expect("a list");
        assert_eq!(users.len(), 2 + WRITERS * WRITES / 2, "{shards} shards");
    }
}

/// One user changes while others use it: each command is judged by the rules before or after, and
/// never by something between.
#[test]
fn rules_change_as_one() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admin = server.connect();
        // One of two ways is always open, and never both.
        let ways = [
            "bob resetkeys -@all +get ~a",
            "bob resetkeys -@all +strlen ~b",
        ];
        set_user(&mut admin, "bob on nopass");
        set_user(&mut admin, ways[0]);
        let mut wires: Vec<Wire> = (0..CONNECTIONS)
            .map(|_| login(&server, "bob", "x"))
            .collect();
        for change in 0..CHANGES {
            admin.send_words(&format!("ACL SETUSER {}", ways[change % 2]));
            for wire in &mut wires {
                wire.send(b"GET b\r\nSTRLEN a\r\nGET b\r\nSTRLEN a\r\n");
            }
            for wire in &mut wires {
                for _ in 0..4 {
                    let reply = wire.value();
                    assert!(reply.is_error(), "{shards} shards: {reply:?}");
                }
            }
            assert_eq!(admin.value().text(), b"OK");
        }
    }
}

/// A transaction, and a script, on many shards is judged by the rules of one instant.
#[test]
fn a_transaction_is_judged_by_one_set_of_rules() {
    let keys: Vec<String> = (0..6).map(key).collect();
    let calls: Vec<String> = keys
        .iter()
        .map(|key| format!("x = redis.pcall('hget', '{key}', 'f') r[#r + 1] = type(x) == 'table' and 'denied' or x"))
        .collect();
    let script = format!("local r, x = {{}} {} return r", calls.join(" "));
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admin = server.connect();
        set_user(&mut admin, "bob on nopass +@all ~*");
        for key in &keys {
            admin.ask(&format!("HSET {key} f v"));
        }
        let mut wires: Vec<Wire> = (0..CONNECTIONS)
            .map(|_| login(&server, "bob", "x"))
            .collect();
        for change in 0..CHANGES {
            for (at, wire) in wires.iter_mut().enumerate() {
                if at % 2 == 0 {
                    wire.send_command(&["EVAL", &script, "0"]);
                    continue;
                }
                wire.send_words("MULTI");
                keys.iter()
                    .for_each(|key| wire.send_words(&format!("HGET {key} f")));
                wire.send_words("EXEC");
            }
            let sign = ['-', '+'][change % 2];
            set_user(&mut admin, &format!("bob {sign}hget"));
            for (at, wire) in wires.iter_mut().enumerate() {
                let before = if at % 2 == 0 { 0 } else { 1 + keys.len() };
                (0..before).for_each(|_| drop(wire.reply()));
                let reply = wire.value();
                if reply.is_error() {
                    continue;
                }
                let all = reply.elements().expect("an array");
                let shown: Vec<String> = all.iter().map(|value| format!("{value:?}")).collect();
                let denied = |text: &String| text.contains("NOPERM") || text.contains("denied");
                let count = shown.iter().filter(|text| denied(text)).count();
                assert!(
                    count == 0 || count == all.len(),
                    "{shards} shards: {shown:?}"
                );
            }
        }
    }
}

/// Once it is answered that a user may not wait any more, or is gone, he takes nothing.
#[test]
fn who_may_not_wait_any_more_takes_nothing() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut admin, mut control) = (server.connect(), server.connect());
        let mut pushers: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        for round in 0..CHANGES {
            set_user(&mut admin, "bob on nopass +@all ~*");
            let mut bob = login(&server, "bob", "x");
            let key = key(round);
            bob.send_words(&format!("BLPOP {key} other 0"));
            eventually("bob waits", TIME_MAX, || control.blocked_clients() == 1);
            let is_deleted = round % 2 == 0;
            let change = ["ACL SETUSER bob -blpop", "ACL DELUSER bob"][usize::from(is_deleted)];
            assert!(!admin.ask(change).is_error());
            let pushed = pushers[round % CONNECTIONS].ask(&format!("RPUSH {key} x"));
            assert_eq!(pushed.integer(), 1, "{shards} shards, round {round}");
            let left = control.ask(&format!("LLEN {key}")).integer();
            assert_eq!(left, 1, "{shards} shards, round {round}: {change}");
            control.ask(&format!("DEL {key}"));
            if is_deleted {
                assert!(bob.until_closed().is_empty(), "{shards} shards");
            } else {
                assert!(bob.value().is_error(), "{shards} shards");
            }
        }
    }
}

/// Each command of a pipeline is its sender's who it was then, whichever shard it goes to.
#[test]
fn a_pipeline_changes_users_in_its_midst() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        set_user(&mut wire, "reader on >r +get ~*");
        set_user(&mut wire, "writer on >w +set ~*");
        for round in 0..CHANGES {
            let key = key(round);
            let mut expected = Vec::new();
            for (user, password) in [("reader", "r"), ("writer", "w"), ("reader", "x")] {
                wire.send_words(&format!("AUTH {user} {password}"));
                wire.send_words(&format!("SET {key} {round}"));
                wire.send_words(&format!("GET {key}"));
                // Whom a wrong password leaves as before.
                let may_write = user == "writer" || password == "x";
                expected.extend([password != "x", may_write, !may_write]);
            }
            wire.send_words("AUTH default x");
            expected.push(true);
            let answers: Vec<bool> = expected.iter().map(|_| !wire.value().is_error()).collect();
            assert_eq!(answers, expected, "{shards} shards");
        }
    }
}

#[test]
fn clients_of_a_user_are_listed_and_killed_on_all_shards() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admin = server.connect();
        set_user(&mut admin, "bob on nopass +@all ~*");
        let mut wires: Vec<Wire> = (0..CONNECTIONS)
            .map(|_| login(&server, "bob", "x"))
            .collect();
        let mut other = login(&server, "default", "x");
        let list = admin.ask("CLIENT LIST");
        let list = String::from_utf8_lossy(list.text()).into_owned();
        let of = |user: &str| list.matches(&format!(" user={user} ")).count();
        assert_eq!(
            (of("bob"), of("default")),
            (CONNECTIONS, 2),
            "{shards} shards"
        );
        let killed = wires[0].ask("CLIENT KILL USER bob").integer();
        assert_eq!(killed, 7, "{shards} shards: not itself");
        assert_eq!(
            admin.ask("CLIENT KILL USER bob").integer(),
            1,
            "{shards} shards"
        );
        for wire in &mut wires {
            wire.until_closed();
        }
        assert_eq!(other.ask("PING").text(), b"PONG");
    }
}

#[test]
fn the_log_is_one() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut admin = server.connect();
        set_user(&mut admin, "bob on nopass +get ~a");
        let mut wires: Vec<Wire> = (0..CONNECTIONS)
            .map(|_| login(&server, "bob", "x"))
            .collect();
        for wire in &mut wires {
            for ask in ["GET b", "SET a 1", "GET b"] {
                assert!(wire.ask(ask).is_error());
            }
        }
        let mut other = server.connect();
        for wire in [&mut admin, &mut other] {
            let entries = wire.ask("ACL LOG").elements().expect("a list");
            assert_eq!(entries.len(), 2, "{shards} shards: {entries:?}");
            let counts = entries
                .iter()
                .map(|entry| entry.elements().expect("an entry")[1].integer());
            // The last that came is the first.
            assert_eq!(counts.collect::<Vec<_>>(), [16, 8], "{shards} shards");
        }
        let denied = |wire: &mut Wire, what: &str| {
            let info = wire.info("stats");
            info.number::<u64>(&format!("acl_access_denied_{what}"))
        };
        assert_eq!(denied(&mut other, "key"), 16, "{shards} shards");
        assert_eq!(denied(&mut admin, "cmd"), 8, "{shards} shards");
        assert_eq!(other.ask("ACL LOG RESET").text(), b"OK");
        assert_eq!(
            admin.ask("ACL LOG").elements(),
            Some(Vec::new()),
            "{shards} shards"
        );
        assert!(wires[3].ask("GET b").is_error());
        assert!(wires[0].ask("ACL LOG").is_error(), "bob may not ask");
        let entries = other.ask("ACL LOG").elements().expect("a list");
        assert_eq!(entries.len(), 2, "{shards} shards");
    }
}
