//! Users in a configuration file, and the parameters that are about users.

use std::thread;

use tests::binary::binary;
use tests::reply::show;
use tests::server::CONFIG_FILE;
use tests::{FEW_SHARDS, Options, Oracle, Reference, SEVERAL_SHARDS, Server};

use crate::files::ended;

/// One who may always ask.
const ADMIN: &str = "user admin on nopass +@all ~* &*\n";

/// Files that are read, with an administrator added.
const GOOD: [&str; 14] = [
    "",
    "user bob on nopass ~* +@all\n",
    "user bob on >secret ~a &b (+get ~a) (+set ~b &c) -@all +select|0\n",
    "user bob\n",
    "USER bob on\n",
    "user bob \"\"\n",
    "user default off\n",
    "user default on >secret\n",
    "requirepass secret\nuser default on nopass\n",
    "user default on >other ~* +@all\nrequirepass secret\n",
    "requirepass secret\n",
    "acl-pubsub-default allchannels\nuser bob on\n",
    "user bob on\nacl-pubsub-default allchannels\n",
    "aclfile \"\"\nuser bob on\nacllog-max-len 7\n",
];

/// Files that are not.
const BAD: [&str; 14] = [
    "user bob on\nuser bob off\n",
    "user bob nosuch\n",
    "user bob on +nosuch\n",
    "user bob on (+get\n",
    "user bob on \"~a b\"\n",
    "user bob on ~* ~a\n",
    "user\n",
    "user \"a b\" on\n",
    "user bob on\naclfile users.acl\n",
    "aclfile users.acl\nuser bob on\n",
    "acl-pubsub-default x\n",
    "acllog-max-len x\n",
    "acllog-max-len -1\n",
    "user bob >a <b\n",
];

#[test]
fn users_of_a_configuration_file() {
    let hear = |server: &Server| {
        let mut wire = server.connect();
        wire.ask("AUTH admin x");
        let asked = [
            "ACL LIST",
            "CONFIG GET requirepass",
            "CONFIG GET acl-pubsub-default",
            "CONFIG GET acllog-max-len",
            "CONFIG GET aclfile",
        ];
        let answers = asked.map(|ask| {
            wire.send_words(ask);
            show(&wire.reply())
        });
        // Who is `default` here.
        let mut wire = server.connect();
        wire.send_words("ACL WHOAMI");
        (answers, show(&wire.reply()))
    };
    for lines in GOOD {
        let options = |shards| Options::shards(shards).config(&format!("{ADMIN}{lines}"));
        let expected = hear(&Oracle::start_with(options(1)));
        for shards in FEW_SHARDS {
            let found = hear(&Server::start(options(shards)));
            assert_eq!(found, expected, "{shards} shards, {lines:?}");
        }
    }
}

#[test]
fn bad_users_of_a_configuration_file_end_the_start() {
    let reference = Reference::Redis74.path();
    for program in [reference.as_path(), binary().path.as_path()] {
        for lines in BAD {
            let files = [(CONFIG_FILE, lines), ("users.acl", "user ann on\n")];
            let (code, said) = ended(program, &[CONFIG_FILE], &files);
            assert_eq!(code, Some(1), "{}: {lines:?}: {said}", program.display());
            assert!(!said.contains("panicked"), "{lines:?}: {said}");
        }
    }
}

/// The users of a server's configuration file.
fn user_lines(server: &Server) -> Vec<String> {
    let path = server.directory().join(CONFIG_FILE);
    let text = std::fs::read_to_string(path).expect("a configuration file");
    let lines = text.lines().filter(|line| line.starts_with("user "));
    lines.map(str::to_owned).collect()
}

#[test]
fn config_rewrite_has_the_users() {
    const CHANGES: [&str; 7] = [
        "ACL SETUSER bob on >secret ~a* %R~b &c +@all -set (+get ~x &y) (~z)",
        "ACL SETUSER bob nosuch",
        "ACL SETUSER ann +select|0 +config|get",
        "ACL SETUSER cy on",
        "ACL DELUSER cy",
        "ACL SETUSER default >other ~*",
        "CONFIG SET requirepass secret acl-pubsub-default allchannels acllog-max-len 5",
    ];
    for lines in [
        "",
        "# mine\nuser bob on\nmaxmemory 100mb\nuser ann off nopass\n",
    ] {
        let hear = |server: &mut Server| {
            let mut wire = server.connect();
            let mut heard = Vec::new();
            for change in CHANGES {
                wire.ask(change);
                heard.push(format!("{:?}", wire.ask("CONFIG REWRITE")));
                heard.extend(user_lines(server));
            }
            wire.send_words("ACL LIST");
            let before = show(&wire.reply());
            server.kill_and_restart();
            let mut wire = server.connect();
            wire.ask("AUTH secret");
            wire.send_words("ACL LIST");
            heard.push(before);
            heard.push(show(&wire.reply()));
            heard
        };
        let expected = hear(&mut Oracle::start_with(Options::shards(1).config(lines)));
        for shards in FEW_SHARDS {
            let options = Options::shards(shards).config(lines);
            let found = hear(&mut Server::start(options));
            for (expected, found) in expected.iter().zip(&found) {
                assert_eq!(found, expected, "{shards} shards, {lines:?}");
            }
            assert_eq!(found.len(), expected.len(), "{shards} shards, {lines:?}");
        }
    }
}

/// Where there is a file of users, the configuration file has none.
#[test]
fn config_rewrite_leaves_users_to_their_file() {
    let hear = |server: &Server| {
        let mut wire = server.connect();
        wire.ask("ACL SETUSER bob on");
        assert_eq!(wire.ask("CONFIG REWRITE").text(), b"OK");
        user_lines(server)
    };
    let options = |shards| {
        let options = Options::shards(shards).file("users.acl", b"user ann on\n");
        options.config("aclfile users.acl\n")
    };
    let expected = hear(&Oracle::start_with(options(1)));
    assert!(expected.is_empty(), "{expected:?}");
    for shards in FEW_SHARDS {
        assert_eq!(
            hear(&Server::start(options(shards))),
            expected,
            "{shards} shards"
        );
    }
}

/// Whoever rewrites it, it has at least what there was when that was answered.
#[test]
fn rewrites_at_once_leave_a_whole_file() {
    const WRITERS: usize = 6;
    const WRITES: usize = 10;
    for shards in SEVERAL_SHARDS {
        let mut server = Server::start(Options::shards(shards).config("# mine\n"));
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let server = &server;
                scope.spawn(move || {
                    let mut wire = server.connect();
                    for write in 0..WRITES {
                        wire.ask(&format!("ACL SETUSER u:{writer}:{write} on"));
                        assert_eq!(wire.ask("CONFIG REWRITE").text(), b"OK");
                        let start = format!("user u:{writer}:{write} on ");
                        let lines = user_lines(server);
                        assert!(
                            lines.iter().any(|line| line.starts_with(&start)),
                            "{lines:?}"
                        );
                    }
                });
            }
        });
        server.kill_and_restart();
        let users = server.connect().ask("ACL USERS").elements();
        let count = users.expect("a list").len();
        assert_eq!(count, 1 + WRITERS * WRITES, "{shards} shards");
    }
}
