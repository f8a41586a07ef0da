//! Which user may run which command: what DRYRUN says, and what the user is told who sends it.
//!
//! Each line of `rights.txt` is a user, each of `commands.txt` a command. Only refusals are
//! compared: what is allowed is answered as ever.

use tests::reply::show;
use tests::server::Server;
use tests::{FEW_SHARDS, Options, Oracle, Wire};

/// What stands before a command that is not sent.
const DRY: char = '~';

/// A refusal begins so.
const REFUSAL: &[u8] = b"-NOPERM";

/// The lines of a list that are no comments.
pub fn lines(list: &'static str) -> Vec<&'static str> {
    let lines = list.lines();
    lines.filter(|line| !line.starts_with('#')).collect()
}

/// The words of a command of the list.
fn words(command: &str) -> &str {
    command.trim_start_matches(DRY)
}

/// What is said of a command: by DRYRUN, to the user who sends it, and to a script of that user
/// that calls it.
pub type Verdict = [String; 3];

/// Calls what its arguments say.
const SCRIPT: &str = "return redis.pcall(unpack(ARGV))";

/// A script that may not call something is told so.
const SCRIPT_REFUSAL: &[u8] = b"-ERR ACL failure in script";

/// The verdicts on each command for the user `u`. What is no refusal says nothing.
pub fn try_all<A: AsRef<str>>(admin: &mut Wire, user: &mut Wire, commands: &[A]) -> Vec<Verdict> {
    let commands = || commands.iter().map(AsRef::as_ref);
    let is_sent = |command: &str| !command.starts_with(DRY);
    // A script would have the quotes for a part of the words.
    let is_called = |command: &str| is_sent(command) && !command.contains('"');
    for command in commands() {
        admin.send_words(&format!("ACL DRYRUN u {}", words(command)));
    }
    for command in commands().filter(|command| is_sent(command)) {
        user.send_words(command);
        if is_called(command) {
            let call = ["EVAL", SCRIPT, "0"].into_iter();
            user.send_command(&call.chain(command.split(' ')).collect::<Vec<_>>());
        }
    }
    let refusal = |told: Vec<u8>, start: &[u8]| {
        let is_refused = told.starts_with(start) || told.starts_with(REFUSAL);
        if is_refused {
            show(&told)
        } else {
            String::new()
        }
    };
    let verdicts = commands().map(|command| {
        let dry = show(&admin.reply());
        let [mut told, mut called] = [String::new(), String::new()];
        if is_sent(command) {
            told = refusal(user.reply(), REFUSAL);
        }
        if is_called(command) {
            called = refusal(user.reply(), SCRIPT_REFUSAL);
        }
        [dry, told, called]
    });
    verdicts.collect()
}

/// The verdicts on a user with these rules alone.
fn verdicts(admin: &mut Wire, user: &mut Wire, rules: &str, commands: &[&str]) -> Vec<Verdict> {
    for change in ["reset on nopass", rules] {
        let changed = admin.ask(&format!("ACL SETUSER u {change}"));
        assert!(!changed.is_error(), "{rules}: {changed:?}");
    }
    try_all(admin, user, commands)
}

/// For each user: a connection of its own, whose server it may harm no further than the next one.
fn all(server: &Server, rights: &[&str], commands: &[&str]) -> Vec<Vec<Verdict>> {
    let mut admin = server.connect();
    admin.ask("ACL SETUSER u on nopass");
    let mut user = server.connect();
    user.ask("AUTH u x");
    let verdicts = rights
        .iter()
        .map(|rules| verdicts(&mut admin, &mut user, rules, commands));
    verdicts.collect()
}

#[test]
fn what_is_allowed_is_what_redis_allows() {
    let rights = lines(include_str!("rights.txt"));
    let commands = lines(include_str!("commands.txt"));
    let expected = all(&Oracle::start(), &rights, &commands);
    for shards in FEW_SHARDS {
        let found = all(&Server::start(Options::shards(shards)), &rights, &commands);
        let mut report = Vec::new();
        for ((rules, expected), found) in rights.iter().zip(&expected).zip(&found) {
            for ((command, expected), found) in commands.iter().zip(expected).zip(found) {
                if expected != found {
                    report.push(format!(
                        "{rules}: {command}\n  Redis: {expected:?}\n  here:  {found:?}"
                    ));
                }
            }
        }
        let count = report.len();
        report.truncate(40);
        assert!(
            report.is_empty(),
            "{shards} shards, {count} differ:\n{}",
            report.join("\n")
        );
    }
}
