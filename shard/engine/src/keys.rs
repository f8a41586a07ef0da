//! Which keys a command works on.

use protocol::args::Args;
use protocol::command::Command;
use protocol::keys;
use protocol::table::CommandId;
use smallvec::SmallVec;

use crate::transaction::locks::LockName;

/// What a command locks where it meets a lock.
pub fn lock_names(command: CommandId, args: &Args<'_>) -> SmallVec<[LockName; 8]> {
    let positions = key_positions(command.command(), args).into_iter();
    positions.map(|at| LockName::of_key(&args[at])).collect()
}

/// Where the keys stand among the arguments. A command whose arguments are malformed has none: it
/// runs where it is and says so itself.
pub fn key_positions(command: &'static Command, args: &Args<'_>) -> SmallVec<[usize; 8]> {
    let mut positions = SmallVec::new();
    if keys::key_positions(command, args, &mut |at, _| positions.push(at)).is_err() {
        positions.clear();
    }
    positions
}
