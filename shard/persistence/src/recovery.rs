//! Where logs end after a crash: in the middle of a record perhaps, and in transactions of which
//! one participant's file has a record and another's has not.
//!
//! Every file is cut back to where all is whole. A torn record goes. A transaction goes that lacks
//! the record of a participant, with all behind it in the same file, which may take a record from
//! another transaction, and so on until nothing more goes. What the same shard wrote into later
//! parts builds on what is cut, and goes too. What is left is a consistent cut of history: whatever
//! it contains, it contains everything that came before.
//!
//! Nothing is thrown away that could be read: where more goes than one torn record, it is kept in a
//! file beside the log.
//!
//! A transaction's record takes some 50 bytes of memory here, and 150 at least in its file.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use config::Config;
use foldhash::quality::RandomState;
use storage::aof::{Reader, Record, Stop, TRANSACTION};
use storage::rdb::Damage;
use tracing::warn;

use crate::disk::{Access, Disk, open_log};
use crate::manifest::{Folder, Manifest, Part};
use crate::not_started::NotReplayed;
use crate::progress::Progress;

/// Bytes copied at a time from a log to the file that keeps what is cut off.
const COPY_BYTES: u64 = 256 << 10;

/// More than this is not one record that was being written.
const TORN_BYTES_USUAL: u64 = 64 << 10;

/// A file whose end cannot be found.
#[derive(Debug)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
}

/// A transaction over several shards, in the file of one participant.
struct TransactionRecord {
    /// Where it begins.
    at: u64,
    /// A hash of the transaction's name. That two in one log have the same is less likely than that
    /// the disk errs unnoticed.
    id: u64,
    /// Which of the file's lists of participants.
    participants: u32,
}

/// One file and its end.
pub struct Tail {
    /// The file.
    pub path: PathBuf,
    part: Part,
    shard: usize,
    /// Bytes of the file.
    pub len: u64,
    /// Where the last whole record ends that stands in no unfinished group.
    whole: u64,
    /// Where what stays ends.
    pub end: u64,
    /// In the order of the file.
    transactions: Vec<TransactionRecord>,
    /// Where in `transactions` each is, by its id.
    places: HashMap<u64, u32, RandomState>,
    /// Lists of shards that take part in one transaction.
    participants: Vec<Vec<usize>>,
}

impl Tail {
    /// Bytes that go.
    pub fn cut_bytes(&self) -> u64 {
        self.len - self.end
    }

    /// Whether it is more than what was just being written.
    pub fn loses_records(&self) -> bool {
        self.end < self.whole || self.cut_bytes() > TORN_BYTES_USUAL
    }

    /// Cuts the file off at its end, and syncs it. What goes and could be read is appended to the
    /// file `kept` before.
    pub fn cut_off(&self, disk: &dyn Disk, kept: &Path) -> io::Result<()> {
        let file = disk.open(&self.path, Access::Change)?;
        if self.loses_records() {
            let copy = disk.open(kept, Access::Extend)?;
            let mut to = copy.size()?;
            let mut from = self.end;
            while from < self.len {
                let mut bytes = vec![0; (self.len - from).min(COPY_BYTES) as usize];
                file.read_exact_at(&mut bytes, from)?;
                copy.write_all_at(&bytes, to)?;
                from += bytes.len() as u64;
                to += bytes.len() as u64;
            }
            copy.sync_all()?;
        }
        file.truncate(self.end)?;
        file.sync_all()
    }

    /// Where in the file the record of a transaction is.
    fn place_of(&self, id: u64) -> Option<u64> {
        let place = *self.places.get(&id)?;
        self.transactions.get(place as usize).map(|it| it.at)
    }
}

/// Finds where each file of these parts is to end. Nothing is changed.
pub fn find(folder: &Folder, parts: &[Part], progress: &Progress) -> Result<Vec<Tail>, Unreadable> {
    let disk = &**folder.disk();
    let hasher = &RandomState::default();
    let mut tails: Vec<Tail> = Vec::new();
    for part in parts {
        let of_part: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..part.shards)
                .map(|shard| {
                    let path = folder.part(part.sequence, shard);
                    let tail = Tail::of(path, *part, shard, hasher.clone());
                    scope.spawn(move || tail.read(disk, progress))
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined
                .map(|it| it.unwrap_or_else(|_| Err(panicked())))
                .collect()
        });
        for tail in of_part {
            tails.push(tail?);
        }
    }
    settle(&mut tails);
    closed_parts_are_whole(&tails)?;
    Ok(tails)
}

/// Syncs the log files that `manifest` names, and cuts them back to where all is whole.
///
/// # Errors
/// Where the end of a file cannot be found, or may not be cut off: `aof-load-truncated no`.
pub fn mend(
    folder: &Folder,
    manifest: &Manifest,
    config: &Config,
    progress: &Progress,
) -> Result<(), NotReplayed> {
    let disk = &**folder.disk();
    let tails = find(folder, &manifest.parts, progress)?;
    for tail in &tails {
        // What is read now must not be lost to a later crash, when there are parts that build on
        // it.
        let file = disk.open(&tail.path, Access::Read);
        let synced = file.and_then(|file| file.sync_all());
        synced.map_err(|error| NotReplayed::new(&tail.path, 0, error.to_string()))?;
    }
    for tail in tails.iter().filter(|tail| tail.cut_bytes() > 0) {
        let bytes = tail.cut_bytes();
        if !config.aof_load_truncated {
            let what = format!(
                "its last {bytes} bytes are not whole; start with --aof-load-truncated yes to cut \
                 them off"
            );
            return Err(NotReplayed::new(&tail.path, tail.end, what));
        }
        let kept = folder.kept(&tail.path);
        let kept_in = if tail.loses_records() {
            kept.display().to_string()
        } else {
            String::new()
        };
        warn!(
            file = %tail.path.display(),
            bytes,
            at = tail.end,
            kept_in,
            "the end of this log was not written whole, and is cut off"
        );
        tail.cut_off(disk, &kept)
            .map_err(|error| NotReplayed::new(&tail.path, tail.end, error.to_string()))?;
    }
    Ok(())
}

fn panicked() -> Unreadable {
    Unreadable {
        path: "the log".into(),
        damage: Damage {
            at: 0,
            what: "a thread panicked".into(),
        },
    }
}

impl Tail {
    /// A file of which nothing is known yet.
    fn of(path: PathBuf, part: Part, shard: usize, hasher: RandomState) -> Self {
        Self {
            path,
            part,
            shard,
            len: 0,
            whole: 0,
            end: 0,
            transactions: Vec::new(),
            places: HashMap::with_hasher(hasher),
            participants: Vec::new(),
        }
    }

    /// Reads the file up to its end, and what transactions it has.
    fn read(mut self, disk: &dyn Disk, progress: &Progress) -> Result<Self, Unreadable> {
        let read = match open_log(disk, &self.path, 0) {
            Ok(reader) => self.read_records(reader, progress),
            Err(error) => Err(Damage {
                at: 0,
                what: error.to_string(),
            }),
        };
        match read {
            Ok(()) => Ok(self),
            Err(damage) => Err(Unreadable {
                path: self.path,
                damage,
            }),
        }
    }

    fn read_records(&mut self, mut reader: Reader, progress: &Progress) -> Result<(), Damage> {
        self.len = reader.len();
        let mut done = progress.of_file();
        // Where the group begins that is open.
        let mut group = None;
        loop {
            let at = reader.at();
            done.reach(at);
            let damage = |what: &str| Damage {
                at,
                what: what.into(),
            };
            match reader.read() {
                Ok(Record::End) | Err(Stop::Torn { .. }) => break,
                Ok(Record::Time(_) | Record::Note) => {}
                Ok(Record::Command) => match reader.args().next().unwrap_or_default() {
                    b"MULTI" if group.is_some() => return Err(damage("MULTI within MULTI")),
                    b"MULTI" => group = Some(at),
                    b"EXEC" if group.is_none() => return Err(damage("EXEC without MULTI")),
                    b"EXEC" => group = None,
                    TRANSACTION => {
                        let begins = group.ok_or_else(|| damage("a share without MULTI"))?;
                        self.note_transaction(begins, reader.args())
                            .ok_or_else(|| damage("a share of a transaction of nobody"))?;
                    }
                    _ => {}
                },
                Err(Stop::Damaged(damage)) => return Err(damage),
            }
            if group.is_none() {
                self.whole = reader.at();
            }
        }
        self.end = self.whole;
        Ok(())
    }

    /// `PERCORE.TX id shard shard ...`. `None` where that is no list of shards that the part has.
    fn note_transaction<'a>(
        &mut self,
        at: u64,
        mut args: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Option<()> {
        let id = self.places.hasher().hash_one(args.nth(1)?);
        let shards: Option<Vec<usize>> = args
            .map(|text| {
                let shard = std::str::from_utf8(text).ok()?.parse().ok()?;
                (shard < self.part.shards).then_some(shard)
            })
            .collect();
        let shards = shards?;
        // There are few different ones.
        let known = self.participants.iter().position(|list| *list == shards);
        let list = known.unwrap_or_else(|| {
            self.participants.push(shards);
            self.participants.len() - 1
        });
        self.places
            .insert(id, u32::try_from(self.transactions.len()).ok()?);
        self.transactions.push(TransactionRecord {
            at,
            id,
            participants: u32::try_from(list).ok()?,
        });
        Some(())
    }
}

/// Cuts until every transaction that is left has the records of all its participants.
fn settle(tails: &mut [Tail]) {
    for at in 0..tails.len() {
        if let Some(begins) = first_incomplete(tails, at) {
            tails[at].end = tails[at].end.min(begins);
        }
    }
    // Of each file: records from this one on are gone, and their other participants are cut for it.
    let mut settled: Vec<usize> = tails.iter().map(|tail| tail.transactions.len()).collect();
    let mut unsettled: Vec<usize> = (0..tails.len()).collect();
    while let Some(at) = unsettled.pop() {
        let end = tails[at].end;
        let left = tails[at].transactions.partition_point(|it| it.at < end);
        let gone = left..std::mem::replace(&mut settled[at], left).max(left);
        for (other, end) in cuts(tails, at, gone) {
            if end < tails[other].end {
                tails[other].end = end;
                unsettled.push(other);
            }
        }
    }
}

/// Where in a file the first transaction begins of which another participant has no record.
fn first_incomplete(tails: &[Tail], at: usize) -> Option<u64> {
    let mut transactions = tails[at].transactions.iter();
    let incomplete = transactions.find(|transaction| {
        let mut others = other_participants(tails, at, transaction);
        others.any(|other| tails[other].place_of(transaction.id).is_none())
    });
    incomplete.map(|transaction| transaction.at)
}

/// Which other files end where, since the file `at` has been cut, and with it the `gone` ones of
/// its transactions.
fn cuts(tails: &[Tail], at: usize, gone: Range<usize>) -> Vec<(usize, u64)> {
    let tail = &tails[at];
    let mut cuts: Vec<(usize, u64)> = Vec::new();
    for transaction in &tail.transactions[gone] {
        for other in other_participants(tails, at, transaction) {
            let place = tails[other].place_of(transaction.id);
            cuts.extend(place.map(|place| (other, place)));
        }
    }
    if tail.end < tail.len {
        let is_later = |it: &Tail| it.shard == tail.shard && it.part.sequence > tail.part.sequence;
        let later = (0..tails.len()).filter(|it| is_later(&tails[*it]));
        cuts.extend(later.map(|it| (it, 0)));
    }
    cuts
}

/// The files of the same part that have the transaction's other records.
fn other_participants<'a>(
    tails: &'a [Tail],
    at: usize,
    transaction: &TransactionRecord,
) -> impl Iterator<Item = usize> + use<'a> {
    let tail = &tails[at];
    let first = at - tail.shard;
    let shards = &tail.participants[transaction.participants as usize];
    shards
        .iter()
        .filter(|shard| **shard != tail.shard)
        .map(move |shard| first + shard)
}

/// A part that one with another number of shards follows was whole when that was begun: by a start,
/// which reads all and makes it durable first.
fn closed_parts_are_whole(tails: &[Tail]) -> Result<(), Unreadable> {
    let closed = |tail: &Tail| {
        let next = tails
            .iter()
            .find(|next| next.part.sequence > tail.part.sequence);
        next.is_some_and(|next| next.part.shards != tail.part.shards)
    };
    match tails.iter().find(|it| it.cut_bytes() > 0 && closed(it)) {
        None => Ok(()),
        Some(tail) => Err(Unreadable {
            path: tail.path.clone(),
            damage: Damage {
                at: tail.end,
                what: "what follows is not whole, but later files build on it".into(),
            },
        }),
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
