//! Random commands, family by family, answered as Redis answers them: byte for byte, in RESP2 and
//! RESP3, with 1, 2 and 4 shards.
//!
//! See `tests::duel` for how a failure is run again, `tests::grammar` for what is drawn.

use tests::duel::Duel;
use tests::grammar::FAMILIES;
use tests::{Reference, SHARDS};

/// Sequences a family, each run with both protocols on all numbers of shards.
const SEQUENCES: u64 = 100;

macro_rules! families {
    ($($name:ident)*) => {
        $(#[test] fn $name() { differ(stringify!($name)); })*

        #[test]
        fn every_family_is_tested() {
            let tested = [$(stringify!($name)),*];
            let names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
            assert_eq!(names, tested);
        }
    };
}

families! {
    connection
    keys
    string
    list
    hash
    set
    sorted_set
    stream
    bitmap
    hyperloglog
    geo
    transaction
    script
}

fn differ(name: &str) {
    let family = FAMILIES
        .iter()
        .find(|family| family.name == name)
        .expect("a family of the list");
    let duel = Duel::start(Reference::Redis74, &SHARDS);
    if let Err(found) = duel.family(family, SEQUENCES) {
        panic!("{found}");
    }
}

#[test]
fn differences_that_are_listed_exist() {
    let gone = Duel::start(Reference::Redis74, &SHARDS).examples_in_vain();
    assert!(
        gone.is_empty(),
        "there is no such difference any more: {gone:?}"
    );
}
