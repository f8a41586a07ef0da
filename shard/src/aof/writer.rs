//! The task that syncs a shard's log, and writes to it where the shard does not itself, for as long
//! as its executor runs.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use config::AppendFsync;
use persistence::log_file::{LogFile, Reach};

use crate::aof::ring_file::{self, RingFile};
use crate::aof::{GATHER_FOR, Step};
use crate::shard::Shard;

/// Between two syncs under `everysec`.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Between two tries after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The file being written.
type Open = LogFile<RingFile>;

/// Writes and syncs a shard's log, for as long as the executor runs.
pub async fn run(shard: Rc<RefCell<Shard>>) {
    let mut open: Option<Rc<Open>> = None;
    loop {
        let step = shard.borrow_mut().next_step();
        match step {
            Some(Step::Open(path, from)) => {
                if let Some(old) = &open {
                    sync(&shard, old).await;
                }
                open = reopen(&shard, &path).await.map(Rc::new);
                let mut shard = shard.borrow_mut();
                let log = &mut shard.log;
                log.file_bytes = open.as_ref().map_or(0, |open| open.bytes());
                log.file = open.clone();
                // What came before is synced, or given up.
                (log.written, log.synced) = (from, from);
                shard.tell_sync_waits();
            }
            Some(Step::Close) => {
                if let Some(old) = &open.take() {
                    sync(&shard, old).await;
                }
                shard.borrow_mut().log.file = None;
                shard.borrow_mut().log_is_closed();
            }
            Some(Step::Write(bytes)) => {
                if let Some(open) = &open {
                    let process = shard.borrow().process.clone();
                    process.fsync_scheduler.begin();
                    write(&shard, open, bytes).await;
                    shard.borrow_mut().wake_logs(process.fsync_scheduler.end());
                }
            }
            None => {
                rest(&shard, open.as_deref()).await;
                gather(&shard).await;
            }
        }
    }
}

/// Waits until what there is to write is enough, or old enough.
async fn gather(shard: &RefCell<Shard>) {
    let mut timer = pin!(monoio::time::sleep(GATHER_FOR));
    poll_fn(|cx| {
        let mut shard = shard.borrow_mut();
        if shard.log.awaits_disk {
            shard.process.fsync_scheduler.wait(shard.engine.id.index());
        }
        if !shard.engine.effects.journal.has_more() || !shard.may_gather() {
            return Poll::Ready(());
        }
        shard.log.gathers.get_or_insert_with(Instant::now);
        shard.log.waker.register(cx.waker());
        timer.as_mut().poll(cx)
    })
    .await;
}

/// Returns none only where none is wanted any more, as all of these end then.
async fn reopen(shard: &RefCell<Shard>, path: &Path) -> Option<Open> {
    loop {
        match ring_file::open(path) {
            Ok(open) => return Some(open),
            Err(error) => shard.borrow_mut().log_failed("cannot be opened", &error),
        }
        if shard.borrow().gives_log_up() {
            return None;
        }
        monoio::time::sleep(RETRY_AFTER).await;
    }
}

async fn write(shard: &RefCell<Shard>, open: &Open, mut bytes: Vec<u8>) {
    let len = bytes.len() as u64;
    loop {
        let reach = match shard.borrow().engine.config.appendfsync {
            AppendFsync::Always => Reach::Disk,
            AppendFsync::EverySecond | AppendFsync::No => Reach::System,
        };
        let (result, back) = open.write(bytes, reach).await;
        bytes = back;
        match result {
            Ok(()) => break,
            Err(error) => shard.borrow_mut().log_failed("cannot be written", &error),
        }
        if shard.borrow().gives_log_up() {
            return;
        }
        monoio::time::sleep(RETRY_AFTER).await;
    }
    let policy = {
        let mut shard = shard.borrow_mut();
        shard.log.refused = false;
        shard.log_works();
        shard.log.written += len;
        shard.log.file_bytes = open.bytes();
        bytes.clear();
        shard.engine.effects.journal.give_back(bytes);
        shard.begin_turn();
        shard.check_out_what_waits();
        shard.tell_certain();
        shard.open_gates();
        shard.engine.config.appendfsync
    };
    match policy {
        AppendFsync::Always if open.is_durable() => {
            let mut shard = shard.borrow_mut();
            let written = shard.log.written;
            shard.log_is_synced(written);
        }
        AppendFsync::Always => sync(shard, open).await,
        // Its sync comes in its time.
        AppendFsync::EverySecond => {}
        AppendFsync::No => open.forget(),
    }
}

async fn sync(shard: &RefCell<Shard>, open: &Open) {
    loop {
        let up_to = shard.borrow().log.written;
        match open.sync().await {
            Ok(()) => return shard.borrow_mut().log_is_synced(up_to),
            Err(error) => shard.borrow_mut().log_failed("cannot be synced", &error),
        }
        if shard.borrow().gives_log_up() {
            return;
        }
        monoio::time::sleep(RETRY_AFTER).await;
    }
}

/// Waits until there is something to write, or to sync.
async fn rest(shard: &RefCell<Shard>, open: Option<&Open>) {
    let (unsynced, stopping) = {
        let shard = shard.borrow();
        (shard.log.synced < shard.log.written, shard.ends())
    };
    let policy = shard.borrow().engine.config.appendfsync;
    let until = match open {
        Some(open) if unsynced => match policy {
            _ if stopping => Some(Duration::ZERO),
            // It was written under another policy.
            AppendFsync::Always => Some(Duration::ZERO),
            AppendFsync::No => None,
            AppendFsync::EverySecond if open.has_much_unsynced() => Some(Duration::ZERO),
            AppendFsync::EverySecond => Some(SYNC_EVERY.saturating_sub(open.since_sync())),
        },
        _ => None,
    };
    if until != Some(Duration::ZERO) {
        let mut timer = pin!(monoio::time::sleep(until.unwrap_or(SYNC_EVERY)));
        let mut registered = false;
        poll_fn(|cx| {
            if registered && !shard.borrow().log.waker.is_waiting() {
                return Poll::Ready(());
            }
            registered = true;
            let mut shard = shard.borrow_mut();
            if shard.has_step() {
                return Poll::Ready(());
            }
            shard.log.waker.register(cx.waker());
            match until {
                Some(_) => timer.as_mut().poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
    }
    if let (Some(open), Some(until)) = (open, until)
        && (until.is_zero() || open.since_sync() >= SYNC_EVERY)
    {
        sync(shard, open).await;
    }
}
