//! Access control, as Redis's ACL: users, what they may do, and who was refused.
//!
//! A [`user::User`] has passwords and one [`selector::Selector`] or more. A selector says which
//! commands may be used, on which keys and channels; a user may do what one of its selectors allows
//! in full. All of a server's are its [`users::Users`].
//!
//! Pure: no clock, file or network. Rules are text, in the words of
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>; [`rule`] tells
//! their errors.

pub mod commands;
pub mod file;
pub mod log;
pub mod password;
pub mod pattern;
pub mod rule;
pub mod selector;
pub mod user;
pub mod users;
