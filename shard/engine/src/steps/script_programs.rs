//! What EVAL, EVALSHA and FCALL run: a script that they bring, one that is known, or a function of
//! a library.

use std::rc::Rc;
use std::sync::Arc;

use lua::library::Library;
use lua::script::{Script, ScriptFlags, Sha};
use protocol::args::Args;
use protocol::number::parse_int;

use crate::engine::Engine;
use crate::error::Error;
use crate::handler::{HANDLERS, Handler};
use crate::header::Header;
use crate::script::kind::{ScriptKind, Source};
use crate::script::known::{Program, Seen};
use crate::script::outline::Outline;

const NO_SCRIPT: Error = Error::new("NOSCRIPT No matching script. Please use EVAL.");
const NO_FUNCTION: Error = Error::new("ERR Function not found");
const NEGATIVE_KEYS: Error = Error::new("ERR Number of keys can't be negative");
const TOO_MANY_KEYS: Error = Error::new("ERR Number of keys can't be greater than number of args");
const BAD_KEYS: Error = Error::new("ERR Bad number of keys provided");

/// Where the keys of such a command begin.
pub(crate) const KEYS_AT: usize = 3;

impl Engine {
    /// What a command runs that runs a script. A script that EVAL brings is known from then on.
    /// A connection's shard asks before the command goes anywhere: so in a pipeline EVALSHA finds
    /// what stands before it, and nothing that stands behind it.
    pub fn program_of(&mut self, header: Header, args: &Args<'_>) -> Result<Program, Error> {
        let kind = script_kind(header);
        match kind.source {
            Source::Sha => {
                let sha = sha_of_text(&args[1]).ok_or(NO_SCRIPT)?;
                check_keys(args, false)?;
                if let Some(seen) = self.scripting.by_sha(&sha) {
                    return Ok(Program::Script(seen));
                }
                let known = self.environment.scripts().find(&sha).ok_or(NO_SCRIPT)?;
                Ok(Program::Script(self.scripting.remember(known)))
            }
            Source::Text => {
                check_keys(args, false)?;
                if let Some(seen) = self.scripting.by_text(&args[1]) {
                    self.environment.scripts().note_use(&seen.known);
                    return Ok(Program::Script(seen));
                }
                let known = self.learn_script(&args[1], false)?;
                Ok(Program::Script(known))
            }
            Source::Function => {
                let library = self.library_of(&args[1]).ok_or(NO_FUNCTION)?;
                check_keys(args, true)?;
                Ok(Program::Function {
                    outline: self.scripting.outline_of(&library),
                    library,
                    name: args[1].into(),
                })
            }
        }
    }

    /// The library that has a function.
    fn library_of(&mut self, function: &[u8]) -> Option<Arc<Library>> {
        let libraries = &self.environment.scripts().libraries;
        let current = self.scripting.libraries.current(libraries);
        current.function(function).cloned()
    }

    /// Forgets all scripts.
    pub fn forget_scripts(&mut self) {
        self.scripting.forget();
    }

    /// Whether a script of an EXEC is plain, and will be when its turn comes. What is not known
    /// yet, and functions, may be something else by then: a command before it may bring it.
    pub fn stays_plain(&mut self, header: Header, args: &Args<'_>) -> bool {
        let is_known = match script_kind(header).source {
            Source::Text => true,
            Source::Sha => {
                let sha = sha_of_text(&args[1]);
                sha.is_some_and(|sha| self.environment.scripts().find(&sha).is_some())
            }
            Source::Function => false,
        };
        is_known && self.outline_of(header, args).is_plain
    }

    /// What the text of a script shows that a command runs. Of one that is not known nothing: it is
    /// refused wherever it runs.
    pub fn outline_of(&mut self, header: Header, args: &Args<'_>) -> Outline {
        let unknown = Outline {
            is_plain: true,
            ..Outline::default()
        };
        let seen = match script_kind(header).source {
            Source::Text => match self.scripting.by_text(&args[1]) {
                Some(seen) => Some(seen),
                None => return Outline::of(&args[1]),
            },
            Source::Sha => {
                let sha = sha_of_text(&args[1]);
                let here = sha.and_then(|sha| self.scripting.by_sha(&sha));
                match (here, sha) {
                    (Some(seen), _) => Some(seen),
                    (None, Some(sha)) => {
                        let known = self.environment.scripts().find(&sha);
                        let outline = known.map(|known| Outline::of(&known.script.source));
                        return outline.unwrap_or(unknown);
                    }
                    (None, None) => None,
                }
            }
            Source::Function => {
                let library = self.library_of(&args[1]);
                return library.map_or(unknown, |library| self.scripting.outline_of(&library));
            }
        };
        seen.map_or(unknown, |seen| seen.outline)
    }

    /// Makes a script known to all shards, which `stays` where SCRIPT LOAD brings it.
    pub fn learn_script(&mut self, text: &[u8], stays: bool) -> Result<Rc<Seen>, Error> {
        let sha = lua::script::sha_of(text);
        let scripts = self.environment.clone();
        let scripts = scripts.scripts();
        let known = match scripts.find(&sha) {
            Some(known) => {
                scripts.note_use(&known);
                scripts.add(known.script.clone(), stays)
            }
            None => {
                let script = Script::parse(text).map_err(Error::from_bytes)?;
                let compiled = self.with_machine(|machine| machine.compile(&script));
                compiled.map_err(Error::from_bytes)?;
                scripts.add(script, stays)
            }
        };
        Ok(self.scripting.remember(known))
    }

    /// What the first line of a script says that a command runs, or a function's registration;
    /// nothing of what is not known. The script is not known by this.
    pub fn flags_of_script(&mut self, header: Header, args: &Args<'_>) -> ScriptFlags {
        match script_kind(header).source {
            // Most have no such line.
            Source::Text if !args[1].starts_with(b"#!") => ScriptFlags::default(),
            Source::Text => {
                let script = Script::parse(&args[1]);
                script.map(|script| script.flags).unwrap_or_default()
            }
            Source::Sha => {
                let sha = sha_of_text(&args[1]);
                let known = sha.and_then(|sha| self.environment.scripts().find(&sha));
                known.map(|known| known.script.flags).unwrap_or_default()
            }
            Source::Function => {
                let name = args[1].into();
                let library = self.library_of(&args[1]);
                let outline = Outline::of_function();
                library
                    .map(|library| {
                        let program = Program::Function {
                            library,
                            name,
                            outline,
                        };
                        program.flags()
                    })
                    .unwrap_or_default()
            }
        }
    }
}

/// What a command runs that runs a script.
pub(crate) fn script_kind(header: Header) -> ScriptKind {
    match HANDLERS[header.command.index()] {
        Handler::Script(kind) => kind,
        _ => unreachable!("only what runs scripts is asked what it runs"),
    }
}

/// The SHA1 that a command names, in letters of either case; none where it is none.
pub fn sha_of_text(text: &[u8]) -> Option<Sha> {
    let mut sha: Sha = text.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

/// Whether the number of keys is one.
fn check_keys(args: &Args<'_>, is_function: bool) -> Result<(), Error> {
    let wrong = if is_function {
        BAD_KEYS
    } else {
        Error::NOT_AN_INTEGER
    };
    let number = parse_int(&args[2]).ok_or(wrong)?;
    if number > (args.len() - KEYS_AT) as i64 {
        return Err(TOO_MANY_KEYS);
    }
    if number < 0 {
        return Err(NEGATIVE_KEYS);
    }
    Ok(())
}
