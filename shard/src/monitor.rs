//! MONITOR: every command that runs is shown to those who ask, wherever it runs.
//!
//! A connection's own shard writes the line, behind the command's start; what one turn has run goes
//! as one text to each shard that has monitors. While there is none, a shard looks at one counter
//! whenever it runs input. Passwords are not shown, nor are commands of the administrator, as in
//! Redis; commands between MULTI and EXEC are shown when EXEC runs them.
//!
//! A monitor that does not read is closed when its output meets `client-output-buffer-limit`: that
//! for normal clients where one is set, otherwise that for subscribers, for Redis's default has no
//! limit for normal clients and the text would grow without end.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use engine::header::ClientToken;
use engine::slot::ShardId;
use protocol::args::Args;
use protocol::command::Flags;
use protocol::table::CommandId;
use storage::DbIndex;

use crate::client::Client;
use crate::mailbox::message::Message;
use crate::redact;
use crate::shard::Shard;

/// How many monitors there are.
pub struct Census {
    total: AtomicUsize,
    shards: Vec<AtomicUsize>,
}

impl Census {
    /// None yet, of so many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            total: AtomicUsize::new(0),
            shards: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// Whether there is any monitor at all.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.total.load(Ordering::Relaxed) > 0
    }

    fn joins(&self, shard: ShardId) {
        self.shards[shard.index()].fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    fn leaves(&self, shard: ShardId) {
        self.total.fetch_sub(1, Ordering::Relaxed);
        self.shards[shard.index()].fetch_sub(1, Ordering::Relaxed);
    }

    /// The shards that have monitors.
    fn shards(&self) -> impl Iterator<Item = ShardId> {
        let has_some = |(_, count): &(usize, &AtomicUsize)| count.load(Ordering::Relaxed) > 0;
        let shards = self.shards.iter().enumerate().filter(has_some);
        shards.map(|(index, _)| ShardId::new(index))
    }
}

/// The monitors of one shard, and what its connections have run in this turn.
#[derive(Default)]
pub struct Monitors {
    /// Somebody watches, on some shard: looked at whenever input is run.
    pub(crate) watched: bool,
    tokens: Vec<ClientToken>,
    lines: Vec<u8>,
}

impl Shard {
    /// Makes a connection a monitor.
    pub fn add_monitor(&mut self, client: &mut Client) {
        let subscriptions = client.session.subscriptions.get_or_insert_default();
        if !std::mem::replace(&mut subscriptions.is_monitor, true) {
            self.hearers.monitors.tokens.push(client.token);
            self.hearers.monitors.watched = true;
            self.process.monitors.joins(self.engine.id);
        }
    }

    /// A connection monitors no longer.
    pub fn drop_monitor(&mut self, token: ClientToken) {
        self.hearers.monitors.tokens.retain(|other| *other != token);
        self.process.monitors.leaves(self.engine.id);
    }

    /// Looks whether anybody watches.
    #[inline]
    pub(crate) fn look_for_monitors(&mut self) {
        self.hearers.monitors.watched = self.process.monitors.is_any();
    }

    /// Shows a command of this shard's connection to the monitors.
    #[cold]
    pub(crate) fn show_to_monitors(&mut self, client: &Client, id: CommandId, args: &Args<'_>) {
        let hidden = Flags::ADMIN.with(Flags::SKIP_MONITOR);
        if !id.command().flags.intersects(hidden) {
            self.show_script_to_monitors(client, id, args);
        }
    }

    /// Shows a script, which comes before what it calls.
    #[cold]
    pub(crate) fn show_script_to_monitors(
        &mut self,
        client: &Client,
        id: CommandId,
        args: &Args<'_>,
    ) {
        let address = match (client.peer.unix, client.peer.address.strip_suffix(":0")) {
            (true, Some(path)) => format!("unix:{path}"),
            _ => client.peer.address.to_string(),
        };
        let db = client.session.db;
        write_line(&mut self.hearers.monitors.lines, &address, db, id, args);
    }

    /// Shows a command that a script has called.
    pub(crate) fn show_call_to_monitors(&mut self, id: CommandId, db: DbIndex, args: &Args<'_>) {
        write_line(&mut self.hearers.monitors.lines, "lua", db, id, args);
    }

    /// Sends what this turn has run to the shards that have monitors.
    #[inline]
    pub(crate) fn feed_monitors(&mut self) {
        if !self.hearers.monitors.lines.is_empty() {
            self.send_lines();
        }
    }

    #[cold]
    fn send_lines(&mut self) {
        let lines = Bytes::from(std::mem::take(&mut self.hearers.monitors.lines));
        let process = self.process.clone();
        for shard in process.monitors.shards() {
            let lines = lines.clone();
            let show = move |shard: &mut Shard| shard.hand_to_monitors(&lines);
            self.send(shard, Message::Visit(Box::new(show)));
        }
    }

    fn hand_to_monitors(&mut self, lines: &Bytes) {
        for token in self.hearers.monitors.tokens.clone() {
            let Some(client) = self.client(token).cloned() else {
                continue;
            };
            let mut client = client.borrow_mut();
            if client.closing.is_none() {
                client.attach(std::slice::from_ref(lines));
                let is_over = self.limit_output(&mut client);
                self.engine.stats.output_limit_closes += u64::from(is_over);
                client.wake();
            }
        }
    }
}

/// `+1700000000.123456 [0 127.0.0.1:5000] "set" "k" "v"`
fn write_line(out: &mut Vec<u8>, address: &str, db: DbIndex, id: CommandId, args: &Args<'_>) {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    // Writing to a vector does not fail.
    let _ = write!(
        out,
        "+{}.{:06} [{} {address}]",
        now.as_secs(),
        now.subsec_micros(),
        db.number()
    );
    for arg in redact::shown(id, args) {
        out.push(b' ');
        write_quoted(out, arg);
    }
    out.extend_from_slice(b"\r\n");
}

/// Bytes as a quoted text of visible ASCII.
fn write_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_line_of_visible_text() {
        let mut out = Vec::new();
        write_quoted(&mut out, b"a \"b\"\\\r\n\t\x07\x08\0\x7f\xff");
        assert_eq!(out, br#""a \"b\"\\\r\n\t\a\b\x00\x7f\xff""#);
    }

    #[test]
    fn shards_are_counted_apart() {
        let census = Census::new(3);
        assert!(!census.is_any());
        for shard in [1, 1, 2] {
            census.joins(ShardId::new(shard));
        }
        let shards = || census.shards().map(ShardId::index).collect::<Vec<_>>();
        assert_eq!(shards(), [1, 2]);
        census.leaves(ShardId::new(2));
        assert!(census.is_any() && shards() == [1]);
        (0..2).for_each(|_| census.leaves(ShardId::new(1)));
        assert!(!census.is_any() && shards().is_empty());
    }
}
