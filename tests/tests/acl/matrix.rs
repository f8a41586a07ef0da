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

/// What DRYRUN says to each command for the user `u`, and what that user is told who sends it, if
/// it is a refusal.
pub fn try_all<A: AsRef<str>>(
    admin: &mut Wire,
    user: &mut Wire,
    commands: &[A],
) -> Vec<[String; 2]> {
    let commands = || commands.iter().map(AsRef::as_ref);
    let is_sent = |command: &str| !command.starts_with(DRY);
    for command in commands() {
        admin.send_words(&format!("ACL DRYRUN u {}", words(command)));
    }
    for command in commands().filter(|command| is_sent(command)) {
        user.send_words(command);
    }
    let verdicts = commands().map(|command| {
        let dry = show(&admin.reply());
        if !is_sent(command) {
            return [dry, "not sent".to_owned()];
        }
        let told = user.reply();
        let refused = told.starts_with(REFUSAL);
        let told = if refused {
            show(&told)
        } else {
            String::from("allowed")
        };
        [dry, told]
    });
    verdicts.collect()
}

/// The verdicts on a user with these rules alone.
fn verdicts(admin: &mut Wire, user: &mut Wire, rules: &str, commands: &[&str]) -> Vec<[String; 2]> {
    for change in ["reset on nopass", rules] {
        let changed = admin.ask(&format!("ACL SETUSER u {change}"));
        assert!(!changed.is_error(), "{rules}: {changed:?}");
    }
    try_all(admin, user, commands)
}

/// For each user: a connection of its own, whose server it may harm no further than the next one.
fn all(server: &Server, rights: &[&str], commands: &[&str]) -> Vec<Vec<[String; 2]>> {
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
