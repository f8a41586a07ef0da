//! Parameters whose value has several parts: save points, output limits, notification classes,
//! addresses, access rights.

use super::ConfigError;
use super::event_class::EventClass;
use super::kind::{Kind, Setting, parse_memory};
/// As many addresses as Redis takes.
const ADDRESSES_MAX: usize = 16;

/// Save after `seconds` when at least `changes` keys have changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavePoint {
    pub seconds: u32,
    pub changes: u32,
}

/// `save`: when a snapshot is taken by itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SavePoints(pub Vec<SavePoint>);

impl SavePoints {
    pub(super) fn redis_default() -> Self {
        let point = |seconds, changes| SavePoint { seconds, changes };
        Self(vec![point(3600, 1), point(300, 100), point(60, 10_000)])
    }
}

impl Setting for SavePoints {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (pairs, rest) = words.as_chunks::<2>();
        let mut points = Vec::with_capacity(pairs.len());
        for [seconds, changes] in pairs {
            // Seconds from 1, changes from 0, both within an `int`.
            let seconds = seconds
                .parse()
                .ok()
                .filter(|n| (1..=i32::MAX as u32).contains(n));
            let changes = changes
                .parse()
                .ok()
                .filter(|n| (0..=i32::MAX as u32).contains(n));
            match (seconds, changes) {
                (Some(seconds), Some(changes)) => points.push(SavePoint { seconds, changes }),
                _ => return Err(ConfigError::from("Invalid save parameters")),
            }
        }
        if rest.is_empty() {
            Ok(Self(points))
        } else {
            Err(ConfigError::from("Invalid save parameters"))
        }
    }

    fn show(&self) -> String {
        let points: Vec<String> = self
            .0
            .iter()
            .map(|point| format!("{} {}", point.seconds, point.changes))
            .collect();
        points.join(" ")
    }
}

/// How much output may wait for one client before it is disconnected. Zeros mean no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutputLimit {
    /// Beyond this at once.
    pub hard_bytes: u64,
    /// Beyond this when it lasts for `soft_s`.
    pub soft_bytes: u64,
    pub soft_s: u64,
}

/// `client-output-buffer-limit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputLimits {
    pub normal: OutputLimit,
    pub replica: OutputLimit,
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    pub(super) const REDIS_DEFAULT: Self = Self {
        normal: OutputLimit {
            hard_bytes: 0,
            soft_bytes: 0,
            soft_s: 0,
        },
        replica: OutputLimit {
            hard_bytes: 256 << 20,
            soft_bytes: 64 << 20,
            soft_s: 60,
        },
        pubsub: OutputLimit {
            hard_bytes: 32 << 20,
            soft_bytes: 8 << 20,
            soft_s: 60,
        },
    };
}

/// Classes that are not named keep their limits.
impl Setting for OutputLimits {
    fn parse(_: Kind, text: &str, before: &Self) -> Result<Self, ConfigError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (groups, rest) = words.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(ConfigError::from(
                "Wrong number of arguments in buffer limit configuration.",
            ));
        }
        let mut limits = *before;
        for [class, hard, soft, seconds] in groups {
            let limit = match class.to_ascii_lowercase().as_str() {
                "normal" => &mut limits.normal,
                "slave" | "replica" => &mut limits.replica,
                "pubsub" => &mut limits.pubsub,
                _ => {
                    return Err(ConfigError::from(
                        "Invalid client class specified in buffer limit configuration.",
                    ));
                }
            };
            let parts = (
                parse_memory(hard),
                parse_memory(soft),
                seconds.parse::<u64>(),
            );
            let (Some(hard_bytes), Some(soft_bytes), Ok(soft_s)) = parts else {
                return Err(ConfigError::from(
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
                ));
            };
            *limit = OutputLimit {
                hard_bytes,
                soft_bytes,
                soft_s,
            };
        }
        Ok(limits)
    }

    fn show(&self) -> String {
        let groups = [
            ("normal", self.normal),
            ("slave", self.replica),
            ("pubsub", self.pubsub),
        ]
        .map(|(class, limit)| {
            format!(
                "{class} {} {} {}",
                limit.hard_bytes, limit.soft_bytes, limit.soft_s
            )
        });
        groups.join(" ")
    }
}

/// `notify-keyspace-events`: which events are published, and on which channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Notify(u16);

impl Notify {
    /// Letters in the order in which CONFIG GET shows them; a letter's bit is its place.
    const LETTERS: &'static [u8] = b"g$lshzxetdnKEm";
    /// What `A` stands for: all classes but `n` and `m`.
    const ALL: u16 = (1 << 10) - 1;

    fn bit(letter: u8) -> Option<u16> {
        let place = Self::LETTERS.iter().position(|known| *known == letter)?;
        Some(1 << place)
    }

    fn has(self, letter: u8) -> bool {
        Self::bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether anything would be published at all.
    pub fn is_on(self) -> bool {
        self.keyspace() || self.keyevent()
    }

    /// Whether events go to `__keyspace@N__:key`.
    pub fn keyspace(self) -> bool {
        self.has(b'K')
    }

    /// Whether events go to `__keyevent@N__:event`.
    pub fn keyevent(self) -> bool {
        self.has(b'E')
    }

    /// Whether events of `class` are wanted.
    pub fn includes(self, class: EventClass) -> bool {
        self.has(match class {
            EventClass::Generic => b'g',
            EventClass::String => b'$',
            EventClass::List => b'l',
            EventClass::Set => b's',
            EventClass::Hash => b'h',
            EventClass::SortedSet => b'z',
            EventClass::Stream => b't',
            EventClass::Expired => b'x',
            EventClass::Evicted => b'e',
            EventClass::New => b'n',
            EventClass::KeyMiss => b'm',
        })
    }
}

impl Setting for Notify {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        let mut flags = 0;
        for letter in text.bytes() {
            flags |= match letter {
                b'A' => Self::ALL,
                _ => Self::bit(letter).ok_or(ConfigError::from(
                    "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
                ))?,
            };
        }
        Ok(Self(flags))
    }

    fn show(&self) -> String {
        let whole = self.0 & Self::ALL == Self::ALL;
        let letters = Self::LETTERS
            .iter()
            .enumerate()
            // Redis shows `n` only where it shows the letters one by one.
            .filter(|(place, _)| self.0 & (1 << place) != 0 && (!whole || *place > 10))
            .map(|(_, letter)| char::from(*letter));
        whole.then_some('A').into_iter().chain(letters).collect()
    }
}

/// `bind`: addresses to listen on. A `-` before one means that it may be missing on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addresses(pub Vec<String>);

impl Addresses {
    pub(super) fn redis_default() -> Self {
        Self(vec!["*".into(), "-::*".into()])
    }
}

impl Setting for Addresses {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        let addresses: Vec<String> = text.split_ascii_whitespace().map(String::from).collect();
        if addresses.len() <= ADDRESSES_MAX {
            Ok(Self(addresses))
        } else {
            Err(ConfigError::from("Too many bind addresses specified."))
        }
    }

    fn show(&self) -> String {
        self.0.join(" ")
    }
}

/// Access rights of a file, such as `700`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileMode(pub u32);

impl Setting for FileMode {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Self(mode)),
            Ok(_) => Err(ConfigError::from(
                "argument must be between 0 and 777 inclusive",
            )),
            Err(_) => Err(ConfigError::from(
                "argument couldn't be parsed as an octal number",
            )),
        }
    }

    fn show(&self) -> String {
        format!("{:o}", self.0)
    }
}
