//! Functions as the outside needs them: a machine that loads libraries, the log that has their
//! changes, and which one runs.

use std::time::Duration;

use lua::machine::Machine;
use protocol::args::{Args, OwnedArgs};
use storage::DbIndex;

use crate::engine::Engine;
use crate::script::known::Program;
use crate::script::run::ScriptRun;
use crate::script::scripting::MachineBytes;
use crate::transaction::coordinator::Job;

/// A script or function that has run for long.
pub struct Running {
    /// The function's name; of a script none.
    pub function: Option<Box<[u8]>>,
    /// What has called it.
    pub command: OwnedArgs,
    pub time: Duration,
}

impl Engine {
    /// Lends a machine, which loads libraries.
    pub fn with_machine<R>(&mut self, work: impl FnOnce(&mut Machine) -> R) -> R {
        let mut machine = self.scripting.take_machine();
        let outcome = work(&mut machine);
        self.scripting.keep_machine(Some(machine));
        outcome
    }

    /// Bytes of the machines of this shard, but for that of an EXEC.
    pub fn machine_bytes(&self) -> MachineBytes {
        let running = self.coordinator.transactions.iter();
        let running = running.filter_map(|(_, transaction)| match &transaction.job {
            Job::Script(Some(run)) => run.machine.as_deref(),
            _ => None,
        });
        let idle = self.scripting.machine_bytes();
        running.map(MachineBytes::of).fold(idle, MachineBytes::with)
    }

    /// A command has changed what all shards share: this shard's log has it.
    pub fn log_shared_change(&mut self, command: &Args<'_>) {
        self.effects.dirty += 1;
        let journal = &mut self.effects.journal;
        if journal.is_on() {
            journal.begin_command();
            journal.command(DbIndex::default(), self.now, command);
        }
    }

    /// A script of this shard that has run for long, if there is one.
    pub fn running_script(&self) -> Option<Running> {
        let transactions = &self.coordinator.transactions;
        self.scripting
            .paused
            .iter()
            .find_map(|index| match &transactions[*index].job {
                Job::Script(Some(run)) => {
                    let command = run.state.parked.as_ref()?.args.clone();
                    Some(self.running(run, command))
                }
                _ => None,
            })
    }

    /// What there is to tell of a run, which `command` has called.
    pub fn running(&self, run: &ScriptRun, command: OwnedArgs) -> Running {
        Running {
            function: match &run.state.program {
                Some(Program::Function { name, .. }) => Some(name.clone()),
                _ => None,
            },
            command,
            time: (self.timing.clock)().saturating_duration_since(run.state.began),
        }
    }
}
