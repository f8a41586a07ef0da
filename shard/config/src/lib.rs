//! The configuration: one table of parameters, from which everything that reads or writes one
//! comes.
//!
//! [`Config`] is a struct of plain fields, because commands read it on hot paths; a shard holds it
//! in an `Arc` and gets a new one when CONFIG SET changes it. The rows are in [`table`], the kinds
//! of value in [`kind`], [`choice`] and [`list`], files in [`file`].
//!
//! Names are compared in any case. Values come as text and are checked by the row, with Redis's
//! words when they are refused.

pub mod absent;
pub mod choice;
pub mod event_class;
pub mod file;
pub mod given;
pub mod include;
pub mod kind;
pub mod limit;
pub mod list;
pub mod oom;
pub mod percentiles;
pub mod renames;
pub mod rewrite;
pub mod shutdown;
pub mod table;
pub mod title;
pub mod user_lines;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use storage::rdb::{self, Compression};
use storage::{
    AccessPolicy, Eligible, EvictionPolicy, HashLimits, ListLimits, Preference, SetLimits,
    SortedSetLimits,
};

/// The version of Redis whose behaviour this is.
pub const REDIS_VERSION: &str = "7.4.0";

pub use choice::{
    AppendFsync, IdleMode, IoDriver, LogFormat, LogLevel, MaxmemoryPolicy, Permission, Supervised,
    TlsAuth,
};
pub use event_class::EventClass;
pub use file::{FileError, Loader};
pub use given::Given;
pub use kind::Kind;
pub use limit::ClientMemoryLimit;
pub use list::{Addresses, FileMode, Notify, OutputLimit, OutputLimits, SavePoint, SavePoints};
pub use percentiles::Percentiles;
pub use shutdown::ShutdownFlags;
pub use table::{Config, Flag, PARAMETERS, Section};

/// Most shards a process may have: their numbers fit a byte, and tables with an element a shard
/// stay small.
pub const SHARDS_MAX: usize = 256;

/// Beyond this the counter of LFU does not move any more, and its arithmetic would overflow.
const LFU_LOG_FACTOR_MAX: u32 = 1 << 23;

/// Why a parameter was not changed. Shown in Redis's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// There is no such parameter.
    Unknown,
    /// It cannot change while the server runs.
    Immutable,
    /// It cannot change while the server runs unless `enable-protected-configs` allows.
    Protected,
    /// The value is not allowed.
    Argument(Cow<'static, str>),
}

impl ConfigError {
    fn argument(text: String) -> Self {
        Self::Argument(text.into())
    }
}

impl From<&'static str> for ConfigError {
    fn from(text: &'static str) -> Self {
        Self::Argument(text.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "there is no such parameter",
            Self::Immutable => "can't set immutable config",
            Self::Protected => "can't set protected config",
            Self::Argument(text) => text,
        })
    }
}

impl std::error::Error for ConfigError {}

/// A row of the table.
pub struct Parameter {
    /// The name in files and in CONFIG, in lower case.
    pub name: &'static str,
    /// Older names of the same parameter.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    pub flags: &'static [Flag],
    pub section: Section,
    /// A sentence or two for `--help`.
    pub help: &'static str,
    read: fn(&Config) -> String,
    write: fn(&mut Config, Kind, &str) -> Result<(), ConfigError>,
}

impl Parameter {
    /// The parameter of this name or older name, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        PARAMETERS
            .iter()
            .find(|row| row.names().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// Its name, then its older names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether the row has `flag`.
    pub fn is(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// Its value as CONFIG GET shows it.
    pub fn show(&self, config: &Config) -> String {
        (self.read)(config)
    }

    fn set(&self, config: &mut Config, value: &str) -> Result<(), ConfigError> {
        (self.write)(config, self.kind, value)
    }
}

impl Config {
    /// Gives the parameter `name` a value, as a file or the command line does: whatever its flags.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let row = Parameter::find(name).ok_or(ConfigError::Unknown)?;
        row.set(self, value)?;
        self.given.add(row);
        Ok(())
    }

    /// Gives the parameter `name` the value that this machine allows, which nobody has asked for:
    /// CONFIG REWRITE leaves it as it was.
    pub fn adapt(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let row = Parameter::find(name).ok_or(ConfigError::Unknown)?;
        row.set(self, value)?;
        self.given.remove(row);
        Ok(())
    }

    /// The parameters that were given a value other than Redis's default, and have no effect in
    /// percore.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let defaults = Self::default();
        PARAMETERS
            .iter()
            .filter(|row| row.is(Flag::Inert) && self.given.has(row))
            .filter(|row| row.show(self) != row.show(&defaults))
            .map(|row| row.name)
            .collect()
    }

    /// Whether CONFIG SET may change the parameter `name` now, as far as its flags say. `local`
    /// tells whether the client is on this machine.
    pub fn may_change(&self, name: &str, local: bool) -> Result<(), ConfigError> {
        let row = Parameter::find(name).ok_or(ConfigError::Unknown)?;
        if row.is(Flag::Immutable) {
            return Err(ConfigError::Immutable);
        }
        if row.is(Flag::Protected) && !self.enable_protected_configs.allows(local) {
            return Err(ConfigError::Protected);
        }
        Ok(())
    }

    /// Where the log's file is. `None` where lines go to standard output.
    pub fn log_path(&self) -> Option<PathBuf> {
        self.logfile.as_ref().map(|path| self.dir.join(path))
    }

    /// What the use of a key notes: the clock of LRU unless the policy goes by LFU's counter.
    pub fn access_policy(&self) -> AccessPolicy {
        match self.maxmemory_policy {
            MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => AccessPolicy::Lfu {
                log_factor: self.lfu_log_factor.min(LFU_LOG_FACTOR_MAX),
                decay_time_min: self.lfu_decay_time_min,
            },
            _ => AccessPolicy::Lru,
        }
    }

    /// Up to where collections that are read from outside stay packed.
    pub fn packing_limits(&self) -> rdb::Limits {
        rdb::Limits {
            list: ListLimits::from_setting(i64::from(self.list_max_listpack_size)),
            set: SetLimits {
                intset_entries: self.set_max_intset_entries,
                listpack_entries: self.set_max_listpack_entries,
                listpack_value: self.set_max_listpack_value,
            },
            hash: HashLimits {
                entries: self.hash_max_listpack_entries,
                value: self.hash_max_listpack_value,
            },
            sorted_set: SortedSetLimits {
                entries: self.zset_max_listpack_entries,
                value: self.zset_max_listpack_value,
            },
        }
    }

    /// Bytes that connections may take together. `None` where there is no limit: also for a part of
    /// no `maxmemory`.
    pub fn client_memory_max(&self) -> Option<usize> {
        match self.maxmemory_clients {
            ClientMemoryLimit::Bytes(0) => None,
            ClientMemoryLimit::Bytes(bytes) => Some(usize::try_from(bytes).unwrap_or(usize::MAX)),
            ClientMemoryLimit::Percent(_) if self.maxmemory == 0 => None,
            ClientMemoryLimit::Percent(part) => {
                let bytes = self.maxmemory as u128 * u128::from(part) / 100;
                Some(usize::try_from(bytes).unwrap_or(usize::MAX))
            }
        }
    }

    /// How many of the keys that clients track a shard remembers at the most: its share, as keys
    /// are spread evenly.
    pub fn tracked_keys_max(&self, shard: usize) -> usize {
        if self.tracking_table_max_keys == 0 {
            return usize::MAX;
        }
        let max = usize::try_from(self.tracking_table_max_keys).unwrap_or(usize::MAX);
        max / self.shards + usize::from(shard < max % self.shards)
    }

    /// How strings in snapshots are written.
    pub fn compression(&self) -> Compression {
        if self.rdbcompression {
            Compression::Lzf
        } else {
            Compression::Off
        }
    }

    /// What is evicted when memory is short. `None` where nothing is.
    pub fn eviction_policy(&self) -> Option<EvictionPolicy> {
        use MaxmemoryPolicy::{
            AllkeysLfu, AllkeysLru, AllkeysRandom, Noeviction, VolatileLfu, VolatileLru,
            VolatileRandom, VolatileTtl,
        };
        let prefer = match self.maxmemory_policy {
            Noeviction => return None,
            AllkeysLru | VolatileLru => Preference::LeastRecent,
            AllkeysLfu | VolatileLfu => Preference::LeastFrequent,
            VolatileTtl => Preference::SoonestDeadline,
            AllkeysRandom | VolatileRandom => Preference::Random,
        };
        let eligible = if self.maxmemory_policy.spares_persistent() {
            Eligible::Volatile
        } else {
            Eligible::All
        };
        let samples = self.maxmemory_samples as usize;
        Some(EvictionPolicy {
            prefer,
            eligible,
            samples,
        })
    }

    /// The value of the parameter `name`. `None` where there is no such parameter.
    pub fn get(&self, name: &str) -> Option<String> {
        Some(Parameter::find(name)?.show(self))
    }

    /// What `CONFIG GET glob` shows: names, older names included, and values. A name without a
    /// pattern is shown as it was written. Hidden ones only when named exactly.
    pub fn matching(&self, glob: &[u8]) -> Vec<(Cow<'static, str>, String)> {
        let mut found = Vec::new();
        if !glob.iter().any(|byte| b"*?[".contains(byte)) {
            let name = std::str::from_utf8(glob).unwrap_or_default();
            let row = Parameter::find(name);
            found.extend(row.map(|row| (Cow::Owned(name.to_owned()), row.show(self))));
            return found;
        }
        for row in PARAMETERS {
            for name in row.names() {
                let matches = if row.is(Flag::Hidden) {
                    glob.eq_ignore_ascii_case(name.as_bytes())
                } else {
                    protocol::glob::matches(glob, name.as_bytes(), true)
                };
                if matches {
                    found.push((name.into(), row.show(self)));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
