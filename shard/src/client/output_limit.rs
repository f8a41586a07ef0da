//! `client-output-buffer-limit`: a connection whose output nobody reads is closed, at once beyond
//! the hard limit, and beyond the soft one when that has lasted.
//!
//! Looked at where output grows: behind what a connection has run, with each message to a
//! subscriber or monitor, and once a second while the clock runs. Redis's default has no limit for
//! normal clients: those stop at 32 MB, as their input is not run any more (see `client`). Where
//! there is a limit, input is not run beyond that: what comes behind would not be sent.

use std::time::Duration;

use config::list::OutputLimit;
use tracing::warn;

use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing, OUTPUT_UNSENT_BYTES_MAX, STRANGERS_OUTPUT_BYTES_MAX};
use crate::shard::Shard;

/// Output that is not worth a look.
pub const LOOKED_AT_BYTES_MIN: usize = 16 * 1024;

impl Shard {
    /// Holds a client to its limit where output may have grown by replies.
    #[inline]
    pub(crate) fn limit_replies(&mut self, client: &mut Client) {
        if client.owed_bytes() > LOOKED_AT_BYTES_MIN {
            let is_over = self.limit_output(client);
            self.engine.stats.output_limit_closes += u64::from(is_over);
        }
    }

    /// Called before input is run: the configuration and what the connection is may have changed.
    #[inline]
    pub(crate) fn settle_output_max(&self, client: &mut Client) {
        client.output_max = if client.held_back_at.is_empty() {
            self.output_room(client)
        } else {
            0
        };
    }

    /// What it may be owed before nothing more is run for it.
    #[inline]
    pub(crate) fn output_room(&self, client: &Client) -> usize {
        let hard = self.output_limit_of(client).hard_bytes;
        match client.session.identity.is_authenticated() {
            false => STRANGERS_OUTPUT_BYTES_MAX,
            true if hard > 0 => OUTPUT_UNSENT_BYTES_MAX.min(hard.try_into().unwrap_or(usize::MAX)),
            true => OUTPUT_UNSENT_BYTES_MAX,
        }
    }

    fn output_limit_of(&self, client: &Client) -> &OutputLimit {
        let limits = &self.engine.config.client_output_buffer_limit;
        let limits_normal = limits.normal.hard_bytes > 0 || limits.normal.soft_bytes > 0;
        match &client.session.subscriptions {
            // A monitor's text would grow without end.
            Some(it) if !it.is_monitor || !limits_normal => &limits.pubsub,
            _ => &limits.normal,
        }
    }

    /// Closes a connection that does not read. Returns whether it did.
    pub(crate) fn limit_output(&self, client: &mut Client) -> bool {
        if client.closing == Some(Closing::Now) {
            return false;
        }
        let unsent = client.owed_bytes() as u64;
        let limit = self.output_limit_of(client);
        let over_soft = limit.soft_bytes > 0 && unsent > limit.soft_bytes;
        let since = if over_soft {
            *client.over_soft_since.get_or_insert(self.clock.instant)
        } else {
            client.over_soft_since = None;
            self.clock.instant
        };
        let soft_time = Duration::from_secs(limit.soft_s);
        let too_long = over_soft && self.clock.instant.saturating_duration_since(since) > soft_time;
        let is_over = too_long || limit.hard_bytes > 0 && unsent > limit.hard_bytes;
        if is_over {
            self.close_for_output(client, unsent);
        }
        is_over
    }

    /// Closes a connection whose output is over its limit.
    pub(crate) fn close_for_output(&self, client: &mut Client, unsent_bytes: u64) {
        if let Some(left_out) = self.measured.log_limits.limits.admit(self.second()) {
            warn!(
                client = client.session.id,
                address = &*client.peer.address,
                unsent_bytes,
                left_out,
                "closing a client that does not read (client-output-buffer-limit)"
            );
        }
        client.close_for(CloseReason::OutputLimit, Closing::Now);
    }
}
