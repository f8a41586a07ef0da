//! Users and their rights. What each may do, and what everybody is told, is what Redis says.
//!
//! * `scenes`: conversations, a file a matter, in the words of `tests::conversation`.
//! * `rules`: what SETUSER makes of rules, one list a line.
//! * `matrix`: which user may run which command on which keys and channels.
//! * `random_rules`, `random_rights`: the two above, drawn.
//! * `files`, `configuration`: where users come from, and go to.
//! * `shards`, `flood`: many shards, many users, many wrong passwords.

mod masks;
mod matrix;
mod rules;
mod scenes;
