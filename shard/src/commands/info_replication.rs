//! INFO's figures about replication.

use std::fmt::Write;

use config::Config;

use crate::commands::replication::lag_s;
use crate::replication::Replication;
use crate::replication::link::KnownState;

/// The lines of the section.
pub fn write(replication: &Replication, config: &Config, out: &mut String) -> std::fmt::Result {
    let backlog = &replication.backlog;
    let replicas = replication.replicas();
    write!(
        out,
        "role:master\r\nconnected_slaves:{}\r\n",
        replicas.len()
    )?;
    for (number, replica) in replicas.iter().enumerate() {
        let lag = match replica.state {
            KnownState::Online => lag_s(replica.heard_at),
            _ => 0,
        };
        write!(
            out,
            "slave{number}:ip={},port={},state={},offset={},lag={lag}\r\n",
            replica.address,
            replica.port,
            replica.state.name(),
            replica.acknowledged,
        )?;
    }
    let (first, kept) = backlog.kept();
    let is_on = backlog.is_on();
    let lines: &[(&str, &dyn std::fmt::Display)] = &[
        ("master_failover_state", &"no-failover"),
        ("master_replid", &backlog.id()),
        ("master_replid2", &"0".repeat(40)),
        ("master_repl_offset", &backlog.end()),
        ("second_repl_offset", &-1),
        ("repl_backlog_active", &u8::from(is_on)),
        ("repl_backlog_size", &config.repl_backlog_size),
        (
            "repl_backlog_first_byte_offset",
            &if is_on { first } else { 0 },
        ),
        ("repl_backlog_histlen", &kept),
    ];
    for (name, value) in lines {
        write!(out, "{name}:{value}\r\n")?;
    }
    Ok(())
}
