//! Streams: entries with given ids (the clock's would differ), ranges, trimming, reads, groups.

use super::{Command, Draw, command};
use crate::compare::Compare;

pub fn seed(draw: &mut Draw) -> Command {
    let id = id(draw);
    command("XADD")
        .arg(draw.key())
        .arg(id)
        .arg(draw.member())
        .arg(draw.value())
}

pub fn draw(draw: &mut Draw) -> Command {
    let group = draw.pick(&["g", "h"]);
    let consumer = draw.pick(&["alice", "bob"]);
    match draw.random.u8(..44) {
        0..8 => seed(draw),
        8 => {
            let trim = draw.pick(&[
                "MAXLEN 3",
                "MAXLEN = 2",
                "MINID 3",
                "MAXLEN -1",
                "MAXLEN x",
                "NOMKSTREAM",
                "MAXLEN 2 LIMIT 1",
                "MINID = x",
            ]);
            let id = id(draw);
            command("XADD")
                .arg(draw.key())
                .args(trim.split(' '))
                .arg(id)
                .arg("f")
                .arg("v")
        }
        9 => command("XLEN").arg(draw.key()),
        10..14 => {
            let range = command(draw.pick(&["XRANGE", "XREVRANGE"]))
                .arg(draw.key())
                .args([bound(draw), bound(draw)]);
            draw.option(
                range,
                &["COUNT 2", "COUNT 0", "COUNT -1", "COUNT x", "COUNT"],
            )
        }
        14..16 => command("XDEL").arg(draw.key()).args([id(draw), id(draw)]),
        16 => {
            let trim = command("XTRIM").arg(draw.key());
            draw.option(
                trim,
                &[
                    "MAXLEN 3",
                    "MAXLEN = 0",
                    "MINID 4-0",
                    "MAXLEN -1",
                    "MINID x",
                    "MAXLEN 1 LIMIT 5",
                    "MAXLEN",
                ],
            )
        }
        17..20 => {
            let read = command("XREAD")
                .args(
                    draw.pick(&["", "COUNT 2", "COUNT -1", "BLOCK 10", "BLOCK -1", "BLOCK x"])
                        .split_whitespace(),
                )
                .arg("STREAMS");
            let key = draw.key();
            let other = draw.key();
            let bounds = [bound(draw), draw.pick(&["0", "$", "2-1"]).to_owned()];
            read.arg(key).arg(other).args(bounds).rigid()
        }
        20..24 => {
            let create = command("XGROUP CREATE")
                .arg(draw.key())
                .arg(group)
                .arg(draw.pick(&["0", "$", "3-0", "x", "-"]));
            draw.option(
                create,
                &[
                    "MKSTREAM",
                    "ENTRIESREAD 2",
                    "ENTRIESREAD -5",
                    "ENTRIESREAD x",
                    "MKSTREAM",
                ],
            )
        }
        24 => command("XGROUP SETID")
            .arg(draw.key())
            .arg(group)
            .arg(draw.pick(&["0", "$", "2", "x", "-", "+", "+1"])),
        25 => command("XGROUP DESTROY").arg(draw.key()).arg(group),
        26 => command(draw.pick(&["XGROUP CREATECONSUMER", "XGROUP DELCONSUMER"]))
            .arg(draw.key())
            .arg(group)
            .arg(consumer),
        27..32 => {
            let read = command("XREADGROUP GROUP").arg(group).arg(consumer);
            let read = draw
                .option(read, &["COUNT 1", "COUNT 2", "NOACK", "COUNT x"])
                .arg("STREAMS");
            read.arg(draw.key())
                .arg(draw.pick(&[">", ">", ">", "0", "2", "x", "$"]))
                .rigid()
        }
        32..34 => command("XACK")
            .arg(draw.key())
            .arg(group)
            .args([id(draw), id(draw)]),
        34 => command("XPENDING").arg(draw.key()).arg(group),
        // The consumers' idle times are not the same.
        35 => command("XPENDING")
            .arg(draw.key())
            .arg(group)
            .arg("-")
            .arg("+")
            .arg(draw.count())
            .compare(Compare::Kind),
        36 => {
            let claim = command("XCLAIM")
                .arg(draw.key())
                .arg(group)
                .arg(consumer)
                .arg("0")
                .arg(id(draw));
            draw.option(
                claim,
                &[
                    "JUSTID",
                    "FORCE",
                    "FORCE JUSTID",
                    "RETRYCOUNT 3",
                    "IDLE 100",
                    "TIME 1",
                    "LASTID 3-0",
                    "IDLE x",
                ],
            )
            .rigid()
        }
        37 => {
            let claim = command("XAUTOCLAIM")
                .arg(draw.key())
                .arg(group)
                .arg(consumer)
                .arg("0")
                .arg(bound(draw));
            draw.option(claim, &["COUNT 1", "COUNT 0", "JUSTID", "COUNT x"])
                .rigid()
        }
        38 => command("XSETID").arg(draw.key()).arg(id(draw)),
        39 => command("XINFO GROUPS").arg(draw.key()),
        40 => command("XINFO CONSUMERS")
            .arg(draw.key())
            .arg(group)
            .compare(Compare::ErrorsOnly),
        41 => command("XINFO STREAM")
            .arg(draw.key())
            .compare(Compare::ErrorsOnly),
        42 => command("XINFO")
            .arg(draw.pick(&["NOTHING", "HELP", "STREAM"]))
            .compare(Compare::ErrorsOnly),
        _ => command("OBJECT ENCODING").arg(draw.key()),
    }
}

/// Never the clock's.
fn id(draw: &mut Draw) -> String {
    match draw.random.u8(..16) {
        0 => draw
            .pick(&[
                "0",
                "0-0",
                "x",
                "1-x",
                "-1",
                "18446744073709551615-18446744073709551615",
                "18446744073709551616",
                "1-2-3",
                "",
            ])
            .to_owned(),
        1..4 => format!("{}-*", draw.random.u8(1..12)),
        4..10 => format!("{}-{}", draw.random.u8(1..12), draw.random.u8(..3)),
        _ => draw.random.u8(1..12).to_string(),
    }
}

fn bound(draw: &mut Draw) -> String {
    match draw.random.u8(..8) {
        0..2 => "-".to_owned(),
        2..4 => "+".to_owned(),
        4 => format!("({}", id(draw)),
        _ => id(draw),
    }
}
