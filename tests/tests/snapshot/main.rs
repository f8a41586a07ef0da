//! Snapshots, from outside: Redis's files and ours are read by either, a file is of one instant, it
//! is written when it should be, and nothing that happens to the disk or to the file costs data or
//! goes unsaid.

mod cut;
mod damage;
mod disk;
mod values;
mod when;

use tests::Wire;
use tests::contents::pipeline;
use tests::server::{START_TIME_MAX, eventually};

/// What a snapshot is called.
const FILE: &str = "dump.rdb";

/// Waits until no snapshot is being written.
fn snapshot_done(wire: &mut Wire) {
    eventually("the snapshot's end", START_TIME_MAX, || {
        wire.figure("rdb_bgsave_in_progress") == 0
    });
}

/// Writes a snapshot, and returns when it is there.
fn save(wire: &mut Wire) {
    assert_eq!(wire.ask("SAVE").text(), b"OK");
}

/// Puts so many small keys there.
fn fill(wire: &mut Wire, keys: usize) {
    const AT_ONCE: usize = 1_000;
    let sets: Vec<Vec<Vec<u8>>> = (0..keys)
        .step_by(AT_ONCE)
        .map(|first| {
            let pairs = (first..keys.min(first + AT_ONCE))
                .flat_map(|n| [format!("key:{n}"), n.to_string()].map(String::into_bytes));
            std::iter::once(b"MSET".to_vec()).chain(pairs).collect()
        })
        .collect();
    for reply in pipeline(wire, &sets) {
        assert_eq!(reply.text(), b"OK");
    }
}
