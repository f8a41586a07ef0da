//! Passwords, of which only the SHA-256 is kept.

use std::fmt::Write;
use std::hint::black_box;

use sha2::{Digest, Sha256};

const BYTES: usize = 32;

/// The SHA-256 of a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasswordHash([u8; BYTES]);

impl PasswordHash {
    /// That of this password.
    pub fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// From its 64 lower-case hexadecimal digits.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        if digits.len() != 2 * BYTES {
            return None;
        }
        let mut hash = [0; BYTES];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }

    /// Its 64 digits.
    pub fn digits(&self) -> String {
        let mut text = String::with_capacity(2 * BYTES);
        for byte in self.0 {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        let mut different = 0;
        for (one, other) in self.0.iter().zip(other.0) {
            different |= black_box(one ^ other);
        }
        black_box(different) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digits_there_and_back() {
        let hash = PasswordHash::of(b"abc");
        assert_eq!(hash.digits(), ABC);
        assert_eq!(PasswordHash::parse(ABC.as_bytes()), Some(hash));
        assert!(hash.matches(&PasswordHash::of(b"abc")));
        assert!(!hash.matches(&PasswordHash::of(b"abd")));
        assert_eq!(PasswordHash::parse(ABC.to_uppercase().as_bytes()), None);
        assert_eq!(PasswordHash::parse(&ABC.as_bytes()[1..]), None);
    }
}
