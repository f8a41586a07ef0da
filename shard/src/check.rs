//! `percore check`: reads data files and tells what is in them, without changing any.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use storage::aof::{Reader, Record, Stop};
use storage::rdb::{FileReader, Section};

use crate::aof::import::{self, Tail};
use crate::aof::manifest::{Folder, Manifest};
use crate::aof::redis_log::RedisLog;
use crate::aof::tails::{self, Unreadable};
use crate::loading::progress::Progress;
use crate::shard::wall_time;
use config::Config;

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
    pub text: String,
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

/// Checks the files that a server with this configuration would load.
pub fn check(config: &Config) -> Report {
    let mut report = Report::default();
    let dump = config.dir.join(&config.dbfilename);
    let mut found = dump.exists();
    if found {
        snapshot(&dump, config, &mut report);
    }
    let folder = Folder::of(config);
    match folder.read() {
        Ok(Some(manifest)) => {
            found = true;
            own_log(&folder, &manifest, config, &mut report);
        }
        Ok(None) => match RedisLog::find(config) {
            Ok(None) => {}
            Ok(Some(log)) => {
                found = true;
                redis_log(&log, config, &mut report);
            }
            Err(error) => {
                found = true;
                report.damage(&folder.manifest(), 0, &error.to_string());
            }
        },
        Err(error) => {
            found = true;
            report.damage(&folder.manifest(), 0, &error.to_string());
        }
    }
    if !found {
        report.verdict = Verdict::Nothing;
        report.line(format_args!(
            "{}: no {}, no {} and no {}",
            config.dir.display(),
            config.dbfilename,
            config.appenddirname,
            config.appendfilename
        ));
    }
    report
}

/// Checks one file: a snapshot, a log, or commands behind a snapshot, as its first bytes say.
///
/// # Errors
/// Where it cannot be read.
pub fn check_file(path: &Path, config: &Config) -> io::Result<Report> {
    let mut report = Report::default();
    if import::begins_with_snapshot(path)? {
        let end = snapshot(path, config, &mut report);
        if end.is_some_and(|end| std::fs::metadata(path).is_ok_and(|file| file.len() > end)) {
            log(path, end.unwrap_or(0), &mut report);
            torn_end(path, end.unwrap_or(0), &mut report);
        }
    } else {
        log(path, 0, &mut report);
        torn_end(path, 0, &mut report);
    }
    Ok(report)
}

/// The log of percore's that a manifest names.
fn own_log(folder: &Folder, manifest: &Manifest, config: &Config, report: &mut Report) {
    report.line(format_args!(
        "{}: {} and {} parts",
        folder.manifest().display(),
        manifest.base.as_deref().unwrap_or("no snapshot"),
        manifest.parts.len()
    ));
    if let Some(base) = &manifest.base {
        snapshot(&folder.base(base), config, report);
    }
    logs(folder, manifest, report);
}

/// A log of Redis's: a start with `--appendonly yes` loads it.
fn redis_log(found: &RedisLog, config: &Config, report: &mut Report) {
    let files: Vec<&PathBuf> = found.files.iter().collect();
    report.line(format_args!(
        "an append-only log of Redis in {} files: with --appendonly yes it is loaded, and goes on as percore's",
        files.len()
    ));
    for path in files {
        match check_file(path, config) {
            Ok(of_file) => {
                report.text.push_str(&of_file.text);
                if of_file.verdict == Verdict::Damaged {
                    report.verdict = Verdict::Damaged;
                }
            }
            Err(error) => report.damage(path, 0, &error.to_string()),
        }
    }
}

/// What of a single file's commands a start passes over.
fn torn_end(path: &Path, from: u64, report: &mut Report) {
    // What cannot be read has been told.
    let Ok(tail) = Tail::find(path, from) else {
        return;
    };
    if tail.torn_bytes() > 0 {
        report.line(format_args!(
            "{}: its last {} bytes, from offset {} on, are not whole, and would not be loaded",
            path.display(),
            tail.torn_bytes(),
            tail.end
        ));
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

/// Returns where the snapshot ends in the file; `None` where it is damaged.
fn snapshot(path: &Path, config: &Config, report: &mut Report) -> Option<u64> {
    let mut damaged = |at, what: &str| {
        report.damage(path, at, what);
        None
    };
    let mut reader = match FileReader::open(path) {
        Ok(reader) => reader,
        Err(damage) => return damaged(damage.at, &damage.what),
    };
    let limits = config.packing_limits();
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut keys, mut volatile, mut functions) = (0u64, 0u64, 0u64);
    let (mut databases, mut database) = (0u64, 0);
    let (mut seen, now) = (Seen::default(), wall_time());
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
fn logs(folder: &Folder, manifest: &Manifest, report: &mut Report) {
    let before = report.verdict;
    for part in &manifest.parts {
        for shard in 0..part.shards {
            log(&folder.part(part.sequence, shard), 0, report);
        }
    }
    if report.verdict != before {
        return;
    }
    match tails::find(folder, &manifest.parts, &Progress::default()) {
        Ok(tails) => {
            for tail in tails.iter().filter(|tail| tail.cut_bytes() > 0) {
                report.line(format_args!(
                    "{}: its last {} bytes, from offset {} on, are not whole without what the crash took, and would be cut off{}",
                    tail.path.display(),
                    tail.cut_bytes(),
                    tail.end,
                    match tail.loses_records() {
                        true => " and kept beside it",
                        false => "",
                    }
                ));
            }
        }
        Err(Unreadable { path, damage }) => report.damage(&path, damage.at, &damage.what),
    }
}

/// The commands of a file, from an offset on.
fn log(path: &Path, from: u64, report: &mut Report) {
    let mut reader = match Reader::open_at(path, from) {
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
