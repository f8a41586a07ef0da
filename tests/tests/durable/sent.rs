//! What a client of the workload has sent and heard, and what of it has to outlive a crash.

use std::time::Instant;

use tests::Wire;
use tests::reply::Value;
use tests::wire::encode;

/// What a crash may have taken of what was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    Nothing,
    /// What was answered after this. Whatever is left is whole and in order all the same.
    After(Instant),
    Anything,
}

impl Loss {
    /// Whether what was answered at that time has to be there.
    pub fn spares(self, answered_at: Instant) -> bool {
        match self {
            Loss::Nothing => true,
            Loss::After(instant) => answered_at <= instant,
            Loss::Anything => false,
        }
    }
}

/// Sends a command; `None` where the server is gone.
pub fn call(wire: &mut Wire, words: &str) -> Option<Value> {
    let arguments: Vec<&str> = words.split(' ').collect();
    call_with(wire, &arguments)
}

/// Sends a command with blanks in its arguments; `None` where the server is gone.
pub fn call_with(wire: &mut Wire, arguments: &[&str]) -> Option<Value> {
    let mut bytes = Vec::new();
    encode(arguments, &mut bytes);
    wire.try_send(&bytes).ok()?;
    let reply = Value::parse(&wire.try_reply().ok()??);
    assert!(!reply.is_error(), "{arguments:?}: {reply:?}");
    Some(reply)
}

pub fn integer(value: &Value) -> i64 {
    match value {
        Value::Null(_) => 0,
        Value::Integer(number) => *number,
        other => String::from_utf8_lossy(other.text())
            .parse()
            .expect("a number"),
    }
}

pub fn integers(wire: &mut Wire, words: &str) -> Vec<i64> {
    let reply = wire.ask(words);
    let elements = reply.elements();
    elements.expect("an array").iter().map(integer).collect()
}

/// Numbers that were sent one after the other, and when each was answered.
#[derive(Clone, Default)]
pub struct Sent {
    last: i64,
    answered: Vec<Instant>,
}

impl Sent {
    pub fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    pub fn answered(&mut self) {
        self.answered.push(Instant::now());
    }

    /// The greatest number that must have outlived the crash.
    pub fn least(&self, loss: Loss) -> i64 {
        self.answered.partition_point(|at| loss.spares(*at)) as i64
    }

    pub fn assert_plausible(&self, found: i64, loss: Loss, what: &str, told: &str) {
        let least = self.least(loss);
        let answered = self.answered.len();
        let lost = self.answered.get(found as usize);
        let before = match loss {
            Loss::After(instant) => lost.map(|lost| instant.saturating_duration_since(*lost)),
            _ => None,
        };
        assert!(
            (least..=self.last).contains(&found),
            "{what}: {found} is there, {} was sent, {answered} answered, {least} must be there, the first lost by {before:?}: {told}",
            self.last
        );
    }
}
