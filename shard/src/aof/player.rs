//! Runs the commands of a log on databases, without a client, a shard or another log.
//!
//! What a command would wake, tell or record is dropped: whoever replays looks for what is left to
//! do (fields that expire) when all has been read.

use config::Config;
use engine::context::Context;
use engine::effects::Effects;
use engine::error::Error;
use engine::handler::{HANDLERS, Handler};
use engine::header::Caller;
use engine::script::scripting::new_machine;
use lua::libraries::LibraryStore;
use lua::machine::Machine;
use protocol::args::{Args, OwnedArgs, Span};
use protocol::facts;
use protocol::reply::{Reply, Version};
use protocol::table::{CommandId, lookup};
use storage::aof::{Reader, TRANSACTION};
use storage::{Databases, DbIndex, UnixMillis};

use crate::functions::Change;

/// Runs the commands of one file.
pub struct Player<'a> {
    config: &'a Config,
    pub databases: &'a mut Databases,
    effects: Effects,
    random: fastrand::Rng,
    /// `None` before the first SELECT.
    pub selected: Option<DbIndex>,
    /// The time by which commands decide what has expired.
    pub now: UnixMillis,
    /// Where the arguments of the command at hand are; kept for its memory.
    spans: Vec<Span>,
    libraries: &'a LibraryStore,
    /// Loads libraries of functions, once there are some.
    machine: Option<Machine>,
}

impl<'a> Player<'a> {
    /// Begins a file: no database is selected, and nothing has expired.
    pub fn new(
        config: &'a Config,
        databases: &'a mut Databases,
        libraries: &'a LibraryStore,
    ) -> Self {
        Self {
            config,
            databases,
            effects: Effects::default(),
            random: fastrand::Rng::new(),
            selected: None,
            now: UnixMillis::new(0),
            spans: Vec::new(),
            libraries,
            machine: None,
        }
    }

    /// Runs the command that `reader` has just read. An error is a sentence about that command.
    pub fn play(&mut self, reader: &Reader) -> Result<(), String> {
        let (bytes, places) = reader.command();
        let mut spans = std::mem::take(&mut self.spans);
        spans.clear();
        spans.extend(
            places
                .iter()
                .map_while(|it| Span::within(it.start, it.len())),
        );
        let played = if spans.len() == places.len() {
            self.run(&Args::new(bytes, &spans, &[]))
        } else {
            // Gigabytes in one command.
            self.run(&OwnedArgs::from_parts(reader.args()).borrow())
        };
        self.spans = spans;
        played
    }

    /// The database whose number is argument `at`, if there is one.
    fn database_in(&self, args: &Args<'_>, at: usize) -> Option<DbIndex> {
        let number = storage::item::parse_int(args.get(at)?)?;
        self.databases.index(u16::try_from(number).ok()?)
    }

    /// Does to whole databases what a command does to them. False where that is nothing.
    fn change_databases(
        &mut self,
        what: facts::Databases,
        selected: DbIndex,
        args: &Args<'_>,
    ) -> Result<bool, String> {
        match what {
            facts::Databases::Kept => return Ok(false),
            facts::Databases::OneEmptied => drop(self.databases.get_mut(selected).clear()),
            facts::Databases::AllEmptied => {
                for db in self.databases.indices() {
                    drop(self.databases.get_mut(db).clear());
                }
            }
            facts::Databases::Swapped => {
                let (a, b) = (self.database_in(args, 1), self.database_in(args, 2));
                let (a, b) = a.zip(b).ok_or("SWAPDB of a database that there is not")?;
                self.databases.swap(a, b);
            }
        }
        Ok(true)
    }

    /// Does to the libraries of functions what a command does to them. False where that is nothing.
    fn change_libraries(&mut self, id: CommandId, args: &Args<'_>) -> Result<bool, Error> {
        let Some(change) = Change::parse(id.command().libraries, args)? else {
            return Ok(false);
        };
        let machine = self.machine.get_or_insert_with(new_machine);
        change.make(self.libraries, machine)?;
        Ok(true)
    }

    fn run(&mut self, args: &Args<'_>) -> Result<(), String> {
        let verb = &args[0];
        let shown = || format!("the command \"{}\"", verb.escape_ascii());
        match verb {
            b"MULTI" | b"EXEC" | TRANSACTION => return Ok(()),
            b"SELECT" => {
                self.selected = self.database_in(args, 1);
                let missing = "a database that there is not; start with more --databases";
                return self.selected.map(|_| ()).ok_or_else(|| missing.into());
            }
            _ => {}
        }
        let id = lookup(verb).ok_or_else(|| format!("{}, which percore does not have", shown()))?;
        let selected = self.selected.ok_or("a command before the first SELECT")?;
        if self.change_databases(id.command().databases, selected, args)? {
            return Ok(());
        }
        let id = match args.get(1) {
            Some(sub) if id.is_container() => protocol::table::lookup_sub(id, sub)
                .ok_or_else(|| format!("{} with an unknown sub-command", shown()))?,
            _ => id,
        };
        if !id.command().accepts(args.len()) {
            return Err(format!("{} with a wrong number of arguments", shown()));
        }
        if self
            .change_libraries(id, args)
            .map_err(|error| format!("{} failed: {error}", shown()))?
        {
            return Ok(());
        }
        let Handler::Keyed(run) = HANDLERS[id.index()] else {
            return Err(format!("{}, which does not belong in a log", shown()));
        };
        let mut encoded = Vec::new();
        let mut context = Context {
            command: id,
            databases: self.databases,
            selected,
            now: self.now,
            config: self.config,
            access: self.config.access_policy(),
            caller: Caller::default(),
            effects: &mut self.effects,
            random: &mut self.random,
        };
        let result = run(
            &mut context,
            args,
            &mut Reply::new(&mut encoded, Version::Resp2),
        );
        // The shard will look for fields that expire itself.
        self.effects.forget();
        result.map_err(|error| format!("{} failed: {error}", shown()))
    }
}
