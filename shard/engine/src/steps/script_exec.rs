//! Scripts between MULTI and EXEC. They run on what EXEC has locked: all keys there are, unless the
//! script is plain. So nothing is tried, refused or undone.

use std::mem;

use protocol::args::{Args, OwnedArgs};
use protocol::reply::{Reply, Version};
use protocol::table::CommandId;
use storage::DbIndex;

use crate::action::Action;
use crate::engine::Engine;
use crate::error::Error;
use crate::header::Header;
use crate::message::Scope;
use crate::script::run::{Next, Progress, Reach, ScriptRun};
use crate::script::told::Told;
use crate::steps::script_locks::Kill;
use crate::transaction::coordinator::Held;

const NOT_LOCKED: Error =
    Error::new("ERR a script in a transaction named a key that its text does not show");

/// What a script of an EXEC has come to.
pub enum ScriptInExec {
    Done,
    /// It has called a command of the outside: [`ScriptRun::answer`] has it go on.
    Outside {
        command: CommandId,
        args: OwnedArgs,
        version: Version,
        db: DbIndex,
    },
    /// Others are to have a turn before it goes on.
    Pause,
}

impl Engine {
    /// Begins a script of an EXEC, which has these locks. Nothing where it is refused: then it is
    /// answered.
    pub fn begin_script_held(
        &mut self,
        held: &Held,
        header: Header,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Box<ScriptRun>> {
        let program = self.program_of(header, args);
        let mut run = self.prepare_script(program, header, args, reply)?;
        let state = &mut run.state;
        state.undo = None;
        state.reach = Reach::Locked;
        for part in &held.parts {
            match &part.scope {
                Scope::Keys { keys, .. } => state.held.extend(keys.iter().cloned()),
                _ => state.reach = Reach::Everything,
            }
        }
        self.start_run(&mut run, args);
        Some(run)
    }

    /// Lets such a script go on.
    pub fn drive_held(&mut self, held: &mut Held, run: &mut ScriptRun) -> ScriptInExec {
        loop {
            mem::swap(&mut run.state.workspace, &mut held.workspace);
            let progress = self.drive(run);
            mem::swap(&mut run.state.workspace, &mut held.workspace);
            match progress {
                Progress::Done => return ScriptInExec::Done,
                Progress::Keys(_) | Progress::Everything | Progress::Scouted => {
                    run.state.encoded.clear();
                    let version = run.machine().version();
                    NOT_LOCKED.write(&mut Reply::new(&mut run.state.encoded, version));
                    run.state.next = Next::Reply;
                }
                Progress::Outside(command) => {
                    run.state.next = Next::Reply;
                    if run.state.is_watched {
                        let args = OwnedArgs::from(run.machine().command());
                        let called = Told::Called(command, run.state.db, args);
                        self.actions.push(Action::Tell(called));
                    }
                    return ScriptInExec::Outside {
                        command,
                        args: OwnedArgs::from(run.machine().command()),
                        version: run.machine().version(),
                        db: run.state.db,
                    };
                }
                Progress::Pause => {
                    self.tell_busy(run, true);
                    return ScriptInExec::Pause;
                }
            }
        }
    }

    /// Answers for such a script, which is over.
    pub fn end_script_held(
        &mut self,
        mut run: Box<ScriptRun>,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) {
        self.end_script(&mut run, args, reply);
        self.tell_busy(&mut run, false);
        self.retire(run);
    }
}

impl ScriptRun {
    /// The reply of the command of the outside that it has called.
    pub fn answer(&mut self, reply: &[u8]) {
        self.state.encoded.clear();
        self.state.encoded.extend_from_slice(reply);
    }

    /// Ends it where it has run for long and has written nothing.
    pub fn kill(&mut self, functions: bool) -> Kill {
        if self.state.is_function() != functions {
            Kill::OtherKind
        } else if self.state.has_written {
            Kill::Refused
        } else {
            self.state.next = Next::Kill;
            Kill::Killed
        }
    }
}
