//! Snapshots, from outside: Redis's files and ours are read by either, a file is of one instant, it is written when it should be, and
//! nothing that happens to the disk or to the file costs data or goes unsaid.

mod cut;
mod values;

use tests::Wire;
use tests::server::{START_TIME_MAX, eventually};

/// What a field of INFO says, 0 where it says no number.
fn told(wire: &mut Wire, section: &str, field: &str) -> i64 {
    let info = wire.ask(&format!("INFO {section}"));
    let text = String::from_utf8_lossy(info.text()).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO {section} has no {field}:\n{text}"))
        .trim()
        .parse()
        .unwrap_or(0)
}

/// Waits until no snapshot is being written.
fn snapshot_done(wire: &mut Wire) {
    eventually("the snapshot's end", START_TIME_MAX, || {
        told(wire, "persistence", "rdb_bgsave_in_progress") == 0
    });
}

/// Writes a snapshot, and returns when it is there.
fn save(wire: &mut Wire) {
    assert_eq!(wire.ask("SAVE").text(), b"OK");
}
