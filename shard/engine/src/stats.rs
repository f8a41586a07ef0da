//! What a shard counts: plain numbers that INFO sums over the shards.

use protocol::table::COMMANDS;
use tracing::trace;

use crate::error::Error;

/// Different error codes that are counted apart; more are counted together, as Redis does.
const ERROR_CODES_MAX: usize = 128;

/// One shard's counters since the last CONFIG RESETSTAT.
#[derive(Clone, Debug)]
pub struct Stats {
    pub connections: u64,
    pub rejected_connections: u64,
    pub commands: u64,
    pub net_input_bytes: u64,
    pub net_output_bytes: u64,
    /// Reads and writes of sockets that moved something.
    pub reads: u64,
    pub writes: u64,
    pub protocol_errors: u64,
    /// Connections closed for `client-query-buffer-limit` and `client-output-buffer-limit`.
    pub input_limit_closes: u64,
    pub output_limit_closes: u64,
    pub error_replies: u64,
    /// Commands sent to another shard.
    pub forwarded: u64,
    /// Batches they left in, and how many commands those held.
    pub batches: u64,
    pub batched: u64,
    /// Sleeping shards that were woken by a system call.
    pub wakes: u64,
    /// Times that the shard fell asleep and was woken.
    pub sleeps: u64,
    /// Turns, which are the cycles of this event loop.
    pub turns: u64,
    /// Microseconds of CPU that the shard's thread has taken, as it last counted; none where
    /// another shard counts for it.
    pub busy_us: u64,
    /// Microseconds that the clock has looked for expired keys, and how often it left some for
    /// later.
    pub expiry_us: u64,
    pub expiry_cut_short: u64,
    /// Failed attempts to authenticate.
    pub denied_auth: u64,
    /// Commands refused because memory was at its limit.
    pub refused_for_memory: u64,
    /// Connections closed for `maxmemory-clients`.
    pub evicted_clients: u64,
    /// Transactions over several shards, and those that had to queue for their locks.
    pub transactions: u64,
    pub transactions_retried: u64,
    /// Scripts that have asked other shards for keys, each time counted.
    pub scripts_widened: u64,
    /// Scripts that were undone and run again.
    pub scripts_run_again: u64,
    /// Scripts that ran with the whole keyspace locked.
    pub scripts_exclusive: u64,
    /// Calls of each command, by its place in the table.
    pub calls: Vec<u64>,
    /// Nanoseconds that all calls of it took together.
    pub nanos: Vec<u64>,
    pub failed: Vec<u64>,
    pub rejected: Vec<u64>,
    /// Error replies by their code.
    pub errors: Vec<(String, u64)>,
}

impl Default for Stats {
    fn default() -> Self {
        let each = vec![0; COMMANDS.len()];
        Self {
            connections: 0,
            rejected_connections: 0,
            commands: 0,
            net_input_bytes: 0,
            net_output_bytes: 0,
            reads: 0,
            writes: 0,
            protocol_errors: 0,
            input_limit_closes: 0,
            output_limit_closes: 0,
            error_replies: 0,
            forwarded: 0,
            batches: 0,
            batched: 0,
            wakes: 0,
            sleeps: 0,
            turns: 0,
            busy_us: 0,
            expiry_us: 0,
            expiry_cut_short: 0,
            denied_auth: 0,
            refused_for_memory: 0,
            evicted_clients: 0,
            transactions: 0,
            transactions_retried: 0,
            scripts_widened: 0,
            scripts_run_again: 0,
            scripts_exclusive: 0,
            calls: each.clone(),
            nanos: each.clone(),
            failed: each.clone(),
            rejected: each,
            errors: Vec::new(),
        }
    }
}

impl Stats {
    /// A command ran and answered with an error.
    #[cold]
    pub fn failed(&mut self, index: usize, error: &Error) {
        self.failed[index] += 1;
        // Not its text: that may repeat arguments.
        let command = COMMANDS[index].name;
        trace!(command, code = error.code(), "a command failed");
        self.count_error(error);
    }

    /// A command failed with the error of another, which is counted.
    pub fn failed_again(&mut self, index: usize) {
        self.failed[index] += 1;
    }

    /// A command was refused before it ran.
    #[cold]
    pub fn rejected(&mut self, index: Option<usize>, error: &Error) {
        if let Some(index) = index {
            self.rejected[index] += 1;
        }
        let command = index.map_or("unknown", |index| COMMANDS[index].name);
        trace!(command, code = error.code(), "a command was refused");
        self.refused_for_memory += u64::from(*error == Error::OUT_OF_MEMORY);
        self.count_error(error);
    }

    /// A command that failed, or was refused, has not been called after all: it is called again.
    pub(crate) fn take_back_failure(
        &mut self,
        index: Option<usize>,
        was_refused: bool,
        code: &str,
    ) {
        if let Some(index) = index {
            let counts = if was_refused {
                &mut self.rejected
            } else {
                &mut self.failed
            };
            counts[index] = counts[index].saturating_sub(1);
        }
        self.error_replies = self.error_replies.saturating_sub(1);
        if let Some((_, count)) = self.errors.iter_mut().find(|(known, _)| known == code) {
            *count -= 1;
        }
    }

    fn count_error(&mut self, error: &Error) {
        self.error_replies += 1;
        let code = error.code();
        if let Some((_, count)) = self.errors.iter_mut().find(|(known, _)| known == code) {
            *count += 1;
        } else if self.errors.len() < ERROR_CODES_MAX {
            self.errors.push((code.to_owned(), 1));
        }
    }

    /// Adds another shard's counters to these.
    pub fn add(&mut self, other: &Stats) {
        self.connections += other.connections;
        self.rejected_connections += other.rejected_connections;
        self.commands += other.commands;
        self.net_input_bytes += other.net_input_bytes;
        self.net_output_bytes += other.net_output_bytes;
        self.reads += other.reads;
        self.writes += other.writes;
        self.protocol_errors += other.protocol_errors;
        self.input_limit_closes += other.input_limit_closes;
        self.output_limit_closes += other.output_limit_closes;
        self.error_replies += other.error_replies;
        self.forwarded += other.forwarded;
        self.batches += other.batches;
        self.batched += other.batched;
        self.wakes += other.wakes;
        self.sleeps += other.sleeps;
        self.turns += other.turns;
        self.busy_us += other.busy_us;
        self.expiry_us += other.expiry_us;
        self.expiry_cut_short += other.expiry_cut_short;
        self.denied_auth += other.denied_auth;
        self.refused_for_memory += other.refused_for_memory;
        self.evicted_clients += other.evicted_clients;
        self.transactions += other.transactions;
        self.transactions_retried += other.transactions_retried;
        self.scripts_widened += other.scripts_widened;
        self.scripts_run_again += other.scripts_run_again;
        self.scripts_exclusive += other.scripts_exclusive;
        for (mine, theirs) in [
            (&mut self.calls, &other.calls),
            (&mut self.nanos, &other.nanos),
            (&mut self.failed, &other.failed),
            (&mut self.rejected, &other.rejected),
        ] {
            mine.iter_mut()
                .zip(theirs)
                .for_each(|(mine, theirs)| *mine += theirs);
        }
        for (code, count) in &other.errors {
            match self.errors.iter_mut().find(|(known, _)| known == code) {
                Some((_, mine)) => *mine += count,
                None => self.errors.push((code.clone(), *count)),
            }
        }
    }
}
