//! Users: who one is, by which passwords, and what it may do.

use protocol::args::Args;
use protocol::table::CommandId;

use crate::password::PasswordHash;
use crate::rule::{RuleError, RulesError, is, join_selectors};
use crate::selector::{Denied, NewChannels, Selector, Set, may_use_channel};

/// The user that every connection is before it says who it is.
pub const DEFAULT: &[u8] = b"default";

/// Which passwords a user has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passwords {
    /// Any will do.
    Any,
    /// One of these; with none, nobody can be this user.
    Of(Vec<PasswordHash>),
}

/// One user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    pub name: Box<[u8]>,
    /// It may be chosen by AUTH.
    pub is_on: bool,
    pub passwords: Passwords,
    /// What RESTORE gets of it is checked. (percore checks all.)
    pub sanitizes_payload: bool,
    /// The first is what rules outside of parentheses are about.
    pub selectors: Vec<Selector>,
    /// What rules start from.
    new_channels: NewChannels,
}

impl User {
    /// One that has just been named: off, and without any permission.
    pub fn new(name: &[u8], new_channels: NewChannels) -> Self {
        Self {
            name: name.into(),
            is_on: false,
            passwords: Passwords::Of(Vec::new()),
            sanitizes_payload: true,
            selectors: vec![Selector::new(new_channels)],
            new_channels,
        }
    }

    /// The default user as it is where nobody has said anything of it: it needs no password and may
    /// do everything.
    pub fn default_user(new_channels: NewChannels) -> Self {
        Self {
            is_on: true,
            passwords: Passwords::Any,
            selectors: vec![Selector::all()],
            ..Self::new(DEFAULT, new_channels)
        }
    }

    /// Whether a connection is this user without a password.
    pub fn is_open(&self) -> bool {
        self.is_on && self.passwords == Passwords::Any
    }

    /// Whether it may do everything.
    pub fn may_everything(&self) -> bool {
        self.selectors.iter().any(Selector::is_all)
    }

    /// This user as these rules change it.
    pub fn with<'a>(
        &self,
        rules: impl Iterator<Item = &'a [u8]>,
        new_channels: NewChannels,
    ) -> Result<Self, RulesError> {
        let mut user = self.clone();
        user.new_channels = new_channels;
        for rule in join_selectors(rules)? {
            if let Err(error) = user.apply(&rule) {
                return Err(RulesError::Rule(rule, error));
            }
        }
        Ok(user)
    }

    /// One rule; the words of a selector have been put together.
    pub(crate) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if rule.is_empty() {
            return Ok(());
        }
        if is(rule, "on") {
            self.is_on = true;
        } else if is(rule, "off") {
            self.is_on = false;
        } else if is(rule, "nopass") {
            self.passwords = Passwords::Any;
        } else if is(rule, "resetpass") {
            self.passwords = Passwords::Of(Vec::new());
        } else if is(rule, "skip-sanitize-payload") {
            self.sanitizes_payload = false;
        } else if is(rule, "sanitize-payload") {
            self.sanitizes_payload = true;
        } else if is(rule, "clearselectors") {
            self.selectors.truncate(1);
        } else if is(rule, "reset") {
            *self = Self::new(&self.name, self.new_channels);
        } else {
            match rule {
                [b'>', password @ ..] => self.add_password(PasswordHash::of(password)),
                [b'#', digits @ ..] => {
                    self.add_password(PasswordHash::parse(digits).ok_or(RuleError::BadHash)?);
                }
                [b'<', password @ ..] => self.remove_password(PasswordHash::of(password))?,
                [b'!', digits @ ..] => {
                    self.remove_password(PasswordHash::parse(digits).ok_or(RuleError::BadHash)?)?;
                }
                [b'(', .., b')'] => {
                    self.selectors
                        .push(Selector::parse(rule, self.new_channels)?);
                }
                _ => self.selectors[0].apply(rule)?,
            }
        }
        Ok(())
    }

    fn add_password(&mut self, hash: PasswordHash) {
        match &mut self.passwords {
            Passwords::Any => self.passwords = Passwords::Of(vec![hash]),
            Passwords::Of(hashes) if hashes.contains(&hash) => {}
            Passwords::Of(hashes) => hashes.push(hash),
        }
    }

    fn remove_password(&mut self, hash: PasswordHash) -> Result<(), RuleError> {
        if let Passwords::Of(hashes) = &mut self.passwords
            && let Some(at) = hashes.iter().position(|it| *it == hash)
        {
            hashes.remove(at);
            return Ok(());
        }
        Err(RuleError::NoSuchPassword)
    }

    /// Gives it the password of `requirepass`, or none.
    pub fn set_password(&mut self, password: Option<&[u8]>) {
        self.passwords = match password {
            None => Passwords::Any,
            Some(password) => Passwords::Of(vec![PasswordHash::of(password)]),
        };
    }

    /// Whether who gives this password is this user. Takes the same time wherever it is wrong.
    pub fn authenticates(&self, password: &[u8]) -> bool {
        if !self.is_on {
            return false;
        }
        match &self.passwords {
            Passwords::Any => true,
            Passwords::Of(hashes) => {
                let given = PasswordHash::of(password);
                let matching = hashes.iter().filter(|hash| hash.matches(&given));
                matching.count() > 0
            }
        }
    }

    /// Whether it may use a command, on some keys, whose first argument is this.
    pub fn may_run(&self, id: CommandId, first: Option<&[u8]>) -> bool {
        let mut selectors = self.selectors.iter();
        selectors.any(|selector| selector.allows(id, first))
    }

    /// Whether it may use a command with these arguments, which are at least as many as it takes.
    /// Where no selector allows it, the reason is the furthest that one came.
    #[inline]
    pub fn check(&self, id: CommandId, args: &Args<'_>) -> Result<(), Denied> {
        let mut furthest = Denied::Command;
        for selector in &self.selectors {
            match selector.check(id, args) {
                Ok(()) => return Ok(()),
                Err(denied) => furthest = furthest.max(denied),
            }
        }
        Err(furthest)
    }

    /// Whether it may use a command so that this reads keys which its arguments do not name: a
    /// selector that allows the command must allow all keys.
    pub fn reads_all_keys(&self, id: CommandId) -> bool {
        let mut selectors = self.selectors.iter();
        selectors.any(|it| it.reads_all_keys() && it.commands.contains(id, None))
    }

    /// Whether it may have this subscription, by any of its selectors.
    pub fn may_hear(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors
            .iter()
            .any(|selector| match &selector.channels {
                Set::All => true,
                Set::Some(patterns) => may_use_channel(patterns, channel, is_pattern),
            })
    }

    /// The words that are shown for what is no permission: `on`, `nopass` ...
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        if self.passwords == Passwords::Any {
            flags.push("nopass");
        }
        flags.push(if self.sanitizes_payload {
            "sanitize-payload"
        } else {
            "skip-sanitize-payload"
        });
        flags
    }

    /// The hashes of its passwords, in digits.
    pub fn password_digits(&self) -> Vec<String> {
        match &self.passwords {
            Passwords::Any => Vec::new(),
            Passwords::Of(hashes) => hashes.iter().map(PasswordHash::digits).collect(),
        }
    }

    /// The rules that make it, as ACL LIST shows and files keep them: `user NAME RULES`.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = [b"user ", &self.name[..], b" "].concat();
        for flag in self.flags() {
            text.extend_from_slice(flag.as_bytes());
            text.push(b' ');
        }
        for digits in self.password_digits() {
            text.push(b'#');
            text.extend_from_slice(digits.as_bytes());
            text.push(b' ');
        }
        for (at, selector) in self.selectors.iter().enumerate() {
            let rules = selector.describe();
            if at == 0 {
                text.extend_from_slice(&rules);
            } else {
                text.extend_from_slice(&[b" (", &rules[..], b")"].concat());
            }
        }
        text
    }
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
