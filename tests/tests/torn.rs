//! The checkers can fail: held against a percore whose locks keep nobody out, those of `atomic` and
//! `linearizable` say so.
//!
//! That server is built with the feature `torn` into a directory of its own, which takes a minute
//! or two; hence `cargo test -p tests --test torn -- --ignored`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A test of another file, and what it says of a server that tears.
const REFUTED: [(&str, &str, &str); 10] = [
    (
        "atomic",
        "a_read_of_many_keys_sees_all_of_a_write_or_none",
        "panicked",
    ),
    ("atomic", "a_transaction_is_seen_whole", "panicked"),
    (
        "atomic",
        "of_many_that_set_what_is_not_there_one_wins_wholly",
        "torn with",
    ),
    (
        "atomic",
        "a_renamed_key_is_never_nowhere_nor_twice",
        "shards",
    ),
    (
        "atomic",
        "a_watched_key_that_changed_stops_the_transaction",
        "were lost",
    ),
    ("atomic", "a_bank_loses_nothing", "panicked"),
    ("atomic", "a_member_is_in_one_set", "shards"),
    ("atomic", "a_flush_leaves_nothing_of_before", "torn with"),
    (
        "atomic",
        "a_moved_element_is_never_nowhere_nor_twice",
        "shards",
    ),
    (
        "linearizable",
        "every_history_has_an_order",
        "no order explains this",
    ),
];

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the workspace")
}

/// `target/torn`, or beside whatever else serves as `target`.
fn directory() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let target = test
        .ancestors()
        .nth(3)
        .expect("it lies in target/<profile>/deps");
    target.join("torn")
}

#[test]
#[ignore = "builds the server once more"]
fn what_tears_is_refuted() {
    let directory = directory();
    let built = cargo()
        .args([
            "build",
            "--quiet",
            "-p",
            "percore",
            "--features",
            "torn",
            "--target-dir",
        ])
        .arg(&directory)
        .status();
    assert!(built.expect("running cargo").success(), "it does not build");
    for (file, test, words) in REFUTED {
        let run = cargo()
            .args([
                "test", "--quiet", "-p", "tests", "--test", file, "--", "--exact", test,
            ])
            .env("PERCORE_BINARY", directory.join("debug/percore"))
            .output()
            .expect("running cargo");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(
            said.contains("running 1 test"),
            "there is no {test}: {said}"
        );
        assert!(!run.status.success(), "{test} holds without locks");
        assert!(
            said.contains(words),
            "{test} fails with something else: {said}"
        );
    }
}
