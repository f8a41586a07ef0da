//! The command table.
//!
//! A command is one row in `rows/` and one function in the shard crate.
//! [`for_each_command!`](crate::for_each_command) hands all rows to a macro: here it makes
//! [`COMMANDS`], in the shard crate a table of functions in the same order, so that a [`CommandId`]
//! indexes both. A family of commands is switched on by its name in that macro.
//!
//! # A row
//!
//! ```text
//! "get" => keyed(string::get) {
//!     arity 2; flags [READONLY FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RO ACCESS];
//!     group String; since "1.0.0"; complexity "O(1)";
//!     syntax "key";
//!     summary "The string at a key.";
//! }
//! ```
//!
//! * The name, then the handler: tokens that only the shard crate understands.
//!   A sub-command's name is `container|name`, and its row follows its container's.
//! * `arity` counts the verb; negative: at least so many.
//! * `flags` are those of [`Flags`](crate::command::Flags); MOVABLEKEYS is computed.
//! * `acl`: the [`Categories`](crate::command::Categories) that the flags do not imply.
//! * `keys`: one spec or more, parted by commas: where the search begins (`at(argument)`,
//!   `after("WORD", from)`, `anywhere`), which arguments from there are keys (`range(last, step,
//!   limit)`, `keynum(count, first, step)`, `unknown`), what is done to them.
//! * `tips` may follow, with Redis's hints to clients.
//! * Then may follow, in this order, what the server itself must know of the command. Each has a
//!   default, and is explained with its type in [`crate::facts`]:
//!   * `behind Writes`: what it must come behind, where others can hear of it;
//!   * `waits List`: what it waits for at its keys;
//!   * `divides Sum`: how it divides over shards;
//!   * `multi Runs`: what becomes of it between MULTI and EXEC;
//!   * `subscribers Allowed`: what it has to do with subscriptions;
//!   * `channels All`: which arguments are channels that it listens or publishes to;
//!   * `databases Swapped`: what it does to whole databases;
//!   * `libraries Loaded`: what it does to the libraries of functions;
//!   * `elsewhere argument(key, number)` or `option(key, from)`: its key in another database;
//!   * `secrets from(argument)`, `options(from, "WORD" values secret, ...)`,
//!     `parameters(argument)`:
//!     what nobody else may read;
//!   * `finds Sort`: how its keys are found where the specs do not tell;
//!   * `scripts Time`: what it is to a script;
//!   * `changes Named`: what it changes of a value, where that is little;
//!   * `traits [QUIET]`: what is true of few. A container's are its sub-commands'.
//! * `syntax` is explained in [`crate::syntax`].
//!
//! # Handlers
//!
//! ```ignore
//! macro_rules! handlers {
//!     ($($name:literal => $kind:ident $(($($path:tt)*))? { $($row:tt)* })*) => {
//!         static HANDLERS: [Handler; protocol::table::COMMANDS.len()] =
//!             [$(handler!($kind $(($($path)*))?)),*];
//!     };
//! }
//! protocol::for_each_command!(handlers);
//! ```

use crate::command::{
    BeginSearch, Categories, Command, FindKeys, Flags, Group, KeyFlags, KeyShape, KeySpec,
};
use crate::facts::{
    Behind, Changes, Channels, Databases, Division, Elsewhere, InMulti, InScripts, KeyRule,
    Libraries, SecretOption, Secrets, Subscribers, Traits, Wants,
};

/// Calls the macro `$callback` once, with the rows of all enabled families. To switch a family on,
/// add its name here.
#[macro_export]
macro_rules! for_each_command {
    ($($callback:ident)::+) => {
        $crate::join_commands! { [$($callback)::+] [
            connection_commands
            server_commands
            keys_commands
            string_commands
            transaction_commands
            geo_commands
            pubsub_commands
            list_commands
            hash_commands
            set_commands
            list_blocking_commands
            sorted_set_commands
            stream_commands
            bitmap_commands
            hyperloglog_commands
            replication_commands
            acl_commands
            cluster_commands
            module_commands
            script_commands
            function_commands
        ] }
    };
}

/// Calls the macro `$callback` once, with the rows of all families, so that the tests here hold for
/// those that are not enabled yet.
#[cfg(test)]
macro_rules! for_each_known_command {
    ($callback:ident) => {
        join_commands! { [$callback] [
            connection_commands
            planned_commands
            keys_commands
            string_commands
            list_commands
            list_blocking_commands
            hash_commands
            set_commands
            sorted_set_commands
            stream_commands
            bitmap_commands
            hyperloglog_commands
            geo_commands
            transaction_commands
            pubsub_commands
            server_commands
            replication_commands
            acl_commands
            cluster_commands
            module_commands
            script_commands
            function_commands
        ] }
    };
}

/// Hands the families that are left in the list to the first of them, which comes back with its
/// rows appended; then all to the callback.
#[doc(hidden)]
#[macro_export]
macro_rules! join_commands {
    ([$($callback:tt)+] [] $($rows:tt)*) => { $($callback)+! { $($rows)* } };
    ([$($callback:tt)+] [$family:ident $($families:ident)*] $($rows:tt)*) => {
        $crate::$family! { [$($callback)+] [$($families)*] $($rows)* }
    };
}

/// The value of one key spec of a row.
macro_rules! key_spec {
    ($begin:ident $(($($b:tt)*))? $find:ident $(($($f:tt)*))? $($flag:ident)*) => {
        KeySpec {
            begin: key_spec!(@begin $begin $($($b)*)?),
            find: key_spec!(@find $find $($($f)*)?),
            flags: KeyFlags::NONE$(.with(KeyFlags::$flag))*,
        }
    };
    (@begin at $index:literal) => { BeginSearch::Index($index) };
    (@begin after $word:literal, $from:literal) => { BeginSearch::Keyword { word: $word, from: $from } };
    (@begin anywhere) => { BeginSearch::Unknown };
    (@find range $last:literal, $step:literal, $limit:literal) => { FindKeys::Range { last: $last, step: $step, limit: $limit } };
    (@find keynum $count:literal, $first:literal, $step:literal) => { FindKeys::KeyNum { count: $count, first: $first, step: $step } };
    (@find unknown) => { FindKeys::Unknown };
}

/// What a row says, else the default, which comes first.
macro_rules! said {
    ($default:expr, $said:expr) => {
        $said
    };
    ($default:expr,) => {
        $default
    };
}

/// The value of a row's `elsewhere`.
macro_rules! elsewhere {
    (argument $key:literal, $number:literal) => {
        Elsewhere::Argument {
            key: $key,
            number: $number,
        }
    };
    (option $key:literal, $from:literal) => {
        Elsewhere::Option {
            key: $key,
            from: $from,
        }
    };
}

/// The value of a row's `secrets`.
macro_rules! secrets {
    (from $from:literal) => { Secrets::From($from) };
    (options $from:literal, $($word:literal $values:literal $kind:ident),+) => {
        Secrets::Options {
            from: $from,
            options: &[$(SecretOption {
                word: $word,
                values: $values,
                is_secret: secrets!(@is $kind),
            }),+],
        }
    };
    (@is secret) => { true };
    (@is shown) => { false };
    (parameters $from:literal) => { Secrets::Parameters($from) };
}

macro_rules! commands {
    ($($name:literal => $kind:ident $(($($path:tt)*))? {
        arity $arity:literal; flags [$($flag:ident)*]; acl [$($category:ident)*];
        keys [$($begin:ident $(($($b:tt)*))? $find:ident $(($($f:tt)*))? $($key_flag:ident)*),*];
        $(tips [$($tip:literal),*];)?
        $(behind $behind:ident;)?
        $(waits $waits:ident;)?
        $(divides $divides:ident;)?
        $(multi $multi:ident;)?
        $(subscribers $subscribers:ident;)?
        $(channels $channels:ident;)?
        $(databases $databases:ident;)?
        $(libraries $libraries:ident;)?
        $(elsewhere $elsewhere:ident($($e:tt)*);)?
        $(secrets $secrets:ident($($s:tt)*);)?
        $(finds $finds:ident;)?
        $(scripts $scripts:ident;)?
        $(changes $changes:ident;)?
        $(traits [$($trait:ident)*];)?
        group $group:ident; since $since:literal; complexity $complexity:literal;
        syntax $syntax:literal;
        summary $summary:literal;
    })*) => {
        [$({
            const KEYS: &[KeySpec] = &[$(key_spec!($begin $(($($b)*))? $find $(($($f)*))? $($key_flag)*)),*];
            const FLAGS: Flags = Flags::NONE$(.with(Flags::$flag))*;
            Command {
                name: $name,
                arity: $arity,
                flags: FLAGS.movable_as(KEYS),
                categories: Categories::NONE$(.with(Categories::$category))*.implied_by(FLAGS),
                keys: KEYS,
                shape: KeyShape::of(KEYS),
                tips: &[$($($tip),*)?],
                behind: Behind::of(&[$(Behind::$behind)?], KeyShape::of(KEYS), FLAGS),
                waits: said!(Wants::Nothing, $(Wants::$waits)?),
                divides: said!(None, $(Some(Division::$divides))?),
                in_multi: said!(InMulti::Queues, $(InMulti::$multi)?),
                subscribers: said!(Subscribers::Refused, $(Subscribers::$subscribers)?),
                channels: said!(Channels::None, $(Channels::$channels)?),
                databases: said!(Databases::Kept, $(Databases::$databases)?),
                libraries: said!(Libraries::Kept, $(Libraries::$libraries)?),
                elsewhere: said!(Elsewhere::Nothing, $(elsewhere!($elsewhere $($e)*))?),
                secrets: said!(Secrets::Nothing, $(secrets!($secrets $($s)*))?),
                finds: said!(KeyRule::Specs, $(KeyRule::$finds)?),
                in_scripts: said!(InScripts::AsElsewhere, $(InScripts::$scripts)?),
                traits: Traits::NONE$($(.with(Traits::$trait))*)?,
                changes: said!(Changes::Anything, $(Changes::$changes)?),
                group: Group::$group,
                since: $since,
                complexity: $complexity,
                syntax: $syntax,
                summary: $summary,
            }
        }),*]
    };
}

#[cfg(not(test))]
const ROWS: &[Command] = &for_each_command!(commands);
#[cfg(test)]
const ROWS: &[Command] = &for_each_known_command!(commands);
const COUNT: usize = ROWS.len();

/// All commands; a container is followed by its sub-commands.
pub static COMMANDS: [Command; COUNT] = {
    let mut commands = [ROWS[0]; COUNT];
    let mut container = 0;
    let mut i = 0;
    while i < COUNT {
        commands[i] = ROWS[i].checked();
        if bar(ROWS[i].name.as_bytes()).is_none() {
            container = i;
        } else {
            commands[i].traits = ROWS[i].traits.with(ROWS[container].traits);
            commands[container].traits = Traits::NONE;
        }
        i += 1;
    }
    commands
};

/// One command of the table, or one sub-command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(u16);

impl CommandId {
    /// The index of its row: that of its handler too.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its row.
    #[inline]
    pub fn command(self) -> &'static Command {
        &COMMANDS[self.index()]
    }

    /// The command of row `index`, if there is one.
    pub fn from_index(index: usize) -> Option<CommandId> {
        u16::try_from(index)
            .ok()
            .filter(|_| index < COUNT)
            .map(CommandId)
    }

    /// All commands and sub-commands in the table's order.
    pub fn all() -> impl ExactSizeIterator<Item = CommandId> + Clone {
        (0..COUNT as u16).map(CommandId)
    }

    /// The sub-commands of this container, in the table's order. None of any other command.
    pub fn subcommands(self) -> impl ExactSizeIterator<Item = CommandId> + Clone {
        (self.0 + 1..self.0 + 1 + SUBCOMMANDS[self.index()]).map(CommandId)
    }

    /// True of a command that has sub-commands.
    #[inline]
    pub fn is_container(self) -> bool {
        SUBCOMMANDS[self.index()] > 0
    }

    /// The command whose full name in lower case is `name`. In a `const` it costs nothing, and a
    /// name that is not in the table does not compile.
    ///
    /// # Panics
    /// Where there is no such command.
    pub const fn named(name: &str) -> CommandId {
        let mut i = 0;
        while i < COUNT {
            if same(ROWS[i].name.as_bytes(), name.as_bytes()) {
                return CommandId(i as u16);
            }
            i += 1;
        }
        panic!("no such command in the table")
    }
}

/// The command that `verb` names, in any case. Not a sub-command: see [`lookup_sub`].
#[inline]
pub fn lookup(verb: &[u8]) -> Option<CommandId> {
    let key = Key::of(verb);
    let mut slot = key.slot();
    loop {
        let Entry { key: found, id } = &SLOTS[slot];
        if *id == EMPTY {
            return None;
        }
        if *found == key {
            // The key holds every byte of a name of up to sixteen, and only the ends of a longer
            // one.
            let same = verb.len() <= KEY_BYTES
                || verb.eq_ignore_ascii_case(COMMANDS[usize::from(*id)].name.as_bytes());
            return same.then_some(CommandId(*id));
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
}

/// The sub-command of `container` that `sub` names, in any case.
pub fn lookup_sub(container: CommandId, sub: &[u8]) -> Option<CommandId> {
    container
        .subcommands()
        .find(|id| id.command().own_name().as_bytes().eq_ignore_ascii_case(sub))
}

/// The command of this full name, in any case: `get`, or `client|id` as ACL rules and COMMAND INFO
/// write it.
pub fn lookup_full(name: &[u8]) -> Option<CommandId> {
    match memchr::memchr(b'|', name) {
        None => lookup(name),
        Some(bar) => lookup_sub(lookup(&name[..bar])?, &name[bar + 1..]),
    }
}

/// How many rows behind each row are its sub-commands.
static SUBCOMMANDS: [u16; COUNT] = {
    let mut counts = [0; COUNT];
    let mut container = 0;
    let mut i = 0;
    while i < COUNT {
        let name = ROWS[i].name.as_bytes();
        match bar(name) {
            None => container = i,
            Some(at) => {
                let (prefix, _) = name.split_at(at);
                assert!(
                    same(ROWS[container].name.as_bytes(), prefix),
                    "a sub-command's row follows its container's"
                );
                counts[container] += 1;
            }
        }
        i += 1;
    }
    counts
};

/// The longest name that a [`Key`] holds whole.
const KEY_BYTES: usize = 16;

/// A name in lower case, folded into two words: its first and last eight bytes, which overlap where
/// it is shorter.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    front: u64,
    back: u64,
    len: u8,
}

impl Key {
    #[inline]
    const fn of(name: &[u8]) -> Key {
        let len = name.len();
        let (front, back) = match len {
            0 => (0, 0),
            1..4 => (
                name[0] as u64 | (name[len / 2] as u64) << 8 | (name[len - 1] as u64) << 16,
                0,
            ),
            4..8 => (word(name, 0, 4), word(name, len - 4, 4)),
            _ => (word(name, 0, 8), word(name, len - 8, 8)),
        };
        Key {
            front: lower(front),
            back: lower(back),
            len: if len > u8::MAX as usize {
                u8::MAX
            } else {
                len as u8
            },
        }
    }

    #[inline]
    const fn slot(&self) -> usize {
        let mixed = (self.front ^ self.back.rotate_left(23) ^ self.len as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - SLOT_COUNT.trailing_zeros())) as usize
    }
}

/// `count` bytes of `name` from `at` on as a little-endian number. Becomes one load.
#[inline]
const fn word(name: &[u8], at: usize, count: usize) -> u64 {
    let mut value = 0;
    let mut i = 0;
    while i < count {
        value |= (name[at + i] as u64) << (8 * i);
        i += 1;
    }
    value
}

/// Eight bytes at once with their ASCII capitals made small.
#[inline]
const fn lower(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let low_bits = bytes & !HIGH;
    let from_a = low_bits + (0x80 - b'A' as u64) * ONES;
    let beyond_z = low_bits + (0x7f - b'Z' as u64) * ONES;
    let capitals = (from_a ^ beyond_z) & !bytes & HIGH;
    bytes | capitals >> 2
}

#[derive(Clone, Copy)]
struct Entry {
    key: Key,
    id: u16,
}

/// The id of a slot without a command.
const EMPTY: u16 = u16::MAX;
/// Four times as many as there are verbs, or more, so that nearly all are found in their first
/// slot.
const SLOT_COUNT: usize = 1024;

static SLOTS: [Entry; SLOT_COUNT] = {
    let mut slots = [Entry {
        key: Key {
            front: 0,
            back: 0,
            len: 0,
        },
        id: EMPTY,
    }; SLOT_COUNT];
    let mut verbs = 0;
    let mut i = 0;
    while i < COUNT {
        let name = ROWS[i].name.as_bytes();
        if bar(name).is_none() {
            let key = Key::of(name);
            let mut slot = key.slot();
            while slots[slot].id != EMPTY {
                slot = (slot + 1) % SLOT_COUNT;
            }
            slots[slot] = Entry { key, id: i as u16 };
            verbs += 1;
        }
        i += 1;
    }
    assert!(
        verbs * 4 <= SLOT_COUNT,
        "the table of names is too full: double SLOT_COUNT"
    );
    slots
};

/// Where the bar of a sub-command's name is.
const fn bar(name: &[u8]) -> Option<usize> {
    let mut i = 0;
    while i < name.len() {
        if name[i] == b'|' {
            return Some(i);
        }
        i += 1;
    }
    None
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    let mut i = 0;
    while i < left.len() && i < right.len() && left[i] == right[i] {
        i += 1;
    }
    i == left.len() && i == right.len()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
