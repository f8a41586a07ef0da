//! What a `redis.conf` may hold and percore does not have.
//!
//! People bring the file that they have. A directive that only tunes what percore does otherwise is passed over, and the log names it. One
//! whose absence would break a promise (who may come in, what survives, who is sent a copy) is refused, unless its value asks for nothing.

/// What to do with a directive that has no row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// Nothing depends on it: passed over by name.
    Passed,
    /// Passed over where it has this value, refused otherwise.
    PassedOnlyAs(&'static str),
    /// Refused, whatever its value.
    Refused,
}

use Absent::{Passed, PassedOnlyAs, Refused};

const DIRECTIVES: &[(&str, Absent)] = &[
    // Who may come in.
    ("aclfile", PassedOnlyAs("")),
    ("acl-pubsub-default", PassedOnlyAs("resetchannels")),
    ("user", Refused),
    ("rename-command", Refused),
    ("enable-module-command", PassedOnlyAs("no")),
    ("loadmodule", Refused),
    ("tls-port", PassedOnlyAs("0")),
    ("tls-cluster", PassedOnlyAs("no")),
    ("tls-replication", PassedOnlyAs("no")),
    ("tls-cert-file", Passed),
    ("tls-key-file", Passed),
    ("tls-key-file-pass", Passed),
    ("tls-client-cert-file", Passed),
    ("tls-client-key-file", Passed),
    ("tls-client-key-file-pass", Passed),
    ("tls-dh-params-file", Passed),
    ("tls-ca-cert-file", Passed),
    ("tls-ca-cert-dir", Passed),
    ("tls-auth-clients", Passed),
    ("tls-protocols", Passed),
    ("tls-ciphers", Passed),
    ("tls-ciphersuites", Passed),
    ("tls-prefer-server-ciphers", Passed),
    ("tls-session-caching", Passed),
    ("tls-session-cache-size", Passed),
    ("tls-session-cache-timeout", Passed),
    // Copies elsewhere.
    ("replicaof", PassedOnlyAs("no one")),
    ("slaveof", PassedOnlyAs("no one")),
    ("masterauth", Passed),
    ("masteruser", Passed),
    ("replica-announced", Passed),
    ("replica-announce-ip", Passed),
    ("replica-announce-port", Passed),
    ("slave-announce-ip", Passed),
    ("slave-announce-port", Passed),
    ("replica-ignore-disk-write-errors", Passed),
    ("repl-backlog-ttl", Passed),
    ("repl-disable-tcp-nodelay", Passed),
    ("repl-diskless-load", Passed),
    ("repl-diskless-sync-max-replicas", Passed),
    ("repl-ping-replica-period", Passed),
    ("repl-ping-slave-period", Passed),
    ("rdb-del-sync-files", Passed),
    // Clusters; `cluster-enabled` has a row.
    ("cluster-config-file", Passed),
    ("cluster-node-timeout", Passed),
    ("cluster-port", Passed),
    ("cluster-announce-bus-port", Passed),
    ("cluster-announce-hostname", Passed),
    ("cluster-announce-human-nodename", Passed),
    ("cluster-announce-ip", Passed),
    ("cluster-announce-port", Passed),
    ("cluster-announce-tls-port", Passed),
    ("cluster-allow-pubsubshard-when-down", Passed),
    ("cluster-allow-reads-when-down", Passed),
    ("cluster-allow-replica-migration", Passed),
    ("cluster-link-sendbuf-limit", Passed),
    ("cluster-migration-barrier", Passed),
    ("cluster-preferred-endpoint-type", Passed),
    ("cluster-replica-no-failover", Passed),
    ("cluster-slave-no-failover", Passed),
    ("cluster-replica-validity-factor", Passed),
    ("cluster-slave-validity-factor", Passed),
    ("cluster-require-full-coverage", Passed),
    // What only tunes.
    ("acllog-max-len", Passed),
    ("active-defrag-cycle-max", Passed),
    ("active-defrag-cycle-min", Passed),
    ("active-defrag-ignore-bytes", Passed),
    ("active-defrag-max-scan-fields", Passed),
    ("active-defrag-threshold-lower", Passed),
    ("active-defrag-threshold-upper", Passed),
    ("always-show-logo", Passed),
    ("aof-disable-auto-gc", Passed),
    ("aof-rewrite-incremental-fsync", Passed),
    ("aof-timestamp-enabled", Passed),
    ("aof_rewrite_cpulist", Passed),
    ("aof-rewrite-cpulist", Passed),
    ("bgsave_cpulist", Passed),
    ("bgsave-cpulist", Passed),
    ("bind-source-addr", Passed),
    ("bio_cpulist", Passed),
    ("bio-cpulist", Passed),
    ("crash-log-enabled", Passed),
    ("crash-memcheck-enabled", Passed),
    ("hide-user-data-from-log", Passed),
    ("ignore-warnings", Passed),
    ("jemalloc-bg-thread", Passed),
    ("locale-collate", Passed),
    ("max-new-connections-per-cycle", Passed),
    ("max-new-tls-connections-per-cycle", Passed),
    ("oom-score-adj", Passed),
    ("oom-score-adj-values", Passed),
    ("proc-title-template", Passed),
    ("rdb-save-incremental-fsync", Passed),
    ("server_cpulist", Passed),
    ("server-cpulist", Passed),
    ("socket-mark-id", Passed),
    ("syslog-enabled", PassedOnlyAs("no")),
    ("syslog-facility", Passed),
    ("syslog-ident", Passed),
];

/// What to do with `name`, in any case. `None` where Redis has no such directive either.
pub fn find(name: &str) -> Option<Absent> {
    DIRECTIVES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, absent)| *absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Parameter;

    #[test]
    fn nothing_is_both_absent_and_in_the_table() {
        for (name, _) in DIRECTIVES {
            assert!(Parameter::find(name).is_none(), "{name}");
        }
    }
}
