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
        assert!(config.given.has(row));
        config.given = Given::default();
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
        (
            "cluster-announce-hostname",
            "a_b",
            "Hostnames may only contain alphanumeric characters, hyphens or dots",
        ),
        (
            "cluster-announce-human-nodename",
            "a~b",
            "Announced human node name contained invalid character",
        ),
        ("locale-collate", "nonsense~", "Invalid locale name"),
        (
            "active-defrag-cycle-max",
            "100",
            "argument must be between 1 and 99 inclusive",
        ),
        ("nonsense", "1", "there is no such parameter"),
    ] {
        assert_eq!(refusal(name, value), words, "{name} {value}");
    }
    assert!(refusal("tls-cluster", "yes").contains("not part of a cluster"));
    assert!(refusal("replicaof", "127.0.0.1 1").contains("no replicas"));
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
    assert_eq!(
        config.may_change("databases", true),
        Err(ConfigError::Immutable)
    );
    assert_eq!(config.may_change("port", true), Ok(()));
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
         client-output-buffer-limit pubsub 1 2 3\ntcp-backlog '5'\nlua-replicate-commands yes\n\
         io-threads 4\nslave-read-only no\nreplicaof no one\nactivedefrag yes\ninclude {}/nothing-*\n#!percore shards 3\n",
        inner.display(),
        dir.path().display()
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
    assert_eq!(config.shards, 3);
    assert_eq!(passed_over, ["lua-replicate-commands"]);
    assert_eq!(
        config.without_effect(),
        ["activedefrag", "io-threads", "replica-read-only"]
    );
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
        "tls-cluster yes",
        "replicaof a 1",
        "rename-command CONFIG",
        "loadmodule x.so",
        "#!percore nonsense 1",
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
    config
        .rewrite(&path, &config.first_users().expect("users"))
        .expect("rewritten");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), text);

    config.set("save", "10 1 20 2 30 3").expect("set");
    config.set("requirepass", "a \"b\"").expect("set");
    config
        .set("client-output-buffer-limit", "normal 1 2 3")
        .expect("set");
    config
        .rewrite(&path, &config.first_users().expect("users"))
        .expect("rewritten");
    let expected = "# head\nmaxmemory 1mb\n\nport 7000 \nsave 10 1\nsave 20 2\nsave 30 3\n# tail\n# Generated by CONFIG REWRITE\n\
        requirepass \"a \\\"b\\\"\"\nclient-output-buffer-limit normal 1 2 3\n\
        client-output-buffer-limit slave 268435456 67108864 60\nclient-output-buffer-limit pubsub 33554432 8388608 60\n";
    assert_eq!(std::fs::read_to_string(&path).expect("read"), expected);
    assert_eq!(Config::load_file(&path).expect("read"), config);

    config.set("save", "").expect("set");
    config
        .rewrite(&path, &config.first_users().expect("users"))
        .expect("rewritten");
    assert_eq!(Config::load_file(&path).expect("read"), config);
}

#[test]
fn rewriting_leaves_out_what_nobody_set_and_hides_what_redis_does_not_know() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.conf");
    let text = "port 7000\nmaxclients 50000\n#!percore io-driver epoll\n";
    std::fs::write(&path, text).expect("written");
    let mut config = Config::load_file(&path).expect("read");
    // What the machine chooses or allows.
    config.shards = 7;
    config.threads = 3;
    config.adapt("maxclients", "4064").expect("allowed");
    config
        .rewrite(&path, &config.first_users().expect("users"))
        .expect("rewritten");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), text);

    // What was asked for is written, also where it is what this machine would choose.
    let threads = Config::default().threads.to_string();
    config.set("threads", &threads).expect("set");
    config.set("oom-score-adj-values", "1 2 3").expect("set");
    config
        .rewrite(&path, &config.first_users().expect("users"))
        .expect("rewritten");
    let expected = format!(
        "{text}# Generated by CONFIG REWRITE\n#!percore threads {threads}\noom-score-adj-values 1 2 3\n"
    );
    assert_eq!(std::fs::read_to_string(&path).expect("read"), expected);
    let again = Config::load_file(&path).expect("read");
    assert_eq!(again.threads, config.threads);
    assert_eq!(again.get("io-driver").as_deref(), Some("epoll"));
}

#[test]
fn every_parameter_of_redis_is_there_and_others_are_said_to_be_our_own() {
    let of_redis: Vec<&str> = OF_REDIS.split_ascii_whitespace().collect();
    for name in &of_redis {
        let known = Parameter::find(name).is_some() || absent::find(name).is_some();
        assert!(known, "{name}");
    }
    let hidden: Vec<&str> = HIDDEN_IN_REDIS.split_ascii_whitespace().collect();
    for row in PARAMETERS {
        for name in row.names() {
            let is_of_redis = of_redis.contains(&name) || hidden.contains(&name);
            assert_eq!(row.is(Flag::Own), !is_of_redis, "{name}");
        }
    }
}

/// Every name that CONFIG GET of Redis 7.4 shows.
const OF_REDIS: &str = "\
acl-pubsub-default aclfile acllog-max-len active-defrag-cycle-max active-defrag-cycle-min \
active-defrag-ignore-bytes active-defrag-max-scan-fields active-defrag-threshold-lower \
active-defrag-threshold-upper active-expire-effort activedefrag activerehashing always-show-logo \
aof-load-truncated aof-rewrite-cpulist aof-rewrite-incremental-fsync aof-timestamp-enabled \
aof-use-rdb-preamble aof_rewrite_cpulist appenddirname appendfilename appendfsync appendonly \
auto-aof-rewrite-min-size auto-aof-rewrite-percentage bgsave-cpulist bgsave_cpulist bind bind-source-addr \
bio-cpulist bio_cpulist busy-reply-threshold client-output-buffer-limit client-query-buffer-limit \
cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down cluster-allow-replica-migration \
cluster-announce-bus-port cluster-announce-hostname cluster-announce-human-nodename cluster-announce-ip \
cluster-announce-port cluster-announce-tls-port cluster-config-file cluster-enabled cluster-link-sendbuf-limit \
cluster-migration-barrier cluster-node-timeout cluster-port cluster-preferred-endpoint-type \
cluster-replica-no-failover cluster-replica-validity-factor cluster-require-full-coverage \
cluster-slave-no-failover cluster-slave-validity-factor crash-log-enabled crash-memcheck-enabled daemonize \
databases dbfilename dir disable-thp dynamic-hz enable-debug-command enable-module-command \
enable-protected-configs hash-max-listpack-entries hash-max-listpack-value hash-max-ziplist-entries \
hash-max-ziplist-value hide-user-data-from-log hll-sparse-max-bytes hz ignore-warnings io-threads \
io-threads-do-reads jemalloc-bg-thread latency-monitor-threshold latency-tracking \
latency-tracking-info-percentiles lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del \
lazyfree-lazy-user-del lazyfree-lazy-user-flush lfu-decay-time lfu-log-factor list-compress-depth \
list-max-listpack-size list-max-ziplist-size locale-collate logfile loglevel lua-time-limit masterauth \
masteruser max-new-connections-per-cycle max-new-tls-connections-per-cycle maxclients maxmemory \
maxmemory-clients maxmemory-eviction-tenacity maxmemory-policy maxmemory-samples min-replicas-max-lag \
min-replicas-to-write min-slaves-max-lag min-slaves-to-write no-appendfsync-on-rewrite notify-keyspace-events \
oom-score-adj oom-score-adj-values pidfile port proc-title-template propagation-error-behavior protected-mode \
proto-max-bulk-len rdb-del-sync-files rdb-save-incremental-fsync rdbchecksum rdbcompression repl-backlog-size \
repl-backlog-ttl repl-disable-tcp-nodelay repl-diskless-load repl-diskless-sync repl-diskless-sync-delay \
repl-diskless-sync-max-replicas repl-ping-replica-period repl-ping-slave-period repl-timeout \
replica-announce-ip replica-announce-port replica-announced replica-ignore-disk-write-errors \
replica-ignore-maxmemory replica-lazy-flush replica-priority replica-read-only replica-serve-stale-data \
replicaof requirepass sanitize-dump-payload save server-cpulist server_cpulist set-max-intset-entries \
set-max-listpack-entries set-max-listpack-value set-proc-title shutdown-on-sigint shutdown-on-sigterm \
shutdown-timeout slave-announce-ip slave-announce-port slave-ignore-maxmemory slave-lazy-flush slave-priority \
slave-read-only slave-serve-stale-data slaveof slowlog-log-slower-than slowlog-max-len socket-mark-id \
stop-writes-on-bgsave-error stream-node-max-bytes stream-node-max-entries supervised syslog-enabled \
syslog-facility syslog-ident tcp-backlog tcp-keepalive timeout tls-auth-clients tls-ca-cert-dir \
tls-ca-cert-file tls-cert-file tls-ciphers tls-ciphersuites tls-client-cert-file tls-client-key-file \
tls-client-key-file-pass tls-cluster tls-dh-params-file tls-key-file tls-key-file-pass tls-port \
tls-prefer-server-ciphers tls-protocols tls-replication tls-session-cache-size tls-session-cache-timeout \
tls-session-caching tracking-table-max-keys unixsocket unixsocketperm zset-max-listpack-entries \
zset-max-listpack-value zset-max-ziplist-entries zset-max-ziplist-value";

/// Names that it shows only when asked for just them.
const HIDDEN_IN_REDIS: &str = "\
aof-disable-auto-gc close-on-replica-write cluster-ping-interval dynamic-hz io-threads-do-reads key-load-delay \
loading-process-events-interval-bytes rdb-key-save-delay sanitize-dump-payload use-exit-on-panic watchdog-period";

#[test]
fn rewriting_all_names_every_parameter_and_changes_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.conf");
    let text = "# head\nmaxmemory 1mb\nsave 900 1\n";
    std::fs::write(&path, text).expect("written");
    let config = Config::load_file(&path).expect("read");
    config
        .rewrite_all(&path, &config.first_users().expect("users"))
        .expect("rewritten");
    let all = std::fs::read_to_string(&path).expect("read");
    assert!(all.starts_with(text), "{all}");
    for row in PARAMETERS {
        let is_named = |line: &str| {
            let line = line.strip_prefix("#!percore ").unwrap_or(line);
            line.split(' ').next() == Some(row.name)
        };
        assert!(all.lines().any(is_named), "{}", row.name);
    }
    let mut again = Config::load_file(&path).expect("read");
    // All of them are given now.
    again.given = config.given;
    assert_eq!(again, config);
    config
        .rewrite_all(&path, &config.first_users().expect("users"))
        .expect("rewritten");
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
