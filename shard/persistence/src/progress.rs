//! How far loading has come: for INFO, and a line in the log now and then.
//!
//! Files are read more than once, by several threads. So what is counted is work; what is told is the same share of the files' bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::info;

/// Between two lines in the log.
const TOLD_EVERY_MS: u64 = 2_000;

/// Bytes of work between two looks at the clock.
const STEP_BYTES: u64 = 4 << 20;

/// Shared by all who load.
pub struct Progress {
    began: Instant,
    /// Bytes of the files.
    files: AtomicU64,
    /// Bytes that are to be read in all, and that have been.
    work: AtomicU64,
    done: AtomicU64,
    told_at_ms: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            files: AtomicU64::new(0),
            work: AtomicU64::new(0),
            done: AtomicU64::new(0),
            told_at_ms: AtomicU64::new(0),
        }
    }
}

/// What INFO tells.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub total_bytes: u64,
    pub loaded_bytes: u64,
    pub percent: f64,
    /// At the pace so far.
    pub seconds_left: u64,
}

impl Progress {
    /// A file of so many bytes is to be read so often.
    pub fn expect(&self, bytes: u64, times: usize) {
        self.files.fetch_add(bytes, Ordering::Relaxed);
        self.work.fetch_add(bytes * times as u64, Ordering::Relaxed);
    }

    /// One reading of one file begins.
    pub fn of_file(&self) -> Reading<'_> {
        Reading {
            progress: self,
            counted: 0,
        }
    }

    pub fn told(&self) -> Told {
        let total_bytes = self.files.load(Ordering::Relaxed);
        let (work, done) = (&self.work, &self.done);
        let (work, done) = (work.load(Ordering::Relaxed), done.load(Ordering::Relaxed));
        let share = done.min(work) as f64 / work.max(1) as f64;
        let took = self.began.elapsed().as_secs_f64();
        Told {
            total_bytes,
            loaded_bytes: (total_bytes as f64 * share) as u64,
            percent: share * 100.0,
            seconds_left: match share > 0.0 {
                true => (took / share - took) as u64,
                false => 1,
            },
        }
    }

    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        let now = self.began.elapsed().as_millis() as u64;
        let told_at = self.told_at_ms.load(Ordering::Relaxed);
        if now < told_at + TOLD_EVERY_MS {
            return;
        }
        // One of those who notice tells.
        let tells =
            self.told_at_ms
                .compare_exchange(told_at, now, Ordering::Relaxed, Ordering::Relaxed);
        if tells.is_ok() {
            let told = self.told();
            info!(
                percent = told.percent as u64,
                bytes = told.loaded_bytes,
                of_bytes = told.total_bytes,
                seconds_left = told.seconds_left,
                "loading"
            );
        }
    }
}

/// One reading of one file.
pub struct Reading<'a> {
    progress: &'a Progress,
    /// Bytes of it that are counted.
    counted: u64,
}

impl Reading<'_> {
    /// It has been read up to here. Cheap enough for every record.
    #[inline]
    pub fn reach(&mut self, at: u64) {
        if at - self.counted >= STEP_BYTES {
            self.progress.advance(at - self.counted);
            self.counted = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_read_twice_count_once() {
        let progress = Progress::default();
        progress.expect(8 * STEP_BYTES, 2);
        let mut reading = progress.of_file();
        reading.reach(STEP_BYTES - 1);
        assert_eq!(progress.told().loaded_bytes, 0);
        reading.reach(4 * STEP_BYTES);
        let told = progress.told();
        assert_eq!(told.total_bytes, 8 * STEP_BYTES);
        assert_eq!(told.loaded_bytes, 2 * STEP_BYTES);
        assert_eq!(told.percent, 25.0);
    }
}
