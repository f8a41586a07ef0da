//! `oom-score-adj`: the score by which the kernel chooses what to end when memory runs out.

use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError};

use config::Config;

const FILE: &str = "/proc/self/oom_score_adj";

/// The score of this process.
#[derive(Default)]
pub struct Oom {
    /// What the process began with, and what it has now; none where it was never changed.
    scores: Mutex<Option<(i32, i32)>>,
}

impl Oom {
    /// Makes the score what the configuration says. What it was before comes back with
    /// `oom-score-adj no`.
    pub fn follow(&self, config: &Config) -> io::Result<()> {
        let mut scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, now) = match *scores {
            Some(scores) => scores,
            None => {
                let wanted = config.oom_score_adj_values;
                if wanted.of_master(config.oom_score_adj, 0).is_none() {
                    return Ok(());
                }
                let found = read()?;
                (found, found)
            }
        };
        let wanted = config
            .oom_score_adj_values
            .of_master(config.oom_score_adj, found)
            .unwrap_or(found);
        if wanted != now {
            fs::write(FILE, wanted.to_string())?;
        }
        *scores = Some((found, wanted));
        Ok(())
    }
}

fn read() -> io::Result<i32> {
    fs::read_to_string(FILE)?
        .trim()
        .parse()
        .map_err(io::Error::other)
}
