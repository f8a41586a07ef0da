//! What a script's calls have monitors, the slow log and the server's log be told of.

use crate::action::Action;
use crate::engine::Engine;
use crate::script::run::Told;

impl Engine {
    /// What may have to be undone is told at the end only, and once.
    pub(crate) fn keep_untold(&mut self, said: usize, told: &mut Vec<Told>) {
        for action in self.actions.split_off(said) {
            match action {
                Action::Slow {
                    command,
                    caller,
                    args,
                    nanos,
                } => told.push(Told::Slow {
                    command,
                    caller,
                    args,
                    nanos,
                }),
                Action::Called(command, db, args) => told.push(Told::Called(command, db, args)),
                Action::Log(level, text) => told.push(Told::Log(level, text)),
                other => self.actions.push(other),
            }
        }
    }

    /// Tells what was kept.
    pub(crate) fn tell_kept(&mut self, told: &mut Vec<Told>) {
        self.actions.extend(told.drain(..).map(|told| match told {
            Told::Slow {
                command,
                caller,
                args,
                nanos,
            } => Action::Slow {
                command,
                caller,
                args,
                nanos,
            },
            Told::Called(command, db, args) => Action::Called(command, db, args),
            Told::Log(level, text) => Action::Log(level, text),
        }));
    }
}
