//! Bits of strings: single ones, counts and positions over ranges, operations over keys, fields.

use super::{Command, Draw, command};

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..32) {
        0 => command("SET").arg(draw.key()).arg(draw.value()),
        1 => command("OBJECT ENCODING").arg(draw.key()),
        2..8 => command("SETBIT")
            .arg(draw.key())
            .arg(offset(draw))
            .arg(draw.pick(&["0", "1", "1", "1", "2", "-1", "x"])),
        8..12 => command("GETBIT").arg(draw.key()).arg(offset(draw)),
        12..16 => {
            let count = command("BITCOUNT").arg(draw.key());
            if draw.one_in(4) {
                count
            } else {
                unit(draw, count)
            }
        }
        16..20 => {
            let position = command("BITPOS")
                .arg(draw.key())
                .arg(draw.pick(&["0", "1", "0", "1", "2", "x"]));
            match draw.random.u8(..4) {
                0 => position,
                1 => position.arg(draw.index()),
                _ => unit(draw, position),
            }
        }
        20..24 => {
            let operation = draw.pick(&["AND", "OR", "XOR", "NOT", "and", "NAND"]);
            command("BITOP")
                .arg(operation)
                .arg(draw.key())
                .args(draw.keys(3))
        }
        24..30 => fields(draw),
        30 => command("GET").arg(draw.key()),
        _ => command("STRLEN").arg(draw.key()),
    }
}

fn offset(draw: &mut Draw) -> String {
    if draw.one_in(8) {
        draw.pick(&[
            "-1",
            "x",
            "4294967296",
            "4294967297",
            "9223372036854775807",
            "1.5",
        ])
        .to_owned()
    } else {
        draw.random.u16(..600).to_string()
    }
}

fn unit(draw: &mut Draw, command: Command) -> Command {
    let command = command.arg(draw.index()).arg(draw.index());
    draw.option(command, &["BIT", "BYTE", "bit"])
}

fn fields(draw: &mut Draw) -> Command {
    let mut fields = command(draw.pick(&["BITFIELD", "BITFIELD", "BITFIELD_RO"])).arg(draw.key());
    for _ in 0..draw.random.u8(1..4) {
        let kind = draw.pick(&[
            "u8", "i8", "u1", "i64", "u63", "u64", "i5", "u4", "x8", "i0", "u",
        ]);
        let offset = draw.pick(&[
            "0",
            "1",
            "7",
            "#0",
            "#1",
            "#3",
            "100",
            "-1",
            "x",
            "#x",
            "4294967296",
        ]);
        fields = match draw.random.u8(..4) {
            0 => fields.arg("GET").arg(kind).arg(offset),
            1 => fields.arg("SET").arg(kind).arg(offset).arg(draw.integer()),
            2 => fields
                .arg("INCRBY")
                .arg(kind)
                .arg(offset)
                .arg(draw.integer()),
            _ => fields
                .arg("OVERFLOW")
                .arg(draw.pick(&["WRAP", "SAT", "FAIL", "sat", "NONE"])),
        };
    }
    fields
}
