//! Lists: pushes and pops at both ends, ranges, moves, LPOS, and the blocking ones with times that
//! pass at once.

use super::{Command, Draw, command};

pub fn seed(draw: &mut Draw) -> Command {
    command("RPUSH").arg(draw.key()).args(draw.members(5))
}

pub fn draw(draw: &mut Draw) -> Command {
    let side = draw.pick(&["LEFT", "RIGHT", "left"]);
    let other = draw.pick(&["LEFT", "RIGHT", "LEFT", "RIGHT", "UP"]);
    match draw.random.u8(..40) {
        0..5 => seed(draw),
        5..8 => command("LPUSH").arg(draw.key()).args(draw.members(5)),
        8 => command("RPUSH").arg(draw.key()).arg(draw.value()),
        9 => command(draw.pick(&["LPUSHX", "RPUSHX"]))
            .arg(draw.key())
            .args(draw.members(3)),
        10..12 => command(draw.pick(&["LPOP", "RPOP"])).arg(draw.key()),
        12..14 => command(draw.pick(&["LPOP", "RPOP"]))
            .arg(draw.key())
            .arg(draw.count()),
        14 => command("LLEN").arg(draw.key()),
        15..20 => command("LRANGE")
            .arg(draw.key())
            .arg(draw.index())
            .arg(draw.index()),
        20..22 => command("LINDEX").arg(draw.key()).arg(position(draw)),
        22..24 => command("LSET")
            .arg(draw.key())
            .arg(position(draw))
            .arg(draw.value()),
        24..26 => {
            let place = draw.pick(&["BEFORE", "AFTER", "before", "BESIDE"]);
            command("LINSERT")
                .arg(draw.key())
                .arg(place)
                .arg(draw.member())
                .arg(draw.member())
        }
        26 => command("LREM")
            .arg(draw.key())
            .arg(draw.index())
            .arg(draw.member()),
        27 => command("LTRIM")
            .arg(draw.key())
            .arg(draw.index())
            .arg(draw.index()),
        28..31 => {
            let position = command("LPOS").arg(draw.key()).arg(draw.member());
            let position = draw.option(
                position,
                &[
                    "RANK 1",
                    "RANK -1",
                    "RANK 2",
                    "RANK 0",
                    "RANK x",
                    "RANK -9223372036854775808",
                ],
            );
            draw.option(
                position,
                &[
                    "COUNT 0",
                    "COUNT 2",
                    "COUNT -1",
                    "MAXLEN 3",
                    "MAXLEN -1",
                    "COUNT 1 MAXLEN 0",
                ],
            )
        }
        31 => command("RPOPLPUSH").arg(draw.key()).arg(draw.key()),
        32..34 => command("LMOVE")
            .arg(draw.key())
            .arg(draw.key())
            .arg(side)
            .arg(other),
        34..36 => {
            let pop = command("LMPOP").args(draw.counted_keys(3)).arg(other);
            draw.option(
                pop,
                &[
                    "COUNT 2",
                    "COUNT 100",
                    "COUNT 0",
                    "COUNT x",
                    "COUNT 1 COUNT 1",
                ],
            )
        }
        36 => command(draw.pick(&["BLPOP", "BRPOP"]))
            .args(draw.keys(3))
            .arg(draw.pick(&["0.01", "-1", "x", "1e-3"]))
            .rigid(),
        37 => command("BLMOVE")
            .arg(draw.key())
            .arg(draw.key())
            .arg(side)
            .arg(other)
            .arg(draw.pick(&["0.01", "-1", "x"]))
            .rigid(),
        38 => {
            let pop = command("BLMPOP")
                .arg(draw.pick(&["0.01", "-1", "x"]))
                .args(draw.counted_keys(3))
                .arg(side);
            draw.option(pop, &["COUNT 2", "COUNT 0"]).rigid()
        }
        _ => command("OBJECT ENCODING").arg(draw.key()),
    }
}

/// Within 32 bits: beyond them Redis takes a large index for a small one, depending on how the list
/// is encoded.
fn position(draw: &mut Draw) -> String {
    if draw.one_in(12) {
        draw.pick(&[
            "2147483647",
            "-2147483648",
            "x",
            "",
            "1.0",
            "9223372036854775808",
        ])
        .to_owned()
    } else {
        draw.random.i8(-7..8).to_string()
    }
}
