//! Messages as their subscribers get them: encoded once, and shared by all who get them.

use std::mem;

use bytes::Bytes;
use engine::header::ClientToken;
use protocol::args::Args;
use protocol::reply::{Reply, Version};
use smallvec::SmallVec;

use crate::pubsub::{Name, Topic};

/// A run with more is closed, and another one begun.
pub(super) const RUN_BYTES_MAX: usize = 256 * 1024;

/// A payload of this size is not copied into the run but becomes a piece of its own.
const PAYLOAD_APART_BYTES_MIN: usize = 32 * 1024;

/// Room that a run begins with.
const RUN_BYTES_MIN: usize = 256;

/// A part of what is told, in RESP2, and where in it messages begin: in RESP3 their first byte is
/// another one.
#[derive(Clone)]
struct Piece {
    bytes: Bytes,
    begins: SmallVec<[u32; 4]>,
}

/// What those get who have subscribed to one name.
#[derive(Clone)]
pub struct Delivery {
    pub(super) name: Name,
    pieces: SmallVec<[Piece; 1]>,
    pub(super) bytes: usize,
    /// Its place in the order of all.
    pub(super) number: u64,
    /// It is for those who had subscribed when the registry had this version.
    pub(super) version: u64,
    /// The publisher itself, who is told behind its reply.
    pub(super) except: Option<ClientToken>,
}

impl Delivery {
    /// What a subscriber with this version is sent.
    pub(super) fn shaped(&self, version: Version) -> SmallVec<[Bytes; 1]> {
        let shape = |piece: &Piece| match version {
            Version::Resp2 => piece.bytes.clone(),
            Version::Resp3 if piece.begins.is_empty() => piece.bytes.clone(),
            Version::Resp3 => {
                let mut bytes = piece.bytes.to_vec();
                for &at in &piece.begins {
                    bytes[at as usize] = b'>';
                }
                bytes.into()
            }
        };
        self.pieces.iter().map(shape).collect()
    }
}

/// Messages that are being encoded.
#[derive(Default)]
pub(super) struct Frames {
    done: SmallVec<[Piece; 1]>,
    open: Vec<u8>,
    begins: SmallVec<[u32; 4]>,
    bytes: usize,
}

impl Frames {
    /// Appends a message to those who want it under `name`.
    pub(super) fn push(&mut self, name: &Name, channel: &[u8], payload: &Payload<'_>) {
        let before = self.open.len();
        let len = payload.bytes().len();
        if before == 0 {
            self.open
                .reserve(RUN_BYTES_MIN.max(2 * len.min(RUN_BYTES_MAX)));
        }
        // Far below u32::MAX: an open part ends at RUN_BYTES_MAX, and a longer name is a piece's
        // only one.
        self.begins.push(before as u32);
        let mut reply = Reply::new(&mut self.open, Version::Resp2);
        match name.topic {
            Topic::Channel => {
                reply.push(3);
                reply.bulk(b"message");
            }
            Topic::ShardChannel => {
                reply.push(3);
                reply.bulk(b"smessage");
            }
            Topic::Pattern => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(&name.text);
            }
        }
        reply.bulk(channel);
        match payload {
            Payload::Apart(payload) => {
                reply.bulk_header(len);
                self.seal();
                self.bytes += len;
                self.done.push(Piece {
                    bytes: payload.clone(),
                    begins: SmallVec::new(),
                });
                self.open.extend_from_slice(b"\r\n");
            }
            Payload::Short(payload) => reply.bulk(payload),
        }
    }

    /// How much has been encoded.
    pub(super) fn len(&self) -> usize {
        self.bytes + self.open.len()
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.bytes += self.open.len();
            self.done.push(Piece {
                bytes: mem::take(&mut self.open).into(),
                begins: mem::take(&mut self.begins),
            });
        }
    }

    /// What has been encoded, for those who had subscribed to `name` by `version`.
    pub(super) fn deliver(mut self, name: Name, number: u64, version: u64) -> Delivery {
        self.seal();
        Delivery {
            name,
            pieces: self.done,
            bytes: self.bytes,
            number,
            version,
            except: None,
        }
    }
}

/// What is published.
pub enum Payload<'a> {
    Short(&'a [u8]),
    /// Long enough to travel by itself.
    Apart(Bytes),
}

impl<'a> Payload<'a> {
    /// The argument at `at`.
    pub fn of(args: &Args<'a>, at: usize) -> Self {
        if args[at].len() >= PAYLOAD_APART_BYTES_MIN {
            Self::Apart(args.to_bytes(at))
        } else {
            Self::Short(args.get(at).unwrap_or_default())
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Apart(bytes) => bytes,
        }
    }
}

/// `delivery` in the shape of `version`, made when it is first asked for.
pub(super) fn shaped_for<'a>(
    delivery: &Delivery,
    version: Version,
    shaped: &'a mut [Option<SmallVec<[Bytes; 1]>>; 2],
) -> &'a [Bytes] {
    shaped[version as usize].get_or_insert_with(|| delivery.shaped(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(delivery: &Delivery, version: Version) -> String {
        let whole = delivery.shaped(version).concat();
        String::from_utf8(whole).expect("text")
    }

    #[test]
    fn messages_of_a_run_are_one_text_in_either_shape() {
        let name = Name {
            topic: Topic::Channel,
            text: b"c".as_slice().into(),
        };
        let mut frames = Frames::default();
        frames.push(&name, b"c", &Payload::Short(b"*3"));
        frames.push(&name, b"c", &Payload::Apart(Bytes::from_static(b"*4")));
        frames.push(&name, b"c", &Payload::Short(b""));
        let len = frames.len();
        let delivery = frames.deliver(name, 1, 1);
        let expected = |push: char| {
            ["$2\r\n*3", "$2\r\n*4", "$0\r\n"]
                .map(|payload| format!("{push}3\r\n$7\r\nmessage\r\n$1\r\nc\r\n{payload}\r\n"))
                .concat()
        };
        assert_eq!(text(&delivery, Version::Resp2), expected('*'));
        assert_eq!(text(&delivery, Version::Resp3), expected('>'));
        assert_eq!((delivery.bytes, len), (expected('*').len(), len));
        assert_eq!(delivery.bytes, len);
    }
}
