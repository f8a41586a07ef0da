//! Scripts: where they begin, and what the outside does with those that are not over.

use engine::action::OutsideCall;
use engine::handler::{HANDLERS, Handler};
use engine::header::{Header, ReplyTo};
use engine::message::Parked;
use engine::routing::ScriptRoute;
use engine::script::outline::Outline;
use engine::script::run::ScriptRun;
use engine::slot::ShardId;
use engine::steps::script_exec::ScriptInExec;
use engine::steps::script_locks::Kill;
use engine::trace::PausedScript;
use engine::transaction::coordinator::Held;
use protocol::args::OwnedArgs;
use protocol::reply::{Reply, Version};

use super::{Checked, Letter, World};
use crate::client::{Call, Client, Command};
use crate::model::{reply_of_outside, text_of_call};

/// An EXEC that runs.
pub(super) struct Exec {
    pub(super) client: u64,
    pub(super) to: ReplyTo,
    pub(super) commands: Vec<(Header, Command)>,
    pub(super) done: usize,
    pub(super) replies: Vec<u8>,
    /// The script among them that has begun.
    pub(super) script: Option<Box<ScriptRun>>,
    pub(super) held: Held,
}

impl World {
    /// Brings a script to where it begins.
    pub(super) fn ask_script(&mut self, at: usize, command: &Command) -> Checked {
        let client = &self.clients[at];
        let (home, to, header) = (client.home, client.reply_to(), client.header(command));
        let args = command.args.borrow();
        let engine = &mut self.shards[home.index()].engine;
        let program = engine.program_of(header, &args);
        let outline = program.map_or_else(|_| Outline::default(), |it| it.outline());
        match engine.route_script(header, &args, outline) {
            ScriptRoute::Here => self.run_script_here(at, command),
            ScriptRoute::At(owner) => {
                self.forward(home, owner, to, header, command);
                Ok(())
            }
            ScriptRoute::Sent(owner) => {
                let parked = self.parked(at, command);
                let engine = &mut self.shards[home.index()].engine;
                engine.send_script(owner, parked);
                Ok(())
            }
            ScriptRoute::Locked => {
                let parked = self.parked(at, command);
                let engine = &mut self.shards[home.index()].engine;
                engine.begin_script_on_several(parked);
                Ok(())
            }
        }
    }

    pub(super) fn parked(&self, at: usize, command: &Command) -> Parked {
        let client = &self.clients[at];
        Parked {
            origin: client.home,
            to: client.reply_to(),
            header: client.header(command),
            args: command.args.clone(),
        }
    }

    fn run_script_here(&mut self, at: usize, command: &Command) -> Checked {
        let parked = self.parked(at, command);
        let Parked {
            origin: home,
            to,
            header,
            ..
        } = parked;
        let args = command.args.borrow();
        let engine = &mut self.shards[home.index()].engine;
        let locks = &engine.owner.locks;
        if !locks.is_empty() && engine.meets_lock(home, to.client, command.id, &args) {
            let keys = engine::keys::lock_names(command.id, &args);
            engine.park(parked, &keys);
            return Ok(());
        }
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, Version::Resp2);
        let unfinished = engine.run_script(header, &args, &mut reply);
        let is_over = unfinished.is_none();
        if let Some(unfinished) = unfinished {
            engine.suspend_script(unfinished, parked);
        }
        engine.serve_ready();
        self.settle(home)?;
        if is_over {
            self.answer(to, encoded)?;
        }
        Ok(())
    }

    /// The call whose reply goes to a client, which may be gone.
    fn call_of(&mut self, is_it: impl Fn(&Client) -> bool) -> Option<&mut Call> {
        let here = self.clients.iter_mut().find(|it| is_it(it));
        let client = here.or_else(|| self.gone.values_mut().find(|it| is_it(it)))?;
        client.call.as_mut()
    }

    /// A script has called a command of the outside: it is answered later.
    pub(super) fn call_outside(&mut self, id: ShardId, call: &OutsideCall) -> Checked {
        let Some(asked) = self.call_of(|it| it.token == call.client) else {
            return Err("a script of nobody calls the outside".into());
        };
        asked.fate.called.push(text_of_call(&call.args));
        let reply = reply_of_outside(call.command, &call.args);
        self.link(id, id)
            .push_back(Letter::Called(call.transaction, reply));
        Ok(())
    }

    /// A script of a shard runs for long, from now on or no longer.
    pub(super) fn note_busy(&mut self, id: ShardId, is_busy: bool) {
        let busy = &mut self.shards[id.index()].busy;
        *busy = if is_busy { *busy + 1 } else { *busy - 1 };
    }

    /// Whether scripts stand still on a shard that have run for long.
    pub(super) fn has_paused(&self, at: usize) -> bool {
        let shard = &self.shards[at];
        shard.engine.has_paused_scripts() || !shard.paused.is_empty()
    }

    /// Lets scripts go on that have run for long.
    pub(super) fn go_on(&mut self, at: usize) -> Result<bool, String> {
        if !self.has_paused(at) {
            return Ok(false);
        }
        self.tell(|| format!("shard {at}: scripts go on"));
        self.counts.went_on += 1;
        let id = ShardId::new(at);
        self.shards[at].engine.go_on_with_scripts();
        self.settle(id)?;
        for exec in std::mem::take(&mut self.shards[at].paused) {
            self.continue_exec(id, exec)?;
            self.settle(id)?;
        }
        Ok(true)
    }

    /// SCRIPT KILL, or FUNCTION KILL, comes to a shard.
    pub(super) fn kill(&mut self, at: usize, functions: bool) -> Checked {
        let paused = self.shards[at].engine.paused_scripts();
        let outcome = self.shards[at].engine.kill_scripts(functions);
        let ends = |it: &&PausedScript| it.is_function == functions && !it.has_written;
        let killed = paused.iter().filter(ends).map(|it| (it.client_id, 0));
        let mut killed: Vec<(u64, usize)> = killed.collect();
        if paused.is_empty() != (outcome == Kill::NoneRuns) {
            return Err(format!("SCRIPT KILL on shard {at}: {outcome:?}"));
        }
        for exec in &mut self.shards[at].paused {
            let Some(run) = &mut exec.script else {
                return Err("an EXEC without a script is paused".into());
            };
            if run.kill(functions) == Kill::Killed {
                killed.push((exec.client, exec.done - 1));
            }
        }
        for (client, place) in killed {
            self.tell(|| format!("shard {at}: a script of client {client} is killed"));
            let Some(call) = self.call_of(|it| it.id == client) else {
                return Err("a script of nobody is killed".into());
            };
            call.fate.killed.push(place);
            self.counts.killed += 1;
        }
        Ok(())
    }

    /// Runs what is left of an EXEC, until its end or until a script in it stands still.
    pub(super) fn continue_exec(&mut self, id: ShardId, mut exec: Exec) -> Checked {
        loop {
            if exec.script.is_some() && !self.go_on_with_script(id, &mut exec)? {
                return self.hold_exec(id, exec);
            }
            let Some((header, command)) = exec.commands.get(exec.done) else {
                break;
            };
            exec.done += 1;
            let engine = &mut self.shards[id.index()].engine;
            let mut reply = Reply::new(&mut exec.replies, Version::Resp2);
            let args = command.args.borrow();
            match HANDLERS[command.id.index()] {
                Handler::Whole(run) => {
                    let workspace = &mut exec.held.workspace;
                    engine.run_whole(workspace, *header, run, true, &args, &mut reply);
                }
                Handler::Script(_) => {
                    exec.script = engine.begin_script_held(&exec.held, *header, &args, &mut reply);
                }
                _ => engine.run_on(&mut exec.held.workspace, *header, &args, &mut reply),
            }
        }
        // Its commands take effect together.
        self.shards[id.index()].engine.trace.take();
        self.took_effect(exec.client)?;
        let engine = &mut self.shards[id.index()].engine;
        let commit = engine.commit(exec.held);
        engine.answer(commit, exec.to, exec.replies);
        Ok(())
    }

    /// An EXEC goes on later, when a script in it has its answer or its turn.
    fn hold_exec(&mut self, id: ShardId, exec: Exec) -> Checked {
        self.shards[id.index()].engine.trace.take();
        self.shards[id.index()].paused.push(exec);
        Ok(())
    }

    /// Lets the script of an EXEC go on. False where it stands still.
    fn go_on_with_script(&mut self, id: ShardId, exec: &mut Exec) -> Result<bool, String> {
        let Some(mut run) = exec.script.take() else {
            return Ok(true);
        };
        let engine = &mut self.shards[id.index()].engine;
        match engine.drive_held(&mut exec.held, &mut run) {
            ScriptInExec::Done => {
                let args: &OwnedArgs = &exec.commands[exec.done - 1].1.args;
                let mut reply = Reply::new(&mut exec.replies, Version::Resp2);
                engine.end_script_held(run, &args.borrow(), &mut reply);
                return Ok(true);
            }
            ScriptInExec::Outside { command, args, .. } => {
                run.answer(&reply_of_outside(command, &args));
                let client = exec.client;
                let Some(call) = self.call_of(|it| it.id == client) else {
                    return Err("an EXEC of nobody calls the outside".into());
                };
                call.fate.called.push(text_of_call(&args));
            }
            ScriptInExec::Pause => {}
        }
        exec.script = Some(run);
        Ok(false)
    }
}
