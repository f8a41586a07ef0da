//! Looks at every state that a scenario can reach, and says what must hold in it.
//!
//! `stateright` does the search, the shortest way to a fault first. What it does not see is a protocol that goes on for ever without getting
//! anywhere: a circle of states, which [`has_circle`] looks for.

use std::collections::HashMap;
use std::hash::BuildHasher;

use stateright::semantics::ConsistencyTester;
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::keyspace::{Call, Element};
use crate::protocol::Step;
use crate::state::{Action, Message, Scenario, State};
use crate::waits::Waiter;

/// What must hold, by the name under which a violation is reported.
pub const ALL_FINISH: &str =
    "everybody is answered in the end, or waits for what is not there, and no lock stays";
pub const ONE_HOLDER: &str = "no two transactions hold the same key";
pub const SERIALIZABLE: &str =
    "what clients saw could have happened one call at a time, in the order of real time";
pub const NOBODY_SLEEPS_ON: &str = "no element rests beside somebody who waits for it";
pub const EVERY_ELEMENT_ONCE: &str = "each element is in one place until it is popped, once";
pub const IN_ORDER: &str = "of those who wait for a key, who came first is served first";
pub const NO_CIRCLE: &str = "nothing goes on for ever";

/// What an exploration has found.
#[derive(Debug)]
pub struct Findings {
    /// Distinct states that were seen.
    pub states: usize,
    /// The properties that do not hold, each with the shortest way there that is known.
    pub faults: Vec<(&'static str, Vec<Action>)>,
}

impl Findings {
    pub fn has(&self, fault: &str) -> bool {
        self.faults.iter().any(|(name, _)| *name == fault)
    }
}

/// Explores everything, or up to the first fault.
pub fn explore(scenario: &Scenario) -> Findings {
    let checker = scenario
        .clone()
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_iter();
    let mut faults: Vec<_> = found
        .map(|(name, path)| (name, path.into_actions()))
        .collect();
    let states = checker.unique_state_count();
    if faults.is_empty() && has_circle(scenario) {
        faults.push((NO_CIRCLE, Vec::new()));
    }
    Findings { states, faults }
}

impl Model for Scenario {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (client, it) in state.clients.iter().enumerate() {
            if !it.calling && it.answered < self.scripts[client].calls.len() {
                actions.push(Action::Call(client));
            }
            if self.scripts[client].impatient && is_waiting(state, client) {
                actions.push(Action::TimeOut(client));
            }
        }
        for from in 0..self.shards {
            for to in 0..self.shards {
                if !state.channels[from * self.shards + to].is_empty() {
                    actions.push(Action::Deliver { from, to });
                }
            }
        }
        for (at, shard) in state.shards.iter().enumerate() {
            if !shard.tries.is_empty() {
                actions.push(Action::Decide(at));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut step = Step {
            scenario: self,
            state: state.clone(),
        };
        step.take(&action);
        Some(step.state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ALL_FINISH, |model, state| {
                !is_over(model, state) || all_finished(model, state)
            }),
            Property::always(ONE_HOLDER, |_, state| each_key_has_one_holder(state)),
            Property::always(SERIALIZABLE, |model, state| {
                !is_over(model, state) || state.history.is_consistent()
            }),
            Property::always(NOBODY_SLEEPS_ON, |model, state| {
                !is_over(model, state) || nobody_sleeps_on(state)
            }),
            Property::always(EVERY_ELEMENT_ONCE, each_element_is_once),
            Property::always(IN_ORDER, |model, state: &State| {
                !state.out_of_order && (state.overtaken.is_empty() || !is_over(model, state))
            }),
        ]
    }
}

/// Whether a client's time can run out now.
fn is_waiting(state: &State, client: usize) -> bool {
    let its = |it: &Waiter| matches!(it, Waiter::Here(of, _) if *of == client);
    match &state.clients[client].ticket {
        Some(ticketed) => !ticketed.end,
        None => state
            .shards
            .iter()
            .any(|shard| shard.waits.find(its).is_some()),
    }
}

/// Whether nothing happens any more, but that somebody's time runs out.
fn is_over(model: &Scenario, state: &State) -> bool {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    actions
        .iter()
        .all(|action| matches!(action, Action::TimeOut(_)))
}

/// At the end: who is not answered waits, where all its keys are; nobody else is enrolled, nothing is locked or looked at.
fn all_finished(model: &Scenario, state: &State) -> bool {
    let finished = state.clients.iter().enumerate().all(|(client, it)| {
        if it.calling {
            let Call::Pop(keys) = model.call(client, it.answered) else {
                return false;
            };
            let is_tried = it.ticket.as_ref().is_some_and(|ticketed| ticketed.trying);
            let is_its = |waiter: &Waiter| match waiter {
                Waiter::Here(of, _) => *of == client,
                Waiter::Elsewhere(ticket) => *ticket == (client, it.answered),
            };
            let waits_at = |key: &usize| {
                let mut all = state.shards[model.owners[*key]].waits.all();
                all.any(|(waiter, at)| is_its(waiter) && at.contains(key))
            };
            !is_tried && keys.iter().all(waits_at)
        } else {
            true
        }
    });
    let is_waited_for = |waiter: &Waiter| {
        let (client, answered) = match waiter {
            Waiter::Here(client, _) => (*client, state.clients[*client].answered),
            Waiter::Elsewhere(ticket) => *ticket,
        };
        state.clients[client].calling && state.clients[client].answered == answered
    };
    let quiet = state.shards.iter().all(|shard| {
        let mut all = shard.waits.all();
        shard.locks.is_empty()
            && !shard.waits.has_ready()
            && all.all(|(waiter, _)| is_waited_for(waiter))
    });
    finished && quiet
}

fn each_key_has_one_holder(state: &State) -> bool {
    let mut held = 0u32;
    let transactions = state
        .clients
        .iter()
        .filter_map(|it| it.transaction.as_ref());
    let parts = transactions.flat_map(|it| &it.parts);
    parts
        .filter(|part| part.granted.is_some() && !part.given_back)
        .flat_map(|part| &part.keys)
        .all(|key| {
            let is_free = held & (1 << key) == 0;
            held |= 1 << key;
            is_free
        })
}

fn nobody_sleeps_on(state: &State) -> bool {
    state.shards.iter().all(|shard| {
        let mut waited_for = shard.waits.all().flat_map(|(_, keys)| keys);
        waited_for.all(|key| shard.home.get(*key).is_empty())
    })
}

/// What pushes have put there and no pop has taken is at home, lent, or on its way, once; nothing else is, but what MSET wrote.
fn each_element_is_once(model: &Scenario, state: &State) -> bool {
    let mut seen = 0u32;
    let mut twice = false;
    let mut look = |element: Element| {
        twice |= seen & (1 << element) != 0;
        seen |= 1 << element;
    };
    let calls = || model.scripts.iter().flat_map(|script| &script.calls);
    if calls().any(|call| matches!(call, Call::Write(..) | Call::Exec(..))) {
        return true;
    }
    for shard in &state.shards {
        shard.home.elements().for_each(&mut look);
    }
    for message in state.channels.iter().flatten() {
        let (Message::Granted { lent, .. } | Message::Claim { lent, .. }) = message else {
            if let Message::Release(_, release) = message {
                release
                    .lent
                    .iter()
                    .flat_map(|(_, list)| list.iter().copied())
                    .for_each(&mut look);
            }
            continue;
        };
        lent.iter()
            .flat_map(|(_, list)| list.iter().copied())
            .for_each(&mut look);
    }
    let transactions = state
        .clients
        .iter()
        .filter_map(|it| it.transaction.as_ref());
    let parts = transactions
        .flat_map(|it| &it.parts)
        .filter(|part| !part.given_back);
    for (_, list) in parts.flat_map(|part| &part.lent) {
        list.iter().copied().for_each(&mut look);
    }
    !twice && seen == state.elements
}

/// Whether some way comes back to where it was.
fn has_circle(model: &Scenario) -> bool {
    /// A state on the present way, with what is left to try from it.
    struct Open {
        state: State,
        mark: u64,
        actions: Vec<Action>,
    }
    let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
    // True while it is on the present way.
    let mut met: HashMap<u64, bool> = HashMap::new();
    let open = |state: State, mark: u64| {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        Open {
            state,
            mark,
            actions,
        }
    };
    let start = model.start();
    let mark = hasher.hash_one(&start);
    met.insert(mark, true);
    let mut way = vec![open(start, mark)];
    while let Some(last) = way.last_mut() {
        let Some(action) = last.actions.pop() else {
            met.insert(last.mark, false);
            way.pop();
            continue;
        };
        let Some(next) = model.next_state(&last.state, action) else {
            continue;
        };
        let mark = hasher.hash_one(&next);
        match met.get(&mark) {
            Some(true) => return true,
            Some(false) => {}
            None => {
                met.insert(mark, true);
                way.push(open(next, mark));
            }
        }
    }
    false
}
