//! Strings: SET and its options, GET and its kin, counters, ranges, many at once, LCS.

use super::{Command, Draw, command};

pub fn seed(draw: &mut Draw) -> Command {
    command("SET").arg(draw.key()).arg(draw.value())
}

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..40) {
        0..4 => seed(draw),
        4..9 => set(draw),
        9..12 => command("GET").arg(draw.key()),
        12 => command("GETSET").arg(draw.key()).arg(draw.value()),
        13 => command("GETDEL").arg(draw.key()),
        14..16 => {
            let get = command("GETEX").arg(draw.key());
            draw.option(
                get,
                &[
                    "PERSIST",
                    "EX 1000",
                    "PX 1000000",
                    "EXAT 1",
                    "PXAT 4102444800000",
                    "EX 0",
                    "EX x",
                    "EX",
                    "PERSIST EX 5",
                    "PX -1",
                ],
            )
        }
        16 => command("SETNX").arg(draw.key()).arg(draw.value()),
        17 => {
            let verb = draw.pick(&["SETEX", "PSETEX"]);
            let time = draw.pick(&["1000000", "2000000", "0", "-1", "x", "9223372036854775807"]);
            command(verb).arg(draw.key()).arg(time).arg(draw.value())
        }
        18..20 => command("APPEND").arg(draw.key()).arg(draw.value()),
        20 => command("STRLEN").arg(draw.key()),
        21..23 => command(draw.pick(&["INCR", "DECR"])).arg(draw.key()),
        23..25 => command(draw.pick(&["INCRBY", "DECRBY"]))
            .arg(draw.key())
            .arg(draw.integer()),
        25..27 => command("INCRBYFLOAT").arg(draw.key()).arg(draw.float()),
        27..29 => command(draw.pick(&["GETRANGE", "GETRANGE", "SUBSTR"]))
            .arg(draw.key())
            .arg(draw.index())
            .arg(draw.index()),
        29..31 => {
            let offset = draw.pick(&[
                "0",
                "1",
                "5",
                "60",
                "1000",
                "-1",
                "536870912",
                "x",
                "9223372036854775807",
                "4294967296",
            ]);
            command("SETRANGE")
                .arg(draw.key())
                .arg(offset)
                .arg(draw.value())
        }
        31..34 => command("MGET").args(draw.keys(6)),
        34..36 => many(draw, "MSET"),
        36 => many(draw, "MSETNX"),
        37 => lcs(draw),
        _ => command("OBJECT ENCODING").arg(draw.key()),
    }
}

fn set(draw: &mut Draw) -> Command {
    let mut set = seed(draw);
    for _ in 0..draw.random.u8(1..3) {
        set = draw.option(
            set,
            &[
                "NX",
                "XX",
                "GET",
                "KEEPTTL",
                "EX 1000",
                "PX 1000000",
                "EXAT 4102444800",
                "PXAT 4102444800000",
                "EXAT 1",
                "PXAT 1",
                "EX 0",
                "EX -1",
                "EX x",
                "EX",
                "PX",
                "nx",
                "ex 1000",
                "EX 9223372036854775807",
                "PX 9223372036854775807",
                "XX GET",
                "NX GET",
                "KEEPTTL EX 1000",
            ],
        );
    }
    set
}

fn many(draw: &mut Draw, verb: &str) -> Command {
    let mut many = command(verb);
    for key in draw.keys(5) {
        many = many.arg(key).arg(draw.value());
    }
    many
}

fn lcs(draw: &mut Draw) -> Command {
    let lcs = command("LCS").arg(draw.key()).arg(draw.key());
    draw.option(
        lcs,
        &[
            "LEN",
            "IDX",
            "IDX WITHMATCHLEN",
            "IDX MINMATCHLEN 2",
            "IDX MINMATCHLEN x",
            "LEN IDX",
            "MINMATCHLEN",
        ],
    )
}
