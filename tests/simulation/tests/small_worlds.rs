//! Small worlds in every order in which their messages can come.

use simulation::client::Ask;
use simulation::draw::Draw;
use simulation::explore;
use storage::DbIndex;

/// Orders of one world at most; a world that has more is too large for here.
const ORDERS_MAX: usize = 400_000;

fn ask(text: &str) -> Ask {
    let db = DbIndex::default();
    if let Some(keys) = text.strip_prefix("WATCH ") {
        let keys = keys.split(' ').map(|key| key.as_bytes().to_vec());
        return Ask::Watch(db, keys.collect());
    }
    if let Some(commands) = text.strip_prefix("EXEC ") {
        let commands = commands.split("; ").map(|text| Draw::command(text, db));
        return Ask::Exec(commands.collect());
    }
    Ask::Command(Draw::command(text, db))
}

/// Runs a world of two shards in all orders: a script a client, its commands with `|` between them.
fn in_every_order(scripts: &[&str]) {
    let scripts: Vec<Vec<Ask>> = scripts
        .iter()
        .map(|script| script.split(" | ").map(ask).collect())
        .collect();
    let explored = explore(2, &scripts, ORDERS_MAX).unwrap_or_else(|what| panic!("{what}"));
    println!("{explored:?}");
    assert!(explored.all, "too many orders: {explored:?}");
}

// Of two shards the second owns `s0` and `l0`, the first `s2` and `l3`.

#[test]
fn two_renames_meet() {
    in_every_order(&["RENAME s0 s2", "RENAME s2 s0"]);
}

#[test]
fn a_write_and_a_read_of_two_shards() {
    in_every_order(&["MSET s0 a s2 b", "MGET s0 s2"]);
}

#[test]
fn a_transaction_between_single_commands() {
    in_every_order(&["EXEC SET s0 a; SET s2 b", "SET s2 c | GET s0"]);
}

#[test]
fn a_watched_key_changes_or_does_not() {
    in_every_order(&["WATCH s2 | EXEC SET s0 a; GET s2", "SET s2 b"]);
}

#[test]
fn one_waiter_at_two_keys() {
    in_every_order(&["BLPOP l0 l3 0", "RPUSH l0 a"]);
}

#[test]
fn a_waiter_that_moves_to_another_shard() {
    in_every_order(&["BLMOVE l0 l3 LEFT RIGHT 0", "RPUSH l0 a"]);
}

#[test]
fn two_waiters_and_one_element() {
    in_every_order(&["BLPOP l0 l3 0", "BLPOP l3 l0 0", "RPUSH l3 a"]);
}

#[test]
fn two_transactions_and_a_reader() {
    in_every_order(&["MSETNX s0 a s2 b | GET s2", "RENAME s0 s2"]);
}

#[test]
fn whole_databases_change_places_under_a_transaction() {
    in_every_order(&["SWAPDB 0 1", "MSETNX s0 a s2 b"]);
}
