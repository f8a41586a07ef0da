//! Users as a file keeps them: a line each, `user NAME RULES`.

use crate::rule::{RuleError, has_blanks, join_selectors};
use crate::selector::NewChannels;
use crate::user::User;
use crate::users::Users;

/// Reads the users of a file. On an error, what is wrong with which line, in Redis's words.
pub fn parse(text: &[u8], file: &str, new_channels: NewChannels) -> Result<Users, Vec<u8>> {
    let mut users: Vec<User> = Vec::new();
    let mut errors = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if let Err(error) = read_line(line, &mut users, new_channels) {
            errors.extend_from_slice(&error.text(file, index + 1));
        }
    }
    if errors.is_empty() {
        return Ok(Users::of(users.into_iter(), new_channels));
    }
    errors.extend_from_slice(
        b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    );
    Err(errors)
}

/// What is wrong with a line.
enum LineError {
    NoUser,
    Name(Vec<u8>),
    Duplicate(Vec<u8>),
    /// A selector that has no end.
    Unmatched,
    /// These rules.
    Rules(Vec<(Vec<u8>, RuleError)>),
}

impl LineError {
    fn text(&self, file: &str, line: usize) -> Vec<u8> {
        let at = format!("{file}:{line}");
        match self {
            Self::NoUser => {
                format!("{at} should start with user keyword followed by the username. ").into()
            }
            Self::Name(name) => {
                let text = String::from_utf8_lossy(name);
                format!("{at}: username '{text}' contains invalid characters. ").into()
            }
            Self::Duplicate(name) => {
                let name = String::from_utf8_lossy(name);
                format!("WARNING: Duplicate user '{name}' found on line {line}. ").into()
            }
            Self::Unmatched => {
                format!("{at}: Unmatched parenthesis in selector definition.").into()
            }
            Self::Rules(wrong) => {
                let text = |(rule, error): &(Vec<u8>, RuleError)| match error {
                    RuleError::UnknownCommand => {
                        let rule = String::from_utf8_lossy(rule);
                        format!("{at}: Error in applying operation '{rule}': {error}. ")
                    }
                    // The rule itself may be a password.
                    error => format!("{at}: {error}. "),
                };
                wrong.iter().map(text).collect::<String>().into()
            }
        }
    }
}

fn read_line(
    line: &[u8],
    users: &mut Vec<User>,
    new_channels: NewChannels,
) -> Result<(), LineError> {
    let mut words = line.split(|byte| *byte == b' ');
    let is_user = words.next() == Some(b"user");
    let name = words.next().filter(|_| is_user);
    let name = name.ok_or(LineError::NoUser)?;
    if has_blanks(name) {
        return Err(LineError::Name(name.to_vec()));
    }
    if users.iter().any(|it| *it.name == *name) {
        return Err(LineError::Duplicate(name.to_vec()));
    }
    let rules = join_selectors(words.map(<[u8]>::trim_ascii));
    let rules = rules.map_err(|_| LineError::Unmatched)?;
    let mut user = User::new(name, new_channels);
    let mut wrong: Vec<(Vec<u8>, RuleError)> = Vec::new();
    for rule in rules {
        let Err(error) = user.apply(&rule) else {
            continue;
        };
        // Each unknown name is told, and the first of all else.
        let is_name = |error: &RuleError| *error == RuleError::UnknownCommand;
        if is_name(&error) || wrong.iter().all(|(_, told)| is_name(told)) {
            wrong.push((rule, error));
        }
    }
    if !wrong.is_empty() {
        return Err(LineError::Rules(wrong));
    }
    users.push(user);
    Ok(())
}

/// The users as a file.
pub fn write(users: &Users) -> Vec<u8> {
    let mut text = Vec::new();
    for user in users.iter() {
        text.extend_from_slice(&user.describe());
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Users, String> {
        let users = parse(text.as_bytes(), "f", NewChannels::None);
        users.map_err(|error| String::from_utf8_lossy(&error).into_owned())
    }

    #[test]
    fn a_file_there_and_back() {
        let text = "user b on nopass sanitize-payload ~a* resetchannels &x -@all +get (~b &* +@all)\n\
            user default off sanitize-payload ~* &* +@all\n";
        let users = parsed(text).expect("users");
        assert_eq!(String::from_utf8_lossy(&write(&users)), text);
        let users = parsed("\n  user a  on \r\n").expect("users");
        assert!(users.default_user().may_everything());
        assert_eq!(users.iter().len(), 2);
    }

    #[test]
    fn every_line_that_is_wrong_is_told() {
        let text = "user a on\nuser b foo\nusr\nuser\nuser a on\n\nuser d (+get";
        let expected = "f:2: Syntax error. f:3 should start with user keyword followed by the \
            username. f:4 should start with user keyword followed by the username. WARNING: \
            Duplicate user 'a' found on line 5. f:7: Unmatched parenthesis in selector \
            definition.WARNING: ACL errors detected, no change to the previously active ACL \
            rules was performed";
        assert_eq!(parsed(text).expect_err("wrong"), expected);
        let told = parsed("user a ~* ~a +nope -@nope <x on").expect_err("wrong");
        let at = told.find("WARNING").expect("the end");
        assert!(told.starts_with("f:1: Adding a pattern"), "{told}");
        assert_eq!(
            told[..at].matches("Error in applying operation '").count(),
            2,
            "{told}"
        );
        assert!(!told.contains("password"), "{told}");
    }
}
