//! What the table knows of a command: everything but how to run it.
//!
//! The types mirror the properties that `COMMAND INFO` and `COMMAND DOCS` show; those of what only
//! the server needs to know are in [`crate::facts`]. All of them are built at compile time.

use crate::facts::{
    Behind, Changes, Channels, Databases, Division, Elsewhere, InMulti, InScripts, KeyRule,
    Libraries, Secrets, Subscribers, Traits, Wants,
};

/// A set of properties, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

/// A set of ACL categories, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Categories(u32);

/// What a command does to a key, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFlags(u32);

/// Makes the members of a bit set, in the order in which replies list them, and its operations.
macro_rules! bits {
    ($set:ident { $($(#[$doc:meta])* $name:ident = $text:literal;)* }) => {
        bits! { @number $set 0u32; $($(#[$doc])* $name)* }

        impl $set {
            /// Every member with the name that replies show, in their order.
            pub const NAMES: &'static [($set, &'static str)] = &[$(($set::$name, $text)),*];

            /// The set of nothing.
            pub const NONE: $set = $set(0);

            /// This set and the members of `other`.
            #[must_use]
            pub const fn with(self, other: $set) -> $set {
                $set(self.0 | other.0)
            }

            /// This set where `condition` holds, else none.
            #[must_use]
            pub const fn when(self, condition: bool) -> $set {
                if condition { self } else { $set::NONE }
            }

            /// True where all members of `other` are in this set.
            #[inline]
            pub const fn contains(self, other: $set) -> bool {
                self.0 & other.0 == other.0
            }

            /// True where any member of `other` is in this set.
            #[inline]
            pub const fn intersects(self, other: $set) -> bool {
                self.0 & other.0 != 0
            }

            /// How many members it has.
            pub const fn len(self) -> usize {
                self.0.count_ones() as usize
            }

            /// True of the set of nothing.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The names of the members, in the order of replies.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| *name)
            }
        }
    };
    (@number $set:ident $bit:expr; $(#[$doc:meta])* $name:ident $($rest:tt)*) => {
        impl $set {
            $(#[$doc])*
            pub const $name: $set = $set(1 << ($bit));
        }
        bits! { @number $set $bit + 1; $($rest)* }
    };
    (@number $set:ident $bit:expr;) => {};
}
pub(crate) use bits;

bits! { Flags {
    /// May change keys.
    WRITE = "write";
    /// Changes no key.
    READONLY = "readonly";
    /// Refused where memory is at its limit.
    DENYOOM = "denyoom";
    /// Of the administrator.
    ADMIN = "admin";
    /// About publish and subscribe.
    PUBSUB = "pubsub";
    /// Not for scripts.
    NOSCRIPT = "noscript";
    /// May wait.
    BLOCKING = "blocking";
    /// Allowed while the data set is loaded.
    LOADING = "loading";
    /// Allowed on a replica whose data may be stale.
    STALE = "stale";
    /// Not shown by MONITOR.
    SKIP_MONITOR = "skip_monitor";
    /// Not recorded by SLOWLOG.
    SKIP_SLOWLOG = "skip_slowlog";
    /// Allowed on a slot that is being imported.
    ASKING = "asking";
    /// Takes constant or logarithmic time.
    FAST = "fast";
    /// Allowed before authentication.
    NO_AUTH = "no_auth";
    /// May name no key at all.
    NO_MANDATORY_KEYS = "no_mandatory_keys";
    /// Only where the configuration allows it.
    PROTECTED = "protected";
    /// Not while the data set is loaded in the background.
    NO_ASYNC_LOADING = "no_async_loading";
    /// Not within MULTI.
    NO_MULTI = "no_multi";
    /// Its keys are not one plain range: computed from the key specs.
    MOVABLEKEYS = "movablekeys";
    /// Allowed while a script runs for too long.
    ALLOW_BUSY = "allow_busy";
} }

bits! { Categories {
    /// Keys of any type.
    KEYSPACE = "keyspace";
    /// Reads keys: implied by [`Flags::READONLY`].
    READ = "read";
    /// May change keys: implied by [`Flags::WRITE`].
    WRITE = "write";
    /// Sets.
    SET = "set";
    /// Sorted sets.
    SORTEDSET = "sortedset";
    /// Lists.
    LIST = "list";
    /// Hashes.
    HASH = "hash";
    /// Strings.
    STRING = "string";
    /// Bitmaps.
    BITMAP = "bitmap";
    /// HyperLogLogs.
    HYPERLOGLOG = "hyperloglog";
    /// Geospatial indexes.
    GEO = "geo";
    /// Streams.
    STREAM = "stream";
    /// Publish and subscribe: implied by [`Flags::PUBSUB`].
    PUBSUB = "pubsub";
    /// Of the administrator: implied by [`Flags::ADMIN`].
    ADMIN = "admin";
    /// Implied by [`Flags::FAST`].
    FAST = "fast";
    /// Implied by the absence of [`Flags::FAST`].
    SLOW = "slow";
    /// Implied by [`Flags::BLOCKING`].
    BLOCKING = "blocking";
    /// To be used with care: implied by [`Flags::ADMIN`].
    DANGEROUS = "dangerous";
    /// About connections.
    CONNECTION = "connection";
    /// About transactions.
    TRANSACTION = "transaction";
    /// About scripts.
    SCRIPTING = "scripting";
} }

bits! { KeyFlags {
    /// Reads the value, and does not change the key.
    RO = "RO";
    /// Changes the value in part.
    RW = "RW";
    /// Overwrites the value whatever it was.
    OW = "OW";
    /// Removes the key.
    RM = "RM";
    /// Answers, copies or uses something of the value.
    ACCESS = "access";
    /// Changes something that is there.
    UPDATE = "update";
    /// Adds, and changes or removes nothing that is there.
    INSERT = "insert";
    /// Deletes something of the value.
    DELETE = "delete";
    /// Is no key, but is routed as one: a shard channel.
    NOT_KEY = "not_key";
    /// There may be keys that this spec does not see.
    INCOMPLETE = "incomplete";
    /// What is done depends on other arguments.
    VARIABLE_FLAGS = "variable_flags";
} }

impl Categories {
    /// These categories and those that `flags` imply.
    pub const fn implied_by(self, flags: Flags) -> Categories {
        self.with(Categories::WRITE.when(flags.contains(Flags::WRITE)))
            .with(
                Categories::READ
                    .when(flags.contains(Flags::READONLY) && !self.contains(Categories::SCRIPTING)),
            )
            .with(
                Categories::ADMIN
                    .with(Categories::DANGEROUS)
                    .when(flags.contains(Flags::ADMIN)),
            )
            .with(Categories::PUBSUB.when(flags.contains(Flags::PUBSUB)))
            .with(Categories::BLOCKING.when(flags.contains(Flags::BLOCKING)))
            .with(Categories::FAST.when(flags.contains(Flags::FAST)))
            .with(Categories::SLOW.when(!flags.contains(Flags::FAST)))
    }

    /// The category of this name, without `@`, in any case.
    pub fn named(name: &[u8]) -> Option<Categories> {
        Self::NAMES
            .iter()
            .find(|(_, text)| text.as_bytes().eq_ignore_ascii_case(name))
            .map(|(bit, _)| *bit)
    }
}

/// Where the search for a command's keys begins. Arguments are counted from the verb, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this argument.
    Index(u16),
    /// After this word, looked for from argument `from` on; where `from` is negative, backwards
    /// from there, counted from the end.
    Keyword { word: &'static str, from: i16 },
    /// Somewhere: only the command itself knows.
    Unknown,
}

/// Which arguments are keys, counted from where the search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKeys {
    /// Every `step`th, up to `last`. A negative `last` counts from the command's end, or, where
    /// `limit` is two or more, from the end of the first of as many equal parts of what is left.
    Range { last: i16, step: u16, limit: u16 },
    /// As many as argument `count` says, every `step`th from argument `first` on.
    KeyNum { count: u16, first: u16, step: u16 },
    /// Only the command itself knows.
    Unknown,
}

/// One rule by which a command's keys are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub begin: BeginSearch,
    pub find: FindKeys,
    pub flags: KeyFlags,
}

impl KeySpec {
    /// Whether something is taken or copied from its keys, and not only put there.
    pub const fn is_source(&self) -> bool {
        self.flags.contains(KeyFlags::ACCESS)
    }
}

/// Where the keys are, in the form that dispatch asks for. Equivalent to the key specs where it is
/// not `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyShape {
    /// No keys.
    None,
    /// Exactly one, argument 1.
    One,
    /// Arguments `first` to `last` in steps of `step`; a negative `last` counts from the end, -1
    /// being the last argument.
    Range { first: u16, last: i16, step: u16 },
    /// Ask [`crate::keys::key_positions`].
    Other,
}

/// A plain range of arguments, as the first versions of `COMMAND` told where keys are. All zero
/// where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyRange {
    pub first: u16,
    pub last: i16,
    pub step: u16,
}

/// What the specs come to in the older, plainer terms.
struct Summary {
    range: LegacyRange,
    /// The range is not the whole truth.
    movable: bool,
    /// The specs are about keys and not about channels.
    keys: bool,
}

/// Specs that are plain ranges of step one, each beginning where the one before ends, join to one
/// range. Any other spec makes the keys movable, unless it is the only one and a range.
const fn summarize(specs: &[KeySpec]) -> Summary {
    let mut summary = Summary {
        range: LegacyRange {
            first: 0,
            last: 0,
            step: 0,
        },
        movable: false,
        keys: false,
    };
    let mut previous_last: i16 = 0;
    let mut i = 0;
    while i < specs.len() {
        let spec = &specs[i];
        i += 1;
        summary.keys |= !spec.flags.contains(KeyFlags::NOT_KEY);
        summary.movable |= spec.flags.contains(KeyFlags::INCOMPLETE);
        let (
            BeginSearch::Index(first),
            FindKeys::Range {
                last,
                step,
                limit: 0,
            },
        ) = (spec.begin, spec.find)
        else {
            summary.movable = true;
            continue;
        };
        let end = if last < 0 { last } else { last + first as i16 };
        if specs.len() == 1 {
            summary.range = LegacyRange {
                first,
                last: end,
                step,
            };
        } else if step != 1 || (previous_last != 0 && previous_last != first as i16 - 1) {
            summary.movable = true;
        } else {
            if summary.range.step == 0 {
                summary.range = LegacyRange {
                    first,
                    last: end,
                    step,
                };
            } else {
                summary.range.last = end;
            }
            previous_last = end;
        }
    }
    summary
}

impl Flags {
    /// These flags, and MOVABLEKEYS where `specs` come to more than a plain range.
    pub const fn movable_as(self, specs: &[KeySpec]) -> Flags {
        self.with(Flags::MOVABLEKEYS.when(summarize(specs).movable))
    }
}

impl LegacyRange {
    /// The range that `specs` come to.
    pub const fn of(specs: &[KeySpec]) -> LegacyRange {
        summarize(specs).range
    }
}

impl KeyShape {
    /// The shape that `specs` come to.
    pub const fn of(specs: &[KeySpec]) -> KeyShape {
        let summary = summarize(specs);
        match summary.range {
            _ if !summary.keys => KeyShape::None,
            _ if summary.movable => KeyShape::Other,
            LegacyRange {
                first: 1,
                last: 1,
                step: 1,
            } => KeyShape::One,
            LegacyRange { first, last, step } => KeyShape::Range { first, last, step },
        }
    }
}

/// The part of the manual to which a command belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Cluster,
    Connection,
    Generic,
    String,
    List,
    Hash,
    Set,
    SortedSet,
    Stream,
    Bitmap,
    HyperLogLog,
    Geo,
    Transactions,
    PubSub,
    Scripting,
    Server,
}

impl Group {
    /// The group's name in `COMMAND DOCS`.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::Transactions => "transactions",
            Group::PubSub => "pubsub",
            Group::Scripting => "scripting",
            Group::Server => "server",
        }
    }
}

/// One command, or one sub-command of a container.
// In this order, so that what every command of a pipeline is asked is one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// In lower case; of a sub-command `container|name`.
    pub name: &'static str,
    pub flags: Flags,
    /// Those in its row and in its container's, which itself has none.
    pub traits: Traits,
    /// Those in its row and those that its flags imply.
    pub categories: Categories,
    /// What `keys` come to.
    pub shape: KeyShape,
    /// How many arguments it takes, the verb, and the container's word, included; negative: at
    /// least so many.
    pub arity: i16,
    /// What it comes behind.
    pub behind: Behind,
    /// What it waits for at its keys.
    pub waits: Wants,
    /// How it divides over shards, if it does.
    pub divides: Option<Division>,
    /// What becomes of it between MULTI and EXEC.
    pub in_multi: InMulti,
    /// What it has to do with subscriptions.
    pub subscribers: Subscribers,
    /// Which arguments are channels that it listens or publishes to.
    pub channels: Channels,
    /// What it does to whole databases.
    pub databases: Databases,
    /// What it does to the libraries of functions.
    pub libraries: Libraries,
    /// How its keys are found where the specs do not tell.
    pub finds: KeyRule,
    /// What it is to a script.
    pub in_scripts: InScripts,
    /// Which key of it lies in another database.
    pub elsewhere: Elsewhere,
    pub group: Group,
    /// What it changes of a value, where that is little.
    pub changes: Changes,
    pub keys: &'static [KeySpec],
    /// Which arguments nobody else may read.
    pub secrets: Secrets,
    /// Hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// The version of Redis that brought it.
    pub since: &'static str,
    /// In the O notation; empty where it says nothing.
    pub complexity: &'static str,
    /// The arguments; see [`crate::syntax`].
    pub syntax: &'static str,
    pub summary: &'static str,
}

/// The first cache line of a row ends behind what dispatch asks.
const _: () = assert!(std::mem::offset_of!(Command, group) < 64);

impl Command {
    /// True where a command of `len` arguments, the verb included, has as many as it takes.
    #[inline]
    pub fn accepts(&self, len: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity >= 0 {
            len == arity
        } else {
            len >= arity
        }
    }

    /// The container's name and the sub-command's own, where it is one.
    pub fn container(&self) -> Option<(&'static str, &'static str)> {
        self.name.split_once('|')
    }

    /// The part of the name behind the container's.
    pub fn own_name(&self) -> &'static str {
        self.container().map_or(self.name, |(_, own)| own)
    }
}
