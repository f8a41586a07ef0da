//! Selectors: which commands, on which keys and channels, together.

use protocol::args::{Args, Span};
use protocol::command::{Command, Flags, KeyFlags, KeyShape};
use protocol::facts::Channels;
use protocol::inline;
use protocol::keys::key_positions;
use protocol::table::CommandId;

use crate::commands::AllowedCommands;
use crate::pattern::{KeyAccess, KeyPattern, Pattern};
use crate::rule::{RuleError, has_blanks, is};

/// Why a command was refused: by a selector, or by all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Denied {
    /// The command may not be used.
    Command,
    /// The key at this argument may not be touched so.
    Key(usize),
    /// The channel at this argument may not be used.
    Channel(usize),
}

/// Some things, or all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Set<T> {
    All,
    Some(Vec<T>),
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

/// What new selectors allow of channels (`acl-pubsub-default`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NewChannels {
    #[default]
    None,
    All,
}

impl NewChannels {
    pub(crate) fn set(self) -> Set<Pattern> {
        match self {
            Self::None => Set::default(),
            Self::All => Set::All,
        }
    }
}

/// One set of permissions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selector {
    pub commands: AllowedCommands,
    pub keys: Set<KeyPattern>,
    pub channels: Set<Pattern>,
}

impl Selector {
    /// One that allows nothing, but perhaps all channels.
    pub fn new(channels: NewChannels) -> Self {
        Self {
            channels: channels.set(),
            ..Self::default()
        }
    }

    /// One that allows everything.
    pub fn all() -> Self {
        Self {
            commands: AllowedCommands::all(),
            keys: Set::All,
            channels: Set::All,
        }
    }

    /// From its rules in parentheses.
    pub fn parse(text: &[u8], channels: NewChannels) -> Result<Self, RuleError> {
        let mut selector = Self::new(channels);
        let inner = text.get(1..text.len() - 1).unwrap_or_default();
        let (mut bytes, mut spans) = (Vec::new(), Vec::<Span>::new());
        // Quotes that do not close: as if there were no rules.
        if inline::split(inner, &mut bytes, &mut spans).is_err() {
            return Ok(selector);
        }
        for rule in Args::new(&bytes, &spans, &[]).iter() {
            selector.apply(rule)?;
        }
        Ok(selector)
    }

    /// Whether it allows everything.
    pub fn is_all(&self) -> bool {
        self.commands.is_all() && self.keys == Set::All && self.channels == Set::All
    }

    /// One rule.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if is(rule, "allkeys") || is(rule, "~*") {
            self.keys = Set::All;
        } else if is(rule, "resetkeys") {
            self.keys = Set::default();
        } else if is(rule, "allchannels") || is(rule, "&*") {
            self.channels = Set::All;
        } else if is(rule, "resetchannels") {
            self.channels = Set::default();
        } else if is(rule, "allcommands") {
            self.commands = AllowedCommands::all();
        } else if is(rule, "nocommands") {
            self.commands = AllowedCommands::none();
        } else {
            match rule {
                [b'~', pattern @ ..] => self.add_keys(KeyAccess::ALL, pattern)?,
                [b'%', rest @ ..] => {
                    let Set::Some(_) = self.keys else {
                        return Err(RuleError::PatternAfterAllKeys);
                    };
                    let (access, pattern) = key_access(rest).ok_or(RuleError::Syntax)?;
                    self.add_keys(access, pattern)?;
                }
                [b'&', pattern @ ..] => self.add_channels(pattern)?,
                [b'+', what @ ..] => self.commands.apply(true, what)?,
                [b'-', what @ ..] => self.commands.apply(false, what)?,
                _ => return Err(RuleError::Syntax),
            }
        }
        Ok(())
    }

    fn add_keys(&mut self, access: KeyAccess, pattern: &[u8]) -> Result<(), RuleError> {
        let Set::Some(patterns) = &mut self.keys else {
            return Err(RuleError::PatternAfterAllKeys);
        };
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        match patterns.iter_mut().find(|it| it.pattern.text() == pattern) {
            Some(known) => {
                known.access.reads |= access.reads;
                known.access.writes |= access.writes;
            }
            None => patterns.push(KeyPattern {
                pattern: Pattern::new(pattern),
                access,
            }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        let Set::Some(patterns) = &mut self.channels else {
            return Err(RuleError::PatternAfterAllChannels);
        };
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if !patterns.iter().any(|it| it.text() == pattern) {
            patterns.push(Pattern::new(pattern));
        }
        Ok(())
    }

    /// Whether it allows a command whose first argument, where it has one, is this, on some keys.
    #[inline]
    pub fn allows(&self, id: CommandId, first: Option<&[u8]>) -> bool {
        self.commands.is_all()
            || self.commands.contains(id, first)
            || id.command().flags.contains(Flags::NO_AUTH)
    }

    /// Whether it allows a command with these arguments, which are at least as many as it takes.
    #[inline]
    pub fn check(&self, id: CommandId, args: &Args<'_>) -> Result<(), Denied> {
        let command = id.command();
        if !self.allows(id, args.get(1)) {
            return Err(Denied::Command);
        }
        if let Set::Some(patterns) = &self.keys {
            check_keys(patterns, command, args)?;
        }
        if let Set::Some(patterns) = &self.channels
            && command.channels != Channels::None
        {
            check_channels(patterns, command, args)?;
        }
        Ok(())
    }

    /// Whether it allows to read every key.
    pub fn reads_all_keys(&self) -> bool {
        match &self.keys {
            Set::All => true,
            Set::Some(patterns) => patterns
                .iter()
                .any(|it| it.access.reads && it.pattern.text() == b"*"),
        }
    }

    /// The patterns of its keys, parted by blanks.
    pub fn describe_keys(&self) -> Vec<u8> {
        match &self.keys {
            Set::All => b"~*".to_vec(),
            Set::Some(patterns) => {
                let parts = patterns
                    .iter()
                    .map(|it| [it.access.prefix(), it.pattern.text()].concat());
                parts.collect::<Vec<_>>().join(&b' ')
            }
        }
    }

    /// The patterns of its channels, parted by blanks.
    pub fn describe_channels(&self) -> Vec<u8> {
        match &self.channels {
            Set::All => b"&*".to_vec(),
            Set::Some(patterns) => {
                let parts = patterns.iter().map(|it| [b"&", it.text()].concat());
                parts.collect::<Vec<_>>().join(&b' ')
            }
        }
    }

    /// The rules that come to it.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = self.describe_keys();
        if !text.is_empty() {
            text.push(b' ');
        }
        if self.channels != Set::All {
            text.extend_from_slice(b"resetchannels ");
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            text.extend_from_slice(&channels);
            text.push(b' ');
        }
        text.extend_from_slice(&self.commands.describe());
        text
    }
}

/// What `%` and the letters behind it come to, and the pattern behind these.
fn key_access(rest: &[u8]) -> Option<(KeyAccess, &[u8])> {
    let mut access = KeyAccess {
        reads: false,
        writes: false,
    };
    let mut at = 0;
    loop {
        let has = match rest.get(at) {
            Some(b'r' | b'R') => &mut access.reads,
            Some(b'w' | b'W') => &mut access.writes,
            Some(b'~') => {
                at += 1;
                break;
            }
            // Redis 7.4.1 reads beyond the end of a rule without a pattern; later ones refuse it.
            Some(_) | None => return None,
        };
        if std::mem::replace(has, true) {
            return None;
        }
        at += 1;
    }
    (access.reads || access.writes).then(|| (access, &rest[at..]))
}

fn check_keys(patterns: &[KeyPattern], command: &Command, args: &Args<'_>) -> Result<(), Denied> {
    if command.shape == KeyShape::None {
        return Ok(());
    }
    let mut denied = None;
    let mut visit = |at: usize, flags: KeyFlags| {
        if denied.is_none() && !may_touch(patterns, &args[at], flags) {
            denied = Some(at);
        }
    };
    // Where the arguments do not say which keys, the command will refuse them.
    if key_positions(command, args, &mut visit).is_err() {
        return Ok(());
    }
    denied.map_or(Ok(()), |at| Err(Denied::Key(at)))
}

fn may_touch(patterns: &[KeyPattern], key: &[u8], flags: KeyFlags) -> bool {
    const WRITES: KeyFlags = KeyFlags::INSERT
        .with(KeyFlags::DELETE)
        .with(KeyFlags::UPDATE);
    let wanted = KeyAccess {
        reads: flags.contains(KeyFlags::ACCESS),
        writes: flags.intersects(WRITES),
    };
    patterns
        .iter()
        .any(|it| it.access.covers(wanted) && it.pattern.matches(key))
}

fn check_channels(patterns: &[Pattern], command: &Command, args: &Args<'_>) -> Result<(), Denied> {
    let (last, are_patterns) = match command.channels {
        Channels::None => return Ok(()),
        Channels::First => (1, false),
        Channels::All => (args.len() - 1, false),
        Channels::Patterns => (args.len() - 1, true),
    };
    let may_use = |channel: &[u8]| may_use_channel(patterns, channel, are_patterns);
    match (1..=last).find(|&at| !may_use(&args[at])) {
        Some(at) => Err(Denied::Channel(at)),
        None => Ok(()),
    }
}

/// Whether a channel matches one of these patterns, or a pattern is one of them.
pub(crate) fn may_use_channel(allowed: &[Pattern], channel: &[u8], is_pattern: bool) -> bool {
    allowed.iter().any(|it| {
        if is_pattern {
            it.text() == channel
        } else {
            it.matches(channel)
        }
    })
}
