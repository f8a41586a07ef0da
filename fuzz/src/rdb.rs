//! The reader of snapshots.

use storage::rdb::{Compression, FileReader, Limits, Part, dump, restore};

use crate::file_of;

/// Bytes of memory that a byte of a file may come to, as in the tests of `storage::rdb`.
const BYTES_PER_BYTE_MAX: usize = 128;

/// Reads bytes as a snapshot, to its end or to the first damage, and does the same without building values.
///
/// # Panics
/// Where a value takes memory out of proportion, or does not come back from its own dump; and where a file that is read whole cannot
/// be passed over.
pub fn rdb(bytes: &[u8]) {
    let file = file_of(bytes);
    let limits = Limits::default();
    let read = |wanted: bool| {
        let mut reader = FileReader::open(file.path()).ok()?;
        loop {
            let before = reader.at();
            let part = reader.next(&limits, |_, _| wanted).ok()?;
            assert!(reader.at() > before && reader.at() <= bytes.len() as u64);
            match part {
                Part::End => return Some(()),
                Part::Key(key) => {
                    let held = key.entry.memory_bytes();
                    assert!(
                        held <= bytes.len() * BYTES_PER_BYTE_MAX + 4_096,
                        "{held} bytes"
                    );
                    let payload = dump(&key.entry, Compression::Lzf);
                    let again = restore(b"k", &payload, &limits);
                    assert!(
                        again.is_ok_and(|it| it.is_some()),
                        "its own dump is refused"
                    );
                }
                Part::Told(..) | Part::Database(_) | Part::Passed | Part::Function(_) => {}
            }
        }
    };
    if read(true).is_some() {
        assert!(read(false).is_some(), "read, and not passed over");
    } else {
        read(false);
    }
}
