//! Every order of events that a few transactions and waiting clients on a few shards can have, one after the other, on a model of the protocol
//! that `shard/src/transaction.rs`, `lending.rs`, `locks.rs`, `waiting.rs` and `blocking.rs` speak.
//!
//! A test beside the real server sees the orders that happen to come; this sees all of them, but of small worlds. The model is written
//! beside the code and follows it step by step: who changes one changes the other. And it can fail: for each rule of the protocol
//! there is a test that leaves it out and names what goes wrong then.

mod blocking;
mod divided;
mod explore;
mod keyspace;
mod locks;
mod protocol;
mod state;
mod waits;

use explore::{
    ALL_FINISH, EVERY_ELEMENT_ONCE, Findings, IN_ORDER, NOBODY_SLEEPS_ON, ONE_HOLDER, SERIALIZABLE,
    explore,
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
        divides: false,
        without: None,
    }
}

/// The same where what can be divided is.
fn divided(scenario: Scenario) -> Scenario {
    Scenario {
        divides: true,
        ..scenario
    }
}

fn holds(scenario: &Scenario) {
    let findings = explore(scenario);
    assert!(findings.faults.is_empty(), "{findings:#?}");
    assert!(findings.states > 100, "too little happened: {findings:?}");
}

/// What holds in this scenario, as another test shows, does not without this rule.
fn fails_without(rule: Rule, mut scenario: Scenario, fault: &str) {
    scenario.without = Some(rule);
    let findings: Findings = explore(&scenario);
    assert!(findings.has(fault), "without {rule:?}: {findings:#?}");
}

#[test]
fn pairs_are_written_and_read_whole() {
    holds(&pairs());
}

fn pairs() -> Scenario {
    scenario(
        [0, 1],
        [
            client(0, [Call::Write(vec![0, 1], 1)]),
            client(1, [Call::Write(vec![0, 1], 2)]),
            client(1, [Call::Read(vec![1, 0]), Call::Read(vec![0, 1])]),
        ],
    )
}

#[test]
fn divided_pairs_are_written_and_read_whole() {
    holds(&divided(pairs()));
}

#[test]
fn a_divided_ring_of_three_shards_does_not_lock_up() {
    holds(&divided(ring()));
}

#[test]
fn divided_or_not_all_is_seen_whole() {
    holds(&divided(scenario(
        [0, 1],
        [
            client(0, [Call::Write(vec![0, 1], 1), Call::Move(0, 1)]),
            client(1, [Call::Write(vec![0, 1], 2)]),
            client(0, [Call::Read(vec![0, 1])]),
        ],
    )));
}

/// The readers' own shard has none of the keys, or three have them.
#[test]
fn portions_of_three_shards_are_written_and_read_whole() {
    holds(&divided(triples()));
    holds(&divided(scenario(
        [1, 2],
        [
            client(0, [Call::Write(vec![0, 1], 1)]),
            client(0, [Call::Read(vec![0, 1]), Call::Read(vec![1, 0])]),
            client(1, [Call::Write(vec![1], 2), Call::Write(vec![0], 3)]),
        ],
    )));
}

fn triples() -> Scenario {
    scenario(
        [0, 1, 2],
        [
            client(0, [Call::Write(vec![0, 1, 2], 1)]),
            client(1, [Call::Read(vec![2, 1, 0])]),
            client(2, [Call::Write(vec![0], 2), Call::Read(vec![2])]),
        ],
    )
}

#[test]
fn without_the_last_coming_last_a_pair_is_torn() {
    fails_without(Rule::LastComesLast, divided(pairs()), SERIALIZABLE);
}

#[test]
fn without_writing_under_the_lock_a_triple_is_torn() {
    fails_without(Rule::WrittenUnderLock, divided(triples()), SERIALIZABLE);
}

/// Each holds what the next one wants.
#[test]
fn a_ring_of_three_shards_does_not_lock_up() {
    holds(&ring());
}

fn ring() -> Scenario {
    scenario(
        [0, 1, 2],
        [
            client(0, [Call::Write(vec![0, 1], 1)]),
            client(1, [Call::Write(vec![1, 2], 2)]),
            client(2, [Call::Write(vec![2, 0], 3)]),
        ],
    )
}

#[test]
fn three_shards_at_once_and_single_keys_between() {
    holds(&scenario(
        [0, 1, 2],
        [
            client(0, [Call::Write(vec![0, 1, 2], 1)]),
            client(1, [Call::Read(vec![2, 1, 0])]),
            client(
                2,
                [
                    Call::Write(vec![0], 2),
                    Call::Write(vec![2], 3),
                    Call::Read(vec![0]),
                ],
            ),
        ],
    ));
}

#[test]
fn the_whole_keyspace_is_read_at_one_instant() {
    holds(&scenario(
        [0, 1],
        [
            client(0, [Call::Write(vec![0, 1], 1)]),
            client(1, [Call::ReadAll, Call::ReadAll]),
            client(1, [Call::Write(vec![1], 2), Call::Write(vec![0], 3)]),
        ],
    ));
}

#[test]
fn an_element_is_moved_and_never_nowhere() {
    holds(&scenario(
        [0, 1],
        [
            client(0, [Call::Push(0, 1), Call::Move(0, 1)]),
            client(1, [Call::Move(1, 0)]),
            client(1, [Call::Read(vec![0, 1])]),
        ],
    ));
}

#[test]
fn who_waits_on_two_shards_is_served_by_either() {
    holds(&one_waiter());
}

fn one_waiter() -> Scenario {
    scenario(
        [0, 1],
        [
            client(0, [Call::Pop(vec![0, 1])]),
            client(0, [Call::Push(0, 1)]),
            client(1, [Call::Push(1, 2)]),
        ],
    )
}

#[test]
fn two_waiters_share_two_elements() {
    holds(&two_waiters());
}

fn two_waiters() -> Scenario {
    scenario(
        [0, 1],
        [
            client(0, [Call::Pop(vec![0, 1])]),
            client(1, [Call::Pop(vec![1, 0])]),
            client(0, [Call::Push(0, 1), Call::Push(0, 2)]),
        ],
    )
}

#[test]
fn a_waiter_at_home_and_one_from_elsewhere() {
    holds(&scenario(
        [0, 1],
        [
            client(1, [Call::Pop(vec![1])]),
            client(0, [Call::Pop(vec![0, 1])]),
            client(0, [Call::Push(1, 1), Call::Push(0, 2)]),
        ],
    ));
}

#[test]
fn a_transaction_wakes_who_waits() {
    holds(&scenario(
        [0, 1, 2],
        [
            client(2, [Call::Pop(vec![1, 2])]),
            client(0, [Call::Push(0, 1), Call::Move(0, 1)]),
        ],
    ));
}

#[test]
fn who_runs_out_of_time_takes_nothing_with_him() {
    holds(&impatient_waiters());
}

fn impatient_waiters() -> Scenario {
    scenario(
        [0, 1],
        [
            impatient(0, [Call::Pop(vec![0, 1])]),
            client(1, [Call::Pop(vec![0, 1])]),
            client(0, [Call::Push(0, 1)]),
        ],
    )
}

/// A try for the second key may fail where a reader holds the first; then the element goes to one who does not wait.
#[test]
fn who_was_tried_in_vain_is_tried_again() {
    holds(&tried_in_vain());
}

fn tried_in_vain() -> Scenario {
    scenario(
        [0, 1, 1],
        [
            client(0, [Call::Pop(vec![0, 1])]),
            client(0, [Call::Read(vec![0, 1])]),
            client(1, [Call::Push(1, 1), Call::Push(1, 2)]),
            client(1, [Call::Move(1, 2)]),
        ],
    )
}

#[test]
fn what_comes_home_and_goes_on_is_not_forgotten() {
    holds(&passed_on());
}

fn passed_on() -> Scenario {
    scenario(
        [0, 1],
        [
            client(1, [Call::Pop(vec![1])]),
            client(0, [Call::Push(0, 1), Call::Move(0, 1)]),
            client(1, [Call::Read(vec![0, 1])]),
        ],
    )
}

/// Whose key is read meanwhile keeps its place.
#[test]
fn waiters_keep_their_places() {
    holds(&places());
}

fn places() -> Scenario {
    scenario(
        [0, 1],
        [
            client(0, [Call::Pop(vec![0, 1])]),
            client(1, [Call::Pop(vec![1])]),
            client(1, [Call::Push(1, 1)]),
            client(0, [Call::Read(vec![0, 1])]),
        ],
    )
}

#[test]
fn two_waiters_on_three_shards() {
    holds(&scenario(
        [0, 1, 2],
        [
            client(0, [Call::Pop(vec![0, 1, 2])]),
            client(1, [Call::Pop(vec![2, 1])]),
            client(0, [Call::Push(0, 1)]),
            client(2, [Call::Push(2, 2)]),
        ],
    ));
}

#[test]
fn two_waiters_from_elsewhere_and_a_reader() {
    holds(&scenario(
        [0, 1],
        [
            client(0, [Call::Pop(vec![0, 1])]),
            client(1, [Call::Pop(vec![0, 1])]),
            client(1, [Call::Push(1, 1)]),
            client(0, [Call::Read(vec![0, 1])]),
        ],
    ));
}

#[test]
#[ignore = "half a million states: some ten seconds"]
fn two_waiters_on_three_shards_and_three_elements() {
    holds(&scenario(
        [0, 1, 2],
        [
            client(0, [Call::Pop(vec![0, 1, 2])]),
            client(1, [Call::Pop(vec![2, 1])]),
            client(0, [Call::Push(0, 1), Call::Push(1, 2)]),
            client(2, [Call::Push(2, 3)]),
        ],
    ));
}

#[test]
fn what_is_watched_stops_who_watches() {
    holds(&watched());
}

/// Both would count one key up, and change another with it.
fn watched() -> Scenario {
    scenario(
        [0, 1],
        [
            client(0, [Call::Watch(0, 1), Call::Exec(0, 1, vec![0, 1], 1)]),
            client(1, [Call::Watch(1, 1), Call::Exec(1, 1, vec![1, 0], 2)]),
            client(0, [Call::Read(vec![0, 1])]),
        ],
    )
}

#[test]
fn without_comparing_under_the_lock_a_change_is_lost() {
    fails_without(Rule::ComparedUnderLock, watched(), SERIALIZABLE);
}

#[test]
fn without_changes_told_in_time_a_change_is_lost() {
    fails_without(Rule::ChangesComeWithRelease, watched(), SERIALIZABLE);
}

#[test]
fn without_locks_two_hold_the_same_key() {
    fails_without(Rule::LocksHold, pairs(), ONE_HOLDER);
}

#[test]
fn without_refusals_transactions_wait_for_each_other() {
    fails_without(Rule::TriesDoNotWait, pairs(), ALL_FINISH);
}

#[test]
fn without_one_order_of_the_shards_transactions_wait_for_each_other() {
    fails_without(Rule::Ascending, pairs(), ALL_FINISH);
}

#[test]
fn without_giving_back_transactions_wait_for_each_other() {
    fails_without(Rule::GivesBackBeforeWaiting, ring(), ALL_FINISH);
}

#[test]
fn without_two_phases_a_pair_is_torn() {
    fails_without(Rule::TwoPhases, pairs(), SERIALIZABLE);
}

#[test]
fn without_enrolment_at_the_release_a_push_is_missed() {
    fails_without(Rule::EnrolledWithRelease, one_waiter(), NOBODY_SLEEPS_ON);
}

#[test]
fn without_turns_kept_a_waiter_is_overtaken() {
    fails_without(Rule::TurnsAreKept, places(), IN_ORDER);
}

/// The one rule that could go: what changed before the try that is under way got its lock, that try sees; what changes later is looked at when
/// the key is home.
#[test]
fn without_another_try_nothing_is_missed() {
    for mut scenario in [tried_in_vain(), two_waiters(), one_waiter()] {
        scenario.without = Some(Rule::TriedAgain);
        holds(&scenario);
    }
}

#[test]
fn without_ends_of_turns_nobody_is_served_behind_one_who_failed() {
    fails_without(Rule::TurnsEnd, tried_in_vain(), NOBODY_SLEEPS_ON);
}

#[test]
fn without_turns_left_nobody_is_served_behind_one_who_left() {
    fails_without(Rule::TurnsAreLeft, impatient_waiters(), NOBODY_SLEEPS_ON);
}

#[test]
fn without_a_look_when_it_is_home_a_push_is_missed() {
    fails_without(Rule::LookedAtWhenHome, passed_on(), NOBODY_SLEEPS_ON);
}

#[test]
fn without_the_return_of_useless_claims_elements_are_nowhere() {
    fails_without(
        Rule::UselessClaimsReturn,
        impatient_waiters(),
        EVERY_ELEMENT_ONCE,
    );
}
