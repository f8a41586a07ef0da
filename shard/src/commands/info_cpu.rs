//! INFO's figures about CPU time and about the threads that run shards.

use std::fmt::Write;
use std::fs;

use crate::shard::Shard;

/// Seconds of CPU, in kernel and in user mode.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct CpuTime {
    pub system: f64,
    pub user: f64,
}

impl CpuTime {
    /// Of the whole process.
    pub fn of_process() -> Self {
        Self::of("/proc/self/stat")
    }

    /// Of the calling thread.
    pub fn of_this_thread() -> Self {
        Self::of("/proc/thread-self/stat")
    }

    /// Nothing where the system does not tell.
    fn of(path: &str) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text).unwrap_or_default()
    }

    /// From the text of a `stat` file.
    fn parse(text: &str) -> Option<Self> {
        /// The kernel counts for user space in hundredths, on every architecture that this is built
        /// for.
        const TICKS_PER_SECOND: f64 = 100.0;
        // The name of the program may hold anything but ends with the last parenthesis. User time
        // is field 14 of the line, twelve behind it.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(11);
        let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        let user = seconds()?;
        let system = seconds()?;
        Some(Self { system, user })
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: Self) {
        self.system += other.system;
        self.user += other.user;
    }
}

/// What one shard does for its connections. Redis 8 tells the same of its threads for input and
/// output.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Traffic {
    pub clients: u64,
    pub reads: u64,
    pub writes: u64,
}

impl Traffic {
    /// Of this shard.
    pub fn of(shard: &Shard) -> Self {
        Self {
            clients: shard.connections.clients.len() as u64,
            reads: shard.engine.stats.reads,
            writes: shard.engine.stats.writes,
        }
    }
}

/// A line for each shard.
pub fn write_threads(shards: &[Traffic], out: &mut String) -> std::fmt::Result {
    for (number, traffic) in shards.iter().enumerate() {
        let Traffic {
            clients,
            reads,
            writes,
        } = traffic;
        write!(
            out,
            "io_thread_{number}:clients={clients},reads={reads},writes={writes}\r\n"
        )?;
    }
    Ok(())
}

/// The lines of the section about CPU. No thread is the main one: all that run shards are, as
/// commands run on them.
pub fn write_cpu(of_shards: CpuTime, out: &mut String) -> std::fmt::Result {
    let process = CpuTime::of_process();
    for (name, seconds) in [
        ("used_cpu_sys", process.system),
        ("used_cpu_user", process.user),
        ("used_cpu_sys_children", 0.0),
        ("used_cpu_user_children", 0.0),
        ("used_cpu_sys_main_thread", of_shards.system),
        ("used_cpu_user_main_thread", of_shards.user),
    ] {
        write!(out, "{name}:{seconds:.6}\r\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let text = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 125 0";
        let found = CpuTime::parse(text).expect("two times");
        assert_eq!((found.user, found.system), (2.5, 1.25));
        assert_eq!(CpuTime::parse(""), None);
    }

    #[test]
    fn shards_are_told_apart() {
        let busy = Traffic {
            clients: 1,
            reads: 2,
            writes: 3,
        };
        let mut text = String::new();
        write_threads(&[busy, Traffic::default()], &mut text).expect("written");
        assert_eq!(
            text,
            "io_thread_0:clients=1,reads=2,writes=3\r\nio_thread_1:clients=0,reads=0,writes=0\r\n"
        );
    }
}
