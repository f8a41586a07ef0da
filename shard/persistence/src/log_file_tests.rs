//! A log file on a disk that fails at every call there is.

use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;
use crate::disk::Access;
use crate::memory_disk::{Fault, MemoryDisk, MemoryFile};

const FILE: &str = "/data/log";

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the disk of this test never waits"),
    }
}

/// What the system shows of the file.
fn shown(disk: &MemoryDisk) -> Vec<u8> {
    disk.shown(Path::new(FILE))
}

/// What would outlast a loss of power.
fn durable(disk: &MemoryDisk) -> Vec<u8> {
    disk.durable(Path::new(FILE))
}

fn with_faults(faults: impl IntoIterator<Item = Fault>) -> (MemoryDisk, LogFile<MemoryFile>) {
    let disk = MemoryDisk::new(Path::new("/data"));
    let file = disk.open_file(Path::new(FILE), Access::Extend);
    disk.set_faults(faults);
    (disk, LogFile::new(file.expect("a new file"), 0))
}

fn write(log: &LogFile<MemoryFile>, bytes: &[u8]) -> bool {
    write_to(log, bytes, Reach::System)
}

fn write_to(log: &LogFile<MemoryFile>, bytes: &[u8], reach: Reach) -> bool {
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
    assert_eq!(shown(&disk), b"one");
    // The fault that follows a short write.
    assert_eq!(log.bytes(), 3);
    assert!(write(&log, b"two"));
    assert!(ready(log.sync()).is_ok());
    assert_eq!(durable(&disk), b"onetwo");
}

#[test]
fn a_failed_sync_takes_nothing_for_durable() {
    let works = Fault::Works;
    // The write that follows fails, too; the sync behind it would say that all is well.
    let faults = [works, works, works, Fault::Fails, Fault::Fails];
    let (disk, log) = with_faults(faults);
    assert!(write(&log, b"one"));
    assert!(ready(log.sync()).is_ok());
    assert!(write(&log, b"two"));
    assert!(ready(log.sync()).is_err());
    assert!(ready(log.sync()).is_err(), "what was dropped is not there");
    assert_eq!(durable(&disk), b"one");
    assert!(ready(log.sync()).is_ok());
    assert_eq!(durable(&disk), b"onetwo");
}

#[test]
fn a_durable_write_needs_no_sync_unless_something_before_it_does() {
    let (disk, log) = with_faults([]);
    assert!(!log.is_durable(), "who knows what was there");
    assert!(ready(log.sync()).is_ok());
    assert!(write_to(&log, b"one", Reach::Disk));
    assert!(log.is_durable());
    assert_eq!(durable(&disk), b"one");
    for forgets in [false, true] {
        assert!(write(&log, b"two"));
        if forgets {
            log.forget();
        }
        assert!(write_to(&log, b"three", Reach::Disk));
        assert!(!log.is_durable(), "what stands before it is not");
        assert!(ready(log.sync()).is_ok());
        assert!(log.is_durable());
    }
    assert_eq!(durable(&disk), b"onetwothreetwothree");
}

#[test]
fn a_write_that_reached_the_system_only_is_done_again() {
    let (disk, log) = with_faults([Fault::Works, Fault::Works, Fault::Fails]);
    assert!(ready(log.sync()).is_ok());
    assert!(!write_to(&log, b"one", Reach::Disk));
    assert_eq!(shown(&disk), b"");
    assert!(write_to(&log, b"one", Reach::Disk));
    assert!(log.is_durable());
    assert_eq!(durable(&disk), b"one");
}

/// A sync during which something is appended: before the disk hears of the sync, or behind that.
/// Returns whether each worked.
fn sync_meanwhile(log: &LogFile<MemoryFile>, bytes: &[u8], before: bool) -> (bool, bool) {
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
        assert!(!log.is_durable());
        assert_eq!(log.unsynced_bytes(), kept);
        assert!(ready(log.sync()).is_ok());
        assert!(log.is_durable());
        assert_eq!(log.unsynced_bytes(), 0);
        assert_eq!(durable(&disk), b"onetwo");
    }
}

#[test]
fn what_nobody_wants_to_be_sure_of_is_not_kept() {
    let (disk, log) = with_faults([]);
    assert!(log.append(b"one", true).is_ok());
    assert!(log.append(b"two", false).is_ok());
    assert_eq!(log.unsynced_bytes(), 0);
    assert!(!log.is_durable());
    assert!(ready(log.sync()).is_ok());
    assert_eq!(durable(&disk), b"onetwo");
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

    /// Whatever fails: what a sync said is durable is, whole and in order, and without a loss of
    /// power the file is whole records.
    #[test]
    fn what_is_said_to_be_durable_is(
        faults in proptest::collection::vec(fault(), 0..60),
        steps in proptest::collection::vec((0..6u8, 1..9usize), 1..40),
        cannot_truncate: bool,
    ) {
        let (disk, log) = with_faults(faults);
        disk.refuse_truncate(cannot_truncate);
        let (mut whole, mut synced) = (Vec::new(), 0);
        let mut next = 0u8;
        for (step, len) in steps {
            if step == 0 {
                // As the writer does: it comes again until it works.
                while ready(log.sync()).is_err() {
                    prop_assert!(durable(&disk).len() >= synced);
                }
                synced = whole.len();
            } else if step <= 2 {
                let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                let before = whole.len();
                let (ends, appended) = sync_meanwhile(&log, &bytes, step == 1);
                if appended {
                    whole.extend(bytes);
                }
                if ends {
                    synced = before;
                }
            } else {
                let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                let write = || match step {
                    3 => write(&log, &bytes),
                    4 => write_to(&log, &bytes, Reach::Disk),
                    _ => log.append(&bytes, true).is_ok(),
                };
                while !write() {
                    let shown = shown(&disk);
                    prop_assert!(shown.starts_with(&whole));
                    prop_assert!(cannot_truncate || shown.len() == whole.len());
                }
                whole.extend(bytes);
                if log.is_durable() {
                    synced = whole.len();
                }
            }
            let on_disk = durable(&disk);
            prop_assert_eq!(log.bytes(), whole.len() as u64);
            prop_assert!(shown(&disk).starts_with(&whole));
            prop_assert!(on_disk.len() >= synced);
            prop_assert_eq!(&on_disk[..synced], &whole[..synced]);
        }
    }
}
