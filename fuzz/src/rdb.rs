//! The reader of snapshots.

use storage::rdb::{Compression, FileReader, Limits, Section, dump, restore};

/// Bytes of memory that a byte of a file may come to, as in the tests of `storage::rdb`.
const BYTES_PER_BYTE_MAX: usize = 128;

/// Reads bytes as a snapshot, to its end or to the first damage, and does the same without building values.
///
/// # Panics
/// Where a value takes memory out of proportion, or does not come back from its own dump; and where a file that is read whole cannot
/// be passed over.
pub fn rdb(bytes: &[u8]) {
    let limits = Limits::default();
    let read = |wanted: bool| {
        let mut reader = FileReader::new(Box::new(bytes.to_vec()), bytes.len() as u64).ok()?;
        loop {
            let before = reader.at();
            let part = reader.next(&limits, |_, _| wanted).ok()?;
            assert!(reader.at() > before && reader.at() <= bytes.len() as u64);
            match part {
                Section::End => return Some(()),
                Section::Key(key) => {
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
                Section::Aux(..)
                | Section::Database(_)
                | Section::Passed
                | Section::Function(_) => {}
            }
        }
    };
    if read(true).is_some() {
        assert!(read(false).is_some(), "read, and not passed over");
    } else {
        read(false);
    }
}
