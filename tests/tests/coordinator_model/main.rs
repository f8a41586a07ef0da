//! Every order of events that a few transactions and waiting clients on a few shards can have, one after the other, on a model of the protocol
//! that `shard/src/transaction.rs`, `locks.rs` and `blocking.rs` speak.
//!
//! A test beside the real server sees the orders that happen to come; this sees all of them, but of small worlds. The model is written
//! beside the code and follows it step by step: who changes one changes the other. And it can fail: for each rule of the protocol
//! there is a test that leaves it out and names what goes wrong then.

mod blocking;
mod explore;
mod keyspace;
mod locks;
mod protocol;
mod state;
mod waits;

use explore::{
    ALL_FINISH, EVERY_ELEMENT_ONCE, Findings, NOBODY_SLEEPS_ON, ONE_HOLDER, SERIALIZABLE, explore,
};
use keyspace::Call;
use state::{Rule, Scenario, Script};

fn client<const N: usize>(origin: usize, calls: [Call; N]) -> Script {
    Script {
        origin,
        calls: calls.into(),
        impatient: false,
    }
}

fn impatient<const N: usize>(origin: usize, calls: [Call; N]) -> Script {
    Script {
        impatient: true,
        ..client(origin, calls)
    }
}

/// Keys with these owners, on as many shards as that takes.
fn scenario<const K: usize, const N: usize>(owners: [usize; K], scripts: [Script; N]) -> Scenario {
    Scenario {
        owners: owners.into(),
        shards: owners.iter().max().map_or(1, |last| last + 1),
        scripts: scripts.into(),
        without: None,
    }
}

fn holds(scenario: &Scenario) {
    let findings = explore(scenario);
    println!("{} states", findings.states);
    assert!(findings.faults.is_empty(), "{findings:#?}");
}

/// Without this rule something goes wrong; the other way round, the scenario shows that the rule is followed.
fn fails_without(rule: Rule, mut scenario: Scenario, fault: &str) {
    holds(&scenario);
    scenario.without = Some(rule);
    let findings: Findings = explore(&scenario);
    assert!(findings.has(fault), "without {rule:?}: {findings:#?}");
}

#[test]
fn pairs_are_written_and_read_whole() {
    holds(&scenario(
        [0, 1],
        [
            client(0, [Call::Write(vec![0, 1], 1), Call::Write(vec![1, 0], 3)]),
            client(1, [Call::Write(vec![0, 1], 2)]),
            client(1, [Call::Read(vec![1, 0]), Call::Read(vec![0, 1])]),
        ],
    ));
}
