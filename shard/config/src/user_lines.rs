//! `user` lines: users that the configuration file names, in place of a file of their own.
//!
//! What the lines come to depends on `acl-pubsub-default`, which may stand behind them; so they are
//! kept as words, and checked when they come.

use acl::file;
use acl::rule::{RuleError, RulesError, has_blanks};
use acl::selector::NewChannels;
use acl::user::User;
use acl::users::Users;

use crate::choice::AclPubsub;
use crate::{Config, ConfigError};

/// The directive.
pub const USER: &str = "user";

/// The users of a configuration file, in the order of the lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserLines(Vec<UserLine>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct UserLine {
    name: String,
    rules: Vec<String>,
}

impl UserLines {
    /// Adds a line's words: a name and its rules.
    pub(super) fn add(&mut self, words: &[String]) -> Result<(), String> {
        let Some((name, rules)) = words.split_first() else {
            return Err("Bad directive or wrong number of arguments".into());
        };
        let wrong = |why: &str| format!("Error in user declaration '{name}': {why}");
        if self.0.iter().any(|line| line.name == *name) {
            return Err(wrong(RuleError::DuplicateUser.text()));
        }
        if has_blanks(name.as_bytes()) {
            return Err(wrong("Spaces not allowed in ACL usernames"));
        }
        let line = UserLine {
            name: name.clone(),
            rules: rules.to_vec(),
        };
        if let Err(error) = line.user(NewChannels::None) {
            return Err(wrong(&match error {
                // The rule itself may be a password.
                RulesError::Rule(_, error) => error.text().into(),
                RulesError::Unmatched(_) => String::from_utf8_lossy(&error.text()).into_owned(),
            }));
        }
        self.0.push(line);
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl UserLine {
    fn user(&self, new_channels: NewChannels) -> Result<User, RulesError> {
        let rules = self.rules.iter().map(String::as_bytes);
        User::new(self.name.as_bytes(), new_channels).with(rules, new_channels)
    }
}

impl Config {
    /// What a new user may hear.
    pub fn new_channels(&self) -> NewChannels {
        match self.acl_pubsub_default {
            AclPubsub::AllChannels => NewChannels::All,
            AclPubsub::ResetChannels => NewChannels::None,
        }
    }

    /// The users that there are at the start: of the file, or of the lines, and the default one.
    pub fn first_users(&self) -> Result<Users, ConfigError> {
        let new_channels = self.new_channels();
        let mut users = Users::new(new_channels);
        users.set_default_password(self.requirepass.as_deref().map(str::as_bytes));
        match (&self.aclfile, self.user_lines.is_empty()) {
            (Some(_), false) => Err(ConfigError::Argument(
                "both an ACL file (aclfile) and user lines say who the users are: use one of them"
                    .into(),
            )),
            (Some(file), true) => self.users_of_file(file).map_err(ConfigError::argument),
            (None, _) => {
                for line in &self.user_lines.0 {
                    match line.user(new_channels) {
                        Ok(user) => users.put(user),
                        Err(error) => {
                            let text = String::from_utf8_lossy(&error.text()).into_owned();
                            return Err(ConfigError::argument(text));
                        }
                    }
                }
                Ok(users)
            }
        }
    }

    /// The users in a file; else what is wrong with it, in Redis's words.
    pub fn users_of_file(&self, file: &str) -> Result<Users, String> {
        let path = self.dir.join(file);
        let text = std::fs::read(path).map_err(|error| {
            let why = crate::kind::plain(&error);
            format!("Error loading ACLs, opening file '{file}': {why}")
        })?;
        let users = file::parse(&text, file, self.new_channels());
        users.map_err(|error| String::from_utf8_lossy(&error).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(lines: &mut UserLines, line: &str) -> Result<(), String> {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        lines.add(&words)
    }

    #[test]
    fn lines_are_checked_as_they_come() {
        let mut lines = UserLines::default();
        assert_eq!(added(&mut lines, "a on >secret (+get ~x)"), Ok(()));
        let again = added(&mut lines, "a off").expect_err("a duplicate");
        assert!(again.contains("Duplicate user found"), "{again}");
        let wrong = added(&mut lines, "b <secret").expect_err("no such password");
        assert!(
            wrong.contains("'b'") && !wrong.contains("secret"),
            "{wrong}"
        );
        assert!(added(&mut lines, "c (+get").is_err());
    }

    #[test]
    fn lines_make_users() {
        let mut config = Config {
            requirepass: Some("x".into()),
            ..Config::default()
        };
        added(&mut config.user_lines, "a on").expect("a line");
        let users = config.first_users().expect("users");
        assert!(!users.default_user().is_open());
        assert_eq!(users.iter().len(), 2);
        config.aclfile = Some("f".into());
        assert!(config.first_users().is_err());
    }
}
