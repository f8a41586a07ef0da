//! The ledger: what each thread has in use, and what the shards owe one another when memory is
//! short.
//!
//! A thread counts its own allocations, which costs no shared cache line. A shard writes its count
//! here by the clock, and while `maxmemory` is set whenever it has moved by [`PUBLISHED_STEP`]; so
//! the sum is right but for one such step a shard. Memory that another thread frees makes a count
//! negative; the sum is right all the same, as long as every thread that frees much has an account.
//! the lazyfree thread has one.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use crate::slot::ShardId;

/// A shard whose count has moved by so many bytes says so, while `maxmemory` is set.
pub const PUBLISHED_STEP: i64 = 64 * 1024;

/// What one shard may be asked to evict for others before it has done so, in bytes: then they evict
/// at home.
pub const OWED_MAX: i64 = 256 * 1024;

/// One shard's account. On a cache line of its own: its owner writes it often, and the others read
/// it before every command while `maxmemory` is set.
#[derive(Default)]
#[repr(align(64))]
pub struct Account {
    used: AtomicI64,
    evictable: AtomicUsize,
    owed: AtomicI64,
    called: AtomicBool,
}

/// What all shards know of memory.
pub struct Ledger {
    accounts: Box<[Account]>,
    /// What the lazyfree thread itself uses.
    lazyfree_used: AtomicI64,
    /// What the lazyfree thread has been given and not freed yet, by estimate.
    lazyfree_bytes: AtomicI64,
    /// How many values that was, and how many it has freed.
    lazyfree_objects: AtomicU64,
    freed_objects: AtomicU64,
    /// How many it had freed when they were last counted from nothing.
    freed_before: AtomicU64,
    /// Of threads that have ended and left what they made.
    left: AtomicI64,
    peak: AtomicU64,
    /// Unix seconds of that.
    peak_s: AtomicU64,
    /// Unix milliseconds since when memory is beyond `maxmemory`, 0 while it is not; and
    /// milliseconds that it was before, together.
    exceeded_since_ms: AtomicU64,
    exceeded_ms: AtomicU64,
    used_by_thread: fn() -> isize,
}

impl Ledger {
    /// `used_by_thread` gives the bytes that the calling thread has allocated and not freed.
    pub fn new(shards: usize, used_by_thread: fn() -> isize) -> Self {
        Self {
            accounts: (0..shards).map(|_| Account::default()).collect(),
            lazyfree_used: AtomicI64::new(0),
            lazyfree_bytes: AtomicI64::new(0),
            lazyfree_objects: AtomicU64::new(0),
            freed_objects: AtomicU64::new(0),
            freed_before: AtomicU64::new(0),
            left: AtomicI64::new(0),
            peak: AtomicU64::new(0),
            peak_s: AtomicU64::new(0),
            exceeded_since_ms: AtomicU64::new(0),
            exceeded_ms: AtomicU64::new(0),
            used_by_thread,
        }
    }

    /// Bytes in use by the calling thread's allocations.
    #[inline]
    pub fn used_here(&self) -> i64 {
        (self.used_by_thread)() as i64
    }

    /// The account of a shard.
    #[inline]
    pub fn account(&self, shard: ShardId) -> &Account {
        &self.accounts[shard.index()]
    }

    /// All accounts, in the order of the shards.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Bytes in use by all threads, as they last said. `now_s` is in Unix seconds.
    pub fn used_bytes(&self, now_s: u64) -> u64 {
        let shards: i64 = self.accounts.iter().map(Account::used).sum();
        let sum = shards + self.others();
        let used = u64::try_from(sum).unwrap_or(0);
        if self.peak.fetch_max(used, Ordering::Relaxed) < used {
            self.peak_s.store(now_s, Ordering::Relaxed);
        }
        used
    }

    /// What threads that are no shards have in use.
    fn others(&self) -> i64 {
        self.lazyfree_used.load(Ordering::Relaxed) + self.left.load(Ordering::Relaxed)
    }

    /// The calling thread is about to end, and shards own what it has made.
    pub fn leave(&self) {
        self.left.fetch_add(self.used_here(), Ordering::Relaxed);
    }

    /// The most bytes that were ever in use when somebody looked.
    pub fn peak_bytes(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Unix seconds of when that was.
    pub fn peak_unix_s(&self) -> u64 {
        self.peak_s.load(Ordering::Relaxed)
    }

    /// Memory is beyond `maxmemory`, and what may go is not gone yet.
    pub fn is_beyond_limit(&self, now_ms: u64) {
        let since = &self.exceeded_since_ms;
        // Whoever notices first.
        let _ = since.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Memory is within `maxmemory`.
    pub fn is_within_limit(&self, now_ms: u64) {
        if self.exceeded_since_ms.load(Ordering::Relaxed) != 0 {
            let since = self.exceeded_since_ms.swap(0, Ordering::Relaxed);
            let lasted = if since > 0 {
                now_ms.saturating_sub(since)
            } else {
                0
            };
            self.exceeded_ms.fetch_add(lasted, Ordering::Relaxed);
        }
    }

    /// Milliseconds that memory was beyond `maxmemory`, together, and of these those since it last
    /// rose above.
    pub fn exceeded_ms(&self, now_ms: u64) -> (u64, u64) {
        let current = match self.exceeded_since_ms.load(Ordering::Relaxed) {
            0 => 0,
            since => now_ms.saturating_sub(since),
        };
        let before = self.exceeded_ms.load(Ordering::Relaxed);
        (before.saturating_add(current), current)
    }

    /// For the shard `here`: bytes in use now, less those that are about to be freed.
    pub fn used_in_the_end(&self, here: ShardId) -> i64 {
        let mut sum = self.others() - self.lazyfree_bytes.load(Ordering::Relaxed);
        for (index, account) in self.accounts.iter().enumerate() {
            let used = if index == here.index() {
                self.used_here()
            } else {
                account.used()
            };
            sum += used - account.owed();
        }
        sum
    }

    /// Whether some shard has still to evict what it was asked to.
    pub fn is_owed(&self) -> bool {
        self.accounts.iter().any(|account| account.owed() > 0)
    }

    /// Values that the lazyfree thread has still to free, and those that it has freed since
    /// [`Self::count_anew`].
    pub fn lazily_freed(&self) -> (u64, u64) {
        let freed = self.freed_objects.load(Ordering::Relaxed);
        let given = self.lazyfree_objects.load(Ordering::Relaxed);
        let before = self.freed_before.load(Ordering::Relaxed);
        (given.saturating_sub(freed), freed.saturating_sub(before))
    }

    /// Counts from nothing again (CONFIG RESETSTAT): what is freed, and how long memory is beyond
    /// its limit.
    pub fn count_anew(&self) {
        self.exceeded_since_ms.store(0, Ordering::Relaxed);
        self.exceeded_ms.store(0, Ordering::Relaxed);
        let freed = self.freed_objects.load(Ordering::Relaxed);
        self.freed_before.store(freed, Ordering::Relaxed);
    }

    /// Values of about `bytes` together are on their way to the lazyfree thread.
    pub fn lazyfree_begins(&self, objects: usize, bytes: usize) {
        self.lazyfree_objects
            .fetch_add(objects as u64, Ordering::Relaxed);
        self.lazyfree_bytes
            .fetch_add(signed(bytes), Ordering::Relaxed);
    }

    /// On the lazyfree thread: they are freed.
    pub fn lazyfree_ended(&self, objects: usize, bytes: usize) {
        self.freed_objects
            .fetch_add(objects as u64, Ordering::Relaxed);
        self.lazyfree_used
            .store(self.used_here(), Ordering::Relaxed);
        self.lazyfree_bytes
            .fetch_sub(signed(bytes), Ordering::Relaxed);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Account {
    /// Bytes in use by the shard's allocations, as it last said.
    #[inline]
    pub fn used(&self) -> i64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Says how many bytes are in use.
    pub fn set_used(&self, bytes: i64) {
        self.used.store(bytes, Ordering::Relaxed);
    }

    /// Keys of the shard that may go, as it last said.
    #[inline]
    pub fn evictable(&self) -> usize {
        self.evictable.load(Ordering::Relaxed)
    }

    /// Says how many keys may go.
    pub fn set_evictable(&self, keys: usize) {
        self.evictable.store(keys, Ordering::Relaxed);
    }

    /// Bytes that the shard is to evict for others.
    #[inline]
    pub fn owed(&self) -> i64 {
        self.owed.load(Ordering::Relaxed)
    }

    /// Asks the shard to evict so many bytes. True where it must be called: nobody has since it
    /// last looked.
    pub fn charge(&self, bytes: i64) -> bool {
        self.owed.fetch_add(bytes, Ordering::Relaxed);
        !self.called.swap(true, Ordering::AcqRel)
    }

    /// The shard looks: whoever charges it from now on calls it again. A swap and no store, so that
    /// it sees all that was charged before: with a store, a charge could find the call unanswered
    /// and this look the charge not there yet.
    pub fn answer_call(&self) {
        self.called.swap(false, Ordering::AcqRel);
    }

    /// The shard has evicted so many bytes of what it owes.
    pub fn pay(&self, bytes: i64) {
        let less = |owed: i64| Some((owed - bytes).max(0));
        let _ = self
            .owed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// The shard has nothing to pay with.
    pub fn default_on_debt(&self) {
        self.owed.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_the_limit_add_up() {
        let ledger = Ledger::new(1, || 0);
        assert_eq!(ledger.exceeded_ms(50), (0, 0));
        ledger.is_beyond_limit(100);
        ledger.is_beyond_limit(120);
        assert_eq!(ledger.exceeded_ms(150), (50, 50));
        ledger.is_within_limit(200);
        ledger.is_within_limit(300);
        ledger.is_beyond_limit(400);
        assert_eq!(ledger.exceeded_ms(410), (110, 10));
        ledger.count_anew();
        assert_eq!(ledger.exceeded_ms(500), (0, 0));
    }

    #[test]
    fn what_is_about_to_be_freed_counts_as_free() {
        let ledger = Ledger::new(2, || 1000);
        let (here, there) = (ShardId::new(0), ShardId::new(1));
        ledger.account(there).set_used(5000);
        assert_eq!(ledger.used_in_the_end(here), 6000);
        assert!(ledger.account(there).charge(300), "it must be called");
        assert!(!ledger.account(there).charge(300), "once");
        ledger.lazyfree_begins(1, 400);
        assert_eq!(ledger.used_in_the_end(here), 5000);
        ledger.account(there).answer_call();
        ledger.account(there).pay(10_000);
        assert!(!ledger.is_owed());
        assert!(ledger.account(there).charge(1));
        assert_eq!(ledger.used_bytes(0), 5000);
        assert_eq!(ledger.peak_bytes(), 5000);
    }
}
