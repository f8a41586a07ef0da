//! The slow log: the latest commands that took longer than `slowlog-log-slower-than`.
//!
//! A command is timed where it runs and noted where its connection lives, because only that shard
//! knows the connection's address and name. Each shard keeps `slowlog-max-len` entries; ids are
//! drawn from one counter of the process, so the latest of all shards are found by their ids.

use std::collections::VecDeque;

use engine::header::{Caller, ClientToken};
use protocol::args::Args;
use protocol::command::Flags;
use protocol::table::CommandId;
use storage::UnixMillis;
use tracing::info;

use crate::mailbox::message::Message;
use crate::redact;
use crate::shard::Shard;

/// Arguments of an entry; where a command has more, the last one says how many are left out.
const ARGS_MAX: usize = 32;

/// Bytes of an argument; the rest of a longer one is counted.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlowCommand {
    /// Grows over the whole process.
    pub id: u64,
    pub unix_s: u64,
    pub micros: u64,
    /// Cut to what the log keeps.
    pub args: Vec<Box<[u8]>>,
    pub address: Box<str>,
    /// Empty where the connection has none.
    pub name: Box<str>,
}

/// The entries of one shard's connections, the oldest first.
#[derive(Default)]
pub struct SlowLog {
    entries: VecDeque<SlowCommand>,
}

impl SlowLog {
    fn push(&mut self, entry: SlowCommand, len_max: usize) {
        self.entries.push_back(entry);
        while self.entries.len() > len_max {
            self.entries.pop_front();
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The latest `count`, the latest first.
    pub fn latest(&self, count: usize) -> Vec<SlowCommand> {
        self.entries.iter().rev().take(count).cloned().collect()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries = VecDeque::new();
    }
}

/// Arguments as the log keeps them.
fn cut(command: CommandId, args: &Args<'_>) -> Vec<Box<[u8]>> {
    let shown = redact::shown(command, args);
    let kept = if shown.len() > ARGS_MAX {
        ARGS_MAX - 1
    } else {
        shown.len()
    };
    let mut cut: Vec<Box<[u8]>> = shown[..kept].iter().map(|arg| cut_one(arg)).collect();
    if kept < shown.len() {
        let rest = format!("... ({} more arguments)", shown.len() - kept);
        cut.push(rest.into_bytes().into());
    }
    cut
}

fn cut_one(arg: &[u8]) -> Box<[u8]> {
    match arg.split_at_checked(ARG_BYTES_MAX) {
        Some((kept, rest)) if !rest.is_empty() => {
            let note = format!("... ({} more bytes)", rest.len());
            [kept, note.as_bytes()].concat().into()
        }
        _ => arg.into(),
    }
}

impl Shard {
    /// A command that has run here was slow: its connection's shard notes it.
    pub(crate) fn log_slow(
        &mut self,
        command: CommandId,
        caller: Caller,
        args: &Args<'_>,
        micros: u64,
    ) {
        if command.command().flags.contains(Flags::SKIP_SLOWLOG)
            || self.engine.config.slowlog_max_len == 0
        {
            return;
        }
        let now: UnixMillis = crate::shard::wall_time();
        let entry = SlowCommand {
            id: self.process.next_slow_id(),
            unix_s: now.ms() / 1000,
            micros,
            args: cut(command, args),
            address: "".into(),
            name: "".into(),
        };
        let note = move |home: &mut Shard| home.note_slow(caller, entry);
        self.send(caller.home, Message::Visit(Box::new(note)));
    }

    fn note_slow(&mut self, caller: Caller, mut entry: SlowCommand) {
        let token = ClientToken {
            index: caller.index,
            generation: caller.client_id as u32,
        };
        // As in Redis what a script calls is nobody's.
        if let Some(client) = self.client(token).filter(|_| !caller.in_script) {
            let client = client.borrow();
            entry.address = client.peer.address.clone();
            let name = client.session.name.as_ref();
            entry.name = name.map_or("", |name| name.shown()).into();
        }
        let len_max = self.slow_log_len_max();
        if let Some(left_out) = self.measured.log_limits.slow_commands.admit(self.second()) {
            // Arguments may be secret; the slow log has them.
            let name = entry
                .args
                .first()
                .map(|name| name.escape_ascii().to_string());
            info!(
                client = caller.client_id,
                command = name.unwrap_or_default(),
                micros = entry.micros,
                left_out,
                "slow command"
            );
        }
        self.measured.slow_log.push(entry, len_max);
    }

    /// How many entries all shards together show.
    pub fn slow_log_len_max(&self) -> usize {
        usize::try_from(self.engine.config.slowlog_max_len).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;
    use protocol::table::lookup;

    use super::*;

    fn kept(words: &[Vec<u8>]) -> Vec<String> {
        let args = OwnedArgs::from_parts(words.iter().map(Vec::as_slice));
        let command = lookup(&words[0]).expect("a command of the table");
        let text = |arg: Box<[u8]>| String::from_utf8(arg.into()).expect("text");
        let cut = cut(command, &args.borrow());
        cut.into_iter().map(text).collect()
    }

    #[test]
    fn long_commands_are_cut() {
        let mut words = vec![b"rpush".to_vec(), vec![b'x'; 128], vec![b'y'; 130]];
        let shown = kept(&words);
        assert_eq!(shown[1], "x".repeat(128));
        assert_eq!(shown[2], "y".repeat(128) + "... (2 more bytes)");
        words.resize(32, b"z".to_vec());
        assert_eq!(kept(&words)[31], "z");
        words.push(b"z".to_vec());
        let shown = kept(&words);
        assert_eq!((shown.len(), &*shown[31]), (32, "... (2 more arguments)"));
    }

    #[test]
    fn the_oldest_goes() {
        let mut log = SlowLog::default();
        for id in 0..5 {
            let entry = SlowCommand {
                id,
                unix_s: 0,
                micros: 1,
                args: Vec::new(),
                address: "".into(),
                name: "".into(),
            };
            log.push(entry, 3);
        }
        let ids: Vec<u64> = log.latest(10).iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [4, 3, 2]);
    }
}
