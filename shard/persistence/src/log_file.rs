//! One file of the append-only log on a disk that may fail: what counts as written, what as
//! durable, and what is done again.
//!
//! - A write may take a part of what it was given, or nothing. The file is then cut back to the end
//!   of the last whole write, so that whoever reads it meanwhile, or after a crash, finds no half
//!   record; the caller keeps the bytes and comes again.
//! - A sync that fails tells nothing of what reached the disk. Linux drops the pages that it could
//!   not write and says so once: the next sync succeeds, with nothing on disk. So all that was
//!   written since the last good sync is kept in memory, and is written anew, at its place, before
//!   the next sync is believed.
//! - Records may be appended while a sync is under way. That sync covers what was written before it
//!   began, and no more.
//! - Where each write has to be durable before anything goes on (`appendfsync always`), writing and
//!   syncing are one operation (`O_DSYNC`): each that the shard's ring hands to a thread of the
//!   kernel costs two switches. One that fails is done again whole.
//!
//! Redis ends its process after a failed sync under `appendfsync always`, and under `everysec`
//! takes the next good one for an answer. We refuse writes and go on trying: a process that ends
//! takes the data with it that only it has, and reads can go on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

/// Beyond this, what was written is to be synced sooner than its time: it stands in memory as long.
const UNSYNCED_BYTES_MAX: usize = 8 << 20;

/// A larger buffer of what is not synced is not kept for what comes next. A smaller one is: pages
/// that come and go with each sync cost more than the bytes in them.
const SPARE_BYTES_MAX: usize = 2 * UNSYNCED_BYTES_MAX;

/// How far a write goes before it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The system has it: the end of the process does not take it.
    System,
    /// It is on disk, and so is all that is needed to find it there.
    Disk,
}

/// A file as a log writes it: at its end, from one task.
pub trait AppendFile {
    /// Writes some of what stands in `bytes` from `from` on to the place `at`, and returns how
    /// much.
    fn write_at(
        &self,
        bytes: Vec<u8>,
        from: usize,
        at: u64,
        reach: Reach,
    ) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;

    /// Writes some of `bytes` to the place `at` and returns how much: the system has it when this
    /// returns, and the caller waits as long.
    fn append_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Returns when all that was written would outlast a loss of power.
    fn sync(&self) -> impl Future<Output = io::Result<()>>;

    /// Cuts the file off behind `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;
}

/// A log file that is written to, at its end.
pub struct LogFile<F> {
    file: F,
    state: RefCell<State>,
}

/// What is known of the file.
struct State {
    /// Bytes that the system has, of whole writes.
    bytes: u64,
    /// Bytes that are durable, of those that anybody wants to be.
    synced: u64,
    /// What stands between those two.
    unsynced: VecDeque<u8>,
    /// All that was written is known to be on disk. What was there when the file was opened is not,
    /// nor what nobody wanted to be sure of.
    durable: bool,
    /// A sync has failed, or has not ended: the system may have dropped what was not durable.
    doubtful: bool,
    last_sync: Instant,
}

/// A sync that has begun: of so many bytes of the file.
struct SyncUnderWay {
    up_to: u64,
    /// What has to be written once more before that, and where.
    again: Option<(u64, Vec<u8>)>,
}

impl<F: AppendFile> LogFile<F> {
    /// Goes on behind the `bytes` that the file has.
    pub fn new(file: F, bytes: u64) -> Self {
        Self {
            file,
            state: RefCell::new(State {
                bytes,
                synced: bytes,
                unsynced: VecDeque::new(),
                durable: false,
                doubtful: false,
                last_sync: Instant::now(),
            }),
        }
    }

    /// Bytes in the file, of whole writes.
    pub fn bytes(&self) -> u64 {
        self.state.borrow().bytes
    }

    /// Bytes in memory that were written and are not durable yet.
    pub fn unsynced_bytes(&self) -> usize {
        self.state.borrow().unsynced.len()
    }

    /// Whether so much was written since the last sync that the next one should not wait for its
    /// time.
    pub fn has_much_unsynced(&self) -> bool {
        self.unsynced_bytes() >= UNSYNCED_BYTES_MAX
    }

    /// The time since the last sync, or the last try.
    pub fn since_sync(&self) -> Duration {
        self.state.borrow().last_sync.elapsed()
    }

    /// Whether all that was written is durable.
    pub fn is_durable(&self) -> bool {
        self.state.borrow().is_durable()
    }

    /// Appends all of `bytes` or nothing: the system has them when this returns. With
    /// `until_synced` they are kept until a sync has made them durable. Not while [`Self::write`]
    /// is under way.
    pub fn append(&self, bytes: &[u8], until_synced: bool) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let mut done = 0;
        while done < bytes.len() {
            let at = state.bytes + done as u64;
            let error = match self.file.append_at(&bytes[done..], at) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(some) => {
                    done += some;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.cut_torn(&state);
            return Err(error);
        }
        state.appended(bytes, until_synced);
        Ok(())
    }

    /// Appends all of `bytes` or nothing, and gives them back. With [`Reach::Disk`] they are
    /// durable then, if all before them was.
    pub async fn write(&self, bytes: Vec<u8>, reach: Reach) -> (io::Result<()>, Vec<u8>) {
        let (at, durable) = {
            let state = self.state.borrow();
            (state.bytes, state.is_durable())
        };
        // What stands before them has to be synced, too.
        let reach = if durable { reach } else { Reach::System };
        let (result, bytes) = write_all(&self.file, bytes, at, reach).await;
        let mut state = self.state.borrow_mut();
        match (&result, reach) {
            (Ok(()), Reach::System) => state.appended(&bytes, true),
            (Ok(()), Reach::Disk) => {
                state.bytes += bytes.len() as u64;
                state.synced = state.bytes;
                state.last_sync = Instant::now();
            }
            (Err(_), _) => self.cut_torn(&state),
        }
        (result, bytes)
    }

    /// Cuts off what a failed write has left.
    fn cut_torn(&self, state: &State) {
        // Where that fails too, the next write covers it; until then a reader finds a torn end,
        // which it knows to cut.
        let _ = self.file.truncate(state.bytes);
    }

    /// Makes all that was written before this durable. After a failure nothing is taken for durable
    /// that was not before.
    pub async fn sync(&self) -> io::Result<()> {
        let SyncUnderWay { up_to, again } = self.begin_sync();
        self.force(again).await?;
        self.end_sync(up_to);
        Ok(())
    }

    async fn force(&self, again: Option<(u64, Vec<u8>)>) -> io::Result<()> {
        if let Some((at, again)) = again {
            write_all(&self.file, again, at, Reach::System).await.0?;
        }
        self.file.sync().await
    }

    fn begin_sync(&self) -> SyncUnderWay {
        let state = &mut *self.state.borrow_mut();
        state.last_sync = Instant::now();
        let was_doubtful = std::mem::replace(&mut state.doubtful, true);
        SyncUnderWay {
            up_to: state.bytes,
            again: was_doubtful.then(|| (state.synced, state.unsynced.iter().copied().collect())),
        }
    }

    fn end_sync(&self, up_to: u64) {
        let state = &mut *self.state.borrow_mut();
        state.doubtful = false;
        state.durable = state.bytes == up_to;
        if state.synced < up_to {
            let synced = (up_to - state.synced) as usize;
            state.unsynced.drain(..synced);
            state.unsynced.shrink_to(SPARE_BYTES_MAX);
            state.synced = up_to;
        }
    }

    /// Nobody wants to be sure of what was written: the system writes it when it likes.
    pub fn forget(&self) {
        self.state.borrow_mut().forget();
    }
}

impl State {
    fn is_durable(&self) -> bool {
        self.durable && !self.doubtful
    }

    fn appended(&mut self, bytes: &[u8], until_synced: bool) {
        self.bytes += bytes.len() as u64;
        self.durable = false;
        if until_synced {
            self.unsynced.extend(bytes);
        } else {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.synced = self.bytes;
        self.unsynced.clear();
        self.unsynced.shrink_to(SPARE_BYTES_MAX);
    }
}

async fn write_all<F: AppendFile>(
    file: &F,
    mut bytes: Vec<u8>,
    at: u64,
    reach: Reach,
) -> (io::Result<()>, Vec<u8>) {
    let mut done = 0;
    while done < bytes.len() {
        let (result, back) = file.write_at(bytes, done, at + done as u64, reach).await;
        bytes = back;
        match result {
            Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), bytes),
            Ok(some) => done += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (Err(error), bytes),
        }
    }
    (Ok(()), bytes)
}

#[cfg(test)]
#[path = "log_file_tests.rs"]
mod tests;
