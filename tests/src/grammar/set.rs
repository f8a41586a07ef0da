//! Sets: members, algebra over several keys, pops of all at once (a pop of some would leave the
//! servers apart by chance).

use super::{Command, Draw, command};
use crate::compare::Compare;

pub fn seed(draw: &mut Draw) -> Command {
    command("SADD").arg(draw.key()).args(draw.members(6))
}

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..32) {
        0..6 => seed(draw),
        6 => command("SADD")
            .arg(draw.key())
            .args([draw.integer(), draw.integer(), draw.integer()]),
        7 => command("SADD").arg(draw.key()).arg(draw.value()),
        8..10 => command("SREM").arg(draw.key()).args(draw.members(4)),
        10..13 => command("SMEMBERS").arg(draw.key()).any_order(),
        13 => command("SISMEMBER").arg(draw.key()).arg(draw.member()),
        14 => command("SMISMEMBER").arg(draw.key()).args(draw.members(4)),
        15 => command("SCARD").arg(draw.key()),
        16..18 => command("SMOVE")
            .arg(draw.key())
            .arg(draw.key())
            .arg(draw.member()),
        18..22 => command(draw.pick(&["SINTER", "SUNION", "SDIFF"]))
            .args(draw.keys(4))
            .any_order(),
        22..25 => command(draw.pick(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]))
            .arg(draw.key())
            .args(draw.keys(4)),
        25..27 => {
            let count = command("SINTERCARD").args(draw.counted_keys(3));
            draw.option(
                count,
                &["LIMIT 2", "LIMIT 0", "LIMIT -1", "LIMIT x", "LIMIT"],
            )
        }
        27 => command("SPOP")
            .arg(draw.key())
            .arg(draw.pick(&["1000", "0", "-1", "x"]))
            .any_order()
            .rigid(),
        28 => command("SRANDMEMBER")
            .arg(draw.key())
            .arg(draw.pick(&["1000", "0", "-3", "x", "-9223372036854775808"]))
            .compare(Compare::Kind)
            .rigid(),
        29 => {
            let scan = command("SSCAN").arg(draw.key()).arg("0");
            let pattern = format!("MATCH {}", draw.pattern());
            draw.option(scan, &[&pattern, "COUNT 0", "COUNT x"])
                // One page, however it is encoded.
                .args(["COUNT", "1000"])
                .compare(Compare::ScanPage)
                .rigid()
        }
        30 => command("SRANDMEMBER")
            .arg(draw.key())
            .compare(Compare::Kind)
            .rigid(),
        _ => command("OBJECT ENCODING").arg(draw.key()),
    }
}
