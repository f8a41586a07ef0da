//! CLIENT UNBLOCK.

use engine::blocking::ending::{CancelMode, End as WaitEnd};
use engine::commands::options::is;
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use storage::item::parse_int;

use crate::blocking::cancel_mode_of;
use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;
use crate::transaction::gather::PartOf;

/// `CLIENT UNBLOCK id [TIMEOUT | ERROR]`: 1 where that connection was waiting.
///
/// The shard of that connection answers: 1 where its command may be waiting. Where the command is
/// being served on another shard at this very moment, the connection gets its element and this
/// answer is 1 all the same.
pub fn unblock(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if args.len() > 4 {
        return Err(Error::bad_subcommand("CLIENT", &args[1]));
    }
    let id = parse_int(&args[2]).ok_or(Error::NOT_AN_INTEGER)?;
    let how = match args.get(3) {
        None => WaitEnd::TimedOut,
        Some(word) if is(word, "TIMEOUT") => WaitEnd::TimedOut,
        Some(word) if is(word, "ERROR") => WaitEnd::Unblocked,
        Some(_) => {
            return Err(Error::new(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
    };
    let shards = shard.engine.slots.all();
    let mode = cancel_mode_of(client);
    let visit = move |shard: &mut Shard, part| shard.unblock(id, how, mode, part);
    Ok(
        shard.gather_told(client, shards, visit, |_, ended: Vec<bool>, reply| {
            reply.integer(i64::from(ended.into_iter().any(|ended| ended)));
            Ok(())
        }),
    )
}

impl Shard {
    /// Ends the wait of the connection with this id, if it is here and waits. Where something is
    /// serving it just now, that comes first.
    fn unblock(&mut self, id: i64, how: WaitEnd, mode: CancelMode, part: PartOf<bool>) {
        let found = self.connections.clients.iter().find_map(|(_, known)| {
            let client = known.client.try_borrow().ok()?;
            let is_it = u64::try_from(id) == Ok(client.session.id);
            let at = client.blocked.filter(|_| is_it)?;
            Some((client.token, at))
        });
        match found {
            Some((token, at)) => {
                let told = |shard: &mut Shard, ended| part.tell(shard, ended);
                self.end_wait(token, at, how, mode, Some(Box::new(told)));
            }
            None => part.tell(self, false),
        }
    }
}
