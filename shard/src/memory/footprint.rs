//! Where memory goes, as INFO, MEMORY STATS and MEMORY DOCTOR tell it.
//!
//! The allocations of all threads are counted ([`crate::memory`]); of the sum, what is no data is
//! told apart by asking the shards: their connections, the log's buffers, the tables that keys
//! stand in. What is left is the dataset, so the parts add up by construction.

use std::fs;
use std::sync::atomic::Ordering;

use lua::libraries::Libraries;
use lua::store::ScriptCounts;

use crate::commands::info_clients::Clients;
use crate::process::Process;
use crate::shard::Shard;
use crate::snapshot::unix_s;

/// One shard's part, and the sum of them.
#[derive(Clone, Default)]
pub struct Part {
    pub clients: u64,
    pub clients_bytes: u64,
    /// Records of the log that are not written yet.
    pub log_buffer_bytes: u64,
    /// Lua's machines, but for the libraries that they have loaded.
    pub machines_bytes: u64,
    /// Those.
    pub machines_functions_bytes: u64,
    /// Keys of each database, and the memory of their table.
    pub databases: Vec<(u64, u64)>,
}

impl Part {
    /// What this shard has.
    pub fn of(shard: &mut Shard) -> Self {
        shard.engine.publish_memory();
        let clients = Clients::of(shard);
        let databases = &shard.engine.databases;
        let machines = shard.engine.machine_bytes();
        Self {
            clients: clients.count,
            clients_bytes: clients.memory_bytes,
            log_buffer_bytes: shard.engine.effects.journal.waiting_bytes() as u64,
            machines_bytes: machines.eval as u64,
            machines_functions_bytes: machines.functions as u64,
            databases: databases
                .indices()
                .map(|index| databases.get(index))
                .map(|keyspace| (keyspace.len() as u64, keyspace.table_bytes() as u64))
                .collect(),
        }
    }

    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.clients_bytes += other.clients_bytes;
        self.log_buffer_bytes += other.log_buffer_bytes;
        self.machines_bytes += other.machines_bytes;
        self.machines_functions_bytes += other.machines_functions_bytes;
        let databases = self.databases.len().max(other.databases.len());
        self.databases.resize(databases, (0, 0));
        for (mine, theirs) in self.databases.iter_mut().zip(&other.databases) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
    }
}

/// The memory of the whole process, in bytes.
#[derive(Clone, Default)]
pub struct Footprint {
    pub parts: Part,
    /// What EVAL and SCRIPT LOAD have brought.
    pub scripts: ScriptCounts,
    /// What FUNCTION LOAD has brought.
    pub functions: FunctionCounts,
    /// What all allocations take.
    pub used: u64,
    /// The most of it when somebody looked.
    pub peak: u64,
    /// Unix seconds of that.
    pub peak_unix_s: u64,
    /// What was in use before there was any data.
    pub startup: u64,
    /// What the allocator has in RAM: anonymous memory of the process, in which next to the
    /// allocator's there are only the stacks of its threads. What the allocator calls committed is
    /// no measure: on Linux it is all that it has reserved, a gigabyte and more, touched or not.
    pub held: u64,
    /// What of the process is in RAM.
    pub resident: u64,
    /// What is no data.
    pub overhead: u64,
    pub dataset: u64,
    pub keys: u64,
}

/// What INFO tells of functions.
#[derive(Clone, Copy, Default)]
pub struct FunctionCounts {
    pub libraries: u64,
    pub functions: u64,
    pub bytes: u64,
}

impl FunctionCounts {
    fn of(libraries: &Libraries) -> Self {
        Self {
            libraries: libraries.iter().len() as u64,
            functions: libraries.function_count() as u64,
            bytes: libraries.memory_bytes() as u64,
        }
    }
}

impl Footprint {
    /// From the sum of all shards' parts, just asked for.
    pub fn of(process: &Process, parts: Part) -> Self {
        let used = process.memory.used_bytes(unix_s());
        let startup = process.startup_memory.load(Ordering::Relaxed);
        let startup = u64::try_from(startup).unwrap_or(0);
        let tables: u64 = parts.databases.iter().map(|(_, bytes)| bytes).sum();
        // A table that is empty was there at the start.
        let tables = if parts.is_empty() { 0 } else { tables };
        let scripts = process.scripts.counts();
        let functions = FunctionCounts::of(&process.scripts.libraries.current());
        let overhead = startup + parts.clients_bytes + parts.log_buffer_bytes + tables;
        let machines = parts.machines_bytes + parts.machines_functions_bytes;
        let of_scripts = machines + scripts.bytes as u64 + functions.bytes;
        let overhead = (overhead + of_scripts).min(used);
        Self {
            scripts,
            functions,
            used,
            peak: process.memory.peak_bytes(),
            startup,
            peak_unix_s: process.memory.peak_unix_s(),
            held: held_bytes(),
            resident: resident_bytes(),
            overhead,
            dataset: used - overhead,
            keys: parts.databases.iter().map(|(keys, _)| keys).sum(),
            parts,
        }
    }

    /// What came after the start.
    pub fn grown(&self) -> u64 {
        self.used.saturating_sub(self.startup)
    }

    /// The dataset's part of what came after the start, in per cent.
    pub fn dataset_percent(&self) -> f64 {
        100.0 * ratio(self.dataset, self.grown()).min(1.0)
    }
}

impl Part {
    fn is_empty(&self) -> bool {
        self.databases.iter().all(|(keys, _)| *keys == 0)
    }
}

/// Memory of the process that is in RAM, in bytes; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    kilobytes_of("/proc/self/status", "VmRSS:")
}

/// The part of it that is not of files, in bytes.
fn held_bytes() -> u64 {
    kilobytes_of("/proc/self/status", "RssAnon:")
}

/// Memory of this machine, in bytes; 0 where the system does not tell.
pub fn machine_bytes() -> u64 {
    kilobytes_of("/proc/meminfo", "MemTotal:")
}

/// The bytes behind `name` in a file of `name: N kB` lines.
fn kilobytes_of(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next());
    let kilobytes = kilobytes.and_then(|text| text.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

/// `part / whole`, 0 where there is no whole.
pub fn ratio(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64,
    }
}

/// `more - less`, which may be negative.
pub fn difference(more: u64, less: u64) -> i64 {
    more.cast_signed().wrapping_sub(less.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_shards_add_up() {
        let mut sum = Part::default();
        let part = Part {
            clients: 1,
            clients_bytes: 2,
            log_buffer_bytes: 3,
            machines_bytes: 6,
            machines_functions_bytes: 7,
            databases: vec![(4, 5), (0, 1)],
        };
        sum.add(&part);
        sum.add(&part);
        assert_eq!(
            (sum.clients, sum.clients_bytes, sum.log_buffer_bytes),
            (2, 4, 6)
        );
        assert_eq!((sum.machines_bytes, sum.machines_functions_bytes), (12, 14));
        assert_eq!(sum.databases, [(8, 10), (0, 2)]);
        assert!(Part::default().is_empty() && !sum.is_empty());
    }

    #[test]
    fn the_system_tells_what_is_resident() {
        assert!(resident_bytes() > 0);
        assert!((1..=resident_bytes()).contains(&held_bytes()));
        assert!(machine_bytes() > resident_bytes());
        assert_eq!(kilobytes_of("/proc/self/status", "Nonsense:"), 0);
        assert_eq!((difference(1, 3), ratio(1, 0)), (-2, 0.0));
    }
}
