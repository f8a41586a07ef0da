//! INFO, read once: its fields by name.
//!
//! Whoever asks about a server asks here: `wire.info("clients").number("blocked_clients")`.

use std::str::FromStr;

use crate::wire::Wire;

/// What a server has answered to INFO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    text: String,
    /// Each field's section (as Redis writes it, `Clients`), name and value, in their order.
    fields: Vec<(String, String, String)>,
}

impl Info {
    /// Reads the text of a reply to INFO.
    pub fn parse(text: &str) -> Info {
        let mut section = String::new();
        let mut fields = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("# ") {
                name.clone_into(&mut section);
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((section.clone(), name.to_owned(), value.to_owned()));
            }
        }
        Info {
            text: text.to_owned(),
            fields,
        }
    }

    /// The value of a field, `None` where there is no such field.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find_map(|(_, field, value)| (field == name).then_some(value.as_str()))
    }

    /// The value of a field.
    ///
    /// # Panics
    /// Where there is no such field.
    pub fn text(&self, name: &str) -> &str {
        self.get(name)
            .unwrap_or_else(|| panic!("INFO has no {name}:\n{}", self.text))
    }

    /// A field as a number.
    ///
    /// # Panics
    /// Where there is no such field, or it is no such number.
    pub fn number<N: FromStr>(&self, name: &str) -> N {
        let text = self.text(name);
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no such number: {text}"))
    }

    /// The titles of the sections, in their order. A section without a field counts, too.
    pub fn sections(&self) -> Vec<&str> {
        let titles = self.text.lines();
        titles.filter_map(|line| line.strip_prefix("# ")).collect()
    }

    /// Each field's section, name and value, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let fields = self.fields.iter();
        fields.map(|(section, name, value)| (section.as_str(), name.as_str(), value.as_str()))
    }
}

impl Wire {
    /// Asks for sections of INFO: one, several with blanks between, or, if empty, those that Redis shows by default.
    ///
    /// # Panics
    /// Where there is no answer, or an error.
    pub fn info(&mut self, sections: &str) -> Info {
        let reply = self.ask(&format!("INFO {sections}"));
        assert!(!reply.is_error(), "INFO {sections}: {reply:?}");
        Info::parse(&String::from_utf8_lossy(reply.text()))
    }

    /// One number of all that INFO can say.
    ///
    /// # Panics
    /// Where there is none of this name.
    pub fn figure(&mut self, name: &str) -> u64 {
        self.info("everything").number(name)
    }

    /// How many clients are blocked.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn blocked_clients(&mut self) -> usize {
        self.info("clients").number("blocked_clients")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_a_section_a_name_and_a_value() {
        let info =
            Info::parse("# Server\r\nversion:7.4\r\n\r\n# Modules\r\n\r\n# CPU\r\nused:1:2\r\n");
        assert_eq!(info.sections(), ["Server", "Modules", "CPU"]);
        assert_eq!(info.text("version"), "7.4");
        assert_eq!(info.number::<f64>("version"), 7.4);
        let fields: Vec<_> = info.fields().collect();
        assert_eq!(
            fields,
            [("Server", "version", "7.4"), ("CPU", "used", "1:2")]
        );
        assert_eq!(info.get("absent"), None);
    }
}
