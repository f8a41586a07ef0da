//! `shutdown-on-sigterm` and `shutdown-on-sigint`: how the server ends when a signal asks it to, in
//! the words of SHUTDOWN.

use super::ConfigError;
use super::kind::{Kind, Setting};

/// The words that change something, in the order in which CONFIG GET shows them.
const WORDS: [&str; 4] = ["save", "nosave", "now", "force"];

/// What such a parameter may be made of; `default` adds nothing.
pub(super) const KIND: Kind = Kind::SeveralOf(&["default", "save", "nosave", "now", "force"]);

/// How the server is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShutdownFlags {
    /// Write a snapshot, also where there are no save points.
    pub save: bool,
    /// Write none, also where there are save points.
    pub no_save: bool,
    /// Do not wait for replicas. There are none yet, so this changes nothing.
    pub now: bool,
    /// End even where the data cannot be saved.
    pub force: bool,
}

impl ShutdownFlags {
    /// Adds what `word`, in any case, asks for. False where it is no such word.
    pub fn add(&mut self, word: &[u8]) -> bool {
        let place = WORDS
            .iter()
            .position(|known| word.eq_ignore_ascii_case(known.as_bytes()));
        match place {
            Some(0) => self.save = true,
            Some(1) => self.no_save = true,
            Some(2) => self.now = true,
            Some(3) => self.force = true,
            _ => return false,
        }
        true
    }

    /// Whether a snapshot is to be written, where `save_points` says if there are any.
    pub fn saves(self, save_points: bool) -> bool {
        self.save || save_points && !self.no_save
    }

    /// Whether it asks for a snapshot and for none.
    pub fn is_contradiction(self) -> bool {
        self.save && self.no_save
    }
}

impl Setting for ShutdownFlags {
    fn parse(kind: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        let mut flags = Self::default();
        let mut words = text.split_ascii_whitespace().peekable();
        let none = words.peek().is_none();
        if none
            || !words.all(|word| word.eq_ignore_ascii_case("default") || flags.add(word.as_bytes()))
        {
            let names = match kind {
                Kind::SeveralOf(names) => names.join(", "),
                _ => WORDS.join(", "),
            };
            return Err(ConfigError::argument(format!(
                "argument(s) must be one of the following: {names}"
            )));
        }
        if flags.is_contradiction() {
            Err(ConfigError::from(
                "shutdown options SAVE and NOSAVE can't be used simultaneously",
            ))
        } else {
            Ok(flags)
        }
    }

    fn show(&self) -> String {
        let chosen = [self.save, self.no_save, self.now, self.force];
        let words = WORDS.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        let words: Vec<&str> = words.map(|(word, _)| *word).collect();
        if words.is_empty() {
            "default".into()
        } else {
            words.join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let parsed = ShutdownFlags::parse(KIND, text, &ShutdownFlags::default());
        parsed
            .map(|flags| flags.show())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn words_are_read_in_any_order_and_shown_in_one() {
        for (text, expected) in [
            ("default", "default"),
            ("NOSAVE", "nosave"),
            ("now nosave force", "nosave now force"),
            ("default now", "now"),
            ("now  now", "now"),
            ("save", "save"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "abort", "save later", "no"] {
            assert!(shown(text).is_err_and(|fault| fault.contains("must be one of")));
        }
        assert!(shown("save nosave").is_err_and(|fault| fault.contains("simultaneously")));
    }
}
