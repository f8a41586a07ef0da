//! `memory`: resident bytes a key, all included: what the server's resident memory grew by while it
//! was filled, over the keys.

use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::report::Table;
use crate::servers::{Selection, Server};
use crate::subject::{Product, REDIS, Subject, kevy, percore};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), kevy(2), percore(1), percore(2), percore(4)];
/// What percore promises for a 16-byte key with a 16-byte value.
const BYTES_MAX: f64 = 64.0;
/// Time for work put off, such as Redis's rehashing, to end.
const SETTLE: Duration = Duration::from_secs(3);
const MIB: f64 = 1_048_576.0;

/// Fills each server with `keys` keys.
pub fn run(selection: &Selection, keys: u64) -> Result<Vec<Table>> {
    let figures = [
        ("before MiB", 1),
        ("after MiB", 1),
        ("bytes/key", 1),
        ("bound", 0),
        ("fill s", 1),
    ];
    let title = format!("Resident memory: {keys} keys of 16 bytes with 16-byte values");
    let mut table = Table::new(title, "server verdict", &figures);
    for subject in selection.subjects(SUBJECTS, &mut table)? {
        eprintln!("filling {subject}");
        let server = Server::start(selection, subject)?;
        let mut connection = server.connect()?;
        // The first commands bring in code and buffers that are no key's.
        connection.set_batch(0..1)?;
        let before = server.process.resident_bytes()?;
        let started = Instant::now();
        connection.fill(keys)?;
        let filling = started.elapsed().as_secs_f64();
        thread::sleep(SETTLE);
        let after = server.process.resident_bytes()?;
        let bytes = after.saturating_sub(before) as f64 / keys as f64;
        let (verdict, bound) = match subject.product {
            Product::Percore if bytes <= BYTES_MAX => ("holds", BYTES_MAX),
            Product::Percore => ("BROKEN", BYTES_MAX),
            Product::Redis | Product::Kevy => ("-", f64::NAN),
        };
        let (before, after) = (before as f64 / MIB, after as f64 / MIB);
        table.row(
            &[&subject, &verdict],
            &[before, after, bytes, bound, filling],
        );
    }
    Ok(vec![table])
}
