use protocol::args::OwnedArgs;
use protocol::table::{CommandId, lookup, lookup_sub};

use super::*;

fn user(rules: &str) -> User {
    let words = rules.split(' ').map(str::as_bytes);
    let new = User::new(b"u", NewChannels::None);
    new.with(words, NewChannels::None).expect("rules")
}

fn refused(rules: &str) -> String {
    let words = rules.split(' ').map(str::as_bytes);
    let new = User::new(b"u", NewChannels::None);
    let error = new.with(words, NewChannels::None).expect_err("no rules");
    String::from_utf8_lossy(&error.text()).into_owned()
}

fn check(rules: &str, line: &str) -> Result<(), Denied> {
    let args = OwnedArgs::from_parts(line.split(' ').map(str::as_bytes));
    let args = args.borrow();
    let id = lookup(&args[0]).expect("a command");
    let id = if id.is_container() {
        lookup_sub(id, &args[1]).expect("a subcommand")
    } else {
        id
    };
    user(rules).check(id, &args)
}

#[test]
fn what_makes_a_user_is_told() {
    for (rules, told) in [
        ("", "off sanitize-payload resetchannels -@all"),
        (
            "on nopass allkeys allchannels +@all",
            "on nopass sanitize-payload ~* &* +@all",
        ),
        (
            "~a %R~b %W~c %RW~d %w~b &x &y &x +get",
            "off sanitize-payload ~a ~b %W~c ~d resetchannels &x &y -@all +get",
        ),
        (
            "on (+get ~a) (&b)",
            "on sanitize-payload resetchannels -@all (~a resetchannels -@all +get) (resetchannels &b -@all)",
        ),
        (
            "on (+get) clearselectors skip-sanitize-payload",
            "on skip-sanitize-payload resetchannels -@all",
        ),
        (
            "on nopass ~a reset",
            "off sanitize-payload resetchannels -@all",
        ),
        (
            "nopass resetpass",
            "off sanitize-payload resetchannels -@all",
        ),
        (
            ">abc >abc nopass >abc",
            "off sanitize-payload #ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad resetchannels -@all",
        ),
        (">abc <abc", "off sanitize-payload resetchannels -@all"),
    ] {
        let shown = user(rules).describe();
        assert_eq!(
            String::from_utf8_lossy(&shown),
            format!("user u {told}"),
            "{rules}"
        );
    }
}

#[test]
fn rules_are_refused_in_the_words_of_redis() {
    for (rules, error) in [
        ("foo", "Error in ACL SETUSER modifier 'foo': Syntax error"),
        ("%~a", "Error in ACL SETUSER modifier '%~a': Syntax error"),
        (
            "%RR~a",
            "Error in ACL SETUSER modifier '%RR~a': Syntax error",
        ),
        (
            "<x",
            "Error in ACL SETUSER modifier '<x': The password you are trying to remove from the user does not exist",
        ),
        ("(on)", "Error in ACL SETUSER modifier '(on)': Syntax error"),
        (
            "(+get ~a",
            "Unmatched parenthesis in acl selector starting at '(+get'.",
        ),
    ] {
        assert_eq!(refused(rules), error);
    }
    assert!(refused("~* ~a").contains("resetkeys"));
    assert!(refused("&* &a").contains("resetchannels"));
}

#[test]
fn keys_and_channels() {
    let all = "+@all ~a* %R~r* %W~w* &c*";
    assert_eq!(check(all, "get a1"), Ok(()));
    assert_eq!(check(all, "get w1"), Err(Denied::Key(1)));
    assert_eq!(check(all, "set w1 x"), Ok(()));
    assert_eq!(check(all, "set w1 x get"), Err(Denied::Key(1)));
    assert_eq!(check(all, "copy r1 w1"), Ok(()));
    assert_eq!(check(all, "copy w1 r1"), Err(Denied::Key(1)));
    assert_eq!(check(all, "mget a1 r1 b"), Err(Denied::Key(3)));
    assert_eq!(check(all, "exists w1"), Ok(()));
    assert_eq!(check(all, "exists x"), Err(Denied::Key(1)));
    assert_eq!(check(all, "zunionstore a 9 a"), Ok(()));
    assert_eq!(check(all, "subscribe c1 d"), Err(Denied::Channel(2)));
    assert_eq!(check(all, "psubscribe c*"), Ok(()));
    assert_eq!(check(all, "psubscribe c1"), Err(Denied::Channel(1)));
    assert_eq!(check(all, "unsubscribe d"), Ok(()));
    assert_eq!(check(all, "publish d c1"), Err(Denied::Channel(1)));
    assert_eq!(check("+get", "ping"), Err(Denied::Command));
    assert_eq!(check("-@all", "auth x"), Ok(()));
    assert_eq!(check("+config|get", "config get x"), Ok(()));
    assert_eq!(check("+config|get", "config set x y"), Err(Denied::Command));
}

#[test]
fn a_selector_allows_alone() {
    let rules = "+get ~a (+set ~b) (+publish &c)";
    assert_eq!(check(rules, "get a"), Ok(()));
    assert_eq!(check(rules, "get b"), Err(Denied::Key(1)));
    assert_eq!(check(rules, "set b x"), Ok(()));
    assert_eq!(check(rules, "set a x"), Err(Denied::Key(1)));
    assert_eq!(check(rules, "publish d x"), Err(Denied::Channel(1)));
    assert_eq!(check(rules, "del a"), Err(Denied::Command));
}

#[test]
fn who_may_everything() {
    assert!(user("+@all ~* &*").may_everything());
    assert!(user("(+@all ~* &*)").may_everything());
    assert!(!user("+@all ~* &* -get").may_everything());
    assert!(!user("+@all (~* &*)").may_everything());
    assert!(User::default_user(NewChannels::None).may_everything());
}

#[test]
fn subscriptions_that_are_allowed() {
    for (rules, channel, pattern) in [
        ("&a &b*", true, false),
        ("&a (&b*)", true, false),
        ("(&b1)", true, true),
        ("&a", false, false),
        ("(&*)", true, true),
        ("", false, false),
    ] {
        assert_eq!(user(rules).may_hear(b"b1", false), channel, "{rules}");
        assert_eq!(user(rules).may_hear(b"b1", true), pattern, "{rules}");
    }
}

#[test]
fn every_rule_that_is_told_makes_the_same_user() {
    for rules in [
        "on >x ~a %R~b &c +@all -config +config|get (+get ~x) (-@all +@read &*)",
        "off nopass allkeys allchannels +@all",
        "-@all +select|0 +@string -get",
    ] {
        let made = user(rules);
        let told = String::from_utf8(made.describe()).expect("text");
        let again = user(told.strip_prefix("user u ").expect("a name"));
        assert_eq!(again.describe(), made.describe());
        for id in CommandId::all() {
            let args = OwnedArgs::from_parts([b"x".as_slice(), b"0", b"0"]);
            let args = args.borrow();
            assert_eq!(
                made.check(id, &args).is_ok(),
                again.check(id, &args).is_ok()
            );
        }
    }
}
