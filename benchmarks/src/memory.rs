//! `memory`: resident bytes a key, all included: what the server's resident memory grew by while it was filled, over the keys.

use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::report::{Cell, Table};
use crate::servers::{REDIS, Selection, Server, Subject, kevy, percore};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), kevy(2), percore(1), percore(2), percore(4)];

/// What percore promises for a 16-byte key with a 16-byte value.
const BYTES_MAX: f64 = 64.0;
/// Time for work put off, such as Redis's rehashing, to end.
const SETTLE: Duration = Duration::from_secs(3);

/// Fills each server with `keys` keys.
pub fn run(selection: &Selection, keys: u64) -> Result<Vec<Table>> {
    let columns = [
        "server",
        "before MiB",
        "after MiB",
        "bytes/key",
        "fill s",
        "bound",
        "verdict",
    ];
    let mut table = Table::new(
        format!("Resident memory: {keys} keys of 16 bytes with 16-byte values"),
        &columns,
    );
    for subject in selection.subjects(SUBJECTS, &mut table)? {
        eprintln!("filling {subject}");
        let server = Server::start(selection, subject)?;
        let mut connection = server.connect()?;
        // The first commands bring in code and buffers that are no key's.
        connection.set_batch(0..1)?;
        let before = server.process.resident_bytes()?;
        let started = Instant::now();
        connection.fill(keys)?;
        let filling = started.elapsed();
        thread::sleep(SETTLE);
        let after = server.process.resident_bytes()?;
        let bytes = after.saturating_sub(before) as f64 / keys as f64;
        let mut cells = vec![
            subject.to_string().into(),
            Cell::Figure(mib(before), 1),
            Cell::Figure(mib(after), 1),
            Cell::Figure(bytes, 1),
            Cell::Figure(filling.as_secs_f64(), 1),
        ];
        if subject.product == percore(1).product {
            cells.extend([
                Cell::Figure(BYTES_MAX, 1),
                if bytes <= BYTES_MAX {
                    "holds"
                } else {
                    "BROKEN"
                }
                .into(),
            ]);
        } else {
            cells.extend([Cell::Absent, "".into()]);
        }
        table.row(cells);
    }
    Ok(vec![table])
}

/// Bytes as MiB.
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
