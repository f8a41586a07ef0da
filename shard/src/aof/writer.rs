//! The task that writes a shard's log, for as long as its executor runs.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::aof::Step;
use crate::aof::log_file::{LogFile, Reach, RingFile};
use crate::config::AppendFsync;
use crate::shard::Shard;

/// Between two syncs under `everysec`.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Between two tries after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The file being written.
type Open = LogFile<RingFile>;

/// Writes a shard's log, for as long as the executor runs.
pub async fn run(shard: Rc<RefCell<Shard>>) {
    let mut open: Option<Open> = None;
    loop {
        let step = shard.borrow_mut().next_step();
        match step {
            Some(Step::Open(path, from)) => {
                if let Some(old) = &mut open {
                    sync(&shard, old).await;
                }
                open = reopen(&shard, &path).await;
                let mut shard = shard.borrow_mut();
                let log = &mut shard.log;
                log.file_bytes = open.as_ref().map_or(0, Open::bytes);
                // What came before is synced, or given up.
                (log.written, log.synced) = (from, from);
                shard.tell_sync_waits();
            }
            Some(Step::Close) => {
                if let Some(old) = &mut open.take() {
                    sync(&shard, old).await;
                }
                shard.borrow_mut().log_is_closed();
            }
            Some(Step::Write(bytes)) => {
                if let Some(open) = &mut open {
                    let process = shard.borrow().process.clone();
                    process.pace.begins();
                    write(&shard, open, bytes).await;
                    shard.borrow_mut().wake_logs(process.pace.ends());
                }
            }
            None => {
                rest(&shard, open.as_mut()).await;
                gather(&shard).await;
            }
        }
    }
}

/// Waits until what there is to write is enough, or old enough.
async fn gather(shard: &RefCell<Shard>) {
    let longest = shard.borrow().gathers_for();
    let mut timer = pin!(monoio::time::sleep(longest));
    poll_fn(|cx| {
        let mut shard = shard.borrow_mut();
        if shard.config.appendfsync == AppendFsync::Always {
            shard.process.pace.waits(shard.id);
        }
        if !shard.effects.journal.has_more() || !shard.may_gather() {
            return Poll::Ready(());
        }
        shard.log.gathers.get_or_insert_with(Instant::now);
        shard.log.waker = Some(cx.waker().clone());
        timer.as_mut().poll(cx)
    })
    .await;
}

/// Returns none only where none is wanted any more, as all of these end then.
async fn reopen(shard: &RefCell<Shard>, path: &Path) -> Option<Open> {
    loop {
        match Open::open(path) {
            Ok(open) => return Some(open),
            Err(error) => shard.borrow_mut().log_failed("cannot be opened", &error),
        }
        if shard.borrow().gives_log_up() {
            return None;
        }
        monoio::time::sleep(RETRY_AFTER).await;
    }
}

async fn write(shard: &RefCell<Shard>, open: &mut Open, mut bytes: Vec<u8>) {
    let len = bytes.len() as u64;
    loop {
        let reach = match shard.borrow().config.appendfsync {
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
        shard.log_works();
        shard.log.written += len;
        shard.log.file_bytes = open.bytes();
        bytes.clear();
        shard.effects.journal.give_back(bytes);
        shard.lend_what_waits();
        shard.config.appendfsync
    };
    let due = match policy {
        AppendFsync::Always => true,
        AppendFsync::EverySecond => open.since_sync() >= SYNC_EVERY || open.has_much_unsynced(),
        AppendFsync::No => {
            open.forget();
            false
        }
    };
    if open.is_safe() && policy != AppendFsync::No {
        shard.borrow_mut().log_is_synced();
    } else if due {
        sync(shard, open).await;
    }
}

async fn sync(shard: &RefCell<Shard>, open: &mut Open) {
    while let Err(error) = open.sync().await {
        shard.borrow_mut().log_failed("cannot be synced", &error);
        if shard.borrow().gives_log_up() {
            return;
        }
        monoio::time::sleep(RETRY_AFTER).await;
    }
    shard.borrow_mut().log_is_synced();
}

/// Waits until there is something to write, or to sync.
async fn rest(shard: &RefCell<Shard>, open: Option<&mut Open>) {
    let (unsynced, stopping) = {
        let shard = shard.borrow();
        (shard.log.synced < shard.log.written, shard.ends())
    };
    let policy = shard.borrow().config.appendfsync;
    let until = match &open {
        Some(open) if unsynced => match policy {
            _ if stopping => Some(Duration::ZERO),
            // It was written under another policy.
            AppendFsync::Always => Some(Duration::ZERO),
            AppendFsync::No => None,
            AppendFsync::EverySecond => Some(SYNC_EVERY.saturating_sub(open.since_sync())),
        },
        _ => None,
    };
    if until != Some(Duration::ZERO) {
        let mut timer = pin!(monoio::time::sleep(until.unwrap_or(SYNC_EVERY)));
        let mut registered = false;
        poll_fn(|cx| {
            if registered && shard.borrow().log.waker.is_none() {
                return Poll::Ready(());
            }
            registered = true;
            let mut shard = shard.borrow_mut();
            if shard.effects.journal.has_more() || !shard.log.steps.is_empty() {
                return Poll::Ready(());
            }
            shard.log.waker = Some(cx.waker().clone());
            match until {
                Some(_) => timer.as_mut().poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
    }
    let due = until.is_some_and(|until| {
        open.as_ref()
            .is_some_and(|open| until.is_zero() || open.since_sync() >= SYNC_EVERY)
    });
    if due && let Some(open) = open {
        sync(shard, open).await;
    }
}
