//! COPY, whose destination may be in another database.

use protocol::args::Args;
use protocol::command::Command;
use protocol::facts::Elsewhere;
use protocol::reply::Reply;
use storage::DbIndex;
use storage::item::parse_int;

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// The key of `args` that lies in another database than the selected one, and the number of that
/// database: for COPY with DB and for MOVE, as a transaction must lock the key there.
pub fn other_database(command: &Command, args: &Args<'_>) -> Option<(usize, u16)> {
    let (key, number) = match command.elsewhere {
        Elsewhere::Nothing => return None,
        Elsewhere::Argument { key, number } => (key, args.get(usize::from(number))?),
        Elsewhere::Option { key, from } => {
            let mut options = Options::new(args, usize::from(from));
            while !is(options.next()?, "DB") {}
            (key, options.next()?)
        }
    };
    let number = u16::try_from(parse_int(number)?).ok()?;
    Some((usize::from(key), number))
}

/// The database with the number in `text`.
pub fn database(ctx: &Context<'_>, text: &[u8]) -> Result<DbIndex, Error> {
    u16::try_from(options::small_integer(text)?)
        .ok()
        .and_then(|number| ctx.databases.index(number))
        .ok_or(Error::DB_OUT_OF_RANGE)
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub fn copy(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (source, destination) = (&args[1], &args[2]);
    let mut replace = false;
    let mut to = ctx.selected;
    let mut options = Options::new(args, 3);
    while let Some(word) = options.next() {
        if is(word, "REPLACE") {
            replace = true;
        } else if is(word, "DB") && options.left() > 0 {
            to = database(ctx, options.value()?)?;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    if to == ctx.selected && source == destination {
        return Err(Error::SAME_OBJECT);
    }
    let Some(entry) = ctx.read(source) else {
        reply.integer(0);
        return Ok(());
    };
    let copied = entry.duplicate(destination);
    if ctx.find_in(to, destination).is_some() {
        if !replace {
            reply.integer(0);
            return Ok(());
        }
        if let Some(old) = ctx.databases.get_mut(to).take(destination) {
            ctx.discard(old);
        }
    }
    ctx.insert_in(to, copied);
    ctx.changed_in(to, destination, Event::COPY_TO);
    reply.integer(1);
    Ok(())
}
