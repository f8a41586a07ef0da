//! A client whose scripts write keys of all shards that they have not declared.
//!
//! Which keys these are follows from the arguments, but for one that follows from what a key holds:
//! so a script scouts, widens, and is undone where another has what it names. All scripts share one
//! key. A list grows until it is too large for a copy, and the script takes everything.

use tests::Wire;

use crate::sent::{Loss, Sent, call, call_with, integer, integers};

/// Keys that a script sets to its number.
const WIDTH: usize = 4;

/// Keys of which a script sets the one that its count says.
const COUNTED: i64 = 8;

const TOTAL: &str = "scripted:total";

const SCRIPT: &str = "
    local name, number = ARGV[1], ARGV[2]
    for at = 0, 3 do redis.call('SET', 'scripted:' .. name .. ':' .. at, number) end
    local count = redis.call('INCR', 'scripted:count:' .. name)
    redis.call('SET', 'scripted:counted:' .. name .. ':' .. count % 8, number)
    redis.call('RPUSH', 'scripted:list:' .. name, number)
    redis.call('INCR', 'scripted:total')
    return count";

fn set(name: usize) -> Vec<String> {
    let each = 0..WIDTH;
    each.map(|at| format!("scripted:{name}:{at}")).collect()
}

/// All keys that the scripts of a client write.
pub fn keys(name: usize) -> Vec<String> {
    let counted = (0..COUNTED).map(|at| format!("scripted:counted:{name}:{at}"));
    let mut keys = set(name);
    keys.extend(counted);
    keys.extend(["count", "list"].map(|key| format!("scripted:{key}:{name}")));
    keys.push(TOTAL.to_owned());
    keys
}

/// Runs scripts, every other within a transaction, until the server is gone.
pub fn run(wire: &mut Wire, name: usize, sent: &mut Sent) -> Option<()> {
    loop {
        let number = sent.next();
        let eval = ["EVAL", SCRIPT, "0", &name.to_string(), &number.to_string()];
        if number % 2 == 0 {
            call(wire, "MULTI")?;
            call_with(wire, &eval)?;
            call(wire, "EXEC")?;
        } else {
            call_with(wire, &eval)?;
        }
        sent.answered();
    }
}

/// What a client's scripts wrote is there whole, and nothing is missing that has to be there.
pub fn check(wire: &mut Wire, name: usize, sent: &Sent, loss: Loss, told: &str) {
    let values = integers(wire, &format!("MGET {}", set(name).join(" ")));
    let count = integer(&wire.ask(&format!("GET scripted:count:{name}")));
    sent.assert_plausible(count, loss, "scripts", told);
    let list = integers(wire, &format!("LRANGE scripted:list:{name} 0 -1"));
    assert!(
        values.iter().all(|value| *value == count),
        "a script in part: {values:?} after {count}: {told}"
    );
    assert!(
        list.iter().copied().eq(1..=count),
        "a script in part: {list:?} after {count}: {told}"
    );
    for number in (1..=count).rev().take(COUNTED as usize) {
        let key = format!("scripted:counted:{name}:{}", number % COUNTED);
        let found = integer(&wire.ask(&format!("GET {key}")));
        assert_eq!(found, number, "a script in part: {key}: {told}");
    }
}

/// What all scripts have counted together is what each client's have.
pub fn check_total(wire: &mut Wire, clients: usize, told: &str) {
    let counts: Vec<String> = (0..clients)
        .map(|name| format!("scripted:count:{name}"))
        .collect();
    let counts = integers(wire, &format!("MGET {}", counts.join(" ")));
    let total = integer(&wire.ask(&format!("GET {TOTAL}")));
    assert_eq!(total, counts.iter().sum(), "a script in part: {told}");
}
