//! What took effect, in order: a simulator runs the same on a model at that instant.
//!
//! Without the feature `trace` there is nothing here.

use crate::header::Header;

#[cfg(feature = "trace")]
use crate::{engine::Engine, transaction::coordinator::Job};

/// Clients whose commands have taken effect, by their `CLIENT ID`.
#[derive(Default)]
pub struct Trace {
    #[cfg(feature = "trace")]
    effective: Option<Vec<u64>>,
    /// A script runs: what it calls is a part of it.
    #[cfg(feature = "trace")]
    is_paused: bool,
}

#[cfg(not(feature = "trace"))]
impl Trace {
    /// A command takes effect.
    #[inline]
    pub(crate) fn note(&mut self, _: Header) {}

    /// The command that was noted last has had no effect after all.
    #[inline]
    pub(crate) fn take_back(&mut self) {}

    /// Nothing is noted until this ends.
    #[inline]
    pub(crate) fn pause(&mut self, _: bool) {}
}

#[cfg(feature = "trace")]
impl Trace {
    /// From now on what takes effect is noted.
    pub fn begin(&mut self) {
        self.effective = Some(Vec::new());
    }

    /// What has taken effect since the last look.
    pub fn take(&mut self) -> Vec<u64> {
        self.effective
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// A command takes effect.
    pub(crate) fn note(&mut self, header: Header) {
        if let Some(effective) = &mut self.effective
            && !self.is_paused
        {
            effective.push(header.caller.client_id);
        }
    }

    /// The command that was noted last has had no effect after all.
    pub(crate) fn take_back(&mut self) {
        if let Some(effective) = &mut self.effective {
            effective.pop();
        }
    }

    /// Nothing is noted until this ends.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }
}

/// A script that has run for long.
#[cfg(feature = "trace")]
pub struct PausedScript {
    /// Whose it is.
    pub client_id: u64,
    pub has_written: bool,
    pub is_function: bool,
}

#[cfg(feature = "trace")]
impl Engine {
    /// Scripts that have run for long and are to go on.
    pub fn paused_scripts(&self) -> Vec<PausedScript> {
        let paused = self.scripting.paused.iter();
        let facts = paused.map(|index| match &self.coordinator.transactions[*index].job {
            Job::Script(Some(run)) => {
                let state = &run.state;
                PausedScript {
                    client_id: state.header.caller.client_id,
                    has_written: state.has_written,
                    is_function: state.is_function(),
                }
            }
            _ => unreachable!("only a script is paused"),
        });
        facts.collect()
    }

    /// Whether no script is under way, and nothing is done under a lock.
    pub fn has_no_scripts(&self) -> bool {
        let scripting = &self.scripting;
        let is_at_work = self.owner.runs_under.is_some() || self.owner.kept.is_some();
        scripting.paused.is_empty() && !is_at_work
    }
}
