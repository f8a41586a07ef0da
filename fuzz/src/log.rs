//! The reader of logs.

use storage::aof::{Reader, Record, Stop};

/// Reads bytes as a log, to its end or to what is no log.
///
/// # Panics
/// Where the reader makes no progress, or tells of places that are not in the file.
pub fn log(bytes: &[u8]) {
    let len = bytes.len() as u64;
    let mut reader = Reader::new(Box::new(bytes.to_vec()), len, 0);
    assert_eq!(reader.len(), len);
    loop {
        let before = reader.at();
        match reader.read() {
            Ok(Record::End) => {
                assert_eq!(reader.at(), len);
                return;
            }
            Ok(Record::Command) => {
                let (command, places) = reader.command();
                assert_eq!(command.len() as u64, reader.at() - before);
                assert!(!places.is_empty());
                let args: usize = reader.args().map(<[u8]>::len).sum();
                assert!(args < command.len());
            }
            Ok(Record::Time(_) | Record::Note) => {}
            // What is kept of a torn log ends where the torn record begins.
            Err(Stop::Torn { at }) => {
                assert_eq!(at, before);
                return;
            }
            Err(Stop::Damaged(damage)) => {
                assert!((before..=len).contains(&damage.at), "{damage:?}");
                return;
            }
        }
        assert!((before + 1..=len).contains(&reader.at()));
    }
}
