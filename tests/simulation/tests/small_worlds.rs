//! Small worlds in every order in which their messages can come.

use engine::script::scripting::Scouting;
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

/// Explores all orders where scripts stand still whenever they look at the clock.
fn with_pauses(shards: usize, asks: &[&str]) {
    explore_all(shards, asks, true);
}

fn explore_all(shards: usize, asks: &[&str], pauses: bool) {
    let asks: Vec<Vec<Ask>> = asks
        .iter()
        .map(|asks| asks.split(" | ").map(ask).collect())
        .collect();
    for scouting in [Scouting::Always, Scouting::Never] {
        let explored = explore(shards, &asks, pauses, scouting, ORDERS_MAX);
        let explored = explored.unwrap_or_else(|what| panic!("{what}"));
        println!("{explored:?}");
        assert!(explored.all, "too many orders: {explored:?}");
    }
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

#[test]
fn a_script_beside_a_transaction_on_its_keys() {
    in_every_order(&[
        "EVAL run 0 APPEND,s0,a APPEND,s2,a",
        "EXEC GET s0; SET s2 b",
    ]);
}

#[test]
fn a_script_goes_where_a_value_says() {
    in_every_order(&["EVAL follow 1 s0 s0 2 a", "RENAME s0 s2", "SET s2 b"]);
}

#[test]
fn a_script_is_undone_under_a_watch() {
    in_every_order(&[
        "WATCH s2 | EXEC GET s2; GET s0",
        "EVAL run 1 s2 APPEND,s2,a APPEND,s0,a",
    ]);
}

#[test]
fn a_script_serves_a_waiter_of_two_shards() {
    in_every_order(&["BLPOP l0 l3 0", "EVAL run 0 RPUSH,l0,a RPUSH,l3,b"]);
}

#[test]
fn a_plain_script_of_two_shards_is_suspended() {
    with_pauses(2, &["EVAL plainmove 2 l0 l3 a", "RPUSH l0 b", "LPOP l3"]);
}

#[test]
fn a_plain_script_on_another_shard_is_suspended_under_a_lock() {
    with_pauses(2, &["EVAL plainerror 1 s0 a", "MSETNX s0 b s2 c"]);
}

#[test]
fn a_script_is_killed_or_has_written() {
    with_pauses(
        2,
        &["EVAL run 0 GET,s2 SET,s0,a", "SCRIPT KILL", "SET s2 b"],
    );
}

#[test]
fn a_suspended_script_takes_everything() {
    with_pauses(2, &["EVAL run 1 s2 SET,s2,a DBSIZE", "MSETNX s0 b s2 b"]);
}

#[test]
fn a_script_calls_the_outside_and_widens() {
    in_every_order(&[
        "EVAL run 1 s2 SET,s2,a PUBLISH,c,x SET,s0,a",
        "MSETNX s0 b s2 b",
    ]);
}

#[test]
fn a_script_in_a_transaction_beside_one_that_widens() {
    in_every_order(&[
        "EXEC EVAL run 0 GET,s0; GET s2",
        "EVAL run 0 SET,s0,a SET,s2,a",
    ]);
}

#[test]
fn a_value_too_large_for_a_copy() {
    let text = "x".repeat(200);
    let large = format!("SET s0 {text} | EVAL run 0 SET,s2,a APPEND,s0,b");
    in_every_order(&[&large, "MSETNX s0 b s2 b"]);
}

#[test]
fn a_long_list_is_undone() {
    let element = "x".repeat(100);
    let long = format!("RPUSH l0 {element} {element}x | EVAL run 1 l0 LPOP,l0 RPUSH,l0,a SET,s2,a");
    in_every_order(&[&long, "EVAL run 1 s2 APPEND,s2,b RPUSH,l0,b"]);
}

#[test]
fn a_script_of_another_shard_calls_the_outside() {
    in_every_order(&[
        "EVAL run 1 s0 APPEND,s0,a PUBLISH,c,x APPEND,s2,a",
        "MSETNX s0 b s2 b",
    ]);
}

#[test]
fn two_scripts_in_a_circle_and_one_that_waits() {
    in_every_order(&[
        "EVAL run 1 s2 APPEND,s0,a",
        "EVAL run 1 s0 APPEND,s2,b",
        "EVAL plainappend 1 s2 c",
    ]);
}

#[test]
fn a_script_that_scouts_wants_everything() {
    in_every_order(&["EVAL run 0 GET,s0 GET,s2 DBSIZE", "MSETNX s0 b s2 b"]);
}
