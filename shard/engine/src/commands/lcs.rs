//! LCS: the longest common subsequence of two strings, by the classic table of lengths.

use protocol::args::Args;
use protocol::reply::Reply;

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::context::Context;
use crate::error::{Error, Outcome};

const NOT_STRINGS: Error = Error::new("ERR The specified keys must contain string values");

/// What is asked besides the subsequence itself.
#[derive(Default)]
struct Wanted {
    len: bool,
    ranges: bool,
    match_len: bool,
    match_len_min: usize,
}

impl Wanted {
    fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let mut wanted = Self::default();
        let mut options = Options::new(args, 3);
        while let Some(word) = options.next() {
            if is(word, "LEN") {
                wanted.len = true;
            } else if is(word, "IDX") {
                wanted.ranges = true;
            } else if is(word, "WITHMATCHLEN") {
                wanted.match_len = true;
            } else if is(word, "MINMATCHLEN") {
                let len = options::integer(options.value()?)?;
                wanted.match_len_min = usize::try_from(len).unwrap_or(0);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if wanted.len && wanted.ranges {
            Err(Error::new(
                "ERR If you want both the length and indexes, please just use IDX.",
            ))
        } else {
            Ok(wanted)
        }
    }
}

/// Lengths of the subsequences of all pairs of prefixes.
struct Lengths {
    columns: usize,
    cells: Vec<u32>,
}

impl Lengths {
    fn of(a: &[u8], b: &[u8], bytes_max: usize) -> Result<Self, Error> {
        let columns = b.len() + 1;
        let cells = (a.len() + 1)
            .checked_mul(columns)
            .filter(|cells| cells.checked_mul(4).is_some_and(|bytes| bytes <= bytes_max))
            .ok_or(Error::new(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ))?;
        let mut lengths = Self {
            columns,
            cells: vec![0; cells],
        };
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                lengths.cells[(i + 1) * columns + j + 1] = if x == y {
                    lengths.at(i, j) + 1
                } else {
                    lengths.at(i, j + 1).max(lengths.at(i + 1, j))
                };
            }
        }
        Ok(lengths)
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.columns + j]
    }
}

/// A run of bytes that both strings share: where it ends in each (excluded), and its length.
struct Run {
    a_end: usize,
    b_end: usize,
    len: usize,
}

/// Walks the table back from its end: the subsequence, and its runs from the last to the first.
fn trace(lengths: &Lengths, a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Run>) {
    let mut subsequence = Vec::new();
    let mut runs: Vec<Run> = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    let mut in_run = false;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            subsequence.push(a[i - 1]);
            match runs.last_mut() {
                Some(run) if in_run => run.len += 1,
                _ => runs.push(Run {
                    a_end: i,
                    b_end: j,
                    len: 1,
                }),
            }
            in_run = true;
            (i, j) = (i - 1, j - 1);
        } else {
            in_run = false;
            if lengths.at(i - 1, j) > lengths.at(i, j - 1) {
                i -= 1
            } else {
                j -= 1
            }
        }
    }
    subsequence.reverse();
    (subsequence, runs)
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`
pub fn lcs(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    // Both are looked up, whatever the first is.
    let [a, b] = [&args[1], &args[2]].map(|key| -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        if let Some(item) = ctx.string(key).map_err(|_| NOT_STRINGS)? {
            item.append_to(&mut text);
        }
        Ok(text)
    });
    let (a, b) = (a?, b?);
    let wanted = Wanted::parse(args)?;
    let lengths = Lengths::of(&a, &b, ctx.config.proto_max_bulk_len)?;
    let len = i64::from(lengths.at(a.len(), b.len()));
    if wanted.len {
        reply.integer(len);
        return Ok(());
    }
    let (subsequence, mut runs) = trace(&lengths, &a, &b);
    if !wanted.ranges {
        reply.bulk(&subsequence);
        return Ok(());
    }
    runs.retain(|run| run.len >= wanted.match_len_min);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(runs.len());
    for run in runs {
        reply.array(2 + usize::from(wanted.match_len));
        for end in [run.a_end, run.b_end] {
            reply.array(2);
            reply.integer((end - run.len) as i64);
            reply.integer(end as i64 - 1);
        }
        if wanted.match_len {
            reply.integer(run.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(len);
    Ok(())
}
