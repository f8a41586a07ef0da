//! What a shard says in its append-only log: each change, in the order in which it took effect.
//!
//! A command is recorded as it came, together with the time by which it decided what had expired:
//! replayed on the same data at the same time, it does the same again. What does not (a random
//! choice) says something else in its place ([`What::PropagateAs`]). What expires or is evicted is
//! recorded as a deletion. SELECT and the time stand in the log only where they change.
//!
//! A transaction runs away from home, on keys that others lent. There, each command whose keys are
//! all of one shard is kept for that shard's log; of a command over several shards every key that
//! it changed is kept by name, and its owner records the value that comes home. From then on within
//! the transaction that key is recorded by its value only: so whatever is recorded can be replayed
//! from one log alone.

mod shares;

use protocol::args::Args;
use protocol::facts::Traits;
use storage::{DbIndex, UnixMillis, aof};

pub use self::shares::{Away, Share, Shares, TransactionRecord, shares};
use crate::effect::{Effect, EffectList, What};
use crate::header::{Header, TransactionKey};
use crate::slot::SlotMap;
use crate::stream::{self, Segment, Stream};

/// A larger buffer is not kept for the next records.
pub(crate) const SPARE_BYTES_MAX: usize = 1 << 20;

/// The log goes on in another file.
pub struct LogSwitch {
    /// What the file before still lacks; nothing where there was none.
    pub rest: Option<Vec<u8>>,
    /// Where the new file begins, in bytes of the journal.
    pub from: u64,
}

/// What the log says of one shard.
#[derive(Default)]
pub struct Journal {
    /// There is a log on disk.
    pub(crate) on: bool,
    /// What replicas are to hear.
    pub stream: Stream,
    /// Records that the writer has not taken.
    pub(crate) out: Vec<u8>,
    /// Bytes that the writer has taken, of all files.
    pub(crate) taken: u64,
    /// Bytes up to the last record of what a client asked for.
    pub(crate) told: u64,
    /// Commands and transactions of clients that the writer has not taken.
    pub(crate) commands: usize,
    /// An emptied buffer for the next ones.
    pub(crate) spare: Vec<u8>,
    pub(crate) selected: Option<DbIndex>,
    pub(crate) time: Option<UnixMillis>,
    /// What the running command says in place of itself: each the whole effect on one key.
    pub(crate) instead: Vec<(Box<[u8]>, Vec<u8>)>,
    /// What commands did on keys that others lent.
    pub(crate) away: Vec<Away>,
}

/// Where a group begins, in the log and in the stream.
#[derive(Clone, Copy)]
pub struct Group {
    log: usize,
    stream: usize,
}

impl Journal {
    /// Whether anybody wants to know what commands do: the log on disk, or replicas.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on | self.stream.is_on()
    }

    /// Whether there is a log on disk.
    #[inline]
    pub fn has_log(&self) -> bool {
        self.on
    }

    /// Replicas hear from now on, or do no longer.
    pub fn turn_stream(&mut self, on: bool) {
        if !self.on {
            self.taken = self.total();
        }
        self.stream.turn(on);
    }

    /// Takes what replicas are to hear.
    pub fn take_stream(&mut self) -> Segment {
        if !self.on {
            self.taken += self.stream.waiting_bytes() as u64;
            self.commands = 0;
        }
        self.stream.take()
    }

    /// From now on there is a log, which begins with what comes next; or there is none, and what
    /// the writer has not taken goes. Bytes are counted on.
    pub fn turn(&mut self, on: bool) {
        *self = Self {
            on,
            taken: self.total(),
            told: self.told,
            stream: std::mem::take(&mut self.stream),
            ..Self::default()
        };
        // Without a log it is the stream that is counted, from here on.
        self.taken = self.taken.saturating_sub(self.uncounted());
    }

    /// The next record is the first of a new file. Returns what the old one still lacks.
    pub fn begin_file(&mut self) -> Vec<u8> {
        self.selected = None;
        self.time = None;
        self.take()
    }

    /// The next record is the first of a new file, also where there was no log before.
    pub(crate) fn switch_file(&mut self) -> LogSwitch {
        let rest = self.on.then(|| self.begin_file());
        if !self.on {
            self.turn(true);
        }
        LogSwitch {
            rest,
            from: self.total(),
        }
    }

    /// Bytes of all records there ever were.
    #[inline]
    pub fn total(&self) -> u64 {
        self.taken + self.waiting_bytes() as u64
    }

    /// Bytes that wait already where there is no log.
    fn uncounted(&self) -> u64 {
        if self.on {
            0
        } else {
            self.stream.waiting_bytes() as u64
        }
    }

    /// Bytes of all records that were taken.
    #[inline]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes of all records up to the last one of what a client asked for: not of what expired or
    /// was evicted.
    #[inline]
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Bytes of records that the writer has not taken; without a log, of what replicas are to hear
    /// and nobody has taken.
    #[inline]
    pub fn waiting_bytes(&self) -> usize {
        if self.on {
            self.out.len()
        } else {
            self.stream.waiting_bytes()
        }
    }

    /// Commands and transactions of clients that the writer has not taken.
    #[inline]
    pub fn waiting_commands(&self) -> usize {
        self.commands
    }

    /// Whether the writer has something to take.
    #[inline]
    pub fn has_more(&self) -> bool {
        !self.out.is_empty()
    }

    /// What the writer has not taken.
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.out.len() as u64;
        self.commands = 0;
        std::mem::replace(&mut self.out, std::mem::take(&mut self.spare))
    }

    /// What the writer has not taken, to be written where it is.
    pub fn waiting(&self) -> &[u8] {
        &self.out
    }

    /// All of [`Self::waiting`] is written.
    pub fn written(&mut self) {
        self.taken += self.out.len() as u64;
        self.commands = 0;
        self.out.clear();
        self.out.shrink_to(SPARE_BYTES_MAX);
    }

    /// Gives an emptied buffer back.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        debug_assert!(buffer.is_empty());
        if buffer.capacity() <= SPARE_BYTES_MAX {
            self.spare = buffer;
        }
    }

    /// A command as the log has it.
    pub(crate) fn record(parts: &[&[u8]]) -> Vec<u8> {
        let mut record = Vec::new();
        aof::command(&mut record, parts.iter().copied());
        record
    }

    /// Reads an effect: what no command did is recorded at once, and what a command has to be
    /// recorded as is kept until it is over.
    pub(crate) fn heed(&mut self, effect: &Effect<'_>) {
        if !self.is_on() {
            return;
        }
        match effect.what {
            What::Expired | What::Evicted => self.say(effect.db, &[b"DEL", effect.key]),
            What::FieldsExpired => self.say_record(effect.db, None, effect.payload),
            What::PropagateAs => {
                self.instead
                    .push((effect.key.into(), effect.payload.into()));
            }
            _ => {}
        }
    }

    /// Reads what a command did on keys that others lent, but for what becomes of itself.
    pub(crate) fn heed_away(&mut self, effects: &EffectList, from: usize) {
        for effect in effects.since(from) {
            match effect.what {
                What::Expired | What::Evicted | What::FieldsExpired => {
                    let record = match effect.what {
                        What::FieldsExpired => effect.payload.to_vec(),
                        _ => Self::record(&[b"DEL", effect.key]),
                    };
                    self.away.push(Away::Keys {
                        keys: vec![effect.key_name()],
                        whole: Some((effect.db, record)),
                    });
                }
                What::PropagateAs => {
                    self.instead
                        .push((effect.key.into(), effect.payload.into()));
                }
                _ => {}
            }
        }
    }

    /// Begins a command: nothing is said in its place yet.
    pub fn begin_command(&mut self) {
        self.instead.clear();
    }

    /// Says that a command has changed something.
    pub fn command(&mut self, db: DbIndex, now: UnixMillis, args: &Args<'_>) {
        if self.on {
            self.context(db, Some(now));
            if self.instead.is_empty() {
                aof::command_as_sent(&mut self.out, args.bytes(), args.iter());
            }
        }
        if self.stream.is_on() && self.instead.is_empty() {
            aof::command_as_sent(self.stream.select(db), args.bytes(), args.iter());
        }
        if !self.instead.is_empty() {
            self.say_instead(db, now);
        }
        self.told = self.total();
        self.commands += 1;
    }

    /// Says what stands in place of the command.
    fn say_instead(&mut self, db: DbIndex, now: UnixMillis) {
        let whole = (self.instead.len() > 1).then(|| self.begin_group());
        for (_, record) in std::mem::take(&mut self.instead) {
            self.say_record(db, Some(now), &record);
        }
        if let Some(begun) = whole {
            self.end_group(begun);
        }
    }

    /// Says what has been put in a command's form already.
    fn say_record(&mut self, db: DbIndex, now: Option<UnixMillis>, record: &[u8]) {
        if self.on {
            self.context(db, now);
            self.out.extend_from_slice(record);
        }
        if self.stream.is_on() {
            self.stream.select(db).extend_from_slice(record);
        }
    }

    /// Says to replicas what a transaction did on keys that others lent: all of it together.
    pub(crate) fn stream_transaction(&mut self, away: &[Away]) {
        if !self.stream.is_on() {
            return;
        }
        let group = self.stream.begin_group();
        for step in away {
            let (db, record) = match step {
                Away::Command { db, record, .. } | Away::Everywhere { db, record, .. } => {
                    (*db, record)
                }
                Away::Keys {
                    whole: Some((db, record)),
                    ..
                } => (*db, record),
                Away::Keys { whole: None, .. } | Away::Swapped(..) => continue,
            };
            self.stream.select(db).extend_from_slice(record);
        }
        self.stream.end_group(group);
        if !self.on {
            self.told = self.total();
        }
    }

    /// Reads what a command did to keys that others lent: `keys` are all of them. Its effects are
    /// those of the list from the given place on.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn command_away(
        &mut self,
        header: Header,
        now: UnixMillis,
        slots: SlotMap,
        args: &Args<'_>,
        keys: Vec<TransactionKey>,
        (effects, from): (&EffectList, usize),
        changed_nothing: bool,
    ) {
        self.heed_away(effects, from);
        if changed_nothing {
            return;
        }
        let db = header.db;
        let is_change = |effect: &Effect<'_>| {
            !effect.key.is_empty() && !matches!(effect.what, What::Read | What::PropagateAs)
        };
        let changed = effects.since(from).filter(is_change);
        let changed: Vec<_> = changed.map(|effect| effect.key_name()).collect();
        // What groups have pending changes without an event.
        let quietly = changed.is_empty() || header.command.command().traits.contains(Traits::QUIET);
        let changed = if quietly { keys.clone() } else { changed };
        let instead = std::mem::take(&mut self.instead);
        let says_itself = instead.is_empty();
        for (key, record) in instead {
            let key = TransactionKey { db, key };
            self.away.push(Away::Command {
                owner: slots.owner(&key.key),
                db,
                now,
                keys: vec![key.clone()],
                record,
                changed: vec![key],
            });
        }
        if !says_itself {
            return;
        }
        let mut owners = keys.iter().map(|key| slots.owner(&key.key));
        let first = owners.next();
        match first {
            Some(owner) if owners.all(|other| other == owner) => {
                let mut record = Vec::new();
                aof::command(&mut record, args.iter());
                self.away.push(Away::Command {
                    owner,
                    db,
                    now,
                    keys,
                    record,
                    changed,
                });
            }
            _ => {
                let whole = self.stream.is_on().then(|| {
                    let mut record = Vec::new();
                    aof::command(&mut record, args.iter());
                    (db, record)
                });
                let keys = changed;
                self.away.push(Away::Keys { keys, whole });
            }
        }
    }

    /// Says something that means the same at any time.
    pub fn say(&mut self, db: DbIndex, parts: &[&[u8]]) {
        self.say_to_log(db, parts);
        if self.stream.is_on() {
            aof::command(self.stream.select(db), parts.iter().copied());
        }
    }

    /// Says to the log alone something that means the same at any time.
    pub(crate) fn say_to_log(&mut self, db: DbIndex, parts: &[&[u8]]) {
        if self.on {
            self.context(db, None);
            aof::command(&mut self.out, parts.iter().copied());
        }
    }

    /// Says something that is no change to any database.
    pub(crate) fn mark(&mut self, parts: &[&[u8]]) {
        if self.on {
            aof::command(&mut self.out, parts.iter().copied());
        }
    }

    /// Says to the log what was recorded before.
    pub fn repeat(&mut self, db: DbIndex, now: UnixMillis, record: &[u8]) {
        if self.on {
            self.context(db, Some(now));
            self.out.extend_from_slice(record);
        }
    }

    /// What follows happens together.
    pub fn begin_group(&mut self) -> Group {
        Group {
            log: self.begin_log_group(),
            stream: self.stream.begin_group(),
        }
    }

    /// What the log is told next happens together.
    pub(crate) fn begin_log_group(&mut self) -> usize {
        if self.on {
            aof::command(&mut self.out, [b"MULTI".as_slice()].into_iter());
        }
        self.out.len()
    }

    /// What has been said since [`Self::begin_group`] happens together. Where that is nothing,
    /// nothing is said.
    pub fn end_group(&mut self, begun: Group) {
        self.end_log_group(begun.log);
        self.stream.end_group(begun.stream);
    }

    /// What the log has been told since [`Self::begin_log_group`] happens together.
    pub(crate) fn end_log_group(&mut self, begun: usize) {
        const MULTI_BYTES: usize = b"*1\r\n$5\r\nMULTI\r\n".len();
        if !self.on {
            return;
        }
        if self.out.len() == begun {
            self.out.truncate(begun - MULTI_BYTES);
            return;
        }
        aof::command(&mut self.out, [b"EXEC".as_slice()].into_iter());
    }

    pub(crate) fn context(&mut self, db: DbIndex, now: Option<UnixMillis>) {
        if let Some(now) = now
            && self.time != Some(now)
        {
            self.time = Some(now);
            aof::time(&mut self.out, now);
        }
        if self.selected != Some(db) {
            self.selected = Some(db);
            stream::select(&mut self.out, db);
        }
    }
}
