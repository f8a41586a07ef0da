//! The data of the files, at the start: every shard reads the snapshot from end to end and keeps
//! what is its own.
//!
//! Passing over a foreign key costs a fraction of building one, so shards load in parallel without
//! a word between them, and a file loads with any number of shards. Where that takes long,
//! connections are accepted meanwhile and told so.

mod admission;

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use config::Config;
use engine::effect::{Effect, What};
use engine::script::scripting::new_machine;
use engine::slot::{ShardId, SlotMap};
use engine::transaction::global::Global;
use lua::libraries::{Libraries, LibraryStore};
use persistence::disk::{Disk, open_snapshot};
use persistence::progress::Progress;
use persistence::snapshot_file::dump_path;
use smallvec::SmallVec;
use storage::prefetch::GROUP_LEN_MAX;
use storage::rdb::{Damage, FileReader, Limits, Section};
use storage::{AccessPolicy, Databases, DbIndex, Entry, Hash, UnixMillis};
use tracing::{info, warn};

use crate::process::Process;
use crate::shard::Shard;
use crate::{debug_delay, turn};

/// How long a shard reads before its connections have their turn.
const STEP: Duration = Duration::from_millis(2);

/// Parts between two looks at the clock.
const PARTS_PER_LOOK: usize = 64;

/// How long connections wait to be accepted while data is loaded, before they are told so: who
/// connects to a server that has little to load never hears of it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Why a file was not loaded.
#[derive(Debug)]
pub struct NotLoaded {
    pub path: PathBuf,
    pub damage: Damage,
}

impl fmt::Display for NotLoaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot load {}: {}. Nothing was overwritten. Restore the file from a copy, or move it away to start without its data",
            self.path.display(),
            self.damage
        )
    }
}

impl std::error::Error for NotLoaded {}

/// A file being loaded.
pub struct Load {
    reader: FileReader,
    path: PathBuf,
    limits: Limits,
    access: AccessPolicy,
    database: u64,
    loaded: u64,
    expired: u64,
    /// The end has come.
    done: bool,
}

/// What a file gave.
enum Found {
    Entry(DbIndex, Entry),
    Function(Vec<u8>),
    Nothing,
}

impl Load {
    fn open(disk: &dyn Disk, path: &Path, config: &Config) -> Result<Self, NotLoaded> {
        let reader = open_snapshot(disk, path).map_err(|damage| NotLoaded {
            path: path.into(),
            damage,
        })?;
        Ok(Self {
            reader,
            path: path.into(),
            limits: config.packing_limits(),
            access: config.access_policy(),
            database: 0,
            loaded: 0,
            expired: 0,
            done: false,
        })
    }

    fn not_loaded(&self, at: u64, what: String) -> NotLoaded {
        NotLoaded {
            path: self.path.clone(),
            damage: Damage { at, what },
        }
    }

    /// The next part, of keys that are `wanted`; those whose time has come are nobody's.
    fn next(
        &mut self,
        databases: &Databases,
        now: UnixMillis,
        wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Found, NotLoaded> {
        let at = self.reader.at();
        let expired = &mut self.expired;
        let part = self.reader.next(&self.limits, |key, deadline| {
            let wanted = wanted(key);
            let dead = deadline.is_some_and(|deadline| deadline.has_passed(now));
            *expired += u64::from(wanted && dead);
            wanted && !dead
        });
        let part = part.map_err(|damage| self.not_loaded(damage.at, damage.what))?;
        match part {
            Section::Key(key) => {
                let number = u16::try_from(self.database).ok();
                let Some(db) = number.and_then(|number| databases.index(number)) else {
                    let (number, count) = (self.database, databases.count());
                    let what = format!(
                        "database {number}, where there are {count}; start with more --databases"
                    );
                    return Err(self.not_loaded(at, what));
                };
                self.loaded += 1;
                return Ok(Found::Entry(db, key.into_entry(self.access, now)));
            }
            Section::Function(code) => return Ok(Found::Function(code)),
            Section::Database(number) => self.database = number,
            Section::End => self.done = true,
            Section::Passed | Section::Aux(..) => {}
        }
        Ok(Found::Nothing)
    }

    /// Puts an entry where it belongs. Returns the key of a hash with fields that expire.
    fn keep(
        &self,
        databases: &mut Databases,
        db: DbIndex,
        entry: Entry,
    ) -> Result<Option<Box<[u8]>>, NotLoaded> {
        if databases.get(db).get(entry.key()).is_some() {
            let what = format!(
                "the key \"{}\" stands there twice",
                entry.key().escape_ascii()
            );
            return Err(self.not_loaded(self.reader.at(), what));
        }
        let entry = databases.get_mut(db).insert_new(entry);
        let hash = entry.get::<Hash>();
        let expires = hash.is_ok_and(|hash| hash.next_deadline().is_some());
        Ok(expires.then(|| entry.key().into()))
    }

    /// Adds a library of functions.
    fn keep_function(&self, libraries: &LibraryStore, code: &[u8]) -> Result<(), NotLoaded> {
        let mut machine = new_machine();
        let loaded = libraries.change(|libraries| libraries.load(&mut machine, code, false));
        loaded.map(drop).map_err(|error| self.bad_library(&error))
    }

    fn bad_library(&self, error: &[u8]) -> NotLoaded {
        let error = String::from_utf8_lossy(error);
        let what = format!("a library of functions that cannot be loaded: {error}");
        self.not_loaded(self.reader.at(), what)
    }

    /// Reads some parts into one shard. Keys are put into their places a group at a time, whose
    /// memory is on its way meanwhile.
    fn step(&mut self, shard: &mut Shard) -> Result<(), NotLoaded> {
        let mut group: SmallVec<[(DbIndex, Entry); GROUP_LEN_MAX]> = SmallVec::new();
        for _ in 0..PARTS_PER_LOOK {
            if self.done || group.len() == GROUP_LEN_MAX {
                break;
            }
            let (slots, id) = (shard.engine.slots, shard.engine.id);
            let found = self.next(&shard.engine.databases, shard.engine.now, |key| {
                slots.owner(key) == id
            })?;
            match found {
                Found::Entry(db, entry) => group.push((db, entry)),
                Found::Function(code) if id.index() == 0 => {
                    self.keep_function(&shard.process.scripts.libraries, &code)?;
                }
                Found::Function(_) | Found::Nothing => {}
            }
        }
        if let Some((db, _)) = group.first() {
            let keys = group.iter().map(|(_, entry)| entry.key());
            let keyspace = shard.engine.databases.get(*db);
            if keyspace.is_worth_fetching() {
                keyspace.prefetch(keys);
            }
        }
        for (db, entry) in group {
            if let Some(key) = self.keep(&mut shard.engine.databases, db, entry)? {
                shard.engine.effects.fields.note(db, &key);
            }
        }
        Ok(())
    }
}

/// Waits until the data of all shards is there.
pub async fn finished(shard: &Rc<RefCell<Shard>>) {
    poll_fn(|cx| {
        let mut shard = shard.borrow_mut();
        if !shard.engine.admission.loading {
            return Poll::Ready(());
        }
        shard.turns.load_wakers.register(cx.waker());
        Poll::Pending
    })
    .await;
}

/// Waits until the data of all shards is there, or that takes long.
pub async fn finished_or_long(shard: &Rc<RefCell<Shard>>) {
    let mut finished = pin!(finished(shard));
    let mut patience = pin!(monoio::time::sleep(PATIENCE));
    poll_fn(|cx| match finished.as_mut().poll(cx) {
        Poll::Pending => patience.as_mut().poll(cx),
        done => done,
    })
    .await;
}

/// Loads a file into one shard, giving way to its connections. A file that is not there is none.
pub async fn load(shard: &Rc<RefCell<Shard>>, path: &Path) -> Result<(), NotLoaded> {
    let (config, process, id) = {
        let shard = shard.borrow();
        (
            shard.engine.config.clone(),
            shard.process.clone(),
            shard.engine.id,
        )
    };
    if !process.disk.exists(path) {
        return Ok(());
    }
    let mut load = Load::open(&*process.disk, path, &config)?;
    if id.index() == 0 {
        // Every shard reads all of it.
        let bytes = load.reader.at() + load.reader.remaining();
        process.progress.expect(bytes, process.slots.shards());
    }
    let mut done = process.progress.of_file();
    let began = Instant::now();
    while !load.done {
        let step = Instant::now();
        let before = load.loaded;
        while !load.done && step.elapsed() < STEP {
            let mut shard = shard.borrow_mut();
            shard.engine.now = crate::shard::wall_time();
            load.step(&mut shard)?;
            if shard.engine.config.key_load_delay_us != 0 && load.loaded > before {
                break;
            }
        }
        done.reach(load.reader.at());
        let delay_us = |config: &Config| config.key_load_delay_us;
        debug_delay::wait_after(shard, load.loaded - before, delay_us, |_| true).await;
        turn::passed(shard).await;
    }
    process.snapshots.note_loaded(load.loaded, load.expired);
    let took_ms = began.elapsed().as_millis() as u64;
    info!(
        keys = load.loaded,
        expired = load.expired,
        took_ms,
        "snapshot loaded"
    );
    if load.loaded == 0 && load.expired > 0 {
        warn!("every key of this shard in the snapshot had expired");
    }
    Ok(())
}

/// Loads from the snapshot that an append-only log begins with what `slots` gives to one shard.
/// What has expired is there too: the log may say otherwise. Returns where the snapshot ends in the
/// file.
pub fn load_part(
    path: &Path,
    config: &Config,
    databases: &mut Databases,
    libraries: &LibraryStore,
    (slots, shard): (SlotMap, usize),
    process: &Process,
    progress: &Progress,
) -> Result<u64, NotLoaded> {
    let mut load = Load::open(&*process.disk, path, config)?;
    let mut done = progress.of_file();
    let (now, shard) = (UnixMillis::new(0), ShardId::new(shard));
    while !load.done {
        match load.next(databases, now, |key| slots.owner(key) == shard)? {
            Found::Entry(db, entry) => {
                load.keep(databases, db, entry)?;
                if config.key_load_delay_us != 0 {
                    debug_delay::block_after(1, || process.current_config().key_load_delay_us);
                }
            }
            Found::Function(code) if shard.index() == 0 => load.keep_function(libraries, &code)?,
            Found::Function(_) | Found::Nothing => {}
        }
        done.reach(load.reader.at());
    }
    process.snapshots.note_loaded(load.loaded, load.expired);
    Ok(load.reader.at())
}

/// Opens the snapshot.
pub fn open_dump(process: &Process, config: &Config) -> Result<Load, NotLoaded> {
    Load::open(&*process.disk, &dump_path(config), config)
}

/// Loads a snapshot into all shards at once (DEBUG RELOAD). `merge` lets its keys
/// and libraries replace those that are there.
pub fn load_world(
    global: &mut Global<'_>,
    libraries: &mut Libraries,
    slots: SlotMap,
    mut load: Load,
    merge: bool,
) -> Result<(), NotLoaded> {
    let mut machine = None;
    while !load.done {
        let Some(first) = global.shards.first() else {
            break;
        };
        let found = load.next(&first.databases, global.now, |_| true)?;
        if let Found::Function(code) = found {
            let machine = machine.get_or_insert_with(new_machine);
            let loaded = libraries.load(machine, &code, merge);
            loaded.map_err(|error| load.bad_library(&error))?;
        } else if let Found::Entry(db, entry) = found {
            let lent = &mut global.shards[slots.owner(entry.key()).index()];
            if merge {
                drop(lent.databases.get_mut(db).take(entry.key()));
            }
            if let Some(key) = load.keep(&mut lent.databases, db, entry)? {
                lent.effects.push(Effect {
                    db,
                    key: &key,
                    what: What::FieldsExpire,
                    by: None,
                    payload: b"",
                });
            }
        }
    }
    Ok(())
}
