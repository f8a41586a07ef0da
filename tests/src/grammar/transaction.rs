//! MULTI, EXEC, DISCARD, WATCH among commands whose replies have one order only, as EXEC's reply is
//! compared byte for byte.

use super::{Command, Draw, command, list, string};
use crate::compare::Compare;

/// Draws until a command is found that can stand in a transaction.
const DRAWS_MAX: usize = 20;

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..16) {
        0..3 => command("MULTI"),
        3..5 => command("EXEC"),
        5 => command(draw.pick(&["DISCARD", "UNWATCH", "EXEC", "EXEC x", "MULTI x"])).rigid(),
        6 => command("WATCH").args(draw.keys(3)),
        7..9 => command("MGET").args(draw.keys(6)),
        other => {
            let family = match other {
                9..13 => string::draw,
                _ => list::draw,
            };
            (0..DRAWS_MAX)
                .map(|_| family(draw))
                .find(|command| command.compare == Compare::Exact)
                .unwrap_or_else(|| command("PING"))
        }
    }
}
