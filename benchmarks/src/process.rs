//! A child process that cannot outlive us, pinned to chosen cores, and what the kernel says about
//! it.
//!
//! Invariants: a child is killed and reaped when its `Process` is dropped, and killed by the kernel
//! when we die in any other way (a signal, an abort). The second needs the parent-death signal,
//! which a child must ask for itself between fork and exec. `setpriv` does that for us, so that no
//! `unsafe` stands here; the signal belongs to the *thread* that started the child, hence children
//! are started from the main thread alone.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::{Error, Result};

/// Clock ticks a second in `/proc/PID/stat`: part of Linux's ABI towards programs, whatever the
/// kernel's own tick is.
const TICKS_PER_SECOND: u64 = 100;

/// A set of cores in taskset's notation, such as `0` or `0,1`.
pub type Cores = &'static str;

/// A running child.
pub struct Process {
    child: Child,
    name: String,
}

/// The command that runs `program` on `cores` and dies with us. The wrappers replace themselves by
/// `program`, so that the child's id is the program's own.
pub fn pinned(program: &Path, cores: Cores) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", "taskset", "-c", cores])
        .arg(program)
        .stdin(Stdio::null());
    command
}

impl Process {
    /// Starts `command` with both output streams in the file `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let log = File::create(log)?;
        let child = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| {
                Error::from(format!(
                    "cannot start {name} through setpriv and taskset (package util-linux): {error}"
                ))
            })?;
        Ok(Process {
            child,
            name: name.to_string(),
        })
    }

    /// How the process ended, when it has.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// CPU time of all its threads so far, user and system: as the scheduler counts it, or to 10 ms
    /// on a kernel that does not tell that.
    pub fn cpu_time(&self) -> Result<Duration> {
        if let Some(nanos) = scheduled_nanos(self.child.id()) {
            return Ok(Duration::from_nanos(nanos));
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let ticks = cpu_ticks(&stat).ok_or_else(|| {
            Error::from(format!(
                "{} is gone, or its /proc entry is not understood",
                self.name
            ))
        })?;
        Ok(Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND)))
    }

    /// Resident memory in bytes as the kernel's counters have it: right to some hundred KiB, and
    /// looking costs the process nothing.
    pub fn resident_bytes_roughly(&self) -> Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages = statm
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse::<u64>().ok());
        let pages = pages.ok_or_else(|| Error::from(format!("{} is gone", self.name)))?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// Resident memory in bytes. From `smaps_rollup`, which walks the pages: the counters behind
    /// `VmRSS` may lag on each core.
    pub fn resident_bytes(&self) -> Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        resident(&rollup).ok_or_else(|| {
            Error::from(format!(
                "{} is gone, or its /proc entry is not understood",
                self.name
            ))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all threads of a process have run together. Servers' threads last as long as they do, so
/// none is missing.
fn scheduled_nanos(process: u32) -> Option<u64> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let nanos = threads.map(|thread| {
        let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    nanos.sum()
}

/// `utime + stime` of a `/proc/PID/stat` line. Fields are counted from the last `)`, since a
/// program's name may hold spaces.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The bytes in the line `Rss: N kB`.
fn resident(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_user_plus_system_whatever_the_name() {
        let stat = "7 (a b) c) S 1 2 3 0 -1 4 5 0 6 0 21 35 0 0 20";
        assert_eq!(cpu_ticks(stat), Some(56));
        assert_eq!(cpu_ticks("7 (gone"), None);
    }

    #[test]
    fn what_threads_have_run_adds_up() {
        const PATIENCE: Duration = Duration::from_secs(20);
        // Not our own: threads of other tests end meanwhile, and what they have run goes with them.
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        let process = Process::start("sh", command, &directory.path().join("log")).unwrap();
        let Some(before) = scheduled_nanos(process.child.id()) else {
            return;
        };
        let began = std::time::Instant::now();
        while scheduled_nanos(process.child.id()).is_some_and(|after| after == before) {
            assert!(began.elapsed() < PATIENCE, "it does not grow");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(scheduled_nanos(process.child.id()).is_some_and(|after| after > before));
    }

    #[test]
    fn resident_memory_is_in_kib() {
        assert_eq!(
            resident("00400000-7ff [rollup]\nRss:        12 kB\nPss: 3 kB\n"),
            Some(12288)
        );
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("100");
        let process = Process::start("sleep", command, &directory.path().join("log")).unwrap();
        let stat = format!("/proc/{}/stat", process.child.id());
        assert!(Path::new(&stat).exists());
        drop(process);
        assert!(!Path::new(&stat).exists());
    }
}
