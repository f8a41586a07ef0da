//! DUMP and RESTORE: one value with its type in front, and version and checksum behind.

use super::codes::Type;
use super::decode::{self, Decoded, Limits};
use super::read::Input;
use super::write::Compression;
use super::{CRC, Format, VERSION, encode};
use crate::entry::Entry;

/// Bytes behind the value.
const FOOTER_BYTES: usize = 10;

/// Why bytes are no payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotPayload {
    /// Another version than those up to ours, or not the checksum of what stands before it.
    VersionOrChecksum,
    /// The value cannot be read.
    Damaged,
}

/// What DUMP answers for a value.
pub fn dump(entry: &Entry, compression: Compression) -> Vec<u8> {
    let mut out = vec![encode::type_of(entry, Format::Current) as u8];
    encode::value(entry, &mut out, Format::Current, compression);
    seal(&mut out);
    out
}

/// Puts version and checksum behind what is to be a payload.
pub(super) fn seal(out: &mut Vec<u8>) {
    out.extend(VERSION.to_le_bytes());
    let checksum = CRC.checksum(out);
    out.extend(checksum.to_le_bytes());
}

/// What stands in a payload before version and checksum, which are right.
pub(super) fn body_of(payload: &[u8]) -> Result<&[u8], NotPayload> {
    let body = payload
        .len()
        .checked_sub(FOOTER_BYTES)
        .ok_or(NotPayload::VersionOrChecksum)?;
    let (body, footer) = payload.split_at(body);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let mut digest = CRC.digest();
    digest.update(body);
    digest.update(&footer[..2]);
    if version > VERSION || digest.finalize().to_le_bytes() != footer[2..] {
        return Err(NotPayload::VersionOrChecksum);
    }
    Ok(body)
}

/// The value in a payload, as an entry of `key` without a deadline. `None` for a collection without
/// elements.
pub fn restore(key: &[u8], payload: &[u8], limits: &Limits) -> Result<Option<Entry>, NotPayload> {
    let body = body_of(payload)?;
    let mut input = Input::memory(body);
    let damaged = |_| NotPayload::Damaged;
    let code = input.byte().map_err(damaged)?;
    let of = Type::new(code).ok_or(NotPayload::Damaged)?;
    let decoded = decode::value(&mut input, of, limits).map_err(damaged)?;
    if input.remaining() > 0 {
        return Err(NotPayload::Damaged);
    }
    Ok(match decoded {
        Decoded::String(text) => Some(Entry::owned_string(key, text, None)),
        Decoded::Object(object) => Some(Entry::object(key, object, None)),
        Decoded::Empty => None,
    })
}
