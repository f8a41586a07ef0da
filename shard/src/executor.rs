//! One monoio executor a shard, and which driver it runs on.
//!
//! A default ring costs about 1.7 times the CPU of a tuned one, so the flags are tried from the
//! best down, once, before the shards start; a kernel that refuses one is stepped around with a log
//! line, and one without io_uring gets monoio's epoll driver.

pub mod thread_group;

use std::future::Future;
use std::io;

use config::IoDriver;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tracing::{info, warn};

/// Entries of a shard's submission queue.
const RING_ENTRIES: u32 = 1024;

/// How a shard's executor waits for input and output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// io_uring; completions are run when the shard asks for them, never by an interrupt of it.
    UringDeferTaskrun,
    /// io_uring; completions are run at the shard's next system call.
    UringCoopTaskrun,
    /// io_uring as the oldest kernels have it.
    UringPlain,
    /// epoll.
    Epoll,
}

impl Driver {
    /// Whether this is io_uring in some form.
    pub fn is_uring(self) -> bool {
        self != Self::Epoll
    }

    /// The name that logs and INFO show.
    pub fn name(self) -> &'static str {
        match self {
            Self::UringDeferTaskrun => "io_uring (defer_taskrun)",
            Self::UringCoopTaskrun => "io_uring (coop_taskrun)",
            Self::UringPlain => "io_uring",
            Self::Epoll => "epoll",
        }
    }

    fn ring_builder(self) -> io_uring::Builder {
        let mut ring = io_uring::IoUring::builder();
        match self {
            Self::UringDeferTaskrun => {
                ring.setup_single_issuer().setup_defer_taskrun();
            }
            Self::UringCoopTaskrun => {
                ring.setup_single_issuer().setup_coop_taskrun();
            }
            Self::UringPlain | Self::Epoll => {}
        }
        ring
    }

    const RINGS: [Self; 3] = [
        Self::UringDeferTaskrun,
        Self::UringCoopTaskrun,
        Self::UringPlain,
    ];

    /// Finds the best driver this kernel allows. `Err` where `wanted` is io_uring and the kernel
    /// has none, or none that is permitted.
    pub fn probe(wanted: IoDriver, ring_is_permitted: bool) -> io::Result<Self> {
        if wanted == IoDriver::Epoll {
            return Ok(Self::Epoll);
        }
        let mut refused = None;
        if !ring_is_permitted {
            let why = "a filter of system calls does not permit io_uring";
            refused = Some(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        for driver in Self::RINGS.into_iter().filter(|_| ring_is_permitted) {
            match driver.ring_builder().build(8) {
                Ok(_) => return Ok(driver),
                Err(error) => {
                    info!(driver = driver.name(), %error, "the kernel refuses this ring, stepping down");
                    refused = Some(error);
                }
            }
        }
        let error = refused.unwrap_or_else(|| io::ErrorKind::Unsupported.into());
        if wanted == IoDriver::Uring {
            return Err(error);
        }
        warn!(%error, "no io_uring here, running on epoll");
        Ok(Self::Epoll)
    }
}

/// Runs `main` to its end on an executor of this thread's own.
pub fn block_on<F: Future>(driver: Driver, main: F) -> io::Result<F::Output> {
    match driver {
        Driver::Epoll => {
            let mut runtime: Runtime<TimeDriver<LegacyDriver>> =
                RuntimeBuilder::<LegacyDriver>::new()
                    .enable_timer()
                    .build()?;
            Ok(runtime.block_on(main))
        }
        uring => {
            let mut runtime: Runtime<TimeDriver<IoUringDriver>> =
                RuntimeBuilder::<IoUringDriver>::new()
                    .with_entries(RING_ENTRIES)
                    .uring_builder(uring.ring_builder())
                    .enable_timer()
                    .build()?;
            Ok(runtime.block_on(main))
        }
    }
}

/// Makes the calls that pinning a thread makes, and leaves it where it is.
pub(crate) fn try_to_pin() {
    if let Ok(allowed) = sched_getaffinity(None) {
        let _ = sched_setaffinity(None, &allowed);
    }
}

/// Makes the calls that a ring makes.
pub(crate) fn try_ring() {
    for driver in Driver::RINGS {
        if let Ok(ring) = driver.ring_builder().build(8) {
            let _ = ring.submit();
        }
    }
}

/// Pins the calling thread to the `index`-th core it may use, where there is one core or more for
/// each of so many threads.
pub fn pin_thread(index: usize, threads: usize) {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|&core| allowed.is_set(core))
        .collect();
    if cores.len() < threads {
        return;
    }
    let mut one = CpuSet::new();
    one.set(cores[index]);
    if let Err(error) = sched_setaffinity(None, &one) {
        warn!(core = cores[index], %error, "could not pin the thread to its core");
    }
}
