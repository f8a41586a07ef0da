//! The reader of users' rules.

use acl::file;
use acl::selector::NewChannels;

/// Reads bytes as a file of users.
///
/// # Panics
/// Where the users that were read, written as a file, are not the same users when they are read.
pub fn acl(bytes: &[u8]) {
    let read = |text: &[u8]| file::parse(text, "users", NewChannels::None);
    let Ok(users) = read(bytes) else {
        return;
    };
    let written = file::write(&users);
    // In a selector quotes have a meaning for the reader, and none for the writer: as in Redis.
    let has_quotes = written.iter().any(|byte| b"\"'\\".contains(byte));
    if !has_quotes {
        let again = read(&written).map(|users| file::write(&users));
        assert_eq!(again, Ok(written));
    }
}
