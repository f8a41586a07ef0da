//! Changes of the libraries of functions, as a client asks for them or a log tells of them.
//!
//! All shards share the libraries; shard 0 makes the changes, so that its log has them in their
//! order. See `lua::libraries`.

use engine::commands::options::is;
use engine::error::Error;
use lua::libraries::{Libraries, LibraryStore};
use lua::machine::Machine;
use protocol::args::Args;
use protocol::facts;
use storage::rdb::{DumpedFunctions, NotFunction};

const NO_LIBRARY: Error = Error::new("ERR Library not found");
const NO_CODE: Error = Error::new("ERR Function code is missing");
const BAD_FLUSH: Error = Error::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
const BAD_PAYLOAD: Error = Error::new("ERR DUMP payload version or checksum are wrong");
const BAD_POLICY: Error =
    Error::new("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");

/// What FUNCTION RESTORE does about the libraries that there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restoring {
    /// They go.
    Flush,
    /// They stay: none may have the name of a restored one.
    Append,
    /// They stay, but for those with the name of a restored one.
    Replace,
}

/// A change of the libraries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    Load { code: &'a [u8], replaces: bool },
    Delete(&'a [u8]),
    Flush,
    Restore(&'a [u8], Restoring),
}

impl<'a> Change<'a> {
    /// What a command asks for, whose row says that it does `what`. None where that is nothing.
    pub fn parse(what: facts::Libraries, args: &Args<'a>) -> Result<Option<Self>, Error> {
        let rest = args.tail(2);
        Ok(Some(match what {
            facts::Libraries::Kept => return Ok(None),
            facts::Libraries::Loaded => {
                let code = rest.len().checked_sub(1).and_then(|last| rest.get(last));
                let code = code.ok_or(NO_CODE)?;
                let options = rest.head(rest.len() - 1);
                if let Some(option) = options.iter().find(|option| !is(option, "REPLACE")) {
                    let text = [b"ERR Unknown option given: ", option].concat();
                    return Err(Error::from_bytes(text));
                }
                let replaces = !options.is_empty();
                Self::Load { code, replaces }
            }
            facts::Libraries::Deleted => Self::Delete(rest.get(0).ok_or(NO_LIBRARY)?),
            facts::Libraries::Flushed => match rest.get(0) {
                _ if rest.len() > 1 => return Err(Error::bad_subcommand("FUNCTION", &args[1])),
                Some(mode) if !is(mode, "SYNC") && !is(mode, "ASYNC") => return Err(BAD_FLUSH),
                _ => Self::Flush,
            },
            facts::Libraries::Restored => {
                let policy = match rest.get(1) {
                    _ if rest.len() > 2 => return Err(Error::bad_subcommand("FUNCTION", &args[1])),
                    None => Restoring::Append,
                    Some(word) if is(word, "APPEND") => Restoring::Append,
                    Some(word) if is(word, "REPLACE") => Restoring::Replace,
                    Some(word) if is(word, "FLUSH") => Restoring::Flush,
                    Some(_) => return Err(BAD_POLICY),
                };
                Self::Restore(rest.get(0).unwrap_or_default(), policy)
            }
        }))
    }

    /// Makes it. Returns the name of the library that it loads; on an error all is as it was.
    pub fn make(
        self,
        store: &LibraryStore,
        machine: &mut Machine,
    ) -> Result<Option<Vec<u8>>, Error> {
        store.change(|libraries| match self {
            Self::Load { code, replaces } => {
                let loaded = libraries.load(machine, code, replaces);
                loaded.map(Some).map_err(coded)
            }
            Self::Delete(name) => libraries.remove(name).map(|_| None).ok_or(NO_LIBRARY),
            Self::Flush => {
                *libraries = Libraries::default();
                Ok(None)
            }
            Self::Restore(payload, policy) => {
                let restored = read_payload(payload, machine)?;
                if policy == Restoring::Flush {
                    *libraries = restored;
                } else {
                    let replaces = policy == Restoring::Replace;
                    libraries.join(&restored, replaces).map_err(coded)?;
                }
                Ok(None)
            }
        })
    }
}

fn coded(text: Vec<u8>) -> Error {
    Error::from_bytes([b"ERR ", &text[..]].concat())
}

/// The libraries in what FUNCTION DUMP has answered.
fn read_payload(payload: &[u8], machine: &mut Machine) -> Result<Libraries, Error> {
    let mut libraries = Libraries::default();
    for code in DumpedFunctions::new(payload).map_err(|_| BAD_PAYLOAD)? {
        let code = code.map_err(|wrong| {
            Error::new(match wrong {
                NotFunction::PreGa => "ERR Pre-GA function format not supported",
                NotFunction::OtherType => "ERR given type is not a function",
                NotFunction::Damaged => "ERR Failed loading library payload",
            })
        })?;
        libraries.load(machine, &code, false).map_err(coded)?;
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use engine::script::scripting::new_machine;
    use protocol::args::OwnedArgs;

    use super::*;

    fn parse(what: facts::Libraries, words: &str) -> Result<String, Error> {
        let args = OwnedArgs::from_parts(words.split(' ').map(str::as_bytes));
        Change::parse(what, &args.borrow()).map(|change| format!("{change:?}"))
    }

    #[test]
    fn options_are_read() {
        use facts::Libraries::*;
        assert!(parse(Loaded, "function load replace Replace x").is_ok());
        assert_eq!(parse(Kept, "function stats"), Ok("None".into()));
        let unknown = Error::new("ERR Unknown option given: no");
        assert_eq!(parse(Loaded, "function load no x"), Err(unknown));
        assert_eq!(parse(Flushed, "function flush now"), Err(BAD_FLUSH));
        assert!(parse(Flushed, "function flush sync sync").is_err());
        assert_eq!(parse(Restored, "function restore x all"), Err(BAD_POLICY));
        assert!(parse(Restored, "function restore x flush x").is_err());
        let args = OwnedArgs::from_parts([&b"function"[..], b"restore", b"x"]);
        let one = Change::parse(Restored, &args.borrow());
        assert_eq!(one, Ok(Some(Change::Restore(b"x", Restoring::Append))));
    }

    #[test]
    fn what_fails_changes_nothing() {
        let store = LibraryStore::default();
        let mut machine = new_machine();
        let mut load = |name: &str, function: &str, replaces: bool| {
            let code =
                format!("#!lua name={name}\nredis.register_function('{function}', function() end)");
            let code = code.into_bytes();
            let change = Change::Load {
                code: &code,
                replaces,
            };
            change.make(&store, &mut machine)
        };
        assert_eq!(load("a", "f", false), Ok(Some(b"a".to_vec())));
        assert_eq!(load("b", "g", false), Ok(Some(b"b".to_vec())));
        let taken = Error::new("ERR Library 'a' already exists");
        assert_eq!(load("a", "h", false), Err(taken));
        let taken = Error::new("ERR Function g already exists");
        assert_eq!(load("a", "g", true), Err(taken));
        let there = store.current();
        assert_eq!(
            there.iter().map(|it| &it.name[..]).collect::<Vec<_>>(),
            [b"a", b"b"]
        );
        assert!(there.function(b"f").is_some() && there.function(b"h").is_none());
        assert_eq!(load("a", "h", true), Ok(Some(b"a".to_vec())));
        assert!(store.current().function(b"f").is_none());
        let delete = Change::Delete(b"none");
        assert_eq!(delete.make(&store, &mut new_machine()), Err(NO_LIBRARY));
    }
}
