//! Connection: PING, ECHO, SELECT, HELLO, CLIENT.

use super::{Command, Draw, command};
use crate::compare::Compare;

pub fn draw(draw: &mut Draw) -> Command {
    match draw.random.u8(..16) {
        0..3 => command("PING"),
        3..5 => command("PING").arg(draw.value()),
        5..7 => command("ECHO").arg(draw.value()),
        7..9 => {
            command("SELECT").arg(draw.pick(&["0", "1", "2", "15", "16", "-1", "x", "99999999999"]))
        }
        // Its reply names the server and its version.
        9 => {
            let version = draw.pick(&["2", "3", "1", "4", "x", "2147483648"]);
            let hello = command("HELLO").arg(version);
            draw.option(hello, &["SETNAME me", "SETNAME", "AUTH default"])
                .compare(Compare::ErrorsOnly)
        }
        10 => command("CLIENT SETNAME").arg(draw.pick(&["me", "", "not me", "a\n", "x-y_z"])),
        11 => command("CLIENT GETNAME"),
        12 => command("CLIENT ID").compare(Compare::Kind),
        13 => command("CLIENT NO-EVICT").arg(draw.pick(&["ON", "off", "maybe"])),
        14 => command("CLIENT").arg(draw.pick(&["", "nothing", "x y"])),
        _ => command(draw.pick(&["nothing", "GET", "QUUX a b", "SET a", "RESET"])).rigid(),
    }
}
