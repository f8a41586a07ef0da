//! `percore check`: reads data files and tells what is in them, without changing any.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use config::Config;
use storage::UnixMillis;
use storage::aof::{Record, Stop};
use storage::rdb::Section;

use crate::disk::{Disk, open_log, open_snapshot};
use crate::manifest::{Folder, Manifest};
use crate::progress::Progress;
use crate::recovery::{self, Unreadable};
use crate::redis_log::{RedisLog, RedisTail, begins_with_snapshot};
use crate::snapshot_file::dump_path;

/// What the files are good for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Verdict {
    /// All of them could be loaded.
    #[default]
    Good,
    /// Something in them stops a start.
    Damaged,
    /// There is nothing to load.
    Nothing,
}

/// What was found: lines to read, and what they come to.
#[derive(Default)]
pub struct Report {
    /// Lines to print.
    pub text: String,
    /// The worst of what was found.
    pub verdict: Verdict,
}

impl Report {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes all that is written to it.
        let _ = writeln!(self.text, "{line}");
    }

    fn damage(&mut self, path: &Path, at: u64, what: &str) {
        self.verdict = Verdict::Damaged;
        self.line(format_args!(
            "{}: DAMAGED at offset {at}: {what}",
            path.display()
        ));
    }
}

/// Checks the files that a server with this configuration would load at the time `now`.
pub fn check(disk: &Arc<dyn Disk>, config: &Config, now: SystemTime) -> Report {
    let mut checker = Checker::new(disk, config, now);
    checker.all();
    checker.report
}

/// Checks one file: a snapshot, a log, or commands behind a snapshot, as its first bytes say. Keys
/// that have expired by `now` may stand in a snapshot twice.
///
/// # Errors
/// Where it cannot be read.
pub fn check_file(
    disk: &Arc<dyn Disk>,
    path: &Path,
    config: &Config,
    now: SystemTime,
) -> io::Result<Report> {
    let mut checker = Checker::new(disk, config, now);
    checker.file(path)?;
    Ok(checker.report)
}

/// What is known while files are read.
struct Checker<'a> {
    disk: &'a Arc<dyn Disk>,
    config: &'a Config,
    now: UnixMillis,
    report: Report,
}

impl<'a> Checker<'a> {
    fn new(disk: &'a Arc<dyn Disk>, config: &'a Config, now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = UnixMillis::new(since.unwrap_or_default().as_millis() as u64);
        Self {
            disk,
            config,
            now,
            report: Report::default(),
        }
    }

    /// All that a start would load.
    fn all(&mut self) {
        let config = self.config;
        let dump = dump_path(config);
        let mut found = self.disk.exists(&dump);
        if found {
            self.snapshot(&dump);
        }
        let folder = Folder::new(self.disk, config);
        match folder.read() {
            Ok(Some(manifest)) => {
                found = true;
                self.own_log(&folder, &manifest);
            }
            Ok(None) => match RedisLog::find(self.disk, config) {
                Ok(None) => {}
                Ok(Some(log)) => {
                    found = true;
                    self.redis_log(&log);
                }
                Err(error) => {
                    found = true;
                    self.report
                        .damage(&folder.manifest(), 0, &error.to_string());
                }
            },
            Err(error) => {
                found = true;
                self.report
                    .damage(&folder.manifest(), 0, &error.to_string());
            }
        }
        if !found {
            self.report.verdict = Verdict::Nothing;
            self.report.line(format_args!(
                "{}: no {}, no {} and no {}",
                config.dir.display(),
                config.dbfilename,
                config.appenddirname,
                config.appendfilename
            ));
        }
    }

    /// A snapshot, a log, or commands behind a snapshot.
    fn file(&mut self, path: &Path) -> io::Result<()> {
        let mut from = 0;
        if begins_with_snapshot(&**self.disk, path)? {
            let end = self.snapshot(path);
            let size = self.disk.size(path).unwrap_or(0);
            match end {
                Some(end) if size > end => from = end,
                _ => return Ok(()),
            }
        }
        self.log(path, from);
        self.torn_end(path, from);
        Ok(())
    }

    /// The log of percore's that a manifest names.
    fn own_log(&mut self, folder: &Folder, manifest: &Manifest) {
        self.report.line(format_args!(
            "{}: {} and {} parts",
            folder.manifest().display(),
            manifest.base.as_deref().unwrap_or("no snapshot"),
            manifest.parts.len()
        ));
        if let Some(base) = &manifest.base {
            self.snapshot(&folder.base(base));
        }
        self.logs(folder, manifest);
    }

    /// A log of Redis's: a start with `--appendonly yes` loads it.
    fn redis_log(&mut self, found: &RedisLog) {
        self.report.line(format_args!(
            "an append-only log of Redis in {} files: with --appendonly yes it is loaded, and goes on as percore's",
            found.files.len()
        ));
        for path in &found.files {
            if let Err(error) = self.file(path) {
                self.report.damage(path, 0, &error.to_string());
            }
        }
    }

    /// What of a single file's commands a start passes over.
    fn torn_end(&mut self, path: &Path, from: u64) {
        // What cannot be read has been told.
        let Ok(tail) = RedisTail::find(&**self.disk, path, from) else {
            return;
        };
        if tail.torn_bytes() > 0 {
            self.report.line(format_args!(
                "{}: its last {} bytes, from offset {} on, are not whole, and would not be loaded",
                path.display(),
                tail.torn_bytes(),
                tail.end
            ));
        }
    }

    /// Returns where the snapshot ends in the file; `None` where it is damaged.
    fn snapshot(&mut self, path: &Path) -> Option<u64> {
        let report = &mut self.report;
        let mut damaged = |at, what: &str| {
            report.damage(path, at, what);
            None
        };
        let mut reader = match open_snapshot(&**self.disk, path) {
            Ok(reader) => reader,
            Err(damage) => return damaged(damage.at, &damage.what),
        };
        let limits = self.config.packing_limits();
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut keys, mut volatile, mut functions) = (0u64, 0u64, 0u64);
        let (mut databases, mut database) = (0u64, 0);
        let (mut seen, now) = (Seen::default(), self.now);
        let mut told = Vec::new();
        loop {
            match reader.next(&limits, |_, _| true) {
                Ok(Section::Key(key)) => {
                    if !key.entry.is_expired(now) && !seen.insert(database, key.entry.key()) {
                        let name = key.entry.key().escape_ascii();
                        let what = format!("the key \"{name}\" stands there twice");
                        return damaged(reader.at(), &what);
                    }
                    keys += 1;
                    volatile += u64::from(key.entry.deadline().is_some());
                    *kinds.entry(key.entry.kind().name()).or_default() += 1;
                }
                Ok(Section::Database(number)) => {
                    databases += 1;
                    database = number;
                }
                Ok(Section::Function(_)) => functions += 1,
                Ok(Section::Aux(name, value)) => told.push((name, value)),
                Ok(Section::Passed) => {}
                Ok(Section::End) => break,
                Err(damage) => return damaged(damage.at, &damage.what),
            }
        }
        let writer = told.iter().find(|(name, _)| name == b"redis-ver");
        let writer = writer.map_or("?".into(), |(_, version)| String::from_utf8_lossy(version));
        report.line(format_args!(
            "{}: good; RDB version {}, written by {writer}; {keys} keys, {volatile} with a deadline, {databases} changes of database, {functions} libraries",
            path.display(),
            reader.version(),
        ));
        for (kind, count) in kinds {
            report.line(format_args!("  {count:>12} {kind}"));
        }
        Some(reader.at())
    }

    /// The log files, and what of them a start would cut off.
    fn logs(&mut self, folder: &Folder, manifest: &Manifest) {
        let before = self.report.verdict;
        for part in &manifest.parts {
            for shard in 0..part.shards {
                self.log(&folder.part(part.sequence, shard), 0);
            }
        }
        let report = &mut self.report;
        if report.verdict != before {
            return;
        }
        match recovery::find(folder, &manifest.parts, &Progress::default()) {
            Ok(tails) => {
                for tail in tails.iter().filter(|tail| tail.cut_bytes() > 0) {
                    report.line(format_args!(
                        "{}: its last {} bytes, from offset {} on, are not whole without what the crash took, and would be cut off{}",
                        tail.path.display(),
                        tail.cut_bytes(),
                        tail.end,
                        if tail.loses_records() { " and kept beside it" } else { "" }
                    ));
                }
            }
            Err(Unreadable { path, damage }) => report.damage(&path, damage.at, &damage.what),
        }
    }

    /// The commands of a file, from an offset on.
    fn log(&mut self, path: &Path, from: u64) {
        let report = &mut self.report;
        let mut reader = match open_log(&**self.disk, path, from) {
            Ok(reader) => reader,
            Err(error) => return report.damage(path, 0, &error.to_string()),
        };
        let (mut commands, mut groups) = (0u64, 0u64);
        let mut verbs: BTreeMap<String, u64> = BTreeMap::new();
        let (mut first, mut last) = (None, None);
        loop {
            match reader.read() {
                Ok(Record::Command) => {
                    let verb = reader.args().next().unwrap_or_default();
                    match verb {
                        b"MULTI" => groups += 1,
                        b"EXEC" | b"SELECT" | storage::aof::TRANSACTION => {}
                        _ => {
                            commands += 1;
                            let verb = String::from_utf8_lossy(verb).to_ascii_uppercase();
                            *verbs.entry(verb).or_default() += 1;
                        }
                    }
                }
                Ok(Record::Note) => {}
                Ok(Record::Time(now)) => {
                    first.get_or_insert(now);
                    last = Some(now);
                }
                Ok(Record::End) | Err(Stop::Torn { .. }) => break,
                Err(Stop::Damaged(damage)) => return report.damage(path, damage.at, &damage.what),
            }
        }
        let times = first.zip(last).map_or(String::new(), |(first, last)| {
            format!(", from {} to {} ms of Unix time", first.ms(), last.ms())
        });
        report.line(format_args!(
            "{}: {commands} commands in {} bytes, {groups} groups{times}",
            path.display(),
            reader.len() - from,
        ));
        for (verb, count) in verbs {
            report.line(format_args!("  {count:>12} {verb}"));
        }
    }
}

/// The keys of a file. 128 bits of each are kept: two that share them are two of one name.
#[derive(Default)]
struct Seen {
    keys: HashSet<(u64, u64)>,
    hashers: [RandomState; 2],
}

impl Seen {
    /// Returns whether the key is new.
    fn insert(&mut self, database: u64, key: &[u8]) -> bool {
        let [first, second] = &self.hashers;
        let key = (database, key);
        self.keys
            .insert((first.hash_one(key), second.hash_one(key)))
    }
}
