//! MEMORY USAGE: what one key takes.

use protocol::args::Args;
use protocol::reply::Reply;
use storage::keyspace::SAMPLES;

use crate::commands::options::{Options, integer, is};
use crate::context::Context;
use crate::error::{Error, Outcome};

/// `MEMORY USAGE key [SAMPLES count]`: the memory of the key and its value, by the allocator's own
/// measure; nil where there is no such key.
///
/// Most values know what they take. Of a table as many elements are looked at as SAMPLES says, or
/// some dozens; 0 is all of them.
pub fn usage(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut samples = SAMPLES;
    let mut options = Options::new(args, 3);
    while let Some(word) = options.next() {
        if !is(word, "samples") {
            return Err(Error::SYNTAX);
        }
        samples = match integer(options.value()?)? {
            ..0 => return Err(Error::SYNTAX),
            0 => usize::MAX,
            count => usize::try_from(count).unwrap_or(usize::MAX),
        };
    }
    match ctx.peek(&args[2]) {
        Some(entry) => {
            let bytes = entry.memory_bytes_by(samples);
            reply.integer(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        None => reply.null(),
    }
    Ok(())
}
