//! Which commands are in which category, as ACL CAT and COMMAND LIST tell: of those that both
//! servers have.

use std::collections::BTreeSet;

use tests::{FEW_SHARDS, Options, Oracle, Server, Wire};

/// The names of a list.
fn names(wire: &mut Wire, ask: &str) -> BTreeSet<String> {
    let list = wire.ask(ask).elements().expect("a list");
    let name = |name: &tests::reply::Value| String::from_utf8_lossy(name.text()).into_owned();
    list.iter().map(name).collect()
}

#[test]
fn categories_are_those_of_redis() {
    let oracle = Oracle::start();
    let mut redis = oracle.connect();
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let all = |wire: &mut Wire| names(wire, "COMMAND LIST");
        let known: BTreeSet<String> = &all(&mut redis) & &all(&mut wire);
        assert!(known.len() > 300, "{}", known.len());
        let categories = names(&mut redis, "ACL CAT");
        assert_eq!(categories, names(&mut wire, "ACL CAT"));
        for category in categories {
            for ask in [
                format!("ACL CAT {category}"),
                format!("ACL CAT {}", category.to_uppercase()),
                format!("COMMAND LIST FILTERBY ACLCAT {category}"),
            ] {
                let expected = &names(&mut redis, &ask) & &known;
                let found = &names(&mut wire, &ask) & &known;
                assert!(!expected.is_empty(), "{ask}");
                assert_eq!(found, expected, "{ask}");
            }
        }
    }
}

/// The words are percore's own; each sub-command has its line.
#[test]
fn help_names_every_sub_command() {
    let oracle = Oracle::start();
    let server = Server::start(Options::shards(1));
    let subs = |wire: &mut Wire| -> BTreeSet<String> {
        let lines = wire.ask("ACL HELP").elements().expect("a list");
        let lines = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line.text()).into_owned());
        let names = lines.skip(1).filter(|line| !line.starts_with(' '));
        names
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(subs(&mut server.connect()), subs(&mut oracle.connect()));
}
