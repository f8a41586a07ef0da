//! DEBUG PROTOCOL: one reply of each kind, for people who write clients.

use engine::commands::options::is;
use engine::error::Error;
use protocol::reply::{Reply, Version};

use crate::client::Client;

const UNKNOWN_KIND: Error = Error::new(
    "ERR Wrong protocol type name. Please use one of the following: \
     string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
);

/// `DEBUG PROTOCOL kind`
#[allow(clippy::approx_constant)] // Redis's double is meant to look like pi, and to be just this.
pub fn show(client: &mut Client, kind: &[u8], reply: &mut Reply<'_>) -> Result<(), Error> {
    let kinds = [
        "string", "integer", "double", "null", "array", "set", "map", "attrib", "push", "verbatim",
        "true", "false", "bignum",
    ];
    let kind = kinds.into_iter().find(|name| is(kind, name));
    match kind.ok_or(UNKNOWN_KIND)? {
        "string" => reply.bulk(b"Hello World"),
        "integer" => reply.integer(12345),
        "double" => reply.double(3.141),
        "null" => reply.null(),
        "array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        "set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        "map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        "attrib" => {
            if reply.version() == Version::Resp3 {
                reply.raw(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        "push" if reply.version() == Version::Resp2 => {
            return Err(Error::new("ERR RESP2 is not supported by this command"));
        }
        "push" => {
            let mut push = Reply::new(&mut client.pushes, reply.version());
            push.push(2);
            push.bulk(b"server-cpu-usage");
            push.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        "verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        "bignum" => reply.big_number("1234567999999999999999999999999999999"),
        truth => reply.boolean(truth == "true"),
    }
    Ok(())
}
