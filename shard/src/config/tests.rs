//! The table as a whole, files, and rewriting.

use proptest::prelude::*;

use super::*;

fn refusal(name: &str, value: &str) -> String {
    let mut config = Config::default();
    let before = config.clone();
    let error = config.set(name, value).expect_err("refused");
    assert_eq!(config, before, "a refused value changes nothing");
    error.to_string()
}

#[test]
fn names_are_unique_and_every_default_reads_back() {
    let mut seen = std::collections::HashSet::new();
    for row in PARAMETERS {
        for name in row.names() {
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(name, name.to_ascii_lowercase());
        }
        let mut config = Config::default();
        config
            .set(row.name, &row.show(&Config::default()))
            .unwrap_or_else(|error| panic!("{}: {error}", row.name));
        assert_eq!(config, Config::default(), "{}", row.name);
    }
}

#[test]
fn defaults_are_those_of_redis() {
    let config = Config::default();
    for (name, value) in [
        ("port", "6379"),
        ("bind", "* -::*"),
        ("save", "3600 1 300 100 60 10000"),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
        ("list-max-ziplist-size", "-2"),
        ("unixsocketperm", "0"),
        ("appendonly", "no"),
        ("requirepass", ""),
        (
            "client-output-buffer-limit",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
    ] {
        assert_eq!(config.get(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn refusals_are_in_the_words_of_redis() {
    for (name, value, words) in [
        ("appendonly", "x", "argument must be 'yes' or 'no'"),
        (
            "port",
            "99999",
            "argument must be between 0 and 65535 inclusive",
        ),
        ("port", "1.5", "argument couldn't be parsed into an integer"),
        ("port", "+1", "argument couldn't be parsed into an integer"),
        ("maxmemory", "foo", "argument must be a memory value"),
        ("maxmemory", "-5", "argument must be a memory value"),
        (
            "maxclients",
            "0",
            "argument must be between 1 and 4294967295 inclusive",
        ),
        (
            "proto-max-bulk-len",
            "5",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        (
            "loglevel",
            "loud",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        ("save", "900 1 5", "Invalid save parameters"),
        ("save", "0 5", "Invalid save parameters"),
        (
            "client-output-buffer-limit",
            "x 1 2 3",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "normal 1 2",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "notify-keyspace-events",
            "Q",
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
        ("nonsense", "1", "there is no such parameter"),
    ] {
        assert_eq!(refusal(name, value), words, "{name} {value}");
    }
    assert!(refusal("activedefrag", "yes").contains("defragmentation"));
    assert!(refusal("dir", "/does/not/exist").contains("No such file or directory"));
    assert!(refusal("dbfilename", "a/b").contains("path"));
}

#[test]
fn values_are_shown_as_redis_shows_them() {
    for (name, value, shown) in [
        ("maxmemory", "1kB", "1024"),
        ("maxmemory", "100mb", "104857600"),
        ("maxmemory", "2g", "2000000000"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "KEmt", "tKEm"),
        ("notify-keyspace-events", "g$n", "g$n"),
        ("notify-keyspace-events", "KEAmn", "AKEm"),
        ("notify-keyspace-events", "nmtdKE", "tdnKEm"),
        ("notify-keyspace-events", "g$lshzxetd", "A"),
        ("save", "", ""),
        ("save", " 900  1 ", "900 1"),
        ("unixsocketperm", "0770", "770"),
        ("MaxMemory-Policy", "ALLKEYS-LRU", "allkeys-lru"),
        (
            "client-output-buffer-limit",
            "replica 1mb 1k 5",
            "normal 0 0 0 slave 1048576 1000 5 pubsub 33554432 8388608 60",
        ),
        ("slave-read-only", "no", "no"),
    ] {
        let mut config = Config::default();
        config.set(name, value).expect("allowed");
        assert_eq!(config.get(name).as_deref(), Some(shown), "{name} {value}");
    }
}

#[test]
fn changes_respect_flags() {
    let mut config = Config::default();
    assert_eq!(config.may_change("port", true), Err(ConfigError::Immutable));
    assert_eq!(
        config.may_change("dbfilename", true),
        Err(ConfigError::Protected)
    );
    config.enable_protected_configs = Permission::Local;
    assert_eq!(config.may_change("dbfilename", true), Ok(()));
    assert_eq!(
        config.may_change("dbfilename", false),
        Err(ConfigError::Protected)
    );
    assert_eq!(config.may_change("hz", false), Ok(()));
}

#[test]
fn matching_shows_older_names_and_keeps_hidden_ones_back() {
    let config = Config::default();
    let names = |glob: &str| -> Vec<_> {
        config
            .matching(glob.as_bytes())
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(
        names("hash-max-*-VALUE"),
        ["hash-max-listpack-value", "hash-max-ziplist-value"]
    );
    assert!(!names("*").contains(&"close-on-replica-write".into()));
    assert_eq!(names("Close-On-Replica-Write"), ["Close-On-Replica-Write"]);
    assert!(names("nonsense*").is_empty());
}

#[test]
fn a_file_is_read_with_quotes_comments_includes_and_saves() {
    let dir = tempfile::tempdir().expect("a directory");
    let inner = dir.path().join("inner.conf");
    std::fs::write(&inner, "hz 50\nsave 60 5\n").expect("written");
    let outer = dir.path().join("outer.conf");
    let text = format!(
        "# a comment\n\n  PORT 7000\nrequirepass \"a b\\x41\\n\"\nsave 900 1\ninclude {}\nbind 127.0.0.1 -::1\n\
         client-output-buffer-limit pubsub 1 2 3\ntcp-backlog '5'\noom-score-adj no\ntls-port 0\n",
        inner.display()
    );
    std::fs::write(&outer, text).expect("written");
    let mut loader = Loader::new();
    loader.file(&outer).expect("read");
    loader.directive("hz", &["60".into()]).expect("set");
    let (config, passed_over) = loader.finish();
    assert_eq!(config.port, 7000);
    assert_eq!(config.hz, 60);
    assert_eq!(config.requirepass.as_deref(), Some("a bA\n"));
    assert_eq!(config.get("save").as_deref(), Some("900 1 60 5"));
    assert_eq!(config.bind.0, ["127.0.0.1", "-::1"]);
    assert_eq!(config.tcp_backlog, 5);
    assert_eq!(passed_over, ["oom-score-adj", "tls-port"]);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_line() {
    for (text, words) in [
        (
            "\nfoo 1",
            "t:2: 'foo 1': neither Redis nor percore has a parameter 'foo'",
        ),
        (
            "port x",
            "t:1: 'port x': argument couldn't be parsed into an integer",
        ),
        ("port 1 2", "t:1: 'port 1 2': wrong number of arguments"),
        (
            "bind \"a",
            "t:1: 'bind \"a': Unbalanced quotes in configuration line",
        ),
        (
            "dbfilename \"a\"b",
            "t:1: 'dbfilename \"a\"b': Unbalanced quotes in configuration line",
        ),
        (
            "requirepass a b",
            "t:1: 'requirepass (hidden)': wrong number of arguments",
        ),
        (
            "include /does/not/exist",
            "/does/not/exist: No such file or directory",
        ),
        (
            "client-output-buffer-limit normal",
            "t:1: 'client-output-buffer-limit normal': Wrong number of arguments in buffer limit configuration.",
        ),
    ] {
        let error = Loader::new().text(text, "t").expect_err("refused");
        assert_eq!(error.to_string(), words);
    }
    for text in [
        "tls-port 6380",
        "replicaof a 1",
        "rename-command CONFIG \"\"",
        "user x on",
    ] {
        Loader::new().text(text, "t").expect_err(text);
    }
}

#[test]
fn a_file_that_includes_itself_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.conf");
    std::fs::write(&path, format!("include {}", path.display())).expect("written");
    let error = Config::load_file(&path).expect_err("refused");
    assert!(error.to_string().contains("too deeply"), "{error}");
}

#[test]
fn rewriting_keeps_comments_and_order_and_changes_only_what_differs() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.conf");
    let text = "# head\nmaxmemory 1mb\n\nport 7000 \nsave 900 1\nsave 60 5\n# tail\n";
    std::fs::write(&path, text).expect("written");
    let mut config = Config::load_file(&path).expect("read");
    config.rewrite(&path).expect("rewritten");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), text);

    config.set("save", "10 1 20 2 30 3").expect("set");
    config.set("requirepass", "a \"b\"").expect("set");
    config
        .set("client-output-buffer-limit", "normal 1 2 3")
        .expect("set");
    config.rewrite(&path).expect("rewritten");
    let expected = "# head\nmaxmemory 1mb\n\nport 7000 \nsave 10 1\nsave 20 2\nsave 30 3\n# tail\n# Generated by CONFIG REWRITE\n\
        requirepass \"a \\\"b\\\"\"\nclient-output-buffer-limit normal 1 2 3\n\
        client-output-buffer-limit slave 268435456 67108864 60\nclient-output-buffer-limit pubsub 33554432 8388608 60\n";
    assert_eq!(std::fs::read_to_string(&path).expect("read"), expected);
    assert_eq!(Config::load_file(&path).expect("read"), config);

    config.set("save", "").expect("set");
    config.rewrite(&path).expect("rewritten");
    assert_eq!(Config::load_file(&path).expect("read"), config);
}

#[test]
fn rewriting_all_names_every_parameter_and_changes_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.conf");
    let text = "# head\nmaxmemory 1mb\nsave 900 1\n";
    std::fs::write(&path, text).expect("written");
    let config = Config::load_file(&path).expect("read");
    config.rewrite_all(&path).expect("rewritten");
    let all = std::fs::read_to_string(&path).expect("read");
    assert!(all.starts_with(text), "{all}");
    for row in PARAMETERS {
        let is_named = |line: &str| line.split(' ').next() == Some(row.name);
        assert!(all.lines().any(is_named), "{}", row.name);
    }
    assert_eq!(Config::load_file(&path).expect("read"), config);
    config.rewrite_all(&path).expect("rewritten");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), all);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_word_survives_quoting(word in "\\PC*|[\\x00-\\x7f]*") {
        prop_assert_eq!(file::words(&file::quoted(&word)), Some(vec![word]));
    }

    #[test]
    fn no_text_makes_the_reader_or_a_row_panic(name in 0..PARAMETERS.len(), text in "\\PC{0,40}|[0-9kmgb -]{0,40}") {
        let _ = Loader::new().text(&text, "t");
        let mut config = Config::default();
        if PARAMETERS[name].set(&mut config, &text).is_ok() {
            let shown = PARAMETERS[name].show(&config);
            let mut again = Config::default();
            PARAMETERS[name].set(&mut again, &shown).expect("what is shown reads back");
            prop_assert_eq!(again, config);
        }
    }
}
