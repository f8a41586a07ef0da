//! An event's fields as `key=value`, for people: the message first, texts in quotes where they hold
//! blanks, and nothing that could begin a new line.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes fields as text.
pub struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = FieldText {
            out: OneLine(writer),
            written: Ok(()),
            any: false,
        };
        fields.record(&mut text);
        text.written
    }
}

/// Everything written to it stays on the line: other control characters, a terminal's sequences
/// among them, are escaped.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (at, piece) in text.split(|letter: char| letter.is_control()).enumerate() {
            if at > 0 {
                let before = piece.as_ptr() as usize - text.as_ptr() as usize;
                let control = text[..before].chars().next_back().unwrap_or_default();
                write!(self.0, "{}", control.escape_debug())?;
            }
            self.0.write_str(piece)?;
        }
        Ok(())
    }
}

struct FieldText<W> {
    out: OneLine<W>,
    written: fmt::Result,
    any: bool,
}

impl<W: Write> FieldText<W> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.written.is_err() {
            return;
        }
        let blank = if self.any { " " } else { "" };
        self.any = true;
        self.written = match field.name() {
            "message" => write!(self.out, "{blank}{value}"),
            name => write!(self.out, "{blank}{name}={value}"),
        };
    }
}

impl<W: Write> Visit for FieldText<W> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.write(field, format_args!("{value}")),
            _ if needs_quotes(value) => self.write(field, format_args!("{value:?}")),
            _ => self.write(field, format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }
}

/// Whether it would not be clear where a text ends.
fn needs_quotes(text: &str) -> bool {
    let is_plain = |letter: char| !letter.is_whitespace() && !"\"\\={}".contains(letter);
    text.is_empty() || !text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_a_new_line() {
        let mut out = OneLine(String::new());
        out.write_str("a\nbé\t\u{1b}[31m\r").expect("written");
        assert_eq!(out.0, "a\\nbé\\t\\u{1b}[31m\\r");
    }
}
