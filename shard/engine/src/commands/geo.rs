//! Places in sorted sets: GEOADD, GEODIST, GEOHASH, GEOPOS. Searches are in [`super::geo_search`].

use protocol::args::{Args, OwnedArgs};
use protocol::reply::{Reply, Version};
use storage::geohash::Coordinates;
use storage::{Score, SortedSet};

use crate::commands::options::is;
use crate::commands::sorted_set::parse_double;
use crate::commands::sorted_set_add::zadd;
use crate::context::Context;
use crate::error::{Error, Outcome};

/// Metres of a unit.
pub fn unit_m(text: &[u8]) -> Result<f64, Error> {
    [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)]
        .into_iter()
        .find_map(|(name, metres)| is(text, name).then_some(metres))
        .ok_or(Error::new(
            "ERR unsupported unit provided. please use M, KM, FT, MI",
        ))
}

/// The place that two arguments tell.
pub fn place(longitude: &[u8], latitude: &[u8]) -> Result<Coordinates, Error> {
    let longitude = parse_double(longitude).ok_or(Error::NOT_A_FLOAT)?;
    let latitude = parse_double(latitude).ok_or(Error::NOT_A_FLOAT)?;
    Coordinates::new(longitude, latitude).ok_or_else(|| {
        Error::from_text(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        ))
    })
}

/// The place that a score stands for. Scores that no GEOADD made stand for some place too.
pub fn place_of(score: Score) -> Coordinates {
    // A negative score is a number with all high bits set, as in C.
    Coordinates::of_hash(score.get() as i64 as u64)
}

/// A distance with four decimals: rounded as Redis does, after it is multiplied, which is not
/// always what its exact value would round to.
pub fn write_distance(reply: &mut Reply<'_>, distance: f64) {
    const SCALE: u64 = 10_000;
    let scaled = (distance * SCALE as f64).round_ties_even() as u64;
    let text = format!("{}.{:04}", scaled / SCALE, scaled % SCALE);
    reply.bulk(text.as_bytes());
}

/// Both coordinates, exactly.
pub fn write_place(reply: &mut Reply<'_>, place: Coordinates) {
    reply.array(2);
    for degrees in [place.longitude, place.latitude] {
        let text = format!("{degrees:.17}");
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        match reply.version() {
            Version::Resp2 => reply.bulk(text.as_bytes()),
            Version::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
        }
    }
}

/// `GEOADD key [NX | XX] [CH] (longitude latitude member)...`: as ZADD does with their geohashes.
pub fn geoadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let is_option = |arg: &&[u8]| ["NX", "XX", "CH"].iter().any(|word| is(arg, word));
    let options = args.iter().skip(2).take_while(is_option).count();
    let given = |word| args.iter().skip(2).take(options).any(|arg| is(arg, word));
    let places = args.tail(2 + options);
    if !places.len().is_multiple_of(3) || places.is_empty() || given("NX") && given("XX") {
        return Err(Error::SYNTAX);
    }
    let mut parts: Vec<Vec<u8>> = vec![b"ZADD".to_vec()];
    parts.extend(args.iter().skip(1).take(1 + options).map(<[u8]>::to_vec));
    for at in (0..places.len()).step_by(3) {
        let hash = place(&places[at], &places[at + 1])?.hash();
        parts.push(hash.to_string().into_bytes());
        parts.push(places[at + 2].to_vec());
    }
    let owned = OwnedArgs::from_parts(parts.iter().map(Vec::as_slice));
    zadd(ctx, &owned.borrow(), reply)
}

/// `GEODIST key member1 member2 [M | KM | FT | MI]`
pub fn geodist(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let unit = match args.len() {
        4 => 1.0,
        5 => unit_m(&args[4])?,
        _ => return Err(Error::SYNTAX),
    };
    let set = ctx.get::<SortedSet>(&args[1])?;
    let place = |member| set.and_then(|set| set.score(member)).map(place_of);
    match (place(&args[2]), place(&args[3])) {
        (Some(a), Some(b)) => write_distance(reply, a.distance_m(b) / unit),
        _ => reply.null(),
    }
    Ok(())
}

/// `GEOHASH key [member...]`: the text of each place.
pub fn geohash(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = ctx.get::<SortedSet>(&args[1])?;
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply.bulk(&place_of(score).text()),
            None => reply.null(),
        }
    }
    Ok(())
}

/// `GEOPOS key [member...]`
pub fn geopos(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = ctx.get::<SortedSet>(&args[1])?;
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => write_place(reply, place_of(score)),
            None => reply.null_array(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_rounded_as_redis_does() {
        for (distance, expected) in [
            (0.0, "$6\r\n0.0000\r\n"),
            (166_274.151_562, "$11\r\n166274.1516\r\n"),
            // The double nearest to this is above it, its product with 10,000 a tie.
            (480_599.244_65, "$11\r\n480599.2446\r\n"),
        ] {
            let mut out = Vec::new();
            write_distance(&mut Reply::new(&mut out, Version::Resp2), distance);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
