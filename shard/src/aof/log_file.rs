//! One file of the append-only log on a disk that may fail: what counts as written, what as safe, and what is done again.
//!
//! - A write may take a part of what it was given, or nothing. The file is then cut back to the end of the last whole write, so that whoever
//!   reads it meanwhile, or after a crash, finds no half record; the caller keeps the bytes and comes again.
//! - A sync that fails tells nothing of what reached the disk. Linux drops the pages that it could not write and says so once: the next sync
//!   succeeds, with nothing on disk. So all that was written since the last good sync is kept in memory, and is written anew, at its
//!   place, before the next sync is believed.
//!
//! Redis ends its process after a failed sync under `appendfsync always`, and under `everysec` takes the next good one for an answer. We refuse
//! writes and go on trying: a process that ends takes the data with it that only it has, and reads can go on.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use monoio::buf::IoBuf;

/// A larger buffer of what is not synced is not kept for what comes next.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// What a log file lies on.
pub trait Disk {
    /// Writes some of what stands in `bytes` from `from` on to the place `at`, and says how much.
    fn write_at(
        &self,
        bytes: Vec<u8>,
        from: usize,
        at: u64,
    ) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;

    /// Returns when all that was written would outlast a loss of power.
    fn sync(&self) -> impl Future<Output = io::Result<()>>;

    /// Cuts the file off behind so many bytes.
    fn cut(&self, len: u64) -> io::Result<()>;
}

/// A file that is written through the shard's ring.
pub struct RingFile {
    ring: monoio::fs::File,
    /// The same file, for what the ring has no operation for.
    direct: std::fs::File,
}

impl Disk for RingFile {
    async fn write_at(&self, bytes: Vec<u8>, from: usize, at: u64) -> (io::Result<usize>, Vec<u8>) {
        let (result, slice) = self.ring.write_at(bytes.slice(from..), at).await;
        (result, slice.into_inner())
    }

    async fn sync(&self) -> io::Result<()> {
        self.ring.sync_data().await
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.direct.set_len(len)
    }
}

/// A log file that is written to, at its end.
pub struct LogFile<D> {
    disk: D,
    /// Bytes that the system has, of whole writes.
    bytes: u64,
    /// Bytes that are safe.
    synced: u64,
    /// What stands between those two.
    unsynced: Vec<u8>,
    /// A sync has failed: the system may have dropped what was not safe.
    doubtful: bool,
    last_sync: Instant,
}

impl LogFile<RingFile> {
    /// Opens a file, which is created where there is none, to go on at its end.
    pub fn open(path: &Path) -> io::Result<Self> {
        let direct = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let bytes = direct.metadata()?.len();
        let ring = monoio::fs::File::from_std(direct.try_clone()?)?;
        Ok(Self::new(RingFile { ring, direct }, bytes))
    }
}

impl<D: Disk> LogFile<D> {
    fn new(disk: D, bytes: u64) -> Self {
        Self {
            disk,
            bytes,
            synced: bytes,
            unsynced: Vec::new(),
            doubtful: false,
            last_sync: Instant::now(),
        }
    }

    /// Bytes in the file, of whole writes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Since the last sync, or the last try.
    pub fn since_sync(&self) -> Duration {
        self.last_sync.elapsed()
    }

    /// Appends all of `bytes` or nothing, and gives them back.
    pub async fn write(&mut self, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let len = bytes.len() as u64;
        let (result, bytes) = write_all(&self.disk, bytes, self.bytes).await;
        match result {
            Ok(()) => {
                self.unsynced.extend_from_slice(&bytes);
                self.bytes += len;
                (Ok(()), bytes)
            }
            Err(error) => {
                // Where that fails too, the next write covers it; until then a reader finds a torn end, which it knows to cut.
                let _ = self.disk.cut(self.bytes);
                (Err(error), bytes)
            }
        }
    }

    /// Makes all that was written safe. After a failure nothing is taken for safe that was not before.
    pub async fn sync(&mut self) -> io::Result<()> {
        self.last_sync = Instant::now();
        if self.doubtful {
            let unsynced = std::mem::take(&mut self.unsynced);
            let (again, unsynced) = write_all(&self.disk, unsynced, self.synced).await;
            self.unsynced = unsynced;
            again?;
        }
        self.doubtful = true;
        self.disk.sync().await?;
        self.doubtful = false;
        self.forget();
        Ok(())
    }

    /// Nobody wants to be sure of what was written: the system writes it when it likes.
    pub fn forget(&mut self) {
        self.synced = self.bytes;
        self.unsynced.clear();
        self.unsynced.shrink_to(SPARE_BYTES_MAX);
    }
}

async fn write_all<D: Disk>(disk: &D, mut bytes: Vec<u8>, at: u64) -> (io::Result<()>, Vec<u8>) {
    let mut done = 0;
    while done < bytes.len() {
        let (result, back) = disk.write_at(bytes, done, at + done as u64).await;
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
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::*;

    /// What the disk does when it is next asked.
    #[derive(Clone, Copy, Debug)]
    enum Fault {
        /// No more of a write than this, and the next fails.
        Short(usize),
        Fails,
        Works,
    }

    /// A disk that fails as it is told to, with what the system holds of the file and what would outlast a loss of power.
    #[derive(Default)]
    struct State {
        faults: VecDeque<Fault>,
        held: Vec<u8>,
        /// Places that were written since the last sync.
        dirty: Vec<(usize, Vec<u8>)>,
        safe: Vec<u8>,
        cannot_cut: bool,
    }

    #[derive(Clone, Default)]
    struct Faulty(Rc<RefCell<State>>);

    fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
        file.resize(file.len().max(at + bytes.len()), 0);
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn full() -> io::Error {
        io::ErrorKind::StorageFull.into()
    }

    impl Disk for Faulty {
        async fn write_at(
            &self,
            bytes: Vec<u8>,
            from: usize,
            at: u64,
        ) -> (io::Result<usize>, Vec<u8>) {
            let mut state = self.0.borrow_mut();
            let some = match state.faults.pop_front() {
                Some(Fault::Fails | Fault::Short(0)) => return (Err(full()), bytes),
                Some(Fault::Short(most)) => {
                    state.faults.push_front(Fault::Fails);
                    &bytes[from..bytes.len().min(from + most)]
                }
                Some(Fault::Works) | None => &bytes[from..],
            };
            put(&mut state.held, at as usize, some);
            state.dirty.push((at as usize, some.to_vec()));
            (Ok(some.len()), bytes)
        }

        async fn sync(&self) -> io::Result<()> {
            let mut state = self.0.borrow_mut();
            let fault = state.faults.pop_front();
            let dirty = std::mem::take(&mut state.dirty);
            match fault {
                Some(Fault::Fails) => return Err(io::Error::other("the cable")),
                // Some of it came through before that.
                Some(Fault::Short(some)) => {
                    for (at, bytes) in dirty.into_iter().take(some) {
                        put(&mut state.safe, at, &bytes);
                    }
                    return Err(io::Error::other("the cable"));
                }
                Some(Fault::Works) | None => {}
            }
            for (at, bytes) in dirty {
                put(&mut state.safe, at, &bytes);
            }
            let len = state.held.len();
            state.safe.truncate(len);
            Ok(())
        }

        fn cut(&self, len: u64) -> io::Result<()> {
            let mut state = self.0.borrow_mut();
            if state.cannot_cut {
                return Err(full());
            }
            let len = len as usize;
            state.held.truncate(len);
            state.dirty.retain_mut(|(at, bytes)| {
                bytes.truncate(len.saturating_sub(*at));
                !bytes.is_empty()
            });
            Ok(())
        }
    }

    fn ready<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("the disk of this test never waits"),
        }
    }

    fn with_faults(faults: impl IntoIterator<Item = Fault>) -> (Faulty, LogFile<Faulty>) {
        let disk = Faulty::default();
        disk.0.borrow_mut().faults = faults.into_iter().collect();
        (disk.clone(), LogFile::new(disk, 0))
    }

    fn write(log: &mut LogFile<Faulty>, bytes: &[u8]) -> bool {
        let (result, back) = ready(log.write(bytes.to_vec()));
        assert_eq!(back, bytes);
        result.is_ok()
    }

    #[test]
    fn a_torn_write_is_cut_and_comes_again() {
        let works = Fault::Works;
        let (disk, mut log) = with_faults([works, Fault::Short(2), works, works]);
        assert!(write(&mut log, b"one"));
        assert!(!write(&mut log, b"two"));
        assert_eq!(disk.0.borrow().held, b"one");
        // The fault that follows a short write.
        assert_eq!(log.bytes(), 3);
        assert!(write(&mut log, b"two"));
        assert!(ready(log.sync()).is_ok());
        assert_eq!(disk.0.borrow().safe, b"onetwo");
    }

    #[test]
    fn a_failed_sync_takes_nothing_for_safe() {
        let works = Fault::Works;
        // The write that follows fails, too; the sync behind it would say that all is well.
        let faults = [works, works, works, Fault::Fails, Fault::Fails];
        let (disk, mut log) = with_faults(faults);
        assert!(write(&mut log, b"one"));
        assert!(ready(log.sync()).is_ok());
        assert!(write(&mut log, b"two"));
        assert!(ready(log.sync()).is_err());
        assert!(ready(log.sync()).is_err(), "what was dropped is not there");
        assert_eq!(disk.0.borrow().safe, b"one");
        assert!(ready(log.sync()).is_ok());
        assert_eq!(disk.0.borrow().safe, b"onetwo");
    }

    fn fault() -> impl Strategy<Value = Fault> {
        prop_oneof![
            3 => Just(Fault::Works),
            1 => Just(Fault::Fails),
            1 => (0..5usize).prop_map(Fault::Short),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever fails: what a sync said is safe is safe, whole and in order, and without a loss of power the file is whole records.
        #[test]
        fn what_is_said_to_be_safe_is(
            faults in proptest::collection::vec(fault(), 0..60),
            steps in proptest::collection::vec((any::<bool>(), 1..9usize), 1..40),
            cannot_cut: bool,
        ) {
            let (disk, mut log) = with_faults(faults);
            disk.0.borrow_mut().cannot_cut = cannot_cut;
            let (mut whole, mut safe) = (Vec::new(), 0);
            let mut next = 0u8;
            for (syncs, len) in steps {
                if syncs {
                    // As the writer does: it comes again until it works.
                    while ready(log.sync()).is_err() {
                        prop_assert!(disk.0.borrow().safe.len() >= safe);
                    }
                    safe = whole.len();
                } else {
                    let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                    while !write(&mut log, &bytes) {
                        let state = disk.0.borrow();
                        prop_assert!(state.held.starts_with(&whole));
                        prop_assert!(cannot_cut || state.held.len() == whole.len());
                    }
                    whole.extend(bytes);
                }
                let state = disk.0.borrow();
                prop_assert_eq!(log.bytes(), whole.len() as u64);
                prop_assert!(state.held.starts_with(&whole));
                prop_assert!(state.safe.len() >= safe);
                prop_assert_eq!(&state.safe[..safe], &whole[..safe]);
            }
        }
    }
}
