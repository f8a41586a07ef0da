//! The append-only log, from outside: kills, full disks, broken files, and whether replaying it
//! gives back what there was.

mod disk;
mod faults;
mod kill;
mod pipeline;
mod power;
mod redis_log;
mod replay;
mod scripts;
mod sent;
mod stop;
mod workload;

/// What the environment says of a number, `default` where it says nothing.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
