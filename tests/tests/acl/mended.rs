//! Where Redis 7.4.1 ends, or says nothing: what is said here. Redis itself fails these.

use tests::reply::show;
use tests::{FEW_SHARDS, Options, Server};

/// A rule that gives access without a pattern. Redis reads beyond its end (CVE-2024-51741).
#[test]
fn access_without_a_pattern_is_no_rule() {
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for rule in ["%", "%R", "%W", "%RW", "(%)", "(%R)", "(+get %RW)"] {
            wire.command(&["ACL", "SETUSER", "bob", rule]);
            let reply = wire.command(&["ACL", "SETUSER", "bob", rule]);
            let expected = format!("ERR Error in ACL SETUSER modifier '{rule}': Syntax error");
            assert_eq!(
                format!("{reply:?}"),
                format!("-{}", show(expected.as_bytes()))
            );
            assert_eq!(
                wire.ask("ACL USERS").elements().map(|all| all.len()),
                Some(1)
            );
        }
    }
}

/// A blank in the first argument of a rule.
#[test]
fn a_first_argument_has_no_blank() {
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let selector = "(+publish|\"a b\")";
        for rule in ["+publish|a b", "+publish| ", "+select|\0", selector] {
            let reply = wire.command(&["ACL", "SETUSER", "bob", rule]);
            let expected = format!("ERR Error in ACL SETUSER modifier '{rule}': Syntax error");
            assert_eq!(
                format!("{reply:?}"),
                format!("-{}", show(expected.as_bytes()))
            );
        }
    }
}

/// Quotes in names and patterns. Redis does not start with the file that it has written.
#[test]
fn a_rewritten_file_with_quotes_is_read_again() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards).config(""));
        let mut wire = server.connect();
        for rules in [
            "q\"x on ~a\"b ~\"c ~d'e &f\" +get|g\"h ~\\x41 >\"",
            "'r' on ~'s' ~t\\' (+get ~u)",
        ] {
            let words = ["ACL", "SETUSER"].into_iter().chain(rules.split(' '));
            let set = wire.command(&words.collect::<Vec<_>>());
            assert_eq!(set.text(), b"OK", "{rules}");
        }
        let before = wire.ask("ACL LIST");
        assert_eq!(before.elements().map(|all| all.len()), Some(3));
        assert_eq!(wire.ask("CONFIG REWRITE").text(), b"OK");
        server.kill_and_restart();
        let mut wire = server.connect();
        assert_eq!(wire.ask("ACL LIST"), before, "{shards} shards");
        assert_eq!(wire.ask("CONFIG REWRITE").text(), b"OK");
    }
}

/// A file with a parenthesis that does not end. Redis frees its users twice.
#[test]
fn a_parenthesis_that_does_not_end_in_a_file() {
    for shards in FEW_SHARDS {
        let flags = "--aclfile users.acl";
        let options = Options::shards(shards).flags(flags).file("users.acl", b"");
        let server = Server::start(options);
        let mut wire = server.connect();
        wire.ask("ACL SETUSER bob on");
        let path = server.directory().join("users.acl");
        for file in [
            "user cy (+get\n",
            "user cy on\nuser dy on ( +get ~a ) off (\n",
        ] {
            std::fs::write(&path, file).expect("writing a file");
            let reply = format!("{:?}", wire.ask("ACL LOAD"));
            assert!(
                reply.contains("Unmatched parenthesis in selector definition"),
                "{reply}"
            );
            assert_eq!(
                wire.ask("ACL USERS").elements().map(|all| all.len()),
                Some(2)
            );
        }
        for file in [
            "\0",
            "user\0bob on\n",
            "user bob\0 on\n",
            "user bob on\0\n",
            "\u{fffd}",
        ] {
            std::fs::write(&path, file).expect("writing a file");
            wire.ask("ACL LOAD");
            assert!(!wire.ask("ACL LIST").is_error(), "{file:?}");
        }
    }
}

/// A wrong password behind other replies. Redis says nothing, and what follows is taken for it.
#[test]
fn a_wrong_password_is_answered_wherever_it_stands() {
    const REFUSED: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        wire.send(b"PING\r\nAUTH bob x\r\nAUTH bob x\r\nHELLO 3 AUTH bob x\r\nECHO last\r\n");
        assert_eq!(wire.reply(), b"+PONG\r\n");
        for _ in 0..3 {
            assert_eq!(wire.reply(), REFUSED.as_bytes(), "{shards} shards");
        }
        assert_eq!(wire.value().text(), b"last");
        for ask in ["MULTI", "PING", "AUTH bob x", "HELLO 2 AUTH bob x"] {
            wire.ask(ask);
        }
        wire.send_words("EXEC");
        let expected = format!("*3\r\n+PONG\r\n{REFUSED}{REFUSED}");
        assert_eq!(wire.reply(), expected.as_bytes(), "{shards} shards");
    }
}
