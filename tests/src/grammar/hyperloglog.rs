//! HyperLogLog. Its estimates are the same to the unit where the hash and the registers are
//! Redis's: both are part of the format.

use super::{Command, Draw, command};

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..18) {
        0..3 => command("PFADD").arg(draw.key()).args(draw.members(8)),
        3..5 => {
            let first = draw.random.u16(..);
            let many = draw.random.u16(1..400);
            command("PFADD")
                .arg(draw.key())
                .args((0..many).map(|index| (u32::from(first) + u32::from(index)).to_string()))
        }
        5 => command("PFADD").arg(draw.key()),
        6..8 => command("PFCOUNT").arg(draw.key()),
        8 => command("PFCOUNT").args(draw.keys(4)),
        9..11 => command("PFMERGE").args(draw.keys(4)),
        11 => command("STRLEN").arg(draw.key()),
        12 => command(draw.pick(&["GET", "OBJECT ENCODING"])).arg(draw.key()),
        13..16 => command("PFDEBUG")
            .arg(draw.pick(&["ENCODING", "ENCODING", "DECODE", "TODENSE", "GETREG"]))
            .arg(draw.key()),
        16 => command("CONFIG SET hll-sparse-max-bytes")
            .arg(draw.pick(&["0", "30", "300", "3000", "20000"])),
        _ => command("DEL").arg(draw.key()),
    }
}
