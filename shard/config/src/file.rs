//! Reads `redis.conf` files and the words of a command line.
//!
//! A line is a directive and its words; `#` begins a comment at the start of a line. Words may be
//! quoted: in double quotes `\n \r \t \b \a`, `\xHH` and `\` before any other character have their
//! usual meaning, in single quotes only `\'` has.
//!
//! Later lines win. `save` adds up: the first `save` of a start replaces the defaults, the next
//! ones add, an empty one clears.
//!
//! A line that begins with `#!percore` is a directive of percore's own, which Redis takes for a
//! comment: so both can read one file.

use std::fmt;
use std::io::Read;
use std::path::Path;

use super::absent::{self, Absent};
use super::include;
use super::kind::plain;
use super::user_lines::USER;
use super::{Config, Flag, Kind, Parameter};

/// How deep files may include others: a file that includes itself is refused.
const INCLUDE_DEPTH_MAX: usize = 16;
/// Bytes of a configuration file; more is surely another file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Directives that are no parameters.
pub const INCLUDE: &str = "include";
pub const RENAME: &str = "rename-command";

/// Begins a line that Redis takes for a comment.
pub(super) const OWN: &str = "#!percore ";

/// What is wrong with a file, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileError {
    /// The file, or what stands for one (the command line, standard input).
    pub origin: String,
    /// The line, from 1, and its text; none where the file itself cannot be read.
    pub line: Option<(usize, String)>,
    pub fault: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some((number, text)) => {
                write!(f, "{}:{number}: '{text}': {}", self.origin, self.fault)
            }
            None => write!(f, "{}: {}", self.origin, self.fault),
        }
    }
}

impl std::error::Error for FileError {}

/// Builds a configuration from files and flags, in the order in which they are given.
#[derive(Default)]
pub struct Loader {
    config: Config,
    save_seen: bool,
    passed_over: Vec<String>,
}

impl Loader {
    /// Begins with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration so far.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The configuration, and Redis's directives that were passed over because percore has no use
    /// for them.
    pub fn finish(self) -> (Config, Vec<String>) {
        (self.config, self.passed_over)
    }

    /// Reads the file at `path`.
    pub fn file(&mut self, path: &Path) -> Result<(), FileError> {
        self.file_at_depth(path, 0)
    }

    /// Reads `text`, which came from `origin`.
    pub fn text(&mut self, text: &str, origin: &str) -> Result<(), FileError> {
        self.text_at_depth(text, origin, 0)
    }

    fn file_at_depth(&mut self, path: &Path, depth: usize) -> Result<(), FileError> {
        let origin = path.to_string_lossy();
        let text = read(path).map_err(|fault| FileError {
            origin: origin.clone().into(),
            line: None,
            fault,
        })?;
        self.text_at_depth(&text, &origin, depth)
    }

    fn text_at_depth(&mut self, text: &str, origin: &str, depth: usize) -> Result<(), FileError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let fault_here = |fault: String| FileError {
                origin: origin.into(),
                line: Some((index + 1, without_secret(line))),
                fault,
            };
            let Some(words) = directive(line).map_err(fault_here)? else {
                continue;
            };
            match words.as_slice() {
                [include, path] if include.eq_ignore_ascii_case(INCLUDE) => {
                    if depth == INCLUDE_DEPTH_MAX {
                        return Err(fault_here("files include one another too deeply".into()));
                    }
                    self.include(path, depth)?;
                }
                [name, values @ ..] => self.directive(name, values).map_err(fault_here)?,
                [] => {}
            }
        }
        Ok(())
    }

    fn include(&mut self, path: &str, depth: usize) -> Result<(), FileError> {
        include::files(path)
            .iter()
            .try_for_each(|file| self.file_at_depth(file, depth + 1))
    }

    /// Applies one directive with its words. `Err` with what is wrong.
    pub fn directive(&mut self, name: &str, values: &[String]) -> Result<(), String> {
        if let [path] = values
            && name.eq_ignore_ascii_case(INCLUDE)
        {
            return self.include(path, 0).map_err(|error| error.to_string());
        }
        if name.eq_ignore_ascii_case(RENAME) {
            let [from, to] = values else {
                return Err("wrong number of arguments".into());
            };
            return self.config.renames.rename(from, to).map_err(String::from);
        }
        if name.eq_ignore_ascii_case(USER) {
            return self.config.user_lines.add(values);
        }
        let Some(row) = Parameter::find(name) else {
            return self.pass_over(name);
        };
        let value = match values {
            _ if row.kind.takes_several_words() => values.join(" "),
            [value] => value.clone(),
            _ => return Err("wrong number of arguments".into()),
        };
        if row.kind == Kind::SavePoints {
            return self.save(&value);
        }
        self.config
            .set(row.name, &value)
            .map_err(|error| error.to_string())
    }

    fn save(&mut self, value: &str) -> Result<(), String> {
        let mut points = if self.save_seen && !value.trim().is_empty() {
            std::mem::take(&mut self.config.save.0)
        } else {
            Vec::new()
        };
        self.config
            .set("save", value)
            .map_err(|error| error.to_string())?;
        self.save_seen = true;
        points.append(&mut self.config.save.0);
        self.config.save.0 = points;
        Ok(())
    }

    fn pass_over(&mut self, name: &str) -> Result<(), String> {
        match absent::find(name) {
            None => {
                return Err(format!(
                    "neither Redis nor percore has a parameter '{name}'"
                ));
            }
            Some(Absent::Refused) => {
                return Err(format!(
                    "percore does not have '{name}' yet, and would not keep its promise without; remove the line to start all the same"
                ));
            }
            Some(Absent::Passed) => {}
        }
        let name = name.to_ascii_lowercase();
        if !self.passed_over.contains(&name) {
            self.passed_over.push(name);
        }
        Ok(())
    }
}

impl Config {
    /// The defaults and what the file at `path` says.
    pub fn load_file(path: &Path) -> Result<Self, FileError> {
        let mut loader = Loader::new();
        loader.file(path)?;
        Ok(loader.finish().0)
    }
}

/// The file's text. `Err` with the reason in words.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| plain(&error))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| plain(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("longer than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8 text".into())
}

/// The words of a line. `None` where it holds no directive.
pub(super) fn directive(line: &str) -> Result<Option<Vec<String>>, String> {
    let line = line.trim();
    let line = line.strip_prefix(OWN).unwrap_or(line);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let words = words(line).ok_or("Unbalanced quotes in configuration line")?;
    Ok((!words.is_empty()).then_some(words))
}

/// A line as an error may show it.
fn without_secret(line: &str) -> String {
    let name = line.split_ascii_whitespace().next().unwrap_or_default();
    let secret = Parameter::find(name).is_some_and(|row| row.is(Flag::Sensitive))
        || name.eq_ignore_ascii_case(USER);
    if secret {
        format!("{name} (hidden)")
    } else {
        line.into()
    }
}

/// Splits a line into words as Redis does. `None` where a quote is not closed, or is followed by
/// more of the same word.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.next_if(|letter| letter.is_whitespace()).is_some() {}
        if rest.peek().is_none() {
            return Some(words);
        }
        let mut word = Word::default();
        loop {
            match rest.next() {
                None => break,
                Some(letter) if letter.is_whitespace() => break,
                Some('"') => {
                    word.double_quoted(&mut rest)?;
                    break;
                }
                Some('\'') => {
                    word.single_quoted(&mut rest)?;
                    break;
                }
                Some(letter) => word.push(letter),
            }
        }
        words.push(String::from_utf8(word.bytes).ok()?);
    }
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Bytes, because `\xHH` may spell a letter in several steps.
#[derive(Default)]
struct Word {
    bytes: Vec<u8>,
}

impl Word {
    fn push(&mut self, letter: char) {
        self.bytes
            .extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn double_quoted(&mut self, rest: &mut Letters<'_>) -> Option<()> {
        loop {
            match rest.next()? {
                '"' => return ends_word(rest),
                '\\' => match rest.next()? {
                    'n' => self.push('\n'),
                    'r' => self.push('\r'),
                    't' => self.push('\t'),
                    'b' => self.push('\u{8}'),
                    'a' => self.push('\u{7}'),
                    'x' => self.hexadecimal(rest),
                    letter => self.push(letter),
                },
                letter => self.push(letter),
            }
        }
    }

    /// `\x` and two digits are a byte; without two digits it is the letter x.
    fn hexadecimal(&mut self, rest: &mut Letters<'_>) {
        let mut ahead = rest.clone();
        let digits = (ahead.next(), ahead.next());
        let value = |letter: Option<char>| letter.and_then(|letter| letter.to_digit(16));
        match (value(digits.0), value(digits.1)) {
            (Some(high), Some(low)) => {
                self.bytes.extend(u8::try_from(high * 16 + low));
                *rest = ahead;
            }
            _ => self.push('x'),
        }
    }

    fn single_quoted(&mut self, rest: &mut Letters<'_>) -> Option<()> {
        loop {
            match rest.next()? {
                '\'' => return ends_word(rest),
                '\\' if rest.next_if_eq(&'\'').is_some() => self.push('\''),
                letter => self.push(letter),
            }
        }
    }
}

/// Behind a closing quote only a space or the end may stand.
fn ends_word(rest: &mut Letters<'_>) -> Option<()> {
    rest.peek()
        .is_none_or(|letter| letter.is_whitespace())
        .then_some(())
}

/// A word as [`words`] reads it back.
pub(super) fn quoted(word: &str) -> String {
    let plain = !word.is_empty()
        && word.chars().all(|letter| {
            !letter.is_whitespace() && !letter.is_control() && !"\"'\\#".contains(letter)
        });
    if plain {
        return word.into();
    }
    let mut text = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // Redis's files name bytes, so only ASCII control characters fit; others stand as they
            // are.
            letter if letter.is_ascii_control() => {
                text.push_str(&format!("\\x{:02x}", letter as u32))
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}
