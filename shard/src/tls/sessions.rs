//! Sessions that clients may resume, which spares both sides the costly part of a handshake.
//!
//! All shards share them, since the kernel chooses the shard that a connection comes to. A session
//! is remembered for `tls-session-cache-timeout`, and at most `tls-session-cache-size` are; the
//! oldest go first. With TLS 1.3 a session serves for one connection only, so one that comes with
//! it takes it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::server::StoresServerSessions;

/// The largest session that is remembered. It holds the client's certificates, of which some have
/// many.
const SESSION_BYTES_MAX: usize = 8 * 1024;

/// See the module.
pub struct Sessions {
    known: Mutex<Known>,
    /// `None` where there is no limit.
    count_max: Option<usize>,
    lifetime: Duration,
}

#[derive(Default)]
struct Known {
    by_key: HashMap<Vec<u8>, Session>,
    /// Keys with the time when they came, the oldest first. Some are taken already.
    queue: VecDeque<(Instant, Vec<u8>)>,
}

struct Session {
    value: Vec<u8>,
    since: Instant,
}

impl Sessions {
    /// At most `count_max` sessions, 0 for any number, each for `lifetime_s` seconds.
    pub fn new(count_max: u32, lifetime_s: u32) -> Self {
        Self {
            known: Mutex::default(),
            count_max: (count_max > 0).then_some(count_max as usize),
            lifetime: Duration::from_secs(lifetime_s.into()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_at(&self, now: Instant, key: Vec<u8>, value: Vec<u8>) -> bool {
        if value.len() > SESSION_BYTES_MAX || self.lifetime.is_zero() {
            return false;
        }
        let mut known = self.known();
        let session = Session { value, since: now };
        known.by_key.insert(key.clone(), session);
        known.queue.push_back((now, key));
        // Taken ones stay in the queue until they are its front, so that is what is counted.
        while let Some((since, key)) = known.queue.front()
            && (now.saturating_duration_since(*since) >= self.lifetime
                || self.count_max.is_some_and(|max| known.queue.len() > max))
        {
            if known.by_key.get(key).is_some_and(|it| it.since == *since) {
                let key = key.clone();
                known.by_key.remove(&key);
            }
            known.queue.pop_front();
        }
        true
    }

    fn is_alive(&self, session: &Session, now: Instant) -> bool {
        now.saturating_duration_since(session.since) < self.lifetime
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // They are secrets.
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.put_at(Instant::now(), key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let now = Instant::now();
        let known = self.known();
        let session = known.by_key.get(key)?;
        self.is_alive(session, now).then(|| session.value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let session = self.known().by_key.remove(key)?;
        self.is_alive(&session, Instant::now())
            .then_some(session.value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_sessions_go_first() {
        let sessions = Sessions::new(2, 300);
        for key in 0..3_u8 {
            assert!(sessions.put(vec![key], vec![key; 10]));
        }
        assert_eq!(sessions.get(&[0]), None);
        assert_eq!(sessions.take(&[1]), Some(vec![1; 10]));
        assert_eq!(sessions.take(&[1]), None);
        assert_eq!(sessions.get(&[2]), Some(vec![2; 10]));
    }

    #[test]
    fn a_session_is_forgotten_after_its_time() {
        let sessions = Sessions::new(0, 300);
        let long_ago = Instant::now().checked_sub(Duration::from_secs(300));
        let long_ago = long_ago.expect("this machine has run for so long");
        sessions.put_at(long_ago, vec![1], vec![1]);
        assert_eq!(sessions.get(&[1]), None);
        sessions.put(vec![2], vec![2]);
        assert_eq!(sessions.known().by_key.len(), 1);
        assert_eq!(sessions.known().queue.len(), 1);
        assert!(!Sessions::new(0, 0).put(vec![1], vec![1]));
        assert!(!sessions.put(vec![3], vec![0; SESSION_BYTES_MAX + 1]));
    }
}
