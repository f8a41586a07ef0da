//! Small worlds in every order in which their messages can come.

use simulation::client::Ask;
use simulation::draw::Draw;
use simulation::explore;
use storage::DbIndex;

/// Orders of one world at most; a world that has more is too large for here.
const ORDERS_MAX: usize = 400_000;

fn ask(text: &str) -> Ask {
    if text == "SCRIPT KILL" {
        return Ask::Kill;
    }
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

/// Runs a world of two shards in all orders: a text a client, what it asks with `|` between.
fn in_every_order(asks: &[&str]) {
    explore_all(2, asks, false);
}

/// The same, where scripts stand still whenever they look at the clock.
fn with_pauses(shards: usize, asks: &[&str]) {
    explore_all(shards, asks, true);
}

fn explore_all(shards: usize, asks: &[&str], pauses: bool) {
    let asks: Vec<Vec<Ask>> = asks
        .iter()
        .map(|asks| asks.split(" | ").map(ask).collect())
        .collect();
    let explored = explore(shards, &asks, pauses, ORDERS_MAX);
    let explored = explored.unwrap_or_else(|what| panic!("{what}"));
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

#[test]
fn a_script_without_keys_beside_a_command_on_everything() {
    in_every_order(&["EVAL run 0 SET,s0,a GET,s2", "FLUSHALL"]);
}

#[test]
fn two_scripts_that_widen_into_each_others_keys() {
    in_every_order(&[
        "EVAL run 1 s2 APPEND,s2,a APPEND,s0,a",
        "EVAL run 1 s0 APPEND,s0,b APPEND,s2,b",
    ]);
}

#[test]
fn a_script_in_a_transaction_copies_to_another_database() {
    in_every_order(&["EXEC EVAL plaincopy 2 s0 s2 a; SET s2 b", "GET s2"]);
}

#[test]
fn keys_that_sort_computes_stay_as_they_are_until_the_end() {
    let sorts = "SADD t0 1 | EVAL run 1 t0 SORT,t0,GET,n* GET,s0";
    with_pauses(1, &[sorts, "SET n1 a"]);
}
