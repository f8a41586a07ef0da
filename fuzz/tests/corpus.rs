//! The corpus, and each of its inputs cut short, through the functions that cargo-fuzz runs.

use std::fs;
use std::path::Path;

/// Inputs are cut at so many places at most.
const CUTS_MAX: usize = 100;

fn feed(target: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut inputs = 0;
    for file in fs::read_dir(directory).expect("a corpus") {
        let bytes = fs::read(file.expect("a file").path()).expect("a file that can be read");
        let step = bytes.len().div_ceil(CUTS_MAX).max(1);
        for end in (0..bytes.len()).step_by(step) {
            run(&bytes[..end]);
        }
        run(&bytes);
        inputs += 1;
    }
    assert!(inputs > 0, "an empty corpus");
}

#[test]
fn requests() {
    feed("resp", fuzz::resp);
}

#[test]
fn snapshots() {
    feed("rdb", fuzz::rdb);
}

#[test]
fn logs() {
    feed("log", fuzz::log);
}

#[test]
fn users() {
    feed("acl", fuzz::acl);
}
