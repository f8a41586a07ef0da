//! Links between a master and its replicas: what they say of themselves, how they break and come
//! back, and who waits for them.

use std::time::Duration;

use tests::server::eventually;
use tests::{Oracle, SHARDS};

use super::{DEBUG, SYNC_TIME_MAX, follow, master, until_all_have_it};

#[test]
fn a_broken_link_goes_on_where_it_was() {
    for shards in SHARDS {
        let master = master(shards, "");
        let replica = Oracle::with_flags(DEBUG);
        follow(&replica, &master);
        let (mut here, mut there) = (master.connect(), replica.connect());
        here.ask("SET a 1");
        until_all_have_it(&mut here, 1);
        assert_eq!(here.ask("CLIENT KILL TYPE replica").integer(), 1);
        here.ask("SET b 2");
        eventually("what was missed has come", SYNC_TIME_MAX, || {
            there.ask("EXISTS b").integer() == 1
        });
        assert!(
            master.log().contains("a replica is back"),
            "{shards} shards"
        );
    }
}

#[test]
fn a_link_that_missed_too_much_gets_all_data_again() {
    let master = master(2, "--repl-backlog-size 16kb");
    let replica = Oracle::with_flags(DEBUG);
    follow(&replica, &master);
    let (mut here, mut there) = (master.connect(), replica.connect());
    there.ask("REPLICAOF NO ONE");
    for number in 0..100 {
        here.command(&["SET", &format!("key:{number}"), &"x".repeat(4096)]);
    }
    follow(&replica, &master);
    until_all_have_it(&mut here, 1);
    assert_eq!(there.ask("DBSIZE").integer(), 100);
}

#[test]
fn an_offset_that_cannot_be_gets_all_data() {
    let master = master(2, "");
    for offset in ["-9223372036854775808", "9223372036854775807", "0", "x"] {
        let mut wire = master.connect();
        let greeting = wire.ask(&format!("PSYNC some-id {offset}"));
        assert!(greeting.text().starts_with(b"FULLRESYNC "), "{offset}");
    }
    assert_eq!(master.connect().ask("PING").text(), b"PONG");
}

#[test]
fn who_only_greets_is_no_replica() {
    let master = master(2, "");
    let mut wire = master.connect();
    assert_eq!(wire.ask("REPLCONF capa psync2").text(), b"OK");
    assert!(wire.ask("CLIENT LIST TYPE replica").text().is_empty());
    assert_eq!(wire.ask("SET a 1").text(), b"OK");
}

#[test]
fn wait_counts_those_that_have_it() {
    for shards in SHARDS {
        let master = master(shards, "");
        let mut wire = master.connect();
        assert_eq!(wire.ask("WAIT 0 0").integer(), 0);
        let replicas = [Oracle::start(), Oracle::start()];
        replicas.iter().for_each(|replica| follow(replica, &master));
        for number in 0..20 {
            wire.ask(&format!("SET key:{number} x"));
            assert_eq!(wire.ask("WAIT 2 20000").integer(), 2, "{shards} shards");
            let has_it = |replica: &Oracle| {
                let answer = replica.connect().ask(&format!("GET key:{number}"));
                answer.text() == b"x"
            };
            assert!(replicas.iter().all(has_it), "{shards} shards");
        }
        assert_eq!(wire.ask("WAIT 3 50").integer(), 2);
    }
}

#[test]
fn replicas_are_shown() {
    let master = master(2, "");
    let replica = Oracle::start();
    follow(&replica, &master);
    let mut wire = master.connect();
    wire.ask("SET a 1");
    until_all_have_it(&mut wire, 1);
    let info = wire.info("replication");
    assert_eq!(info.get("connected_slaves"), Some("1"));
    let shown = format!("ip=127.0.0.1,port={},state=online,offset=", replica.port());
    assert!(
        info.text("slave0").starts_with(&shown),
        "{}",
        info.text("slave0")
    );
    assert_eq!(info.get("repl_backlog_active"), Some("1"));
    assert_eq!(
        replica.connect().info("replication").get("master_replid"),
        info.get("master_replid")
    );
    let role = wire.ask("ROLE");
    let role = role.elements().expect("an array");
    assert_eq!(role[0].text(), b"master");
    let known = role[2].elements().expect("replicas");
    let known = known[0].elements().expect("a replica");
    assert_eq!(known[1].text(), replica.port().to_string().as_bytes());
    let list = wire.ask("CLIENT LIST TYPE replica");
    assert!(String::from_utf8_lossy(list.text()).contains("flags=S"));
    drop(replica);
    eventually("the replica is gone", Duration::from_secs(10), || {
        wire.info("replication").get("connected_slaves") == Some("0")
    });
}

#[test]
fn a_dump_by_redis_cli_is_one_of_all_data() {
    for shards in SHARDS {
        let master = master(shards, "");
        let mut wire = master.connect();
        wire.ask("DEBUG POPULATE 1000 key 50");
        let file = master.directory().join("by-cli.rdb");
        let port = master.port().to_string();
        let dumped = std::process::Command::new("redis-cli")
            .args(["-p", &port, "--rdb"])
            .arg(&file)
            .output()
            .expect("redis-cli");
        assert!(dumped.status.success(), "{dumped:?}");
        let directory = master.directory().display().to_string();
        let oracle = Oracle::with_flags(&format!(
            "{DEBUG} --dir {directory} --dbfilename by-cli.rdb"
        ));
        let loaded = oracle.connect().ask("DEBUG DIGEST");
        assert_eq!(loaded, wire.ask("DEBUG DIGEST"), "{shards} shards");
    }
}
