//! Places: added, measured, searched by circle and box from a member or a point.

use super::{Command, Draw, command};

const PLACES: &[&str] = &["m0", "m1", "m2", "m3", "Palermo", "Catania", "nowhere"];

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..24) {
        0..7 => {
            let add = command("GEOADD").arg(draw.key());
            let mut add = draw.option(add, &["NX", "XX", "CH", "NX XX", "XX CH"]);
            for _ in 0..draw.random.u8(1..4) {
                add = add.args(point(draw)).arg(draw.pick(PLACES));
            }
            add
        }
        7..9 => command("GEOPOS")
            .arg(draw.key())
            .arg(draw.pick(PLACES))
            .arg(draw.pick(PLACES)),
        9..11 => command("GEOHASH")
            .arg(draw.key())
            .arg(draw.pick(PLACES))
            .arg(draw.pick(PLACES)),
        11..14 => {
            let distance = command("GEODIST")
                .arg(draw.key())
                .arg(draw.pick(PLACES))
                .arg(draw.pick(PLACES));
            draw.option(distance, &["m", "km", "mi", "ft", "KM", "x"])
        }
        14..19 => search(draw, None),
        19 => {
            let to = draw.key();
            search(draw, Some(to))
        }
        20 => {
            let radius = command(draw.pick(&["GEORADIUS", "GEORADIUS_RO"]))
                .arg(draw.key())
                .args(point(draw))
                .arg("500")
                .arg("km");
            draw.option(
                radius,
                &[
                    "ASC WITHDIST",
                    "ASC COUNT 2",
                    "DESC WITHCOORD",
                    "ASC WITHHASH",
                    "COUNT 0",
                ],
            )
            .arg("ASC")
        }
        21 => {
            let radius = command(draw.pick(&["GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"]))
                .arg(draw.key())
                .arg(draw.pick(PLACES))
                .arg("500")
                .arg("km");
            draw.option(
                radius,
                &[
                    "WITHDIST",
                    "COUNT 2",
                    "STORE foo",
                    "STOREDIST foo",
                    "STORE foo WITHDIST",
                ],
            )
            .arg("ASC")
        }
        22 => command("ZRANGE")
            .arg(draw.key())
            .args(["0", "-1", "WITHSCORES"]),
        _ => command("ZREM").arg(draw.key()).arg(draw.pick(PLACES)),
    }
}

fn point(draw: &mut Draw) -> [String; 2] {
    match draw.random.u8(..12) {
        0 => [draw.float(), draw.float()],
        // Anywhere, and up to the edges of the map.
        1..4 => [
            (f64::from(draw.random.i16(-180..=180))).to_string(),
            (f64::from(draw.random.i16(-8505..=8505)) / 100.0).to_string(),
        ],
        _ => [
            (f64::from(draw.random.i16(-700..700)) / 100.0).to_string(),
            (f64::from(draw.random.i16(-700..700)) / 100.0).to_string(),
        ],
    }
}

fn search(draw: &mut Draw, to: Option<&str>) -> Command {
    let verb = match to {
        Some(_) => "GEOSEARCHSTORE",
        None => "GEOSEARCH",
    };
    let search = command(verb).args(to).arg(draw.key());
    let search = if draw.random.bool() {
        search.arg("FROMMEMBER").arg(draw.pick(PLACES))
    } else {
        search.arg("FROMLONLAT").args(point(draw))
    };
    let search = match draw.random.u8(..8) {
        0..4 => search.args([
            "BYRADIUS",
            draw.pick(&["500", "10", "0", "-1", "x", "100000", "3000", "9000"]),
            draw.pick(&["km", "m", "mi", "x"]),
        ]),
        4..7 => {
            let width = draw.pick(&["700", "700", "8000", "30000"]);
            let height = draw.pick(&["500", "500", "10000", "-1", "x"]);
            search.args(["BYBOX", width, height, "km"])
        }
        _ => search,
    };
    let search = draw.option(
        search,
        &[
            "WITHDIST",
            "WITHCOORD",
            "WITHHASH",
            "WITHDIST WITHCOORD",
            "STOREDIST",
            "COUNT 0",
        ],
    );
    let order = draw.pick(&["ASC", "DESC", "", "COUNT 2 ANY", "ASC COUNT 1", "COUNT 3"]);
    search.args(order.split_whitespace())
}
