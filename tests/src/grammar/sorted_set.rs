//! Sorted sets: ZADD and its options, ranges by rank, score and name, algebra, pops, the blocking
//! ones with times that pass at once.

use super::{Command, Draw, command};
use crate::compare::Compare;

pub fn seed(draw: &mut Draw) -> Command {
    let mut add = command("ZADD").arg(draw.key());
    for member in draw.members(5) {
        add = add.arg(draw.random.i8(-5..6).to_string()).arg(member);
    }
    add
}

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..48) {
        0..6 => seed(draw),
        6..10 => {
            let add = command("ZADD").arg(draw.key());
            let add = draw.option(
                add,
                &[
                    "NX", "XX", "GT", "LT", "CH", "NX CH", "XX GT CH", "NX XX", "GT LT", "NX GT",
                    "INCR", "XX INCR", "nx",
                ],
            );
            add.arg(draw.float()).arg(draw.member())
        }
        10 => command("ZINCRBY")
            .arg(draw.key())
            .arg(draw.float())
            .arg(draw.member()),
        11..13 => command("ZSCORE").arg(draw.key()).arg(draw.member()),
        13 => command("ZMSCORE").arg(draw.key()).args(draw.members(4)),
        14 => command(draw.pick(&["ZRANK", "ZREVRANK"]))
            .arg(draw.key())
            .arg(draw.member()),
        15 => command("ZCARD").arg(draw.key()),
        16 => command("ZCOUNT").arg(draw.key()).args(scores(draw)),
        17 => command("ZLEXCOUNT").arg(draw.key()).args(names(draw)),
        18..20 => command("ZREM").arg(draw.key()).args(draw.members(3)),
        20 => command("ZREMRANGEBYRANK")
            .arg(draw.key())
            .arg(draw.index())
            .arg(draw.index()),
        21 => command("ZREMRANGEBYSCORE")
            .arg(draw.key())
            .args(scores(draw)),
        22 => command("ZREMRANGEBYLEX").arg(draw.key()).args(names(draw)),
        23..26 => {
            let range = command(draw.pick(&["ZRANGE", "ZREVRANGE"]))
                .arg(draw.key())
                .arg(draw.index())
                .arg(draw.index());
            draw.option(range, &["WITHSCORES", "withscores", "REV"])
        }
        26..29 => {
            let range = command(draw.pick(&["ZRANGEBYSCORE", "ZREVRANGEBYSCORE"]))
                .arg(draw.key())
                .args(scores(draw));
            draw.option(
                range,
                &[
                    "WITHSCORES",
                    "LIMIT 0 2",
                    "LIMIT 1 -1",
                    "LIMIT -1 2",
                    "WITHSCORES LIMIT 1 2",
                    "LIMIT 1",
                    "LIMIT x 1",
                ],
            )
        }
        29 => {
            let range = command(draw.pick(&["ZRANGEBYLEX", "ZREVRANGEBYLEX"]))
                .arg(draw.key())
                .args(names(draw));
            draw.option(range, &["LIMIT 0 2", "LIMIT 1 -1", "WITHSCORES"])
        }
        30..34 => range(draw, "ZRANGE", None),
        34 => {
            let to = draw.key();
            range(draw, "ZRANGESTORE", Some(to))
        }
        35..37 => {
            let pop = command(draw.pick(&["ZPOPMIN", "ZPOPMAX"])).arg(draw.key());
            if draw.random.bool() {
                pop.arg(draw.count())
            } else {
                pop
            }
        }
        37..39 => algebra(draw, None),
        39..41 => {
            let to = draw.key();
            algebra(draw, Some(to))
        }
        41 => {
            let count = command("ZINTERCARD").args(draw.counted_keys(3));
            draw.option(
                count,
                &["LIMIT 2", "LIMIT 0", "LIMIT -1", "LIMIT x", "LIMIT"],
            )
        }
        42 => {
            let pop = command("ZMPOP")
                .args(draw.counted_keys(3))
                .arg(draw.pick(&["MIN", "MAX", "min", "MID"]));
            draw.option(pop, &["COUNT 2", "COUNT 100", "COUNT 0", "COUNT x"])
        }
        43 => {
            let random = command("ZRANDMEMBER").arg(draw.key()).arg(draw.pick(&[
                "0",
                "1000",
                "-3",
                "x",
                "-9223372036854775808",
            ]));
            draw.option(random, &["WITHSCORES"])
                .compare(Compare::Kind)
                .rigid()
        }
        44 => {
            let scan = command("ZSCAN").arg(draw.key()).arg("0");
            let pattern = format!("MATCH {}", draw.pattern());
            draw.option(scan, &[&pattern, "COUNT 0"])
                // One page, however it is encoded.
                .args(["COUNT", "1000"])
                .compare(Compare::ScanPageOfPairs)
                .rigid()
        }
        45 => command(draw.pick(&["BZPOPMIN", "BZPOPMAX"]))
            .args(draw.keys(3))
            .arg(draw.pick(&["0.01", "-1", "x"]))
            .rigid(),
        46 => command("BZMPOP")
            .arg(draw.pick(&["0.01", "-1", "x"]))
            .args(draw.counted_keys(3))
            .arg("MIN")
            .rigid(),
        _ => command("OBJECT ENCODING").arg(draw.key()),
    }
}

fn score(draw: &mut Draw) -> String {
    let score = if draw.one_in(4) {
        draw.pick(&["-inf", "+inf", "inf"]).to_owned()
    } else {
        draw.float()
    };
    if draw.one_in(4) {
        format!("({score}")
    } else {
        score
    }
}

fn scores(draw: &mut Draw) -> [String; 2] {
    [score(draw), score(draw)]
}

fn name(draw: &mut Draw) -> String {
    match draw.random.u8(..12) {
        0..3 => "-".to_owned(),
        3..6 => "+".to_owned(),
        6 => draw.member(),
        7..9 => format!("({}", draw.member()),
        _ => format!("[{}", draw.member()),
    }
}

fn names(draw: &mut Draw) -> [String; 2] {
    [name(draw), name(draw)]
}

fn range(draw: &mut Draw, verb: &str, to: Option<&str>) -> Command {
    let range = command(verb).args(to).arg(draw.key());
    let (bounds, by) = match draw.random.u8(..3) {
        0 => ([draw.index(), draw.index()], ""),
        1 => (scores(draw), "BYSCORE"),
        _ => (names(draw), "BYLEX"),
    };
    let range = range.args(bounds).args(by.split_whitespace());
    let range = draw.option(range, &["REV", "rev", "BYSCORE", "BYLEX"]);
    draw.option(
        range,
        &[
            "WITHSCORES",
            "LIMIT 0 2",
            "LIMIT 1 -1",
            "LIMIT -1 3",
            "LIMIT 1",
            "LIMIT x 2",
        ],
    )
}

fn algebra(draw: &mut Draw, to: Option<&str>) -> Command {
    let verb = match to {
        Some(_) => draw.pick(&["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]),
        None => draw.pick(&["ZUNION", "ZINTER", "ZDIFF"]),
    };
    let keys = draw.counted_keys(3);
    let weights: Vec<String> = keys.iter().skip(1).map(|_| draw.float()).collect();
    let weights = format!("WEIGHTS {}", weights.join(" "));
    let algebra = command(verb).args(to).args(keys);
    let algebra = draw.option(algebra, &[&weights, "WEIGHTS 1", "WEIGHTS x"]);
    let algebra = draw.option(
        algebra,
        &[
            "AGGREGATE SUM",
            "AGGREGATE MIN",
            "AGGREGATE MAX",
            "AGGREGATE MEAN",
            "AGGREGATE",
        ],
    );
    draw.option(algebra, &["WITHSCORES"])
}
