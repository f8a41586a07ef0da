//! Which key goes next when memory is short: Redis's approximation of LRU and LFU.
//!
//! Nothing is kept in order of use. A few keys of every database are looked at, and the best
//! candidates so far are remembered in a pool of sixteen over all databases (see "Key eviction" in
//! Redis's documentation). With five samples a time this comes close to an exact order, and a key
//! that is never evicted pays nothing for it but its 32 bits of access clock.
//!
//! A candidate is looked at again before it goes: one that was used since, or has lost its
//! deadline, is none any more. (Redis evicts it all the same.) So a pool that lies unused between
//! two shortages does no harm.
//!
//! Keys lent to a transaction are not in the keyspace, and so are not found.
//!
//! Invariant: the pool is sorted by score, the best candidate last.

use crate::access::AccessPolicy;
use crate::clock::UnixMillis;
use crate::databases::{Databases, DbIndex};
use crate::entry::Entry;
use crate::keyspace::Eligible;

/// Candidates that are remembered.
const POOL_LEN_MAX: usize = 16;

/// Rounds of sampling for one victim: a pool may hold nothing but keys that were used since.
const ROUNDS_MAX: usize = 8;

/// Whose turn it is first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preference {
    /// The key not used for the longest.
    LeastRecent,
    /// The key used least often.
    LeastFrequent,
    /// The key that would expire first.
    SoonestDeadline,
    /// Any.
    Random,
}

/// Which keys may go, and in what order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EvictionPolicy {
    /// Which of them goes first.
    pub prefer: Preference,
    /// Which may go at all.
    pub eligible: Eligible,
    /// Keys of each database that are looked at for one victim.
    pub samples: usize,
}

/// What a search for a victim found.
pub enum Victim {
    /// This entry; it is out of its database now.
    Taken(DbIndex, Entry),
    /// None yet, though there is one: the next search looks elsewhere.
    NotFound,
    /// Nothing here may go.
    None,
}

struct Candidate {
    /// The higher, the sooner it goes.
    score: u64,
    db: DbIndex,
    key: Vec<u8>,
}

/// The best candidates for eviction so far, from sample to sample: Redis's approximation of the
/// exact order (<https://redis.io/docs/latest/develop/reference/eviction/>).
#[derive(Default)]
pub struct Pool {
    candidates: Vec<Candidate>,
}

impl EvictionPolicy {
    /// Keys that may go, over all databases.
    pub fn eligible_len(&self, databases: &Databases) -> usize {
        databases
            .indices()
            .map(|db| databases.get(db).eligible_len(self.eligible))
            .sum()
    }

    /// How much sooner than others an entry goes.
    fn score(&self, entry: &Entry, access: AccessPolicy, now: UnixMillis) -> u64 {
        match self.prefer {
            Preference::LeastRecent => AccessPolicy::idle_ms(entry, now),
            Preference::LeastFrequent => {
                let uses = access.frequency(entry, now).unwrap_or(0);
                u64::from(u32::MAX - uses)
            }
            Preference::SoonestDeadline => entry.deadline().map_or(0, |at| u64::MAX - at.ms()),
            Preference::Random => 0,
        }
    }
}

impl Pool {
    /// Forgets all candidates: their scores mean nothing under another policy.
    pub fn clear(&mut self) {
        self.candidates.clear();
    }

    /// Takes the entry out that should go next.
    pub fn evict(
        &mut self,
        databases: &mut Databases,
        policy: EvictionPolicy,
        access: AccessPolicy,
        now: UnixMillis,
        random: &mut fastrand::Rng,
    ) -> Victim {
        if policy.eligible_len(databases) == 0 {
            return Victim::None;
        }
        if policy.prefer == Preference::Random {
            return evict_any(databases, policy, random);
        }
        for _ in 0..ROUNDS_MAX {
            for db in databases.indices() {
                let keyspace = databases.get(db);
                keyspace.sample(policy.eligible, policy.samples, random, |entry| {
                    self.offer(policy.score(entry, access, now), db, entry.key());
                });
            }
            while let Some(best) = self.candidates.pop() {
                let keyspace = databases.get_mut(best.db);
                let stands = keyspace.get(&best.key).is_some_and(|entry| {
                    policy.eligible.includes(entry)
                        && policy.score(entry, access, now) >= best.score
                });
                if stands && let Some(entry) = keyspace.take(&best.key) {
                    return Victim::Taken(best.db, entry);
                }
            }
        }
        Victim::NotFound
    }

    /// Remembers a key if it is among the best.
    fn offer(&mut self, score: u64, db: DbIndex, key: &[u8]) {
        let full = self.candidates.len() == POOL_LEN_MAX;
        if full
            && self
                .candidates
                .first()
                .is_some_and(|worst| worst.score >= score)
        {
            return;
        }
        let known = |other: &Candidate| other.score == score && other.db == db && other.key == key;
        if self.candidates.iter().any(known) {
            return;
        }
        let mut kept = if full {
            // The room of the worst is used again.
            self.candidates.remove(0).key
        } else {
            Vec::new()
        };
        kept.clear();
        kept.extend_from_slice(key);
        let at = self.candidates.partition_point(|other| other.score < score);
        self.candidates.insert(
            at,
            Candidate {
                score,
                db,
                key: kept,
            },
        );
    }
}

/// Some entry that may go; each database has its chance in proportion to how many it has.
fn evict_any(
    databases: &mut Databases,
    policy: EvictionPolicy,
    random: &mut fastrand::Rng,
) -> Victim {
    let mut nth = random.usize(..policy.eligible_len(databases).max(1));
    let chosen = databases.indices().find(|&db| {
        let len = databases.get(db).eligible_len(policy.eligible);
        let here = nth < len;
        nth = nth.saturating_sub(len);
        here
    });
    let Some(db) = chosen else {
        return Victim::None;
    };
    let keyspace = databases.get_mut(db);
    let mut key = None;
    keyspace.sample(policy.eligible, 1, random, |entry| {
        key = Some(entry.key().to_vec());
    });
    match key.and_then(|key| keyspace.take(&key)) {
        Some(entry) => Victim::Taken(db, entry),
        None => Victim::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keyspace::KeyHasher;

    const LFU: AccessPolicy = AccessPolicy::Lfu {
        log_factor: 10,
        decay_time_min: 1,
    };

    fn policy(prefer: Preference, eligible: Eligible) -> EvictionPolicy {
        EvictionPolicy {
            prefer,
            eligible,
            samples: 5,
        }
    }

    /// Keys of which every third expires; key `n` was last used in second `n` and expires in the
    /// reverse order.
    fn filled(count: usize) -> Databases {
        let mut databases = Databases::new(16, KeyHasher::random());
        for number in 0..count {
            let at = 10_000_000 - number as u64;
            let deadline = (number % 3 == 0).then_some(UnixMillis::new(at));
            let mut entry = Entry::string(number.to_string().as_bytes(), b"value", deadline);
            let used = UnixMillis::new(number as u64 * 1000);
            entry.set_access(AccessPolicy::Lru.fresh(used));
            let db = databases
                .index(number as u16 % 2 * 5)
                .expect("there are 16");
            databases.get_mut(db).insert_new(entry);
        }
        databases
    }

    fn drain(
        databases: &mut Databases,
        policy: EvictionPolicy,
        access: AccessPolicy,
    ) -> Vec<usize> {
        let mut pool = Pool::default();
        let mut random = fastrand::Rng::with_seed(7);
        let mut gone = Vec::new();
        let mut misses = 0;
        loop {
            match pool.evict(
                databases,
                policy,
                access,
                UnixMillis::new(5_000_000),
                &mut random,
            ) {
                Victim::Taken(_, entry) => {
                    let number = std::str::from_utf8(entry.key()).expect("digits");
                    gone.push(number.parse().expect("digits"));
                }
                Victim::NotFound => misses += 1,
                Victim::None => return gone,
            }
            assert!(misses < 1000, "a victim is found in the end");
            assert!(pool.candidates.len() <= POOL_LEN_MAX);
            assert!(
                pool.candidates
                    .is_sorted_by_key(|candidate| candidate.score)
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn all_that_may_go_does_and_nothing_else(count in 0usize..2000, volatile: bool, which in 0usize..4) {
            let prefer = [
                Preference::LeastRecent, Preference::LeastFrequent, Preference::SoonestDeadline, Preference::Random,
            ][which];
            let eligible = if volatile { Eligible::Volatile } else { Eligible::All };
            let mut databases = filled(count);
            let mut gone = drain(&mut databases, policy(prefer, eligible), LFU);
            gone.sort_unstable();
            let expected: Vec<usize> = (0..count).filter(|number| !volatile || number % 3 == 0).collect();
            prop_assert_eq!(gone, expected);
        }
    }

    /// Of `gone`, in order of eviction, the share of the first half that belonged to the half which
    /// should go first.
    fn precision(gone: &[usize], first: impl Fn(usize) -> bool) -> f64 {
        let half = gone.len() / 2;
        gone.iter()
            .take(half)
            .filter(|number| first(**number))
            .count() as f64
            / half as f64
    }

    #[test]
    fn what_was_used_long_ago_goes_first() {
        let mut databases = filled(3000);
        let policy = policy(Preference::LeastRecent, Eligible::All);
        let gone = drain(&mut databases, policy, AccessPolicy::Lru);
        let share = precision(&gone, |number| number < 1500);
        assert!(share > 0.9, "{share}");
    }

    #[test]
    fn what_expires_soon_goes_first() {
        let mut databases = filled(3000);
        let policy = policy(Preference::SoonestDeadline, Eligible::Volatile);
        let gone = drain(&mut databases, policy, AccessPolicy::Lru);
        let share = precision(&gone, |number| number >= 1500);
        assert!(share > 0.9, "{share}");
    }

    #[test]
    fn what_is_used_seldom_goes_first() {
        let mut databases = filled(3000);
        let now = UnixMillis::new(5_000_000);
        let mut random = fastrand::Rng::with_seed(1);
        for number in 0..3000usize {
            let db = databases
                .index(number as u16 % 2 * 5)
                .expect("there are 16");
            let key = number.to_string();
            let entry = databases
                .get_mut(db)
                .get_mut(key.as_bytes())
                .expect("it is there");
            entry.set_access(LFU.fresh(now));
            for _ in 0..if number % 2 == 0 { 0 } else { 200 } {
                LFU.touch(entry, now, &mut random);
            }
        }
        let policy = policy(Preference::LeastFrequent, Eligible::All);
        let gone = drain(&mut databases, policy, LFU);
        let share = precision(&gone, |number| number % 2 == 0);
        assert!(share > 0.9, "{share}");
    }

    #[test]
    fn a_candidate_that_was_used_since_stays() {
        let mut databases = filled(POOL_LEN_MAX);
        let policy = policy(Preference::LeastRecent, Eligible::All);
        let mut pool = Pool::default();
        let mut random = fastrand::Rng::with_seed(3);
        let mut evict = |databases: &mut Databases, now: u64| {
            let now = UnixMillis::new(now);
            match pool.evict(databases, policy, AccessPolicy::Lru, now, &mut random) {
                Victim::Taken(_, entry) => entry.key().to_vec(),
                _ => panic!("there are keys"),
            }
        };
        // The pool knows candidates now; all but the youngest are used.
        evict(&mut databases, 100_000);
        let mut kept = Vec::new();
        for db in databases.indices() {
            for number in 0..POOL_LEN_MAX - 1 {
                let key = number.to_string().into_bytes();
                if let Some(entry) = databases.get_mut(db).get_mut(&key) {
                    entry.set_access(AccessPolicy::Lru.fresh(UnixMillis::new(200_000)));
                    kept.push(key);
                }
            }
        }
        let mut gone = Vec::new();
        while gone.len() < 3 {
            gone.push(evict(&mut databases, 200_000));
        }
        assert!(
            gone.contains(&(POOL_LEN_MAX - 1).to_string().into_bytes()),
            "{gone:?}"
        );
        assert!(!kept.is_empty());
    }
}
