//! Where logs end after a crash: in the middle of a record perhaps, and in transactions of which one file has a share and another has not.
//!
//! Every file is cut back to where all is whole. A torn record goes; a transaction goes that lacks a share, with all behind it in the same
//! file, which may take a share from another transaction, and so on until nothing more goes. What the same shard wrote into later parts builds
//! on what is cut, and goes too. What is left is a consistent cut of history: whatever it contains, it contains everything that came before.
//!
//! Nothing is thrown away that could be read: where more goes than one torn record, it is kept in a file beside the log.
//!
//! A share takes some 50 bytes of memory here, and 150 at least in its file.

use std::collections::HashMap;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;

use foldhash::quality::RandomState;
use storage::aof::{Reader, Record, Stop, TRANSACTION};
use storage::rdb::Damage;

use crate::manifest::{Folder, Part};
use crate::progress::Progress;

/// More than this is not one record that was being written.
const TORN_BYTES_USUAL: u64 = 64 << 10;

/// A file whose end cannot be found.
#[derive(Debug)]
pub struct Unreadable {
    pub path: PathBuf,
    pub damage: Damage,
}

/// A transaction over several shards, in the file of one of them.
struct Share {
    /// Where it begins.
    at: u64,
    /// A hash of its name. That two in one log have the same is less likely than that the disk errs unnoticed.
    id: u64,
    /// Which of the file's lists of participants.
    participants: u32,
}

/// One file and its end.
pub struct Tail {
    pub path: PathBuf,
    part: Part,
    shard: usize,
    pub len: u64,
    /// Where the last whole record ends that stands in no unfinished group.
    whole: u64,
    /// Where what stays ends.
    pub end: u64,
    /// In the order of the file.
    shares: Vec<Share>,
    /// Where in `shares` a transaction is.
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

    /// Cuts the file off at its end. What goes and could be read stands then behind what `kept` has already.
    pub fn cut_off(&self, kept: &Path) -> io::Result<()> {
        let mut file = File::options().read(true).write(true).open(&self.path)?;
        if self.loses_records() {
            file.seek(SeekFrom::Start(self.end))?;
            let mut copy = File::options().create(true).append(true).open(kept)?;
            io::copy(&mut (&file).take(self.cut_bytes()), &mut copy)?;
            copy.sync_all()?;
        }
        file.set_len(self.end)?;
        file.sync_all()
    }

    /// The offset of a transaction's share.
    fn share_at(&self, id: u64) -> Option<u64> {
        let place = *self.places.get(&id)?;
        self.shares.get(place as usize).map(|share| share.at)
    }
}

/// Finds where each file of these parts is to end. Nothing is changed.
pub fn find(folder: &Folder, parts: &[Part], progress: &Progress) -> Result<Vec<Tail>, Unreadable> {
    let hasher = &RandomState::default();
    let mut tails: Vec<Tail> = Vec::new();
    for part in parts {
        let of_part: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..part.shards)
                .map(|shard| {
                    let path = folder.part(part.sequence, shard);
                    scope.spawn(move || read(path, *part, shard, hasher.clone(), progress))
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

fn panicked() -> Unreadable {
    Unreadable {
        path: "the log".into(),
        damage: Damage {
            at: 0,
            what: "a thread panicked".into(),
        },
    }
}

/// Reads a file up to its end, and what transactions it has.
fn read(
    path: PathBuf,
    part: Part,
    shard: usize,
    hasher: RandomState,
    progress: &Progress,
) -> Result<Tail, Unreadable> {
    let mut tail = Tail {
        path,
        part,
        shard,
        len: 0,
        whole: 0,
        end: 0,
        shares: Vec::new(),
        places: HashMap::with_hasher(hasher),
        participants: Vec::new(),
    };
    match tail.read(progress) {
        Ok(()) => Ok(tail),
        Err(damage) => Err(Unreadable {
            path: tail.path,
            damage,
        }),
    }
}

impl Tail {
    fn read(&mut self, progress: &Progress) -> Result<(), Damage> {
        let unreadable = |error: io::Error| Damage {
            at: 0,
            what: error.to_string(),
        };
        let mut reader = Reader::open(&self.path).map_err(unreadable)?;
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
                        self.note_share(begins, reader.args())
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
    fn note_share<'a>(
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
            .insert(id, u32::try_from(self.shares.len()).ok()?);
        self.shares.push(Share {
            at,
            id,
            participants: u32::try_from(list).ok()?,
        });
        Some(())
    }
}

/// Cuts until every share that is left has all its fellows.
fn settle(tails: &mut [Tail]) {
    // Shares behind these places are gone, and their fellows know it.
    let mut told: Vec<usize> = tails.iter().map(|tail| tail.shares.len()).collect();
    for at in 0..tails.len() {
        let lonely = tails[at].shares.iter().find(|share| {
            let mut fellows = fellows(tails, at, share);
            fellows.any(|fellow| tails[fellow].share_at(share.id).is_none())
        });
        if let Some(begins) = lonely.map(|share| share.at) {
            tails[at].end = tails[at].end.min(begins);
        }
    }
    let mut unsettled: Vec<usize> = (0..tails.len()).collect();
    while let Some(at) = unsettled.pop() {
        let end = tails[at].end;
        let left = tails[at].shares.partition_point(|share| share.at < end);
        let gone = left..std::mem::replace(&mut told[at], left).max(left);
        let mut cuts: Vec<(usize, u64)> = Vec::new();
        for share in &tails[at].shares[gone] {
            for fellow in fellows(tails, at, share) {
                cuts.extend(tails[fellow].share_at(share.id).map(|at| (fellow, at)));
            }
        }
        if end < tails[at].len {
            let (part, shard) = (tails[at].part.sequence, tails[at].shard);
            let later = |tail: &Tail| tail.shard == shard && tail.part.sequence > part;
            cuts.extend(
                (0..tails.len())
                    .filter(|it| later(&tails[*it]))
                    .map(|it| (it, 0)),
            );
        }
        for (fellow, end) in cuts {
            if end < tails[fellow].end {
                tails[fellow].end = end;
                unsettled.push(fellow);
            }
        }
    }
}

/// The files of the same part that have the other shares.
fn fellows<'a>(
    tails: &'a [Tail],
    at: usize,
    share: &Share,
) -> impl Iterator<Item = usize> + use<'a> {
    let tail = &tails[at];
    let first = at - tail.shard;
    let shards = &tail.participants[share.participants as usize];
    shards
        .iter()
        .filter(|shard| **shard != tail.shard)
        .map(move |shard| first + shard)
}

/// A part that one with another number of shards follows was whole when that was begun: by a start, which reads all and makes it safe first.
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
