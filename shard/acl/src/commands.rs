//! The commands that a selector allows: a bit each, and what was said to come there.
//!
//! What was said is kept, since that is what ACL LIST shows and files hold: an allowed category
//! stays a category, and later servers have more commands in it.

use protocol::command::Categories;
use protocol::table::{COMMANDS, CommandId, lookup, lookup_full};

use crate::rule::{RuleError, has_blanks};

const WORDS: usize = COMMANDS.len().div_ceil(64);

/// Which commands may be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowedCommands {
    bits: [u64; WORDS],
    /// All, also those that there will be: nothing was taken away since `+@all`.
    all: bool,
    /// Commands that only later servers have are allowed: the last of `+@all` and `-@all` was the
    /// first of these.
    future: bool,
    /// Commands without their bit that may be used where their first argument is one of these.
    first_args: Vec<(CommandId, Vec<u8>)>,
    /// What was said since `+@all` or `-@all`.
    said: Vec<Said>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Said {
    allows: bool,
    /// In lower case: a command, `command|subcommand`, `command|first-argument` or `@category`.
    what: Vec<u8>,
}

impl Default for AllowedCommands {
    fn default() -> Self {
        Self::none()
    }
}

impl AllowedCommands {
    /// None: `-@all`.
    pub fn none() -> Self {
        Self {
            bits: [0; WORDS],
            all: false,
            future: false,
            first_args: Vec::new(),
            said: Vec::new(),
        }
    }

    /// All: `+@all`.
    pub fn all() -> Self {
        Self {
            bits: [u64::MAX; WORDS],
            all: true,
            future: true,
            ..Self::none()
        }
    }

    /// Whether nothing was taken away.
    #[inline]
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Whether a command may be used whose first argument, where it has one, is this.
    #[inline]
    pub fn contains(&self, id: CommandId, first: Option<&[u8]>) -> bool {
        self.has_bit(id) || (!self.first_args.is_empty() && self.allows_first_arg(id, first))
    }

    fn allows_first_arg(&self, id: CommandId, first: Option<&[u8]>) -> bool {
        let is_it = |given: &[u8]| {
            let mut of_command = self.first_args.iter().filter(|(known, _)| *known == id);
            of_command.any(|(_, allowed)| allowed.eq_ignore_ascii_case(given))
        };
        first.is_some_and(is_it)
    }

    /// `+rule` or `-rule`.
    pub fn apply(&mut self, allows: bool, what: &[u8]) -> Result<(), RuleError> {
        if what.eq_ignore_ascii_case(b"@all") {
            *self = if allows { Self::all() } else { Self::none() };
            return Ok(());
        }
        if let [b'@', category @ ..] = what {
            let category = Categories::named(category).ok_or(RuleError::UnknownCommand)?;
            self.set_category(category, allows);
            self.say(allows, what);
            return Ok(());
        }
        let bar = what.iter().rposition(|byte| *byte == b'|');
        match bar.filter(|_| allows) {
            None => {
                let id = command(what).ok_or(RuleError::UnknownCommand)?;
                self.set(id, allows);
                self.say(allows, id.command().name.as_bytes());
            }
            Some(bar) => self.allow_part(what, &what[..bar], &what[bar + 1..])?,
        }
        Ok(())
    }

    /// `+container|subcommand`, or `+command|first-argument`.
    fn allow_part(&mut self, what: &[u8], verb: &[u8], part: &[u8]) -> Result<(), RuleError> {
        let id = command(verb).ok_or(RuleError::UnknownCommand)?;
        if id.command().container().is_some() {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        // With a blank in it a file would be read otherwise. Redis 7.4.1 takes it, and ends.
        if part.is_empty() || has_blanks(part) {
            return Err(RuleError::Syntax);
        }
        if id.is_container() {
            self.set(command(what).ok_or(RuleError::UnknownCommand)?, true);
        } else if !self.allows_first_arg(id, Some(part)) {
            self.first_args.push((id, part.to_vec()));
        }
        self.say(true, what);
        Ok(())
    }

    fn has_bit(&self, id: CommandId) -> bool {
        let index = id.index();
        self.bits[index / 64] >> (index % 64) & 1 == 1
    }

    fn set_bit(&mut self, id: CommandId, allows: bool) {
        let index = id.index();
        let bit = 1 << (index % 64);
        if allows {
            self.bits[index / 64] |= bit;
        } else {
            self.bits[index / 64] &= !bit;
            self.all = false;
        }
    }

    /// A command, and with a container all of its sub-commands.
    fn set(&mut self, id: CommandId, allows: bool) {
        self.set_bit(id, allows);
        self.first_args.retain(|(known, _)| *known != id);
        for sub in id.subcommands() {
            self.set_bit(sub, allows);
        }
    }

    fn set_category(&mut self, category: Categories, allows: bool) {
        for id in CommandId::all() {
            if id.command().categories.contains(category) {
                self.set(id, allows);
            }
        }
    }

    /// Notes what was said, in place of what was said before of the same, or of a part of it.
    fn say(&mut self, allows: bool, what: &[u8]) {
        let what = what.to_ascii_lowercase();
        let is_within = |said: &Said| {
            let rest = said.what.strip_prefix(&what[..]);
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'|')))
        };
        self.said.retain(|said| !is_within(said));
        self.said.push(Said { allows, what });
    }

    /// The rules that come to this, parted by blanks: `+@all` or `-@all` first.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = if self.future { b"+@all" } else { b"-@all" }.to_vec();
        for said in &self.said {
            text.extend_from_slice(if said.allows { b" +" } else { b" -" });
            text.extend_from_slice(&said.what);
        }
        text
    }
}

/// A command of this name, in any case, `container|subcommand` included.
fn command(name: &[u8]) -> Option<CommandId> {
    if name.contains(&b'|') {
        lookup_full(name)
    } else {
        lookup(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rules: &str) -> Result<AllowedCommands, RuleError> {
        let mut commands = AllowedCommands::none();
        for rule in rules.split_ascii_whitespace() {
            commands.apply(rule.starts_with('+'), &rule.as_bytes()[1..])?;
        }
        Ok(commands)
    }

    fn allows(commands: &AllowedCommands, name: &str, first: Option<&str>) -> bool {
        commands.contains(CommandId::named(name), first.map(str::as_bytes))
    }

    fn described(rules: &str) -> String {
        String::from_utf8_lossy(&of(rules).expect("rules").describe()).into_owned()
    }

    #[test]
    fn later_rules_win() {
        let commands = of("+@all -config +CONFIG|get -@dangerous +info").expect("rules");
        assert!(!commands.is_all());
        assert!(allows(&commands, "get", None) && allows(&commands, "info", None));
        assert!(!allows(&commands, "config|get", None) && !allows(&commands, "keys", None));
        let commands = of("+config|get +config -config|set").expect("rules");
        assert!(allows(&commands, "config|rewrite", None));
        assert!(!allows(&commands, "config|set", None));
    }

    #[test]
    fn first_arguments() {
        let commands = of("+select|0 +select|1").expect("rules");
        assert!(allows(&commands, "select", Some("1")));
        assert!(!allows(&commands, "select", Some("2")) && !allows(&commands, "select", None));
        assert_eq!(described("+select|0 +select|1 -select"), "-@all -select");
        let commands = of("+select|0 -select").expect("rules");
        assert!(!allows(&commands, "select", Some("0")));
    }

    #[test]
    fn what_was_said_is_told() {
        assert_eq!(described("+get +get -GET"), "-@all -get");
        assert_eq!(
            described("+config|get +config|set +get +config"),
            "-@all +get +config"
        );
        assert_eq!(described("+@read -@All +@all -@String"), "+@all -@string");
    }

    #[test]
    fn refusals() {
        use RuleError::*;
        for (rule, error) in [
            ("+nope", UnknownCommand),
            ("+", UnknownCommand),
            ("-@", UnknownCommand),
            ("+@nope", UnknownCommand),
            ("+config|nope", UnknownCommand),
            ("-select|0", UnknownCommand),
            ("+get|", Syntax),
            ("+get|\x0b", Syntax),
            ("+config|get|x", FirstArgOfSubcommand),
        ] {
            assert_eq!(of(rule).expect_err(rule), error, "{rule}");
        }
    }
}
