//! Keys of any type: DEL, EXISTS, EXPIRE and its kin, TYPE, RENAME, COPY, KEYS, SCAN, OBJECT, DUMP
//! and RESTORE, SORT.

use super::{Command, Draw, command};
use crate::compare::Compare;

/// TTLs in milliseconds, and a debug build on a busy machine between the two servers.
const MILLISECONDS_APART: i64 = 15_000;
const SECONDS_APART: i64 = 15;

/// In the year 2100, in seconds.
const FAR: &str = "4102444800";

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..40) {
        0..2 => command("DEL").args(draw.keys(4)),
        2 => command("UNLINK").args(draw.keys(4)),
        3..5 => command("EXISTS").args(draw.keys(4)),
        5 => command("TOUCH").args(draw.keys(4)),
        6..8 => command("TYPE").arg(draw.key()),
        8..11 => expire(draw),
        11 => expire_at(draw),
        12 => command("TTL")
            .arg(draw.key())
            .compare(Compare::Within(SECONDS_APART)),
        13 => command("PTTL")
            .arg(draw.key())
            .compare(Compare::Within(MILLISECONDS_APART)),
        14 => command("EXPIRETIME")
            .arg(draw.key())
            .compare(Compare::Within(SECONDS_APART)),
        15 => command("PEXPIRETIME")
            .arg(draw.key())
            .compare(Compare::Within(MILLISECONDS_APART)),
        16..18 => command("PERSIST").arg(draw.key()),
        18..20 => command("RENAME").arg(draw.key()).arg(draw.key()),
        20 => command("RENAMENX").arg(draw.key()).arg(draw.key()),
        21..24 => {
            let copy = command("COPY").arg(draw.key()).arg(draw.key());
            draw.option(
                copy,
                &["REPLACE", "DB 1", "DB 1 REPLACE", "DB", "DB x", "DB 0"],
            )
        }
        24 => command("KEYS").arg(draw.pattern()).any_order(),
        25 => command("DBSIZE"),
        26 => command("RANDOMKEY").compare(Compare::Kind),
        27..29 => {
            let scan = command("SCAN 0 COUNT 1000");
            let pattern = format!("MATCH {}", draw.pattern());
            draw.option(
                scan,
                &[
                    &pattern,
                    "TYPE string",
                    "TYPE hash",
                    "TYPE stream",
                    "COUNT 0",
                    "COUNT x",
                    "COUNT",
                ],
            )
            .compare(Compare::ScanPage)
            .rigid()
        }
        29 => command("SCAN")
            .arg(draw.pick(&["x", "1x"]))
            .compare(Compare::ScanPage)
            .rigid(),
        30 => command("OBJECT ENCODING").arg(draw.key()),
        31 => command("OBJECT")
            .arg(draw.pick(&["REFCOUNT", "IDLETIME", "FREQ", "whatever"]))
            .arg(draw.key())
            .compare(Compare::Kind),
        32 => command("MOVE")
            .arg(draw.key())
            .arg(draw.pick(&["0", "1", "2", "16", "-1", "x"])),
        33 => command("SELECT").arg(draw.pick(&["0", "1"])),
        34..38 => sort(draw),
        38 => command("SWAPDB").arg(draw.integer()).arg(draw.integer()),
        _ => {
            if draw.one_in(8) {
                command(draw.pick(&[
                    "FLUSHDB",
                    "FLUSHALL",
                    "FLUSHDB ASYNC",
                    "FLUSHALL SYNC",
                    "FLUSHDB x",
                ]))
            } else {
                command("EXISTS").arg(draw.key())
            }
        }
    }
}

/// Long ones, so that nothing expires by the clock within a sequence, and some that lie in the
/// past.
fn expire(draw: &mut Draw) -> Command {
    let verb = draw.pick(&["EXPIRE", "PEXPIRE"]);
    let time = draw.pick(&[
        "1000000",
        "2000000",
        "1500000",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775",
        "x",
        "",
        "1.5",
    ]);
    let time = match time {
        "1000000" | "1500000" | "2000000" => draw.lifetime(time.parse().expect("a number")),
        other => other.to_owned(),
    };
    let expire = command(verb).arg(draw.key()).arg(time);
    condition(draw, expire)
}

fn expire_at(draw: &mut Draw) -> Command {
    let (verb, time) = if draw.random.bool() {
        (
            "EXPIREAT",
            draw.pick(&[FAR, "1", "0", "-1", "x", "9223372036854775807"])
                .to_owned(),
        )
    } else {
        ("PEXPIREAT", draw.pick(&[FAR, "1", "-5"]).to_owned() + "000")
    };
    let expire = command(verb).arg(draw.key()).arg(time);
    condition(draw, expire)
}

fn condition(draw: &mut Draw, expire: Command) -> Command {
    draw.option(
        expire,
        &[
            "NX", "XX", "GT", "LT", "nx", "NX XX", "GT LT", "XX GT", "NX GT",
        ],
    )
}

/// Where two elements are equal in what is sorted by, a set's order is chance: only numbers fall
/// back on the elements themselves.
fn sort(draw: &mut Draw) -> Command {
    let verb = draw.pick(&["SORT", "SORT", "SORT_RO"]);
    let sort = command(verb).arg(draw.key());
    let sort = match draw.random.u8(..6) {
        0 => return sort.args(["BY", "nosort"]).any_order().rigid(),
        1 => sort.args(["BY", draw.pick(&["key:000*", "m*", "foo->*"])]),
        2 => sort,
        _ => sort.arg("ALPHA"),
    };
    let limit = format!("LIMIT {} {}", draw.index(), draw.index());
    let sort = draw.option(sort, &["GET #", "GET # GET *", &limit, "LIMIT 0 x", "GET"]);
    let sort = draw.option(sort, &["ASC", "DESC", "desc"]);
    if draw.one_in(5) {
        sort.arg("STORE").arg(draw.key())
    } else {
        sort
    }
}
