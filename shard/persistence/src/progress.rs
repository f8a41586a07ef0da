//! How far loading has come: for INFO, and a line in the log now and then.
//!
//! Files are read more than once, by several threads. So what is counted is work; what is told is
//! the same fraction of the files' bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::info;

/// Between two lines in the log.
const LOGGED_EVERY_MS: u64 = 2_000;

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
    logged_at_ms: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            files: AtomicU64::new(0),
            work: AtomicU64::new(0),
            done: AtomicU64::new(0),
            logged_at_ms: AtomicU64::new(0),
        }
    }
}

/// How far loading has come.
#[derive(Clone, Copy, Debug)]
pub struct LoadingStatus {
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes of them that are loaded, where files that are read twice count once.
    pub loaded_bytes: u64,
    /// From 0 to 100.
    pub percent: f64,
    /// Seconds that the rest takes at the speed so far; 1 before anything is read.
    pub seconds_left: u64,
}

impl Progress {
    /// A file of so many bytes is to be read so many times.
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

    /// How far loading has come.
    pub fn status(&self) -> LoadingStatus {
        let total_bytes = self.files.load(Ordering::Relaxed);
        let (work, done) = (&self.work, &self.done);
        let (work, done) = (work.load(Ordering::Relaxed), done.load(Ordering::Relaxed));
        let fraction = done.min(work) as f64 / work.max(1) as f64;
        let took = self.began.elapsed().as_secs_f64();
        LoadingStatus {
            total_bytes,
            loaded_bytes: (total_bytes as f64 * fraction) as u64,
            percent: fraction * 100.0,
            seconds_left: if fraction > 0.0 {
                (took / fraction - took) as u64
            } else {
                1
            },
        }
    }

    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        let now = self.began.elapsed().as_millis() as u64;
        let logged_at = self.logged_at_ms.load(Ordering::Relaxed);
        if now < logged_at + LOGGED_EVERY_MS {
            return;
        }
        // One of those who notice logs it.
        let logs = self.logged_at_ms.compare_exchange(
            logged_at,
            now,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if logs.is_ok() {
            let status = self.status();
            info!(
                percent = status.percent as u64,
                bytes = status.loaded_bytes,
                of_bytes = status.total_bytes,
                seconds_left = status.seconds_left,
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
        assert_eq!(progress.status().loaded_bytes, 0);
        reading.reach(4 * STEP_BYTES);
        let status = progress.status();
        assert_eq!(status.total_bytes, 8 * STEP_BYTES);
        assert_eq!(status.loaded_bytes, 2 * STEP_BYTES);
        assert_eq!(status.percent, 25.0);
    }
}
