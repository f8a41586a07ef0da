//! Logs that were written whole, and logs of which bytes were changed: these are refused, cut off
//! or read; nothing panics or hangs, and no key stands where it does not belong.
//!
//! `PERCORE_FUZZ_SECONDS` makes the search for bytes that break it longer, `PERCORE_FUZZ_SEED`
//! begins it elsewhere; run it with a limit of address space (`ulimit -v`), so that an allocation
//! out of all proportion ends it too.

use acl::users::Users;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::IoDriver;
use engine::ledger::Ledger;
use fastrand::Rng;
use persistence::check::{self, Report, Verdict};
use persistence::file_system::FileSystem;
use persistence::manifest::Part;
use persistence::recovery;
use protocol::table::CommandId;
use storage::rdb::{self, Compression, header, key};
use storage::{AccessPolicy, UnixMillis, aof};
use tempfile::TempDir;

#[path = "replay_tests/words.rs"]
mod words;

use super::*;
use crate::executor::Driver;
use crate::memory::lazyfree::Lazyfree;
use crate::permitted::Permitted;
use crate::process::{Allocator, LogControl, Outside};
use words::{COMMANDS, WORDS};

fn disk() -> Arc<dyn Disk> {
    Arc::new(FileSystem)
}

fn check(config: &Config) -> Report {
    check::check(&disk(), config, std::time::SystemTime::now())
}

/// How long `cargo test` searches.
const SEARCH: Duration = Duration::from_secs(3);

/// How long one log may take: far more than any does, for a busy machine.
const REPLAY_TIME_MAX: Duration = Duration::from_secs(60);

/// Commands may ask for strings this long: what a log asks for it gets.
const STRING_BYTES_MAX: usize = 1 << 20;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn process(config: &Config) -> Process {
    let memory = Arc::new(Ledger::new(config.shards, || 0));
    let allocator = Allocator {
        used_bytes: || 0,
        give_back: || {},
        report: String::new,
    };
    let lazyfree = Lazyfree::start(memory.clone()).expect("a thread");
    let driver = Driver::probe(IoDriver::Epoll, true).expect("epoll");
    let log_control = LogControl {
        set_level: Box::new(|_| {}),
        set_file: Box::new(|_| Ok(())),
    };
    Process::new(
        config.clone(),
        Users::default(),
        None,
        (driver, Permitted::ALL),
        lazyfree,
        memory,
        Outside {
            allocator,
            log_control,
            exit: |_| {},
        },
    )
}

/// The files of a log, in a folder of their own.
struct Log {
    directory: TempDir,
    config: Config,
    manifest: Manifest,
}

impl Log {
    /// An empty one, in memory where the system has files there: nothing here is to outlast
    /// anything.
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let directory = directory.expect("a temporary directory");
        let config = Config {
            dir: directory.path().into(),
            proto_max_bulk_len: STRING_BYTES_MAX,
            shards: 2,
            ..Config::default()
        };
        std::fs::create_dir(Folder::new(&disk(), &config).path()).expect("a folder");
        Self {
            directory,
            config,
            manifest: Manifest::default(),
        }
    }

    fn folder(&self) -> Folder {
        Folder::new(&disk(), &self.config)
    }

    /// A part with these files.
    fn part(&mut self, files: &[Vec<u8>]) {
        let part = Part {
            sequence: self.manifest.next_sequence(),
            shards: files.len(),
        };
        for (shard, bytes) in files.iter().enumerate() {
            let path = self.folder().part(part.sequence, shard);
            std::fs::write(path, bytes).expect("a file");
        }
        self.manifest.parts.push(part);
        self.folder().write(&self.manifest).expect("a manifest");
    }

    fn base(&mut self, bytes: &[u8]) {
        let name = self.folder().base_name(0);
        std::fs::write(self.folder().base(&name), bytes).expect("a file");
        self.manifest.base = Some(name);
        self.folder().write(&self.manifest).expect("a manifest");
    }

    /// Loads it as a start does. The keys that there are then, or what is wrong.
    fn load(&self) -> Result<Vec<Vec<u8>>, String> {
        let process = process(&self.config);
        let folder = self.folder();
        let manifest = folder.read().map_err(|error| error.to_string())?;
        let manifest = manifest.unwrap_or_default();
        let progress = Progress::default();
        let loaded = recovery::mend(&folder, &manifest, &self.config, &progress).and_then(|()| {
            let libraries = LibraryStore::default();
            replay(
                &folder,
                &manifest,
                &self.config,
                &process,
                &libraries,
                &progress,
            )
        });
        let loaded = loaded.map_err(|error| error.to_string())?;
        let slots = SlotMap::new(self.config.shards);
        let mut keys = Vec::new();
        for (shard, databases) in loaded.iter().enumerate() {
            assert_eq!(stray(databases, slots, shard), None);
            hashes_with_deadlines(databases);
            for db in databases.indices() {
                keys.extend(databases.get(db).iter().map(|entry| entry.key().to_vec()));
            }
        }
        keys.sort();
        Ok(keys)
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder().path()).expect("a folder");
        let mut files: Vec<_> = files.map(|it| it.expect("a file").path()).collect();
        files.sort();
        files
    }
}

fn say(out: &mut Vec<u8>, words: &[&str]) {
    aof::command(out, words.iter().map(|word| word.as_bytes()));
}

/// The name of a key of one shard.
fn key_of(slots: SlotMap, shard: usize, kind: &str) -> String {
    let mut names = (0..).map(|number| format!("{kind}:{number}"));
    let own = names.find(|name| slots.owner(name.as_bytes()).index() == shard);
    own.expect("an endless list")
}

/// What a shard says of its own keys.
fn sound_file(slots: SlotMap, shard: usize, random: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    let mut now = 1_800_000_000_000;
    aof::time(&mut out, UnixMillis::new(now));
    say(&mut out, &["SELECT", "0"]);
    for _ in 0..random.usize(..40) {
        if random.u8(..4) == 0 {
            now += random.u64(..10_000);
            aof::time(&mut out, UnixMillis::new(now));
        }
        let groups = random.u8(..8) == 0;
        if groups {
            say(&mut out, &["MULTI"]);
        }
        for _ in 0..random.usize(1..4) {
            let (kind, commands) = COMMANDS[random.usize(..COMMANDS.len())];
            let key = key_of(slots, shard, kind);
            let words = commands[random.usize(..commands.len())].split(' ');
            let words: Vec<&str> = words
                .map(|word| if word == "K" { &*key } else { word })
                .collect();
            say(&mut out, &words);
        }
        if groups {
            say(&mut out, &["EXEC"]);
        }
    }
    out
}

/// Lets all files have a share of a transaction.
fn share(files: &mut [Vec<u8>], slots: SlotMap, number: usize) {
    let shards: Vec<String> = (0..files.len()).map(|shard| shard.to_string()).collect();
    let name = format!("1800000000000-0-{number}");
    for (shard, file) in files.iter_mut().enumerate() {
        let mut words = vec!["PERCORE.TX", &name];
        words.extend(shards.iter().map(String::as_str));
        say(file, &["MULTI"]);
        say(file, &words);
        say(
            file,
            &[
                "SET",
                &key_of(slots, shard, "together"),
                &number.to_string(),
            ],
        );
        say(file, &["EXEC"]);
    }
}

fn sound_part(shards: usize, random: &mut Rng) -> Vec<Vec<u8>> {
    let slots = SlotMap::new(shards);
    let mut files = vec![Vec::new(); shards];
    for number in 0..random.usize(1..4) {
        for (shard, file) in files.iter_mut().enumerate() {
            file.extend(sound_file(slots, shard, random));
            if random.bool() {
                let value = rdb::dump(&Entry::string(b"k", b"value", None), Compression::Off);
                let key = key_of(slots, shard, "restored");
                let words: [&[u8]; 5] = [b"RESTORE", key.as_bytes(), b"0", &value, b"REPLACE"];
                aof::command(file, words.into_iter());
            }
        }
        share(&mut files, slots, number);
    }
    files
}

/// The code of a library of functions.
fn library(name: &str) -> Vec<u8> {
    let code = format!("#!lua name={name}\nredis.register_function('{name}', function() end)");
    code.into_bytes()
}

fn sound_base() -> Vec<u8> {
    let mut out = header(&[("made-by", "a test")]);
    storage::rdb::select(&mut out, 0);
    for name in ["based:1", "based:2", "based:3"] {
        let entry = Entry::string(name.as_bytes(), b"1", None);
        let now = UnixMillis::new(0);
        key(&mut out, &entry, AccessPolicy::Lru, now, Compression::Off);
    }
    storage::rdb::function(&mut out, &library("based"), Compression::Off);
    out.push(0xff);
    out.extend(rdb::CRC.checksum(&out).to_le_bytes());
    out
}

/// A log as several runs of the server leave it.
fn sound_log(random: &mut Rng) -> Log {
    let mut log = Log::new();
    if random.bool() {
        log.base(&sound_base());
    }
    for _ in 0..random.usize(1..3) {
        let files = sound_part(random.usize(1..4), random);
        log.part(&files);
    }
    log.config.shards = random.usize(1..4);
    log
}

#[test]
fn a_log_is_loaded_by_any_number_of_shards() {
    for seed in 0..30 {
        let mut log = sound_log(&mut Rng::with_seed(seed));
        let keys = log.load().expect("a sound log");
        assert!(!keys.is_empty());
        for shards in [1, 2, 3, 7] {
            log.config.shards = shards;
            assert_eq!(log.load().as_ref(), Ok(&keys), "seed {seed}");
        }
        assert_eq!(check(&log.config).verdict, Verdict::Good);
    }
}

/// Three files with five transactions; what is left when one of them ends early.
#[test]
fn a_transaction_without_a_share_goes_from_all_files_and_what_is_behind_it() {
    let slots = SlotMap::new(3);
    let mut files = vec![Vec::new(); 3];
    let mut ends = Vec::new();
    for file in &mut files {
        say(file, &["SELECT", "0"]);
    }
    for number in 0..5 {
        ends.push(files.iter().map(Vec::len).collect::<Vec<_>>());
        share(&mut files, slots, number);
        for (shard, file) in files.iter_mut().enumerate() {
            say(file, &["INCR", &key_of(slots, shard, "alone")]);
        }
    }
    for ends in ends {
        for torn in 0..3 {
            let mut log = Log::new();
            let mut cut = files.clone();
            // In the middle of its share of the transaction after these.
            cut[torn].truncate(ends[torn] + 40);
            log.part(&cut);
            log.config.shards = 3;
            let report = check(&log.config);
            assert_eq!(report.verdict, Verdict::Good, "{}", report.text);
            assert_eq!(
                report.text.matches("would be cut off").count(),
                3,
                "{}",
                report.text
            );
            log.load().expect("a log with torn ends");
            let folder = log.folder();
            for shard in 0..3 {
                let left = std::fs::read(folder.part(1, shard)).expect("a file");
                assert_eq!(left.len(), ends[shard]);
                // What could be read is kept.
                let kept = std::fs::read(folder.kept(&folder.part(1, shard)));
                if shard == torn {
                    assert!(kept.is_err(), "a torn record is nothing to keep")
                } else {
                    assert_eq!(kept.expect("a file"), files[shard][left.len()..])
                }
            }
            assert!(!check(&log.config).text.contains("cut off"));
            log.config.aof_load_truncated = false;
            log.load().expect("there is nothing to cut any more");
        }
    }
}

#[test]
fn what_is_no_tail_is_damage() {
    let slots = SlotMap::new(2);
    let sound = || {
        let mut files = vec![Vec::new(); 2];
        files
            .iter_mut()
            .for_each(|file| say(file, &["SELECT", "0"]));
        share(&mut files, slots, 1);
        files
    };
    let refused = |parts: &[Vec<Vec<u8>>], words: &str| {
        let mut log = Log::new();
        parts.iter().for_each(|files| log.part(files));
        let before: Vec<_> = log
            .files()
            .iter()
            .map(std::fs::read)
            .map(Result::unwrap)
            .collect();
        let error = log.load().expect_err(words);
        assert!(error.contains(words) && error.contains("offset"), "{error}");
        let after: Vec<_> = log
            .files()
            .iter()
            .map(std::fs::read)
            .map(Result::unwrap)
            .collect();
        assert_eq!(before, after, "something was overwritten");
        assert!(check(&log.config).verdict == Verdict::Damaged || words.contains("another shard"));
    };
    let mut exchanged = sound();
    exchanged.swap(0, 1);
    refused(&[exchanged], "another shard");
    // A part that was whole when the next was begun, by a start with another number of shards.
    let mut torn = sound();
    let len = torn[1].len() - 1;
    torn[1].truncate(len);
    let mut next = Vec::new();
    say(&mut next, &["SELECT", "0"]);
    refused(&[torn, vec![next]], "not whole");
    let mut of_nobody = sound();
    say(&mut of_nobody[0], &["MULTI"]);
    say(&mut of_nobody[0], &["PERCORE.TX", "x", "0", "2"]);
    refused(&[of_nobody], "of nobody");
    let mut nested = sound();
    say(&mut nested[0], &["MULTI"]);
    say(&mut nested[0], &["MULTI"]);
    refused(&[nested], "MULTI");
    let mut lost = Log::new();
    lost.part(&sound());
    std::fs::remove_file(lost.folder().part(1, 1)).expect("removing a file");
    let error = lost.load().expect_err("a file is missing");
    assert!(
        error.contains("1.1.aof") && error.contains("No such file"),
        "{error}"
    );
}

/// Libraries of functions are those of the snapshot that a log begins with, and what the log says
/// of them.
#[test]
fn libraries_are_replayed() {
    let mut log = Log::new();
    log.base(&sound_base());
    let process = process(&log.config);
    let load = |log: &Log| {
        let (libraries, progress) = (LibraryStore::default(), Progress::default());
        let folder = log.folder();
        let loaded = replay(
            &folder,
            &log.manifest,
            &log.config,
            &process,
            &libraries,
            &progress,
        );
        loaded.map(|_| {
            let there = libraries.current();
            there
                .iter()
                .map(|library| library.name.clone())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(load(&log).expect("a log"), [b"based"]);
    let mut file = Vec::new();
    say(&mut file, &["SELECT", "0"]);
    for code in [library("one"), library("two")] {
        aof::command(&mut file, [&b"FUNCTION"[..], b"LOAD", &code].into_iter());
    }
    say(&mut file, &["FUNCTION", "DELETE", "based"]);
    log.part(&[file]);
    assert_eq!(load(&log).expect("a log"), [b"one", b"two"]);
    let mut file = Vec::new();
    say(&mut file, &["SELECT", "0"]);
    say(&mut file, &["FUNCTION", "FLUSH"]);
    log.part(&[file.clone()]);
    assert_eq!(load(&log).expect("a log"), [b""; 0]);
    say(&mut file, &["FUNCTION", "DELETE", "one"]);
    log.part(&[file]);
    let refused = load(&log).expect_err("there is none").to_string();
    assert!(refused.contains("Library not found"), "{refused}");
}

/// Changes bytes as a fault or an attacker would.
fn spoil(bytes: &mut Vec<u8>, random: &mut Rng) {
    for _ in 0..random.usize(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(..bytes.len());
        let end = bytes.len().min(at + random.usize(1..60));
        match random.u8(..8) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = b'0' + random.u8(..10),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let word = WORDS[random.usize(..WORDS.len())];
                bytes.splice(at..end, word.bytes());
            }
            // A line in the place of another, the whole record perhaps.
            6 => {
                let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
                    bytes
                        .split_inclusive(|byte| *byte == b'\n')
                        .map(<[u8]>::to_vec)
                        .collect()
                };
                let mut all = lines(bytes);
                let from = random.usize(..all.len());
                let to = random.usize(..all.len());
                all[to] = all[from].clone();
                *bytes = all.concat();
            }
            _ => {
                let length = format!("${}\r\n", u64::MAX >> random.u32(..50));
                bytes.splice(at..at, length.bytes());
            }
        }
    }
}

/// A file of one random command, of any name and words.
fn wild_file(random: &mut Rng) -> Vec<u8> {
    let all: Vec<CommandId> = CommandId::all().collect();
    let mut out = Vec::new();
    aof::time(&mut out, UnixMillis::new(1_800_000_000_000));
    say(&mut out, &["SELECT", "0"]);
    for words in [
        "SET a 1",
        "RPUSH b a b 1",
        "SADD k 1 2",
        "HSET f f v",
        "XADD s 1-1 a b",
    ] {
        say(&mut out, &words.split(' ').collect::<Vec<_>>());
    }
    let id = all[random.usize(..all.len())];
    let mut words = vec![id.command().name];
    words.extend((0..random.usize(..9)).map(|_| WORDS[random.usize(..WORDS.len())]));
    // A container's name is in the table with its word.
    let words: Vec<&str> = words.iter().flat_map(|word| word.split('|')).collect();
    say(&mut out, &words);
    out
}

#[test]
fn spoilt_logs_are_refused_or_read() {
    let end = Instant::now() + setting("PERCORE_FUZZ_SECONDS").map_or(SEARCH, Duration::from_secs);
    // The same seeds in every run: a longer one goes further.
    let first = setting("PERCORE_FUZZ_SEED").unwrap_or(0);
    let (mut seed, mut logs, mut loaded, mut wild) = (first, 0u64, 0u64, 0u64);
    let mut slowest = Duration::ZERO;
    let mut load = |log: &Log, seed: u64| {
        let began = Instant::now();
        check(&log.config);
        let result = log.load();
        let took = began.elapsed();
        assert!(took < REPLAY_TIME_MAX, "seed {seed} takes {took:?}");
        slowest = slowest.max(took);
        if let Err(error) = &result {
            assert!(!error.contains("panicked"), "seed {seed}: {error}");
        }
        result.is_ok()
    };
    while Instant::now() < end {
        seed += 1;
        let random = &mut Rng::with_seed(seed);
        let log = sound_log(random);
        log.load()
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let files = log.files();
        let sound: Vec<Vec<u8>> = files
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        for _ in 0..10 {
            // What the last one cut off is made whole again, and what it kept goes.
            std::fs::remove_dir_all(log.folder().path()).expect("removing a folder");
            std::fs::create_dir(log.folder().path()).expect("a folder");
            let victim = random.usize(..files.len());
            for (at, (path, bytes)) in files.iter().zip(&sound).enumerate() {
                let mut bytes = bytes.clone();
                if at == victim {
                    spoil(&mut bytes, random);
                }
                std::fs::write(path, bytes).expect("a file");
            }
            logs += 1;
            loaded += u64::from(load(&log, seed));
        }
        for _ in 0..20 {
            let mut log = Log::new();
            log.part(&[wild_file(random)]);
            wild += 1;
            load(&log, seed);
        }
        drop(log.directory);
    }
    println!(
        "seeds {first} to {seed}: {logs} spoilt logs, {loaded} of them loaded; {wild} wild commands; the slowest took {slowest:?}"
    );
}
