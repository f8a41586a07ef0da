//! What the server itself must know of a command, and `COMMAND` does not show.
//!
//! Each fact is a column of the command's row, with a default for most commands. The rest of the
//! server asks the row and never the name, so a new command is known everywhere by its row alone.
//! What contradicts the rest of its row does not compile: see [`Command::checked`].

use crate::command::{Command, Flags, KeyShape, bits};

/// What must have taken effect before a command runs, of what its connection has sent before: who
/// hears of the command is to find that. Column `behind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Nobody hears of it as long as nobody listens to all changes. The default of a command on one
    /// key that does not wait.
    Nothing,
    /// All of it, where that is much: the command may ask several shards. The default of all
    /// others.
    Much,
    /// What it wrote: the command may put something where a client waits, or wake one in another
    /// way.
    Writes,
    /// All of it: the command tells others whether or not they wait, tells of others, or goes from
    /// shard to shard on a way of its own.
    Everything,
    /// What the script says that it runs.
    Script,
}

/// How a command's keys are found, and what is done to them, where its key specs do not tell.
/// Column `finds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyRule {
    /// By the specs. The default.
    #[default]
    Specs,
    /// Argument 1, whose value is read only where GET is given (SET).
    Set,
    /// Argument 1, whose value is written only where an operation is not GET (BITFIELD).
    Bitfield,
    /// Argument 1, and the one behind the last STORE (SORT).
    Sort,
    /// Argument 3, or where that is empty all behind KEYS (MIGRATE).
    Migrate,
}

/// What a blocking command waits for at its keys. A key that holds something else wakes nobody.
/// Column `waits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wants {
    /// It does not wait at keys. The default, which a blocking command with keys may not have.
    #[default]
    Nothing,
    /// A list.
    List,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
    /// A group of a stream: the command is answered with an error where the stream has gone, or is
    /// none any more.
    Group,
}

/// How the replies come together of a command that each shard can run on its own keys: what it does
/// with one key does not depend on another. Column `divides`; where it says nothing the command is
/// not divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// A reply for each key, in the order of the keys (MGET).
    Each,
    /// How many keys it was true of (EXISTS, TOUCH, DEL, UNLINK).
    Sum,
    /// Keys with values, and always OK (MSET).
    Pairs,
}

/// What becomes of a command between MULTI and EXEC. Column `multi`. Those with
/// [`Flags::NO_MULTI`] are refused there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InMulti {
    /// It queues. The default.
    #[default]
    Queues,
    /// It queues, and chooses the database of those that queue behind it (SELECT).
    Selects,
    /// It queues, or is refused where its argument 2 is OFF or SKIP: the reply to EXEC would have
    /// fewer elements than it says (CLIENT REPLY).
    Mutes,
    /// It runs at once.
    Runs,
    /// It runs at once, and with it all that has queued. An error ends the transaction (EXEC).
    Executes,
}

/// What a command has to do with its connection's subscriptions. Column `subscribers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subscribers {
    /// Nothing: in RESP2 a connection that subscribes may not use it. The default.
    #[default]
    Refused,
    /// It may be used there too (PING, QUIT, RESET).
    Allowed,
    /// It begins or ends subscriptions: it may be used there, and is answered by messages, which go
    /// out though replies are off.
    Changed,
}

/// Which arguments of a command are channels that it begins to listen to, or publishes to: a user
/// may be refused these. Column `channels`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// None. The default.
    #[default]
    None,
    /// Argument 1 (PUBLISH).
    First,
    /// Argument 1 and all behind it (SUBSCRIBE).
    All,
    /// Argument 1 and all behind it, which are patterns (PSUBSCRIBE).
    Patterns,
}

/// What a command does to whole databases. Column `databases`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Databases {
    /// Nothing. The default.
    #[default]
    Kept,
    /// It empties the selected one (FLUSHDB).
    OneEmptied,
    /// It empties all, and an empty snapshot is saved where snapshots are configured (FLUSHALL).
    AllEmptied,
    /// It exchanges the two whose numbers are arguments 1 and 2 (SWAPDB).
    Swapped,
}

/// What a command does to the libraries of functions, which all shards share: the log of one shard
/// has it. Column `libraries`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Libraries {
    /// Nothing. The default.
    #[default]
    Kept,
    /// It adds the one whose code is its last argument (FUNCTION LOAD).
    Loaded,
    /// It removes the one that argument 2 names (FUNCTION DELETE).
    Deleted,
    /// It removes all (FUNCTION FLUSH).
    Flushed,
    /// It adds those of the payload that is argument 2 (FUNCTION RESTORE).
    Restored,
}

/// Which key of a command lies in another database than the selected one. Column `elsewhere`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Elsewhere {
    /// None. The default.
    #[default]
    Nothing,
    /// Argument `key`, in the database whose number is argument `number`. It is also a key of the
    /// selected one (MOVE).
    Argument { key: u8, number: u8 },
    /// Argument `key`, in the database whose number follows the word DB, which is an option from
    /// argument `from` on (COPY).
    Option { key: u8, from: u8 },
}

/// What a command changes of a value that is there, where that is little and can be foretold: who
/// may have to undo a command on a large value keeps that, and no copy. A value that has more
/// elements than the command has arguments is never emptied by it. Column `changes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Changes {
    /// Anything. The default.
    #[default]
    Anything,
    /// A list gets elements at its front.
    PushesFront,
    /// A list gets elements at its back.
    PushesBack,
    /// A list loses one element at its front, or as many as argument 2 says.
    PopsFront,
    /// A list loses one element at its back, or as many as argument 2 says.
    PopsBack,
    /// The list that is argument 1 loses an element to that which is argument 2, at the ends that
    /// the next two arguments name: LEFT or RIGHT. Without these at the back, and at the front.
    Moves,
    /// Of a set, hash or sorted set no elements but those among the arguments.
    Named,
    /// Entries of a stream.
    Entries,
}

/// Which arguments of a command nobody else may read: the slow log and MONITOR repeat commands.
/// Column `secrets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// None. The default.
    #[default]
    Nothing,
    /// All from this one on.
    From(u8),
    /// Some of these options' values. Options stand from argument `from` on.
    Options {
        from: u8,
        options: &'static [SecretOption],
    },
    /// From this one on stand pairs of a parameter's name and its value: the values of those whose
    /// values are secret.
    Parameters(u8),
}

/// A word that is followed by values, and whether these are secret. One that is not is named too:
/// its value may look like another option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretOption {
    /// In capitals; clients may write it in any case.
    pub word: &'static str,
    /// How many arguments behind the word are its values.
    pub values: u8,
    pub is_secret: bool,
}

/// What a command is to a script. Column `scripts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InScripts {
    /// What it is elsewhere, unless it is [`Flags::NOSCRIPT`]. The default.
    #[default]
    AsElsewhere,
    /// The time, which stands still while a script runs (TIME).
    Time,
    /// It chooses the database of what the script calls after it (SELECT).
    Selects,
}

/// What is true of few commands, one bit each. Column `traits`; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits(u32);

bits! { Traits {
    /// Replicas may hear of it though it is no write: a message, or a value that keeps what has
    /// been counted.
    REPLICATED = "replicated";
    /// It hands a message to subscribers, so it waits while too much is on its way to them.
    PUBLISHES = "publishes";
    /// It is refused where writes are since the disk fails: whoever asks for the server's health
    /// learns of it.
    FAILS_WITH_DISK = "fails_with_disk";
    /// BY and GET name patterns of keys, which the elements of the value at argument 1 complete.
    COMPUTED_KEYS = "computed_keys";
    /// It changes values also without an event.
    QUIET = "quiet";
    /// CLIENT CACHING is for what comes behind it.
    KEEPS_CACHING = "keeps_caching";
    /// It runs only where `enable-debug-command` allows it.
    DEBUGS = "debugs";
    /// It takes little time though it is not FAST.
    BRIEF = "brief";
    /// It may take long though it is FAST, and no length shows it.
    LONG = "long";
} }

impl Behind {
    /// What a row says; where it says nothing, what follows from its keys and flags.
    pub(crate) const fn of(said: &[Behind], shape: KeyShape, flags: Flags) -> Behind {
        match said {
            [behind, ..] => *behind,
            [] if matches!(shape, KeyShape::One) && !flags.contains(Flags::BLOCKING) => {
                Behind::Nothing
            }
            [] => Behind::Much,
        }
    }
}

impl Division {
    /// Arguments from one key to the next.
    pub const fn step(self) -> usize {
        match self {
            Division::Pairs => 2,
            Division::Each | Division::Sum => 1,
        }
    }
}

impl InMulti {
    /// Whether a command runs at once where its connection is between MULTI and EXEC.
    pub const fn runs_at_once(self) -> bool {
        matches!(self, InMulti::Runs | InMulti::Executes)
    }
}

impl Command {
    /// Whether it runs what has queued since MULTI: EXEC.
    #[inline]
    pub const fn executes(&self) -> bool {
        matches!(self.in_multi, InMulti::Executes)
    }

    /// Whether it may change what a replica has: a write, a message, or a value that keeps what has
    /// been counted.
    #[inline]
    pub const fn is_replicated(&self) -> bool {
        self.flags.contains(Flags::WRITE) || self.traits.contains(Traits::REPLICATED)
    }

    /// Whether it touches one key and of that a part that does not grow, or shows by the length of
    /// the command or of the reply that it touches more.
    pub const fn is_brief(&self) -> bool {
        // A count (LPOP, SPOP) or many members show in the length.
        let tells_its_length = self.arity > 0 || matches!(self.shape, KeyShape::One);
        let is_fast = self.flags.contains(Flags::FAST) && tells_its_length;
        self.traits.contains(Traits::BRIEF) || (is_fast && !self.traits.contains(Traits::LONG))
    }

    /// This row, where its facts agree with each other; else it does not compile.
    ///
    /// # Panics
    /// Where they contradict each other.
    pub(crate) const fn checked(self) -> Command {
        let has_keys = !matches!(self.shape, KeyShape::None);
        let blocks = self.flags.contains(Flags::BLOCKING);
        assert!(
            (blocks && has_keys) != matches!(self.waits, Wants::Nothing),
            "a blocking command with keys says what it waits for (waits), and only such a one does"
        );
        assert!(
            match self.divides {
                Some(division) => !blocks && self.has_only_keys(division.step() as u16),
                None => true,
            },
            "a command that divides has keys from argument 1 to the last, in its division's steps"
        );
        assert!(
            !self.traits.contains(Traits::COMPUTED_KEYS) || matches!(self.shape, KeyShape::Other),
            "a command with computed keys has a spec for them"
        );
        self
    }

    /// Whether every `by`th argument from the first one on is a key.
    const fn has_only_keys(&self, by: u16) -> bool {
        match self.shape {
            KeyShape::Range { first, last, step } => first == 1 && last == -1 && step == by,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{COMMANDS, CommandId};

    fn names(which: impl Fn(&Command) -> bool) -> Vec<&'static str> {
        let found = COMMANDS.iter().filter(|command| which(command));
        let mut names: Vec<_> = found.map(|command| command.name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn containers_speak_for_their_subcommands() {
        let keeps = names(|command| command.traits.contains(Traits::KEEPS_CACHING));
        let of_client = names(|command| command.name.starts_with("client|"));
        assert!(keeps.len() > 15);
        assert_eq!(keeps, of_client);
    }

    #[test]
    fn exec_alone_executes() {
        assert_eq!(names(Command::executes), ["exec"]);
        assert_eq!(
            names(|command| command.in_multi.runs_at_once()),
            ["discard", "exec", "multi", "quit", "reset", "watch"]
        );
    }

    #[test]
    fn a_blocking_command_has_its_sources_first() {
        for command in COMMANDS.iter().filter(|it| it.waits != Wants::Nothing) {
            let sources = command.keys.iter().filter(|spec| spec.is_source());
            assert_eq!(sources.count(), 1, "{}", command.name);
            assert!(command.keys[0].is_source(), "{}", command.name);
        }
    }

    #[test]
    fn what_is_brief() {
        let is_brief = |name| CommandId::named(name).command().is_brief();
        assert!(is_brief("set") && is_brief("get") && is_brief("lpop"));
        assert!(!is_brief("xadd") && !is_brief("mget") && !is_brief("lrange"));
    }
}
