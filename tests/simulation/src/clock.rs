//! The monotonic clock of a world: it goes by how often it is looked at, so that a seed decides
//! when a script has run for long.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use fastrand::Rng;

/// How the clock goes on from one look to the next.
#[derive(Clone, Debug)]
pub enum Pace {
    /// Not at all.
    Still,
    /// At random: most often not at all.
    Jumps(Rng),
    /// Always, so that all that may take long does.
    Runs,
}

/// How far it goes at once: longer than a script may run before it gives way.
const JUMP: Duration = Duration::from_millis(10);

thread_local! {
    static CLOCK: RefCell<(Instant, Pace)> = RefCell::new((Instant::now(), Pace::Still));
}

/// How the clock of this thread goes on from here.
pub fn set_pace(pace: Pace) {
    CLOCK.with_borrow_mut(|(_, it)| *it = pace);
}

/// The time of this thread's world.
pub fn now() -> Instant {
    CLOCK.with_borrow_mut(|(now, pace)| {
        let jumps = match pace {
            Pace::Still => false,
            Pace::Jumps(rng) => rng.u32(..12) == 0,
            Pace::Runs => true,
        };
        if jumps {
            *now += JUMP;
        }
        *now
    })
}
