//! `percore check DIR`: reads the data files and tells what is in them, without changing any.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use storage::aof::{Reader, Record, Stop};
use storage::rdb::{FileReader, Part};

use crate::aof::manifest::{Folder, Manifest};
use crate::aof::tails::{self, Unreadable};
use crate::config::Config;
use crate::loading::progress::Progress;
use crate::shard::wall_time;

/// What was found: lines to read, and whether all of it could be loaded.
#[derive(Default)]
pub struct Report {
    pub text: String,
    pub damaged: bool,
}

impl Report {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes all that is written to it.
        let _ = writeln!(self.text, "{line}");
    }

    fn damage(&mut self, path: &Path, at: u64, what: &str) {
        self.damaged = true;
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
        Ok(None) => {}
        Err(error) => {
            found = true;
            report.damage(&folder.manifest(), 0, &error.to_string());
        }
        Ok(Some(manifest)) => {
            found = true;
            report.line(format_args!(
                "{}: {} and {} parts",
                folder.manifest().display(),
                manifest.base.as_deref().unwrap_or("no snapshot"),
                manifest.parts.len()
            ));
            if let Some(base) = &manifest.base {
                snapshot(&folder.base(base), config, &mut report);
            }
            logs(&folder, &manifest, &mut report);
        }
    }
    if !found {
        report.line(format_args!(
            "{}: no {} and no {}",
            config.dir.display(),
            config.dbfilename,
            config.appenddirname
        ));
    }
    report
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

fn snapshot(path: &Path, config: &Config, report: &mut Report) {
    let mut reader = match FileReader::open(path) {
        Ok(reader) => reader,
        Err(damage) => return report.damage(path, damage.at, &damage.what),
    };
    let limits = config.packing_limits();
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut keys, mut volatile, mut functions) = (0u64, 0u64, 0u64);
    let (mut databases, mut database) = (0u64, 0);
    let (mut seen, now) = (Seen::default(), wall_time());
    let mut told = Vec::new();
    loop {
        match reader.next(&limits, |_, _| true) {
            Ok(Part::Key(key)) => {
                if !key.entry.is_expired(now) && !seen.insert(database, key.entry.key()) {
                    let name = key.entry.key().escape_ascii();
                    let what = format!("the key \"{name}\" stands there twice");
                    return report.damage(path, reader.at(), &what);
                }
                keys += 1;
                volatile += u64::from(key.entry.deadline().is_some());
                *kinds.entry(key.entry.kind().name()).or_default() += 1;
            }
            Ok(Part::Database(number)) => {
                databases += 1;
                database = number;
            }
            Ok(Part::Function(_)) => functions += 1,
            Ok(Part::Told(name, value)) => told.push((name, value)),
            Ok(Part::Passed) => {}
            Ok(Part::End) => break,
            Err(damage) => return report.damage(path, damage.at, &damage.what),
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
}

/// The log files, and what of them a start would cut off.
fn logs(folder: &Folder, manifest: &Manifest, report: &mut Report) {
    let before = report.damaged;
    for part in &manifest.parts {
        for shard in 0..part.shards {
            log(&folder.part(part.sequence, shard), report);
        }
    }
    if report.damaged && !before {
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

fn log(path: &Path, report: &mut Report) {
    let mut reader = match Reader::open(path) {
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
            Ok(Record::Time(now)) => {
                first.get_or_insert(now);
                last = Some(now);
            }
            Ok(Record::End) | Err(Stop::Torn { .. }) => break,
            Err(Stop::Damaged(damage)) => return report.damage(path, damage.at, &damage.what),
        }
    }
    let ms = |time: Option<storage::UnixMillis>| time.map_or(0, |time| time.ms());
    report.line(format_args!(
        "{}: {commands} commands in {} bytes, {groups} groups, from {} to {} ms of Unix time",
        path.display(),
        reader.len(),
        ms(first),
        ms(last)
    ));
    for (verb, count) in verbs {
        report.line(format_args!("  {count:>12} {verb}"));
    }
}
