//! `rename-command`: commands that have another name here, or none.
//!
//! The table of commands is fixed, so a renamed one is found where the table does not know a verb,
//! which is rare, and the old name is refused where a shard asks anyway whether something keeps a
//! command from running.

use protocol::args::{Args, OwnedArgs};
use protocol::table::{CommandId, lookup};

/// The names, in the order of the directives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Renames {
    /// New names in lower case.
    names: Vec<(Box<[u8]>, CommandId)>,
    /// Commands that their own name does not call any more.
    hidden: Vec<CommandId>,
}

impl Renames {
    /// Gives the command that is called `from` so far the name `to`; none if that is empty.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), &'static str> {
        let id = self
            .called(from.as_bytes())
            .ok_or("No such command in rename-command")?;
        let renamed = self
            .names
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case(from.as_bytes()));
        match renamed {
            Some(at) => drop(self.names.remove(at)),
            None => self.hidden.push(id),
        }
        if to.is_empty() {
            return Ok(());
        }
        // Redis lets commands exchange their names. Here a name of the table never calls another
        // command.
        let is_taken = lookup(to.as_bytes()).is_some_and(|other| other != id);
        if is_taken || self.find(to.as_bytes()).is_some() {
            return Err("Target command name already exists");
        }
        if id.command().name.eq_ignore_ascii_case(to) {
            self.hidden.retain(|hidden| *hidden != id);
        } else {
            self.names
                .push((to.to_ascii_lowercase().into_bytes().into(), id));
        }
        Ok(())
    }

    /// Whether every command has its own name.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty()
    }

    /// The command whose new name `verb` is, in any case.
    pub fn find(&self, verb: &[u8]) -> Option<CommandId> {
        self.names
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(verb))
            .map(|(_, id)| *id)
    }

    /// A command as the table knows it, where its verb is a new name.
    pub fn original(&self, args: &Args<'_>) -> Option<OwnedArgs> {
        let name = self.find(&args[0])?.command().name;
        let rest = args.iter().skip(1);
        Some(OwnedArgs::from_parts(
            std::iter::once(name.as_bytes()).chain(rest),
        ))
    }

    /// Whether the command of this full name is not called by it any more. A sub-command goes with
    /// its container.
    pub fn hides(&self, name: &str) -> bool {
        let verb = name.split('|').next().unwrap_or_default();
        self.hidden.iter().any(|id| id.command().name == verb)
    }

    /// The command that `verb` calls now.
    pub fn called(&self, verb: &[u8]) -> Option<CommandId> {
        self.find(verb)
            .or_else(|| lookup(verb).filter(|id| !self.hidden.contains(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_one_name_or_none() {
        let mut renames = Renames::default();
        assert!(renames.is_empty());
        renames.rename("CONFIG", "Secret").expect("allowed");
        renames.rename("keys", "").expect("allowed");
        assert!(!renames.is_empty());
        assert_eq!(renames.find(b"sECRET"), lookup(b"config"));
        assert!(renames.hides("config") && renames.hides("config|set") && renames.hides("keys"));
        assert!(!renames.hides("get"));
        assert_eq!(renames.find(b"keys"), None);
        assert!(renames.rename("config", "x").is_err());
        assert!(renames.rename("nonsense", "x").is_err());
        assert!(renames.rename("get", "set").is_err());
    }

    #[test]
    fn names_are_given_back_and_not_exchanged() {
        let mut renames = Renames::default();
        renames.rename("get", "x").expect("allowed");
        assert!(renames.rename("set", "get").is_err());
        assert!(renames.rename("set", "X").is_err());
        let mut renames = Renames::default();
        renames.rename("get", "x").expect("allowed");
        renames.rename("x", "get").expect("allowed");
        assert!(renames.is_empty() && !renames.hides("get"));
    }
}
