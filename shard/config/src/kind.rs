//! What a parameter's value may be, and how its text becomes a field and back.
//!
//! A row of the table has a [`Kind`] (what is allowed) and a field whose type implements
//! [`Setting`] (how it is kept). Wrong text is answered in Redis's words, because scripts and
//! client tests compare them.

use std::path::PathBuf;

use super::ConfigError;

/// What values a parameter takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    YesNo,
    /// Only this one word: the other does not exist in percore, for the reason given.
    Only(&'static str, &'static str),
    /// A whole number within the bounds, both included.
    Integer(i128, i128),
    /// A whole number from 0 on, which is brought within the bounds.
    Clamped(i128, i128),
    /// Bytes, with or without a unit (`100`, `1k`, `1kb`, `1gb`), within the bounds, both included.
    Memory(i128, i128),
    /// One of these names, in any case.
    OneOf(&'static [&'static str]),
    /// One or more of these names, in any case.
    SeveralOf(&'static [&'static str]),
    /// Any text; empty means none.
    Text,
    /// Letters, digits and these marks; other text is refused in these words.
    Letters(&'static str, &'static str),
    /// The name of a locale.
    Locale,
    /// `no one`, or nothing: percore has no replicas yet.
    NoOne,
    /// What the list of processes shows.
    TitleTemplate,
    /// Three scores.
    OomScores,
    /// The path of a file; empty means none.
    Path,
    /// A file's name without a directory.
    FileName,
    /// A directory that exists.
    Directory,
    /// Access rights in octal.
    FileMode,
    /// Any number of `seconds changes` pairs.
    SavePoints,
    /// Groups of `class hard soft seconds`.
    OutputLimits,
    /// Any number of figures from 0 to 100.
    Percentiles,
    /// Bytes as for `Memory`, or a number of per cent.
    ClientMemoryLimit,
    /// Letters of keyspace notification classes.
    Notify,
    /// Up to sixteen addresses.
    Addresses,
}

impl Kind {
    /// Whether a line of the configuration file may hold several words for it.
    pub fn takes_several_words(self) -> bool {
        matches!(
            self,
            Self::SavePoints
                | Self::OutputLimits
                | Self::Addresses
                | Self::Percentiles
                | Self::SeveralOf(_)
                | Self::NoOne
                | Self::OomScores
        )
    }

    /// What `--help` shows in place of the value.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::YesNo => "yes|no",
            Self::Only("", _) => "''",
            Self::Only(word, _) => word,
            Self::Integer(..) | Self::Clamped(..) => "N",
            Self::Memory(..) => "BYTES",
            Self::OneOf(_) => "NAME",
            Self::SeveralOf(_) => "NAME ...",
            Self::Text | Self::Letters(..) | Self::TitleTemplate => "TEXT",
            Self::Locale => "NAME",
            Self::NoOne => "no one",
            Self::OomScores => "N N N",
            Self::Path => "PATH",
            Self::FileName => "NAME",
            Self::Directory => "DIR",
            Self::FileMode => "OCTAL",
            Self::SavePoints => "SECONDS CHANGES ...",
            Self::OutputLimits => "CLASS HARD SOFT SECONDS ...",
            Self::ClientMemoryLimit => "BYTES|N%",
            Self::Percentiles => "PERCENT ...",
            Self::Notify => "LETTERS",
            Self::Addresses => "ADDRESS ...",
        }
    }

    /// The number that `text` stands for, within this kind's bounds.
    fn number(self, text: &str) -> Result<i128, ConfigError> {
        let (value, least, most) = match self {
            Self::Only(word, why) => {
                let value = parse_integer(text)?;
                return if text == word {
                    Ok(value)
                } else {
                    Err(ConfigError::argument(format!(
                        "argument must be '{word}': {why}"
                    )))
                };
            }
            Self::Integer(least, most) => (parse_integer(text)?, least, most),
            Self::Clamped(..) => (parse_integer(text)?, 0, i32::MAX.into()),
            Self::Memory(least, most) => (
                parse_memory(text)
                    .ok_or(ConfigError::from("argument must be a memory value"))?
                    .into(),
                least,
                most,
            ),
            _ => return Err(ConfigError::from("argument is not a number")),
        };
        if value < least || value > most {
            return Err(ConfigError::argument(format!(
                "argument must be between {least} and {most} inclusive"
            )));
        }
        match self {
            Self::Clamped(least, most) => Ok(value.clamp(least, most)),
            _ => Ok(value),
        }
    }
}

fn parse_integer(text: &str) -> Result<i128, ConfigError> {
    const REFUSED: &str = "argument couldn't be parsed into an integer";
    let value: i64 = text.parse().map_err(|_| ConfigError::from(REFUSED))?;
    // One spelling a number, as everywhere in Redis: no `+1`, no `01`, no `-0`.
    if value.to_string() != text {
        return Err(ConfigError::from(REFUSED));
    }
    Ok(value.into())
}

/// Bytes as Redis writes them: `k`, `m` and `g` are powers of 1000, `kb`, `mb` and `gb` powers of
/// 1024. `None` where it is no such text.
pub fn parse_memory(text: &str) -> Option<u64> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1000 * 1000,
        "mb" => 1 << 20,
        "g" => 1000 * 1000 * 1000,
        "gb" => 1 << 30,
        _ => return None,
    };
    // Redis takes no digits at all for zero.
    if digits.is_empty() {
        return Some(0);
    }
    // What does not fit is as much as fits.
    let count = digits.parse::<u64>().unwrap_or(u64::MAX);
    Some(count.saturating_mul(factor))
}

/// A field's type: how it is read from text and shown again.
pub trait Setting: Sized {
    /// The value that `text` stands for. `Err` with Redis's words where it is not allowed. `before`
    /// is the value that it replaces.
    fn parse(kind: Kind, text: &str, before: &Self) -> Result<Self, ConfigError>;
    /// The value as CONFIG GET shows it.
    fn show(&self) -> String;
}

impl Setting for bool {
    fn parse(kind: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        let value = match text {
            _ if text.eq_ignore_ascii_case("yes") => true,
            _ if text.eq_ignore_ascii_case("no") => false,
            _ => return Err(ConfigError::from("argument must be 'yes' or 'no'")),
        };
        match kind {
            Kind::Only(word, why) if !text.eq_ignore_ascii_case(word) => Err(
                ConfigError::argument(format!("argument must be '{word}': {why}")),
            ),
            _ => Ok(value),
        }
    }

    fn show(&self) -> String {
        if *self { "yes" } else { "no" }.into()
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Setting for $integer {
            fn parse(kind: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
                Self::try_from(kind.number(text)?).map_err(|_| ConfigError::from("argument is out of range"))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integers!(u8 u16 u32 i32 u64 i64 usize);

impl Setting for String {
    fn parse(kind: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        if kind == Kind::FileName && (text.contains('/') || text.is_empty()) {
            return Err(ConfigError::from(
                "argument can't be a path, just a filename",
            ));
        }
        Ok(text.into())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Setting for Option<String> {
    fn parse(kind: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        match kind {
            Kind::Only(word, why) if text != word => {
                return Err(ConfigError::argument(format!(
                    "argument must be '{word}': {why}"
                )));
            }
            Kind::NoOne if text.is_empty() || text.eq_ignore_ascii_case("no one") => {
                return Ok(None);
            }
            Kind::NoOne => return Err(ConfigError::from("percore has no replicas yet")),
            Kind::Letters(marks, refused) => check_letters(text, marks, refused)?,
            Kind::Locale if !is_locale(text) => {
                return Err(ConfigError::from("Invalid locale name"));
            }
            _ => {}
        }
        Ok((!text.is_empty()).then(|| text.into()))
    }

    fn show(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

/// Bytes of a name that other nodes are told, and one more.
const NAME_BYTES_MAX: usize = 256;

fn check_letters(text: &str, marks: &str, refused: &'static str) -> Result<(), ConfigError> {
    if text.len() >= NAME_BYTES_MAX {
        return Err(ConfigError::from(
            "Hostnames must be less than 256 characters",
        ));
    }
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || marks.contains(letter);
    if text.chars().all(allowed) {
        Ok(())
    } else {
        Err(ConfigError::from(refused))
    }
}

/// Whether a system may have such a locale: what this one has does not matter, since none is used.
fn is_locale(text: &str) -> bool {
    let language = text.split(['.', '@']).next().unwrap_or_default();
    let named = matches!(language, "" | "C" | "POSIX") && !text.starts_with(['.', '@']);
    let letters = text
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "_.@-".contains(letter));
    letters && (named || (language.len() >= 5 && language.contains('_')))
}

impl Setting for Option<PathBuf> {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        Ok((!text.is_empty()).then(|| text.into()))
    }

    fn show(&self) -> String {
        self.as_ref()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

/// A directory: kept absolute, so that it means the same for the whole life of the process.
impl Setting for PathBuf {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        let refused =
            |error: std::io::Error| ConfigError::argument(format!("'{text}': {}", plain(&error)));
        let path = PathBuf::from(text).canonicalize().map_err(refused)?;
        if std::fs::metadata(&path).map_err(refused)?.is_dir() {
            Ok(path)
        } else {
            Err(ConfigError::argument(format!("'{text}': Not a directory")))
        }
    }

    fn show(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

/// The system's words without Rust's `(os error 2)`.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.into(),
        None => text,
    }
}
