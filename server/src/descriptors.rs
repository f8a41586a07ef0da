//! Room for as many connections as `maxclients` says: each needs a file descriptor, and the usual
//! limit is 1024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::Failure;

/// Descriptors for logs, data files and what the system's libraries open.
const RESERVED: u64 = 32;
/// Descriptors of each shard: ring or epoll, doorbell and its reader, listeners.
const RESERVED_EACH_SHARD: u64 = 16;

/// Raises the limit of open files towards what `maxclients` needs. Returns how many clients may
/// come: fewer where the system does not allow it.
pub fn raise(maxclients: u32, shards: usize) -> Result<u32, Failure> {
    let reserved = RESERVED + RESERVED_EACH_SHARD * shards as u64;
    let wanted = u64::from(maxclients) + reserved;
    let limit = getrlimit(Resource::Nofile);
    // No figure means no limit.
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= wanted {
        return Ok(maxclients);
    }
    let hard = limit.maximum.unwrap_or(u64::MAX);
    // Root may raise the hard limit, too; everybody else gets up to it.
    let raised = [(wanted, wanted.max(hard)), (wanted.min(hard), hard)]
        .into_iter()
        .find(|&(current, maximum)| {
            setrlimit(
                Resource::Nofile,
                Rlimit {
                    current: Some(current),
                    maximum: limit.maximum.map(|_| maximum),
                },
            )
            .is_ok()
        });
    let got = raised.map_or(soft, |(current, _)| current);
    if got >= wanted {
        info!(from = soft, to = got, "raised the limit of open files");
        return Ok(maxclients);
    }
    let fits = u32::try_from(got.saturating_sub(reserved)).unwrap_or(maxclients);
    if fits == 0 {
        return Err(Failure(format!(
            "the limit of {got} open files leaves no room for clients; raise it with 'ulimit -n {wanted}' or start fewer --shards"
        )));
    }
    warn!(
        maxclients,
        fits,
        limit = got,
        "the limit of open files is too low for maxclients, which is lowered; raise it with 'ulimit -n {wanted}'"
    );
    Ok(fits)
}
