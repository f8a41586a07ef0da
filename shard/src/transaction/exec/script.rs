//! Scripts among the commands of an EXEC, and what goes on when a reply has come.

use std::cell::RefCell;
use std::mem::take;

use engine::action::Action;
use engine::engine::Engine;
use engine::script::told::Told;
use engine::steps::functions::Running;
use engine::steps::script_exec::ScriptInExec;
use engine::steps::script_locks::Kill;
use engine::transaction::coordinator::Held;
use protocol::reply::Reply;

use crate::client::Client;
use crate::shard::Shard;
use crate::transaction::exec::{Exec, Suspended};

impl Suspended {
    /// The script of an EXEC, which runs.
    pub(crate) fn running_script(&self, engine: &Engine) -> Option<Running> {
        let Self::Exec { exec, .. } = self else {
            return None;
        };
        let queued = exec.commands.get(exec.done.checked_sub(1)?)?;
        Some(engine.running(exec.script.as_deref()?, queued.args.clone()))
    }

    /// Ends the script of an EXEC that has run for long, where it may.
    pub(crate) fn kill_script(&mut self, functions: bool) -> Kill {
        match self {
            Self::Exec { exec, .. } => match &mut exec.script {
                Some(run) => run.kill(functions),
                None => Kill::NoneRuns,
            },
            Self::Script(_) => Kill::NoneRuns,
        }
    }
}

impl Shard {
    /// Lets the script of an EXEC go on. Returns false where it is not over.
    pub(super) fn go_on_with_script(
        &mut self,
        client: &RefCell<Client>,
        exec: &mut Exec,
        held: &mut Held,
    ) -> bool {
        let Some(mut run) = exec.script.take() else {
            return true;
        };
        loop {
            let progress = self.engine.drive_held(held, &mut run);
            self.show_calls();
            match progress {
                ScriptInExec::Done => break,
                ScriptInExec::Outside {
                    command,
                    args,
                    version,
                    db,
                } => {
                    let call = (command, version, db);
                    match self.run_call_of_script(&mut client.borrow_mut(), call, &args.borrow()) {
                        Some(reply) => run.answer(&reply),
                        None => {
                            exec.script = Some(run);
                            return false;
                        }
                    }
                }
                ScriptInExec::Pause => {
                    exec.script = Some(run);
                    self.connections.paused.push(client.borrow().token);
                    self.pause_for_others();
                    return false;
                }
            }
        }
        let queued = &exec.commands[exec.done - 1];
        let mut reply = Reply::new(&mut exec.replies, exec.version);
        self.engine
            .end_script_held(run, &queued.args.borrow(), &mut reply);
        true
    }

    /// Shows monitors now what a script has called: what EXEC runs next is shown behind it.
    fn show_calls(&mut self) {
        if !self.hearers.monitors.watched {
            return;
        }
        for action in take(&mut self.engine.actions) {
            match action {
                Action::Tell(Told::Called(command, db, args)) => {
                    self.show_call_to_monitors(command, db, &args.borrow());
                }
                other => self.engine.actions.push(other),
            }
        }
    }

    /// EXECs go on whose scripts have run for long.
    pub(crate) fn go_on_with_paused(&mut self) {
        for token in take(&mut self.connections.paused) {
            let client = self.client(token).cloned();
            let suspended = client.and_then(|client| client.borrow_mut().suspended.take());
            if let Some(Suspended::Exec { exec, held }) = suspended.map(|it| *it) {
                self.continue_exec(exec, held);
            }
        }
    }

    /// The reply that a suspended EXEC, or script, waits for. It goes on as this turn's next thing.
    pub(crate) fn resume_suspended(&mut self, suspended: Suspended, reply: Vec<u8>) {
        self.post_local(move |shard: &mut Shard| match suspended {
            Suspended::Exec { mut exec, held } => {
                match &mut exec.script {
                    Some(run) => run.answer(&reply),
                    None => exec.replies.extend_from_slice(&reply),
                }
                shard.continue_exec(exec, held);
            }
            Suspended::Script(transaction) => {
                shard.engine.answer_script(transaction, &reply);
                shard.settle();
            }
        });
    }
}
