//! Who is measured: a product with a number of shards, and the cores that it and its client get.

use std::fmt;
use std::str::FromStr;

use crate::process::Cores;

/// A program that speaks Redis's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// The reference, one thread for commands.
    Redis,
    /// The cheapest other sharded server known.
    Kevy,
    /// Ours.
    Percore,
}

/// A product with a number of shards: what one line of a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The program.
    pub product: Product,
    /// Its shards; 1 for Redis.
    pub shards: u8,
}

/// Redis, one thread.
pub const REDIS: Subject = subject(Product::Redis, 1);

/// kevy with `shards`.
pub const fn kevy(shards: u8) -> Subject {
    subject(Product::Kevy, shards)
}

/// percore with `shards`.
pub const fn percore(shards: u8) -> Subject {
    subject(Product::Percore, shards)
}

const fn subject(product: Product, shards: u8) -> Subject {
    Subject { product, shards }
}

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// The server's cores.
    pub server: Cores,
    /// The client's cores.
    pub client: Cores,
}

impl Subject {
    /// One shard has core 0 to itself and the client core 1; with more shards both share the two
    /// cores.
    pub fn placement(self) -> Placement {
        let (server, client) = if self.shards == 1 {
            ("0", "1")
        } else {
            ("0,1", "0,1")
        };
        Placement { server, client }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.product {
            Product::Redis => f.write_str("redis"),
            Product::Kevy => write!(f, "kevy-{}", self.shards),
            Product::Percore => write!(f, "percore-{}", self.shards),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Subject, String> {
        let unknown =
            || format!("no server is called {name:?}: redis, kevy-N or percore-N, N from 1 to 64");
        if name == "redis" {
            return Ok(REDIS);
        }
        let (product, shards) = name.split_once('-').ok_or_else(unknown)?;
        let shards: u8 = shards.parse().map_err(|_| unknown())?;
        if !(1..=64).contains(&shards) {
            return Err(unknown());
        }
        match product {
            "kevy" => Ok(kevy(shards)),
            "percore" => Ok(percore(shards)),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for subject in [REDIS, kevy(2), percore(4)] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        for wrong in ["", "redis-2", "kevy", "percore-0", "percore-300", "other-1"] {
            assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        }
    }
}
