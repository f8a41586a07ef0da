//! Hashes: fields set, read, counted and removed, and given times to live.
//!
//! The times are all far off: a field that goes at once would leave a reference behind that is
//! older than 7.4.

use super::{Command, Draw, command};
use crate::compare::Compare;

/// What a debug build on a busy machine takes between the two servers at most.
const SECONDS_APART: i64 = 15;

pub fn seed(draw: &mut Draw) -> Command {
    fields(draw, "HSET")
}

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..40) {
        0..6 => seed(draw),
        6 => fields(draw, "HMSET"),
        7 => command("HSETNX")
            .arg(draw.key())
            .arg(draw.member())
            .arg(draw.value()),
        8..11 => command("HGET").arg(draw.key()).arg(draw.member()),
        11..13 => command("HMGET").arg(draw.key()).args(draw.members(4)),
        13..15 => command("HDEL").arg(draw.key()).args(draw.members(4)),
        15..18 => command("HGETALL")
            .arg(draw.key())
            .compare(Compare::PairsInAnyOrder),
        18 => command(draw.pick(&["HKEYS", "HVALS"]))
            .arg(draw.key())
            .any_order(),
        19 => command("HLEN").arg(draw.key()),
        20 => command("HEXISTS").arg(draw.key()).arg(draw.member()),
        21 => command("HSTRLEN").arg(draw.key()).arg(draw.member()),
        22..25 => command("HINCRBY")
            .arg(draw.key())
            .arg(draw.member())
            .arg(draw.integer()),
        25..27 => command("HINCRBYFLOAT")
            .arg(draw.key())
            .arg(draw.member())
            .arg(draw.float()),
        27 => {
            let random = command("HRANDFIELD").arg(draw.key()).arg(draw.pick(&[
                "0",
                "1000",
                "-3",
                "x",
                "-9223372036854775808",
                "9223372036854775807",
            ]));
            draw.option(random, &["WITHVALUES", "withvalues"])
                .compare(Compare::Kind)
                .rigid()
        }
        28..30 => {
            let scan = command("HSCAN").arg(draw.key()).arg("0");
            let pattern = format!("MATCH {}", draw.pattern());
            draw.option(scan, &[&pattern, "COUNT 0", "COUNT x"])
                // One page, however it is encoded.
                .args(["COUNT", "1000"])
                .compare(Compare::ScanPageOfPairs)
                .rigid()
        }
        30 => command("HRANDFIELD")
            .arg(draw.key())
            .compare(Compare::Kind)
            .rigid(),
        31..34 => {
            let verb = draw.pick(&["HEXPIRE", "HPEXPIRE"]);
            let time = draw.pick(&["1000000", "2000000", "-1", "x", "9223372036854775807"]);
            let time = match time {
                "1000000" | "2000000" => draw.lifetime(time.parse().expect("a number")),
                other => other.to_owned(),
            };
            let expire = command(verb).arg(draw.key()).arg(time);
            let expire = draw.option(expire, &["NX", "XX", "GT", "LT", "lt"]);
            named(draw, expire)
        }
        34 => {
            let expire = command("HEXPIREAT").arg(draw.key()).arg("4102444800");
            named(draw, expire)
        }
        35..37 => {
            let verb = draw.pick(&["HTTL", "HEXPIRETIME", "HPERSIST"]);
            let left = command(verb).arg(draw.key());
            named(draw, left).compare(Compare::Within(SECONDS_APART))
        }
        _ => command("OBJECT ENCODING").arg(draw.key()),
    }
}

fn fields(draw: &mut Draw, verb: &str) -> Command {
    let mut set = command(verb).arg(draw.key());
    for field in draw.members(5) {
        set = set.arg(field).arg(draw.value());
    }
    set
}

/// With the fields that a command on times names, mostly as many as it says.
fn named(draw: &mut Draw, command: Command) -> Command {
    let fields = draw.members(3);
    let count = if draw.one_in(10) {
        draw.integer()
    } else {
        fields.len().to_string()
    };
    let word = draw.pick(&["FIELDS", "FIELDS", "FIELDS", "fields", "FIELD"]);
    command.arg(word).arg(count).args(fields).rigid()
}
