//! Logs that are written, synced and torn on a disk that loses what it may, and what is left of
//! them.

use std::path::Path;
use std::sync::Arc;

use config::Config;
use fastrand::Rng;
use proptest::prelude::*;
use storage::aof;

use super::*;
use crate::log_file::LogFile;
use crate::memory_disk::{Fault, MemoryDisk, MemoryFile};

/// A group of one shard's log: what is there whole or not at all.
struct Group {
    /// Where it ends in the file.
    end: u64,
    /// The transaction that it is a record of.
    transaction: Option<usize>,
}

/// One shard and its log.
struct Shard {
    file: LogFile<MemoryFile>,
    /// All that was said.
    said: Vec<u8>,
    groups: Vec<Group>,
    /// Bytes of it that a sync has made durable.
    synced: u64,
    /// The last sync failed: nothing is written before one that works.
    doubtful: bool,
}

impl Shard {
    fn say(&mut self, transaction: Option<usize>, parts: &[&[&[u8]]]) {
        for command in parts {
            aof::command(&mut self.said, command.iter().copied());
        }
        let end = self.said.len() as u64;
        self.groups.push(Group { end, transaction });
    }

    fn append(&mut self) {
        if !self.doubtful {
            // What fails is tried again with what comes next.
            let _ = self
                .file
                .append(&self.said[self.file.bytes() as usize..], true);
        }
    }

    fn sync(&mut self) {
        let up_to = self.file.bytes();
        self.doubtful = ready(self.file.sync()).is_err();
        if !self.doubtful {
            self.synced = up_to;
        }
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the disk of this test never waits"),
    }
}

/// Some shards, which write the first part of a log.
struct World {
    disk: MemoryDisk,
    folder: Folder,
    part: Part,
    shards: Vec<Shard>,
    /// Who takes part in each transaction.
    transactions: Vec<Vec<usize>>,
}

impl World {
    fn new(shards: usize) -> Self {
        let disk = MemoryDisk::new(Path::new("/data"));
        let config = Config {
            dir: "/data".into(),
            ..Config::default()
        };
        let on: Arc<dyn Disk> = Arc::new(disk.clone());
        let folder = Folder::new(&on, &config);
        let sequence = 1;
        let part = Part { sequence, shards };
        folder.create_part(part).expect("a new part");
        let shards = (0..shards).map(|shard| Shard {
            file: LogFile::new(
                disk.open_file(&folder.part(sequence, shard), Access::Extend)
                    .expect("a log file"),
                0,
            ),
            said: Vec::new(),
            groups: Vec::new(),
            synced: 0,
            doubtful: false,
        });
        Self {
            shards: shards.collect(),
            transactions: Vec::new(),
            disk,
            folder,
            part,
        }
    }

    fn step(&mut self, random: &mut Rng) {
        let shard = random.usize(0..self.shards.len());
        let value = vec![b'v'; random.usize(0..30)];
        let set: &[&[u8]] = &[b"SET", b"k", &value];
        match random.u8(0..10) {
            0..3 => self.shards[shard].say(None, &[set]),
            3..5 => self.say_transaction(set, random),
            5..8 => self.shards[shard].append(),
            8 => self.shards[shard].sync(),
            _ => {
                let faults = [
                    Fault::Works,
                    Fault::Fails,
                    Fault::Short(random.usize(0..40)),
                ];
                let next = (0..random.usize(0..3)).filter_map(|_| random.choice(faults));
                self.disk.set_faults(next.collect::<Vec<_>>());
            }
        }
    }

    fn say_transaction(&mut self, set: &[&[u8]], random: &mut Rng) {
        let mut participants: Vec<usize> = (0..self.shards.len()).collect();
        random.shuffle(&mut participants);
        participants.truncate(random.usize(1..=participants.len()));
        participants.sort();
        let id = self.transactions.len();
        let name = format!("7-0-{id}");
        let numbers: Vec<String> = participants.iter().map(usize::to_string).collect();
        let mut record: Vec<&[u8]> = vec![TRANSACTION, name.as_bytes()];
        record.extend(numbers.iter().map(String::as_bytes));
        for shard in &participants {
            let group: &[&[&[u8]]] = &[&[b"MULTI"], &record, set, &[b"EXEC"]];
            self.shards[*shard].say(Some(id), group);
        }
        self.transactions.push(participants);
    }

    /// How much of each file must be left, where so much of it is known to be there: all before the
    /// first transaction of which another participant's record is not among what must be left.
    fn must_be_left(&self, mut ends: Vec<u64>) -> Vec<u64> {
        loop {
            let before = ends.clone();
            for shard in 0..ends.len() {
                let mut begins = 0;
                for group in &self.shards[shard].groups {
                    if group.end > ends[shard] || self.lacks_record(group, &ends) {
                        ends[shard] = begins;
                        break;
                    }
                    begins = group.end;
                }
            }
            if ends == before {
                return ends;
            }
        }
    }

    fn lacks_record(&self, group: &Group, ends: &[u64]) -> bool {
        group.transaction.is_some_and(|id| {
            let mut participants = self.transactions[id].iter();
            participants.any(|shard| {
                let mut groups = self.shards[*shard].groups.iter();
                let record = groups.find(|it| it.transaction == Some(id));
                record.is_none_or(|record| record.end > ends[*shard])
            })
        })
    }

    /// Cuts the files off as a start does. Returns where they end then.
    fn recover(&self) -> Vec<u64> {
        let tails = find(&self.folder, &[self.part], &Progress::default());
        let tails = tails.unwrap_or_else(|it| panic!("{it:?}"));
        let on = &**self.folder.disk();
        for tail in tails.iter().filter(|tail| tail.cut_bytes() > 0) {
            let kept = self.folder.kept(&tail.path);
            tail.cut_off(on, &kept).expect("a disk that works");
        }
        tails.iter().map(|tail| tail.end).collect()
    }

    /// What is left are whole groups in order, and of each transaction all records or none.
    fn assert_consistent(&self, ends: &[u64]) {
        for (shard, end) in self.shards.iter().zip(ends) {
            assert!(*end == 0 || shard.groups.iter().any(|group| group.end == *end));
        }
        for (number, shard) in self.shards.iter().enumerate() {
            let path = self.folder.part(self.part.sequence, number);
            assert_eq!(self.disk.shown(&path), shard.said[..ends[number] as usize]);
            for group in shard.groups.iter().filter(|it| it.end <= ends[number]) {
                assert!(!self.lacks_record(group, ends));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever is written, fails and is lost: what was synced, with all that it depends on, is
    /// there after a loss of power, and what was written after the end of the process alone. What
    /// is left ends behind a whole record, and is cut no further when it is read again.
    #[test]
    fn what_is_durable_is_recovered(seed: u64, shards in 1..4usize, steps in 0..80usize) {
        let random = &mut Rng::with_seed(seed);
        let mut world = World::new(shards);
        for _ in 0..steps {
            world.step(random);
        }
        let power_goes = random.bool();
        let kept = world.shards.iter().map(|shard| {
            if power_goes {
                shard.synced
            } else {
                shard.file.bytes()
            }
        });
        let least = world.must_be_left(kept.collect());
        if power_goes {
            world.disk.lose_power(random);
        } else {
            world.disk.heal();
        }
        let ends = world.recover();
        world.assert_consistent(&ends);
        for (end, least) in ends.iter().zip(least) {
            prop_assert!(*end >= least, "{end} of {least}");
        }
        prop_assert_eq!(world.recover(), ends);
    }
}
