//! What this process asks of the kernel for itself: its cores, and how many files it and its
//! children may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::process::Cores;
use crate::{Error, Result};

/// Keeps this thread, and those it starts from now on, on `cores`.
pub fn pin_self(cores: Cores) -> Result<()> {
    let mut set = CpuSet::new();
    for core in cores.split(',') {
        set.set(core.parse()?);
    }
    sched_setaffinity(None, &set).map_err(|error| {
        Error::from(format!(
            "cannot run on cores {cores}: {error}; two cores are needed"
        ))
    })
}

/// Raises the limit on open files to `files` at least.
pub fn allow_open_files(files: u64) -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|maximum| maximum < files) {
        return Err(format!("{files} open files are needed: raise the hard limit (`ulimit -Hn`), or ask for fewer connections").into());
    }
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?)
}
