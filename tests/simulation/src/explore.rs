//! Small worlds in every order: all that may happen next is tried at each step, by running the
//! world again from its beginning with one choice changed. Nothing of an engine has to be copied
//! for that.

use engine::script::scripting::Scouting;

use crate::client::Ask;
use crate::world::{Choice, World};

/// How much of a small world there is.
#[derive(Clone, Copy, Default, Debug)]
pub struct Explored {
    /// Whole orders of all that happens.
    pub orders: usize,
    /// Steps of all of them.
    pub steps: usize,
    /// Whether that is all there are, or the bound was reached.
    pub all: bool,
}

/// Runs a world of so many shards in every order, `orders_max` at most. Each client asks what is
/// listed for it and nothing else. Where it `pauses`, scripts stand still whenever they look at the
/// clock.
///
/// # Errors
/// What was wrong, and the choices that led there.
pub fn explore(
    shards: usize,
    asks: &[Vec<Ask>],
    pauses: bool,
    scouting: Scouting,
    orders_max: usize,
) -> Result<Explored, String> {
    let mut explored = Explored::default();
    // For each step the choice taken, of how many.
    let mut path: Vec<(usize, usize)> = Vec::new();
    let mut kept = Vec::new();
    loop {
        let mut world = World::of_asks(shards, asks, pauses, scouting);
        world.adopt_scripting(kept);
        let mut taken: Vec<Choice> = Vec::new();
        let mut at = 0;
        loop {
            let choices = world.choices();
            if choices.is_empty() {
                break;
            }
            if at == path.len() {
                path.push((0, choices.len()));
            }
            let choice = choices[path[at].0];
            taken.push(choice);
            at += 1;
            explored.steps += 1;
            if let Err(what) = world.take(choice) {
                return Err(format!("{what}\n  after {taken:?}"));
            }
        }
        world
            .end()
            .map_err(|what| format!("{what}\n  after {taken:?}"))?;
        kept = world.into_scripting();
        explored.orders += 1;
        path.truncate(at);
        // The next order: the last step that has a choice left takes it.
        while path.last().is_some_and(|(choice, of)| choice + 1 == *of) {
            path.pop();
        }
        match path.last_mut() {
            Some(last) if explored.orders < orders_max => last.0 += 1,
            left => {
                explored.all = left.is_none();
                return Ok(explored);
            }
        }
    }
}
