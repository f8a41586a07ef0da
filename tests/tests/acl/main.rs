//! Users and their rights. What each may do, and what everybody is told, is what Redis says.
//!
//! * `scenes`: conversations, a file a matter, in the words of `tests::conversation`.
//! * `rules`: what SETUSER makes of rules, one list a line.
//! * `matrix`: which user may run which command on which keys and channels.
//! * `categories`: which commands are in which.
//! * `random`: the two above, with rules and commands that `draw` draws.
//! * `files`, `configuration`: where users come from, and go to.
//! * `shards`, `flood`: many shards, many users, many wrong passwords.
//! * `mended`: where Redis 7.4.1 itself is wrong.

mod categories;
mod configuration;
mod draw;
mod files;
mod flood;
mod masks;
mod matrix;
mod mended;
mod random;
mod rules;
mod scenes;
mod shards;
