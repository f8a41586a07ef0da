//! ACL LOG: who was refused, newest first. The same thing again within a minute is counted, and not
//! listed anew: an attack fills neither the log nor the memory.

use std::collections::VecDeque;

/// Entries among which the same one is looked for.
const LOOKED_AT_MAX: usize = 10;
/// Longer apart, the same thing is listed anew. In milliseconds.
const SAME_WITHIN_MS: u64 = 60_000;

/// What was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    Command,
    Key,
    Channel,
    /// A login.
    Auth,
}

impl Reason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Auth => "auth",
        }
    }
}

/// Where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    TopLevel,
    /// Between MULTI and EXEC.
    Multi,
    /// In a script.
    Script,
}

impl Context {
    pub const fn name(self) -> &'static str {
        match self {
            Self::TopLevel => "toplevel",
            Self::Multi => "multi",
            Self::Script => "lua",
        }
    }
}

/// One refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub reason: Reason,
    pub context: Context,
    /// The command, key or channel.
    pub object: Box<[u8]>,
    pub username: Box<[u8]>,
    /// The connection, as CLIENT INFO shows it.
    pub client_info: Box<[u8]>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// A refusal, and how often it was repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// The last of them.
    pub refusal: Refusal,
    pub count: u64,
    pub id: u64,
    /// When the first was.
    pub created_ms: u64,
}

/// The refusals of a server.
#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

impl Log {
    /// Notes a refusal, and keeps the newest `max` entries.
    pub fn add(&mut self, refusal: Refusal, max: usize) {
        if max == 0 {
            return self.reset();
        }
        let is_same = |entry: &LogEntry| {
            let before = &entry.refusal;
            before.reason == refusal.reason
                && before.context == refusal.context
                && before.at_ms.abs_diff(refusal.at_ms) <= SAME_WITHIN_MS
                && before.object == refusal.object
                && before.username == refusal.username
        };
        let known = self.entries.iter().take(LOOKED_AT_MAX).position(is_same);
        let entry = match known.and_then(|at| self.entries.remove(at)) {
            Some(entry) => LogEntry {
                refusal,
                count: entry.count + 1,
                ..entry
            },
            None => {
                let id = self.next_id;
                self.next_id += 1;
                LogEntry {
                    created_ms: refusal.at_ms,
                    refusal,
                    count: 1,
                    id,
                }
            }
        };
        self.entries.push_front(entry);
        self.entries.truncate(max);
    }

    /// The newest `count` entries, newest first.
    pub fn newest(&self, count: usize) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter().take(count)
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(object: &str, at_ms: u64) -> Refusal {
        Refusal {
            reason: Reason::Command,
            context: Context::TopLevel,
            object: object.as_bytes().into(),
            username: (*b"u").into(),
            client_info: Default::default(),
            at_ms,
        }
    }

    fn shown(log: &Log) -> Vec<(String, u64, u64)> {
        let entries = log.newest(10);
        let show = |it: &LogEntry| {
            let object = String::from_utf8_lossy(&it.refusal.object).into_owned();
            (object, it.count, it.id)
        };
        entries.map(show).collect()
    }

    #[test]
    fn the_same_again_is_counted() {
        let mut log = Log::default();
        for (object, at) in [("get", 0), ("set", 1), ("get", 60_000), ("set", 60_002)] {
            log.add(refusal(object, at), 10);
        }
        let expected = [("set", 1, 2), ("get", 2, 0), ("set", 1, 1)];
        assert_eq!(shown(&log), expected.map(|(o, c, i)| (o.to_string(), c, i)));
        assert_eq!(log.newest(2).nth(1).map(|it| it.created_ms), Some(0));
    }

    #[test]
    fn it_is_bounded() {
        let mut log = Log::default();
        for number in 0..100 {
            log.add(refusal(&number.to_string(), 0), 3);
        }
        assert_eq!(log.newest(100).len(), 3);
        log.add(refusal("x", 0), 0);
        assert_eq!(log.newest(100).len(), 0);
        log.reset();
        log.add(refusal("y", 0), 3);
        assert_eq!(shown(&log), [("y".to_string(), 1, 100)]);
    }
}
