//! System calls that only make things better, where a filter may be that kills whoever makes them.
//!
//! Service managers and containers hand filters of system calls (seccomp) to what they start, and
//! some answer a call that they do not like with SIGSYS: the unit that Debian ships for Redis does
//! so with `sched_setaffinity` and `setpriority`. Nothing tells a process what its filter says,
//! short of making the call. So where there is a filter, the program starts itself once for each
//! kind of call; who comes back alive was permitted. Where there is none, nothing is started.

use std::process::{Child, Command, Stdio};

use rustix::process::DumpableBehavior;
use rustix::thread::SecureComputingMode;
use tracing::info;

use crate::{executor, snapshot};

/// Tells a process that it is there to make one kind of call, and then to end.
const TRIES: &str = "PERCORE_TRIES";

/// A kind of call, and what is done without where it is not permitted.
struct Kind {
    name: &'static str,
    without: &'static str,
    attempt: fn(),
}

const AFFINITY: Kind = Kind {
    name: "sched_setaffinity",
    without: "threads are not pinned to cores",
    attempt: executor::try_to_pin,
};

const PRIORITY: Kind = Kind {
    name: "setpriority",
    without: "a snapshot takes as much of a core as others",
    attempt: snapshot::file::give_way,
};

const RING: Kind = Kind {
    name: "io_uring",
    without: "epoll takes its place",
    attempt: executor::try_ring,
};

/// What may be tried. The system may refuse it all the same, as an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permitted {
    /// Threads may be pinned to cores.
    pub affinity: bool,
    /// Threads may give way to others.
    pub priority: bool,
    /// There may be rings of io_uring.
    pub ring: bool,
}

impl Permitted {
    /// What may be tried without a filter.
    pub const ALL: Self = Self {
        affinity: true,
        priority: true,
        ring: true,
    };

    /// Finds out, with other processes where there is a filter.
    pub fn find() -> Self {
        // A kernel that knows no filters says that it does not know the question.
        match rustix::thread::secure_computing_mode() {
            Ok(SecureComputingMode::Disabled) | Err(_) => return Self::ALL,
            Ok(_) => {}
        }
        // At once, as each takes some milliseconds.
        let [affinity, priority, ring] = [AFFINITY, PRIORITY, RING].map(Kind::begin);
        Self {
            affinity: affinity.outcome(),
            priority: priority.outcome(),
            ring: ring.outcome(),
        }
    }
}

/// A process that makes a kind of call, or none where it could not be started.
struct Trying {
    kind: Kind,
    process: Option<Child>,
}

impl Kind {
    fn begin(self) -> Trying {
        let program = std::env::current_exe();
        let process = program.and_then(|program| {
            Command::new(program)
                .env(TRIES, self.name)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        });
        Trying {
            kind: self,
            process: process.ok(),
        }
    }
}

impl Trying {
    /// Whether it came back alive.
    fn outcome(self) -> bool {
        let ended = self.process.map(|mut process| process.wait());
        let permitted = matches!(ended, Some(Ok(status)) if status.success());
        if !permitted {
            let Kind { name, without, .. } = self.kind;
            info!(
                call = name,
                "a filter of system calls does not permit this; {without}"
            );
        }
        permitted
    }
}

/// In a process that was started to try: does so, and returns true. Then there is nothing else to
/// do.
pub fn tried() -> bool {
    let Ok(name) = std::env::var(TRIES) else {
        return false;
    };
    // Its death is no crash that anybody is to look into.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    for kind in [AFFINITY, PRIORITY, RING] {
        if kind.name == name {
            (kind.attempt)();
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_not_started_to_try_does_not() {
        assert!(!tried());
    }

    #[test]
    fn what_is_tried_comes_back() {
        for kind in [AFFINITY, PRIORITY, RING] {
            // On a thread of its own, whose affinity and priority nobody needs.
            std::thread::spawn(move || (kind.attempt)())
                .join()
                .expect("no panic");
        }
    }
}
