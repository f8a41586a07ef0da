//! A log file on a disk that fails at every call there is.

use std::cell::RefCell;
use std::ops::Range;
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

/// A disk that fails as it is told to, with what the system holds of the file and what would
/// outlast a loss of power.
#[derive(Default)]
struct State {
    faults: VecDeque<Fault>,
    held: Vec<u8>,
    /// Places that were written since the last sync. What reaches the disk is what the system holds
    /// there by then, never something older.
    dirty: Vec<Range<usize>>,
    safe: Vec<u8>,
    cannot_cut: bool,
}

impl State {
    fn reaches_disk(&mut self, place: Range<usize>) {
        put(&mut self.safe, place.start, &self.held[place]);
    }
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

impl AppendFile for Faulty {
    async fn write_at(
        &self,
        bytes: Vec<u8>,
        from: usize,
        at: u64,
        reach: Reach,
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
        let place = at as usize..at as usize + some.len();
        match reach {
            Reach::System => state.dirty.push(place),
            // Written, and then the disk fails: what stands there is shown, and dropped.
            Reach::Disk if matches!(state.faults.front(), Some(Fault::Fails)) => {
                state.faults.pop_front();
                return (Err(io::Error::other("the cable")), bytes);
            }
            Reach::Disk => state.reaches_disk(place),
        }
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
                for place in dirty.into_iter().take(some) {
                    state.reaches_disk(place);
                }
                return Err(io::Error::other("the cable"));
            }
            Some(Fault::Works) | None => {}
        }
        for place in dirty {
            state.reaches_disk(place);
        }
        let len = state.held.len();
        state.safe.truncate(len);
        Ok(())
    }

    fn append_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        ready(self.write_at(bytes.to_vec(), 0, at, Reach::System)).0
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if state.cannot_cut {
            return Err(full());
        }
        let len = len as usize;
        state.held.truncate(len);
        state.dirty.retain_mut(|place| {
            place.end = place.end.min(len);
            place.start < place.end
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

fn write(log: &LogFile<Faulty>, bytes: &[u8]) -> bool {
    write_to(log, bytes, Reach::System)
}

fn write_to(log: &LogFile<Faulty>, bytes: &[u8], reach: Reach) -> bool {
    let (result, back) = ready(log.write(bytes.to_vec(), reach));
    assert_eq!(back, bytes);
    result.is_ok()
}

#[test]
fn a_torn_write_is_cut_and_comes_again() {
    let works = Fault::Works;
    let (disk, log) = with_faults([works, Fault::Short(2), works, works]);
    assert!(write(&log, b"one"));
    assert!(!write(&log, b"two"));
    assert_eq!(disk.0.borrow().held, b"one");
    // The fault that follows a short write.
    assert_eq!(log.bytes(), 3);
    assert!(write(&log, b"two"));
    assert!(ready(log.sync()).is_ok());
    assert_eq!(disk.0.borrow().safe, b"onetwo");
}

#[test]
fn a_failed_sync_takes_nothing_for_safe() {
    let works = Fault::Works;
    // The write that follows fails, too; the sync behind it would say that all is well.
    let faults = [works, works, works, Fault::Fails, Fault::Fails];
    let (disk, log) = with_faults(faults);
    assert!(write(&log, b"one"));
    assert!(ready(log.sync()).is_ok());
    assert!(write(&log, b"two"));
    assert!(ready(log.sync()).is_err());
    assert!(ready(log.sync()).is_err(), "what was dropped is not there");
    assert_eq!(disk.0.borrow().safe, b"one");
    assert!(ready(log.sync()).is_ok());
    assert_eq!(disk.0.borrow().safe, b"onetwo");
}

#[test]
fn a_write_that_is_safe_needs_no_sync_unless_something_before_it_does() {
    let (disk, log) = with_faults([]);
    assert!(!log.is_safe(), "who knows what was there");
    assert!(ready(log.sync()).is_ok());
    assert!(write_to(&log, b"one", Reach::Disk));
    assert!(log.is_safe());
    assert_eq!(disk.0.borrow().safe, b"one");
    for forgets in [false, true] {
        assert!(write(&log, b"two"));
        if forgets {
            log.forget();
        }
        assert!(write_to(&log, b"three", Reach::Disk));
        assert!(!log.is_safe(), "what stands before it is not");
        assert!(ready(log.sync()).is_ok());
        assert!(log.is_safe());
    }
    assert_eq!(disk.0.borrow().safe, b"onetwothreetwothree");
}

#[test]
fn a_write_that_reached_the_system_only_is_done_again() {
    let (disk, log) = with_faults([Fault::Works, Fault::Works, Fault::Fails]);
    assert!(ready(log.sync()).is_ok());
    assert!(!write_to(&log, b"one", Reach::Disk));
    assert_eq!(disk.0.borrow().held, b"");
    assert!(write_to(&log, b"one", Reach::Disk));
    assert!(log.is_safe());
    assert_eq!(disk.0.borrow().safe, b"one");
}

/// A sync during which something is appended: before the disk hears of the sync, or behind that.
/// Returns whether each worked.
fn sync_meanwhile(log: &LogFile<Faulty>, bytes: &[u8], before: bool) -> (bool, bool) {
    let SyncUnderWay { up_to, again } = log.begin_sync();
    let mut appended = before && log.append(bytes, true).is_ok();
    let synced = ready(log.force(again)).is_ok();
    if !before {
        appended = log.append(bytes, true).is_ok();
    }
    if synced {
        log.end_sync(up_to);
    }
    (synced, appended)
}

#[test]
fn a_sync_is_of_what_was_written_before_it() {
    for (before, kept) in [(true, 3), (false, 3)] {
        let (disk, log) = with_faults([]);
        assert!(log.append(b"one", true).is_ok());
        assert_eq!(sync_meanwhile(&log, b"two", before), (true, true));
        assert!(!log.is_safe());
        assert_eq!(log.unsynced_bytes(), kept);
        assert!(ready(log.sync()).is_ok());
        assert!(log.is_safe());
        assert_eq!(log.unsynced_bytes(), 0);
        assert_eq!(disk.0.borrow().safe, b"onetwo");
    }
}

#[test]
fn what_nobody_wants_to_be_sure_of_is_not_kept() {
    let (disk, log) = with_faults([]);
    assert!(log.append(b"one", true).is_ok());
    assert!(log.append(b"two", false).is_ok());
    assert_eq!(log.unsynced_bytes(), 0);
    assert!(!log.is_safe());
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

    /// Whatever fails: what a sync said is safe is safe, whole and in order, and without a loss of
    /// power the file is whole records.
    #[test]
    fn what_is_said_to_be_safe_is(
        faults in proptest::collection::vec(fault(), 0..60),
        steps in proptest::collection::vec((0..6u8, 1..9usize), 1..40),
        cannot_cut: bool,
    ) {
        let (disk, log) = with_faults(faults);
        disk.0.borrow_mut().cannot_cut = cannot_cut;
        let (mut whole, mut safe) = (Vec::new(), 0);
        let mut next = 0u8;
        for (step, len) in steps {
            if step == 0 {
                // As the writer does: it comes again until it works.
                while ready(log.sync()).is_err() {
                    prop_assert!(disk.0.borrow().safe.len() >= safe);
                }
                safe = whole.len();
            } else if step <= 2 {
                let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                let before = whole.len();
                let (synced, appended) = sync_meanwhile(&log, &bytes, step == 1);
                if appended {
                    whole.extend(bytes);
                }
                if synced {
                    safe = before;
                }
            } else {
                let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                let write = || match step {
                    3 => write(&log, &bytes),
                    4 => write_to(&log, &bytes, Reach::Disk),
                    _ => log.append(&bytes, true).is_ok(),
                };
                while !write() {
                    let state = disk.0.borrow();
                    prop_assert!(state.held.starts_with(&whole));
                    prop_assert!(cannot_cut || state.held.len() == whole.len());
                }
                whole.extend(bytes);
                if log.is_safe() {
                    safe = whole.len();
                }
            }
            let state = disk.0.borrow();
            prop_assert_eq!(log.bytes(), whole.len() as u64);
            prop_assert!(state.held.starts_with(&whole));
            prop_assert!(state.safe.len() >= safe);
            prop_assert_eq!(&state.safe[..safe], &whole[..safe]);
        }
    }
}
